#include "seed/source.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cw_source {
	struct cw_catalog *catalog;
	const struct cw_source_root *roots;
	size_t root_count;
	int64_t dir; /* that dirfd and path are of; -1: none */
	int dirfd;   /* -1: it is gone */
	struct cw_buf path;
	size_t dir_len; /* of its part in path */
};

int
cw_source_new(const char *catalog_path, const struct cw_source_root *roots,
    size_t count, struct cw_source **out, struct cw_error *err)
{
	struct cw_source *s = cw_calloc(1, sizeof(*s));

	s->roots = roots;
	s->root_count = count;
	s->dir = -1;
	s->dirfd = -1;
	if (cw_catalog_open(catalog_path, CW_CATALOG_READ, &s->catalog, err) <
	    0) {
		cw_source_free(s);
		*out = NULL;
		return -1;
	}
	*out = s;
	return 0;
}

void
cw_source_free(struct cw_source *s)
{
	if (s == NULL)
		return;
	cw_catalog_close(s->catalog);
	cw_close(&s->dirfd);
	cw_buf_free(&s->path);
	free(s);
}

/* Opens "root/a/b" beneath its root; ENOENT is no error. */
static int
open_dir(struct cw_source *s, const char *path, struct cw_error *err)
{
	size_t name_len = strcspn(path, "/");

	for (size_t i = 0; i < s->root_count; i++) {
		const char *rest = path + name_len;

		if (strlen(s->roots[i].name) != name_len ||
		    memcmp(s->roots[i].name, path, name_len) != 0)
			continue;
		s->dirfd = cw_open_beneath(s->roots[i].dirfd,
		    *rest == '\0' ? "." : rest + 1, O_PATH | O_DIRECTORY, 0,
		    err);
		if (s->dirfd < 0 && errno != ENOENT && errno != ENOTDIR &&
		    errno != ELOOP)
			return -1;
		return 0;
	}
	return cw_error_set(err, CW_ERR_FAILED,
	    "the catalog has a root %.*s that the configuration lacks",
	    (int)name_len, path);
}

static int
enter(struct cw_source *s, int64_t dir, struct cw_error *err)
{
	const char *path;
	size_t len;

	if (s->dir == dir)
		return 0;
	s->dir = -1;
	cw_close(&s->dirfd);
	if (cw_catalog_dir_path(s->catalog, dir, &path, &len, err) < 0)
		return -1;
	cw_buf_reset(&s->path);
	cw_buf_append(&s->path, path, len);
	s->dir_len = len;
	(void)cw_buf_string(&s->path);
	if (len > 0 && open_dir(s, (const char *)s->path.data, err) < 0)
		return -1;
	s->dir = dir;
	return 0;
}

int
cw_source_path(struct cw_source *s, const struct cw_entry *e, const char **path,
    struct cw_error *err)
{
	if (enter(s, e->dir, err) < 0)
		return -1;
	s->path.len = s->dir_len;
	if (s->dir_len > 0)
		cw_buf_append(&s->path, "/", 1);
	cw_buf_append(&s->path, e->name, e->name_len);
	*path = cw_buf_string(&s->path);
	return 0;
}

int
cw_source_open(struct cw_source *s, const struct cw_entry *e, int *fd,
    struct stat *st, struct cw_error *err)
{
	char quoted[CW_QUOTE_MAX];
	const char *path;

	*fd = -1;
	if (enter(s, e->dir, err) < 0)
		return -1;
	if (s->dirfd < 0)
		return 1;
	/* O_NONBLOCK: a fifo put in its place must not hold us. */
	*fd = openat(s->dirfd, e->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO ||
			   errno == ENOTDIR || errno == ESTALE))
		return 1;
	if (*fd < 0 || fstat(*fd, st) < 0) {
		cw_error_errno(err, "cannot read");
		goto fail;
	}
	if (!S_ISREG(st->st_mode)) {
		cw_close(fd);
		return 1;
	}
	return 0;
fail:
	cw_close(fd);
	if (cw_source_path(s, e, &path, NULL) == 0) {
		cw_text_quote(path, strlen(path), quoted);
		cw_error_context(err, "%s", quoted);
	}
	return -1;
}

int
cw_source_is_packed(struct cw_source *s, const char *path,
    const struct stat *st, struct cw_error *err)
{
	struct cw_entry e;
	int ret =
	    cw_catalog_lookup_path(s->catalog, path, strlen(path), &e, err);

	if (ret < 0)
		return -1;
	return ret == 0 && e.kind == CW_KIND_FILE && e.ino == st->st_ino &&
	       e.volume != 0;
}

void
cw_source_note(struct cw_entry *e, const struct stat *st)
{
	e->mode = st->st_mode & 07777u;
	e->size = (uint64_t)st->st_size;
	e->ino = st->st_ino;
	e->mtime_ns = cw_time_ns(st->st_mtim);
	e->ctime_ns = cw_time_ns(st->st_ctim);
}

bool
cw_source_is_same(const struct cw_entry *e, const struct stat *st)
{
	return e->size == (uint64_t)st->st_size && e->ino == st->st_ino &&
	       e->mtime_ns == cw_time_ns(st->st_mtim) &&
	       e->ctime_ns == cw_time_ns(st->st_ctim);
}

int
cw_source_ranges(int fd, uint64_t size, struct cw_range **ranges, size_t *count,
    struct cw_error *err)
{
	off_t at = 0, end = (off_t)size;
	int ret = -1;

	*ranges = NULL;
	*count = 0;
	while (at < end) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break; /* a hole to the end */
		if (data < 0 || (hole = lseek(fd, data, SEEK_HOLE)) < 0) {
			cw_error_errno(err, "cannot find the holes");
			goto out;
		}
		if (data >= end)
			break;
		if (hole > end)
			hole = end;
		if (*count == CW_MEMBER_RANGES_MAX) {
			ret = 1;
			goto out;
		}
		if (*count % 64 == 0)
			*ranges = cw_reallocarray(
			    *ranges, *count + 64, sizeof(**ranges));
		(*ranges)[*count].offset = (uint64_t)data;
		(*ranges)[*count].len = (uint64_t)(hole - data);
		(*count)++;
		at = hole;
	}
	ret = 0;
out:
	if (ret != 0) {
		free(*ranges);
		*ranges = NULL;
		*count = 0;
	}
	return ret;
}
