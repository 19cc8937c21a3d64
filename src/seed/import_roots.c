/*
 * The directories that a seed is imported into.
 */
#include "seed/import_impl.h"

#include "base/buf.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool
import_is_empty(int fd)
{
	struct dirent *entry;
	bool empty = true;
	DIR *dir;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = again < 0 ? NULL : fdopendir(again);
	if (dir == NULL) {
		cw_close(&again);
		return false;
	}
	while ((entry = readdir(dir)) != NULL && empty)
		empty = strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			strcmp(entry->d_name, "lost+found") == 0;
	closedir(dir);
	return empty;
}

char *
import_root_note(const char *name)
{
	return cw_asprintf("import.root.%s", name);
}

/*
 * Opens (makes) one root's directory; it is empty, or ours from before.  What
 * a catalog that just came in says of before is another site's, or a lie: it
 * is asked only if the caller says so.
 */
static int
open_root(struct import *im, const char *name, const char *path,
    struct cw_catalog *known, struct cw_error *err)
{
	struct cw_place_root *root = &im->roots[im->root_count];
	char *real, *note = import_root_note(name), *before = NULL;
	int ret = -1;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		cw_error_errno(err, "cannot make the root %s", path);
		free(note);
		return -1;
	}
	real = realpath(path, NULL);
	root->dirfd = cw_open_dir(path, err);
	if (root->dirfd < 0 || real == NULL)
		goto out;
	root->name = name;
	im->result->roots[im->root_count].name = cw_strdup(name);
	im->result->roots[im->root_count].path = cw_strdup(real);
	im->result->root_count = ++im->root_count;
	if (known != NULL && cw_catalog_note_get(known, note, &before, err) < 0)
		goto out;
	if (before != NULL && strcmp(before, real) != 0) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "this seed is being received into %s: go on with --root "
		    "%s=%s, or remove the replica first",
		    before, name, before);
		goto out;
	}
	if (before == NULL && !import_is_empty(root->dirfd)) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "%s is not empty: receive into an empty directory, "
		    "nothing there is ever overwritten",
		    real);
		goto out;
	}
	if ((before == NULL || known != im->catalog) &&
	    cw_catalog_note_set(im->catalog, note, real, err) < 0)
		goto out;
	ret = 0;
out:
	free(before);
	free(note);
	free(real);
	return ret;
}

static void
note_capture(struct import *im, const struct cw_root *root)
{
	struct cw_import_root *r = &im->result->roots[im->root_count - 1];

	r->is_stale = strcmp(root->capture, CW_CAPTURE_STALE) == 0;
	r->is_output =
	    r->is_stale || strcmp(root->capture, CW_CAPTURE_COMMAND) == 0;
}

int
import_open_roots(
    struct import *im, struct cw_catalog *before, struct cw_error *err)
{
	const struct cw_import_options *o = im->o;
	const struct cw_root *listed;
	struct cw_root *roots;
	size_t count;
	int ret = 0;

	listed = cw_catalog_roots(im->catalog, &count);
	roots = cw_memdup(listed, count * sizeof(*listed));
	im->roots = cw_calloc(count, sizeof(*im->roots));
	for (size_t i = 0; i < count; i++)
		im->roots[i].dirfd = -1;
	im->result->roots = cw_calloc(count, sizeof(*im->result->roots));
	for (size_t i = 0; i < count && ret == 0; i++) {
		const char *path = NULL;

		for (size_t k = 0; k < o->root_count; k++)
			if (o->roots[k].name == NULL
				? count == 1
				: strcmp(o->roots[k].name, roots[i].name) == 0)
				path = o->roots[k].path;
		if (path == NULL && count == 1 && o->root_count == 1)
			path = o->roots[0].path;
		if (path == NULL)
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "the store has %zu roots, and none was given for "
			    "%s: add --root %s=DIR",
			    count, roots[i].name, roots[i].name);
		else
			ret = open_root(im, listed[i].name, path, before, err);
		if (ret == 0)
			note_capture(im, &roots[i]);
		listed = cw_catalog_roots(im->catalog, &count);
	}
	if (ret == 0 && o->root_count > count)
		ret = cw_error_set(err, CW_ERR_USAGE,
		    "%zu roots were given, the store has %zu", o->root_count,
		    count);
	/* The catalog's list moves when notes are set; keep our own names. */
	for (size_t i = 0; i < im->root_count; i++)
		im->roots[i].name = im->result->roots[i].name;
	free(roots);
	return ret;
}

int
import_declare(struct import *im, struct cw_error *err)
{
	return im->o->declare == NULL
		   ? 0
		   : im->o->declare(im->o->declare_arg, im->result, err);
}
