#include "seed/import_bare.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/volume/volume.h"
#include "replica/place.h"
#include "seed/import_impl.h"
#include "seed/import_trust.h"
#include "seed/member_name.h"
#include "seed/members.h"
#include "store/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As in import_volume.c: no honest volume holds more tar. */
#define DIRS_MAX 1000000u

/* A directory, whose metadata come when all is in it. */
struct dir {
	char *path;
	struct cw_entry entry;
	struct cw_buf attrs;
};

struct bare {
	const struct cw_import_options *o;
	struct cw_import_result *result;
	struct cw_place_root *roots; /* room for all that were given */
	size_t root_count;
	struct cw_place *place;
	struct cw_volume_reader *reader;
	int fd;
	const char *volume; /* that fd is of */
	struct dir *dirs;
	size_t dir_count;
	struct cw_buf attrs;
};

static void
fault(struct bare *b, const char *volume, const char *path, const char *why)
{
	struct cw_import_result *r = b->result;
	char quoted[CW_QUOTE_MAX] = "";

	if (path != NULL)
		cw_text_quote(path, strlen(path), quoted);
	if (r->faults_in_all++ >= CW_IMPORT_FAULTS_MAX)
		return;
	r->faults =
	    cw_reallocarray(r->faults, r->fault_count + 1, sizeof(*r->faults));
	r->faults[r->fault_count++] = cw_asprintf(
	    "%s: %s%s%s", volume, quoted, path != NULL ? ": " : "", why);
}

/* ---- roots: their names are learned from the members ---- */

static int
open_root(struct bare *b, const char *name, size_t len, struct cw_error *err)
{
	const struct cw_import_options *o = b->o;
	const char *path = NULL;
	char *own = cw_asprintf("%.*s", (int)len, name), *real = NULL;
	int fd = -1, ret = -1;

	for (size_t i = 0; i < o->root_count && path == NULL; i++)
		if (o->roots[i].name != NULL
			? strcmp(o->roots[i].name, own) == 0
			: b->root_count == 0)
			path = o->roots[i].path;
	if (path == NULL) {
		cw_error_set(err, CW_ERR_USAGE,
		    "the seed has a root %s: add --root %s=DIR", own, own);
		goto out;
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		cw_error_errno(err, "cannot make the root %s", path);
		goto out;
	}
	real = realpath(path, NULL);
	fd = cw_open_dir(path, err);
	if (fd < 0 || real == NULL)
		goto out;
	/* It may be a mount point, with lost+found. */
	if (!import_is_empty(fd)) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "%s is not empty: --without-catalog begins in an empty "
		    "directory, also after an interruption",
		    path);
		goto out;
	}
	for (size_t i = 0; i < b->root_count; i++)
		if (strcmp(b->result->roots[i].path, real) == 0) {
			cw_error_set(err, CW_ERR_USAGE,
			    "%s was given for two roots: each has a directory "
			    "of its own",
			    real);
			goto out;
		}
	b->roots[b->root_count].dirfd = fd;
	fd = -1;
	b->roots[b->root_count].name = own;
	b->result->roots[b->root_count].name = own;
	b->result->roots[b->root_count].path = real;
	b->result->root_count = ++b->root_count;
	cw_place_free(b->place);
	b->place = cw_place_new(b->roots, b->root_count);
	return 0;
out:
	cw_close(&fd);
	free(own);
	free(real);
	return ret;
}

/* Makes sure that the root of a path, and its directories, are there. */
static int
make_way(struct bare *b, const char *path, struct cw_error *err)
{
	size_t len = strcspn(path, "/");
	bool is_known = false;
	int ret = 0;

	for (size_t i = 0; i < b->root_count && !is_known; i++)
		is_known = strlen(b->roots[i].name) == len &&
			   memcmp(b->roots[i].name, path, len) == 0;
	if (!is_known && open_root(b, path, len, err) < 0)
		return -1;
	for (const char *at = strchr(path + len, '/'); at != NULL && ret == 0;
	     at = strchr(at + 1, '/')) {
		char *dir = cw_asprintf("%.*s", (int)(at - path), path);

		ret = cw_place_dir(b->place, dir, err);
		free(dir);
	}
	return ret;
}

/* ---- members ---- */

static int
to_entry(const struct cw_member *m, struct cw_buf *attrs, struct cw_entry *e,
    struct cw_error *err)
{
	struct cw_attrs set = {.xattr_count = m->xattr_count,
	    .acl_access = m->acl_access,
	    .acl_default = m->acl_default};
	int ret = 0;

	memset(e, 0, sizeof(*e));
	e->kind = m->kind;
	e->mode = m->mode;
	e->uid = m->uid;
	e->gid = m->gid;
	e->user = m->user == NULL ? "" : m->user;
	e->group = m->group == NULL ? "" : m->group;
	e->mtime_ns = cw_time_ns(
	    (struct timespec){.tv_sec = m->mtime_s, .tv_nsec = m->mtime_ns});
	e->size = m->size;
	e->target = m->target;
	if (m->xattr_count > 0 || m->acl_access != NULL ||
	    m->acl_default != NULL) {
		set.xattrs =
		    cw_memdup(m->xattrs, m->xattr_count * sizeof(*m->xattrs));
		cw_buf_reset(attrs);
		ret = cw_attrs_encode(&set, attrs, err);
		free(set.xattrs);
		e->attrs = attrs->data;
		e->attrs_len = attrs->len;
	}
	return ret;
}

static int
source(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct bare *b = arg;

	if (cw_stop_check(err) < 0)
		return -1;
	if (cw_read_full(b->fd, buf, cap, got, err) < 0)
		return -1;
	cw_progress_add(b->o->progress, *got, 0);
	return 0;
}

static int
write_content(struct bare *b, int fd, uint64_t offset, uint64_t size,
    struct cw_error *err)
{
	for (;;) {
		const uint8_t *data;
		uint64_t at;
		size_t len;
		bool end;

		if (cw_volume_read_block(
			b->reader, &data, &len, &at, &end, err) < 0)
			return -1;
		if (end)
			break;
		if (cw_pwrite_all(fd, data, len, offset + at, err) < 0)
			return -1;
	}
	/* A hole at its end has no block; a part must not cut the others. */
	if (ftruncate(fd, (off_t)(offset + size)) < 0)
		return cw_error_errno(err, "cannot set its size");
	return 0;
}

static int
take_file(struct bare *b, const struct cw_member *m, struct cw_error *err)
{
	size_t len = strlen(m->path);
	uint32_t part = 1, parts = 1;
	uint64_t offset = 0;
	struct cw_entry e;
	struct stat st;
	char *path;
	int fd = -1, ret;

	(void)cw_member_name_parse(m->path, len, &len, &part, &parts);
	path = cw_asprintf("%.*s", (int)len, m->path);
	if ((m->mode & 06000u) != 0) {
		fault(b, b->volume, m->path,
		    "a setuid or setgid file is not placed");
		ret = 0;
		goto out;
	}
	ret = to_entry(m, &b->attrs, &e, err);
	if (ret == 0)
		ret = cw_place_file_begin(b->place, path, part > 1, &fd, err);
	if (ret == 0 && part > 1) {
		/*
		 * Volumes come in order, so a part follows the one before; if
		 * that is missing, the file is not whole.
		 */
		if (fstat(fd, &st) < 0)
			ret = cw_error_errno(err, "cannot look at a part");
		offset =
		    part == parts ? (uint64_t)st.st_size : (part - 1) * m->size;
		if (ret == 0 && (uint64_t)st.st_size != offset)
			fault(b, b->volume, m->path,
			    "the part before it is missing");
	}
	if (ret == 0)
		ret = write_content(b, fd, offset, m->size, err);
	if (ret == 0)
		ret = cw_place_file_finish(b->place, &fd, &e, err);
	cw_close(&fd);
	cw_progress_add(b->o->progress, 0, 1);
out:
	free(path);
	return ret;
}

static int
take_dir(struct bare *b, const struct cw_member *m, struct cw_error *err)
{
	struct dir *d;

	if (cw_place_dir(b->place, m->path, err) < 0)
		return -1;
	if (b->dir_count == DIRS_MAX)
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "more than %u directories", DIRS_MAX);
	if (b->dir_count % 256 == 0)
		b->dirs = cw_reallocarray(
		    b->dirs, b->dir_count + 256, sizeof(*b->dirs));
	d = &b->dirs[b->dir_count++];
	memset(d, 0, sizeof(*d));
	d->path = cw_strdup(m->path);
	if (to_entry(m, &d->attrs, &d->entry, err) < 0)
		return -1;
	d->entry.user = cw_strdup(d->entry.user);
	d->entry.group = cw_strdup(d->entry.group);
	return 0;
}

static int
take_one(struct bare *b, const struct cw_member *m, struct cw_error *err)
{
	struct cw_entry e;
	size_t len;
	uint32_t part, parts;
	char *to;
	int ret;

	if (make_way(b, m->path, err) < 0)
		return -1;
	switch (m->kind) {
	case CW_KIND_FILE:
		return take_file(b, m, err);
	case CW_KIND_DIR:
		return take_dir(b, m, err);
	case CW_KIND_SYMLINK:
		if (to_entry(m, &b->attrs, &e, err) < 0)
			return -1;
		return cw_place_symlink(b->place, m->path, &e, err);
	case CW_KIND_LINK:
		len = strlen(m->target);
		(void)cw_member_name_parse(m->target, len, &len, &part, &parts);
		to = cw_asprintf("%.*s", (int)len, m->target);
		ret = cw_place_link(b->place, m->path, to, err);
		free(to);
		return ret;
	}
	return 0;
}

static int
take(void *arg, const struct cw_member *m, struct cw_error *err)
{
	struct bare *b = arg;

	if (take_one(b, m, err) < 0)
		return cw_error_context(err, "%s", b->volume);
	return 0;
}

/* From whichever medium has it as it was signed; -1 in b->fd: none. */
static void
open_volume(struct bare *b, const struct cw_manifest_file *f)
{
	const struct cw_set *set = b->o->set;

	for (size_t i = 0; i < set->count && b->fd < 0 && !cw_stop_requested();
	     i++)
		if (set->media[i].number == f->medium)
			b->fd = cw_import_open_listed(
			    &set->media[i], f->name, f, NULL);
}

static int
compare_names(const void *left, const void *right)
{
	const struct cw_manifest_file *const *a = left, *const *b = right;

	return strcmp((*a)->name, (*b)->name);
}

/*
 * Volumes in order of their numbers, on whichever media they are: a part of a
 * file follows the one before, and what was packed later is the newer one.
 */
static int
read_volumes(struct bare *b, struct cw_error *err)
{
	const struct cw_manifest *m = &b->o->set->manifest;
	const struct cw_manifest_file **all =
	    cw_calloc(m->file_count + 1, sizeof(*all));
	size_t suffix = strlen(CW_SET_VOLUME), count = 0;
	int ret = 0;

	for (size_t i = 0; i < m->file_count; i++)
		if (strlen(m->files[i].name) == 6 + suffix &&
		    strcmp(m->files[i].name + 6, CW_SET_VOLUME) == 0)
			all[count++] = &m->files[i];
	qsort(all, count, sizeof(*all), compare_names);
	for (size_t i = 0; i < count && ret == 0; i++) {
		open_volume(b, all[i]);
		ret = cw_stop_check(err);
		if (ret == 0 && b->fd < 0) {
			fault(b, all[i]->name, NULL,
			    "it is not there, or not what was signed: left "
			    "out");
			continue;
		}
		b->volume = all[i]->name;
		if (ret == 0)
			ret = members_read(b->reader, b->o->identity,
			    all[i]->size, source, take, b, err);
		cw_close(&b->fd);
		b->result->volumes += ret == 0;
	}
	free(all);
	return ret;
}

static int
finish_dirs(struct bare *b, struct cw_error *err)
{
	for (size_t i = b->dir_count; i-- > 0;)
		if (cw_place_dir_finish(
			b->place, b->dirs[i].path, &b->dirs[i].entry, err) < 0)
			return -1;
	return b->place == NULL ? 0 : cw_place_sync(b->place, err);
}

/* The new catalog: what is there now, read once more. */
static int
catalog(struct bare *b, struct cw_error *err)
{
	struct cw_scan_options options = {
	    .contents = CW_SCAN_CONTENTS, .progress = b->o->progress};
	struct cw_scan_root *roots = cw_calloc(b->root_count, sizeof(*roots));
	char *dir = cw_asprintf("%s/%s", b->o->stores_path, b->o->store);
	char *path = cw_asprintf("%s/catalog.sqlite", dir);
	struct cw_scan_result scanned;
	struct cw_catalog *c = NULL;
	char number[24];
	bool is_known;
	int ret = -1;

	for (size_t i = 0; i < b->root_count; i++) {
		roots[i].name = b->result->roots[i].name;
		roots[i].path = b->result->roots[i].path;
	}
	(void)snprintf(
	    number, sizeof(number), "%" PRIu64, b->o->set->manifest.generation);
	cw_progress_start(b->o->progress, "scanning", 0, 0);
	if (cw_make_dirs(dir, 0700, err) == 0 &&
	    cw_catalog_create(path, b->o->store, err) == 0 &&
	    cw_catalog_open(path, CW_CATALOG_WRITE, &c, err) == 0 &&
	    cw_scan(c, roots, b->root_count, &options, &scanned, err) == 0 &&
	    cw_catalog_note_set(c, CW_NOTE_ROLE, "standby", err) == 0 &&
	    cw_catalog_note_set(
		c, CW_NOTE_IMPORT_SEED, b->o->set->seed_text, err) == 0 &&
	    cw_catalog_note_set(c, CW_NOTE_IMPORT_GENERATION, number, err) ==
		0 &&
	    cw_catalog_note_set(c, CW_NOTE_IMPORT_STATE, "ended", err) == 0 &&
	    cw_state_digest(c, b->result->digest, &is_known, err) == 0) {
		b->result->entries = cw_catalog_info(c)->entries;
		b->result->bytes = cw_catalog_info(c)->bytes;
		ret = 0;
	}
	cw_catalog_close(c);
	free(roots);
	free(path);
	free(dir);
	return ret;
}

static int
check(const struct cw_import_options *o, struct cw_error *err)
{
	char *path;
	bool is_there;

	if (o->store == NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the store's name was in the catalog: give one with "
		    "--store");
	if (cw_import_check_trust(o, err) < 0 ||
	    cw_import_check_full(o, err) < 0)
		return -1;
	path = cw_asprintf("%s/%s/catalog.sqlite", o->stores_path, o->store);
	is_there = access(path, F_OK) == 0;
	free(path);
	if (is_there)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "this site has a store %s: choose another name with "
		    "--store",
		    o->store);
	return 0;
}

int
cw_import_bare(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err)
{
	struct bare b = {.o = options, .result = result, .fd = -1};
	int ret = -1;

	memset(result, 0, sizeof(*result));
	if (check(options, err) < 0)
		return -1;
	(void)snprintf(
	    result->store, sizeof(result->store), "%s", options->store);
	result->generation = options->set->manifest.generation;
	result->is_open = !options->set->manifest.is_final;
	result->roots = cw_calloc(options->root_count, sizeof(*result->roots));
	b.roots = cw_calloc(options->root_count, sizeof(*b.roots));
	b.reader = cw_volume_reader_new();
	cw_progress_start(options->progress, "importing", 0, 0);
	if (read_volumes(&b, err) == 0 && finish_dirs(&b, err) == 0 &&
	    options->declare(options->declare_arg, result, err) == 0)
		ret = catalog(&b, err);
	if (b.place != NULL)
		result->unmapped = cw_place_unmapped(b.place);
	for (size_t i = 0; i < b.dir_count; i++) {
		free(b.dirs[i].path);
		free((void *)(uintptr_t)b.dirs[i].entry.user);
		free((void *)(uintptr_t)b.dirs[i].entry.group);
		cw_buf_free(&b.dirs[i].attrs);
	}
	free(b.dirs);
	for (size_t i = 0; i < b.root_count; i++)
		cw_close(&b.roots[i].dirfd);
	free(b.roots);
	cw_buf_free(&b.attrs);
	cw_place_free(b.place);
	cw_volume_reader_free(b.reader);
	return ret;
}
