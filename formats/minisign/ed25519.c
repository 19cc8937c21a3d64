#include "formats/minisign/ed25519.h"

#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

/* What one verification works with. */
struct curve {
	gcry_ctx_t ctx;
	gcry_mpi_t p, n; /* the order of the field, of the group */
	gcry_mpi_t d;	 /* of the curve's equation */
	gcry_mpi_t x, y;
	gcry_mpi_point_t point;
};

static int
gcrypt_error(struct cw_error *err, const char *what, gcry_error_t code)
{
	return cw_error_set(
	    err, CW_ERR_FAILED, "%s: %s", what, gcry_strerror(code));
}

static void
curve_open(struct curve *c)
{
	if (gcry_mpi_ec_new(&c->ctx, NULL, "Ed25519") != 0)
		abort(); /* only without memory */
	c->p = gcry_mpi_ec_get_mpi("p", c->ctx, 1);
	c->n = gcry_mpi_ec_get_mpi("n", c->ctx, 1);
	c->d = gcry_mpi_ec_get_mpi("b", c->ctx, 1);
	gcry_mpi_mod(c->d, c->d, c->p); /* it is kept negative */
	c->x = gcry_mpi_new(256);
	c->y = gcry_mpi_new(256);
	c->point = gcry_mpi_point_new(256);
}

static void
curve_close(struct curve *c)
{
	gcry_mpi_point_release(c->point);
	gcry_mpi_release(c->y);
	gcry_mpi_release(c->x);
	gcry_mpi_release(c->d);
	gcry_mpi_release(c->n);
	gcry_mpi_release(c->p);
	gcry_ctx_release(c->ctx);
}

/* A little-endian number of at most 64 bytes. */
static gcry_mpi_t
number(const uint8_t *bytes, size_t len)
{
	uint8_t reversed[64];
	gcry_mpi_t value;

	for (size_t i = 0; i < len; i++)
		reversed[i] = bytes[len - 1 - i];
	if (gcry_mpi_scan(&value, GCRYMPI_FMT_USG, reversed, len, NULL) != 0)
		abort(); /* only without memory */
	return value;
}

/* The 32 bytes of a point, as RFC 8032 section 5.1.2 says. */
static void
encode_point(struct curve *c, gcry_mpi_point_t point, uint8_t out[32])
{
	uint8_t bytes[32];
	size_t len = 0;

	if (gcry_mpi_ec_get_affine(c->x, c->y, point, c->ctx) != 0) {
		memset(out, 0xff, 32); /* at infinity: no encoding at all */
		return;
	}
	if (gcry_mpi_print(GCRYMPI_FMT_USG, bytes, sizeof(bytes), &len, c->y) !=
	    0)
		abort(); /* y < p fits 32 bytes */
	memset(out, 0, 32);
	for (size_t i = 0; i < len; i++)
		out[i] = bytes[len - 1 - i];
	if (gcry_mpi_test_bit(c->x, 0))
		out[31] |= 0x80;
}

/*
 * Whether the affine point in c->x and c->y is on the curve,
 * y^2 - x^2 = 1 + d x^2 y^2.  libgcrypt 1.10 decodes some y that have no x,
 * and its gcry_mpi_ec_curve_point aborts the process for some points.
 */
static bool
is_on_curve(struct curve *c)
{
	gcry_mpi_t left = gcry_mpi_new(256), right = gcry_mpi_new(256);
	bool is_on;

	gcry_mpi_mulm(c->x, c->x, c->x, c->p);
	gcry_mpi_mulm(c->y, c->y, c->y, c->p);
	gcry_mpi_subm(left, c->y, c->x, c->p);
	gcry_mpi_mulm(right, c->x, c->y, c->p);
	gcry_mpi_mulm(right, right, c->d, c->p);
	gcry_mpi_add_ui(right, right, 1);
	gcry_mpi_mod(right, right, c->p);
	is_on = gcry_mpi_cmp(left, right) == 0;
	gcry_mpi_release(right);
	gcry_mpi_release(left);
	return is_on;
}

/*
 * Decodes into c->point.  Encoding again must give the same bytes, which
 * refuses y >= p and a sign of x = 0.
 */
static bool
decode_point(struct curve *c, const uint8_t bytes[32])
{
	uint8_t y[32], again[32];
	gcry_mpi_t value;
	bool is_good;

	memcpy(y, bytes, 32);
	y[31] &= 0x7f;
	value = number(y, 32);
	is_good = gcry_mpi_cmp(value, c->p) < 0;
	gcry_mpi_release(value);
	if (!is_good)
		return false;
	value = gcry_mpi_set_opaque_copy(NULL, bytes, 256);
	if (value == NULL)
		abort(); /* only without memory */
	is_good = gcry_mpi_ec_decode_point(c->point, value, c->ctx) == 0;
	gcry_mpi_release(value);
	if (!is_good)
		return false;
	encode_point(c, c->point, again);
	return memcmp(bytes, again, 32) == 0 && is_on_curve(c);
}

/* The points of order 1, 2, 4 and 8: the cofactor takes them to (0, 1). */
static bool
is_small(struct curve *c)
{
	static const uint8_t neutral[32] = {1};
	gcry_mpi_point_t multiple = gcry_mpi_point_new(256);
	gcry_mpi_t eight = gcry_mpi_set_ui(NULL, 8);
	uint8_t bytes[32];

	gcry_mpi_ec_mul(multiple, eight, c->point, c->ctx);
	encode_point(c, multiple, bytes);
	gcry_mpi_release(eight);
	gcry_mpi_point_release(multiple);
	return memcmp(bytes, neutral, 32) == 0;
}

bool
cw_ed25519_point_is_valid(const uint8_t point[CW_ED25519_POINT_SIZE])
{
	struct curve c;
	bool is_valid;

	curve_open(&c);
	is_valid = decode_point(&c, point) && !is_small(&c);
	curve_close(&c);
	return is_valid;
}

/* H(R || A || M) mod L, the h of RFC 8032 section 5.1.7. */
static gcry_mpi_t
challenge(struct curve *c, const uint8_t r[32], const uint8_t a[32],
    const void *msg, size_t len)
{
	gcry_buffer_t parts[3] = {{0}};
	uint8_t digest[64];
	gcry_mpi_t h;

	parts[0].data = (void *)(uintptr_t)r;
	parts[0].len = 32;
	parts[1].data = (void *)(uintptr_t)a;
	parts[1].len = 32;
	parts[2].data = (void *)(uintptr_t)msg;
	parts[2].len = len;
	if (gcry_md_hash_buffers(
		GCRY_MD_SHA512, 0, digest, parts, len == 0 ? 2 : 3) != 0)
		abort(); /* only without memory */
	h = number(digest, sizeof(digest));
	gcry_mpi_mod(h, h, c->n);
	return h;
}

/* Whether S B - h A encodes to R, for the decoded key in c->point. */
static bool
equation_holds(struct curve *c, gcry_mpi_t s, gcry_mpi_t h, const uint8_t r[32])
{
	gcry_mpi_point_t base = gcry_mpi_ec_get_point("g", c->ctx, 1);
	gcry_mpi_point_t left = gcry_mpi_point_new(256);
	gcry_mpi_point_t right = gcry_mpi_point_new(256);
	uint8_t bytes[32];

	gcry_mpi_ec_mul(left, s, base, c->ctx);
	gcry_mpi_ec_mul(right, h, c->point, c->ctx);
	gcry_mpi_ec_sub(left, left, right, c->ctx);
	encode_point(c, left, bytes);
	gcry_mpi_point_release(right);
	gcry_mpi_point_release(left);
	gcry_mpi_point_release(base);
	return memcmp(bytes, r, 32) == 0;
}

bool
cw_ed25519_verify(const uint8_t point[CW_ED25519_POINT_SIZE], const void *msg,
    size_t len, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE])
{
	gcry_mpi_t s = number(sig + 32, 32), h = NULL;
	bool is_good = false;
	struct curve c;

	curve_open(&c);
	/* S + L would verify as well: a second text for one signature. */
	if (gcry_mpi_cmp(s, c.n) >= 0)
		goto out;
	if (!decode_point(&c, point) || is_small(&c))
		goto out;
	h = challenge(&c, sig, point, msg, len);
	is_good = equation_holds(&c, s, h, sig);
out:
	gcry_mpi_release(h);
	gcry_mpi_release(s);
	curve_close(&c);
	return is_good;
}

int
cw_ed25519_point(const uint8_t seed[CW_ED25519_SEED_SIZE],
    uint8_t point[CW_ED25519_POINT_SIZE], struct cw_error *err)
{
	gcry_sexp_t key = NULL;
	gcry_mpi_t q = NULL;
	gcry_ctx_t ctx = NULL;
	unsigned bits = 0;
	const void *bytes;
	gcry_error_t code;
	int ret = -1;

	code = gcry_sexp_build(&key, NULL,
	    "(private-key(ecc(curve Ed25519)(flags eddsa)(d %b)))", 32, seed);
	if (code == 0)
		code = gcry_mpi_ec_new(&ctx, key, NULL);
	if (code != 0) {
		gcrypt_error(err, "Ed25519 key", code);
		goto out;
	}
	q = gcry_mpi_ec_get_mpi("q@eddsa", ctx, 1);
	bytes = q == NULL ? NULL : gcry_mpi_get_opaque(q, &bits);
	if (bytes == NULL || bits != 256) {
		cw_error_set(err, CW_ERR_FAILED,
		    "libgcrypt gave no public key of 32 bytes");
		goto out;
	}
	memcpy(point, bytes, 32);
	ret = 0;
out:
	gcry_mpi_release(q);
	gcry_ctx_release(ctx);
	gcry_sexp_release(key);
	return ret;
}

/* One half of a signature: exactly 32 bytes. */
static bool
take(gcry_sexp_t result, const char *name, uint8_t out[32])
{
	gcry_sexp_t part = gcry_sexp_find_token(result, name, 1);
	size_t len = 0;
	const char *bytes =
	    part == NULL ? NULL : gcry_sexp_nth_data(part, 1, &len);
	bool is_good = bytes != NULL && len == 32;

	if (is_good)
		memcpy(out, bytes, 32);
	gcry_sexp_release(part);
	return is_good;
}

int
cw_ed25519_sign_raw(const uint8_t seed[CW_ED25519_SEED_SIZE],
    const uint8_t point[CW_ED25519_POINT_SIZE], const void *msg, size_t len,
    uint8_t sig[CW_ED25519_SIGNATURE_SIZE], struct cw_error *err)
{
	gcry_sexp_t key = NULL, data = NULL, result = NULL;
	gcry_error_t code;
	int ret = -1;

	/* An S-expression holds no string over 64 KiB. */
	if (len > CW_ED25519_SIGN_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "message to sign is %zu bytes, expected at most %u", len,
		    CW_ED25519_SIGN_MAX);
	code = gcry_sexp_build(&key, NULL,
	    "(private-key(ecc(curve Ed25519)(flags eddsa)(q %b)(d %b)))", 32,
	    point, 32, seed);
	if (code == 0)
		code = gcry_sexp_build(&data, NULL,
		    "(data(flags eddsa)(hash-algo sha512)(value %b))", (int)len,
		    len == 0 ? "" : (const char *)msg);
	if (code == 0)
		code = gcry_pk_sign(&result, data, key);
	if (code != 0) {
		gcrypt_error(err, "Ed25519 signature", code);
		goto out;
	}
	if (!take(result, "r", sig) || !take(result, "s", sig + 32)) {
		cw_error_set(err, CW_ERR_FAILED,
		    "libgcrypt gave no signature of 64 bytes");
		goto out;
	}
	ret = 0;
out:
	gcry_sexp_release(result);
	gcry_sexp_release(data);
	gcry_sexp_release(key);
	return ret;
}
