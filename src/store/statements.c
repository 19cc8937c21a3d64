/*
 * The SQL that is kept prepared, and how it is run.
 */
#include "store/catalog_impl.h"

#include "store/sqlite_fail.h"

#include <stdlib.h>

static const char *const statements[ST_COUNT] = {
    [ST_LOOKUP] =
	"SELECT " ENTRY_COLUMNS " FROM entry WHERE dir=?1 AND name=?2",
    [ST_INSERT] = "INSERT INTO entry(" ENTRY_COLUMNS ") VALUES"
		  "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [ST_UPDATE] =
	"UPDATE entry SET kind=?3,class=?4,mode=?5,user=?6,grp=?7,"
	"mtime_ns=?8,ctime_ns=?9,size=?10,ino=?11,linkgroup=?12,digest=?13,"
	"target=?14,attrs=?15,sparse=?16,gen=?17,volume=?18,child=?19"
	" WHERE dir=?1 AND name=?2",
    [ST_DELETE] = "DELETE FROM entry WHERE dir=?1 AND name=?2",
    [ST_LIST] = "SELECT " ENTRY_COLUMNS " FROM entry"
		" WHERE dir=?1 AND name>?2 ORDER BY name LIMIT ?3",
    [ST_DIR_IDS] = "SELECT id FROM dir WHERE id>?1 ORDER BY id LIMIT ?2",
    [ST_DIRS] = "SELECT id,parent,name,seen_mtime_ns,seen_ctime_ns FROM dir"
		" WHERE id>?1 AND id<=?2 ORDER BY id",
    [ST_NOTE_STAT] = "UPDATE entry SET ino=?3,ctime_ns=?4,linkgroup=?5,"
		     "mtime_ns=coalesce(?6,mtime_ns)"
		     " WHERE dir=?1 AND name=?2",
    [ST_SET_DIGEST] = "UPDATE entry SET digest=?3 WHERE dir=?1 AND name=?2",
    /* The row must be what was packed, or it waits to be packed again. */
    [ST_PACK_FILE] = "UPDATE entry SET digest=?3,volume=?4"
		     " WHERE dir=?1 AND name=?2 AND digest IS NULL"
		     " AND gen=?5 AND size=?6 AND mtime_ns=?7 AND ctime_ns=?8"
		     " AND ino=?9 AND volume IS NULL",
    [ST_PACK_OTHER] = "UPDATE entry SET volume=?3 WHERE dir=?1 AND name=?2",
    [ST_UNPACK] = "UPDATE entry SET volume=NULL WHERE dir=?1 AND name=?2",
    [ST_DIR_GET] = "SELECT parent,name,sum,seen_mtime_ns,seen_ctime_ns"
		   " FROM dir WHERE id=?1",
    [ST_DIR_INSERT] = "INSERT INTO dir(id,parent,name,sum,seen_mtime_ns,"
		      "seen_ctime_ns) VALUES(?1,?2,?3,zeroblob(32),0,0)",
    [ST_DIR_SUM] = "UPDATE dir SET sum=?2 WHERE id=?1",
    [ST_DIR_SEEN] =
	"UPDATE dir SET seen_mtime_ns=?2,seen_ctime_ns=?3 WHERE id=?1",
    [ST_DIR_DELETE] = "DELETE FROM dir WHERE id=?1",
    [ST_DIR_CHILDREN] = "SELECT id FROM dir WHERE parent=?1 AND id>?2"
			" ORDER BY id LIMIT ?3",
    [ST_DIR_FIND] = "SELECT kind,child FROM entry WHERE dir=?1 AND name=?2",
    /* Below a directory a replica may have what no other row tells of. */
    [ST_TOMB_PUT] = "INSERT INTO tombstone(dir,name,kind,gen)"
		    " VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET gen=?4,"
		    "kind=CASE kind WHEN 'd' THEN 'd' ELSE ?3 END",
    [ST_TOMB_DROP] =
	"DELETE FROM tombstone WHERE dir=?1 AND name=?2 AND kind<>'d'",
    [ST_TOMB_DIR] = "DELETE FROM tombstone WHERE dir=?1",
    [ST_TOMB_BASE] = "SELECT 1 FROM tombstone WHERE dir=?1 AND name>=?2"
		     " AND name<?3 AND gen>?4 LIMIT 1",
    [ST_GONE_PUT] = "INSERT INTO gone(digest,gen,came) VALUES(?1,?2,?3)"
		    " ON CONFLICT DO UPDATE SET came=min(came,?3)",
    [ST_GONE_SINCE] = "SELECT 1 FROM gone WHERE digest=?1 AND gen>?2 LIMIT 1",
    /*
     * The first generation is in no index; see changes.c.  "gen>1" is what lets
     * the index be used at all; of two lower bounds SQLite takes the first.
     */
    [ST_CHANGES_FIRST] = "SELECT " ENTRY_COLUMNS " FROM entry"
			 " WHERE (dir,name)>(?2,?3) AND gen<=1"
			 " ORDER BY dir,name",
    [ST_CHANGES_LATER] = "SELECT " ENTRY_COLUMNS " FROM entry"
			 " INDEXED BY entry_gen"
			 " WHERE (gen,dir,name)>(?1,?2,?3) AND gen>1"
			 " ORDER BY gen,dir,name",
    [ST_CHANGES_GONE] = "SELECT dir,name,kind,gen FROM tombstone"
			" WHERE (gen,dir,name)>(?1,?2,?3)"
			" ORDER BY gen,dir,name",
    [ST_CONTENT] = "SELECT " ENTRY_COLUMNS " FROM entry INDEXED BY entry_digest"
		   " WHERE digest=?1 AND (dir,name)>(?2,?3)"
		   " ORDER BY dir,name LIMIT 1",
    [ST_CONTENT_BEFORE] =
	"SELECT 1 FROM entry INDEXED BY entry_digest WHERE digest=?1"
	" AND (dir<>?2 OR name<>?3)"
	" AND (gen<=?4 OR (gen,dir,name)<(?5,?2,?3)) LIMIT 1",
    [ST_BASE] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE dir=?1"
		" AND name>=?2 AND name<?3 AND kind='f' ORDER BY name LIMIT 1",
    [ST_SUPERSEDE] =
	"INSERT OR IGNORE INTO superseded(volume,path) VALUES(?1,?2)",
    [ST_SUPERSEDED] = "SELECT 1 FROM superseded WHERE volume=?1 AND path=?2",
    [ST_PART_PUT] = "INSERT OR REPLACE INTO part(dir,name,part,parts,volume)"
		    " VALUES(?1,?2,?3,?4,?5)",
    [ST_PART_LIST] = "SELECT part,parts,volume FROM part"
		     " WHERE dir=?1 AND name=?2 ORDER BY part",
    [ST_PART_DROP] = "DELETE FROM part WHERE dir=?1 AND name=?2",
    [ST_ATTRS_GET] = "SELECT data FROM attrs WHERE id=?1",
    [ST_ATTRS_FIND] = "SELECT id FROM attrs WHERE digest=?1",
    [ST_ATTRS_INSERT] = "INSERT INTO attrs(digest,data) VALUES(?1,?2)",
    [ST_OWNER_INSERT] =
	"INSERT INTO owner(id,kind,number,name) VALUES(?1,?2,?3,?4)",
    [ST_OWNER_FIND] =
	"SELECT id FROM owner WHERE kind=?1 AND number=?2 AND name=?3",
    [ST_META_PUT] = "INSERT OR REPLACE INTO meta(key,value) VALUES(?1,?2)",
    [ST_META_GET] = "SELECT value FROM meta WHERE key=?1",
    [ST_META_DROP] = "DELETE FROM meta WHERE key=?1",
    [ST_DATA_VERSION] = "PRAGMA data_version",
};

int
catalog_fail(struct cw_catalog *c, const char *doing, struct cw_error *err)
{
	char *what = cw_asprintf("catalog %s", c->path);

	(void)cw_sqlite_fail(c->db, doing, what, err);
	free(what);
	return -1;
}

int
catalog_exec(struct cw_catalog *c, const char *sql, struct cw_error *err)
{
	if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return catalog_fail(c, "do what is needed", err);
}

int
catalog_prepare(struct cw_catalog *c, const char *sql, sqlite3_stmt **out,
    struct cw_error *err)
{
	if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out,
		NULL) == SQLITE_OK)
		return 0;
	*out = NULL;
	return catalog_fail(c, "prepare a statement", err);
}

sqlite3_stmt *
catalog_stmt(struct cw_catalog *c, enum stmt which, struct cw_error *err)
{
	if (c->st[which] == NULL &&
	    catalog_prepare(c, statements[which], &c->st[which], err) < 0)
		return NULL;
	return c->st[which];
}

sqlite3_stmt *
catalog_stmt_take(struct cw_catalog *c, enum stmt which, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, which, err);

	c->st[which] = NULL;
	return st;
}

void
catalog_stmt_return(struct cw_catalog *c, enum stmt which, sqlite3_stmt *st)
{
	if (c->st[which] != NULL) {
		sqlite3_finalize(st);
		return;
	}
	sqlite3_reset(st);
	c->st[which] = st;
}

int
catalog_run(struct cw_catalog *c, sqlite3_stmt *st, struct cw_error *err)
{
	int got = sqlite3_step(st);

	sqlite3_reset(st);
	if (got == SQLITE_DONE)
		return 0;
	return catalog_fail(c, "write", err);
}

void
bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	sqlite3_bind_blob64(
	    st, at, data == NULL ? "" : data, len, SQLITE_STATIC);
}
