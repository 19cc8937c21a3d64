/*
 * The replica's side of a sync, for one store over one link: it asks the
 * active site for the changes since its generation, takes rows and contents in
 * durably, wants what it can find nowhere at home, applies a generation when
 * all of it is here, compares the state digest, and acknowledges.  When digests
 * differ, directories and then entries are compared and only what differs is
 * mended.  A line that breaks costs what was in flight.
 *
 * The peer is the active site of a store that we are a standby for; what it
 * says is checked all the same (incoming.h, place.h), and every content by its
 * SHA-256.
 */
#ifndef CW_SYNC_FOLLOWER_H
#define CW_SYNC_FOLLOWER_H

#include "base/error.h"
#include "base/progress.h"
#include "formats/wire/wire.h"
#include "replica/apply.h"
#include "replica/place.h"
#include "sync/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_follower;

/* DATA and CHUNKS name a want; its number, shifted, is that of the store. */
#define CW_WANT_BITS 22

struct cw_follower_options {
	const char *store_dir;
	const char *catalog_path;
	const struct cw_place_root *roots; /* borrowed */
	size_t root_count;
	uint32_t store; /* its number in our frames */
	uint64_t epoch; /* of the active site */
	/*
	 * Not 0: our store went its own way in this epoch (we were active, and
	 * a failover passed us by): all is compared, and what the active site
	 * does not have is kept aside.
	 */
	uint64_t diverged_epoch;
	struct cw_link *link;
	/* Takes the store's lock (true) or gives it back. */
	int (*lock)(void *arg, bool take, struct cw_error *err);
	/* A generation is applied and durable, before it is acknowledged. */
	int (*applied)(void *arg, const struct cw_apply_result *result,
	    struct cw_error *err);
	void *arg;
	struct cw_progress *progress; /* may be NULL */
};

int cw_follower_new(const struct cw_follower_options *options,
    struct cw_follower **out, struct cw_error *err);
/* Gives the lock back.  NULL is allowed. */
void cw_follower_free(struct cw_follower *f);

/* Asks the peer for what changed.  Also finishes an apply that was cut off. */
int cw_follower_start(struct cw_follower *f, struct cw_error *err);

/*
 * Takes a frame of ours: PLAN, PLAN_END, DATA, CHUNKS, DIRS, DIR_LIST; reader
 * is the one that decoded it.  May apply, which takes its time: the link is
 * kept alive meanwhile, and frames that come are kept for
 * cw_follower_next_frame.
 */
int cw_follower_take(struct cw_follower *f, struct cw_wire_reader *reader,
    const struct cw_wire_msg *msg, struct cw_error *err);

/*
 * Gives the lock back for as long as the active site says nothing about the
 * store, be it busy or be it that it only keeps the line alive: a failover must
 * not have to wait for it.  What came so far is kept.  To be called now and
 * then.
 */
int cw_follower_rest(struct cw_follower *f, struct cw_error *err);

/*
 * A frame that came while a generation was being applied: 1 with *out (valid
 * until the next call), 0 if there is none.  They come before the link's.
 */
int cw_follower_next_frame(struct cw_follower *f, struct cw_frame *out);

/* Nothing is under way, and this generation (or a later one) is here. */
bool cw_follower_is_current(const struct cw_follower *f);

/*
 * Asks for a new generation (POLL) if the active site could not give contents
 * that it listed.  That is done a few times; then all is compared, and if that
 * does not help either, CW_ERR_MISSING: a source whose catalog is wrong would
 * make us ask for ever.
 */
int cw_follower_poll(struct cw_follower *f, struct cw_error *err);

struct cw_follower_state {
	uint64_t from; /* generation at the start of this session */
	uint64_t generation;
	uint8_t digest[CW_STATE_SIZE];
	uint64_t rows;	   /* taken in */
	uint64_t waiting;  /* changes that are here and not applied */
	uint64_t contents; /* received on their own */
	uint64_t wanted;   /* contents asked for and not here yet */
	uint64_t wanted_bytes;
	uint64_t target; /* what the source is at, 0: not known */
	uint64_t removed, placed, compared; /* entries; directories */
	bool was_healed; /* digests differed and were made equal */
	bool is_equal;	 /* to the state that the source announced last */
};

void cw_follower_state(
    const struct cw_follower *f, struct cw_follower_state *out);

#endif
