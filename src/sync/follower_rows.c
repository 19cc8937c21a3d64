/*
 * Rows as they come: checked, completed where they are brief, stored.
 */
#include "sync/follower_impl.h"

#include "formats/mail/mail.h"
#include "store/contents.h"

#include <string.h>

void
follower_own(struct cw_follower *f, struct cw_change *ch)
{
	cw_buf_reset(&f->dir_path);
	cw_buf_append(&f->dir_path, ch->dir_path, ch->dir_path_len);
	ch->dir_path = cw_buf_string(&f->dir_path);
	cw_buf_reset(&f->name);
	cw_buf_append(&f->name, ch->e.name, ch->e.name_len);
	ch->e.name = cw_buf_string(&f->name);
	if (ch->e.target != NULL) {
		cw_buf_reset(&f->target);
		cw_buf_append(&f->target, ch->e.target, ch->e.target_len);
		ch->e.target = cw_buf_string(&f->target);
	}
}

/* The message of this base in our directory: 0 with *out, 1 none, -1. */
static int
find_message(struct cw_follower *f, const char *dir_path, size_t len,
    const struct cw_change *ch, const uint8_t mac[CW_WIRE_BRIEF_SIZE],
    struct cw_entry *out, struct cw_error *err)
{
	uint8_t own[CW_STATE_SIZE];
	size_t base = cw_maildir_base_len(ch->e.name, ch->e.name_len);
	int64_t dir;
	int got = cw_catalog_dir_lookup(f->catalog, dir_path, len, &dir, err);

	if (got == 0)
		got = cw_catalog_find_base(
		    f->catalog, dir, ch->e.name, base, out, err);
	if (got != 0)
		return got;
	out->name = ch->e.name;
	out->name_len = ch->e.name_len;
	cw_catalog_mac(f->catalog, ch->dir_path, ch->dir_path_len, out, own);
	return memcmp(own, mac, CW_WIRE_BRIEF_SIZE) == 0 ? 0 : 1;
}

/*
 * Completes a brief row from the message that we have: 0; 1 if we have none
 * that fits.
 */
static int
complete(struct cw_follower *f, struct cw_change *ch,
    const uint8_t mac[CW_WIRE_BRIEF_SIZE], struct cw_error *err)
{
	size_t len = ch->dir_path_len;
	uint64_t generation = ch->e.generation;
	struct cw_entry found;
	int got;

	got = find_message(f, ch->dir_path, len, ch, mac, &found, err);
	if (got == 1 && len > 4 &&
	    memcmp(ch->dir_path + len - 4, "/cur", 4) == 0) {
		char sibling[CW_PATH_MAX + 1];

		memcpy(sibling, ch->dir_path, len - 3);
		memcpy(sibling + len - 3, "new", 4);
		got = find_message(f, sibling, len, ch, mac, &found, err);
	}
	if (got != 0)
		return got;
	ch->e = found;
	ch->e.generation = generation;
	return 0;
}

static int
take_row(struct cw_follower *f, struct cw_wire_reader *reader,
    const Cw__Row *row, const struct cw_row_tables *tables, bool is_answer,
    struct cw_error *err)
{
	struct cw_change ch;
	bool is_brief;
	const uint8_t *content;
	struct cw_look look;
	bool has_come = row->content.len > 0;
	size_t len;
	int got;

	if (cw_row_change(row, tables, &ch, &is_brief, err) < 0)
		return -1;
	if (ch.dir_path_len > CW_PATH_MAX)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "the peer sent a path too long");
	follower_own(f, &ch);
	if (!is_answer) {
		cw_change_position(&ch, &f->position);
		f->has_position = true;
	}
	f->state.rows++;
	f->uncommitted += 256;
	if (is_brief) {
		got = complete(f, &ch, row->brief_mac.data, err);
		if (got < 0)
			return -1;
		if (got == 1) {
			const struct cw_change ask = {.is_removal = true,
			    .kind = CW_KIND_FILE,
			    .dir = ch.dir,
			    .dir_path = ch.dir_path,
			    .dir_path_len = ch.dir_path_len,
			    .e = ch.e};

			cw_rows_add(f->asked, &ask, true, NULL);
			f->asked_unsent++;
			f->unresolved++;
			return cw_rows_is_full(f->asked)
				   ? follower_ask_rows(f, err)
				   : 0;
		}
	}
	has_come = has_come && ch.e.kind == CW_KIND_FILE && !ch.is_removal;
	if (has_come) {
		if (cw_wire_content(reader, row->content_coding, &row->content,
			CW_WIRE_CONTENT_MAX, &content, &len, err) < 0)
			return -1;
		if (len != ch.e.size)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer sent %zu bytes of a file of %llu", len,
			    (unsigned long long)ch.e.size);
		cw_place_look(f->place, &ch.e, &look);
		if (cw_intake_put(
			f->intake, ch.e.digest, content, len, &look, err) < 0)
			return -1;
		f->uncommitted += len;
	}
	if (has_come)
		return cw_incoming_add_come(f->replica.incoming, &ch, err);
	if (cw_incoming_add(f->replica.incoming, &ch, err) < 0)
		return -1;
	if (ch.is_removal || ch.e.kind != CW_KIND_FILE)
		return 0;
	return follower_want(f, &ch, err);
}

int
follower_ask_rows(struct cw_follower *f, struct cw_error *err)
{
	Cw__RowWant m = CW__ROW_WANT__INIT;
	Cw__Plan plan = CW__PLAN__INIT;
	int ret;

	cw_rows_plan(f->asked, &plan);
	m.store = f->o.store;
	m.serial = f->serial;
	m.n_rows = plan.n_rows;
	m.rows = plan.rows;
	m.n_dirs = plan.n_dirs;
	m.dirs = plan.dirs;
	ret = follower_send(f, CW_FRAME_ROW_WANT, &m.base, err);
	cw_rows_reset(f->asked);
	f->asked_unsent = 0;
	return ret;
}

int
follower_plan(struct cw_follower *f, struct cw_wire_reader *reader,
    const Cw__Plan *plan, struct cw_error *err)
{
	const struct cw_row_tables tables = {.dirs = plan->dirs,
	    .dir_count = plan->n_dirs,
	    .owners = plan->owners,
	    .owner_count = plan->n_owners};
	int ret = 0;

	if (plan->serial != f->serial)
		return 0;
	if (!f->is_open) {
		/* The next generation after one that we acknowledged. */
		if (follower_open(f, err) < 0)
			return -1;
		if (!plan->first || plan->since != f->state.generation)
			return follower_ask(f, false, err);
		if (cw_incoming_begin(
			f->replica.incoming, plan->since, f->o.epoch, err) < 0)
			return -1;
		f->has_end = f->has_position = f->has_gone = false;
		follower_begin_wants(f);
	}
	if (plan->first)
		f->state.target = plan->target;
	f->has_end = f->has_end && plan->answer;
	/* Many look-ups, with one lock of the file. */
	if (cw_catalog_hold(f->catalog, err) < 0)
		return -1;
	for (size_t i = 0; ret == 0 && i < plan->n_rows; i++)
		ret = take_row(
		    f, reader, plan->rows[i], &tables, plan->answer, err);
	cw_catalog_release(f->catalog);
	if (ret < 0)
		return -1;
	if (plan->answer) {
		if (plan->n_rows > f->unresolved)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer answered more rows than were asked");
		f->unresolved -= plan->n_rows;
	}
	return 0;
}
