/*
 * The README.txt of every medium: how to get the mail back with stock tools,
 * for whoever holds the disk and the key but has never heard of Causeway.  It
 * names the seed, and nothing of what is in it.
 */
#ifndef CW_SEED_README_H
#define CW_SEED_README_H

#include "base/buf.h"

#include <stdint.h>

/* base: the generation that an increment builds on; 0 of a full seed. */
struct cw_seed_readme {
	const char *seed_id;	     /* 16 hex digits */
	const char *minisign_key;    /* the writer's public key, base64 */
	uint32_t medium;	     /* which one this is */
	uint32_t parity_k, parity_m; /* 0 0: no parity */
	uint32_t survive_media;
	uint64_t base;
};

/* Appends the text of one medium. */
void cw_seed_readme(struct cw_buf *buf, const struct cw_seed_readme *about);

#endif
