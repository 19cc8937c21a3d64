/*
 * What is believed gone: the same message under another name takes over what
 * is known of its content, then the row goes.
 */
#include "store/scan_impl.h"

#include <stdlib.h>
#include <string.h>

/* A message's row that goes: the same file under a new name has its digest. */
static int
carry_digest(struct scan *s, const struct cw_entry *gone, struct cw_error *err)
{
	sqlite3_stmt *st;
	char name[CW_ENTRY_NAME_MAX];
	struct cw_entry e;
	int64_t dir;
	size_t len;
	int got, ret;

	if (s->fresh == 0 || gone->kind != CW_KIND_FILE ||
	    gone->class != CW_MAIL_MESSAGE)
		return 0;
	if ((st = scan_stmt(s, SC_FRESH_FIND, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)gone->ino);
	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		dir = sqlite3_column_int64(st, 0);
		len = (size_t)sqlite3_column_bytes(st, 1);
		memcpy(name, sqlite3_column_blob(st, 1), len);
		ret = cw_catalog_lookup(s->c, dir, name, len, &e, err);
		if (ret < 0)
			break;
		if (ret == 1 || e.ino != gone->ino || e.size != gone->size ||
		    e.mtime_ns != gone->mtime_ns || e.class != CW_MAIL_MESSAGE)
			continue;
		s->result->moved++;
		if (!gone->has_digest || e.has_digest)
			continue;
		ret = cw_catalog_set_digest(s->c, &e, gone->digest, err);
		if (ret < 0)
			break;
	}
	sqlite3_reset(st);
	if (got == SQLITE_ROW)
		return -1;
	return got == SQLITE_DONE
		   ? 0
		   : catalog_fail(s->c, "look for moved messages", err);
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
