/*
 * CHECKSUMS.blocks of a medium: the XXH3-128 of each 64 KiB block of its
 * volumes and shards, so that damage is found block by block.  It stands on
 * the medium twice and each entry may be had from either copy, so a damaged
 * one still serves where the other is damaged elsewhere.
 *
 * It is read in pieces as it is asked for, with little memory whatever its
 * size.  Which blocks are good is believed only as far as damage goes: against
 * forgery stands the SHA-256 of the whole file.  Normative:
 * formats/parity/SPEC.md.
 */
#ifndef CW_MEDIA_BLOCKS_H
#define CW_MEDIA_BLOCKS_H

#include "base/error.h"
#include "formats/parity/parity.h"
#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_SET_BLOCKS "CHECKSUMS.blocks"

/* The blocks of a file of size bytes. */
static inline uint64_t
cw_blocks_count(uint64_t size)
{
	return (size + CW_PARITY_COLUMN - 1) / CW_PARITY_COLUMN;
}

/* Whether a name of the manifest is a volume or shard: has block digests. */
bool cw_blocks_has_file(const char *name);

struct cw_blocks;

/*
 * Opens that of the medium at an index of set->media.  Where the medium has
 * none that can be read (or nothing tells which medium it is), *out is one in
 * which no block is good: see cw_blocks_has.  CW_ERR_IO only if memory or
 * descriptors are short.  The set must live as long.
 */
int cw_blocks_open(const struct cw_set *set, size_t medium,
    struct cw_blocks **out, struct cw_error *err);
void cw_blocks_free(struct cw_blocks *b); /* NULL is allowed */

/* Whether there is a copy to compare with at all. */
bool cw_blocks_has(const struct cw_blocks *b);

/*
 * Whether a copy of the right length says that block number `block` (from 0)
 * of a volume or shard of this medium has this digest.  False for a file or
 * block that is not listed.  Threads may share b.
 */
bool cw_blocks_is_good(const struct cw_blocks *b, const char *file,
    uint64_t block, const uint8_t xxh[16]);

#endif
