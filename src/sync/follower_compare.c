/*
 * Comparison: for replicas that fell behind what the source remembers, that
 * went their own way, or whose digest is wrong for whatever reason.  First the
 * digests of all directories, then the entries of those that differ; then the
 * plan goes on from the generation that they were of.
 */
#include "sync/follower_impl.h"

#include <string.h>

static int
ask_list(struct cw_follower *f, const ProtobufCBinaryData *path,
    struct cw_error *err)
{
	Cw__DirWant m = CW__DIR_WANT__INIT;
	ProtobufCBinaryData copy = *path;

	m.store = f->o.store;
	m.n_paths = 1;
	m.paths = &copy;
	f->lists_open++;
	f->state.compared++;
	return follower_send(f, CW_FRAME_DIR_WANT, &m.base, err);
}

/* All lists are here: now what changed since they were made. */
static int
go_on(struct cw_follower *f, struct cw_error *err)
{
	if (!f->dirs_ended || f->lists_open > 0)
		return 0;
	if (follower_commit(f, err) < 0)
		return -1;
	f->was_compared = true;
	f->has_position = false;
	return follower_ask(f, false, err);
}

int
follower_dirs(struct cw_follower *f, const Cw__Dirs *dirs, struct cw_error *err)
{
	if (dirs->serial != f->serial)
		return 0;
	if (!f->is_open)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent DIRS that were not asked for");
	if (!f->in_compare) {
		/* It cannot tell what changed since our generation. */
		f->in_compare = true;
		f->has_sums = false;
	}
	if (!f->has_sums) {
		/* What is collected is what changes after these sums add to. */
		f->has_sums = true;
		f->dirs_ended = false;
		f->lists_open = 0;
		f->has_position = false;
		f->compare_generation = dirs->generation;
		if (cw_incoming_discard(f->replica.incoming, err) < 0 ||
		    cw_incoming_begin(f->replica.incoming, dirs->generation,
			f->o.epoch, err) < 0)
			return -1;
	} else if (dirs->generation != f->compare_generation) {
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer mixed the sums of two generations");
	}
	for (size_t i = 0; i < dirs->n_dirs; i++) {
		const Cw__DirSum *sum = dirs->dirs[i];
		uint8_t own[CW_STATE_SIZE];
		int64_t dir;
		int got;

		got = cw_catalog_dir_lookup(f->catalog,
		    (const char *)sum->path.data, sum->path.len, &dir, err);
		if (got == 0)
			got = cw_state_dir_digest(f->catalog, dir, own, err);
		if (got < 0)
			return -1;
		if (got == 0 && memcmp(own, sum->digest.data, sizeof(own)) == 0)
			continue;
		if (ask_list(f, &sum->path, err) < 0)
			return -1;
	}
	f->dirs_ended = dirs->last;
	return go_on(f, err);
}

int
follower_dir_list(
    struct cw_follower *f, const Cw__DirList *list, struct cw_error *err)
{
	const struct cw_row_tables tables = {.owners = list->owners,
	    .owner_count = list->n_owners,
	    .dir = &list->path};
	struct cw_incoming *in;

	if (list->serial != f->serial)
		return 0;
	if (!f->is_open || f->lists_open == 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a list that was not asked for");
	in = f->replica.incoming;
	if (!f->in_listing) {
		cw_buf_reset(&f->listing);
		cw_buf_append(&f->listing, list->path.data, list->path.len);
		/* A directory that went meanwhile: the plan will say so. */
		if (!list->gone &&
		    cw_incoming_list_begin(in, cw_buf_string(&f->listing),
			list->path.len, err) < 0)
			return -1;
		f->in_listing = true;
	} else if (f->listing.len != list->path.len ||
		   memcmp(f->listing.data, list->path.data, list->path.len) !=
		       0) {
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer mixed the lists of two directories");
	}
	for (size_t i = 0; i < list->n_rows; i++) {
		struct cw_change ch;
		bool is_brief;

		if (cw_row_change(list->rows[i], &tables, &ch, &is_brief, err) <
		    0)
			return -1;
		if (is_brief || ch.is_removal)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer sent a list that is no list");
		follower_own(f, &ch);
		if (cw_incoming_list_add(in, &f->replica, &ch, err) < 0)
			return -1;
		f->state.rows++;
		f->has_more = true;
	}
	if (!list->last)
		return 0;
	f->in_listing = false;
	f->lists_open--;
	if (!list->gone && cw_incoming_list_end(in, &f->replica, err) < 0)
		return -1;
	return go_on(f, err);
}
