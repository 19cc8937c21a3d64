/*
 * The tables, as SPEC.md gives them.  A catalog of an older version is brought
 * up step by step when it is opened for writing; a newer one is refused.
 */
#include "store/catalog_impl.h"
#include "store/sqlite_fail.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OF(x)  #x
#define TEXT_OF_(x) TEXT_OF(x)

static const char tables[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE root(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " format TEXT NOT NULL, capture TEXT NOT NULL);"
    "CREATE TABLE owner(id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " number INTEGER NOT NULL, name TEXT NOT NULL,"
    " UNIQUE(kind,number,name));"
    "CREATE TABLE attrs(id INTEGER PRIMARY KEY,"
    " digest BLOB NOT NULL UNIQUE, data BLOB NOT NULL);"
    "CREATE TABLE dir(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL,"
    " name BLOB NOT NULL, sum BLOB NOT NULL,"
    " seen_mtime_ns INTEGER NOT NULL, seen_ctime_ns INTEGER NOT NULL);"
    "CREATE INDEX dir_parent ON dir(parent);"
    "CREATE TABLE entry(dir INTEGER NOT NULL, name BLOB NOT NULL,"
    " kind TEXT NOT NULL, class INTEGER NOT NULL, mode INTEGER NOT NULL,"
    " user INTEGER NOT NULL, grp INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    " size INTEGER NOT NULL, ino INTEGER NOT NULL, linkgroup INTEGER,"
    " digest BLOB, target BLOB, attrs INTEGER, sparse INTEGER NOT NULL,"
    " gen INTEGER NOT NULL, volume INTEGER, child INTEGER,"
    " PRIMARY KEY(dir,name)) WITHOUT ROWID;"
    /*
     * The first generation is everything: leaving it out of the index makes
     * the first scan, which is the large one, a third faster.
     */
    "CREATE INDEX entry_gen ON entry(gen) WHERE gen>1;"
    "CREATE INDEX entry_large ON entry(size,dir,name)"
    " WHERE kind='f' AND +size>65536;"
    "CREATE TABLE tombstone(dir INTEGER NOT NULL, name BLOB NOT NULL,"
    " kind TEXT NOT NULL, gen INTEGER NOT NULL,"
    " PRIMARY KEY(dir,name)) WITHOUT ROWID;"
    "CREATE INDEX tombstone_gen ON tombstone(gen);"
    "CREATE TABLE part(dir INTEGER NOT NULL, name BLOB NOT NULL,"
    " part INTEGER NOT NULL, parts INTEGER NOT NULL,"
    " volume INTEGER NOT NULL, PRIMARY KEY(dir,name,part)) WITHOUT ROWID;"
    "CREATE TABLE superseded(volume INTEGER NOT NULL, path BLOB NOT NULL,"
    " PRIMARY KEY(volume,path)) WITHOUT ROWID;";

/* 2: what contents went, for a sync; how far back deletions are known. */
static const char contents_gone[] =
    "CREATE TABLE gone(digest BLOB NOT NULL, gen INTEGER NOT NULL,"
    " PRIMARY KEY(digest,gen)) WITHOUT ROWID;"
    "INSERT INTO meta(key,value) VALUES('floor',0);";

/* 3: since when it had been there, for increments; the default is never. */
static const char contents_came[] =
    "ALTER TABLE gone ADD COLUMN came INTEGER NOT NULL"
    " DEFAULT 9223372036854775807;";

/* migrations[v] brings version v to v + 1; 0 is an empty database. */
static const char *const migrations[CATALOG_VERSION] = {
    tables, contents_gone, contents_came};

/* The index that only a catalog in use has; see cw_catalog_index_contents. */
#define CONTENT_INDEX                                                          \
	"CREATE INDEX entry_digest ON entry(digest) WHERE digest IS NOT NULL"

static int
exec(sqlite3 *db, const char *sql, struct cw_error *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return cw_error_set(err, cw_sqlite_code(db),
	    "cannot prepare the catalog: %s", sqlite3_errmsg(db));
}

static int
pragma_number(sqlite3 *db, const char *sql, int64_t *out, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		*out = sqlite3_column_int64(st, 0);
		ret = 0;
	} else {
		cw_error_set(err, cw_sqlite_code(db), "%s", sqlite3_errmsg(db));
	}
	sqlite3_finalize(st);
	return ret;
}

/* Each step with its new version is one transaction. */
static int
migrate_one(sqlite3 *db, int64_t version, struct cw_error *err)
{
	int64_t found;
	char set[64];

	snprintf(set, sizeof(set), "PRAGMA user_version=%lld",
	    (long long)version + 1);
	if (exec(db, "BEGIN IMMEDIATE", err) < 0)
		return -1;
	if (pragma_number(db, "PRAGMA user_version", &found, err) < 0)
		goto fail;
	if (found != version) {
		/* Another was faster. */
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return 0;
	}
	if (exec(db, migrations[version], err) < 0 || exec(db, set, err) < 0 ||
	    exec(db, "COMMIT", err) < 0)
		goto fail;
	return 0;
fail:
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static int
migrate_to(sqlite3 *db, int64_t wanted, struct cw_error *err)
{
	int64_t version, id;

	if (pragma_number(db, "PRAGMA application_id", &id, err) < 0 ||
	    pragma_number(db, "PRAGMA user_version", &version, err) < 0)
		return -1;
	if (id != CATALOG_APPLICATION_ID)
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "it is not a catalog of Causeway");
	if (version < 0 || version > CATALOG_VERSION)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "catalog version %lld, this program knows up to %d",
		    (long long)version, CATALOG_VERSION);
	for (; version < wanted; version++) {
		if (migrate_one(db, version, err) < 0)
			return -1;
	}
	return 0;
}

int
schema_migrate(sqlite3 *db, struct cw_error *err)
{
	return migrate_to(db, CATALOG_VERSION, err);
}

static int
create(sqlite3 *db, int64_t version, struct cw_error *err)
{
	if (exec(db, "PRAGMA application_id=" TEXT_OF_(CATALOG_APPLICATION_ID),
		err) < 0)
		return -1;
	return migrate_to(db, version, err);
}

int
schema_create(sqlite3 *db, struct cw_error *err)
{
	return create(db, CATALOG_VERSION, err);
}

int
schema_has_content_index(sqlite3 *db, bool *has, struct cw_error *err)
{
	int64_t count = 0;

	if (pragma_number(db,
		"SELECT count(*) FROM sqlite_schema WHERE type='index'"
		" AND name='entry_digest' AND sql='" CONTENT_INDEX "'",
		&count, err) < 0)
		return -1;
	*has = count == 1;
	return 0;
}

int
schema_add_content_index(sqlite3 *db, struct cw_error *err)
{
	return exec(db, CONTENT_INDEX, err);
}

#define OBJECTS "SELECT type,name,tbl_name,coalesce(sql,'') FROM sqlite_schema"

static const char objects_sql[] = OBJECTS " ORDER BY type,name";
static const char own_objects_sql[] =
    OBJECTS " WHERE type<>'index' OR name<>'entry_digest' OR"
	    " sql<>'" CONTENT_INDEX "' ORDER BY type,name";

/* Both statements give the same rows of text. */
static bool
same_rows(sqlite3_stmt *a, sqlite3_stmt *b)
{
	for (;;) {
		int got_a = sqlite3_step(a), got_b = sqlite3_step(b);

		if (got_a != got_b)
			return false;
		if (got_a != SQLITE_ROW)
			return got_a == SQLITE_DONE;
		for (int i = 0; i < 4; i++) {
			int len = sqlite3_column_bytes(a, i);

			if (sqlite3_column_type(b, i) != SQLITE_TEXT ||
			    len != sqlite3_column_bytes(b, i) ||
			    memcmp(sqlite3_column_text(a, i),
				sqlite3_column_text(b, i), (size_t)len) != 0)
				return false;
		}
	}
}

int
schema_compare(sqlite3 *db, const char *path, bool is_foreign, int *out_version,
    struct cw_error *err)
{
	const char *sql = is_foreign ? objects_sql : own_objects_sql;
	sqlite3_stmt *ours = NULL, *theirs = NULL;
	sqlite3 *model = NULL;
	int64_t version, id;
	int ret = -1;

	if (pragma_number(db, "PRAGMA application_id", &id, err) < 0 ||
	    pragma_number(db, "PRAGMA user_version", &version, err) < 0) {
		cw_error_context(err, "cannot read catalog %s", path);
		goto out;
	}
	if (id != CATALOG_APPLICATION_ID) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s is not a catalog of Causeway", path);
		goto out;
	}
	if (version < 1 || version > CATALOG_VERSION) {
		cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "catalog %s has version %lld, this program reads 1 to %d",
		    path, (long long)version, CATALOG_VERSION);
		goto out;
	}
	if (sqlite3_open(":memory:", &model) != SQLITE_OK) {
		cw_error_set(err, CW_ERR_FAILED, "SQLite has no memory");
		goto out;
	}
	if (create(model, version, err) < 0)
		goto out;
	if (sqlite3_prepare_v2(model, objects_sql, -1, &ours, NULL) !=
		SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &theirs, NULL) != SQLITE_OK ||
	    !same_rows(ours, theirs)) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s does not have the tables of a catalog", path);
		goto out;
	}
	*out_version = (int)version;
	ret = 0;
out:
	sqlite3_finalize(ours);
	sqlite3_finalize(theirs);
	sqlite3_close(model);
	return ret;
}
