/*
 * The four primitives that age is made of, over libgcrypt: X25519,
 * HMAC-SHA256, HKDF-SHA256 and ChaCha20-Poly1305, and scrypt as age uses it.
 * For formats/age alone.  Call cw_crypto_init first.
 */
#ifndef CW_FORMATS_AGE_PRIMITIVES_H
#define CW_FORMATS_AGE_PRIMITIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_AGE_KEY	  32u /* all keys but the file key */
#define CW_AGE_FILE_KEY	  16u
#define CW_AGE_MAC	  32u /* HMAC-SHA256 */
#define CW_AGE_AEAD_NONCE 12u
#define CW_AGE_AEAD_TAG	  16u

/*
 * X25519 (RFC 7748); point NULL is the base point.  Returns false where the
 * result is all zeros, which a point of low order gives: libgcrypt 1.10 takes
 * that for a success.
 */
bool cw_age_x25519(const uint8_t scalar[CW_AGE_KEY],
    const uint8_t point[CW_AGE_KEY], uint8_t out[CW_AGE_KEY]);

/* HMAC-SHA256 (RFC 2104) of one message. */
void cw_age_hmac(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[CW_AGE_MAC]);

/*
 * HKDF-SHA256 (RFC 5869), extract and expand.  Returns false for more than 255
 * * 32 bytes.
 */
bool cw_age_hkdf(const void *ikm, size_t ikm_len, const void *salt,
    size_t salt_len, const void *info, size_t info_len, uint8_t *out,
    size_t out_len);

/*
 * scrypt (RFC 7914) with N = 2^log_n, r = 8, p = 1 and age's salt: the label
 * before the 16 bytes.  Returns false without the memory for it (2^log_n KiB).
 */
bool cw_age_scrypt(const char *passphrase, const uint8_t salt[16],
    unsigned log_n, uint8_t out[CW_AGE_KEY]);

/* ChaCha20-Poly1305 (RFC 8439) without associated data, the key set once. */
struct cw_age_aead;

/* NULL where secure memory is exhausted. */
struct cw_age_aead *cw_age_aead_new(const uint8_t key[CW_AGE_KEY]);
void cw_age_aead_free(struct cw_age_aead *a); /* NULL is allowed */
/* out holds len + CW_AGE_AEAD_TAG bytes, and may be plain. */
void cw_age_aead_seal(struct cw_age_aead *a,
    const uint8_t nonce[CW_AGE_AEAD_NONCE], const uint8_t *plain, size_t len,
    uint8_t *out);
/*
 * plain holds len - CW_AGE_AEAD_TAG bytes, and may be sealed.  Returns false,
 * with zeros in plain, for anything that was not sealed so.
 */
bool cw_age_aead_open(struct cw_age_aead *a,
    const uint8_t nonce[CW_AGE_AEAD_NONCE], const uint8_t *sealed, size_t len,
    uint8_t *plain);

#endif
