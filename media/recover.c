#include "media/recover_impl.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
compare_known(const void *left, const void *right)
{
	const struct cw_recover_known *a = left, *b = right;

	return strcmp(a->file->name, b->file->name);
}

struct cw_recover_known *
cw_recover_find(const struct cw_recover *r, const char *name)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, r->known[middle].file->name);

		if (order == 0)
			return &r->known[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static void
list_known(struct cw_recover *r)
{
	const struct cw_manifest *m = &r->set->manifest;

	r->known = cw_calloc(m->file_count + 1, sizeof(*r->known));
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];
		const struct cw_set_medium *on;

		if (!cw_blocks_has_file(f->name))
			continue;
		on = cw_set_holder(r->set, f);
		r->known[r->count++] = (struct cw_recover_known){.file = f,
		    .medium =
			on == NULL ? SIZE_MAX : (size_t)(on - r->set->media),
		    .is_bad = on == NULL};
	}
	qsort(r->known, r->count, sizeof(*r->known), compare_known);
}

int
cw_recover_new(
    const struct cw_set *set, struct cw_recover **out, struct cw_error *err)
{
	const struct cw_manifest *m = &set->manifest;
	struct cw_recover *r = cw_calloc(1, sizeof(*r));

	*out = NULL;
	r->set = set;
	pthread_mutex_init(&r->lock, NULL);
	list_known(r);
	r->blocks = cw_calloc(set->count, sizeof(struct cw_blocks *));
	for (size_t i = 0; i < set->count; i++)
		if (cw_blocks_open(set, i, &r->blocks[i], err) < 0)
			goto fail;
	if (m->parity_k > 0 &&
	    cw_parity_new(m->parity_k, m->parity_m, &r->parity, err) < 0)
		goto fail;
	*out = r;
	return 0;
fail:
	cw_recover_free(r);
	return -1;
}

void
cw_recover_free(struct cw_recover *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		free(r->known[i].bad);
	for (size_t i = 0; i < r->set->count; i++)
		cw_blocks_free(r->blocks[i]);
	cw_parity_free(r->parity);
	pthread_mutex_destroy(&r->lock);
	free(r->blocks);
	free(r->known);
	free(r);
}

void
cw_recover_progress(struct cw_recover *r, struct cw_progress *progress)
{
	r->progress = progress;
}

bool
cw_recover_is_bad(const struct cw_recover_known *k, uint64_t block)
{
	return k->is_bad ||
	       (k->bad != NULL && (k->bad[block / 8] >> (block % 8) & 1) != 0);
}

/* The lock is held. */
static void
note_range(struct cw_recover_known *k, uint64_t first, uint64_t end)
{
	uint64_t count = cw_blocks_count(k->file->size);

	if (k->bad == NULL)
		k->bad = cw_calloc(1, (size_t)(count / 8 + 1));
	for (uint64_t i = first; i < end && i < count; i++)
		k->bad[i / 8] |= (uint8_t)(1u << (i % 8));
}

void
cw_recover_note(
    struct cw_recover *r, struct cw_recover_known *k, uint64_t block)
{
	pthread_mutex_lock(&r->lock);
	note_range(k, block, block + 1);
	pthread_mutex_unlock(&r->lock);
}

void
cw_recover_bad(struct cw_recover *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length)
{
	struct cw_recover_known *k = cw_recover_find(r, file);
	uint64_t size;

	if (k == NULL || length == 0 || k->file->medium != medium)
		return;
	size = k->file->size;
	pthread_mutex_lock(&r->lock);
	if (offset == 0 && length >= size)
		k->is_bad = true;
	else if (offset < size)
		note_range(k, offset / CW_PARITY_COLUMN,
		    cw_blocks_count(
			length < size - offset ? offset + length : size));
	pthread_mutex_unlock(&r->lock);
}

/* The number in front of a volume's name; 0 if it is not one of ours. */
static uint32_t
volume_number(const char *name)
{
	char again[CW_MANIFEST_NAME_MAX + 1];
	unsigned long number = strtoul(name, NULL, 10);

	if (number == 0 || number > CW_MANIFEST_FILES_MAX)
		return 0;
	(void)snprintf(again, sizeof(again), "%06lu" CW_SET_VOLUME, number);
	return strcmp(name, again) == 0 ? (uint32_t)number : 0;
}

static const struct cw_manifest_group *
find_group(const struct cw_manifest *m, uint32_t number)
{
	size_t low = 0, high = m->group_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->groups[middle].number == number)
			return &m->groups[middle];
		if (m->groups[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void
put_row(const struct cw_recover *r, struct cw_recover_group *g, uint32_t row,
    const char *name)
{
	g->known[row] = cw_recover_find(r, name);
	g->is_lost[row] = g->known[row] == NULL;
	if (g->known[row] != NULL && g->known[row]->file->size > g->length)
		g->length = g->known[row]->file->size;
}

bool
cw_recover_group_of(const struct cw_recover *r, const char *name,
    struct cw_recover_group *g, uint32_t *row)
{
	const struct cw_manifest *m = &r->set->manifest;
	uint32_t number = volume_number(name), group, shard = 0;

	*g = (struct cw_recover_group){.group = NULL};
	if (r->parity == NULL)
		return false;
	if (number != 0)
		g->group = cw_manifest_group_of(m, number);
	else if (cw_parity_name_parse(name, &group, &shard) &&
		 shard <= m->parity_m)
		g->group = find_group(m, group);
	if (g->group == NULL)
		return false;
	g->rows = m->parity_k + m->parity_m;
	for (uint32_t i = 0; i < g->group->count; i++) {
		char member[CW_MANIFEST_NAME_MAX + 1];

		(void)snprintf(member, sizeof(member), "%06u" CW_SET_VOLUME,
		    m->members[g->group->first + i]);
		put_row(r, g, i, member);
		if (m->members[g->group->first + i] == number)
			*row = i;
	}
	for (uint32_t j = 1; j <= m->parity_m; j++) {
		char member[CW_PARITY_NAME_MAX];

		cw_parity_name(g->group->number, j, member);
		put_row(r, g, m->parity_k + j - 1, member);
		if (number == 0 && j == shard)
			*row = m->parity_k + j - 1;
	}
	return true;
}

/* How many rows of a column are bad; the lock is held. */
static uint32_t
count_bad(const struct cw_recover_group *g, uint64_t column)
{
	uint32_t bad = 0;

	for (uint32_t i = 0; i < g->rows; i++) {
		const struct cw_recover_known *k = g->known[i];

		if (g->is_lost[i] ||
		    (k != NULL && column < cw_blocks_count(k->file->size) &&
			cw_recover_is_bad(k, column)))
			bad++;
	}
	return bad;
}

/* How many blocks can't be rebuilt, or if any can't. */
static uint64_t
count_lost(struct cw_recover *r, struct cw_recover_known *k, uint64_t max)
{
	struct cw_recover_group g;
	uint64_t count = cw_blocks_count(k->file->size), lost = 0;
	uint32_t row;
	bool has_group = cw_recover_group_of(r, k->file->name, &g, &row);

	pthread_mutex_lock(&r->lock);
	if (k->is_bad || k->bad != NULL)
		for (uint64_t i = 0; i < count && lost < max; i++)
			lost += cw_recover_is_bad(k, i) &&
				(!has_group || count_bad(&g, i) >
						   r->set->manifest.parity_m);
	if (k->is_bad && count == 0)
		lost = !has_group;
	pthread_mutex_unlock(&r->lock);
	return lost;
}

bool
cw_recover_can(struct cw_recover *r, const char *file)
{
	struct cw_recover_known *k = cw_recover_find(r, file);

	return k != NULL && count_lost(r, k, 1) == 0;
}

uint64_t
cw_recover_lost(struct cw_recover *r, const char *file)
{
	struct cw_recover_known *k = cw_recover_find(r, file);

	return k == NULL ? 0 : count_lost(r, k, UINT64_MAX);
}

int
cw_recover_say_lack(struct cw_recover *r, const char *file, uint64_t blocks,
    struct cw_error *err)
{
	struct cw_recover_group g;
	uint32_t row;

	if (!cw_recover_group_of(r, file, &g, &row))
		return cw_error_set(err, CW_ERR_MISSING,
		    "%s: it is in no group with parity, so what is bad in it "
		    "can't be rebuilt",
		    file);
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "%s: %llu block%s of 64 KiB can't be rebuilt: more files of its "
	    "parity group are bad or missing there than parity makes up for "
	    "(%u)",
	    file, (unsigned long long)blocks, blocks == 1 ? "" : "s",
	    r->set->manifest.parity_m);
}

bool
cw_recover_is_good(struct cw_recover *r, const char *file)
{
	const struct cw_recover_known *k = cw_recover_find(r, file);
	bool is_good;

	pthread_mutex_lock(&r->lock);
	is_good = k != NULL && k->sha == SHA_GOOD && !k->is_longer;
	pthread_mutex_unlock(&r->lock);
	return is_good;
}
