/*
 * How SQLite goes about the statements that a catalog runs: taken from the
 * program as it runs them, so that a test holds for what is really asked.
 */
#ifndef TESTS_UNIT_PLANS_H
#define TESTS_UNIT_PLANS_H

#include "tests/unit/trees.h"

#include "store/catalog_impl.h"

static struct cw_buf plans_sql = CW_BUF_INIT; /* statements, NUL behind each */

static inline int
plans_note(unsigned what, void *arg, void *statement, void *text)
{
	const char *sql = sqlite3_sql(statement);

	(void)what;
	(void)arg;
	(void)text;
	cw_buf_append(&plans_sql, sql, strlen(sql) + 1);
	return 0;
}

/* From here on statements are noted. */
static inline void
plans_begin(struct cw_catalog *c)
{
	cw_buf_reset(&plans_sql);
	sqlite3_trace_v2(c->db, SQLITE_TRACE_STMT, plans_note, NULL);
}

/*
 * The plans of the statements with this text in them, a line for each step: a
 * statement that sorts, or goes over a whole table, has a line that says so.
 */
static inline const char *
plans_end(struct cw_catalog *c, const char *with)
{
	static struct cw_buf lines = CW_BUF_INIT;
	const char *end;

	sqlite3_trace_v2(c->db, 0, NULL, NULL);
	cw_buf_reset(&lines);
	cw_buf_string(&plans_sql);
	end = (const char *)plans_sql.data + plans_sql.len;
	for (const char *sql = (const char *)plans_sql.data; sql < end;
	     sql += strlen(sql) + 1) {
		char *explain;
		sqlite3_stmt *st;

		if (strstr(sql, with) == NULL)
			continue;
		explain = cw_asprintf("EXPLAIN QUERY PLAN %s", sql);
		ck_assert_int_eq(
		    sqlite3_prepare_v2(c->db, explain, -1, &st, NULL),
		    SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW)
			cw_buf_printf(&lines, "%s\n",
			    (const char *)sqlite3_column_text(st, 3));
		sqlite3_finalize(st);
		free(explain);
	}
	return cw_buf_string(&lines);
}

#endif
