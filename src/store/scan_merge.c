/*
 * One directory's listing against its rows, both in the order of names: what
 * is only in the listing is new, what is only in the catalog is a suspect,
 * what is in both is compared.
 */
#include "store/scan_impl.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 256

/* The row side: pages of copies, since the table changes under way. */
struct row_side {
	struct scan *s;
	int64_t dir;
	size_t at;
	bool at_end;
};

/* 1 and *out, 0 at the end. */
static int
next_row(struct row_side *r, const struct cw_entry **out, struct cw_error *err)
{
	struct cw_catalog *c = r->s->c;
	struct cw_run *page = &r->s->page;
	char after[CW_ENTRY_NAME_MAX];
	size_t after_len = 0;
	sqlite3_stmt *st;
	int got;

	if (r->at < page->count) {
		*out = &page->entries[r->at++];
		return 1;
	}
	if (r->at_end)
		return 0;
	if (page->count > 0) {
		const struct cw_entry *last = &page->entries[page->count - 1];

		after_len = last->name_len;
		memcpy(after, last->name, after_len);
	}
	if ((st = catalog_stmt(c, ST_LIST, err)) == NULL)
		return -1;
	run_reset(page);
	r->at = 0;
	sqlite3_bind_int64(st, 1, r->dir);
	bind_bytes(st, 2, after, after_len);
	sqlite3_bind_int64(st, 3, PAGE_ROWS);
	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		struct cw_entry e;

		if (row_read(c, st, &e, err) < 0) {
			sqlite3_reset(st);
			return -1;
		}
		run_append(page, &e);
	}
	sqlite3_reset(st);
	if (got != SQLITE_DONE)
		return catalog_fail(c, "list a directory", err);
	r->at_end = page->count < PAGE_ROWS;
	if (page->count == 0)
		return 0;
	*out = &page->entries[r->at++];
	return 1;
}

/* The listing side: a batch's items by name, or what was put aside. */
struct item_side {
	struct scan *s;
	const struct list_batch *b;
	sqlite3_stmt *spilled; /* NULL: from the batch */
	size_t at;
};

static void
fill_entry(struct scan *s, int64_t dir, const struct list_item *item,
    const uint8_t *bytes, struct cw_entry *e)
{
	*e = (struct cw_entry){
	    .dir = dir,
	    .name = (const char *)bytes + item->name,
	    .name_len = item->name_len,
	    .kind = (enum cw_kind)item->kind,
	    .class = item->class,
	    .mode = item->mode,
	    .uid = item->uid,
	    .gid = item->gid,
	    .user = scan_owner_name(s, 'u', item->uid),
	    .group = scan_owner_name(s, 'g', item->gid),
	    .mtime_ns = item->mtime_ns,
	    .ctime_ns = item->ctime_ns,
	    .size = item->size,
	    .ino = item->ino,
	    .linkgroup = item->linkgroup,
	    .sparse = item->sparse,
	};
	if (e->kind == CW_KIND_SYMLINK) {
		e->target = (const char *)bytes + item->target;
		e->target_len = item->target_len;
	}
	if (item->attrs_len > 0) {
		e->attrs = bytes + item->attrs;
		e->attrs_len = item->attrs_len;
	}
}

static int
next_item(struct item_side *i, struct cw_entry *out, struct cw_error *err)
{
	const struct list_batch *b = i->b;
	struct list_item item;
	int got;

	if (i->spilled == NULL) {
		if (i->at == b->count)
			return 0;
		fill_entry(i->s, b->job->dir, &b->items[i->s->order[i->at++]],
		    b->bytes.data, out);
		return 1;
	}
	got = sqlite3_step(i->spilled);
	if (got == SQLITE_DONE)
		return 0;
	if (got != SQLITE_ROW)
		return catalog_fail(i->s->c, "read a long directory", err);
	/* Written by scan_spill in this process: its own struct's image. */
	memcpy(&item, sqlite3_column_blob(i->spilled, 0), sizeof(item));
	fill_entry(i->s, b->job->dir, &item,
	    (const uint8_t *)sqlite3_column_blob(i->spilled, 0) + sizeof(item),
	    out);
	return 1;
}

int
scan_spill(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_SPILL, err);
	struct cw_buf data = CW_BUF_INIT;
	int ret = 0;

	if (st == NULL)
		return -1;
	for (size_t i = 0; i < b->count && ret == 0; i++) {
		struct list_item item = b->items[i];
		const uint8_t *bytes = b->bytes.data;
		const uint8_t *name = bytes + item.name;
		const uint8_t *target = bytes + item.target;
		const uint8_t *attrs = bytes + item.attrs;

		/* Offsets are from behind the struct now. */
		item.name = 0;
		item.target = item.name_len + 1u;
		item.attrs = item.target + item.target_len + 1u;
		cw_buf_reset(&data);
		cw_buf_append(&data, &item, sizeof(item));
		cw_buf_append(&data, name, item.name_len + 1u);
		if (item.target_len > 0)
			cw_buf_append(&data, target, item.target_len);
		cw_buf_append(&data, "", 1);
		if (item.attrs_len > 0)
			cw_buf_append(&data, attrs, item.attrs_len);
		sqlite3_bind_int64(st, 1, b->job->dir);
		bind_bytes(st, 2, name, item.name_len);
		bind_bytes(st, 3, data.data, data.len);
		ret = catalog_run(s->c, st, err);
	}
	cw_buf_free(&data);
	b->job->spilled = true;
	return ret;
}

static int
compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

static int
compare_items(const void *a, const void *b, void *arg)
{
	const struct list_batch *batch = arg;
	const struct list_item *x = &batch->items[*(const size_t *)a];
	const struct list_item *y = &batch->items[*(const size_t *)b];

	return compare_names(batch->bytes.data + x->name, x->name_len,
	    batch->bytes.data + y->name, y->name_len);
}

static void
sort_items(struct scan *s, struct list_batch *b)
{
	if (s->order_cap < b->count) {
		s->order_cap = b->count;
		s->order =
		    cw_reallocarray(s->order, s->order_cap, sizeof(*s->order));
	}
	for (size_t i = 0; i < b->count; i++)
		s->order[i] = i;
	if (b->count > 0)
		qsort_r(
		    s->order, b->count, sizeof(*s->order), compare_items, b);
}

/* ---- one entry ---- */

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* All that a generation counts and stat tells, but for the content. */
static bool
same_metadata(const struct cw_entry *a, const struct cw_entry *b)
{
	if (a->kind != b->kind || a->class != b->class || a->mode != b->mode ||
	    a->uid != b->uid || a->gid != b->gid ||
	    !same_text(a->user, b->user) || !same_text(a->group, b->group))
		return false;
	if (a->kind == CW_KIND_DIR)
		return true;
	if (a->mtime_ns != b->mtime_ns || a->size != b->size)
		return false;
	return a->kind != CW_KIND_SYMLINK ||
	       (a->target_len == b->target_len &&
		   memcmp(a->target, b->target, a->target_len) == 0);
}

/*
 * Is the content certainly what it was?  A message is immutable: a rename, a
 * link or a chmod moves its ctime, a restored copy its inode.  Of anything
 * else both are proof that somebody was at it.
 */
static bool
same_content(const struct cw_entry *old, const struct cw_entry *e)
{
	if (old->kind != CW_KIND_FILE || e->kind != CW_KIND_FILE ||
	    old->size != e->size || old->mtime_ns != e->mtime_ns)
		return false;
	return e->class == CW_MAIL_MESSAGE ||
	       (old->ctime_ns == e->ctime_ns && old->ino == e->ino);
}

/* Attributes that the lister did not look at. */
static int
load_attrs(struct scan *s, const struct list_job *job, struct cw_entry *e,
    struct cw_error *err)
{
	if (job == NULL || job->with_attrs || job->fd < 0 ||
	    e->kind == CW_KIND_SYMLINK)
		return 0;
	cw_buf_reset(&s->attrs);
	if (cw_scan_attrs(
		job->fd, e->name, e->kind == CW_KIND_DIR, &s->attrs, err) < 0)
		return cw_error_context(
		    err, "%s/%s", job->root->name, job->path);
	e->attrs = s->attrs.len > 0 ? s->attrs.data : NULL;
	e->attrs_len = s->attrs.len;
	return 0;
}

static int
note_fresh(struct scan *s, const struct cw_entry *e, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (s->is_first || e->kind != CW_KIND_FILE ||
	    e->class != CW_MAIL_MESSAGE)
		return 0;
	if ((st = scan_stmt(s, SC_FRESH, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, (int64_t)e->ino);
	sqlite3_bind_int64(st, 2, e->dir);
	bind_bytes(st, 3, e->name, e->name_len);
	s->fresh++;
	return catalog_run(s->c, st, err);
}

static int
add(struct scan *s, const struct list_job *job, struct cw_entry *e,
    struct cw_error *err)
{
	if (load_attrs(s, job, e, err) < 0 ||
	    catalog_put_over(s->c, NULL, e, s->generation, NULL, err) < 0)
		return -1;
	s->result->added++;
	return note_fresh(s, e, err);
}

int
scan_update(struct scan *s, const struct list_job *job,
    const struct cw_entry *old, struct cw_entry *e, struct cw_error *err)
{
	bool same_stamps, same;

	if (old == NULL) {
		s->differed++;
		return add(s, job, e, err);
	}
	if (old->kind != e->kind &&
	    (old->kind == CW_KIND_DIR || e->kind == CW_KIND_DIR)) {
		uint64_t before = s->c->info.entries;

		s->has_removed_dirs |= old->kind == CW_KIND_DIR;
		if (catalog_remove_row(s->c, old, s->generation, err) < 0)
			return -1;
		s->result->removed += before - s->c->info.entries;
		return add(s, job, e, err);
	}
	same = same_metadata(old, e);
	same_stamps = old->ctime_ns == e->ctime_ns && old->ino == e->ino &&
		      (e->kind != CW_KIND_DIR || old->mtime_ns == e->mtime_ns);
	if (same && same_stamps) {
		if (old->linkgroup == e->linkgroup)
			return 0;
		return catalog_touch(s->c, old, e, err);
	}
	if (load_attrs(s, job, e, err) < 0)
		return -1;
	if (old->attrs_len != e->attrs_len ||
	    (e->attrs_len > 0 &&
		memcmp(old->attrs, e->attrs, e->attrs_len) != 0))
		same = false;
	if (e->kind == CW_KIND_FILE) {
		bool same_bytes = same_content(old, e);

		if (same_bytes && old->has_digest) {
			e->has_digest = true;
			memcpy(e->digest, old->digest, CW_DIGEST_SIZE);
		}
		same = same && same_bytes;
	}
	if (same)
		return catalog_touch(s->c, old, e, err);
	s->result->changed++;
	return catalog_put_over(s->c, old, e, s->generation, NULL, err);
}

/* ---- one directory ---- */

static int
has_suspects(struct scan *s, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st;
	int got;

	if (s->suspects == 0)
		return 0;
	if ((st = scan_stmt(s, SC_SUSPECT_ANY, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	got = sqlite3_step(st);
	sqlite3_reset(st);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return catalog_fail(s->c, "look for suspects", err);
	return got == SQLITE_ROW;
}

/* It was missing and is there. */
static int
clear_suspect(struct scan *s, const struct cw_entry *e, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_SUSPECT_CLEAR, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, e->dir);
	bind_bytes(st, 2, e->name, e->name_len);
	return catalog_run(s->c, st, err);
}

static int
merge_sides(struct scan *s, const struct list_job *job, struct item_side *items,
    struct row_side *rows, struct cw_error *err)
{
	const struct cw_entry *row = NULL;
	struct cw_entry item;
	int suspects = has_suspects(s, job->dir, err);
	int have_item = next_item(items, &item, err);
	int have_row = next_row(rows, &row, err);

	if (suspects < 0)
		return -1;
	while (have_item >= 0 && have_row >= 0 && have_item + have_row > 0) {
		int order = have_item == 0 ? 1 : -1;

		if (have_item > 0 && have_row > 0)
			order = compare_names(
			    item.name, item.name_len, row->name, row->name_len);
		if (order > 0) {
			if (scan_suspect(
				s, job->dir, row->name, row->name_len, err) < 0)
				return -1;
			have_row = next_row(rows, &row, err);
			continue;
		}
		if (order == 0 && suspects > 0 &&
		    clear_suspect(s, &item, err) < 0)
			return -1;
		if (scan_update(s, job, order == 0 ? row : NULL, &item, err) <
		    0)
			return -1;
		have_item = next_item(items, &item, err);
		if (order == 0)
			have_row = next_row(rows, &row, err);
	}
	return have_item < 0 || have_row < 0 ? -1 : 0;
}

int
scan_drop_spilled(struct scan *s, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st = scan_stmt(s, SC_SPILL_DROP, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	return catalog_run(s->c, st, err);
}

int
scan_merge(struct scan *s, struct list_batch *b, struct cw_error *err)
{
	const struct list_job *job = b->job;
	struct item_side items = {.s = s, .b = b};
	struct row_side rows = {.s = s, .dir = job->dir, .at_end = job->is_new};
	int ret;

	run_reset(&s->page);
	if (job->spilled) {
		if (scan_spill(s, b, err) < 0 ||
		    (items.spilled = scan_stmt(s, SC_SPILL_READ, err)) == NULL)
			return -1;
		sqlite3_bind_int64(items.spilled, 1, job->dir);
	} else {
		sort_items(s, b);
	}
	ret = merge_sides(s, job, &items, &rows, err);
	if (items.spilled != NULL) {
		sqlite3_reset(items.spilled);
		if (ret == 0)
			ret = scan_drop_spilled(s, job->dir, err);
	}
	return ret;
}
