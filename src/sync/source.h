/*
 * The source's side of a sync, for one store over one link: it answers a
 * replica's START with the changes since that generation, WANT with contents,
 * and whatever else a replica asks.  It never waits for the replica: whoever
 * runs the session calls cw_sync_source_step while there is something to do,
 * and hands over the frames that come.
 *
 * What it reads is checked against the catalog by SHA-256 while it is sent; a
 * file that changed meanwhile is "gone", and the next generation has it.
 * Whatever the replica asks for, only files that the catalog lists are read,
 * beneath the roots.
 */
#ifndef CW_SYNC_SOURCE_H
#define CW_SYNC_SOURCE_H

#include "base/error.h"
#include "formats/wire/wire.h"
#include "replica/place.h"
#include "store/catalog.h"
#include "sync/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_sync_source;

struct cw_sync_source_options {
	const char *catalog_path;
	const struct cw_place_root *roots; /* borrowed */
	size_t root_count;
	uint32_t store; /* its number in our frames */
	uint64_t epoch;
	struct cw_link *link;
	/* A generation was acknowledged; durable before it returns 0. */
	int (*acked)(void *arg, uint64_t generation,
	    const uint8_t digest[CW_STATE_SIZE], struct cw_error *err);
	void *arg;
};

/* The catalog must have its index of contents. */
int cw_sync_source_new(const struct cw_sync_source_options *options,
    struct cw_sync_source **out, struct cw_error *err);
void cw_sync_source_free(struct cw_sync_source *s); /* NULL is allowed */

/*
 * Takes a frame of ours: START, WANT, ACK, DIR_WANT, ROW_WANT.  A peer that
 * breaks the rules is CW_ERR_FORMAT.
 */
int cw_sync_source_take(struct cw_sync_source *s, const struct cw_wire_msg *msg,
    struct cw_error *err);

/*
 * The catalog may have a new generation.  settled: one whose scan has ended,
 * so that files without a digest in it can't be read at all and are left out;
 * 0: not known.  Else the plan goes only as far as contents have been read.
 */
void cw_sync_source_wake(struct cw_sync_source *s, uint64_t settled);

/*
 * The replica was brought to this generation by another link: the next plan
 * begins there.  A plan under way is not touched.
 */
void cw_sync_source_advance(struct cw_sync_source *s, uint64_t generation);

/* Does a piece of work: 1; 0 if there is none; -1. */
int cw_sync_source_step(struct cw_sync_source *s, struct cw_error *err);

/*
 * Whether there would be some if a scan had read more contents: a step looks,
 * but not more often than this.
 */
#define CW_SYNC_SOURCE_LOOK_MS 20
bool cw_sync_source_is_waiting(const struct cw_sync_source *s);

struct cw_sync_source_state {
	bool has_started;
	uint64_t since;	     /* what the replica began at */
	uint64_t generation; /* of our catalog, when last looked at */
	bool has_acked;	     /* in this session */
	uint64_t acked;
	uint8_t acked_digest[CW_STATE_SIZE];
	uint64_t rows;	   /* sent */
	uint64_t contents; /* sent on their own */
	uint64_t content_bytes;
	uint64_t gone; /* contents that were wanted and had changed */
};

void cw_sync_source_state(
    const struct cw_sync_source *s, struct cw_sync_source_state *out);

#endif
