/*
 * Hostile age files, key files and recipients.  What is accepted must come back
 * as it was; how a stream is cut must not matter; nothing of a file is released
 * that random access would not give.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/age/age.h"
#include "formats/age/armor.h"
#include "formats/age/header.h"

#include <stdlib.h>
#include <string.h>

/* The identity and the file key of the age test kit, whose files are seeds. */
static const char key[] = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDK"
			  "WYKLMGR48UAWX40Q2P2LM0";
static const uint8_t file_key[] = "YELLOW SUBMARINE";

const char *__lsan_default_suppressions(void) __attribute__((weak));

const char *
__lsan_default_suppressions(void)
{
	return "leak:libgcrypt";
}

static int
take(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	(void)err;
	cw_buf_append(arg, data, len);
	return 0;
}

static enum cw_age_outcome
decode(const struct cw_age_identity *id, const uint8_t *data, size_t len,
    size_t step, struct cw_buf *out)
{
	struct cw_age_hooks hooks = {NULL, take, out};
	struct cw_age_decoder *d = cw_age_decoder_new(id, &hooks);
	struct cw_error err = CW_ERROR_INIT;
	enum cw_age_outcome outcome;
	int ret = 0;

	for (size_t at = 0; at < len && ret == 0; at += step)
		ret = cw_age_decoder_push(
		    d, data + at, len - at < step ? len - at : step, &err);
	if (ret == 0)
		ret = cw_age_decoder_finish(d, &err);
	outcome = cw_age_decoder_outcome(d);
	if ((ret == 0) != (outcome == CW_AGE_OK) ||
	    (ret < 0) != (err.code != CW_OK))
		abort();
	cw_age_decoder_free(d);
	return outcome;
}

static void
fuzz_file(const struct cw_age_identity *id, const uint8_t *data, size_t len)
{
	struct cw_buf whole = CW_BUF_INIT, cut = CW_BUF_INIT;
	struct cw_age_open *o;
	size_t offset;
	uint64_t plain;
	enum cw_age_outcome outcome = decode(id, data, len, len + 1, &whole);

	if (decode(id, data, len, 13, &cut) != outcome ||
	    whole.len != cut.len ||
	    (cut.len > 0 && memcmp(whole.data, cut.data, cut.len) != 0))
		abort();
	if (cw_age_open_new(data, len, id, NULL, &o, &offset, NULL) == 0) {
		if (outcome != CW_AGE_OK && outcome != CW_AGE_PAYLOAD)
			abort();
		if (outcome == CW_AGE_OK &&
		    (!cw_age_plain_size(offset, len, &plain) ||
			plain != whole.len))
			abort();
		cw_age_open_free(o);
	} else if (outcome == CW_AGE_OK && data[0] == 'a') {
		abort();
	}
	cw_buf_free(&whole);
	cw_buf_free(&cut);
}

/* A header that parses is written back as it was; then with a good MAC. */
static void
fuzz_header(const struct cw_age_identity *id, const uint8_t *data, size_t len)
{
	struct cw_age_header *h = cw_calloc(1, sizeof(*h));
	struct cw_buf again = CW_BUF_INIT;

	if (cw_age_header_parse(data, len, h, NULL) == 0) {
		cw_age_header_begin(&again);
		for (size_t i = 0; i < h->count; i++)
			cw_age_stanza_write(&again, h->stanzas[i].line,
			    h->stanzas[i].body, h->stanzas[i].body_len);
		cw_age_header_finish(&again, file_key);
		if (again.len != h->size ||
		    memcmp(again.data, data, h->mac_over) != 0)
			abort();
		cw_buf_append(&again, data + h->size, len - h->size);
		fuzz_file(id, again.data, again.len);
		cw_age_header_free(h);
	}
	cw_buf_free(&again);
	free(h);
}

static bool
dearmor(const uint8_t *data, size_t len, struct cw_buf *out)
{
	struct cw_age_armor a = CW_AGE_ARMOR_INIT;
	uint8_t bytes[CW_AGE_ARMOR_BYTES + 3];
	size_t n;

	for (size_t i = 0; i < len; i++) {
		if (cw_age_armor_push(&a, (char)data[i], bytes, &n, NULL) < 0)
			return false;
		cw_buf_append(out, bytes, n);
	}
	return cw_age_armor_finish(&a, NULL) == 0;
}

static void
fuzz_armor(const uint8_t *data, size_t len)
{
	struct cw_buf out = CW_BUF_INIT, text = CW_BUF_INIT,
		      again = CW_BUF_INIT;

	if (dearmor(data, len, &out)) {
		cw_buf_text(&text, "-----BEGIN AGE ENCRYPTED FILE-----\n");
		for (size_t at = 0; at < out.len; at += CW_AGE_ARMOR_BYTES) {
			char line[CW_AGE_ARMOR_COLUMNS + 1];
			size_t n = out.len - at < CW_AGE_ARMOR_BYTES
				       ? out.len - at
				       : CW_AGE_ARMOR_BYTES;

			cw_base64_encode(out.data + at, n, true, line);
			cw_buf_printf(&text, "%s\n", line);
		}
		cw_buf_text(&text, "-----END AGE ENCRYPTED FILE-----\n");
		if (!dearmor(text.data, text.len, &again) ||
		    again.len != out.len ||
		    (out.len > 0 && memcmp(again.data, out.data, out.len) != 0))
			abort();
	}
	cw_buf_free(&out);
	cw_buf_free(&text);
	cw_buf_free(&again);
}

static void
fuzz_keys(const uint8_t *data, size_t len)
{
	struct cw_age_identity *id, *again;
	struct cw_age_recipient r;
	char *text = cw_malloc(len + 1), back[CW_AGE_RECIPIENT_TEXT];

	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	if (cw_age_recipient_parse(text, &r, NULL) == 0) {
		cw_age_recipient_format(&r, back);
		if (strcmp(text, back) != 0)
			abort();
	}
	if (cw_age_identity_parse(text, len, &id, NULL) == 0) {
		char *file = cw_age_identity_format(id, "now");

		if (cw_age_identity_parse(file, strlen(file), &again, NULL) < 0)
			abort();
		if (cw_age_identity_count(id) != cw_age_identity_count(again))
			abort();
		for (size_t i = 0; i < cw_age_identity_count(id); i++)
			if (memcmp(cw_age_identity_scalar(id, i),
				cw_age_identity_scalar(again, i), 32) != 0)
				abort();
		cw_age_identity_free(again);
		cw_age_identity_free(id);
		cw_secret_free(file);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cw_age_identity *id;

	if (id == NULL &&
	    (cw_crypto_init(NULL) < 0 ||
		cw_age_identity_parse(key, strlen(key), &id, NULL) < 0))
		abort();
	fuzz_file(id, data, len);
	fuzz_header(id, data, len);
	fuzz_armor(data, len);
	fuzz_keys(data, len);
	return 0;
}
