/*
 * What a role may become, as changes of a value.  role_text.c has its texts,
 * role_home.c its file.
 */
#include "site/role.h"

#include "site/role_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cw_epoch *
last(const struct cw_epochs *history)
{
	return &history->epochs[history->count - 1];
}

void
cw_role_free(struct cw_role *role)
{
	cw_epochs_free(&role->history);
	memset(role, 0, sizeof(*role));
}

static bool
is_pinned(const struct cw_minisign_public *key,
    const struct cw_minisign_public *pinned, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cw_minisign_public_equal(key, &pinned[i]))
			return true;
	return false;
}

/* Whatever a move had left behind ends with a new epoch. */
static void
forget_moves(struct cw_role *role)
{
	role->moving = CW_MOVING_NOT;
	role->moving_since = 0;
	role->has_handover = false;
	memset(&role->handover, 0, sizeof(role->handover));
}

/* Begins an epoch here, behind the given history (ours, or a record's). */
static int
begin_epoch(struct cw_role *role, const struct cw_epochs *behind,
    struct cw_epoch *e, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	struct cw_minisign_public key;
	struct cw_epoch *epochs;

	cw_minisign_secret_public(secret, &key);
	if (!cw_minisign_public_equal(&key, &role->site))
		return cw_error_set(err, CW_ERR_FAILED,
		    "the signing key is not that of this site's record");
	if (behind->count >= CW_ROLE_EPOCHS_MAX || e->epoch > CW_ROLE_EPOCH_MAX)
		return cw_error_set(
		    err, CW_ERR_REFUSED, "the store has no epochs left");
	e->site = role->site;
	e->time = (int64_t)time(NULL);
	if (role_epoch_sign(role->store_id, e, secret, err) < 0)
		return -1;
	epochs = cw_calloc(behind->count + 1, sizeof(*epochs));
	memcpy(epochs, behind->epochs, behind->count * sizeof(*epochs));
	epochs[behind->count] = *e;
	free(role->history.epochs);
	role->history.count = behind->count + 1;
	role->history.epochs = epochs;
	role->epoch = role->seen = e->epoch;
	role->is = CW_ROLE_IS_ACTIVE;
	role->fork = CW_FORK_NONE;
	cw_boot_id(role->boot);
	forget_moves(role);
	return 0;
}

int
cw_role_promote(struct cw_role *role, enum cw_epoch_kind kind,
    uint64_t generation, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	struct cw_epochs behind = role->history;
	struct cw_epoch e = {
	    .epoch = (role->seen > role->epoch ? role->seen : role->epoch) + 1,
	    .generation = generation,
	    .kind = kind,
	};

	if (kind == CW_EPOCH_CREATED)
		return cw_error_set(
		    err, CW_ERR_USAGE, "no store is created by a promotion");
	if (role->is == CW_ROLE_IS_ACTIVE && kind != CW_EPOCH_FAILOVER)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site is active already, in epoch %llu",
		    (unsigned long long)role->epoch);
	/*
	 * A site may have offered an epoch which nobody took, as far as it
	 * knows: it is used up.
	 */
	if (role->has_handover && role->handover.epoch >= e.epoch)
		e.epoch = role->handover.epoch + 1;
	return begin_epoch(role, &behind, &e, secret, err);
}

int
cw_role_hand_over(struct cw_role *role, const struct cw_minisign_public *to,
    uint64_t generation, const uint8_t digest[CW_STATE_SIZE],
    const struct cw_minisign_secret *secret, struct cw_buf *record,
    struct cw_error *err)
{
	struct cw_handover h = {
	    .from = role->site,
	    .to = *to,
	    .epoch = (role->seen > role->epoch ? role->seen : role->epoch) + 1,
	    .generation = generation,
	    .time = (int64_t)time(NULL),
	};

	memcpy(h.digest, digest, CW_STATE_SIZE);
	if (role->is != CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site is %s and has nothing to hand over",
		    cw_role_name(role->is));
	if (cw_minisign_public_equal(to, &role->site))
		return cw_error_set(
		    err, CW_ERR_USAGE, "a site does not hand over to itself");
	if (role->has_handover) {
		const struct cw_handover *p = &role->handover;

		if (!cw_minisign_public_equal(&p->to, to) ||
		    p->generation != generation ||
		    memcmp(p->digest, digest, CW_STATE_SIZE) != 0)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "a hand-over of generation %llu is under way "
			    "already, to begin epoch %llu",
			    (unsigned long long)p->generation,
			    (unsigned long long)p->epoch);
		h = *p;
	}
	if (role_handover_format(role, &h, secret, record, err) < 0)
		return -1;
	role->has_handover = true;
	role->handover = h;
	role->moving = CW_MOVING_HANDING;
	if (role->moving_since == 0)
		role->moving_since = h.time;
	return 0;
}

int
cw_role_withdraw(struct cw_role *role, struct cw_error *err)
{
	if (!role->has_handover)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "no hand-over is under way that could be taken back");
	if (role->handover.epoch > role->seen)
		role->seen = role->handover.epoch;
	forget_moves(role);
	return 0;
}

int
cw_role_shun(struct cw_role *role, uint64_t epoch, struct cw_error *err)
{
	if (role->epoch >= epoch && role->is == CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "epoch %llu has begun here: this site is active",
		    (unsigned long long)role->epoch);
	if (epoch > CW_ROLE_EPOCH_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "epoch %llu is no epoch", (unsigned long long)epoch);
	if (epoch > role->seen)
		role->seen = epoch;
	return 0;
}

/* The last epoch of ours is the one that this record gave. */
static bool
was_accepted(const struct cw_role *role, const struct cw_handover *h)
{
	for (size_t i = 0; i < role->history.count; i++) {
		const struct cw_epoch *e = &role->history.epochs[i];

		if (e->epoch == h->epoch && e->generation == h->generation &&
		    e->kind == CW_EPOCH_SWITCHOVER &&
		    cw_minisign_public_equal(&e->site, &role->site))
			return true;
	}
	return false;
}

/* Whether we may take over by this record. */
static int
check_handover(const struct cw_role *role, const struct cw_handover *h,
    const struct cw_epochs *history, uint64_t generation,
    const uint8_t digest[CW_STATE_SIZE], struct cw_error *err)
{
	struct cw_fork fork;

	if (role->is != CW_ROLE_IS_STANDBY || role->fork != CW_FORK_NONE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site can't take over: it is %s%s",
		    cw_role_name(role->is),
		    role->fork == CW_FORK_NONE
			? ""
			: ", and holds changes of an epoch that was lost");
	if (h->epoch <= role->seen)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the hand-over offers epoch %llu, but epoch %llu has been "
		    "seen here",
		    (unsigned long long)h->epoch,
		    (unsigned long long)role->seen);
	if (cw_role_fork(&role->history, history, &fork, err) < 0)
		return -1;
	if (fork.peer_is_superseded)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the hand-over comes from epoch %llu, this site is in "
		    "epoch %llu",
		    (unsigned long long)last(history)->epoch,
		    (unsigned long long)role->epoch);
	if (h->generation != generation ||
	    memcmp(h->digest, digest, CW_STATE_SIZE) != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the hand-over is of generation %llu, this site is at "
		    "generation %llu%s; sync first",
		    (unsigned long long)h->generation,
		    (unsigned long long)generation,
		    h->generation == generation ? " with other content" : "");
	return 0;
}

int
cw_role_accept(struct cw_role *role, const char *text, size_t len,
    const struct cw_minisign_public *pinned, size_t pinned_count,
    uint64_t generation, const uint8_t digest[CW_STATE_SIZE],
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	struct cw_epochs history = CW_EPOCHS_INIT;
	uint8_t store_id[CW_STORE_ID_SIZE];
	struct cw_handover h;
	struct cw_epoch e;
	int ret = -1;

	if (cw_handover_parse(text, len, store_id, &h, &history, err) < 0)
		return -1;
	if (!is_pinned(&h.from, pinned, pinned_count)) {
		cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the hand-over is signed by a site that is not paired");
		goto out;
	}
	if (memcmp(store_id, role->store_id, sizeof(store_id)) != 0 ||
	    !cw_minisign_public_equal(&h.to, &role->site)) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "the hand-over is of another store or to another site");
		goto out;
	}
	if (was_accepted(role, &h)) {
		ret = 0;
		goto out;
	}
	if (check_handover(role, &h, &history, generation, digest, err) < 0)
		goto out;
	e = (struct cw_epoch){.epoch = h.epoch,
	    .generation = h.generation,
	    .kind = CW_EPOCH_SWITCHOVER};
	ret = begin_epoch(role, &history, &e, secret, err);
out:
	cw_epochs_free(&history);
	return ret;
}

/* Whether two entries are one: what was only assumed equals anything. */
static bool
is_same(const struct cw_epoch *a, const struct cw_epoch *b)
{
	if (a->epoch != b->epoch)
		return false;
	if (a->kind == CW_EPOCH_CREATED || b->kind == CW_EPOCH_CREATED)
		return true;
	return a->generation == b->generation &&
	       cw_minisign_public_equal(&a->site, &b->site);
}

/* The lowest generation at which an epoch behind this one began. */
static uint64_t
lowest_behind(const struct cw_epochs *history, size_t i)
{
	uint64_t lowest = CW_FORK_NONE;

	for (i++; i < history->count; i++)
		if (history->epochs[i].generation < lowest)
			lowest = history->epochs[i].generation;
	return lowest;
}

int
cw_role_fork(const struct cw_epochs *own, const struct cw_epochs *peer,
    struct cw_fork *fork, struct cw_error *err)
{
	const struct cw_epoch *a = last(own), *b = last(peer);
	uint64_t of_own, of_peer;
	size_t i = 0, j = 0;
	bool found = false;
	size_t at_own = 0, at_peer = 0;

	if (a->epoch == b->epoch && !is_same(a, b))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "split brain: epoch %llu was begun by two sites.  Decide "
		    "which one is right, stop the service of the other, and "
		    "run `causeway cutover STORE --primary-lost` at the right "
		    "one; the other will be fenced and can rejoin",
		    (unsigned long long)a->epoch);
	/* The last epoch that both know, before any that only one knows. */
	while (i < own->count && j < peer->count) {
		const struct cw_epoch *x = &own->epochs[i];
		const struct cw_epoch *y = &peer->epochs[j];

		if (x->epoch < y->epoch && !found) {
			i++; /* before the peer's history begins */
		} else if (x->epoch > y->epoch && !found) {
			j++;
		} else if (is_same(x, y)) {
			found = true;
			at_own = i++;
			at_peer = j++;
		} else {
			break;
		}
	}
	fork->own_is_superseded = a->epoch < b->epoch;
	fork->peer_is_superseded = a->epoch > b->epoch;
	if (!found) {
		fork->generation = 0;
		return 0;
	}
	of_own = lowest_behind(own, at_own);
	of_peer = lowest_behind(peer, at_peer);
	fork->generation = of_own < of_peer ? of_own : of_peer;
	return 0;
}

/* Whether the hand-over that we wait for was accepted, as of this history. */
static bool
has_taken(const struct cw_handover *h, const struct cw_epochs *history)
{
	for (size_t i = 0; i < history->count; i++) {
		const struct cw_epoch *e = &history->epochs[i];

		if (e->epoch == h->epoch && e->generation == h->generation &&
		    e->kind == CW_EPOCH_SWITCHOVER &&
		    cw_minisign_public_equal(&e->site, &h->to))
			return true;
	}
	return false;
}

/* Whether the peer says in signed words what we only assumed. */
static bool
knows_more(const struct cw_epochs *own, const struct cw_epochs *peer)
{
	return last(own)->kind == CW_EPOCH_CREATED &&
	       (last(peer)->kind != CW_EPOCH_CREATED ||
		   peer->count > own->count);
}

static int
check_end(const struct cw_role *role, const struct cw_epochs *peer,
    const struct cw_minisign_public *pinned, size_t pinned_count,
    struct cw_error *err)
{
	const struct cw_epoch *end = last(peer);

	if (end->kind == CW_EPOCH_CREATED && end->epoch > role->epoch &&
	    role->is == CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the peer can't show who began epoch %llu",
		    (unsigned long long)end->epoch);
	if (!cw_minisign_public_equal(&end->site, &role->site) &&
	    !is_pinned(&end->site, pinned, pinned_count))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "epoch %llu was begun by a site that is not paired",
		    (unsigned long long)end->epoch);
	return 0;
}

int
cw_role_supersede(struct cw_role *role, const struct cw_epochs *peer,
    const struct cw_minisign_public *pinned, size_t pinned_count,
    struct cw_error *err)
{
	struct cw_epochs adopted = CW_EPOCHS_INIT;
	struct cw_fork fork;
	bool was_handed_over =
	    role->has_handover && has_taken(&role->handover, peer);

	if (cw_role_fork(&role->history, peer, &fork, err) < 0)
		return -1;
	if (fork.peer_is_superseded)
		return 0;
	if (!fork.own_is_superseded && (role->is == CW_ROLE_IS_ACTIVE ||
					   !knows_more(&role->history, peer)))
		return 0;
	if (check_end(role, peer, pinned, pinned_count, err) < 0)
		return -1;

	role_history_copy(peer, &adopted);
	cw_epochs_free(&role->history);
	role->history = adopted;
	role->epoch = last(&adopted)->epoch;
	if (role->epoch > role->seen)
		role->seen = role->epoch;
	if (!fork.own_is_superseded)
		return 1;
	if (role->is == CW_ROLE_IS_ACTIVE)
		role->is =
		    was_handed_over ? CW_ROLE_IS_STANDBY : CW_ROLE_IS_FENCED;
	if (!was_handed_over && fork.generation < role->fork)
		role->fork = fork.generation;
	role->boot[0] = '\0';
	forget_moves(role);
	return 1;
}

int
cw_role_rejoin(struct cw_role *role, struct cw_error *err)
{
	if (role->is == CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site is active and follows nobody");
	role->is = CW_ROLE_IS_STANDBY;
	role->fork = CW_FORK_NONE;
	return 0;
}

void
cw_role_set_moving(struct cw_role *role, enum cw_moving moving)
{
	role->moving = moving;
	if (moving == CW_MOVING_NOT)
		role->moving_since = 0;
	else if (role->moving_since == 0)
		role->moving_since = (int64_t)time(NULL);
}

int
cw_role_force(struct cw_role *role, struct cw_error *err)
{
	if (role->is != CW_ROLE_IS_ACTIVE || role->has_handover)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site %s; if the other site is lost for good, run "
		    "`causeway cutover STORE --primary-lost` here",
		    role->has_handover ? "has handed the store over"
				       : "is not the active one");
	if (role->moving != CW_MOVING_NOT)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a cutover is under way; `causeway cutover STORE` ends it "
		    "or puts it back");
	role->forced_time = (int64_t)time(NULL);
	cw_boot_id(role->forced_boot);
	return 0;
}
