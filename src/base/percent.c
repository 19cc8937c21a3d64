#include "base/percent.h"

#include "base/bytes.h"

#include <stdint.h>
#include <stdlib.h>

static bool
is_plain(char c, bool with_spaces)
{
	return (c > ' ' || (with_spaces && c == ' ')) && c <= '~' && c != '%';
}

void
cw_percent_put(struct cw_buf *buf, const char *text, bool with_spaces)
{
	for (; *text != '\0'; text++) {
		if (is_plain(*text, with_spaces))
			cw_buf_append(buf, text, 1);
		else
			cw_buf_printf(buf, "%%%02x", (unsigned char)*text);
	}
}

char *
cw_percent_take(const char *text, size_t len, bool with_spaces)
{
	char *out = cw_calloc(len + 1, 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];

		if (text[i] == '%') {
			if (len - i < 3 ||
			    !cw_hex_decode(text + i + 1, 2, &byte, 1) ||
			    byte == 0 || is_plain((char)byte, with_spaces))
				goto bad;
			i += 2;
		} else if (!is_plain(text[i], with_spaces)) {
			goto bad;
		}
		out[n++] = (char)byte;
	}
	return out;
bad:
	free(out);
	return NULL;
}
