/*
 * The media that a seed is written to: which one takes the next volume, how
 * much room each still has, and which was found full or failing.  A medium
 * that fails costs the volume in progress; the others go on.
 *
 * Each holds, beneath the directory the operator named, causeway/SEED-ID/ with
 * a file MEDIUM that says which of the set it is; that file comes first, so
 * that a disk that was pulled out is known again.
 *
 * Room is kept for what must follow: the shards of groups that are not
 * complete, the block digests of what lies there, and `reserve`.
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
	char *path;	     /* the directory, as the operator named it */
	int top;	     /* its causeway/; -1 when it is closed */
	int folder;	     /* the seed's folder; -1 when it is closed */
	struct cw_medium is; /* number, label, filesystem */
	bool is_failed;	     /* full or failing: takes no more volumes */
	struct cw_error why; /* if is_failed */
	bool is_closed;	     /* complete, and may be gone */

	/* Ours. */
	size_t index;
	uint64_t promised; /* bytes of files without room allocated */
	uint64_t sidecar;  /* bytes of block digests, twice, for all here */
	uint64_t reserved; /* for shards of groups that lie across media */
	uint32_t taken;	   /* volumes in progress: open, or to be proven */
	uint32_t parked;   /* of those, ones that nobody fills now */
	uint32_t busy;	   /* shards may be in progress: see cw_target_busy */
	uint32_t loose;	   /* volumes in a group that has no shards yet */
};

/* A place for a volume: the medium, and the group that it will be in. */
struct cw_target_place {
	struct cw_target_medium *medium;
	uint32_t group;	   /* 0: that is found when it is proven */
	uint64_t size;	   /* that was asked for */
	uint64_t promised; /* of it, what is not allocated yet */
	bool is_shard;
};

/*
 * What happens where no medium has room for a volume.  Called by one thread at
 * a time, while the others that need room wait.
 */
struct cw_target_asker {
	/*
	 * A full medium of which no volume is in progress: writes all that
	 * makes it complete.  Then its descriptors are closed and it can be
	 * taken away.
	 */
	int (*close)(
	    void *arg, struct cw_target_medium *m, struct cw_error *err);
	/*
	 * Asks for another directory (*dir is freed here); why says what is
	 * full.  1: nobody answers, and why is what the seed ends with.
	 */
	int (*more)(void *arg, const struct cw_error *why, char **dir,
	    struct cw_error *err);
	/* A medium has got its number: a line in the ledger. */
	int (*added)(
	    void *arg, struct cw_target_medium *m, struct cw_error *err);
	void *arg;
};

/*
 * Opens the directories, making the seed's folder in each; count may be 0
 * where an asker follows.  One that holds a MEDIUM of this seed keeps its
 * number; others get *last_number + 1 and on, and *last_number is raised.
 * reserve is what stays free on each for what is written at the end.
 *
 * CW_ERR_USAGE if two directories are the same medium.
 */
int cw_target_open(const char *const *dirs, size_t count,
    const uint8_t seed_id[CW_SEED_ID_SIZE], int64_t now, uint64_t reserve,
    uint32_t *last_number, struct cw_target **out, struct cw_error *err);
/*
 * The same for a set that is complete: its media have the numbers 1 to count,
 * and a directory that holds nothing of the seed gets one that no other has.
 */
int cw_target_open_set(const char *const *dirs, size_t count,
    const uint8_t seed_id[CW_SEED_ID_SIZE], int64_t now, uint64_t reserve,
    struct cw_target **out, struct cw_error *err);
void cw_target_free(struct cw_target *t); /* NULL is allowed */

/* Removes what a crash left half-written (.tmp), on all media. */
int cw_target_clean(struct cw_target *t, struct cw_error *err);

/* Before the first take; without it the target ends where it is full. */
void cw_target_set_asker(
    struct cw_target *t, const struct cw_target_asker *asker);

size_t cw_target_count(const struct cw_target *t);
/* Media keep their address when more are added. */
struct cw_target_medium *cw_target_medium(struct cw_target *t, size_t i);
/* By its number; NULL if it is not here. */
struct cw_target_medium *cw_target_find(struct cw_target *t, uint32_t number);

/*
 * The place of the next volume, of at most size bytes: on the medium with the
 * fewest volumes in progress, and of those the first.
 *
 * Where no medium has room, and there is an asker, it waits until nothing is
 * in progress on those that are full, has them closed, and asks for more.
 * CW_ERR_BUSY if that would wait for volumes that are parked: pack something
 * into those first.  Else CW_ERR_NOSPACE, or the error of the first medium
 * that failed, says how much is missing and what to do.
 */
int cw_target_take(struct cw_target *t, uint64_t size,
    struct cw_target_place *out, struct cw_error *err);
/*
 * The volume's file has been opened under a temporary name: where its room is
 * allocated already, the promise is kept and ends.
 */
void cw_target_begun(
    struct cw_target *t, struct cw_target_place *place, const char *temporary);
/* The volume stays open, but nobody fills it (or somebody does again). */
void cw_target_park(
    struct cw_target *t, const struct cw_target_place *place, bool is_parked);
/* The volume is on the medium, size bytes of it. */
void cw_target_keep(
    struct cw_target *t, struct cw_target_place *place, uint64_t size);
/*
 * It never will be.  why is NULL unless the medium failed: then it takes no
 * more; see cw_target_broken, too.
 */
void cw_target_release(struct cw_target *t, struct cw_target_place *place,
    const struct cw_error *why);
/*
 * Shards are being written there: the medium is not closed meanwhile, though
 * no volume is in progress.
 */
void cw_target_busy(
    struct cw_target *t, struct cw_target_medium *m, bool is_busy);
/* A medium failed otherwise. */
void cw_target_fail(struct cw_target *t, struct cw_target_medium *m,
    const struct cw_error *why);

/* ---- groups; for seed/parity.c ---- */

/*
 * Says how volumes of at most volume_size bytes are protected: by m shards for
 * each group of k.  Without survive, all of a group lies on one medium; with
 * it, members and shards lie on different ones, and groups are numbered from
 * last_group + 1.
 */
void cw_target_set_parity(struct cw_target *t, uint32_t k, uint32_t m,
    bool survive, uint64_t volume_size, uint32_t last_group);

/* What lies on the medium from before: a volume or shard of size bytes. */
void cw_target_holds(
    struct cw_target *t, struct cw_target_medium *m, uint64_t size);
/* What lay there is gone. */
void cw_target_removed(
    struct cw_target *t, struct cw_target_medium *m, uint64_t size);

/*
 * With survive: a group of volumes that are there already, on count different
 * media.  number 0 is a new one, that may take more, and is returned; another
 * takes no more.  shards (m of them; may be NULL) are the media of its shards,
 * NULL for those to be chosen.
 */
int cw_target_regroup(struct cw_target *t, uint32_t number,
    struct cw_target_medium *const *members, uint32_t count,
    struct cw_target_medium *const *shards, uint32_t *group,
    struct cw_error *err);
/*
 * With survive: the lowest group that takes no more members and of which none
 * is in progress, to be completed now; 0 if there is none.  at_end: groups
 * that could take more, too.  It is given out once.
 */
uint32_t cw_target_ready(struct cw_target *t, bool at_end);
/* With survive: the group has its shards, or is given up. */
void cw_target_group_done(struct cw_target *t, uint32_t group);
/* Without: count volumes of the medium are in no group any more, or again. */
void cw_target_loose(
    struct cw_target *t, struct cw_target_medium *m, int count);

/*
 * Places for shards, out of what is reserved for them; then begun, keep and
 * release as for a volume.  Without survive they are all on m, and `loose` of
 * its volumes are in a group from now on.  indexes count from 1.
 */
void cw_target_take_shards(struct cw_target *t, uint32_t group,
    struct cw_target_medium *m, uint32_t loose, const uint32_t *indexes,
    uint32_t count, uint64_t size, struct cw_target_place *places);

/*
 * With survive: whether a medium failed, so that no group can be complete;
 * *err then says which and what to do.
 */
bool cw_target_broken(struct cw_target *t, struct cw_error *err);

#endif
