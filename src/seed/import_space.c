/*
 * Whether there is room for what is still to be placed: asked before, since a
 * filesystem that is full at nine tenths helps nobody.
 */
#include "seed/import_impl.h"

#include "base/buf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define BLOCK 4096u /* bytes that most filesystems take for a file's end */

/* A filesystem, by its device. */
struct filesystem {
	dev_t device;
	struct cw_import_space space;
};

struct counting {
	struct import *im;
	struct cw_place *place;
	struct filesystem *all;
	size_t count;
	size_t *of_root; /* index into all */
	int64_t group;	 /* of links that was counted last */
};

static int
look_at_roots(struct counting *c, struct cw_error *err)
{
	struct import *im = c->im;

	for (size_t i = 0; i < im->root_count; i++) {
		struct statvfs vfs;
		struct stat st;
		size_t k = 0;

		if (fstat(im->roots[i].dirfd, &st) < 0 ||
		    fstatvfs(im->roots[i].dirfd, &vfs) < 0)
			return cw_error_errno(err,
			    "cannot ask how much room is in %s",
			    im->result->roots[i].path);
		while (k < c->count && c->all[k].device != st.st_dev)
			k++;
		c->of_root[i] = k;
		if (k < c->count)
			continue;
		c->all[c->count++] = (struct filesystem){
		    .device = st.st_dev,
		    .space = {.root = im->result->roots[i].path,
			.there = (uint64_t)vfs.f_bavail * vfs.f_frsize,
			.files_there =
			    vfs.f_files == 0 ? UINT64_MAX : vfs.f_favail},
		};
	}
	return 0;
}

static struct cw_import_space *
space_of(struct counting *c, const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < c->im->root_count; i++)
		if (strlen(c->im->roots[i].name) == len &&
		    memcmp(c->im->roots[i].name, path, len) == 0)
			return &c->all[c->of_root[i]].space;
	return NULL;
}

/* A file that is here already takes nothing more. */
static int
is_here(struct counting *c, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	const struct import_volume *v = import_find_volume(c->im, e->volume);
	struct stat st;
	int ret;

	if (v != NULL && v->state == VOLUME_DONE)
		return 1;
	if (!c->im->result->is_resumed)
		return 0;
	ret = cw_place_stat(c->place, path, &st, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	return import_is_placed(&st, e) ? 1 : 0;
}

static int
add(struct counting *c, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	struct cw_import_space *s = space_of(c, path);
	int ret = s == NULL ? 1 : is_here(c, path, e, err);

	if (ret != 0)
		return ret < 0 ? -1 : 0;
	s->files++;
	/* Of a file with holes nobody knows. */
	if (!e->sparse)
		s->needed += (e->size + BLOCK - 1) / BLOCK * BLOCK;
	return 0;
}

static int
count_single(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	return e->linkgroup != 0 ? 0 : add(arg, path, e, err);
}

static int
count_group(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct counting *c = arg;

	if (e->linkgroup == c->group)
		return 0;
	c->group = e->linkgroup;
	return add(c, path, e, err);
}

/* What the volumes take that will be deleted on the way. */
static void
count_freed(struct counting *c)
{
	for (size_t i = 0; i < c->im->volume_count && c->im->o->consume; i++) {
		const struct import_volume *v = &c->im->volumes[i];
		struct stat st;

		if (v->medium == NULL ||
		    fstatat(v->medium->dirfd, v->file->name, &st,
			AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		for (size_t k = 0; k < c->count; k++)
			if (c->all[k].device == st.st_dev)
				c->all[k].space.freed +=
				    (uint64_t)st.st_blocks * 512;
	}
}

int
import_check_space(struct import *im, struct cw_error *err)
{
	const struct cw_walk_query files = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	const struct cw_walk_query links = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f', .by_links = true};
	struct counting c = {.im = im};
	int ret;

	if (im->o->space == NULL)
		return 0;
	c.place = cw_place_new(im->roots, im->root_count);
	c.all = cw_calloc(im->root_count + 1, sizeof(*c.all));
	c.of_root = cw_calloc(im->root_count + 1, sizeof(*c.of_root));
	ret = look_at_roots(&c, err);
	if (ret == 0)
		ret = import_walk(
		    im->catalog_path, &files, count_single, &c, err);
	if (ret == 0)
		ret =
		    import_walk(im->catalog_path, &links, count_group, &c, err);
	count_freed(&c);
	for (size_t i = 0; i < c.count && ret == 0; i++)
		ret = im->o->space(im->o->space_arg, &c.all[i].space, err);
	free(c.all);
	free(c.of_root);
	cw_place_free(c.place);
	return ret;
}
