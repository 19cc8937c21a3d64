/*
 * The file CHECKSUMS: one XXH3-128 a file, in the lines that `xxh128sum -c`
 * checks.  It finds damage, not lies: trust comes from the manifest's
 * SHA-256.  Normative: formats/manifest/SPEC.md.
 */
#ifndef CW_FORMATS_MANIFEST_CHECKSUMS_H
#define CW_FORMATS_MANIFEST_CHECKSUMS_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/manifest/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_checksum {
	char name[CW_MANIFEST_NAME_MAX + 1];
	uint8_t xxh[16]; /* as cw_xxh gives it */
};

struct cw_checksums {
	struct cw_checksum *items;
	size_t count;
	/* Ours: whether items is in order, and room for how many it has. */
	bool is_sorted;
	size_t cap;
};

#define CW_CHECKSUMS_INIT                                                      \
	{                                                                      \
		.items = NULL, .is_sorted = true                               \
	}

/* Frees the items; it is empty and usable again. */
void cw_checksums_free(struct cw_checksums *sums);

/*
 * Adds a file.  CW_ERR_USAGE for a name that no manifest may have, or for
 * more than CW_MANIFEST_FILES_MAX.
 */
int cw_checksums_add(struct cw_checksums *sums, const char *name,
    const uint8_t xxh[16], struct cw_error *err);

/* Sorts by name and appends the text; CW_ERR_USAGE for a name given twice. */
int cw_checksums_encode(
    struct cw_checksums *sums, struct cw_buf *buf, struct cw_error *err);

/*
 * Decodes a whole text into sums, which must be empty.  CW_ERR_FORMAT names
 * the line and leaves sums empty.
 */
int cw_checksums_decode(const char *text, size_t len, struct cw_checksums *sums,
    struct cw_error *err);

/* NULL if it is not there.  Alive until sums changes. */
const struct cw_checksum *cw_checksums_find(
    const struct cw_checksums *sums, const char *name);

#endif
