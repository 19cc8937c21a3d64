#include "formats/receipt/receipt.h"

#include "base/bytes.h"
#include "base/text.h"
#include "formats/manifest/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DOMAIN	      "causeway-receipt-1\n" /* before what is signed */
#define SIGNATURE_LEN CW_BASE64_LEN(CW_ED25519_SIGNATURE_SIZE)

/* What is signed: the domain, and the line before its last space. */
static size_t
signed_bytes(const struct cw_receipt *r, char out[CW_RECEIPT_TEXT_SIZE])
{
	char seed[2 * CW_SEED_ID_SIZE + 1], store[2 * CW_STORE_ID_SIZE + 1];
	char manifest[65], digest[65] = "-", site[65], time[CW_TIME_TEXT];

	cw_hex_encode(r->seed_id, CW_SEED_ID_SIZE, seed);
	cw_hex_encode(r->store_id, CW_STORE_ID_SIZE, store);
	cw_hex_encode(r->manifest_sha256, 32, manifest);
	if (r->has_digest)
		cw_hex_encode(r->digest, 32, digest);
	cw_hex_encode(r->site, 32, site);
	cw_time_format(r->time, time);
	return (size_t)snprintf(out, CW_RECEIPT_TEXT_SIZE,
	    DOMAIN CW_RECEIPT_PREFIX " %s %s %" PRIu64 " %s %s %" PRIu64
				     " %s %s",
	    seed, store, r->generation, manifest, digest, r->wanted, time,
	    site);
}

int
cw_receipt_sign(struct cw_receipt *r, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	char text[CW_RECEIPT_TEXT_SIZE], time[CW_TIME_TEXT];
	int64_t again;

	cw_time_format(r->time, time);
	if (!cw_time_parse(time, strlen(time), &again) || again != r->time ||
	    r->generation > CW_MANIFEST_COUNTER_MAX ||
	    r->wanted > CW_MANIFEST_COUNTER_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "a receipt's time, generation or count is out of range");
	return cw_ed25519_sign(
	    secret, text, signed_bytes(r, text), r->signature, err);
}

void
cw_receipt_encode(const struct cw_receipt *r, char out[CW_RECEIPT_TEXT_SIZE])
{
	char text[CW_RECEIPT_TEXT_SIZE];
	size_t len = signed_bytes(r, text) - (sizeof(DOMAIN) - 1);

	/* At most 412 characters, whatever the values. */
	memcpy(out, text + sizeof(DOMAIN) - 1, len);
	out[len] = ' ';
	cw_base64_encode(
	    r->signature, sizeof(r->signature), true, out + len + 1);
}

static int
hex(struct cw_lines *l, const char *what, uint8_t *out, size_t size,
    struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (!cw_hex_decode(word, len, out, size))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "receipt: its %s is not %zu lower-case hexadecimal digits",
		    what, 2 * size);
	return 0;
}

static int
take_digest(struct cw_lines *l, struct cw_receipt *r, struct cw_error *err)
{
	if (l->value != NULL && l->value_len >= 2 &&
	    memcmp(l->value, "- ", 2) == 0) {
		l->value += 2;
		l->value_len -= 2;
		return 0;
	}
	r->has_digest = true;
	return hex(l, "state digest", r->digest, sizeof(r->digest), err);
}

static int
take_time(struct cw_lines *l, int64_t *time, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (!cw_time_parse(word, len, time))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "receipt: its time is not like 2026-11-22T12:00:00Z");
	return 0;
}

static int
take_signature(struct cw_lines *l, struct cw_receipt *r, struct cw_error *err)
{
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE + 3];
	const char *word;
	size_t len, got = 0;

	if (cw_lines_word(l, &word, &len, err) < 0)
		return -1;
	if (len != SIGNATURE_LEN || l->value != NULL ||
	    !cw_base64_decode(word, len, true, sig, &got) ||
	    got != CW_ED25519_SIGNATURE_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "receipt: it does not end in a signature of %u characters",
		    (unsigned)SIGNATURE_LEN);
	memcpy(r->signature, sig, CW_ED25519_SIGNATURE_SIZE);
	return 0;
}

int
cw_receipt_decode(
    const char *text, size_t len, struct cw_receipt *r, struct cw_error *err)
{
	struct cw_receipt found;
	struct cw_lines l;

	if (len >= CW_RECEIPT_TEXT_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "receipt is %zu bytes, expected less than %u", len,
		    CW_RECEIPT_TEXT_SIZE);
	memset(&found, 0, sizeof(found));
	cw_lines_begin(&l, "receipt", text, len);
	l.value = text;
	l.value_len = len;
	l.number = 1;
	if (cw_lines_prefix(&l, "causeway-receipt", err) < 0 ||
	    hex(&l, "seed", found.seed_id, CW_SEED_ID_SIZE, err) < 0 ||
	    hex(&l, "store", found.store_id, CW_STORE_ID_SIZE, err) < 0 ||
	    cw_lines_word_number(
		&l, 0, CW_MANIFEST_COUNTER_MAX, &found.generation, err) < 0 ||
	    hex(&l, "manifest", found.manifest_sha256, 32, err) < 0 ||
	    take_digest(&l, &found, err) < 0 ||
	    cw_lines_word_number(
		&l, 0, CW_MANIFEST_COUNTER_MAX, &found.wanted, err) < 0 ||
	    take_time(&l, &found.time, err) < 0 ||
	    hex(&l, "site", found.site, sizeof(found.site), err) < 0 ||
	    take_signature(&l, &found, err) < 0)
		return -1;
	*r = found;
	return 0;
}

int
cw_receipt_verify(const struct cw_receipt *r,
    const struct cw_minisign_public *key, struct cw_error *err)
{
	char text[CW_RECEIPT_TEXT_SIZE];
	size_t len = signed_bytes(r, text);

	if (!cw_ed25519_verify(key->point, text, len, r->signature))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the receipt's signature is wrong: a character was "
		    "changed, or somebody else made it");
	return 0;
}
