#include "media/scrub.h"

#include "base/buf.h"
#include "base/fs.h"
#include "media/set.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define ALIGN	    4096u
#define CHUNK	    (4u << 20)	 /* of a read from the device */
#define RING	    3u		 /* chunks between reader and hasher */
#define SLICE	    (128u << 10) /* of a cached read: in the core's cache */
#define STREAMS_MAX 8u		 /* of RING chunks each */

/*
 * Many virtual disks and arrays say that they turn.  One that gives this much
 * does not seek, or not so that it matters; 32 MiB tell.
 */
#define FAST_RATE  400000000u /* bytes a second */
#define FAST_BYTES (32u << 20)

/* The files of one device, the biggest first. */
struct device {
	dev_t id;
	struct cw_scrub_file **files;
	size_t count, next;
	unsigned running, limit;
	unsigned full_limit;	  /* if it turns out to be fast */
	uint64_t bytes, spent_ns; /* of reading, one file at a time */
};

struct scrub {
	const struct cw_scrub_options *options;
	uint64_t begun_ns; /* for the rate */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct device *devices;
	size_t device_count;
	uint64_t asked; /* bytes, for the rate */
};

/*
 * One file at a time: the stream's own thread reads, and a second one hashes
 * what was read, so that device and core work at the same time.  From the page
 * cache there is nothing to wait for, and one thread does both.
 */
struct stream {
	struct scrub *scrub;
	struct device *device; /* of the file in hand */
	struct cw_sha256 *sha256;
	struct cw_xxh *xxh;
	uint8_t *chunks[RING];
	size_t lens[RING];

	pthread_t thread, hasher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned filled, hashed; /* chunks, ever */
	bool has_thread, has_hasher, is_over;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whether a disk turns: reading two places at once would make it seek. */
static bool
is_rotational(dev_t id)
{
	/* A partition's queue is that of the disk it is a directory of. */
	static const char *const ends[] = {"", "../"};

	for (size_t i = 0; i < 2; i++) {
		char *path =
		    cw_asprintf("/sys/dev/block/%u:%u/%squeue/rotational",
			major(id), minor(id), ends[i]);
		char answer = '0';
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		bool has_answer = fd >= 0 && read(fd, &answer, 1) == 1;

		cw_close(&fd);
		free(path);
		if (has_answer)
			return answer == '1';
	}
	return false;
}

/* Takes a file of a device that has room for one more reader. */
static struct cw_scrub_file *
take(struct scrub *s, struct device **from)
{
	struct cw_scrub_file *file = NULL;

	pthread_mutex_lock(&s->lock);
	while (file == NULL && !cw_stop_requested()) {
		struct device *best = NULL;
		bool has_more = false;

		for (size_t i = 0; i < s->device_count; i++) {
			struct device *d = &s->devices[i];

			if (d->next == d->count)
				continue;
			has_more = true;
			if (d->running == d->limit)
				continue;
			/* Even between devices, then the biggest first. */
			if (best == NULL || d->running < best->running ||
			    (d->running == best->running &&
				d->files[d->next]->size >
				    best->files[best->next]->size))
				best = d;
		}
		if (!has_more)
			break;
		if (best == NULL) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		best->running++;
		file = best->files[best->next++];
		*from = best;
	}
	pthread_mutex_unlock(&s->lock);
	return file;
}

static void
give_back(struct scrub *s, struct device *device)
{
	pthread_mutex_lock(&s->lock);
	device->running--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Waits until len more bytes may be read. */
static void
keep_rate(struct scrub *s, size_t len)
{
	uint64_t rate = s->options->rate, due_ns;

	if (rate == 0)
		return;
	pthread_mutex_lock(&s->lock);
	due_ns =
	    s->begun_ns + (uint64_t)((double)s->asked / (double)rate * 1e9);
	s->asked += len;
	pthread_mutex_unlock(&s->lock);
	for (uint64_t now; (now = now_ns()) < due_ns && !cw_stop_requested();) {
		uint64_t wait = due_ns - now;
		struct timespec t = {0, 0};

		/* In pieces, so that a request to stop is soon seen. */
		t.tv_nsec = (long)(wait < 50000000u ? wait : 50000000u);
		(void)nanosleep(&t, NULL);
	}
}

/* Lets more streams read a device that turns out to be fast. */
static void
learn(struct stream *st, size_t len, uint64_t spent_ns)
{
	struct device *d = st->device;

	pthread_mutex_lock(&st->scrub->lock);
	d->bytes += len;
	d->spent_ns += spent_ns;
	if (d->limit < d->full_limit && d->bytes >= FAST_BYTES &&
	    (double)d->bytes * 1e9 > (double)d->spent_ns * FAST_RATE) {
		d->limit = d->full_limit;
		pthread_cond_broadcast(&st->scrub->changed);
	}
	pthread_mutex_unlock(&st->scrub->lock);
}

static void
hash(struct stream *st, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += SLICE) {
		size_t n = len - at < SLICE ? len - at : SLICE;

		cw_xxh_update(st->xxh, data + at, n);
		cw_sha256_update(st->sha256, data + at, n);
	}
}

static void *
hasher(void *arg)
{
	struct stream *st = arg;

	pthread_mutex_lock(&st->lock);
	for (;;) {
		unsigned slot;

		while (st->hashed == st->filled && !st->is_over)
			pthread_cond_wait(&st->changed, &st->lock);
		if (st->hashed == st->filled)
			break;
		slot = st->hashed % RING;
		pthread_mutex_unlock(&st->lock);
		hash(st, st->chunks[slot], st->lens[slot]);
		pthread_mutex_lock(&st->lock);
		st->hashed++;
		pthread_cond_broadcast(&st->changed);
	}
	pthread_mutex_unlock(&st->lock);
	return NULL;
}

/* The chunk to read into next. */
static uint8_t *
acquire(struct stream *st)
{
	unsigned slot = 0;

	if (st->has_hasher) {
		pthread_mutex_lock(&st->lock);
		while (st->filled - st->hashed == RING)
			pthread_cond_wait(&st->changed, &st->lock);
		slot = st->filled % RING;
		pthread_mutex_unlock(&st->lock);
	}
	return st->chunks[slot];
}

/* Has what stands in that chunk hashed. */
static void
push(struct stream *st, size_t len)
{
	if (!st->has_hasher) {
		hash(st, st->chunks[0], len);
		return;
	}
	pthread_mutex_lock(&st->lock);
	st->lens[st->filled % RING] = len;
	st->filled++;
	pthread_cond_broadcast(&st->changed);
	pthread_mutex_unlock(&st->lock);
}

/* Waits until all that was pushed is hashed. */
static void
drain(struct stream *st)
{
	if (!st->has_hasher)
		return;
	pthread_mutex_lock(&st->lock);
	while (st->hashed != st->filled)
		pthread_cond_wait(&st->changed, &st->lock);
	pthread_mutex_unlock(&st->lock);
}

/* A direct read is of whole sectors, at the end of the file too. */
static size_t
whole_sectors(size_t len)
{
	return (len + ALIGN - 1) / ALIGN * ALIGN;
}

/* Reads on when a filesystem turns out not to read past the page cache. */
static int
leave_direct(int fd, bool *is_direct)
{
	int flags = fcntl(fd, F_GETFL);

	*is_direct = false;
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return -1;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/*
 * Reads up to want bytes at offset; fewer at the end of the file.  Returns -1
 * with errno if the device fails.
 */
static ssize_t
read_chunk(int fd, bool *is_direct, uint8_t *buf, size_t want, uint64_t offset)
{
	size_t got = 0;

	while (got < want) {
		ssize_t n =
		    pread(fd, buf + got, want - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && *is_direct) {
			if (leave_direct(fd, is_direct) < 0)
				return -1;
			continue;
		}
		if (n < 0)
			return -1;
		got += (size_t)n;
		/* What is no whole sector is the end of the file. */
		if (n == 0 || (*is_direct && got % ALIGN != 0))
			break;
	}
	return (ssize_t)got;
}

/* Adds a range that can't be read; one that follows the last joins it. */
static void
add_bad(struct cw_scrub_file *file, uint64_t offset, uint64_t length)
{
	struct cw_scrub_range *last =
	    file->bad_count == 0 ? NULL : &file->bad[file->bad_count - 1];

	if (last != NULL && last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	file->bad =
	    cw_reallocarray(file->bad, file->bad_count + 1, sizeof(*file->bad));
	file->bad[file->bad_count++] = (struct cw_scrub_range){offset, length};
}

/*
 * Finds which blocks of a chunk can't be read.  Each try may cost a failing
 * disk many seconds: once a whole chunk has failed, the first block of each
 * chunk that follows it speaks for the chunk.
 */
static void
narrow(struct cw_scrub_file *file, int fd, uint8_t *buf, uint64_t offset,
    size_t len)
{
	const struct cw_scrub_range *last =
	    file->bad_count == 0 ? NULL : &file->bad[file->bad_count - 1];
	bool follows = last != NULL && last->length >= CHUNK &&
		       last->offset + last->length == offset;
	bool has_failed = false;

	for (size_t at = 0; at < len; at += CW_SCRUB_BLOCK) {
		size_t n =
		    len - at < CW_SCRUB_BLOCK ? len - at : CW_SCRUB_BLOCK;
		bool is_direct = true; /* harmless where it is not */
		ssize_t got = read_chunk(
		    fd, &is_direct, buf, whole_sectors(n), offset + at);

		if (got >= (ssize_t)n)
			continue;
		has_failed = true;
		if (follows && at == 0) {
			add_bad(file, offset, len);
			return;
		}
		add_bad(file, offset + at, n);
	}
	/* It failed as a whole twice, if not in pieces. */
	if (!has_failed)
		add_bad(file, offset, len);
}

/* Whether nothing more is to be had from this device. */
static bool
is_gone(int code)
{
	return code == ENODEV || code == ENXIO || code == ENOTCONN ||
	       code == ESHUTDOWN || code == ENOMEDIUM;
}

static int
open_file(struct scrub *s, struct cw_scrub_file *file, bool *is_direct)
{
	struct cw_error err = CW_ERROR_INIT;
	struct stat st;
	int fd = -1;

	*is_direct = !s->options->cached;
	if (*is_direct)
		fd = cw_set_open_file(
		    file->dirfd, file->name, O_DIRECT, &st, &err);
	if (fd < 0 && (!*is_direct || errno == EINVAL)) {
		*is_direct = false;
		fd = cw_set_open_file(file->dirfd, file->name, 0, &st, &err);
	}
	if (fd < 0) {
		file->os_error = errno;
		file->state = err.code == CW_ERR_MISSING ? CW_SCRUB_MISSING
			      : err.code == CW_ERR_DAMAGED
				  ? CW_SCRUB_STRANGE
				  : CW_SCRUB_UNREADABLE;
		if (file->state == CW_SCRUB_UNREADABLE && file->size > 0)
			add_bad(file, 0, file->size);
		return -1;
	}
	file->found = (uint64_t)st.st_size;
	if (file->found != file->size) {
		file->state = CW_SCRUB_SIZE;
		cw_close(&fd);
		return -1;
	}
	if (s->options->cached)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	else if (!*is_direct)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

/* Reads one file to its end, or leaves it pending if we are to stop. */
static void
read_file(struct stream *st, struct cw_scrub_file *file)
{
	struct scrub *s = st->scrub;
	bool is_cached = s->options->cached, is_direct;
	size_t step = is_cached ? SLICE : CHUNK;
	enum cw_scrub_state state = CW_SCRUB_READ;
	uint64_t offset = 0;
	int fd = open_file(s, file, &is_direct);

	if (fd < 0) {
		cw_progress_add(s->options->progress, file->size, 1);
		return;
	}
	while (offset < file->size && state != CW_SCRUB_SIZE) {
		uint64_t left = file->size - offset;
		size_t want = left < step ? (size_t)left : step;
		uint8_t *buf = acquire(st);
		uint64_t begun_ns;
		ssize_t got;

		if (cw_stop_requested()) {
			state = CW_SCRUB_PENDING;
			break;
		}
		keep_rate(s, want);
		begun_ns = now_ns();
		got = read_chunk(
		    fd, &is_direct, buf, whole_sectors(want), offset);
		if (got < 0 && !is_gone(errno)) /* it may have been a fluke */
			got = read_chunk(
			    fd, &is_direct, buf, whole_sectors(want), offset);
		if (got < 0) {
			file->os_error = errno;
			state = CW_SCRUB_UNREADABLE;
			if (is_gone(errno) ||
			    file->bad_count >= CW_SCRUB_BAD_MAX) {
				add_bad(file, offset, left);
				cw_progress_add(s->options->progress, left, 0);
				break;
			}
			narrow(file, fd, buf, offset, want);
		} else if ((size_t)got != want) {
			/* It was cut, or grew, while we read. */
			file->found = offset + (uint64_t)got;
			state = CW_SCRUB_SIZE;
		} else if (state == CW_SCRUB_READ) {
			learn(st, want, now_ns() - begun_ns);
			push(st, want);
		}
		if (!is_cached && !is_direct)
			(void)posix_fadvise(fd, (off_t)offset, (off_t)want,
			    POSIX_FADV_DONTNEED);
		offset += want;
		cw_progress_add(s->options->progress, want, 0);
	}
	cw_close(&fd);
	drain(st);
	cw_xxh_final(st->xxh, file->xxh);
	cw_sha256_final(st->sha256, file->sha256);
	file->state = state;
	if (state != CW_SCRUB_PENDING)
		cw_progress_add(s->options->progress, 0, 1);
}

static void *
stream(void *arg)
{
	struct stream *st = arg;
	struct cw_scrub_file *file;

	while ((file = take(st->scrub, &st->device)) != NULL) {
		read_file(st, file);
		give_back(st->scrub, st->device);
	}
	return NULL;
}

static int
by_size(const void *a, const void *b)
{
	const struct cw_scrub_file *const *x = a, *const *y = b;

	if ((*x)->size != (*y)->size)
		return (*x)->size < (*y)->size ? 1 : -1;
	return strcmp((*x)->name, (*y)->name);
}

/* The device of a directory, made known if it is new. */
static struct device *
device_of(struct scrub *s, int dirfd, unsigned limit)
{
	struct stat st = {.st_dev = 0};

	(void)fstat(dirfd, &st); /* a wrong guess costs speed only */
	for (size_t i = 0; i < s->device_count; i++)
		if (s->devices[i].id == st.st_dev)
			return &s->devices[i];
	s->devices = cw_reallocarray(
	    s->devices, s->device_count + 1, sizeof(*s->devices));
	s->devices[s->device_count] = (struct device){
	    .id = st.st_dev,
	    .limit = limit,
	    .full_limit = limit,
	};
	if (!s->options->cached && is_rotational(st.st_dev))
		s->devices[s->device_count].limit = 1;
	return &s->devices[s->device_count++];
}

static void
sort_by_device(
    struct scrub *s, struct cw_scrub_file *files, size_t count, unsigned limit)
{
	struct device *d = NULL;

	for (size_t i = 0; i < count; i++) {
		if (i == 0 || files[i].dirfd != files[i - 1].dirfd)
			d = device_of(s, files[i].dirfd, limit);
		/* Doubles with each power of two. */
		if ((d->count & (d->count - 1)) == 0)
			d->files = cw_reallocarray(d->files,
			    d->count == 0 ? 1 : 2 * d->count,
			    sizeof(struct cw_scrub_file *));
		d->files[d->count++] = &files[i];
	}
	for (size_t i = 0; i < s->device_count; i++)
		qsort(s->devices[i].files, s->devices[i].count,
		    sizeof(struct cw_scrub_file *), by_size);
}

static void
stream_init(struct stream *st, struct scrub *s)
{
	*st = (struct stream){.scrub = s};
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->changed, NULL);
	st->sha256 = cw_sha256_new();
	st->xxh = cw_xxh_new();
	for (unsigned i = 0; i < RING; i++) {
		void *data;

		if (posix_memalign(&data, ALIGN, CHUNK) != 0)
			abort(); /* as cw_malloc does */
		st->chunks[i] = data;
	}
	/* Without a thread of its own to hash it is slower, no worse. */
	if (!s->options->cached)
		st->has_hasher =
		    pthread_create(&st->hasher, NULL, hasher, st) == 0;
	st->has_thread = pthread_create(&st->thread, NULL, stream, st) == 0;
}

static void
stream_finish(struct stream *st)
{
	if (st->has_thread)
		pthread_join(st->thread, NULL);
	pthread_mutex_lock(&st->lock);
	st->is_over = true;
	pthread_cond_broadcast(&st->changed);
	pthread_mutex_unlock(&st->lock);
	if (st->has_hasher)
		pthread_join(st->hasher, NULL);
	pthread_mutex_destroy(&st->lock);
	pthread_cond_destroy(&st->changed);
	cw_sha256_free(st->sha256);
	cw_xxh_free(st->xxh);
	for (unsigned i = 0; i < RING; i++)
		free(st->chunks[i]);
}

/* At most STREAMS_MAX, and no more than there are files. */
static unsigned
stream_count(const struct scrub *s, unsigned threads, size_t files)
{
	size_t n = threads;

	/* Slow disks can all turn at once, whatever the cores. */
	if (n < s->device_count)
		n = s->device_count;
	if (n > STREAMS_MAX)
		n = STREAMS_MAX;
	return (unsigned)(n < files ? n : files);
}

int
cw_scrub(struct cw_scrub_file *files, size_t count,
    const struct cw_scrub_options *options, struct cw_error *err)
{
	struct scrub s = {.options = options, .begun_ns = now_ns()};
	struct stream streams[STREAMS_MAX];
	unsigned threads = options->threads, n;
	bool has_threads = false;
	sigset_t all, old;

	if (threads == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		threads = cores < 1 ? 1 : (unsigned)cores;
	}
	for (size_t i = 0; i < count; i++)
		files[i].state = CW_SCRUB_PENDING;
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.changed, NULL);
	sort_by_device(&s, files, count, threads);
	n = stream_count(&s, threads, count);

	/* Signals are for the thread of the program that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < n; i++)
		stream_init(&streams[i], &s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	for (unsigned i = 0; i < n; i++) {
		has_threads = has_threads || streams[i].has_thread;
		stream_finish(&streams[i]);
	}

	for (size_t i = 0; i < s.device_count; i++)
		free(s.devices[i].files);
	free(s.devices);
	pthread_cond_destroy(&s.changed);
	pthread_mutex_destroy(&s.lock);
	if (n > 0 && !has_threads)
		return cw_error_set(
		    err, CW_ERR_FAILED, "cannot start a thread to read with");
	return cw_stop_check(err);
}

void
cw_scrub_free(struct cw_scrub_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(files[i].bad);
		files[i].bad = NULL;
		files[i].bad_count = 0;
	}
}
