/*
 * The failover: the standby takes over alone, with what it has, be it a
 * replica a second old or half of a seed.
 */
#include "site/cutover_impl.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "replica/apply.h"
#include "seed/import.h"
#include "site/current.h"
#include "site/guard.h"
#include "site/mark.h"
#include "store/contents.h"
#include "store/peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS	60000u
#define CUTOVER_WAIT_MS 10000u
#define MISSING_DIR	"missing"

struct failover {
	const struct cw_cutover_options *o;
	const struct cw_config_store *store;
	char *dir;
	int dirfd;
	struct cw_catalog *catalog;
	struct cw_place_root *roots;
	size_t root_count;
	struct cw_cutover_loss loss;
};

static int
open_all(struct failover *f, struct cw_error *err)
{
	f->dir = cw_home_store_dir(f->o->home, f->store->name);
	if ((f->dirfd = cw_open_dir(f->dir, err)) < 0 ||
	    cw_home_catalog(
		f->o->home, f->store, CW_CATALOG_WRITE, &f->catalog, err) < 0)
		return -1;
	f->roots = cw_calloc(f->store->root_count, sizeof(*f->roots));
	for (size_t i = 0; i < f->store->root_count; i++) {
		f->roots[i].name = f->store->roots[i].name;
		f->roots[i].dirfd = cw_open_dir(f->store->roots[i].path, err);
		if (f->roots[i].dirfd < 0)
			return -1;
		f->root_count++;
	}
	return 0;
}

/*
 * A generation that was being applied has all it needs and is finished; one
 * that was still coming in was never the store's state, and is dropped.
 */
static int
finish_applying(struct failover *f, struct cw_error *err)
{
	struct cw_apply_result result;
	struct cw_replica replica = {0};
	int ret;

	if (cw_catalog_index_contents(f->catalog, err) < 0)
		return -1;
	ret = cw_replica_open(
	    f->dir, f->catalog, f->roots, f->root_count, &replica, err);
	if (ret == 0) {
		ret =
		    cw_apply_resume(&replica, NULL, &result, err) < 0 ? -1 : 0;
		if (ret == 0)
			f->loss.unapplied =
			    cw_incoming_info(replica.incoming)->rows;
	}
	cw_replica_close(&replica);
	return ret;
}

static int
discard_incoming(struct failover *f, struct cw_error *err)
{
	struct cw_incoming *in = NULL;
	int ret;

	ret = cw_incoming_open(f->dir, f->roots, f->root_count, &in, err);
	if (ret == 0)
		ret = cw_incoming_discard(in, err);
	cw_incoming_close(in);
	return ret;
}

/* Files that a seed should have brought: listed by path, for people. */
static int
list_missing(struct failover *f, uint64_t epoch, struct cw_error *err)
{
	struct cw_walk_query files = CW_WALK_ALL;
	struct cw_place *place = cw_place_new(f->roots, f->root_count);
	struct cw_walk *walk = NULL;
	char *state = NULL, *path = NULL;
	int64_t last_dir = -1;
	struct cw_entry e;
	FILE *list = NULL;
	int got, ret = -1;

	got =
	    cw_catalog_note_get(f->catalog, CW_NOTE_IMPORT_STATE, &state, err);
	if (got < 0 || got == 1 || strcmp(state, "running") != 0) {
		ret = got < 0 ? -1 : 0;
		goto out;
	}
	path = cw_asprintf("%s/" MISSING_DIR, f->dir);
	if (cw_make_dirs(path, 0700, err) < 0)
		goto out;
	(void)snprintf(f->loss.list, sizeof(f->loss.list), "%s/%" PRIu64 ".txt",
	    path, epoch);
	if ((list = fopen(f->loss.list, "we")) == NULL) {
		cw_error_errno(err, "cannot write %s", f->loss.list);
		goto out;
	}
	files.kind = 'f';
	if (cw_walk_open(f->catalog, &files, &walk, err) < 0)
		goto out;
	while ((got = cw_walk_next(walk, &e, err)) == 1) {
		char quoted[CW_QUOTE_MAX];
		const char *dir;
		struct stat st;
		size_t len;
		char *whole;

		if (cw_catalog_dir_path(f->catalog, e.dir, &dir, &len, err) < 0)
			goto out;
		whole = cw_asprintf(
		    "%.*s/%.*s", (int)len, dir, (int)e.name_len, e.name);
		got = cw_place_stat(place, whole, &st, err);
		if (got == 1 ||
		    (got == 0 && (!S_ISREG(st.st_mode) ||
				     (uint64_t)st.st_size != e.size))) {
			cw_text_quote(whole, strlen(whole), quoted);
			(void)fprintf(list, "%s\n", quoted);
			f->loss.missing++;
			f->loss.mailboxes += e.dir != last_dir;
			last_dir = e.dir;
		}
		free(whole);
		if (got < 0)
			goto out;
	}
	ret = got;
out:
	if (list != NULL && (fflush(list) != 0 || fsync(fileno(list)) < 0) &&
	    ret == 0)
		ret = cw_error_errno(err, "cannot write %s", f->loss.list);
	if (list != NULL)
		(void)fclose(list);
	cw_walk_close(walk);
	cw_place_free(place);
	free(state);
	free(path);
	return ret;
}

/* When the seed was packed that this replica began with: 0, 1 not known. */
static int
seed_time(struct failover *f, int64_t *then, struct cw_error *err)
{
	char *text = NULL;
	uint64_t seconds;
	int got =
	    cw_catalog_note_get(f->catalog, CW_NOTE_IMPORT_TIME, &text, err);

	if (got == 0 &&
	    !cw_decimal_parse(text, strlen(text), INT64_MAX, &seconds))
		got = 1;
	if (got == 0)
		*then = (int64_t)seconds;
	free(text);
	return got;
}

/* A site that was heard a moment ago may be active still. */
static void
look_who_lives(struct failover *f)
{
	const struct cw_config *config = &f->o->home->config;
	uint64_t now = cw_boot_seconds();

	for (size_t i = 0; i < config->peer_count; i++) {
		const char *name = config->peers[i].name;
		struct cw_peer peer;

		if (cw_peer_load(f->dirfd, name, &peer, NULL) == 0 &&
		    cw_peer_is_heard(&peer) && peer.heard <= now) {
			(void)snprintf(
			    f->loss.heard, sizeof(f->loss.heard), "%s", name);
			f->loss.heard_seconds = (double)(now - peer.heard);
		}
	}
}

static int
measure(struct failover *f, struct cw_error *err)
{
	uint64_t generation = 0;
	double seconds = 0;
	int64_t then;
	int got = cw_current_age(f->dirfd, &generation, &seconds, err);

	/* Of a seed alone, only the wall's clocks of both sites tell. */
	if (got == 1 && faccessat(f->dirfd, CW_CURRENT_FILE, F_OK, 0) < 0) {
		f->loss.is_seed = true;
		got = seed_time(f, &then, err);
		seconds = got == 0 ? (double)(time(NULL) - then) : 0;
		if (seconds < 0)
			got = 1;
	}
	if (got < 0)
		return -1;
	f->loss.generation = cw_catalog_info(f->catalog)->generation;
	if (got == 0 && generation <= f->loss.generation) {
		f->loss.has_age = true;
		f->loss.seconds = seconds;
	}
	look_who_lives(f);
	return 0;
}

/* Its tree is served from now on: what was half imported is what there is. */
static int
end_import(struct failover *f, struct cw_error *err)
{
	if (f->loss.missing == 0)
		return 0;
	return cw_catalog_note_set(
	    f->catalog, CW_NOTE_IMPORT_STATE, "ended", err);
}

static int
guard(struct failover *f, uint64_t epoch, struct cw_error *err)
{
	struct cw_hook_settings settings;
	struct cw_guard_result r = {0};

	cw_hook_settings(&f->o->home->config, f->store->name, &settings);
	if (cw_guard_run(f->dirfd, f->store, epoch, settings.guard, &r, err) <
	    0)
		return -1;
	if (!r.was_done)
		cutover_say(f->o,
		    "next UIDs of %" PRIu64 " mailboxes raised by %" PRIu32
		    ", %" PRIu64 " lines without a message dropped",
		    r.raised, settings.guard, r.lines_dropped);
	if (r.broken > 0)
		cutover_say(f->o,
		    "%" PRIu64 " dovecot-uidlist files cannot be read and were "
		    "left alone; the first is %s",
		    r.broken, r.first_broken);
	return 0;
}

/* All before the record: nothing has happened yet if this fails. */
static int
prepare(struct failover *f, struct cw_role *role, struct cw_cutover_result *r,
    struct cw_error *err)
{
	cutover_step(f->o, r, "preflight");
	if (cw_hook_check(
		&f->o->home->config, f->store->name, CW_HOOK_PROMOTE, err) < 0)
		return -1;
	cutover_step(f->o, r, "finish what was begun");
	if (finish_applying(f, err) < 0)
		return -1;
	cutover_step(f->o, r, "look for losses");
	if (list_missing(f, role->epoch + 1, err) < 0 || measure(f, err) < 0)
		return -1;
	r->lost_seconds = f->loss.seconds;
	if (f->o->confirm != NULL &&
	    f->o->confirm(f->o->arg, &f->loss, err) < 0)
		return -1;
	return 0;
}

static int
take_over(struct failover *f, struct cw_role *role, struct cw_cutover_result *r,
    struct cw_error *err)
{
	const struct cw_epochs *history = &role->history;
	/* What was given away to a site that is gone is taken back. */
	bool is_anew =
	    cw_mark_look(f->dirfd, CW_MARK_SPLIT, role->epoch, NULL) == 1 ||
	    role->has_handover;

	if (role->is == CW_ROLE_IS_ACTIVE && !is_anew &&
	    history->epochs[history->count - 1].kind != CW_EPOCH_FAILOVER)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is active at this site already; `causeway gate "
		    "%s` says whether it may be served",
		    f->store->name, f->store->name);
	if (role->is != CW_ROLE_IS_ACTIVE || is_anew) {
		if (prepare(f, role, r, err) < 0)
			return -1;
		cutover_step(f->o, r, "record");
		/* The record comes first: what is dropped now is never
		   missed by an apply that goes on. */
		if (discard_incoming(f, err) < 0 || end_import(f, err) < 0 ||
		    cw_role_promote(role, CW_EPOCH_FAILOVER,
			cw_catalog_info(f->catalog)->generation, f->o->secret,
			err) < 0 ||
		    cw_mark_set(f->dirfd, CW_MARK_PROMOTING, role->epoch, err) <
			0 ||
		    cw_home_role_save(f->o->home, f->store, f->catalog, role,
			f->o->secret, err) < 0)
			return -1;
	}
	r->generation = cw_catalog_info(f->catalog)->generation;
	r->epoch = role->epoch;
	cutover_step(f->o, r, "guard UIDs");
	if (guard(f, role->epoch, err) < 0)
		return cw_error_advise(err,
		    "the store is active here, but not served; run the same "
		    "command again");
	cutover_step(f->o, r, "promote");
	if (cutover_promote(f->o, f->store, role, "failover", err) < 0)
		return cw_error_advise(err,
		    "the store is active here, but not served; mend the hook "
		    "and run the same command again");
	return 0;
}

int
cw_cutover_fail_over(const struct cw_config_store *store,
    const struct cw_cutover_options *o, struct cw_cutover_result *r,
    struct cw_error *err)
{
	struct failover f = {.o = o, .store = store, .dirfd = -1};
	struct cw_role role = {0};
	int lock = -1, cutover = -1, ret = -1;

	memset(r, 0, sizeof(*r));
	r->kind = "failover";
	(void)snprintf(r->to, sizeof(r->to), "%s", o->home->config.name);
	(void)snprintf(r->from, sizeof(r->from), "%s",
	    store->follow != NULL ? store->follow : "");
	if (cw_home_make_store_dir(o->home, store->name, err) < 0 ||
	    cutover_lock(o, store, CUTOVER_WAIT_MS, &cutover, err) < 0)
		return -1;
	if (cw_home_lock_store(o->home, store->name, LOCK_WAIT_MS, &lock, err) <
	    0) {
		cw_close(&cutover);
		return -1;
	}
	if (open_all(&f, err) == 0 &&
	    cw_home_role(o->home, store, f.catalog, &role, err) == 0) {
		if (role.is == CW_ROLE_IS_FENCED)
			cw_error_set(err, CW_ERR_REFUSED,
			    "store %s is fenced here: another site took over "
			    "in epoch %" PRIu64 "; let this one follow it "
			    "first (`causeway sync %s`)",
			    store->name, role.epoch, store->name);
		else
			ret = take_over(&f, &role, r, err);
	}
	cutover_end(r, ret == 0);
	cw_role_free(&role);
	for (size_t i = 0; i < f.root_count; i++)
		cw_close(&f.roots[i].dirfd);
	free(f.roots);
	cw_catalog_close(f.catalog);
	cw_close(&f.dirfd);
	free(f.dir);
	cw_close(&lock);
	cw_close(&cutover);
	return ret;
}
