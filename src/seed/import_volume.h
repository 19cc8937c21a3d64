/*
 * One volume into the tree: every member against the catalog, every file
 * against its digest.  Used by import.c, in several threads.
 */
#ifndef CW_SEED_IMPORT_VOLUME_H
#define CW_SEED_IMPORT_VOLUME_H

#include "base/progress.h"
#include "formats/age/age.h"
#include "replica/place.h"
#include "store/catalog.h"

#include <stdbool.h>
#include <stdint.h>

struct cw_importer;

/* Called with a sentence for each thing that is wrong. */
typedef void cw_import_fault_fn(void *arg, const char *sentence);

/*
 * A worker for one thread: its own connection to the catalog (for reading)
 * and its own placer over roots, which must outlive it.
 */
int cw_importer_new(const char *catalog_path,
    const struct cw_age_identity *identity, const struct cw_place_root *roots,
    size_t root_count, cw_import_fault_fn *fault, void *arg,
    struct cw_progress *progress, struct cw_importer **out,
    struct cw_error *err);
void cw_importer_free(struct cw_importer *w); /* NULL is allowed */

#define CW_IMPORTED_WHOLE   0 /* all of it; its SHA-256 is the one given */
#define CW_IMPORTED_DAMAGED 1 /* its bytes are others: another copy may do */
#define CW_IMPORTED_WRONG   2 /* its bytes are those given, what's in it not */

/*
 * Imports the volume in fd.  Where something was wrong with it, what could be
 * had is placed and each fault was told.  -1: we can't go on (disk full,
 * interrupted).
 */
int cw_importer_run(struct cw_importer *w, int fd, uint32_t number,
    const char *name, uint64_t size, const uint8_t sha256[32],
    struct cw_error *err);

/*
 * Of the last run, if it was CW_IMPORTED_WHOLE: how many of the catalog's files
 * were put in place.  False if that can't be told, since a name stood there
 * twice, or a file was made of another one's content.
 */
bool cw_importer_placed(const struct cw_importer *w, uint64_t *files);

uint64_t cw_importer_unmapped(const struct cw_importer *w);

#endif
