/*
 * Before and after the volumes: what the catalog alone says.
 */
#include "seed/import_impl.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int
make_dir(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	(void)e;
	return cw_place_dir(arg, path, err);
}

static int
finish_dir(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	return cw_place_dir_finish(arg, path, e, err);
}

static int
make_symlink(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct stat st;
	int ret;

	/* What is as it should be stays: run again, nothing changes. */
	ret = cw_place_stat(arg, path, &st, err);
	if (ret < 0)
		return -1;
	return cw_place_symlink(arg, path, e, err);
}

/*
 * Names of one file.  Those that lay in one volume are links already; here
 * those of different volumes become one.  A name is taken away before it is
 * linked: one that an interruption left missing is linked when we come again.
 */
struct group {
	struct cw_place *place;
	int64_t id;
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
	char *path;
};

static int
join_links(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct group *g = arg;
	struct stat st;
	int ret;

	ret = cw_place_stat(g->place, path, &st, err);
	if (ret < 0 || (ret == 0 && !import_is_placed(&st, e)))
		return ret;
	if (g->path != NULL && g->id == e->linkgroup && g->size == e->size &&
	    memcmp(g->digest, e->digest, sizeof(g->digest)) == 0)
		return cw_place_link(g->place, path, g->path, err);
	if (ret == 1)
		return 0;
	free(g->path);
	g->path = cw_strdup(path);
	g->id = e->linkgroup;
	g->size = e->size;
	memcpy(g->digest, e->digest, sizeof(g->digest));
	return 0;
}

static int
note_awaited(struct import *im, bool *is_whole, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	*is_whole = true;
	for (size_t i = 0; i < im->volume_count; i++) {
		const struct import_volume *v = &im->volumes[i];

		if (v->state == VOLUME_DONE) {
			im->result->volumes++;
			continue;
		}
		*is_whole = false;
		cw_buf_printf(
		    &text, "%s%u", text.len > 0 ? " " : "", v->number);
	}
	ret = cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_AWAITED,
	    *is_whole ? NULL : cw_buf_string(&text), err);
	cw_buf_free(&text);
	return ret;
}

static void
list_absent(struct import *im)
{
	struct cw_import_result *r = im->result;

	for (size_t i = 0; i < im->volume_count; i++) {
		uint32_t number = im->volumes[i].file->medium;
		bool is_listed = false;

		if (im->volumes[i].state != VOLUME_ABSENT)
			continue;
		r->is_grouped |= im->volumes[i].group != NULL;
		for (size_t k = 0; k < r->absent_count; k++)
			is_listed |= r->absent[k] == number;
		if (is_listed)
			continue;
		r->absent = cw_reallocarray(
		    r->absent, r->absent_count + 1, sizeof(*r->absent));
		r->absent[r->absent_count++] = number;
	}
}

int
import_make_dirs(
    struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query dirs = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'd'};

	return import_walk(im->catalog_path, &dirs, make_dir, place, err);
}

int
import_complete(struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query dirs = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'd'};
	const struct cw_walk_query symlinks = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'l'};
	const struct cw_walk_query links = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f', .by_links = true};
	struct group group = {.place = place};
	uint64_t left_out = 0, bytes;
	bool is_whole = false;
	int ret;

	cw_progress_start(im->o->progress, "completing", 0, 0);
	ret = import_finish_cuts(im, place, err);
	if (ret == 0)
		ret = import_walk(
		    im->catalog_path, &links, join_links, &group, err);
	free(group.path);
	if (ret == 0)
		ret = import_count_wanted(im, place, err);
	if (ret == 0)
		ret = import_walk(
		    im->catalog_path, &symlinks, make_symlink, place, err);
	if (ret == 0)
		ret = import_walk(
		    im->catalog_path, &dirs, finish_dir, place, err);
	if (ret == 0)
		ret = cw_place_sync(place, err);
	if (ret == 0)
		ret = note_awaited(im, &is_whole, err);
	if (ret == 0)
		ret = cw_catalog_unpacked(im->catalog, &left_out, &bytes, err);
	if (ret == 0 && left_out > 0)
		import_fault(im,
		    "some files could not be read at the active site "
		    "when the seed was packed: no medium has them");
	is_whole = is_whole && left_out == 0 && im->result->wanted == 0 &&
		   im->o->set->manifest.is_final;
	if (ret == 0)
		ret = cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_STATE,
		    is_whole ? "ended" : "running", err);
	list_absent(im);
	return ret;
}
