/*
 * The conversation of a follower.  Rows and contents are taken in as they
 * come; when the end was announced and nothing is awaited, the generation is
 * applied.  The parts of the replica are open, and the store's lock is ours,
 * only while something is under way.
 */
#include "sync/follower_impl.h"

#include "base/clock.h"
#include "seed/import.h"
#include "store/contents.h"

#include <stdlib.h>
#include <string.h>

/* Without a frame for so long, others may have the store. */
#define IDLE_MS	     30000
#define COMMIT_BYTES (32u << 20)
/* On a slow line that would be long, and a crash forgets rows till then. */
#define COMMIT_MS 10000

int
cw_follower_new(const struct cw_follower_options *options,
    struct cw_follower **out, struct cw_error *err)
{
	struct cw_follower *f = cw_calloc(1, sizeof(*f));

	(void)err;
	f->o = *options;
	f->writer = cw_wire_writer_new();
	f->asked = cw_rows_new();
	f->kept_end = &f->kept;
	f->next_id = 1;
	*out = f;
	return 0;
}

void
follower_close(struct cw_follower *f)
{
	follower_drop_wants(f);
	if (!f->is_open)
		return;
	cw_intake_free(f->intake);
	f->intake = NULL;
	cw_replica_close(&f->replica);
	memset(&f->replica, 0, sizeof(f->replica));
	cw_place_free(f->place);
	f->place = NULL;
	cw_catalog_close(f->catalog);
	f->catalog = NULL;
	f->is_open = false;
	if (f->o.lock != NULL)
		(void)f->o.lock(f->o.arg, false, NULL);
}

void
cw_follower_free(struct cw_follower *f)
{
	if (f == NULL)
		return;
	/* Rows that came need not come again because the line broke. */
	if (f->is_open && !f->is_torn && f->uncommitted > 0 &&
	    (!f->in_compare || f->was_compared))
		(void)follower_commit(f, NULL);
	follower_close(f);
	while (f->kept != NULL) {
		struct kept_frame *next = f->kept->next;

		free(f->kept);
		f->kept = next;
	}
	free(f->handed);
	cw_rows_free(f->asked);
	cw_wire_writer_free(f->writer);
	cw_buf_free(&f->dir_path);
	cw_buf_free(&f->name);
	cw_buf_free(&f->target);
	cw_buf_free(&f->listing);
	free(f);
}

int
follower_send(struct cw_follower *f, enum cw_frame_type type,
    const ProtobufCMessage *m, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	struct cw_frame frame;

	if (f->is_cut)
		return 0;
	if (cw_wire_encode(f->writer, type, m, 3, &frame, err) < 0)
		return -1;
	if (cw_link_send_frame(f->o.link, &frame, &why) == 0 &&
	    cw_link_flush(f->o.link, &why) == 0)
		return 0;
	/*
	 * Much may have come before the line broke: it is not to come again.
	 * Whoever reads the link meets the failure behind it.
	 */
	if (why.code == CW_ERR_UNREACHABLE) {
		f->is_cut = true;
		return 0;
	}
	if (err != NULL)
		*err = why;
	return -1;
}

void
follower_note_state(struct cw_follower *f)
{
	bool is_known;

	f->state.generation = cw_catalog_info(f->catalog)->generation;
	(void)cw_state_digest(f->catalog, f->state.digest, &is_known, NULL);
}

int
follower_open(struct cw_follower *f, struct cw_error *err)
{
	struct cw_apply_result result;
	int got;

	if (f->is_open)
		return 0;
	if (f->o.lock != NULL && f->o.lock(f->o.arg, true, err) < 0)
		return -1;
	f->is_open = true;
	if (cw_catalog_open(
		f->o.catalog_path, CW_CATALOG_WRITE, &f->catalog, err) < 0 ||
	    cw_catalog_index_contents(f->catalog, err) < 0)
		goto fail;
	f->place = cw_place_new(f->o.roots, f->o.root_count);
	if (cw_replica_open(f->o.store_dir, f->catalog, f->o.roots,
		f->o.root_count, &f->replica, err) < 0 ||
	    cw_intake_new(f->replica.staging, &f->intake, err) < 0)
		goto fail;
	/* What a crash cut off needs no peer to be finished. */
	got = cw_apply_resume(&f->replica, f->o.progress, &result, err);
	if (got < 0 || (got == 0 && f->o.applied != NULL &&
			   f->o.applied(f->o.arg, &result, err) < 0))
		goto fail;
	follower_note_state(f);
	return 0;
fail:
	follower_close(f);
	return -1;
}

int
follower_is_importing(struct cw_follower *f, struct cw_error *err)
{
	char *state = NULL;
	int got =
	    cw_catalog_note_get(f->catalog, CW_NOTE_IMPORT_STATE, &state, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	got = strcmp(state, "running") == 0;
	free(state);
	return got;
}

/*
 * Files that a seed listed and did not bring (a lost medium, damage): they
 * stand in the catalog and not in the tree, and are wanted like any other.
 */
static int
add_wanted(struct cw_follower *f, struct cw_error *err)
{
	uint64_t count;
	int got = follower_is_importing(f, err);

	if (got != 1)
		return got;
	if (cw_incoming_add_lacking(
		f->replica.incoming, &f->replica, &count, err) < 0)
		return -1;
	f->has_more |= count > 0;
	return 0;
}

int
follower_ask(struct cw_follower *f, bool all, struct cw_error *err)
{
	const struct cw_incoming_info *in;
	Cw__Start m = CW__START__INIT;
	uint64_t since;

	if (follower_open(f, err) < 0)
		return -1;
	follower_drop_wants(f);
	since = f->state.generation;
	if (f->in_compare && f->dirs_ended)
		since = f->compare_generation; /* its second half */
	else
		f->in_compare = all;
	if (all && cw_incoming_discard(f->replica.incoming, err) < 0)
		return -1;
	if (cw_incoming_begin(f->replica.incoming, since, f->o.epoch, err) < 0)
		return -1;
	in = cw_incoming_info(f->replica.incoming);
	f->has_end = f->has_position = false;
	f->has_gone = false;
	follower_begin_wants(f);
	f->unresolved = f->asked_unsent = 0;
	cw_rows_reset(f->asked);
	f->in_listing = false;
	if (all) {
		f->has_sums = f->dirs_ended = f->was_compared = false;
		f->lists_open = 0;
	} else if (in->rows == 0 && add_wanted(f, err) < 0) {
		return -1;
	}
	m.store = f->o.store;
	m.serial = ++f->serial;
	m.since = since;
	f->must_ask = false;
	f->taken_ms = cw_clock_ms();
	f->asked_generation = f->state.generation;
	m.epoch = f->o.epoch;
	m.all = all;
	if (!all) {
		m.generation = in->position.generation;
		m.is_put = in->position.is_put;
		m.dir = (uint64_t)in->position.dir;
		m.name.data = (uint8_t *)(uintptr_t)in->position.name;
		m.name.len = in->position.name_len;
	}
	f->has_started = true;
	return follower_send(f, CW_FRAME_START, &m.base, err);
}

int
cw_follower_start(struct cw_follower *f, struct cw_error *err)
{
	if (follower_open(f, err) < 0)
		return -1;
	f->state.from = f->state.generation;
	f->in_compare = f->dirs_ended = false;
	f->compares = 0;
	return follower_ask(f, f->o.diverged_epoch != 0, err);
}

int
follower_commit(struct cw_follower *f, struct cw_error *err)
{
	/*
	 * A position is behind all rows before it: while one of them is only
	 * known in brief, a break must bring it again.
	 */
	if (f->unresolved > 0 || !f->is_open)
		return 0;
	/*
	 * Contents are not waited for, nor synced: what a crash takes of them
	 * lacks when the generation is to be applied, and is wanted again;
	 * apply syncs before it begins.
	 */
	f->uncommitted = 0;
	f->committed_ms = cw_clock_ms();
	return cw_incoming_commit(f->replica.incoming,
	    f->has_position ? &f->position
			    : &cw_incoming_info(f->replica.incoming)->position,
	    err);
}

int
follower_advance(struct cw_follower *f, struct cw_error *err)
{
	if (!f->is_open)
		return 0;
	if (f->asked_unsent > 0 && follower_ask_rows(f, err) < 0)
		return -1;
	if (follower_want_more(f, err) < 0)
		return -1;
	if ((f->uncommitted >= COMMIT_BYTES ||
		(f->uncommitted > 0 &&
		    cw_clock_ms() - f->committed_ms >= COMMIT_MS)) &&
	    follower_commit(f, err) < 0)
		return -1;
	if (!f->has_end || f->unresolved > 0 || f->want_count > 0 ||
	    f->has_more || f->has_gone)
		return 0;
	if (follower_settle(f, err) < 0 || follower_commit(f, err) < 0)
		return -1;
	return f->has_gone ? 0 : follower_finish(f, err);
}

static int
plan_end(struct cw_follower *f, const Cw__PlanEnd *m, struct cw_error *err)
{
	if (m->serial != f->serial)
		return 0;
	if (f->in_compare && !f->was_compared)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer ended a plan that it had not begun");
	if (follower_open(f, err) < 0)
		return -1;
	/* Somebody else brought us further meanwhile: ask from there. */
	if (m->generation < f->state.generation && !f->was_compared &&
	    f->has_started && f->asked_generation == f->state.generation)
		return follower_went_back(f, m->generation, err);
	if (!f->has_started ||
	    (m->generation < f->state.generation && !f->was_compared))
		return follower_ask(f, false, err);
	f->has_end = true;
	f->state.is_equal = false;
	f->has_gone = false;
	f->end_generation = m->generation;
	f->state.target = m->generation;
	f->is_end_known = m->digest.len == CW_STATE_SIZE;
	memset(f->end_digest, 0, sizeof(f->end_digest));
	if (f->is_end_known)
		memcpy(f->end_digest, m->digest.data, CW_STATE_SIZE);
	return 0;
}

int
cw_follower_rest(struct cw_follower *f, struct cw_error *err)
{
	if (!f->is_open || cw_clock_ms() - f->taken_ms < IDLE_MS)
		return 0;
	if ((!f->in_compare || f->was_compared) && follower_commit(f, err) < 0)
		return -1;
	follower_close(f);
	f->must_ask = true;
	return 0;
}

static int
take(struct cw_follower *f, struct cw_wire_reader *reader,
    const struct cw_wire_msg *msg, struct cw_error *err)
{
	int ret;

	if (f->must_ask)
		return follower_ask(f, f->in_compare && !f->dirs_ended, err);
	f->is_torn = true;
	switch (msg->type) {
	case CW_FRAME_PLAN:
		ret = follower_plan(f, reader, msg->plan, err);
		break;
	case CW_FRAME_PLAN_END:
		ret = plan_end(f, msg->plan_end, err);
		break;
	case CW_FRAME_DATA:
		ret = follower_data(f, reader, msg->data, err);
		break;
	case CW_FRAME_CHUNKS:
		ret = follower_chunks(f, msg->chunks, err);
		break;
	case CW_FRAME_DIRS:
		ret = follower_dirs(f, msg->dirs, err);
		break;
	case CW_FRAME_DIR_LIST:
		ret = follower_dir_list(f, msg->dir_list, err);
		break;
	default:
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent %s to a standby site",
		    cw_frame_name(msg->type));
	}
	if (ret < 0)
		return -1;
	f->is_torn = false;
	return follower_advance(f, err);
}

int
cw_follower_take(struct cw_follower *f, struct cw_wire_reader *reader,
    const struct cw_wire_msg *msg, struct cw_error *err)
{
	int ret = take(f, reader, msg, err);

	/* An apply may have taken its time. */
	f->taken_ms = cw_clock_ms();
	return ret;
}

int
cw_follower_next_frame(struct cw_follower *f, struct cw_frame *out)
{
	struct kept_frame *k = f->kept;

	free(f->handed);
	f->handed = k;
	if (k == NULL)
		return 0;
	if ((f->kept = k->next) == NULL)
		f->kept_end = &f->kept;
	f->kept_bytes -= k->len;
	*out = (struct cw_frame){k->type, k->flags, k->body, k->len};
	return 1;
}

bool
cw_follower_is_current(const struct cw_follower *f)
{
	return f->has_started && !f->is_open && !f->must_ask &&
	       f->kept == NULL && f->state.generation >= f->state.target &&
	       f->state.target > 0;
}

void
cw_follower_state(const struct cw_follower *f, struct cw_follower_state *out)
{
	*out = f->state;
	out->waiting = f->is_open && f->replica.incoming != NULL
			   ? cw_incoming_info(f->replica.incoming)->rows
			   : 0;
	out->wanted = f->want_count;
	out->wanted_bytes = f->want_bytes;
}
