#include "replica/incoming_impl.h"

#include "base/crypto.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Above this an emptied file gives its room back. */
#define PAGES_KEPT 16384

static const char schema[] =
    "CREATE TABLE state(id INTEGER PRIMARY KEY, stage INTEGER, since INTEGER,"
    " epoch INTEGER, pos_gen INTEGER, pos_put INTEGER, pos_dir INTEGER,"
    " pos_name BLOB, generation INTEGER, digest BLOB, rows INTEGER,"
    " phase INTEGER, diverged INTEGER, apply_id BLOB);"
    "CREATE TABLE row(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE,"
    " wipe INTEGER NOT NULL, " DB_ENTRY_SCHEMA
    ", wish INTEGER, wish_key INTEGER,"
    " plan INTEGER NOT NULL DEFAULT 0, slot INTEGER NOT NULL DEFAULT 0,"
    " link_to BLOB);"
    "CREATE INDEX row_wish ON row(wish,wish_key,id) WHERE kind='f';"
    "CREATE INDEX row_digest ON row(digest,id) WHERE kind='f';"
    "CREATE INDEX row_links ON row(linkgroup) WHERE linkgroup IS NOT NULL;"
    "CREATE TABLE listing(name BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE bad(key BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE going(id INTEGER PRIMARY KEY);"
    "CREATE TABLE need(digest BLOB PRIMARY KEY, size INTEGER NOT NULL,"
    " copies INTEGER NOT NULL, filled INTEGER NOT NULL,"
    " donors INTEGER NOT NULL) WITHOUT ROWID;";

#define ROW_COLUMNS "id,path,wipe,plan,slot,link_to," DB_ENTRY_COLUMNS
#define PAGE_ROWS   "256"

static const char *const statements[IN_STMT_COUNT] = {
    [IN_STATE_GET] =
	"SELECT stage,since,epoch,pos_gen,pos_put,pos_dir,pos_name,"
	"generation,digest,rows,phase,diverged,apply_id FROM state WHERE id=1",
    [IN_STATE_PUT] =
	"INSERT OR REPLACE INTO state(id,stage,since,epoch,pos_gen,pos_put,"
	"pos_dir,pos_name,generation,digest,rows,phase,diverged,apply_id)"
	" VALUES(1,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    /* What was to go from here first goes first still. */
    [IN_ROW_PUT] =
	"INSERT INTO row(path," DB_ENTRY_COLUMNS ",wish,wish_key,plan,wipe)"
	" VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0)"
	" ON CONFLICT(path) DO UPDATE SET kind=?2,class=?3,mode=?4,uid=?5,"
	"gid=?6,user=?7,grp=?8,mtime_ns=?9,size=?10,linkgroup=?11,digest=?12,"
	"target=?13,attrs=?14,sparse=?15,gen=?16,wish=?17,wish_key=?18,"
	"plan=?19,slot=0,link_to=NULL",
    [IN_ROW_WIPE] = "INSERT OR REPLACE INTO row(path,wipe,gen) VALUES(?1,1,?2)",
    [IN_ROW_DROP] = "DELETE FROM row WHERE path=?1",
    [IN_ROW_DROP_BELOW] = "DELETE FROM row WHERE path>?1 AND path<?2",
    [IN_ROW_KIND] = "SELECT kind,plan FROM row WHERE path=?1",
    [IN_ROW_FIRST] = "SELECT min(id) FROM row WHERE digest=?1 AND kind='f'",
    [IN_PAGE] = "SELECT " ROW_COLUMNS " FROM row WHERE path>?1"
		" ORDER BY path LIMIT " PAGE_ROWS,
    [IN_PAGE_PLAN] = "SELECT " ROW_COLUMNS " FROM row"
		     " WHERE path>?1 AND (plan&?2)<>0"
		     " ORDER BY path LIMIT " PAGE_ROWS,
    [IN_PAGE_DOWN] = "SELECT " ROW_COLUMNS " FROM row"
		     " WHERE path<?1 AND plan=?2"
		     " ORDER BY path DESC LIMIT " PAGE_ROWS,
    [IN_WANT] = "SELECT wish,wish_key,id,digest,size,path,mode,uid,gid,user,"
		"grp,mtime_ns FROM row"
		" WHERE kind='f' AND (wish,wish_key,id)>(?1,?2,?3)"
		" ORDER BY wish,wish_key,id LIMIT 1",
    [IN_LIST_PUT] = "INSERT OR IGNORE INTO listing(name) VALUES(?1)",
    [IN_LIST_HAS] = "SELECT 1 FROM listing WHERE name=?1",
    [IN_BAD_PUT] = "INSERT OR IGNORE INTO bad(key) VALUES(?1)",
    [IN_BAD_HAS] = "SELECT 1 FROM bad WHERE key=?1",
    [IN_PLAN_SET] = "UPDATE row SET plan=?2,slot=0,link_to=NULL WHERE id=?1",
    [IN_LINK_STAYS] = "SELECT path FROM row WHERE linkgroup=?1 AND digest=?2"
		      " AND plan=4 ORDER BY path LIMIT 1",
    [IN_LINK_LEADER] = "SELECT path FROM row WHERE linkgroup=?1 AND digest=?2"
		       " AND plan=8 ORDER BY path LIMIT 1",
    [IN_LINK_ANY] = "SELECT 1 FROM row WHERE linkgroup IS NOT NULL LIMIT 1",
    [IN_LINK_COUNT] =
	"SELECT count(*) FROM row WHERE linkgroup=?1 AND digest=?2",
    [IN_LINK_SET] = "UPDATE row SET plan=16,link_to=?2 WHERE id=?1",
    [IN_GOING_PUT] = "INSERT OR IGNORE INTO going(id) VALUES(?1)",
    [IN_GOING_HAS] = "SELECT 1 FROM going WHERE id=?1",
    [IN_GOING_NEXT] = "SELECT id FROM going WHERE id>?1 ORDER BY id LIMIT 1",
    [IN_GOING_LAST] =
	"SELECT id FROM going WHERE id<?1 ORDER BY id DESC LIMIT 1",
    [IN_NEED_FILL] = "INSERT INTO need(digest,size,copies,filled,donors)"
		     " SELECT digest,size,count(*),0,0 FROM row"
		     " INDEXED BY row_digest WHERE kind='f' AND plan=8"
		     " GROUP BY digest",
    [IN_NEED_ROWS] = "SELECT id,size FROM row WHERE digest=?1 AND kind='f'"
		     " AND plan=8 ORDER BY id",
    [IN_NEED_GET] =
	"SELECT size,copies,filled,donors FROM need WHERE digest=?1",
    [IN_NEED_SET] = "UPDATE need SET filled=?2,donors=?3 WHERE digest=?1",
    [IN_NEED_NEXT] = "SELECT digest,size,copies,filled,donors FROM need"
		     " WHERE digest>?1 ORDER BY digest LIMIT 1",
    [IN_NEED_MORE] = "SELECT digest,size,copies,filled,donors FROM need"
		     " WHERE digest>?1 AND (copies>1 OR donors>0)"
		     " ORDER BY digest LIMIT 1",
    [IN_NEED_DROP] = "DELETE FROM need WHERE digest=?1",
    [IN_LACKS_SET] = "UPDATE row SET plan=32,slot=0,link_to=NULL"
		     " WHERE digest=?1 AND kind='f' AND plan IN (8,16)",
    [IN_SLOT_SET] = "UPDATE row SET slot=?2 WHERE id=?1",
};

/* ---- state ---- */

static int
load(struct cw_incoming *in, struct cw_error *err)
{
	struct cw_incoming_info *i = &in->info;
	sqlite3_stmt *st = db_stmt(&in->db, IN_STATE_GET, err);
	int got;

	*i = (struct cw_incoming_info){0};
	in->phase = PHASE_NONE;
	in->diverged = 0;
	if (st == NULL || (got = db_step(&in->db, st, err)) < 0)
		return -1;
	if (got == 0)
		return 0;
	i->stage = (enum cw_incoming_stage)sqlite3_column_int(st, 0);
	i->since = (uint64_t)sqlite3_column_int64(st, 1);
	i->epoch = (uint64_t)sqlite3_column_int64(st, 2);
	i->position.generation = (uint64_t)sqlite3_column_int64(st, 3);
	i->position.is_put = sqlite3_column_int(st, 4) != 0;
	i->position.dir = sqlite3_column_int64(st, 5);
	i->position.name_len = (size_t)sqlite3_column_bytes(st, 6);
	if (i->position.name_len > CW_ENTRY_NAME_MAX)
		i->position.name_len = 0;
	if (i->position.name_len > 0)
		memcpy(i->position.name, sqlite3_column_blob(st, 6),
		    i->position.name_len);
	i->generation = (uint64_t)sqlite3_column_int64(st, 7);
	if (sqlite3_column_bytes(st, 8) == (int)CW_STATE_SIZE)
		memcpy(i->digest, sqlite3_column_blob(st, 8), CW_STATE_SIZE);
	i->rows = (uint64_t)sqlite3_column_int64(st, 9);
	in->phase = (enum phase)sqlite3_column_int(st, 10);
	in->diverged = (uint64_t)sqlite3_column_int64(st, 11);
	if (sqlite3_column_bytes(st, 12) == (int)sizeof(in->apply_id))
		memcpy(in->apply_id, sqlite3_column_blob(st, 12),
		    sizeof(in->apply_id));
	sqlite3_reset(st);
	return 0;
}

int
incoming_save(struct cw_incoming *in, struct cw_error *err)
{
	const struct cw_incoming_info *i = &in->info;
	sqlite3_stmt *st;

	if (db_begin(&in->db, err) < 0 ||
	    (st = db_stmt(&in->db, IN_STATE_PUT, err)) == NULL)
		return -1;
	sqlite3_bind_int(st, 1, (int)i->stage);
	sqlite3_bind_int64(st, 2, (int64_t)i->since);
	sqlite3_bind_int64(st, 3, (int64_t)i->epoch);
	sqlite3_bind_int64(st, 4, (int64_t)i->position.generation);
	sqlite3_bind_int(st, 5, i->position.is_put);
	sqlite3_bind_int64(st, 6, i->position.dir);
	db_bind_bytes(st, 7, i->position.name, i->position.name_len);
	sqlite3_bind_int64(st, 8, (int64_t)i->generation);
	db_bind_bytes(st, 9, i->digest, CW_STATE_SIZE);
	sqlite3_bind_int64(st, 10, (int64_t)i->rows);
	sqlite3_bind_int(st, 11, (int)in->phase);
	sqlite3_bind_int64(st, 12, (int64_t)in->diverged);
	db_bind_bytes(st, 13, in->apply_id, sizeof(in->apply_id));
	return db_run(&in->db, st, err);
}

int
cw_incoming_open(const char *store_dir, const struct cw_place_root *roots,
    size_t root_count, struct cw_incoming **out, struct cw_error *err)
{
	struct cw_incoming *in = cw_calloc(1, sizeof(*in));

	*out = NULL;
	in->roots = cw_calloc(root_count + 1, sizeof(*in->roots));
	in->root_count = root_count;
	for (size_t i = 0; i < root_count; i++)
		(void)strncpy(in->roots[i], roots[i].name, CW_STORE_NAME_MAX);
	if (cw_crypto_init(err) < 0 ||
	    db_open(&in->db, store_dir, "incoming.sqlite", 1, schema,
		statements, IN_STMT_COUNT, err) < 0 ||
	    /* What a power cut takes is asked for again; apply is strict. */
	    db_set_durable(&in->db, false, err) < 0 || load(in, err) < 0) {
		cw_incoming_close(in);
		return -1;
	}
	in->has_bad = true; /* a look tells */
	*out = in;
	return 0;
}

void
cw_incoming_close(struct cw_incoming *in)
{
	if (in == NULL)
		return;
	db_close(&in->db);
	cw_buf_free(&in->path);
	cw_buf_free(&in->list_dir);
	cw_buf_free(&in->want_path);
	cw_buf_free(&in->want_names);
	free(in->roots);
	free(in);
}

const struct cw_incoming_info *
cw_incoming_info(const struct cw_incoming *in)
{
	return &in->info;
}

static int
empty_tables(struct cw_incoming *in, struct cw_error *err)
{
	in->has_bad = false;
	in->info.rows = 0;
	in->info.position = (struct cw_position){0};
	in->info.generation = 0;
	memset(in->info.digest, 0, CW_STATE_SIZE);
	in->phase = PHASE_NONE;
	in->diverged = 0;
	if (db_begin(&in->db, err) < 0 ||
	    db_exec(&in->db,
		"DELETE FROM row; DELETE FROM listing; DELETE FROM bad;"
		"DELETE FROM going; DELETE FROM need;",
		err) < 0)
		return -1;
	return 0;
}

static void
give_room_back(struct cw_incoming *in)
{
	sqlite3_stmt *st = NULL;
	int64_t pages = 0;

	if (sqlite3_prepare_v2(in->db.db, "PRAGMA page_count", -1, &st, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		pages = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	/* No harm if it cannot be done. */
	if (pages > PAGES_KEPT)
		(void)sqlite3_exec(in->db.db, "VACUUM", NULL, NULL, NULL);
}

int
incoming_empty(
    struct cw_incoming *in, uint64_t generation, struct cw_error *err)
{
	if (empty_tables(in, err) < 0)
		return -1;
	in->info.stage = CW_INCOMING_EMPTY;
	in->info.since = generation;
	if (incoming_save(in, err) < 0 || db_commit(&in->db, err) < 0)
		return -1;
	give_room_back(in);
	return 0;
}

int
incoming_refuse_applying(const struct cw_incoming *in, struct cw_error *err)
{
	if (in->info.stage != CW_INCOMING_APPLYING)
		return 0;
	return cw_error_set(err, CW_ERR_BUSY,
	    "generation %" PRIu64 " is half applied: it has to be finished "
	    "first",
	    in->info.generation);
}

int
cw_incoming_begin(struct cw_incoming *in, uint64_t since, uint64_t epoch,
    struct cw_error *err)
{
	struct cw_incoming_info *i = &in->info;

	if (incoming_refuse_applying(in, err) < 0)
		return -1;
	if (i->stage != CW_INCOMING_EMPTY && i->since == since &&
	    i->epoch == epoch)
		return 0;
	if (empty_tables(in, err) < 0)
		goto fail;
	i->stage = CW_INCOMING_COLLECTING;
	i->since = since;
	i->epoch = epoch;
	if (incoming_save(in, err) < 0 || db_commit(&in->db, err) < 0)
		goto fail;
	return 0;
fail:
	cw_incoming_rollback(in);
	return -1;
}

int
cw_incoming_discard(struct cw_incoming *in, struct cw_error *err)
{
	if (incoming_refuse_applying(in, err) < 0)
		return -1;
	return incoming_empty(in, in->info.since, err);
}

int
cw_incoming_commit(
    struct cw_incoming *in, const struct cw_position *at, struct cw_error *err)
{
	if (at != NULL)
		in->info.position = *at;
	if (incoming_save(in, err) < 0)
		return -1;
	return db_commit(&in->db, err);
}

void
cw_incoming_rollback(struct cw_incoming *in)
{
	db_rollback(&in->db);
	in->is_listing = false;
	(void)load(in, NULL);
}

int
cw_incoming_complete(struct cw_incoming *in, uint64_t generation,
    const uint8_t digest[CW_STATE_SIZE], struct cw_error *err)
{
	if (incoming_refuse_applying(in, err) < 0)
		return -1;
	if (in->info.stage == CW_INCOMING_EMPTY)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "no changes were begun that could be complete");
	in->info.stage = CW_INCOMING_COMPLETE;
	in->info.generation = generation;
	memcpy(in->info.digest, digest, CW_STATE_SIZE);
	return cw_incoming_commit(in, NULL, err);
}
