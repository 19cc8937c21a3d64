/*
 * The copy of a catalog that travels in a seed.  It is written row by row
 * instead of by VACUUM INTO, so that what only the site that keeps the catalog
 * can use stays there: inodes and times of change say nothing elsewhere, and
 * are a tenth of the sealed copy.
 */
#include "base/fs.h"
#include "store/catalog_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Nobody sees the copy before it is whole: no journal is needed. */
static const char begin_sql[] =
    "PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
    "PRAGMA trusted_schema=OFF; PRAGMA temp_store=FILE;"
    "PRAGMA cache_size=-8192;";

/* In the order of the keys, so that pages are filled one after another. */
static const char copy_sql[] =
    "BEGIN;"
    "INSERT OR REPLACE INTO main.meta SELECT * FROM ours.meta;"
    "INSERT INTO main.root SELECT * FROM ours.root;"
    "INSERT INTO main.owner SELECT * FROM ours.owner;"
    "INSERT INTO main.attrs SELECT * FROM ours.attrs;"
    "INSERT INTO main.dir SELECT id,parent,name,sum,0,0 FROM ours.dir"
    " ORDER BY id;"
    "INSERT INTO main.entry SELECT dir,name,kind,class,mode,user,grp,mtime_ns,"
    "0,size,0,linkgroup,digest,target,attrs,sparse,gen,volume,child"
    " FROM ours.entry ORDER BY dir,name;"
    "INSERT INTO main.tombstone SELECT * FROM ours.tombstone;"
    "INSERT INTO main.part SELECT * FROM ours.part;"
    "INSERT INTO main.superseded SELECT * FROM ours.superseded;"
    "INSERT INTO main.gone SELECT * FROM ours.gone;"
    "COMMIT;";

static int
attach(sqlite3 *db, const char *path)
{
	sqlite3_stmt *st = NULL;
	int got = sqlite3_prepare_v2(db, "ATTACH ?1 AS ours", -1, &st, NULL);

	if (got == SQLITE_OK) {
		sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
		got = sqlite3_step(st);
	}
	sqlite3_finalize(st);
	return got == SQLITE_DONE ? SQLITE_OK : got;
}

int
export_copy(struct cw_catalog *c, const char *to, const char *sql,
    int (*complete)(void *arg, struct cw_catalog *copy, struct cw_error *err),
    void *arg, struct cw_error *err)
{
	struct cw_catalog *copy;
	int ret = -1, fd = -1;

	if (access(to, F_OK) == 0)
		return cw_error_set(
		    err, CW_ERR_REFUSED, "%s is already there", to);
	copy = catalog_new(to);
	if (sqlite3_open_v2(to, &copy->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE |
		    SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK ||
	    sqlite3_exec(copy->db, begin_sql, NULL, NULL, NULL) != SQLITE_OK) {
		catalog_fail(copy, "make a copy", err);
		goto out;
	}
	if (schema_create(copy->db, err) < 0)
		goto out;
	if (attach(copy->db, c->path) != SQLITE_OK ||
	    sqlite3_exec(copy->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		catalog_fail(copy, "make a copy", err);
		goto out;
	}
	if (complete != NULL && complete(arg, copy, err) < 0)
		goto out;
	if ((fd = open(to, O_RDONLY | O_CLOEXEC)) < 0) {
		cw_error_errno(err, "cannot open %s", to);
		goto out;
	}
	ret = cw_sync(fd, err);
out:
	cw_close(&fd);
	cw_catalog_close(copy);
	if (ret < 0)
		(void)unlink(to);
	return ret;
}

int
cw_catalog_export(struct cw_catalog *c, const char *to, struct cw_error *err)
{
	return export_copy(c, to, copy_sql, NULL, NULL, err);
}
