/*
 * Finding entries by what is in them, and messages by their base names: what
 * the source of a sync looks up for every row and for every content that a
 * replica wants, and a replica for every row that it gets.
 *
 * All look-ups go by a key or an index, never over all rows.  An entry that is
 * found is what the catalog says: whether the file still is so, only reading
 * and hashing it tells.
 */
#ifndef CW_STORE_CONTENTS_H
#define CW_STORE_CONTENTS_H

#include "store/catalog.h"

/*
 * Makes the index of contents unless it is there; for a catalog that is open
 * for writing (it makes a transaction of its own if none is open).  It takes
 * some ten seconds for 10 million entries, once, and is kept up from then on.
 * A copy made by cw_catalog_export does not have it.
 */
int cw_catalog_index_contents(struct cw_catalog *c, struct cw_error *err);
int cw_catalog_has_content_index(
    struct cw_catalog *c, bool *has, struct cw_error *err);

/*
 * Calls each with the files of this content, in the order (dir, name).  The
 * entry is valid until each returns; each may look up and change whatever it
 * wants.  A nonzero return ends it and is returned (use -1).  Without the index
 * CW_ERR_FAILED: that is a bug of the caller.
 */
int cw_catalog_each_content(struct cw_catalog *c,
    const uint8_t digest[CW_DIGEST_SIZE],
    int (*each)(void *arg, const struct cw_entry *e), void *arg,
    struct cw_error *err);

/*
 * Does a replica of generation `since` that takes the changes in their order
 * have the content of file e (dir, name, digest and generation count) before
 * it comes to e?  True if another entry of that content was there at `since`
 * or comes before e in the stream of changes, or if the content was removed or
 * replaced after a `since` that is not 0.  It is a guess that is rarely wrong:
 * a content that came and went after `since` counts as known.  A replica says
 * what it wants.  Needs the index.
 */
int cw_catalog_content_known(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t since, bool *known, struct cw_error *err);

/*
 * The file in a directory whose Maildir base name (cw_maildir_base_len) is
 * this; the first if there are several.  0 found, 1 none, -1 error; pointers
 * as those of cw_catalog_lookup.
 */
int cw_catalog_find_base(struct cw_catalog *c, int64_t dir, const char *base,
    size_t base_len, struct cw_entry *out, struct cw_error *err);

/*
 * 1 if a name of this base was removed from the directory after generation
 * `since`, 0 if not, -1 error.  A put of that base is then most likely a
 * change of flags (or of the directory: ask new for cur).  It may also be that
 * the replica never had it: delivered and changed after `since`.
 */
int cw_catalog_tombstone_base(struct cw_catalog *c, int64_t dir,
    const char *base, size_t base_len, uint64_t since, struct cw_error *err);

#endif
