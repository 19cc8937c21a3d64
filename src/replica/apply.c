#include "replica/apply.h"

#include "replica/apply_impl.h"

#include <inttypes.h>
#include <time.h>

/* A partial content that nobody went on with for so long is thrown away. */
#define PARTIAL_SECONDS ((int64_t)7 * 86400)

/* All that was done so far is on disk before the next step begins. */
static int
enter(struct apply *a, enum phase phase, struct cw_error *err)
{
	if (cw_place_sync(a->r->place, err) < 0 ||
	    cw_staging_sync(a->r->staging, err) < 0)
		return -1;
	a->in->phase = phase;
	if (incoming_save(a->in, err) < 0)
		return -1;
	return db_commit(&a->in->db, err);
}

static int
take_away(struct apply *a, struct cw_error *err)
{
	if (apply_away(a, err) < 0)
		return -1;
	if (a->shelf.is_diverged &&
	    cw_history_write_listing(a->r->history, a->shelf.number, err) < 0)
		return -1;
	return enter(a, PHASE_PLACE, err);
}

/* All that only reads the catalog. */
static int
change_tree(struct apply *a, struct cw_error *err)
{
	struct cw_incoming *in = a->in;

	if (in->info.stage == CW_INCOMING_COMPLETE && apply_plan(a, err) < 0)
		return -1;
	if (in->phase == PHASE_AWAY && take_away(a, err) < 0)
		return -1;
	if (in->phase == PHASE_PLACE &&
	    (apply_place(a, err) < 0 || enter(a, PHASE_CATALOG, err) < 0))
		return -1;
	return 0;
}

static int
run(struct apply *a, struct cw_error *err)
{
	struct cw_catalog *c = a->r->catalog;
	struct cw_incoming *in = a->in;
	/*
	 * Look-ups without locks; it may be held already.  Of a catalog that
	 * has nothing there are none.
	 */
	bool is_held = !a->is_first && cw_catalog_hold(c, NULL) == 0;
	int ret = change_tree(a, err);

	if (is_held)
		cw_catalog_release(c);
	if (ret < 0)
		return -1;
	if (apply_catalog(a, err) < 0 ||
	    incoming_empty(in, in->info.generation, err) < 0)
		return -1;
	return cw_staging_clear(
	    a->r->staging, (int64_t)time(NULL) - PARTIAL_SECONDS, err);
}

int
cw_apply(struct cw_replica *r, const struct cw_apply_options *options,
    struct cw_apply_result *result, struct cw_error *err)
{
	struct cw_incoming *in = r->incoming;
	struct apply a = {.r = r, .in = in, .result = result, .going_dir = -1};
	int ret;

	*result = (struct cw_apply_result){0};
	if (in->info.stage != CW_INCOMING_COMPLETE &&
	    in->info.stage != CW_INCOMING_APPLYING)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "the changes that came in are not complete");
	if (in->info.stage == CW_INCOMING_COMPLETE)
		in->diverged = options == NULL ? 0 : options->diverged_epoch;
	a.progress = options == NULL ? NULL : options->progress;
	a.is_first = cw_catalog_info(r->catalog)->entries == 0;
	a.partial = options != NULL && options->partial;
	a.shelf.is_diverged = in->diverged != 0;
	a.shelf.number = in->diverged != 0 ? in->diverged : in->info.generation;
	ret = db_set_durable(&in->db, true, err);
	if (ret == 0)
		ret = run(&a, err);
	if (ret < 0) {
		if (a.is_begun)
			cw_catalog_rollback(r->catalog);
		/* What was written down so far is true: it stays. */
		(void)cw_history_commit(r->history, NULL);
		if (in->info.stage != CW_INCOMING_APPLYING ||
		    db_commit(&in->db, NULL) < 0)
			cw_incoming_rollback(in);
	}
	(void)db_set_durable(&in->db, false, NULL);
	cw_place_forget(r->place);
	cw_buf_free(&a.parent);
	return ret;
}

int
cw_apply_resume(struct cw_replica *r, struct cw_progress *progress,
    struct cw_apply_result *result, struct cw_error *err)
{
	struct cw_apply_options options = {.progress = progress};

	if (cw_incoming_info(r->incoming)->stage != CW_INCOMING_APPLYING)
		return 1;
	return cw_apply(r, &options, result, err);
}
