/*
 * What was imported in a run before and is not there any more: a root whose
 * disk is not mounted, or files that somebody removed.  What import.done says
 * is true of the day it was written.
 */
#include "seed/import_impl.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- roots that are empty ---- */

struct beneath {
	const char *root;
	bool has_any;
};

/* Ends the walk at the first entry within the root. */
static int
find_beneath(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct beneath *b = arg;
	size_t len = strlen(b->root);

	(void)e;
	(void)err;
	b->has_any = strncmp(path, b->root, len) == 0 && path[len] == '/';
	return b->has_any ? 1 : 0;
}

/* Whether the catalog has anything that should be in a root. */
static int
has_entries(
    struct import *im, const char *root, bool *has, struct cw_error *err)
{
	const struct cw_walk_query all = CW_WALK_ALL;
	struct beneath b = {.root = root};

	if (import_walk(im->catalog_path, &all, find_beneath, &b, err) < 0)
		return -1;
	*has = b.has_any;
	return 0;
}

static size_t
count_done(const struct import *im)
{
	size_t count = 0;

	for (size_t i = 0; i < im->volume_count; i++)
		count += im->volumes[i].state == VOLUME_DONE;
	return count;
}

/* The replica is whole by its notes, and its tree is gone: from the seed? */
static int
begin_anew(struct import *im, struct cw_error *err)
{
	uint64_t generation = cw_catalog_info(im->catalog)->generation;

	if (generation != im->o->set->manifest.generation)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "replica %s went on to generation %llu after this seed was "
		    "imported, so its catalog is not the seed's any more: take "
		    "the store out of the configuration, remove %s, and "
		    "receive the seed as for the first time; `causeway sync` "
		    "then brings the rest",
		    im->result->store, (unsigned long long)generation,
		    im->store_dir);
	return cw_catalog_note_set(
	    im->catalog, CW_NOTE_IMPORT_STATE, "running", err);
}

int
import_check_emptied(struct import *im, bool *is_ended, struct cw_error *err)
{
	size_t done = count_done(im);

	if (!*is_ended && done == 0)
		return 0;
	for (size_t i = 0; i < im->root_count; i++) {
		bool has = false;

		if (!import_is_empty(im->roots[i].dirfd))
			continue;
		if (has_entries(im, im->roots[i].name, &has, err) < 0)
			return -1;
		if (!has)
			continue;
		if (!im->o->again)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "%s is empty, though %s imported into it before: "
			    "is its disk mounted? If what was there is gone "
			    "for good, add --again, and it is imported once "
			    "more",
			    im->result->roots[i].path,
			    *is_ended ? "all of this seed was"
				      : "a part of this seed was");
		if (*is_ended && begin_anew(im, err) < 0)
			return -1;
		*is_ended = false;
	}
	return 0;
}

int
import_check_mounted(struct import *im, struct cw_error *err)
{
	for (size_t i = 0; i < im->root_count; i++) {
		bool has = false;

		if (!import_is_empty(im->roots[i].dirfd))
			continue;
		if (has_entries(im, im->roots[i].name, &has, err) < 0)
			return -1;
		if (has)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "%s is empty, though replica %s has files there: "
			    "is its disk mounted? If they are gone for good, "
			    "take the store out of the configuration, remove "
			    "%s, and receive a full seed",
			    im->result->roots[i].path, im->result->store,
			    im->store_dir);
	}
	return 0;
}

/* ---- files that are gone ---- */

struct vanished {
	struct import *im;
	struct cw_place *place;
	struct cw_error *err;
	struct cw_buf lines; /* for import.done */

	/* The names of one file that are looked at. */
	int64_t group;
	uint8_t digest[CW_DIGEST_SIZE];
	bool has_name;	       /* one of them is there */
	struct cw_buf lacking; /* volumes of the others, uint32_t each */
};

static void
undo(struct vanished *x, uint32_t number)
{
	struct import_volume *v = import_find_volume(x->im, number);

	if (v == NULL || v->state != VOLUME_DONE)
		return;
	cw_buf_printf(&x->lines, "%u -\n", v->number);
	v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_WAITING;
}

/* Whether a file of a volume that is done is there: 1, 0, -1. */
static int
is_there(struct vanished *x, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	struct stat st;
	int ret = cw_place_stat(x->place, path, &st, err);

	if (ret != 0)
		return ret < 0 ? -1 : 0;
	/*
	 * One with another name may have another time; its size tells enough.
	 * A byte too long: one in parts, of which some are still to come.
	 */
	return S_ISREG(st.st_mode) && ((uint64_t)st.st_size == e->size ||
					  (uint64_t)st.st_size == e->size + 1);
}

static bool
is_done(const struct vanished *x, uint32_t number)
{
	const struct import_volume *v = import_find_volume(x->im, number);

	return v != NULL && v->state == VOLUME_DONE;
}

static int
undo_single(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct vanished *x = arg;
	int ret;

	if (e->linkgroup != 0 || !is_done(x, e->volume))
		return 0;
	ret = is_there(x, path, e, err);
	if (ret == 0)
		undo(x, e->volume);
	return ret < 0 ? -1 : 0;
}

/* Where one name of a file is left, the others are linked to it in the end. */
static void
end_group(struct vanished *x)
{
	for (size_t at = 0; at < x->lacking.len && !x->has_name;
	     at += sizeof(uint32_t)) {
		uint32_t number;

		memcpy(&number, x->lacking.data + at, sizeof(number));
		undo(x, number);
	}
	cw_buf_reset(&x->lacking);
	x->has_name = false;
}

static int
undo_linked(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct vanished *x = arg;
	int ret;

	if (x->group != e->linkgroup ||
	    memcmp(x->digest, e->digest, sizeof(x->digest)) != 0)
		end_group(x);
	x->group = e->linkgroup;
	memcpy(x->digest, e->digest, sizeof(x->digest));
	if (!is_done(x, e->volume))
		return 0;
	ret = is_there(x, path, e, err);
	if (ret == 0)
		cw_buf_append(&x->lacking, &e->volume, sizeof(e->volume));
	x->has_name = x->has_name || ret == 1;
	return ret < 0 ? -1 : 0;
}

static int
undo_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	(void)part;
	(void)parts;
	undo(arg, volume);
	return 0;
}

/* One in parts: they may lie in several volumes. */
static int
undo_cut(void *arg, int64_t dir, const char *name, size_t len)
{
	struct vanished *x = arg;
	struct cw_catalog *c = NULL;
	const char *dir_path;
	char *path = NULL;
	struct stat st;
	size_t dir_len;
	int ret;

	/* A connection of its own: the caller's statement is running. */
	if (cw_catalog_open(x->im->catalog_path, CW_CATALOG_READ, &c, x->err) <
	    0)
		return -1;
	ret = cw_catalog_dir_path(c, dir, &dir_path, &dir_len, x->err);
	if (ret == 0) {
		path = cw_asprintf(
		    "%.*s/%.*s", (int)dir_len, dir_path, (int)len, name);
		ret = cw_place_stat(x->place, path, &st, x->err);
	}
	if (ret == 1 || (ret == 0 && !S_ISREG(st.st_mode)))
		ret = cw_catalog_parts(c, dir, name, len, undo_part, x, x->err);
	free(path);
	cw_catalog_close(c);
	return ret < 0 ? -1 : 0;
}

int
import_undo_vanished(
    struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query files = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	const struct cw_walk_query links = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f', .by_links = true};
	struct vanished x = {.im = im,
	    .place = place,
	    .err = err,
	    .lines = CW_BUF_INIT,
	    .lacking = CW_BUF_INIT};
	int ret;

	if (count_done(im) == 0)
		return 0;
	cw_progress_start(im->o->progress, "comparing", 0, 0);
	ret = import_walk(im->catalog_path, &files, undo_single, &x, err);
	if (ret == 0)
		ret =
		    import_walk(im->catalog_path, &links, undo_linked, &x, err);
	end_group(&x);
	if (ret == 0)
		ret = cw_catalog_each_cut(im->catalog, undo_cut, &x, err);
	/* Before anything of them is placed again. */
	if (ret == 0 && x.lines.len > 0)
		ret = import_write_done(im, &x.lines, err);
	cw_buf_free(&x.lines);
	cw_buf_free(&x.lacking);
	return ret;
}
