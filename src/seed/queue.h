/*
 * The order in which a store is packed, and who packs what next.
 *
 * Bands (design: seed-image.md, "Order"): directories, symlinks and control
 * files; then mail of the last 30 days, of the last year, older.  In a band
 * small files come in the order of directories, large ones in the order of
 * size, so that copies of one attachment lie side by side.
 *
 * Several builders take runs from one queue.  All volumes but the last must
 * be full, so towards the end a builder has to wait: it may take a run only if
 * what is left will still fill the open volumes of lower number.
 */
#ifndef CW_SEED_QUEUE_H
#define CW_SEED_QUEUE_H

#include "store/catalog.h"

#include <stdbool.h>
#include <stdint.h>

#define CW_BUILDERS_MAX 16u

struct cw_queue;

/*
 * A queue over the entries that no volume holds.  The catalog is opened a
 * second time, for reading.  now is the time bands count from, in seconds.
 */
int cw_queue_new(const char *catalog_path, int64_t now, unsigned builders,
    uint64_t volume_size, struct cw_queue **out, struct cw_error *err);
void cw_queue_free(struct cw_queue *q); /* NULL is allowed */
/* From the next rewind on: only what was touched after this generation. */
void cw_queue_since(struct cw_queue *q, uint64_t since);

/* Small files of a directory come by inode: for disks that rotate. */
void cw_queue_by_inode(struct cw_queue *q, bool by_inode);

/*
 * Starts from the beginning again; bytes are what is left to be packed.
 * active is the number of builders that will take runs.
 */
int cw_queue_rewind(
    struct cw_queue *q, uint64_t bytes, unsigned active, struct cw_error *err);

/* After a rewind: this builder alone takes runs. */
void cw_queue_alone(struct cw_queue *q, unsigned builder);

/*
 * The next run for a builder, waiting for its turn: 1 with *what and *run, 0
 * at the end, -1 on error or when the queue was stopped.
 */
int cw_queue_take(struct cw_queue *q, unsigned builder, enum cw_run_what *what,
    struct cw_run *run, struct cw_error *err);

/*
 * A builder tells how it stands: the number of its open volume (0: none), the
 * bytes it still has room for, and what it packed since last time.
 */
void cw_queue_report(struct cw_queue *q, unsigned builder, uint32_t volume,
    uint64_t room, uint64_t raw, uint64_t packed);

/* A builder has ended its part of the pass. */
void cw_queue_leave(struct cw_queue *q, unsigned builder);

/* Wakes all who wait and makes them fail: somebody met an error. */
void cw_queue_stop(struct cw_queue *q);

#endif
