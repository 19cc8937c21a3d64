/*
 * Names that were seen, as hashes of 64 bits: whether one came before, in 16
 * bytes of memory a name.  Two that collide do no harm but to who chose them.
 */
#ifndef CW_SEED_NAME_SET_H
#define CW_SEED_NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeros are an empty one. */
struct cw_name_set {
	uint64_t *slots; /* hashes, 0 where empty */
	size_t count, cap;
};

/* Names that are remembered of one set, in 64 MiB; a power of two. */
#define CW_NAME_SET_MAX (1u << 22)

/* False if the name came before.  Beyond the maximum all are new. */
bool cw_name_set_add(struct cw_name_set *s, const char *name, size_t len);
/* Forgets the names, keeps the memory. */
void cw_name_set_reset(struct cw_name_set *s);
void cw_name_set_free(struct cw_name_set *s);

#endif
