/* Shared by recover.c (what is bad) and recover_file.c (reading). */
#ifndef CW_MEDIA_RECOVER_IMPL_H
#define CW_MEDIA_RECOVER_IMPL_H

#include "media/recover.h"

#include <pthread.h>

/* What is known of one volume or shard of the manifest. */
struct cw_recover_known {
	const struct cw_manifest_file *file;
	size_t medium; /* index into the set's media, of the copy that is
			  read (cw_set_holder); SIZE_MAX: not here */
	bool is_bad;   /* wholly */
	uint8_t *bad;  /* a bit a block, NULL: none is noted */
	enum { SHA_UNKNOWN, SHA_GOOD, SHA_BAD } sha;
	bool is_longer; /* more than that follows in the file */
};

struct cw_recover {
	const struct cw_set *set;
	struct cw_parity *parity;	/* NULL: none */
	struct cw_recover_known *known; /* by name */
	size_t count;
	struct cw_blocks **blocks; /* of each medium of the set */
	struct cw_progress *progress;
	pthread_mutex_t lock; /* of what changes in known */
};

/* A group, by rows. */
struct cw_recover_group {
	const struct cw_manifest_group *group;
	uint32_t rows; /* k + m */
	/* NULL: a row of zeros, unless is_lost: a file that nothing lists. */
	struct cw_recover_known *known[CW_PARITY_ROWS_MAX];
	bool is_lost[CW_PARITY_ROWS_MAX];
	uint64_t length; /* of the longest */
};

struct cw_recover_known *cw_recover_find(
    const struct cw_recover *r, const char *name);

/* The group of a file and its row in it; false if it is in none. */
bool cw_recover_group_of(const struct cw_recover *r, const char *name,
    struct cw_recover_group *group, uint32_t *row);

/* Whether a block is noted as bad; the lock is held. */
bool cw_recover_is_bad(const struct cw_recover_known *k, uint64_t block);
/* Notes it; takes the lock. */
void cw_recover_note(
    struct cw_recover *r, struct cw_recover_known *k, uint64_t block);

#endif
