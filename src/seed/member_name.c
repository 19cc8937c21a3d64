#include "seed/member_name.h"

#include <string.h>

#define MARK   ".causeway-part-"
#define OF     "-of-"
#define DIGITS 4u
#define SUFFIX (sizeof(MARK) - 1 + DIGITS + sizeof(OF) - 1 + DIGITS)

_Static_assert(SUFFIX + 1 == CW_PART_SUFFIX_SIZE, "the size in the header");

static bool
digits(const char *text, uint32_t *value)
{
	*value = 0;
	for (size_t i = 0; i < DIGITS; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*value = *value * 10 + (uint32_t)(text[i] - '0');
	}
	return *value > 0;
}

bool
cw_member_name_parse(const char *path, size_t len, size_t *base_len,
    uint32_t *part, uint32_t *parts)
{
	const char *at;

	if (len <= SUFFIX)
		return false;
	at = path + len - SUFFIX;
	if (at[-1] == '/' || memcmp(at, MARK, sizeof(MARK) - 1) != 0)
		return false;
	at += sizeof(MARK) - 1;
	if (!digits(at, part) || memcmp(at + DIGITS, OF, sizeof(OF) - 1) != 0 ||
	    !digits(at + DIGITS + sizeof(OF) - 1, parts) || *part > *parts)
		return false;
	*base_len = len - SUFFIX;
	return true;
}

const char *
cw_member_name_make(struct cw_buf *out, const char *path, size_t len,
    uint32_t part, uint32_t parts)
{
	size_t base_len;
	uint32_t a, b;

	cw_buf_append(out, path, len);
	if (parts > 0)
		cw_buf_printf(out, MARK "%04u" OF "%04u", part, parts);
	else if (cw_member_name_parse(path, len, &base_len, &a, &b))
		cw_buf_text(out, MARK "0001" OF "0001");
	return cw_buf_string(out);
}
