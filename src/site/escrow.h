/*
 * Escrow: an age key as shares, any so many of which put it together again
 * (Shamir's scheme, by libgfshare).  formats/share has the text of a share.
 *
 * Shares and keys are in secure memory but for libgfshare's own buffers,
 * which it overwrites before it frees them.
 */
#ifndef CW_SITE_ESCROW_H
#define CW_SITE_ESCROW_H

#include "base/error.h"
#include "formats/age/key.h"
#include "formats/share/share.h"

#include <stddef.h>

/*
 * Splits the (only) key of id into made shares, any needed of which join; the
 * array is in secure memory, to be freed by cw_secret_free.  CW_ERR_USAGE for
 * numbers out of bounds and for an identity of several keys.
 */
int cw_escrow_split(const struct cw_age_identity *id, unsigned needed,
    unsigned made, struct cw_share **out, struct cw_error *err);

/*
 * Joins shares of one split; the same one given twice counts once.
 * CW_ERR_MISSING says how many more are needed; CW_ERR_UNTRUSTED that shares
 * of different keys or splits were given, that two differ under one number,
 * or that what came out is not the key whose shares they claim to be.  *out is
 * the caller's to free, NULL on failure.
 */
int cw_escrow_join(const struct cw_share *shares, size_t count,
    struct cw_age_identity **out, struct cw_error *err);

/*
 * Finds the shares in a text that people made: comments (lines that begin with
 * '#') and other text around them are passed over, capitals are folded, lines
 * may be broken anywhere between words.  Adds to *list (secure memory,
 * *count of them, NULL and 0 at first).  what names the text in errors, which
 * say which of its shares is wrong, and where.
 */
int cw_escrow_read(const char *what, const char *text, size_t len,
    struct cw_share **list, size_t *count, struct cw_error *err);

#endif
