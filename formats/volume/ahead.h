/*
 * Frames decompressed ahead of their reader, by a thread: what feeds them
 * (reading, opening of chunks) and what is done with their content then keep
 * two cores busy, and neither stands still while the other waits for a disk.
 */
#ifndef CW_FORMATS_VOLUME_AHEAD_H
#define CW_FORMATS_VOLUME_AHEAD_H

#include "base/error.h"
#include "formats/zframe/zframe.h"

#include <stddef.h>
#include <stdint.h>

struct cw_ahead;

/* Takes up to 12 MiB, and keeps them over any number of streams. */
struct cw_ahead *cw_ahead_new(void);
void cw_ahead_free(struct cw_ahead *a); /* stops; NULL is allowed */

/*
 * Begins on a stream that was started: frames and its source are the thread's
 * until stop.  Where there is no thread to be had all happens in next.
 */
void cw_ahead_start(struct cw_ahead *a, struct cw_zframe_reader *frames);
/* When it returns nothing touches frames.  Not started: harmless. */
void cw_ahead_stop(struct cw_ahead *a);

/* As cw_zframe_next: an error comes when all before it was given. */
int cw_ahead_next(struct cw_ahead *a, const uint8_t **data, size_t *len,
    struct cw_error *err);

#endif
