#include "formats/age/key.h"

#include "base/crypto.h"
#include "formats/age/bech32.h"
#include "formats/age/primitives.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENT_HRP "age"
#define IDENTITY_HRP  "AGE-SECRET-KEY-"

struct key {
	uint8_t scalar[CW_AGE_KEY];
	uint8_t point[CW_AGE_KEY];
};

/* In secure memory as a whole. */
struct cw_age_identity {
	size_t count;
	struct key keys[];
};

static bool
has_prefix(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) &&
	       memcmp(text, prefix, strlen(prefix)) == 0;
}

int
cw_age_recipient_parse(
    const char *text, struct cw_age_recipient *r, struct cw_error *err)
{
	/* Any clamped scalar sends a point of low order to zero. */
	static const uint8_t scalar[CW_AGE_KEY] = {8, [31] = 64};
	uint8_t point[CW_AGE_KEY], product[CW_AGE_KEY];
	size_t len = strlen(text);

	if (has_prefix(text, len, "age1pq1"))
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "age recipient is a hybrid post-quantum one (age1pq1...), "
		    "which is not supported: use one of age-keygen, age1...");
	/* "1" is no character of Bech32 data: here it ends a longer prefix. */
	if (has_prefix(text, len, "age1") && strchr(text + 4, '1') != NULL)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "age recipient is one of a plugin, which is not supported: "
		    "use one of age-keygen, age1...");
	if (!cw_age_bech32_decode(
		RECIPIENT_HRP, text, len, point, sizeof(point)))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "not an age recipient, or mistyped: expected age1 and 58 "
		    "lower-case characters with a matching checksum");
	if (!cw_age_x25519(scalar, point, product))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "age recipient is a point of low order: anyone could open "
		    "what is sealed for it");
	memcpy(r->point, point, sizeof(point));
	return 0;
}

void
cw_age_recipient_format(
    const struct cw_age_recipient *r, char out[CW_AGE_RECIPIENT_TEXT])
{
	cw_age_bech32_encode(RECIPIENT_HRP, r->point, sizeof(r->point), out);
}

static struct cw_age_identity *
identity_new(size_t room)
{
	return cw_secret_alloc(
	    sizeof(struct cw_age_identity) + room * sizeof(struct key));
}

struct cw_age_identity *
cw_age_identity_generate(void)
{
	uint8_t *scalar = cw_secret_alloc(CW_AGE_KEY);
	struct cw_age_identity *id;

	cw_random_secret(scalar, CW_AGE_KEY);
	id = cw_age_identity_from_scalar(scalar);
	cw_secret_free(scalar);
	return id;
}

struct cw_age_identity *
cw_age_identity_from_scalar(const uint8_t scalar[CW_AGE_KEY])
{
	struct cw_age_identity *id = identity_new(1);

	id->count = 1;
	memcpy(id->keys[0].scalar, scalar, CW_AGE_KEY);
	/* The base point is of prime order, so this cannot be zero. */
	(void)cw_age_x25519(id->keys[0].scalar, NULL, id->keys[0].point);
	return id;
}

/* Why a line of a key file is no key of ours. */
static int
refuse_line(const char *line, size_t len, size_t number, struct cw_error *err)
{
	static const struct {
		const char *prefix, *what;
	} known[] = {
	    {"AGE-SECRET-KEY-PQ-1", "a hybrid post-quantum key "
				    "(AGE-SECRET-KEY-PQ-1...)"},
	    {"AGE-PLUGIN-", "a key of a plugin (AGE-PLUGIN-...)"},
	    {"-----BEGIN OPENSSH PRIVATE KEY-----", "an SSH key"},
	    {"-----BEGIN AGE ENCRYPTED FILE-----",
		"a key file sealed with "
		"a passphrase: open it first; here it"},
	    {"age-encryption.org/", "a key file sealed with a passphrase: "
				    "open it first; here it"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (has_prefix(line, len, known[i].prefix))
			return cw_error_set(err, CW_ERR_UNSUPPORTED,
			    "age key file: line %zu is %s is not supported",
			    number, known[i].what);
	return cw_error_set(err, CW_ERR_FORMAT,
	    "age key file: line %zu is neither a comment nor a key with a "
	    "matching checksum (AGE-SECRET-KEY-1...)",
	    number);
}

/* The next line from *at, without its end; false behind the last one. */
static bool
next_line(const char *text, size_t len, size_t *at, const char **line,
    size_t *line_len)
{
	const char *end;

	if (*at >= len)
		return false;
	*line = text + *at;
	end = memchr(*line, '\n', len - *at);
	*line_len = end == NULL ? len - *at : (size_t)(end - *line);
	*at += *line_len + (end != NULL);
	if (*line_len > 0 && (*line)[*line_len - 1] == '\r')
		(*line_len)--;
	return true;
}

static bool
is_key_line(const char *line, size_t len)
{
	return len > 0 && line[0] != '#';
}

int
cw_age_identity_parse(const char *text, size_t len,
    struct cw_age_identity **out, struct cw_error *err)
{
	struct cw_age_identity *id;
	const char *line;
	size_t line_len, count = 0, number = 0, at = 0;

	*out = NULL;
	if (len > CW_AGE_KEY_FILE_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "age key file is %zu bytes, expected at most %u", len,
		    CW_AGE_KEY_FILE_MAX);
	while (next_line(text, len, &at, &line, &line_len)) {
		number++;
		if (!is_key_line(line, line_len))
			continue;
		if (!has_prefix(line, line_len, IDENTITY_HRP "1"))
			return refuse_line(line, line_len, number, err);
		count++;
	}
	if (count == 0 || count > CW_AGE_IDENTITIES_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "age key file holds %zu keys, expected 1 to %u", count,
		    CW_AGE_IDENTITIES_MAX);

	id = identity_new(count);
	at = number = 0;
	while (next_line(text, len, &at, &line, &line_len)) {
		struct key *key = &id->keys[id->count];

		number++;
		if (!is_key_line(line, line_len))
			continue;
		if (!cw_age_bech32_decode(IDENTITY_HRP, line, line_len,
			key->scalar, CW_AGE_KEY)) {
			cw_age_identity_free(id);
			return refuse_line(line, line_len, number, err);
		}
		(void)cw_age_x25519(key->scalar, NULL, key->point);
		id->count++;
	}
	*out = id;
	return 0;
}

char *
cw_age_identity_format(const struct cw_age_identity *id, const char *created)
{
	static const char head[] = "# created: ", public[] = "# public key: ";
	size_t size = 1, len = 0;
	char *text;

	if (created != NULL)
		size += sizeof(head) + strlen(created);
	size += id->count *
		(sizeof(public) + CW_AGE_RECIPIENT_TEXT + CW_AGE_IDENTITY_TEXT);
	text = cw_secret_alloc(size);
	if (created != NULL)
		len += (size_t)snprintf(text, size, "%s%s\n", head, created);
	for (size_t i = 0; i < id->count; i++) {
		memcpy(text + len, public, sizeof(public) - 1);
		len += sizeof(public) - 1;
		cw_age_bech32_encode(
		    RECIPIENT_HRP, id->keys[i].point, CW_AGE_KEY, text + len);
		len += CW_AGE_RECIPIENT_TEXT;
		text[len - 1] = '\n';
		cw_age_bech32_encode(
		    IDENTITY_HRP, id->keys[i].scalar, CW_AGE_KEY, text + len);
		len += CW_AGE_IDENTITY_TEXT;
		text[len - 1] = '\n';
	}
	text[len] = '\0';
	return text;
}

size_t
cw_age_identity_count(const struct cw_age_identity *id)
{
	return id->count;
}

void
cw_age_identity_recipient(
    const struct cw_age_identity *id, struct cw_age_recipient *r)
{
	memcpy(r->point, id->keys[0].point, sizeof(r->point));
}

const uint8_t *
cw_age_identity_scalar(const struct cw_age_identity *id, size_t i)
{
	return id->keys[i].scalar;
}

const uint8_t *
cw_age_identity_point(const struct cw_age_identity *id, size_t i)
{
	return id->keys[i].point;
}

void
cw_age_identity_free(struct cw_age_identity *id)
{
	cw_secret_free(id);
}
