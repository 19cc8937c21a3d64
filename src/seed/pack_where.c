#include "seed/pack_where.h"

#include "base/buf.h"
#include "media/set.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* The path within the root, "" for itself; NULL if it is not in it. */
static const char *
within(const char *path, const char *root)
{
	size_t len = strlen(root);

	while (len > 0 && root[len - 1] == '/')
		len--;
	if (strncmp(path, root, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path[len] == '/' ? path + len + 1 : "";
}

/* Does the store leave out the path, or a directory that it is in? */
static bool
is_excluded(const struct cw_pack_options *o, const char *path)
{
	char *part = cw_strdup(path);
	bool found = false;

	for (size_t end = 0; !found; end++) {
		char c = part[end];

		if (c != '/' && c != '\0')
			continue;
		part[end] = '\0';
		for (size_t i = 0; i < o->exclude_count; i++)
			found |=
			    fnmatch(o->excludes[i], part, FNM_PATHNAME) == 0;
		part[end] = c;
		if (c == '\0')
			break;
	}
	free(part);
	return found;
}

int
cw_pack_where(
    const struct cw_pack_options *o, const char *dir, struct cw_error *err)
{
	char *real = realpath(dir, NULL);
	int ret = 0;

	for (size_t i = 0; i < o->root_count && real != NULL && ret == 0; i++) {
		char *root = realpath(o->roots[i].path, NULL);
		const char *rest = root == NULL ? NULL : within(real, root);

		if (rest != NULL) {
			char *path = cw_asprintf("%s%s" CW_SET_FOLDER, rest,
			    rest[0] == '\0' ? "" : "/");

			if (!is_excluded(o, path))
				ret = cw_error_set(err, CW_ERR_REFUSED,
				    "%s lies in the store (root %s, %s), which "
				    "would then hold its own seed: give a "
				    "directory elsewhere, or exclude it",
				    dir, o->roots[i].name, o->roots[i].path);
			free(path);
		}
		free(root);
	}
	for (size_t i = 0; i < o->other_count && real != NULL && ret == 0;
	     i++) {
		char *root = realpath(o->others[i], NULL);

		if (root != NULL && within(real, root) != NULL)
			ret = cw_error_set(err, CW_ERR_REFUSED,
			    "%s lies in %s, a root of another store, which "
			    "would carry the seed along: give a directory "
			    "elsewhere",
			    dir, o->others[i]);
		free(root);
	}
	free(real);
	return ret;
}
