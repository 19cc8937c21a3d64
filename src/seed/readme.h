/*
 * The README.txt of every medium: how to get the mail back with stock tools,
 * for whoever holds the disk and the key but has never heard of Causeway.  It
 * names the seed, and nothing of what is in it.
 */
#ifndef CW_SEED_README_H
#define CW_SEED_README_H

#include "base/buf.h"

/*
 * Appends the text of one medium.  seed_id is 16 hex digits, minisign_key the
 * base64 line of the writer's public key.
 */
void cw_seed_readme(struct cw_buf *buf, const char *seed_id,
    const char *minisign_key, unsigned medium);

#endif
