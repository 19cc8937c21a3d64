#include "formats/age/open.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "formats/age/chunks.h"
#include "formats/age/header.h"
#include "formats/age/wrap.h"

#include <stdlib.h>

struct cw_age_open {
	struct cw_age_chunks *chunks;
};

/* Unwraps the file key and believes it only when the MAC agrees. */
static enum cw_age_outcome
open_key(const uint8_t *data, const struct cw_age_header *h,
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks,
    uint8_t *file_key, struct cw_error *err)
{
	enum cw_age_outcome outcome =
	    cw_age_unwrap(h, id, hooks, file_key, err);
	uint8_t mac[CW_AGE_MAC];

	if (outcome != CW_AGE_OK)
		return outcome;
	cw_age_header_mac(file_key, data, h->mac_over, mac);
	if (cw_secret_equal(mac, h->mac, sizeof(mac)))
		return CW_AGE_OK;
	(void)cw_error_set(err, CW_ERR_UNTRUSTED,
	    "age header was changed: its MAC does not match");
	return CW_AGE_HMAC;
}

enum cw_age_outcome
cw_age_open_header(const uint8_t *data, size_t len,
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks,
    struct cw_age_open **out, size_t *payload_offset, struct cw_error *err)
{
	struct cw_age_header *h = cw_calloc(1, sizeof(*h));
	uint8_t *file_key = NULL;
	enum cw_age_outcome outcome = CW_AGE_HEADER;

	*out = NULL;
	if (cw_age_header_parse(data, len, h, err) < 0)
		goto out;
	file_key = cw_secret_alloc(CW_AGE_FILE_KEY);
	outcome = open_key(data, h, id, hooks, file_key, err);
	if (outcome != CW_AGE_OK)
		goto out;
	if (len - h->size < CW_AGE_NONCE) {
		(void)cw_error_set(err, CW_ERR_FORMAT,
		    "age file ends within the %u bytes of nonce behind its "
		    "header",
		    CW_AGE_NONCE);
		outcome = CW_AGE_HEADER;
		goto out;
	}
	*out = cw_calloc(1, sizeof(**out));
	(*out)->chunks = cw_age_chunks_new(file_key, data + h->size);
	*payload_offset = h->size + CW_AGE_NONCE;
out:
	cw_secret_free(file_key);
	cw_age_header_free(h);
	free(h);
	return outcome;
}

static const char *
given(void *arg, struct cw_error *err)
{
	(void)err;
	return *(const char *const *)arg;
}

int
cw_age_open_new(const uint8_t *data, size_t len,
    const struct cw_age_identity *id, const char *passphrase,
    struct cw_age_open **out, size_t *payload_offset, struct cw_error *err)
{
	struct cw_age_hooks hooks = {given, NULL, &passphrase};

	return cw_age_open_header(data, len, id,
		   passphrase == NULL ? NULL : &hooks, out, payload_offset,
		   err) == CW_AGE_OK
		   ? 0
		   : -1;
}

int
cw_age_open_chunk(struct cw_age_open *o, uint64_t index, bool is_last,
    const uint8_t *sealed, size_t len, uint8_t *plain, struct cw_error *err)
{
	return cw_age_chunks_open(
	    o->chunks, index, is_last, sealed, len, plain, err);
}

void
cw_age_open_free(struct cw_age_open *o)
{
	if (o == NULL)
		return;
	cw_age_chunks_free(o->chunks);
	free(o);
}

bool
cw_age_wants_passphrase(const uint8_t *data, size_t len)
{
	struct cw_age_header *h = cw_calloc(1, sizeof(*h));
	bool wants = false;

	if (cw_age_header_parse(data, len, h, NULL) == 0) {
		wants = cw_age_is_scrypt(h);
		cw_age_header_free(h);
	}
	free(h);
	return wants;
}
