/*
 * Receipts: one line of text in which the recovery site says, signed, that it
 * imported a seed, and how much of it.  It travels back by the link, by mail
 * or on paper.  Normative: formats/receipt/SPEC.md.
 *
 * The decoder says only that a line is a receipt.  Verify its signature with
 * the key of the site it names before acting on it.
 */
#ifndef CW_FORMATS_RECEIPT_RECEIPT_H
#define CW_FORMATS_RECEIPT_RECEIPT_H

#include "base/error.h"
#include "formats/card/card.h"
#include "formats/manifest/manifest.h"
#include "formats/minisign/minisign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_RECEIPT_PREFIX    "causeway-receipt1"
#define CW_RECEIPT_TEXT_SIZE 512u /* the line and a NUL, without newline */

struct cw_receipt {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint8_t store_id[CW_STORE_ID_SIZE];
	uint64_t generation; /* of the seed, at most CW_MANIFEST_COUNTER_MAX */
	uint8_t manifest_sha256[32]; /* of the manifest that governed */
	bool has_digest;	     /* else the replica's was not known */
	uint8_t digest[32];	     /* state digest of the replica */
	uint64_t wanted; /* files that did not arrive; 0: it is complete */
	int64_t time;	 /* of the import's end, seconds since 1970, UTC */
	uint8_t site[CW_CARD_FINGERPRINT_SIZE]; /* who imported */
	uint8_t signature[CW_ED25519_SIGNATURE_SIZE];
};

/* Signs what stands above signature, and puts the signature there. */
int cw_receipt_sign(struct cw_receipt *r,
    const struct cw_minisign_secret *secret, struct cw_error *err);

/* The line. */
void cw_receipt_encode(
    const struct cw_receipt *r, char out[CW_RECEIPT_TEXT_SIZE]);

/*
 * Decodes a line, without newline.  CW_ERR_FORMAT for what is no receipt,
 * CW_ERR_UNSUPPORTED for a newer version; then *r is untouched.
 */
int cw_receipt_decode(
    const char *text, size_t len, struct cw_receipt *r, struct cw_error *err);

/* CW_ERR_UNTRUSTED if the key did not sign it. */
int cw_receipt_verify(const struct cw_receipt *r,
    const struct cw_minisign_public *key, struct cw_error *err);

#endif
