#include "formats/age/armor.h"

#include "base/bytes.h"

#include <string.h>

#define FIRST_LINE "-----BEGIN AGE ENCRYPTED FILE-----"
#define LAST_LINE  "-----END AGE ENCRYPTED FILE-----"
#define SPACES_MAX 1024u /* what stock age tolerates around the armor */

static int
refuse(struct cw_error *err, const char *why)
{
	return cw_error_set(err, CW_ERR_FORMAT, "age armor: %s", why);
}

static bool
is_line(const struct cw_age_armor *a, const char *text)
{
	return a->len == strlen(text) && memcmp(a->line, text, a->len) == 0;
}

/* A whole line is in a->line, without its end. */
static int
take_line(struct cw_age_armor *a, uint8_t *out, size_t *n, struct cw_error *err)
{
	if (a->state == CW_AGE_ARMOR_BEGIN) {
		if (!is_line(a, FIRST_LINE))
			return refuse(
			    err, "first line is not \"" FIRST_LINE "\"");
		a->state = CW_AGE_ARMOR_BODY;
		return 0;
	}
	if (is_line(a, LAST_LINE)) {
		a->state = CW_AGE_ARMOR_TRAILING;
		a->spaces = 0;
		return 0;
	}
	if (a->state == CW_AGE_ARMOR_END)
		return refuse(err, "a line follows a short one");
	if (a->len == 0 || a->len > CW_AGE_ARMOR_COLUMNS ||
	    !cw_base64_decode(a->line, a->len, true, out, n))
		return refuse(
		    err, "a line is not 1 to 64 characters of base64");
	if (*n < CW_AGE_ARMOR_BYTES)
		a->state = CW_AGE_ARMOR_END;
	return 0;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int
cw_age_armor_push(struct cw_age_armor *a, char c, uint8_t *out, size_t *n,
    struct cw_error *err)
{
	int ret;

	*n = 0;
	if ((a->state == CW_AGE_ARMOR_LEADING ||
		a->state == CW_AGE_ARMOR_TRAILING) &&
	    is_space(c)) {
		if (++a->spaces > SPACES_MAX)
			return refuse(err, "too much white space around it");
		a->indented = c != '\n';
		return 0;
	}
	if (a->state == CW_AGE_ARMOR_TRAILING)
		return refuse(err, "bytes follow its last line");
	if (a->state == CW_AGE_ARMOR_LEADING) {
		if (a->indented)
			return refuse(err, "its first line is indented");
		a->state = CW_AGE_ARMOR_BEGIN;
	}
	if (c != '\n') {
		if (a->len == sizeof(a->line))
			return refuse(err, "a line is over 64 characters");
		a->line[a->len++] = c;
		return 0;
	}
	if (a->len > 0 && a->line[a->len - 1] == '\r')
		a->len--;
	ret = take_line(a, out, n, err);
	a->len = 0;
	return ret;
}

int
cw_age_armor_finish(struct cw_age_armor *a, struct cw_error *err)
{
	uint8_t out[CW_AGE_ARMOR_BYTES + 3];
	size_t n;

	/* The last line may lack its end. */
	if (a->len > 0 && cw_age_armor_push(a, '\n', out, &n, err) < 0)
		return -1;
	if (a->state != CW_AGE_ARMOR_TRAILING)
		return refuse(err, "its last line is missing");
	return 0;
}
