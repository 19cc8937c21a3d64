/*
 * What an increment's volumes need not hold.  All statements go by the index
 * of generations: they cost what changed, not what the store holds.
 */
#include "store/increment.h"

#include "store/catalog_impl.h"
#include "store/contents.h"

#define NONE	"4294967295" /* CW_VOLUME_NONE */
#define CHANGED "entry INDEXED BY entry_gen"
#define SINCE	"gen>?1 AND gen>1"

#define SAME                                                                   \
	"SELECT 1 FROM entry o INDEXED BY entry_digest"                        \
	" WHERE o.digest IS NOT NULL AND o.digest=entry.digest"

/*
 * The replica has it: a file of this content was not touched after the base,
 * or had been there at the base when it went.  Or a member brings it.
 */
#define IS_KNOWN                                                               \
	"(digest IS NOT NULL AND (EXISTS(" SAME                                \
	" AND (o.gen<=?1 OR (o.volume IS NOT NULL AND o.volume<>" NONE         \
	"))) OR EXISTS(SELECT 1 FROM gone g WHERE g.digest=entry.digest"       \
	" AND g.gen>?1 AND g.came<=?1)))"

/* Will be brought: of those that wait the first one is packed. */
#define IS_SECOND                                                              \
	"(digest IS NOT NULL AND EXISTS(" SAME                                 \
	" AND o.volume IS NULL AND (o.dir,o.name)<(entry.dir,entry.name)))"

static int
run(struct cw_catalog *c, const char *sql, uint64_t since, uint64_t *changed,
    struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret;

	if (catalog_prepare(c, sql, &st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)since);
	ret = catalog_run(c, st, err);
	if (ret == 0 && changed != NULL)
		*changed = (uint64_t)sqlite3_changes64(c->db);
	sqlite3_finalize(st);
	return ret;
}

int
cw_catalog_spare_check(
    struct cw_catalog *c, uint64_t since, uint64_t *again, struct cw_error *err)
{
	bool mine;
	int ret;

	*again = 0;
	if (cw_catalog_index_contents(c, err) < 0 ||
	    catalog_begin_own(c, &mine, err) < 0)
		return -1;
	ret = run(c,
	    "UPDATE " CHANGED " SET volume=NULL WHERE " SINCE
	    " AND volume=" NONE " AND kind='f' AND NOT " IS_KNOWN,
	    since, again, err);
	return catalog_end_own(c, mine, ret, err);
}

int
cw_catalog_spare(struct cw_catalog *c, uint64_t since, struct cw_error *err)
{
	uint64_t again;
	bool mine;
	int ret;

	if (cw_catalog_index_contents(c, err) < 0 ||
	    catalog_begin_own(c, &mine, err) < 0)
		return -1;
	ret = cw_catalog_spare_check(c, since, &again, err);
	if (ret == 0)
		ret = run(c,
		    "UPDATE " CHANGED " SET volume=" NONE " WHERE " SINCE
		    " AND volume IS NULL AND (kind<>'f' OR " IS_KNOWN
		    " OR " IS_SECOND ")",
		    since, NULL, err);
	return catalog_end_own(c, mine, ret, err);
}

/* A statement that gives one row of two numbers. */
static int
two_numbers(struct cw_catalog *c, const char *sql, uint64_t since,
    uint64_t *first, uint64_t *second, struct cw_error *err)
{
	sqlite3_stmt *st = NULL;
	int ret = 0;

	if (catalog_prepare(c, sql, &st, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)since);
	if (sqlite3_step(st) == SQLITE_ROW) {
		*first = (uint64_t)sqlite3_column_int64(st, 0);
		*second = (uint64_t)sqlite3_column_int64(st, 1);
	} else {
		ret = catalog_fail(c, "count what changed", err);
	}
	sqlite3_finalize(st);
	return ret;
}

int
cw_catalog_unpacked_since(struct cw_catalog *c, uint64_t since,
    uint64_t *entries, uint64_t *bytes, struct cw_error *err)
{
	return two_numbers(c,
	    "SELECT count(*),coalesce(sum(size),0) FROM " CHANGED
	    " WHERE " SINCE " AND volume IS NULL",
	    since, entries, bytes, err);
}

int
cw_catalog_changed_since(struct cw_catalog *c, uint64_t since,
    uint64_t *entries, uint64_t *removals, struct cw_error *err)
{
	return two_numbers(c,
	    "SELECT (SELECT count(*) FROM " CHANGED " WHERE " SINCE
	    "),(SELECT count(*) FROM tombstone WHERE gen>?1)",
	    since, entries, removals, err);
}
