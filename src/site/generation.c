#include "site/generation.h"

#include "base/fs.h"
#include "site/identity.h"
#include "site/role.h"
#include "site/role_text.h"
#include "store/peer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
cw_home_is_active(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err)
{
	struct cw_role role;
	int ret;

	if (!cw_home_has_catalog(home, store))
		return store->follow == NULL;
	if (cw_home_role(home, store, NULL, &role, err) < 0)
		return -1;
	ret = role.is == CW_ROLE_IS_ACTIVE;
	cw_role_free(&role);
	return ret;
}

int
cw_home_require_active(const struct cw_home *home,
    const struct cw_config_store *store, const char *where,
    struct cw_error *err)
{
	int is_active = cw_home_is_active(home, store, err);

	if (is_active < 0)
		return -1;
	if (is_active > 0)
		return cw_home_check_roots(home, store, err);
	return cw_error_set(err, CW_ERR_REFUSED,
	    "store %s is not active at this site, but a replica%s%s: %s",
	    store->name, store->follow != NULL ? " of " : "",
	    store->follow != NULL ? store->follow : "", where);
}

bool
cw_home_looks_active(
    const struct cw_home *home, const struct cw_config_store *store)
{
	char *path = cw_home_store_dir(home, store->name);
	struct cw_buf text = CW_BUF_INIT;
	struct cw_role role = {0};
	struct cw_card card;
	bool is_active = false;
	int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int got = 1;

	if (dirfd >= 0)
		got = cw_read_file(
		    dirfd, CW_ROLE_FILE, CW_ROLE_TEXT_MAX, &text, NULL);
	if (got == 1)
		is_active = store->follow == NULL;
	else if (got == 0 &&
		 cw_identity_card(home->state_fd, &card, NULL) == 0 &&
		 role_parse((const char *)text.data, text.len, &card.sign,
		     &role, NULL) == 0)
		is_active = role.is == CW_ROLE_IS_ACTIVE && !role.has_handover;
	cw_role_free(&role);
	cw_buf_free(&text);
	cw_close(&dirfd);
	free(path);
	return is_active;
}

/*
 * Deletions up to what every peer has.  One that never acknowledged anything
 * begins from nothing, or with the last seed, which may be on the road to it.
 */
static int
forget(const struct cw_home *home, const struct cw_config_store *store,
    struct cw_catalog *c, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(c);
	uint64_t least = UINT64_MAX;
	int dirfd = cw_home_open_store_dir(home, store->name, err), ret = 0;

	if (dirfd < 0)
		return -1;
	for (size_t i = 0; i < home->config.peer_count; i++) {
		struct cw_peer peer;

		/* What can't be read keeps everything. */
		if (cw_peer_load(
			dirfd, home->config.peers[i].name, &peer, NULL) < 0)
			least = 0;
		else if (peer.has_acked && peer.acked_generation < least)
			least = peer.acked_generation;
		else if (!peer.has_acked && info->has_seed &&
			 info->seed_generation < least)
			least = info->seed_generation;
	}
	cw_close(&dirfd);
	if (least == 0 || least == UINT64_MAX || least <= info->floor)
		return 0;
	if (cw_catalog_begin(c, err) < 0)
		return -1;
	ret = cw_catalog_forget_tombstones(c, least, err);
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret < 0)
		cw_catalog_rollback(c);
	return ret;
}

/* Nothing is handed over that is older than it need be. */
static int
check_commands(const struct cw_commands *commands, const char *capture,
    struct cw_error *err)
{
	if (cw_commands_judge(commands, "the store", err) == 0)
		return 0;
	return strcmp(capture, CW_CAPTURE_QUIESCED) == 0
		   ? cw_error_advise(err,
			 "the fence hook has to leave running what the command "
			 "asks")
		   : -1;
}

int
cw_generation_take(const struct cw_home *home,
    const struct cw_config_store *store,
    const struct cw_generation_options *options, struct cw_generation *out,
    struct cw_error *err)
{
	const struct cw_scan_options scan = {.contents = CW_SCAN_CONTENTS,
	    .capture = options->capture,
	    .progress = options->progress,
	    .listed = options->listed,
	    .arg = options->arg};
	struct cw_catalog *c = NULL;
	int ret;

	if (cw_home_require_active(home, store,
		"its generations come from the site where it is active",
		err) < 0 ||
	    cw_commands_run(
		home, store, options->progress, &out->commands, err) < 0 ||
	    (options->capture != NULL &&
		check_commands(&out->commands, options->capture, err) < 0) ||
	    cw_home_catalog(home, store, CW_CATALOG_WRITE, &c, err) < 0)
		return -1;
	out->before = cw_catalog_info(c)->generation;
	ret = cw_home_scan(store, c, &out->commands, &scan, &out->scan, err);
	if (ret == 0)
		ret = forget(home, store, c, err);
	cw_catalog_close(c);
	return ret;
}
