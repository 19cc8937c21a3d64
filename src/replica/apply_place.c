/*
 * Apply's third step: puts in place what comes.  A file gets its metadata in
 * staging and is renamed into place, so it is in its slot or, whole, in the
 * tree.  Gone through again after a crash, a vacant slot tells that its file
 * is placed; everything else is simply done once more.
 *
 * Where staging and tree are different filesystems, a file is copied beside
 * its place under a name that no scan takes for a message; the copies of a
 * page are synced before they are renamed.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "replica/apply_impl.h"
#include "replica/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
fail(const char *path, const char *doing, struct cw_error *err)
{
	return cw_error_errno(err, "cannot %s %s", doing, path);
}

static int
no_parent(const char *path, struct cw_error *err)
{
	return cw_error_set(
	    err, CW_ERR_MISSING, "the directory of %s is gone", path);
}

static int
make_again(struct apply *a, const char *path, struct cw_error *err)
{
	struct cw_entry e;
	int got;

	if (cw_place_dir(a->r->place, path, err) < 0)
		return -1;
	got =
	    cw_catalog_lookup_path(a->r->catalog, path, strlen(path), &e, err);
	if (got == 0 && e.kind == CW_KIND_DIR)
		got = cw_place_dir_finish(a->r->place, path, &e, err);
	return got < 0 ? -1 : 0;
}

/*
 * Directories that our catalog has, and the tree has not any more: somebody
 * removed them behind our back.
 */
static int
make_parents(struct apply *a, const char *path, struct cw_error *err)
{
	char *copy = cw_strdup(path);
	int ret = 0;

	for (char *at = strchr(copy, '/'); at != NULL && ret == 0;
	     at = strchr(at + 1, '/')) {
		struct stat st;

		*at = '\0';
		if (strchr(copy, '/') != NULL)
			ret = cw_place_stat(a->r->place, copy, &st, err);
		if (ret == 1)
			ret = make_again(a, copy, err);
		*at = '/';
	}
	free(copy);
	return ret;
}

/* The row's directory is there. */
static int
need_parent(struct apply *a, const struct row *row, struct cw_error *err)
{
	const char *name;
	int dirfd, got;

	if (strchr(row->path, '/') == NULL)
		return 0;
	got = cw_place_parent(a->r->place, row->path, &dirfd, &name, err);
	return got == 1 ? make_parents(a, row->path, err) : got;
}

/* ---- copies beside ---- */

/* The name of a row's copy: it ends as locks do, which no scan looks at. */
static void
beside_name(const struct row *row, char out[48])
{
	uint8_t digest[CW_SHA256_SIZE];

	cw_sha256(row->path, row->path_len, digest);
	memcpy(out, ".causeway-", 10);
	cw_hex_encode(digest, 12, out + 10);
	memcpy(out + 34, ".lock", sizeof(".lock"));
}

static int
copy_beside(
    struct apply *a, const struct row *row, int from, struct cw_error *err)
{
	char beside[48];
	const char *name;
	int dirfd, to, ret;

	ret = cw_place_parent(a->r->place, row->path, &dirfd, &name, err);
	if (ret != 0)
		return ret < 0 ? -1 : no_parent(row->path, err);
	beside_name(row, beside);
	if (unlinkat(dirfd, beside, 0) < 0 && errno != ENOENT)
		return fail(row->path, "copy", err);
	to = openat(dirfd, beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return fail(row->path, "create", err);
	ret = cw_copy_file(from, to, err);
	if (ret == 0)
		ret = cw_place_metadata(a->r->place, to, &row->e, err);
	cw_close(&to);
	if (ret < 0) {
		(void)unlinkat(dirfd, beside, 0);
		cw_error_context(err, "%s", row->path);
	}
	return ret;
}

int
apply_rename_beside(
    struct apply *a, const struct row *row, struct cw_error *err)
{
	char beside[48];
	const char *name;
	int dirfd, got;

	got = cw_place_parent(a->r->place, row->path, &dirfd, &name, err);
	if (got != 0)
		return got < 0 ? -1 : no_parent(row->path, err);
	beside_name(row, beside);
	if (renameat(dirfd, beside, dirfd, name) < 0)
		return fail(row->path, "put in place", err);
	return 0;
}

/* ---- files ---- */

/* Is it what we placed there?  1, 0, -1. */
static int
is_placed(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct stat st;
	int got = cw_place_stat(a->r->place, row->path, &st, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	/* A filesystem may keep less of the time than we asked for. */
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == row->e.size &&
	       st.st_mtim.tv_sec == cw_time_split(row->e.mtime_ns).tv_sec;
}

/* 0 done, 1 it was copied beside (2: fd is needed for that), -1. */
static int
move_in(struct apply *a, const struct row *row, int fd, const char *slot,
    struct cw_error *err)
{
	int staging = cw_staging_dirfd(a->r->staging);

	for (int tries = 0;; tries++) {
		const char *name;
		int dirfd, got;

		got =
		    cw_place_parent(a->r->place, row->path, &dirfd, &name, err);
		if (got != 0)
			return got < 0 ? -1 : no_parent(row->path, err);
		if (renameat2(staging, slot, dirfd, name, RENAME_NOREPLACE) ==
		    0)
			return 0;
		if (errno == EINVAL &&
		    faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		    renameat(staging, slot, dirfd, name) == 0)
			return 0;
		if (errno == EXDEV && fd < 0)
			return 2;
		if (errno == EXDEV) {
			/* Placed before we were cut off? */
			if ((got = is_placed(a, row, err)) != 0)
				return got < 0 ? -1 : 0;
			return copy_beside(a, row, fd, err) < 0 ? -1 : 1;
		}
		if ((errno != EEXIST && errno != EISDIR && errno != EINVAL) ||
		    tries > 0)
			return fail(row->path, "put in place", err);
		/* Somebody wrote there meanwhile. */
		if (apply_put_aside(a, row->path, err) < 0)
			return -1;
	}
}

/* Its slot is vacant: it is in place, or its content is lost and found. */
static int
recover(struct apply *a, const struct row *row, struct cw_error *err)
{
	int got = is_placed(a, row, err);

	if (got != 0)
		return got < 0 ? -1 : 1;
	/* Slot 0 may be another row's: it is copied. */
	if (apply_have(a, row->e.digest, row->e.size, err) < 0)
		return -1;
	if (row->slot > 0 && cw_staging_make_slot(a->r->staging, row->e.digest,
				 row->slot, row->e.size, err) < 0)
		return -1;
	return cw_staging_sync(a->r->staging, err) < 0 ? -1 : 0;
}

bool
apply_is_ready(const struct apply *a, struct cw_place *place,
    const struct row *row, const char *slot)
{
	struct cw_look look;
	struct stat st;

	if (!a->is_plain || row->e.attrs_len > 0 ||
	    fstatat(cw_staging_dirfd(a->r->staging), slot, &st,
		AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	cw_place_look(place, &row->e, &look);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == row->e.size &&
	       cw_look_fits(&look, &st);
}

/* 0 done, 1 copied beside, -1. */
static int
place_staged(struct apply *a, const struct row *row, struct cw_error *err)
{
	const struct cw_entry *e = &row->e;
	char slot[CW_STAGING_NAME];
	int fd = -1, ret;

	cw_staging_name(e->digest, row->slot, slot);
	if (apply_is_ready(a, a->r->place, row, slot) &&
	    (ret = move_in(a, row, -1, slot, err)) != 2) {
		a->result->placed += ret == 0;
		return ret;
	}
	ret = cw_staging_open_slot(
	    a->r->staging, e->digest, row->slot, e->size, &fd, err);
	if (ret == 1) {
		if ((ret = recover(a, row, err)) != 0)
			return ret < 0 ? -1 : 0;
		ret = cw_staging_open_slot(
		    a->r->staging, e->digest, row->slot, e->size, &fd, err);
		if (ret == 1)
			return cw_error_set(err, CW_ERR_MISSING,
			    "the content of %s is gone", row->path);
	}
	if (ret < 0)
		return -1;
	ret = cw_place_metadata(a->r->place, fd, e, err);
	if (ret < 0)
		cw_error_context(err, "%s", row->path);
	else
		ret = move_in(a, row, fd, slot, err);
	cw_close(&fd);
	a->result->placed += ret >= 0;
	return ret;
}

int
apply_place_file(struct apply *a, const struct row *row, struct cw_error *err)
{
	return need_parent(a, row, err) < 0 ? -1 : place_staged(a, row, err);
}

static int
touch(struct apply *a, const struct row *row, struct cw_error *err)
{
	int fd = -1, got = cw_place_open(a->r->place, row->path, &fd, err);

	if (got < 0)
		return -1;
	/* Somebody took it away since we planned. */
	if (got == 1)
		return place_staged(a, row, err);
	got = cw_place_metadata(a->r->place, fd, &row->e, err);
	cw_close(&fd);
	a->result->touched++;
	return got < 0 ? cw_error_context(err, "%s", row->path) : 0;
}

static int
make_symlink(struct apply *a, const struct row *row, struct cw_error *err)
{
	return cw_place_symlink(a->r->place, row->path, &row->e, err);
}

/* Links that cannot be become copies. */
static int
make_link(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	int fd = -1, got;

	errno = 0;
	if (cw_place_link(a->r->place, row->path, row->link_to, &why) == 0) {
		a->result->linked++;
		return 0;
	}
	if (errno == ENOENT)
		return place_staged(a, row, err);
	if (errno != EMLINK && errno != EXDEV && errno != EPERM &&
	    errno != EOPNOTSUPP) {
		if (err != NULL)
			*err = why;
		return -1;
	}
	got = cw_place_open(a->r->place, row->link_to, &fd, err);
	if (got != 0)
		return got < 0 ? -1 : no_parent(row->link_to, err);
	got = copy_beside(a, row, fd, err);
	cw_close(&fd);
	a->result->placed++;
	return got < 0 ? -1 : 1;
}

/* Calls step for the rows of these plans; what it copied comes into place. */
static int
each_row(struct apply *a, unsigned plans, bool down,
    int (*step)(struct apply *a, const struct row *row, struct cw_error *err),
    struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	int ret = 0;

	if (a->plans != 0 && (a->plans & plans) == 0)
		return 0;
	do {
		bool any = false;

		if (cw_stop_check(err) < 0 ||
		    rows_next(a->in, &page, plans, down, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0; i++) {
			int got = need_parent(a, &page.rows[i], err);

			if (got == 0)
				got = step(a, &page.rows[i], err);
			ret = got < 0 ? -1 : 0;
			/* No more is asked of this row: it says so itself. */
			page.rows[i].wipe = got == 1;
			any = any || got == 1;
		}
		if (ret == 0 && any && cw_place_sync(a->r->place, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0 && any; i++) {
			if (page.rows[i].wipe)
				ret =
				    apply_rename_beside(a, &page.rows[i], err);
		}
		cw_progress_add(a->progress, 0, page.count);
	} while (ret == 0 && page.count > 0);
	rows_free(&page);
	return ret;
}

/* ---- directories ---- */

static int
make_dir(struct apply *a, const struct row *row, struct cw_error *err)
{
	return cw_place_dir(a->r->place, row->path, err);
}

static int
finish_dir(struct apply *a, const struct row *row, struct cw_error *err)
{
	int fd = -1, got = cw_place_open_dir(a->r->place, row->path, &fd, err);

	if (got != 0)
		return got < 0 ? -1
			       : cw_error_set(err, CW_ERR_MISSING,
				     "directory %s is gone", row->path);
	got = cw_place_metadata(a->r->place, fd, &row->e, err);
	cw_close(&fd);
	a->result->touched++;
	return got < 0 ? cw_error_context(err, "%s", row->path) : 0;
}

/* Files that went may be in staging now, with whatever is on them. */
static int
look_for_donors(struct apply *a, struct cw_error *err)
{
	struct need need;
	int got = a->is_first ? 0 : need_next(a, true, true, &need, err);

	a->is_plain = got == 0;
	return got < 0 ? -1 : 0;
}

int
apply_place(struct apply *a, struct cw_error *err)
{
	if (look_for_donors(a, err) < 0)
		return -1;
	cw_progress_start(
	    a->progress, "applying", 0, cw_incoming_info(a->in)->rows);
	cw_place_forget(a->r->place);
	if (each_row(a, PLAN_DIR, false, make_dir, err) < 0 ||
	    (a->is_first
		    ? apply_place_first(a, err)
		    : each_row(a, PLAN_STAGED, false, place_staged, err)) < 0 ||
	    each_row(a, PLAN_STAY, false, touch, err) < 0 ||
	    each_row(a, PLAN_SYMLINK, false, make_symlink, err) < 0 ||
	    each_row(a, PLAN_HARD, false, make_link, err) < 0 ||
	    /* Times of directories last, from the deepest up. */
	    each_row(a, PLAN_DIR, true, finish_dir, err) < 0)
		return -1;
	return 0;
}
