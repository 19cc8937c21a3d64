#include "site/role_lines.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"

#include <string.h>

#define SIGNATURE_LEN CW_BASE64_LEN(CW_ED25519_SIGNATURE_SIZE)

bool
role_find_word(const char *const *list, size_t count, const char *word,
    size_t len, size_t *found)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == len && memcmp(list[i], word, len) == 0) {
			*found = i;
			return true;
		}
	return false;
}

bool
role_word_is_none(const char *word, size_t len)
{
	return len == 1 && word[0] == '-';
}

int
role_sign(const struct cw_minisign_secret *secret, const char *domain,
    const void *text, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE],
    struct cw_error *err)
{
	uint8_t hash[CW_SHA256_SIZE];
	struct cw_buf message = CW_BUF_INIT;
	int ret;

	/* A history may be longer than what Ed25519 signs here at once. */
	cw_sha256(text, len, hash);
	cw_buf_text(&message, domain);
	cw_buf_append(&message, hash, sizeof(hash));
	ret = cw_ed25519_sign(secret, message.data, message.len, sig, err);
	cw_buf_free(&message);
	return ret;
}

bool
role_signature_holds(const struct cw_minisign_public *signer,
    const char *domain, const void *text, size_t len,
    const uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	uint8_t hash[CW_SHA256_SIZE];
	struct cw_buf message = CW_BUF_INIT;
	bool holds;

	cw_sha256(text, len, hash);
	cw_buf_text(&message, domain);
	cw_buf_append(&message, hash, sizeof(hash));
	holds =
	    cw_ed25519_verify(signer->point, message.data, message.len, sig);
	cw_buf_free(&message);
	return holds;
}

void
role_put_signature(
    struct cw_buf *text, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	char base64[SIGNATURE_LEN + 1];

	cw_base64_encode(sig, CW_ED25519_SIGNATURE_SIZE, true, base64);
	cw_buf_text(text, base64);
}

bool
role_word_signature(
    const char *word, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	uint8_t bytes[CW_ED25519_SIGNATURE_SIZE + 3];
	size_t got = 0;

	if (len != SIGNATURE_LEN ||
	    !cw_base64_decode(word, len, true, bytes, &got) ||
	    got != CW_ED25519_SIGNATURE_SIZE)
		return false;
	memcpy(sig, bytes, CW_ED25519_SIGNATURE_SIZE);
	return true;
}

void
role_put_key(struct cw_buf *text, const struct cw_minisign_public *key)
{
	char base64[CW_MINISIGN_BASE64_SIZE];

	cw_minisign_public_base64(key, base64);
	cw_buf_text(text, base64);
}

void
role_put_time(struct cw_buf *text, int64_t seconds)
{
	char time[CW_TIME_TEXT];

	cw_time_format(seconds, time);
	cw_buf_text(text, time);
}

/* The line has no more words. */
int
role_line_end(const struct cw_lines *lines, struct cw_error *err)
{
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "too many values");
	return 0;
}

int
role_word_key(struct cw_lines *lines, struct cw_minisign_public *key,
    struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (len != CW_MINISIGN_BASE64_SIZE - 1 ||
	    cw_minisign_public_parse(word, len, key, NULL) < 0)
		return cw_lines_error(
		    lines, err, "no valid minisign public key");
	return 0;
}

int
role_word_time(struct cw_lines *lines, int64_t *seconds, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (!cw_time_parse(word, len, seconds))
		return cw_lines_error(
		    lines, err, "expected a time like 2026-11-22T12:00:00Z");
	return 0;
}

int
role_take_key(struct cw_lines *lines, const char *key,
    struct cw_minisign_public *out, struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0 ||
	    role_word_key(lines, out, err) < 0)
		return -1;
	return role_line_end(lines, err);
}

/* Puts "signature ..." behind what stands in text from `start`. */
int
role_finish_text(struct cw_buf *text, size_t start, const char *domain,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];

	if (role_sign(secret, domain, text->data + start, text->len - start,
		sig, err) < 0) {
		text->len = start;
		return -1;
	}
	cw_buf_text(text, "signature ");
	role_put_signature(text, sig);
	cw_buf_text(text, "\n");
	return 0;
}

/* Takes the last line, and checks it over all that stands before it. */
int
role_check_text(struct cw_lines *lines, const char *text, const char *domain,
    const struct cw_minisign_public *signer, struct cw_error *err)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];
	size_t before = (size_t)(lines->at - text);

	if (cw_lines_take(lines, "signature", err) < 0)
		return -1;
	if (!role_word_signature(lines->value, lines->value_len, sig))
		return cw_lines_error(lines, err, "no valid signature");
	if (lines->len > 0)
		return cw_lines_error(
		    lines, err, "something follows the signature");
	if (!role_signature_holds(signer, domain, text, before, sig))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "%s: the signature is wrong", lines->what);
	return 0;
}
