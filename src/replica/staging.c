#include "replica/staging_impl.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BOOT_FILE "boot"
#define HEX_LEN	  (2 * CW_SHA256_SIZE)

int
staging_context(const struct cw_staging *s, struct cw_error *err)
{
	return cw_error_context(err, "staging %s", s->path);
}

int
staging_fail(
    const struct cw_staging *s, struct cw_error *err, const char *doing)
{
	cw_error_errno(err, "cannot %s", doing);
	return staging_context(s, err);
}

void
cw_staging_name(const uint8_t digest[CW_SHA256_SIZE], uint64_t slot,
    char out[CW_STAGING_NAME])
{
	cw_hex_encode(digest, CW_SHA256_SIZE, out);
	if (slot > 0)
		(void)snprintf(out + HEX_LEN, CW_STAGING_NAME - HEX_LEN,
		    ".%" PRIu64, slot);
}

void
staging_part_name(
    const uint8_t digest[CW_SHA256_SIZE], char out[CW_STAGING_NAME])
{
	cw_hex_encode(digest, CW_SHA256_SIZE, out);
	memcpy(out + HEX_LEN, ".part", sizeof(".part"));
}

int
cw_staging_dirfd(const struct cw_staging *s)
{
	return s->dirfd;
}

/* ---- opening ---- */

static int
read_boot_id(struct cw_buf *out, struct cw_error *err)
{
	/* Files of /proc have no size. */
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	int ret;

	if (fd < 0)
		return cw_error_errno(err, "cannot read the kernel's boot id");
	ret = cw_read_full(fd, cw_buf_reserve(out, 64), 64, &got, err);
	out->len += got;
	cw_close(&fd);
	return ret;
}

/* Calls each with every regular name in a folder. */
static int
each_name(struct cw_staging *s, int dirfd,
    int (*each)(struct cw_staging *s, const char *name, void *arg,
	struct cw_error *err),
    void *arg, struct cw_error *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	int ret = 0;

	if (dir == NULL) {
		ret = staging_fail(s, err, "read it");
		cw_close(&fd);
		return ret;
	}
	while (ret == 0 && (errno = 0, de = readdir(dir)) != NULL) {
		if (de->d_name[0] != '.' && strcmp(de->d_name, BOOT_FILE) != 0)
			ret = each(s, de->d_name, arg, err);
	}
	if (ret == 0 && errno != 0)
		ret = staging_fail(s, err, "read it");
	closedir(dir);
	return ret;
}

static int
put_aside(
    struct cw_staging *s, const char *name, void *arg, struct cw_error *err)
{
	(void)arg;
	if (renameat(s->dirfd, name, s->old, name) < 0)
		return staging_fail(s, err, "put aside what another boot left");
	return 0;
}

static int
open_old(struct cw_staging *s, bool make, struct cw_error *err)
{
	char *path = cw_asprintf("%s.old", s->path);
	int ret = 0;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		ret = cw_error_errno(err, "cannot make directory %s", path);
	if (ret == 0) {
		s->old =
		    open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (s->old < 0 && (make || errno != ENOENT))
			ret = cw_error_errno(
			    err, "cannot open directory %s", path);
	}
	free(path);
	return ret;
}

/* Nothing waits any more: nobody has to look there. */
static void
drop_old(struct cw_staging *s)
{
	char *path = cw_asprintf("%s.old", s->path);

	if (s->old >= 0 && rmdir(path) == 0)
		cw_close(&s->old);
	free(path);
}

/* Whole files of another boot are taken for what they are when hashed. */
static int
check_boot(struct cw_staging *s, struct cw_error *err)
{
	struct cw_buf now = CW_BUF_INIT, noted = CW_BUF_INIT;
	int ret = -1, got;

	if (read_boot_id(&now, err) < 0 ||
	    (got = cw_read_file(s->dirfd, BOOT_FILE, 256, &noted, err)) < 0)
		goto out;
	if (got == 0 && now.len == noted.len &&
	    memcmp(now.data, noted.data, now.len) == 0) {
		ret = open_old(s, false, err);
		goto out;
	}
	if (open_old(s, true, err) < 0 ||
	    each_name(s, s->dirfd, put_aside, NULL, err) < 0 ||
	    cw_save_file(s->dirfd, BOOT_FILE, now.data, now.len, 0600, err) < 0)
		goto out;
	ret = 0;
out:
	drop_old(s);
	cw_buf_free(&now);
	cw_buf_free(&noted);
	return ret;
}

int
cw_staging_open(
    const char *store_dir, struct cw_staging **out, struct cw_error *err)
{
	struct cw_staging *s = cw_calloc(1, sizeof(*s));

	*out = NULL;
	s->path = cw_asprintf("%s/staging", store_dir);
	s->dirfd = s->old = -1;
	if (cw_crypto_init(err) < 0)
		goto fail;
	if (mkdir(s->path, 0700) < 0 && errno != EEXIST) {
		cw_error_errno(err, "cannot make directory %s", s->path);
		goto fail;
	}
	if ((s->dirfd = cw_open_dir(s->path, err)) < 0 ||
	    check_boot(s, err) < 0)
		goto fail;
	/* Files inherit no access rights here: apply counts on it. */
	(void)fremovexattr(s->dirfd, "system.posix_acl_default");
	*out = s;
	return 0;
fail:
	cw_staging_close(s);
	return -1;
}

void
cw_staging_close(struct cw_staging *s)
{
	if (s == NULL)
		return;
	cw_close(&s->dirfd);
	cw_close(&s->old);
	free(s->path);
	free(s);
}

/* ---- what is there ---- */

/* Opens for reading; the mode may be that of a message already.  1: none. */
static int
open_at(struct cw_staging *s, int dirfd, const char *name, int flags, int *fd,
    struct cw_error *err)
{
	flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	*fd = openat(dirfd, name, flags);
	if (*fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0600, 0) == 0)
		*fd = openat(dirfd, name, flags);
	if (*fd >= 0)
		return 0;
	return errno == ENOENT ? 1 : staging_fail(s, err, "open a content");
}

/* Feeds the first len bytes of a file to sha: 0, 1 if it is shorter. */
int
staging_hash(int fd, uint64_t len, struct cw_sha256 *sha, struct cw_error *err)
{
	uint8_t *buf = cw_malloc(CHUNK);
	uint64_t at = 0;
	int ret = 0;

	while (at < len && ret == 0) {
		size_t want = len - at < CHUNK ? (size_t)(len - at) : CHUNK;
		size_t got = 0;

		if (cw_stop_check(err) < 0 ||
		    cw_pread_full(fd, buf, want, at, &got, err) < 0)
			ret = -1;
		else if (got < want)
			ret = 1;
		cw_sha256_update(sha, buf, got);
		at += got;
	}
	free(buf);
	return ret;
}

/* Is it what its name says?  1 yes, 0 no, -1. */
static int
is_good(int fd, const uint8_t digest[CW_SHA256_SIZE], uint64_t size,
    struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	uint8_t found[CW_SHA256_SIZE];
	int ret = staging_hash(fd, size, sha, err);

	cw_sha256_final(sha, found);
	cw_sha256_free(sha);
	if (ret < 0)
		return -1;
	return ret == 0 && memcmp(found, digest, sizeof(found)) == 0;
}

/* Takes a file of another boot over, if it is still what it should be. */
static int
recall(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    const char *name, uint64_t size, struct cw_error *err)
{
	struct stat st;
	int fd = -1, ret;

	if (s->old < 0)
		return 0;
	ret = open_at(s, s->old, name, O_RDONLY, &fd, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	ret = 0;
	if (fstat(fd, &st) < 0)
		ret = staging_fail(s, err, "look at a content");
	else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
		ret = is_good(fd, digest, size, err);
	cw_close(&fd);
	if (ret == 1) {
		if (renameat(s->old, name, s->dirfd, name) < 0)
			return staging_fail(s, err, "take a content over");
	} else if (ret == 0) {
		(void)unlinkat(s->old, name, 0);
	}
	return ret;
}

int
cw_staging_has_slot(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t slot, uint64_t size, struct cw_error *err)
{
	char name[CW_STAGING_NAME];
	struct stat st;

	cw_staging_name(digest, slot, name);
	if (fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	if (errno != ENOENT)
		return staging_fail(s, err, "look for a content");
	return recall(s, digest, name, size, err);
}

int
cw_staging_has(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, struct cw_error *err)
{
	return cw_staging_has_slot(s, digest, 0, size, err);
}

int
cw_staging_open_slot(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t slot, uint64_t size, int *fd, struct cw_error *err)
{
	char name[CW_STAGING_NAME];
	int got = cw_staging_has_slot(s, digest, slot, size, err);

	*fd = -1;
	if (got <= 0)
		return got < 0 ? -1 : 1;
	cw_staging_name(digest, slot, name);
	return open_at(s, s->dirfd, name, O_RDONLY, fd, err);
}

int
cw_staging_open_content(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t size, int *fd,
    struct cw_error *err)
{
	return cw_staging_open_slot(s, digest, 0, size, fd, err);
}

/* Opens the partial file of a content, for reading and writing; 1: none. */
int
staging_open_partial(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    int *fd, struct cw_error *err)
{
	char name[CW_STAGING_NAME];
	int got;

	staging_part_name(digest, name);
	got = open_at(s, s->dirfd, name, O_RDWR, fd, err);
	if (got != 1 || s->old < 0)
		return got;
	if (renameat(s->old, name, s->dirfd, name) < 0)
		return errno == ENOENT
			   ? 1
			   : staging_fail(s, err, "take a content over");
	return open_at(s, s->dirfd, name, O_RDWR, fd, err);
}

int
cw_staging_prefix(
    int fd, uint64_t len, uint8_t prefix[CW_SHA256_SIZE], struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	int ret = staging_hash(fd, len, sha, err);

	cw_sha256_final(sha, prefix);
	cw_sha256_free(sha);
	if (ret == 1)
		return cw_error_set(err, CW_ERR_MISSING,
		    "a file is shorter than %" PRIu64 " bytes", len);
	return ret;
}

int
cw_staging_partial(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t *len, uint8_t prefix[CW_SHA256_SIZE], struct cw_error *err)
{
	struct stat st;
	int fd = -1, ret = staging_open_partial(s, digest, &fd, err);

	*len = 0;
	if (ret != 0)
		return ret;
	if (fstat(fd, &st) < 0)
		ret = staging_fail(s, err, "look at a content");
	else if (st.st_size == 0)
		ret = 1;
	else if (cw_staging_prefix(fd, (uint64_t)st.st_size, prefix, err) < 0)
		ret = staging_context(s, err);
	else
		*len = (uint64_t)st.st_size;
	cw_close(&fd);
	return ret;
}

int
cw_staging_discard(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    struct cw_error *err)
{
	char names[2][CW_STAGING_NAME];

	cw_staging_name(digest, 0, names[0]);
	staging_part_name(digest, names[1]);
	for (int i = 0; i < 2; i++) {
		if (unlinkat(s->dirfd, names[i], 0) < 0 && errno != ENOENT)
			return staging_fail(s, err, "remove a content");
		if (s->old >= 0)
			(void)unlinkat(s->old, names[i], 0);
	}
	return 0;
}

int
cw_staging_sync(struct cw_staging *s, struct cw_error *err)
{
	if (syncfs(s->dirfd) < 0)
		return staging_fail(s, err, "sync its filesystem");
	return 0;
}

/* ---- throwing away ---- */

struct clearing {
	int dirfd;
	int64_t partials_before;
};

static int
clear_one(
    struct cw_staging *s, const char *name, void *arg, struct cw_error *err)
{
	const struct clearing *c = arg;
	size_t len = strlen(name);
	struct stat st;

	if (len > 5 && strcmp(name + len - 5, ".part") == 0 &&
	    fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec >= c->partials_before)
		return 0;
	if (unlinkat(c->dirfd, name, 0) < 0 && errno != ENOENT)
		return staging_fail(s, err, "remove a content");
	return 0;
}

int
cw_staging_clear(
    struct cw_staging *s, int64_t partials_before, struct cw_error *err)
{
	struct clearing c = {s->dirfd, partials_before};

	if (each_name(s, s->dirfd, clear_one, &c, err) < 0)
		return -1;
	c.dirfd = s->old;
	return s->old < 0 ? 0 : each_name(s, s->old, clear_one, &c, err);
}
