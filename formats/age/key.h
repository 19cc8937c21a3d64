/*
 * age X25519 keys: the recipient that anyone may seal for, and the identity
 * that opens.  Text is as age-keygen writes it (Bech32), and strictly so: one
 * text for each key.  Hybrid post-quantum keys and plugin keys are refused by
 * name.  Call cw_crypto_init before anything here.  See SPEC.md, Keys.
 */
#ifndef CW_FORMATS_AGE_KEY_H
#define CW_FORMATS_AGE_KEY_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CW_AGE_RECIPIENT_TEXT 63u /* "age1..." with its NUL */
#define CW_AGE_IDENTITY_TEXT  75u /* "AGE-SECRET-KEY-1..." with its NUL */
#define CW_AGE_IDENTITIES_MAX 64u /* keys in one key file */
#define CW_AGE_KEY_FILE_MAX   (64u * 1024u) /* bytes of a key file */

struct cw_age_recipient {
	uint8_t point[32];
};

/*
 * Parses "age1...".  CW_ERR_FORMAT for anything that is no such text or is a
 * point of low order (anyone could open what is sealed for it);
 * CW_ERR_UNSUPPORTED for "age1pq1..." (hybrid) and for plugins.  *r is
 * untouched on failure.
 */
int cw_age_recipient_parse(
    const char *text, struct cw_age_recipient *r, struct cw_error *err);
void cw_age_recipient_format(
    const struct cw_age_recipient *r, char out[CW_AGE_RECIPIENT_TEXT]);

/* One or more X25519 secret scalars, in secure memory. */
struct cw_age_identity;

/* A fresh key.  Never NULL; free it with cw_age_identity_free. */
struct cw_age_identity *cw_age_identity_generate(void);
/* The key of a scalar that was kept in another way (shares). */
struct cw_age_identity *cw_age_identity_from_scalar(const uint8_t scalar[32]);

/*
 * Reads a key file: lines of AGE-SECRET-KEY-1..., empty lines and comments
 * (#).  A line may end in CR LF.  No key at all, more than
 * CW_AGE_IDENTITIES_MAX, or any other line is CW_ERR_FORMAT; hybrid
 * (AGE-SECRET-KEY-PQ-1...), plugin and SSH keys are CW_ERR_UNSUPPORTED; a key
 * file that is itself sealed by age is CW_ERR_UNSUPPORTED too: open it first.
 * The message never holds any part of a key.  *out is NULL on failure.
 */
int cw_age_identity_parse(const char *text, size_t len,
    struct cw_age_identity **out, struct cw_error *err);

/*
 * The text of a key file as age-keygen writes it: "# created: ...", then "#
 * public key: ..." and the key for each.  created is a time in RFC 3339, or
 * NULL for no such line.  In secure memory: cw_secret_free.
 */
char *cw_age_identity_format(
    const struct cw_age_identity *id, const char *created);

size_t cw_age_identity_count(const struct cw_age_identity *id);
/* The recipient of the first key. */
void cw_age_identity_recipient(
    const struct cw_age_identity *id, struct cw_age_recipient *r);
/* The scalar and the point of key i, 32 bytes each; they live as id does. */
const uint8_t *cw_age_identity_scalar(
    const struct cw_age_identity *id, size_t i);
const uint8_t *cw_age_identity_point(
    const struct cw_age_identity *id, size_t i);
void cw_age_identity_free(struct cw_age_identity *id); /* NULL is allowed */

#endif
