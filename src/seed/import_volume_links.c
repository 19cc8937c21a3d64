/*
 * Hard links within a volume, and those whose file is out of date.
 */
#include "seed/import_volume_impl.h"

#include "base/buf.h"
#include "seed/member_name.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
importer_forget_orphans(struct cw_importer *w)
{
	for (size_t i = 0; i < w->orphan_count; i++) {
		free(w->orphans[i].path);
		free(w->orphans[i].target);
	}
	free(w->orphans);
	w->orphans = NULL;
	w->orphan_count = 0;
}

static void
add_orphan(struct cw_importer *w, const char *path, const char *target)
{
	struct orphan *o;

	if (w->orphan_count % 64 == 0)
		w->orphans = cw_reallocarray(
		    w->orphans, w->orphan_count + 64, sizeof(*w->orphans));
	o = &w->orphans[w->orphan_count++];
	o->path = cw_strdup(path);
	o->target = cw_strdup(target);
	o->is_placed = false;
}

int
importer_take_link(
    struct cw_importer *w, const struct cw_member *m, struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	size_t len = strlen(m->target), base_len;
	uint32_t part, parts;
	struct cw_entry e;
	char *to;
	int ret;

	ret = importer_find(w, m, CW_KIND_FILE, &e, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	memcpy(digest, e.digest, sizeof(digest));
	if (cw_member_name_parse(m->target, len, &base_len, &part, &parts) &&
	    parts == 1)
		len = base_len;
	to = cw_asprintf("%.*s", (int)len, m->target);
	ret = cw_catalog_lookup_path(w->catalog, to, len, &e, err);
	if (ret == 0 &&
	    (e.kind != CW_KIND_FILE || !e.has_digest || e.volume != w->number ||
		memcmp(digest, e.digest, sizeof(digest)) != 0))
		ret = 1;
	if (ret == 1) {
		ret = cw_catalog_is_superseded(
		    w->catalog, w->number, to, len, err);
		if (ret == 1)
			add_orphan(w, (const char *)w->path.data, to);
		else if (ret == 0)
			ret = importer_differs(w, m, (const char *)w->path.data,
			    w->path.len,
			    "it is a link to something else than the catalog "
			    "says",
			    err);
		ret = ret < 0 ? -1 : 0;
	} else if (ret == 0) {
		if (cw_place_link(
			w->place, (const char *)w->path.data, to, err) < 0)
			ret = importer_place_failed(w, NULL, err);
		else
			importer_count(w);
	}
	free(to);
	return ret;
}

/* Gives the content of an old member to the links that were made to it. */
static int
take_orphaned(void *arg, const struct cw_member *m, struct cw_error *err)
{
	struct cw_importer *w = arg;
	const char *placed = NULL;
	size_t len = strlen(m->path);
	uint32_t part, parts;
	struct cw_entry e;
	int ret = 0;

	if (m->kind != CW_KIND_FILE ||
	    (cw_member_name_parse(m->path, len, &len, &part, &parts) &&
		parts > 1))
		return 0;
	for (size_t i = 0; i < w->orphan_count && ret == 0; i++) {
		struct orphan *o = &w->orphans[i];

		if (o->is_placed || strlen(o->target) != len ||
		    memcmp(o->target, m->path, len) != 0)
			continue;
		if (placed != NULL) {
			o->is_placed = true;
			if (cw_place_link(w->place, o->path, placed, err) < 0)
				ret = importer_place_failed(w, NULL, err);
			continue;
		}
		ret = cw_catalog_lookup_path(
		    w->catalog, o->path, strlen(o->path), &e, err);
		if (ret != 0 || e.size != m->size || (e.mode & 06000u) != 0) {
			ret = ret < 0 ? -1 : 0;
			continue;
		}
		ret = importer_place_content(w, m, o->path, &e, err);
		if (ret == 1)
			return 0; /* another one of that name */
		o->is_placed = true;
		placed = o->path;
	}
	return ret;
}

int
importer_adopt_orphans(
    struct cw_importer *w, uint64_t sealed, struct cw_error *err)
{
	uint8_t unused[CW_SHA256_SIZE];
	int ret;

	if (lseek(w->fd, 0, SEEK_SET) < 0)
		return cw_error_errno(err, "the medium cannot be read again");
	ret = importer_read_members(w, sealed, take_orphaned, err);
	cw_sha256_final(w->file, unused);
	for (size_t i = 0; i < w->orphan_count && ret == 0; i++)
		if (!w->orphans[i].is_placed)
			importer_tell(w, w->orphans[i].path,
			    "the volume has not the file it is a link to");
	return ret;
}
