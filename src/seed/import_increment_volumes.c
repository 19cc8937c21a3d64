/*
 * Contents of an increment, from its volumes into staging.  A member counts
 * for its content alone: it is taken if the catalog gives its name a content
 * that lacks here, and is that content.
 */
#include "seed/import_increment_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/volume/volume.h"
#include "seed/member_name.h"
#include "seed/members.h"
#include "store/contents.h"
#include "store/increment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
source(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct taking *t = arg;
	ssize_t n;

	if (cw_stop_check(err) < 0)
		return -1;
	do {
		n = read(t->fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return cw_error_errno(err, "the medium cannot be read");
	cw_progress_add(t->inc->im->o->progress, (uint64_t)n, 0);
	*got = (size_t)n;
	return 0;
}

void
increment_tell(struct taking *t, const char *path, const char *why)
{
	char quoted[CW_QUOTE_MAX];
	char *sentence;

	if (path == NULL) {
		sentence = cw_asprintf("%s: %s", t->volume->file->name, why);
	} else {
		cw_text_quote(path, strlen(path), quoted);
		sentence = cw_asprintf(
		    "%s: %s: %s", t->volume->file->name, quoted, why);
	}
	import_fault(t->inc->im, sentence);
	free(sentence);
}

/* Faults of this machine end it; those of the medium do not. */
static bool
is_ours(const struct cw_error *err)
{
	return err->code == CW_ERR_NOSPACE || err->code == CW_ERR_INTERRUPTED;
}

/* Does it lack at home?  1, 0, -1. */
int
increment_lacks(struct taking *t, const uint8_t digest[CW_DIGEST_SIZE],
    uint64_t size, struct cw_error *err)
{
	struct cw_change ch = {.kind = CW_KIND_FILE};

	ch.e.kind = CW_KIND_FILE;
	ch.e.has_digest = true;
	ch.e.size = size;
	memcpy(ch.e.digest, digest, CW_DIGEST_SIZE);
	return cw_incoming_lacks(
	    t->inc->replica->incoming, t->inc->replica, &ch, err);
}

static int
write_zeros(struct cw_staging_writer *w, uint64_t len, struct cw_error *err)
{
	static const uint8_t zeros[65536];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (cw_staging_write(w, zeros, n, err) < 0)
			return -1;
		len -= n;
	}
	return 0;
}

/* The member's content behind what the writer has. */
int
increment_copy(struct taking *t, const struct cw_member *m,
    struct cw_staging_writer *w, struct cw_error *err)
{
	uint64_t at = 0;

	for (;;) {
		const uint8_t *data;
		uint64_t block;
		size_t len;
		bool end;

		if (cw_volume_read_block(
			t->reader, &data, &len, &block, &end, err) < 0)
			return -1;
		if (end)
			return write_zeros(w, m->size - at, err);
		if (write_zeros(w, block - at, err) < 0 ||
		    cw_staging_write(w, data, len, err) < 0)
			return -1;
		at = block + len;
	}
}

/* Takes a member as this content: 0, 1 if it is another. */
static int
take_content(struct taking *t, const struct cw_member *m,
    const uint8_t digest[CW_DIGEST_SIZE], uint64_t size, struct cw_error *err)
{
	struct cw_staging *s = t->inc->replica->staging;
	struct cw_error why = CW_ERROR_INIT;
	struct cw_staging_writer *w;

	if (cw_staging_begin_at(s, digest, size, 0, &w, err) < 0)
		return -1;
	if (increment_copy(t, m, w, err) < 0) {
		cw_staging_abandon(w);
		return -1;
	}
	if (cw_staging_finish(w, NULL, &why) == 0) {
		cw_progress_add(t->inc->im->o->progress, 0, 1);
		return 0;
	}
	if (why.code == CW_ERR_DAMAGED)
		return 1;
	*err = why;
	return -1;
}

/* The entry of a path in the increment: 0, 1 none. */
int
increment_find(struct taking *t, const char *path, size_t len,
    struct cw_entry *e, struct cw_error *err)
{
	int got = cw_catalog_lookup_path(t->inc->c, path, len, e, err);

	if (got == 0 && (e->kind != CW_KIND_FILE || !e->has_digest))
		got = 1;
	return got;
}

static int
take_file(struct taking *t, const struct cw_member *m, size_t len,
    struct cw_error *err)
{
	struct cw_entry e;
	int got = increment_find(t, m->path, len, &e, err);

	/* What the catalog does not list was deleted or changed since. */
	if (got != 0 || m->size != e.size)
		return got < 0 ? -1 : 0;
	if ((got = increment_lacks(t, e.digest, e.size, err)) != 1)
		return got;
	got = take_content(t, m, e.digest, e.size, err);
	if (got != 1)
		return got;
	got = cw_catalog_is_superseded(
	    t->inc->c, t->volume->number, m->path, len, err);
	if (got == 0)
		increment_tell(
		    t, m->path, "its content is not the one of the catalog");
	return got < 0 ? -1 : 0;
}

/* A link brings the content of its file, which stands in the volume as well. */
static int
take_link(struct taking *t, const struct cw_member *m, size_t len,
    struct cw_error *err)
{
	struct cw_entry e, to;
	struct orphan *o;
	uint8_t digest[CW_DIGEST_SIZE];
	size_t to_len, base;
	uint32_t part, parts;
	uint64_t size;
	int got = increment_find(t, m->path, len, &e, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	memcpy(digest, e.digest, sizeof(digest));
	size = e.size;
	if ((got = increment_lacks(t, digest, size, err)) != 1)
		return got;
	to_len = strlen(m->target);
	if (cw_member_name_parse(m->target, to_len, &base, &part, &parts) &&
	    parts == 1)
		to_len = base;
	got = increment_find(t, m->target, to_len, &to, err);
	if (got < 0)
		return -1;
	if (got == 0 && memcmp(to.digest, digest, sizeof(digest)) == 0)
		return 0;
	t->orphans = cw_reallocarray(
	    t->orphans, t->orphan_count + 1, sizeof(*t->orphans));
	o = &t->orphans[t->orphan_count++];
	o->target = cw_strdup(m->target);
	o->size = size;
	memcpy(o->digest, digest, sizeof(digest));
	return 0;
}

static int
take(void *arg, const struct cw_member *m, struct cw_error *err)
{
	struct taking *t = arg;
	size_t len = strlen(m->path);
	uint32_t part, parts = 0;

	if ((m->kind == CW_KIND_FILE || m->kind == CW_KIND_LINK) &&
	    !cw_member_name_parse(m->path, len, &len, &part, &parts))
		len = strlen(m->path);
	if (m->kind == CW_KIND_FILE && parts > 1)
		return increment_take_part(t, m, len, part, parts, err);
	if (t->whole != NULL)
		return 0;
	if (m->kind == CW_KIND_FILE)
		return take_file(t, m, len, err);
	return m->kind == CW_KIND_LINK ? take_link(t, m, len, err) : 0;
}

static int
take_orphaned(void *arg, const struct cw_member *m, struct cw_error *err)
{
	struct taking *t = arg;
	size_t i = 0;
	int got;

	if (m->kind != CW_KIND_FILE)
		return 0;
	while (i < t->orphan_count &&
	       (t->orphans[i].size != m->size ||
		   strcmp(t->orphans[i].target, m->path) != 0))
		i++;
	if (i == t->orphan_count)
		return 0;
	got = increment_lacks(t, t->orphans[i].digest, t->orphans[i].size, err);
	if (got == 1)
		got = take_content(
		    t, m, t->orphans[i].digest, t->orphans[i].size, err);
	return got < 0 ? -1 : 0;
}

static void
forget_orphans(struct taking *t)
{
	for (size_t i = 0; i < t->orphan_count; i++)
		free(t->orphans[i].target);
	free(t->orphans);
	t->orphans = NULL;
	t->orphan_count = 0;
}

static int
read_members(struct taking *t, members_take_fn *take_one, struct cw_error *err)
{
	if (lseek(t->fd, 0, SEEK_SET) < 0)
		return cw_error_errno(err, "the medium cannot be read");
	return members_read(t->reader, t->inc->im->o->identity,
	    t->volume->file->size, source, take_one, t, err);
}

static int
read_all(struct taking *t, struct cw_error *err)
{
	forget_orphans(t);
	if (read_members(t, take, err) < 0)
		return -1;
	return t->orphan_count == 0 ? 0 : read_members(t, take_orphaned, err);
}

/* What a volume's parts were added to is cut back before it is read again. */
static int
rewind_whole(struct taking *t, uint32_t next, uint64_t at, struct cw_error *err)
{
	struct whole *w = t->whole;

	if (w == NULL)
		return 0;
	cw_staging_abandon(w->writer);
	w->writer = NULL;
	w->next = next;
	return cw_staging_begin_at(
	    t->inc->replica->staging, w->digest, w->size, at, &w->writer, err);
}

/*
 * Reads a volume from its medium, or what parity makes of it.  0; 1 if it
 * can't be had; -1.
 */
int
increment_read_volume(
    struct taking *t, struct import_volume *v, struct cw_error *err)
{
	struct import *im = t->inc->im;
	struct cw_error why = CW_ERROR_INIT;
	uint32_t next = t->whole == NULL ? 0 : t->whole->next;
	uint64_t at = t->whole == NULL ? 0 : cw_staging_at(t->whole->writer);
	struct stat st;
	int ret = 1;

	t->volume = v;
	t->fd = v->medium == NULL ? -1
				  : cw_set_open_file(v->medium->dirfd,
					v->file->name, 0, &st, &why);
	if (t->fd >= 0) {
		ret = (uint64_t)st.st_size == v->file->size
			  ? read_all(t, &why)
			  : cw_error_set(&why, CW_ERR_DAMAGED,
				"its size is not the one of the manifest");
		cw_close(&t->fd);
		if (ret == 0)
			return 0;
	}
	if (is_ours(&why)) {
		*err = why;
		return cw_error_context(err, "%s", v->file->name);
	}
	if (rewind_whole(t, next, at, err) < 0)
		return -1;
	if (!v->is_tried) {
		struct cw_error cannot = CW_ERROR_INIT;
		int got = import_rebuild(im, v, &t->fd, &cannot);

		if (got < 0) {
			*err = cannot;
			return -1;
		}
		if (got == 0) {
			ret = read_all(t, &why);
			cw_close(&t->fd);
			if (ret < 0 && is_ours(&why)) {
				*err = why;
				return -1;
			}
			if (ret == 0) {
				if (v->medium != NULL)
					import_note_damage(
					    im, v, CW_IMPORT_REBUILT);
				im->result->rebuilt++;
				return 0;
			}
		}
		v->is_tried = true;
		if (v->medium != NULL)
			import_note_damage(im, v, CW_IMPORT_LOST);
	}
	if (v->medium != NULL)
		increment_tell(
		    t, NULL, why.code != CW_OK ? why.message : "is damaged");
	v->state = v->medium == NULL ? VOLUME_ABSENT : VOLUME_FAULTY;
	return 1;
}

/* ---- which volumes ---- */

struct marking {
	struct taking *t;
	struct cw_error *err;
};

static int
mark_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct taking *t = arg;

	(void)part;
	(void)parts;
	if (volume <= t->inc->im->number_max)
		t->needed[volume] = 1;
	return 0;
}

static int
mark_entry(void *arg, const struct cw_entry *e)
{
	struct marking *k = arg;

	if (e->volume == 0 || e->volume == CW_VOLUME_NONE)
		return 0;
	(void)mark_part(k->t, 1, 1, e->volume);
	return cw_catalog_parts(k->t->inc->c, e->dir, e->name, e->name_len,
	    mark_part, k->t, k->err);
}

/* The volumes that hold something that is wanted. */
static int
find_needed(struct taking *t, struct cw_error *err)
{
	struct cw_want_cursor at = {0};
	struct marking k = {t, err};
	struct cw_want want;
	int got;

	while ((got = cw_incoming_next_want(t->inc->replica->incoming,
		    t->inc->replica, &at, &want, err)) == 1)
		if (cw_catalog_each_content(
			t->inc->c, want.digest, mark_entry, &k, err) < 0)
			return -1;
	return got;
}

void
increment_note_absent(struct import *im, const struct import_volume *v)
{
	struct cw_import_result *r = im->result;

	for (size_t i = 0; i < r->absent_count; i++)
		if (r->absent[i] == v->file->medium)
			return;
	r->absent =
	    cw_reallocarray(r->absent, r->absent_count + 1, sizeof(*r->absent));
	r->absent[r->absent_count++] = v->file->medium;
}

int
import_increment_contents(struct increment *inc, struct cw_error *err)
{
	struct import *im = inc->im;
	struct taking t = {.inc = inc, .fd = -1};
	uint64_t bytes = 0;
	int ret = -1;

	t.needed = cw_calloc((size_t)im->number_max + 1, 1);
	/* Look-ups without locks. */
	if (cw_catalog_hold(im->catalog, err) < 0 || find_needed(&t, err) < 0)
		goto out;
	for (size_t i = 0; i < im->volume_count; i++)
		if (t.needed[im->volumes[i].number] != 0)
			bytes += im->volumes[i].file->size;
	cw_progress_start(im->o->progress, "importing", bytes, 0);
	t.reader = cw_volume_reader_new();
	for (size_t i = 0; i < im->volume_count; i++) {
		struct import_volume *v = &im->volumes[i];
		int got = t.needed[v->number] == 0
			      ? 0
			      : increment_read_volume(&t, v, err);

		if (got < 0)
			goto out;
		if (got == 1 && v->medium == NULL)
			increment_note_absent(im, v);
		im->result->volumes += got == 0;
	}
	/* A scan of it has told whether there are any. */
	if (t.has_parts && increment_take_cuts(&t, err) < 0)
		goto out;
	ret = cw_staging_sync(inc->replica->staging, err);
out:
	cw_catalog_release(im->catalog);
	cw_volume_reader_free(t.reader);
	forget_orphans(&t);
	free(t.needed);
	return ret;
}
