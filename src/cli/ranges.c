#include "cli/ranges.h"

#include <ctype.h>
#include <stdlib.h>

#define RANGES_MAX 10u

static void
put(struct cw_buf *out, size_t *ranges, size_t *more, unsigned long first,
    unsigned long last)
{
	if (*ranges == RANGES_MAX) {
		*more += last - first + 1;
		return;
	}
	cw_buf_printf(out, "%s%lu", *ranges > 0 ? ", " : "", first);
	if (last > first)
		cw_buf_printf(out, "-%lu", last);
	(*ranges)++;
}

size_t
cw_cli_ranges(const char *text, struct cw_buf *out)
{
	unsigned long first = 0, last = 0;
	size_t count = 0, ranges = 0, more = 0;

	for (;;) {
		unsigned long n;
		char *end;

		while (*text == ' ')
			text++;
		if (!isdigit((unsigned char)*text))
			break;
		n = strtoul(text, &end, 10);
		text = end;
		if (count > 0 && n == last + 1) {
			last = n;
		} else {
			if (count > 0)
				put(out, &ranges, &more, first, last);
			first = last = n;
		}
		count++;
	}
	if (count > 0)
		put(out, &ranges, &more, first, last);
	if (more > 0)
		cw_buf_printf(out, " and %zu more", more);
	return count;
}
