/*
 * The stores of a session: opened, locked, closed, and the service of one that
 * was passed by stopped.
 */
#include "site/session_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "site/hooks.h"
#include "site/mark.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOCK_WAIT_MS 60000u

bool
session_look_at_role(struct slot *slot, bool remember)
{
	uint64_t ino = 0;
	int64_t ctime_ns = 0;
	struct stat st;

	if (fstatat(slot->dirfd, CW_ROLE_FILE, &st, 0) == 0) {
		ino = st.st_ino;
		ctime_ns = cw_time_ns(st.st_ctim);
	}
	if (remember) {
		slot->role_ino = ino;
		slot->role_ctime_ns = ctime_ns;
	}
	return ino == slot->role_ino && ctime_ns == slot->role_ctime_ns;
}

int
session_lock(void *arg, bool take, struct cw_error *err)
{
	struct slot *slot = arg;
	const struct cw_session_options *o = &slot->session->o;

	if (take && slot->lock_depth == 0 && o->share_lock != NULL &&
	    (slot->lock_fd = o->share_lock(o->lock_arg)) >= 0) {
		slot->lock_depth++;
		return 0;
	}
	return session_lock_alone(slot, take, err);
}

int
session_lock_alone(struct slot *slot, bool take, struct cw_error *err)
{
	if (!take) {
		if (slot->lock_depth > 0 && --slot->lock_depth == 0)
			cw_close(&slot->lock_fd);
		return 0;
	}
	if (slot->lock_depth == 0 &&
	    cw_home_lock_store(slot->session->o.home, slot->st.config->name,
		LOCK_WAIT_MS, &slot->lock_fd, err) < 0)
		return -1;
	slot->lock_depth++;
	return 0;
}

static int
open_store(struct cw_session *s, struct slot *slot,
    const struct cw_config_store *config, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	int ret = -1;

	slot->session = s;
	slot->dirfd = slot->lock_fd = slot->visit_fd = -1;
	slot->st.config = config;
	slot->st.number = (uint32_t)(slot - s->slots);
	slot->dir = cw_home_store_dir(s->o.home, config->name);
	slot->catalog_path = cw_home_catalog_path(s->o.home, config->name);
	if (cw_home_make_store_dir(s->o.home, config->name, err) < 0 ||
	    (slot->dirfd = cw_open_dir(slot->dir, err)) < 0)
		return -1;
	(void)session_look_at_role(slot, true);
	slot->st.has_catalog = cw_home_has_catalog(s->o.home, config);
	if (!slot->st.has_catalog)
		return 0;
	if (cw_home_catalog(s->o.home, config, CW_CATALOG_READ, &c, err) < 0)
		return -1;
	memcpy(
	    slot->st.store_id, cw_catalog_info(c)->store_id, CW_STORE_ID_SIZE);
	ret = cw_home_role(s->o.home, config, c, &slot->st.role, err);
	cw_catalog_close(c);
	return ret;
}

void
session_close_store(struct slot *slot)
{
	cw_sync_source_free(slot->st.source);
	cw_follower_free(slot->st.follower);
	cw_role_free(&slot->st.role);
	for (size_t r = 0; r < slot->root_count; r++) {
		int fd = slot->roots[r].dirfd;

		cw_close(&fd);
	}
	free(slot->roots);
	free(slot->dir);
	free(slot->catalog_path);
	cw_close(&slot->dirfd);
	cw_close(&slot->lock_fd);
	cw_close(&slot->visit_fd);
}

int
session_open_stores(struct cw_session *s, struct cw_error *err)
{
	const struct cw_config *config = &s->o.home->config;

	s->slots = cw_calloc(config->store_count + 1, sizeof(*s->slots));
	for (size_t i = 0; i < config->store_count; i++) {
		struct cw_error why = CW_ERROR_INIT;
		struct slot *slot;

		if (s->o.store != NULL &&
		    strcmp(config->stores[i].name, s->o.store) != 0)
			continue;
		/* A store that follows nobody and was never scanned is not
		   there yet. */
		if (config->stores[i].follow == NULL &&
		    !cw_home_has_catalog(s->o.home, &config->stores[i]))
			continue;
		slot = &s->slots[s->slot_count];
		if (open_store(s, slot, &config->stores[i], &why) == 0) {
			s->slot_count++;
			continue;
		}
		if (s->o.store == NULL)
			session_leave_out(s, slot, true, why.message);
		session_close_store(slot);
		memset(slot, 0, sizeof(*slot));
		if (s->o.store != NULL) {
			if (err != NULL)
				*err = why;
			return cw_error_context(
			    err, "store %s", config->stores[i].name);
		}
	}
	return 0;
}

/*
 * The service stops before anything else happens to the store.  That it has to
 * stands on disk since before the record that says that we were passed by, so
 * that a crash, or a hook that fails, does not leave it running for good: the
 * next session tries again.
 */
static void
fence(struct cw_session *s, struct slot *slot)
{
	struct cw_error err = CW_ERROR_INIT;
	const struct cw_hook_call call = {
	    .role = cw_role_name(slot->st.role.is),
	    .epoch = slot->st.role.epoch,
	    .reason = "superseded"};
	int got;

	cw_session_busy(s, true);
	got = cw_hook_run(
	    &s->o.home->config, slot->st.config, CW_HOOK_FENCE, &call, &err);
	cw_session_busy(s, false);
	if (got < 0)
		session_event(s,
		    "store %s: the fence hook failed, stop its mail service by "
		    "hand: %s",
		    slot->st.config->name, err.message);
	else if (got == 1)
		session_event(s,
		    "store %s: no fence hook is configured, stop its mail "
		    "service by hand",
		    slot->st.config->name);
	if (got >= 0)
		cw_mark_clear(slot->dirfd, CW_MARK_FENCING);
}

/* A fence hook that a crash or a failure left to be done. */
void
session_fence_owed(struct cw_session *s, struct slot *slot)
{
	if (slot->st.role.is != CW_ROLE_IS_ACTIVE &&
	    cw_mark_look(
		slot->dirfd, CW_MARK_FENCING, slot->st.role.epoch, NULL) == 1)
		fence(s, slot);
}
