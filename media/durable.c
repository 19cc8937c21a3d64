#include "media/durable.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (2u << 20)
#define ALIGN  4096u /* serves disks of 512 and of 4096 byte sectors */
#define BLOCK  CW_DURABLE_BLOCK
/* Through the page cache: dirty bytes that may pile up before we wait. */
#define DIRTY_MAX (32u << 20)

struct cw_durable {
	int dirfd; /* of the file itself, our own */
	int fd;
	char *name, *tmp; /* within dirfd */
	char quoted[CW_QUOTE_MAX];
	bool has_tmp;
	bool is_direct;
	uint64_t allocated;

	/* The caller's side: which buffer it fills, and how far. */
	uint8_t *buffer[2];
	int current;
	size_t fill;

	/* The writer's side. */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_handed; /* the buffer that is not current is full */
	bool is_last;	/* nothing more will be handed over */
	bool has_failed;
	struct cw_error failure;
	uint64_t written;
	struct cw_sha256 *sha256;
	struct cw_xxh *xxh;
	uint8_t (*blocks)[CW_XXH_SIZE];
	size_t block_count, block_cap;

	bool is_proven;
	struct cw_durable_result proven;
};

/* Says what failed, of which file; errno is that of the failed call. */
static int
fail(const struct cw_durable *d, const char *what, struct cw_error *err)
{
	int saved = errno;

	cw_error_errno(err, "%s: cannot %s", d->quoted, what);
	errno = saved;
	return -1;
}

/*
 * Hashes a buffer, whose offset in the file is a multiple of BLOCK, in pieces
 * that stay in the core's cache from one hash to the next.
 */
static void
digest(struct cw_durable *d, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += BLOCK) {
		size_t n = len - at < BLOCK ? len - at : BLOCK;

		cw_sha256_update(d->sha256, data + at, n);
		cw_xxh_update(d->xxh, data + at, n);
		if (d->block_count == d->block_cap) {
			d->block_cap =
			    d->block_cap == 0 ? 64 : 2 * d->block_cap;
			d->blocks = cw_reallocarray(
			    d->blocks, d->block_cap, sizeof(*d->blocks));
		}
		cw_xxh(data + at, n, d->blocks[d->block_count++]);
	}
}

/* From now on through the page cache. */
static int
leave_direct(struct cw_durable *d, struct cw_error *err)
{
	int flags = fcntl(d->fd, F_GETFL);

	if (flags < 0 || fcntl(d->fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return fail(d, "change its mode", err);
	d->is_direct = false;
	return 0;
}

/*
 * Starts the disk on what was just written, and waits for what was written
 * DIRTY_MAX before it, so that memory holds little that is dirty and the sync
 * at the end has little left to do.  Its result tells nothing for certain
 * about errors: fsync will.
 */
static void
write_back(struct cw_durable *d, size_t len)
{
	(void)sync_file_range(
	    d->fd, (off_t)d->written, (off_t)len, SYNC_FILE_RANGE_WRITE);
	if (d->written >= DIRTY_MAX)
		(void)sync_file_range(d->fd, (off_t)(d->written - DIRTY_MAX),
		    (off_t)len,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			SYNC_FILE_RANGE_WAIT_AFTER);
}

/* Writes a buffer at the end of the file. */
static int
put(struct cw_durable *d, const uint8_t *data, size_t len, struct cw_error *err)
{
	size_t done = 0;

	/* Direct writes are of whole sectors; only the last buffer is not. */
	if (d->is_direct && len % ALIGN != 0 && leave_direct(d, err) < 0)
		return -1;
	while (done < len) {
		ssize_t n = pwrite(
		    d->fd, data + done, len - done, (off_t)(d->written + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && d->is_direct) {
			/* A disk or filesystem that wants other alignment. */
			if (leave_direct(d, err) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return fail(d, "write", err);
		if (n == 0) {
			errno = ENOSPC;
			return fail(d, "write", err);
		}
		done += (size_t)n;
		if (d->is_direct && done % ALIGN != 0 &&
		    leave_direct(d, err) < 0)
			return -1;
	}
	if (!d->is_direct)
		write_back(d, len);
	d->written += len;
	return 0;
}

static void *
writer(void *arg)
{
	struct cw_durable *d = arg;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		struct cw_error err = CW_ERROR_INIT;
		uint8_t *data;
		int ret;

		while (!d->is_handed && !d->is_last)
			pthread_cond_wait(&d->changed, &d->lock);
		if (!d->is_handed)
			break;
		data = d->buffer[1 - d->current];
		pthread_mutex_unlock(&d->lock);

		digest(d, data, BUFFER);
		ret = put(d, data, BUFFER, &err);

		pthread_mutex_lock(&d->lock);
		if (ret < 0) {
			d->has_failed = true;
			d->failure = err;
		}
		d->is_handed = false;
		pthread_cond_broadcast(&d->changed);
		if (ret < 0)
			break;
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int
start_writer(struct cw_durable *d, struct cw_error *err)
{
	int code;

	code = cw_thread_start(&d->thread, writer, d);
	if (code != 0) {
		errno = code;
		return fail(d, "start a thread", err);
	}
	d->has_thread = true;
	return 0;
}

/* Hands the full buffer to the writer, when it has done with the other. */
static int
hand_over(struct cw_durable *d, struct cw_error *err)
{
	int ret = 0;

	if (!d->has_thread && start_writer(d, err) < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	while (d->is_handed && !d->has_failed)
		pthread_cond_wait(&d->changed, &d->lock);
	if (d->has_failed) {
		if (err != NULL)
			*err = d->failure;
		ret = -1;
	} else {
		d->current = 1 - d->current;
		d->is_handed = true;
		d->fill = 0;
		pthread_cond_broadcast(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

/* Waits for the writer and ends it. */
static int
stop_writer(struct cw_durable *d, struct cw_error *err)
{
	if (d->has_thread) {
		pthread_mutex_lock(&d->lock);
		d->is_last = true;
		pthread_cond_broadcast(&d->changed);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->thread, NULL);
		d->has_thread = false;
	}
	if (!d->has_failed)
		return 0;
	if (err != NULL)
		*err = d->failure;
	return -1;
}

static uint8_t *
new_buffer(void)
{
	void *data;

	if (posix_memalign(&data, ALIGN, BUFFER) != 0)
		abort(); /* as cw_malloc does */
	return data;
}

/* Opens the directory of name; *last is where its last component begins. */
static int
open_parent(
    int dirfd, const char *name, const char **last, struct cw_error *err)
{
	const char *slash = strrchr(name, '/');
	char *parent;
	int fd;

	*last = slash == NULL ? name : slash + 1;
	parent = slash == NULL ? cw_strdup(".")
			       : cw_asprintf("%.*s", (int)(slash - name), name);
	fd = cw_open_beneath(dirfd, parent, O_RDONLY | O_DIRECTORY, 0, err);
	free(parent);
	return fd;
}

/*
 * Creates the .tmp file, past the page cache if the filesystem can.  Only
 * the kernel can say whether it can: some refuse with EINVAL here, some with
 * the first write.
 */
static int
create(struct cw_durable *d, struct cw_error *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	if (unlinkat(d->dirfd, d->tmp, 0) < 0 && errno != ENOENT)
		return fail(d,
		    errno == EROFS ? "write it" : "remove its old .tmp file",
		    err);
	d->is_direct = true;
	d->fd = openat(d->dirfd, d->tmp, flags | O_DIRECT, 0644);
	if (d->fd < 0 && errno == EINVAL) {
		/* The file may have been made before the flag was refused. */
		(void)unlinkat(d->dirfd, d->tmp, 0);
		d->is_direct = false;
		d->fd = openat(d->dirfd, d->tmp, flags, 0644);
	}
	if (d->fd < 0)
		return fail(d, "create its .tmp file", err);
	d->has_tmp = true;
	return 0;
}

int
cw_durable_open(int dirfd, const char *name, uint64_t expected_size,
    struct cw_durable **out, struct cw_error *err)
{
	struct cw_durable *d = cw_calloc(1, sizeof(*d));
	const char *last;

	*out = NULL;
	d->fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	d->sha256 = cw_sha256_new();
	d->xxh = cw_xxh_new();
	cw_text_quote(name, strlen(name), d->quoted);
	d->dirfd = open_parent(dirfd, name, &last, err);
	if (d->dirfd < 0)
		goto fail;
	d->name = cw_strdup(last);
	d->tmp = cw_asprintf("%s.tmp", last);
	if (create(d, err) < 0)
		goto fail;
	/*
	 * A hint, so that the file lies in one piece.  A disk without that
	 * much room may still have enough for what will be written.
	 */
	if (expected_size > 0 && expected_size <= INT64_MAX) {
		d->allocated = expected_size;
		if (fallocate(d->fd, FALLOC_FL_KEEP_SIZE, 0,
			(off_t)expected_size) < 0 &&
		    errno == ENOSPC && ftruncate(d->fd, 0) < 0)
			d->allocated = expected_size; /* cut at the end */
	}
	d->buffer[0] = new_buffer();
	d->buffer[1] = new_buffer();
	*out = d;
	return 0;
fail:
	cw_durable_free(d);
	return -1;
}

int
cw_durable_write(
    struct cw_durable *d, const void *data, size_t len, struct cw_error *err)
{
	const uint8_t *from = data;

	while (len > 0) {
		size_t n = BUFFER - d->fill;

		if (n > len)
			n = len;
		memcpy(d->buffer[d->current] + d->fill, from, n);
		d->fill += n;
		from += n;
		len -= n;
		if (d->fill == BUFFER && hand_over(d, err) < 0)
			return -1;
	}
	return 0;
}

/* Opens what was written for reading it back from the device. */
static int
open_back(struct cw_durable *d, bool direct, struct cw_error *err)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
	int fd = -1;

	if (direct)
		fd = openat(d->dirfd, d->tmp, flags | O_DIRECT);
	if (fd < 0 && (!direct || errno == EINVAL))
		fd = openat(d->dirfd, d->tmp, flags);
	if (fd < 0)
		return fail(d, "open it again to read it back", err);
	return fd;
}

/*
 * Reads at most a buffer at offset.  *fd is opened anew, without O_DIRECT, if
 * it turns out that the filesystem does not read that way.
 */
static int
read_back(struct cw_durable *d, int *fd, uint64_t offset, size_t *got,
    struct cw_error *err)
{
	*got = 0;
	while (*got < BUFFER) {
		ssize_t n = pread(*fd, d->buffer[0] + *got, BUFFER - *got,
		    (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL &&
		    (fcntl(*fd, F_GETFL) & O_DIRECT) != 0) {
			cw_close(fd);
			if ((*fd = open_back(d, false, err)) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return fail(d, "read it back", err);
		*got += (size_t)n;
		/* What is no whole sector is the end of the file. */
		if (n == 0 || *got % ALIGN != 0)
			break;
	}
	return 0;
}

/* The first offset at which a buffer differs; len if none does. */
static size_t
first_bad(const struct cw_durable *d, uint64_t offset, size_t len)
{
	for (size_t at = 0; at < len; at += BLOCK) {
		uint64_t index = (offset + at) / BLOCK;
		size_t n = len - at < BLOCK ? len - at : BLOCK;
		uint8_t xxh[CW_XXH_SIZE];

		cw_xxh(d->buffer[0] + at, n, xxh);
		if (index >= d->block_count ||
		    memcmp(d->blocks[index], xxh, sizeof(xxh)) != 0)
			return at;
	}
	return len;
}

static int
differs(const struct cw_durable *d, uint64_t offset, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "%s: what the medium gives back differs from what was written, "
	    "first in the %u bytes at offset %llu; use another medium",
	    d->quoted, BLOCK, (unsigned long long)offset);
}

/* Reads the file from the device and compares it with what was written. */
static int
prove(struct cw_durable *d, cw_durable_each *each, void *arg,
    const struct cw_durable_result *result, struct cw_error *err)
{
	uint64_t offset = 0;
	int fd, ret = -1;

	/* Pages that stayed in the cache would be proof of nothing. */
	(void)posix_fadvise(d->fd, 0, 0, POSIX_FADV_DONTNEED);
	if ((fd = open_back(d, true, err)) < 0)
		return -1;
	for (;;) {
		size_t got, bad;

		if (read_back(d, &fd, offset, &got, err) < 0)
			goto out;
		if (got == 0)
			break;
		if (got > result->size - offset) {
			differs(d, result->size, err);
			goto out;
		}
		bad = first_bad(d, offset, got);
		if (bad < got) {
			differs(d, offset + bad, err);
			goto out;
		}
		if (each != NULL)
			each(arg, offset, d->buffer[0], got);
		offset += got;
	}
	if (offset != result->size) {
		differs(d, offset, err);
		goto out;
	}
	ret = 0;
out:
	cw_close(&fd);
	return ret;
}

static int
settle(struct cw_durable *d, cw_durable_each *each, void *arg,
    struct cw_durable_result *result, struct cw_error *err)
{
	if (stop_writer(d, err) < 0)
		return -1;
	if (d->fill > 0) {
		digest(d, d->buffer[d->current], d->fill);
		if (put(d, d->buffer[d->current], d->fill, err) < 0)
			return -1;
	}
	result->size = d->written;
	cw_sha256_final(d->sha256, result->sha256);
	cw_xxh_final(d->xxh, result->xxh);
	result->blocks = d->blocks;
	result->block_count = d->block_count;

	/* Gives back what was allocated beyond the end. */
	if (d->allocated > d->written &&
	    ftruncate(d->fd, (off_t)d->written) < 0)
		return fail(d, "cut it to its size", err);
	if (fsync(d->fd) < 0)
		return fail(d, "sync it to the medium", err);
	return prove(d, each, arg, result, err);
}

/* Data, then name, then directory. */
static int
give_name(struct cw_durable *d, struct cw_error *err)
{
	if (renameat(d->dirfd, d->tmp, d->dirfd, d->name) < 0)
		return fail(d, "give it its name", err);
	d->has_tmp = false;
	if (fsync(d->dirfd) < 0)
		return fail(d, "sync its directory", err);
	return 0;
}

static int
abandon(struct cw_durable *d)
{
	cw_close(&d->fd);
	if (d->has_tmp)
		(void)unlinkat(d->dirfd, d->tmp, 0);
	d->has_tmp = false;
	return -1;
}

int
cw_durable_rename(struct cw_durable *d, const char *name, struct cw_error *err)
{
	char *tmp = cw_asprintf("%s.tmp", name);

	if (renameat(d->dirfd, d->tmp, d->dirfd, tmp) < 0) {
		free(tmp);
		return fail(d, "rename it", err);
	}
	free(d->tmp);
	free(d->name);
	d->tmp = tmp;
	d->name = cw_strdup(name);
	cw_text_quote(name, strlen(name), d->quoted);
	return 0;
}

int
cw_durable_prove(struct cw_durable *d, cw_durable_each *each, void *arg,
    struct cw_durable_result *result, struct cw_error *err)
{
	if (settle(d, each, arg, &d->proven, err) < 0)
		return abandon(d);
	d->is_proven = true;
	free(d->buffer[0]);
	free(d->buffer[1]);
	d->buffer[0] = d->buffer[1] = NULL;
	*result = d->proven;
	return 0;
}

int
cw_durable_finish(struct cw_durable *d, struct cw_durable_result *result,
    struct cw_error *err)
{
	if (!d->is_proven && cw_durable_prove(d, NULL, NULL, result, err) < 0)
		return -1;
	*result = d->proven;
	if (give_name(d, err) < 0)
		return abandon(d);
	cw_close(&d->fd);
	return 0;
}

void
cw_durable_free(struct cw_durable *d)
{
	if (d == NULL)
		return;
	(void)stop_writer(d, NULL);
	cw_close(&d->fd);
	if (d->has_tmp)
		(void)unlinkat(d->dirfd, d->tmp, 0);
	cw_close(&d->dirfd);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	cw_sha256_free(d->sha256);
	cw_xxh_free(d->xxh);
	free(d->blocks);
	free(d->buffer[0]);
	free(d->buffer[1]);
	free(d->name);
	free(d->tmp);
	free(d);
}
