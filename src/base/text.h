/*
 * Text for people: names made of any bytes shown safely, sizes and durations
 * as one says them, times as RFC 3339, sizes as operators type them.
 */
#ifndef CW_BASE_TEXT_H
#define CW_BASE_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_QUOTE_MAX 512u

/*
 * A name for a message: bytes that are not printable UTF-8 become \xHH, a
 * backslash becomes \\; what does not fit ends in "...".
 */
void cw_text_quote(const char *name, size_t len, char out[CW_QUOTE_MAX]);
/* The same, appended to out, however long it is. */
void cw_text_quote_whole(const char *name, size_t len, struct cw_buf *out);

/*
 * Bytes of the UTF-8 sequence at text (len > 0) that may be shown as it is; 0
 * for controls, marks that turn the direction of a line, and what is no UTF-8.
 */
size_t cw_text_printable(const char *text, size_t len);

/* "1.64 GB" (powers of ten), "12 s", "3 min 20 s". */
#define CW_TEXT_MAX 32u
void cw_text_bytes(uint64_t bytes, char out[CW_TEXT_MAX]);
void cw_text_seconds(double seconds, char out[CW_TEXT_MAX]);
void cw_text_count(uint64_t count, char out[CW_TEXT_MAX]); /* "12,345" */

/* UTC, to the second: "2026-11-22T12:00:00Z"; 20 characters and a NUL. */
#define CW_TIME_TEXT 21u
void cw_time_format(int64_t seconds, char out[CW_TIME_TEXT]);
bool cw_time_parse(const char *text, size_t len, int64_t *seconds);

/*
 * "4096", "64k", "16M", "2G", "1T": powers of 1024.  Returns false for
 * anything else and for what does not fit.
 */
bool cw_size_parse(const char *text, uint64_t *size);

#endif
