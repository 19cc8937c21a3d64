/*
 * What a catalog says of its store: numbers, sums, notes, roots.
 */
#include "store/catalog_impl.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

/* What is in meta, besides notes. */

enum {
	META_GENERATION,
	META_EPOCH,
	META_SEED_GENERATION,
	META_ENTRIES,
	META_FILES,
	META_DIRS,
	META_BYTES,
	META_PENDING,
	META_NEXT_DIR,
	META_FLOOR,
	META_NUMBERS
};

static const char *const meta_numbers[META_NUMBERS] = {
    [META_GENERATION] = "generation",
    [META_EPOCH] = "epoch",
    [META_SEED_GENERATION] = "seed_generation",
    [META_ENTRIES] = "entries",
    [META_FILES] = "files",
    [META_DIRS] = "dirs",
    [META_BYTES] = "bytes",
    [META_PENDING] = "pending",
    [META_NEXT_DIR] = "next_dir",
    [META_FLOOR] = "floor",
};

int
catalog_meta_put(struct cw_catalog *c, const char *key, const void *blob,
    size_t len, uint64_t number, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_META_PUT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	if (blob != NULL)
		bind_bytes(st, 2, blob, len);
	else
		sqlite3_bind_int64(st, 2, (int64_t)number);
	return catalog_run(c, st, err);
}

int
catalog_save_info(struct cw_catalog *c, struct cw_error *err)
{
	const uint64_t numbers[META_NUMBERS] = {
	    [META_GENERATION] = c->info.generation,
	    [META_EPOCH] = c->info.epoch,
	    [META_SEED_GENERATION] = c->info.seed_generation,
	    [META_ENTRIES] = c->info.entries,
	    [META_FILES] = c->info.files,
	    [META_DIRS] = c->info.dirs,
	    [META_BYTES] = c->info.bytes,
	    [META_PENDING] = c->info.pending,
	    [META_NEXT_DIR] = (uint64_t)c->next_dir,
	    [META_FLOOR] = c->info.floor,
	};

	for (int i = 0; i < META_NUMBERS; i++) {
		if (catalog_meta_put(
			c, meta_numbers[i], NULL, 0, numbers[i], err) < 0)
			return -1;
	}
	if (catalog_meta_put(c, "sum", c->sum, CW_STATE_SIZE, 0, err) < 0 ||
	    catalog_meta_put(c, "seed_id", c->info.seed_id,
		c->info.has_seed ? CW_SEED_ID_SIZE : 0, 0, err) < 0)
		return -1;
	c->info_dirty = false;
	return 0;
}

/* Looks a key up; the row stays current until the statement is reset. */
static sqlite3_stmt *
meta_get(struct cw_catalog *c, const char *key, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_META_GET, err);
	int got;

	if (st == NULL)
		return NULL;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	if ((got = sqlite3_step(st)) == SQLITE_ROW)
		return st;
	if (got == SQLITE_DONE)
		cw_error_set(err, CW_ERR_DAMAGED, "catalog %s lacks its %s",
		    c->path, key);
	else
		catalog_fail(c, "read", err);
	sqlite3_reset(st);
	return NULL;
}

/* min or max bytes, as a blob or text. */
static int
meta_bytes(struct cw_catalog *c, const char *key, int type, size_t min,
    size_t max, void *out, size_t *out_len, struct cw_error *err)
{
	sqlite3_stmt *st = meta_get(c, key, err);
	size_t len;

	if (st == NULL)
		return -1;
	len = (size_t)sqlite3_column_bytes(st, 0);
	if (sqlite3_column_type(st, 0) != type || len < min || len > max ||
	    (min != max && len != min && len != max && type == SQLITE_BLOB)) {
		sqlite3_reset(st);
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a malformed %s", c->path, key);
	}
	if (len > 0)
		memcpy(out, sqlite3_column_blob(st, 0), len);
	*out_len = len;
	sqlite3_reset(st);
	return 0;
}

static int
load_numbers(struct cw_catalog *c, struct cw_error *err)
{
	uint64_t *const into[META_NUMBERS] = {
	    [META_GENERATION] = &c->info.generation,
	    [META_EPOCH] = &c->info.epoch,
	    [META_SEED_GENERATION] = &c->info.seed_generation,
	    [META_ENTRIES] = &c->info.entries,
	    [META_FILES] = &c->info.files,
	    [META_DIRS] = &c->info.dirs,
	    [META_BYTES] = &c->info.bytes,
	    [META_PENDING] = &c->info.pending,
	    [META_NEXT_DIR] = NULL,
	    [META_FLOOR] = &c->info.floor,
	};

	for (int i = 0; i < META_NUMBERS; i++) {
		sqlite3_stmt *st;
		int64_t value;
		bool ok;

		/* Before version 2 no deletion was ever forgotten. */
		if (i == META_FLOOR && c->version < 2) {
			c->info.floor = 0;
			continue;
		}
		if ((st = meta_get(c, meta_numbers[i], err)) == NULL)
			return -1;
		value = sqlite3_column_int64(st, 0);
		ok = sqlite3_column_type(st, 0) == SQLITE_INTEGER && value >= 0;
		sqlite3_reset(st);
		if (!ok)
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "catalog %s has a malformed %s", c->path,
			    meta_numbers[i]);
		if (into[i] != NULL)
			*into[i] = (uint64_t)value;
		else
			c->next_dir = value;
	}
	return 0;
}

int
catalog_load_info(struct cw_catalog *c, struct cw_error *err)
{
	uint8_t key[CW_STATE_KEY_SIZE];
	size_t len;
	int ret = -1;

	if (load_numbers(c, err) < 0 ||
	    meta_bytes(c, "store_id", SQLITE_BLOB, CW_STORE_ID_SIZE,
		CW_STORE_ID_SIZE, c->info.store_id, &len, err) < 0 ||
	    meta_bytes(c, "sum", SQLITE_BLOB, CW_STATE_SIZE, CW_STATE_SIZE,
		c->sum, &len, err) < 0 ||
	    meta_bytes(c, "name", SQLITE_TEXT, 1, CW_STORE_NAME_MAX,
		c->info.name, &len, err) < 0)
		return -1;
	c->info.name[len] = '\0';
	if (!cw_name_is_safe(c->info.name, len) ||
	    memchr(c->info.name, '\0', len) != NULL)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a malformed name", c->path);
	if (meta_bytes(c, "seed_id", SQLITE_BLOB, 0, CW_SEED_ID_SIZE,
		c->info.seed_id, &len, err) < 0)
		return -1;
	c->info.has_seed = len != 0;
	if (c->state == NULL) {
		if (meta_bytes(c, "state_key", SQLITE_BLOB, sizeof(key),
			sizeof(key), key, &len, err) == 0) {
			c->state = cw_state_new(key);
			ret = 0;
		}
		explicit_bzero(key, sizeof(key));
	} else {
		ret = 0;
	}
	c->info_dirty = false;
	return ret;
}

int
cw_catalog_state_key(
    struct cw_catalog *c, uint8_t out[CW_STATE_KEY_SIZE], struct cw_error *err)
{
	size_t len;

	return meta_bytes(c, "state_key", SQLITE_BLOB, CW_STATE_KEY_SIZE,
	    CW_STATE_KEY_SIZE, out, &len, err);
}

int
cw_catalog_note_get(
    struct cw_catalog *c, const char *key, char **text, struct cw_error *err)
{
	char *full = cw_asprintf("note.%s", key);
	sqlite3_stmt *st = catalog_stmt(c, ST_META_GET, err);
	int got, ret = -1;

	*text = NULL;
	if (st == NULL)
		goto out;
	sqlite3_bind_text(st, 1, full, -1, SQLITE_STATIC);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW && sqlite3_column_type(st, 0) == SQLITE_TEXT) {
		*text = cw_strdup((const char *)sqlite3_column_text(st, 0));
		ret = 0;
	} else if (got == SQLITE_ROW) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a malformed note", c->path);
	} else if (got == SQLITE_DONE) {
		ret = 1;
	} else {
		catalog_fail(c, "read a note", err);
	}
	sqlite3_reset(st);
out:
	free(full);
	return ret;
}

static int
note_set(struct cw_catalog *c, const char *key, const char *text,
    struct cw_error *err)
{
	char *full = cw_asprintf("note.%s", key);
	sqlite3_stmt *st =
	    catalog_stmt(c, text == NULL ? ST_META_DROP : ST_META_PUT, err);
	int ret = -1;

	if (st != NULL) {
		sqlite3_bind_text(st, 1, full, -1, SQLITE_STATIC);
		if (text != NULL)
			sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
		ret = catalog_run(c, st, err);
	}
	free(full);
	return ret;
}

int
cw_catalog_note_set(struct cw_catalog *c, const char *key, const char *text,
    struct cw_error *err)
{
	bool mine;

	if (catalog_begin_own(c, &mine, err) < 0)
		return -1;
	return catalog_end_own(c, mine, note_set(c, key, text, err), err);
}

int
catalog_load_roots(struct cw_catalog *c, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got, ret = -1;

	c->root_count = 0;
	if (catalog_prepare(c,
		"SELECT r.id,r.name,r.format,r.capture,"
		"coalesce(e.child,0) FROM root r LEFT JOIN entry e"
		" ON e.dir=0 AND e.name=CAST(r.name AS BLOB) ORDER BY r.id",
		&st, err) < 0)
		return -1;
	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		struct cw_root *r;
		size_t lens[3];
		bool ok = c->root_count < CW_ROOTS_MAX;

		for (int i = 0; i < 3; i++) {
			const void *text = sqlite3_column_text(st, 1 + i);

			lens[i] = (size_t)sqlite3_column_bytes(st, 1 + i);
			ok = ok && text != NULL && lens[i] > 0 &&
			     lens[i] <= (i == 0 ? CW_STORE_NAME_MAX : 16u) &&
			     memchr(text, '\0', lens[i]) == NULL;
		}
		if (!ok ||
		    !cw_name_is_safe(
			(const char *)sqlite3_column_text(st, 1), lens[0])) {
			cw_error_set(err, CW_ERR_DAMAGED,
			    "catalog %s has a malformed root", c->path);
			goto out;
		}
		r = &c->roots[c->root_count++];
		*r = (struct cw_root){.id = sqlite3_column_int64(st, 0),
		    .dir = sqlite3_column_int64(st, 4)};
		memcpy(r->name, sqlite3_column_text(st, 1), lens[0]);
		memcpy(r->format, sqlite3_column_text(st, 2), lens[1]);
		memcpy(r->capture, sqlite3_column_text(st, 3), lens[2]);
	}
	if (got != SQLITE_DONE) {
		catalog_fail(c, "read the roots", err);
		goto out;
	}
	ret = 0;
out:
	sqlite3_finalize(st);
	return ret;
}

const struct cw_root *
cw_catalog_roots(struct cw_catalog *c, size_t *count)
{
	*count = c->root_count;
	return c->roots;
}

int
cw_catalog_root_put(struct cw_catalog *c, const char *name, const char *format,
    const char *capture, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	size_t len = strlen(name);
	int ret;

	if (!cw_name_is_safe(name, len) || len > CW_STORE_NAME_MAX)
		return cw_error_set(
		    err, CW_ERR_USAGE, "%s is no name for a root", name);
	if (strlen(format) - 1 >= sizeof(c->roots->format) - 1 ||
	    strlen(capture) - 1 >= sizeof(c->roots->capture) - 1)
		return cw_error_set(err, CW_ERR_USAGE,
		    "root %s: no format or capture is called %s or %s", name,
		    format, capture);
	if (c->root_count >= CW_ROOTS_MAX)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "a store has at most %u roots", CW_ROOTS_MAX);
	if (catalog_prepare(c,
		"INSERT INTO root(name,format,capture) VALUES(?1,?2,?3)"
		" ON CONFLICT(name) DO UPDATE SET format=?2,capture=?3",
		&st, err) < 0)
		return -1;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, format, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, capture, -1, SQLITE_STATIC);
	ret = catalog_run(c, st, err);
	sqlite3_finalize(st);
	if (ret < 0)
		return -1;
	return catalog_load_roots(c, err);
}
