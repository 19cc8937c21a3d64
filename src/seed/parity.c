#include "seed/parity_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "seed/blocks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the list of groups ---- */

struct parity_group *
parity_group_new(
    struct cw_seed_parity *p, uint32_t number, struct cw_target_medium *medium)
{
	struct parity_group **at = &p->groups;
	struct parity_group *g = cw_calloc(1, sizeof(*g));

	g->number = number;
	g->medium = medium;
	g->members = cw_calloc(p->k, sizeof(*g->members));
	g->has_shard = cw_calloc(p->m, sizeof(*g->has_shard));
	pthread_mutex_init(&g->lock, NULL);
	while (*at != NULL)
		at = &(*at)->next;
	*at = g;
	return g;
}

static void
free_group(struct cw_seed_parity *p, struct parity_group *g)
{
	parity_scratch_drop(p, g);
	pthread_mutex_destroy(&g->lock);
	free(g->members);
	free(g->has_shard);
	free(g);
}

/* Takes a group off the list. */
static void
end_group(struct cw_seed_parity *p, struct parity_group *g)
{
	struct parity_group **at = &p->groups;

	if (p->survive)
		cw_target_group_done(p->target, g->number);
	pthread_mutex_lock(&p->lock);
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	pthread_mutex_unlock(&p->lock);
	free_group(p, g);
}

void
parity_group_add(struct parity_group *g, struct cw_target_medium *medium,
    const struct cw_ledger_volume *volume)
{
	g->members[g->count++] = (struct parity_member){
	    .medium = medium, .volume = *volume, .is_kept = true};
}

void
cw_seed_parity_free(struct cw_seed_parity *p)
{
	if (p == NULL)
		return;
	while (p->groups != NULL) {
		struct parity_group *g = p->groups;

		p->groups = g->next;
		free_group(p, g);
	}
	cw_parity_free(p->code);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
cw_seed_parity_on_lost(struct cw_seed_parity *p,
    void (*lost)(void *arg, uint32_t number, const struct cw_error *why),
    void *arg)
{
	p->lost = lost;
	p->lost_arg = arg;
}

/* ---- a volume joins, stays, or leaves ---- */

/* The open group for a volume of this place, with the lock. */
static struct parity_group *
open_group(struct cw_seed_parity *p, const struct cw_target_place *place)
{
	struct parity_group *g;

	for (g = p->groups; g != NULL; g = g->next) {
		if (p->survive) {
			if (g->number == place->group)
				return g;
			continue;
		}
		if (g->medium == place->medium && g->count < p->k &&
		    !g->is_listed && !g->is_closing)
			return g;
	}
	return parity_group_new(p, p->survive ? place->group : ++p->last_group,
	    p->survive ? NULL : place->medium);
}

static struct parity_group *
join(struct cw_seed_parity *p, const struct cw_target_place *place,
    uint32_t number, uint32_t *row)
{
	struct parity_group *g;

	if (p->code == NULL)
		return NULL;
	pthread_mutex_lock(&p->lock);
	g = open_group(p, place);
	*row = g->count++;
	g->members[*row] = (struct parity_member){
	    .medium = place->medium, .volume.number = number};
	pthread_mutex_unlock(&p->lock);
	return g;
}

/* Takes a member out of its row; those behind it move up. */
static void
remove_row(struct parity_group *g, uint32_t row)
{
	g->count--;
	memmove(&g->members[row], &g->members[row + 1],
	    (g->count - row) * sizeof(*g->members));
}

static void
leave(struct cw_seed_parity *p, struct parity_group *g, uint32_t number,
    const struct parity_adding *a)
{
	uint32_t row = 0;

	if (g == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	pthread_mutex_lock(&g->lock);
	while (g->members[row].volume.number != number)
		row++;
	/* Others behind it have been added by numbers that are wrong now. */
	if (a->is_touched || row + 1 < g->count)
		g->is_dirty = true;
	remove_row(g, row);
	if (g->is_dirty)
		parity_scratch_drop(p, g);
	if (g->count == 0)
		g->is_dirty = false; /* it begins anew */
	pthread_mutex_unlock(&g->lock);
	pthread_mutex_unlock(&p->lock);
}

static void
stay(struct cw_seed_parity *p, struct parity_group *g,
    const struct cw_ledger_volume *line)
{
	if (g == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < g->count; i++) {
		if (g->members[i].volume.number != line->number)
			continue;
		g->members[i].volume = *line;
		g->members[i].is_kept = true;
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- completing ---- */

void
parity_remove_shards(struct cw_seed_parity *p, uint32_t group)
{
	for (uint32_t j = 1; j <= p->m; j++) {
		const struct cw_ledger_shard *s;
		struct cw_target_medium *m = NULL;
		char name[CW_LEDGER_NAME_MAX];
		uint64_t size = 0;

		pthread_mutex_lock(&p->ledger->lock);
		s = cw_ledger_find_shard(p->ledger, group, j);
		if (s != NULL) {
			m = cw_target_find(p->target, s->medium);
			size = s->size;
		}
		pthread_mutex_unlock(&p->ledger->lock);
		cw_ledger_shard_name(group, j, name);
		if (s != NULL)
			cw_seed_blocks_remove(p->seed_dir, name);
		if (m == NULL || m->folder < 0)
			continue;
		(void)unlinkat(m->folder, name, 0);
		cw_target_removed(p->target, m, size);
	}
}

int
parity_remove_volume(struct cw_seed_parity *p, struct cw_target_medium *m,
    const struct cw_ledger_volume *v, struct cw_error *err)
{
	char name[CW_LEDGER_NAME_MAX];

	cw_ledger_volume_name(v->number, name);
	if (unlinkat(m->folder, name, 0) < 0)
		return cw_error_errno(err, "cannot remove volume %s", name);
	if (cw_sync(m->folder, err) < 0)
		return -1;
	cw_target_removed(p->target, m, v->size);
	cw_seed_blocks_remove(p->seed_dir, name);
	return 0;
}

/*
 * Gives up a member: what is left is another group, without shards as yet.
 * 1 if nobody would pack it again, or its file could not be removed: then
 * nothing has changed.
 */
static int
give_up(struct cw_seed_parity *p, struct parity_group *g, uint32_t row,
    const struct cw_error *why, struct cw_error *err)
{
	struct parity_member lost = g->members[row];
	struct cw_error ignored;

	if (p->lost == NULL ||
	    parity_remove_volume(p, lost.medium, &lost.volume, &ignored) < 0)
		return 1;
	parity_remove_shards(p, g->number);
	if (cw_ledger_lose_volume(p->ledger, lost.volume.number, err) < 0)
		return -1;
	pthread_mutex_lock(&p->lock);
	remove_row(g, row);
	g->is_listed = false;
	memset(g->has_shard, 0, p->m * sizeof(*g->has_shard));
	g->number = ++p->last_group;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_lock(&g->lock);
	g->is_dirty = true;
	parity_scratch_drop(p, g);
	pthread_mutex_unlock(&g->lock);
	if (p->lost != NULL)
		p->lost(p->lost_arg, lost.volume.number, why);
	return 0;
}

static int
list_group(
    struct cw_seed_parity *p, struct parity_group *g, struct cw_error *err)
{
	uint32_t volumes[CW_PARITY_ROWS_MAX];

	if (g->is_listed)
		return 0;
	for (uint32_t i = 0; i < g->count; i++)
		volumes[i] = g->members[i].volume.number;
	if (cw_ledger_add_group(p->ledger, g->number, volumes, g->count, err) <
	    0)
		return -1;
	g->is_listed = true;
	return 0;
}

/* Writes the shards that it lacks; see parity_write_shards. */
static int
write_lacking(
    struct cw_seed_parity *p, struct parity_group *g, struct parity_failure *f)
{
	struct cw_target_place places[CW_PARITY_ROWS_MAX];
	uint32_t indexes[CW_PARITY_ROWS_MAX], count = 0;
	int ret;

	for (uint32_t j = 0; j < p->m; j++)
		if (!g->has_shard[j])
			indexes[count++] = j + 1;
	if (count == 0)
		return 0;
	cw_target_take_shards(p->target, g->number, g->medium, g->count,
	    indexes, count, parity_length(g), places);
	ret = parity_write_shards(p, g, indexes, count, places, f);
	if (ret < 0 && g->medium != NULL)
		cw_target_loose(p->target, g->medium, (int)g->count);
	return ret;
}

/*
 * What is to be done when shards could not be written: 0 if it is worth trying
 * again, 1 if the medium failed, -1 if the state directory did.
 */
static int
mend(struct cw_seed_parity *p, struct parity_group *g,
    const struct parity_failure *f, struct cw_error *why, struct cw_error *err)
{
	int ret = 1;

	if (f->medium == NULL) {
		*err = f->why;
		return -1;
	}
	*why = f->why;
	if (g->medium != NULL && f->is_member)
		ret = give_up(p, g, f->row, &f->why, err);
	else if (g->medium != NULL && f->why.code == CW_ERR_NOSPACE)
		ret = give_up(p, g, g->count - 1, &f->why, err);
	else if (f->is_member && f->why.code == CW_ERR_DAMAGED)
		/* Found to be lost by the next run, which packs it again. */
		(void)parity_remove_volume(
		    p, f->medium, &g->members[f->row].volume, NULL);
	if (ret == 0 && g->medium != NULL)
		cw_target_loose(p->target, g->medium, -1);
	if (ret == 1 || f->why.code == CW_ERR_NOSPACE)
		cw_target_fail(p->target, f->medium, &f->why);
	return ret;
}

/*
 * Completes a group, with shards or by giving up all of it.  0; or 1 if a
 * medium failed, and the group waits; or -1 if the state directory did.
 */
static int
complete(struct cw_seed_parity *p, struct parity_group *g, struct cw_error *why,
    struct cw_error *err)
{
	struct parity_failure f;
	int ret = 0;

	while (g->count > 0) {
		if (list_group(p, g, err) < 0) {
			ret = -1;
			break;
		}
		if (write_lacking(p, g, &f) == 0)
			break;
		ret = mend(p, g, &f, why, err);
		if (ret != 0)
			break;
	}
	if (ret == 0) {
		end_group(p, g);
	} else {
		if (ret == 1)
			cw_error_context(why,
			    "parity of the volumes on the medium in %s",
			    f.medium->path);
		g->is_closing = false;
	}
	return ret;
}

/* With the lock: a group that has all its members, on this medium or any. */
static struct parity_group *
find_full(
    struct cw_seed_parity *p, const struct cw_target_medium *m, bool at_end)
{
	for (struct parity_group *g = p->groups; g != NULL; g = g->next) {
		uint32_t kept = 0;

		if ((m != NULL && g->medium != m) || g->is_closing)
			continue;
		while (kept < g->count && g->members[kept].is_kept)
			kept++;
		if (kept == g->count && kept > 0 &&
		    (at_end || g->is_listed || kept == p->k))
			return g;
	}
	return NULL;
}

/* The next group to be completed; nobody else will. */
static struct parity_group *
next_ready(
    struct cw_seed_parity *p, const struct cw_target_medium *m, bool at_end)
{
	struct parity_group *g;
	uint32_t number = 0;

	if (p->survive)
		number = cw_target_ready(p->target, at_end);
	pthread_mutex_lock(&p->lock);
	for (g = p->groups; number != 0 && g != NULL && g->number != number;)
		g = g->next;
	/* At the end those too that were tried before. */
	if (number == 0)
		g = p->survive && !at_end ? NULL : find_full(p, m, at_end);
	if (g != NULL)
		g->is_closing = true;
	pthread_mutex_unlock(&p->lock);
	return g;
}

int
cw_seed_parity_close(
    struct cw_seed_parity *p, struct cw_target_medium *m, struct cw_error *err)
{
	struct parity_group *g, *failed[CW_MANIFEST_MEDIA_MAX];
	size_t failed_count = 0;
	int ret = 0;

	if (p->code == NULL)
		return 0;
	while ((g = next_ready(p, m, true)) != NULL) {
		struct cw_error why = CW_ERROR_INIT, fatal = CW_ERROR_INIT;
		int done = complete(p, g, &why, &fatal);

		if (done == 0)
			continue;
		if (done < 0) {
			*err = fatal;
			ret = -1;
			break;
		}
		/* Of all media, one that fails does not stop the others. */
		if (ret == 0 && (m != NULL || p->survive)) {
			*err = why;
			ret = -1;
		}
		/* Not again, before all others have had their turn. */
		g->is_closing = true;
		if (failed_count < CW_MANIFEST_MEDIA_MAX)
			failed[failed_count++] = g;
	}
	pthread_mutex_lock(&p->lock);
	while (failed_count > 0)
		failed[--failed_count]->is_closing = false;
	pthread_mutex_unlock(&p->lock);
	return ret;
}

/* ---- settling a volume ---- */

/* Up to its name: 0, 1 if the volume is lost, -1 if the state directory. */
static int
make_durable(struct cw_seed_parity *p, struct cw_durable *file,
    struct parity_group *g, struct parity_adding *a,
    struct cw_ledger_volume *line, const struct cw_target_place *place,
    struct cw_error *why, struct cw_error *err)
{
	struct cw_durable_result result;
	char name[CW_LEDGER_NAME_MAX];

	cw_ledger_volume_name(line->number, name);
	if (cw_durable_prove(
		file, g == NULL ? NULL : parity_add, a, &result, why) < 0)
		return 1;
	line->size = result.size;
	memcpy(line->sha256, result.sha256, sizeof(line->sha256));
	memcpy(line->xxh, result.xxh, sizeof(line->xxh));
	/*
	 * The ledger says what the volume is before it gets its name, so that
	 * a file that turns up on a medium later is never taken for ours.
	 */
	if (cw_seed_blocks_save(p->seed_dir, name, &result, err) < 0 ||
	    cw_ledger_add_volume(p->ledger, line, err) < 0)
		return -1;
	if (cw_durable_finish(file, &result, why) == 0)
		return 0;
	/* Where only the directory's sync failed, it has its name. */
	(void)unlinkat(place->medium->folder, name, 0);
	cw_seed_blocks_remove(p->seed_dir, name);
	return cw_ledger_lose_volume(p->ledger, line->number, err) < 0 ? -1 : 1;
}

int
cw_seed_parity_settle(struct cw_seed_parity *p, struct cw_durable *file,
    uint32_t number, struct cw_target_place *place, struct cw_error *why,
    struct cw_error *err)
{
	struct cw_ledger_volume line = {
	    .number = number, .medium = place->medium->is.number};
	struct cw_target_medium *here = place->medium;
	struct cw_target_medium *m = p->survive ? NULL : here;
	struct parity_adding a = {.p = NULL};
	struct parity_group *g;
	uint32_t row = 0;
	int ret;

	g = join(p, place, number, &row);
	if (g != NULL)
		parity_adding_begin(&a, p, g, row);
	ret = make_durable(p, file, g, &a, &line, place, why, err);
	if (ret == 0)
		stay(p, g, &line);
	else
		leave(p, g, number, &a);
	parity_adding_end(&a);
	cw_durable_free(file);
	cw_target_busy(p->target, here, true);
	if (ret == 0)
		cw_target_keep(p->target, place, line.size);
	else
		cw_target_release(p->target, place, ret == 1 ? why : NULL);
	/* A group that waits for a medium that failed waits for the end. */
	while (ret == 0 && g != NULL && (m == NULL || !m->is_failed) &&
	       (g = next_ready(p, m, false)) != NULL) {
		struct cw_error failure = CW_ERROR_INIT;

		if (complete(p, g, &failure, err) < 0)
			ret = -1;
	}
	cw_target_busy(p->target, here, false);
	return ret;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = (*(const struct cw_ledger_group *const *)a)->number;
	uint32_t y = (*(const struct cw_ledger_group *const *)b)->number;

	return x < y ? -1 : x > y;
}

int
cw_seed_parity_list(
    const struct cw_ledger *l, struct cw_manifest *m, struct cw_error *err)
{
	const struct cw_ledger_group **order;
	int ret = 0;

	m->parity_k = l->parity_k;
	m->parity_m = l->parity_m;
	m->survive_media = l->survive_media;
	order = cw_calloc(l->group_count + 1, sizeof(*order));
	for (size_t i = 0; i < l->group_count; i++)
		order[i] = &l->groups[i];
	qsort(order, l->group_count, sizeof(*order), by_number);
	for (size_t i = 0; i < l->group_count && ret == 0; i++)
		ret = cw_manifest_add_group(m, order[i]->number,
		    order[i]->volumes, order[i]->count, err);
	free(order);
	return ret;
}
