/*
 * The listing half of a scan: threads that open directories beneath their
 * roots, list them and look at what is in them, without knowing the catalog.
 * One thread feeds them with jobs and takes the batches they fill.
 * Waking a thread costs more than looking at a directory that did not change:
 * both go over by the dozen.
 */
#ifndef CW_STORE_SCAN_LIST_H
#define CW_STORE_SCAN_LIST_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/mail/mail.h"
#include "store/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items a batch holds; a directory with more comes in several. */
#define LIST_BATCH_ITEMS 8192u

struct list_root {
	int fd;
	const char *name;
	const struct cw_mail_format *format;
	const char *const *excludes;
	size_t exclude_count;
};

/* Something in a directory.  Offsets are into its batch's bytes. */
struct list_item {
	size_t name; /* NUL behind it */
	size_t target;
	size_t attrs;
	uint32_t name_len;
	uint32_t target_len;
	uint32_t attrs_len; /* only if the job asked for attributes */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t mtime_ns;
	int64_t ctime_ns;
	uint64_t size;
	uint64_t ino;
	int64_t linkgroup;
	char kind;
	uint8_t class;
	bool sparse;
};

struct list_job {
	struct list_job *next;
	int64_t dir;
	const struct list_root *root;
	int64_t seen_mtime_ns; /* if the directory still says this, */
	int64_t seen_ctime_ns; /* it is not listed, unless must_list */
	bool must_list;
	bool with_attrs;    /* look at everybody's extended attributes */
	bool settle;	    /* wait until a change would change the mtime */
	bool is_new;	    /* the catalog has nothing of it yet */
	bool was_looked_at; /* by the scan: seen is of then */
	int fd;	      /* of the directory, until the job is freed, or -1 */
	bool spilled; /* the feeder's mark: earlier batches were put aside */
	uint64_t skipped;
	uint64_t vanished;
	char path[]; /* relative to the root; "." is the root */
};

/* A directory that says what was seen gives no batch at all. */
enum list_end {
	LIST_MORE,   /* another batch of this job comes */
	LIST_DONE,   /* all of it was listed */
	LIST_GONE,   /* no such directory, or no directory */
	LIST_FAILED, /* err says why */
};

struct list_batch {
	struct list_batch *next;
	struct list_job *job;
	enum list_end end;
	struct list_item *items;
	size_t count;
	size_t capacity;
	struct cw_buf bytes;
	bool only_messages; /* no other file is in the directory */
	/* The directory's own, before it was listed. */
	int64_t mtime_ns;
	int64_t ctime_ns;
	bool stable;	   /* the same afterwards, and settled before */
	int64_t looked_ns; /* when the listing began */
	struct cw_error err;
};

/* By the clock that stamps files. */
int64_t scan_now_ns(void);

struct lister;

struct lister *lister_new(unsigned threads);
/* Stops the threads; what they hold is dropped. */
void lister_free(struct lister *l);

/*
 * Takes ownership of the job.  Threads are woken for many jobs at once, and by
 * lister_take at the latest.
 */
void lister_submit(struct lister *l, struct list_job *job);
/*
 * The next batch.  NULL if there is none, and no more than so many jobs are
 * under way.
 */
struct list_batch *lister_take(struct lister *l, size_t under_way);
/* Gives the batch back; with an end that is not LIST_MORE the job is freed. */
void lister_return(struct lister *l, struct list_batch *b);
/* Jobs submitted of which more may come; some may have ended meanwhile. */
size_t lister_under_way(const struct lister *l);

#endif
