/*
 * What stands in the way and is in no catalog (locks, half-written messages)
 * is kept in history as well.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "replica/apply_batch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
fail(const char *path, const char *doing, struct cw_error *err)
{
	return cw_error_errno(err, "cannot %s %s", doing, path);
}

static void
entry_of(const struct stat *st, struct cw_entry *e)
{
	*e = (struct cw_entry)CW_ENTRY_INIT;
	e->kind = S_ISDIR(st->st_mode)	 ? CW_KIND_DIR
		  : S_ISLNK(st->st_mode) ? CW_KIND_SYMLINK
					 : CW_KIND_FILE;
	e->class = 2;
	e->mode = st->st_mode & 07777u;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->mtime_ns = cw_time_ns(st->st_mtim);
	e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

/*
 * Puts up to a batch of what is in the directory aside.  1 and the name of a
 * directory in it, if there is one; 0 if nothing is left.
 */
static int
empty_some(struct batch *b, const char *path, struct cw_buf *inner,
    struct cw_error *err)
{
	struct dirent *de;
	struct cw_buf file = CW_BUF_INIT;
	DIR *dir = NULL;
	bool is_full = false;
	int fd = -1, ret = cw_place_open_dir(b->a->r->place, path, &fd, err);

	if (ret != 0)
		return ret < 0 ? -1 : 0;
	if ((dir = fdopendir(fd)) == NULL) {
		cw_close(&fd);
		return fail(path, "read", err);
	}
	cw_buf_reset(inner);
	while (ret == 0 && !is_full && (errno = 0, de = readdir(dir)) != NULL) {
		struct cw_entry e;
		struct stat st;

		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) <
		    0) {
			if (errno != ENOENT)
				ret = fail(path, "look into", err);
			continue;
		}
		if (S_ISDIR(st.st_mode)) {
			cw_buf_reset(inner);
			cw_buf_text(inner, de->d_name);
			cw_buf_string(inner);
			continue;
		}
		entry_of(&st, &e);
		cw_buf_reset(&file);
		cw_buf_printf(&file, "%s/%s", path, de->d_name);
		ret = batch_add(b, cw_buf_string(&file), &e, false, err);
		is_full = b->count == BATCH;
	}
	if (ret == 0 && !is_full && errno != 0)
		ret = fail(path, "read", err);
	closedir(dir);
	cw_buf_free(&file);
	if (ret < 0 || batch_flush(b, err) < 0)
		return -1;
	/* Full: look again, for files first. */
	return inner->len > 0 || is_full;
}

/* Removes an empty directory; one that is not there is fine. */
static int
remove_dir(struct apply *a, const char *path, struct cw_error *err)
{
	const char *name;
	int dirfd, got = cw_place_parent(a->r->place, path, &dirfd, &name, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	got = unlinkat(dirfd, name, AT_REMOVEDIR);
	if (got < 0 && errno != ENOENT)
		return fail(path, "remove directory", err);
	cw_place_forget(a->r->place);
	return 0;
}

/* A directory with all that is in it, whatever that is; the deepest first. */
int
batch_empty_tree(
    struct batch *b, const char *top, bool remove, struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT, inner = CW_BUF_INIT;
	size_t top_len = strlen(top);
	int got, ret = -1;

	cw_buf_text(&path, top);
	for (;;) {
		char *at = cw_buf_string(&path);

		if ((got = empty_some(b, at, &inner, err)) < 0)
			goto out;
		if (got == 1) {
			if (inner.len > 0) {
				cw_buf_append(&path, "/", 1);
				cw_buf_append(&path, inner.data, inner.len);
			}
			continue;
		}
		if (path.len == top_len)
			break;
		if (remove_dir(b->a, at, err) < 0)
			goto out;
		path.len = (size_t)(strrchr(at, '/') - at);
	}
	ret = remove ? remove_dir(b->a, top, err) : 0;
out:
	cw_buf_free(&path);
	cw_buf_free(&inner);
	return ret;
}

int
batch_put_aside(struct batch *b, const char *path, struct cw_error *err)
{
	struct cw_entry e;
	const char *name;
	struct stat st;
	int dirfd, got;

	got = cw_place_parent(b->a->r->place, path, &dirfd, &name, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(path, "look at", err);
	if (S_ISDIR(st.st_mode))
		return batch_empty_tree(b, path, true, err);
	entry_of(&st, &e);
	return batch_add(b, path, &e, false, err);
}

int
apply_put_aside(struct apply *a, const char *path, struct cw_error *err)
{
	struct batch b = {.a = a};
	int ret = batch_put_aside(&b, path, err);

	if (ret == 0)
		ret = batch_flush(&b, err);
	batch_drop(&b);
	free(b.at);
	return ret;
}
