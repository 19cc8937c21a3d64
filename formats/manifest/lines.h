/*
 * Reading text of records: one a line, "key value", in a fixed order, each
 * line ended by one newline.  Each function takes the next line or says what
 * is wrong with it, by number.
 */
#ifndef CW_FORMATS_MANIFEST_LINES_H
#define CW_FORMATS_MANIFEST_LINES_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct cw_lines {
	const char *what; /* "manifest", for messages */
	const char *at;	  /* what is still to be read */
	size_t len;
	size_t number;	   /* of the line last taken, from 1 */
	const char *value; /* what is left of that line, not NUL-terminated */
	size_t value_len;
};

/* text is used as long as lines is. */
void cw_lines_begin(
    struct cw_lines *lines, const char *what, const char *text, size_t len);

/* "WHAT, line N: PROBLEM", CW_ERR_FORMAT; returns -1. */
int cw_lines_error(const struct cw_lines *lines, struct cw_error *err,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Takes a whole line into value; it must have its newline. */
int cw_lines_next(struct cw_lines *lines, struct cw_error *err);

/* Takes a line that begins with key and a space; the rest is the value. */
int cw_lines_take(
    struct cw_lines *lines, const char *key, struct cw_error *err);

/* Takes "key 1"; another decimal number is CW_ERR_UNSUPPORTED. */
int cw_lines_version(
    struct cw_lines *lines, const char *key, struct cw_error *err);

/*
 * Takes "PREFIX1 ", as a line that stands alone begins.  Another number is
 * CW_ERR_UNSUPPORTED, anything else "not a WHAT".
 */
int cw_lines_prefix(
    struct cw_lines *lines, const char *prefix, struct cw_error *err);

/* Takes "key N" with min <= N <= max. */
int cw_lines_number(struct cw_lines *lines, const char *key, uint64_t min,
    uint64_t max, uint64_t *out, struct cw_error *err);

/* Takes "key HEX" of exactly len bytes. */
int cw_lines_hex(struct cw_lines *lines, const char *key, uint8_t *out,
    size_t len, struct cw_error *err);

/* Takes "key TIME", RFC 3339 in UTC to the second. */
int cw_lines_time(struct cw_lines *lines, const char *key, int64_t *out,
    struct cw_error *err);

/*
 * Takes a word off the front of value: up to a space or, for the last one,
 * the end of the line.  Then value is what follows the space.
 */
int cw_lines_word(struct cw_lines *lines, const char **word, size_t *len,
    struct cw_error *err);

/* The same as a number. */
int cw_lines_word_number(struct cw_lines *lines, uint64_t min, uint64_t max,
    uint64_t *out, struct cw_error *err);

/* Nothing is left. */
int cw_lines_end(const struct cw_lines *lines, struct cw_error *err);

#endif
