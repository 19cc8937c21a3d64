/*
 * One whole file as it lies on media beside the volumes: in zstd frames,
 * padded, in an age file ("catalog.sqlite.zst.age").  Stock tools read it by
 * `age -d | zstd -d`.  See formats/zframe and formats/age.
 */
#ifndef CW_SEED_SEALED_FILE_H
#define CW_SEED_SEALED_FILE_H

#include "base/error.h"
#include "formats/age/age.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Seals what is left to read of plain_fd into out_fd, padded so that the size
 * tells little (cw_volume_last_size).  Not synced.  Failure leaves a part.
 */
int cw_sealed_file_write(int plain_fd, int out_fd,
    const struct cw_age_recipient *recipients, size_t count,
    struct cw_error *err);

/*
 * Opens what is left to read of sealed_fd into out_fd, at most max bytes of
 * it.  CW_ERR_UNTRUSTED if it is not sealed for this identity, CW_ERR_DAMAGED
 * if it is not whole; out_fd then holds an authenticated part.
 */
int cw_sealed_file_read(int sealed_fd, int out_fd,
    const struct cw_age_identity *identity, uint64_t max,
    struct cw_error *err);

#endif
