#include "formats/age/bech32.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static const char lower[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
static const char upper[] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

static const char *
alphabet(const char *hrp)
{
	for (; *hrp != '\0'; hrp++)
		if (isupper((unsigned char)*hrp))
			return upper;
	return lower;
}

/* One step of BIP 173's checksum: value is five bits. */
static uint32_t
step(uint32_t sum, unsigned value)
{
	static const uint32_t generator[5] = {
	    0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ value;
	for (int i = 0; i < 5; i++)
		sum ^= (top >> i & 1) != 0 ? generator[i] : 0;
	return sum;
}

/* The checksum counts the prefix in lower case. */
static uint32_t
begin(const char *hrp)
{
	uint32_t sum = 1;

	for (const char *c = hrp; *c != '\0'; c++)
		sum = step(sum, (unsigned)tolower((unsigned char)*c) >> 5);
	sum = step(sum, 0);
	for (const char *c = hrp; *c != '\0'; c++)
		sum = step(sum, (unsigned)tolower((unsigned char)*c) & 31);
	return sum;
}

void
cw_age_bech32_encode(
    const char *hrp, const uint8_t *data, size_t len, char *out)
{
	const char *chars = alphabet(hrp);
	uint32_t sum = begin(hrp), bits = 0;
	size_t hrp_len = strlen(hrp);
	int have = 0;

	assert(len <= 64);
	memcpy(out, hrp, hrp_len);
	out += hrp_len;
	*out++ = '1';
	for (size_t i = 0; i < len || have > 0;) {
		unsigned value;

		if (have < 5 && i < len) {
			bits = (bits << 8 | data[i++]) & 0xfff;
			have += 8;
		} else if (have < 5) {
			bits <<= 5 - have;
			have = 5;
		}
		value = bits >> (have - 5) & 31;
		have -= 5;
		sum = step(sum, value);
		*out++ = chars[value];
	}
	for (int i = 0; i < 6; i++)
		sum = step(sum, 0);
	sum ^= 1;
	for (int i = 5; i >= 0; i--)
		*out++ = chars[sum >> (5 * i) & 31];
	*out = '\0';
}

bool
cw_age_bech32_decode(const char *hrp, const char *text, size_t text_len,
    uint8_t *out, size_t len)
{
	const char *chars = alphabet(hrp);
	size_t hrp_len = strlen(hrp), n = 0;
	uint32_t sum = begin(hrp), bits = 0;
	int have = 0;

	if (text_len != CW_AGE_BECH32_LEN(hrp_len, len) ||
	    memcmp(text, hrp, hrp_len) != 0 || text[hrp_len] != '1')
		return false;
	for (size_t i = hrp_len + 1; i < text_len; i++) {
		const char *at =
		    text[i] == '\0' ? NULL : strchr(chars, text[i]);
		unsigned value;

		if (at == NULL)
			return false;
		value = (unsigned)(at - chars);
		sum = step(sum, value);
		if (i >= text_len - 6)
			continue;
		bits = (bits << 5 | value) & 0xfff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	/* What is left over is padding: less than five bits, all zero. */
	return sum == 1 && n == len && (bits & ((1u << have) - 1)) == 0;
}
