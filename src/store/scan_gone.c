/*
 * What is believed gone: the same message under another name takes over what
 * is known of its content, then the row goes.
 */
#include "store/scan_impl.h"

#include <stdlib.h>
#include <string.h>

/*
 * The next row that is new in this scan and the same message file as the
 * missing one: 1 with *e and its name in name, 0 at the end.  st is
 * SC_FRESH_FIND, with the inode bound.
 */
static int
next_fresh(struct scan *s, sqlite3_stmt *st, const struct cw_entry *gone,
    char name[CW_ENTRY_NAME_MAX + 1], struct cw_entry *e, struct cw_error *err)
{
	int got, ret;

	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t dir = sqlite3_column_int64(st, 0);
		size_t len = (size_t)sqlite3_column_bytes(st, 1);

		memcpy(name, sqlite3_column_blob(st, 1), len);
		ret = cw_catalog_lookup(s->c, dir, name, len, e, err);
		if (ret < 0)
			return -1;
		if (ret == 0 && e->ino == gone->ino && e->size == gone->size &&
		    e->mtime_ns == gone->mtime_ns &&
		    e->class == CW_MAIL_MESSAGE)
			return 1;
	}
	return got == SQLITE_DONE
		   ? 0
		   : catalog_fail(s->c, "look for moved messages", err);
}

static bool
may_have_moved(const struct scan *s, const struct cw_entry *gone)
{
	return s->fresh > 0 && gone->kind == CW_KIND_FILE &&
	       gone->class == CW_MAIL_MESSAGE;
}

/* A message's row that goes: the same file under a new name has its digest. */
static int
carry_digest(struct scan *s, const struct cw_entry *gone, struct cw_error *err)
{
	char name[CW_ENTRY_NAME_MAX + 1];
	struct cw_entry e;
	sqlite3_stmt *st;
	int got;

	if (!may_have_moved(s, gone))
		return 0;
	if ((st = scan_stmt(s, SC_FRESH_FIND, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)gone->ino);
	while ((got = next_fresh(s, st, gone, name, &e, err)) == 1) {
		s->result->moved++;
		if (!gone->has_digest || e.has_digest)
			continue;
		got = cw_catalog_set_digest(s->c, &e, gone->digest, err);
		if (got < 0)
			break;
	}
	sqlite3_reset(st);
	return got;
}

/* The same for all that is in a directory. */
static int
carry_below(struct scan *s, int64_t top, struct cw_error *err)
{
	struct scan_ids dirs = {NULL, 0, 0};
	int ret = 0;

	if (s->fresh == 0)
		return 0;
	scan_ids_append(&dirs, top);
	while (dirs.count > 0 && ret == 0) {
		struct cw_walk_query q = {.dir = dirs.ids[--dirs.count]};
		struct cw_walk *w;
		struct cw_entry e;

		if ((ret = cw_walk_open(s->c, &q, &w, err)) < 0)
			break;
		while ((ret = cw_walk_next(w, &e, err)) == 1) {
			if (e.kind == CW_KIND_DIR)
				scan_ids_append(&dirs, e.child);
			if (carry_digest(s, &e, err) < 0) {
				ret = -1;
				break;
			}
		}
		cw_walk_close(w);
	}
	free(dirs.ids);
	return ret;
}

static int
remove_gone(struct scan *s, int64_t dir, const char *name, size_t len,
    struct cw_error *err)
{
	uint64_t before = s->c->info.entries;
	struct cw_entry e;
	int got = catalog_dir_exists(s->c, dir, err);

	/* It went with a directory above. */
	if (got <= 0)
		return got;
	got = cw_catalog_lookup(s->c, dir, name, len, &e, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (e.kind == CW_KIND_DIR) {
		s->has_removed_dirs = true;
		got = carry_below(s, e.child, err);
	} else {
		got = carry_digest(s, &e, err);
	}
	if (got < 0 ||
	    cw_catalog_remove(s->c, dir, name, len, s->generation, err) < 0)
		return -1;
	s->result->removed += before - s->c->info.entries;
	return 0;
}

/*
 * Is the missing message there under a new name, which is the only one its
 * file has?  Then it is gone from the old one, whatever else is going on.
 */
static int
has_moved(struct scan *s, const struct cw_entry *gone, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_FRESH_FIND, err);
	sqlite3_stmt *is = scan_stmt(s, SC_SUSPECT_IS, err);
	char name[CW_ENTRY_NAME_MAX + 1];
	struct cw_entry e;
	int got;

	if (st == NULL || is == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)gone->ino);
	while ((got = next_fresh(s, st, gone, name, &e, err)) == 1) {
		bool is_missing;

		if (e.linkgroup != 0)
			continue;
		sqlite3_bind_int64(is, 1, e.dir);
		bind_bytes(is, 2, name, e.name_len);
		is_missing = sqlite3_step(is) != SQLITE_DONE;
		sqlite3_reset(is);
		if (!is_missing)
			break;
	}
	sqlite3_reset(st);
	return got;
}

int
scan_believe_moved(struct scan *s, struct cw_error *err)
{
	sqlite3_stmt *list = NULL, *believe = NULL;
	int got, ret = -1;

	if (s->fresh == 0)
		return 0;
	if (catalog_prepare(s->c,
		"SELECT dir,name FROM temp.suspect WHERE belief<>1"
		" ORDER BY dir,name",
		&list, err) < 0 ||
	    catalog_prepare(s->c,
		"UPDATE temp.suspect SET belief=1 WHERE dir=?1 AND name=?2",
		&believe, err) < 0)
		goto out;
	while ((got = sqlite3_step(list)) == SQLITE_ROW) {
		int64_t dir = sqlite3_column_int64(list, 0);
		const char *name = sqlite3_column_blob(list, 1);
		size_t len = (size_t)sqlite3_column_bytes(list, 1);
		struct cw_entry e;

		got = cw_catalog_lookup(s->c, dir, name, len, &e, err);
		if (got == 0 && may_have_moved(s, &e))
			got = has_moved(s, &e, err);
		else if (got >= 0)
			got = 0;
		if (got < 0)
			goto out;
		if (got == 0)
			continue;
		sqlite3_bind_int64(believe, 1, dir);
		bind_bytes(believe, 2, name, len);
		if (catalog_run(s->c, believe, err) < 0)
			goto out;
	}
	ret = got == SQLITE_DONE
		  ? 0
		  : catalog_fail(s->c, "read what is in doubt", err);
out:
	sqlite3_finalize(list);
	sqlite3_finalize(believe);
	return ret;
}

int
scan_remove_gone(struct scan *s, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got, ret = 0;

	/* The temporary table stays as it is while rows of others go. */
	if (catalog_prepare(s->c,
		"SELECT dir,name FROM temp.suspect WHERE belief=1"
		" ORDER BY dir,name",
		&st, err) < 0)
		return -1;
	while (ret == 0 && (got = sqlite3_step(st)) == SQLITE_ROW) {
		char name[CW_ENTRY_NAME_MAX + 1];
		size_t len = (size_t)sqlite3_column_bytes(st, 1);

		memcpy(name, sqlite3_column_blob(st, 1), len);
		ret =
		    remove_gone(s, sqlite3_column_int64(st, 0), name, len, err);
	}
	if (ret == 0 && got != SQLITE_DONE)
		ret = catalog_fail(s->c, "read what is gone", err);
	sqlite3_finalize(st);
	return ret;
}

/* Directories with doubtful suspects are listed again by the next scan. */
int
scan_keep_doubtful(struct scan *s, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;

	if (catalog_exec(s->c,
		"UPDATE dir SET seen_mtime_ns=0,seen_ctime_ns=0 WHERE id IN"
		" (SELECT dir FROM temp.suspect WHERE belief<>1)",
		err) < 0 ||
	    catalog_prepare(s->c,
		"SELECT count(*) FROM temp.suspect WHERE belief<>1", &st,
		err) < 0)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		s->result->suspects = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return 0;
}
