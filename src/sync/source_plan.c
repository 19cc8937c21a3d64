/*
 * The plan: rows of what changed, in an order that can be broken off anywhere.
 */
#include "sync/source_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "formats/mail/mail.h"
#include "store/contents.h"

#include <stdlib.h>
#include <string.h>

#define CLASS_MESSAGE 1u
/*
 * A control file is most often a new version of one that the replica has: it
 * wants what was appended, so only a tiny one travels whole with its row.
 */
#define CONTROL_INLINE_MAX 512u

/* The content of a small file that the replica can't have: 0, 1 none, -1. */
static int
read_small(struct cw_sync_source *s, const struct cw_change *ch, size_t *len,
    struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	const struct cw_entry *e = &ch->e;
	bool is_known = false;
	size_t got = 0;
	int fd, ret;

	if (e->size > CW_WIRE_CONTENT_MAX || e->size == 0)
		return 1;
	if (s->since > 0 && e->class != CLASS_MESSAGE &&
	    e->size > CONTROL_INLINE_MAX)
		return 1;
	if (cw_catalog_content_known(s->catalog, e, s->since, &is_known, err) <
	    0)
		return -1;
	if (is_known)
		return 1;
	ret = source_open(s, ch->dir_path, ch->dir_path_len, e, &fd, err);
	if (ret != 0)
		return ret;
	ret = cw_pread_full(fd, s->buf, e->size, 0, &got, NULL) == 0 &&
		      got == e->size
		  ? 0
		  : 1;
	cw_close(&fd);
	if (ret != 0)
		return ret;
	cw_sha256(s->buf, got, digest);
	*len = got;
	return memcmp(digest, e->digest, sizeof(digest)) == 0 ? 0 : 1;
}

int
source_add_row(struct cw_sync_source *s, const struct cw_change *ch,
    bool with_dir, struct cw_error *err)
{
	struct cw_row_content content = {.content = s->buf};
	int got = 1;

	if (!ch->is_removal && ch->e.kind == CW_KIND_FILE)
		got = read_small(s, ch, &content.content_len, err);
	if (got < 0)
		return -1;
	cw_rows_add(s->rows, ch, with_dir, got == 0 ? &content : NULL);
	return 0;
}

/* The directory "new" beside a "cur", 0 if there is none. */
static int
find_sibling(
    struct cw_sync_source *s, const struct cw_change *ch, struct cw_error *err)
{
	size_t len = ch->dir_path_len;
	char *path;
	int got;

	if (s->dir == ch->dir)
		return 0;
	s->dir = ch->dir;
	s->sibling = 0;
	if (len < 4 || memcmp(ch->dir_path + len - 4, "/cur", 4) != 0)
		return 0;
	path = cw_asprintf("%.*s/new", (int)(len - 4), ch->dir_path);
	got = cw_catalog_dir_lookup(
	    s->catalog, path, strlen(path), &s->sibling, err);
	free(path);
	if (got != 0)
		s->sibling = 0;
	return got < 0 ? -1 : 0;
}

/*
 * Whether this put is a message whose flags changed: then the replica has all
 * of it but the name.  1 yes, 0 no.
 */
static int
is_flag_change(
    struct cw_sync_source *s, const struct cw_change *ch, struct cw_error *err)
{
	const struct cw_entry *e = &ch->e;
	size_t base;
	int got;

	if (s->since == 0 || e->kind != CW_KIND_FILE ||
	    e->class != CLASS_MESSAGE)
		return 0;
	base = cw_maildir_base_len(e->name, e->name_len);
	if (base == 0 || find_sibling(s, ch, err) < 0)
		return base == 0 ? 0 : -1;
	got = cw_catalog_tombstone_base(
	    s->catalog, ch->dir, e->name, base, s->since, err);
	if (got == 0 && s->sibling != 0)
		got = cw_catalog_tombstone_base(
		    s->catalog, s->sibling, e->name, base, s->since, err);
	return got;
}

static int
add_change(
    struct cw_sync_source *s, const struct cw_change *ch, struct cw_error *err)
{
	uint8_t mac[CW_STATE_SIZE];
	struct cw_row_content brief = {.brief = mac};
	int got;

	if (ch->is_removal) {
		cw_rows_add(s->rows, ch, true, NULL);
		return 0;
	}
	if ((got = is_flag_change(s, ch, err)) < 0)
		return -1;
	if (got == 0)
		return source_add_row(s, ch, true, err);
	cw_catalog_mac(s->catalog, ch->dir_path, ch->dir_path_len, &ch->e, mac);
	cw_rows_add(s->rows, ch, true, &brief);
	return 0;
}

static int
send_rows(struct cw_sync_source *s, bool is_answer, struct cw_error *err)
{
	Cw__Plan plan = CW__PLAN__INIT;
	size_t count = cw_rows_count(s->rows);
	int ret;

	if (count == 0)
		return 0;
	plan.store = s->o.store;
	plan.serial = s->serial;
	plan.answer = is_answer;
	if (!is_answer && s->is_first) {
		plan.first = true;
		plan.since = s->since;
		plan.target = cw_catalog_info(s->catalog)->generation;
		s->is_first = false;
	}
	cw_rows_plan(s->rows, &plan);
	ret = source_send(s, CW_FRAME_PLAN, &plan.base, s->pace.level, err);
	cw_pace_sent(&s->pace, s->o.link, cw_rows_bytes(s->rows));
	s->state.rows += count;
	cw_rows_reset(s->rows);
	return ret;
}

static int
send_end(struct cw_sync_source *s, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(s->catalog);
	Cw__PlanEnd end = CW__PLAN_END__INIT;
	uint8_t digest[CW_STATE_SIZE];
	bool is_known;

	if (cw_state_digest(s->catalog, digest, &is_known, err) < 0)
		return -1;
	end.store = s->o.store;
	end.serial = s->serial;
	end.generation = info->generation;
	end.epoch = s->o.epoch;
	if (is_known) {
		end.digest.data = digest;
		end.digest.len = sizeof(digest);
	}
	if (source_send(s, CW_FRAME_PLAN_END, &end.base, 0, err) < 0)
		return -1;
	s->is_done = s->has_ended = true;
	s->end_generation = info->generation;
	return 0;
}

/*
 * Entries are committed before their contents are read, and a row that was
 * left out for want of a digest never comes again: the plan goes as far as the
 * scan has read, and waits for the rest.
 */
static void
await_contents(struct cw_sync_source *s, struct cw_changes *changes)
{
	const struct cw_catalog_info *info = cw_catalog_info(s->catalog);

	if (info->pending > 0 && info->generation != s->settled)
		cw_changes_await_contents(changes);
}

/* One frame of rows, or the end. */
int
source_plan(struct cw_sync_source *s, struct cw_error *err)
{
	struct cw_changes *changes = NULL;
	struct cw_change ch;
	size_t count;
	int got = 0, ret = -1;

	if (s->is_done || s->is_comparing ||
	    (s->is_waiting &&
		cw_clock_ms() - s->waiting_ms < CW_SYNC_SOURCE_LOOK_MS))
		return 0;
	if (cw_changes_open(s->catalog, s->since, &s->at, &changes, err) < 0)
		return -1;
	await_contents(s, changes);
	s->state.generation = cw_catalog_info(s->catalog)->generation;
	cw_rows_reset(s->rows);
	while (!cw_rows_is_full(s->rows) &&
	       (got = cw_changes_next(changes, &ch, err)) == 1) {
		if (!cw_rows_takes(s->rows, ch.dir_path, ch.dir_path_len))
			break;
		if (add_change(s, &ch, err) < 0)
			goto out;
		cw_change_position(&ch, &s->at);
	}
	if (got < 0)
		goto out;
	s->is_waiting = got == 0 && cw_changes_is_cut(changes);
	s->waiting_ms = cw_clock_ms();
	count = cw_rows_count(s->rows);
	if (count > 0 && send_rows(s, false, err) < 0)
		goto out;
	/* The end goes out in the same look, so it is of the rows' commit. */
	if (got == 0 && !s->is_waiting && send_end(s, err) < 0)
		goto out;
	ret = count > 0 || !s->is_waiting;
out:
	cw_changes_close(changes);
	return ret;
}

int
source_row_want(
    struct cw_sync_source *s, const Cw__RowWant *want, struct cw_error *err)
{
	const struct cw_row_tables tables = {
	    .dirs = want->dirs, .dir_count = want->n_dirs};

	if (want->serial != s->serial)
		return 0;
	cw_rows_reset(s->rows);
	for (size_t i = 0; i < want->n_rows; i++) {
		struct cw_buf attrs = CW_BUF_INIT;
		struct cw_change ch;
		bool is_brief;
		const Cw__Row asked = {.base = want->rows[i]->base,
		    .dir = want->rows[i]->dir,
		    .name = want->rows[i]->name,
		    .removed = true};
		int64_t dir = 0;
		int got;

		if (cw_row_change(&asked, &tables, &ch, &is_brief, err) < 0)
			return -1;
		got = cw_catalog_dir_lookup(
		    s->catalog, ch.dir_path, ch.dir_path_len, &dir, err);
		if (got == 0)
			got = cw_catalog_lookup(s->catalog, dir,
			    (const char *)asked.name.data, asked.name.len,
			    &ch.e, err);
		if (got < 0)
			return -1;
		ch.dir = dir;
		ch.is_removal =
		    got != 0 || (ch.e.kind == CW_KIND_FILE && !ch.e.has_digest);
		if (ch.is_removal) {
			ch.kind = CW_KIND_FILE;
			ch.e.generation =
			    cw_catalog_info(s->catalog)->generation;
		}
		if (!cw_rows_takes(s->rows, ch.dir_path, ch.dir_path_len) ||
		    cw_rows_is_full(s->rows))
			if (send_rows(s, true, err) < 0)
				return -1;
		/* What a look-up gave is good until the next one. */
		ch.e.name = (const char *)asked.name.data;
		ch.e.name_len = asked.name.len;
		if (!ch.is_removal && ch.e.attrs_len > 0) {
			cw_buf_append(&attrs, ch.e.attrs, ch.e.attrs_len);
			ch.e.attrs = attrs.data;
		}
		got = source_add_row(s, &ch, true, err);
		cw_buf_free(&attrs);
		if (got < 0)
			return -1;
	}
	return send_rows(s, true, err);
}
