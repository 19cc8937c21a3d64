/*
 * What each directory said when this scan looked at it last, for the passes
 * that look again.  Until somebody asks it is not written: mostly nobody does.
 */
#include "store/scan_impl.h"

#include <stdlib.h>

#define LOOKS_MAX 16384u

int
scan_look_last(struct scan *s, int64_t dir, int64_t *mtime_ns,
    int64_t *ctime_ns, bool *stable, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_LOOK_GET, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW) {
		*mtime_ns = sqlite3_column_int64(st, 0);
		*ctime_ns = sqlite3_column_int64(st, 1);
		*stable = sqlite3_column_int(st, 2) != 0;
	}
	sqlite3_reset(st);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return catalog_fail(s->c, "recall a directory", err);
	return got == SQLITE_ROW ? 0 : 1;
}

int
scan_look_keep(struct scan *s, struct cw_error *err)
{
	sqlite3_stmt *st;
	int ret = 0;

	if (s->look_count == 0)
		return 0;
	if ((st = scan_stmt(s, SC_LOOK_PUT, err)) == NULL)
		return -1;
	for (size_t i = 0; i < s->look_count && ret == 0; i++) {
		const struct scan_look *k = &s->looks[i];

		sqlite3_bind_int64(st, 1, k->dir);
		sqlite3_bind_int64(st, 2, k->mtime_ns);
		sqlite3_bind_int64(st, 3, k->ctime_ns);
		sqlite3_bind_int(st, 4, k->stable);
		ret = catalog_run(s->c, st, err);
	}
	s->look_count = 0;
	return ret;
}

int
scan_look_note(struct scan *s, const struct list_batch *b, struct cw_error *err)
{
	if (s->look_count == LOOKS_MAX && scan_look_keep(s, err) < 0)
		return -1;
	if (s->looks == NULL)
		s->looks = cw_calloc(LOOKS_MAX, sizeof(*s->looks));
	s->looks[s->look_count++] = (struct scan_look){
	    b->job->dir, b->mtime_ns, b->ctime_ns, b->stable};
	return 0;
}
