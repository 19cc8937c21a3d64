/*
 * The members of a sealed volume, one after the other, for whoever imports
 * them.
 */
#ifndef CW_SEED_MEMBERS_H
#define CW_SEED_MEMBERS_H

#include "formats/volume/volume.h"

/* Takes a member; what it does not read of the content is passed over. */
typedef int members_take_fn(
    void *arg, const struct cw_member *m, struct cw_error *err);

/*
 * Reads a volume of `sealed` bytes from source to its end and gives every
 * member to take; arg is that of both.  How large the tar in it may be follows
 * from sealed: a volume that unpacks to more is CW_ERR_DAMAGED.  Returns -1 if
 * the volume makes no sense, or source or take failed.
 */
int members_read(struct cw_volume_reader *reader,
    const struct cw_age_identity *identity, uint64_t sealed,
    cw_volume_source_fn *source, members_take_fn *take, void *arg,
    struct cw_error *err);

#endif
