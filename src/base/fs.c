#include "base/fs.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
	    .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
	    .mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0,
	    .resolve =
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	/* EAGAIN: a rename elsewhere raced the look-up; it is safe to retry. */
	for (int tries = 0; tries < 100; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

/* The kernel takes PATH_MAX bytes at a time; a tree may be deeper. */
static int
open_in_steps(int dirfd, const char *path, int flags, mode_t mode)
{
	char step[PATH_MAX];
	int at = dirfd;

	while (at >= 0 && strlen(path) >= sizeof(step)) {
		const char *end = path + sizeof(step) - 1;
		int next = -1;

		while (end > path && *end != '/')
			end--;
		if (end == path) {
			errno = ENAMETOOLONG;
		} else {
			memcpy(step, path, (size_t)(end - path));
			step[end - path] = '\0';
			next = open_beneath(at, step, O_PATH | O_DIRECTORY, 0);
			path = end + 1;
		}
		if (at != dirfd) {
			int saved = errno;

			(void)close(at);
			errno = saved;
		}
		at = next;
	}
	if (at >= 0) {
		int fd = open_beneath(at, path, flags, mode), saved = errno;

		if (at != dirfd)
			(void)close(at);
		errno = saved;
		return fd;
	}
	return -1;
}

int
cw_open_beneath(
    int dirfd, const char *path, int flags, mode_t mode, struct cw_error *err)
{
	int fd = open_in_steps(dirfd, path, flags, mode);

	if (fd < 0 && err != NULL) {
		int saved = errno;
		char quoted[CW_QUOTE_MAX];

		cw_text_quote(path, strlen(path), quoted);
		cw_error_errno(err, "cannot open %s", quoted);
		if (saved == ELOOP || saved == EXDEV)
			err->code = CW_ERR_DAMAGED;
		errno = saved;
	}
	return fd;
}

int
cw_open_dir(const char *path, struct cw_error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return cw_error_errno(err, "cannot open directory %s", path);
	return fd;
}

int
cw_make_dirs(const char *path, mode_t mode, struct cw_error *err)
{
	char *copy = cw_strdup(path);
	int ret = 0;

	for (char *at = copy + 1; ret == 0; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		char end = *at;

		*at = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			ret = cw_error_errno(
			    err, "cannot make directory %s", copy);
		*at = end;
		if (end == '\0')
			break;
	}
	free(copy);
	return ret;
}

void
cw_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

int
cw_write_all(int fd, const void *data, size_t len, struct cw_error *err)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cw_error_errno(
			    err, "cannot write %zu bytes", len);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int
cw_pwrite_all(
    int fd, const void *data, size_t len, uint64_t offset, struct cw_error *err)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cw_error_errno(err,
			    "cannot write %zu bytes at offset %llu", len,
			    (unsigned long long)offset);
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
cw_read_full(int fd, void *data, size_t len, size_t *got, struct cw_error *err)
{
	uint8_t *at = data;

	*got = 0;
	while (*got < len) {
		ssize_t n = read(fd, at + *got, len - *got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cw_error_errno(err, "cannot read");
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return 0;
}

int
cw_pread_full(int fd, void *data, size_t len, uint64_t offset, size_t *got,
    struct cw_error *err)
{
	uint8_t *at = data;

	*got = 0;
	while (*got < len) {
		ssize_t n =
		    pread(fd, at + *got, len - *got, (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cw_error_errno(err, "cannot read at offset %llu",
			    (unsigned long long)(offset + *got));
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return 0;
}

int
cw_sync(int fd, struct cw_error *err)
{
	if (fsync(fd) < 0)
		return cw_error_errno(err, "cannot sync to disk");
	return 0;
}

int
cw_read_file(int dirfd, const char *name, size_t max, struct cw_buf *buf,
    struct cw_error *err)
{
	struct stat st;
	size_t got = 0, len;
	int fd, ret = -1;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 1;
	if (fd < 0)
		return cw_error_errno(err, "cannot open %s", name);
	if (fstat(fd, &st) < 0) {
		cw_error_errno(err, "cannot stat %s", name);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		cw_error_set(
		    err, CW_ERR_FORMAT, "%s is not a regular file", name);
		goto out;
	}
	if ((uint64_t)st.st_size > max) {
		cw_error_set(err, CW_ERR_FORMAT,
		    "%s is %lld bytes, expected at most %zu", name,
		    (long long)st.st_size, max);
		goto out;
	}
	/* One byte more, to notice a file that grew past the limit. */
	len = (size_t)st.st_size;
	if (cw_read_full(fd, cw_buf_reserve(buf, len + 1), len, &got, err) <
	    0) {
		cw_error_context(err, "%s", name);
		goto out;
	}
	buf->len += got;
	ret = 0;
out:
	cw_close(&fd);
	return ret;
}

int
cw_save_file(int dirfd, const char *name, const void *data, size_t len,
    mode_t mode, struct cw_error *err)
{
	char *tmp = cw_asprintf("%s.tmp", name);
	const char *slash = strrchr(name, '/');
	char *parent = slash == NULL
			   ? cw_strdup(".")
			   : cw_asprintf("%.*s", (int)(slash - name), name);
	int fd = -1, dir = -1, ret = -1;

	(void)unlinkat(dirfd, tmp, 0);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		cw_error_errno(err, "cannot create %s", tmp);
		goto out;
	}
	if (cw_write_all(fd, data, len, err) < 0 || cw_sync(fd, err) < 0) {
		cw_error_context(err, "%s", tmp);
		goto out;
	}
	/* Data, then name, then directory. */
	if (renameat(dirfd, tmp, dirfd, name) < 0) {
		cw_error_errno(err, "cannot rename %s to %s", tmp, name);
		goto out;
	}
	dir = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		cw_error_errno(err, "cannot open directory %s", parent);
		goto out;
	}
	if (cw_sync(dir, err) < 0) {
		cw_error_context(err, "the directory of %s", name);
		goto out;
	}
	ret = 0;
out:
	if (ret < 0)
		(void)unlinkat(dirfd, tmp, 0);
	cw_close(&fd);
	cw_close(&dir);
	free(tmp);
	free(parent);
	return ret;
}

int
cw_lock_file(int dirfd, const char *name, int *fd, struct cw_error *err)
{
	*fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return cw_error_errno(err, "cannot open %s", name);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		cw_error_set(
		    err, CW_ERR_BUSY, "%s is locked by another process", name);
	else
		cw_error_errno(err, "cannot lock %s", name);
	cw_close(fd);
	return -1;
}

bool
cw_name_is_safe(const char *name, size_t len)
{
	if (len == 0 || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return false;
	return memchr(name, '/', len) == NULL &&
	       memchr(name, '\0', len) == NULL;
}

bool
cw_path_is_safe(const char *path, size_t len)
{
	const char *end = path + len;

	for (;;) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash == NULL ? end : slash;

		if (!cw_name_is_safe(path, (size_t)(stop - path)))
			return false;
		if (slash == NULL)
			return true;
		path = slash + 1;
	}
}
