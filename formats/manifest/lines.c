#include "formats/manifest/lines.h"

#include "base/bytes.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void
cw_lines_begin(
    struct cw_lines *lines, const char *what, const char *text, size_t len)
{
	memset(lines, 0, sizeof(*lines));
	lines->what = what;
	lines->at = text;
	lines->len = len;
}

int
cw_lines_error(
    const struct cw_lines *lines, struct cw_error *err, const char *fmt, ...)
{
	char problem[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	return cw_error_set(err, CW_ERR_FORMAT, "%s, line %zu: %s", lines->what,
	    lines->number, problem);
}

int
cw_lines_next(struct cw_lines *lines, struct cw_error *err)
{
	const char *end =
	    lines->len == 0 ? NULL : memchr(lines->at, '\n', lines->len);

	lines->number++;
	if (end == NULL)
		return cw_lines_error(lines, err, "%s",
		    lines->len == 0 ? "text ends too early"
				    : "no newline at its end");
	lines->value = lines->at;
	lines->value_len = (size_t)(end - lines->at);
	lines->at = end + 1;
	lines->len -= lines->value_len + 1;
	return 0;
}

int
cw_lines_take(struct cw_lines *lines, const char *key, struct cw_error *err)
{
	size_t len = strlen(key);

	if (cw_lines_next(lines, err) < 0)
		return -1;
	if (lines->value_len <= len || memcmp(lines->value, key, len) != 0 ||
	    lines->value[len] != ' ')
		return cw_lines_error(
		    lines, err, "expected \"%s\" and its value", key);
	lines->value += len + 1;
	lines->value_len -= len + 1;
	return 0;
}

int
cw_lines_version(struct cw_lines *lines, const char *key, struct cw_error *err)
{
	uint64_t version;

	if (cw_lines_number(lines, key, 0, UINT32_MAX, &version, err) < 0)
		return -1;
	if (version != 1)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "%s is of version %llu, expected 1", lines->what,
		    (unsigned long long)version);
	return 0;
}

int
cw_lines_prefix(
    struct cw_lines *lines, const char *prefix, struct cw_error *err)
{
	size_t prefix_len = strlen(prefix), len;
	const char *word;
	uint64_t version;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (len <= prefix_len || memcmp(word, prefix, prefix_len) != 0 ||
	    !cw_decimal_parse(
		word + prefix_len, len - prefix_len, UINT32_MAX, &version))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "not a %s: it does not begin with \"%s1 \"", lines->what,
		    prefix);
	if (version != 1)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "%s is of version %llu, expected 1", lines->what,
		    (unsigned long long)version);
	return 0;
}

int
cw_lines_number(struct cw_lines *lines, const char *key, uint64_t min,
    uint64_t max, uint64_t *out, struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0 ||
	    cw_lines_word_number(lines, min, max, out, err) < 0)
		return -1;
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "more than one value");
	return 0;
}

int
cw_lines_hex(struct cw_lines *lines, const char *key, uint8_t *out, size_t len,
    struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0)
		return -1;
	if (!cw_hex_decode(lines->value, lines->value_len, out, len))
		return cw_lines_error(
		    lines, err, "expected %zu hexadecimal digits", 2 * len);
	return 0;
}

int
cw_lines_time(
    struct cw_lines *lines, const char *key, int64_t *out, struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0)
		return -1;
	if (!cw_time_parse(lines->value, lines->value_len, out))
		return cw_lines_error(
		    lines, err, "expected a time like 2026-11-22T12:00:00Z");
	return 0;
}

int
cw_lines_word(struct cw_lines *lines, const char **word, size_t *len,
    struct cw_error *err)
{
	const char *end;

	if (lines->value == NULL)
		return cw_lines_error(lines, err, "too few values");
	end = memchr(lines->value, ' ', lines->value_len);
	*word = lines->value;
	*len = end == NULL ? lines->value_len : (size_t)(end - lines->value);
	/* NULL says that the line is at its end, "" that a space ended it. */
	lines->value = end == NULL ? NULL : end + 1;
	lines->value_len -= *len + (end != NULL);
	return 0;
}

int
cw_lines_word_number(struct cw_lines *lines, uint64_t min, uint64_t max,
    uint64_t *out, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!cw_decimal_parse(word, len, max, out) || *out < min)
		return cw_lines_error(lines, err,
		    "expected a number from %llu to %llu",
		    (unsigned long long)min, (unsigned long long)max);
	return 0;
}

int
cw_lines_end(const struct cw_lines *lines, struct cw_error *err)
{
	if (lines->len != 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s, line %zu: expected the end", lines->what,
		    lines->number + 1);
	return 0;
}
