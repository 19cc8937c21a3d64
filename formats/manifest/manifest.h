/*
 * The manifest of a seed: what it is, and every file of it by name, medium,
 * size and SHA-256, as text that the active site signs with minisign.
 * Normative: formats/manifest/SPEC.md.
 *
 * The decoder says only that a text is a manifest.  Verify its signature
 * before acting on what it claims.
 */
#ifndef CW_FORMATS_MANIFEST_MANIFEST_H
#define CW_FORMATS_MANIFEST_MANIFEST_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_SEED_ID_SIZE	 8u
#define CW_STORE_ID_SIZE 16u

#define CW_MANIFEST_NAME_MAX	   64u
#define CW_MANIFEST_FILES_MAX	   1000000u
#define CW_MANIFEST_TEXT_MAX	   (256u << 20) /* bytes */
#define CW_MANIFEST_RECIPIENTS_MAX 32u
#define CW_MANIFEST_MEDIA_MAX	   9999u
#define CW_MANIFEST_PARITY_MAX	   255u		/* k + m */
#define CW_MANIFEST_VOLUME_MAX	   (1ull << 40) /* bytes */
#define CW_MANIFEST_FILE_SIZE_MAX  (1ull << 43) /* bytes */
#define CW_MANIFEST_COUNTER_MAX	   (1ull << 62) /* generation, epoch */

struct cw_manifest_file {
	char name[CW_MANIFEST_NAME_MAX + 1]; /* relative to the seed's folder */
	uint32_t medium;		     /* counts from 1 */
	uint64_t size;			     /* bytes */
	uint8_t sha256[32];
};

struct cw_manifest {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint8_t store_id[CW_STORE_ID_SIZE];
	uint64_t generation;
	uint64_t base; /* generation it builds on, 0 for a full seed */
	uint64_t epoch;
	int64_t time;	    /* seconds since 1970, UTC */
	uint8_t signer[32]; /* card fingerprint of the active site */
	uint8_t recipients[CW_MANIFEST_RECIPIENTS_MAX][32]; /* SHA-256 of
							       each point */
	uint32_t recipient_count;			    /* from 1 */
	uint64_t volume_size;				    /* bytes, from 1 */
	uint32_t parity_k, parity_m;			    /* 0 0: no parity */
	uint32_t survive_media; /* 0: parity within each medium */
	uint32_t media;		/* in the set; 0: not known yet */
	bool is_final;		/* else the seed goes on */
	struct cw_manifest_file *files;
	size_t file_count;
	/* Ours: whether files is in order, and room for how many it has. */
	bool is_sorted;
	size_t file_cap;
};

#define CW_MANIFEST_INIT                                                       \
	{                                                                      \
		.files = NULL, .is_sorted = true                               \
	}

/* Frees the files; m is empty and usable again. */
void cw_manifest_free(struct cw_manifest *m);

/*
 * Whether a name may stand in a manifest: 1 to CW_MANIFEST_NAME_MAX of
 * [A-Za-z0-9._/-], no leading '-', no empty, "." or ".." component.
 */
bool cw_manifest_name_is_valid(const char *name, size_t len);

/*
 * Adds a recipient by its fingerprint, SHA-256 of the age X25519 point; one
 * that is there already is not added again.  CW_ERR_USAGE when full.
 */
int cw_manifest_add_recipient(
    struct cw_manifest *m, const uint8_t age_point[32], struct cw_error *err);

/*
 * Adds a file (a copy).  CW_ERR_USAGE for an invalid name, medium or size or
 * too many; a (medium, name) given twice is found by encode.
 */
int cw_manifest_add_file(struct cw_manifest *m,
    const struct cw_manifest_file *file, struct cw_error *err);

/*
 * Puts files and recipients in order and appends the text to buf.
 * CW_ERR_USAGE for values that no manifest may have; buf is then untouched.
 */
int cw_manifest_encode(
    struct cw_manifest *m, struct cw_buf *buf, struct cw_error *err);

/*
 * Decodes a whole text into m, which must be empty (CW_MANIFEST_INIT).
 * CW_ERR_FORMAT names the line; CW_ERR_UNSUPPORTED for a newer version.
 * Failure leaves m empty.
 */
int cw_manifest_decode(
    const char *text, size_t len, struct cw_manifest *m, struct cw_error *err);

/* NULL if it is not there.  Alive until m changes. */
const struct cw_manifest_file *cw_manifest_find(
    const struct cw_manifest *m, uint32_t medium, const char *name);

/* Whether the seed was sealed for this age X25519 point. */
bool cw_manifest_has_recipient(
    const struct cw_manifest *m, const uint8_t age_point[32]);

#endif
