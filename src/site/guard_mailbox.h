/*
 * One mailbox of the UID guard: its list, and the messages beside it.
 */
#ifndef CW_SITE_GUARD_MAILBOX_H
#define CW_SITE_GUARD_MAILBOX_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/mail/uidlist.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Where the new list stands until it takes the old one's place; a name that
   no scan takes for part of the store. */
#define GUARD_TMP CW_UIDLIST_NAME ".guard.lock"

/* Reads the list in a directory.  1: there is none (any more). */
int guard_read_list(
    int dirfd, struct cw_buf *text, struct stat *st, struct cw_error *err);

/*
 * Makes the guarded list and writes it to GUARD_TMP, with owner and mode of
 * the old one, not synced.  Returns 1 if nothing would change, or there is no
 * list any more; then there is no such file.
 */
int guard_write_list(int dirfd, uint32_t next_uid, uint64_t *dropped,
    dev_t *written_on, struct cw_error *err);

#endif
