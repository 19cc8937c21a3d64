/*
 * What all sides of a cutover share: steps and their times, hooks, the lock,
 * the record of the role, and what is owed to a store that was taken over.
 */
#include "site/cutover_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "site/mark.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 60000u
#define CUTOVER_LOCK "cutover.lock"
#define FENCE_LOCK   "fence.lock"

void
cutover_say(const struct cw_cutover_options *o, const char *fmt, ...)
{
	char text[CW_ERROR_MAX];
	va_list ap;

	if (o->report == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->report(o->arg, text);
}

static double
now(void)
{
	return (double)cw_clock_ns() / 1e9;
}

void
cutover_end(struct cw_cutover_result *r, bool ok)
{
	struct cw_cutover_step *last;

	if (r->step_count == 0)
		return;
	last = &r->steps[r->step_count - 1];
	/* While it runs, seconds hold when it began, negated. */
	if (last->seconds < 0) {
		last->seconds += now();
		last->ok = ok;
	}
}

void
cutover_step(const struct cw_cutover_options *o, struct cw_cutover_result *r,
    const char *name)
{
	struct cw_cutover_step *step;

	cutover_end(r, true);
	if (r->step_count == CW_CUTOVER_STEPS_MAX)
		return;
	step = &r->steps[r->step_count++];
	(void)snprintf(step->name, sizeof(step->name), "%s", name);
	step->seconds = -now();
	step->ok = false;
	cutover_say(o, "%s ...", name);
}

/* Locked by the fence hook that runs; -1: it can't be. */
static int
lock_fence(
    const struct cw_cutover_options *o, const struct cw_config_store *store)
{
	char *dir = cw_home_store_dir(o->home, store->name);
	char *path = cw_asprintf("%s/" FENCE_LOCK, dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		cw_close(&fd);
	free(path);
	free(dir);
	return fd;
}

void
cutover_await_fence(
    const struct cw_cutover_options *o, const struct cw_config_store *store)
{
	const struct timespec pause = {.tv_nsec = 100 * 1000000L};
	struct cw_hook_settings settings;
	int fd;

	cw_hook_settings(&o->home->config, store->name, &settings);
	for (unsigned waited = 0; waited < settings.timeout_ms; waited += 100) {
		if ((fd = lock_fence(o, store)) >= 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	cw_close(&fd);
}

int
cutover_hook(const struct cw_cutover_options *o,
    const struct cw_config_store *store, enum cw_hook hook,
    const struct cw_role *role, const char *reason, struct cw_error *err)
{
	struct cw_hook_call call = {.role = cw_role_name(role->is),
	    .epoch = role->epoch,
	    .reason = reason};
	int got;

	/*
	 * A fence hook outlives us if we are killed: whoever starts the service
	 * again has to know that it still stops it.
	 */
	if (hook == CW_HOOK_FENCE)
		call.hold = lock_fence(o, store);
	got = cw_hook_run(&o->home->config, store, hook, &call, err);
	if (call.hold > 2)
		cw_close(&call.hold);
	if (got == 1)
		cutover_say(o, "no %s hook is configured for store %s",
		    cw_hook_name(hook), store->name);
	return got < 0 ? -1 : 0;
}

int
cutover_save(const struct cw_cutover_options *o,
    const struct cw_config_store *store, const struct cw_role *role,
    struct cw_error *err)
{
	int lock = -1, ret;

	if (cw_home_lock_store(o->home, store->name, LOCK_WAIT_MS, &lock, err) <
	    0)
		return -1;
	ret = cw_home_role_save(o->home, store, NULL, role, o->secret, err);
	cw_close(&lock);
	return ret;
}

int
cutover_lock(const struct cw_cutover_options *o,
    const struct cw_config_store *store, unsigned wait_ms, int *lock,
    struct cw_error *err)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000000L};
	int dirfd = cw_home_open_store_dir(o->home, store->name, err), ret = -1;

	*lock = -1;
	for (unsigned waited = 0; dirfd >= 0; waited += 20) {
		struct cw_error why = CW_ERROR_INIT;

		ret = cw_lock_file(dirfd, CUTOVER_LOCK, lock, &why);
		if (ret == 0)
			break;
		if (why.code == CW_ERR_BUSY && waited < wait_ms) {
			(void)nanosleep(&pause, NULL);
			continue;
		}
		if (why.code == CW_ERR_BUSY)
			cw_error_set(err, CW_ERR_BUSY,
			    "another cutover of store %s is under way; "
			    "`causeway status %s` says how far it is",
			    store->name, store->name);
		else if (err != NULL)
			*err = why;
		break;
	}
	cw_close(&dirfd);
	return ret;
}

int
cutover_owe(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t epoch, struct cw_error *err)
{
	int dirfd = cw_home_open_store_dir(o->home, store->name, err), ret;

	if (dirfd < 0)
		return -1;
	ret = cw_mark_set(dirfd, CW_MARK_PROMOTING, epoch, err);
	cw_close(&dirfd);
	return ret;
}

int
cutover_is_owed(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t epoch, struct cw_error *err)
{
	int dirfd = cw_home_open_store_dir(o->home, store->name, err), got;

	if (dirfd < 0)
		return -1;
	got = cw_mark_look(dirfd, CW_MARK_PROMOTING, epoch, err);
	cw_close(&dirfd);
	return got;
}

int
cutover_promote(const struct cw_cutover_options *o,
    const struct cw_config_store *store, const struct cw_role *role,
    const char *reason, struct cw_error *err)
{
	int dirfd;

	if (cutover_hook(o, store, CW_HOOK_PROMOTE, role, reason, err) < 0)
		return -1;
	/* If it comes back in a crash, the hook is run once more. */
	if ((dirfd = cw_home_open_store_dir(o->home, store->name, NULL)) >= 0)
		cw_mark_clear(dirfd, CW_MARK_PROMOTING);
	cw_close(&dirfd);
	return 0;
}

int
cutover_look(const struct cw_cutover_options *o,
    const struct cw_config_store *store, uint64_t *generation,
    uint8_t digest[CW_STATE_SIZE], struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	bool is_known = false;
	int ret;

	if (cw_home_catalog(o->home, store, CW_CATALOG_READ, &c, err) < 0)
		return -1;
	*generation = cw_catalog_info(c)->generation;
	ret = cw_state_digest(c, digest, &is_known, err);
	if (ret == 0 && !is_known)
		ret = cw_error_set(err, CW_ERR_FAILED,
		    "store %s has %llu files whose content could not be read, "
		    "so its digest is not known; see `causeway scan %s "
		    "--contents`",
		    store->name,
		    (unsigned long long)cw_catalog_info(c)->pending,
		    store->name);
	cw_catalog_close(c);
	return ret;
}

struct cw_minisign_public *
cutover_pins(const struct cw_cutover_options *o, size_t *count)
{
	const struct cw_config *config = &o->home->config;
	struct cw_minisign_public *pins =
	    cw_calloc(config->peer_count + 1, sizeof(*pins));

	*count = config->peer_count;
	for (size_t i = 0; i < config->peer_count; i++)
		pins[i] = config->peers[i].card.sign;
	return pins;
}

/* Whether somebody holds it now. */
static bool
is_locked(int dirfd)
{
	int fd = openat(dirfd, CUTOVER_LOCK, O_RDWR | O_CLOEXEC);
	bool is = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;

	cw_close(&fd);
	return is;
}

int
cw_cutover_look(const struct cw_home *home, const struct cw_config_store *store,
    const struct cw_role *role, enum cw_cutover_rest *rest,
    struct cw_error *err)
{
	int dirfd = cw_home_open_store_dir(home, store->name, err);
	int owed = 0, split = 0;

	*rest = CW_CUTOVER_REST_NONE;
	if (dirfd < 0)
		return -1;
	if (role->is != CW_ROLE_IS_ACTIVE)
		owed = cw_mark_look(dirfd, CW_MARK_FENCING, role->epoch, err);
	else
		owed = cw_mark_look(dirfd, CW_MARK_PROMOTING, role->epoch, err);
	split = cw_mark_look(dirfd, CW_MARK_SPLIT, role->epoch, err);
	if (is_locked(dirfd))
		*rest = CW_CUTOVER_REST_RUNS;
	else if (role->has_handover)
		*rest = CW_CUTOVER_REST_GIVEN;
	else if (role->is == CW_ROLE_IS_ACTIVE && role->moving != CW_MOVING_NOT)
		*rest = CW_CUTOVER_REST_FENCING;
	else if (owed == 1)
		*rest = role->is == CW_ROLE_IS_ACTIVE ? CW_CUTOVER_REST_PROMOTE
						      : CW_CUTOVER_REST_FENCE;
	else if (role->is == CW_ROLE_IS_ACTIVE && split == 1)
		*rest = CW_CUTOVER_REST_SPLIT;
	cw_close(&dirfd);
	return owed < 0 || split < 0 ? -1 : 0;
}
