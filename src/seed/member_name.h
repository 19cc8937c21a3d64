/*
 * Paths of members in volumes: "ROOT/PATH", but for files that are cut over
 * volumes, whose parts are "ROOT/PATH.causeway-part-0001-of-0120", and for
 * files that are themselves named like that, which get
 * ".causeway-part-0001-of-0001" behind their name (design: seed-image.md).
 */
#ifndef CW_SEED_MEMBER_NAME_H
#define CW_SEED_MEMBER_NAME_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_PARTS_MAX	    9999u
#define CW_PART_SUFFIX_SIZE 28u /* bytes of ".causeway-part-0001-of-0001" + NUL */

/*
 * Whether a path ends as a part's does, with 1 <= part <= parts; then
 * *base_len is its length without that end.
 */
bool cw_member_name_parse(const char *path, size_t len, size_t *base_len,
    uint32_t *part, uint32_t *parts);

/*
 * The member's path for a file's: parts 0 means that the file is whole.
 * Appends to out, with a NUL behind, and returns the text.
 */
const char *cw_member_name_make(struct cw_buf *out, const char *path,
    size_t len, uint32_t part, uint32_t parts);

#endif
