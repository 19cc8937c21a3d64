/*
 * The inside of a target: target.c knows the media, target_place.c chooses
 * among them, target_groups.c lays groups across them.
 */
#ifndef CW_SEED_TARGET_IMPL_H
#define CW_SEED_TARGET_IMPL_H

#include "seed/target.h"

#include <pthread.h>

/* A group whose members and shards lie on different media. */
struct target_group {
	uint32_t number;
	uint32_t taken, kept; /* members in progress, and durable ones */
	bool is_short;	      /* takes no more */
	bool is_out;	      /* given out, to be completed */
	bool *has_member;     /* by index of the medium */
	struct cw_target_medium **shards; /* m of them */
	bool *is_reserved;		  /* of each of those */
};

struct cw_target {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct cw_target_medium **media;
	size_t count;
	uint64_t reserve;
	uint8_t seed_id[CW_SEED_ID_SIZE];
	int64_t now;
	uint32_t last_number;

	struct cw_target_asker asker;
	bool has_asker, is_asking;

	uint32_t k, m; /* 0 0: no parity */
	bool survive;
	uint64_t volume_size;
	uint32_t last_group;
	struct target_group *groups; /* in order of number */
	size_t group_count;
};

/* ---- target.c ---- */

/* Opens one more medium; it is not among the target's yet. */
int target_add(struct cw_target *t, const char *dir,
    struct cw_target_medium **out, struct cw_error *err);
void target_append(struct cw_target *t, struct cw_target_medium *m);

/* ---- target_place.c; all with the lock ---- */

/* What the digests of a file of this size take, in both copies. */
uint64_t target_sidecar(uint64_t size);
/* Whether a file of this size, besides all that is promised, has room. */
bool target_has_room(const struct cw_target *t,
    const struct cw_target_medium *m, uint64_t size, bool is_volume);
void target_charge(
    struct cw_target_place *place, struct cw_target_medium *m, uint64_t size);

/* ---- target_groups.c; all with the lock ---- */

/* The place of a volume with survive; false if there is none. */
bool target_place_across(
    struct cw_target *t, uint64_t size, struct cw_target_place *out);
struct target_group *target_find_group(struct cw_target *t, uint32_t number);
/* The member's volume is durable, or will never be. */
void target_member_ended(
    struct cw_target *t, const struct cw_target_place *place, bool is_kept);
void target_groups_free(struct cw_target *t);

#endif
