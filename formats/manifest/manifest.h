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
#include "formats/manifest/medium.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_STORE_ID_SIZE 16u

#define CW_MANIFEST_NAME_MAX	   64u
#define CW_MANIFEST_FILES_MAX	   1000000u
#define CW_MANIFEST_TEXT_MAX	   (256u << 20) /* bytes */
#define CW_MANIFEST_RECIPIENTS_MAX 32u
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

/* Data volumes that share parity shards, in the order of their rows. */
struct cw_manifest_group {
	uint32_t number; /* of the group, from 1 */
	uint32_t count;	 /* of its volumes, 1 to parity_k */
	size_t first;	 /* index of its first one in members */
};

struct cw_manifest {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint8_t store_id[CW_STORE_ID_SIZE];
	uint64_t generation;
	uint64_t base; /* generation it builds on, 0 for a full seed */
	uint64_t epoch;
	int64_t time;	     /* seconds since 1970, UTC */
	uint32_t revision;   /* from 1; the greatest of a seed governs */
	bool has_catalog;    /* a final manifest has it */
	uint8_t catalog[32]; /* SHA-256 of the governing catalog file */
	uint8_t signer[32];  /* card fingerprint of the active site */
	uint8_t recipients[CW_MANIFEST_RECIPIENTS_MAX][32]; /* SHA-256 of
							       each point */
	uint32_t recipient_count;			    /* from 1 */
	uint64_t volume_size;				    /* bytes, from 1 */
	uint32_t parity_k, parity_m;			    /* 0 0: no parity */
	uint32_t survive_media;	     /* 0: parity within each medium */
	uint32_t media;		     /* in the set; 0: not known yet */
	bool is_final;		     /* else the seed goes on */
	struct cw_medium *described; /* what MEDIUM says, of each or of some */
	size_t described_count;
	struct cw_manifest_group *groups; /* by number */
	size_t group_count;
	uint32_t *members; /* numbers of volumes, group after group */
	size_t member_count;
	struct cw_manifest_file *files;
	size_t file_count;
	/* Ours: whether files is in order, and room for how many it has. */
	bool is_sorted;
	size_t file_cap;
	/* Ours: by number of a volume, which group it is in: index + 1. */
	uint32_t *group_of;
	size_t group_of_count;
	size_t described_cap, group_cap, member_cap;
};

#define CW_MANIFEST_INIT                                                       \
	{                                                                      \
		.revision = 1, .files = NULL, .is_sorted = true                \
	}

/* Frees what it holds; m is empty and usable again. */
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
 * Adds what a medium's MEDIUM says, so that its text can be written again
 * where it is lost: cw_medium_encode gives the same bytes.  It must be of m's
 * seed_id, which is set before.  CW_ERR_USAGE else, and for one that is there.
 */
int cw_manifest_add_medium(struct cw_manifest *m,
    const struct cw_medium *medium, struct cw_error *err);

/* NULL if it is not described.  Alive until m changes. */
const struct cw_medium *cw_manifest_medium(
    const struct cw_manifest *m, uint32_t number);

/*
 * Adds a group, greater than the last one, of count volumes by their numbers
 * in the order of their rows.  CW_ERR_USAGE for a number out of order or
 * range, a count of 0 or over parity_k (which must be set), a volume that is
 * in a group already.
 */
int cw_manifest_add_group(struct cw_manifest *m, uint32_t number,
    const uint32_t *volumes, uint32_t count, struct cw_error *err);

/* The group a volume is in, NULL if it is in none.  Alive until m changes. */
const struct cw_manifest_group *cw_manifest_group_of(
    const struct cw_manifest *m, uint32_t volume);

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
