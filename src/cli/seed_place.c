#include "cli/seed_place.h"

#include "base/fs.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 4096u

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether a directory is that one, or lies in it: upwards to the top. */
static bool
lies_in(const char *path, const struct stat *dir)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), up;
	struct stat st, last;
	bool is = false;

	for (unsigned i = 0; fd >= 0 && i < DEPTH_MAX; i++) {
		if (fstat(fd, &st) < 0 || (i > 0 && is_same(&st, &last)))
			break;
		if ((is = is_same(&st, dir)))
			break;
		last = st;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		cw_close(&fd);
		fd = up;
	}
	cw_close(&fd);
	return is;
}

int
cw_cli_seed_place(const struct cw_home *home, const char *const *dirs,
    size_t count, struct cw_error *err)
{
	const struct cw_config *config = &home->config;
	struct stat st;

	for (size_t i = 0; i < config->store_count; i++) {
		const struct cw_config_store *store = &config->stores[i];

		for (size_t r = 0; r < store->root_count; r++) {
			const char *root = store->roots[r].path;

			if (stat(root, &st) < 0)
				continue;
			for (size_t k = 0; k < count; k++)
				if (lies_in(dirs[k], &st))
					return cw_error_set(err, CW_ERR_REFUSED,
					    "%s lies in %s, a root of store "
					    "%s, which would carry the seed "
					    "along: mount the medium somewhere "
					    "else",
					    dirs[k], root, store->name);
		}
	}
	return 0;
}
