/*
 * Distrust: all that SQLite cannot know of a catalog.  One pass over the rows
 * in order, with memory for one directory only; sums and counts are computed
 * anew, so that what the catalog says of itself is true when this succeeds.
 */
#include "store/recount.h"

#include "base/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
damaged(struct recount *r, const char *what, struct cw_error *err)
{
	return cw_error_set(
	    err, CW_ERR_DAMAGED, "catalog %s: %s", r->c->path, what);
}

static int
differs(struct recount *r, struct cw_error *err)
{
	return damaged(r, "the digest of a directory is wrong", err);
}

static int
check_entry(struct recount *r, const struct cw_entry *e, struct cw_error *err)
{
	if (r->path_len + 1 + e->name_len > CW_PATH_MAX)
		return damaged(r, "a path is too long", err);
	if (e->dir == 0 && e->kind != CW_KIND_DIR)
		return damaged(r, "a root is no directory", err);
	if (e->generation > r->c->info.generation)
		return damaged(r, "an entry is from the future", err);
	if (e->attrs != NULL) {
		struct cw_attrs attrs;

		if (cw_attrs_decode(e->attrs, e->attrs_len, &attrs, err) < 0) {
			if (err != NULL)
				err->code = CW_ERR_DAMAGED;
			return -1;
		}
		cw_attrs_free(&attrs);
	}
	if (e->size > INT64_MAX - r->seen.bytes)
		return damaged(r, "the sizes are impossible", err);
	return 0;
}

/* A statement whose first column must be 0. */
static int
check_none(
    struct recount *r, const char *sql, const char *what, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = -1;

	if (catalog_prepare(r->c, sql, &st, err) < 0)
		return -1;
	if (sqlite3_step(st) != SQLITE_ROW)
		catalog_fail(r->c, "check the rows", err);
	else if (sqlite3_column_type(st, 0) != SQLITE_INTEGER ||
		 sqlite3_column_int64(st, 0) != 0)
		damaged(r, what, err);
	else
		ret = 0;
	sqlite3_finalize(st);
	return ret;
}

/* Directories and their entries are one to one and agree. */
static int
check_dirs(struct recount *r, struct cw_error *err)
{
	char *future;
	int ret;

	if (check_none(r,
		"SELECT EXISTS(SELECT 1 FROM entry e LEFT JOIN dir d"
		" ON d.id=e.child WHERE e.kind='d' AND (d.id IS NULL"
		" OR d.parent IS NOT e.dir OR d.name IS NOT e.name))",
		"an entry of a directory disagrees with the directory",
		err) < 0 ||
	    check_none(r,
		"SELECT count(*)-1-(SELECT count(*) FROM entry"
		" WHERE kind='d') FROM dir",
		"there are directories without an entry", err) < 0 ||
	    check_none(r,
		"SELECT EXISTS(SELECT 1 FROM dir WHERE typeof(name)<>'blob'"
		" OR typeof(sum)<>'blob' OR length(sum)<>32"
		" OR typeof(seen_mtime_ns)<>'integer'"
		" OR typeof(seen_ctime_ns)<>'integer' OR id<0"
		" OR (id=0)<>(parent=-1))",
		"a directory is malformed", err) < 0 ||
	    check_none(r,
		"SELECT EXISTS(SELECT 1 FROM dir d WHERE sum<>zeroblob(32)"
		" AND NOT EXISTS(SELECT 1 FROM entry WHERE dir=d.id))",
		"the digest of an empty directory is wrong", err) < 0)
		return -1;
	future = cw_asprintf(
	    "SELECT EXISTS(SELECT 1 FROM dir WHERE id>=%" PRId64 ")",
	    r->c->next_dir);
	ret = check_none(r, future, "a directory's id is too large", err);
	free(future);
	return ret;
}

/* What belongs to entries, but is in tables of its own. */
static int
check_others(struct recount *r, struct cw_error *err)
{
	static const struct {
		const char *sql;
		const char *what;
	} checks[] = {
	    {"SELECT EXISTS(SELECT 1 FROM root r LEFT JOIN entry e ON"
	     " e.dir=0 AND e.name=CAST(r.name AS BLOB)"
	     " WHERE typeof(r.name)<>'text')",
		"a root is malformed"},
	    {"SELECT EXISTS(SELECT 1 FROM entry e LEFT JOIN root r ON"
	     " CAST(r.name AS BLOB)=e.name WHERE e.dir=0 AND r.id IS NULL)",
		"an entry lies in no root"},
	    {"SELECT EXISTS(SELECT 1 FROM part p LEFT JOIN entry e ON"
	     " e.dir=p.dir AND e.name=p.name WHERE e.dir IS NULL"
	     " OR e.kind<>'f' OR typeof(p.part)<>'integer' OR"
	     " typeof(p.parts)<>'integer' OR typeof(p.volume)<>'integer'"
	     " OR p.part<1 OR p.part>p.parts OR p.parts>999999999"
	     " OR p.volume<1 OR p.volume>4294967295)",
		"a part of a file is malformed"},
	    {"SELECT EXISTS(SELECT 1 FROM tombstone WHERE"
	     " typeof(dir)<>'integer' OR typeof(name)<>'blob' OR"
	     " typeof(gen)<>'integer' OR gen<0 OR kind NOT IN ('f','d','l')"
	     " OR length(name)<1 OR length(name)>255 OR instr(name,x'2f')>0"
	     " OR instr(name,x'00')>0 OR name=x'2e' OR name=x'2e2e'"
	     " OR dir NOT IN (SELECT id FROM dir))",
		"a deletion is malformed"},
	    {"SELECT EXISTS(SELECT 1 FROM superseded WHERE"
	     " typeof(volume)<>'integer' OR typeof(path)<>'blob'"
	     " OR length(path)>32768)",
		"a superseded member is malformed"},
	    {"SELECT EXISTS(SELECT 1 FROM attrs WHERE typeof(digest)<>'blob'"
	     " OR length(digest)<>32 OR typeof(data)<>'blob'"
	     " OR length(data)>1048576)",
		"a set of attributes is malformed"},
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (check_none(r, checks[i].sql, checks[i].what, err) < 0)
			return -1;
	}
	if (r->c->version < 2)
		return 0;
	return check_none(r,
	    r->c->version < 3
		? "SELECT EXISTS(SELECT 1 FROM gone WHERE typeof(digest)"
		  "<>'blob' OR length(digest)<>32 OR typeof(gen)<>'integer'"
		  " OR gen<0)"
		: "SELECT EXISTS(SELECT 1 FROM gone WHERE typeof(digest)"
		  "<>'blob' OR length(digest)<>32 OR typeof(gen)<>'integer'"
		  " OR gen<0 OR typeof(came)<>'integer' OR came<0)",
	    "a content that went is malformed", err);
}

int
catalog_check_rows(struct cw_catalog *c, struct cw_error *err)
{
	struct recount r = {.c = c, .judge = check_entry, .differs = differs};
	const struct cw_catalog_info *said = &c->info;

	/*
	 * Bounds that keep paths short come first: depth is bounded by the
	 * length of a path, and an id is greater than its parent's.
	 */
	if (check_dirs(&r, err) < 0 || check_others(&r, err) < 0 ||
	    recount_rows(&r, err) < 0)
		return -1;
	if (r.seen.entries != said->entries || r.seen.files != said->files ||
	    r.seen.dirs != said->dirs || r.seen.bytes != said->bytes ||
	    r.seen.pending != said->pending)
		return damaged(&r, "it miscounts its entries", err);
	if (memcmp(r.sum, c->sum, CW_STATE_SIZE) != 0)
		return damaged(&r, "the state digest is wrong", err);
	return 0;
}

int
cw_state_check(struct cw_catalog *c, struct cw_error *err)
{
	return catalog_check_rows(c, err);
}

/* Limits that no catalog of ours comes near. */
static void
distrust(sqlite3 *db)
{
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 4 << 20);
	sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 65536);
	sqlite3_limit(db, SQLITE_LIMIT_COLUMN, 64);
	sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 64);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
}

static int
stop_soon(void *arg)
{
	(void)arg;
	return cw_stop_requested();
}

/*
 * SQLite's own structure: pages, cells, order, NOT NULL, and that the indexes
 * say what the tables say: a sync reads by them.  Half as long again as
 * quick_check, which leaves that out.
 */
static int
check_structure(struct cw_catalog *c, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = -1;

	if (catalog_prepare(c, "PRAGMA integrity_check(1)", &st, err) < 0)
		return -1;
	if (sqlite3_step(st) != SQLITE_ROW)
		catalog_fail(c, "check the pages", err);
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
		cw_error_set(err, CW_ERR_DAMAGED, "catalog %s is damaged: %s",
		    c->path, (const char *)sqlite3_column_text(st, 0));
	else
		ret = 0;
	sqlite3_finalize(st);
	return ret;
}

/* "file:" and the path with everything but letters and '/' as %XX. */
static char *
immutable_uri(const char *path)
{
	struct cw_buf uri = CW_BUF_INIT;

	cw_buf_text(&uri, path[0] == '/' ? "file://" : "file:");
	for (const unsigned char *p = (const unsigned char *)path; *p != '\0';
	     p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || *p == '/')
			cw_buf_append(&uri, p, 1);
		else
			cw_buf_printf(&uri, "%%%02X", *p);
	}
	cw_buf_text(&uri, "?immutable=1");
	return cw_buf_string(&uri);
}

int
cw_catalog_open_foreign(
    const char *path, struct cw_catalog **out, struct cw_error *err)
{
	struct cw_catalog *c;
	char *uri;
	int got;

	*out = NULL;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return cw_error_set(
		    err, CW_ERR_MISSING, "there is no catalog %s", path);
	c = catalog_new(path);
	/* Immutable: no journal or WAL beside it is ever looked at. */
	uri = immutable_uri(path);
	got = sqlite3_open_v2(uri, &c->db,
	    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW |
		SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOMUTEX,
	    NULL);
	free(uri);
	if (got != SQLITE_OK) {
		catalog_fail(c, "begin", err);
		goto fail;
	}
	sqlite3_extended_result_codes(c->db, 1);
	distrust(c->db);
	sqlite3_progress_handler(c->db, 100000, stop_soon, NULL);
	if (catalog_exec(c,
		"PRAGMA query_only=ON; PRAGMA cell_size_check=ON;"
		"PRAGMA mmap_size=0; PRAGMA temp_store=FILE;"
		"PRAGMA cache_size=-32768;",
		err) < 0 ||
	    schema_compare(c->db, path, true, &c->version, err) < 0 ||
	    check_structure(c, err) < 0 || catalog_load_all(c, err) < 0 ||
	    catalog_check_rows(c, err) < 0)
		goto fail;
	*out = c;
	return 0;
fail:
	/* What SQLite cannot read of a stranger's file is damage. */
	if (err != NULL && err->code == CW_ERR_IO)
		err->code = CW_ERR_DAMAGED;
	cw_catalog_close(c);
	return -1;
}
