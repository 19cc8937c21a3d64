/*
 * A seed whose catalog became another one while it was imported, since one of
 * its media was made again (`seed remake`) from a store that had lived on.
 *
 * What the new catalog lists as the one before did may stay where it lies.
 * All else that came by the one before goes away, and comes again from the
 * volume that the new catalog says.  A volume counts as done only if all that
 * the new catalog has in it was the same before.
 *
 * Interrupted, it is done again from its beginning: the catalog before is kept
 * until the tree is brought to the new one.
 */
#include "seed/import_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct revision {
	struct import *im;
	struct cw_catalog *other; /* looked up in: the new one, or the old */
	struct cw_place *place;
	char **dirs; /* that are no more: parents first */
	size_t dir_count;
};

char *
import_previous_path(const struct import *im)
{
	return cw_asprintf("%s.previous", im->catalog_path);
}

static bool
same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* Whether what was placed for the one is what the other wants. */
static bool
is_same(const struct cw_entry *a, const struct cw_entry *b)
{
	return a->kind == b->kind && a->size == b->size && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid &&
	       strcmp(a->user, b->user) == 0 &&
	       strcmp(a->group, b->group) == 0 && a->mtime_ns == b->mtime_ns &&
	       a->linkgroup == b->linkgroup && a->has_digest == b->has_digest &&
	       (!a->has_digest ||
		   memcmp(a->digest, b->digest, sizeof(a->digest)) == 0) &&
	       same_bytes(a->target, a->target_len, b->target, b->target_len) &&
	       same_bytes(a->attrs, a->attrs_len, b->attrs, b->attrs_len);
}

struct parts {
	uint32_t *volumes;
	size_t count;
};

static int
take_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct parts *p = arg;

	(void)part;
	(void)parts;
	p->volumes =
	    cw_reallocarray(p->volumes, p->count + 1, sizeof(*p->volumes));
	p->volumes[p->count++] = volume;
	return 0;
}

/* Off the list of what is done. */
static int
undo(struct import *im, uint32_t number, struct cw_error *err)
{
	struct import_volume *v = import_find_volume(im, number);

	if (v == NULL || v->state != VOLUME_DONE)
		return 0;
	return import_undo(im, v, err);
}

/* ---- what the new catalog has ---- */

/* A file that was another one, or came otherwise: its volumes again. */
static int
undo_file(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct revision *r = arg;
	const struct import_volume *v = import_find_volume(r->im, e->volume);
	struct cw_entry old;
	int ret;

	if (v == NULL || v->state != VOLUME_DONE)
		return 0;
	ret = cw_catalog_lookup_path(r->other, path, strlen(path), &old, err);
	if (ret < 0 ||
	    (ret == 0 && is_same(&old, e) && old.volume == e->volume))
		return ret;
	return undo(r->im, e->volume, err);
}

struct cut {
	struct revision *r;
	struct cw_error *err;
};

/* The same for files in parts: they lie in more than one volume. */
static int
undo_cut(void *arg, int64_t dir, const char *name, size_t len)
{
	struct cut *cut = arg;
	struct revision *r = cut->r;
	struct parts new = {NULL, 0}, old = {NULL, 0};
	struct cw_catalog *c = NULL;
	const char *dir_path;
	char *path = NULL;
	struct cw_entry e;
	size_t dir_len;
	int ret = -1;

	/* A connection of its own: the caller's statement is running. */
	if (cw_catalog_open(
		r->im->catalog_path, CW_CATALOG_READ, &c, cut->err) < 0 ||
	    cw_catalog_parts(c, dir, name, len, take_part, &new, cut->err) <
		0 ||
	    cw_catalog_dir_path(c, dir, &dir_path, &dir_len, cut->err) < 0)
		goto out;
	path = cw_asprintf("%.*s/%.*s", (int)dir_len, dir_path, (int)len, name);
	ret =
	    cw_catalog_lookup_path(r->other, path, strlen(path), &e, cut->err);
	if (ret == 0)
		ret = cw_catalog_parts(r->other, e.dir, e.name, e.name_len,
		    take_part, &old, cut->err);
	if (ret < 0)
		goto out;
	ret = 0;
	if (!same_bytes(new.volumes, new.count * sizeof(*new.volumes),
		old.volumes, old.count * sizeof(*old.volumes)))
		for (size_t i = 0; i < new.count &&ret == 0; i++)
			ret = undo(r->im, new.volumes[i], cut->err);
out:
	free(new.volumes);
	free(old.volumes);
	free(path);
	cw_catalog_close(c);
	return ret;
}

/* ---- what the one before had ---- */

static int
remove_at(struct revision *r, const char *path, int flags, struct cw_error *err)
{
	const char *name;
	int dirfd, ret;

	ret = cw_place_parent(r->place, path, &dirfd, &name, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	if (unlinkat(dirfd, name, flags) < 0 && errno != ENOENT) {
		/* What somebody else put there is not ours to remove. */
		if (flags == AT_REMOVEDIR &&
		    (errno == ENOTEMPTY || errno == EEXIST))
			return 0;
		return cw_error_errno(
		    err, "cannot remove what the seed does not list any more");
	}
	return 0;
}

static int
remove_other(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct revision *r = arg;
	struct cw_entry new;
	int ret;

	if (e->kind == CW_KIND_DIR && strchr(path, '/') == NULL)
		return 0; /* a root */
	ret = cw_catalog_lookup_path(r->other, path, strlen(path), &new, err);
	if (ret < 0)
		return -1;
	if (ret == 0 && (e->kind == CW_KIND_DIR ? new.kind == CW_KIND_DIR
						: is_same(e, &new)))
		return 0;
	if (e->kind != CW_KIND_DIR)
		return remove_at(r, path, 0, err);
	if (r->dir_count % 256 == 0)
		r->dirs = cw_reallocarray(
		    r->dirs, r->dir_count + 256, sizeof(*r->dirs));
	r->dirs[r->dir_count++] = cw_strdup(path);
	return 0;
}

static int
remove_dirs(struct revision *r, struct cw_error *err)
{
	int ret = 0;

	for (size_t i = r->dir_count; i-- > 0 && ret == 0;) {
		ret = remove_at(r, r->dirs[i], AT_REMOVEDIR, err);
		cw_place_forget(r->place);
	}
	return ret;
}

/* First the list of what is done: a volume on it is never read again. */
static int
revise(struct import *im, const char *previous, struct cw_error *err)
{
	const struct cw_walk_query files = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	const struct cw_walk_query all = CW_WALK_ALL;
	struct revision r = {.im = im};
	struct cut cut = {.r = &r, .err = err};
	int ret;

	cw_progress_start(im->o->progress, "comparing", 0, 0);
	ret = cw_catalog_open(previous, CW_CATALOG_READ, &r.other, err);
	if (ret == 0)
		ret = import_walk(im->catalog_path, &files, undo_file, &r, err);
	if (ret == 0)
		ret = cw_catalog_each_cut(im->catalog, undo_cut, &cut, err);
	cw_catalog_close(r.other);
	r.other = NULL;
	r.place = cw_place_new(im->roots, im->root_count);
	if (ret == 0)
		ret = cw_catalog_open(
		    im->catalog_path, CW_CATALOG_READ, &r.other, err);
	if (ret == 0)
		ret = import_walk(previous, &all, remove_other, &r, err);
	if (ret == 0)
		ret = remove_dirs(&r, err);
	if (ret == 0)
		ret = cw_place_sync(r.place, err);
	for (size_t i = 0; i < r.dir_count; i++)
		free(r.dirs[i]);
	free(r.dirs);
	cw_place_free(r.place);
	cw_catalog_close(r.other);
	return ret;
}

int
import_revise(struct import *im, struct cw_error *err)
{
	char *previous;
	bool is_pending;
	int ret;

	if (import_note_is(im->catalog, NOTE_REVISING, "1", &is_pending, err) <
	    0)
		return -1;
	previous = import_previous_path(im);
	ret = is_pending ? revise(im, previous, err) : 0;
	if (ret == 0 && is_pending)
		ret =
		    cw_catalog_note_set(im->catalog, NOTE_REVISING, NULL, err);
	if (ret == 0)
		ret = import_remove_incoming(previous, err);
	free(previous);
	return ret;
}
