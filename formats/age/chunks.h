/*
 * The chunks of an age payload (STREAM over ChaCha20-Poly1305), any of them at
 * any time and in several threads at once.  For formats/age alone.  See
 * SPEC.md, Payload.
 */
#ifndef CW_FORMATS_AGE_CHUNKS_H
#define CW_FORMATS_AGE_CHUNKS_H

#include "base/error.h"
#include "formats/age/primitives.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_age_chunks;

/* For the payload behind nonce (CW_AGE_NONCE bytes) under file_key. */
struct cw_age_chunks *cw_age_chunks_new(
    const uint8_t file_key[CW_AGE_FILE_KEY], const uint8_t *nonce);
void cw_age_chunks_free(struct cw_age_chunks *c); /* NULL is allowed */

/* As cw_age_seal_chunk and cw_age_open_chunk. */
int cw_age_chunks_seal(struct cw_age_chunks *c, uint64_t index, bool is_last,
    const uint8_t *plain, size_t len, uint8_t *out, struct cw_error *err);
int cw_age_chunks_open(struct cw_age_chunks *c, uint64_t index, bool is_last,
    const uint8_t *sealed, size_t len, uint8_t *plain, struct cw_error *err);

#endif
