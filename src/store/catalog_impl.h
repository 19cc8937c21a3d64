/*
 * The inside of a catalog, shared by the modules of this folder and by nobody
 * else: the connection, its prepared statements, and the steps that the scan
 * takes without looking a row up twice.
 */
#ifndef CW_STORE_CATALOG_IMPL_H
#define CW_STORE_CATALOG_IMPL_H

#include "base/buf.h"
#include "store/catalog.h"

#include <sqlite3.h>

#define CATALOG_APPLICATION_ID 0x43574159 /* "CWAY" */
#define CATALOG_VERSION	       3
#define OWNERS_MAX	       (1 << 20)

/* The statements that are worth keeping prepared. */
enum stmt {
	ST_LOOKUP,
	ST_INSERT,
	ST_UPDATE,
	ST_DELETE,
	ST_LIST,
	ST_DIR_IDS,
	ST_DIRS,
	ST_NOTE_STAT,
	ST_SET_DIGEST,
	ST_PACK_FILE,
	ST_PACK_OTHER,
	ST_UNPACK,
	ST_DIR_GET,
	ST_DIR_INSERT,
	ST_DIR_SUM,
	ST_DIR_SEEN,
	ST_DIR_DELETE,
	ST_DIR_CHILDREN,
	ST_DIR_FIND,
	ST_TOMB_PUT,
	ST_TOMB_DROP,
	ST_TOMB_DIR,
	ST_TOMB_BASE,
	ST_GONE_PUT,
	ST_GONE_SINCE,
	ST_CHANGES_FIRST,
	ST_CHANGES_LATER,
	ST_CHANGES_GONE,
	ST_CONTENT,
	ST_CONTENT_BEFORE,
	ST_BASE,
	ST_SUPERSEDE,
	ST_SUPERSEDED,
	ST_PART_PUT,
	ST_PART_LIST,
	ST_PART_DROP,
	ST_ATTRS_GET,
	ST_ATTRS_FIND,
	ST_ATTRS_INSERT,
	ST_OWNER_INSERT,
	ST_OWNER_FIND,
	ST_META_PUT,
	ST_META_GET,
	ST_META_DROP,
	ST_DATA_VERSION,
	ST_COUNT
};

/* A user or group as it was named when it was first seen. */
struct owner {
	struct owner *older; /* all that this connection ever made */
	int64_t id;
	char kind; /* 'u' or 'g' */
	uint32_t number;
	char name[];
};

struct cw_catalog {
	sqlite3 *db;
	char *path;
	int version;
	int64_t data_version; /* PRAGMA data_version as of what is loaded */
	bool writable;
	bool has_content_index; /* as far as is known */
	bool in_tx;
	bool info_dirty;
	struct cw_catalog_info info;
	int64_t next_dir;
	uint8_t sum[CW_STATE_SIZE];
	struct cw_state *state;
	sqlite3_stmt *st[ST_COUNT];

	struct cw_root *roots;
	size_t root_count;

	/* owners[i] has the id i + 1; hash finds the newest of a number. */
	struct owner *all_owners;
	struct owner **owners;
	size_t owner_count;
	size_t owner_cap;
	size_t owners_committed;
	struct owner **owner_hash;
	size_t owner_hash_size;

	struct cw_buf path_buf; /* of path_dir, unless that is -1 */
	int64_t path_dir;
	struct cw_buf found_buf; /* the last path dir_lookup resolved */
	int64_t found_dir;

	int64_t sum_dir; /* whose sum waits in dir_sum, or -1 */
	uint8_t dir_sum[CW_STATE_SIZE];

	int64_t attrs_id; /* of what attrs_buf holds, or 0 */
	struct cw_buf attrs_buf;
	char name_buf[CW_ENTRY_NAME_MAX + 1];
	struct cw_buf target_buf;
};

#define ENTRY_COLUMNS                                                          \
	"dir,name,kind,class,mode,user,grp,mtime_ns,ctime_ns,size,ino,"        \
	"linkgroup,digest,target,attrs,sparse,gen,volume,child"

/* The same columns as sqlite3_column_* counts them. */
enum {
	COL_DIR,
	COL_NAME,
	COL_KIND,
	COL_CLASS,
	COL_MODE,
	COL_USER,
	COL_GROUP,
	COL_MTIME,
	COL_CTIME,
	COL_SIZE,
	COL_INO,
	COL_LINKGROUP,
	COL_DIGEST,
	COL_TARGET,
	COL_ATTRS,
	COL_SPARSE,
	COL_GEN,
	COL_VOLUME,
	COL_CHILD
};

/* schema.c: makes the tables of an empty database; brings them up to date. */
int schema_create(sqlite3 *db, struct cw_error *err);
int schema_migrate(sqlite3 *db, struct cw_error *err);
/*
 * Has it exactly the tables of a catalog of its version, which is given back?
 * A catalog that is not foreign may have the index of contents as well.
 */
int schema_compare(sqlite3 *db, const char *path, bool is_foreign,
    int *out_version, struct cw_error *err);
int schema_has_content_index(sqlite3 *db, bool *has, struct cw_error *err);
int schema_add_content_index(sqlite3 *db, struct cw_error *err);

/* Sets err from SQLite's last error; CW_ERR_NOSPACE, _DAMAGED, _BUSY, _IO. */
int catalog_fail(struct cw_catalog *c, const char *doing, struct cw_error *err);
int catalog_exec(struct cw_catalog *c, const char *sql, struct cw_error *err);
/* A prepared statement, reset; NULL on error. */
sqlite3_stmt *catalog_stmt(
    struct cw_catalog *c, enum stmt which, struct cw_error *err);
/*
 * The same for a stream of rows, of which there may be several at a time: the
 * statement is the caller's until it is given back, or finalized.
 */
sqlite3_stmt *catalog_stmt_take(
    struct cw_catalog *c, enum stmt which, struct cw_error *err);
void catalog_stmt_return(
    struct cw_catalog *c, enum stmt which, sqlite3_stmt *st);
int catalog_prepare(struct cw_catalog *c, const char *sql, sqlite3_stmt **out,
    struct cw_error *err);
/* Steps a statement that gives no rows, and resets it. */
int catalog_run(struct cw_catalog *c, sqlite3_stmt *st, struct cw_error *err);

void bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t len);

/*
 * An integer of a row, from min to max: nothing else passes.  row_bad says
 * which column of an entry is malformed, and returns -1.
 */
bool row_number(
    sqlite3_stmt *st, int col, int64_t min, int64_t max, int64_t *out);
int row_bad(
    struct cw_catalog *c, const char *what, int64_t dir, struct cw_error *err);

/*
 * Fills an entry from a row of ENTRY_COLUMNS.  Pointers are SQLite's (until
 * the statement steps) and the catalog's (attributes: until the next row).
 */
int row_read(struct cw_catalog *c, sqlite3_stmt *st, struct cw_entry *out,
    struct cw_error *err);
/* An owned copy of an entry that outlives the statement it came from. */
struct kept {
	struct cw_entry e;
	struct cw_buf bytes;
};

#define KEPT_INIT                                                              \
	{                                                                      \
		.bytes = CW_BUF_INIT                                           \
	}

void kept_take(struct kept *k, const struct cw_entry *e);
void kept_free(struct kept *k);

/* Empties a run; adds a copy of an entry to it. */
void run_reset(struct cw_run *run);
void run_append(struct cw_run *run, const struct cw_entry *e);
/* Copies name, target and attributes of a found row to the catalog's buffers,
 * so that the statement can be reset. */
void row_keep(struct cw_catalog *c, struct cw_entry *e);

int catalog_load_owners(struct cw_catalog *c, struct cw_error *err);
void catalog_forget_owners(struct cw_catalog *c);
const struct owner *catalog_owner(
    struct cw_catalog *c, int64_t id, char kind, struct cw_error *err);
int catalog_owner_id(struct cw_catalog *c, char kind, uint32_t number,
    const char *name, int64_t *id, struct cw_error *err);

/*
 * put and remove for who knows the old row: old as row_read gave it, NULL if
 * there is none.
 */
int catalog_put_over(struct cw_catalog *c, const struct cw_entry *old,
    const struct cw_entry *e, uint64_t generation, int64_t *child,
    struct cw_error *err);
int catalog_remove_row(struct cw_catalog *c, const struct cw_entry *old,
    uint64_t generation, struct cw_error *err);
/* Replaces what no generation counts: ctime, inode, mtime of a directory. */
int catalog_touch(struct cw_catalog *c, const struct cw_entry *old,
    const struct cw_entry *e, struct cw_error *err);

/* What the seed holds of this row describes it no longer. */
int catalog_unpack(
    struct cw_catalog *c, const struct cw_entry *old, struct cw_error *err);

/*
 * What a scan remembers of a directory: its mtime and ctime when it was last
 * read, 0 and 0 if they prove nothing.
 */
int catalog_dir_seen(struct cw_catalog *c, int64_t dir, int64_t *mtime_ns,
    int64_t *ctime_ns, struct cw_error *err);
int catalog_dir_set_seen(struct cw_catalog *c, int64_t dir, int64_t mtime_ns,
    int64_t ctime_ns, struct cw_error *err);
/* Up to max ids of directories in dir, after `after`, in order. */
int catalog_dir_children(struct cw_catalog *c, int64_t dir, int64_t after,
    int64_t *ids, size_t max, size_t *count, struct cw_error *err);
/* Up to max ids of all directories, after `after`, in order. */
int catalog_dir_ids(struct cw_catalog *c, int64_t after, int64_t *ids,
    size_t max, size_t *count, struct cw_error *err);
/* What a scan has to know of a directory to look at it. */
struct catalog_dir {
	int64_t id;
	int64_t parent;
	int64_t seen_mtime_ns;
	int64_t seen_ctime_ns;
	const char *name;
	size_t name_len;
};

#define CATALOG_DIRS 64u

struct catalog_dirs {
	struct catalog_dir dirs[CATALOG_DIRS];
	size_t count;
	struct cw_buf names; /* their memory; the caller's to free */
};

/*
 * As many as there is room for of the directories behind `after` up to `last`,
 * in order, but never that of the roots.
 */
int catalog_dirs(struct cw_catalog *c, int64_t after, int64_t last,
    struct catalog_dirs *out, struct cw_error *err);
/* 1 if there is (still) a directory of this id, 0 if not. */
int catalog_dir_exists(struct cw_catalog *c, int64_t dir, struct cw_error *err);
int catalog_dir_parent(struct cw_catalog *c, int64_t dir, int64_t *parent,
    struct cw_buf *name, struct cw_error *err);

/* Writes the sum that waits. */
int catalog_flush_sum(struct cw_catalog *c, struct cw_error *err);
/* Adds (sign 1) or takes away (-1) an entry's MAC, if it has one. */
int catalog_sum(struct cw_catalog *c, const struct cw_entry *e, int sign,
    struct cw_error *err);
/* A catalog without a connection. */
struct cw_catalog *catalog_new(const char *path);
/* Information, owners and roots, as of one commit. */
int catalog_load_all(struct cw_catalog *c, struct cw_error *err);
/* Holds the catalog unless it is held or written; *mine says so. */
int catalog_hold_own(struct cw_catalog *c, bool *mine, struct cw_error *err);
/* Begins a transaction unless one is open; *mine says so, for end_own. */
int catalog_begin_own(struct cw_catalog *c, bool *mine, struct cw_error *err);
int catalog_end_own(
    struct cw_catalog *c, bool mine, int ret, struct cw_error *err);
int catalog_meta_put(struct cw_catalog *c, const char *key, const void *blob,
    size_t len, uint64_t number, struct cw_error *err);
int catalog_save_info(struct cw_catalog *c, struct cw_error *err);
int catalog_load_info(struct cw_catalog *c, struct cw_error *err);
int catalog_load_roots(struct cw_catalog *c, struct cw_error *err);

/*
 * A new catalog in one file, filled by sql, in which ours is the database
 * "ours"; complete does what SQL can't.  A failure leaves no file.
 */
int export_copy(struct cw_catalog *c, const char *to, const char *sql,
    int (*complete)(void *arg, struct cw_catalog *copy, struct cw_error *err),
    void *arg, struct cw_error *err);

/* The checks of cw_catalog_open_foreign that go over the rows. */
int catalog_check_rows(struct cw_catalog *c, struct cw_error *err);

#endif
