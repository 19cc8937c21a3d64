/*
 * What the lines of a ledger add up to: which volumes, groups and shards
 * count.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "formats/parity/parity.h"
#include "media/set.h"
#include "seed/ledger_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
cw_ledger_volume_name(uint32_t number, char name[CW_LEDGER_NAME_MAX])
{
	(void)snprintf(name, CW_LEDGER_NAME_MAX, "%06u" CW_SET_VOLUME, number);
}

void
cw_ledger_shard_name(
    uint32_t group, uint32_t index, char name[CW_LEDGER_NAME_MAX])
{
	cw_parity_name(group, index, name);
}

struct cw_ledger_volume *
ledger_find(const struct cw_ledger *l, uint32_t number)
{
	/* Mostly it is one of the last. */
	for (size_t i = l->volume_count; i-- > 0;)
		if (l->volumes[i].number == number)
			return &l->volumes[i];
	return NULL;
}

struct cw_ledger_group *
ledger_find_group(const struct cw_ledger *l, uint32_t number)
{
	for (size_t i = l->group_count; i-- > 0;)
		if (l->groups[i].number == number)
			return &l->groups[i];
	return NULL;
}

void
ledger_saw_medium(struct cw_ledger *l, uint32_t medium)
{
	if (medium > l->last_medium)
		l->last_medium = medium;
}

void
ledger_keep_volume(struct cw_ledger *l, const struct cw_ledger_volume *volume)
{
	if (l->volume_count == l->volume_room) {
		l->volume_room = l->volume_room == 0 ? 64 : 2 * l->volume_room;
		l->volumes = cw_reallocarray(
		    l->volumes, l->volume_room, sizeof(*l->volumes));
	}
	l->volumes[l->volume_count] = *volume;
	l->volumes[l->volume_count++].group = 0;
	if (volume->number > l->last_volume)
		l->last_volume = volume->number;
	ledger_saw_medium(l, volume->medium);
}

static void
drop_shard(struct cw_ledger *l, size_t i)
{
	l->shard_count--;
	memmove(&l->shards[i], &l->shards[i + 1],
	    (l->shard_count - i) * sizeof(*l->shards));
}

/* A group without one of its members is none. */
void
ledger_break_group(struct cw_ledger *l, uint32_t number)
{
	struct cw_ledger_group *g = ledger_find_group(l, number);

	if (g == NULL)
		return;
	for (uint32_t i = 0; i < g->count; i++) {
		struct cw_ledger_volume *v = ledger_find(l, g->volumes[i]);

		if (v != NULL)
			v->group = 0;
	}
	for (size_t i = l->shard_count; i-- > 0;)
		if (l->shards[i].group == number)
			drop_shard(l, i);
	free(g->volumes);
	l->group_count--;
	memmove(
	    g, g + 1, (size_t)(l->groups + l->group_count - g) * sizeof(*g));
}

void
ledger_drop_volume(struct cw_ledger *l, uint32_t number)
{
	struct cw_ledger_volume *v = ledger_find(l, number);

	if (v == NULL)
		return;
	if (v->group != 0)
		ledger_break_group(l, v->group);
	l->volume_count--;
	memmove(
	    v, v + 1, (size_t)(l->volumes + l->volume_count - v) * sizeof(*v));
}

/* False if that is no group of volumes that are there and in none. */
bool
ledger_keep_group(struct cw_ledger *l, uint32_t number, const uint32_t *volumes,
    uint32_t count)
{
	struct cw_ledger_group *g;
	uint32_t known = 0;

	if (number == 0 || count == 0 || count > l->parity_k ||
	    ledger_find_group(l, number) != NULL)
		return false;
	for (; known < count; known++) {
		struct cw_ledger_volume *v = ledger_find(l, volumes[known]);

		if (v == NULL || v->group != 0)
			break;
		v->group = number;
	}
	if (known < count) {
		while (known > 0)
			ledger_find(l, volumes[--known])->group = 0;
		return false;
	}
	l->groups =
	    cw_reallocarray(l->groups, l->group_count + 1, sizeof(*l->groups));
	g = &l->groups[l->group_count++];
	g->number = number;
	g->count = count;
	g->volumes = cw_calloc(count, sizeof(*g->volumes));
	memcpy(g->volumes, volumes, count * sizeof(*g->volumes));
	if (number > l->last_group)
		l->last_group = number;
	return true;
}

bool
ledger_keep_shard(struct cw_ledger *l, const struct cw_ledger_shard *shard)
{
	if (ledger_find_group(l, shard->group) == NULL || shard->index == 0 ||
	    shard->index > l->parity_m ||
	    cw_ledger_find_shard(l, shard->group, shard->index) != NULL)
		return false;
	l->shards =
	    cw_reallocarray(l->shards, l->shard_count + 1, sizeof(*l->shards));
	l->shards[l->shard_count++] = *shard;
	ledger_saw_medium(l, shard->medium);
	return true;
}

bool
ledger_lose_shard(struct cw_ledger *l, uint32_t group, uint32_t index)
{
	for (size_t i = 0; i < l->shard_count; i++) {
		if (l->shards[i].group != group || l->shards[i].index != index)
			continue;
		drop_shard(l, i);
		return true;
	}
	return false;
}

void
ledger_keep_closed(struct cw_ledger *l, uint32_t medium)
{
	if (cw_ledger_is_closed(l, medium))
		return;
	l->closed =
	    cw_reallocarray(l->closed, l->closed_count + 1, sizeof(*l->closed));
	l->closed[l->closed_count++] = medium;
	ledger_saw_medium(l, medium);
}

/* A medium that gets its number (again) is not complete. */
void
ledger_reopen(struct cw_ledger *l, uint32_t medium)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->closed_count; i++)
		if (l->closed[i] != medium)
			l->closed[kept++] = l->closed[i];
	l->closed_count = kept;
	l->is_finished = false;
	ledger_saw_medium(l, medium);
}

const struct cw_ledger_volume *
cw_ledger_find(const struct cw_ledger *l, uint32_t n)
{
	return ledger_find(l, n);
}

const struct cw_ledger_group *
cw_ledger_find_group(const struct cw_ledger *l, uint32_t n)
{
	return ledger_find_group(l, n);
}

const struct cw_ledger_shard *
cw_ledger_find_shard(const struct cw_ledger *l, uint32_t group, uint32_t index)
{
	for (size_t i = l->shard_count; i-- > 0;)
		if (l->shards[i].group == group && l->shards[i].index == index)
			return &l->shards[i];
	return NULL;
}

bool
cw_ledger_is_closed(const struct cw_ledger *l, uint32_t medium)
{
	for (size_t i = 0; i < l->closed_count; i++)
		if (l->closed[i] == medium)
			return true;
	return false;
}

void
cw_ledger_close(struct cw_ledger *l)
{
	for (size_t i = 0; i < l->group_count; i++)
		free(l->groups[i].volumes);
	free(l->groups);
	free(l->shards);
	free(l->closed);
	free(l->volumes);
	l->volumes = NULL;
	l->groups = NULL;
	l->shards = NULL;
	l->closed = NULL;
	l->volume_count = l->volume_room = 0;
	l->group_count = l->shard_count = l->closed_count = 0;
	cw_close(&l->fd);
}
