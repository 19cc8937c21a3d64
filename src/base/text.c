#include "base/text.h"

#include "base/bytes.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

size_t
cw_text_printable(const char *at, size_t len)
{
	const uint8_t *text = (const uint8_t *)at;
	uint32_t point;
	size_t need;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f ? 1 : 0;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		need = 2;
	else if (text[0] >= 0xe0 && text[0] <= 0xef)
		need = 3;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		need = 4;
	else
		return 0;
	if (len < need)
		return 0;
	point = text[0] & (0xffu >> (need + 1));
	for (size_t i = 1; i < need; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3fu);
	}
	if ((need == 3 && point < 0x800) || (need == 4 && point < 0x10000) ||
	    point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	/* C1 controls, and the marks that turn the direction of a line. */
	if (point < 0xa0 || (point >= 0x200b && point <= 0x200f) ||
	    (point >= 0x2028 && point <= 0x202e) ||
	    (point >= 0x2066 && point <= 0x2069) || point == 0xfeff)
		return 0;
	return need;
}

/*
 * What stands for the bytes at name (len > 0): up to PIECE_MAX characters and
 * a NUL in out.  Returns how many bytes it stands for.
 */
#define PIECE_MAX 4u
static size_t
quote_piece(const char *name, size_t len, char out[PIECE_MAX + 1])
{
	size_t n = cw_text_printable(name, len);

	if (n == 0) {
		(void)snprintf(
		    out, PIECE_MAX + 1, "\\x%02x", (unsigned char)name[0]);
		return 1;
	}
	if (n == 1 && name[0] == '\\') {
		memcpy(out, "\\\\", 3);
		return 1;
	}
	memcpy(out, name, n);
	out[n] = '\0';
	return n;
}

void
cw_text_quote(const char *name, size_t len, char out[CW_QUOTE_MAX])
{
	char piece[PIECE_MAX + 1];
	size_t at = 0;

	for (size_t i = 0; i < len;) {
		size_t n;

		/* Room for the longest piece, the dots and the NUL. */
		if (at + PIECE_MAX + 3 + 1 > CW_QUOTE_MAX) {
			memcpy(out + at, "...", 3);
			at += 3;
			break;
		}
		i += quote_piece(name + i, len - i, piece);
		n = strlen(piece);
		memcpy(out + at, piece, n);
		at += n;
	}
	out[at] = '\0';
}

void
cw_text_quote_whole(const char *name, size_t len, struct cw_buf *out)
{
	char piece[PIECE_MAX + 1];

	for (size_t i = 0; i < len;) {
		i += quote_piece(name + i, len - i, piece);
		cw_buf_text(out, piece);
	}
}

void
cw_text_bytes(uint64_t bytes, char out[CW_TEXT_MAX])
{
	static const char *const units[] = {
	    "B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit < 6) {
		value /= 1000;
		unit++;
	}
	(void)snprintf(out, CW_TEXT_MAX, "%.*f %s",
	    unit == 0 || value >= 99.95 ? 0
	    : value >= 9.995		? 1
					: 2,
	    value, units[unit]);
}

void
cw_text_seconds(double seconds, char out[CW_TEXT_MAX])
{
	long long s = (long long)(seconds + 0.5);

	if (seconds < 10)
		(void)snprintf(out, CW_TEXT_MAX, "%.1f s", seconds);
	else if (s < 120)
		(void)snprintf(out, CW_TEXT_MAX, "%lld s", s);
	else if (s < 7200)
		(void)snprintf(
		    out, CW_TEXT_MAX, "%lld min %lld s", s / 60, s % 60);
	else if (s < 2 * 86400)
		(void)snprintf(
		    out, CW_TEXT_MAX, "%lld h %lld min", s / 3600, s / 60 % 60);
	else
		(void)snprintf(out, CW_TEXT_MAX, "%lld d %lld h", s / 86400,
		    s / 3600 % 24);
}

void
cw_text_count(uint64_t count, char out[CW_TEXT_MAX])
{
	char digits[24];
	int len =
	    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	size_t at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

void
cw_time_format(int64_t seconds, char out[CW_TIME_TEXT])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 ||
	    tm.tm_year > 9999 - 1900) {
		memcpy(out, "0000-00-00T00:00:00Z", CW_TIME_TEXT);
		return;
	}
	(void)strftime(out, CW_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	/* glibc writes years below 1000 without leading zeros. */
	if (strlen(out) != CW_TIME_TEXT - 1)
		memcpy(out, "0000-00-00T00:00:00Z", CW_TIME_TEXT);
}

bool
cw_time_parse(const char *text, size_t len, int64_t *seconds)
{
	char copy[CW_TIME_TEXT], again[CW_TIME_TEXT];
	struct tm tm = {0};
	const char *end;
	time_t t;

	if (len != CW_TIME_TEXT - 1)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	end = strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end == NULL || *end != '\0')
		return false;
	t = timegm(&tm);
	/* Only one text for each time: no 60th second, no 31 February. */
	cw_time_format((int64_t)t, again);
	if (strcmp(copy, again) != 0)
		return false;
	*seconds = (int64_t)t;
	return true;
}

bool
cw_size_parse(const char *text, uint64_t *size)
{
	static const char units[] = "kMGT";
	size_t len = strlen(text);
	unsigned shift = 0;
	uint64_t value;

	if (len > 1) {
		char last = text[len - 1] == 'K' ? 'k' : text[len - 1];
		const char *unit = strchr(units, last);

		if (unit != NULL) {
			shift = 10 * (unsigned)(unit - units + 1);
			len--;
		}
	}
	if (!cw_decimal_parse(text, len, UINT64_MAX >> shift, &value))
		return false;
	*size = value << shift;
	return true;
}
