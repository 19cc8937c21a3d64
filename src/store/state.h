/*
 * The state digest: 256 bits that two sites compare to know that they hold
 * the same store.  Each entry has a MAC under the store's key; the digest of a
 * directory is the sum of its entries' MACs mod 2^256, the store's the sum
 * over all: a change costs one subtraction and one addition.  SPEC.md "State
 * digest" has the encoding and a worked example.
 *
 * The key must stay secret: who knows it can make two sets with one sum.
 */
#ifndef CW_STORE_STATE_H
#define CW_STORE_STATE_H

#include "store/entry.h"

#define CW_STATE_SIZE	  32u /* bytes of MACs and sums, little-endian */
#define CW_STATE_KEY_SIZE 32u

struct cw_state;

/* Takes a copy of the key into secure memory.  Not for two threads at once. */
struct cw_state *cw_state_new(const uint8_t key[CW_STATE_KEY_SIZE]);
void cw_state_free(struct cw_state *s); /* NULL is allowed */

/*
 * The MAC of one entry in the directory at dir_path ("" for the roots).  A
 * file must have its digest; otherwise it is no part of any sum.
 */
void cw_state_mac(struct cw_state *s, const char *dir_path, size_t dir_path_len,
    const struct cw_entry *e, uint8_t out[CW_STATE_SIZE]);

/* sum = sum + mac, sum - mac, mod 2^256. */
void cw_state_add(uint8_t sum[CW_STATE_SIZE], const uint8_t mac[CW_STATE_SIZE]);
void cw_state_sub(uint8_t sum[CW_STATE_SIZE], const uint8_t mac[CW_STATE_SIZE]);

struct cw_catalog;

/*
 * The store's digest.  *known is false while files wait for their first
 * reading (out then covers the others).
 */
int cw_state_digest(struct cw_catalog *c, uint8_t out[CW_STATE_SIZE],
    bool *known, struct cw_error *err);

/* The digest of one directory's own entries, by its id. */
int cw_state_dir_digest(struct cw_catalog *c, int64_t dir,
    uint8_t out[CW_STATE_SIZE], struct cw_error *err);

/* Computes all sums anew from the rows; CW_ERR_DAMAGED if any disagrees. */
int cw_state_check(struct cw_catalog *c, struct cw_error *err);

/*
 * Computes all sums and counts anew and stores them, for rows that were changed
 * behind our back; no transaction may be open.  *was_wrong: a sum was another.
 */
int cw_state_mend(struct cw_catalog *c, bool *was_wrong, struct cw_error *err);

#endif
