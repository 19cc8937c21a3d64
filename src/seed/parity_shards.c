/*
 * The bytes of shards.  In the normal case they grow in scratch files while
 * the members are read back to be proven, and are only copied to the medium.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/progress.h"
#include "media/set.h"
#include "seed/blocks.h"
#include "seed/parity_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of each shard that are added to at once: they stay in the cache. */
#define PIECE 262144u
/* Where members are read again: longer, since disks may turn. */
#define STRIDE	    (1u << 20)
#define STRIDES_MAX (4u << 20) /* over all shards */
/* Shards that are written in one reading of the members. */
#define BATCH 4u
#define ALIGN 4096u

static uint8_t *
new_buffer(size_t size)
{
	void *data;

	if (posix_memalign(&data, ALIGN, size) != 0)
		abort(); /* as cw_malloc does */
	return data;
}

static uint8_t **
new_buffers(uint32_t count, size_t size)
{
	uint8_t **buffers = cw_calloc(count, sizeof(*buffers));

	for (uint32_t i = 0; i < count; i++)
		buffers[i] = new_buffer(size);
	return buffers;
}

static void
free_buffers(uint8_t **buffers, uint32_t count)
{
	for (uint32_t i = 0; buffers != NULL && i < count; i++)
		free(buffers[i]);
	free(buffers);
}

/* A share of the whole, in blocks. */
static size_t
share(const struct cw_seed_parity *p, size_t whole, size_t most)
{
	size_t len = whole / p->m / CW_PARITY_COLUMN * CW_PARITY_COLUMN;

	return len > most		? most
	       : len < CW_PARITY_COLUMN ? CW_PARITY_COLUMN
					: len;
}

static size_t
piece_size(const struct cw_seed_parity *p)
{
	return share(p, 4 * PIECE, PIECE);
}

/* ---- growing ---- */

/* A file without a name: nothing is left of it by a crash. */
static int
open_scratch(int seed_dir)
{
	static const char name[] = "parity.tmp";
	int fd;

	fd = openat(seed_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	(void)unlinkat(seed_dir, name, 0);
	fd = openat(seed_dir, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(seed_dir, name, 0);
	return fd;
}

void
parity_scratch_drop(struct cw_seed_parity *p, struct parity_group *g)
{
	for (uint32_t j = 0; g->scratch != NULL && j < p->m; j++)
		cw_close(&g->scratch[j]);
	free(g->scratch);
	g->scratch = NULL;
}

static bool
make_scratch(struct cw_seed_parity *p, struct parity_group *g)
{
	if (g->scratch != NULL)
		return true;
	g->scratch = cw_calloc(p->m, sizeof(*g->scratch));
	for (uint32_t j = 0; j < p->m; j++)
		g->scratch[j] = -1;
	for (uint32_t j = 0; j < p->m; j++)
		if ((g->scratch[j] = open_scratch(p->seed_dir)) < 0)
			return false;
	return true;
}

void
parity_adding_begin(struct parity_adding *a, struct cw_seed_parity *p,
    struct parity_group *g, uint32_t row)
{
	memset(a, 0, sizeof(*a));
	a->p = p;
	a->g = g;
	a->row = row;
	a->pieces = new_buffers(p->m, piece_size(p));
}

void
parity_adding_end(struct parity_adding *a)
{
	free_buffers(a->pieces, a->p == NULL ? 0 : a->p->m);
	a->pieces = NULL;
}

/* Adds one piece; what was not written yet counts as zeros. */
static bool
add_piece(
    struct parity_adding *a, uint64_t offset, const uint8_t *data, size_t len)
{
	struct parity_group *g = a->g;

	for (uint32_t j = 0; j < a->p->m; j++) {
		size_t got;

		if (cw_pread_full(g->scratch[j], a->pieces[j], len, offset,
			&got, NULL) < 0)
			return false;
		memset(a->pieces[j] + got, 0, len - got);
	}
	cw_parity_add(a->p->code, a->row, data, len, a->pieces);
	for (uint32_t j = 0; j < a->p->m; j++)
		if (cw_pwrite_all(
			g->scratch[j], a->pieces[j], len, offset, NULL) < 0)
			return false;
	return true;
}

/* Trouble with scratch files costs reading again, and nothing else. */
void
parity_add(void *arg, uint64_t offset, const uint8_t *data, size_t len)
{
	struct parity_adding *a = arg;
	struct parity_group *g = a->g;
	size_t piece = piece_size(a->p);

	pthread_mutex_lock(&g->lock);
	a->is_touched = true;
	if (!g->is_dirty)
		g->is_dirty = !make_scratch(a->p, g);
	for (size_t at = 0; at < len && !g->is_dirty; at += piece)
		g->is_dirty = !add_piece(a, offset + at, data + at,
		    len - at < piece ? len - at : piece);
	if (g->is_dirty)
		parity_scratch_drop(a->p, g);
	pthread_mutex_unlock(&g->lock);
}

/* ---- writing ---- */

uint64_t
parity_length(const struct parity_group *g)
{
	uint64_t longest = 0;

	for (uint32_t i = 0; i < g->count; i++)
		if (g->members[i].volume.size > longest)
			longest = g->members[i].volume.size;
	return longest;
}

static int
fail(struct parity_failure *f, struct cw_target_medium *medium,
    const struct cw_error *why)
{
	f->medium = medium;
	f->why = *why;
	return -1;
}

static int
begin_shard(struct cw_seed_parity *p, struct parity_group *g, uint32_t index,
    struct cw_target_place *place, struct cw_durable **d, struct cw_error *err)
{
	char name[CW_LEDGER_NAME_MAX], temporary[CW_LEDGER_NAME_MAX + 4];

	cw_ledger_shard_name(g->number, index, name);
	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	if (cw_durable_open(place->medium->folder, name, place->size, d, err) <
	    0)
		return -1;
	cw_target_begun(p->target, place, temporary);
	return 0;
}

/* Proves a shard that is written; digests, line, and name follow. */
static int
end_shard(struct cw_seed_parity *p, struct parity_group *g, uint32_t index,
    struct cw_target_place *place, struct cw_durable *d,
    struct parity_failure *f)
{
	struct cw_error err = CW_ERROR_INIT, why;
	struct cw_durable_result result;
	struct cw_ledger_shard line = {.group = g->number,
	    .index = index,
	    .medium = place->medium->is.number};
	char name[CW_LEDGER_NAME_MAX];

	cw_ledger_shard_name(g->number, index, name);
	if (cw_durable_prove(d, NULL, NULL, &result, &err) < 0)
		return fail(f, place->medium, &err);
	line.size = result.size;
	memcpy(line.sha256, result.sha256, sizeof(line.sha256));
	memcpy(line.xxh, result.xxh, sizeof(line.xxh));
	if (cw_seed_blocks_save(p->seed_dir, name, &result, &err) < 0 ||
	    cw_ledger_add_shard(p->ledger, &line, &err) < 0)
		return fail(f, NULL, &err);
	if (cw_durable_finish(d, &result, &err) == 0) {
		cw_target_keep(p->target, place, result.size);
		place->medium = NULL;
		g->has_shard[index - 1] = true;
		return 0;
	}
	why = err;
	(void)unlinkat(place->medium->folder, name, 0);
	cw_seed_blocks_remove(p->seed_dir, name);
	if (cw_ledger_lose_shard(p->ledger, g->number, index, &err) < 0)
		return fail(f, NULL, &err);
	return fail(f, place->medium, &why);
}

/* From scratch, one after another. */
static int
copy_shard(struct cw_seed_parity *p, struct parity_group *g, uint32_t index,
    struct cw_target_place *place, uint8_t *buffer, struct parity_failure *f)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable *d = NULL;
	uint64_t length = parity_length(g), offset = 0;
	int ret;

	ret = begin_shard(p, g, index, place, &d, &err);
	while (ret == 0 && offset < length) {
		size_t got, len = STRIDE;

		if (length - offset < len)
			len = (size_t)(length - offset);
		if (cw_pread_full(g->scratch[index - 1], buffer, len, offset,
			&got, &err) < 0) {
			cw_durable_free(d);
			return fail(f, NULL, &err);
		}
		memset(buffer + got, 0, len - got);
		ret = cw_durable_write(d, buffer, len, &err);
		offset += len;
	}
	if (ret < 0)
		ret = fail(f, place->medium, &err);
	else
		ret = end_shard(p, g, index, place, d, f);
	cw_durable_free(d);
	return ret;
}

/* Members that are read again. */
struct source {
	int fd;
	struct cw_buf blocks;
};

static int
open_sources(struct cw_seed_parity *p, struct parity_group *g,
    struct source *sources, struct parity_failure *f)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct cw_ledger_volume *v = &g->members[i].volume;
		struct cw_target_medium *m = g->members[i].medium;
		struct cw_error err = CW_ERROR_INIT;
		char name[CW_LEDGER_NAME_MAX];
		struct stat st;

		cw_ledger_volume_name(v->number, name);
		sources[i].fd = cw_set_open_file(m->folder, name, 0, &st, &err);
		if (sources[i].fd < 0)
			return fail(f, m, &err);
		(void)posix_fadvise(sources[i].fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		if (cw_seed_blocks_load(p->seed_dir, m, name, v->size,
			v->sha256, &sources[i].blocks, &err) < 0) {
			f->is_member = true;
			f->row = i;
			return fail(f, m, &err);
		}
	}
	return 0;
}

/* Reads a stride of a member, each block against its digest. */
static int
read_source(const struct source *s, const struct cw_ledger_volume *v,
    uint64_t offset, uint8_t *buffer, size_t len, size_t *got,
    struct cw_error *err)
{
	uint8_t xxh[CW_XXH_SIZE];

	*got = 0;
	if (offset >= v->size)
		return 0;
	if (v->size - offset < len)
		len = (size_t)(v->size - offset);
	if (cw_pread_full(s->fd, buffer, len, offset, got, err) < 0)
		return -1;
	for (size_t at = 0; at < *got; at += CW_DURABLE_BLOCK) {
		size_t block = (size_t)((offset + at) / CW_DURABLE_BLOCK);
		size_t n =
		    *got - at < CW_DURABLE_BLOCK ? *got - at : CW_DURABLE_BLOCK;

		cw_xxh(buffer + at, n, xxh);
		if (memcmp(s->blocks.data + block * CW_XXH_SIZE, xxh,
			sizeof(xxh)) != 0)
			len = 0;
	}
	if (*got != len)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "volume %06u is not what was written any more", v->number);
	return 0;
}

/* Computes the shards once more, and writes count of them. */
static int
compute(struct cw_seed_parity *p, struct parity_group *g,
    const struct source *sources, const uint32_t *indexes, uint32_t count,
    struct cw_durable **d, const struct cw_target_place *places,
    struct parity_failure *f)
{
	size_t stride = share(p, STRIDES_MAX, STRIDE);
	uint8_t **sums = new_buffers(p->m, stride);
	uint8_t *buffer = new_buffer(stride);
	uint64_t length = parity_length(g);
	struct cw_error err = CW_ERROR_INIT;
	int ret = 0;

	for (uint64_t offset = 0; offset < length && ret == 0;
	     offset += stride) {
		size_t len = stride;

		if (length - offset < len)
			len = (size_t)(length - offset);
		if (cw_stop_check(&err) < 0)
			ret = fail(f, NULL, &err);
		for (uint32_t j = 0; j < p->m; j++)
			memset(sums[j], 0, len);
		for (uint32_t i = 0; i < g->count && ret == 0; i++) {
			size_t got;

			if (read_source(&sources[i], &g->members[i].volume,
				offset, buffer, len, &got, &err) < 0) {
				f->is_member = true;
				f->row = i;
				ret = fail(f, g->members[i].medium, &err);
			} else {
				cw_parity_add(p->code, i, buffer, got, sums);
			}
		}
		for (uint32_t i = 0; i < count && ret == 0; i++)
			if (cw_durable_write(
				d[i], sums[indexes[i] - 1], len, &err) < 0)
				ret = fail(f, places[i].medium, &err);
	}
	free_buffers(sums, p->m);
	free(buffer);
	return ret;
}

static int
compute_batch(struct cw_seed_parity *p, struct parity_group *g,
    const struct source *sources, const uint32_t *indexes, uint32_t count,
    struct cw_target_place *places, struct parity_failure *f)
{
	struct cw_durable *d[BATCH] = {NULL};
	struct cw_error err = CW_ERROR_INIT;
	int ret = 0;

	for (uint32_t i = 0; i < count && ret == 0; i++)
		if (begin_shard(p, g, indexes[i], &places[i], &d[i], &err) < 0)
			ret = fail(f, places[i].medium, &err);
	if (ret == 0)
		ret = compute(p, g, sources, indexes, count, d, places, f);
	for (uint32_t i = 0; i < count && ret == 0; i++)
		ret = end_shard(p, g, indexes[i], &places[i], d[i], f);
	for (uint32_t i = 0; i < count; i++)
		cw_durable_free(d[i]);
	return ret;
}

/* By reading the members again. */
static int
compute_shards(struct cw_seed_parity *p, struct parity_group *g,
    const uint32_t *indexes, uint32_t count, struct cw_target_place *places,
    struct parity_failure *f)
{
	struct source *sources = cw_calloc(p->k, sizeof(*sources));
	int ret;

	for (uint32_t i = 0; i < p->k; i++)
		sources[i].fd = -1;
	ret = open_sources(p, g, sources, f);
	for (uint32_t at = 0; at < count && ret == 0; at += BATCH)
		ret = compute_batch(p, g, sources, indexes + at,
		    count - at < BATCH ? count - at : BATCH, places + at, f);
	for (uint32_t i = 0; i < p->k; i++) {
		cw_close(&sources[i].fd);
		cw_buf_free(&sources[i].blocks);
	}
	free(sources);
	return ret;
}

int
parity_write_shards(struct cw_seed_parity *p, struct parity_group *g,
    const uint32_t *indexes, uint32_t count, struct cw_target_place *places,
    struct parity_failure *f)
{
	uint8_t *buffer;
	int ret = 0;

	memset(f, 0, sizeof(*f));
	if (g->is_dirty || g->scratch == NULL) {
		ret = compute_shards(p, g, indexes, count, places, f);
	} else {
		buffer = new_buffer(STRIDE);
		for (uint32_t i = 0; i < count && ret == 0; i++)
			ret =
			    copy_shard(p, g, indexes[i], &places[i], buffer, f);
		free(buffer);
	}
	/* Those that were not written give their room back. */
	for (uint32_t i = 0; i < count; i++)
		if (places[i].medium != NULL)
			cw_target_release(p->target, &places[i], NULL);
	return ret;
}
