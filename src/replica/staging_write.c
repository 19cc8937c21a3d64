/*
 * Writing contents into staging.
 */
#include "base/buf.h"
#include "base/direct.h"
#include "base/fs.h"
#include "base/progress.h"
#include "replica/copy.h"
#include "replica/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLE_SIZE 4096u /* what filesystems give away at a time */

struct cw_staging_writer {
	struct cw_staging *s;
	uint8_t digest[CW_SHA256_SIZE];
	uint64_t size;
	uint64_t at;
	struct cw_sha256 *sha;
	int fd;
	struct cw_direct direct;
};

static struct cw_staging_writer *
new_writer(
    struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE], uint64_t size)
{
	struct cw_staging_writer *w = cw_calloc(1, sizeof(*w));

	w->s = s;
	memcpy(w->digest, digest, sizeof(w->digest));
	w->size = size;
	w->sha = cw_sha256_new();
	w->fd = -1;
	return w;
}

static void
free_writer(struct cw_staging_writer *w)
{
	cw_close(&w->fd);
	cw_sha256_free(w->sha);
	free(w);
}

/* Opens or makes the partial file with at most keep bytes of it. */
static int
open_writer(struct cw_staging_writer *w, uint64_t keep, struct cw_error *err)
{
	struct cw_staging *s = w->s;
	char name[CW_STAGING_NAME];
	struct stat st;
	int got = staging_open_partial(s, w->digest, &w->fd, err);

	staging_part_name(w->digest, name);
	if (got < 0)
		return -1;
	if (got == 1) {
		w->fd = openat(s->dirfd, name,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (w->fd < 0)
			return staging_fail(s, err, "make a file");
	}
	w->direct.fd = w->fd;
	if (fstat(w->fd, &st) < 0)
		return staging_fail(s, err, "look at a content");
	w->at = (uint64_t)st.st_size;
	if (w->at > w->size)
		w->at = 0;
	if (w->at > keep)
		w->at = keep;
	if (w->at < (uint64_t)st.st_size && ftruncate(w->fd, (off_t)w->at) < 0)
		return staging_fail(s, err, "cut a content");
	if (staging_hash(w->fd, w->at, w->sha, err) != 0 ||
	    lseek(w->fd, (off_t)w->at, SEEK_SET) < 0)
		return staging_context(s, err);
	return 0;
}

int
cw_staging_begin_at(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, uint64_t keep, struct cw_staging_writer **out,
    struct cw_error *err)
{
	struct cw_staging_writer *w = new_writer(s, digest, size);

	*out = NULL;
	if (open_writer(w, keep, err) < 0) {
		free_writer(w);
		return -1;
	}
	*out = w;
	return 0;
}

int
cw_staging_begin(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, struct cw_staging_writer **out, uint64_t *offset,
    struct cw_error *err)
{
	if (cw_staging_begin_at(s, digest, size, UINT64_MAX, out, err) < 0)
		return -1;
	*offset = (*out)->at;
	return 0;
}

int
cw_staging_begin_from(struct cw_staging *s,
    const uint8_t digest[CW_SHA256_SIZE], uint64_t size, int fd, uint64_t len,
    struct cw_staging_writer **out, struct cw_error *err)
{
	if (cw_staging_begin_at(s, digest, size, 0, out, err) < 0)
		return -1;
	if (cw_staging_copy(*out, fd, 0, len, err) < 0) {
		cw_staging_abandon(*out);
		*out = NULL;
		return -1;
	}
	return 0;
}

const uint8_t *
cw_staging_digest(const struct cw_staging_writer *w)
{
	return w->digest;
}

uint64_t
cw_staging_at(const struct cw_staging_writer *w)
{
	return w->at;
}

static int
check_room(
    const struct cw_staging_writer *w, uint64_t len, struct cw_error *err)
{
	if (len <= w->size - w->at)
		return 0;
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "a content of %" PRIu64 " bytes got more than that", w->size);
}

static bool
is_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* The bytes of data that are to be a hole, or that are not. */
static size_t
run_length(const uint8_t *data, size_t len, uint64_t at, bool *is_hole)
{
	size_t n = 0;

	while (n < len) {
		size_t block = HOLE_SIZE - (size_t)((at + n) % HOLE_SIZE);
		bool zero;

		if (block > len - n)
			block = len - n;
		zero = block == HOLE_SIZE && is_zero(data + n, block);
		if (n == 0)
			*is_hole = zero;
		else if (zero != *is_hole)
			break;
		n += block;
	}
	return n;
}

/* Whole blocks of zeros are left out, so that sparse files stay so. */
static int
write_sparse(struct cw_staging_writer *w, const uint8_t *data, size_t len,
    struct cw_error *err)
{
	uint64_t at = w->at, end = w->at + len;
	bool is_hole = false;

	while (at < end) {
		size_t n = run_length(data, (size_t)(end - at), at, &is_hole);

		if (!is_hole &&
		    cw_direct_pwrite(&w->direct, data, n, at, err) < 0)
			return -1;
		data += n;
		at += n;
	}
	/* The size tells how far it is. */
	if (is_hole && ftruncate(w->fd, (off_t)end) < 0)
		return cw_error_errno(err, "cannot write");
	return 0;
}

int
cw_staging_write(struct cw_staging_writer *w, const void *data, size_t len,
    struct cw_error *err)
{
	if (check_room(w, len, err) < 0)
		return -1;
	if (write_sparse(w, data, len, err) < 0)
		return staging_context(w->s, err);
	cw_sha256_update(w->sha, data, len);
	w->at += len;
	return 0;
}

/* Hashes what was copied, not what was there to be copied. */
static int
hash_tail(struct cw_staging_writer *w, uint64_t len, struct cw_error *err)
{
	uint8_t *buf = cw_malloc(CHUNK);
	int ret = 0;

	while (len > 0 && ret == 0) {
		size_t want = len < CHUNK ? (size_t)len : CHUNK, got = 0;

		if (cw_stop_check(err) < 0 ||
		    cw_pread_full(w->fd, buf, want, w->at, &got, err) < 0) {
			ret = -1;
		} else if (got < want) {
			ret = cw_error_set(err, CW_ERR_IO,
			    "what was just written is not there");
		} else {
			cw_sha256_update(w->sha, buf, got);
			w->at += got;
			len -= got;
		}
	}
	free(buf);
	return ret;
}

/* Holes stay holes; where nobody can tell, all is data. */
static int
copy_data(struct cw_staging_writer *w, int fd, uint64_t offset, uint64_t len,
    struct cw_error *err)
{
	uint64_t at = offset, end = offset + len;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return cw_error_errno(err, "cannot look at a file");
	if ((uint64_t)st.st_size < end)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "a file ends at offset %" PRIu64 ", expected more",
		    (uint64_t)st.st_size);
	while (at < end) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < (off_t)at)
			data = (off_t)at;
		if ((uint64_t)data >= end)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > end)
			hole = (off_t)end;
		if (cw_copy_range(fd, (uint64_t)data, w->fd,
			w->at + ((uint64_t)data - offset),
			(uint64_t)(hole - data), err) < 0)
			return -1;
		at = (uint64_t)hole;
	}
	if (ftruncate(w->fd, (off_t)(w->at + len)) < 0)
		return cw_error_errno(err, "cannot copy");
	return 0;
}

int
cw_staging_copy(struct cw_staging_writer *w, int fd, uint64_t offset,
    uint64_t len, struct cw_error *err)
{
	if (check_room(w, len, err) < 0)
		return -1;
	if (cw_direct_off(&w->direct, err) < 0)
		return staging_context(w->s, err);
	if (copy_data(w, fd, offset, len, err) < 0 ||
	    hash_tail(w, len, err) < 0) {
		/* What it holds beyond is cut when it is gone on with. */
		if (ftruncate(w->fd, (off_t)w->at) < 0 && err != NULL)
			cw_error_advise(err, "its end could not be cut");
		return staging_context(w->s, err);
	}
	return 0;
}

void
cw_staging_abandon(struct cw_staging_writer *w)
{
	if (w != NULL)
		free_writer(w);
}

int
cw_staging_finish(struct cw_staging_writer *w, const struct cw_look *look,
    struct cw_error *err)
{
	char part[CW_STAGING_NAME], whole[CW_STAGING_NAME];
	uint8_t digest[CW_SHA256_SIZE];
	int ret = 0;

	staging_part_name(w->digest, part);
	cw_staging_name(w->digest, 0, whole);
	cw_sha256_final(w->sha, digest);
	if (w->at != w->size)
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "content %.16s is %" PRIu64 " bytes, expected %" PRIu64,
		    whole, w->at, w->size);
	else if (memcmp(digest, w->digest, sizeof(digest)) != 0)
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "content %.16s is not what its digest says", whole);
	if (ret == 0 && look != NULL)
		cw_look_give(look, w->fd);
	if (ret < 0)
		(void)unlinkat(w->s->dirfd, part, 0);
	else if (renameat(w->s->dirfd, part, w->s->dirfd, whole) < 0)
		ret = staging_fail(w->s, err, "finish a content");
	free_writer(w);
	return ret;
}

/* Writes it under its own name: 0; 1 if there is something already; -1. */
static int
put_new(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, const struct cw_look *look,
    struct cw_error *err)
{
	char name[CW_STAGING_NAME];
	int fd, ret;

	cw_staging_name(digest, 0, name);
	fd = openat(s->dirfd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		if (errno == EEXIST)
			return 1;
		cw_error_errno(err, "cannot create a file");
		return staging_context(s, err);
	}
	ret = cw_write_all(fd, data, len, err);
	if (ret == 0 && look != NULL)
		cw_look_give(look, fd);
	cw_close(&fd);
	if (ret == 0)
		return 0;
	(void)unlinkat(s->dirfd, name, 0);
	return staging_context(s, err);
}

int
cw_staging_put(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, const struct cw_look *look,
    struct cw_error *err)
{
	uint8_t own[CW_SHA256_SIZE];
	struct cw_staging_writer *w;
	int got;

	/*
	 * Half of all system calls of a first sync would be for names that
	 * one write does not need: what a crash leaves of it is shorter than
	 * its size, and so counts as not there.
	 */
	cw_sha256(data, len, own);
	if (memcmp(own, digest, sizeof(own)) == 0 &&
	    (got = put_new(s, digest, data, len, look, err)) <= 0)
		return got;
	got = cw_staging_has(s, digest, len, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (cw_staging_begin_at(s, digest, len, 0, &w, err) < 0)
		return -1;
	if (cw_staging_write(w, data, len, err) < 0) {
		cw_staging_abandon(w);
		return -1;
	}
	return cw_staging_finish(w, look, err);
}

int
cw_staging_take(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t size, int fd, struct cw_error *err)
{
	struct cw_staging_writer *w;
	int got = cw_staging_has(s, digest, size, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	if (cw_staging_begin_from(s, digest, size, fd, size, &w, err) < 0)
		return -1;
	return cw_staging_finish(w, NULL, err);
}

int
cw_staging_make_slot(struct cw_staging *s, const uint8_t digest[CW_SHA256_SIZE],
    uint64_t slot, uint64_t size, struct cw_error *err)
{
	static const char tmp[] = "copy.tmp";
	char name[CW_STAGING_NAME];
	int from = -1, to = -1, ret = -1;
	int got = cw_staging_open_slot(s, digest, 0, size, &from, err);

	if (got < 0)
		return -1;
	if (got == 1)
		return cw_error_set(err, CW_ERR_MISSING,
		    "staging %s lacks a content that is to be copied", s->path);
	cw_staging_name(digest, slot, name);
	(void)unlinkat(s->dirfd, tmp, 0);
	to = openat(s->dirfd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0) {
		staging_fail(s, err, "make a file");
		goto out;
	}
	if (cw_copy_file(from, to, err) < 0) {
		staging_context(s, err);
		goto out;
	}
	if (renameat(s->dirfd, tmp, s->dirfd, name) < 0) {
		staging_fail(s, err, "finish a copy");
		goto out;
	}
	ret = 0;
out:
	cw_close(&from);
	cw_close(&to);
	return ret;
}
