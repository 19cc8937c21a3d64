/*
 * Bytes and numbers: little- and big-endian fields, hexadecimal and base64
 * text.  Decoders are strict: one valid text for each value.
 */
#ifndef CW_BASE_BYTES_H
#define CW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t
cw_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t
cw_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static inline uint64_t
cw_get_le64(const uint8_t *p)
{
	return (uint64_t)cw_get_le32(p) | (uint64_t)cw_get_le32(p + 4) << 32;
}

static inline void
cw_put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void
cw_put_le64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void
cw_put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * (7 - i)));
}

/* Lower-case hex; out holds 2 * len characters and a NUL. */
void cw_hex_encode(const uint8_t *data, size_t len, char *out);
/*
 * Exactly 2 * len lower-case hex digits at text (text_len of them) become len
 * bytes.  Returns false, with out undefined, for anything else.
 */
bool cw_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t len);

/* Characters of the base64 text of len bytes, without a NUL. */
#define CW_BASE64_LEN(len)     (((len) + 2) / 3 * 4)
#define CW_BASE64_RAW_LEN(len) (((len)*4 + 2) / 3)

/* RFC 4648 section 4; padded or not.  Writes a NUL behind the text. */
void cw_base64_encode(const uint8_t *data, size_t len, bool padded, char *out);
/*
 * Decodes canonical base64 only: the exact padding (none if !padded), zero
 * trailing bits, no white space.  out holds text_len / 4 * 3 + 3 bytes.
 * Returns false for anything else.
 */
bool cw_base64_decode(const char *text, size_t text_len, bool padded,
    uint8_t *out, size_t *out_len);

/*
 * A decimal number without sign, leading zeros or anything behind it, at most
 * max.  Returns false for anything else.
 */
bool cw_decimal_parse(
    const char *text, size_t len, uint64_t max, uint64_t *out);

#endif
