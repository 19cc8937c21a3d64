/*
 * Changing a home's configuration: peers and stores.
 */
#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "formats/mail/mail.h"
#include "site/command.h"
#include "site/home.h"
#include "site/home_dir.h"
#include "site/identity.h"
#include "sync/carrier.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Saves a changed configuration after it was parsed again, and takes it over.
 * Owner and mode stay what they were.
 */
static int
save_config(
    struct cw_home *home, const struct cw_buf *text, struct cw_error *err)
{
	struct cw_config config = CW_CONFIG_INIT;
	struct stat st;

	if (text->len > CW_CONFIG_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s would be larger than %u bytes", home->config_path,
		    CW_CONFIG_MAX);
	if (cw_config_parse((const char *)text->data, text->len,
		home->config_path, &config, err) < 0)
		return -1;
	if (stat(home->config_path, &st) < 0) {
		cw_error_errno(err, "cannot stat %s", home->config_path);
		goto fail;
	}
	if (cw_save_file(AT_FDCWD, home->config_path, text->data, text->len,
		st.st_mode & 0777, err) < 0)
		goto fail;
	if (chown(home->config_path, st.st_uid, st.st_gid) < 0 ||
	    chmod(home->config_path, st.st_mode & 0777) < 0) {
		cw_error_errno(err, "cannot give %s its owner and mode back",
		    home->config_path);
		goto fail;
	}
	home_place_spools(home, &config);
	cw_config_free(&home->config);
	home->config = config;
	cw_sha256(text->data, text->len, home->config_sha256);
	return 0;
fail:
	cw_config_free(&config);
	return -1;
}

/* Whether card may be a peer; *known is the peer it is already, or NULL. */
static int
check_peer(const struct cw_home *home, const struct cw_card *card,
    const struct cw_config_peer **known, struct cw_error *err)
{
	const struct cw_config *c = &home->config;
	uint8_t print[CW_CARD_FINGERPRINT_SIZE];
	uint8_t other[CW_CARD_FINGERPRINT_SIZE];
	struct cw_card own;

	*known = NULL;
	if (cw_identity_card(home->state_fd, &own, err) < 0)
		return -1;
	cw_card_fingerprint(card, print);
	cw_card_fingerprint(&own, other);
	if (memcmp(print, other, sizeof(print)) == 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this is the card of this very site; give the one that "
		    "`causeway card` prints at the other site");
	if (strcmp(card->name, c->name) == 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the other site is named %s like this one; make one of "
		    "them anew under another name",
		    card->name);
	for (size_t i = 0; i < c->peer_count; i++) {
		const struct cw_config_peer *peer = &c->peers[i];
		bool same_name = strcmp(peer->name, card->name) == 0;
		bool same_keys;

		cw_card_fingerprint(&peer->card, other);
		same_keys = memcmp(print, other, sizeof(print)) == 0;
		if (same_name && same_keys)
			*known = peer;
		else if (same_name)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "%s is trusted with another key.  If that site "
			    "really was made anew, and you have compared the "
			    "fingerprint on the telephone, take [peer \"%s\"] "
			    "(line %u) out of %s and pair again",
			    peer->name, peer->name, peer->line,
			    home->config_path);
		else if (same_keys)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "this key is trusted under the name %s already "
			    "(line %u of %s)",
			    peer->name, peer->line, home->config_path);
	}
	return 0;
}

static int
add_peer(struct cw_home *home, const struct cw_card *card, const char *address,
    bool *is_new, struct cw_error *err)
{
	const struct cw_config_peer *known;
	struct cw_buf text = CW_BUF_INIT;
	int ret = -1;

	if (address != NULL && cw_address_check(address, err) < 0)
		return -1;
	if (check_peer(home, card, &known, err) < 0)
		return -1;
	if (is_new != NULL)
		*is_new = known == NULL;
	if (known != NULL &&
	    (address == NULL || (known->address != NULL &&
				    strcmp(address, known->address) == 0)))
		return 0;
	if (cw_read_file(
		AT_FDCWD, home->config_path, CW_CONFIG_MAX, &text, err) != 0)
		goto out;
	if (known == NULL)
		cw_config_append_peer(&text, card, address);
	else
		cw_config_set_address(&text, known, address);
	ret = save_config(home, &text, err);
out:
	cw_buf_free(&text);
	return ret;
}

int
cw_home_add_peer(struct cw_home *home, const struct cw_card *card,
    const char *address, bool *is_new, struct cw_error *err)
{
	int lock, ret;

	if (home_begin_change(home, &lock, err) < 0)
		return -1;
	ret = add_peer(home, card, address, is_new, err);
	home_end_change(&lock);
	return ret;
}

/* Whether path is dir or lies in it; both absolute and without "..". */
static bool
is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 0 && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/');
}

/* The true path where there is one, else the path as it is written. */
static char *
true_path(const char *path)
{
	char *real = realpath(path, NULL);

	return real != NULL ? real : cw_strdup(path);
}

static int
check_overlap(
    const char *a, const char *b, const char *store_of_b, struct cw_error *err)
{
	char *x = true_path(a), *y = true_path(b);
	int ret = 0;

	if (strcmp(x, y) == 0)
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "%s is a root of store %s already", a, store_of_b);
	else if (is_within(x, y) || is_within(y, x))
		ret = cw_error_set(err, CW_ERR_REFUSED,
		    "%s and %s (of store %s) lie one in the other; a directory "
		    "belongs to one root only",
		    a, b, store_of_b);
	free(x);
	free(y);
	return ret;
}

/* Whether a root holds our keys: the state directory, or they themselves. */
static bool
holds_keys(const struct cw_home *home, const char *root)
{
	char *state = true_path(home->state_path), *real = true_path(root);
	char *keys = cw_asprintf("%s/keys", state);
	bool holds = is_within(state, real) || is_within(real, keys);

	free(state);
	free(real);
	free(keys);
	return holds;
}

static int
check_keys(const struct cw_home *home, const struct cw_config_root *root,
    struct cw_error *err)
{
	if (!holds_keys(home, root->path))
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "root %s holds the keys of the home %s; a store must not hold the "
	    "keys that open it.  Move one of them",
	    root->path, home->state_path);
}

int
cw_home_check_roots(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err)
{
	for (size_t i = 0; i < store->root_count; i++)
		if (check_keys(home, &store->roots[i], err) < 0)
			return -1;
	return 0;
}

static int
check_command(const struct cw_config_root *root, struct cw_error *err)
{
	if (strpbrk(root->command, "\r\n") != NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the command of root %s holds a line break, which the "
		    "configuration cannot; put it into a script",
		    root->name);
	if (cw_command_check(root->command, err) < 0)
		return cw_error_context(
		    err, "the command of root %s", root->name);
	return 0;
}

static int
check_root(const struct cw_home *home, const struct cw_config_store *store,
    size_t index, struct cw_error *err)
{
	const struct cw_config_root *root = &store->roots[index];
	const struct cw_config *c = &home->config;
	struct stat st;

	if (!cw_config_name_is_valid(root->name, strlen(root->name)))
		return cw_error_set(err, CW_ERR_USAGE,
		    "\"%s\" is no name for a root; use A-Z, a-z, 0-9, '.', "
		    "'_' and '-'",
		    root->name);
	if (strpbrk(root->path, "\r\n") != NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the path of root %s holds a line break, which the "
		    "configuration cannot",
		    root->name);
	for (size_t i = 0; i < index; i++)
		if (strcmp(store->roots[i].name, root->name) == 0)
			return cw_error_set(err, CW_ERR_USAGE,
			    "two roots are named %s; write NAME=%s", root->name,
			    root->has_spool ? root->command : root->path);
	if (root->command != NULL && check_command(root, err) < 0)
		return -1;
	if (root->has_spool)
		return 0;
	if (stat(root->path, &st) < 0)
		return cw_error_errno(
		    err, "cannot look at root %s", root->path);
	if (!S_ISDIR(st.st_mode))
		return cw_error_set(err, CW_ERR_USAGE,
		    "root %s is not a directory", root->path);
	if (check_keys(home, root, err) < 0)
		return -1;
	for (size_t i = 0; i < index; i++)
		if (!store->roots[i].has_spool &&
		    check_overlap(
			root->path, store->roots[i].path, store->name, err) < 0)
			return -1;
	for (size_t i = 0; i < c->store_count; i++)
		for (size_t j = 0; j < c->stores[i].root_count; j++)
			if (check_overlap(root->path,
				c->stores[i].roots[j].path, c->stores[i].name,
				err) < 0)
				return -1;
	return 0;
}

/* Whether the file, read back, says of a store what we wanted it to say. */
static bool
is_same_store(const struct cw_config_store *a, const struct cw_config_store *b)
{
	if (b == NULL || a->root_count != b->root_count ||
	    a->exclude_count != b->exclude_count)
		return false;
	for (size_t i = 0; i < a->root_count; i++) {
		const struct cw_config_root *x = &a->roots[i];
		const struct cw_config_root *y = &b->roots[i];

		if (strcmp(x->name, y->name) != 0 ||
		    strcmp(x->path, y->path) != 0 ||
		    (x->command == NULL) != (y->command == NULL) ||
		    (x->command != NULL && strcmp(x->command, y->command) != 0))
			return false;
	}
	for (size_t i = 0; i < a->exclude_count; i++)
		if (strcmp(a->excludes[i], b->excludes[i]) != 0)
			return false;
	return true;
}

static int
add_store(struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *err)
{
	struct cw_config config = CW_CONFIG_INIT;
	struct cw_buf text = CW_BUF_INIT;
	int ret = -1;

	if (!cw_config_name_is_valid(store->name, strlen(store->name)))
		return cw_error_set(err, CW_ERR_USAGE,
		    "\"%s\" is no name for a store; use 1 to %u of A-Z, a-z, "
		    "0-9, '.', '_' and '-'",
		    store->name, CW_CONFIG_NAME_MAX);
	if (cw_config_store(&home->config, store->name) != NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "there is a store %s already (line %u of %s)", store->name,
		    cw_config_store(&home->config, store->name)->line,
		    home->config_path);
	if (store->format != NULL && cw_mail_format_find(store->format) == NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "unknown format %s; this version has maildir and plain",
		    store->format);
	if (store->history != NULL &&
	    !cw_config_history_is_valid(store->history))
		return cw_error_set(err, CW_ERR_USAGE,
		    "history %s is no time: write 12h, 30d, 8w or forever",
		    store->history);
	if (store->every != NULL && !cw_config_every_is_valid(store->every))
		return cw_error_set(err, CW_ERR_USAGE,
		    "every %s is no time: write 10s, 5m or 1h", store->every);
	for (size_t i = 0; i < store->root_count; i++)
		if (check_root(home, store, i, err) < 0)
			return -1;
	for (size_t i = 0; i < store->exclude_count; i++)
		if (strpbrk(store->excludes[i], "\r\n") != NULL)
			return cw_error_set(err, CW_ERR_USAGE,
			    "an exclude pattern holds a line break");
	if (cw_read_file(
		AT_FDCWD, home->config_path, CW_CONFIG_MAX, &text, err) != 0)
		goto out;
	cw_config_append_store(&text, store);
	if (cw_config_parse((const char *)text.data, text.len,
		home->config_path, &config, err) < 0)
		goto out;
	if (!is_same_store(store, cw_config_store(&config, store->name))) {
		cw_error_set(err, CW_ERR_USAGE,
		    "a root or pattern of store %s begins or ends with white "
		    "space, which the configuration cannot hold",
		    store->name);
		goto out;
	}
	ret = save_config(home, &text, err);
out:
	cw_config_free(&config);
	cw_buf_free(&text);
	return ret;
}

int
cw_home_add_store(struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *err)
{
	int lock, ret;

	if (home_begin_change(home, &lock, err) < 0)
		return -1;
	ret = add_store(home, store, err);
	home_end_change(&lock);
	return ret;
}

static bool
has_roots(const struct cw_config_store *a, const struct cw_config_store *b)
{
	if (a->root_count != b->root_count)
		return false;
	for (size_t i = 0; i < a->root_count; i++)
		if (strcmp(a->roots[i].name, b->roots[i].name) != 0 ||
		    strcmp(a->roots[i].path, b->roots[i].path) != 0)
			return false;
	return true;
}

static int
put_replica(struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *err)
{
	const struct cw_config_store *old =
	    cw_config_store(&home->config, store->name);
	struct cw_config_root *roots;
	struct cw_config_store next;
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	if (old == NULL)
		return add_store(home, store, err);
	if (has_roots(old, store))
		return 0;
	/* What the operator set for the store is still said of it. */
	next = *old;
	next.follow = store->follow;
	next.root_count = store->root_count;
	next.roots = roots = cw_calloc(store->root_count, sizeof(*roots));
	for (size_t i = 0; i < store->root_count; i++) {
		roots[i] = store->roots[i];
		for (size_t k = 0; k < old->root_count; k++)
			if (strcmp(old->roots[k].name, roots[i].name) == 0 &&
			    strcmp(old->roots[k].path, roots[i].path) == 0)
				roots[i] = old->roots[k];
	}
	ret = cw_read_file(
	    AT_FDCWD, home->config_path, CW_CONFIG_MAX, &text, err);
	if (ret == 0) {
		cw_config_remove_store(&text, old);
		cw_config_append_store(&text, &next);
		ret = save_config(home, &text, err);
	}
	free(roots);
	cw_buf_free(&text);
	return ret == 0 ? 0 : -1;
}

int
cw_home_put_replica(struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *err)
{
	int lock, ret;

	if (home_begin_change(home, &lock, err) < 0)
		return -1;
	ret = put_replica(home, store, err);
	home_end_change(&lock);
	return ret;
}
