#include "store/recount.h"

#include "base/progress.h"

#include <string.h>

/* The entries of a directory end here. */
static int
end_dir(struct recount *r, struct cw_error *err)
{
	uint8_t stored[CW_STATE_SIZE];

	if (r->dir < 0)
		return 0;
	if (cw_state_dir_digest(r->c, r->dir, stored, err) < 0)
		return -1;
	if (memcmp(stored, r->dir_sum, CW_STATE_SIZE) != 0 &&
	    r->differs(r, err) < 0)
		return -1;
	cw_state_add(r->sum, r->dir_sum);
	return 0;
}

static int
begin_dir(struct recount *r, int64_t dir, struct cw_error *err)
{
	/* Also proves that it hangs below the roots, acyclic. */
	if (cw_catalog_dir_path(r->c, dir, &r->path, &r->path_len, err) < 0)
		return -1;
	r->dir = dir;
	memset(r->dir_sum, 0, sizeof(r->dir_sum));
	return 0;
}

static int
add_entry(struct recount *r, const struct cw_entry *e, struct cw_error *err)
{
	uint8_t mac[CW_STATE_SIZE];

	if (e->dir != r->dir &&
	    (end_dir(r, err) < 0 || begin_dir(r, e->dir, err) < 0))
		return -1;
	if (r->judge != NULL && r->judge(r, e, err) < 0)
		return -1;
	r->seen.entries++;
	r->seen.dirs += e->kind == CW_KIND_DIR;
	r->seen.files += e->kind == CW_KIND_FILE;
	r->seen.bytes += e->size;
	if (e->kind == CW_KIND_FILE && !e->has_digest) {
		r->seen.pending++;
		return 0;
	}
	cw_state_mac(r->c->state, r->path, r->path_len, e, mac);
	cw_state_add(r->dir_sum, mac);
	return 0;
}

int
recount_rows(struct recount *r, struct cw_error *err)
{
	const struct cw_walk_query all = CW_WALK_ALL;
	struct cw_walk *w;
	struct cw_entry e;
	int got;

	r->dir = -1;
	if (cw_walk_open(r->c, &all, &w, err) < 0)
		return -1;
	while ((got = cw_walk_next(w, &e, err)) == 1) {
		if (((r->seen.entries & 1023) == 0 && cw_stop_check(err) < 0) ||
		    add_entry(r, &e, err) < 0)
			break;
	}
	cw_walk_close(w);
	return got == 0 ? end_dir(r, err) : -1;
}
