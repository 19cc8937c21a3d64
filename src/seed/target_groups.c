/*
 * Groups that survive the loss of media: each member and each shard of a group
 * on another medium.  The media of the shards go round from group to group, so
 * that all media hold about as many.
 */
#include "base/buf.h"
#include "seed/target_impl.h"

#include <stdlib.h>
#include <string.h>

struct target_group *
target_find_group(struct cw_target *t, uint32_t number)
{
	for (size_t i = 0; i < t->group_count; i++)
		if (t->groups[i].number == number)
			return &t->groups[i];
	return NULL;
}

static void
unreserve(struct cw_target *t, struct target_group *g, uint32_t i)
{
	if (!g->is_reserved[i])
		return;
	g->is_reserved[i] = false;
	g->shards[i]->reserved -=
	    t->volume_size + target_sidecar(t->volume_size);
}

static void
reserve(struct cw_target *t, struct target_group *g, uint32_t i)
{
	g->is_reserved[i] = true;
	g->shards[i]->reserved +=
	    t->volume_size + target_sidecar(t->volume_size);
}

static void
drop(struct cw_target *t, struct target_group *g)
{
	for (uint32_t i = 0; i < t->m; i++)
		unreserve(t, g, i);
	free(g->has_member);
	free(g->shards);
	free(g->is_reserved);
	t->group_count--;
	memmove(
	    g, g + 1, (size_t)(t->groups + t->group_count - g) * sizeof(*g));
}

void
target_groups_free(struct cw_target *t)
{
	while (t->group_count > 0)
		drop(t, &t->groups[t->group_count - 1]);
	free(t->groups);
}

static bool
has_shard(const struct cw_target *t, const struct target_group *g, size_t i)
{
	for (uint32_t j = 0; j < t->m; j++)
		if (g->shards[j] == t->media[i])
			return true;
	return false;
}

/* The medium of the next member, or NULL; nothing may be to come. */
static struct cw_target_medium *
member_medium(const struct cw_target *t, const struct target_group *g,
    uint64_t size, bool *may_come)
{
	struct cw_target_medium *best = NULL;

	*may_come = false;
	for (size_t i = 0; i < t->count; i++) {
		struct cw_target_medium *m = t->media[i];

		if (g->has_member[i] || has_shard(t, g, i) || m->is_failed)
			continue;
		if (!target_has_room(t, m, size, true))
			*may_come |= m->taken > 0;
		else if (best == NULL || m->taken < best->taken)
			best = m;
	}
	return best;
}

/*
 * Media for the shards that have none yet, going round; those with members
 * are out of the question.  False if there are not enough with room.
 */
static bool
choose_shards(const struct cw_target *t, struct target_group *g, bool with_room)
{
	size_t start = (size_t)(g->number - 1) * t->m % t->count;

	for (uint32_t j = 0; j < t->m; j++) {
		for (size_t step = 0; step < t->count && g->shards[j] == NULL;
		     step++) {
			size_t i = (start + step) % t->count;
			struct cw_target_medium *m = t->media[i];

			if (g->has_member[i] || has_shard(t, g, i) ||
			    m->is_failed || m->is_closed)
				continue;
			if (!with_room ||
			    target_has_room(t, m, t->volume_size, false))
				g->shards[j] = m;
		}
		if (g->shards[j] == NULL)
			return false;
	}
	return true;
}

static struct target_group *
append(struct cw_target *t, uint32_t number)
{
	struct target_group *g;
	size_t at = t->group_count;

	t->groups =
	    cw_reallocarray(t->groups, t->group_count + 1, sizeof(*t->groups));
	while (at > 0 && t->groups[at - 1].number > number)
		at--;
	g = &t->groups[at];
	memmove(g + 1, g, (t->group_count - at) * sizeof(*g));
	t->group_count++;
	memset(g, 0, sizeof(*g));
	g->number = number;
	g->has_member = cw_calloc(t->count, sizeof(*g->has_member));
	g->shards = cw_calloc(t->m, sizeof(*g->shards));
	g->is_reserved = cw_calloc(t->m, sizeof(*g->is_reserved));
	return g;
}

static void
place(struct target_group *g, struct cw_target_medium *m, uint64_t size,
    struct cw_target_place *out)
{
	target_charge(out, m, size);
	out->group = g->number;
	m->taken++;
	g->taken++;
	g->has_member[m->index] = true;
}

bool
target_place_across(
    struct cw_target *t, uint64_t size, struct cw_target_place *out)
{
	struct cw_target_medium *m;
	struct target_group *g;
	bool may_come;

	for (size_t i = 0; i < t->group_count; i++) {
		g = &t->groups[i];
		if (g->is_short || g->is_out || g->taken + g->kept >= t->k)
			continue;
		m = member_medium(t, g, size, &may_come);
		if (m != NULL) {
			place(g, m, size, out);
			return true;
		}
		/* What no medium can add to is complete as it is. */
		if (!may_come)
			g->is_short = true;
	}
	g = append(t, t->last_group + 1);
	if (!choose_shards(t, g, true)) {
		drop(t, g);
		return false;
	}
	for (uint32_t j = 0; j < t->m; j++)
		reserve(t, g, j);
	m = member_medium(t, g, size, &may_come);
	if (m == NULL) {
		drop(t, g);
		return false;
	}
	t->last_group++;
	place(g, m, size, out);
	return true;
}

void
target_member_ended(
    struct cw_target *t, const struct cw_target_place *ended, bool is_kept)
{
	struct target_group *g = target_find_group(t, ended->group);

	if (g == NULL)
		return;
	g->taken--;
	if (is_kept)
		g->kept++;
	else
		g->has_member[ended->medium->index] = false;
}

void
cw_target_set_parity(struct cw_target *t, uint32_t k, uint32_t m, bool survive,
    uint64_t volume_size, uint32_t last_group)
{
	pthread_mutex_lock(&t->lock);
	t->k = k;
	t->m = m;
	t->survive = survive && m > 0;
	t->volume_size = volume_size;
	t->last_group = last_group;
	pthread_mutex_unlock(&t->lock);
}

int
cw_target_regroup(struct cw_target *t, uint32_t number,
    struct cw_target_medium *const *members, uint32_t count,
    struct cw_target_medium *const *shards, uint32_t *group,
    struct cw_error *err)
{
	struct target_group *g;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	g = append(t, number == 0 ? ++t->last_group : number);
	g->is_short = number != 0;
	g->kept = count;
	for (uint32_t i = 0; i < count; i++)
		if (members[i] != NULL)
			g->has_member[members[i]->index] = true;
	for (uint32_t j = 0; shards != NULL && j < t->m; j++)
		g->shards[j] = shards[j];
	if (!choose_shards(t, g, true) && !choose_shards(t, g, false)) {
		ret = cw_error_set(err, CW_ERR_NOSPACE,
		    "no medium can take the parity of group %u", g->number);
		drop(t, g);
	} else {
		for (uint32_t j = 0; j < t->m; j++)
			if (shards == NULL || shards[j] == NULL)
				reserve(t, g, j);
		*group = g->number;
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

uint32_t
cw_target_ready(struct cw_target *t, bool at_end)
{
	uint32_t number = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->group_count && number == 0;) {
		struct target_group *g = &t->groups[i];

		if (g->is_out || g->taken > 0 ||
		    !(at_end || g->is_short || g->kept == t->k)) {
			i++;
		} else if (g->kept == 0) {
			drop(t, g);
		} else {
			g->is_out = true;
			number = g->number;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return number;
}

void
cw_target_group_done(struct cw_target *t, uint32_t group)
{
	struct target_group *g;

	pthread_mutex_lock(&t->lock);
	g = target_find_group(t, group);
	if (g != NULL)
		drop(t, g);
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

void
cw_target_take_shards(struct cw_target *t, uint32_t group,
    struct cw_target_medium *m, uint32_t loose, const uint32_t *indexes,
    uint32_t count, uint64_t size, struct cw_target_place *places)
{
	struct target_group *g;

	pthread_mutex_lock(&t->lock);
	g = t->survive ? target_find_group(t, group) : NULL;
	if (g == NULL)
		m->loose -= loose;
	for (uint32_t i = 0; i < count; i++) {
		struct cw_target_medium *on = m;

		if (g != NULL) {
			on = g->shards[indexes[i] - 1];
			unreserve(t, g, indexes[i] - 1);
		}
		target_charge(&places[i], on, size);
		places[i].group = group;
		places[i].is_shard = true;
	}
	pthread_mutex_unlock(&t->lock);
}
