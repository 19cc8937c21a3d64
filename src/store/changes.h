/*
 * What changed in a store since a generation, as a stream of rows that can be
 * broken off and gone on with behind any of them, also by another process,
 * also after the catalog changed meanwhile.
 *
 * The order is generation, removals before puts, directory, name.  Every later
 * change gets a greater generation, so a row that was read may come again
 * further behind, but none that matters ever comes to stand before a position
 * already passed.  An entry appears once, with the generation that last
 * touched it: what came and went between is not told.
 *
 * What whoever applies the rows has to know:
 * - A row says what stands under a name at the end; it replaces an earlier row
 *   of that path.  The removal of a directory takes all earlier rows below it
 *   away, and all that the replica has below it.
 * - A removal goes for whatever the replica has under that name, of any kind,
 *   or nothing.  A put replaces whatever is there, but a directory that became
 *   something else is always removed by a row of its own before.
 * - The row of a directory may come behind rows of what is in it: it was
 *   touched again later.  Directories have to be made before what is in them.
 * - Files whose content was not read yet are left out, and keep their
 *   generation when it is: who passed them never sees them.  So take rows only
 *   if cw_catalog_info(c)->pending is 0 after open (it is of the same commit),
 *   or as far as cw_changes_await_contents lets them come.
 * - Removals are known for generations above cw_catalog_info(c)->floor only: a
 *   replica below it has to be compared instead.
 */
#ifndef CW_STORE_CHANGES_H
#define CW_STORE_CHANGES_H

#include "store/catalog.h"

struct cw_change {
	bool is_removal;
	/*
	 * Of a removal: DIR if a directory stood there at any time since
	 * tombstones are kept, else what was removed.  Of a put: e.kind.
	 */
	enum cw_kind kind;
	const char *dir_path; /* "" for the roots, else "root/a"; NUL behind */
	size_t dir_path_len;
	int64_t dir; /* of the source's catalog: means nothing elsewhere */
	/* Of a removal only dir, name, name_len, kind and generation. */
	struct cw_entry e;
};

/* A place in the stream, behind a row; a value.  All zero: the beginning. */
struct cw_position {
	uint64_t generation;
	bool is_put;
	int64_t dir;
	size_t name_len;
	char name[CW_ENTRY_NAME_MAX + 1];
};

struct cw_changes;

/*
 * Opens the stream of all that changed after generation `since`; 0 is all
 * there is.  after: go on behind this row; NULL or all zero: from the start.
 *
 * Unless the caller has a transaction open or holds the catalog, this holds it
 * until close, and refreshes it: all rows, cw_catalog_info and cw_state_digest
 * are then of one commit, the last one.  Keep it open for a batch, not for
 * ever: the write-ahead log cannot be emptied meanwhile.  The catalog may be
 * read meanwhile, but not changed by this connection.
 */
int cw_changes_open(struct cw_catalog *c, uint64_t since,
    const struct cw_position *after, struct cw_changes **out,
    struct cw_error *err);
/* 1 with *out filled, its pointers valid until the next call; 0 end; -1. */
int cw_changes_next(
    struct cw_changes *s, struct cw_change *out, struct cw_error *err);
/*
 * To be called before the first row: the stream ends before the first file
 * whose content was not read yet.  Whether it did is told behind the last row;
 * what comes behind it is to be had once the content was read.
 */
void cw_changes_await_contents(struct cw_changes *s);
bool cw_changes_is_cut(const struct cw_changes *s);
void cw_changes_close(struct cw_changes *s); /* NULL is allowed */

/* The position behind this row. */
void cw_change_position(
    const struct cw_change *change, struct cw_position *out);
/* -1, 0, 1: a before, the same as, behind b. */
int cw_position_compare(
    const struct cw_position *a, const struct cw_position *b);

#endif
