/*
 * Sums that no longer say what the rows say: somebody, or a disk, changed rows
 * behind our back, and every later change only added to and subtracted from
 * what was wrong.  The rows are what counts.
 */
#include "store/recount.h"

#include <stdlib.h>
#include <string.h>

struct wrong {
	int64_t dir;
	uint8_t sum[CW_STATE_SIZE];
};

struct mending {
	struct recount count;
	struct wrong *list;
	size_t wrong, cap;
};

static void
note_wrong(struct mending *m, int64_t dir, const uint8_t sum[CW_STATE_SIZE])
{
	if (m->wrong == m->cap) {
		m->cap = m->cap == 0 ? 16 : m->cap * 2;
		m->list = cw_reallocarray(m->list, m->cap, sizeof(*m->list));
	}
	m->list[m->wrong].dir = dir;
	memcpy(m->list[m->wrong++].sum, sum, CW_STATE_SIZE);
}

static int
differs(struct recount *r, struct cw_error *err)
{
	(void)err;
	note_wrong(r->arg, r->dir, r->dir_sum);
	return 0;
}

static int
add_empty_dirs(struct mending *m, struct cw_error *err)
{
	static const uint8_t none[CW_STATE_SIZE];
	sqlite3_stmt *st = NULL;
	int got;

	if (catalog_prepare(m->count.c,
		"SELECT id FROM dir d WHERE sum<>zeroblob(32) AND NOT EXISTS"
		"(SELECT 1 FROM entry WHERE dir=d.id)",
		&st, err) < 0)
		return -1;
	while ((got = sqlite3_step(st)) == SQLITE_ROW)
		note_wrong(m, sqlite3_column_int64(st, 0), none);
	sqlite3_finalize(st);
	return got == SQLITE_DONE
		   ? 0
		   : catalog_fail(m->count.c, "read the directories", err);
}

static int
store(struct mending *m, struct cw_error *err)
{
	struct cw_catalog_info *info = &m->count.c->info;

	for (size_t i = 0; i < m->wrong; i++) {
		sqlite3_stmt *st = catalog_stmt(m->count.c, ST_DIR_SUM, err);

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, m->list[i].dir);
		bind_bytes(st, 2, m->list[i].sum, CW_STATE_SIZE);
		if (catalog_run(m->count.c, st, err) < 0)
			return -1;
	}
	memcpy(m->count.c->sum, m->count.sum, CW_STATE_SIZE);
	info->entries = m->count.seen.entries;
	info->dirs = m->count.seen.dirs;
	info->files = m->count.seen.files;
	info->bytes = m->count.seen.bytes;
	info->pending = m->count.seen.pending;
	m->count.c->info_dirty = true;
	return 0;
}

int
cw_state_mend(struct cw_catalog *c, bool *was_wrong, struct cw_error *err)
{
	struct mending m = {.count = {.c = c, .differs = differs, .arg = &m}};
	int ret = -1;

	if (cw_catalog_begin(c, err) < 0)
		return -1;
	if (recount_rows(&m.count, err) < 0 || add_empty_dirs(&m, err) < 0)
		goto out;
	*was_wrong =
	    m.wrong > 0 || memcmp(m.count.sum, c->sum, CW_STATE_SIZE) != 0;
	ret = store(&m, err);
out:
	free(m.list);
	return catalog_end_own(c, true, ret, err);
}
