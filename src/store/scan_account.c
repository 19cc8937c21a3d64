/*
 * Accounts: the mailboxes between which messages are moved by rename.  Of one
 * in which something moved or is suspected the directories are looked at again
 * and again, until a round finds nothing moved: then what was listed is what
 * was there at one moment, since a rename from one directory into another
 * moves both.
 *
 * An account that does not hold still keeps its suspects, but for messages
 * that were seen under no name in this scan though several rounds looked at
 * all of the account: such a message would have had to be renamed in each of
 * them, ahead of the listing each time (docs/decisions/busy-stores.md).  For
 * one generation a message may be there twice, never not at all.
 */
#include "store/scan_impl.h"

#include <stdlib.h>

#define ROUNDS	     10 /* for an account to hold still */
#define ROUNDS_QUIET 3	/* of which so many wait for it */
/* So many rounds a message is missed in before it is believed gone. */
#define ROUNDS_MISSED	 5
#define ACCOUNT_DIRS_MAX 65536u

/* 1 if there is a directory "cur" in it. */
static int
is_mailbox(struct scan *s, int64_t dir, struct cw_error *err)
{
	struct cw_entry e;
	int got = cw_catalog_lookup(s->c, dir, "cur", 3, &e, err);

	if (got < 0)
		return -1;
	return got == 0 && e.kind == CW_KIND_DIR;
}

/*
 * The topmost directory of the mail store that this one is in: between its
 * folders messages are moved by rename.  *top is 0 if it is in none.
 */
static int
account_of(struct scan *s, int64_t dir, int64_t *top, struct cw_error *err)
{
	struct cw_buf name = CW_BUF_INIT;
	struct scan_root *root;
	const char *path;
	size_t len;
	int ret = -1, got;

	*top = 0;
	if (dir == 0)
		return 0;
	if (cw_catalog_dir_path(s->c, dir, &path, &len, err) < 0)
		return -1;
	root = scan_root_of(s, path, len);
	if (root == NULL || !scan_is_mail(root))
		return 0;
	for (int64_t at = dir; at != 0;) {
		int64_t parent;

		if ((got = is_mailbox(s, at, err)) < 0)
			goto out;
		if (got == 1)
			*top = at;
		/* cur, new and tmp are below a mailbox; all else ends it. */
		else if (at != dir)
			break;
		if (catalog_dir_parent(s->c, at, &parent, &name, err) < 0)
			goto out;
		at = parent;
	}
	ret = 0;
out:
	cw_buf_free(&name);
	return ret;
}

void
scan_ids_append(struct scan_ids *l, int64_t id)
{
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->ids = cw_reallocarray(l->ids, l->cap, sizeof(*l->ids));
	}
	l->ids[l->count++] = id;
}

/* All directories of an account; the list itself is the queue. */
static int
list_account(struct scan *s, int64_t dir, int64_t top, struct scan_ids *out,
    struct cw_error *err)
{
	out->count = 0;
	scan_ids_append(out, top == 0 ? dir : top);
	for (size_t i = 0; top != 0 && i < out->count; i++) {
		int64_t page[64], after = 0;
		size_t count;

		do {
			if (catalog_dir_children(s->c, out->ids[i], after, page,
				64, &count, err) < 0)
				return -1;
			for (size_t k = 0; k < count; k++)
				scan_ids_append(out, page[k]);
			if (count > 0)
				after = page[count - 1];
		} while (count == 64 && out->count < ACCOUNT_DIRS_MAX);
	}
	return 0;
}

/* Runs a statement once for each directory, which is its parameter 1. */
static int
run_for_each(struct scan *s, const struct scan_ids *dirs, const char *sql,
    int64_t second, int64_t third, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = 0;

	if (catalog_prepare(s->c, sql, &st, err) < 0)
		return -1;
	if (sqlite3_bind_parameter_count(st) > 1)
		sqlite3_bind_int64(st, 2, second);
	if (sqlite3_bind_parameter_count(st) > 2)
		sqlite3_bind_int64(st, 3, third);
	for (size_t i = 0; i < dirs->count && ret == 0; i++) {
		sqlite3_bind_int64(st, 1, dirs->ids[i]);
		ret = catalog_run(s->c, st, err);
	}
	sqlite3_finalize(st);
	return ret;
}

/*
 * Makes the next look at these directories a listing: a suspect is to be
 * missed twice, by a listing that began after the first ended.
 */
static int
list_again(struct scan *s, const struct scan_ids *dirs, struct cw_error *err)
{
	return run_for_each(s, dirs,
	    "UPDATE temp.look SET stable=0 WHERE dir=?1 AND EXISTS"
	    "(SELECT 1 FROM temp.suspect WHERE dir=?1 AND belief=0)",
	    0, 0, err);
}

/*
 * The account does not hold still.  Believes the messages gone that this scan
 * saw nowhere in it: a row that is older than the scan, missed in several
 * rounds, and no other suspect is the same file.
 */
static int
believe_unseen(
    struct scan *s, const struct scan_ids *dirs, struct cw_error *err)
{
	int64_t generation = (int64_t)s->generation;

	if (catalog_exec(s->c, "DELETE FROM temp.glimpsed", err) < 0 ||
	    run_for_each(s, dirs,
		"INSERT OR IGNORE INTO temp.glimpsed(ino)"
		" SELECT e.ino FROM temp.suspect AS t JOIN entry AS e"
		" ON e.dir=t.dir AND e.name=t.name"
		" WHERE t.dir=?1 AND t.belief<>1 AND e.gen>=?2",
		generation, 0, err) < 0)
		return -1;
	return run_for_each(s, dirs,
	    "UPDATE temp.suspect SET belief=1"
	    " WHERE dir=?1 AND belief=0 AND round<=?3 AND EXISTS"
	    "(SELECT 1 FROM entry AS e WHERE e.dir=?1 AND e.name=suspect.name"
	    " AND e.kind='f' AND e.class=1 AND e.gen<?2"
	    " AND e.ino NOT IN (SELECT ino FROM temp.glimpsed))",
	    generation, ROUNDS - ROUNDS_MISSED, err);
}

/* Every suspect of these directories is believed, or left in doubt. */
static int
decide(struct scan *s, const struct scan_ids *dirs, enum belief belief,
    struct cw_error *err)
{
	if (run_for_each(s, dirs,
		"UPDATE temp.suspect SET belief=?2 WHERE dir=?1 AND belief=0",
		belief, 0, err) < 0)
		return -1;
	return run_for_each(
	    s, dirs, "DELETE FROM temp.unsettled WHERE dir=?1", 0, 0, err);
}

int
scan_settle_account(struct scan *s, int64_t dir, struct cw_error *err)
{
	struct scan_ids dirs = {NULL, 0, 0};
	enum belief belief = BELIEF_DOUBTFUL;
	int64_t top;
	int ret = -1;

	if (account_of(s, dir, &top, err) < 0 ||
	    list_account(s, dir, top, &dirs, err) < 0 ||
	    list_again(s, &dirs, err) < 0)
		goto out;
	for (s->round = 1; s->round <= ROUNDS; s->round++) {
		if (scan_pass(s, &dirs,
			s->round <= ROUNDS_QUIET ? HOW_ROUND : HOW_AGAIN,
			err) < 0)
			goto out;
		if (s->pass_moved == 0) {
			belief = BELIEF_GONE;
			break;
		}
		/* New folders are part of it. */
		if (list_account(s, dir, top, &dirs, err) < 0)
			goto out;
	}
	if (belief == BELIEF_DOUBTFUL && top != 0 &&
	    believe_unseen(s, &dirs, err) < 0)
		goto out;
	/* The suspect may be the directory of another account's listing. */
	scan_ids_append(&dirs, dir);
	ret = decide(s, &dirs, belief, err);
out:
	s->round = 0;
	free(dirs.ids);
	return ret;
}
