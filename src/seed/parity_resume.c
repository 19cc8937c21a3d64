/*
 * What is there of the ledger's volumes and shards, and what groups they still
 * have to form.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "seed/blocks.h"
#include "seed/parity_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Is the file on its medium?  A crash between its line in the ledger and its
 * name leaves it whole under the temporary one.
 */
static bool
is_there(const struct cw_target_medium *m, const char *name, uint64_t size)
{
	char temporary[CW_LEDGER_NAME_MAX + 4];
	struct stat st;

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	if (fstatat(m->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	return fstatat(m->folder, temporary, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == size &&
	       renameat(m->folder, temporary, m->folder, name) == 0 &&
	       cw_sync(m->folder, NULL) == 0;
}

static int
lose_volume(struct cw_seed_parity *p, const struct cw_ledger_volume *v,
    struct cw_error *err)
{
	char name[CW_LEDGER_NAME_MAX];
	uint32_t number = v->number;

	if (v->group != 0)
		parity_remove_shards(p, v->group);
	cw_ledger_volume_name(number, name);
	cw_seed_blocks_remove(p->seed_dir, name);
	return cw_ledger_lose_volume(p->ledger, number, err);
}

/* What is not on its medium, though that is here, is lost. */
static int
find_lost(struct cw_seed_parity *p, struct cw_error *err)
{
	struct cw_ledger *l = p->ledger;
	char name[CW_LEDGER_NAME_MAX];

	/* Backwards, and again from the end: a loss takes shards with it. */
	for (size_t i = l->shard_count; i-- > 0;) {
		const struct cw_ledger_shard *s = &l->shards[i];
		struct cw_target_medium *m =
		    cw_target_find(p->target, s->medium);

		cw_ledger_shard_name(s->group, s->index, name);
		if (m == NULL || m->is_closed)
			continue;
		if (is_there(m, name, s->size)) {
			cw_target_holds(p->target, m, s->size);
			continue;
		}
		(void)unlinkat(m->folder, name, 0);
		cw_seed_blocks_remove(p->seed_dir, name);
		if (cw_ledger_lose_shard(l, s->group, s->index, err) < 0)
			return -1;
	}
	for (size_t i = l->volume_count; i-- > 0;) {
		const struct cw_ledger_volume *v = &l->volumes[i];
		struct cw_target_medium *m =
		    cw_target_find(p->target, v->medium);

		cw_ledger_volume_name(v->number, name);
		if (m == NULL || m->is_closed)
			continue;
		if (is_there(m, name, v->size))
			cw_target_holds(p->target, m, v->size);
		else if (lose_volume(p, v, err) < 0)
			return -1;
	}
	return 0;
}

/* The media of a group's members; false if one is not here. */
static bool
find_media(struct cw_seed_parity *p, const struct cw_ledger_group *g,
    struct cw_target_medium **media)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct cw_ledger_volume *v =
		    cw_ledger_find(p->ledger, g->volumes[i]);

		media[i] = cw_target_find(p->target, v->medium);
		if (media[i] == NULL || media[i]->is_closed)
			return false;
	}
	return true;
}

/* A complete group that lacks shards gets them again. */
static int
take_up_group(struct cw_seed_parity *p, const struct cw_ledger_group *g,
    struct cw_error *err)
{
	struct cw_target_medium *media[CW_PARITY_ROWS_MAX];
	struct cw_target_medium *shards[CW_PARITY_ROWS_MAX] = {NULL};
	struct parity_group *group;
	uint32_t have = 0, number = g->number;

	for (uint32_t j = 0; j < p->m; j++) {
		const struct cw_ledger_shard *s =
		    cw_ledger_find_shard(p->ledger, number, j + 1);

		if (s == NULL)
			continue;
		shards[j] = cw_target_find(p->target, s->medium);
		have++;
	}
	if (have == p->m || !find_media(p, g, media))
		return 0;
	group = parity_group_new(p, number, p->survive ? NULL : media[0]);
	group->is_listed = group->is_dirty = true;
	for (uint32_t i = 0; i < g->count; i++)
		parity_group_add(
		    group, media[i], cw_ledger_find(p->ledger, g->volumes[i]));
	for (uint32_t j = 0; j < p->m; j++)
		group->has_shard[j] = shards[j] != NULL;
	if (p->survive)
		return cw_target_regroup(
		    p->target, number, media, g->count, shards, &number, err);
	cw_target_loose(p->target, media[0], (int)g->count);
	return 0;
}

/* The first group that may have a member on this medium. */
static struct parity_group *
group_for(struct cw_seed_parity *p, struct cw_target_medium *m)
{
	struct parity_group *g;

	for (g = p->groups; g != NULL; g = g->next) {
		bool may = !g->is_listed && g->count < p->k;

		if (!p->survive)
			may = may && g->medium == m;
		for (uint32_t i = 0; p->survive && i < g->count; i++)
			may = may && g->members[i].medium != m;
		if (may)
			return g;
	}
	g = parity_group_new(
	    p, p->survive ? 0 : ++p->last_group, p->survive ? NULL : m);
	g->is_dirty = true;
	return g;
}

/* Volumes without a group form groups anew. */
static int
regroup(struct cw_seed_parity *p, struct cw_error *err)
{
	const struct cw_ledger *l = p->ledger;

	for (size_t i = 0; i < l->volume_count; i++) {
		struct cw_target_medium *m =
		    cw_target_find(p->target, l->volumes[i].medium);

		if (l->volumes[i].group != 0 || m == NULL || m->is_closed)
			continue;
		parity_group_add(group_for(p, m), m, &l->volumes[i]);
		if (!p->survive)
			cw_target_loose(p->target, m, 1);
	}
	for (struct parity_group *g = p->groups; p->survive && g != NULL;
	     g = g->next) {
		struct cw_target_medium *media[CW_PARITY_ROWS_MAX];

		if (g->is_listed)
			continue;
		for (uint32_t i = 0; i < g->count; i++)
			media[i] = g->members[i].medium;
		if (cw_target_regroup(p->target, 0, media, g->count, NULL,
			&g->number, err) < 0)
			return -1;
	}
	return 0;
}

static int
check_media(const struct cw_seed_parity *p, struct cw_error *err)
{
	size_t count = cw_target_count(p->target);

	if (!p->survive || count == p->k + p->m)
		return 0;
	return cw_error_set(err, CW_ERR_USAGE,
	    "this seed is to survive the loss of %u of %u media, and needs all "
	    "of them while it is packed; %zu are given: name each with --to (a "
	    "new and empty one in place of one that is lost)",
	    p->m, p->k + p->m, count);
}

static int
look(struct cw_seed_parity *p, struct cw_error *err)
{
	struct cw_ledger *l = p->ledger;

	for (size_t i = 0; i < cw_target_count(p->target); i++) {
		struct cw_target_medium *m = cw_target_medium(p->target, i);

		m->is_closed =
		    m->is_closed || cw_ledger_is_closed(l, m->is.number);
	}
	if (check_media(p, err) < 0 || find_lost(p, err) < 0 ||
	    cw_target_clean(p->target, err) < 0)
		return -1;
	cw_target_set_parity(
	    p->target, p->k, p->m, p->survive, l->volume_size, l->last_group);
	p->last_group = l->last_group;
	if (p->code == NULL)
		return 0;
	for (size_t i = 0; i < l->group_count; i++)
		if (take_up_group(p, &l->groups[i], err) < 0)
			return -1;
	return regroup(p, err);
}

int
cw_seed_parity_open(struct cw_ledger *ledger, struct cw_target *target,
    int seed_dir, struct cw_seed_parity **out, struct cw_error *err)
{
	struct cw_seed_parity *p = cw_calloc(1, sizeof(*p));

	*out = NULL;
	p->ledger = ledger;
	p->target = target;
	p->seed_dir = seed_dir;
	p->k = ledger->parity_k;
	p->m = ledger->parity_m;
	p->survive = ledger->survive_media > 0;
	pthread_mutex_init(&p->lock, NULL);
	if ((p->k > 0 && cw_parity_new(p->k, p->m, &p->code, err) < 0) ||
	    look(p, err) < 0) {
		cw_seed_parity_free(p);
		return -1;
	}
	*out = p;
	return 0;
}
