/*
 * The SQLite files that a replica keeps beside its catalog (incoming,
 * history): opening, statements that stay prepared, errors, and the columns
 * of an entry.  For the modules of this folder.
 */
#ifndef CW_REPLICA_DB_H
#define CW_REPLICA_DB_H

#include "base/buf.h"
#include "base/error.h"
#include "store/entry.h"

#include <sqlite3.h>

struct db {
	sqlite3 *db;
	char *path;
	const char *const *sql; /* count statements, prepared when first used */
	sqlite3_stmt **st;
	size_t count;
	bool in_tx;
};

/*
 * Opens or makes STORE_DIR/NAME: WAL, a commit is durable.  version: what
 * PRAGMA user_version must be; a new file gets the schema and it.
 */
int db_open(struct db *d, const char *store_dir, const char *name, int version,
    const char *schema, const char *const *sql, size_t count,
    struct cw_error *err);
void db_close(struct db *d);

int db_fail(struct db *d, const char *doing, struct cw_error *err);
int db_exec(struct db *d, const char *sql, struct cw_error *err);
/* A prepared statement, reset, nothing bound; NULL on error. */
sqlite3_stmt *db_stmt(struct db *d, size_t which, struct cw_error *err);
/* Steps a statement that gives no rows, and resets it. */
int db_run(struct db *d, sqlite3_stmt *st, struct cw_error *err);
/* Steps once: 1 a row (to be reset by the caller), 0 none (reset), -1. */
int db_step(struct db *d, sqlite3_stmt *st, struct cw_error *err);

/*
 * Whether a commit is durable when it returns (as after db_open), or in time:
 * a power cut then takes the last ones, in order.  Not within a transaction.
 */
int db_set_durable(struct db *d, bool durable, struct cw_error *err);

/* Transactions: begin is harmless if one is open, commit if none is. */
int db_begin(struct db *d, struct cw_error *err);
int db_commit(struct db *d, struct cw_error *err);
void db_rollback(struct db *d);

/* An empty BLOB and not NULL for no bytes; the bytes must stay. */
void db_bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t len);
void db_bind_optional(sqlite3_stmt *st, int at, int64_t value);

/* Copies a column behind the arena, a NUL behind it; returns where it lies. */
size_t db_read_bytes(
    sqlite3_stmt *st, int col, size_t *len, struct cw_buf *arena);

/*
 * The columns of an entry, in this order.  kind is NULL for none.  An entry
 * that is read has its pointers in arena (appended to; so they are given as
 * offsets until db_entry_settle, when the arena moves no more).
 */
#define DB_ENTRY_COLUMNS                                                       \
	"kind,class,mode,uid,gid,user,grp,mtime_ns,size,linkgroup,digest,"     \
	"target,attrs,sparse,gen"
#define DB_ENTRY_SCHEMA                                                        \
	"kind TEXT, class INTEGER, mode INTEGER, uid INTEGER, gid INTEGER,"    \
	" user BLOB, grp BLOB, mtime_ns INTEGER, size INTEGER,"                \
	" linkgroup INTEGER, digest BLOB, target BLOB, attrs BLOB,"            \
	" sparse INTEGER, gen INTEGER"
#define DB_ENTRY_COUNT 15

void db_bind_entry(sqlite3_stmt *st, int at, const struct cw_entry *e);

/* Where in an arena what an entry points to lies. */
struct db_place {
	size_t user, group, target, attrs;
};
void db_read_entry(sqlite3_stmt *st, int col, struct cw_entry *e,
    struct db_place *at, struct cw_buf *arena);
void db_entry_settle(
    struct cw_entry *e, const struct db_place *at, const struct cw_buf *arena);

#endif
