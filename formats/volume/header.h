/*
 * Tar headers of volumes: a member becomes the pax and ustar blocks that stand
 * before its content.  Encoding only; formats/volume/SPEC.md, Headers.
 */
#ifndef CW_FORMATS_VOLUME_HEADER_H
#define CW_FORMATS_VOLUME_HEADER_H

#include "base/buf.h"
#include "formats/volume/member.h"

#include <stdint.h>

#define CW_TAR_BLOCK 512u

/*
 * Appends the header blocks of m, which cw_member_check has passed: whole
 * blocks.  Returns the bytes of content that follow before their padding; for a
 * sparse file the map, which is in out already, is not among them.
 */
uint64_t cw_header_encode(const struct cw_member *m, struct cw_buf *out);

/* Bytes that cw_header_encode appends at most. */
uint64_t cw_header_bound(const struct cw_member *m);

#endif
