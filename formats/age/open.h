/*
 * Opening a header with hooks, for the decoder.  For formats/age alone.
 */
#ifndef CW_FORMATS_AGE_OPEN_H
#define CW_FORMATS_AGE_OPEN_H

#include "base/error.h"
#include "formats/age/age.h"

#include <stddef.h>
#include <stdint.h>

/* As cw_age_open_new; the passphrase comes from hooks, which may be NULL. */
enum cw_age_outcome cw_age_open_header(const uint8_t *data, size_t len,
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks,
    struct cw_age_open **out, size_t *payload_offset, struct cw_error *err);

#endif
