/*
 * A switchover as the standby sees it: it says whether it is ready, and takes
 * over.
 */
#include "site/cutover_impl.h"

#include "base/fs.h"
#include "seed/import.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What a mail service needs to come up with at the very least. */
#define FREE_BYTES	(UINT64_C(64) << 20)
#define CUTOVER_WAIT_MS 10000u

static int
check_disk(const char *path, struct cw_error *err)
{
	struct statvfs fs;

	if (statvfs(path, &fs) < 0 || access(path, W_OK) < 0)
		return cw_error_errno(err, "%s cannot be written", path);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < FREE_BYTES)
		return cw_error_set(err, CW_ERR_NOSPACE,
		    "%s has only %" PRIu64 " MiB left", path,
		    (uint64_t)fs.f_bavail * fs.f_frsize >> 20);
	if (fs.f_files > 0 && fs.f_favail < 1000)
		return cw_error_set(
		    err, CW_ERR_NOSPACE, "%s has no inodes left", path);
	return 0;
}

/* Whether nothing of a lost epoch is in it; by the record, as it is now. */
static int
check_equal(const struct cw_cutover_options *o,
    const struct cw_config_store *store, struct cw_error *err)
{
	struct cw_role role;
	bool is_equal;

	if (cw_home_role(o->home, store, NULL, &role, err) < 0)
		return -1;
	is_equal = role.is != CW_ROLE_IS_FENCED && role.fork == CW_FORK_NONE;
	cw_role_free(&role);
	return is_equal ? 0
			: cw_error_set(err, CW_ERR_REFUSED,
			      "store %s is not yet made equal here since "
			      "another site took over; see `causeway status "
			      "%s`",
			      store->name, store->name);
}

int
cutover_preflight(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err)
{
	static const enum cw_hook hooks[] = {CW_HOOK_PROMOTE};
	const struct cw_config_store *store = st->config;

	(void)s;
	(void)values;
	if (!st->has_catalog || st->role.is == CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is not a standby here", store->name);
	/* What went its own way is made equal by the sync in between. */
	if (cw_session_args_get(args, "synced") != NULL)
		return check_equal(o, store, err);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (cw_hook_check(
			&o->home->config, store->name, hooks[i], err) < 0)
			return -1;
	for (size_t i = 0; i < store->root_count; i++)
		if (check_disk(store->roots[i].path, err) < 0)
			return -1;
	return check_disk(o->home->state_path, err);
}

/* The hook failed: the store goes back to where it came from. */
static int
give_back(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, uint64_t generation,
    const uint8_t digest[CW_STATE_SIZE], struct cw_session_args *values,
    struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;
	struct cw_buf record = CW_BUF_INIT;

	/* Whatever it started must be gone before another site serves. */
	if (cutover_hook(o, st->config, CW_HOOK_FENCE, &st->role, "put back",
		&failed) < 0 ||
	    cw_role_hand_over(&st->role, &cw_session_peer(s)->card.sign,
		generation, digest, o->secret, &record, &failed) < 0 ||
	    cutover_save(o, st->config, &st->role, &failed) < 0) {
		cw_buf_free(&record);
		return cw_error_set(err, err->code,
		    "%.400s; the store is active at site %s all the same, "
		    "since giving it back failed: %.300s",
		    err->message, o->home->config.name, failed.message);
	}
	cw_session_args_add(values, "record", record.data, record.len);
	cw_buf_free(&record);
	return -1;
}

/* Not taken, and never will be. */
static int
shun(const struct cw_cutover_options *o, struct cw_session_store *st,
    const struct cw_buf *record, struct cw_session_args *values,
    struct cw_error *err)
{
	struct cw_handover handover;
	uint8_t id[CW_STORE_ID_SIZE];

	if (cw_handover_parse((const char *)record->data, record->len, id,
		&handover, NULL, NULL) == 0 &&
	    cw_role_shun(&st->role, handover.epoch, NULL) == 0 &&
	    cutover_save(o, st->config, &st->role, NULL) == 0)
		cw_session_args_number(values, "shunned", handover.epoch);
	(void)err;
	return -1;
}

/* Took over, and gave it back when the hook failed: the answer was lost. */
static int
say_given_back(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, struct cw_session_args *values,
    struct cw_error *err)
{
	const struct cw_handover *h = &st->role.handover;
	struct cw_buf record = CW_BUF_INIT;
	int ret = cw_role_hand_over(&st->role, &cw_session_peer(s)->card.sign,
	    h->generation, h->digest, o->secret, &record, err);

	if (ret == 0) {
		cw_session_args_add(values, "record", record.data, record.len);
		cw_error_set(err, CW_ERR_FAILED,
		    "site %s took store %s over, could not start its service, "
		    "and gave it back",
		    o->home->config.name, st->config->name);
	}
	cw_buf_free(&record);
	return -1;
}

static int
accept_record(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, const struct cw_buf *record,
    struct cw_session_args *values, struct cw_error *err)
{
	struct cw_minisign_public *pins;
	uint8_t digest[CW_STATE_SIZE];
	struct cw_buf text = CW_BUF_INIT;
	uint64_t generation, before;
	size_t count;
	int ret, owed = 1;

	/* What follows is no more; what it applied is durable. */
	if (cw_session_settle(s, st, err) < 0 ||
	    cutover_look(o, st->config, &generation, digest, err) < 0)
		return shun(o, st, record, values, err);
	before = st->role.epoch;
	pins = cutover_pins(o, &count);
	ret = cw_role_accept(&st->role, (const char *)record->data, record->len,
	    pins, count, generation, digest, o->secret, err);
	free(pins);
	if (ret < 0)
		return shun(o, st, record, values, err);
	if (st->role.has_handover)
		return say_given_back(o, s, st, values, err);
	if (st->role.is != CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "site %s took store %s over by this hand-over before, and "
		    "is %s now",
		    o->home->config.name, st->config->name,
		    cw_role_name(st->role.is));
	if (st->role.epoch == before) {
		if ((owed = cutover_is_owed(o, st->config, before, err)) < 0)
			return -1;
		/* On disk by now, whatever came of it before. */
		if (owed == 1 &&
		    cutover_save(o, st->config, &st->role, err) < 0)
			return -1;
	} else if (cutover_owe(o, st->config, st->role.epoch, err) < 0 ||
		   cutover_save(o, st->config, &st->role, err) < 0) {
		/* Whether it was taken is what stands on disk. */
		cw_role_free(&st->role);
		if (cw_home_role(o->home, st->config, NULL, &st->role, NULL) ==
		    0)
			return shun(o, st, record, values, err);
		return -1;
	} else {
		cutover_say(o, "store %s: active at this site, epoch %" PRIu64,
		    st->config->name, st->role.epoch);
	}
	if (owed == 1 &&
	    cutover_promote(o, st->config, &st->role, "switchover", err) < 0)
		return give_back(o, s, st, generation, digest, values, err);
	cw_epochs_format(&st->role.history, &text);
	cw_session_args_number(values, "epoch", st->role.epoch);
	cw_session_args_add(values, "history", text.data, text.len);
	cw_buf_free(&text);
	return 0;
}

int
cutover_accept(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err)
{
	const struct cw_buf *record = cw_session_args_get(args, "record");
	int lock, ret;

	if (record == NULL)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "a hand-over without its record");
	if (cutover_lock(o, st->config, CUTOVER_WAIT_MS, &lock, err) < 0)
		return -1;
	/* The active site waits for the promote hook. */
	cw_session_busy(s, true);
	ret = accept_record(o, s, st, record, values, err);
	cw_session_busy(s, false);
	cw_close(&lock);
	return ret;
}
