/*
 * Lists of numbers for people: "1-19, 23".
 */
#ifndef CW_CLI_RANGES_H
#define CW_CLI_RANGES_H

#include "base/buf.h"

#include <stddef.h>

/*
 * Appends ascending numbers, which text has with spaces between them, as
 * ranges: no more than 10, then "and N more".  Returns how many numbers there
 * are; what is no number ends them.
 */
size_t cw_cli_ranges(const char *text, struct cw_buf *out);

#endif
