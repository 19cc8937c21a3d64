/*
 * Reading in order: walks over entries, and runs, the packing queue.
 */
#include "store/catalog_impl.h"

#include <stdlib.h>
#include <string.h>

/* Strings and blobs of one entry, owned. */
struct cw_walk {
	struct cw_catalog *c;
	sqlite3_stmt *st;
	struct cw_buf target;
	struct cw_buf attrs;
	char name[CW_ENTRY_NAME_MAX + 1];
};

int
cw_walk_open(struct cw_catalog *c, const struct cw_walk_query *q,
    struct cw_walk **out, struct cw_error *err)
{
	struct cw_buf sql = CW_BUF_INIT;
	struct cw_walk *w = cw_calloc(1, sizeof(*w));
	char kind = q->kind;
	int ret;

	*out = NULL;
	w->c = c;
	/* What is not asked for is left out, so that an index can serve. */
	cw_buf_text(&sql, "SELECT " ENTRY_COLUMNS " FROM entry WHERE 1");
	if (q->dir != CW_WALK_ALL_DIRS)
		cw_buf_text(&sql, " AND dir=?1");
	if (q->volume != 0)
		cw_buf_text(&sql, " AND volume=?2");
	if (q->kind != 0)
		cw_buf_text(&sql, " AND kind=?3");
	if (q->since > 0)
		cw_buf_text(&sql, " AND gen>?4 AND gen>1");
	cw_buf_text(
	    &sql, q->by_links
		      ? " AND linkgroup IS NOT NULL ORDER BY linkgroup,dir,name"
		      : " ORDER BY dir,name");
	ret = catalog_prepare(c, cw_buf_string(&sql), &w->st, err);
	cw_buf_free(&sql);
	if (ret < 0) {
		cw_walk_close(w);
		return -1;
	}
	sqlite3_bind_int64(w->st, 1, q->dir);
	sqlite3_bind_int64(w->st, 2, q->volume);
	sqlite3_bind_text(w->st, 3, &kind, 1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(w->st, 4, (int64_t)q->since);
	*out = w;
	return 0;
}

int
cw_walk_next(struct cw_walk *w, struct cw_entry *out, struct cw_error *err)
{
	int got = sqlite3_step(w->st);

	if (got == SQLITE_DONE)
		return 0;
	if (got != SQLITE_ROW)
		return catalog_fail(w->c, "read the entries", err);
	if (row_read(w->c, w->st, out, err) < 0)
		return -1;
	memcpy(w->name, out->name, out->name_len);
	w->name[out->name_len] = '\0';
	out->name = w->name;
	if (out->target != NULL) {
		cw_buf_reset(&w->target);
		cw_buf_append(&w->target, out->target, out->target_len);
		out->target = cw_buf_string(&w->target);
	}
	if (out->attrs != NULL) {
		cw_buf_reset(&w->attrs);
		cw_buf_append(&w->attrs, out->attrs, out->attrs_len);
		out->attrs = w->attrs.data;
	}
	return 1;
}

void
cw_walk_close(struct cw_walk *w)
{
	if (w == NULL)
		return;
	sqlite3_finalize(w->st);
	cw_buf_free(&w->target);
	cw_buf_free(&w->attrs);
	free(w);
}

/*
 * A run's texts lie in chunks that never move, so that entries can point into
 * them; they are kept from one filling to the next.
 */
struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	uint8_t bytes[];
};

#define CHUNK_SIZE ((size_t)256 << 10)

struct arena {
	struct chunk *first;
	struct chunk *current;
};

static void
arena_reset(struct arena *a)
{
	/* Odd large ones go; the memory of a run does not creep. */
	for (struct chunk **at = &a->first; *at != NULL;) {
		struct chunk *k = *at;

		if (k->size > CHUNK_SIZE) {
			*at = k->next;
			free(k);
			continue;
		}
		k->used = 0;
		at = &k->next;
	}
	a->current = a->first;
}

static const void *
arena_copy(struct arena *a, const void *data, size_t len)
{
	struct chunk *k = a->current;
	uint8_t *to;

	while (k != NULL && k->size - k->used < len + 1 && k->next != NULL)
		k = k->next;
	if (k == NULL || k->size - k->used < len + 1) {
		size_t size = len + 1 > CHUNK_SIZE ? len + 1 : CHUNK_SIZE;
		struct chunk *fresh = cw_malloc(sizeof(*fresh) + size);

		*fresh = (struct chunk){.size = size};
		if (k == NULL)
			a->first = fresh;
		else
			k->next = fresh;
		k = fresh;
	}
	a->current = k;
	to = k->bytes + k->used;
	memcpy(to, data, len);
	to[len] = 0;
	k->used += len + 1;
	return to;
}

void
cw_run_free(struct cw_run *run)
{
	struct arena *a = run->arena;

	if (a != NULL) {
		while (a->first != NULL) {
			struct chunk *next = a->first->next;

			free(a->first);
			a->first = next;
		}
		free(a);
	}
	free(run->entries);
	*run = (struct cw_run)CW_RUN_INIT;
}

void
run_reset(struct cw_run *run)
{
	if (run->arena == NULL)
		run->arena = cw_calloc(1, sizeof(struct arena));
	arena_reset(run->arena);
	run->count = 0;
	run->bytes = 0;
}

void
run_append(struct cw_run *run, const struct cw_entry *e)
{
	struct arena *a = run->arena;
	struct cw_entry *to;

	if (run->count == run->capacity) {
		run->capacity = run->capacity == 0 ? 256 : run->capacity * 2;
		run->entries = cw_reallocarray(
		    run->entries, run->capacity, sizeof(*run->entries));
	}
	to = &run->entries[run->count++];
	*to = *e;
	to->name = arena_copy(a, e->name, e->name_len);
	if (e->target != NULL)
		to->target = arena_copy(a, e->target, e->target_len);
	if (e->attrs != NULL)
		to->attrs = arena_copy(a, e->attrs, e->attrs_len);
	run->bytes += e->size;
}

void
cw_run_query_init(struct cw_run_query *q, enum cw_run_what what,
    int64_t mtime_from, int64_t mtime_to)
{
	*q = (struct cw_run_query){
	    .what = what,
	    .mtime_from = mtime_from,
	    .mtime_to = mtime_to,
	    .dir = -1,
	};
}

/*
 * The conditions say what the partial indexes say, word for word: SQLite
 * proves that an index serves by comparing texts.  Those on columns that stand
 * first in a row come first, since most rows fail one, and SQLite looks no
 * further into them.
 */
#define BEHIND	"(dir,name)>(?1,?2)"
#define IN_BAND " AND mtime_ns>=?3 AND mtime_ns<=?4"

static void
queue_sql(const struct cw_run_query *q, struct cw_buf *sql)
{
	const char *index = q->since > 0 ? " INDEXED BY entry_gen"
			    : q->what == CW_RUN_LARGE
				? " INDEXED BY entry_large"
				: "";

	cw_buf_printf(
	    sql, "SELECT " ENTRY_COLUMNS " FROM entry%s WHERE ", index);
	switch (q->what) {
	case CW_RUN_META:
		cw_buf_text(sql, BEHIND " AND (kind<>'f' OR class=0)");
		break;
	case CW_RUN_SMALL:
		cw_buf_text(sql, BEHIND " AND kind='f' AND class<>0" IN_BAND
					" AND size<=65536");
		break;
	case CW_RUN_LARGE:
		cw_buf_text(sql, "kind='f' AND class<>0 AND +size>65536"
				 " AND (size,dir,name)>(?5,?1,?2)" IN_BAND);
		break;
	}
	if (q->since > 0)
		cw_buf_text(sql, " AND gen>?6 AND gen>1");
	cw_buf_text(sql, " AND volume IS NULL");
	cw_buf_text(sql, q->what == CW_RUN_LARGE
			     ? " ORDER BY size,dir,name LIMIT ?7"
			     : " ORDER BY dir,name LIMIT ?7");
}

int
cw_catalog_next_run(struct cw_catalog *c, struct cw_run_query *q,
    struct cw_run *run, size_t max_entries, uint64_t max_bytes,
    struct cw_error *err)
{
	struct cw_buf sql = CW_BUF_INIT;
	sqlite3_stmt *st = NULL;
	int got = SQLITE_DONE, ret;

	run_reset(run);
	queue_sql(q, &sql);
	ret = catalog_prepare(c, cw_buf_string(&sql), &st, err);
	cw_buf_free(&sql);
	if (ret < 0)
		return -1;
	sqlite3_bind_int64(st, 1, q->dir);
	bind_bytes(st, 2, q->name, q->name_len);
	if (q->what != CW_RUN_META) {
		sqlite3_bind_int64(st, 3, q->mtime_from);
		sqlite3_bind_int64(st, 4,
		    q->mtime_to == INT64_MAX ? INT64_MAX : q->mtime_to - 1);
	}
	if (q->what == CW_RUN_LARGE)
		sqlite3_bind_int64(st, 5, (int64_t)q->size);
	if (q->since > 0)
		sqlite3_bind_int64(st, 6, (int64_t)q->since);
	sqlite3_bind_int64(st, 7, (int64_t)max_entries);
	while (run->count < max_entries &&
	       (run->count == 0 || run->bytes < max_bytes) &&
	       (got = sqlite3_step(st)) == SQLITE_ROW) {
		struct cw_entry e;

		if ((ret = row_read(c, st, &e, err)) < 0)
			break;
		if (run->count > 0 && run->bytes + e.size > max_bytes)
			break;
		run_append(run, &e);
	}
	if (ret == 0 && got != SQLITE_ROW && got != SQLITE_DONE)
		ret = catalog_fail(c, "read what has to be packed", err);
	sqlite3_finalize(st);
	if (ret == 0 && run->count > 0) {
		const struct cw_entry *last = &run->entries[run->count - 1];

		q->dir = last->dir;
		q->size = last->size;
		q->name_len = last->name_len;
		memcpy(q->name, last->name, last->name_len);
	}
	return ret;
}

int
cw_catalog_unpacked(struct cw_catalog *c, uint64_t *entries, uint64_t *bytes,
    struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = 0;

	if (catalog_prepare(c,
		"SELECT count(*),coalesce(sum(size),0) FROM entry"
		" WHERE volume IS NULL",
		&st, err) < 0)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW) {
		*entries = (uint64_t)sqlite3_column_int64(st, 0);
		*bytes = (uint64_t)sqlite3_column_int64(st, 1);
	} else {
		ret = catalog_fail(c, "count what has to be packed", err);
	}
	sqlite3_finalize(st);
	return ret;
}

int
cw_catalog_file_volumes(struct cw_catalog *c,
    void (*each)(void *arg, uint32_t volume), void *arg, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got, ret = 0;

	if (catalog_prepare(
		c, "SELECT volume FROM entry WHERE kind='f'", &st, err) < 0)
		return -1;
	while ((got = sqlite3_step(st)) == SQLITE_ROW)
		each(arg, (uint32_t)sqlite3_column_int64(st, 0));
	if (got != SQLITE_DONE)
		ret = catalog_fail(c, "read where the files are", err);
	sqlite3_finalize(st);
	return ret;
}

int
cw_catalog_tombstones(struct cw_catalog *c, uint64_t since,
    int (*each)(void *arg, int64_t dir, const char *name, size_t len,
	enum cw_kind kind, uint64_t generation),
    void *arg, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got, ret = 0;

	if (catalog_prepare(c,
		"SELECT dir,name,kind,gen FROM tombstone WHERE gen>?1"
		" ORDER BY gen,dir,name",
		&st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)since);
	while (ret == 0 && (got = sqlite3_step(st)) != SQLITE_DONE) {
		const unsigned char *kind;
		char name[CW_ENTRY_NAME_MAX + 1];
		int len;

		if (got != SQLITE_ROW) {
			ret = catalog_fail(c, "read deletions", err);
			break;
		}
		kind = sqlite3_column_text(st, 2);
		len = sqlite3_column_bytes(st, 1);
		if (kind == NULL || strchr("fdl", kind[0]) == NULL || len < 1 ||
		    len > (int)CW_ENTRY_NAME_MAX) {
			ret = cw_error_set(err, CW_ERR_DAMAGED,
			    "catalog %s has a malformed deletion", c->path);
			break;
		}
		memcpy(name, sqlite3_column_blob(st, 1), (size_t)len);
		name[len] = '\0';
		ret = each(arg, sqlite3_column_int64(st, 0), name, (size_t)len,
		    (enum cw_kind)kind[0],
		    (uint64_t)sqlite3_column_int64(st, 3));
	}
	sqlite3_finalize(st);
	return ret;
}

static int
forget(
    struct cw_catalog *c, const char *sql, uint64_t up_to, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret;

	if (catalog_prepare(c, sql, &st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)up_to);
	ret = catalog_run(c, st, err);
	sqlite3_finalize(st);
	return ret;
}

int
cw_catalog_forget_tombstones(
    struct cw_catalog *c, uint64_t up_to, struct cw_error *err)
{
	if (up_to > c->info.generation)
		up_to = c->info.generation;
	/* What was forgotten costs no second look. */
	if (up_to <= c->info.floor)
		return 0;
	if (forget(c, "DELETE FROM tombstone WHERE gen<=?1", up_to, err) < 0 ||
	    forget(c, "DELETE FROM gone WHERE gen<=?1", up_to, err) < 0)
		return -1;
	c->info.floor = up_to;
	c->info_dirty = true;
	return 0;
}
