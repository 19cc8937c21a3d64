/*
 * The inside of a follower, shared by follower.c (the conversation),
 * follower_end.c (the end of a plan), follower_rows.c (rows),
 * follower_wants.c (contents), follower_chunks.c (chunks of large ones) and
 * follower_compare.c (comparison).
 */
#ifndef CW_SYNC_FOLLOWER_IMPL_H
#define CW_SYNC_FOLLOWER_IMPL_H

#include "base/buf.h"
#include "replica/intake.h"
#include "replica/replica.h"
#include "sync/follower.h"
#include "sync/rows.h"

/*
 * Contents asked for at a time: enough to fill a long line (64 MiB are half a
 * second of 1 Gbit/s), few enough to change our mind about the rest.
 */
#define WANTS_MAX	512u
#define WANTS_BYTES_MAX (64u << 20)
/* Chunks of all of them: a list takes memory. */
#define CHUNKS_MAX (1u << 21)

struct want {
	uint32_t id; /* 0: free */
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size, offset;
	bool from_base; /* offset bytes of the version at `path` */
	bool in_chunks; /* CHUNKS may come first */
	uint64_t kept;	/* bytes in staging, where chunks are to come */
	char *path;
	struct cw_look look; /* of the file at path */
	/* The new version's chunks as they come, and where ours has them. */
	struct chunk *chunks;
	size_t chunk_count, chunk_cap, chunk_at;
	struct cw_staging_writer *writer;
	bool is_plain; /* from its start and as it is: the intake writes it */
	uint64_t at;   /* bytes of it that the intake was given */
	int base_fd;
};

struct chunk {
	uint8_t digest[CW_SHA256_SIZE];
	uint64_t offset; /* in the new version */
	uint32_t len;
	bool has_base;
	uint64_t base_offset;
};

/* A frame that came while we were busy. */
struct kept_frame {
	struct kept_frame *next;
	uint8_t type, flags;
	size_t len;
	uint8_t body[];
};

struct cw_follower {
	struct cw_follower_options o;
	struct cw_catalog *catalog; /* open while we hold the lock */
	struct cw_place *place;
	struct cw_replica replica;
	struct cw_intake *intake;
	bool is_open;
	struct cw_wire_writer *writer;
	struct cw_follower_state state;

	bool must_ask;	  /* it rested in the midst of something */
	int64_t taken_ms; /* CLOCK_MONOTONIC of the last frame of ours */
	uint32_t serial;
	uint64_t asked_generation; /* ours at the last START */
	bool has_started;
	bool has_position; /* rows came since the last commit */
	struct cw_position position;
	uint64_t uncommitted; /* bytes of contents and rows */
	int64_t committed_ms; /* CLOCK_MONOTONIC */
	bool is_torn;	      /* a frame was taken in by half */
	bool is_cut;	      /* the line broke; what came is still taken in */

	/* Rows that came brief and could not be told: asked for in full. */
	struct cw_rows *asked;
	size_t unresolved, asked_unsent;

	/* The end that was announced. */
	bool has_end, is_end_known;
	uint64_t end_generation;
	uint8_t end_digest[CW_STATE_SIZE];

	/* Comparison. */
	bool in_compare, has_sums, dirs_ended, was_compared;
	uint64_t compare_generation;
	size_t lists_open;
	struct cw_buf listing; /* path of the list that is coming in */
	bool in_listing;
	unsigned compares; /* in a row without success */

	/* Wants. */
	struct want wants[WANTS_MAX];
	size_t want_count;
	size_t chunks; /* of all wants */
	uint64_t want_bytes;
	uint32_t next_id;
	bool has_more;	/* lacking contents were passed over */
	bool has_gone;	/* the source has some no more */
	unsigned polls; /* for that, without anything new at the source */
	uint64_t poll_generation;
	struct cw_want_cursor cursor;
	/* The first of those passed over that the cursor is beyond. */
	struct cw_want_cursor passed;
	bool has_passed;
	struct want *current; /* whose data come */

	struct kept_frame *kept, **kept_end;
	struct kept_frame *handed;
	size_t kept_bytes;

	/* Copies with a NUL behind them. */
	struct cw_buf dir_path, name, target;
};

int follower_send(struct cw_follower *f, enum cw_frame_type type,
    const ProtobufCMessage *m, struct cw_error *err);
/* Takes the lock and opens the replica's parts; again is harmless. */
int follower_open(struct cw_follower *f, struct cw_error *err);
void follower_close(struct cw_follower *f);
/* START from where we are; all: by comparison. */
int follower_ask(struct cw_follower *f, bool all, struct cw_error *err);
/* What came is made durable, unless rows are unresolved. */
int follower_commit(struct cw_follower *f, struct cw_error *err);
/* Tells the state that our catalog is in. */
void follower_note_state(struct cw_follower *f);
/* Does a seed's import still wait for contents?  1, 0, -1. */
int follower_is_importing(struct cw_follower *f, struct cw_error *err);
/* Nothing is awaited: applies, compares, acknowledges. */
int follower_finish(struct cw_follower *f, struct cw_error *err);
/* Sets err: the peer announced a generation before ours. */
int follower_went_back(
    const struct cw_follower *f, uint64_t generation, struct cw_error *err);
/* Goes on if nothing is awaited any more: applies, acknowledges. */
int follower_advance(struct cw_follower *f, struct cw_error *err);

int follower_plan(struct cw_follower *f, struct cw_wire_reader *reader,
    const Cw__Plan *plan, struct cw_error *err);
int follower_ask_rows(struct cw_follower *f, struct cw_error *err);
/* Makes name, target and path of a change end in NUL, in our buffers. */
void follower_own(struct cw_follower *f, struct cw_change *ch);

/* This change's content, if it is nowhere at home. */
int follower_want(
    struct cw_follower *f, const struct cw_change *ch, struct cw_error *err);
/* What rows of before want is looked for from the first of them on. */
void follower_begin_wants(struct cw_follower *f);
/* More of what lacks, as far as there is room. */
int follower_want_more(struct cw_follower *f, struct cw_error *err);
int follower_data(struct cw_follower *f, struct cw_wire_reader *reader,
    const Cw__Data *data, struct cw_error *err);
/* The want of this number; NULL: we took it back. */
struct want *follower_find_want(struct cw_follower *f, uint32_t id);
void follower_free_want(struct cw_follower *f, struct want *w);
int follower_send_want(
    struct cw_follower *f, Cw__Item *item, struct cw_error *err);
/* Opens what takes its bytes from offset on; 1: our version is gone. */
int follower_begin_data(struct cw_follower *f, struct want *w, uint64_t offset,
    struct cw_error *err);
/* All of it is here: hashed, and the want freed or asked for anew. */
int follower_finish_want(
    struct cw_follower *f, struct want *w, struct cw_error *err);
int follower_chunks(
    struct cw_follower *f, const Cw__Chunks *chunks, struct cw_error *err);
/* Waits until staging has what came; notes what was not what it should be. */
int follower_settle(struct cw_follower *f, struct cw_error *err);
void follower_drop_wants(struct cw_follower *f);

int follower_dirs(
    struct cw_follower *f, const Cw__Dirs *dirs, struct cw_error *err);
int follower_dir_list(
    struct cw_follower *f, const Cw__DirList *list, struct cw_error *err);

/* Runs apply in a thread, and keeps the link alive meanwhile. */
int follower_apply(struct cw_follower *f, struct cw_apply_result *result,
    struct cw_error *err);

#endif
