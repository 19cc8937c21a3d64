/*
 * Owners: append-only in the database and in memory, but for a rollback.
 */
#include "store/catalog_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static size_t
owner_slot(const struct cw_catalog *c, char kind, uint32_t number)
{
	uint64_t mix = ((uint64_t)number << 1 | (kind == 'g')) *
		       UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(mix >> 32) & (c->owner_hash_size - 1);

	while (c->owner_hash[at] != NULL &&
	       (c->owner_hash[at]->kind != kind ||
		   c->owner_hash[at]->number != number))
		at = (at + 1) & (c->owner_hash_size - 1);
	return at;
}

static void
rehash_owners(struct cw_catalog *c, size_t size)
{
	free(c->owner_hash);
	c->owner_hash_size = size;
	c->owner_hash = cw_calloc(size, sizeof(struct owner *));
	for (size_t i = 0; i < c->owner_count; i++)
		c->owner_hash[owner_slot(c, c->owners[i]->kind,
		    c->owners[i]->number)] = c->owners[i];
}

static struct owner *
remember_owner(struct cw_catalog *c, char kind, uint32_t number,
    const char *name, size_t len)
{
	struct owner *o = cw_malloc(sizeof(*o) + len + 1);

	*o = (struct owner){.older = c->all_owners,
	    .id = (int64_t)c->owner_count + 1,
	    .kind = kind,
	    .number = number};
	memcpy(o->name, name, len);
	o->name[len] = '\0';
	c->all_owners = o;
	if (c->owner_count == c->owner_cap) {
		c->owner_cap = c->owner_cap == 0 ? 64 : c->owner_cap * 2;
		c->owners = cw_reallocarray(
		    c->owners, c->owner_cap, sizeof(struct owner *));
	}
	c->owners[c->owner_count++] = o;
	if (c->owner_count * 2 > c->owner_hash_size)
		rehash_owners(
		    c, c->owner_hash_size == 0 ? 128 : c->owner_hash_size * 2);
	else
		c->owner_hash[owner_slot(c, kind, number)] = o;
	return o;
}

int
catalog_load_owners(struct cw_catalog *c, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int got, ret = -1;

	if (catalog_prepare(c,
		"SELECT id,kind,number,name FROM owner WHERE id>?1 ORDER BY id",
		&st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)c->owner_count);
	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		const char *kind = (const char *)sqlite3_column_text(st, 1);
		const char *name = (const char *)sqlite3_column_text(st, 3);
		int64_t number = sqlite3_column_int64(st, 2);
		int len = sqlite3_column_bytes(st, 3);

		if (sqlite3_column_int64(st, 0) !=
			(int64_t)c->owner_count + 1 ||
		    c->owner_count >= OWNERS_MAX || kind == NULL ||
		    (strcmp(kind, "u") != 0 && strcmp(kind, "g") != 0) ||
		    sqlite3_column_type(st, 2) != SQLITE_INTEGER ||
		    number < 0 || number > UINT32_MAX || name == NULL ||
		    len > (int)CW_MEMBER_NAME_MAX ||
		    memchr(name, '\0', (size_t)len) != NULL) {
			cw_error_set(err, CW_ERR_DAMAGED,
			    "catalog %s has a malformed owner", c->path);
			goto out;
		}
		remember_owner(c, kind[0], (uint32_t)number, name, (size_t)len);
	}
	if (got != SQLITE_DONE) {
		catalog_fail(c, "read the owners", err);
		goto out;
	}
	ret = 0;
out:
	sqlite3_finalize(st);
	return ret;
}

/* After a rollback: what was new is gone from the database. */
void
catalog_forget_owners(struct cw_catalog *c)
{
	if (c->owner_count == c->owners_committed)
		return;
	c->owner_count = c->owners_committed;
	rehash_owners(c, c->owner_hash_size);
}

const struct owner *
catalog_owner(struct cw_catalog *c, int64_t id, char kind, struct cw_error *err)
{
	/* Another connection may have met new ones. */
	if (id > (int64_t)c->owner_count && catalog_load_owners(c, err) < 0)
		return NULL;
	if (id >= 1 && id <= (int64_t)c->owner_count &&
	    c->owners[id - 1]->kind == kind)
		return c->owners[id - 1];
	cw_error_set(err, CW_ERR_DAMAGED,
	    "catalog %s has an entry of owner %" PRId64 ", which it lacks",
	    c->path, id);
	return NULL;
}

int
catalog_owner_id(struct cw_catalog *c, char kind, uint32_t number,
    const char *name, int64_t *id, struct cw_error *err)
{
	char kind_text[2] = {kind, '\0'};
	sqlite3_stmt *st;
	size_t len;
	int got;

	if (name == NULL)
		name = "";
	if (c->owner_hash_size > 0) {
		const struct owner *o =
		    c->owner_hash[owner_slot(c, kind, number)];

		if (o != NULL && strcmp(o->name, name) == 0) {
			*id = o->id;
			return 0;
		}
	}
	if ((st = catalog_stmt(c, ST_OWNER_FIND, err)) == NULL)
		return -1;
	sqlite3_bind_text(st, 1, kind_text, 1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, number);
	sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW)
		*id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (got == SQLITE_ROW)
		return 0;
	if (got != SQLITE_DONE)
		return catalog_fail(c, "read the owners", err);

	len = strlen(name);
	if (len > CW_MEMBER_NAME_MAX || c->owner_count >= OWNERS_MAX)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "%s %" PRIu32 ": too long a name or too many owners",
		    kind == 'u' ? "user" : "group", number);
	if ((st = catalog_stmt(c, ST_OWNER_INSERT, err)) == NULL)
		return -1;
	*id = (int64_t)c->owner_count + 1;
	sqlite3_bind_int64(st, 1, *id);
	sqlite3_bind_text(st, 2, kind_text, 1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, number);
	sqlite3_bind_text(st, 4, name, (int)len, SQLITE_STATIC);
	if (catalog_run(c, st, err) < 0)
		return -1;
	remember_owner(c, kind, number, name, len);
	return 0;
}
