/*
 * The connection: making, opening, transactions, copies.  statements.c has the
 * SQL, info.c what it says of the store, owners.c and dirs.c these, rows.c,
 * change.c and pack.c its entries, walk.c reading in order, foreign.c distrust.
 */
#include "store/catalog.h"

#include "base/crypto.h"
#include "base/fs.h"
#include "store/catalog_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Counting every allocation takes a lock and a tenth of an insert. */
static void
configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct cw_catalog *
catalog_new(const char *path)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct cw_catalog *c = cw_calloc(1, sizeof(*c));

	pthread_once(&once, configure);
	c->path = cw_strdup(path);
	c->version = CATALOG_VERSION;
	c->path_dir = -1;
	c->found_dir = -1;
	c->sum_dir = -1;
	c->roots = cw_calloc(CW_ROOTS_MAX, sizeof(*c->roots));
	return c;
}

void
cw_catalog_close(struct cw_catalog *c)
{
	if (c == NULL)
		return;
	cw_catalog_rollback(c);
	for (int i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(c->st[i]);
	sqlite3_close(c->db);
	while (c->all_owners != NULL) {
		struct owner *older = c->all_owners->older;

		free(c->all_owners);
		c->all_owners = older;
	}
	free(c->owners);
	free(c->owner_hash);
	cw_state_free(c->state);
	cw_buf_free(&c->path_buf);
	cw_buf_free(&c->found_buf);
	cw_buf_free(&c->attrs_buf);
	cw_buf_free(&c->target_buf);
	free(c->roots);
	free(c->path);
	free(c);
}

/* A number that moves with every commit of another connection. */
static int
data_version(struct cw_catalog *c, int64_t *out, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DATA_VERSION, err);
	int ret = 0;

	if (st == NULL)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else
		ret = catalog_fail(c, "read", err);
	sqlite3_reset(st);
	return ret;
}

/* All as of one commit: a transaction holds the snapshot. */
int
catalog_load_all(struct cw_catalog *c, struct cw_error *err)
{
	bool mine;
	int ret = -1;

	if (cw_crypto_init(err) < 0 || catalog_hold_own(c, &mine, err) < 0)
		return -1;
	if (catalog_load_info(c, err) == 0 &&
	    catalog_load_owners(c, err) == 0 &&
	    catalog_load_roots(c, err) == 0 &&
	    data_version(c, &c->data_version, err) == 0)
		ret = 0;
	if (mine)
		cw_catalog_release(c);
	if (!c->in_tx)
		c->owners_committed = c->owner_count;
	return ret;
}

/* What a store is, wherever a copy of it lies. */
struct birth {
	const char *name;
	uint8_t id[CW_STORE_ID_SIZE];
	uint8_t key[CW_STATE_KEY_SIZE];
};

static int
fill_new(struct cw_catalog *c, const struct birth *b, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (catalog_meta_put(c, "store_id", b->id, sizeof(b->id), 0, err) < 0 ||
	    catalog_meta_put(c, "state_key", b->key, sizeof(b->key), 0, err) <
		0 ||
	    (st = catalog_stmt(c, ST_META_PUT, err)) == NULL)
		return -1;
	sqlite3_bind_text(st, 1, "name", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, b->name, -1, SQLITE_STATIC);
	if (catalog_run(c, st, err) < 0)
		return -1;
	c->info.epoch = 1;
	c->next_dir = 1;
	if (catalog_save_info(c, err) < 0)
		return -1;
	return catalog_exec(
	    c, "INSERT INTO dir VALUES(0,-1,x'',zeroblob(32),0,0)", err);
}

static int
create(const char *path, const struct birth *b, struct cw_error *err)
{
	struct cw_catalog *c = catalog_new(path);
	char *fresh = cw_asprintf("%s.new", path);
	bool made = false;
	int ret = -1;

	if (!cw_name_is_safe(b->name, strlen(b->name)) ||
	    strlen(b->name) > CW_STORE_NAME_MAX) {
		cw_error_set(
		    err, CW_ERR_USAGE, "%s is no name for a store", b->name);
		goto out;
	}
	if (access(path, F_OK) == 0) {
		cw_error_set(
		    err, CW_ERR_REFUSED, "catalog %s is already there", path);
		goto out;
	}
	/* What a crash left of an earlier try. */
	(void)unlink(fresh);
	made = true;
	if (sqlite3_open_v2(fresh, &c->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE,
		NULL) != SQLITE_OK) {
		catalog_fail(c, "begin", err);
		goto out;
	}
	if (catalog_exec(c, "PRAGMA page_size=8192; PRAGMA synchronous=FULL;",
		err) < 0 ||
	    schema_create(c->db, err) < 0 ||
	    catalog_exec(c, "BEGIN IMMEDIATE", err) < 0 ||
	    fill_new(c, b, err) < 0 || catalog_exec(c, "COMMIT", err) < 0)
		goto out;
	for (int i = 0; i < ST_COUNT; i++) {
		sqlite3_finalize(c->st[i]);
		c->st[i] = NULL;
	}
	sqlite3_close(c->db);
	c->db = NULL;
	if (rename(fresh, path) < 0) {
		cw_error_errno(err, "cannot rename %s to %s", fresh, path);
		goto out;
	}
	ret = 0;
out:
	if (made && ret < 0)
		(void)unlink(fresh);
	cw_catalog_close(c);
	free(fresh);
	return ret;
}

int
cw_catalog_create(
    const char *path, const char *store_name, struct cw_error *err)
{
	struct birth b = {.name = store_name};
	int ret;

	if (cw_crypto_init(err) < 0)
		return -1;
	cw_random(b.id, sizeof(b.id));
	cw_random_secret(b.key, sizeof(b.key));
	ret = create(path, &b, err);
	explicit_bzero(&b, sizeof(b));
	return ret;
}

int
cw_catalog_create_replica(const char *path, const char *store_name,
    const uint8_t store_id[CW_STORE_ID_SIZE],
    const uint8_t state_key[CW_STATE_KEY_SIZE], struct cw_error *err)
{
	struct birth b = {.name = store_name};
	int ret;

	if (cw_crypto_init(err) < 0)
		return -1;
	memcpy(b.id, store_id, sizeof(b.id));
	memcpy(b.key, state_key, sizeof(b.key));
	ret = create(path, &b, err);
	explicit_bzero(&b, sizeof(b));
	return ret;
}

/*
 * FULL and not NORMAL: a commit is a promise (a volume that counts, a
 * generation a peer will hear of), and there are few of them.  The page cache
 * is what a large scan needs to keep its inner pages; temporary tables go to
 * files, since they grow with what changed.
 */
static const char write_pragmas[] = "PRAGMA journal_mode=WAL;"
				    "PRAGMA journal_size_limit=67108864;"
				    /* 32 MiB: each costs two syncs. */
				    "PRAGMA wal_autocheckpoint=4096;"
				    "PRAGMA synchronous=FULL;"
				    "PRAGMA temp_store=FILE;"
				    "PRAGMA cache_size=-24576;"
				    "PRAGMA trusted_schema=OFF;";
static const char read_pragmas[] = "PRAGMA temp_store=FILE;"
				   "PRAGMA cache_size=-4096;"
				   "PRAGMA trusted_schema=OFF;";

int
cw_catalog_open(const char *path, enum cw_catalog_mode mode,
    struct cw_catalog **out, struct cw_error *err)
{
	bool writing = mode == CW_CATALOG_WRITE;
	struct cw_catalog *c;

	*out = NULL;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return cw_error_set(
		    err, CW_ERR_MISSING, "there is no catalog %s", path);
	c = catalog_new(path);
	c->writable = writing;
	/* A reader of a WAL database has to write its shared memory. */
	if (sqlite3_open_v2(path, &c->db,
		(writing ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE |
		    SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		catalog_fail(c, "begin", err);
		goto fail;
	}
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, 20000);
	if (catalog_exec(c, writing ? write_pragmas : read_pragmas, err) < 0)
		goto fail;
	if (writing) {
		if (schema_migrate(c->db, err) < 0) {
			cw_error_context(err, "catalog %s", path);
			goto fail;
		}
	} else if (schema_compare(c->db, path, false, &c->version, err) < 0) {
		goto fail;
	}
	if (catalog_load_all(c, err) < 0)
		goto fail;
	*out = c;
	return 0;
fail:
	cw_catalog_close(c);
	return -1;
}

const struct cw_catalog_info *
cw_catalog_info(struct cw_catalog *c)
{
	return &c->info;
}

int
cw_catalog_refresh(struct cw_catalog *c, struct cw_error *err)
{
	c->path_dir = -1;
	c->found_dir = -1;
	return catalog_load_all(c, err);
}

/* Transactions. */

/* Counts and owners must be those that the transaction begins with. */
static int
catch_up(struct cw_catalog *c, struct cw_error *err)
{
	int64_t now;

	if (data_version(c, &now, err) < 0)
		return -1;
	if (now == c->data_version)
		return 0;
	if (cw_catalog_refresh(c, err) < 0)
		return -1;
	c->owners_committed = c->owner_count;
	return 0;
}

int
cw_catalog_begin(struct cw_catalog *c, struct cw_error *err)
{
	if (!c->writable)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "catalog %s is open for reading", c->path);
	if (catalog_exec(c, "BEGIN IMMEDIATE", err) < 0)
		return -1;
	c->in_tx = true;
	if (catch_up(c, err) < 0) {
		cw_catalog_rollback(c);
		return -1;
	}
	return 0;
}

int
cw_catalog_commit(struct cw_catalog *c, struct cw_error *err)
{
	if (catalog_flush_sum(c, err) < 0 ||
	    (c->info_dirty && catalog_save_info(c, err) < 0) ||
	    catalog_exec(c, "COMMIT", err) < 0)
		return -1;
	c->in_tx = false;
	c->owners_committed = c->owner_count;
	return 0;
}

void
cw_catalog_rollback(struct cw_catalog *c)
{
	struct cw_error ignored = CW_ERROR_INIT;

	if (!c->in_tx)
		return;
	c->in_tx = false;
	c->path_dir = c->found_dir = c->sum_dir = -1;
	c->attrs_id = 0;
	for (int i = 0; i < ST_COUNT; i++) {
		if (c->st[i] != NULL)
			sqlite3_reset(c->st[i]);
	}
	sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	catalog_forget_owners(c);
	(void)catalog_load_info(c, &ignored);
	(void)catalog_load_roots(c, &ignored);
}

void
cw_catalog_set_generation(struct cw_catalog *c, uint64_t generation)
{
	c->info.generation = generation;
	c->info_dirty = true;
}

void
cw_catalog_set_epoch(struct cw_catalog *c, uint64_t epoch)
{
	c->info.epoch = epoch;
	c->info_dirty = true;
}

/* Begins a transaction unless one is open; *mine says so. */
int
catalog_begin_own(struct cw_catalog *c, bool *mine, struct cw_error *err)
{
	*mine = !c->in_tx;
	return *mine ? cw_catalog_begin(c, err) : 0;
}

int
catalog_end_own(struct cw_catalog *c, bool mine, int ret, struct cw_error *err)
{
	if (!mine)
		return ret;
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	return ret;
}

int
cw_catalog_start_seed(struct cw_catalog *c,
    const uint8_t seed_id[CW_SEED_ID_SIZE], struct cw_error *err)
{
	bool mine;
	int ret;

	if (catalog_begin_own(c, &mine, err) < 0)
		return -1;
	ret = catalog_exec(c,
	    "UPDATE entry SET volume=NULL WHERE volume IS NOT NULL;"
	    "DELETE FROM part; DELETE FROM superseded;",
	    err);
	memcpy(c->info.seed_id, seed_id, CW_SEED_ID_SIZE);
	c->info.has_seed = true;
	c->info.seed_generation = c->info.generation;
	c->info_dirty = true;
	return catalog_end_own(c, mine, ret, err);
}

int
cw_catalog_hold(struct cw_catalog *c, struct cw_error *err)
{
	return catalog_exec(c, "BEGIN", err);
}

void
cw_catalog_release(struct cw_catalog *c)
{
	if (!sqlite3_get_autocommit(c->db))
		(void)sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL);
}

int
catalog_hold_own(struct cw_catalog *c, bool *mine, struct cw_error *err)
{
	*mine = sqlite3_get_autocommit(c->db) != 0;
	return *mine ? cw_catalog_hold(c, err) : 0;
}
