/*
 * Certificates: what was verified of a seed, when, how, by whom, and what was
 * found, as text that the site that did it signs with minisign.  Normative:
 * formats/certificate/SPEC.md.
 *
 * The decoder says only that a text is a certificate.  Verify its signature,
 * and compare `fingerprint` with the card of the site that made it, before
 * acting on what it claims.
 */
#ifndef CW_FORMATS_CERTIFICATE_CERTIFICATE_H
#define CW_FORMATS_CERTIFICATE_CERTIFICATE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/card/card.h"
#include "formats/manifest/manifest.h"
#include "formats/manifest/medium.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_CERTIFICATE_TEXT_MAX	  (16u << 20) /* bytes */
#define CW_CERTIFICATE_DAMAGE_MAX 10000u      /* records; more is counted */

enum cw_certificate_method {
	CW_CERTIFICATE_DEVICE, /* every byte, past the page cache */
	CW_CERTIFICATE_CACHED, /* every byte, perhaps from memory */
	CW_CERTIFICATE_QUICK,  /* names and sizes; volumes were not read */
};

enum cw_certificate_result {
	CW_CERTIFICATE_OK,
	CW_CERTIFICATE_REPAIRABLE,
	CW_CERTIFICATE_DAMAGED,
};

/* A medium that was read. */
struct cw_certificate_medium {
	uint32_t number;			 /* from 1 */
	uint64_t files, bytes;			 /* read, of it */
	char label[CW_MEDIUM_LABEL_MAX + 1];	 /* "" if none */
	char filesystem[CW_MEDIUM_UUID_MAX + 1]; /* "-" if unknown */
};

/* What is wrong with a file; a file that is missing has length 0. */
struct cw_certificate_damage {
	uint32_t medium; /* 0: not known */
	char file[CW_MANIFEST_NAME_MAX + 1];
	uint64_t offset, length; /* bytes */
	bool is_missing;
	bool is_repairable;
};

struct cw_certificate {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint8_t store_id[CW_STORE_ID_SIZE];
	uint64_t generation;
	uint32_t revision;    /* of the manifest, from 1 */
	uint8_t manifest[32]; /* its SHA-256 */
	bool is_final;	      /* the manifest's state */
	uint32_t media_count; /* in the set; 0: not known yet */
	uint8_t signer[CW_CARD_FINGERPRINT_SIZE]; /* of the seed */

	char site[CW_CARD_NAME_MAX + 1]; /* who verified */
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE];
	enum cw_certificate_method method;
	int64_t from, to; /* seconds since 1970, UTC, by that site's clock */
	enum cw_certificate_result result;
	uint64_t volumes; /* data volumes that were looked at */
	struct cw_certificate_medium *media; /* by number, none twice */
	size_t medium_count;
	struct cw_certificate_damage *damage;
	size_t damage_count;
	uint64_t damage_more; /* that found no room in damage */
};

#define CW_CERTIFICATE_INIT                                                    \
	{                                                                      \
		.media = NULL                                                  \
	}

/* Frees what it holds; c is empty and usable again. */
void cw_certificate_free(struct cw_certificate *c);

/*
 * Add a copy.  Media may come in any order.  Of damage, what comes after
 * CW_CERTIFICATE_DAMAGE_MAX is counted only.
 */
void cw_certificate_add_medium(
    struct cw_certificate *c, const struct cw_certificate_medium *medium);
void cw_certificate_add_damage(
    struct cw_certificate *c, const struct cw_certificate_damage *damage);

/*
 * Puts the media in order and appends the text to buf.  CW_ERR_USAGE for
 * values that no certificate may have; buf is then untouched.
 */
int cw_certificate_encode(
    struct cw_certificate *c, struct cw_buf *buf, struct cw_error *err);

/*
 * Decodes a whole text into c, which must be empty.  CW_ERR_FORMAT names the
 * line; CW_ERR_UNSUPPORTED is a newer version.  Failure leaves c empty.
 */
int cw_certificate_decode(const char *text, size_t len,
    struct cw_certificate *c, struct cw_error *err);

/* The medium of that number, or NULL if it was not read. */
const struct cw_certificate_medium *cw_certificate_medium(
    const struct cw_certificate *c, uint32_t number);

#endif
