/*
 * Any bytes in a line of text: what is printable ASCII stays, everything else
 * and '%' becomes '%' and two lower-case hex digits.  Each text has one form.
 */
#ifndef CW_BASE_PERCENT_H
#define CW_BASE_PERCENT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends text; with_spaces: a space stays one, where no word ends with it. */
void cw_percent_put(struct cw_buf *buf, const char *text, bool with_spaces);

/*
 * The bytes that a line stands for, ended by NUL and the caller's to free;
 * NULL if it is not their one form, or holds a NUL.
 */
char *cw_percent_take(const char *text, size_t len, bool with_spaces);

#endif
