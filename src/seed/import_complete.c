/*
 * Before and after the volumes: what the catalog alone says.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Calls each for the entries of a kind, with their paths. */
static int
walk(struct import *im, const struct cw_walk_query *query,
    int (*each)(struct import *im, const char *path, const struct cw_entry *e,
	void *arg, struct cw_error *err),
    void *arg, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	struct cw_buf path = CW_BUF_INIT;
	struct cw_walk *w = NULL;
	struct cw_entry e;
	int64_t dir = -1;
	size_t dir_len = 0;
	int ret;

	/* A connection of its own: each may use im->catalog. */
	ret = cw_catalog_open(im->catalog_path, CW_CATALOG_READ, &c, err);
	if (ret == 0)
		ret = cw_walk_open(c, query, &w, err);
	while (ret == 0 && (ret = cw_walk_next(w, &e, err)) == 1) {
		ret = cw_stop_check(err);
		if (ret == 0 && e.dir != dir) {
			const char *text;

			ret =
			    cw_catalog_dir_path(c, e.dir, &text, &dir_len, err);
			if (ret < 0)
				break;
			dir = e.dir;
			cw_buf_reset(&path);
			cw_buf_append(&path, text, dir_len);
			if (dir_len++ > 0)
				cw_buf_append(&path, "/", 1);
			else
				dir_len = 0;
		}
		if (ret == 0) {
			path.len = dir_len;
			cw_buf_append(&path, e.name, e.name_len);
			ret = each(im, cw_buf_string(&path), &e, arg, err);
		}
	}
	cw_walk_close(w);
	cw_catalog_close(c);
	cw_buf_free(&path);
	return ret;
}

static int
make_dir(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	(void)im;
	(void)e;
	return cw_place_dir(arg, path, err);
}

static int
finish_dir(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	(void)im;
	return cw_place_dir_finish(arg, path, e, err);
}

static int
make_symlink(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	struct stat st;
	int ret;

	(void)im;
	/* What is as it should be stays: run again, nothing changes. */
	ret = cw_place_stat(arg, path, &st, err);
	if (ret < 0)
		return -1;
	return cw_place_symlink(arg, path, e, err);
}

static bool
is_placed(const struct stat *st, const struct cw_entry *e)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	       (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec ==
		   e->mtime_ns;
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
join_links(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	struct group *g = arg;
	struct stat st;
	int ret;

	(void)im;
	ret = cw_place_stat(g->place, path, &st, err);
	if (ret < 0 || (ret == 0 && !is_placed(&st, e)))
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

static const struct import_volume *
find_volume(const struct import *im, uint32_t number)
{
	/* On a single medium they stand in order. */
	if (number > 0 && number <= im->volume_count &&
	    im->volumes[number - 1].number == number)
		return &im->volumes[number - 1];
	for (size_t i = 0; i < im->volume_count; i++)
		if (im->volumes[i].number == number)
			return &im->volumes[i];
	return NULL;
}

/*
 * Counts the files that did not arrive.  Of a volume that came whole all are
 * there, unless the signer listed some that it does not hold; what is there
 * of it was checked when it was written, and may be a name of a file whose
 * other name has another time.
 */
static int
count_wanted(struct import *im, const char *path, const struct cw_entry *e,
    void *arg, struct cw_error *err)
{
	const struct import_volume *v = find_volume(im, e->volume);
	bool is_done = v != NULL && v->state == VOLUME_DONE;
	char quoted[CW_QUOTE_MAX], *sentence;
	struct stat st;
	int ret;

	ret = cw_place_stat(arg, path, &st, err);
	if (ret < 0)
		return -1;
	if (ret == 0 &&
	    (is_done ? S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->size
		     : is_placed(&st, e)))
		return 0;
	im->result->wanted++;
	/* No volume: it could not be read at the active site. */
	if (is_done || (v == NULL && e->volume != 0)) {
		cw_text_quote(path, strlen(path), quoted);
		sentence = cw_asprintf(
		    "%s: the catalog lists it in volume %u, which does not "
		    "hold it",
		    quoted, e->volume);
		import_fault(im, sentence);
		free(sentence);
	}
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

	return walk(im, &dirs, make_dir, place, err);
}

int
import_complete(struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query dirs = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'd'};
	const struct cw_walk_query symlinks = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'l'};
	const struct cw_walk_query files = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	const struct cw_walk_query links = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f', .by_links = true};
	struct group group = {.place = place};
	uint64_t left_out = 0, bytes;
	bool is_whole = false;
	int ret;

	cw_progress_start(im->o->progress, "completing", 0, 0);
	ret = import_finish_cuts(im, place, err);
	if (ret == 0)
		ret = walk(im, &links, join_links, &group, err);
	free(group.path);
	if (ret == 0)
		ret = walk(im, &files, count_wanted, place, err);
	if (ret == 0)
		ret = walk(im, &symlinks, make_symlink, place, err);
	if (ret == 0)
		ret = walk(im, &dirs, finish_dir, place, err);
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
	is_whole = is_whole && left_out == 0 && im->result->wanted == 0;
	if (ret == 0)
		ret = cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_STATE,
		    is_whole ? "ended" : "running", err);
	list_absent(im);
	return ret;
}
