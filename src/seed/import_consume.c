/*
 * Volumes that are deleted as they are imported: for a server that was shipped
 * with the seed on its disks, and becomes the site itself.
 *
 * A volume may be what another one of its group is rebuilt from.  So a group
 * goes when all of it is done; or, where there is no room for that, volume by
 * volume as soon as what is left of it was read and found good.
 */
#include "seed/import_impl.h"

#include "formats/parity/parity.h"
#include "media/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Before the first file goes, the caller is told. */
static int
ask(struct import *im, struct cw_error *err)
{
	if (im->has_consumed || im->o->begin_consume == NULL)
		return 0;
	im->has_consumed = true;
	return im->o->begin_consume(im->o->consume_arg, err);
}

static int delete (struct import *im, const struct cw_set_medium *medium,
    const char *name, struct cw_error *err)
{
	if (faccessat(medium->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (ask(im, err) < 0)
		return -1;
	if (unlinkat(medium->dirfd, name, 0) < 0 && errno != ENOENT)
		return cw_error_errno(
		    err, "cannot delete %s/%s", medium->path, name);
	pthread_mutex_lock(&im->lock);
	im->result->consumed++;
	pthread_mutex_unlock(&im->lock);
	return 0;
}

static int
delete_volume(
    struct import *im, const struct import_volume *v, struct cw_error *err)
{
	return v->medium == NULL ? 0
				 : delete (im, v->medium, v->file->name, err);
}

static int
delete_shards(struct import *im, uint32_t group, struct cw_error *err)
{
	const struct cw_set *set = im->o->set;
	char name[CW_PARITY_NAME_MAX];
	int ret = 0;

	for (uint32_t j = 1; j <= set->manifest.parity_m; j++) {
		cw_parity_name(group, j, name);
		for (size_t i = 0; i < set->count && ret == 0; i++)
			if (cw_manifest_find(&set->manifest,
				set->media[i].number, name) != NULL)
				ret = delete (im, &set->media[i], name, err);
	}
	return ret;
}

static struct import_volume *
member(const struct import *im, const struct import_group *g, size_t i)
{
	return import_find_volume(
	    im, im->o->set->manifest.members[g->listed->first + i]);
}

/* Deletes what is done of a group; the shards go with the last one. */
static int
delete_done(struct import *im, const struct import_group *g, bool is_last,
    struct cw_error *err)
{
	int ret = 0;

	for (size_t i = 0; i < g->listed->count && ret == 0; i++) {
		const struct import_volume *v = member(im, g, i);

		if (v != NULL && (is_last || v->state == VOLUME_DONE))
			ret = delete_volume(im, v, err);
	}
	if (ret == 0 && is_last)
		ret = delete_shards(im, g->listed->number, err);
	return ret;
}

static int
consume(struct import *im, struct import_volume *v, struct cw_error *err)
{
	bool is_last, is_checked;

	if (v->group == NULL)
		return delete_volume(im, v, err);
	pthread_mutex_lock(&im->lock);
	is_last = v->group->undone == 0;
	is_checked = v->group->is_checked;
	pthread_mutex_unlock(&im->lock);
	if (is_last)
		return delete_done(im, v->group, true, err);
	return is_checked ? delete_volume(im, v, err) : 0;
}

int
import_consume(struct import *im, struct import_volume *v, struct cw_error *err)
{
	int ret;

	if (!im->o->consume)
		return 0;
	pthread_mutex_lock(&im->consuming);
	ret = consume(im, v, err);
	pthread_mutex_unlock(&im->consuming);
	return ret;
}

int
import_consume_rest(struct import *im, bool is_ended, struct cw_error *err)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	int ret = 0;

	if (!im->o->consume)
		return 0;
	for (size_t i = 0; i < im->volume_count && ret == 0; i++) {
		const struct import_volume *v = &im->volumes[i];

		if (v->group == NULL && (is_ended || v->state == VOLUME_DONE))
			ret = delete_volume(im, v, err);
	}
	for (size_t i = 0; i < m->group_count && ret == 0; i++) {
		const struct import_group *g = &im->groups[i];
		bool is_done = true;

		for (size_t k = 0; k < g->listed->count; k++) {
			const struct import_volume *v = member(im, g, k);

			is_done &= v != NULL && v->state == VOLUME_DONE;
		}
		if (is_done || is_ended)
			ret = delete_done(im, g, true, err);
	}
	return ret;
}

/* Reads the members that are not done: 1 if all are as they were signed. */
static int
check_rest(
    struct import *im, const struct import_group *g, struct cw_error *err)
{
	struct cw_scrub_options options = {.threads = 1, .cached = true};
	int ret = 1;

	for (size_t i = 0; i < g->listed->count && ret == 1; i++) {
		const struct import_volume *v = member(im, g, i);
		struct cw_scrub_file file;

		if (v != NULL && v->state == VOLUME_DONE)
			continue;
		if (v == NULL || v->medium == NULL)
			return 0;
		file = (struct cw_scrub_file){.dirfd = v->medium->dirfd,
		    .name = v->file->name,
		    .size = v->file->size};
		if (cw_scrub(&file, 1, &options, err) < 0)
			return -1;
		ret = file.state == CW_SCRUB_READ &&
		      memcmp(file.sha256, v->file->sha256,
			  sizeof(file.sha256)) == 0;
		cw_scrub_free(&file, 1);
	}
	return ret;
}

int
import_consume_early(
    struct import *im, struct import_volume *v, struct cw_error *err)
{
	int ret = 0;

	if (!im->o->consume || v->group == NULL)
		return 0;
	pthread_mutex_lock(&im->consuming);
	if (!v->group->is_checked) {
		ret = check_rest(im, v->group, err);
		if (ret == 1) {
			pthread_mutex_lock(&im->lock);
			v->group->is_checked = true;
			pthread_mutex_unlock(&im->lock);
			ret = delete_done(im, v->group, false, err);
		}
	}
	pthread_mutex_unlock(&im->consuming);
	return ret < 0 ? -1 : 0;
}
