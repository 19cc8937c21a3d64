/*
 * The end of a plan: all that it announced is here, so it is applied,
 * compared with what the source says it has now, and acknowledged; or it turns
 * out to be of no use, and all is compared.
 */
#include "sync/follower_impl.h"

#include "seed/import.h"
#include "store/contents.h"

#include <string.h>

/* Comparisons in a row that do not help, before we give up. */
#define COMPARES_MAX 3u
/* New generations asked for because contents were gone, without success. */
#define POLLS_MAX 5u

static int
send_ack(struct cw_follower *f, struct cw_error *err)
{
	Cw__Ack m = CW__ACK__INIT;

	m.store = f->o.store;
	m.generation = f->state.generation;
	m.epoch = f->o.epoch;
	m.digest.data = f->state.digest;
	m.digest.len = CW_STATE_SIZE;
	return follower_send(f, CW_FRAME_ACK, &m.base, err);
}

static bool
is_equal(const struct cw_follower *f)
{
	return !f->is_end_known ||
	       memcmp(f->state.digest, f->end_digest, CW_STATE_SIZE) == 0;
}

/* Contents of a damaged seed are here now, too. */
static int
end_import(struct cw_follower *f, struct cw_error *err)
{
	int got = follower_is_importing(f, err);

	if (got != 1)
		return got;
	if (cw_catalog_note_set(f->catalog, CW_NOTE_IMPORT_AWAITED, NULL, err) <
	    0)
		return -1;
	return cw_catalog_note_set(
	    f->catalog, CW_NOTE_IMPORT_STATE, "ended", err);
}

/*
 * What was collected, perhaps over several sessions and from a peer that was
 * not itself, makes no sense: it is thrown away, and all is compared.
 */
static int
start_over(
    struct cw_follower *f, const struct cw_error *why, struct cw_error *err)
{
	bool is_spoilt =
	    why->code == CW_ERR_FORMAT || why->code == CW_ERR_MISSING;

	if (!is_spoilt || f->compares == COMPARES_MAX ||
	    cw_incoming_info(f->replica.incoming)->stage ==
		CW_INCOMING_APPLYING) {
		if (err != NULL)
			*err = *why;
		return -1;
	}
	f->compares++;
	f->polls = 0;
	f->in_compare = f->dirs_ended = false;
	return follower_ask(f, true, err);
}

/* Our own sums may be what is wrong: no comparison would ever mend those. */
static int
mend_sums(struct cw_follower *f, struct cw_error *err)
{
	bool was_wrong;

	if (cw_state_mend(f->catalog, &was_wrong, err) < 0)
		return -1;
	if (was_wrong)
		follower_note_state(f);
	f->state.was_healed |= was_wrong;
	return 0;
}

int
follower_went_back(
    const struct cw_follower *f, uint64_t generation, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_FORMAT,
	    "the active site went back from generation %llu to %llu",
	    (unsigned long long)f->state.generation,
	    (unsigned long long)generation);
}

/*
 * An apply that has changed nothing yet found that contents lack: they are
 * wanted anew.  1 if there are any, 0, -1.
 */
static int
want_anew(struct cw_follower *f, struct cw_error *err)
{
	struct cw_want_cursor from_start = {0};
	struct cw_want want;
	int got;

	if (cw_incoming_info(f->replica.incoming)->stage ==
	    CW_INCOMING_APPLYING)
		return 0;
	got = cw_incoming_next_want(
	    f->replica.incoming, &f->replica, &from_start, &want, err);
	if (got != 1)
		return got;
	f->cursor = (struct cw_want_cursor){0};
	f->has_passed = false;
	f->has_more = true;
	return follower_want_more(f, err) < 0 ? -1 : 1;
}

int
follower_finish(struct cw_follower *f, struct cw_error *err)
{
	int got;
	struct cw_apply_result result = {0};
	struct cw_incoming *in = f->replica.incoming;
	struct cw_error why = CW_ERROR_INIT;
	bool has_rows = cw_incoming_info(in)->rows > 0;

	/* Only who went his own way has to go back. */
	if (f->end_generation < f->state.generation && !f->was_compared)
		return follower_went_back(f, f->end_generation, err);
	if (has_rows || f->end_generation != f->state.generation) {
		if (cw_incoming_complete(
			in, f->end_generation, f->end_digest, &why) < 0 ||
		    follower_apply(f, &result, &why) < 0) {
			got =
			    why.code == CW_ERR_MISSING ? want_anew(f, err) : 0;
			if (got != 0)
				return got < 0 ? -1 : 0;
			return start_over(f, &why, err);
		}
		follower_note_state(f);
		f->state.removed += result.removed;
		f->state.placed += result.placed;
		if (f->o.applied != NULL &&
		    f->o.applied(f->o.arg, &result, err) < 0)
			return -1;
	} else if (cw_incoming_discard(in, err) < 0) {
		return -1;
	}
	if (end_import(f, err) < 0)
		return -1;
	f->has_end = false;
	f->has_position = false;
	if (!is_equal(f) && mend_sums(f, err) < 0)
		return -1;
	if (!is_equal(f)) {
		if (f->compares++ == COMPARES_MAX)
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "the replica's state digest differs from the "
			    "active site's, and comparing all directories did "
			    "not mend it; run `causeway scan` at the active "
			    "site and sync again");
		f->in_compare = f->dirs_ended = false;
		return follower_ask(f, true, err);
	}
	f->polls = 0;
	f->state.is_equal = f->is_end_known;
	f->state.was_healed |= f->was_compared && f->compares > 0;
	f->compares = 0;
	f->in_compare = f->dirs_ended = f->was_compared = false;
	f->o.diverged_epoch = 0;
	if (send_ack(f, err) < 0)
		return -1;
	follower_close(f);
	return 0;
}

int
cw_follower_poll(struct cw_follower *f, struct cw_error *err)
{
	Cw__Poll m = CW__POLL__INIT;
	struct cw_error why = CW_ERROR_INIT;

	if (!f->is_open || !f->has_gone || !f->has_end || f->want_count > 0 ||
	    f->unresolved > 0)
		return 0;
	/* Asked once for each end that was announced. */
	f->has_end = f->has_gone = false;
	f->polls = f->end_generation == f->poll_generation ? f->polls + 1 : 1;
	f->poll_generation = f->end_generation;
	if (f->polls > POLLS_MAX) {
		cw_error_set(&why, CW_ERR_MISSING,
		    "the active site lists contents that it can't give, and "
		    "new generations do not help; run `causeway scan "
		    "--contents` there and sync again");
		return start_over(f, &why, err);
	}
	m.store = f->o.store;
	return follower_send(f, CW_FRAME_POLL, &m.base, err);
}
