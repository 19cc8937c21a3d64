/*
 * The inside of parity: parity.c has the groups, parity_shards.c the bytes of
 * their shards, parity_resume.c what is made of the ledger.
 */
#ifndef CW_SEED_PARITY_IMPL_H
#define CW_SEED_PARITY_IMPL_H

#include "formats/parity/parity.h"
#include "seed/parity.h"

#include <pthread.h>
#include <stdbool.h>

struct parity_member {
	struct cw_target_medium *medium;
	struct cw_ledger_volume volume; /* number alone until it is kept */
	bool is_kept;
};

struct parity_group {
	uint32_t number;
	struct cw_target_medium *medium; /* NULL where it lies across media */
	struct parity_member *members;	 /* k of them; its row is its index */
	uint32_t count;
	bool is_listed;	 /* the ledger has its line: rows are fixed */
	bool *has_shard; /* m: it is on its medium */
	bool is_closing; /* one thread writes its shards */

	/* The shards as they grow; under lock. */
	pthread_mutex_t lock;
	int *scratch;  /* m files, or NULL */
	bool is_dirty; /* they do not hold what the members add up to */
	struct parity_group *next;
};

struct cw_seed_parity {
	struct cw_ledger *ledger;
	struct cw_target *target;
	int seed_dir;
	uint32_t k, m;
	bool survive;
	struct cw_parity *code; /* NULL without parity */
	pthread_mutex_t lock;	/* for the list of groups and their members */
	struct parity_group *groups; /* in the order they were begun */
	uint32_t last_group;	     /* without survive */
	void (*lost)(void *arg, uint32_t number, const struct cw_error *why);
	void *lost_arg;
};

/* ---- parity.c ---- */

/* With the lock: a new group at the end of the list. */
struct parity_group *parity_group_new(
    struct cw_seed_parity *p, uint32_t number, struct cw_target_medium *medium);
void parity_group_add(struct parity_group *g, struct cw_target_medium *medium,
    const struct cw_ledger_volume *volume);
/* Removes the files of a volume, or of a group's shards, that are here. */
int parity_remove_volume(struct cw_seed_parity *p, struct cw_target_medium *m,
    const struct cw_ledger_volume *v, struct cw_error *err);
void parity_remove_shards(struct cw_seed_parity *p, uint32_t group);

/* ---- parity_shards.c ---- */

/* One member that is being proven. */
struct parity_adding {
	struct cw_seed_parity *p;
	struct parity_group *g;
	uint32_t number; /* of the volume */
	uint32_t row;
	uint8_t **pieces; /* m buffers */
	bool is_touched;  /* some of it is in the shards */
};

void parity_adding_begin(struct parity_adding *a, struct cw_seed_parity *p,
    struct parity_group *g, uint32_t row);
/* A cw_durable_each. */
void parity_add(void *arg, uint64_t offset, const uint8_t *data, size_t len);
void parity_adding_end(struct parity_adding *a);

/* Begins the shards anew: nothing is in them.  With g->lock. */
void parity_scratch_drop(struct cw_seed_parity *p, struct parity_group *g);

/* Where writing shards failed. */
struct parity_failure {
	struct cw_target_medium *medium; /* NULL: the state directory */
	bool is_member; /* row is a volume that can't be read any more */
	uint32_t row;
	struct cw_error why;
};

/*
 * Writes the shards `indexes` (from 1) to their places, which are kept or
 * released; each gets its line.  The group must have its own.  -1: see failure.
 */
int parity_write_shards(struct cw_seed_parity *p, struct parity_group *g,
    const uint32_t *indexes, uint32_t count, struct cw_target_place *places,
    struct parity_failure *failure);

/* The longest member: so long are the shards. */
uint64_t parity_length(const struct parity_group *g);

#endif
