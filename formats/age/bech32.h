/*
 * Bech32 (BIP 173) as age keys use it: no bound of 90 characters, and the text
 * is all lower or all upper case, as the caller says.  Strict: one text for
 * each value.  For formats/age alone.
 */
#ifndef CW_FORMATS_AGE_BECH32_H
#define CW_FORMATS_AGE_BECH32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of the text, without a NUL: the prefix, "1", data, checksum. */
#define CW_AGE_BECH32_LEN(hrp_len, len) ((hrp_len) + 1 + ((len)*8 + 4) / 5 + 6)

/*
 * Writes the text of len bytes (at most 64) under the human-readable prefix
 * hrp, with a NUL.  The case of hrp, which must be all of one, is that of the
 * text.
 */
void cw_age_bech32_encode(
    const char *hrp, const uint8_t *data, size_t len, char *out);

/*
 * Decodes text that must have exactly the prefix hrp, its case and len bytes.
 * Returns false, with out undefined, for anything else.
 */
bool cw_age_bech32_decode(const char *hrp, const char *text, size_t text_len,
    uint8_t *out, size_t len);

#endif
