/*
 * How the file key is wrapped: X25519 and scrypt stanzas.  All other types are
 * passed over, hybrid ones by name.  For formats/age alone.  See SPEC.md,
 * Recipients.
 */
#ifndef CW_FORMATS_AGE_WRAP_H
#define CW_FORMATS_AGE_WRAP_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/age/age.h"
#include "formats/age/header.h"
#include "formats/age/primitives.h"

#include <stdbool.h>
#include <stdint.h>

/* Append the stanza for one recipient to a header. */
int cw_age_wrap_x25519(const struct cw_age_recipient *r,
    const uint8_t file_key[CW_AGE_FILE_KEY], struct cw_buf *header,
    struct cw_error *err);
int cw_age_wrap_scrypt(const char *passphrase, unsigned log_n,
    const uint8_t file_key[CW_AGE_FILE_KEY], struct cw_buf *header,
    struct cw_error *err);

/* Whether the only stanza is a scrypt one. */
bool cw_age_is_scrypt(const struct cw_age_header *h);

/*
 * Checks all stanzas of the types that we know and unwraps the file key with
 * the first that fits.  Of hooks only the passphrase is used.  The MAC is not
 * looked at.  file_key is secret memory of the caller's.
 */
enum cw_age_outcome cw_age_unwrap(const struct cw_age_header *h,
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks,
    uint8_t file_key[CW_AGE_FILE_KEY], struct cw_error *err);

#endif
