/*
 * What libarchive read of a tar header becomes a member, or is refused: the
 * only place that knows how libarchive sees tar.
 */
#ifndef CW_FORMATS_VOLUME_ENTRY_H
#define CW_FORMATS_VOLUME_ENTRY_H

#include "base/error.h"
#include "formats/volume/member.h"

struct archive_entry;

/* Memory for what a member points to, used again for the next. */
struct cw_entry;
struct cw_entry *cw_entry_new(void);
void cw_entry_free(struct cw_entry *store); /* NULL is allowed */

/*
 * Fills *m from e.  Both store and e must live as long as m is used.  Whatever
 * is not a member of SPEC.md is CW_ERR_DAMAGED, and *m is then undefined.
 */
int cw_entry_decode(struct cw_entry *store, struct archive_entry *e,
    struct cw_member *m, struct cw_error *err);

#endif
