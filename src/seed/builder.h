/*
 * A builder: takes runs of entries from the queue, reads them, and writes them
 * into volumes, one after another, on a thread of its own.  All builders of a
 * seed share one struct cw_build; what is slow about a finished volume (sync,
 * reading back) is left to the finisher.
 *
 * Everything stays resumable: what a builder reports to the catalog counts
 * only once the volume's line is in the ledger.
 */
#ifndef CW_SEED_BUILDER_H
#define CW_SEED_BUILDER_H

#include "base/progress.h"
#include "formats/age/age.h"
#include "seed/finisher.h"
#include "seed/missing.h"
#include "seed/queue.h"
#include "seed/source.h"
#include "seed/target.h"
#include "store/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cw_build {
	/* Set by the owner, not changed while builders run. */
	const char *catalog_path;
	struct cw_catalog *catalog; /* for writing, under catalog_lock */
	struct cw_queue *queue;
	struct cw_target *target;
	struct cw_finisher *finisher;
	const struct cw_source_root *roots;
	size_t root_count;
	const struct cw_age_recipient *recipients;
	size_t recipient_count;
	uint64_t volume_size;
	int64_t scan_began_ns; /* the scan that this pass packs after */
	/* A file that will not hold still is packed as it was read. */
	bool accept_moving;
	/* Takes what can't be opened any more; NULL: the next pass does. */
	struct cw_missing *missing;
	struct cw_progress *progress;

	pthread_mutex_t catalog_lock;
	pthread_mutex_t number_lock;
	uint32_t next_number;	 /* of volumes */
	uint32_t *free_numbers;	 /* given back by volumes that failed */
	size_t free_count;

	/* What happened, over all builders and passes. */
	atomic_uint_fast64_t packed;	 /* entries */
	atomic_uint_fast64_t bytes_read; /* of files */
	atomic_uint_fast64_t moved;	 /* gone or changed: the next pass */
	atomic_uint_fast64_t moving;	 /* packed though they changed */
	atomic_uint_fast64_t unreadable; /* files; first_unreadable names one */
	struct cw_error first_unreadable; /* under number_lock */
};

struct cw_builder;

int cw_builder_new(struct cw_build *build, unsigned index,
    struct cw_builder **out, struct cw_error *err);
/* An open volume is abandoned. */
void cw_builder_free(struct cw_builder *b); /* NULL is allowed */

/*
 * Packs until the queue is empty; the last volume stays open for the next
 * pass.  Failure stops the queue for all.
 */
int cw_builder_run(struct cw_builder *b, struct cw_error *err);

/*
 * When all have run: packs what is found again of build->missing, whose files
 * then tell what became of them.  1: no medium has room for more before other
 * volumes are full; they are for the next pass.
 */
int cw_builder_chase(struct cw_builder *b, struct cw_error *err);

/* The number of the open volume, 0 if there is none. */
uint32_t cw_builder_volume(const struct cw_builder *b);

/* Ends the open volume; is_last lets it be shorter than the others. */
int cw_builder_close_volume(struct cw_builder *b, bool is_last,
    struct cw_error *err);
/* Gives up the open volume: its entries wait to be packed again. */
int cw_builder_drop_volume(struct cw_builder *b, struct cw_error *err);

/*
 * Forgets a volume that failed after it was closed, in the catalog too.  Its
 * number is not used again: a medium may still hold a file of that name, and
 * a crash must not make it pass for a later volume.
 */
int cw_build_lose_volume(struct cw_build *build, uint32_t number,
    struct cw_error *err);

/* What is held in memory for a file of this size in volumes of that size. */
uint64_t cw_build_part_size(uint64_t volume_size, size_t recipients);

#endif
