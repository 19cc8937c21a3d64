/*
 * Extended attributes of files on disk, for the scan and its tests.
 */
#ifndef CW_STORE_SCAN_ATTRS_H
#define CW_STORE_SCAN_ATTRS_H

#include "store/scan.h"

/* The value of system.posix_acl_* as text, appended; -1 if malformed. */
int attrs_acl_text(const uint8_t *raw, size_t len, struct cw_buf *out);

/*
 * cw_scan_attrs for a path that the caller vouches for: its last part is not
 * followed, the parts before it are.
 */
int attrs_read(
    const char *path, bool is_dir, struct cw_buf *out, struct cw_error *err);

#endif
