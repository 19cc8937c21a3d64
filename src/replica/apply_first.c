/*
 * Apply's third and fourth step at a replica that had nothing: a thread renames
 * the files of one page of rows into place while the catalog gets those of the
 * page before, in the transaction that apply_catalog commits.  Nothing that
 * the catalog would have to be asked about is there, so the thread needs only
 * staging and a placer of its own; whatever is not as it should be it leaves
 * to us, who may ask, copy and complain.
 */
#include "replica/apply_impl.h"

#include "base/thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS ((unsigned)PLAN_DIR | (unsigned)PLAN_STAGED)

struct placed {
	bool is_placed;
	struct stat st;
};

/* A page, and what became of its rows. */
struct placing {
	struct apply *a;
	struct cw_place *place; /* the thread's */
	struct row_page page;
	struct placed *placed;
	size_t cap;
};

static bool
place_quickly(struct placing *p, const struct row *row, struct stat *st)
{
	int staging = cw_staging_dirfd(p->a->r->staging), dirfd;
	char slot[CW_STAGING_NAME];
	const char *name;

	cw_staging_name(row->e.digest, row->slot, slot);
	return apply_is_ready(p->a, p->place, row, slot) &&
	       cw_place_parent(p->place, row->path, &dirfd, &name, NULL) == 0 &&
	       renameat2(staging, slot, dirfd, name, RENAME_NOREPLACE) == 0 &&
	       fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void *
place_page(void *arg)
{
	struct placing *p = arg;

	for (size_t i = 0; i < p->page.count; i++) {
		const struct row *row = &p->page.rows[i];

		p->placed[i].is_placed =
		    row->plan == PLAN_STAGED &&
		    place_quickly(p, row, &p->placed[i].st);
	}
	return NULL;
}

/* The rows behind those of `before`; count 0 is the end. */
static int
read_page(struct placing *p, const struct placing *before, struct cw_error *err)
{
	cw_buf_reset(&p->page.last);
	cw_buf_append(
	    &p->page.last, before->page.last.data, before->page.last.len);
	if (rows_next(p->a->in, &p->page, OURS, false, err) < 0)
		return -1;
	if (p->page.count > p->cap) {
		p->cap = p->page.count;
		p->placed =
		    cw_reallocarray(p->placed, p->cap, sizeof(*p->placed));
	}
	return 0;
}

/* What is left of a page that the thread went through. */
static int
finish_page(struct placing *p, struct cw_error *err)
{
	struct apply *a = p->a;
	bool any = false;
	int got = 0;

	for (size_t i = 0; i < p->page.count && got == 0; i++) {
		struct row *row = &p->page.rows[i];
		const struct placed *at = &p->placed[i];

		a->result->placed += at->is_placed;
		if (row->plan == PLAN_STAGED && !at->is_placed)
			got = apply_place_file(a, row, err);
		/* No more is asked of this row: it says so itself. */
		row->wipe = got == 1;
		any = any || got == 1;
		if (got == 0)
			got = apply_put_row(
			    a, row, at->is_placed ? &at->st : NULL, err);
		else if (got == 1)
			got = 0;
	}
	if (got == 0 && any)
		got = cw_place_sync(a->r->place, err);
	for (size_t i = 0; i < p->page.count && got == 0 && any; i++) {
		const struct row *row = &p->page.rows[i];

		if (!row->wipe)
			continue;
		got = apply_rename_beside(a, row, err);
		if (got == 0)
			got = apply_put_row(a, row, NULL, err);
	}
	cw_progress_add(a->progress, 0, p->page.count);
	return got;
}

static int
place_pages(struct placing *now, struct placing *before, struct cw_error *err)
{
	struct placing *other;
	pthread_t thread;
	int ret, code;

	do {
		if (cw_stop_check(err) < 0 || read_page(now, before, err) < 0)
			return -1;
		code = cw_thread_start(&thread, place_page, now);
		if (code != 0)
			return cw_error_set(err, CW_ERR_FAILED,
			    "cannot start a thread: %s", strerror(code));
		ret = finish_page(before, err);
		(void)pthread_join(thread, NULL);
		other = before;
		before = now;
		now = other;
	} while (ret == 0 && before->page.count > 0);
	return ret;
}

int
apply_place_first(struct apply *a, struct cw_error *err)
{
	struct cw_place *place;
	struct placing two[2];
	int ret;

	if (apply_catalog_begin(a, err) < 0)
		return -1;
	place = cw_place_new(a->r->roots, a->r->root_count);
	for (size_t i = 0; i < 2; i++)
		two[i] = (struct placing){
		    .a = a, .place = place, .page = ROW_PAGE_INIT};
	ret = place_pages(&two[0], &two[1], err);
	for (size_t i = 0; i < 2; i++) {
		rows_free(&two[i].page);
		free(two[i].placed);
	}
	cw_place_free(place);
	a->has_files = ret == 0;
	return ret;
}
