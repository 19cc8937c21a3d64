#include "seed/import_volume.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/direct.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/volume/volume.h"
#include "seed/import_impl.h"
#include "seed/import_volume_impl.h"
#include "seed/member_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SIZE (1u << 18)
#define GATHER	   ((size_t)1 << 20)

int
cw_importer_new(const char *catalog_path,
    const struct cw_age_identity *identity, const struct cw_place_root *roots,
    size_t root_count, cw_import_fault_fn *fault, void *arg,
    struct cw_progress *progress, struct cw_importer **out,
    struct cw_error *err)
{
	struct cw_importer *w = cw_calloc(1, sizeof(*w));

	w->identity = identity;
	w->fault = fault;
	w->fault_arg = arg;
	w->progress = progress;
	w->reader = cw_volume_reader_new();
	cw_volume_reader_go_ahead(w->reader);
	w->place = cw_place_new(roots, root_count);
	w->content = cw_sha256_new();
	w->file = cw_sha256_new();
	w->gather = cw_direct_buffer(GATHER);
	if (cw_catalog_open(catalog_path, CW_CATALOG_READ, &w->catalog, err) <
	    0) {
		cw_importer_free(w);
		*out = NULL;
		return -1;
	}
	*out = w;
	return 0;
}

void
cw_importer_free(struct cw_importer *w)
{
	if (w == NULL)
		return;
	cw_catalog_close(w->catalog);
	cw_volume_reader_free(w->reader);
	cw_place_free(w->place);
	free(w->gather);
	cw_sha256_free(w->content);
	cw_sha256_free(w->file);
	cw_buf_free(&w->path);
	importer_forget_orphans(w);
	cw_name_set_free(&w->names);
	free(w);
}

bool
cw_importer_placed(const struct cw_importer *w, uint64_t *files)
{
	*files = w->placed;
	return !w->is_unsure;
}

uint64_t
cw_importer_unmapped(const struct cw_importer *w)
{
	return cw_place_unmapped(w->place);
}

static int
source(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct cw_importer *w = arg;
	ssize_t n;

	if (cw_stop_check(err) < 0)
		return -1;
	do {
		n = read(w->fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		w->is_unreadable = true;
		return cw_error_errno(err, "the medium cannot be read");
	}
	cw_sha256_update(w->file, buf, (size_t)n);
	cw_progress_add(w->progress, (uint64_t)n, 0);
	*got = (size_t)n;
	return 0;
}

void
importer_tell(struct cw_importer *w, const char *path, const char *why)
{
	char quoted[CW_QUOTE_MAX];
	char *sentence;

	w->is_bad = true;
	if (path == NULL) {
		sentence = cw_asprintf("%s: %s", w->name, why);
	} else {
		cw_text_quote(path, strlen(path), quoted);
		sentence = cw_asprintf("%s: %s: %s", w->name, quoted, why);
	}
	w->fault(w->fault_arg, sentence);
	free(sentence);
}

/* Faults of this machine end the import; those of the medium do not. */
static bool
is_ours(const struct cw_importer *w, const struct cw_error *err)
{
	return err->code == CW_ERR_NOSPACE || err->code == CW_ERR_INTERRUPTED ||
	       w->is_root_lost;
}

int
importer_differs(struct cw_importer *w, const struct cw_member *m,
    const char *path, size_t len, const char *why, struct cw_error *err)
{
	int ret =
	    cw_catalog_is_superseded(w->catalog, w->number, path, len, err);

	if (ret == 0)
		importer_tell(w, m->path, why);
	return ret < 0 ? -1 : 0;
}

int
importer_find(struct cw_importer *w, const struct cw_member *m,
    enum cw_kind kind, struct cw_entry *e, struct cw_error *err)
{
	size_t len = strlen(m->path), base_len;
	uint32_t part, parts;
	int ret;

	cw_buf_reset(&w->path);
	if (kind == CW_KIND_FILE &&
	    cw_member_name_parse(m->path, len, &base_len, &part, &parts) &&
	    parts == 1) {
		len = base_len; /* a file that is itself named like a part */
		w->is_unsure = true;
	}
	cw_buf_append(&w->path, m->path, len);
	(void)cw_buf_string(&w->path);
	ret = cw_catalog_lookup_path(
	    w->catalog, (const char *)w->path.data, len, e, err);
	if (ret < 0)
		return -1;
	if (ret == 0 && e->kind == kind && e->volume == w->number)
		return 0;
	if (ret == 0 && e->kind == kind && e->volume == 0)
		return 1; /* arrived by other ways */
	return importer_differs(w, m, (const char *)w->path.data, len,
		   "the catalog does not list it", err) < 0
		   ? -1
		   : 1;
}

/* Writes what was gathered; the descriptor may be put to other use then. */
static int
flush(struct cw_importer *w, struct cw_direct *file, struct cw_error *err)
{
	size_t len = w->gathered;

	w->gathered = 0;
	if (len > 0 &&
	    cw_direct_pwrite(file, w->gather, len, w->gather_at, err) < 0)
		return -1;
	return cw_direct_off(file, err);
}

/* Gathers what is contiguous into pieces that can go past the page cache. */
static int
put(struct cw_importer *w, struct cw_direct *file, const uint8_t *data,
    size_t len, uint64_t offset, struct cw_error *err)
{
	if (w->gathered > 0 && offset != w->gather_at + w->gathered &&
	    flush(w, file, err) < 0)
		return -1;
	while (len > 0) {
		size_t n = GATHER - w->gathered;

		if (n > len)
			n = len;
		if (w->gathered == 0)
			w->gather_at = offset;
		memcpy(w->gather + w->gathered, data, n);
		w->gathered += n;
		data += n;
		offset += n;
		len -= n;
		if (w->gathered < GATHER)
			break;
		w->gathered = 0;
		if (cw_direct_pwrite(
			file, w->gather, GATHER, w->gather_at, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * The member's content into fd from `offset` on, and into w->content.
 * Returns 1, and tells, if it is more or less than it should be.
 */
static int
copy(struct cw_importer *w, const struct cw_member *m, int fd, uint64_t offset,
    struct cw_error *err)
{
	static const uint8_t zeros[65536];
	struct cw_direct file = CW_DIRECT_INIT(fd);
	uint64_t at = 0;

	w->gathered = 0;

	for (;;) {
		const uint8_t *data;
		uint64_t block;
		size_t len;
		bool end;

		if (cw_volume_read_block(
			w->reader, &data, &len, &block, &end, err) < 0)
			return -1;
		if (end)
			block = m->size;
		while (at < block) { /* a hole: only the digest sees it */
			size_t n = block - at < sizeof(zeros)
				       ? (size_t)(block - at)
				       : sizeof(zeros);

			cw_sha256_update(w->content, zeros, n);
			at += n;
		}
		if (end)
			return flush(w, &file, err);
		cw_sha256_update(w->content, data, len);
		if (put(w, &file, data, len, offset + block, err) < 0)
			return -1;
		at = block + len;
	}
}

int
importer_place_failed(
    struct cw_importer *w, const char *path, struct cw_error *err)
{
	/* Else all that is left of the media would be read for nothing. */
	if (err->code == CW_ERR_IO && !cw_place_is_writable(w->place))
		w->is_root_lost = true;
	if (is_ours(w, err) || err->code == CW_ERR_DAMAGED)
		return -1;
	importer_tell(w, path, err->message);
	return 0;
}

void
importer_count(struct cw_importer *w)
{
	w->placed++;
	cw_progress_add(w->progress, 0, 1);
}

int
importer_place_content(struct cw_importer *w, const struct cw_member *m,
    const char *path, const struct cw_entry *e, struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	int fd, ret;

	if (cw_place_file_begin(w->place, path, false, &fd, err) < 0)
		return importer_place_failed(w, NULL, err);
	ret = copy(w, m, fd, 0, err);
	cw_sha256_final(w->content, digest);
	/* A hole at its end has no block. */
	if (ret == 0 && m->is_sparse && ftruncate(fd, (off_t)e->size) < 0)
		ret = cw_error_errno(err, "cannot set its size");
	if (ret < 0) {
		cw_place_file_abandon(w->place, path, &fd);
		return importer_place_failed(w, m->path, err);
	}
	if (memcmp(digest, e->digest, sizeof(digest)) != 0) {
		cw_place_file_abandon(w->place, path, &fd);
		return 1;
	}
	if (cw_place_file_finish(w->place, &fd, e, err) < 0) {
		fd = -1;
		cw_place_file_abandon(w->place, path, &fd);
		return importer_place_failed(w, m->path, err);
	}
	importer_count(w);
	return 0;
}

static int
take_file(
    struct cw_importer *w, const struct cw_member *m, struct cw_error *err)
{
	const char *path;
	struct cw_entry e;
	int ret;

	ret = importer_find(w, m, CW_KIND_FILE, &e, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	path = (const char *)w->path.data;
	if (m->size != e.size || !e.has_digest)
		return importer_differs(w, m, path, strlen(path),
		    "its size is not the one of the catalog", err);
	if ((e.mode & 06000u) != 0) {
		importer_tell(
		    w, m->path, "a setuid or setgid file is not placed");
		return 0;
	}
	ret = importer_place_content(w, m, path, &e, err);
	if (ret == 1)
		return importer_differs(w, m, path, strlen(path),
		    "its content is not the one of the catalog", err);
	return ret;
}

struct part {
	uint32_t part, parts, number;
	bool is_here;
};

static int
match_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct part *p = arg;

	if (part == p->part && parts == p->parts && volume == p->number)
		p->is_here = true;
	return 0;
}

/*
 * A part goes to its place in the file; import_cut.c checks the whole when all
 * volumes are read.  All parts but the last are of one size.  Until then the
 * file is a byte too long, so that nobody takes it for whole by its size.
 */
static int
take_part(struct cw_importer *w, const struct cw_member *m, size_t base_len,
    uint32_t part, uint32_t parts, struct cw_error *err)
{
	struct part p = {part, parts, w->number, false};
	uint8_t unused[CW_DIGEST_SIZE];
	struct cw_entry e;
	uint64_t offset;
	struct stat st;
	int fd, ret;

	cw_buf_reset(&w->path);
	cw_buf_append(&w->path, m->path, base_len);
	ret = cw_catalog_lookup_path(
	    w->catalog, cw_buf_string(&w->path), base_len, &e, err);
	if (ret == 0)
		ret = cw_catalog_parts(
		    w->catalog, e.dir, e.name, e.name_len, match_part, &p, err);
	if (ret < 0)
		return -1;
	/* Members are superseded by the name of their file. */
	if (!p.is_here)
		return importer_differs(w, m, (const char *)w->path.data,
		    base_len, "the catalog does not list it", err);
	offset = part == parts ? e.size - m->size : (part - 1) * m->size;
	if (m->size > e.size || offset > e.size - m->size ||
	    (e.mode & 06000u) != 0)
		return importer_differs(w, m, (const char *)w->path.data,
		    base_len, "it is not a part of that file", err);
	ret = cw_place_stat(w->place, (const char *)w->path.data, &st, err);
	if (ret < 0)
		return importer_place_failed(w, NULL, err);
	if (ret == 0 && import_is_placed(&st, &e))
		return 0; /* whole since a run before */
	if (cw_place_file_begin(
		w->place, (const char *)w->path.data, true, &fd, err) < 0)
		return importer_place_failed(w, NULL, err);
	if (ftruncate(fd, (off_t)e.size + 1) < 0)
		ret = cw_error_errno(err, "cannot set its size");
	else
		ret = copy(w, m, fd, offset, err);
	cw_sha256_final(w->content, unused);
	cw_close(&fd);
	return ret < 0 ? importer_place_failed(w, m->path, err) : 0;
}

/* Directories and symlinks are made from the catalog: they only must agree. */
static int
check_plain(
    struct cw_importer *w, const struct cw_member *m, struct cw_error *err)
{
	struct cw_entry e;
	int ret = importer_find(w, m, m->kind, &e, err);

	if (ret == 0 && m->kind == CW_KIND_SYMLINK &&
	    strcmp(m->target, e.target) != 0)
		ret = importer_differs(w, m, m->path, strlen(m->path),
		    "the catalog has another target for it", err);
	return ret < 0 ? -1 : 0;
}

/* A second member of a name is taken where the first is out of date. */
static int
check_name(struct cw_importer *w, const struct cw_member *m, bool *is_twice,
    struct cw_error *err)
{
	size_t len = strlen(m->path);
	uint32_t part, parts;
	int ret;

	*is_twice = false;
	if (cw_name_set_add(&w->names, m->path, len))
		return 0;
	w->is_unsure = true;
	if (m->kind == CW_KIND_FILE || m->kind == CW_KIND_LINK)
		(void)cw_member_name_parse(m->path, len, &len, &part, &parts);
	ret =
	    cw_catalog_is_superseded(w->catalog, w->number, m->path, len, err);
	*is_twice = ret == 0;
	if (ret == 0)
		importer_tell(
		    w, m->path, "its name stands in the volume twice");
	return ret < 0 ? -1 : 0;
}

static int
take(void *arg, const struct cw_member *m, struct cw_error *err)
{
	struct cw_importer *w = arg;
	size_t base_len;
	uint32_t part, parts;
	bool is_twice;

	if (check_name(w, m, &is_twice, err) < 0)
		return -1;
	if (is_twice)
		return 0;
	switch (m->kind) {
	case CW_KIND_FILE:
		if (cw_member_name_parse(
			m->path, strlen(m->path), &base_len, &part, &parts) &&
		    parts > 1)
			return take_part(w, m, base_len, part, parts, err);
		return take_file(w, m, err);
	case CW_KIND_LINK:
		return importer_take_link(w, m, err);
	case CW_KIND_DIR:
	case CW_KIND_SYMLINK:
		return check_plain(w, m, err);
	}
	importer_tell(w, m->path, "it is of a kind that no seed has");
	return 0;
}

int
importer_read_members(struct cw_importer *w, uint64_t sealed,
    members_take_fn *take_one, struct cw_error *err)
{
	return members_read(
	    w->reader, w->identity, sealed, source, take_one, w, err);
}

/*
 * Reads what is left of a volume that makes no sense, for its SHA-256: is it
 * the medium's fault or that of who sealed it?  -1 if it can't be read.
 */
static int
drain(struct cw_importer *w)
{
	uint8_t *buf = cw_malloc(DRAIN_SIZE);
	size_t got;
	int ret;

	do {
		ret = source(w, buf, DRAIN_SIZE, &got, NULL);
	} while (ret == 0 && got > 0);
	free(buf);
	return ret;
}

int
cw_importer_run(struct cw_importer *w, int fd, uint32_t number,
    const char *name, uint64_t size, const uint8_t sha256[32],
    struct cw_error *err)
{
	uint8_t digest[32];
	int ret;

	w->fd = fd;
	w->number = number;
	w->name = name;
	w->is_bad = w->is_unreadable = w->is_unsure = false;
	w->placed = 0;
	importer_forget_orphans(w);
	cw_name_set_reset(&w->names);
	/* A hint: the catalog does not change while volumes are read. */
	(void)cw_catalog_hold(w->catalog, NULL);
	ret = importer_read_members(w, size, take, err);
	cw_catalog_release(w->catalog);
	if (ret < 0 && !is_ours(w, err) && drain(w) < 0 && cw_stop_requested())
		ret = cw_stop_check(err);
	cw_sha256_final(w->file, digest);
	if (ret == 0 && w->orphan_count > 0) {
		w->is_unsure = true;
		ret = importer_adopt_orphans(w, size, err);
	}
	if (ret < 0 && is_ours(w, err))
		return cw_error_context(err, "%s", name);
	if (ret < 0)
		importer_tell(w, NULL, err->message);
	if (w->is_unreadable || memcmp(digest, sha256, sizeof(digest)) != 0) {
		if (ret == 0)
			importer_tell(w, NULL,
			    "its SHA-256 is not the one of the manifest");
		return CW_IMPORTED_DAMAGED;
	}
	return w->is_bad ? CW_IMPORTED_WRONG : CW_IMPORTED_WHOLE;
}
