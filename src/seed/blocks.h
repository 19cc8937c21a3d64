/*
 * Block digests of a seed that is being packed: of each volume and shard, the
 * XXH3-128 of every 64 KiB, kept in the state directory until the file
 * CHECKSUMS.blocks of each medium is made of them.
 *
 * They are durable before the ledger's line of the file.  Where they are gone
 * all the same, the file is read again from its medium and proven by its
 * SHA-256.
 */
#ifndef CW_SEED_BLOCKS_H
#define CW_SEED_BLOCKS_H

#include "base/buf.h"
#include "base/error.h"
#include "media/durable.h"
#include "seed/ledger.h"
#include "seed/target.h"

#include <stddef.h>
#include <stdint.h>

/* Keeps the digests of a file, by its name in the seed's folder. */
int cw_seed_blocks_save(int seed_dir, const char *name,
    const struct cw_durable_result *result, struct cw_error *err);
/* The file is gone. */
void cw_seed_blocks_remove(int seed_dir, const char *name);

/*
 * Digests of a file that the ledger has, appended to out: 16 bytes for each
 * block.  They come from the state directory or, if they are not there, from
 * the medium; CW_ERR_DAMAGED if what is there is not the file.
 */
int cw_seed_blocks_load(int seed_dir, const struct cw_target_medium *m,
    const char *name, uint64_t size, const uint8_t sha256[CW_SHA256_SIZE],
    struct cw_buf *out, struct cw_error *err);

/*
 * Appends to an open durable file what CHECKSUMS.blocks of the medium holds:
 * the digests of its volumes and shards, in the order of their names.
 */
int cw_seed_blocks_write(const struct cw_ledger *l, int seed_dir,
    const struct cw_target_medium *m, struct cw_durable *d,
    struct cw_error *err);

/* Removes them all: the seed is finished. */
void cw_seed_blocks_forget(int seed_dir);

#endif
