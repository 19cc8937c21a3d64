/*
 * Compression beside the writer: one piece at a time is compressed by a thread
 * of its own while the next one fills, so that one stream keeps two cores
 * busy.  Part of the writer of zframe.h and of nobody else.
 */
#ifndef CW_FORMATS_ZFRAME_JOB_H
#define CW_FORMATS_ZFRAME_JOB_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

struct zframe_job;

/* For pieces of up to `most` bytes.  The thread begins with its first work. */
struct zframe_job *zframe_job_new(size_t most);
void zframe_job_free(struct zframe_job *j); /* waits; NULL is allowed */

enum zframe_part {
	ZFRAME_WHOLE, /* a frame, whose header says its size */
	ZFRAME_PIECE, /* of a frame, more follow */
	ZFRAME_END,   /* the last of these */
};

/*
 * Compresses `in`, size bytes.  in_background returns at once; until collect
 * or drop, in and ctx are the job's.  No other piece may be under way.
 */
void zframe_job_begin(struct zframe_job *j, ZSTD_CCtx *ctx, const uint8_t *in,
    size_t size, enum zframe_part part, bool in_background);

struct zframe_piece {
	const uint8_t *data; /* until the begin after the next */
	size_t packed;	     /* bytes of data; may be 0 where more follow */
	size_t size;	     /* of what went in */
};

/* Waits for the piece: 1 with *out, 0 if none was begun, -1 if zstd failed. */
int zframe_job_collect(
    struct zframe_job *j, struct zframe_piece *out, struct cw_error *err);
/* Waits for the piece, if there is one, and forgets it. */
void zframe_job_drop(struct zframe_job *j);
/* Bytes of content that collect has not answered for. */
size_t zframe_job_size(const struct zframe_job *j);

#endif
