/*
 * The volumes of a seed and the groups they are in, as its manifest has them.
 */
#include "seed/import_impl.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static bool
volume_number(const char *name, uint32_t *number)
{
	uint64_t value;
	size_t i = 0;

	while (i < 6 && name[i] == '0')
		i++;
	if (strlen(name) != 6 + strlen(CW_SET_VOLUME) ||
	    strcmp(name + 6, CW_SET_VOLUME) != 0 ||
	    !cw_decimal_parse(name + i, 6 - i, 999999, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

/*
 * What is packed first is wanted first, so volumes go by number; those of one
 * group stand together, so that the group is read, and rebuilt if need be,
 * while its bytes are in memory.
 */
static uint32_t
rank(const struct cw_manifest *m, const struct import_volume *v)
{
	const struct cw_manifest_group *g = cw_manifest_group_of(m, v->number);

	return g == NULL ? v->number : m->members[g->first];
}

struct ranked {
	uint32_t rank;
	struct import_volume volume;
};

static int
compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->volume.number > y->volume.number) -
	       (x->volume.number < y->volume.number);
}

static void
sort_volumes(struct import *im)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	struct ranked *all = cw_calloc(im->volume_count + 1, sizeof(*all));

	for (size_t i = 0; i < im->volume_count; i++) {
		all[i].volume = im->volumes[i];
		all[i].rank = rank(m, &im->volumes[i]);
	}
	qsort(all, im->volume_count, sizeof(*all), compare);
	for (size_t i = 0; i < im->volume_count; i++)
		im->volumes[i] = all[i].volume;
	free(all);
}

void
import_list_volumes(struct import *im)
{
	const struct cw_set *set = im->o->set;
	const struct cw_manifest *m = &set->manifest;

	im->volumes = cw_calloc(m->file_count + 1, sizeof(*im->volumes));
	for (size_t i = 0; i < m->file_count; i++) {
		struct import_volume *v = &im->volumes[im->volume_count];

		if (!volume_number(m->files[i].name, &v->number))
			continue;
		v->file = &m->files[i];
		v->medium = cw_set_holder(set, v->file);
		v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_WAITING;
		if (v->number > im->number_max)
			im->number_max = v->number;
		im->volume_count++;
	}
	sort_volumes(im);
	im->by_number =
	    cw_calloc((size_t)im->number_max + 1, sizeof(*im->by_number));
	im->groups = cw_calloc(m->group_count + 1, sizeof(*im->groups));
	for (size_t i = 0; i < m->group_count; i++)
		im->groups[i].listed = &m->groups[i];
	for (size_t i = 0; i < im->volume_count; i++) {
		struct import_volume *v = &im->volumes[i];
		const struct cw_manifest_group *g =
		    cw_manifest_group_of(m, v->number);

		im->by_number[v->number] = v;
		if (g != NULL)
			v->group = &im->groups[g - m->groups];
	}
}

void
import_count_groups(struct import *im)
{
	for (size_t i = 0; i < im->volume_count; i++) {
		struct import_volume *v = &im->volumes[i];

		if (v->group == NULL)
			continue;
		v->group->unread += v->state == VOLUME_WAITING;
		v->group->undone += v->state != VOLUME_DONE;
	}
}

struct import_volume *
import_find_volume(const struct import *im, uint32_t number)
{
	return number > im->number_max || im->by_number == NULL
		   ? NULL
		   : im->by_number[number];
}

void
import_free_volumes(struct import *im)
{
	for (size_t i = 0; i < im->volume_count; i++) {
		for (size_t k = 0; k < im->volumes[i].fault_count; k++)
			free(im->volumes[i].faults[k]);
		free(im->volumes[i].faults);
	}
	free(im->volumes);
	free(im->by_number);
	free(im->groups);
	im->volumes = NULL;
	im->volume_count = 0;
	im->by_number = NULL;
	im->number_max = 0;
	im->groups = NULL;
}
