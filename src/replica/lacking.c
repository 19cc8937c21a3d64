/*
 * Files that stand in the catalog and not in the tree.
 */
#include "base/progress.h"
#include "replica/incoming_impl.h"
#include "replica/replica.h"

static int
add_one(struct cw_incoming *in, struct cw_replica *r, struct cw_change *ch,
    struct cw_buf *path, uint64_t *count, struct cw_error *err)
{
	struct stat st;
	int got;

	if (cw_catalog_dir_path(r->catalog, ch->e.dir, &ch->dir_path,
		&ch->dir_path_len, err) < 0)
		return -1;
	cw_buf_reset(path);
	cw_buf_append(path, ch->dir_path, ch->dir_path_len);
	cw_buf_append(path, "/", 1);
	cw_buf_append(path, ch->e.name, ch->e.name_len);
	got = cw_place_stat(r->place, cw_buf_string(path), &st, err);
	if (got < 0)
		return -1;
	if (got == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == ch->e.size)
		return 0;
	(*count)++;
	return cw_incoming_add(in, ch, err);
}

int
cw_incoming_add_lacking(struct cw_incoming *in, struct cw_replica *r,
    uint64_t *count, struct cw_error *err)
{
	struct cw_change ch = {.kind = CW_KIND_FILE};
	struct cw_walk_query files = CW_WALK_ALL;
	struct cw_buf path = CW_BUF_INIT;
	struct cw_walk *walk = NULL;
	uint64_t found = 0;
	int got;

	files.kind = 'f';
	if (cw_walk_open(r->catalog, &files, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &ch.e, err)) == 1) {
		ch.dir = ch.e.dir;
		if (cw_stop_check(err) < 0 ||
		    (ch.e.has_digest &&
			add_one(in, r, &ch, &path, &found, err) < 0)) {
			got = -1;
			break;
		}
	}
	cw_walk_close(walk);
	cw_buf_free(&path);
	if (count != NULL)
		*count = found;
	return got;
}
