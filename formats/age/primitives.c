#include "formats/age/primitives.h"

#include "base/buf.h"
#include "base/crypto.h"

#include <assert.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

#define SCRYPT_LABEL "age-encryption.org/v1/scrypt"

struct cw_age_aead {
	gcry_cipher_hd_t cipher;
};

/* What libgcrypt refuses here, it refuses for want of memory or by our bug. */
static void
must(gcry_error_t error)
{
	if (error != 0)
		abort();
}

bool
cw_age_x25519(const uint8_t scalar[CW_AGE_KEY], const uint8_t point[CW_AGE_KEY],
    uint8_t out[CW_AGE_KEY])
{
	static const uint8_t zeros[CW_AGE_KEY];

	if (gcry_ecc_mul_point(GCRY_ECC_CURVE25519, out, scalar, point) != 0) {
		memset(out, 0, CW_AGE_KEY);
		return false;
	}
	return !cw_secret_equal(out, zeros, CW_AGE_KEY);
}

/* HMAC over three pieces, for the chain of HKDF. */
static void
hmac3(const void *key, size_t key_len, const void *a, size_t a_len,
    const void *b, size_t b_len, const void *c, size_t c_len,
    uint8_t out[CW_AGE_MAC])
{
	gcry_mac_hd_t mac;
	size_t len = CW_AGE_MAC;

	must(gcry_mac_open(
	    &mac, GCRY_MAC_HMAC_SHA256, GCRY_MAC_FLAG_SECURE, NULL));
	must(gcry_mac_setkey(mac, key, key_len));
	if (a_len > 0)
		must(gcry_mac_write(mac, a, a_len));
	if (b_len > 0)
		must(gcry_mac_write(mac, b, b_len));
	if (c_len > 0)
		must(gcry_mac_write(mac, c, c_len));
	must(gcry_mac_read(mac, out, &len));
	gcry_mac_close(mac);
}

void
cw_age_hmac(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[CW_AGE_MAC])
{
	hmac3(key, key_len, data, len, NULL, 0, NULL, 0, out);
}

bool
cw_age_hkdf(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len,
    const void *info, size_t info_len, uint8_t *out, size_t out_len)
{
	static const uint8_t zeros[CW_AGE_MAC];
	uint8_t prk[CW_AGE_MAC], block[CW_AGE_MAC], counter = 0;
	size_t block_len = 0;

	if (out_len > 255 * (size_t)CW_AGE_MAC)
		return false;
	/* "If not provided, salt is set to a string of HashLen zeros." */
	if (salt_len == 0) {
		salt = zeros;
		salt_len = sizeof(zeros);
	}
	hmac3(salt, salt_len, ikm, ikm_len, NULL, 0, NULL, 0, prk);
	while (out_len > 0) {
		size_t take = out_len < CW_AGE_MAC ? out_len : CW_AGE_MAC;

		counter++;
		hmac3(prk, sizeof(prk), block, block_len, info, info_len,
		    &counter, 1, block);
		block_len = sizeof(block);
		memcpy(out, block, take);
		out += take;
		out_len -= take;
	}
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(block, sizeof(block));
	return true;
}

bool
cw_age_scrypt(const char *passphrase, const uint8_t salt[16], unsigned log_n,
    uint8_t out[CW_AGE_KEY])
{
	uint8_t salted[sizeof(SCRYPT_LABEL) - 1 + 16];

	assert(log_n >= 1 && log_n < 31);
	memcpy(salted, SCRYPT_LABEL, sizeof(SCRYPT_LABEL) - 1);
	memcpy(salted + sizeof(SCRYPT_LABEL) - 1, salt, 16);
	/* For scrypt the subalgorithm is N and the iterations are p; r is 8. */
	return gcry_kdf_derive(passphrase, strlen(passphrase), GCRY_KDF_SCRYPT,
		   1 << log_n, salted, sizeof(salted), 1, CW_AGE_KEY, out) == 0;
}

struct cw_age_aead *
cw_age_aead_new(const uint8_t key[CW_AGE_KEY])
{
	struct cw_age_aead *a = cw_calloc(1, sizeof(*a));

	if (gcry_cipher_open(&a->cipher, GCRY_CIPHER_CHACHA20,
		GCRY_CIPHER_MODE_POLY1305, GCRY_CIPHER_SECURE) != 0) {
		free(a);
		return NULL;
	}
	must(gcry_cipher_setkey(a->cipher, key, CW_AGE_KEY));
	return a;
}

void
cw_age_aead_free(struct cw_age_aead *a)
{
	if (a == NULL)
		return;
	gcry_cipher_close(a->cipher);
	free(a);
}

void
cw_age_aead_seal(struct cw_age_aead *a, const uint8_t nonce[CW_AGE_AEAD_NONCE],
    const uint8_t *plain, size_t len, uint8_t *out)
{
	must(gcry_cipher_setiv(a->cipher, nonce, CW_AGE_AEAD_NONCE));
	if (len > 0)
		must(gcry_cipher_encrypt(a->cipher, out, len, plain, len));
	must(gcry_cipher_gettag(a->cipher, out + len, CW_AGE_AEAD_TAG));
}

bool
cw_age_aead_open(struct cw_age_aead *a, const uint8_t nonce[CW_AGE_AEAD_NONCE],
    const uint8_t *sealed, size_t len, uint8_t *plain)
{
	size_t plain_len;

	assert(len >= CW_AGE_AEAD_TAG);
	plain_len = len - CW_AGE_AEAD_TAG;
	must(gcry_cipher_setiv(a->cipher, nonce, CW_AGE_AEAD_NONCE));
	if (plain_len > 0)
		must(gcry_cipher_decrypt(
		    a->cipher, plain, plain_len, sealed, plain_len));
	if (gcry_cipher_checktag(
		a->cipher, sealed + plain_len, CW_AGE_AEAD_TAG) != 0) {
		if (plain_len > 0)
			explicit_bzero(plain, plain_len);
		return false;
	}
	return true;
}
