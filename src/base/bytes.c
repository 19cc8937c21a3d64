#include "base/bytes.h"

#include <string.h>

static const char base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
cw_hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool
cw_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t len)
{
	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void
cw_base64_encode(const uint8_t *data, size_t len, bool padded, char *out)
{
	size_t i = 0;

	while (i < len) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)data[i] << 16;

		if (have > 1)
			bits |= (uint32_t)data[i + 1] << 8;
		if (have > 2)
			bits |= data[i + 2];
		for (size_t k = 0; k < 4; k++) {
			if (k <= have)
				*out++ = base64[bits >> (18 - 6 * k) & 63];
			else if (padded)
				*out++ = '=';
		}
		i += have;
	}
	*out = '\0';
}

static int
base64_value(char c)
{
	const char *at = c == '\0' ? NULL : strchr(base64, c);

	return at == NULL ? -1 : (int)(at - base64);
}

bool
cw_base64_decode(const char *text, size_t text_len, bool padded, uint8_t *out,
    size_t *out_len)
{
	size_t len = text_len, n = 0;
	uint32_t bits = 0;

	if (padded) {
		if (text_len % 4 != 0)
			return false;
		for (int i = 0; i < 2 && len > 0 && text[len - 1] == '='; i++)
			len--;
	}
	/* One character alone carries six bits: not a byte. */
	if (len % 4 == 1)
		return false;
	if (padded && (len + 3) / 4 * 4 != text_len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		switch (i % 4) {
		case 1:
			out[n++] = (uint8_t)(bits >> 4);
			break;
		case 2:
			out[n++] = (uint8_t)(bits >> 2);
			break;
		case 3:
			out[n++] = (uint8_t)bits;
			break;
		default:
			break;
		}
	}
	if ((len % 4 == 2 && (bits & 15) != 0) ||
	    (len % 4 == 3 && (bits & 3) != 0))
		return false;
	*out_len = n;
	return true;
}

bool
cw_decimal_parse(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (len == 0 || len > 20 || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit;

		if (text[i] < '0' || text[i] > '9')
			return false;
		digit = (uint64_t)(text[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*out = value;
	return true;
}
