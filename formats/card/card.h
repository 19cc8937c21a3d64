/*
 * Cards: the public half of a site's identity as one line of text, exchanged
 * out of band, and its fingerprint, read out on the telephone.  Normative:
 * formats/card/SPEC.md.
 *
 * A card proves nothing: its checksum finds a typo, not a forger.  Trust
 * comes from the fingerprint, compared over a line that the forger of the
 * card does not hold.
 */
#ifndef CW_FORMATS_CARD_CARD_H
#define CW_FORMATS_CARD_CARD_H

#include "base/error.h"
#include "formats/minisign/minisign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_CARD_NAME_MAX	 63u
#define CW_CARD_TEXT_SIZE	 192u /* the line and a NUL, without newline */
#define CW_CARD_FINGERPRINT_SIZE 32u
#define CW_CARD_WORDS_SIZE	 160u /* sixteen words and a NUL */
#define CW_CARD_SHORT_ID_SIZE	 17u  /* sixteen hex digits and a NUL */

struct cw_card {
	char name[CW_CARD_NAME_MAX + 1]; /* [a-z0-9-], no '-' at the ends */
	uint8_t age_point[32];		 /* X25519 recipient */
	struct cw_minisign_public sign;
};

/* Whether a text may be a site's name. */
bool cw_card_name_is_valid(const char *name, size_t len);

/* The line of a card; card must hold a valid name. */
void cw_card_encode(const struct cw_card *card, char out[CW_CARD_TEXT_SIZE]);

/*
 * Decodes one card.  White space before and behind is ignored (it is pasted
 * from mail); everything else has one valid text.  CW_ERR_FORMAT for a typo,
 * CW_ERR_UNSUPPORTED for a card of a newer version; then *card is untouched.
 */
int cw_card_decode(
    const char *text, size_t len, struct cw_card *card, struct cw_error *err);

/* SHA-256 over the two public keys; the name is not in it. */
void cw_card_fingerprint(
    const struct cw_card *card, uint8_t out[CW_CARD_FINGERPRINT_SIZE]);

/*
 * The first 128 bits of a fingerprint as sixteen words, to read aloud: four
 * groups of four, " - " between groups.
 */
void cw_card_fingerprint_words(
    const uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE],
    char out[CW_CARD_WORDS_SIZE]);

/* The same from a card. */
void cw_card_fingerprint_text(
    const struct cw_card *card, char out[CW_CARD_WORDS_SIZE]);

/*
 * The first 64 bits in hex, to tell sites apart in lists.  Too short to
 * decide about trust.
 */
void cw_card_short_id(
    const struct cw_card *card, char out[CW_CARD_SHORT_ID_SIZE]);

#endif
