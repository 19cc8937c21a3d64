/*
 * The media that a seed is written to: which directory takes the next volume,
 * how much room each still has, and which was found full or failing.  A
 * medium that fails costs the volume in progress; the others go on.
 *
 * Each holds, beneath the directory the operator named, causeway/SEED-ID/ with
 * a file MEDIUM that says which of the set it is; that file comes first, so
 * that a disk that was pulled out is known again.
 *
 * Threads may share a target.
 */
#ifndef CW_SEED_TARGET_H
#define CW_SEED_TARGET_H

#include "base/error.h"
#include "formats/manifest/medium.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_target;

struct cw_target_medium {
	char *path;	      /* the directory, as the operator named it */
	int top;	      /* its causeway/ */
	int folder;	      /* the seed's folder */
	struct cw_medium is;  /* number, label, filesystem */
	uint64_t promised;    /* bytes of volumes without room allocated */
	bool is_failed;	      /* full or failing: takes no more volumes */
	struct cw_error why;  /* if is_failed */
};

/*
 * Opens the directories, making the seed's folder in each.  One that holds a
 * MEDIUM of this seed keeps its number; others get *last_number + 1 and on,
 * and *last_number is raised.
 * reserve is what stays free on each for what is written at the end.
 *
 * CW_ERR_USAGE if two directories are the same medium.
 */
int cw_target_open(const char *const *dirs, size_t count,
    const uint8_t seed_id[CW_SEED_ID_SIZE], int64_t now, uint64_t reserve,
    uint32_t *last_number, struct cw_target **out, struct cw_error *err);
void cw_target_free(struct cw_target *t); /* NULL is allowed */

/* Removes what a crash left half-written (.tmp), on all media. */
int cw_target_clean(struct cw_target *t, struct cw_error *err);

size_t cw_target_count(const struct cw_target *t);
struct cw_target_medium *cw_target_medium(struct cw_target *t, size_t i);
/* By its number; NULL if it is not here. */
struct cw_target_medium *cw_target_find(struct cw_target *t, uint32_t number);

/*
 * The medium that takes the next volume of at most size bytes: the first one
 * with room.  If there is none, the error says why, of the first one that
 * failed or else how much is missing, and what to do.
 */
int cw_target_take(struct cw_target *t, uint64_t size,
    struct cw_target_medium **out, struct cw_error *err);
/*
 * The volume's file has been opened under a temporary name: where its room is
 * allocated already, the promise is kept and ends.  Returns what is still
 * promised, to be given back by release.
 */
uint64_t cw_target_begun(struct cw_target *t, struct cw_target_medium *m,
    const char *temporary, uint64_t size);
/*
 * The volume is on the medium, or will never be.  why is NULL unless the
 * medium failed: then it takes no more.
 */
void cw_target_release(struct cw_target *t, struct cw_target_medium *m,
    uint64_t size, const struct cw_error *why);

#endif
