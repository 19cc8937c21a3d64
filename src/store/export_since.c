/*
 * The catalog of an increment.  What is asked of ours goes by indexes: it
 * costs what changed since the base.
 */
#include "base/bytes.h"
#include "store/catalog_impl.h"
#include "store/increment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_SINCE   "increment.since"
#define NOTE_DIGEST  "increment.digest"
#define NOTE_ENTRIES "increment.entries"
#define NOTE_BYTES   "increment.bytes"

/* %s is the base.  A file that was never read says nothing yet. */
static const char copy_sql[] =
    "BEGIN;"
    "CREATE TEMP TABLE need(id INTEGER PRIMARY KEY);"
    "INSERT OR REPLACE INTO main.meta SELECT * FROM ours.meta"
    " WHERE key NOT LIKE 'note.%%';"
    "UPDATE main.meta SET value=%s WHERE key='floor';"
    "INSERT INTO main.root SELECT * FROM ours.root;"
    "INSERT INTO main.owner SELECT * FROM ours.owner;"
    "INSERT INTO main.entry SELECT dir,name,kind,class,mode,user,grp,mtime_ns,"
    "0,size,0,linkgroup,digest,target,attrs,sparse,gen,"
    "CASE kind WHEN 'f' THEN volume ELSE 4294967295 END,child"
    " FROM ours.entry INDEXED BY entry_gen WHERE gen>%s AND gen>1"
    " AND (kind<>'f' OR digest IS NOT NULL) ORDER BY dir,name;"
    "INSERT INTO main.tombstone SELECT * FROM ours.tombstone WHERE gen>%s;"
    /* Directories that are touched, or in which something is. */
    "INSERT OR IGNORE INTO need SELECT dir FROM main.entry;"
    "INSERT OR IGNORE INTO need SELECT child FROM main.entry"
    " WHERE child IS NOT NULL;"
    "INSERT OR IGNORE INTO need SELECT dir FROM main.tombstone;"
    "INSERT OR IGNORE INTO need VALUES(0);"
    "INSERT OR IGNORE INTO need WITH RECURSIVE up(id) AS"
    " (SELECT id FROM need UNION SELECT d.parent FROM up JOIN ours.dir d"
    " ON d.id=up.id WHERE d.parent>=0) SELECT id FROM up;"
    "INSERT INTO main.dir SELECT d.id,d.parent,d.name,zeroblob(32),0,0"
    " FROM need n JOIN ours.dir d ON d.id=n.id ORDER BY d.id;"
    "INSERT OR IGNORE INTO main.entry SELECT e.dir,e.name,e.kind,e.class,"
    "e.mode,e.user,e.grp,e.mtime_ns,0,e.size,0,e.linkgroup,e.digest,e.target,"
    "e.attrs,e.sparse,e.gen,4294967295,e.child"
    " FROM main.dir d CROSS JOIN ours.entry e ON e.dir=d.parent"
    " AND e.name=d.name WHERE d.id<>0;"
    "INSERT INTO main.attrs SELECT * FROM ours.attrs WHERE id IN"
    " (SELECT attrs FROM main.entry WHERE attrs IS NOT NULL);"
    "INSERT INTO main.part SELECT p.* FROM main.entry e CROSS JOIN ours.part p"
    " ON p.dir=e.dir AND p.name=e.name;"
    "INSERT INTO main.superseded SELECT * FROM ours.superseded"
    " WHERE volume<>4294967295;"
    "DROP TABLE temp.need;"
    "COMMIT;";

static int
set_number(
    struct cw_catalog *c, const char *key, uint64_t value, struct cw_error *err)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cw_catalog_note_set(c, key, text, err);
}

static int
complete(void *arg, struct cw_catalog *copy, struct cw_error *err)
{
	const struct cw_increment *is = arg;
	char hex[2 * CW_STATE_SIZE + 1] = "-";
	bool was_wrong;

	if (catalog_exec(copy, "DETACH ours", err) < 0)
		return -1;
	copy->writable = true;
	if (catalog_load_all(copy, err) < 0 ||
	    cw_state_mend(copy, &was_wrong, err) < 0)
		return -1;
	if (is->has_digest)
		cw_hex_encode(is->digest, CW_STATE_SIZE, hex);
	return set_number(copy, NOTE_SINCE, is->since, err) < 0 ||
		       cw_catalog_note_set(copy, NOTE_DIGEST, hex, err) < 0 ||
		       set_number(copy, NOTE_ENTRIES, is->entries, err) < 0 ||
		       set_number(copy, NOTE_BYTES, is->bytes, err) < 0
		   ? -1
		   : 0;
}

int
cw_catalog_check_since(
    struct cw_catalog *c, uint64_t since, struct cw_error *err)
{
	if (since == 0 || since > c->info.generation)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is at generation %" PRIu64
		    ", and generation %" PRIu64 " has not been: see `causeway "
		    "status` at the site that is to have the increment",
		    c->info.name, c->info.generation, since);
	if (since < c->info.floor)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s knows what was deleted after generation %" PRIu64
		    " only: an increment on generation %" PRIu64
		    " cannot be made; take a later one (--since), a full seed, "
		    "or `causeway sync`",
		    c->info.name, c->info.floor, since);
	return 0;
}

int
cw_catalog_export_since(
    struct cw_catalog *c, uint64_t since, const char *to, struct cw_error *err)
{
	struct cw_increment is = {.since = since};
	char number[24];
	char *sql;
	int ret = -1;

	if (cw_catalog_check_since(c, since, err) < 0 ||
	    cw_state_digest(c, is.digest, &is.has_digest, err) < 0)
		return -1;
	is.entries = c->info.entries;
	is.bytes = c->info.bytes;
	(void)snprintf(number, sizeof(number), "%" PRIu64, since);
	sql = cw_asprintf(copy_sql, number, number, number);
	ret = export_copy(c, to, sql, complete, &is, err);
	free(sql);
	return ret;
}

/* A note that is a number; 1 if there is none. */
static int
get_number(
    struct cw_catalog *c, const char *key, uint64_t *out, struct cw_error *err)
{
	char *text = NULL;
	int ret = cw_catalog_note_get(c, key, &text, err);

	if (ret == 0 && !cw_decimal_parse(text, strlen(text), INT64_MAX, out))
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a malformed note %s", c->path, key);
	free(text);
	return ret;
}

int
cw_catalog_increment(
    struct cw_catalog *c, struct cw_increment *out, struct cw_error *err)
{
	struct cw_increment is = {0};
	char *text = NULL;
	int ret = get_number(c, NOTE_SINCE, &is.since, err);

	if (ret != 0)
		return ret;
	if (get_number(c, NOTE_ENTRIES, &is.entries, err) != 0 ||
	    get_number(c, NOTE_BYTES, &is.bytes, err) != 0 ||
	    cw_catalog_note_get(c, NOTE_DIGEST, &text, err) != 0)
		goto bad;
	is.has_digest = strcmp(text, "-") != 0;
	if (is.since == 0 || is.since > c->info.generation ||
	    is.since != c->info.floor ||
	    (is.has_digest &&
		!cw_hex_decode(text, strlen(text), is.digest, CW_STATE_SIZE)))
		goto bad;
	free(text);
	*out = is;
	return 0;
bad:
	free(text);
	if (err == NULL || err->code == CW_OK)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has malformed notes of an increment", c->path);
	return -1;
}
