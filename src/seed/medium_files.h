/*
 * The files of a medium that are not volumes or shards: written durably, most
 * of them twice, and listed in the manifest and in CHECKSUMS.
 */
#ifndef CW_SEED_MEDIUM_FILES_H
#define CW_SEED_MEDIUM_FILES_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/manifest/checksums.h"
#include "formats/manifest/manifest.h"
#include "media/durable.h"

#include <stdint.h>

struct cw_medium_files {
	struct cw_manifest *manifest; /* gets the lines */
	struct cw_checksums sums;     /* for CHECKSUMS */
	int folder;
	uint32_t medium; /* its number */
	uint64_t bytes;	 /* of all that was listed or written */
};

/* Where a file is listed. */
enum cw_medium_files_listed {
	CW_MEDIUM_FILES_NOWHERE,
	CW_MEDIUM_FILES_IN_MANIFEST, /* CHECKSUMS does not list itself */
	CW_MEDIUM_FILES_IN_BOTH,
};

/* A file that is there already. */
int cw_medium_files_list(struct cw_medium_files *f, const char *name,
    const struct cw_durable_result *result, enum cw_medium_files_listed listed,
    struct cw_error *err);

/* Writes a text as copy/NAME, and then as NAME. */
int cw_medium_files_save(struct cw_medium_files *f, const char *name,
    const struct cw_buf *text, enum cw_medium_files_listed listed,
    struct cw_error *err);

/*
 * Writes, as copy/NAME and as NAME, what `fill` appends to an open file, once
 * for each; listed in both.  *result (NULL is allowed) is that of NAME.
 */
typedef int cw_medium_files_fill(
    void *arg, struct cw_durable *d, struct cw_error *err);
int cw_medium_files_write(struct cw_medium_files *f, const char *name,
    cw_medium_files_fill *fill, void *arg, struct cw_durable_result *result,
    struct cw_error *err);

/* A fill: all that is in the file *(const int *)arg, from its beginning. */
int cw_medium_files_fill_copy(
    void *arg, struct cw_durable *d, struct cw_error *err);

#endif
