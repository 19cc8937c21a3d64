/*
 * The ground under every use of cryptography: libgcrypt is started once,
 * secrets live in its secure (locked, wiped) memory, and hashes have one way
 * to be computed.  Threads may call everything here after cw_crypto_init.
 */
#ifndef CW_BASE_CRYPTO_H
#define CW_BASE_CRYPTO_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_SHA256_SIZE 32u
#define CW_XXH_SIZE    16u /* XXH3-128, canonical (big-endian) bytes */

/*
 * Starts libgcrypt with secure memory.  Call before anything else here;
 * calling it again is harmless.  Fails if the library is older than 1.10.
 */
int cw_crypto_init(struct cw_error *err);

/* Secure memory: locked, and wiped by free.  Aborts when there is none. */
void *cw_secret_alloc(size_t size);
void cw_secret_free(void *ptr); /* NULL is allowed */

void cw_random(void *out, size_t len);	      /* identifiers and nonces */
void cw_random_secret(void *out, size_t len); /* keys */

/* Compares without leaking where two secrets differ. */
bool cw_secret_equal(const void *a, const void *b, size_t len);

void cw_sha256(const void *data, size_t len, uint8_t out[CW_SHA256_SIZE]);

/* SHA-256 in pieces. */
struct cw_sha256;
struct cw_sha256 *cw_sha256_new(void);
/* One that goes on from the same bytes. */
struct cw_sha256 *cw_sha256_copy(const struct cw_sha256 *h);
void cw_sha256_update(struct cw_sha256 *h, const void *data, size_t len);
/* The digest so far; h is then reset for the next message. */
void cw_sha256_final(struct cw_sha256 *h, uint8_t out[CW_SHA256_SIZE]);
void cw_sha256_free(struct cw_sha256 *h); /* NULL is allowed */

/* XXH3-128 (xxHash 0.8), the digest that xxh128sum prints. */
void cw_xxh(const void *data, size_t len, uint8_t out[CW_XXH_SIZE]);
struct cw_xxh;
struct cw_xxh *cw_xxh_new(void);
void cw_xxh_update(struct cw_xxh *h, const void *data, size_t len);
void cw_xxh_final(struct cw_xxh *h, uint8_t out[CW_XXH_SIZE]);
void cw_xxh_free(struct cw_xxh *h);

#endif
