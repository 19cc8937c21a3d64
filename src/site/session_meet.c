/*
 * A store that the peer names: is it one of ours, whose epoch is greater, may
 * the peer be followed?
 */
#include "site/session_impl.h"

#include "site/mark.h"
#include "store/peer.h"

#include <stdlib.h>
#include <string.h>

static struct slot *
find_slot(struct cw_session *s, const Cw__Store *theirs)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];

		if (slot->st.has_catalog &&
		    theirs->id.len == CW_STORE_ID_SIZE &&
		    memcmp(slot->st.store_id, theirs->id.data,
			CW_STORE_ID_SIZE) == 0)
			return slot;
		/* One that begins from nothing is known by its name. */
		if ((!slot->st.has_catalog || theirs->id.len == 0) &&
		    strcmp(slot->st.config->name, theirs->name) == 0 &&
		    (slot->st.has_catalog || theirs->id.len > 0))
			return slot;
	}
	return NULL;
}

/* The keys of all paired sites: who may begin an epoch. */
static struct cw_minisign_public *
pinned_keys(const struct cw_session *s, size_t *count)
{
	const struct cw_config *config = &s->o.home->config;
	struct cw_minisign_public *keys =
	    cw_calloc(config->peer_count + 1, sizeof(*keys));

	*count = config->peer_count;
	for (size_t i = 0; i < config->peer_count; i++)
		keys[i] = config->peers[i].card.sign;
	return keys;
}

/*
 * Whoever began the last epoch vouches for all of it, and must be known before
 * it can so much as make a split brain.
 */
static int
check_history(const struct slot *slot, const struct cw_epochs *history,
    const struct cw_minisign_public *pinned, size_t count, struct cw_error *err)
{
	const struct cw_epoch *last = &history->epochs[history->count - 1];
	bool is_known =
	    cw_minisign_public_equal(&last->site, &slot->st.role.site);

	for (size_t i = 0; i < count && !is_known; i++)
		is_known = cw_minisign_public_equal(&last->site, &pinned[i]);
	if (!is_known)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "epoch %llu was begun by a site that is not paired",
		    (unsigned long long)last->epoch);
	if (last->epoch > slot->st.role.seen + EPOCHS_AHEAD)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "epoch %llu is out of all proportion to epoch %llu, the "
		    "greatest seen here",
		    (unsigned long long)last->epoch,
		    (unsigned long long)slot->st.role.seen);
	return 0;
}

static int
adopt_history(struct cw_session *s, struct slot *slot, const Cw__Store *theirs,
    struct cw_error *err)
{
	struct cw_epochs history = CW_EPOCHS_INIT;
	struct cw_minisign_public *pinned = NULL;
	struct cw_buf text = CW_BUF_INIT;
	enum cw_role_is was;
	size_t count = 0;
	int got, ret = -1;

	for (size_t i = 0; i < theirs->n_history; i++) {
		cw_buf_append(&text, theirs->history[i]->record.data,
		    theirs->history[i]->record.len);
		cw_buf_append(&text, "\n", 1);
	}
	if (cw_epochs_parse((const char *)text.data, text.len,
		slot->st.store_id, &history, err) < 0)
		goto out;
	pinned = pinned_keys(s, &count);
	if (check_history(slot, &history, pinned, count, err) < 0)
		goto out;
	/*
	 * Another session may have adopted it, and rejoined, since we looked:
	 * its record is what counts, under the lock.
	 */
	if (session_lock(slot, true, err) < 0)
		goto out;
	cw_role_free(&slot->st.role);
	got =
	    cw_home_role(s->o.home, slot->st.config, NULL, &slot->st.role, err);
	was = slot->st.role.is;
	if (got == 0)
		got = cw_role_supersede(
		    &slot->st.role, &history, pinned, count, err);
	if (got == 1 && was == CW_ROLE_IS_ACTIVE &&
	    cw_mark_set(
		slot->dirfd, CW_MARK_FENCING, slot->st.role.epoch, err) < 0)
		got = -1;
	if (got == 1 && cw_home_role_save(s->o.home, slot->st.config, NULL,
			    &slot->st.role, s->o.secret, err) < 0)
		got = -1;
	(void)session_lock(slot, false, NULL);
	if (got < 0)
		goto out;
	/* Nobody else moved it: the session goes on from here. */
	(void)session_look_at_role(slot, true);
	if (got == 1)
		session_event(s, "store %s: epoch %llu, %s",
		    slot->st.config->name,
		    (unsigned long long)slot->st.role.epoch,
		    cw_role_name(slot->st.role.is));
	ret = 0;
out:
	free(pinned);
	cw_epochs_free(&history);
	cw_buf_free(&text);
	return ret;
}

/*
 * Whether the peer may be followed: it is the site that began the last epoch
 * of our history, which is theirs as well by now.  What it only says of itself
 * counts for nothing, for a site that was superseded may not know, and another
 * one that we are paired with may lie.
 */
static int
check_active(struct cw_session *s, const struct slot *slot,
    const Cw__Store *theirs, struct cw_error *err)
{
	const struct cw_epochs *own = &slot->st.role.history;
	const struct cw_minisign_public *key = &s->peer->card.sign;
	const char *follow = slot->st.config->follow;
	const struct cw_epoch *last;

	if (!slot->st.has_catalog)
		return follow != NULL && strcmp(follow, s->peer->name) == 0
			   ? 0
			   : cw_error_set(err, CW_ERR_UNTRUSTED,
				 "site %s offers it, but it is to follow site "
				 "%s",
				 s->peer->name,
				 follow != NULL ? follow : "nobody");
	last = &own->epochs[own->count - 1];
	if (theirs->n_history == 0 || theirs->epoch > last->epoch)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "site %s says that it is active in epoch %llu, and does "
		    "not show who began it; it is not followed",
		    s->peer->name, (unsigned long long)theirs->epoch);
	if (theirs->epoch < last->epoch ||
	    theirs->history[theirs->n_history - 1]->epoch < last->epoch)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "site %s says that it is active in epoch %llu, but epoch "
		    "%llu has begun; it is not followed",
		    s->peer->name, (unsigned long long)theirs->epoch,
		    (unsigned long long)last->epoch);
	/* Nobody told us who began what we assume to be the first one. */
	if (cw_minisign_public_equal(&last->site, key) ||
	    (last->kind == CW_EPOCH_CREATED &&
		cw_minisign_public_equal(&last->site, &slot->st.role.site)))
		return 0;
	return cw_error_set(err, CW_ERR_UNTRUSTED,
	    "site %s says that it is active, but epoch %llu was begun by "
	    "another site; it is not followed",
	    s->peer->name, (unsigned long long)last->epoch);
}

/* This store stands still, the others go on. */
static int
leave_out(struct cw_session *s, struct slot *slot, const struct cw_error *err)
{
	if (s->o.store != NULL)
		return -1;
	session_leave_out(s, slot, true, err->message);
	return 0;
}

int
session_meet(struct cw_session *s, const Cw__Store *theirs, uint32_t number,
    struct cw_error *err)
{
	struct slot *slot = find_slot(s, theirs);

	if (slot == NULL || slot->st.is_shared)
		return 0;
	slot->st.is_shared = true;
	slot->st.peer_number = number;
	slot->st.peer_role = theirs->role;
	slot->st.peer_epoch = theirs->epoch;
	slot->st.peer_generation = theirs->generation;
	(void)cw_peer_hear(slot->dirfd, s->peer->name, theirs->epoch, NULL);
	/* Split brain, or a history nobody vouches for. */
	if (slot->st.has_catalog && theirs->n_history > 0 &&
	    adopt_history(s, slot, theirs, err) < 0) {
		if (err->code == CW_ERR_REFUSED)
			(void)cw_mark_set(slot->dirfd, CW_MARK_SPLIT,
			    slot->st.role.epoch, NULL);
		return leave_out(s, slot, err);
	}
	session_fence_owed(s, slot);
	/* By our history it learns that it was superseded, and follows. */
	if (slot->st.role.is == CW_ROLE_IS_ACTIVE &&
	    theirs->epoch < slot->st.role.epoch &&
	    theirs->role == CW__ROLE__ACTIVE)
		slot->st.peer_role = CW__ROLE__FENCED;
	if (theirs->role == CW__ROLE__ACTIVE &&
	    session_role(slot) != CW__ROLE__ACTIVE &&
	    check_active(s, slot, theirs, err) < 0)
		return leave_out(s, slot, err);
	return 0;
}
