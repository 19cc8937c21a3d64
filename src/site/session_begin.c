/*
 * What the roles of both sites ask for: the source of a store, its follower,
 * the beginning of a replica from nothing, and the way back of a site that was
 * passed by.
 */
#include "site/session_impl.h"

#include "base/fs.h"
#include "site/holders.h"
#include "store/contents.h"
#include "store/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
open_roots(struct slot *slot, struct cw_error *err)
{
	const struct cw_config_store *config = slot->st.config;

	if (slot->roots != NULL)
		return 0;
	slot->roots = cw_calloc(config->root_count, sizeof(*slot->roots));
	for (size_t i = 0; i < config->root_count; i++) {
		if (cw_home_make_spool(&config->roots[i], err) < 0)
			return -1;
		slot->roots[i].name = config->roots[i].name;
		slot->roots[i].dirfd = cw_open_dir(config->roots[i].path, err);
		if (slot->roots[i].dirfd < 0)
			return -1;
		slot->root_count++;
	}
	return 0;
}

/* The source's side: its state in peers/PEER is what status shows. */
static int
note_ack(void *arg, uint64_t generation, const uint8_t digest[CW_STATE_SIZE],
    struct cw_error *err)
{
	struct slot *slot = arg;
	struct cw_peer peer;

	if (cw_peer_load(slot->dirfd, slot->session->peer->name, &peer, NULL) <
	    0)
		memset(&peer, 0, sizeof(peer));
	peer.has_acked = true;
	peer.acked_generation = generation;
	memcpy(peer.acked_digest, digest, CW_STATE_SIZE);
	peer.has_heard = true;
	peer.heard = cw_boot_seconds();
	cw_boot_id(peer.heard_boot);
	return cw_peer_save(slot->dirfd, slot->session->peer->name, &peer, err);
}

/*
 * What a source looks contents up in.  Once it is there nobody has to wait for
 * a scan that has the store's lock.
 */
static int
index_contents(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	bool has = false;
	int ret;

	ret = cw_home_catalog(
	    s->o.home, slot->st.config, CW_CATALOG_READ, &c, err);
	if (ret == 0)
		ret = cw_catalog_has_content_index(c, &has, err);
	cw_catalog_close(c);
	if (ret < 0 || has)
		return ret;
	c = NULL;
	if (session_lock(slot, true, err) < 0)
		return -1;
	ret = cw_home_catalog(
	    s->o.home, slot->st.config, CW_CATALOG_WRITE, &c, err);
	if (ret == 0)
		ret = cw_catalog_index_contents(c, err);
	cw_catalog_close(c);
	(void)session_lock(slot, false, NULL);
	return ret;
}

static int
begin_source(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	struct cw_sync_source_options options = {
	    .catalog_path = slot->catalog_path,
	    .store = slot->st.number,
	    .epoch = slot->st.role.epoch,
	    .link = s->link,
	    .acked = note_ack,
	    .arg = slot};
	int ret = open_roots(slot, err);

	options.roots = slot->roots;
	options.root_count = slot->root_count;
	session_begin_visit(s, slot);
	if (ret == 0)
		ret = index_contents(s, slot, err);
	if (ret == 0)
		ret = cw_sync_source_new(&options, &slot->st.source, err);
	return ret;
}

/* Of a root: what the source says, or nothing special. */
static const char *
capture_of(const struct cw_session_args *reply, const char *root)
{
	static const char *const special[] = {
	    CW_CAPTURE_COMMAND, CW_CAPTURE_STALE};
	char name[CW_WIRE_WORD_MAX + 1];
	const struct cw_buf *value;

	(void)snprintf(name, sizeof(name), "capture.%.50s", root);
	value = cw_session_args_get(reply, name);
	for (size_t i = 0; value != NULL && i < 2; i++)
		if (value->len == strlen(special[i]) &&
		    memcmp(value->data, special[i], value->len) == 0)
			return special[i];
	return CW_CAPTURE_FUZZY;
}

/* The catalog of a store that begins from nothing, whole or not at all. */
static int
make_catalog(struct cw_session *s, struct slot *slot,
    const struct cw_session_args *reply, struct cw_error *err)
{
	const struct cw_config_store *config = slot->st.config;
	const struct cw_buf *id = cw_session_args_get(reply, "id");
	const struct cw_buf *key = cw_session_args_get(reply, "key");
	struct cw_catalog *c = NULL;
	int ret;

	if (id == NULL || key == NULL || id->len != CW_STORE_ID_SIZE ||
	    key->len != CW_STATE_KEY_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "site %s did not say what store %s is", s->peer->name,
		    config->name);
	ret = cw_catalog_create_replica(
	    slot->catalog_path, config->name, id->data, key->data, err);
	if (ret < 0)
		return -1;
	ret = cw_catalog_open(slot->catalog_path, CW_CATALOG_WRITE, &c, err);
	if (ret == 0)
		ret = cw_catalog_begin(c, err);
	for (size_t i = 0; ret == 0 && i < config->root_count; i++) {
		char name[CW_WIRE_WORD_MAX + 1];
		const struct cw_buf *format;

		(void)snprintf(
		    name, sizeof(name), "root.%.50s", config->roots[i].name);
		format = cw_session_args_get(reply, name);
		if (format == NULL || format->len > 16) {
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "store %s has no root %s at site %s; see `causeway "
			    "store list` there",
			    config->name, config->roots[i].name, s->peer->name);
			break;
		}
		(void)snprintf(name, sizeof(name), "%.*s", (int)format->len,
		    (const char *)format->data);
		ret = cw_catalog_root_put(c, config->roots[i].name, name,
		    capture_of(reply, config->roots[i].name), err);
	}
	if (ret == 0)
		ret = cw_catalog_commit(c, err);
	if (ret == 0)
		ret =
		    cw_catalog_note_set(c, CW_NOTE_ROLE, CW_ROLE_STANDBY, err);
	cw_catalog_close(c);
	if (ret < 0)
		(void)unlink(slot->catalog_path);
	return ret;
}

/* A store that begins from nothing gets its id and key from the source. */
static int
adopt(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	const struct cw_config_store *config = slot->st.config;
	struct cw_session_args *reply = cw_session_args_new();
	struct cw_catalog *c = NULL;
	int ret = -1;

	if (cw_session_order(s, &slot->st, "adopt", NULL, reply, err) < 0 ||
	    session_lock(slot, true, err) < 0)
		goto out;
	/* Another session may have been quicker. */
	ret = cw_home_has_catalog(s->o.home, config)
		  ? 0
		  : make_catalog(s, slot, reply, err);
	(void)session_lock(slot, false, NULL);
	if (ret < 0)
		goto out;
	slot->st.has_catalog = true;
	ret = cw_home_catalog(s->o.home, config, CW_CATALOG_READ, &c, err);
	if (ret == 0) {
		memcpy(slot->st.store_id, cw_catalog_info(c)->store_id,
		    CW_STORE_ID_SIZE);
		ret = cw_home_role(s->o.home, config, c, &slot->st.role, err);
	}
	cw_catalog_close(c);
out:
	cw_session_args_free(reply);
	return ret;
}

static int
note_applied(
    void *arg, const struct cw_apply_result *result, struct cw_error *err)
{
	struct slot *slot = arg;
	struct cw_session *s = slot->session;

	session_event(s,
	    "store %s: generation %llu (%llu placed, %llu removed)",
	    slot->st.config->name, (unsigned long long)result->generation,
	    (unsigned long long)result->placed,
	    (unsigned long long)result->removed);
	return result->is_equal ? session_rejoin(slot, err) : 0;
}

int
session_rejoin(struct slot *slot, struct cw_error *err)
{
	struct cw_session *s = slot->session;
	int ret = 0;

	if (slot->st.role.is != CW_ROLE_IS_FENCED &&
	    slot->st.role.fork == CW_FORK_NONE)
		return 0;
	if (session_lock(slot, true, err) < 0)
		return -1;
	cw_role_free(&slot->st.role);
	if (cw_home_role(
		s->o.home, slot->st.config, NULL, &slot->st.role, err) < 0 ||
	    cw_role_rejoin(&slot->st.role, err) < 0 ||
	    cw_home_role_save(s->o.home, slot->st.config, NULL, &slot->st.role,
		s->o.secret, err) < 0)
		ret = -1;
	(void)session_lock(slot, false, NULL);
	if (ret < 0)
		return -1;
	(void)session_look_at_role(slot, true);
	session_event(
	    s, "store %s: rejoined as standby", slot->st.config->name);
	return 0;
}

/*
 * A site that was active and was passed by: its service must be gone, and its
 * last changes in its catalog, before its tree becomes the replica.
 */
static int
settle_tree(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	const struct cw_config_store *config = slot->st.config;
	struct cw_scan_options options = {.contents = CW_SCAN_CONTENTS};
	struct cw_scan_result result;
	struct cw_catalog *c = NULL;
	int ret;

	cw_session_busy(s, true);
	ret = cw_home_prove_unheld(s->o.home, config, err);
	if (ret == 0)
		ret = session_lock(slot, true, err);
	if (ret == 0) {
		ret = cw_home_catalog(
		    s->o.home, config, CW_CATALOG_WRITE, &c, err);
		if (ret == 0)
			ret = cw_home_scan(
			    config, c, NULL, &options, &result, err);
		cw_catalog_close(c);
		(void)session_lock(slot, false, NULL);
	}
	cw_session_busy(s, false);
	return ret;
}

static int
begin_follower(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	struct cw_follower_options options = {.store_dir = slot->dir,
	    .catalog_path = slot->catalog_path,
	    .store = slot->st.number,
	    .epoch = slot->st.peer_epoch,
	    .link = s->link,
	    .lock = session_lock,
	    .applied = note_applied,
	    .arg = slot,
	    .progress = s->o.progress};
	const struct cw_role *role = &slot->st.role;

	/* What a peer sends must not come over our keys. */
	if (cw_home_check_roots(s->o.home, slot->st.config, err) < 0)
		return -1;
	if (!slot->st.has_catalog && adopt(s, slot, err) < 0)
		return -1;
	if (open_roots(slot, err) < 0)
		return -1;
	options.roots = slot->roots;
	options.root_count = slot->root_count;
	if (role->is == CW_ROLE_IS_FENCED || role->fork != CW_FORK_NONE) {
		struct cw_catalog *c = NULL;
		uint64_t generation;

		if (role->is == CW_ROLE_IS_FENCED &&
		    settle_tree(s, slot, err) < 0)
			return -1;
		if (cw_home_catalog(s->o.home, slot->st.config, CW_CATALOG_READ,
			&c, err) < 0)
			return -1;
		generation = cw_catalog_info(c)->generation;
		cw_catalog_close(c);
		/* What lies beyond the fork was never in the epoch that is. */
		if (role->is == CW_ROLE_IS_FENCED || generation > role->fork)
			options.diverged_epoch = role->epoch;
	}
	if (cw_follower_new(&options, &slot->st.follower, err) < 0)
		return -1;
	return cw_follower_start(slot->st.follower, err);
}

int
cw_session_settle(
    struct cw_session *s, struct cw_session_store *st, struct cw_error *err)
{
	cw_sync_source_free(st->source);
	cw_follower_free(st->follower);
	st->source = NULL;
	st->follower = NULL;
	cw_role_free(&st->role);
	return cw_home_role(s->o.home, st->config, NULL, &st->role, err);
}

int
cw_session_begin(
    struct cw_session *s, struct cw_session_store *st, struct cw_error *err)
{
	struct slot *slot = session_slot(s, st);
	Cw__Role own = session_role(slot);

	if (!st->is_shared || st->source != NULL || st->follower != NULL)
		return 0;
	if (own == CW__ROLE__ACTIVE && st->peer_role != CW__ROLE__ACTIVE)
		return begin_source(s, slot, err);
	if (own != CW__ROLE__ACTIVE && st->peer_role == CW__ROLE__ACTIVE)
		return begin_follower(s, slot, err);
	return 0;
}
