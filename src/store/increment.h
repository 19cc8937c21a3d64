/*
 * Increments: what a seed has to bring to a replica that is at a generation
 * already, and the small catalog that goes with it.
 *
 * While an increment is packed, `volume` of an entry says CW_VOLUME_NONE where
 * no volume need hold it: directories and symlinks, which the catalog says in
 * full, and files whose content the replica has, or another member brings.
 */
#ifndef CW_STORE_INCREMENT_H
#define CW_STORE_INCREMENT_H

#include "store/catalog.h"

#include <stdbool.h>
#include <stdint.h>

#define CW_VOLUME_NONE UINT32_MAX

/*
 * Decides which of the entries that were touched after `since` need no volume.
 * A content is the replica's if a file had it at `since` and still has it, or
 * had it then and changed or went later; where the catalog does not know, it
 * is packed.  Of several files with one new content one is packed.  Makes the
 * index of contents unless it is there, and a transaction of its own.
 */
int cw_catalog_spare(
    struct cw_catalog *c, uint64_t since, struct cw_error *err);
/*
 * Looks again at those that were spared for another member, which may be gone
 * since.  *again: how many wait to be packed now.
 */
int cw_catalog_spare_check(struct cw_catalog *c, uint64_t since,
    uint64_t *again, struct cw_error *err);

/* What of the entries touched after `since` is left to be packed. */
int cw_catalog_unpacked_since(struct cw_catalog *c, uint64_t since,
    uint64_t *entries, uint64_t *bytes, struct cw_error *err);
/* All entries touched after `since` and deletions since then. */
int cw_catalog_changed_since(struct cw_catalog *c, uint64_t since,
    uint64_t *entries, uint64_t *removals, struct cw_error *err);

/*
 * CW_ERR_REFUSED unless an increment on this generation can be made: it has
 * been, and deletions are known from it on.  Say what else can be done.
 */
int cw_catalog_check_since(
    struct cw_catalog *c, uint64_t since, struct cw_error *err);

/*
 * Writes the catalog of an increment, in all other respects as
 * cw_catalog_export does: the entries touched after `since` that have their
 * digest, the directories on the way to them, the deletions since then, and
 * what the whole store is at its generation.  It is a catalog by itself: sums
 * and counts are those of its rows, `floor` is `since`, and what
 * cw_changes_open gives after any generation from `since` on is what ours
 * gives.  Refuses as cw_catalog_check_since does.
 */
int cw_catalog_export_since(
    struct cw_catalog *c, uint64_t since, const char *to, struct cw_error *err);

/* What the catalog of an increment says of the whole store. */
struct cw_increment {
	uint64_t since;
	bool has_digest; /* false: files waited for their first reading */
	uint8_t digest[CW_STATE_SIZE]; /* of the store at its generation */
	uint64_t entries;
	uint64_t bytes; /* of files */
};

/* 0 with *out, 1 if it is the catalog of a whole store, -1. */
int cw_catalog_increment(
    struct cw_catalog *c, struct cw_increment *out, struct cw_error *err);

#endif
