/*
 * Shares of an age key, for escrow: any so many of them put the key together
 * again, fewer tell nothing about it.  A share is a line of text that people
 * keep on paper and type in; its checksums name the group of characters that
 * was mistyped.  Normative: formats/share/SPEC.md.
 *
 * This module turns shares into text and back; site/escrow.h splits and joins.
 * A share is a secret: keep it in secure memory.  Errors hold no part of it.
 */
#ifndef CW_FORMATS_SHARE_SHARE_H
#define CW_FORMATS_SHARE_SHARE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CW_SHARE_PREFIX	    "causeway-share1"
#define CW_SHARE_DATA_SIZE  32u
#define CW_SHARE_KEY_SIZE   8u
#define CW_SHARE_SPLIT_SIZE 4u
#define CW_SHARE_NEEDED_MIN 2u
#define CW_SHARE_MADE_MAX   255u
#define CW_SHARE_TEXT_SIZE  160u /* the line and a NUL, without newline */

struct cw_share {
	uint8_t needed; /* from CW_SHARE_NEEDED_MIN */
	uint8_t made;	/* at least needed */
	uint8_t index;	/* 1 to made: the x-coordinate */
	/* The first bytes of SHA-256 over the public point of the whole key. */
	uint8_t key[CW_SHARE_KEY_SIZE];
	uint8_t split[CW_SHARE_SPLIT_SIZE]; /* random, one for each split */
	uint8_t data[CW_SHARE_DATA_SIZE];
};

/* The line. */
void cw_share_encode(const struct cw_share *s, char out[CW_SHARE_TEXT_SIZE]);

/*
 * Decodes a line, without newline.  CW_ERR_FORMAT says which group of
 * characters is wrong; CW_ERR_UNSUPPORTED for a newer version.  Then *s is
 * untouched.
 */
int cw_share_decode(
    const char *text, size_t len, struct cw_share *s, struct cw_error *err);

#endif
