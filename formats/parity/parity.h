/*
 * Parity of a seed's volumes: Reed-Solomon over GF(2^8), k rows of data and m
 * of parity, of which any k give the others back.  Normative:
 * formats/parity/SPEC.md.
 *
 * Rows 0 to k - 1 are the data volumes of a group in its order, row k + j - 1
 * is its shard j.  A row that a group lacks, and what is behind the end of a
 * short one, counts as zeros: it need not be added.
 *
 * Bytes at one offset of all rows belong together and nothing else does, so a
 * caller may cut the rows as it likes.  Threads may share a cw_parity.
 */
#ifndef CW_FORMATS_PARITY_PARITY_H
#define CW_FORMATS_PARITY_PARITY_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_PARITY_COLUMN   65536u /* bytes of a row that have one digest */
#define CW_PARITY_ROWS_MAX 255u	  /* k + m */

struct cw_parity;

/* CW_ERR_USAGE unless k and m are at least 1 and together at most 255. */
int cw_parity_new(
    uint32_t k, uint32_t m, struct cw_parity **out, struct cw_error *err);
void cw_parity_free(struct cw_parity *p); /* NULL is allowed */

/*
 * Adds len bytes of data row `row` (below k) to the m accumulators, which were
 * zeros at first: when all rows were added they are the shards.  Rows may come
 * in any order, each once for each offset.
 */
void cw_parity_add(const struct cw_parity *p, uint32_t row, const uint8_t *data,
    size_t len, uint8_t *const *accumulators);

/*
 * Computes the rows want_rows (want_count of them, data or parity) from the k
 * different rows have_rows, of which have[i] holds len bytes (NULL: zeros),
 * into out[]; a row wanted must not be one of those there.  CW_ERR_USAGE for
 * rows out of range or twice.
 */
int cw_parity_rebuild(const struct cw_parity *p, const uint32_t *have_rows,
    const uint8_t *const *have, const uint32_t *want_rows, uint32_t want_count,
    uint8_t *const *out, size_t len, struct cw_error *err);

/* The name of shard j (from 1) of a group: "000001.01.rs". */
#define CW_PARITY_SUFFIX   ".rs"
#define CW_PARITY_NAME_MAX 32u
void cw_parity_name(
    uint32_t group, uint32_t shard, char name[CW_PARITY_NAME_MAX]);
/* False if a name is not the one that cw_parity_name gives. */
bool cw_parity_name_parse(const char *name, uint32_t *group, uint32_t *shard);

/*
 * Appends to text, in lines of at most 76 characters, what a seed of this
 * geometry survives: k, m and survive_media as in the manifest, k = 0 for no
 * parity.
 */
void cw_parity_survives(struct cw_buf *text, uint32_t k, uint32_t m,
    uint32_t survive_media, uint32_t media, uint64_t volume_size);

#endif
