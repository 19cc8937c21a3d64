#include "seed/import_volume.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/volume/volume.h"
#include "seed/member_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Tar that is believed of one volume: a header of at most 40 KiB for each
 * member and what zstd can hold, which for hostile frames is anything; so a
 * bound that no honest volume of mail reaches.
 */
#define TAR_FACTOR 1024u
#define TAR_LEAST  (1ull << 30)
/* Names that are remembered of one volume, in 64 MiB; a power of two. */
#define NAMES_MAX (1u << 23)

/*
 * A hard link to a member that is out of date: the store's file went away or
 * changed after both were packed, its other name did not.
 */
struct orphan {
	char *path;   /* the link's, in the store */
	char *target; /* the path of its file when it was packed */
	bool is_placed;
};

struct cw_importer {
	struct cw_catalog *catalog;
	struct cw_place *place;
	struct cw_volume_reader *reader;
	const struct cw_age_identity *identity;
	struct cw_sha256 *content, *file;
	cw_import_fault_fn *fault;
	void *fault_arg;
	struct cw_progress *progress;

	/* The volume under way. */
	int fd;
	uint32_t number;
	const char *name;
	bool is_bad;
	struct cw_buf path;
	struct orphan *orphans;
	size_t orphan_count;
	uint64_t *names; /* hashes, 0 where empty; name_cap of them */
	size_t name_count, name_cap;
};

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
	w->place = cw_place_new(roots, root_count);
	w->content = cw_sha256_new();
	w->file = cw_sha256_new();
	if (cw_catalog_open(catalog_path, CW_CATALOG_READ, &w->catalog, err) <
	    0) {
		cw_importer_free(w);
		*out = NULL;
		return -1;
	}
	*out = w;
	return 0;
}

static void
forget_orphans(struct cw_importer *w)
{
	for (size_t i = 0; i < w->orphan_count; i++) {
		free(w->orphans[i].path);
		free(w->orphans[i].target);
	}
	free(w->orphans);
	w->orphans = NULL;
	w->orphan_count = 0;
}

void
cw_importer_free(struct cw_importer *w)
{
	if (w == NULL)
		return;
	cw_catalog_close(w->catalog);
	cw_volume_reader_free(w->reader);
	cw_place_free(w->place);
	cw_sha256_free(w->content);
	cw_sha256_free(w->file);
	cw_buf_free(&w->path);
	forget_orphans(w);
	free(w->names);
	free(w);
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
	if (n < 0)
		return cw_error_errno(err, "the medium cannot be read");
	cw_sha256_update(w->file, buf, (size_t)n);
	cw_progress_add(w->progress, (uint64_t)n, 0);
	*got = (size_t)n;
	return 0;
}

/* Something is wrong with the volume, or with one member of it. */
static void
tell(struct cw_importer *w, const char *path, const char *why)
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
is_ours(const struct cw_error *err)
{
	return err->code == CW_ERR_NOSPACE || err->code == CW_ERR_INTERRUPTED;
}

/*
 * The member of this path in the store is not what the catalog has.  No fault
 * where the catalog knows: a file that changed while it was packed stands in
 * the volume twice, and a later member, or none, took the first one's place.
 */
static int
differs(struct cw_importer *w, const struct cw_member *m, const char *path,
    size_t len, const char *why, struct cw_error *err)
{
	int ret =
	    cw_catalog_is_superseded(w->catalog, w->number, path, len, err);

	if (ret == 0)
		tell(w, m->path, why);
	return ret < 0 ? -1 : 0;
}

/* Finds the entry of a member; 1 and told if the catalog has another idea. */
static int
find(struct cw_importer *w, const struct cw_member *m, enum cw_kind kind,
    struct cw_entry *e, struct cw_error *err)
{
	size_t len = strlen(m->path), base_len;
	uint32_t part, parts;
	int ret;

	cw_buf_reset(&w->path);
	if (kind == CW_KIND_FILE &&
	    cw_member_name_parse(m->path, len, &base_len, &part, &parts) &&
	    parts == 1)
		len = base_len; /* a file that is itself named like a part */
	cw_buf_append(&w->path, m->path, len);
	(void)cw_buf_string(&w->path);
	ret = cw_catalog_lookup_path(w->catalog, (const char *)w->path.data,
	    len, e, err);
	if (ret < 0)
		return -1;
	if (ret == 0 && e->kind == kind && e->volume == w->number)
		return 0;
	if (ret == 0 && e->kind == kind && e->volume == 0)
		return 1; /* arrived by other ways */
	return differs(w, m, (const char *)w->path.data, len,
		   "the catalog does not list it", err) < 0 ?
	    -1 :
	    1;
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
	uint64_t at = 0;

	for (;;) {
		const uint8_t *data;
		uint64_t block;
		size_t len;
		bool end;

		if (cw_volume_read_block(w->reader, &data, &len, &block, &end,
			err) < 0)
			return -1;
		if (end)
			block = m->size;
		while (at < block) { /* a hole: only the digest sees it */
			size_t n = block - at < sizeof(zeros) ?
			    (size_t)(block - at) :
			    sizeof(zeros);

			cw_sha256_update(w->content, zeros, n);
			at += n;
		}
		if (end)
			return 0;
		cw_sha256_update(w->content, data, len);
		if (cw_pwrite_all(fd, data, len, offset + block, err) < 0)
			return -1;
		at = block + len;
	}
}

/*
 * An error that came while a member was placed: told, if it is only the
 * member's; the volume's own end the volume.  path is NULL where the error
 * names it.
 */
static int
place_failed(struct cw_importer *w, const char *path, struct cw_error *err)
{
	if (is_ours(err) || err->code == CW_ERR_DAMAGED)
		return -1;
	tell(w, path, err->message);
	return 0;
}

/*
 * Writes a member's content to path as the entry has it.  1 if it is other
 * content: then nothing is there.  What else fails is told.
 */
static int
place_content(struct cw_importer *w, const struct cw_member *m,
    const char *path, const struct cw_entry *e, struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	int fd, ret;

	if (cw_place_file_begin(w->place, path, false, &fd, err) < 0)
		return place_failed(w, NULL, err);
	ret = copy(w, m, fd, 0, err);
	cw_sha256_final(w->content, digest);
	/* A hole at its end has no block. */
	if (ret == 0 && m->is_sparse && ftruncate(fd, (off_t)e->size) < 0)
		ret = cw_error_errno(err, "cannot set its size");
	if (ret < 0) {
		cw_place_file_abandon(w->place, path, &fd);
		return place_failed(w, m->path, err);
	}
	if (memcmp(digest, e->digest, sizeof(digest)) != 0) {
		cw_place_file_abandon(w->place, path, &fd);
		return 1;
	}
	if (cw_place_file_finish(w->place, &fd, e, err) < 0) {
		fd = -1;
		cw_place_file_abandon(w->place, path, &fd);
		return place_failed(w, m->path, err);
	}
	cw_progress_add(w->progress, 0, 1);
	return 0;
}

static int
take_file(struct cw_importer *w, const struct cw_member *m,
    struct cw_error *err)
{
	const char *path;
	struct cw_entry e;
	int ret;

	ret = find(w, m, CW_KIND_FILE, &e, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	path = (const char *)w->path.data;
	if (m->size != e.size || !e.has_digest)
		return differs(w, m, path, strlen(path),
		    "its size is not the one of the catalog", err);
	if ((e.mode & 06000u) != 0) {
		tell(w, m->path, "a setuid or setgid file is not placed");
		return 0;
	}
	ret = place_content(w, m, path, &e, err);
	if (ret == 1)
		return differs(w, m, path, strlen(path),
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
 * A part goes to its place in the file; import.c checks the whole when all
 * volumes are read.  All parts but the last are of one size.
 */
static int
take_part(struct cw_importer *w, const struct cw_member *m, size_t base_len,
    uint32_t part, uint32_t parts, struct cw_error *err)
{
	struct part p = {part, parts, w->number, false};
	uint8_t unused[CW_DIGEST_SIZE];
	struct cw_entry e;
	uint64_t offset;
	int fd, ret;

	cw_buf_reset(&w->path);
	cw_buf_append(&w->path, m->path, base_len);
	ret = cw_catalog_lookup_path(w->catalog, cw_buf_string(&w->path),
	    base_len, &e, err);
	if (ret == 0)
		ret = cw_catalog_parts(w->catalog, e.dir, e.name, e.name_len,
		    match_part, &p, err);
	if (ret < 0)
		return -1;
	/* Members are superseded by the name of their file. */
	if (!p.is_here)
		return differs(w, m, (const char *)w->path.data, base_len,
		    "the catalog does not list it", err);
	offset = part == parts ? e.size - m->size : (part - 1) * m->size;
	if (m->size > e.size || offset > e.size - m->size ||
	    (e.mode & 06000u) != 0)
		return differs(w, m, (const char *)w->path.data, base_len,
		    "it is not a part of that file", err);
	if (cw_place_file_begin(w->place, (const char *)w->path.data, true, &fd,
		err) < 0)
		return place_failed(w, NULL, err);
	ret = copy(w, m, fd, offset, err);
	cw_sha256_final(w->content, unused);
	cw_close(&fd);
	return ret < 0 ? place_failed(w, m->path, err) : 0;
}

static void
add_orphan(struct cw_importer *w, const char *path, const char *target)
{
	struct orphan *o;

	if (w->orphan_count % 64 == 0)
		w->orphans = cw_reallocarray(w->orphans, w->orphan_count + 64,
		    sizeof(*w->orphans));
	o = &w->orphans[w->orphan_count++];
	o->path = cw_strdup(path);
	o->target = cw_strdup(target);
	o->is_placed = false;
}

/* A hard link to a member of this volume: the catalog must agree. */
static int
take_link(struct cw_importer *w, const struct cw_member *m,
    struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	size_t len = strlen(m->target), base_len;
	uint32_t part, parts;
	struct cw_entry e;
	char *to;
	int ret;

	ret = find(w, m, CW_KIND_FILE, &e, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	memcpy(digest, e.digest, sizeof(digest));
	if (cw_member_name_parse(m->target, len, &base_len, &part, &parts) &&
	    parts == 1)
		len = base_len;
	to = cw_asprintf("%.*s", (int)len, m->target);
	ret = cw_catalog_lookup_path(w->catalog, to, len, &e, err);
	if (ret == 0 &&
	    (e.kind != CW_KIND_FILE || !e.has_digest ||
		e.volume != w->number ||
		memcmp(digest, e.digest, sizeof(digest)) != 0))
		ret = 1;
	if (ret == 1) {
		ret = cw_catalog_is_superseded(w->catalog, w->number, to, len,
		    err);
		if (ret == 1)
			add_orphan(w, (const char *)w->path.data, to);
		else if (ret == 0)
			ret = differs(w, m, (const char *)w->path.data,
			    w->path.len,
			    "it is a link to something else than the catalog "
			    "says",
			    err);
		ret = ret < 0 ? -1 : 0;
	} else if (ret == 0) {
		if (cw_place_link(w->place, (const char *)w->path.data, to,
			err) < 0)
			ret = place_failed(w, NULL, err);
		else
			cw_progress_add(w->progress, 0, 1);
	}
	free(to);
	return ret;
}

/* Directories and symlinks are made from the catalog: they only must agree. */
static int
check_plain(struct cw_importer *w, const struct cw_member *m,
    struct cw_error *err)
{
	struct cw_entry e;
	int ret = find(w, m, m->kind, &e, err);

	if (ret == 0 && m->kind == CW_KIND_SYMLINK &&
	    strcmp(m->target, e.target) != 0)
		ret = differs(w, m, m->path, strlen(m->path),
		    "the catalog has another target for it", err);
	return ret < 0 ? -1 : 0;
}

/* ---- no name twice ---- */

static size_t
name_slot(const struct cw_importer *w, uint64_t hash)
{
	size_t i = (size_t)hash & (w->name_cap - 1);

	while (w->names[i] != 0 && w->names[i] != hash)
		i = (i + 1) & (w->name_cap - 1);
	return i;
}

static void
grow_names(struct cw_importer *w)
{
	uint64_t *old = w->names;
	size_t cap = w->name_cap;

	w->name_cap = cap == 0 ? 1024 : 2 * cap;
	w->names = cw_calloc(w->name_cap, sizeof(*w->names));
	for (size_t i = 0; i < cap; i++)
		if (old[i] != 0)
			w->names[name_slot(w, old[i])] = old[i];
	free(old);
}

/*
 * Whether a member of this name came before; two that collide in 64 bits do
 * no harm but to who chose them.  Beyond NAMES_MAX / 2 nobody looks any more.
 */
static bool
is_seen(struct cw_importer *w, const char *path)
{
	uint8_t digest[CW_XXH_SIZE];
	uint64_t hash;
	size_t i;

	if (2 * w->name_count >= w->name_cap) {
		if (w->name_cap >= NAMES_MAX)
			return false;
		grow_names(w);
	}
	cw_xxh(path, strlen(path), digest);
	/* Slots go by the low bits; no hash is 0. */
	hash = cw_get_le64(digest) | UINT64_C(1) << 63;
	i = name_slot(w, hash);
	if (w->names[i] == hash)
		return true;
	w->names[i] = hash;
	w->name_count++;
	return false;
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
	if (!is_seen(w, m->path))
		return 0;
	if (m->kind == CW_KIND_FILE || m->kind == CW_KIND_LINK)
		(void)cw_member_name_parse(m->path, len, &len, &part, &parts);
	ret = cw_catalog_is_superseded(w->catalog, w->number, m->path, len,
	    err);
	*is_twice = ret == 0;
	if (ret == 0)
		tell(w, m->path, "its name stands in the volume twice");
	return ret < 0 ? -1 : 0;
}

static int
take(struct cw_importer *w, const struct cw_member *m, struct cw_error *err)
{
	size_t base_len;
	uint32_t part, parts;
	bool is_twice;

	if (check_name(w, m, &is_twice, err) < 0)
		return -1;
	if (is_twice)
		return 0;
	switch (m->kind) {
	case CW_KIND_FILE:
		if (cw_member_name_parse(m->path, strlen(m->path), &base_len,
			&part, &parts) &&
		    parts > 1)
			return take_part(w, m, base_len, part, parts, err);
		return take_file(w, m, err);
	case CW_KIND_LINK:
		return take_link(w, m, err);
	case CW_KIND_DIR:
	case CW_KIND_SYMLINK:
		return check_plain(w, m, err);
	}
	tell(w, m->path, "it is of a kind that no seed has");
	return 0;
}

/* Gives the content of an old member to the links that were made to it. */
static int
take_orphaned(struct cw_importer *w, const struct cw_member *m,
    struct cw_error *err)
{
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
				ret = place_failed(w, NULL, err);
			continue;
		}
		ret = cw_catalog_lookup_path(w->catalog, o->path,
		    strlen(o->path), &e, err);
		if (ret != 0 || e.size != m->size || (e.mode & 06000u) != 0) {
			ret = ret < 0 ? -1 : 0;
			continue;
		}
		ret = place_content(w, m, o->path, &e, err);
		if (ret == 1)
			return 0; /* another one of that name */
		o->is_placed = true;
		placed = o->path;
	}
	return ret;
}

typedef int take_fn(struct cw_importer *w, const struct cw_member *m,
    struct cw_error *err);

static int
read_members(struct cw_importer *w, uint64_t max_tar, take_fn *each,
    struct cw_error *err)
{
	struct cw_member m;
	bool end = false;

	if (cw_volume_reader_open(w->reader, w->identity, max_tar, source, w,
		err) < 0)
		return -1;
	for (;;) {
		if (cw_volume_next(w->reader, &m, &end, err) < 0)
			return -1;
		if (end)
			return cw_volume_reader_finish(w->reader, err);
		if (each(w, &m, err) < 0)
			return -1;
	}
}

/* Reads the volume once more for the links that lost their file. */
static int
adopt_orphans(struct cw_importer *w, uint64_t max_tar, struct cw_error *err)
{
	uint8_t unused[CW_SHA256_SIZE];
	int ret;

	if (lseek(w->fd, 0, SEEK_SET) < 0)
		return cw_error_errno(err, "the medium cannot be read again");
	ret = read_members(w, max_tar, take_orphaned, err);
	cw_sha256_final(w->file, unused);
	for (size_t i = 0; i < w->orphan_count && ret == 0; i++)
		if (!w->orphans[i].is_placed)
			tell(w, w->orphans[i].path,
			    "the volume has not the file it is a link to");
	return ret;
}

int
cw_importer_run(struct cw_importer *w, int fd, uint32_t number,
    const char *name, uint64_t size, const uint8_t sha256[32],
    struct cw_error *err)
{
	uint64_t max_tar = size > TAR_LEAST / TAR_FACTOR ? size * TAR_FACTOR :
							   TAR_LEAST;
	uint8_t digest[32];
	int ret;

	w->fd = fd;
	w->number = number;
	w->name = name;
	w->is_bad = false;
	forget_orphans(w);
	if (w->name_count > 0)
		memset(w->names, 0, w->name_cap * sizeof(*w->names));
	w->name_count = 0;
	ret = read_members(w, max_tar, take, err);
	cw_sha256_final(w->file, digest);
	if (ret == 0 && w->orphan_count > 0)
		ret = adopt_orphans(w, max_tar, err);
	if (ret < 0 && is_ours(err))
		return cw_error_context(err, "%s", name);
	if (ret < 0)
		tell(w, NULL, err->message);
	else if (memcmp(digest, sha256, sizeof(digest)) != 0)
		tell(w, NULL, "its SHA-256 is not the one of the manifest");
	return w->is_bad ? 1 : 0;
}
