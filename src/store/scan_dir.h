/*
 * What a thread of scan_list.h does with a job: one directory, listed in
 * batches.  For scan_list.c alone.
 */
#ifndef CW_STORE_SCAN_DIR_H
#define CW_STORE_SCAN_DIR_H

#include "store/scan_list.h"

/* One thread's means: names, paths and attributes of what it looks at. */
struct listing;

/*
 * To be called by the thread that lists: where the system allows it, the
 * thread's working directory becomes its own.
 */
struct listing *listing_new(struct lister *l);
void listing_free(struct listing *s);

/*
 * Lists the job's directory.  All that is found goes to the lister by
 * lister_fill; the last batch has the end, and the error of a failure.
 */
void listing_run(struct listing *s, struct list_job *job);

/*
 * The lister's side.  An empty batch: waits for one if the feeder holds too
 * many.  A filled one, which the feeder takes by lister_take.
 */
struct list_batch *lister_empty(struct lister *l);
void lister_fill(struct lister *l, struct list_batch *b);

#endif
