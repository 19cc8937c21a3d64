/*
 * What did not arrive: how many files, in how many mailboxes.
 */
#include "seed/import_impl.h"

#include "base/clock.h"
#include "base/text.h"
#include "seed/name_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct wanted {
	struct import *im;
	struct cw_place *place;
	struct cw_name_set mailboxes;
};

bool
import_is_placed(const struct stat *st, const struct cw_entry *e)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	       cw_time_ns(st->st_mtim) == e->mtime_ns;
}

static bool
ends_in(const char *path, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && path[len - n - 1] == '/' &&
	       memcmp(path + len - n, name, n) == 0;
}

/* The mailbox that a file is of: its directory, in a Maildir the one above. */
size_t
import_mailbox_len(const char *path, bool is_maildir)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	if (is_maildir &&
	    (ends_in(path, len, "cur") || ends_in(path, len, "new")))
		len -= 4;
	return len;
}

static bool
is_in_maildir(struct cw_catalog *c, const char *path)
{
	size_t count, len = strcspn(path, "/");
	const struct cw_root *roots = cw_catalog_roots(c, &count);

	for (size_t i = 0; i < count; i++)
		if (strlen(roots[i].name) == len &&
		    memcmp(roots[i].name, path, len) == 0)
			return strcmp(roots[i].format, "maildir") == 0;
	return false;
}

/* The signer listed it in a volume that does not hold it. */
static void
tell_unheld(struct import *im, const char *path, uint32_t volume)
{
	char quoted[CW_QUOTE_MAX], *sentence;

	cw_text_quote(path, strlen(path), quoted);
	sentence = cw_asprintf("%s: the catalog lists it in volume %u, which "
			       "does not hold it",
	    quoted, volume);
	import_fault(im, sentence);
	free(sentence);
}

static int
stop_at_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	(void)arg;
	(void)part;
	(void)parts;
	(void)volume;
	return 1;
}

/* Whether it lay in parts, over several volumes: 1 or 0. */
static int
is_cut(struct import *im, const struct cw_entry *e, struct cw_error *err)
{
	return cw_catalog_parts(
	    im->catalog, e->dir, e->name, e->name_len, stop_at_part, NULL, err);
}

/*
 * Of a volume that came whole all files are there, unless the signer listed
 * some that it does not hold; what is there of it was checked when it was
 * written, and may be a name of a file whose other name has another time.  But
 * one that is cut may have its size already, and lack parts before its end.
 */
static int
is_there(struct import *im, const struct stat *st, const struct cw_entry *e,
    bool is_done, bool *is, struct cw_error *err)
{
	int cut;

	*is = import_is_placed(st, e);
	if (*is || !is_done || !S_ISREG(st->st_mode) ||
	    (uint64_t)st->st_size != e->size)
		return 0;
	cut = is_cut(im, e, err);
	*is = cut == 0;
	return cut < 0 ? -1 : 0;
}

/*
 * As many files were put from it in this run as the catalog lists in it, each
 * of them once and with its digest: they need not be looked for.
 */
static bool
is_all_there(const struct import_volume *v)
{
	return v->state == VOLUME_DONE && v->is_counted &&
	       v->placed == v->listed;
}

struct listed {
	struct import *im;
	bool is_elsewhere; /* some are in no volume that we know */
};

static void
count_listed(void *arg, uint32_t volume)
{
	struct listed *l = arg;
	struct import_volume *v = import_find_volume(l->im, volume);

	if (v == NULL)
		l->is_elsewhere = true;
	else
		v->listed++;
}

/* Whether nothing has to be looked for. */
static int
is_everything_there(struct import *im, bool *is, struct cw_error *err)
{
	struct listed l = {.im = im};

	for (size_t i = 0; i < im->volume_count; i++)
		im->volumes[i].listed = 0;
	if (cw_catalog_file_volumes(im->catalog, count_listed, &l, err) < 0)
		return -1;
	*is = !l.is_elsewhere;
	for (size_t i = 0; i < im->volume_count && *is; i++)
		*is =
		    im->volumes[i].listed == 0 || is_all_there(&im->volumes[i]);
	return 0;
}

static int
count_one(
    const char *path, const struct cw_entry *e, void *arg, struct cw_error *err)
{
	struct wanted *w = arg;
	struct import *im = w->im;
	const struct import_volume *v = import_find_volume(im, e->volume);
	bool is_done = v != NULL && v->state == VOLUME_DONE;
	bool is = false;
	struct stat st;
	int ret;

	if (v != NULL && is_all_there(v))
		return 0;
	ret = cw_place_stat(w->place, path, &st, err);
	if (ret == 0)
		ret = is_there(im, &st, e, is_done, &is, err);
	if (ret < 0)
		return -1;
	if (is)
		return 0;
	im->result->wanted++;
	if (cw_name_set_add(&w->mailboxes, path,
		import_mailbox_len(path, is_in_maildir(im->catalog, path))))
		im->result->wanted_mailboxes++;
	/*
	 * No volume: it could not be read at the active site.  One that an
	 * unfinished seed does not list yet is still to come.
	 */
	if (!is_done &&
	    (v != NULL || e->volume == 0 || !im->o->set->manifest.is_final))
		return 0;
	ret = is_cut(im, e, err);
	if (ret == 0)
		tell_unheld(im, path, e->volume);
	return ret < 0 ? -1 : 0;
}

int
import_count_wanted(
    struct import *im, struct cw_place *place, struct cw_error *err)
{
	const struct cw_walk_query files = {
	    .dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	struct wanted w = {.im = im, .place = place};
	bool is_whole;
	int ret = is_everything_there(im, &is_whole, err);

	if (ret == 0 && !is_whole)
		ret = import_walk(im->catalog_path, &files, count_one, &w, err);
	cw_name_set_free(&w.mailboxes);
	return ret;
}
