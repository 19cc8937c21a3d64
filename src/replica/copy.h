/*
 * Copying bytes between files: by the filesystem where it can (reflinks,
 * copy_file_range(2)), else through memory.
 */
#ifndef CW_REPLICA_COPY_H
#define CW_REPLICA_COPY_H

#include "base/error.h"

#include <stdint.h>

/* len bytes of from at offset, to the place to_offset; CW_ERR_DAMAGED if
 * there are fewer. */
int cw_copy_range(int from, uint64_t offset, int to, uint64_t to_offset,
    uint64_t len, struct cw_error *err);

/*
 * The whole of a regular file into an empty one: reflinked if that can be;
 * holes stay holes.
 */
int cw_copy_file(int from, int to, struct cw_error *err);

#endif
