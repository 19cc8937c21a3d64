#include "seed/import_impl.h"

#include <string.h>

int
import_walk(const char *catalog_path, const struct cw_walk_query *query,
    int (*each)(const char *path, const struct cw_entry *e, void *arg,
	struct cw_error *err),
    void *arg, struct cw_error *err)
{
	struct cw_catalog *c = NULL;
	struct cw_buf path = CW_BUF_INIT;
	struct cw_walk *w = NULL;
	struct cw_entry e;
	int64_t dir = -1;
	size_t dir_len = 0;
	int ret;

	/* A connection of its own: each may use the import's. */
	ret = cw_catalog_open(catalog_path, CW_CATALOG_READ, &c, err);
	if (ret == 0)
		ret = cw_walk_open(c, query, &w, err);
	while (ret == 0 && (ret = cw_walk_next(w, &e, err)) == 1) {
		ret = cw_stop_check(err);
		if (ret == 0 && e.dir != dir) {
			const char *text;

			ret =
			    cw_catalog_dir_path(c, e.dir, &text, &dir_len, err);
			if (ret < 0)
				break;
			dir = e.dir;
			cw_buf_reset(&path);
			cw_buf_append(&path, text, dir_len);
			if (dir_len++ > 0)
				cw_buf_append(&path, "/", 1);
			else
				dir_len = 0;
		}
		if (ret == 0) {
			path.len = dir_len;
			cw_buf_append(&path, e.name, e.name_len);
			ret = each(cw_buf_string(&path), &e, arg, err);
		}
	}
	cw_walk_close(w);
	cw_catalog_close(c);
	cw_buf_free(&path);
	return ret;
}
