/*
 * Entries that leave the tree, a batch at a time: their rows in history are
 * committed together, and only then they go.
 */
#ifndef CW_REPLICA_APPLY_BATCH_H
#define CW_REPLICA_APPLY_BATCH_H

#include "replica/apply_impl.h"

#define BATCH 256u /* entries */

/* One entry that leaves. */
struct leaver {
	char *path;
	struct cw_entry e; /* plain fields; no pointers */
	int64_t n;	   /* its number in history */
	bool is_known;	   /* our catalog says that it is e */
	/* Copied to another filesystem: dst/name.part, to be renamed. */
	int copy_dir;
	char copy_name[CW_STAGING_NAME];
};

struct batch {
	struct apply *a;
	struct leaver *at;
	size_t count;
	size_t copies;
};

/* Adds an entry; is_known: our catalog has it.  A full batch goes first. */
int batch_add(struct batch *b, const char *path, const struct cw_entry *e,
    bool is_known, struct cw_error *err);
/* Lets all of it go.  What is not there any more is passed over. */
int batch_flush(struct batch *b, struct cw_error *err);
/* Forgets what was not flushed. */
void batch_drop(struct batch *b);

/* apply_aside.c: what no catalog knows, at this path and below it. */
int batch_put_aside(struct batch *b, const char *path, struct cw_error *err);
/* The same for all that is in a directory; remove: then it goes itself. */
int batch_empty_tree(
    struct batch *b, const char *top, bool remove, struct cw_error *err);

#endif
