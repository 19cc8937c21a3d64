#include "base/crypto.h"

#include "base/buf.h"

#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/*
 * Room for the site's keys, and for a file key and a payload key for each of
 * some hundred volumes that are open at once.
 */
#define SECURE_MEMORY (256u * 1024u)

struct cw_sha256 {
	gcry_md_hd_t md;
};

struct cw_xxh {
	XXH3_state_t *state;
};

int
cw_crypto_init(struct cw_error *err)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return 0;
	if (gcry_check_version("1.10.0") == NULL)
		return cw_error_set(err, CW_ERR_FAILED,
		    "libgcrypt is %s, expected 1.10 or newer: install Debian "
		    "12's libgcrypt20",
		    gcry_check_version(NULL));
	/*
	 * RLIMIT_MEMLOCK may be too small to lock the pool; the keys are then
	 * wiped all the same, and a warning on stderr would help nobody.
	 */
	gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);
	gcry_control(GCRYCTL_INIT_SECMEM, SECURE_MEMORY, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return 0;
}

void *
cw_secret_alloc(size_t size)
{
	void *ptr = gcry_calloc_secure(1, size);

	if (ptr == NULL) {
		fputs("causeway: out of secure memory\n", stderr);
		abort();
	}
	return ptr;
}

void
cw_secret_free(void *ptr)
{
	gcry_free(ptr); /* wipes what is in secure memory */
}

void
cw_random(void *out, size_t len)
{
	gcry_create_nonce(out, len);
}

void
cw_random_secret(void *out, size_t len)
{
	gcry_randomize(out, len, GCRY_VERY_STRONG_RANDOM);
}

bool
cw_secret_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ = (uint8_t)(differ | (x[i] ^ y[i]));
	return differ == 0;
}

void
cw_sha256(const void *data, size_t len, uint8_t out[CW_SHA256_SIZE])
{
	gcry_md_hash_buffer(GCRY_MD_SHA256, out, data, len);
}

struct cw_sha256 *
cw_sha256_new(void)
{
	struct cw_sha256 *h = cw_calloc(1, sizeof(*h));

	if (gcry_md_open(&h->md, GCRY_MD_SHA256, 0) != 0)
		abort(); /* only without memory */
	return h;
}

struct cw_sha256 *
cw_sha256_copy(const struct cw_sha256 *h)
{
	struct cw_sha256 *copy = cw_calloc(1, sizeof(*copy));

	if (gcry_md_copy(&copy->md, h->md) != 0)
		abort(); /* only without memory */
	return copy;
}

void
cw_sha256_update(struct cw_sha256 *h, const void *data, size_t len)
{
	gcry_md_write(h->md, data, len);
}

void
cw_sha256_final(struct cw_sha256 *h, uint8_t out[CW_SHA256_SIZE])
{
	memcpy(out, gcry_md_read(h->md, GCRY_MD_SHA256), CW_SHA256_SIZE);
	gcry_md_reset(h->md);
}

void
cw_sha256_free(struct cw_sha256 *h)
{
	if (h == NULL)
		return;
	gcry_md_close(h->md);
	free(h);
}

static void
canonical(XXH128_hash_t hash, uint8_t out[CW_XXH_SIZE])
{
	XXH128_canonical_t bytes;

	XXH128_canonicalFromHash(&bytes, hash);
	memcpy(out, bytes.digest, CW_XXH_SIZE);
}

void
cw_xxh(const void *data, size_t len, uint8_t out[CW_XXH_SIZE])
{
	canonical(XXH3_128bits(data, len), out);
}

struct cw_xxh *
cw_xxh_new(void)
{
	struct cw_xxh *h = cw_calloc(1, sizeof(*h));

	h->state = XXH3_createState();
	if (h->state == NULL)
		abort(); /* only without memory */
	XXH3_128bits_reset(h->state);
	return h;
}

void
cw_xxh_update(struct cw_xxh *h, const void *data, size_t len)
{
	XXH3_128bits_update(h->state, data, len);
}

void
cw_xxh_final(struct cw_xxh *h, uint8_t out[CW_XXH_SIZE])
{
	canonical(XXH3_128bits_digest(h->state), out);
	XXH3_128bits_reset(h->state);
}

void
cw_xxh_free(struct cw_xxh *h)
{
	if (h == NULL)
		return;
	XXH3_freeState(h->state);
	free(h);
}
