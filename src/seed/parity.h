/*
 * Parity of a seed that is being packed: which volumes form a group, and the
 * writing of its shards.
 *
 * Without --survive-media a volume joins the open group of its medium when it
 * is proven, and the shards go to the same medium.  With it, target.h gives a
 * volume its group before it is begun, so that members and shards lie on
 * different media.
 *
 * Shards grow while volumes are read back, in scratch files in the seed's
 * state directory that have no name.  Where those are no good (a crash, a
 * volume that failed, a full disk), the members are read again from their
 * media, each block against its digest.
 *
 * Threads may share it.
 */
#ifndef CW_SEED_PARITY_H
#define CW_SEED_PARITY_H

#include "base/error.h"
#include "formats/manifest/manifest.h"
#include "media/durable.h"
#include "seed/ledger.h"
#include "seed/target.h"

#include <stddef.h>
#include <stdint.h>

struct cw_seed_parity;

/*
 * Looks at what is there of the ledger's volumes and shards on the media that
 * are here, and makes it true: gives their names to files that have them not
 * yet, loses what is gone, breaks up groups that lost a member, removes
 * leftovers, groups members that have no group, tells the target what is
 * reserved.  Shards that lack are written by the first close.
 *
 * CW_ERR_USAGE where survive-media is not as many media as it needs.  All that
 * is given is used as long as the result lives.
 */
int cw_seed_parity_open(struct cw_ledger *ledger, struct cw_target *target,
    int seed_dir, struct cw_seed_parity **out, struct cw_error *err);
void cw_seed_parity_free(struct cw_seed_parity *p); /* NULL is allowed */

/*
 * Called with each volume that had to be given up, by any thread.  While lost
 * is NULL none is: where it would have to be, the medium has failed.
 */
void cw_seed_parity_on_lost(struct cw_seed_parity *p,
    void (*lost)(void *arg, uint32_t number, const struct cw_error *why),
    void *arg);

/*
 * Proves the volume's file, keeps its digests, writes its line, names it, and
 * adds it to its group; a group that is full gets its shards.  The place is
 * kept, or given back.  0: the volume is durable; 1: it is lost, and *why
 * tells; -1: *err, the state directory failed.
 */
int cw_seed_parity_settle(struct cw_seed_parity *p, struct cw_durable *file,
    uint32_t number, struct cw_target_place *place, struct cw_error *why,
    struct cw_error *err);

/*
 * Writes what lacks of shards: of the groups on medium m, or of all if it is
 * NULL.  No volume may be in progress there.  Where a medium turns out to be
 * too full for a shard, volumes of the group are given up one after another:
 * they are lost (see above), and come again elsewhere.
 *
 * An error names the medium that failed, or is the state directory's; all that
 * could be completed is then.  Where groups lie on one medium each and m is
 * NULL, a medium that fails is no error: it is_failed, and closing it alone
 * tells.
 */
int cw_seed_parity_close(
    struct cw_seed_parity *p, struct cw_target_medium *m, struct cw_error *err);

/* Puts geometry and groups of the ledger into a manifest. */
int cw_seed_parity_list(
    const struct cw_ledger *l, struct cw_manifest *m, struct cw_error *err);

#endif
