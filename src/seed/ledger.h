/*
 * The ledger of a seed that is being packed: its settings, and a line for
 * every volume that is durable on a medium.  What the catalog says of volumes
 * counts only if they stand here; the rest is packed again after a crash.
 *
 * A text file in the site's state directory, appended to and synced; no
 * secret is in it.  SPEC.md beside this file has its lines.
 */
#ifndef CW_SEED_LEDGER_H
#define CW_SEED_LEDGER_H

#include "base/crypto.h"
#include "base/error.h"
#include "formats/manifest/manifest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_LEDGER_FILE	       "ledger"
#define CW_LEDGER_PEER_MAX     63u
#define CW_LEDGER_VOLUME_MAX   999999u
#define CW_LEDGER_GROUP_MAX    999999u
#define CW_LEDGER_REVISION_MAX UINT32_MAX

struct cw_ledger_volume {
	uint32_t number; /* from 1 */
	uint32_t medium; /* from 1 */
	uint64_t size;	 /* bytes of the file */
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
	/* Its group, once that is complete and has a line; 0: none yet. */
	uint32_t group;
};

/* The members of a complete group, in the order of their rows. */
struct cw_ledger_group {
	uint32_t number; /* from 1 */
	uint32_t count;
	uint32_t *volumes;
};

struct cw_ledger_shard {
	uint32_t group, index; /* both from 1 */
	uint32_t medium;
	uint64_t size;
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
};

struct cw_ledger {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	char peer[CW_LEDGER_PEER_MAX + 1]; /* the site it is sealed for */
	int64_t time;	     /* of its start, seconds since 1970 */
	uint64_t generation; /* of its start */
	uint64_t base;	     /* what an increment builds on; 0: a full seed */
	uint64_t volume_size;
	/* Ages' X25519 points, in order: resume seals for the same ones. */
	uint8_t recipients[CW_MANIFEST_RECIPIENTS_MAX][32];
	uint32_t recipient_count;
	uint32_t parity_k, parity_m; /* 0 0: none */
	uint32_t survive_media;	     /* 0: groups lie on one medium each */
	bool is_finished;	     /* the final manifest is on all media */

	struct cw_ledger_volume *volumes; /* in the order they were done */
	size_t volume_count;
	size_t volume_room;
	struct cw_ledger_group *groups; /* complete ones, as they were closed */
	size_t group_count;
	uint32_t last_volume; /* the highest number that was ever used */
	uint32_t last_group;  /* the highest number that was ever used */
	struct cw_ledger_shard *shards; /* in the order they were done */
	size_t shard_count;
	uint32_t *closed; /* media whose closing manifest is out */
	size_t closed_count;
	uint32_t last_revision; /* of manifests that were signed; 0: none */
	uint32_t last_medium;	/* the highest number that was given */
	int fd;			/* for appending; -1 */
	struct cw_error broken; /* a line failed: none is added any more */
	pthread_mutex_t lock;	/* ours */
};

/* Makes the file in dirfd; of l, what stands above volumes is written. */
int cw_ledger_create(int dirfd, struct cw_ledger *l, struct cw_error *err);

/*
 * Reads it, cutting a torn last line, and opens it for appending.  1 if there
 * is none, CW_ERR_DAMAGED if it is not as SPEC.md says.
 */
int cw_ledger_open(int dirfd, struct cw_ledger *l, struct cw_error *err);

/* The same for who only looks: nothing is cut, nothing can be appended. */
int cw_ledger_read(int dirfd, struct cw_ledger *l, struct cw_error *err);

/*
 * Each is durable when it returns; once one failed, all do: run again, the
 * ledger is read and cut.  Threads may add at the same time; who
 * looks at the arrays sees to it that nobody adds meanwhile.
 */
int cw_ledger_add_volume(struct cw_ledger *l,
    const struct cw_ledger_volume *volume, struct cw_error *err);
int cw_ledger_add_medium(
    struct cw_ledger *l, uint32_t number, struct cw_error *err);
/*
 * The volume's file is gone: it will be packed again.  Its group, if it has
 * one, is no more: its shards (remove their files before) and its number are
 * forgotten, and the other members are in no group.
 */
int cw_ledger_lose_volume(
    struct cw_ledger *l, uint32_t number, struct cw_error *err);
/* A group is complete: these are its rows.  Its shards' lines follow. */
int cw_ledger_add_group(struct cw_ledger *l, uint32_t number,
    const uint32_t *volumes, uint32_t count, struct cw_error *err);
int cw_ledger_add_shard(struct cw_ledger *l,
    const struct cw_ledger_shard *shard, struct cw_error *err);
int cw_ledger_lose_shard(
    struct cw_ledger *l, uint32_t group, uint32_t index, struct cw_error *err);
/* The medium's closing manifest is out: it is not needed any more. */
int cw_ledger_close_medium(
    struct cw_ledger *l, uint32_t number, struct cw_error *err);
/*
 * It is to be made again: not closed any more, and the seed not finished.  In
 * the file that is another line `medium`.
 */
int cw_ledger_reopen_medium(
    struct cw_ledger *l, uint32_t number, struct cw_error *err);
/* Before a manifest of that revision is signed. */
int cw_ledger_add_revision(
    struct cw_ledger *l, uint32_t revision, struct cw_error *err);
int cw_ledger_finish(struct cw_ledger *l, struct cw_error *err);

const struct cw_ledger_volume *cw_ledger_find(
    const struct cw_ledger *l, uint32_t number);
const struct cw_ledger_group *cw_ledger_find_group(
    const struct cw_ledger *l, uint32_t number);
const struct cw_ledger_shard *cw_ledger_find_shard(
    const struct cw_ledger *l, uint32_t group, uint32_t index);
bool cw_ledger_is_closed(const struct cw_ledger *l, uint32_t medium);

/* The names of files in the seed's folder. */
#define CW_LEDGER_NAME_MAX 32u
void cw_ledger_volume_name(uint32_t number, char name[CW_LEDGER_NAME_MAX]);
void cw_ledger_shard_name(
    uint32_t group, uint32_t index, char name[CW_LEDGER_NAME_MAX]);

void cw_ledger_close(struct cw_ledger *l);

#endif
