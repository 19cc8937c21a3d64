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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_LEDGER_FILE "ledger"
#define CW_LEDGER_PEER_MAX 63u

struct cw_ledger_volume {
	uint32_t number; /* from 1 */
	uint32_t medium; /* from 1 */
	uint64_t size;	 /* bytes of the file */
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
};

struct cw_ledger {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	char peer[CW_LEDGER_PEER_MAX + 1]; /* the site it is sealed for */
	int64_t time;	     /* of its start, seconds since 1970 */
	uint64_t generation; /* of its start */
	uint64_t volume_size;
	/* Ages' X25519 points, in order: resume seals for the same ones. */
	uint8_t recipients[CW_MANIFEST_RECIPIENTS_MAX][32];
	uint32_t recipient_count;
	bool is_finished; /* the final manifest is on all media */

	struct cw_ledger_volume *volumes; /* in the order they were done */
	size_t volume_count;
	size_t volume_room;
	uint32_t last_medium; /* the highest number that was given */
	int fd;		      /* for appending; -1 */
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

/* Each is durable when it returns. */
int cw_ledger_add_volume(struct cw_ledger *l,
    const struct cw_ledger_volume *volume, struct cw_error *err);
int cw_ledger_add_medium(struct cw_ledger *l, uint32_t number,
    struct cw_error *err);
/* The volume's file is gone: it will be packed again. */
int cw_ledger_lose_volume(struct cw_ledger *l, uint32_t number,
    struct cw_error *err);
int cw_ledger_finish(struct cw_ledger *l, struct cw_error *err);

const struct cw_ledger_volume *cw_ledger_find(const struct cw_ledger *l,
    uint32_t number);
void cw_ledger_close(struct cw_ledger *l);

#endif
