/*
 * minisign: keys and signatures in the formats of the stock tool, in both
 * directions, and the Ed25519 below them for the records of other formats.
 * Normative: formats/minisign/SPEC.md.  The format is Frank Denis's
 * (https://jedisct1.github.io/minisign/); Ed25519 is RFC 8032.
 *
 * We sign prehashed ("ED") only; legacy signatures ("Ed") are verified.
 * Nothing here decides whom to trust: it says which key signed.
 * cw_ed25519_verify is in ed25519.h.
 *
 * Call cw_crypto_init first.  Every function may run in any thread.
 */
#ifndef CW_FORMATS_MINISIGN_MINISIGN_H
#define CW_FORMATS_MINISIGN_MINISIGN_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/minisign/ed25519.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_MINISIGN_KEY_ID_SIZE 8u
#define CW_MINISIGN_BASE64_SIZE 57u    /* a public key's line and a NUL */
#define CW_MINISIGN_FILE_MAX	16384u /* bytes of a key or signature file */
#define CW_MINISIGN_COMMENT_MAX 8192u  /* bytes of a trusted comment */

/* A public key: a plain value, equal if and only if the bytes are. */
struct cw_minisign_public {
	uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE]; /* as in files */
	uint8_t point[CW_ED25519_POINT_SIZE];
};

/* A secret key, in secure memory. */
struct cw_minisign_secret;

/* A new key with a random id; never fails.  Free it. */
struct cw_minisign_secret *cw_minisign_generate(void);

/*
 * Reads a secret key file.  passphrase may be NULL; an encrypted file then
 * is CW_ERR_REFUSED, as is a wrong passphrase.  A passphrase for a file that
 * is not encrypted is ignored.  CW_ERR_UNSUPPORTED for a key derivation that
 * costs more than the stock tool's own (1 GiB, which this takes while it
 * runs).  Failure leaves *out untouched.
 */
int cw_minisign_secret_parse(const char *text, size_t len,
    const char *passphrase, struct cw_minisign_secret **out,
    struct cw_error *err);

/* Whether a file needs a passphrase; false also for what is no key file. */
bool cw_minisign_secret_is_encrypted(const char *text, size_t len);

/*
 * The text of a secret key file, NUL-terminated, in secure memory: free it
 * with cw_secret_free.  A NULL passphrase gives what `minisign -G -W` writes;
 * else the key is encrypted, which takes 128 MiB and about half a second.
 * Returns NULL with err only if there was no memory for that.
 */
char *cw_minisign_secret_format(const struct cw_minisign_secret *secret,
    const char *passphrase, struct cw_error *err);

/* The public half. */
void cw_minisign_secret_public(
    const struct cw_minisign_secret *secret, struct cw_minisign_public *pub);

/*
 * The 32 secret bytes of RFC 8032 from which all follows, for a TLS identity
 * with the same key.  In secure memory, alive as long as the secret.
 */
const uint8_t *cw_minisign_secret_seed(const struct cw_minisign_secret *secret);

/* Wipes and frees; NULL is allowed. */
void cw_minisign_secret_free(struct cw_minisign_secret *secret);

/*
 * Reads a public key: a .pub file, or its base64 line alone.  CW_ERR_FORMAT
 * for anything else, also for a point that is not on the curve, not canonical
 * or of small order.  Failure leaves *pub untouched.
 */
int cw_minisign_public_parse(const char *text, size_t len,
    struct cw_minisign_public *pub, struct cw_error *err);

/* The text of a .pub file; the caller frees it. */
char *cw_minisign_public_format(const struct cw_minisign_public *pub);

/* The base64 line alone, as `minisign -P` takes it. */
void cw_minisign_public_base64(
    const struct cw_minisign_public *pub, char out[CW_MINISIGN_BASE64_SIZE]);

/* The key id as the stock tool prints it: 16 upper-case hex digits. */
void cw_minisign_key_id_text(
    const uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE], char out[17]);

bool cw_minisign_public_equal(
    const struct cw_minisign_public *a, const struct cw_minisign_public *b);

/*
 * Signs a message and appends the text of its .minisig file to sig_file.
 * trusted_comment is one line of at most CW_MINISIGN_COMMENT_MAX - 1 bytes
 * without control characters but tabs; else CW_ERR_USAGE and sig_file is
 * untouched.
 */
int cw_minisign_sign(const struct cw_minisign_secret *secret, const void *msg,
    size_t len, const char *trusted_comment, struct cw_buf *sig_file,
    struct cw_error *err);

/*
 * Verifies the text of a .minisig file: CW_ERR_UNTRUSTED for another key's
 * or a bad signature, CW_ERR_FORMAT for a malformed one.  On success the
 * trusted comment, cut to size - 1 bytes, and a NUL are in trusted_comment;
 * on failure it is untouched.  trusted_comment may be NULL with size 0.
 */
int cw_minisign_verify(const struct cw_minisign_public *pub, const void *msg,
    size_t len, const char *sig_text, size_t sig_len, char *trusted_comment,
    size_t size, struct cw_error *err);

/* Who claims to have signed; nothing is verified. */
int cw_minisign_sig_key_id(const char *sig_text, size_t len,
    uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE], struct cw_error *err);

/*
 * Ed25519 (PureEdDSA) over at most CW_ED25519_SIGN_MAX bytes, more is
 * CW_ERR_USAGE.  The caller separates its domains by a prefix in msg.
 */
int cw_ed25519_sign(const struct cw_minisign_secret *secret, const void *msg,
    size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE], struct cw_error *err);

#endif
