/*
 * The file CUSTODY of a seed's folder: read with bounds, added to durably.
 */
#ifndef CW_SEED_CUSTODY_FILE_H
#define CW_SEED_CUSTODY_FILE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/custody/custody.h"
#include "formats/minisign/minisign.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads and checks the log of the seed's folder dirfd into *log, which must
 * be empty.  No file is an empty log.  CW_ERR_UNTRUSTED for one of another
 * seed; CW_ERR_DAMAGED if it is no regular file; else as cw_custody_decode,
 * where *log holds the good events before the wrong line.
 */
int cw_custody_file_read(int dirfd, const uint8_t seed_id[CW_SEED_ID_SIZE],
    struct cw_custody *log, struct cw_error *err);

/*
 * Adds a signed event, at the present time, to the log of the seed's folder
 * dirfd; begins the log if there is none.  A torn last line, what a crash
 * leaves, is cut off.  A log that is wrong or of another seed is not touched.
 * note may be NULL.  The file is replaced as a whole: a crash leaves the old
 * log or the new one.
 */
int cw_custody_file_append(int dirfd, const uint8_t seed_id[CW_SEED_ID_SIZE],
    enum cw_custody_kind kind, const char *note, const char *site,
    const struct cw_minisign_secret *secret, struct cw_error *err);

/* The same, unless the log has an event of that kind by this signer. */
int cw_custody_file_append_once(int dirfd,
    const uint8_t seed_id[CW_SEED_ID_SIZE], enum cw_custody_kind kind,
    const char *note, const char *site,
    const struct cw_minisign_secret *secret, struct cw_error *err);

#endif
