/*
 * The catalogs of a home's stores, and scanning what the configuration says.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "site/command.h"
#include "site/home.h"
#include "site/home_dir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
cw_home_has_catalog(
    const struct cw_home *home, const struct cw_config_store *store)
{
	char *path = cw_home_catalog_path(home, store->name);
	bool is_there = access(path, F_OK) == 0;

	free(path);
	return is_there;
}

/* Whether there is no trace of a store; its directory was never used. */
static bool
is_fresh(const struct cw_home *home, const struct cw_config_store *store)
{
	char *dir = cw_home_store_dir(home, store->name);
	/* A catalog in the making, left by a crash, is made anew. */
	bool is = access(dir, F_OK) < 0 ||
		  home_dir_is_empty(dir, "catalog.sqlite.new");

	free(dir);
	return is;
}

/* Why there is no catalog, where none may be made; 0: one may be. */
static int
explain_none(const struct cw_home *home, const struct cw_config_store *store,
    const char *path, struct cw_error *err)
{
	if (store->follow != NULL)
		return cw_error_set(err, CW_ERR_MISSING,
		    "store %s is a replica of %s and has received nothing yet; "
		    "import a seed with `causeway receive`, or fetch it with "
		    "`causeway sync %s`",
		    store->name, store->follow, store->name);
	if (!is_fresh(home, store))
		return cw_error_set(err, CW_ERR_MISSING,
		    "the catalog of store %s is gone: %s.  Put it back from a "
		    "backup; or, to begin the store anew with new seeds, "
		    "remove the directory it was in",
		    store->name, path);
	return 0;
}

/* Makes the catalog of a store of which there is no trace yet. */
static int
make_catalog(const struct cw_home *home, const struct cw_config_store *store,
    const char *path, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	int ret = -1;

	if (explain_none(home, store, path, err) < 0)
		return -1;
	if (cw_home_make_store_dir(home, store->name, err) < 0 ||
	    cw_catalog_create(path, store->name, err) < 0)
		return -1;
	if (cw_catalog_open(path, CW_CATALOG_WRITE, &c, err) < 0)
		return -1;
	ret = cw_catalog_note_set(c, CW_NOTE_ROLE, CW_ROLE_ACTIVE, err);
	cw_catalog_close(c);
	return ret;
}

int
cw_home_catalog(const struct cw_home *home, const struct cw_config_store *store,
    enum cw_catalog_mode mode, struct cw_catalog **out, struct cw_error *err)
{
	char *path = cw_home_catalog_path(home, store->name);
	int ret = -1;

	*out = NULL;
	if (!cw_home_has_catalog(home, store)) {
		if (mode == CW_CATALOG_READ) {
			if (explain_none(home, store, path, err) == 0)
				cw_error_set(err, CW_ERR_MISSING,
				    "store %s has no catalog yet; take its "
				    "first "
				    "generation with `causeway scan %s`",
				    store->name, store->name);
			goto out;
		}
		if (make_catalog(home, store, path, err) < 0)
			goto out;
	}
	ret = cw_catalog_open(path, mode, out, err);
out:
	free(path);
	return ret;
}

int
cw_home_make_spool(const struct cw_config_root *root, struct cw_error *err)
{
	return root->has_spool ? cw_make_dirs(root->path, 0700, err) : 0;
}

/* The output of a command, now or once, at this site or another. */
static bool
is_output(struct cw_catalog *c, const struct cw_config_root *root)
{
	size_t count = 0;
	const struct cw_root *known = cw_catalog_roots(c, &count);

	if (root->command != NULL)
		return true;
	for (size_t i = 0; i < count; i++)
		if (strcmp(known[i].name, root->name) == 0)
			return strcmp(known[i].capture, CW_CAPTURE_COMMAND) ==
				   0 ||
			       strcmp(known[i].capture, CW_CAPTURE_STALE) == 0;
	return false;
}

struct cw_scan_root *
cw_home_scan_roots(const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_commands *commands)
{
	struct cw_scan_root *roots =
	    cw_calloc(store->root_count, sizeof(*roots));

	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *root = &store->roots[i];
		bool is_fresh = root->command != NULL && commands != NULL &&
				!commands->has_failed[i];

		roots[i].name = root->name;
		roots[i].path = root->path;
		roots[i].format =
		    root->command != NULL ? "plain" : store->format;
		if (is_output(c, root))
			roots[i].capture =
			    is_fresh ? CW_CAPTURE_COMMAND : CW_CAPTURE_STALE;
	}
	return roots;
}

int
cw_home_scan(const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_commands *commands, const struct cw_scan_options *options,
    struct cw_scan_result *result, struct cw_error *err)
{
	struct cw_scan_options o = *options;
	struct cw_scan_root *roots = cw_home_scan_roots(store, c, commands);
	int ret;

	o.excludes = (const char *const *)store->excludes;
	o.exclude_count = store->exclude_count;
	ret = cw_scan(c, roots, store->root_count, &o, result, err);
	free(roots);
	return ret;
}
