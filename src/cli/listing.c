#include "cli/listing.h"

#include <string.h>

void
cw_listing_begin(struct cw_listing *l, struct cw_catalog *catalog)
{
	*l = (struct cw_listing){.catalog = catalog, .path = CW_BUF_INIT};
	l->roots = cw_catalog_roots(catalog, &l->root_count);
	if (l->root_count == 1)
		l->cut = strlen(l->roots[0].name);
}

void
cw_listing_end(struct cw_listing *l)
{
	cw_buf_free(&l->path);
}

void
cw_listing_resolve(
    const struct cw_listing *l, const char *path, struct cw_buf *out)
{
	size_t len;

	while (*path == '/')
		path++;
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (l->root_count == 1)
		cw_buf_text(out, l->roots[0].name);
	if (l->root_count == 1 && len > 0)
		cw_buf_text(out, "/");
	cw_buf_append(out, path, len);
}

int
cw_listing_is_below(struct cw_listing *l, int64_t dir, const struct cw_buf *top,
    struct cw_error *err)
{
	const char *path;
	size_t len;

	if (top->len == 0)
		return 1;
	if (cw_catalog_dir_path(l->catalog, dir, &path, &len, err) < 0)
		return -1;
	return len >= top->len && memcmp(path, top->data, top->len) == 0 &&
	       (len == top->len || path[top->len] == '/');
}

int
cw_listing_path(struct cw_listing *l, const struct cw_entry *e,
    const char **path, size_t *len, struct cw_error *err)
{
	const char *dir;
	size_t dir_len, cut;

	if (cw_catalog_dir_path(l->catalog, e->dir, &dir, &dir_len, err) < 0)
		return -1;
	cw_buf_reset(&l->path);
	cw_buf_append(&l->path, dir, dir_len);
	if (dir_len > 0)
		cw_buf_text(&l->path, "/");
	cw_buf_append(&l->path, e->name, e->name_len);
	/* With its slash, unless it is the root itself. */
	cut = l->cut;
	if (cut > 0 && cut < l->path.len)
		cut++;
	*path = cw_buf_string(&l->path) + cut;
	*len = l->path.len - cut;
	return 0;
}
