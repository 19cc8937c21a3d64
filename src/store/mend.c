/*
 * Sums that no longer say what the rows say: somebody, or a disk, changed rows
 * behind our back, and every later change only added to and subtracted from
 * what was wrong.  The rows are what counts.
 */
#include "store/catalog_impl.h"

#include "base/progress.h"

#include <stdlib.h>
#include <string.h>

struct wrong {
	int64_t dir;
	uint8_t sum[CW_STATE_SIZE];
};

struct mending {
	struct cw_catalog *c;
	struct cw_catalog_info seen; /* counts only */
	uint8_t sum[CW_STATE_SIZE];
	uint8_t dir_sum[CW_STATE_SIZE];
	int64_t dir; /* whose entries come, or -1 */
	const char *path;
	size_t path_len;
	struct wrong *list;
	size_t count, cap;
};

static void
note_wrong(struct mending *m, int64_t dir, const uint8_t sum[CW_STATE_SIZE])
{
	if (m->count == m->cap) {
		m->cap = m->cap == 0 ? 16 : m->cap * 2;
		m->list = cw_reallocarray(m->list, m->cap, sizeof(*m->list));
	}
	m->list[m->count].dir = dir;
	memcpy(m->list[m->count++].sum, sum, CW_STATE_SIZE);
}

/* The entries of a directory end here. */
static int
end_dir(struct mending *m, struct cw_error *err)
{
	uint8_t stored[CW_STATE_SIZE];

	if (m->dir < 0)
		return 0;
	if (cw_state_dir_digest(m->c, m->dir, stored, err) < 0)
		return -1;
	if (memcmp(stored, m->dir_sum, CW_STATE_SIZE) != 0)
		note_wrong(m, m->dir, m->dir_sum);
	cw_state_add(m->sum, m->dir_sum);
	return 0;
}

static int
add_entry(struct mending *m, const struct cw_entry *e, struct cw_error *err)
{
	uint8_t mac[CW_STATE_SIZE];

	if (e->dir != m->dir) {
		if (end_dir(m, err) < 0 || cw_catalog_dir_path(m->c, e->dir,
					       &m->path, &m->path_len, err) < 0)
			return -1;
		m->dir = e->dir;
		memset(m->dir_sum, 0, sizeof(m->dir_sum));
	}
	m->seen.entries++;
	m->seen.dirs += e->kind == CW_KIND_DIR;
	m->seen.files += e->kind == CW_KIND_FILE;
	m->seen.bytes += e->size;
	if (e->kind == CW_KIND_FILE && !e->has_digest) {
		m->seen.pending++;
		return 0;
	}
	cw_state_mac(m->c->state, m->path, m->path_len, e, mac);
	cw_state_add(m->dir_sum, mac);
	return 0;
}

static int
add_entries(struct mending *m, struct cw_error *err)
{
	const struct cw_walk_query all = CW_WALK_ALL;
	struct cw_walk *w;
	struct cw_entry e;
	int got;

	if (cw_walk_open(m->c, &all, &w, err) < 0)
		return -1;
	while ((got = cw_walk_next(w, &e, err)) == 1) {
		if (((m->seen.entries & 1023) == 0 && cw_stop_check(err) < 0) ||
		    add_entry(m, &e, err) < 0)
			break;
	}
	cw_walk_close(w);
	return got == 0 ? end_dir(m, err) : -1;
}

static int
add_empty_dirs(struct mending *m, struct cw_error *err)
{
	static const uint8_t none[CW_STATE_SIZE];
	sqlite3_stmt *st = NULL;
	int got;

	if (catalog_prepare(m->c,
		"SELECT id FROM dir d WHERE sum<>zeroblob(32) AND NOT EXISTS"
		"(SELECT 1 FROM entry WHERE dir=d.id)",
		&st, err) < 0)
		return -1;
	while ((got = sqlite3_step(st)) == SQLITE_ROW)
		note_wrong(m, sqlite3_column_int64(st, 0), none);
	sqlite3_finalize(st);
	return got == SQLITE_DONE
		   ? 0
		   : catalog_fail(m->c, "read the directories", err);
}

static int
store(struct mending *m, struct cw_error *err)
{
	struct cw_catalog_info *info = &m->c->info;

	for (size_t i = 0; i < m->count; i++) {
		sqlite3_stmt *st = catalog_stmt(m->c, ST_DIR_SUM, err);

		if (st == NULL)
			return -1;
		sqlite3_bind_int64(st, 1, m->list[i].dir);
		bind_bytes(st, 2, m->list[i].sum, CW_STATE_SIZE);
		if (catalog_run(m->c, st, err) < 0)
			return -1;
	}
	memcpy(m->c->sum, m->sum, CW_STATE_SIZE);
	info->entries = m->seen.entries;
	info->dirs = m->seen.dirs;
	info->files = m->seen.files;
	info->bytes = m->seen.bytes;
	info->pending = m->seen.pending;
	m->c->info_dirty = true;
	return 0;
}

int
cw_state_mend(struct cw_catalog *c, bool *was_wrong, struct cw_error *err)
{
	struct mending m = {.c = c, .dir = -1};
	int ret = -1;

	if (cw_catalog_begin(c, err) < 0)
		return -1;
	if (add_entries(&m, err) < 0 || add_empty_dirs(&m, err) < 0)
		goto out;
	*was_wrong = m.count > 0 || memcmp(m.sum, c->sum, CW_STATE_SIZE) != 0;
	ret = store(&m, err);
out:
	free(m.list);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	return ret;
}
