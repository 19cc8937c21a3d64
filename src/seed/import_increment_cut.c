/*
 * Files of an increment that are cut over volumes: their parts are written one
 * behind the other, so volumes are read again in the order of parts.
 */
#include "seed/import_increment_impl.h"

#include "base/buf.h"
#include "seed/member_name.h"

#include <stdlib.h>
#include <string.h>

int
increment_take_part(struct taking *t, const struct cw_member *m, size_t len,
    uint32_t part, uint32_t parts, struct cw_error *err)
{
	struct whole *w = t->whole;
	struct cw_entry e;
	int got;

	if (w == NULL) {
		got =
		    t->has_parts ? 1 : increment_find(t, m->path, len, &e, err);
		if (got == 0) {
			got = increment_lacks(t, e.digest, e.size, err);
			t->has_parts |= got == 1;
		}
		return got < 0 ? -1 : 0;
	}
	if (part != w->next || parts != w->parts || strlen(w->path) != len ||
	    memcmp(w->path, m->path, len) != 0)
		return 0;
	if (increment_copy(t, m, w->writer, err) < 0)
		return -1;
	w->next++;
	return 0;
}

struct order {
	uint32_t volumes[2 * CW_PARTS_MAX]; /* in the order of parts */
	size_t count;
	uint32_t parts;
};

static int
add_volume(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct order *o = arg;

	if (part == 0 || part > CW_PARTS_MAX || parts > CW_PARTS_MAX)
		return 0;
	o->parts = parts;
	if (o->count == 0 || o->volumes[o->count - 1] != volume)
		o->volumes[o->count++] = volume;
	return 0;
}

/* Puts one together, part by part.  0 also where it can't be. */
static int
take_whole(struct taking *t, const struct cw_entry *e, const char *path,
    struct cw_error *err)
{
	struct order *o = cw_calloc(1, sizeof(*o));
	struct cw_error why = CW_ERROR_INIT;
	struct whole w = {.path = path, .size = e->size, .next = 1};
	int ret = -1, got = 0;

	memcpy(w.digest, e->digest, sizeof(w.digest));
	if (cw_catalog_parts(t->inc->c, e->dir, e->name, e->name_len,
		add_volume, o, err) < 0)
		goto out;
	w.parts = o->parts;
	if (o->count == 0) {
		ret = 0;
		goto out;
	}
	if (cw_staging_begin_at(t->inc->replica->staging, w.digest, e->size, 0,
		&w.writer, err) < 0)
		goto out;
	t->whole = &w;
	for (size_t i = 0; i < o->count && got == 0; i++) {
		struct import_volume *v =
		    import_find_volume(t->inc->im, o->volumes[i]);

		got = v == NULL ? 1 : increment_read_volume(t, v, err);
		if (got == 1 && v != NULL && v->medium == NULL)
			increment_note_absent(t->inc->im, v);
	}
	t->whole = NULL;
	if (got < 0)
		goto out;
	if (got == 1 || w.next != w.parts + 1) {
		ret =
		    cw_staging_discard(t->inc->replica->staging, w.digest, err);
		goto out;
	}
	ret = cw_staging_finish(w.writer, NULL, &why);
	w.writer = NULL;
	if (ret < 0 && why.code == CW_ERR_DAMAGED) {
		increment_tell(
		    t, path, "its content is not the one of the catalog");
		ret = 0;
	} else if (ret < 0) {
		*err = why;
	}
out:
	cw_staging_abandon(w.writer);
	free(o);
	return ret;
}

struct cuts {
	struct taking *t;
	char **paths;
	size_t count;
	struct cw_error *err;
};

static int
add_cut(void *arg, int64_t dir, const char *name, size_t len)
{
	struct cuts *list = arg;
	struct cw_catalog *c = list->t->inc->c;
	const char *dir_path;
	size_t dir_len;

	if (cw_catalog_dir_path(c, dir, &dir_path, &dir_len, list->err) < 0)
		return -1;
	list->paths =
	    cw_reallocarray(list->paths, list->count + 1, sizeof(*list->paths));
	list->paths[list->count++] =
	    cw_asprintf("%.*s/%.*s", (int)dir_len, dir_path, (int)len, name);
	return 0;
}

int
increment_take_cuts(struct taking *t, struct cw_error *err)
{
	struct cuts list = {.t = t, .err = err};
	int ret = cw_catalog_each_cut(t->inc->c, add_cut, &list, err);

	for (size_t i = 0; i < list.count && ret == 0; i++) {
		const char *path = list.paths[i];
		struct cw_entry e;
		char name[CW_ENTRY_NAME_MAX + 1];
		int got = increment_find(t, path, strlen(path), &e, err);

		if (got == 0) {
			/* A look-up's name does not outlive the next one. */
			memcpy(name, e.name, e.name_len);
			e.name = name;
			got = increment_lacks(t, e.digest, e.size, err);
			if (got == 1)
				got = take_whole(t, &e, path, err);
		}
		ret = got < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < list.count; i++)
		free(list.paths[i]);
	free(list.paths);
	return ret;
}
