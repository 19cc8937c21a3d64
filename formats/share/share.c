#include "formats/share/share.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/manifest/lines.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define GROUPS	    8u /* of data */
#define GROUP_DATA  4u
#define GROUP_BYTES 5u /* data and a check byte; or the last group's check */
#define GROUP_CHARS 8u
#define HEAD_SIZE   (3 + CW_SHARE_KEY_SIZE + CW_SHARE_SPLIT_SIZE)
#define DOMAIN	    "causeway-share-1\n"
#define DOMAIN_SIZE (sizeof(DOMAIN) - 1)

/* That of Bech32: neither 1 nor b, i, o. */
static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* Five bytes are eight characters, most significant bits first. */
static void
put_group(const uint8_t bytes[GROUP_BYTES], char out[GROUP_CHARS])
{
	uint64_t bits = 0;

	for (size_t i = 0; i < GROUP_BYTES; i++)
		bits = bits << 8 | bytes[i];
	for (size_t i = 0; i < GROUP_CHARS; i++)
		out[i] = alphabet[bits >> (35 - 5 * i) & 31];
}

static bool
take_group(const char *text, uint8_t out[GROUP_BYTES])
{
	uint64_t bits = 0;

	for (size_t i = 0; i < GROUP_CHARS; i++) {
		const char *at = memchr(alphabet, text[i], 32);

		if (at == NULL)
			return false;
		bits = bits << 5 | (uint64_t)(at - alphabet);
	}
	for (size_t i = 0; i < GROUP_BYTES; i++)
		out[i] = (uint8_t)(bits >> (32 - 8 * i));
	return true;
}

static void
put_head(const struct cw_share *s, uint8_t head[HEAD_SIZE])
{
	head[0] = s->needed;
	head[1] = s->made;
	head[2] = s->index;
	memcpy(head + 3, s->key, CW_SHARE_KEY_SIZE);
	memcpy(head + 3 + CW_SHARE_KEY_SIZE, s->split, CW_SHARE_SPLIT_SIZE);
}

/*
 * What checks group i (from 0); GROUPS: the last one, which checks them all.
 * A group's check covers the group alone, and its place, so that it is that
 * group that is named.
 */
static void
digest(const struct cw_share *s, unsigned group, uint8_t out[CW_SHA256_SIZE])
{
	uint8_t *text =
	    cw_secret_alloc(DOMAIN_SIZE + HEAD_SIZE + 1 + CW_SHARE_DATA_SIZE);
	size_t len = DOMAIN_SIZE;

	memcpy(text, DOMAIN, DOMAIN_SIZE);
	text[len++] = (uint8_t)group;
	if (group < GROUPS) {
		memcpy(text + len, s->data + group * GROUP_DATA, GROUP_DATA);
		len += GROUP_DATA;
	} else {
		put_head(s, text + len);
		len += HEAD_SIZE;
		memcpy(text + len, s->data, CW_SHARE_DATA_SIZE);
		len += CW_SHARE_DATA_SIZE;
	}
	cw_sha256(text, len, out);
	cw_secret_free(text);
}

static void
make_group(const struct cw_share *s, unsigned group, uint8_t out[GROUP_BYTES])
{
	uint8_t sum[CW_SHA256_SIZE];

	digest(s, group, sum);
	if (group == GROUPS) {
		memcpy(out, sum, GROUP_BYTES);
	} else {
		memcpy(out, s->data + group * GROUP_DATA, GROUP_DATA);
		out[GROUP_DATA] = sum[0];
	}
	explicit_bzero(sum, sizeof(sum));
}

static bool
is_valid(const struct cw_share *s)
{
	return s->needed >= CW_SHARE_NEEDED_MIN && s->needed <= s->made &&
	       s->index >= 1 && s->index <= s->made;
}

void
cw_share_encode(const struct cw_share *s, char out[CW_SHARE_TEXT_SIZE])
{
	char key[2 * CW_SHARE_KEY_SIZE + 1], split[2 * CW_SHARE_SPLIT_SIZE + 1];
	uint8_t bytes[GROUP_BYTES];
	size_t len;

	assert(is_valid(s));
	cw_hex_encode(s->key, CW_SHARE_KEY_SIZE, key);
	cw_hex_encode(s->split, CW_SHARE_SPLIT_SIZE, split);
	len = (size_t)snprintf(out, CW_SHARE_TEXT_SIZE,
	    CW_SHARE_PREFIX " %u/%u/%u %s %s", s->index, s->needed, s->made,
	    key, split);
	for (unsigned i = 0; i <= GROUPS; i++) {
		out[len++] = ' ';
		make_group(s, i, bytes);
		put_group(bytes, out + len);
		len += GROUP_CHARS;
	}
	out[len] = '\0';
	explicit_bzero(bytes, sizeof(bytes));
}

/* "2/3/5": the number, how many are needed, how many were made. */
static bool
parse_counts(const char *text, size_t len, struct cw_share *s)
{
	uint8_t *const out[3] = {&s->index, &s->needed, &s->made};
	const char *end = text + len;

	for (size_t i = 0; i < 3; i++) {
		const char *slash =
		    i == 2 ? end : memchr(text, '/', (size_t)(end - text));
		uint64_t n;

		if (slash == NULL ||
		    !cw_decimal_parse(
			text, (size_t)(slash - text), CW_SHARE_MADE_MAX, &n))
			return false;
		*out[i] = (uint8_t)n;
		text = slash + (i < 2);
	}
	return is_valid(s);
}

static int
take_head(struct cw_lines *l, struct cw_share *s, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_prefix(l, "causeway-share", err) < 0)
		return -1;
	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (!parse_counts(word, len, s))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: its second word is not like 2/3/5 (this share's "
		    "number, how many are needed, how many there are)");
	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (!cw_hex_decode(word, len, s->key, CW_SHARE_KEY_SIZE))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: its third word, the key's, is not %u hexadecimal "
		    "digits",
		    2 * CW_SHARE_KEY_SIZE);
	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (!cw_hex_decode(word, len, s->split, CW_SHARE_SPLIT_SIZE))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: its fourth word, the split's, is not %u "
		    "hexadecimal digits",
		    2 * CW_SHARE_SPLIT_SIZE);
	return 0;
}

/* Takes group i, from 0. */
static int
check_group(
    struct cw_lines *l, struct cw_share *s, unsigned i, struct cw_error *err)
{
	uint8_t bytes[GROUP_BYTES], expected[GROUP_BYTES];
	const char *word;
	bool is_right;
	size_t len;

	if (l->value == NULL)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: it ends after %u groups of %u characters, expected "
		    "%u",
		    i, GROUP_CHARS, GROUPS + 1);
	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (len != GROUP_CHARS)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: group %u after the split's word has %zu "
		    "characters, expected %u",
		    i + 1, len, GROUP_CHARS);
	if (!take_group(word, bytes))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: group %u after the split's word has a character "
		    "that no share has (1, b, i, o and capitals are none)",
		    i + 1);
	if (i < GROUPS)
		memcpy(s->data + i * GROUP_DATA, bytes, GROUP_DATA);
	make_group(s, i, expected);
	is_right = cw_secret_equal(bytes, expected, GROUP_BYTES);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(expected, sizeof(expected));
	if (is_right)
		return 0;
	if (i < GROUPS)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share: a character of group %u after the split's word is "
		    "wrong",
		    i + 1);
	return cw_error_set(err, CW_ERR_FORMAT,
	    "share: a character is wrong in the last group, or in the words "
	    "before the groups");
}

int
cw_share_decode(
    const char *text, size_t len, struct cw_share *s, struct cw_error *err)
{
	struct cw_share *found;
	struct cw_lines l;
	int ret = -1;

	if (len >= CW_SHARE_TEXT_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "share is %zu bytes, expected less than %u", len,
		    CW_SHARE_TEXT_SIZE);
	found = cw_secret_alloc(sizeof(*found));
	memset(found, 0, sizeof(*found));
	cw_lines_begin(&l, "share", text, len);
	l.value = text;
	l.value_len = len;
	l.number = 1;
	if (take_head(&l, found, err) < 0)
		goto out;
	for (unsigned i = 0; i <= GROUPS; i++)
		if (check_group(&l, found, i, err) < 0)
			goto out;
	if (l.value != NULL) {
		cw_error_set(err, CW_ERR_FORMAT,
		    "share: more follows behind its %u groups", GROUPS + 1);
		goto out;
	}
	*s = *found;
	ret = 0;
out:
	cw_secret_free(found);
	return ret;
}
