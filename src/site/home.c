#include "site/home.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "site/home_dir.h"
#include "site/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
config_name(const char *home_dir, const char *config_file)
{
	if (home_dir != NULL)
		return cw_asprintf("%s/%s", home_dir, CW_CONFIG_FILE);
	return cw_strdup(config_file != NULL ? config_file : CW_CONFIG_DEFAULT);
}

/* The directory a file is in, as text. */
static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return cw_strdup(".");
	if (slash == path)
		return cw_strdup("/");
	return cw_asprintf("%.*s", (int)(slash - path), path);
}

bool
cw_home_exists(const char *home_dir, const char *config_file)
{
	char *path = config_name(home_dir, config_file);
	bool is_there = access(path, F_OK) == 0;

	free(path);
	return is_there;
}

/* What to type to make this home. */
static int
no_home(const char *home_dir, const char *config_file, const char *path,
    struct cw_error *err)
{
	const char *option = home_dir != NULL	   ? " --home "
			     : config_file != NULL ? " --config "
						   : "";
	const char *value = home_dir != NULL	  ? home_dir
			    : config_file != NULL ? config_file
						  : "";

	return cw_error_set(err, CW_ERR_FAILED,
	    "there is no configuration %s; make this site with `causeway%s%s "
	    "init NAME`, or say where it is with --home DIR or --config FILE",
	    path, option, value);
}

/* Reads and parses the file at home->config_path into config. */
static int
load_config(const char *path, struct cw_config *config, uint8_t sha256[32],
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int found = cw_read_file(AT_FDCWD, path, CW_CONFIG_MAX, &text, err);
	int ret = -1;

	if (found > 0)
		cw_error_set(
		    err, CW_ERR_FAILED, "configuration %s is gone", path);
	else if (found == 0)
		ret = cw_config_parse((const char *)cw_buf_string(&text),
		    text.len, path, config, err);
	else if (err != NULL && err->code == CW_ERR_FORMAT)
		/* A file that is no text is the operator's mistake. */
		err->code = CW_ERR_USAGE;
	if (ret == 0)
		cw_sha256(text.data, text.len, sha256);
	cw_buf_free(&text);
	return ret;
}

void
home_place_spools(const struct cw_home *home, struct cw_config *config)
{
	for (size_t i = 0; i < config->store_count; i++) {
		struct cw_config_store *store = &config->stores[i];

		for (size_t k = 0; k < store->root_count; k++) {
			struct cw_config_root *root = &store->roots[k];
			char *path = root->path;

			if (home->state_path == NULL || path[0] == '/')
				continue;
			root->path =
			    cw_asprintf("%s/%s", home->state_path, path);
			free(path);
		}
	}
}

int
cw_home_reload(struct cw_home *home, bool *has_changed, struct cw_error *err)
{
	struct cw_config config = CW_CONFIG_INIT;
	uint8_t sha256[sizeof(home->config_sha256)];

	if (load_config(home->config_path, &config, sha256, err) < 0)
		return -1;
	if (has_changed != NULL)
		*has_changed =
		    memcmp(sha256, home->config_sha256, sizeof(sha256)) != 0;
	home_place_spools(home, &config);
	cw_config_free(&home->config);
	home->config = config;
	memcpy(home->config_sha256, sha256, sizeof(sha256));
	return 0;
}

static struct cw_home *
home_new(void)
{
	struct cw_home *home = cw_calloc(1, sizeof(*home));

	home->state_fd = home->lock_fd = -1;
	return home;
}

void
cw_home_close(struct cw_home *home)
{
	if (home == NULL)
		return;
	cw_config_free(&home->config);
	cw_close(&home->lock_fd);
	cw_close(&home->state_fd);
	free(home->config_path);
	free(home->state_path);
	free(home);
}

/* The same file or directory by whatever path. */
static bool
is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int
open_state(struct cw_home *home, const char *home_dir, struct cw_error *err)
{
	const char *state = home->config.state;

	if (home_dir != NULL && state != NULL && !is_same_file(home_dir, state))
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s names the state directory %s, but with --home it is "
		    "%s itself; use --config %s, or take the line `state` out",
		    home->config_path, state, home_dir, home->config_path);
	if (home_dir != NULL)
		state = home_dir;
	if (state == NULL)
		state = CW_STATE_DEFAULT;
	home->state_path = realpath(state, NULL);
	if (home->state_path == NULL)
		return cw_error_errno(err,
		    "cannot open state directory %s of %s", state,
		    home->config_path);
	home->state_fd = cw_open_dir(home->state_path, err);
	home_place_spools(home, &home->config);
	return home->state_fd < 0 ? -1 : 0;
}

int
cw_home_open(const char *home_dir, const char *config_file,
    enum cw_home_mode mode, struct cw_home **out, struct cw_error *err)
{
	struct cw_home *home = home_new();
	char *path = config_name(home_dir, config_file);
	int ret = -1;

	*out = NULL;
	home->config_path = realpath(path, NULL);
	if (home->config_path == NULL) {
		if (errno == ENOENT || errno == ENOTDIR)
			no_home(home_dir, config_file, path, err);
		else
			cw_error_errno(err, "cannot find %s", path);
		goto out;
	}
	if (cw_home_reload(home, NULL, err) < 0 ||
	    open_state(home, home_dir, err) < 0)
		goto out;
	/* It may have been changed while we had no lock. */
	if (mode == CW_HOME_WRITE && (home_take_lock(home, err) < 0 ||
					 cw_home_reload(home, NULL, err) < 0))
		goto out;
	*out = home;
	home = NULL;
	ret = 0;
out:
	cw_home_close(home);
	free(path);
	return ret;
}

bool
home_dir_is_empty(const char *path, const char *leftover)
{
	DIR *dir = opendir(path);
	bool is_empty = dir != NULL;
	struct dirent *d;

	while (is_empty && (d = readdir(dir)) != NULL)
		is_empty = strcmp(d->d_name, ".") == 0 ||
			   strcmp(d->d_name, "..") == 0 ||
			   strcmp(d->d_name, HOME_STORE_LOCK) == 0 ||
			   (leftover != NULL && strncmp(d->d_name, leftover,
						    strlen(leftover)) == 0);
	if (dir != NULL)
		(void)closedir(dir);
	return is_empty;
}

/*
 * Makes the state directory.  A directory that was there and empty becomes
 * private as well; the mode of one that holds other things is not ours to
 * change, and what we make in it is private by itself.
 */
static int
make_state(struct cw_home *home, const char *state, struct cw_error *err)
{
	if (cw_make_dirs(state, 0700, err) < 0)
		return -1;
	home->state_path = realpath(state, NULL);
	if (home->state_path == NULL)
		return cw_error_errno(err, "cannot find %s", state);
	if (home_dir_is_empty(home->state_path, NULL) &&
	    chmod(home->state_path, 0700) < 0)
		return cw_error_errno(
		    err, "cannot make %s private", home->state_path);
	home->state_fd = cw_open_dir(home->state_path, err);
	return home->state_fd < 0 ? -1 : 0;
}

/* Makes the directory of the configuration; its absolute path to home. */
static int
place_config(struct cw_home *home, const char *path, struct cw_error *err)
{
	char *dir = parent_of(path), *real = NULL;
	const char *slash = strrchr(path, '/');
	int ret = -1;

	if (cw_make_dirs(dir, 0755, err) < 0)
		goto out;
	real = realpath(dir, NULL);
	if (real == NULL) {
		cw_error_errno(err, "cannot find %s", dir);
		goto out;
	}
	home->config_path =
	    cw_asprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real,
		slash == NULL ? path : slash + 1);
	ret = 0;
out:
	free(dir);
	free(real);
	return ret;
}

static int
check_options(const struct cw_home_options *o, const char *config_path,
    struct cw_config *config, struct cw_buf *text, struct cw_error *err)
{
	if (o->listen != NULL && !cw_config_address_is_valid(o->listen))
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s is not HOST:PORT (0.0.0.0:7625)", o->listen);
	cw_config_template(o->name, o->listen, o->state, text);
	/* The parser knows what may stand in the file. */
	if (cw_config_parse((const char *)text->data, text->len, config_path,
		config, err) < 0)
		return -1;
	if ((o->listen != NULL &&
		(config->listen == NULL ||
		    strcmp(config->listen, o->listen) != 0)) ||
	    (o->state != NULL && (config->state == NULL ||
				     strcmp(config->state, o->state) != 0)))
		return cw_error_set(err, CW_ERR_USAGE,
		    "a value that begins or ends with white space, or holds a "
		    "line break, cannot stand in the configuration");
	return 0;
}

int
cw_home_create(const char *home_dir, const char *config_file,
    const struct cw_home_options *options, struct cw_home **out,
    struct cw_error *err)
{
	struct cw_home_options o = *options;
	struct cw_home *home = home_new();
	struct cw_buf text = CW_BUF_INIT;
	char *path = config_name(home_dir, config_file);
	int ret = -1;

	*out = NULL;
	if (home_dir != NULL)
		o.state = NULL;
	else if (o.state == NULL)
		o.state = CW_STATE_DEFAULT;
	if (!cw_card_name_is_valid(o.name, strlen(o.name))) {
		cw_error_set(err, CW_ERR_USAGE,
		    "\"%s\" is no name for a site; use 1 to %u of a-z, 0-9 and "
		    "-, without - at the ends",
		    o.name, CW_CARD_NAME_MAX);
		goto out;
	}
	if (check_options(&o, path, &home->config, &text, err) < 0)
		goto out;
	if (make_state(home, home_dir != NULL ? home_dir : o.state, err) < 0 ||
	    place_config(home, path, err) < 0)
		goto out;
	/* A site that is there is refused also while its daemon runs. */
	if (access(home->config_path, F_OK) < 0 &&
	    home_take_lock(home, err) < 0)
		goto out;
	if (access(home->config_path, F_OK) == 0) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "there is a site already: %s; `causeway card` prints its "
		    "card.  Nothing was changed",
		    home->config_path);
		goto out;
	}
	if (cw_identity_create(home->state_fd, o.name, o.passphrase, err) < 0)
		goto out;
	if (cw_save_file(AT_FDCWD, home->config_path, text.data, text.len, 0644,
		err) < 0)
		goto out;
	*out = home;
	home = NULL;
	ret = 0;
out:
	cw_home_close(home);
	cw_buf_free(&text);
	free(path);
	return ret;
}

char *
cw_home_store_dir(const struct cw_home *home, const char *store)
{
	return cw_asprintf("%s/stores/%s", home->state_path, store);
}

int
cw_home_open_store_dir(
    const struct cw_home *home, const char *store, struct cw_error *err)
{
	char *path = cw_home_store_dir(home, store);
	int fd = cw_open_dir(path, err);

	free(path);
	return fd;
}

char *
cw_home_catalog_path(const struct cw_home *home, const char *store)
{
	return cw_asprintf(
	    "%s/stores/%s/catalog.sqlite", home->state_path, store);
}

char *
cw_home_seed_dir(const struct cw_home *home, const char *seed_id)
{
	return cw_asprintf("%s/seeds/%s", home->state_path, seed_id);
}

/* Makes STATE/kind/name; the names of what was made reach the disk. */
static int
make_beneath(const struct cw_home *home, const char *kind, const char *name,
    struct cw_error *err)
{
	char *path = cw_asprintf("%s/%s", kind, name);
	int fd = -1, ret = -1;

	if (!cw_name_is_safe(name, strlen(name))) {
		cw_error_set(err, CW_ERR_USAGE, "\"%s\" is no name", name);
		goto out;
	}
	if ((mkdirat(home->state_fd, kind, 0700) < 0 && errno != EEXIST) ||
	    (mkdirat(home->state_fd, path, 0700) < 0 && errno != EEXIST)) {
		cw_error_errno(
		    err, "cannot make directory %s/%s", home->state_path, path);
		goto out;
	}
	fd = openat(home->state_fd, kind, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		cw_error_errno(
		    err, "cannot open %s/%s", home->state_path, kind);
		goto out;
	}
	if (cw_sync(fd, err) < 0 || cw_sync(home->state_fd, err) < 0)
		goto out;
	ret = 0;
out:
	cw_close(&fd);
	free(path);
	return ret;
}

int
cw_home_make_store_dir(
    const struct cw_home *home, const char *store, struct cw_error *err)
{
	return make_beneath(home, "stores", store, err);
}

int
cw_home_make_seed_dir(
    const struct cw_home *home, const char *seed_id, struct cw_error *err)
{
	return make_beneath(home, "seeds", seed_id, err);
}

int
cw_home_store(const struct cw_home *home, const char *name,
    const struct cw_config_store **out, struct cw_error *err)
{
	const struct cw_config *c = &home->config;
	struct cw_buf names = CW_BUF_INIT;

	*out = cw_config_store(c, name);
	if (*out != NULL)
		return 0;
	for (size_t i = 0; i < c->store_count && i < 8; i++)
		cw_buf_printf(
		    &names, "%s%s", i > 0 ? ", " : "", c->stores[i].name);
	if (c->store_count == 0)
		cw_error_set(err, CW_ERR_USAGE,
		    "there is no store %s, nor any other; declare it with "
		    "`causeway store add %s DIR`",
		    name, name);
	else
		cw_error_set(err, CW_ERR_USAGE,
		    "there is no store %s; there are: %s", name,
		    cw_buf_string(&names));
	cw_buf_free(&names);
	return -1;
}

int
cw_home_peer(const struct cw_home *home, const char *name,
    const struct cw_config_peer **out, struct cw_error *err)
{
	*out = cw_config_peer(&home->config, name);
	if (*out != NULL)
		return 0;
	if (strcmp(name, home->config.name) == 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s is this very site; name one that is paired with it",
		    name);
	return cw_error_set(err, CW_ERR_USAGE,
	    "site %s is not trusted here; take the line that `causeway card` "
	    "prints there and type `causeway pair CARD`",
	    name);
}
