/*
 * The switchover, as the active site drives it.
 */
#include "site/cutover_impl.h"

#include "base/fs.h"
#include "site/holders.h"
#include "site/still.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than this and times of messages, leases and logs mean nothing. */
#define CLOCK_OFFSET_MAX_MS 60000
#define CUTOVER_WAIT_MS	    3000u
/* For the catching up before the fence: as long as it takes, within reason. */
#define SYNC_LIMIT_MS (INT64_C(24) * 3600 * 1000)
/* For the last sync, while nobody serves. */
#define LAST_SYNC_LIMIT_MS (INT64_C(10) * 60 * 1000)

struct target {
	struct cw_session_store *st;
	uint64_t generation;
};

static bool
has_acked(void *arg, struct cw_session *s)
{
	const struct target *t = arg;
	struct cw_sync_source_state state;

	(void)s;
	if (t->st->source == NULL)
		return true;
	cw_sync_source_state(t->st->source, &state);
	return state.has_acked && state.acked >= t->generation;
}

/* Takes a generation and waits until the peer has it. */
static int
bring_up(struct cw_session *s, struct cw_session_store *st, const char *capture,
    int64_t limit_ms, struct cw_sync_source_state *state, struct cw_error *err)
{
	struct target target = {.st = st};
	int got;

	if (st->source == NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "site %s does not follow store %s; pair the sites and let "
		    "it receive a seed first",
		    cw_session_peer(s)->name, st->config->name);
	if (cw_session_generation(s, st, capture, &target.generation, err) < 0)
		return -1;
	got = cw_session_serve(s, has_acked, &target, limit_ms, err);
	if (got == 1)
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "site %s hung up during the sync",
		    cw_session_peer(s)->name);
	if (got == 0)
		cw_sync_source_state(st->source, state);
	return got;
}

static int
preflight(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, struct cw_error *err)
{
	static const enum cw_hook hooks[] = {
	    CW_HOOK_FENCE, CW_HOOK_UNFENCE, CW_HOOK_DEMOTE};
	int64_t offset = cw_session_clock_offset(s);

	if (st->role.is != CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is %s at this site; `causeway status %s` says "
		    "where it is active",
		    st->config->name, cw_role_name(st->role.is),
		    st->config->name);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (cw_hook_check(
			&o->home->config, st->config->name, hooks[i], err) < 0)
			return -1;
	if (offset > CLOCK_OFFSET_MAX_MS || offset < -CLOCK_OFFSET_MAX_MS)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the clocks of the two sites differ by %lld s; set them "
		    "right first",
		    (long long)(offset / 1000));
	return cw_session_order(s, st, "preflight", NULL, NULL, err);
}

/*
 * A walk whose time does not grow with the messages: the formats are those that
 * the scan found, since the configuration need not say them.
 */
static int
walk_store(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint8_t out[CW_STILL_SIZE],
    struct cw_error *err)
{
	struct cw_still_root *roots =
	    cw_calloc(store->root_count, sizeof(*roots));
	const struct cw_root *known;
	struct cw_catalog *c = NULL;
	size_t count, used = 0;
	int ret;

	ret = cw_home_catalog(o->home, store, CW_CATALOG_READ, &c, err);
	if (ret < 0)
		goto out;
	known = cw_catalog_roots(c, &count);
	for (size_t i = 0; i < store->root_count; i++) {
		/* Its file is ours, and written by the last sync. */
		if (store->roots[i].command != NULL)
			continue;
		roots[used].path = store->roots[i].path;
		for (size_t k = 0; k < count; k++)
			if (strcmp(known[k].name, store->roots[i].name) == 0)
				roots[used].format = known[k].format;
		used++;
	}
	ret = cw_still_digest(roots, used, out, err);
out:
	cw_catalog_close(c);
	free(roots);
	return ret;
}

/* Scan and sync between two walks that agree, nobody holding the store. */
static int
last_sync(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, struct cw_cutover_result *r,
    struct cw_sync_source_state *state, struct cw_error *err)
{
	uint8_t before[CW_STILL_SIZE], after[CW_STILL_SIZE];
	uint8_t digest[CW_STATE_SIZE];
	uint64_t generation;
	int ret;

	cutover_step(o, r, "proof of the fence");
	cw_session_busy(s, true);
	ret = cw_home_prove_unheld(o->home, st->config, err) < 0 ||
		      walk_store(o, st->config, before, err) < 0
		  ? -1
		  : 0;
	cw_session_busy(s, false);
	if (ret < 0)
		return -1;
	cutover_step(o, r, "last sync");
	if (bring_up(s, st, CW_CAPTURE_QUIESCED, LAST_SYNC_LIMIT_MS, state,
		err) < 0 ||
	    cutover_look(o, st->config, &generation, digest, err) < 0)
		return -1;
	if (generation != state->acked ||
	    memcmp(digest, state->acked_digest, sizeof(digest)) != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the two sites do not hold the same store: generation %llu "
		    "here, %llu there",
		    (unsigned long long)generation,
		    (unsigned long long)state->acked);
	cutover_step(o, r, "second proof");
	cw_session_busy(s, true);
	ret = walk_store(o, st->config, after, err) < 0 ||
		      cw_home_prove_unheld(o->home, st->config, err) < 0
		  ? -1
		  : 0;
	cw_session_busy(s, false);
	if (ret < 0)
		return -1;
	if (memcmp(before, after, sizeof(before)) != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s changed after its service was stopped; somebody "
		    "still writes to it (another host over NFS?)",
		    st->config->name);
	return 0;
}

/*
 * The caller has the cutover's lock.  is_unsent: a hand-over that the record
 * may hold was never sent, so that nobody can take it.
 */
static int
put_back_role(const struct cw_config_store *store,
    const struct cw_cutover_options *o, bool is_unsent, struct cw_error *err)
{
	struct cw_error hook = CW_ERROR_INIT;
	struct cw_role role;
	bool is_given;
	int ret = 0;

	if (cw_home_role(o->home, store, NULL, &role, err) < 0)
		return -1;
	is_given = role.has_handover;
	if (role.is == CW_ROLE_IS_ACTIVE && role.moving != CW_MOVING_NOT &&
	    (!is_given || is_unsent)) {
		cutover_await_fence(o, store);
		ret = is_given ? cw_role_withdraw(&role, err) : 0;
		cw_role_set_moving(&role, CW_MOVING_NOT);
		if (ret == 0)
			ret = cutover_save(o, store, &role, err);
		/*
		 * A record that can't be written does not keep the service
		 * down: a cutover stops it again.  But one that says that the
		 * store was given away would be gone on with as it is.
		 */
		if ((ret == 0 || !is_given) &&
		    cutover_hook(o, store, CW_HOOK_UNFENCE, &role, "put back",
			&hook) < 0) {
			if (ret == 0 && err != NULL)
				*err = hook;
			ret = -1;
		}
		if (ret == 0)
			ret = 1;
	}
	cw_role_free(&role);
	return ret;
}

int
cw_cutover_put_back(const struct cw_config_store *store,
    const struct cw_cutover_options *o, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	int lock, ret;

	if (cutover_lock(o, store, 0, &lock, &why) < 0) {
		if (why.code == CW_ERR_BUSY)
			return 0;
		if (err != NULL)
			*err = why;
		return -1;
	}
	ret = put_back_role(store, o, false, err);
	cw_close(&lock);
	return ret;
}

/* After a failure before the hand-over. */
static void
put_back(struct cw_session_store *st, const struct cw_cutover_options *o,
    struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;

	if (put_back_role(st->config, o, true, &failed) < 0)
		cw_error_set(err, err->code,
		    "%.500s; and putting back failed, start the mail service "
		    "of this site by hand: %.300s",
		    err->message, failed.message);
	else
		cw_error_advise(err,
		    "nothing was handed over; the store is active and served "
		    "at this site again");
	cw_role_free(&st->role);
	(void)cw_home_role(o->home, st->config, NULL, &st->role, NULL);
}

/* The peer took over, served nothing, and gave the store back. */
static int
take_back(struct cw_session_store *st, const struct cw_cutover_options *o,
    const struct cw_buf *record, struct cw_error *err)
{
	struct cw_epochs history = CW_EPOCHS_INIT;
	struct cw_handover handover;
	uint8_t id[CW_STORE_ID_SIZE], digest[CW_STATE_SIZE];
	struct cw_minisign_public *pins;
	uint64_t generation;
	size_t count;
	int ret;

	pins = cutover_pins(o, &count);
	ret = cw_handover_parse((const char *)record->data, record->len, id,
	    &handover, &history, err);
	if (ret == 0)
		ret = cutover_look(o, st->config, &generation, digest, err);
	if (ret == 0)
		ret =
		    cw_role_supersede(&st->role, &history, pins, count, err) < 0
			? -1
			: 0;
	if (ret == 0)
		ret = cw_role_accept(&st->role, (const char *)record->data,
		    record->len, pins, count, generation, digest, o->secret,
		    err);
	if (ret == 0)
		ret = cutover_save(o, st->config, &st->role, err);
	if (ret == 0)
		ret = cutover_hook(
		    o, st->config, CW_HOOK_UNFENCE, &st->role, "put back", err);
	cw_epochs_free(&history);
	free(pins);
	return ret;
}

/* What became of a hand-over that the peer did not keep. */
static int
undo_handover(struct cw_session_store *st, const struct cw_cutover_options *o,
    const struct cw_session_args *reply, struct cw_error *err)
{
	const struct cw_buf *record = cw_session_args_get(reply, "record");
	struct cw_error failed = CW_ERROR_INIT;
	uint64_t shunned;
	int ret = -1;

	if (record != NULL)
		ret = take_back(st, o, record, &failed);
	else if (cw_session_args_get_number(reply, "shunned", &shunned) &&
		 shunned == st->role.handover.epoch)
		ret = cw_role_withdraw(&st->role, &failed) < 0 ||
			      (cw_role_set_moving(&st->role, CW_MOVING_NOT),
				  cutover_save(
				      o, st->config, &st->role, &failed)) < 0 ||
			      cutover_hook(o, st->config, CW_HOOK_UNFENCE,
				  &st->role, "put back", &failed) < 0
			  ? -1
			  : 0;
	else
		return cw_error_advise(err,
		    "the store was handed over on this side; run the same "
		    "command again to go on");
	if (ret < 0)
		return cw_error_set(err, err->code,
		    "%.500s; and putting back failed, see `causeway status`: "
		    "%.300s",
		    err->message, failed.message);
	return cw_error_advise(err,
	    "everything was put back: the store is active and served at this "
	    "site again");
}

/* From here on the store is not ours, whatever happens. */
static int
send_record(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, const struct cw_buf *record,
    struct cw_cutover_result *r, struct cw_error *err)
{
	struct cw_session_args *args = cw_session_args_new();
	struct cw_session_args *reply = cw_session_args_new();
	struct cw_epochs history = CW_EPOCHS_INIT;
	struct cw_minisign_public *pins = NULL;
	const struct cw_buf *text;
	size_t count;
	int ret = -1;

	cutover_step(o, r, "promote");
	cw_session_args_add(args, "record", record->data, record->len);
	if (cw_session_order(s, st, "accept", args, reply, err) < 0) {
		if (err->code == CW_ERR_UNREACHABLE)
			cw_error_advise(err,
			    "the store is given away and this site does not "
			    "serve it; run the same command again when the "
			    "line is back");
		else
			(void)undo_handover(st, o, reply, err);
		goto out;
	}
	text = cw_session_args_get(reply, "history");
	pins = cutover_pins(o, &count);
	if (text == NULL ||
	    cw_epochs_parse((const char *)text->data, text->len, st->store_id,
		&history, err) < 0 ||
	    cw_role_supersede(&st->role, &history, pins, count, err) < 0) {
		if (text == NULL)
			cw_error_set(err, CW_ERR_FORMAT,
			    "site %s did not say that it took over",
			    cw_session_peer(s)->name);
		goto out;
	}
	cutover_step(o, r, "stand by");
	if (cutover_save(o, st->config, &st->role, err) < 0) {
		cw_error_advise(err,
		    "the other site is active now; run the same command again "
		    "to go on");
		goto out;
	}
	r->epoch = st->role.epoch;
	if (cutover_hook(o, st->config, CW_HOOK_DEMOTE, &st->role, "switchover",
		err) < 0)
		cutover_say(o, "%s", err->message);
	ret = 0;
out:
	cw_session_args_free(args);
	cw_session_args_free(reply);
	cw_epochs_free(&history);
	free(pins);
	return ret;
}

static int
hand_over(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, uint64_t generation,
    const uint8_t digest[CW_STATE_SIZE], struct cw_cutover_result *r,
    struct cw_error *err)
{
	bool was_given = st->role.has_handover;
	struct cw_buf record = CW_BUF_INIT;
	int ret = -1;

	cutover_step(o, r, "hand-over");
	if (cw_role_hand_over(&st->role, &cw_session_peer(s)->card.sign,
		generation, digest, o->secret, &record, err) == 0 &&
	    cutover_save(o, st->config, &st->role, err) == 0)
		ret = send_record(s, st, o, &record, r, err);
	else if (!was_given)
		put_back(st, o, err);
	cw_buf_free(&record);
	return ret;
}

int
cw_cutover_pending(const struct cw_config_store *store,
    const struct cw_minisign_public *to, const struct cw_cutover_options *o,
    struct cw_buf *record, struct cw_error *err)
{
	struct cw_role role;
	int ret;

	if (!cw_home_has_catalog(o->home, store))
		return 0;
	ret = cw_home_role(o->home, store, NULL, &role, err);
	if (ret == 0 && role.is == CW_ROLE_IS_ACTIVE && role.has_handover &&
	    cw_minisign_public_equal(&role.handover.to, to))
		ret = cw_role_hand_over(&role, to, role.handover.generation,
			  role.handover.digest, o->secret, record, err) < 0
			  ? -1
			  : 1;
	cw_role_free(&role);
	return ret;
}

static void
begin_result(struct cw_session *s, const struct cw_cutover_options *o,
    struct cw_cutover_result *r)
{
	memset(r, 0, sizeof(*r));
	r->kind = "switchover";
	(void)snprintf(r->from, sizeof(r->from), "%s", o->home->config.name);
	(void)snprintf(r->to, sizeof(r->to), "%s", cw_session_peer(s)->name);
}

int
cw_cutover_finish(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, const struct cw_buf *record,
    struct cw_cutover_result *r, struct cw_error *err)
{
	struct cw_handover h;
	uint8_t id[CW_STORE_ID_SIZE];
	int lock, ret;

	begin_result(s, o, r);
	if (cw_handover_parse((const char *)record->data, record->len, id, &h,
		NULL, err) < 0 ||
	    cutover_lock(o, st->config, CUTOVER_WAIT_MS, &lock, err) < 0)
		return -1;
	r->generation = h.generation;
	/* We follow by now, and that may hold the store's lock. */
	ret = cw_session_settle(s, st, err);
	if (ret == 0)
		ret = send_record(s, st, o, record, r, err);
	cutover_end(r, ret == 0);
	cw_close(&lock);
	return ret;
}

int
cw_cutover_resume(const struct cw_config_store *store,
    const struct cw_cutover_options *o, struct cw_cutover_result *r,
    struct cw_error *err)
{
	struct cw_role role;
	int lock, ret;

	if (!cw_home_has_catalog(o->home, store))
		return 0;
	if (cutover_lock(o, store, CUTOVER_WAIT_MS, &lock, err) < 0)
		return -1;
	ret = cw_home_role(o->home, store, NULL, &role, err);
	if (ret == 0 && role.is == CW_ROLE_IS_ACTIVE && !role.has_handover &&
	    role.moving == CW_MOVING_NOT)
		ret = cutover_is_owed(o, store, role.epoch, err);
	if (ret == 1) {
		memset(r, 0, sizeof(*r));
		r->kind = "switchover";
		(void)snprintf(
		    r->to, sizeof(r->to), "%s", o->home->config.name);
		r->epoch = role.epoch;
		r->generation =
		    role.history.epochs[role.history.count - 1].generation;
		cutover_step(o, r, "promote");
		if (role.history.epochs[role.history.count - 1].kind ==
		    CW_EPOCH_FAILOVER)
			ret = cw_error_set(err, CW_ERR_REFUSED,
			    "store %s was taken over here, and its service was "
			    "not started yet; run `causeway cutover %s "
			    "--primary-lost` again to end that",
			    store->name, store->name);
		else if (cutover_promote(o, store, &role, "switchover", err) <
			 0)
			ret = cw_error_advise(err,
			    "the store is active here, but not served; mend "
			    "the hook and run the same command again");
		cutover_end(r, ret == 1);
	}
	cw_role_free(&role);
	cw_close(&lock);
	return ret;
}

/* Both hold the same by now: nothing of a lost epoch may be in the way. */
static int
check_target(
    struct cw_session *s, struct cw_session_store *st, struct cw_error *err)
{
	struct cw_session_args *args = cw_session_args_new();
	int ret;

	cw_session_args_number(args, "synced", 1);
	ret = cw_session_order(s, st, "preflight", args, NULL, err);
	cw_session_args_free(args);
	return ret;
}

static int
drive(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, struct cw_cutover_result *r,
    struct cw_error *err)
{
	struct cw_sync_source_state state = {0};
	uint8_t digest[CW_STATE_SIZE];
	/* Also one that a crash cut off before. */
	bool was_fencing = st->role.moving == CW_MOVING_FENCING;
	int ret;

	/* Given away before, and the answer was lost. */
	if (st->role.has_handover) {
		r->generation = st->role.handover.generation;
		memcpy(digest, st->role.handover.digest, sizeof(digest));
		return hand_over(s, st, o, r->generation, digest, r, err);
	}
	cutover_step(o, r, "preflight");
	if (preflight(s, st, o, err) < 0)
		goto failed;
	cutover_step(o, r, "sync");
	if (bring_up(s, st, CW_CAPTURE_FUZZY, SYNC_LIMIT_MS, &state, err) < 0 ||
	    check_target(s, st, err) < 0)
		goto failed;
	cutover_step(o, r, "fence");
	was_fencing = true;
	cw_role_set_moving(&st->role, CW_MOVING_FENCING);
	cw_session_busy(s, true);
	ret = cutover_save(o, st->config, &st->role, err) < 0 ||
		      cutover_hook(o, st->config, CW_HOOK_FENCE, &st->role,
			  "switchover", err) < 0
		  ? -1
		  : 0;
	cw_session_busy(s, false);
	if (ret < 0 || last_sync(s, st, o, r, &state, err) < 0)
		goto failed;
	r->generation = state.acked;
	return hand_over(s, st, o, state.acked, state.acked_digest, r, err);
failed:
	if (was_fencing)
		put_back(st, o, err);
	return -1;
}

int
cw_cutover_switch(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, struct cw_cutover_result *result,
    struct cw_error *err)
{
	int lock, ret;

	begin_result(s, o, result);
	if (cutover_lock(o, st->config, CUTOVER_WAIT_MS, &lock, err) < 0)
		return -1;
	/* Another one may have ended just now. */
	cw_role_free(&st->role);
	ret = cw_home_role(o->home, st->config, NULL, &st->role, err);
	if (ret == 0)
		ret = drive(s, st, o, result, err);
	cutover_end(result, ret == 0);
	cw_close(&lock);
	return ret;
}
