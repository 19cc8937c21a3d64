/*
 * Packing increments: what pack.c does otherwise when a seed builds on a
 * generation that its replica has.  Which entries need a volume is decided by
 * store/increment.h; all else (volumes, closing passes, resume) is as for a
 * full seed.
 *
 * Contents are read by the scan before they are packed, since only the digest
 * tells whether the replica has them: what is new is read twice.
 */
#ifndef CW_SEED_INCREMENT_H
#define CW_SEED_INCREMENT_H

#include "seed/ledger.h"
#include "seed/pack.h"

#include <stdbool.h>

/* Before one begins: CW_ERR_REFUSED if its base can't be. */
int cw_increment_check(
    const struct cw_pack_options *options, struct cw_error *err);

/*
 * Before an unfinished seed is gone on with: CW_ERR_REFUSED if it builds on
 * another generation than the one asked for.
 */
int cw_increment_check_resume(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, struct cw_error *err);

/* Before each pass, after its scan: what need not be packed. */
int cw_increment_begin_pass(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, struct cw_error *err);
/*
 * When a pass seems to be the last one: *is_whole is false if something that
 * was left to another member has to be packed after all.
 */
int cw_increment_end_pass(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, bool *is_whole, struct cw_error *err);

/* What is left to be packed, of a full seed too. */
int cw_increment_unpacked(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, uint64_t *entries, uint64_t *bytes,
    struct cw_error *err);

/* Entries of the catalog that the media will hold, of a full seed too. */
int cw_increment_entries(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, uint64_t *entries, struct cw_error *err);

/* What the result of an increment says otherwise. */
int cw_increment_report(const struct cw_pack_options *options,
    const struct cw_ledger *ledger, struct cw_pack_result *result,
    struct cw_error *err);

/*
 * The catalog that is sealed into a seed; base is that of its ledger, 0 for a
 * full one, of which only the store's file is read, by a connection of its own.
 */
int cw_increment_export(const struct cw_pack_options *options, uint64_t base,
    const char *path, struct cw_error *err);

#endif
