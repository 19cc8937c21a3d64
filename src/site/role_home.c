/*
 * Where the role is kept: its file, and the catalog that follows it.
 */
#include "site/role.h"

#include "base/fs.h"
#include "site/identity.h"
#include "site/role_text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* 0 read, 1 none there.  *role is empty before. */
static int
read_record(int dirfd, const struct cw_minisign_public *site,
    struct cw_role *role, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret =
	    cw_read_file(dirfd, CW_ROLE_FILE, CW_ROLE_TEXT_MAX, &text, err);

	if (ret == 0)
		ret = role_parse(
		    (const char *)text.data, text.len, site, role, err);
	cw_buf_free(&text);
	/* It is our own file: whatever is wrong with it, it is damaged. */
	if (ret < 0 && err != NULL &&
	    (err->code == CW_ERR_FORMAT || err->code == CW_ERR_UNTRUSTED)) {
		err->code = CW_ERR_DAMAGED;
		cw_error_advise(err,
		    "put the file `" CW_ROLE_FILE
		    "` of the store's state directory back from a backup; "
		    "nothing is served or moved before that");
	}
	return ret;
}

static void
begin_record(const struct cw_role_start *start, struct cw_role *role)
{
	struct cw_epoch *first = cw_calloc(1, sizeof(*first));

	first->epoch = start->epoch == 0 ? 1 : start->epoch;
	first->site = start->origin == NULL ? *start->site : *start->origin;
	first->kind = CW_EPOCH_CREATED;
	memcpy(role->store_id, start->store_id, CW_STORE_ID_SIZE);
	role->site = *start->site;
	role->is = start->is_standby ? CW_ROLE_IS_STANDBY : CW_ROLE_IS_ACTIVE;
	role->epoch = role->seen = first->epoch;
	role->history.epochs = first;
	role->history.count = 1;
	role->fork = CW_FORK_NONE;
}

int
cw_role_load(int dirfd, const struct cw_role_start *start, struct cw_role *role,
    struct cw_error *err)
{
	int ret;

	memset(role, 0, sizeof(*role));
	ret = read_record(dirfd, start->site, role, err);
	if (ret < 0)
		return -1;
	if (ret == 1) {
		begin_record(start, role);
		return 0;
	}
	if (memcmp(role->store_id, start->store_id, CW_STORE_ID_SIZE) != 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "the record of the role is of another store than the "
		    "catalog");
	return 0;
}

int
cw_role_save(int dirfd, const struct cw_role *role,
    const struct cw_minisign_secret *secret, struct cw_error *err)
{
	struct cw_minisign_public key;
	struct cw_buf text = CW_BUF_INIT;
	struct cw_role stored;
	int found, ret = -1;

	memset(&stored, 0, sizeof(stored));
	cw_minisign_secret_public(secret, &key);
	if (!cw_minisign_public_equal(&key, &role->site))
		return cw_error_set(err, CW_ERR_FAILED,
		    "the signing key is not that of this site's record");
	found = read_record(dirfd, &role->site, &stored, err);
	if (found < 0)
		goto out;
	if (found == 0 &&
	    (stored.epoch > role->epoch || stored.seen > role->seen)) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "the store is in epoch %llu and has seen %llu; a record of "
		    "epoch %llu is out of date",
		    (unsigned long long)stored.epoch,
		    (unsigned long long)stored.seen,
		    (unsigned long long)role->epoch);
		goto out;
	}
	if (role_format(role, secret, &text, err) < 0)
		goto out;
	ret = cw_save_file(dirfd, CW_ROLE_FILE, text.data, text.len, 0600, err);
out:
	cw_role_free(&stored);
	cw_buf_free(&text);
	return ret;
}

int
cw_home_role(const struct cw_home *home, const struct cw_config_store *store,
    struct cw_catalog *c, struct cw_role *role, struct cw_error *err)
{
	const struct cw_config_peer *followed = NULL;
	struct cw_catalog *own = NULL;
	struct cw_role_start start = {.epoch = 1};
	struct cw_card card;
	char *note = NULL;
	int dir = -1, ret = -1;

	memset(role, 0, sizeof(*role));
	if (cw_identity_card(home->state_fd, &card, err) < 0)
		return -1;
	if (c == NULL) {
		if (cw_home_catalog(home, store, CW_CATALOG_READ, &own, err) <
		    0)
			return -1;
		c = own;
	}
	if (cw_catalog_note_get(c, CW_NOTE_ROLE, &note, err) < 0)
		goto out;
	start.store_id = cw_catalog_info(c)->store_id;
	start.epoch = cw_catalog_info(c)->epoch;
	start.site = &card.sign;
	start.is_standby = note == NULL ? store->follow != NULL
					: strcmp(note, CW_ROLE_ACTIVE) != 0;
	if (store->follow != NULL && start.is_standby)
		followed = cw_config_peer(&home->config, store->follow);
	if (followed != NULL)
		start.origin = &followed->card.sign;
	dir = cw_home_open_store_dir(home, store->name, err);
	if (dir < 0)
		goto out;
	ret = cw_role_load(dir, &start, role, err);
out:
	if (ret < 0)
		cw_error_context(err, "store %s", store->name);
	cw_close(&dir);
	free(note);
	cw_catalog_close(own);
	return ret;
}

int
cw_home_role_settle(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_role *role, struct cw_error *err)
{
	struct cw_catalog *own = NULL;
	char *note = NULL;
	int ret = -1;

	if (c == NULL) {
		if (cw_home_catalog(home, store, CW_CATALOG_WRITE, &own, err) <
		    0)
			return -1;
		c = own;
	}
	if (cw_catalog_note_get(c, CW_NOTE_ROLE, &note, err) < 0)
		goto out;
	if ((note == NULL || strcmp(note, cw_role_name(role->is)) != 0) &&
	    cw_catalog_note_set(c, CW_NOTE_ROLE, cw_role_name(role->is), err) <
		0)
		goto out;
	if (cw_catalog_info(c)->epoch != role->epoch) {
		if (cw_catalog_begin(c, err) < 0)
			goto out;
		cw_catalog_set_epoch(c, role->epoch);
		if (cw_catalog_commit(c, err) < 0) {
			cw_catalog_rollback(c);
			goto out;
		}
	}
	ret = 0;
out:
	free(note);
	cw_catalog_close(own);
	return ret;
}

int
cw_home_role_save(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_catalog *c,
    const struct cw_role *role, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	int dir = cw_home_open_store_dir(home, store->name, err), ret = -1;

	if (dir < 0)
		return -1;
	/* The record first: it is what counts. */
	if (cw_role_save(dir, role, secret, err) == 0)
		ret = cw_home_role_settle(home, store, c, role, err);
	if (ret < 0)
		cw_error_context(err, "store %s", store->name);
	cw_close(&dir);
	return ret;
}
