/*
 * formats/age against the age test kit, Wycheproof, stock age and itself.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/age/age.h"
#include "formats/age/bech32.h"
#include "formats/age/header.h"
#include "formats/age/primitives.h"

#include <archive.h>
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VECTORS CW_SOURCE_DIR "/tests/vectors/"
#define SHARED	CW_SOURCE_DIR "/../shared/data/"

/* Of the test kit, and of no one. */
static const char kit_key[] = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VK"
			      "NX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/* ---- helpers ---- */

static bool
read_file(const char *path, struct cw_buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		return false;
	while ((n = fread(cw_buf_reserve(out, 65536), 1, 65536, f)) > 0)
		out->len += n;
	fclose(f);
	return true;
}

static void
write_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static struct cw_age_identity *
identity(const char *text)
{
	struct cw_age_identity *id;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_age_identity_parse(text, strlen(text), &id, &err) == 0,
	    "%s", err.message);
	return id;
}

/* Plaintext that differs from chunk to chunk. */
static uint8_t *
sample(size_t len)
{
	uint8_t *data = cw_malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 + i / 65536 * 7 + i / 251);
	return data;
}

struct sink {
	struct cw_buf out;
	const char *passphrase;
	int asked;
};

static int
take(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct sink *s = arg;

	(void)err;
	ck_assert_uint_gt(len, 0);
	cw_buf_append(&s->out, data, len);
	return 0;
}

static const char *
ask(void *arg, struct cw_error *err)
{
	struct sink *s = arg;

	s->asked++;
	if (s->passphrase == NULL)
		cw_error_set(err, CW_ERR_USAGE, "nobody knows");
	return s->passphrase;
}

/* Pushes data in pieces of step bytes; returns the outcome. */
static enum cw_age_outcome
decode(const uint8_t *data, size_t len, size_t step,
    const struct cw_age_identity *id, struct sink *sink, struct cw_error *err)
{
	struct cw_age_hooks hooks = {ask, take, sink};
	struct cw_age_decoder *d = cw_age_decoder_new(id, &hooks);
	enum cw_age_outcome outcome;
	int ret = 0;

	for (size_t at = 0; at < len && ret == 0; at += step)
		ret = cw_age_decoder_push(
		    d, data + at, len - at < step ? len - at : step, err);
	if (ret == 0)
		ret = cw_age_decoder_finish(d, err);
	outcome = cw_age_decoder_outcome(d);
	ck_assert_int_eq(ret, outcome == CW_AGE_OK ? 0 : -1);
	if (ret < 0) {
		struct cw_error again = CW_ERROR_INIT;

		ck_assert_int_eq(cw_age_decoder_finish(d, &again), -1);
		ck_assert_str_eq(again.message, err->message);
	}
	cw_age_decoder_free(d);
	return outcome;
}

/* All chunks by random access, from the last to the first. */
static int
open_backwards(const uint8_t *data, size_t len,
    const struct cw_age_identity *id, const char *passphrase,
    struct cw_buf *out, struct cw_error *err)
{
	struct cw_age_open *o;
	uint64_t plain, chunks;
	size_t offset;
	int ret = 0;

	if (cw_age_open_new(data, len, id, passphrase, &o, &offset, err) < 0)
		return -1;
	if (!cw_age_plain_size(offset, len, &plain)) {
		cw_age_open_free(o);
		return cw_error_set(err, CW_ERR_DAMAGED, "no such size");
	}
	chunks = plain == 0 ? 1 : (plain + CW_AGE_CHUNK - 1) / CW_AGE_CHUNK;
	cw_buf_reserve(out, plain + 1);
	for (uint64_t i = chunks; i-- > 0 && ret == 0;) {
		size_t at = offset + i * CW_AGE_SEALED_CHUNK;
		size_t n = len - at < CW_AGE_SEALED_CHUNK ? len - at
							  : CW_AGE_SEALED_CHUNK;

		ret = cw_age_open_chunk(o, i, i == chunks - 1, data + at, n,
		    out->data + i * CW_AGE_CHUNK, err);
	}
	out->len = plain;
	cw_age_open_free(o);
	return ret;
}

/* ---- the test kit ---- */

struct kit {
	enum cw_age_outcome expect;
	char payload[65];
	struct cw_buf identities; /* text */
	char passphrase[64];
	bool armored;
	bool compressed;
	struct cw_buf body;
};

/*
 * zlib's format is deflate with another frame than gzip's, and libarchive reads
 * gzip (it does not look at the trailer).
 */
static void
inflate_body(struct cw_buf *body)
{
	static const uint8_t head[10] = {0x1f, 0x8b, 8}, tail[8];
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	struct cw_buf gz = CW_BUF_INIT;
	ssize_t n;

	ck_assert_uint_gt(body->len, 6);
	cw_buf_append(&gz, head, sizeof(head));
	cw_buf_append(&gz, body->data + 2, body->len - 6);
	cw_buf_append(&gz, tail, sizeof(tail));
	archive_read_support_filter_gzip(a);
	archive_read_support_format_raw(a);
	ck_assert_int_eq(
	    archive_read_open_memory(a, gz.data, gz.len), ARCHIVE_OK);
	ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_OK);
	cw_buf_reset(body);
	while (
	    (n = archive_read_data(a, cw_buf_reserve(body, 65536), 65536)) > 0)
		body->len += (size_t)n;
	ck_assert_int_eq(n, 0);
	archive_read_free(a);
	cw_buf_free(&gz);
}

static enum cw_age_outcome
expectation(const char *text)
{
	static const struct {
		const char *text;
		enum cw_age_outcome outcome;
	} table[] = {{"success", CW_AGE_OK}, {"no match", CW_AGE_NO_MATCH},
	    {"HMAC failure", CW_AGE_HMAC}, {"header failure", CW_AGE_HEADER},
	    {"armor failure", CW_AGE_ARMOR},
	    {"payload failure", CW_AGE_PAYLOAD}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(text, table[i].text) == 0)
			return table[i].outcome;
	ck_abort_msg("unknown expectation: %s", text);
	return CW_AGE_OTHER;
}

static void
kit_load(const char *path, struct kit *k)
{
	struct cw_buf file = CW_BUF_INIT;
	char *line, *end;

	memset(k, 0, sizeof(*k));
	ck_assert(read_file(path, &file));
	line = cw_buf_string(&file);
	for (; *line != '\n'; line = end + 1) {
		char *value = strstr(line, ": ") + 2;

		end = strchr(line, '\n');
		*end = '\0';
		if (strncmp(line, "expect: ", 8) == 0)
			k->expect = expectation(value);
		else if (strncmp(line, "payload: ", 9) == 0)
			snprintf(k->payload, sizeof(k->payload), "%s", value);
		else if (strncmp(line, "identity: ", 10) == 0)
			cw_buf_printf(&k->identities, "%s\n", value);
		else if (strncmp(line, "passphrase: ", 12) == 0)
			snprintf(
			    k->passphrase, sizeof(k->passphrase), "%s", value);
		else if (strcmp(line, "armored: yes") == 0)
			k->armored = true;
		else if (strcmp(line, "compressed: zlib") == 0)
			k->compressed = true;
		else
			ck_assert_msg(strncmp(line, "comment: ", 9) == 0 ||
					  strncmp(line, "file key: ", 10) == 0,
			    "%s: unknown line %s", path, line);
	}
	line++;
	cw_buf_append(
	    &k->body, line, file.len - (size_t)(line - (char *)file.data));
	if (k->compressed)
		inflate_body(&k->body);
	cw_buf_free(&file);
}

static void
check_payload(const char *name, const struct kit *k, const struct cw_buf *out)
{
	static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e46"
				    "49b934ca495991b7852b855";
	uint8_t digest[CW_SHA256_SIZE];
	char hex[2 * CW_SHA256_SIZE + 1];

	cw_sha256(out->data, out->len, digest);
	cw_hex_encode(digest, sizeof(digest), hex);
	ck_assert_msg(
	    strcmp(hex, k->payload[0] == '\0' ? empty : k->payload) == 0,
	    "%s: %zu bytes of plaintext have SHA-256 %s", name, out->len, hex);
}

static enum cw_code
code_of(enum cw_age_outcome outcome)
{
	switch (outcome) {
	case CW_AGE_OK:
		return CW_OK;
	case CW_AGE_NO_MATCH:
	case CW_AGE_HMAC:
		return CW_ERR_UNTRUSTED;
	case CW_AGE_HEADER:
	case CW_AGE_ARMOR:
		return CW_ERR_FORMAT;
	case CW_AGE_UNSUPPORTED:
		return CW_ERR_UNSUPPORTED;
	case CW_AGE_PAYLOAD:
		return CW_ERR_DAMAGED;
	default:
		return CW_ERR_FAILED;
	}
}

static void
kit_check(const char *name, struct kit *k)
{
	static const size_t steps[] = {SIZE_MAX / 2, 1, 4096, 65552, 65553};
	struct cw_age_identity *id = NULL;
	struct cw_error err = CW_ERROR_INIT;
	bool hybrid = false;

	if (k->identities.len > 0 &&
	    cw_age_identity_parse(
		(char *)k->identities.data, k->identities.len, &id, &err) < 0) {
		/* Refused by name; and so is the file, with a key of ours. */
		hybrid = strncmp(name, "hybrid_", 7) == 0;
		ck_assert_msg(hybrid, "%s: %s", name, err.message);
		ck_assert_int_eq(err.code, CW_ERR_UNSUPPORTED);
		ck_assert_ptr_nonnull(strstr(err.message, "hybrid"));
		id = identity(kit_key);
		k->expect = CW_AGE_UNSUPPORTED;
		k->payload[0] = '\0';
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct sink sink = {CW_BUF_INIT, k->passphrase, 0};
		enum cw_age_outcome outcome;

		/* Millions of one-byte pushes show nothing more. */
		if (steps[i] == 1 && k->body.len > 1000000)
			continue;
		err = (struct cw_error)CW_ERROR_INIT;
		outcome = decode(
		    k->body.data, k->body.len, steps[i], id, &sink, &err);
		ck_assert_msg(outcome == k->expect,
		    "%s: outcome %d, expected %d (%s)", name, outcome,
		    k->expect, err.message);
		ck_assert_int_eq(err.code, code_of(outcome));
		check_payload(name, k, &sink.out);
		cw_buf_free(&sink.out);
	}
	if (!k->armored) {
		struct cw_buf out = CW_BUF_INIT;
		int ret;

		err = (struct cw_error)CW_ERROR_INIT;
		ret = open_backwards(
		    k->body.data, k->body.len, id, k->passphrase, &out, &err);
		ck_assert_msg(
		    ret == (k->expect == CW_AGE_OK ? 0 : -1), "%s", name);
		ck_assert_msg(err.code == code_of(k->expect), "%s: %s", name,
		    err.message);
		if (ret == 0)
			check_payload(name, k, &out);
		cw_buf_free(&out);
	}
	cw_age_identity_free(id);
}

/* Returns how many files of the kit dir holds. */
static int
kit_run(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int count = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		char path[4096];
		struct kit k;

		if (e->d_name[0] == '.' ||
		    strcmp(e->d_name, "README.md") == 0 ||
		    strcmp(e->d_name, "LICENSE") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		kit_load(path, &k);
		kit_check(e->d_name, &k);
		cw_buf_free(&k.identities);
		cw_buf_free(&k.body);
		count++;
	}
	closedir(d);
	return count;
}

START_TEST(kit_selection_gives_its_declared_outcomes)
{
	ck_assert_int_ge(kit_run(VECTORS "age"), 20);
}
END_TEST

START_TEST(kit_gives_its_declared_outcomes)
{
	if (kit_run(SHARED "age-testkit") == 0)
		puts("skip: kit_gives_its_declared_outcomes: no age-testkit");
}
END_TEST

/* ---- Wycheproof ---- */

struct bytes {
	uint8_t *data;
	size_t len;
};

static struct bytes
hex(const json_t *test, const char *name)
{
	const char *text = json_string_value(json_object_get(test, name));
	struct bytes b;

	ck_assert_ptr_nonnull(text);
	b.len = strlen(text) / 2;
	b.data = cw_malloc(b.len + 1);
	ck_assert(cw_hex_decode(text, strlen(text), b.data, b.len));
	return b;
}

static bool
is_valid(const json_t *test)
{
	return strcmp(json_string_value(json_object_get(test, "result")),
		   "invalid") != 0;
}

static void
wycheproof_x25519(const json_t *group, const json_t *test)
{
	static const uint8_t zeros[32];
	struct bytes point = hex(test, "public");
	struct bytes scalar = hex(test, "private");
	struct bytes shared = hex(test, "shared");
	uint8_t out[32];
	bool ok;

	(void)group;
	ck_assert_uint_eq(point.len, 32);
	ok = cw_age_x25519(scalar.data, point.data, out);
	ck_assert_int_eq(ok, memcmp(shared.data, zeros, 32) != 0);
	ck_assert_mem_eq(out, shared.data, 32);
	free(point.data);
	free(scalar.data);
	free(shared.data);
}

static void
wycheproof_aead(const json_t *group, const json_t *test)
{
	struct bytes key = hex(test, "key"), iv = hex(test, "iv");
	struct bytes aad = hex(test, "aad"), msg = hex(test, "msg");
	struct bytes ct = hex(test, "ct"), tag = hex(test, "tag");
	struct cw_buf sealed = CW_BUF_INIT;

	(void)group;
	if (aad.len == 0 && iv.len == 12) {
		struct cw_age_aead *a = cw_age_aead_new(key.data);
		uint8_t *out = cw_malloc(ct.len + 16);
		bool ok;

		cw_buf_append(&sealed, ct.data, ct.len);
		cw_buf_append(&sealed, tag.data, tag.len);
		ok = cw_age_aead_open(a, iv.data, sealed.data, sealed.len, out);
		ck_assert_int_eq(ok, is_valid(test));
		for (size_t i = 0; i < ct.len; i++)
			ck_assert_uint_eq(out[i], ok ? msg.data[i] : 0);
		cw_age_aead_seal(a, iv.data, msg.data, msg.len, out);
		ck_assert_int_eq(
		    memcmp(out, sealed.data, sealed.len) == 0, is_valid(test));
		for (size_t i = 0; i < tag.len * 8; i += 7) {
			sealed.data[ct.len + i / 8] ^= (uint8_t)(1u << i % 8);
			ck_assert(!cw_age_aead_open(
			    a, iv.data, sealed.data, sealed.len, out));
			sealed.data[ct.len + i / 8] ^= (uint8_t)(1u << i % 8);
		}
		free(out);
		cw_age_aead_free(a);
	}
	cw_buf_free(&sealed);
	free(key.data);
	free(iv.data);
	free(aad.data);
	free(msg.data);
	free(ct.data);
	free(tag.data);
}

static void
wycheproof_hkdf(const json_t *group, const json_t *test)
{
	struct bytes ikm = hex(test, "ikm"), salt = hex(test, "salt");
	struct bytes info = hex(test, "info"), okm = hex(test, "okm");
	size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
	uint8_t *out = cw_malloc(size + 1);

	(void)group;
	ck_assert_int_eq(cw_age_hkdf(ikm.data, ikm.len, salt.data, salt.len,
			     info.data, info.len, out, size),
	    is_valid(test));
	if (is_valid(test)) {
		ck_assert_uint_eq(okm.len, size);
		ck_assert_int_eq(memcmp(out, okm.data, size), 0);
	}
	free(out);
	free(ikm.data);
	free(salt.data);
	free(info.data);
	free(okm.data);
}

static void
wycheproof_hmac(const json_t *group, const json_t *test)
{
	struct bytes key = hex(test, "key"), msg = hex(test, "msg");
	struct bytes tag = hex(test, "tag");
	uint8_t out[CW_AGE_MAC];

	(void)group;
	ck_assert_uint_le(tag.len, sizeof(out));
	cw_age_hmac(key.data, key.len, msg.data, msg.len, out);
	ck_assert_int_eq(
	    cw_secret_equal(out, tag.data, tag.len), is_valid(test));
	free(key.data);
	free(msg.data);
	free(tag.data);
}

static const struct {
	const char *file;
	void (*check)(const json_t *group, const json_t *test);
	size_t all;
} wycheproof[] = {
    {"wycheproof/x25519_test.json", wycheproof_x25519, 518},
    {"wycheproof/chacha20_poly1305_test.json", wycheproof_aead, 325},
    {"wycheproof/hkdf_sha256_test.json", wycheproof_hkdf, 86},
    {"wycheproof/hmac_sha256_test.json", wycheproof_hmac, 174},
};

/* Returns how many vectors the file holds. */
static size_t
wycheproof_run(const char *dir, size_t which)
{
	char path[4096];
	json_t *root, *group, *test;
	size_t i, k, count = 0;

	snprintf(path, sizeof(path), "%s%s", dir, wycheproof[which].file);
	root = json_load_file(path, 0, NULL);
	if (root == NULL)
		return 0;
	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), k, test)
		{
			wycheproof[which].check(group, test);
			count++;
		}
	}
	json_decref(root);
	return count;
}

START_TEST(primitives_agree_with_selected_vectors)
{
	ck_assert_uint_gt(wycheproof_run(VECTORS, (size_t)_i), 1);
}
END_TEST

START_TEST(primitives_agree_with_all_vectors)
{
	size_t count = wycheproof_run(SHARED, (size_t)_i);

	if (count == 0)
		printf("skip: primitives_agree_with_all_vectors: no %s\n",
		    wycheproof[_i].file);
	else
		ck_assert_uint_eq(count, wycheproof[_i].all);
}
END_TEST

START_TEST(passphrase_opens_and_another_does_not)
{
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT, out = CW_BUF_INIT;
	const uint8_t text[] = "kept for escrow";

	ck_assert_int_eq(
	    cw_age_seal_new_passphrase("correct horse", 10, &s, &err), 0);
	ck_assert_int_eq(
	    cw_age_seal_whole(s, text, sizeof(text), &file, &err), 0);
	cw_age_seal_free(s);
	ck_assert(cw_age_wants_passphrase(file.data, file.len));
	ck_assert_int_eq(open_backwards(file.data, file.len, NULL,
			     "correct horse", &out, &err),
	    0);
	ck_assert_uint_eq(out.len, sizeof(text));
	ck_assert_mem_eq(out.data, text, sizeof(text));

	ck_assert_int_eq(open_backwards(file.data, file.len, NULL,
			     "battery staple", &out, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_int_eq(
	    open_backwards(file.data, file.len, NULL, NULL, &out, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_ptr_nonnull(strstr(err.message, "passphrase"));
	cw_buf_free(&file);
	cw_buf_free(&out);
}
END_TEST

/* ---- keys ---- */

START_TEST(key_text_survives_parsing)
{
	struct cw_age_identity *id = identity(kit_key), *again;
	struct cw_age_recipient r, back;
	struct cw_error err = CW_ERROR_INIT;
	char text[CW_AGE_RECIPIENT_TEXT], *file;

	cw_age_identity_recipient(id, &r);
	cw_age_recipient_format(&r, text);
	/* As age-keygen -y says. */
	ck_assert_str_eq(text,
	    "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvl"
	    "ul66mv4q47ryef");
	ck_assert_int_eq(cw_age_recipient_parse(text, &back, &err), 0);
	ck_assert_mem_eq(&back, &r, sizeof(r));

	file = cw_age_identity_format(id, "2026-01-02T03:04:05Z");
	ck_assert_ptr_nonnull(strstr(file, kit_key));
	ck_assert_int_eq(strncmp(file,
			     "# created: 2026-01-02T03:04:05Z\n"
			     "# public key: age1xmw",
			     53),
	    0);
	again = identity(file);
	ck_assert_uint_eq(cw_age_identity_count(again), 1);
	ck_assert_mem_eq(cw_age_identity_scalar(again, 0),
	    cw_age_identity_scalar(id, 0), 32);
	cw_secret_free(file);
	cw_age_identity_free(again);
	cw_age_identity_free(id);
}
END_TEST

START_TEST(generated_keys_differ_and_match_their_recipients)
{
	struct cw_age_identity *a = cw_age_identity_generate();
	struct cw_age_identity *b = cw_age_identity_generate();
	struct cw_age_recipient ra, rb;
	uint8_t point[32];

	cw_age_identity_recipient(a, &ra);
	cw_age_identity_recipient(b, &rb);
	ck_assert_mem_ne(&ra, &rb, sizeof(ra));
	ck_assert(cw_age_x25519(cw_age_identity_scalar(a, 0), NULL, point));
	ck_assert_mem_eq(ra.point, point, sizeof(point));
	cw_age_identity_free(a);
	cw_age_identity_free(b);
}
END_TEST

START_TEST(key_file_allows_comments_and_several_keys)
{
	struct cw_age_identity *id, *other = cw_age_identity_generate();
	char *a = cw_age_identity_format(other, NULL);
	char *text = cw_asprintf("# a\r\n\r\n%s\r\n\n#b\n%s", kit_key, a);

	id = identity(text);
	ck_assert_uint_eq(cw_age_identity_count(id), 2);
	ck_assert_mem_eq(cw_age_identity_scalar(id, 1),
	    cw_age_identity_scalar(other, 0), 32);
	cw_age_identity_free(id);
	free(text);
	text = cw_age_identity_format(other, NULL);
	ck_assert_str_eq(text, a);
	cw_secret_free(text);
	cw_secret_free(a);
	cw_age_identity_free(other);
}
END_TEST

START_TEST(key_file_refuses_what_is_no_key)
{
	static const struct {
		const char *text;
		enum cw_code code;
	} bad[] = {
	    {"", CW_ERR_FORMAT},
	    {"# only a comment\n", CW_ERR_FORMAT},
	    {"hello\n", CW_ERR_FORMAT},
	    /* A changed character, lower case, a space behind, one lost. */
	    {"AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX"
	     "40Q2P2LM9",
		CW_ERR_FORMAT},
	    {"age-secret-key-1egtzvffv20835nwyv6270lxyvk2vknx2mmdkwyklmgr48uawx"
	     "40q2p2lm0",
		CW_ERR_FORMAT},
	    {"AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX"
	     "40Q2P2LM0 ",
		CW_ERR_FORMAT},
	    {"AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX"
	     "40Q2P2LM",
		CW_ERR_FORMAT},
	    {"AGE-SECRET-KEY-PQ-1HZLGZUPT4ETPKDEV8HSGFDCYZ4E522W0A7PU2LHT8EH9W6"
	     "YLNC3SW78XKG\n",
		CW_ERR_UNSUPPORTED},
	    {"AGE-PLUGIN-YUBIKEY-1QQQQ\n", CW_ERR_UNSUPPORTED},
	    {"-----BEGIN OPENSSH PRIVATE KEY-----\n", CW_ERR_UNSUPPORTED},
	    {"age-encryption.org/v1\n-> scrypt\n", CW_ERR_UNSUPPORTED},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cw_age_identity *id;
		struct cw_error err = CW_ERROR_INIT;

		ck_assert_int_eq(cw_age_identity_parse(bad[i].text,
				     strlen(bad[i].text), &id, &err),
		    -1);
		ck_assert_msg(
		    err.code == bad[i].code, "%zu: %s", i, err.message);
		ck_assert_ptr_null(id);
		/* No part of a key gets into a log. */
		ck_assert_ptr_null(strstr(err.message, "EGTZ"));
		ck_assert_ptr_null(strstr(err.message, "egtz"));
		ck_assert_ptr_null(strstr(err.message, "HZLG"));
	}
}
END_TEST

START_TEST(recipient_refuses_hybrid_plugins_typos_and_low_order)
{
	static const struct {
		const char *text;
		enum cw_code code;
	} bad[] = {
	    {"", CW_ERR_FORMAT},
	    {"age1", CW_ERR_FORMAT},
	    {"age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryeg",
		CW_ERR_FORMAT},
	    {"AGE1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4Q47RYEF",
		CW_ERR_FORMAT},
	    {"age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef ",
		CW_ERR_FORMAT},
	    {"age1pq1hzlgzupt4etpkdev8hsgfdcyz4e522w0a7pu2",
		CW_ERR_UNSUPPORTED},
	    {"age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3h"
	     "y",
		CW_ERR_UNSUPPORTED},
	};
	struct cw_age_recipient r, zero = {{0}};
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	char text[CW_AGE_RECIPIENT_TEXT];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(
		    cw_age_recipient_parse(bad[i].text, &r, &err), -1);
		ck_assert_msg(
		    err.code == bad[i].code, "%zu: %s", i, err.message);
	}
	cw_age_recipient_format(&zero, text);
	ck_assert_int_eq(cw_age_recipient_parse(text, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(err.message, "low order"));
	ck_assert_int_eq(cw_age_seal_new(&zero, 1, &s, &err), -1);
	ck_assert_ptr_null(s);
}
END_TEST

/* BIP 173's own vectors that are whole bytes and carry a prefix of one case. */
START_TEST(bech32_agrees_with_its_standard)
{
	uint8_t out[64];

	ck_assert(cw_age_bech32_decode("A", "A12UEL5L", 8, out, 0));
	ck_assert(cw_age_bech32_decode("a", "a12uel5l", 8, out, 0));
	ck_assert(!cw_age_bech32_decode("a", "A12UEL5L", 8, out, 0));
	ck_assert(cw_age_bech32_decode("split",
	    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", 60,
	    out, 30));
	/* Checksum of BIP 350 (Bech32m), and a padding bit that is set. */
	ck_assert(!cw_age_bech32_decode("a", "a1lqfn3a", 8, out, 0));
}
END_TEST

/* ---- sealing and opening ---- */

static const size_t sizes[] = {
    0, 1, 65535, 65536, 65537, 3 * 65536, 3 * 65536 + 100};
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* Seals len bytes of plain for r; chunks from the last to the first. */
static void
seal_backwards(const struct cw_age_recipient *r, size_t count,
    const uint8_t *plain, size_t len, struct cw_buf *file)
{
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	const uint8_t *header;
	size_t size;
	uint64_t chunks =
	    len == 0 ? 1 : (len + CW_AGE_CHUNK - 1) / CW_AGE_CHUNK;

	ck_assert_int_eq(cw_age_seal_new(r, count, &s, &err), 0);
	header = cw_age_seal_header(s, &size);
	ck_assert_uint_eq(size, cw_age_header_size(count));
	cw_buf_append(file, header, size);
	cw_buf_reserve(file, (size_t)cw_age_file_size(size, len));
	for (uint64_t i = chunks; i-- > 0;) {
		size_t at = i * CW_AGE_CHUNK;
		size_t n = len - at < CW_AGE_CHUNK ? len - at : CW_AGE_CHUNK;
		uint8_t *place = file->data + size + i * CW_AGE_SEALED_CHUNK;

		/* In place. */
		memcpy(place, plain + at, n);
		ck_assert_int_eq(cw_age_seal_chunk(s, i, i == chunks - 1, place,
				     n, place, &err),
		    0);
	}
	file->len = (size_t)cw_age_file_size(size, len);
	cw_age_seal_free(s);
}

START_TEST(sealed_bytes_come_back)
{
	size_t len = sizes[_i];
	uint8_t *plain = sample(len);
	struct cw_age_identity *id = cw_age_identity_generate();
	struct cw_age_recipient r[3];
	struct cw_buf file = CW_BUF_INIT, whole = CW_BUF_INIT,
		      out = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_age_seal *s;
	uint64_t size;

	for (int i = 0; i < 2; i++) {
		struct cw_age_identity *other = cw_age_identity_generate();

		cw_age_identity_recipient(other, &r[i]);
		cw_age_identity_free(other);
	}
	cw_age_identity_recipient(id, &r[2]);
	seal_backwards(r, 3, plain, len, &file);
	ck_assert(cw_age_plain_size(cw_age_header_size(3), file.len, &size));
	ck_assert_uint_eq(size, len);
	ck_assert_int_eq(
	    open_backwards(file.data, file.len, id, NULL, &out, &err), 0);
	ck_assert_uint_eq(out.len, len);
	ck_assert_int_eq(memcmp(out.data, plain, len), 0);

	ck_assert_int_eq(cw_age_seal_new(&r[2], 1, &s, &err), 0);
	ck_assert_int_eq(cw_age_seal_whole(s, plain, len, &whole, &err), 0);
	cw_age_seal_free(s);
	for (size_t step = 1; step < 200000; step = step * 5 + 11) {
		struct sink sink = {CW_BUF_INIT, NULL, 0};

		ck_assert_int_eq(
		    decode(whole.data, whole.len, step, id, &sink, &err),
		    CW_AGE_OK);
		ck_assert_uint_eq(sink.out.len, len);
		ck_assert_int_eq(
		    len == 0 || memcmp(sink.out.data, plain, len) == 0, 1);
		ck_assert_int_eq(sink.asked, 0);
		cw_buf_free(&sink.out);
	}
	cw_buf_free(&file);
	cw_buf_free(&whole);
	cw_buf_free(&out);
	cw_age_identity_free(id);
	free(plain);
}
END_TEST

/* All bytes of a small file, header, nonce and chunk alike. */
START_TEST(no_changed_byte_is_accepted)
{
	struct cw_age_identity *id = identity(kit_key);
	struct cw_age_recipient r;
	struct cw_buf file = CW_BUF_INIT;
	uint8_t *plain = sample(33);

	cw_age_identity_recipient(id, &r);
	seal_backwards(&r, 1, plain, 33, &file);
	for (size_t i = 0; i < file.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			struct sink sink = {CW_BUF_INIT, NULL, 0};
			struct cw_error err = CW_ERROR_INIT;

			file.data[i] ^= (uint8_t)(1u << bit);
			ck_assert_int_ne(decode(file.data, file.len, file.len,
					     id, &sink, &err),
			    CW_AGE_OK);
			ck_assert_uint_eq(sink.out.len, 0);
			file.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	for (size_t len = 0; len < file.len; len++) {
		struct sink sink = {CW_BUF_INIT, NULL, 0};
		struct cw_error err = CW_ERROR_INIT;

		ck_assert_int_ne(
		    decode(file.data, len, file.len, id, &sink, &err),
		    CW_AGE_OK);
		ck_assert_uint_eq(sink.out.len, 0);
	}
	cw_buf_free(&file);
	cw_age_identity_free(id);
	free(plain);
}
END_TEST

START_TEST(chunks_open_in_their_place_only)
{
	struct cw_age_identity *id = identity(kit_key);
	struct cw_age_recipient r;
	struct cw_buf file = CW_BUF_INIT;
	struct cw_age_open *o;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *plain = sample(3 * CW_AGE_CHUNK), *out = sample(CW_AGE_CHUNK);
	const uint8_t *chunk[3];
	size_t offset;

	cw_age_identity_recipient(id, &r);
	seal_backwards(&r, 1, plain, 3 * CW_AGE_CHUNK, &file);
	ck_assert_int_eq(
	    cw_age_open_new(file.data, file.len, id, NULL, &o, &offset, &err),
	    0);
	for (size_t i = 0; i < 3; i++)
		chunk[i] = file.data + offset + i * CW_AGE_SEALED_CHUNK;
	for (uint64_t i = 0; i < 3; i++) {
		for (uint64_t k = 0; k < 3; k++) {
			for (int last = 0; last < 2; last++) {
				bool right = i == k && (k == 2) == last;
				int ret = cw_age_open_chunk(o, i, last,
				    chunk[k], CW_AGE_SEALED_CHUNK, out, &err);

				ck_assert_int_eq(ret, right ? 0 : -1);
				if (!right) {
					ck_assert_int_eq(
					    err.code, CW_ERR_DAMAGED);
					ck_assert_uint_eq(out[0], 0);
					ck_assert_uint_eq(
					    out[CW_AGE_CHUNK - 1], 0);
				}
			}
		}
	}
	ck_assert_int_eq(cw_age_open_chunk(o, 0, false, chunk[0],
			     CW_AGE_SEALED_CHUNK - 1, out, &err),
	    -1);
	ck_assert_int_eq(
	    cw_age_open_chunk(o, 0, true, chunk[0], 15, out, &err), -1);
	cw_age_open_free(o);
	cw_buf_free(&file);
	cw_age_identity_free(id);
	free(plain);
	free(out);
}
END_TEST

START_TEST(seal_refuses_chunks_that_no_reader_takes)
{
	struct cw_age_identity *id = identity(kit_key);
	struct cw_age_recipient r;
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *plain = sample(CW_AGE_SEALED_CHUNK + 1);

	cw_age_identity_recipient(id, &r);
	ck_assert_int_eq(cw_age_seal_new(&r, 1, &s, &err), 0);
	ck_assert_int_eq(
	    cw_age_seal_chunk(s, 0, false, plain, 5, plain, &err), -1);
	ck_assert_int_eq(
	    cw_age_seal_chunk(s, 1, true, plain, 0, plain, &err), -1);
	ck_assert_int_eq(
	    cw_age_seal_chunk(s, 0, true, plain, CW_AGE_CHUNK + 1, plain, &err),
	    -1);
	cw_age_seal_free(s);
	ck_assert_int_eq(cw_age_seal_new(&r, 0, &s, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(cw_age_seal_new_passphrase("", 10, &s, &err), -1);
	ck_assert_int_eq(cw_age_seal_new_passphrase("x", 23, &s, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	cw_age_identity_free(id);
	free(plain);
}
END_TEST

struct worker {
	struct cw_age_seal *seal;
	struct cw_age_open *open;
	const uint8_t *plain;
	uint8_t *sealed;
	uint8_t *back;
	uint64_t first;
	int failed;
};

#define THREADS	      4u
#define THREAD_CHUNKS 64u

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = w->first; i < THREAD_CHUNKS; i += THREADS) {
		bool last = i == THREAD_CHUNKS - 1;
		uint8_t *sealed = w->sealed + i * CW_AGE_SEALED_CHUNK;

		if (w->seal != NULL)
			w->failed += cw_age_seal_chunk(w->seal, i, last,
					 w->plain + i * CW_AGE_CHUNK,
					 CW_AGE_CHUNK, sealed, NULL) < 0;
		else
			w->failed += cw_age_open_chunk(w->open, i, last, sealed,
					 CW_AGE_SEALED_CHUNK,
					 w->back + i * CW_AGE_CHUNK, NULL) < 0;
	}
	return NULL;
}

START_TEST(threads_share_a_seal)
{
	size_t len = (size_t)THREAD_CHUNKS * CW_AGE_CHUNK;
	struct cw_age_identity *id = identity(kit_key);
	struct cw_age_recipient r;
	struct worker w[THREADS] = {{0}};
	struct cw_age_seal *s;
	struct cw_age_open *o;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *plain = sample(len), *back = cw_malloc(len);
	uint8_t *sealed =
	    cw_malloc((size_t)THREAD_CHUNKS * CW_AGE_SEALED_CHUNK);
	const uint8_t *header;
	size_t size, offset;
	pthread_t thread[THREADS];

	cw_age_identity_recipient(id, &r);
	ck_assert_int_eq(cw_age_seal_new(&r, 1, &s, &err), 0);
	header = cw_age_seal_header(s, &size);
	ck_assert_int_eq(
	    cw_age_open_new(header, size, id, NULL, &o, &offset, &err), 0);
	for (int opening = 0; opening < 2; opening++) {
		for (size_t i = 0; i < THREADS; i++) {
			w[i] = (struct worker){
			    opening ? NULL : s, o, plain, sealed, back, i, 0};
			ck_assert_int_eq(
			    pthread_create(&thread[i], NULL, work, &w[i]), 0);
		}
		for (size_t i = 0; i < THREADS; i++) {
			pthread_join(thread[i], NULL);
			ck_assert_int_eq(w[i].failed, 0);
		}
	}
	ck_assert_int_eq(memcmp(plain, back, len), 0);
	cw_age_seal_free(s);
	cw_age_open_free(o);
	cw_age_identity_free(id);
	free(plain);
	free(sealed);
	free(back);
}
END_TEST

START_TEST(sizes_agree_in_both_directions)
{
	size_t header = cw_age_header_size(2);
	uint64_t next = cw_age_file_size(header, 0), plain, made = 0;

	ck_assert_uint_eq(cw_age_header_size(1), 184);
	ck_assert_uint_eq(next, header + 16);
	for (uint64_t size = 0; size < header + 4 * CW_AGE_SEALED_CHUNK;
	     size++) {
		bool exists = size == next;

		ck_assert_int_eq(
		    cw_age_plain_size(header, size, &plain), exists);
		if (exists) {
			ck_assert_uint_eq(plain, made);
			next = cw_age_file_size(header, ++made);
		}
	}
	/* Beyond 32 bits. */
	ck_assert(cw_age_plain_size(
	    header, cw_age_file_size(header, 1ULL << 50), &plain));
	ck_assert_uint_eq(plain, 1ULL << 50);
}
END_TEST

START_TEST(decoder_asks_for_a_passphrase_only_when_there_is_a_use)
{
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	struct sink sink = {CW_BUF_INIT, NULL, 0};

	ck_assert_int_eq(cw_age_seal_new_passphrase("x", 2, &s, &err), 0);
	ck_assert_int_eq(
	    cw_age_seal_whole(s, (const uint8_t *)"hello", 5, &file, &err), 0);
	cw_age_seal_free(s);
	ck_assert_int_eq(
	    decode(file.data, file.len, 7, NULL, &sink, &err), CW_AGE_OTHER);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_str_eq(err.message, "nobody knows");
	ck_assert_int_eq(sink.asked, 1);
	sink.passphrase = "x";
	ck_assert_int_eq(
	    decode(file.data, file.len, 7, NULL, &sink, &err), CW_AGE_OK);
	ck_assert_int_eq(sink.asked, 2);
	ck_assert_uint_eq(sink.out.len, 5);
	cw_buf_free(&sink.out);
	cw_buf_free(&file);
}
END_TEST

START_TEST(header_is_bounded)
{
	struct cw_buf many = CW_BUF_INIT, huge = CW_BUF_INIT;
	struct sink sink = {CW_BUF_INIT, NULL, 0};
	struct cw_error err = CW_ERROR_INIT;

	cw_buf_text(&many, "age-encryption.org/v1\n");
	for (unsigned i = 0; i <= CW_AGE_STANZAS_MAX; i++)
		cw_buf_text(&many, "-> grease\n\n");
	cw_buf_text(&many, "--- WyJp9F/9FOZh7gJdheq2WIJcwHgYc8NIVh3ddwhrcNg\n"
			   "0123456789abcdef0123456789abcdef");
	ck_assert_int_eq(
	    decode(many.data, many.len, 100, NULL, &sink, &err), CW_AGE_HEADER);
	ck_assert_ptr_nonnull(strstr(err.message, "more than 64"));
	cw_buf_text(&huge, "age-encryption.org/v1\n-> grease ");
	memset(cw_buf_reserve(&huge, 1000000), 'a', 1000000);
	huge.len += 1000000;
	ck_assert_int_eq(decode(huge.data, huge.len, 4096, NULL, &sink, &err),
	    CW_AGE_HEADER);
	cw_buf_free(&many);
	cw_buf_free(&huge);
}
END_TEST

START_TEST(armor_tolerates_white_space_around_it_only)
{
	struct cw_age_identity *id = identity(kit_key);
	struct kit k;
	static const struct {
		const char *before, *behind;
		enum cw_age_outcome outcome;
	} cases[] = {
	    {"\n \t\r\n", " \n\n\t", CW_AGE_OK},
	    {" ", "", CW_AGE_ARMOR},
	    {"\n", "x", CW_AGE_ARMOR},
	    {"-", "", CW_AGE_ARMOR},
	};

	kit_load(VECTORS "age/armor_crlf", &k);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cw_buf text = CW_BUF_INIT;
		struct sink sink = {CW_BUF_INIT, NULL, 0};
		struct cw_error err = CW_ERROR_INIT;

		cw_buf_text(&text, cases[i].before);
		cw_buf_append(&text, k.body.data, k.body.len);
		cw_buf_text(&text, cases[i].behind);
		ck_assert_int_eq(
		    decode(text.data, text.len, 10, id, &sink, &err),
		    cases[i].outcome);
		cw_buf_free(&text);
		cw_buf_free(&sink.out);
	}
	cw_buf_free(&k.identities);
	cw_buf_free(&k.body);
	cw_age_identity_free(id);
}
END_TEST

/* The lines of hex in SPEC.md, Example: what the specification says, holds. */
START_TEST(specified_example_opens)
{
	struct cw_age_identity *id = identity(kit_key);
	struct cw_buf spec = CW_BUF_INIT, file = CW_BUF_INIT, out = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	char *line;

	ck_assert(read_file(CW_SOURCE_DIR "/formats/age/SPEC.md", &spec));
	line = strstr(cw_buf_string(&spec), "## Example");
	ck_assert_ptr_nonnull(line);
	for (line = strtok(line, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		size_t len;

		if (strncmp(line, "    ", 4) != 0)
			continue;
		len = strspn(line + 4, "0123456789abcdef");
		if (len == 0 || line[4 + len] != '\0')
			continue;
		ck_assert(cw_hex_decode(
		    line + 4, len, cw_buf_reserve(&file, len / 2), len / 2));
		file.len += len / 2;
	}
	ck_assert_uint_eq(file.len, cw_age_file_size(cw_age_header_size(1), 5));
	ck_assert_int_eq(
	    open_backwards(file.data, file.len, id, NULL, &out, &err), 0);
	ck_assert_uint_eq(out.len, 5);
	ck_assert_mem_eq(out.data, "mail\n", 5);
	cw_buf_free(&spec);
	cw_buf_free(&file);
	cw_buf_free(&out);
	cw_age_identity_free(id);
}
END_TEST

/* ---- stock age ---- */

static char dir[] = "/tmp/test_age.XXXXXX";

static bool
have_age(const char *test)
{
	if (system("age --version >/dev/null 2>&1") == 0 &&
	    system("age-keygen --version >/dev/null 2>&1") == 0)
		return true;
	printf("skip: %s: no age\n", test);
	return false;
}

static void
make_dir(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void
remove_dir(void)
{
	char *command = cw_asprintf("rm -rf %s", dir);

	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
	free(command);
}

static void
run(const char *command)
{
	ck_assert_msg(system(command) == 0, "%s", command);
}

/* What age reads at a terminal, here a pseudo-terminal of its own. */
static int
run_at_terminal(const char *command, const char *typed)
{
	char out[4096];
	int fd, status;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	/* Lines wait in the terminal until they are read. */
	ck_assert_int_eq(
	    write(fd, typed, strlen(typed)), (ssize_t)strlen(typed));
	while (read(fd, out, sizeof(out)) > 0)
		;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(fd);
	return status;
}

static void
check_decodes(const char *path, const struct cw_age_identity *id,
    const char *passphrase, const uint8_t *plain, size_t len)
{
	struct cw_buf file = CW_BUF_INIT;
	struct sink sink = {CW_BUF_INIT, passphrase, 0};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert(read_file(path, &file));
	ck_assert_msg(
	    decode(file.data, file.len, 10000, id, &sink, &err) == CW_AGE_OK,
	    "%s", err.message);
	ck_assert_uint_eq(sink.out.len, len);
	ck_assert_int_eq(len == 0 || memcmp(sink.out.data, plain, len) == 0, 1);
	cw_buf_free(&file);
	cw_buf_free(&sink.out);
}

START_TEST(stock_age_opens_what_we_seal_and_we_what_it_seals)
{
	size_t len = sizes[_i];
	struct cw_age_identity *mine, *theirs;
	struct cw_age_recipient r[2];
	struct cw_buf file = CW_BUF_INIT, key = CW_BUF_INIT;
	char text[2][CW_AGE_RECIPIENT_TEXT], *command, *key_text;
	uint8_t *plain;

	if (!have_age("stock_age_opens_what_we_seal_and_we_what_it_seals"))
		return;
	make_dir();
	plain = sample(len);
	write_file("plain", plain, len);
	run("age-keygen -o theirs.key 2>/dev/null");
	ck_assert(read_file("theirs.key", &key));
	theirs = identity(cw_buf_string(&key));
	mine = cw_age_identity_generate();
	key_text = cw_age_identity_format(mine, "2026-01-02T03:04:05Z");
	write_file("mine.key", key_text, strlen(key_text));
	cw_secret_free(key_text);
	cw_age_identity_recipient(mine, &r[0]);
	cw_age_identity_recipient(theirs, &r[1]);
	cw_age_recipient_format(&r[0], text[0]);
	cw_age_recipient_format(&r[1], text[1]);
	command = cw_asprintf("test $(age-keygen -y mine.key) = %s && test "
			      "$(age-keygen -y theirs.key) = %s",
	    text[0], text[1]);
	run(command);
	free(command);

	seal_backwards(r, 1, plain, len, &file);
	write_file("one.age", file.data, file.len);
	run("age -d -i mine.key one.age | cmp - plain");
	cw_buf_reset(&file);
	seal_backwards(r, 2, plain, len, &file);
	write_file("two.age", file.data, file.len);
	run("age -d -i mine.key two.age | cmp - plain");
	run("age -d -i theirs.key two.age | cmp - plain");

	command = cw_asprintf("age -r %s -o one.age plain && "
			      "age -r %s -r %s -o two.age plain && "
			      "age -a -r %s -r %s -o armored.age plain",
	    text[0], text[1], text[0], text[0], text[1]);
	run(command);
	free(command);
	check_decodes("one.age", mine, NULL, plain, len);
	check_decodes("two.age", mine, NULL, plain, len);
	check_decodes("two.age", theirs, NULL, plain, len);
	check_decodes("armored.age", theirs, NULL, plain, len);

	cw_age_identity_free(mine);
	cw_age_identity_free(theirs);
	cw_buf_free(&file);
	cw_buf_free(&key);
	free(plain);
	remove_dir();
}
END_TEST

START_TEST(stock_age_and_we_share_passphrase_files)
{
	struct cw_age_seal *s;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	const uint8_t text[] = "kept for escrow\n";

	if (!have_age("stock_age_and_we_share_passphrase_files"))
		return;
	make_dir();
	write_file("plain", text, sizeof(text));
	ck_assert_int_eq(
	    cw_age_seal_new_passphrase("pass word", 10, &s, &err), 0);
	ck_assert_int_eq(
	    cw_age_seal_whole(s, text, sizeof(text), &file, &err), 0);
	cw_age_seal_free(s);
	write_file("ours.age", file.data, file.len);
	cw_buf_free(&file);
	ck_assert_int_eq(
	    run_at_terminal("age -d -o back ours.age", "pass word\n"), 0);
	run("cmp back plain");
	ck_assert_int_eq(run_at_terminal("age -p -o theirs.age plain",
			     "pass word\npass word\n"),
	    0);
	check_decodes("theirs.age", NULL, "pass word", text, sizeof(text));
	remove_dir();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("age");
	TCase *tc = tcase_create("age");
	SRunner *sr = srunner_create(suite);
	int failed;

	if (cw_crypto_init(NULL) < 0)
		return 1;
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, kit_selection_gives_its_declared_outcomes);
	tcase_add_test(tc, kit_gives_its_declared_outcomes);
	tcase_add_loop_test(tc, primitives_agree_with_selected_vectors, 0, 4);
	tcase_add_loop_test(tc, primitives_agree_with_all_vectors, 0, 4);
	tcase_add_test(tc, key_text_survives_parsing);
	tcase_add_test(tc, generated_keys_differ_and_match_their_recipients);
	tcase_add_test(tc, key_file_allows_comments_and_several_keys);
	tcase_add_test(tc, key_file_refuses_what_is_no_key);
	tcase_add_test(
	    tc, recipient_refuses_hybrid_plugins_typos_and_low_order);
	tcase_add_test(tc, bech32_agrees_with_its_standard);
	tcase_add_loop_test(tc, sealed_bytes_come_back, 0, SIZES);
	tcase_add_test(tc, no_changed_byte_is_accepted);
	tcase_add_test(tc, chunks_open_in_their_place_only);
	tcase_add_test(tc, seal_refuses_chunks_that_no_reader_takes);
	tcase_add_test(tc, threads_share_a_seal);
	tcase_add_test(tc, sizes_agree_in_both_directions);
	tcase_add_test(tc, passphrase_opens_and_another_does_not);
	tcase_add_test(
	    tc, decoder_asks_for_a_passphrase_only_when_there_is_a_use);
	tcase_add_test(tc, header_is_bounded);
	tcase_add_test(tc, armor_tolerates_white_space_around_it_only);
	tcase_add_test(tc, specified_example_opens);
	tcase_add_loop_test(
	    tc, stock_age_opens_what_we_seal_and_we_what_it_seals, 0, SIZES);
	tcase_add_test(tc, stock_age_and_we_share_passphrase_files);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
