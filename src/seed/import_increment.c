#include "seed/import_increment.h"

#include "base/buf.h"
#include "base/fs.h"
#include "replica/apply.h"
#include "store/changes.h"
#include "store/contents.h"
#include "store/increment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Changes that are made durable together. */
#define COMMIT_ROWS 65536u

/* The replica's roots are where the configuration has them. */
static int
open_roots(struct import *im, struct cw_error *err)
{
	const struct cw_import_options *o = im->o;
	struct cw_import_result *r = im->result;

	im->roots = cw_calloc(o->root_count + 1, sizeof(*im->roots));
	r->roots = cw_calloc(o->root_count + 1, sizeof(*r->roots));
	for (size_t i = 0; i < o->root_count; i++) {
		if (o->roots[i].name == NULL)
			return cw_error_set(err, CW_ERR_USAGE,
			    "an increment goes where the replica is: leave out "
			    "--root");
		im->roots[i].dirfd = cw_open_dir(o->roots[i].path, err);
		if (im->roots[i].dirfd < 0)
			return -1;
		r->roots[i].name = cw_strdup(o->roots[i].name);
		r->roots[i].path = cw_strdup(o->roots[i].path);
		im->roots[i].name = r->roots[i].name;
		im->root_count = r->root_count = i + 1;
	}
	return 0;
}

static int
open_replica(
    struct import *im, struct cw_replica *replica, struct cw_error *err)
{
	if (access(im->catalog_path, F_OK) != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is an increment on generation %" PRIu64
		    " of store %s, and this site has no replica of it: receive "
		    "a full seed first, or `causeway sync`",
		    im->o->set->seed_text, im->o->set->manifest.base,
		    im->result->store);
	if (cw_catalog_open(
		im->catalog_path, CW_CATALOG_WRITE, &im->catalog, err) < 0 ||
	    open_roots(im, err) < 0 ||
	    cw_catalog_index_contents(im->catalog, err) < 0)
		return -1;
	return cw_replica_open(im->store_dir, im->catalog, im->roots,
	    im->root_count, replica, err);
}

/* May it be applied to what is here? */
static int
judge(struct import *im, struct cw_error *err)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	const struct cw_catalog_info *info = cw_catalog_info(im->catalog);
	const char *id = im->o->set->seed_text;
	bool is_standby;

	if (memcmp(info->store_id, m->store_id, CW_STORE_ID_SIZE) != 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is an increment of another store than the one "
		    "that is called %s here: name the right one with --store",
		    id, im->result->store);
	if (import_note_is(
		im->catalog, CW_NOTE_ROLE, "standby", &is_standby, err) < 0)
		return -1;
	if (!is_standby)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is not a standby at this site: an increment is "
		    "received where the store follows",
		    im->result->store);
	if (m->epoch < info->epoch)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "seed %s is of epoch %" PRIu64
		    ", and store %s follows epoch %" PRIu64
		    ": another site has taken over since it was packed",
		    id, m->epoch, im->result->store, info->epoch);
	if (m->epoch > info->epoch)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is of epoch %" PRIu64
		    ", and store %s has not heard of it (it follows epoch "
		    "%" PRIu64
		    "): `causeway sync` once, or receive a full seed",
		    id, m->epoch, im->result->store, info->epoch);
	return 0;
}

static int
check_base(struct import *im, struct cw_error *err)
{
	const struct cw_manifest *m = &im->o->set->manifest;
	uint64_t own = cw_catalog_info(im->catalog)->generation;

	if (own >= m->base)
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "seed %s builds on generation %" PRIu64
	    ", and the replica %s is at generation %" PRIu64
	    ": receive the increment in between first, or `causeway sync`",
	    im->o->set->seed_text, m->base, im->result->store, own);
}

/* Its changes since our generation become those that are coming in. */
static int
collect(
    struct increment *inc, const struct cw_increment *is, struct cw_error *err)
{
	struct cw_incoming *in = inc->replica->incoming;
	uint64_t own = cw_catalog_info(inc->im->catalog)->generation;
	struct cw_changes *s = NULL;
	struct cw_change ch;
	struct cw_position at = {0};
	uint64_t rows = 0;
	int got, ret = -1;

	cw_progress_start(inc->im->o->progress, "collecting", 0,
	    cw_catalog_info(inc->c)->entries);
	/*
	 * What came of a sync may be of a later generation than this one; its
	 * contents are in staging, which stays.
	 */
	if (cw_incoming_discard(in, err) < 0 ||
	    cw_incoming_begin(in, own, inc->im->o->set->manifest.epoch, err) <
		0 ||
	    cw_changes_open(inc->c, own, NULL, &s, err) < 0)
		return -1;
	while ((got = cw_changes_next(s, &ch, err)) == 1) {
		if (cw_incoming_add(in, &ch, err) < 0)
			goto out;
		cw_change_position(&ch, &at);
		cw_progress_add(inc->im->o->progress, 0, 1);
		if (++rows % COMMIT_ROWS == 0 &&
		    (cw_stop_check(err) < 0 ||
			cw_incoming_commit(in, &at, err) < 0))
			goto out;
	}
	if (got == 0 && cw_incoming_commit(in, &at, err) == 0)
		ret = cw_incoming_complete(
		    in, cw_catalog_info(inc->c)->generation, is->digest, err);
out:
	cw_changes_close(s);
	/* What a signed catalog says and nobody may place is its signer's. */
	if (ret < 0 && err != NULL && err->code == CW_ERR_FORMAT)
		err->code = CW_ERR_DAMAGED;
	return ret;
}

/*
 * As far already.  Files that lack here may be in it all the same: an
 * increment of which not all could be had, and now there is more.
 * Returns 1 if there are none.
 */
static int
collect_lacking(struct increment *inc, struct cw_error *err)
{
	struct cw_incoming *in = inc->replica->incoming;
	const struct cw_catalog_info *info = cw_catalog_info(inc->im->catalog);
	uint8_t digest[CW_STATE_SIZE];
	bool is_running, is_known;
	uint64_t count = 0;

	if (import_note_is(inc->im->catalog, CW_NOTE_IMPORT_STATE, "running",
		&is_running, err) < 0)
		return -1;
	if (!is_running)
		return 1;
	if (cw_state_digest(inc->im->catalog, digest, &is_known, err) < 0 ||
	    cw_incoming_discard(in, err) < 0 ||
	    cw_incoming_begin(in, info->generation, info->epoch, err) < 0 ||
	    cw_incoming_add_lacking(in, inc->replica, &count, err) < 0)
		return -1;
	if (count == 0) {
		if (cw_incoming_discard(in, err) < 0)
			return -1;
		return 1;
	}
	inc->im->result->is_resumed = true;
	return cw_incoming_complete(in, info->generation, digest, err);
}

/* Files that are wanted are noted before they stand in the catalog alone. */
static int
note_wanted(struct increment *inc, struct cw_error *err)
{
	uint64_t contents, bytes;

	if (cw_incoming_count_wants(inc->replica->incoming, inc->replica,
		&contents, &bytes, err) < 0)
		return -1;
	if (contents == 0)
		return 0;
	return cw_catalog_note_set(
	    inc->im->catalog, CW_NOTE_IMPORT_STATE, "running", err);
}

/* All that the catalog lists is in the tree, of older seeds as well. */
static int
end_import(struct increment *inc, struct cw_error *err)
{
	struct cw_incoming *in = inc->replica->incoming;
	const struct cw_catalog_info *info = cw_catalog_info(inc->im->catalog);
	uint64_t *wanted = &inc->im->result->wanted;
	bool is_running;
	int ret;

	*wanted = 0;
	if (import_note_is(inc->im->catalog, CW_NOTE_IMPORT_STATE, "running",
		&is_running, err) < 0)
		return -1;
	if (!is_running)
		return 0;
	if (cw_incoming_begin(in, info->generation, info->epoch, err) < 0)
		return -1;
	ret = cw_incoming_add_lacking(in, inc->replica, wanted, err);
	if (cw_incoming_discard(in, ret < 0 ? NULL : err) < 0)
		ret = -1;
	if (ret < 0 || *wanted > 0)
		return ret;
	if (cw_catalog_note_set(
		inc->im->catalog, CW_NOTE_IMPORT_AWAITED, NULL, err) < 0)
		return -1;
	return cw_catalog_note_set(
	    inc->im->catalog, CW_NOTE_IMPORT_STATE, "ended", err);
}

/* What the replica now is, against what the store was. */
static int
compare(
    struct increment *inc, const struct cw_increment *is, struct cw_error *err)
{
	struct cw_import_result *r = inc->im->result;
	bool is_known, was_wrong;

	for (int turn = 0; turn < 2; turn++) {
		if (cw_state_digest(
			inc->im->catalog, r->digest, &is_known, err) < 0)
			return -1;
		if (!is->has_digest ||
		    memcmp(r->digest, is->digest, CW_STATE_SIZE) == 0)
			return 0;
		/* Our own sums may be what is wrong. */
		if (turn == 0 &&
		    cw_state_mend(inc->im->catalog, &was_wrong, err) < 0)
			return -1;
	}
	import_fault(inc->im,
	    "the replica's state digest is not the one of the active site: the "
	    "next `causeway sync` compares all directories and mends what "
	    "differs");
	return 0;
}

static int
note_time(struct import *im, struct cw_error *err)
{
	char text[24];

	(void)snprintf(
	    text, sizeof(text), "%" PRId64, im->o->set->manifest.time);
	return cw_catalog_note_set(im->catalog, CW_NOTE_IMPORT_TIME, text, err);
}

static int
apply(
    struct increment *inc, const struct cw_increment *is, struct cw_error *err)
{
	const struct cw_apply_options options = {
	    .partial = true, .progress = inc->im->o->progress};
	struct cw_apply_result result;

	if (import_increment_contents(inc, err) < 0 ||
	    note_wanted(inc, err) < 0 ||
	    cw_apply(inc->replica, &options, &result, err) < 0)
		return -1;
	inc->im->result->removed = result.removed;
	inc->im->result->placed = result.placed;
	if (end_import(inc, err) < 0 || note_time(inc->im, err) < 0)
		return -1;
	return compare(inc, is, err);
}

static int
run(struct increment *inc, struct cw_error *err)
{
	struct import *im = inc->im;
	const struct cw_manifest *m = &im->o->set->manifest;
	struct cw_import_result *r = im->result;
	struct cw_apply_result resumed;
	struct cw_increment is;
	bool is_known;
	int got;

	got = cw_catalog_increment(inc->c, &is, err);
	if (got < 0)
		return -1;
	if (got == 1 || is.since != m->base)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "the catalog of seed %s is not that of an increment on "
		    "generation %" PRIu64,
		    im->o->set->seed_text, m->base);
	/* What was cut off needs nothing to be finished. */
	got = cw_apply_resume(inc->replica, im->o->progress, &resumed, err);
	if (got < 0)
		return -1;
	r->base = m->base;
	r->from = cw_catalog_info(im->catalog)->generation;
	if (check_base(im, err) < 0)
		return -1;
	got = r->from >= cw_catalog_info(inc->c)->generation
		  ? collect_lacking(inc, err)
		  : collect(inc, &is, err);
	if (got < 0)
		return -1;
	if (got == 1) {
		r->is_repeated = true;
		return end_import(inc, err) < 0 ||
			       cw_state_digest(
				   im->catalog, r->digest, &is_known, err) < 0
			   ? -1
			   : 0;
	}
	return apply(inc, &is, err);
}

int
import_increment(struct import *im, struct cw_error *err)
{
	struct cw_replica replica = {0};
	struct increment inc = {.im = im, .replica = &replica};
	char *path = NULL;
	int ret = -1;

	if (import_receive_catalog(im, &path, err) < 0)
		return -1;
	if (im->store_dir == NULL) {
		im->store_dir =
		    cw_asprintf("%s/%s", im->o->stores_path, im->result->store);
		im->catalog_path =
		    cw_asprintf("%s/catalog.sqlite", im->store_dir);
	}
	if (open_replica(im, &replica, err) < 0 || judge(im, err) < 0 ||
	    import_check_mounted(im, err) < 0 ||
	    cw_catalog_open(path, CW_CATALOG_WRITE, &inc.c, err) < 0 ||
	    cw_catalog_index_contents(inc.c, err) < 0)
		goto out;
	import_list_volumes(im);
	ret = run(&inc, err);
	im->result->generation = cw_catalog_info(im->catalog)->generation;
	im->result->entries = cw_catalog_info(im->catalog)->entries;
	im->result->bytes = cw_catalog_info(im->catalog)->bytes;
out:
	cw_recover_free(im->recover);
	im->recover = NULL;
	cw_catalog_close(inc.c);
	cw_replica_close(&replica);
	(void)import_remove_incoming(path, NULL);
	free(path);
	return ret;
}
