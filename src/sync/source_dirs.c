/*
 * Comparison: the digest of every directory, and the entries of those that the
 * replica finds to differ.
 */
#include "sync/source_impl.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define DIRS_A_FRAME 2048u
#define DIRS_BYTES   (256u << 10)

struct sums {
	struct cw_sync_source *s;
	Cw__DirSum sums[DIRS_A_FRAME];
	Cw__DirSum *list[DIRS_A_FRAME];
	uint8_t digests[DIRS_A_FRAME][CW_STATE_SIZE];
	struct cw_buf paths;
	size_t starts[DIRS_A_FRAME];
	size_t count;
};

static int
add_sum(void *arg, int64_t dir, const char *path, size_t len,
    const uint8_t digest[CW_STATE_SIZE])
{
	struct sums *u = arg;

	if (u->count == DIRS_A_FRAME || u->paths.len > DIRS_BYTES)
		return 1;
	cw__dir_sum__init(&u->sums[u->count]);
	u->starts[u->count] = u->paths.len;
	u->sums[u->count].path.len = len;
	cw_buf_append(&u->paths, path, len);
	memcpy(u->digests[u->count], digest, CW_STATE_SIZE);
	u->count++;
	u->s->dirs_after = dir;
	return 0;
}

/* The next sums: 1. */
static int
send_sums(struct cw_sync_source *s, struct cw_error *err)
{
	struct sums *u = cw_calloc(1, sizeof(*u));
	Cw__Dirs m = CW__DIRS__INIT;
	int got, ret = -1;

	u->s = s;
	got = cw_catalog_each_dir(s->catalog, s->dirs_after, add_sum, u, err);
	if (got < 0)
		goto out;
	cw_buf_string(&u->paths);
	for (size_t i = 0; i < u->count; i++) {
		u->sums[i].path.data = u->paths.data + u->starts[i];
		u->sums[i].digest.data = u->digests[i];
		u->sums[i].digest.len = CW_STATE_SIZE;
		u->list[i] = &u->sums[i];
	}
	m.store = s->o.store;
	m.serial = s->serial;
	m.generation = s->dirs_generation;
	m.dirs = u->list;
	m.n_dirs = u->count;
	m.last = got == 0;
	if (m.last)
		s->in_dirs = false;
	ret = source_send(s, CW_FRAME_DIRS, &m.base, CW_PACE_LEVEL, err);
out:
	cw_buf_free(&u->paths);
	free(u);
	return ret < 0 ? -1 : 1;
}

static int
send_list(struct cw_sync_source *s, const uint8_t *path, size_t len,
    bool is_last, bool is_gone, struct cw_error *err)
{
	Cw__DirList m = CW__DIR_LIST__INIT;
	int ret;

	m.store = s->o.store;
	m.serial = s->serial;
	m.generation = s->dirs_generation;
	m.path.data = (uint8_t *)(uintptr_t)path;
	m.path.len = len;
	m.last = is_last;
	m.gone = is_gone;
	cw_rows_list(s->rows, &m);
	ret = source_send(s, CW_FRAME_DIR_LIST, &m.base, CW_PACE_LEVEL, err);
	s->state.rows += cw_rows_count(s->rows);
	cw_rows_reset(s->rows);
	return ret;
}

/* All entries of one directory. */
static int
list_dir(struct cw_sync_source *s, const uint8_t *path, size_t len,
    struct cw_error *err)
{
	struct cw_walk_query query = CW_WALK_ALL;
	struct cw_change ch = {
	    .dir_path = (const char *)path, .dir_path_len = len};
	struct cw_walk *walk = NULL;
	int got, ret = -1;

	cw_rows_reset(s->rows);
	got = cw_catalog_dir_lookup(
	    s->catalog, (const char *)path, len, &query.dir, err);
	if (got != 0)
		return got < 0 ? -1 : send_list(s, path, len, true, true, err);
	if (cw_walk_open(s->catalog, &query, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &ch.e, err)) == 1) {
		if (ch.e.kind == CW_KIND_FILE && !ch.e.has_digest)
			continue;
		ch.kind = ch.e.kind;
		if (cw_rows_is_full(s->rows) &&
		    send_list(s, path, len, false, false, err) < 0)
			goto out;
		cw_rows_add(s->rows, &ch, false, NULL);
	}
	if (got == 0)
		ret = send_list(s, path, len, true, false, err);
out:
	cw_walk_close(walk);
	return ret;
}

int
source_dirs(struct cw_sync_source *s, struct cw_error *err)
{
	size_t len;
	int ret;

	if (s->in_dirs)
		return send_sums(s, err);
	if (s->paths_at == s->paths.len)
		return 0;
	len = cw_get_le32(s->paths.data + s->paths_at);
	s->paths_at += 4;
	ret = list_dir(s, s->paths.data + s->paths_at, len, err);
	s->paths_at += len;
	if (s->paths_at == s->paths.len) {
		cw_buf_reset(&s->paths);
		s->paths_at = 0;
	}
	return ret < 0 ? -1 : 1;
}

int
source_dir_want(
    struct cw_sync_source *s, const Cw__DirWant *want, struct cw_error *err)
{
	for (size_t i = 0; i < want->n_paths; i++) {
		uint8_t len[4];

		if (s->paths.len + want->paths[i].len > PATHS_MAX)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer asks for more directories than may wait");
		cw_put_le32(len, (uint32_t)want->paths[i].len);
		cw_buf_append(&s->paths, len, sizeof(len));
		cw_buf_append(
		    &s->paths, want->paths[i].data, want->paths[i].len);
	}
	return 0;
}
