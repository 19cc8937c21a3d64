#include "replica/db.h"

#include "store/sqlite_fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
db_fail(struct db *d, const char *doing, struct cw_error *err)
{
	return cw_sqlite_fail(d->db, doing, d->path, err);
}

int
db_exec(struct db *d, const char *sql, struct cw_error *err)
{
	if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return db_fail(d, "do what is needed", err);
}

sqlite3_stmt *
db_stmt(struct db *d, size_t which, struct cw_error *err)
{
	sqlite3_stmt *st = d->st[which];

	if (st != NULL) {
		sqlite3_reset(st);
		sqlite3_clear_bindings(st);
		return st;
	}
	if (sqlite3_prepare_v3(d->db, d->sql[which], -1,
		SQLITE_PREPARE_PERSISTENT, &d->st[which], NULL) != SQLITE_OK) {
		db_fail(d, "prepare a statement", err);
		return NULL;
	}
	return d->st[which];
}

int
db_step(struct db *d, sqlite3_stmt *st, struct cw_error *err)
{
	int got = sqlite3_step(st);

	if (got == SQLITE_ROW)
		return 1;
	if (got != SQLITE_DONE)
		db_fail(d, "read or write", err);
	sqlite3_reset(st);
	return got == SQLITE_DONE ? 0 : -1;
}

int
db_run(struct db *d, sqlite3_stmt *st, struct cw_error *err)
{
	int got = db_step(d, st, err);

	sqlite3_reset(st);
	return got < 0 ? -1 : 0;
}

static int
read_version(struct db *d, int *version, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = -1;

	if (sqlite3_prepare_v2(d->db, "PRAGMA user_version", -1, &st, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		*version = sqlite3_column_int(st, 0);
		ret = 0;
	} else {
		db_fail(d, "begin", err);
	}
	sqlite3_finalize(st);
	return ret;
}

/* Tables and version in one transaction: a crash leaves an empty file. */
static int
prepare(struct db *d, int version, const char *schema, struct cw_error *err)
{
	char set[64];
	int found = 0;

	if (db_exec(d,
		/* The store's lock keeps others out: no locks a read. */
		"PRAGMA locking_mode=EXCLUSIVE;"
		"PRAGMA journal_mode=WAL;"
		"PRAGMA journal_size_limit=16777216;"
		/* A checkpoint syncs twice: not every 4 MiB. */
		"PRAGMA wal_autocheckpoint=4096;"
		"PRAGMA synchronous=FULL;"
		"PRAGMA temp_store=FILE;"
		"PRAGMA cache_size=-8192;"
		"PRAGMA trusted_schema=OFF;",
		err) < 0 ||
	    read_version(d, &found, err) < 0)
		return -1;
	if (found == version)
		return 0;
	if (found != 0)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "%s has version %d, this program knows %d", d->path, found,
		    version);
	(void)snprintf(set, sizeof(set), "PRAGMA user_version=%d", version);
	if (db_begin(d, err) < 0 || db_exec(d, schema, err) < 0 ||
	    db_exec(d, set, err) < 0 || db_commit(d, err) < 0) {
		db_rollback(d);
		return -1;
	}
	return 0;
}

int
db_open(struct db *d, const char *store_dir, const char *name, int version,
    const char *schema, const char *const *sql, size_t count,
    struct cw_error *err)
{
	*d = (struct db){.sql = sql, .count = count};
	d->path = cw_asprintf("%s/%s", store_dir, name);
	d->st = cw_calloc(count, sizeof(*d->st));
	if (sqlite3_open_v2(d->path, &d->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE |
		    SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		db_fail(d, "begin", err);
		db_close(d);
		return -1;
	}
	sqlite3_extended_result_codes(d->db, 1);
	sqlite3_busy_timeout(d->db, 20000);
	if (prepare(d, version, schema, err) < 0) {
		db_close(d);
		return -1;
	}
	return 0;
}

void
db_close(struct db *d)
{
	db_rollback(d);
	for (size_t i = 0; i < d->count && d->st != NULL; i++)
		sqlite3_finalize(d->st[i]);
	sqlite3_close(d->db);
	free(d->st);
	free(d->path);
	*d = (struct db){0};
}

int
db_set_durable(struct db *d, bool durable, struct cw_error *err)
{
	return db_exec(d,
	    durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
	    err);
}

int
db_begin(struct db *d, struct cw_error *err)
{
	if (d->in_tx)
		return 0;
	if (db_exec(d, "BEGIN IMMEDIATE", err) < 0)
		return -1;
	d->in_tx = true;
	return 0;
}

int
db_commit(struct db *d, struct cw_error *err)
{
	if (!d->in_tx)
		return 0;
	if (db_exec(d, "COMMIT", err) < 0)
		return -1;
	d->in_tx = false;
	return 0;
}

void
db_rollback(struct db *d)
{
	if (!d->in_tx)
		return;
	d->in_tx = false;
	for (size_t i = 0; i < d->count; i++) {
		if (d->st[i] != NULL)
			sqlite3_reset(d->st[i]);
	}
	(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

void
db_bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	sqlite3_bind_blob64(
	    st, at, data == NULL ? "" : data, len, SQLITE_STATIC);
}

void
db_bind_optional(sqlite3_stmt *st, int at, int64_t value)
{
	if (value == 0)
		sqlite3_bind_null(st, at);
	else
		sqlite3_bind_int64(st, at, value);
}

static void
bind_text(sqlite3_stmt *st, int at, const char *text)
{
	db_bind_bytes(st, at, text, text == NULL ? 0 : strlen(text));
}

void
db_bind_entry(sqlite3_stmt *st, int at, const struct cw_entry *e)
{
	char kind = (char)e->kind;

	sqlite3_bind_text(st, at++, &kind, 1, SQLITE_TRANSIENT);
	sqlite3_bind_int(st, at++, e->class);
	sqlite3_bind_int64(st, at++, e->mode);
	sqlite3_bind_int64(st, at++, e->uid);
	sqlite3_bind_int64(st, at++, e->gid);
	bind_text(st, at++, e->user);
	bind_text(st, at++, e->group);
	sqlite3_bind_int64(st, at++, e->mtime_ns);
	sqlite3_bind_int64(st, at++, (int64_t)e->size);
	db_bind_optional(st, at++, e->linkgroup);
	if (e->has_digest)
		db_bind_bytes(st, at++, e->digest, CW_DIGEST_SIZE);
	else
		sqlite3_bind_null(st, at++);
	if (e->kind == CW_KIND_SYMLINK)
		db_bind_bytes(st, at++, e->target, e->target_len);
	else
		sqlite3_bind_null(st, at++);
	if (e->attrs_len > 0)
		db_bind_bytes(st, at++, e->attrs, e->attrs_len);
	else
		sqlite3_bind_null(st, at++);
	sqlite3_bind_int(st, at++, e->sparse);
	sqlite3_bind_int64(st, at, (int64_t)e->generation);
}

size_t
db_read_bytes(sqlite3_stmt *st, int col, size_t *len, struct cw_buf *arena)
{
	const void *data = sqlite3_column_blob(st, col);
	size_t at = arena->len;

	*len = (size_t)sqlite3_column_bytes(st, col);
	if (*len > 0)
		cw_buf_append(arena, data, *len);
	cw_buf_append(arena, "", 1);
	return at;
}

void
db_read_entry(sqlite3_stmt *st, int col, struct cw_entry *e,
    struct db_place *at, struct cw_buf *arena)
{
	const unsigned char *kind = sqlite3_column_text(st, col);
	size_t len;

	*e = (struct cw_entry)CW_ENTRY_INIT;
	*at = (struct db_place){0};
	if (kind != NULL)
		e->kind = (enum cw_kind)kind[0];
	col++;
	e->class = (uint8_t)sqlite3_column_int(st, col++);
	e->mode = (uint32_t)sqlite3_column_int64(st, col++);
	e->uid = (uint32_t)sqlite3_column_int64(st, col++);
	e->gid = (uint32_t)sqlite3_column_int64(st, col++);
	at->user = db_read_bytes(st, col++, &len, arena);
	at->group = db_read_bytes(st, col++, &len, arena);
	e->mtime_ns = sqlite3_column_int64(st, col++);
	e->size = (uint64_t)sqlite3_column_int64(st, col++);
	e->linkgroup = sqlite3_column_int64(st, col++);
	if (sqlite3_column_bytes(st, col) == (int)CW_DIGEST_SIZE) {
		e->has_digest = true;
		memcpy(e->digest, sqlite3_column_blob(st, col), CW_DIGEST_SIZE);
	}
	col++;
	if (sqlite3_column_type(st, col) != SQLITE_NULL)
		at->target = db_read_bytes(st, col, &e->target_len, arena);
	col++;
	if (sqlite3_column_type(st, col) != SQLITE_NULL)
		at->attrs = db_read_bytes(st, col, &e->attrs_len, arena);
	col++;
	e->sparse = sqlite3_column_int(st, col++) != 0;
	e->generation = (uint64_t)sqlite3_column_int64(st, col);
}

void
db_entry_settle(
    struct cw_entry *e, const struct db_place *at, const struct cw_buf *arena)
{
	e->user = (const char *)arena->data + at->user;
	e->group = (const char *)arena->data + at->group;
	if (e->target_len > 0)
		e->target = (const char *)arena->data + at->target;
	if (e->attrs_len > 0)
		e->attrs = arena->data + at->attrs;
}
