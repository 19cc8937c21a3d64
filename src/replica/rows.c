/*
 * The rows of incoming, a page at a time and in the order of their paths, so
 * parents before what is in them: no statement stays open, and no memory grows
 * with their number.
 */
#include "replica/incoming_impl.h"

#include <stdlib.h>
#include <string.h>

/* A page ends when this much was taken: attributes may be large. */
#define PAGE_BYTES ((size_t)4 << 20)

/* Where in the arena what a row points to lies. */
struct row_places {
	size_t path, link_to;
	bool has_link;
	struct db_place entry;
};

static void
append(struct row_page *p, sqlite3_stmt *st)
{
	struct row_places *at;
	struct row *row;
	size_t len;

	if (p->count == p->cap) {
		p->cap = p->cap == 0 ? 256 : 2 * p->cap;
		p->rows = cw_reallocarray(p->rows, p->cap, sizeof(*p->rows));
		p->places =
		    cw_reallocarray(p->places, p->cap, sizeof(*p->places));
	}
	row = &p->rows[p->count];
	at = &p->places[p->count++];
	*row = (struct row){.id = sqlite3_column_int64(st, 0)};
	*at = (struct row_places){0};
	at->path = db_read_bytes(st, 1, &row->path_len, &p->arena);
	row->wipe = sqlite3_column_int(st, 2) != 0;
	row->plan = (enum plan)sqlite3_column_int(st, 3);
	row->slot = (uint64_t)sqlite3_column_int64(st, 4);
	at->has_link = sqlite3_column_type(st, 5) != SQLITE_NULL;
	at->link_to = db_read_bytes(st, 5, &len, &p->arena);
	row->has_put = sqlite3_column_type(st, 6) != SQLITE_NULL;
	db_read_entry(st, 6, &row->e, &at->entry, &p->arena);
}

/* The arena moves no more. */
static void
settle(struct row_page *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct row_places *at = &p->places[i];
		const char *base = (const char *)p->arena.data;
		struct row *row = &p->rows[i];
		const char *slash;

		row->path = base + at->path;
		row->link_to = at->has_link ? base + at->link_to : NULL;
		db_entry_settle(&row->e, &at->entry, &p->arena);
		slash = strrchr(row->path, '/');
		row->e.name = slash == NULL ? row->path : slash + 1;
		row->e.name_len = strlen(row->e.name);
	}
}

int
rows_next(struct cw_incoming *in, struct row_page *page, unsigned plans,
    bool down, struct cw_error *err)
{
	enum in_stmt which = down	  ? IN_PAGE_DOWN
			     : plans != 0 ? IN_PAGE_PLAN
					  : IN_PAGE;
	sqlite3_stmt *st = db_stmt(&in->db, which, err);
	int got = 0;

	page->count = 0;
	cw_buf_reset(&page->arena);
	if (st == NULL)
		return -1;
	/* No root's name is as long, and no path begins otherwise. */
	if (down && page->last.len == 0) {
		uint8_t *end =
		    cw_buf_reserve(&page->last, CW_STORE_NAME_MAX + 2);

		memset(end, 0xff, CW_STORE_NAME_MAX + 2);
		page->last.len += CW_STORE_NAME_MAX + 2;
	}
	db_bind_bytes(st, 1, page->last.data, page->last.len);
	if (which != IN_PAGE)
		sqlite3_bind_int(st, 2, down ? PLAN_DIR : (int)plans);
	while (page->arena.len < PAGE_BYTES &&
	       (got = db_step(&in->db, st, err)) == 1)
		append(page, st);
	sqlite3_reset(st);
	if (got < 0)
		return -1;
	settle(page);
	if (page->count > 0) {
		const struct row *last = &page->rows[page->count - 1];

		cw_buf_reset(&page->last);
		cw_buf_append(&page->last, last->path, last->path_len);
	}
	return 0;
}

void
rows_free(struct row_page *page)
{
	free(page->rows);
	free(page->places);
	cw_buf_free(&page->arena);
	cw_buf_free(&page->last);
	*page = (struct row_page)ROW_PAGE_INIT;
}
