#include "formats/minisign/minisign.h"

#include "base/bytes.h"
#include "base/crypto.h"

#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

#define UNTRUSTED "untrusted comment: "
#define TRUSTED	  "trusted comment: "

/* Sizes of the binary records, see SPEC.md. */
#define PUBLIC_SIZE 42u /* algorithm, key id, point */
#define SECRET_SIZE 158u
#define RECORD_SIZE 74u /* algorithm, key id, signature */

/* Offsets in a secret key: from KEY_ID on it is what scrypt encrypts. */
#define KDF	     2u
#define CHECKSUM_ALG 4u
#define SALT	     6u
#define OPS_LIMIT    38u
#define MEM_LIMIT    46u
#define KEY_ID	     54u
#define SEED	     62u
#define POINT	     94u
#define CHECKSUM     126u
#define ENCRYPTED    (SECRET_SIZE - KEY_ID)

/* The stock tool's (libsodium's "sensitive") limits are what we bear. */
#define OPS_LIMIT_MAX (1ull << 25)
#define MEM_LIMIT_MAX (1ull << 30)
/*
 * Ours: N = 2^17, r = 8, p = 1, which takes 128 MiB, so that no command goes
 * over its 256 MiB.
 */
#define OUR_OPS_LIMIT (1ull << 22)
#define OUR_MEM_LIMIT (1ull << 27)

struct cw_minisign_secret {
	uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE];
	uint8_t seed[CW_ED25519_SEED_SIZE];
	uint8_t point[CW_ED25519_POINT_SIZE];
};

struct text {
	const char *at;
	size_t len;
};

struct signature {
	bool is_prehashed;
	uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE];
	uint8_t sig[CW_ED25519_SIGNATURE_SIZE];
	struct text comment;
	uint8_t global_sig[CW_ED25519_SIGNATURE_SIZE];
};

/*
 * Takes a line from the front of rest.  Lines end in LF or CRLF (a signature
 * may travel by mail), the last one may lack its end.
 */
static bool
next_line(struct text *rest, struct text *line)
{
	const char *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->at, '\n', rest->len);
	line->at = rest->at;
	line->len = end == NULL ? rest->len : (size_t)(end - rest->at);
	rest->at += line->len + (end != NULL);
	rest->len -= line->len + (end != NULL);
	if (line->len > 0 && line->at[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* Takes a prefix off a line of printable text. */
static bool
take_comment(struct text *line, const char *prefix)
{
	size_t len = strlen(prefix);

	if (line->len < len || memcmp(line->at, prefix, len) != 0)
		return false;
	line->at += len;
	line->len -= len;
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return line->len < CW_MINISIGN_COMMENT_MAX;
}

/* Base64 of exactly size bytes, at most SECRET_SIZE. */
static bool
take_base64(struct text line, uint8_t *out, size_t size)
{
	uint8_t *bytes;
	size_t len = 0;
	bool is_good = false;

	if (line.len != CW_BASE64_LEN(size))
		return false;
	bytes = cw_secret_alloc(line.len / 4 * 3 + 3);
	if (cw_base64_decode(line.at, line.len, true, bytes, &len) &&
	    len == size) {
		memcpy(out, bytes, size);
		is_good = true;
	}
	cw_secret_free(bytes);
	return is_good;
}

void
cw_minisign_key_id_text(
    const uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE], char out[17])
{
	static const char digits[] = "0123456789ABCDEF";
	uint64_t id = cw_get_le64(key_id);

	for (int i = 0; i < 16; i++)
		out[i] = digits[id >> (60 - 4 * i) & 15];
	out[16] = '\0';
}

bool
cw_minisign_public_equal(
    const struct cw_minisign_public *a, const struct cw_minisign_public *b)
{
	return memcmp(a->key_id, b->key_id, sizeof(a->key_id)) == 0 &&
	       memcmp(a->point, b->point, sizeof(a->point)) == 0;
}

/* Secret keys. */

struct cw_minisign_secret *
cw_minisign_generate(void)
{
	struct cw_minisign_secret *secret = cw_secret_alloc(sizeof(*secret));

	cw_random(secret->key_id, sizeof(secret->key_id));
	cw_random_secret(secret->seed, sizeof(secret->seed));
	if (cw_ed25519_point(secret->seed, secret->point, NULL) < 0)
		abort(); /* only without memory */
	return secret;
}

void
cw_minisign_secret_free(struct cw_minisign_secret *secret)
{
	cw_secret_free(secret);
}

void
cw_minisign_secret_public(
    const struct cw_minisign_secret *secret, struct cw_minisign_public *pub)
{
	memcpy(pub->key_id, secret->key_id, sizeof(pub->key_id));
	memcpy(pub->point, secret->point, sizeof(pub->point));
}

const uint8_t *
cw_minisign_secret_seed(const struct cw_minisign_secret *secret)
{
	return secret->seed;
}

/* The checksum of a secret key: BLAKE2b-256(algorithm, key id, seed, point) */
static void
checksum(const uint8_t record[SECRET_SIZE], uint8_t out[32])
{
	gcry_buffer_t parts[2] = {{0}};

	parts[0].data = (void *)(uintptr_t)record;
	parts[0].len = 2;
	parts[1].data = (void *)(uintptr_t)(record + KEY_ID);
	parts[1].len = CHECKSUM - KEY_ID;
	if (gcry_md_hash_buffers(GCRY_MD_BLAKE2B_256, 0, out, parts, 2) != 0)
		abort(); /* only without memory */
}

/*
 * The scrypt parameters that libsodium's crypto_pwhash_scryptsalsa208sha256
 * takes for its two limits; r is always 8.
 */
static void
pick_params(uint64_t ops, uint64_t mem, uint64_t *n, uint64_t *p)
{
	uint64_t max_n;

	if (ops < 32768)
		ops = 32768;
	max_n = ops < mem / 32 ? ops / 32 : mem / 1024;
	*n = 2;
	while (*n <= max_n / 2)
		*n *= 2;
	*p = ops < mem / 32 ? 1 : ops / 4 / *n / 8;
}

/* XORs scrypt's stream over the encrypted part of a secret key. */
static int
crypt_record(
    uint8_t record[SECRET_SIZE], const char *passphrase, struct cw_error *err)
{
	uint64_t ops = cw_get_le64(record + OPS_LIMIT);
	uint64_t mem = cw_get_le64(record + MEM_LIMIT);
	gcry_error_t code;
	uint8_t *stream;
	uint64_t n, p;

	if (ops > OPS_LIMIT_MAX || mem > MEM_LIMIT_MAX)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "secret key wants scrypt limits of %llu operations and "
		    "%llu bytes, expected at most %llu and %llu",
		    (unsigned long long)ops, (unsigned long long)mem,
		    OPS_LIMIT_MAX, MEM_LIMIT_MAX);
	pick_params(ops, mem, &n, &p);
	if (p == 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "secret key has scrypt limits that fit no parameters");
	stream = cw_secret_alloc(ENCRYPTED);
	code = gcry_kdf_derive(passphrase, strlen(passphrase), GCRY_KDF_SCRYPT,
	    (int)n, record + SALT, OPS_LIMIT - SALT, (unsigned long)p,
	    ENCRYPTED, stream);
	if (code == 0)
		for (size_t i = 0; i < ENCRYPTED; i++)
			record[KEY_ID + i] ^= stream[i];
	cw_secret_free(stream);
	if (code != 0)
		return cw_error_set(err, CW_ERR_FAILED,
		    "scrypt of the secret key's passphrase: %s",
		    gcry_strerror(code));
	return 0;
}

/* The second line of a secret key file. */
static bool
read_record(const char *text, size_t len, uint8_t record[SECRET_SIZE])
{
	struct text rest = {text, len}, line;

	return len <= CW_MINISIGN_FILE_MAX && next_line(&rest, &line) &&
	       take_comment(&line, UNTRUSTED) && next_line(&rest, &line) &&
	       rest.len == 0 && take_base64(line, record, SECRET_SIZE) &&
	       memcmp(record, "Ed", 2) == 0 &&
	       memcmp(record + CHECKSUM_ALG, "B2", 2) == 0 &&
	       (memcmp(record + KDF, "Sc", 2) == 0 ||
		   memcmp(record + KDF, "\0", 2) == 0);
}

static bool
is_zero(const uint8_t *bytes, size_t len)
{
	uint8_t all = 0;

	for (size_t i = 0; i < len; i++)
		all |= bytes[i];
	return all == 0;
}

/* Takes the key out of a record that is plain now. */
static int
take_secret(const uint8_t record[SECRET_SIZE], bool was_encrypted,
    struct cw_minisign_secret **out, struct cw_error *err)
{
	uint8_t expected[32], point[CW_ED25519_POINT_SIZE];
	struct cw_minisign_secret *secret;

	/* The stock tool leaves zeros when it does not encrypt. */
	checksum(record, expected);
	if (!cw_secret_equal(expected, record + CHECKSUM, 32) &&
	    (was_encrypted || !is_zero(record + CHECKSUM, 32))) {
		if (was_encrypted)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "wrong passphrase for the secret key");
		return cw_error_set(err, CW_ERR_FORMAT,
		    "secret key does not match its checksum");
	}
	/* Signing with a public key that is not its own reveals the seed. */
	if (cw_ed25519_point(record + SEED, point, err) < 0)
		return -1;
	if (memcmp(point, record + POINT, sizeof(point)) != 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "secret key does not match the public key beside it");
	secret = cw_secret_alloc(sizeof(*secret));
	memcpy(secret->key_id, record + KEY_ID, sizeof(secret->key_id));
	memcpy(secret->seed, record + SEED, sizeof(secret->seed));
	memcpy(secret->point, point, sizeof(secret->point));
	*out = secret;
	return 0;
}

int
cw_minisign_secret_parse(const char *text, size_t len, const char *passphrase,
    struct cw_minisign_secret **out, struct cw_error *err)
{
	uint8_t *record = cw_secret_alloc(SECRET_SIZE);
	bool is_encrypted;
	int ret = -1;

	if (!read_record(text, len, record)) {
		cw_error_set(
		    err, CW_ERR_FORMAT, "not a minisign secret key file");
		goto out;
	}
	is_encrypted = record[KDF] != 0;
	if (is_encrypted && passphrase == NULL) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "secret key is encrypted: its passphrase is needed");
		goto out;
	}
	if (is_encrypted && crypt_record(record, passphrase, err) < 0)
		goto out;
	ret = take_secret(record, is_encrypted, out, err);
out:
	cw_secret_free(record);
	return ret;
}

bool
cw_minisign_secret_is_encrypted(const char *text, size_t len)
{
	uint8_t *record = cw_secret_alloc(SECRET_SIZE);
	bool is_encrypted = read_record(text, len, record) && record[KDF] != 0;

	cw_secret_free(record);
	return is_encrypted;
}

char *
cw_minisign_secret_format(const struct cw_minisign_secret *secret,
    const char *passphrase, struct cw_error *err)
{
	static const char comment[] =
	    UNTRUSTED "minisign encrypted secret key\n";
	const size_t base64 = CW_BASE64_LEN(SECRET_SIZE);
	uint8_t *record = cw_secret_alloc(SECRET_SIZE);
	char *text = NULL;

	memcpy(record, "Ed", 2);
	memcpy(record + CHECKSUM_ALG, "B2", 2);
	memcpy(record + KEY_ID, secret->key_id, sizeof(secret->key_id));
	memcpy(record + SEED, secret->seed, sizeof(secret->seed));
	memcpy(record + POINT, secret->point, sizeof(secret->point));
	if (passphrase != NULL) {
		memcpy(record + KDF, "Sc", 2);
		cw_random(record + SALT, OPS_LIMIT - SALT);
		cw_put_le64(record + OPS_LIMIT, OUR_OPS_LIMIT);
		cw_put_le64(record + MEM_LIMIT, OUR_MEM_LIMIT);
		checksum(record, record + CHECKSUM);
		if (crypt_record(record, passphrase, err) < 0)
			goto out;
	}
	text = cw_secret_alloc(sizeof(comment) + base64 + 1);
	memcpy(text, comment, sizeof(comment) - 1);
	cw_base64_encode(record, SECRET_SIZE, true, text + sizeof(comment) - 1);
	text[sizeof(comment) - 1 + base64] = '\n';
	text[sizeof(comment) + base64] = '\0';
out:
	cw_secret_free(record);
	return text;
}

/* Public keys. */

int
cw_minisign_public_parse(const char *text, size_t len,
    struct cw_minisign_public *pub, struct cw_error *err)
{
	struct text rest = {text, len}, line = {text, 0};
	uint8_t record[PUBLIC_SIZE];
	bool is_good = len <= CW_MINISIGN_FILE_MAX && next_line(&rest, &line);

	/* No base64 line begins like a comment: it has a space. */
	if (is_good && take_comment(&line, UNTRUSTED))
		is_good = next_line(&rest, &line);
	if (!is_good || rest.len != 0 ||
	    !take_base64(line, record, sizeof(record)) ||
	    memcmp(record, "Ed", 2) != 0)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "not a minisign public key");
	if (!cw_ed25519_point_is_valid(record + 10))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "minisign public key is no valid Ed25519 point");
	memcpy(pub->key_id, record + 2, sizeof(pub->key_id));
	memcpy(pub->point, record + 10, sizeof(pub->point));
	return 0;
}

void
cw_minisign_public_base64(
    const struct cw_minisign_public *pub, char out[CW_MINISIGN_BASE64_SIZE])
{
	uint8_t record[PUBLIC_SIZE];

	memcpy(record, "Ed", 2);
	memcpy(record + 2, pub->key_id, sizeof(pub->key_id));
	memcpy(record + 10, pub->point, sizeof(pub->point));
	cw_base64_encode(record, sizeof(record), true, out);
}

char *
cw_minisign_public_format(const struct cw_minisign_public *pub)
{
	char base64[CW_MINISIGN_BASE64_SIZE], id[17];

	cw_minisign_public_base64(pub, base64);
	cw_minisign_key_id_text(pub->key_id, id);
	return cw_asprintf(
	    UNTRUSTED "minisign public key %s\n%s\n", id, base64);
}

/* Signatures. */

int
cw_ed25519_sign(const struct cw_minisign_secret *secret, const void *msg,
    size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE], struct cw_error *err)
{
	return cw_ed25519_sign_raw(
	    secret->seed, secret->point, msg, len, sig, err);
}

/* What the global signature is over: the signature, then the comment. */
static void
global_message(struct cw_buf *buf, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE],
    struct text comment)
{
	cw_buf_append(buf, sig, CW_ED25519_SIGNATURE_SIZE);
	cw_buf_append(buf, comment.at, comment.len);
}

int
cw_minisign_sign(const struct cw_minisign_secret *secret, const void *msg,
    size_t len, const char *trusted_comment, struct cw_buf *sig_file,
    struct cw_error *err)
{
	struct text comment = {trusted_comment, strlen(trusted_comment)};
	uint8_t digest[64], record[RECORD_SIZE];
	uint8_t global_sig[CW_ED25519_SIGNATURE_SIZE];
	char record_text[CW_BASE64_LEN(RECORD_SIZE) + 1];
	char global_text[CW_BASE64_LEN(CW_ED25519_SIGNATURE_SIZE) + 1];
	struct cw_buf global = CW_BUF_INIT;
	int ret = -1;

	if (!take_comment(&comment, ""))
		return cw_error_set(err, CW_ERR_USAGE,
		    "trusted comment must be one line of at most %u bytes",
		    CW_MINISIGN_COMMENT_MAX - 1);
	gcry_md_hash_buffer(GCRY_MD_BLAKE2B_512, digest, msg, len);
	memcpy(record, "ED", 2);
	memcpy(record + 2, secret->key_id, sizeof(secret->key_id));
	if (cw_ed25519_sign(secret, digest, sizeof(digest), record + 10, err) <
	    0)
		goto out;
	global_message(&global, record + 10, comment);
	if (cw_ed25519_sign(secret, global.data, global.len, global_sig, err) <
	    0)
		goto out;
	cw_base64_encode(record, sizeof(record), true, record_text);
	cw_base64_encode(global_sig, sizeof(global_sig), true, global_text);
	cw_buf_printf(sig_file,
	    UNTRUSTED "signature by Causeway\n%s\n" TRUSTED "%s\n%s\n",
	    record_text, trusted_comment, global_text);
	ret = 0;
out:
	cw_buf_free(&global);
	return ret;
}

static int
parse_signature(
    const char *text, size_t len, struct signature *out, struct cw_error *err)
{
	struct text rest = {text, len}, line;
	uint8_t record[RECORD_SIZE];

	if (len > CW_MINISIGN_FILE_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "signature file is %zu bytes, expected at most %u", len,
		    CW_MINISIGN_FILE_MAX);
	if (!next_line(&rest, &line) || !take_comment(&line, UNTRUSTED))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "signature, line 1: no untrusted comment");
	if (!next_line(&rest, &line) ||
	    !take_base64(line, record, sizeof(record)) || record[0] != 'E' ||
	    (record[1] != 'd' && record[1] != 'D'))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "signature, line 2: no minisign signature");
	if (!next_line(&rest, &out->comment) ||
	    !take_comment(&out->comment, TRUSTED))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "signature, line 3: no trusted comment");
	if (!next_line(&rest, &line) || rest.len != 0 ||
	    !take_base64(line, out->global_sig, sizeof(out->global_sig)))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "signature, line 4: no signature of the comment");
	out->is_prehashed = record[1] == 'D';
	memcpy(out->key_id, record + 2, sizeof(out->key_id));
	memcpy(out->sig, record + 10, sizeof(out->sig));
	return 0;
}

static bool
message_verifies(const struct cw_minisign_public *pub,
    const struct signature *sig, const void *msg, size_t len)
{
	uint8_t digest[64];

	if (!sig->is_prehashed)
		return cw_ed25519_verify(pub->point, msg, len, sig->sig);
	gcry_md_hash_buffer(GCRY_MD_BLAKE2B_512, digest, msg, len);
	return cw_ed25519_verify(pub->point, digest, sizeof(digest), sig->sig);
}

static bool
comment_verifies(
    const struct cw_minisign_public *pub, const struct signature *sig)
{
	struct cw_buf global = CW_BUF_INIT;
	bool is_good;

	global_message(&global, sig->sig, sig->comment);
	is_good = cw_ed25519_verify(
	    pub->point, global.data, global.len, sig->global_sig);
	cw_buf_free(&global);
	return is_good;
}

int
cw_minisign_verify(const struct cw_minisign_public *pub, const void *msg,
    size_t len, const char *sig_text, size_t sig_len, char *trusted_comment,
    size_t size, struct cw_error *err)
{
	struct signature sig;
	size_t take;

	if (parse_signature(sig_text, sig_len, &sig, err) < 0)
		return -1;
	if (memcmp(sig.key_id, pub->key_id, sizeof(sig.key_id)) != 0) {
		char found[17], expected[17];

		cw_minisign_key_id_text(sig.key_id, found);
		cw_minisign_key_id_text(pub->key_id, expected);
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "signed by key %s, expected %s", found, expected);
	}
	if (!message_verifies(pub, &sig, msg, len))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "signature does not match the signed bytes");
	if (!comment_verifies(pub, &sig))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "signature does not match its trusted comment");
	if (size == 0)
		return 0;
	take = sig.comment.len < size ? sig.comment.len : size - 1;
	memcpy(trusted_comment, sig.comment.at, take);
	trusted_comment[take] = '\0';
	return 0;
}

int
cw_minisign_sig_key_id(const char *sig_text, size_t len,
    uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE], struct cw_error *err)
{
	struct signature sig;

	if (parse_signature(sig_text, len, &sig, err) < 0)
		return -1;
	memcpy(key_id, sig.key_id, sizeof(sig.key_id));
	return 0;
}
