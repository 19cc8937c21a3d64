#include "formats/age/wrap.h"

#include "base/bytes.h"
#include "base/crypto.h"

#include <stdio.h>
#include <string.h>

#define X25519_INFO "age-encryption.org/v1/X25519"
#define SALT	    16u
#define WRAPPED	    (CW_AGE_FILE_KEY + CW_AGE_AEAD_TAG)

/* Every wrapping key is fresh, so its only nonce is zero. */
static const uint8_t zero_nonce[CW_AGE_AEAD_NONCE];

/* What a step of wrapping knows in secret, in secure memory. */
struct secrets {
	uint8_t scalar[CW_AGE_KEY];
	uint8_t shared[CW_AGE_KEY];
	uint8_t key[CW_AGE_KEY];
};

static enum cw_age_outcome
no_memory(struct cw_error *err)
{
	(void)cw_error_set(
	    err, CW_ERR_FAILED, "age: out of secure memory for a cipher");
	return CW_AGE_OTHER;
}

/* The file key under s->key. */
static int
wrap(const struct secrets *s, const uint8_t file_key[CW_AGE_FILE_KEY],
    uint8_t out[WRAPPED], struct cw_error *err)
{
	struct cw_age_aead *aead = cw_age_aead_new(s->key);

	if (aead == NULL) {
		(void)no_memory(err);
		return -1;
	}
	cw_age_aead_seal(aead, zero_nonce, file_key, CW_AGE_FILE_KEY, out);
	cw_age_aead_free(aead);
	return 0;
}

static enum cw_age_outcome
unwrap(const struct secrets *s, const uint8_t *body,
    uint8_t file_key[CW_AGE_FILE_KEY], struct cw_error *err)
{
	struct cw_age_aead *aead = cw_age_aead_new(s->key);
	bool ok;

	if (aead == NULL)
		return no_memory(err);
	ok = cw_age_aead_open(aead, zero_nonce, body, WRAPPED, file_key);
	cw_age_aead_free(aead);
	return ok ? CW_AGE_OK : CW_AGE_NO_MATCH;
}

static void
x25519_key(const uint8_t share[CW_AGE_KEY], const uint8_t point[CW_AGE_KEY],
    struct secrets *s)
{
	uint8_t salt[2 * CW_AGE_KEY];

	memcpy(salt, share, CW_AGE_KEY);
	memcpy(salt + CW_AGE_KEY, point, CW_AGE_KEY);
	(void)cw_age_hkdf(s->shared, sizeof(s->shared), salt, sizeof(salt),
	    X25519_INFO, strlen(X25519_INFO), s->key, sizeof(s->key));
}

int
cw_age_wrap_x25519(const struct cw_age_recipient *r,
    const uint8_t file_key[CW_AGE_FILE_KEY], struct cw_buf *header,
    struct cw_error *err)
{
	struct secrets *s = cw_secret_alloc(sizeof(*s));
	uint8_t share[CW_AGE_KEY], body[WRAPPED];
	char line[sizeof("X25519 ") + CW_BASE64_RAW_LEN(CW_AGE_KEY)];
	size_t len = strlen("X25519 ");
	int ret = -1;

	cw_random_secret(s->scalar, sizeof(s->scalar));
	(void)cw_age_x25519(s->scalar, NULL, share);
	if (!cw_age_x25519(s->scalar, r->point, s->shared)) {
		(void)cw_error_set(err, CW_ERR_FORMAT,
		    "age recipient is a point of low order: anyone could open "
		    "what is sealed for it");
		goto out;
	}
	x25519_key(share, r->point, s);
	if (wrap(s, file_key, body, err) < 0)
		goto out;
	memcpy(line, "X25519 ", len);
	cw_base64_encode(share, sizeof(share), false, line + len);
	cw_age_stanza_write(header, (struct cw_age_slice){line, strlen(line)},
	    body, sizeof(body));
	ret = 0;
out:
	cw_secret_free(s);
	return ret;
}

static enum cw_age_outcome
scrypt_key(const char *passphrase, const uint8_t salt[SALT], unsigned log_n,
    struct secrets *s, struct cw_error *err)
{
	if (cw_age_scrypt(passphrase, salt, log_n, s->key))
		return CW_AGE_OK;
	(void)cw_error_set(err, CW_ERR_FAILED,
	    "scrypt with a work factor of %u failed: it needs %llu KiB of "
	    "memory",
	    log_n, 1ULL << log_n);
	return CW_AGE_OTHER;
}

int
cw_age_wrap_scrypt(const char *passphrase, unsigned log_n,
    const uint8_t file_key[CW_AGE_FILE_KEY], struct cw_buf *header,
    struct cw_error *err)
{
	struct secrets *s = cw_secret_alloc(sizeof(*s));
	uint8_t salt[SALT], body[WRAPPED];
	char salt_text[CW_BASE64_RAW_LEN(SALT) + 1], line[64];
	int ret = -1;

	cw_random(salt, sizeof(salt));
	if (scrypt_key(passphrase, salt, log_n, s, err) != CW_AGE_OK ||
	    wrap(s, file_key, body, err) < 0)
		goto out;
	cw_base64_encode(salt, sizeof(salt), false, salt_text);
	(void)snprintf(line, sizeof(line), "scrypt %s %u", salt_text, log_n);
	cw_age_stanza_write(header, (struct cw_age_slice){line, strlen(line)},
	    body, sizeof(body));
	ret = 0;
out:
	cw_secret_free(s);
	return ret;
}

static bool
is_type(const struct cw_age_stanza *s, const char *type)
{
	return cw_age_slice_is(s->arg[0], type);
}

static size_t
count_type(const struct cw_age_header *h, const char *type)
{
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++)
		count += is_type(&h->stanzas[i], type);
	return count;
}

bool
cw_age_is_scrypt(const struct cw_age_header *h)
{
	return h->count == 1 && is_type(&h->stanzas[0], "scrypt");
}

/* An argument that is the base64 of exactly len bytes (at most 32). */
static bool
decode_arg(struct cw_age_slice arg, uint8_t *out, size_t len)
{
	uint8_t bytes[CW_BASE64_RAW_LEN(CW_AGE_KEY) / 4 * 3 + 3];
	size_t n;

	if (arg.len != CW_BASE64_RAW_LEN(len) ||
	    !cw_base64_decode(arg.text, arg.len, false, bytes, &n) || n != len)
		return false;
	memcpy(out, bytes, len);
	return true;
}

static bool
parse_x25519(const struct cw_age_stanza *s, uint8_t share[CW_AGE_KEY])
{
	return s->arg_count == 2 && s->body_len == WRAPPED &&
	       decode_arg(s->arg[1], share, CW_AGE_KEY);
}

static bool
parse_scrypt(const struct cw_age_stanza *s, uint8_t salt[SALT], uint64_t *log_n)
{
	return s->arg_count == 3 && s->body_len == WRAPPED &&
	       decode_arg(s->arg[1], salt, SALT) &&
	       cw_decimal_parse(
		   s->arg[2].text, s->arg[2].len, UINT64_MAX, log_n) &&
	       *log_n > 0;
}

/* Malformed stanzas of our types spoil the file, whoever it is for. */
static enum cw_age_outcome
check(const struct cw_age_header *h, struct cw_error *err)
{
	uint8_t bytes[CW_AGE_KEY];
	uint64_t log_n = 0;

	for (size_t i = 0; i < h->count; i++) {
		const struct cw_age_stanza *s = &h->stanzas[i];

		if (is_type(s, "X25519") && !parse_x25519(s, bytes)) {
			(void)cw_error_set(err, CW_ERR_FORMAT,
			    "age header: recipient %zu is a malformed X25519 "
			    "one",
			    i + 1);
			return CW_AGE_HEADER;
		}
		if (!is_type(s, "scrypt"))
			continue;
		if (h->count != 1 || !parse_scrypt(s, bytes, &log_n)) {
			(void)cw_error_set(err, CW_ERR_FORMAT,
			    "age header: recipient %zu is a malformed "
			    "passphrase one, or not alone",
			    i + 1);
			return CW_AGE_HEADER;
		}
		if (log_n > CW_AGE_LOG_N_MAX) {
			(void)cw_error_set(err, CW_ERR_FORMAT,
			    "age header asks for a scrypt work factor of %llu, "
			    "more than %u",
			    (unsigned long long)log_n, CW_AGE_LOG_N_MAX);
			return CW_AGE_HEADER;
		}
	}
	return CW_AGE_OK;
}

static enum cw_age_outcome
unwrap_x25519(const struct cw_age_header *h, size_t index,
    const struct cw_age_identity *id, uint8_t file_key[CW_AGE_FILE_KEY],
    struct cw_error *err)
{
	const struct cw_age_stanza *stanza = &h->stanzas[index];
	struct secrets *s = cw_secret_alloc(sizeof(*s));
	enum cw_age_outcome outcome = CW_AGE_NO_MATCH;
	uint8_t share[CW_AGE_KEY];

	(void)parse_x25519(stanza, share); /* was checked */
	for (size_t i = 0; i < cw_age_identity_count(id); i++) {
		if (!cw_age_x25519(
			cw_age_identity_scalar(id, i), share, s->shared)) {
			(void)cw_error_set(err, CW_ERR_FORMAT,
			    "age header: recipient %zu has a share of low "
			    "order",
			    index + 1);
			outcome = CW_AGE_HEADER;
			break;
		}
		x25519_key(share, cw_age_identity_point(id, i), s);
		outcome = unwrap(s, stanza->body, file_key, err);
		if (outcome != CW_AGE_NO_MATCH)
			break;
	}
	cw_secret_free(s);
	return outcome;
}

static enum cw_age_outcome
unwrap_scrypt(const struct cw_age_header *h, const struct cw_age_hooks *hooks,
    uint8_t file_key[CW_AGE_FILE_KEY], struct cw_error *err)
{
	struct secrets *s;
	enum cw_age_outcome outcome;
	const char *passphrase;
	uint8_t salt[SALT];
	uint64_t log_n = 0;

	if (hooks == NULL || hooks->passphrase == NULL) {
		(void)cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the age file is sealed with a passphrase, and none was "
		    "given");
		return CW_AGE_NO_MATCH;
	}
	passphrase = hooks->passphrase(hooks->arg, err);
	if (passphrase == NULL)
		return CW_AGE_OTHER;
	(void)parse_scrypt(&h->stanzas[0], salt, &log_n); /* was checked */
	s = cw_secret_alloc(sizeof(*s));
	outcome = scrypt_key(passphrase, salt, (unsigned)log_n, s, err);
	if (outcome == CW_AGE_OK)
		outcome = unwrap(s, h->stanzas[0].body, file_key, err);
	if (outcome == CW_AGE_NO_MATCH)
		(void)cw_error_set(err, CW_ERR_UNTRUSTED,
		    "wrong passphrase for the age file (or its header was "
		    "changed)");
	cw_secret_free(s);
	return outcome;
}

enum cw_age_outcome
cw_age_unwrap(const struct cw_age_header *h, const struct cw_age_identity *id,
    const struct cw_age_hooks *hooks, uint8_t file_key[CW_AGE_FILE_KEY],
    struct cw_error *err)
{
	enum cw_age_outcome outcome = check(h, err);

	if (outcome != CW_AGE_OK)
		return outcome;
	if (cw_age_is_scrypt(h))
		return unwrap_scrypt(h, hooks, file_key, err);
	for (size_t i = 0; id != NULL && i < h->count; i++) {
		if (!is_type(&h->stanzas[i], "X25519"))
			continue;
		outcome = unwrap_x25519(h, i, id, file_key, err);
		if (outcome != CW_AGE_NO_MATCH)
			return outcome;
	}
	if (count_type(h, "mlkem768x25519") > 0) {
		(void)cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "the age file is sealed for a hybrid post-quantum "
		    "recipient (mlkem768x25519), which is not supported");
		return CW_AGE_UNSUPPORTED;
	}
	(void)cw_error_set(err, CW_ERR_UNTRUSTED,
	    "none of %zu age keys is among the file's %zu recipients",
	    id == NULL ? 0 : cw_age_identity_count(id), h->count);
	return CW_AGE_NO_MATCH;
}
