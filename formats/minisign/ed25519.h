/*
 * Ed25519 (RFC 8032) over raw keys, by libgcrypt.  Other modules sign with
 * cw_ed25519_sign of minisign.h, which keeps the seed in its place.
 *
 * Verification is ours, on libgcrypt's curve arithmetic: gcry_pk_verify takes
 * no message over 64 KiB, and does not refuse keys of small order.
 */
#ifndef CW_FORMATS_MINISIGN_ED25519_H
#define CW_FORMATS_MINISIGN_ED25519_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_ED25519_POINT_SIZE	  32u
#define CW_ED25519_SEED_SIZE	  32u
#define CW_ED25519_SIGNATURE_SIZE 64u
#define CW_ED25519_SIGN_MAX	  32768u /* bytes of a message we sign */

/* The public point of a seed. */
int cw_ed25519_point(const uint8_t seed[CW_ED25519_SEED_SIZE],
    uint8_t point[CW_ED25519_POINT_SIZE], struct cw_error *err);

/*
 * Signs at most CW_ED25519_SIGN_MAX bytes; more is CW_ERR_USAGE.  point must
 * be the seed's own: signing with another one would give the seed away.
 */
int cw_ed25519_sign_raw(const uint8_t seed[CW_ED25519_SEED_SIZE],
    const uint8_t point[CW_ED25519_POINT_SIZE], const void *msg, size_t len,
    uint8_t sig[CW_ED25519_SIGNATURE_SIZE], struct cw_error *err);

/*
 * Strict: S < L, canonical encodings, no point of small order as key, the
 * equation without cofactor.  Any length of message.
 */
bool cw_ed25519_verify(const uint8_t point[CW_ED25519_POINT_SIZE],
    const void *msg, size_t len, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE]);

/*
 * Whether a point may be a public key at all: on the curve, canonical, not of
 * small order.
 */
bool cw_ed25519_point_is_valid(const uint8_t point[CW_ED25519_POINT_SIZE]);

#endif
