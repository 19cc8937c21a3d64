#include "formats/age/age.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/age/chunks.h"
#include "formats/age/header.h"
#include "formats/age/wrap.h"

#include <stdlib.h>
#include <string.h>

struct cw_age_seal {
	struct cw_buf header; /* with the nonce */
	struct cw_age_chunks *chunks;
};

/* Recipients, or the passphrase with its work factor where r is NULL. */
struct target {
	const struct cw_age_recipient *r;
	size_t count;
	const char *passphrase;
	unsigned log_n;
};

static int
write_stanzas(const struct target *t, const uint8_t *file_key,
    struct cw_buf *header, struct cw_error *err)
{
	if (t->r == NULL)
		return cw_age_wrap_scrypt(
		    t->passphrase, t->log_n, file_key, header, err);
	for (size_t i = 0; i < t->count; i++)
		if (cw_age_wrap_x25519(&t->r[i], file_key, header, err) < 0)
			return -1;
	return 0;
}

static int
seal_new(const struct target *t, struct cw_age_seal **out, struct cw_error *err)
{
	struct cw_age_seal *s = cw_calloc(1, sizeof(*s));
	uint8_t *file_key = cw_secret_alloc(CW_AGE_FILE_KEY);
	uint8_t nonce[CW_AGE_NONCE];

	cw_random_secret(file_key, CW_AGE_FILE_KEY);
	cw_random(nonce, sizeof(nonce));
	cw_age_header_begin(&s->header);
	if (write_stanzas(t, file_key, &s->header, err) == 0) {
		cw_age_header_finish(&s->header, file_key);
		cw_buf_append(&s->header, nonce, sizeof(nonce));
		s->chunks = cw_age_chunks_new(file_key, nonce);
		*out = s;
	} else {
		cw_age_seal_free(s);
	}
	cw_secret_free(file_key);
	return *out == NULL ? -1 : 0;
}

int
cw_age_seal_new(const struct cw_age_recipient *r, size_t count,
    struct cw_age_seal **out, struct cw_error *err)
{
	struct target t = {.r = r, .count = count};

	*out = NULL;
	if (count == 0 || count > CW_AGE_RECIPIENTS_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "cannot seal for %zu age recipients, expected 1 to %u",
		    count, CW_AGE_RECIPIENTS_MAX);
	return seal_new(&t, out, err);
}

int
cw_age_seal_new_passphrase(const char *passphrase, unsigned log_n,
    struct cw_age_seal **out, struct cw_error *err)
{
	struct target t = {.passphrase = passphrase, .log_n = log_n};

	*out = NULL;
	if (passphrase[0] == '\0')
		return cw_error_set(
		    err, CW_ERR_USAGE, "an empty passphrase protects nothing");
	if (log_n == 0 || log_n > CW_AGE_LOG_N_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "scrypt work factor is %u, expected 1 to %u", log_n,
		    CW_AGE_LOG_N_MAX);
	return seal_new(&t, out, err);
}

const uint8_t *
cw_age_seal_header(const struct cw_age_seal *s, size_t *len)
{
	*len = s->header.len;
	return s->header.data;
}

int
cw_age_seal_chunk(struct cw_age_seal *s, uint64_t index, bool is_last,
    const uint8_t *plain, size_t len, uint8_t *out, struct cw_error *err)
{
	return cw_age_chunks_seal(
	    s->chunks, index, is_last, plain, len, out, err);
}

int
cw_age_seal_whole(struct cw_age_seal *s, const uint8_t *plain, size_t len,
    struct cw_buf *out, struct cw_error *err)
{
	uint64_t index = 0;
	size_t take;

	cw_buf_append(out, s->header.data, s->header.len);
	do {
		uint8_t *place;

		take = len < CW_AGE_CHUNK ? len : CW_AGE_CHUNK;
		place = cw_buf_reserve(out, take + CW_AGE_TAG);
		if (cw_age_seal_chunk(
			s, index++, take == len, plain, take, place, err) < 0)
			return -1;
		out->len += take + CW_AGE_TAG;
		plain += take;
		len -= take;
	} while (len > 0);
	return 0;
}

void
cw_age_seal_free(struct cw_age_seal *s)
{
	if (s == NULL)
		return;
	cw_buf_free(&s->header);
	cw_age_chunks_free(s->chunks);
	free(s);
}

size_t
cw_age_header_size(size_t recipients)
{
	size_t x25519 = strlen("-> X25519 \n\n") +
			2 * CW_BASE64_RAW_LEN((size_t)CW_AGE_KEY);

	return strlen(CW_AGE_VERSION_LINE "\n") + recipients * x25519 +
	       strlen("--- \n") + CW_BASE64_RAW_LEN((size_t)CW_AGE_MAC) +
	       CW_AGE_NONCE;
}

uint64_t
cw_age_file_size(size_t header, uint64_t plain)
{
	uint64_t chunks = plain / CW_AGE_CHUNK + (plain % CW_AGE_CHUNK != 0);

	/* An empty payload is one empty chunk. */
	chunks += chunks == 0;
	return header + plain + chunks * CW_AGE_TAG;
}

bool
cw_age_plain_size(size_t header, uint64_t file_size, uint64_t *plain)
{
	uint64_t sealed, full, rest;

	if (file_size < header)
		return false;
	sealed = file_size - header;
	full = sealed / CW_AGE_SEALED_CHUNK;
	rest = sealed % CW_AGE_SEALED_CHUNK;
	if (sealed != CW_AGE_TAG && rest <= CW_AGE_TAG &&
	    (rest != 0 || full == 0))
		return false;
	*plain = sealed - (full + (rest != 0)) * CW_AGE_TAG;
	return true;
}
