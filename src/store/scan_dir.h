/*
 * What a thread of scan_list.h does with a job: one directory, listed in
 * batches.  For scan_list.c alone.
 */
#ifndef CW_STORE_SCAN_DIR_H
#define CW_STORE_SCAN_DIR_H

#include "store/scan_list.h"

struct lister_thread;

/* One thread's means: names, paths and attributes of what it looks at. */
struct listing;

/*
 * To be called by the thread that lists: where the system allows it, the
 * thread's working directory becomes its own.
 */
struct listing *listing_new(struct lister_thread *t);
void listing_free(struct listing *s);

/*
 * Lists the job's directory.  All that is found goes to the lister by
 * lister_fill; the last batch has the end, and the error of a failure.  If the
 * directory is what it was, lister_pass_over is all that is called.
 */
void listing_run(struct listing *s, struct list_job *job);

/*
 * The lister's side.  An empty batch.  A filled one, for the feeder to take by
 * lister_take: waits if the feeder has too much to take already.  The end of a
 * job that gives none, with the batch that was not needed, if there is one.
 */
struct list_batch *lister_empty(struct lister_thread *t);
void lister_fill(struct lister_thread *t, struct list_batch *b);
void lister_pass_over(
    struct lister_thread *t, struct list_job *job, struct list_batch *unused);

#endif
