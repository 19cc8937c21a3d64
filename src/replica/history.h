/*
 * History: what applying removed or replaced, so that it can be undone later
 * and its contents be found again.  history.sqlite has a row for every entry
 * (generation, path, all that its catalog row said); its content, unless that
 * moved on into the tree under another name, is STORE_DIR/history/GEN/N.  What
 * diverged after a failover is kept the same way in STORE_DIR/diverged/EPOCH/,
 * with a listing for people and programs in STORE_DIR/diverged/EPOCH.txt.
 *
 * Rows are durable before their files are moved here, so a file here always
 * has its row.  Keeping the same path in the same generation again is no error
 * and changes nothing.
 *
 * One process at a time (the store's lock), one thread.
 */
#ifndef CW_REPLICA_HISTORY_H
#define CW_REPLICA_HISTORY_H

#include "base/error.h"
#include "store/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_history;

/* Where something is kept: of a generation, or of an epoch that diverged. */
struct cw_shelf {
	bool is_diverged;
	uint64_t number; /* generation or epoch */
};

int cw_history_open(
    const char *store_dir, struct cw_history **out, struct cw_error *err);
void cw_history_close(struct cw_history *h); /* NULL is allowed */

/*
 * Writes down that the entry at path goes, before it goes; *n is its number.
 * e: as the catalog had it.  again: something that no catalog knew (kind, mode
 * and size at least) and that may have been met at this path before: it gets a
 * number of its own.  The rows of all notes are durable after
 * cw_history_commit.
 */
int cw_history_note(struct cw_history *h, const struct cw_shelf *shelf,
    const char *path, size_t len, const struct cw_entry *e, bool again,
    int64_t *n, struct cw_error *err);
int cw_history_commit(struct cw_history *h, struct cw_error *err);

/*
 * The shelf's folder (made) and a number's name in it, for whoever renames
 * the file; the descriptor is the history's.
 */
#define CW_HISTORY_NAME 24u
int cw_history_dirfd(struct cw_history *h, const struct cw_shelf *shelf,
    int *dirfd, struct cw_error *err);
void cw_history_name(int64_t n, char out[CW_HISTORY_NAME]);

/*
 * Finds a content: 0 with a descriptor for reading, 1 if it is not kept.  Size
 * is checked; whoever uses it hashes it.
 */
int cw_history_find(struct cw_history *h, const uint8_t digest[CW_DIGEST_SIZE],
    uint64_t size, int *fd, struct cw_error *err);

/* One kept entry; pointers until each returns. */
struct cw_kept {
	struct cw_shelf shelf;
	int64_t n;
	const char *path;
	size_t path_len;
	struct cw_entry e; /* dir, name, generation, child are not set */
	bool has_file;	   /* its content is here */
};

/* All of a shelf, in the order of paths; a nonzero return ends it. */
int cw_history_each(struct cw_history *h, const struct cw_shelf *shelf,
    int (*each)(void *arg, const struct cw_kept *kept), void *arg,
    struct cw_error *err);
/* Opens what is kept under a number: 0, 1 if its content is not here. */
int cw_history_open_kept(struct cw_history *h, const struct cw_shelf *shelf,
    int64_t n, int *fd, struct cw_error *err);

/* The shelves, oldest first, with what lies on them. */
int cw_history_shelves(struct cw_history *h,
    int (*each)(void *arg, const struct cw_shelf *shelf, uint64_t entries,
	uint64_t bytes),
    void *arg, struct cw_error *err);

/* Forgets a shelf with all its contents; again after a crash is fine. */
int cw_history_forget(
    struct cw_history *h, const struct cw_shelf *shelf, struct cw_error *err);

/*
 * Writes STORE_DIR/diverged/EPOCH.txt anew: a line "PATH SIZE DIGEST FILE" for
 * each entry; bytes of the path that are not printable ASCII, spaces and
 * backslashes are \xHH; DIGEST is "-" for what has none, FILE is relative to
 * STORE_DIR, "-" if the content is (or was) in the store under another name.
 */
int cw_history_write_listing(
    struct cw_history *h, uint64_t epoch, struct cw_error *err);

#endif
