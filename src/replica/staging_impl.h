/*
 * The inside of staging, shared by its two modules.
 */
#ifndef CW_REPLICA_STAGING_IMPL_H
#define CW_REPLICA_STAGING_IMPL_H

#include "replica/staging.h"

#define CHUNK ((size_t)1 << 18)

struct cw_staging {
	char *path;
	int dirfd;
	int old; /* what another boot left; -1: nothing */
};

/* Names the folder: who has no space left has to know where. */
int staging_context(const struct cw_staging *s, struct cw_error *err);
/* The same with errno's text. */
int staging_fail(
    const struct cw_staging *s, struct cw_error *err, const char *doing);

void staging_part_name(
    const uint8_t digest[CW_SHA256_SIZE], char out[CW_STAGING_NAME]);
/* Opens the partial file of a content, for reading and writing; 1: none. */
int staging_open_partial(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], int *fd, struct cw_error *err);
/* Feeds the first len bytes of a file to sha: 0, 1 if it is shorter. */
int staging_hash(
    int fd, uint64_t len, struct cw_sha256 *sha, struct cw_error *err);

#endif
