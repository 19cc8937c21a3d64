#include "base/buf.h"
#include "base/fs.h"
#include "base/thread.h"
#include "media/scrub_impl.h"
#include "media/set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RATE_PARTS 8u /* reads a second, where the rate is low */

/* ---- ranges ---- */

/* Adds a range behind the last one; one that follows it joins it. */
static void
add_range(struct cw_scrub_ranges *r, uint64_t offset, uint64_t length,
    bool is_unreadable)
{
	struct cw_scrub_range *last =
	    r->count == 0 ? NULL : &r->items[r->count - 1];

	if (last != NULL && last->is_unreadable == is_unreadable &&
	    last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	if (r->count == r->room) {
		r->room = r->room == 0 ? 4 : 2 * r->room;
		r->items =
		    cw_reallocarray(r->items, r->room, sizeof(*r->items));
	}
	r->items[r->count++] = (struct cw_scrub_range){
	    .offset = offset,
	    .length = length,
	    .is_unreadable = is_unreadable,
	};
}

/* Adds bytes that are wrong, within the limits of scrub.h. */
static void
add_wrong(struct cw_scrub_stream *st, uint64_t offset, uint64_t length)
{
	struct cw_scrub_ranges *r = &st->wrong;
	size_t before = r->count;

	if (before > 0 &&
	    (before >= CW_SCRUB_WRONG_MAX ||
		atomic_load(&st->scrub->wrong_count) >= CW_SCRUB_TOTAL_MAX)) {
		r->items[before - 1].length =
		    offset + length - r->items[before - 1].offset;
		return;
	}
	add_range(r, offset, length, false);
	if (r->count > before)
		atomic_fetch_add(&st->scrub->wrong_count, 1);
}

/* Gives the file both kinds of ranges, in order. */
static void
keep_ranges(struct cw_scrub_stream *st, struct cw_scrub_file *file)
{
	const struct cw_scrub_ranges *a = &st->unread, *b = &st->wrong;
	struct cw_scrub_ranges all = {NULL, 0, 0};

	for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
		const struct cw_scrub_range *r =
		    j == b->count || (i < a->count && a->items[i].offset <
							  b->items[j].offset)
			? &a->items[i++]
			: &b->items[j++];

		add_range(&all, r->offset, r->length, r->is_unreadable);
	}
	file->bad = all.items;
	file->bad_count = all.count;
	st->unread.count = st->wrong.count = 0;
}

/* ---- hashing ---- */

static void
check_blocks(struct cw_scrub_stream *st, const uint8_t *data, size_t len,
    uint64_t offset)
{
	const struct cw_scrub_options *o = st->scrub->options;

	for (size_t at = 0; o->is_good != NULL && at < len;
	     at += CW_SCRUB_BLOCK) {
		size_t n =
		    len - at < CW_SCRUB_BLOCK ? len - at : CW_SCRUB_BLOCK;
		uint8_t xxh[CW_XXH_SIZE];

		cw_xxh(data + at, n, xxh);
		if (!o->is_good(
			o->arg, st->file, (offset + at) / CW_SCRUB_BLOCK, xxh))
			add_wrong(st, offset + at, n);
	}
}

static void
hash(struct cw_scrub_stream *st, const struct cw_scrub_chunk *chunk)
{
	for (size_t at = 0; at < chunk->len; at += CW_SCRUB_SLICE) {
		const uint8_t *data = chunk->data + at;
		size_t n = chunk->len - at < CW_SCRUB_SLICE ? chunk->len - at
							    : CW_SCRUB_SLICE;

		check_blocks(st, data, n, chunk->offset + at);
		if (!chunk->has_digest)
			continue;
		cw_xxh_update(st->xxh, data, n);
		cw_sha256_update(st->sha256, data, n);
	}
}

static void *
hasher(void *arg)
{
	struct cw_scrub_stream *st = arg;

	pthread_mutex_lock(&st->lock);
	for (;;) {
		unsigned slot;

		while (st->hashed == st->filled && !st->is_over)
			pthread_cond_wait(&st->changed, &st->lock);
		if (st->hashed == st->filled)
			break;
		slot = st->hashed % CW_SCRUB_RING;
		pthread_mutex_unlock(&st->lock);
		hash(st, &st->chunks[slot]);
		pthread_mutex_lock(&st->lock);
		st->hashed++;
		pthread_cond_broadcast(&st->changed);
	}
	pthread_mutex_unlock(&st->lock);
	return NULL;
}

/* The chunk to read into next. */
static struct cw_scrub_chunk *
acquire(struct cw_scrub_stream *st)
{
	unsigned slot = 0;

	if (st->has_hasher) {
		pthread_mutex_lock(&st->lock);
		while (st->filled - st->hashed == CW_SCRUB_RING)
			pthread_cond_wait(&st->changed, &st->lock);
		slot = st->filled % CW_SCRUB_RING;
		pthread_mutex_unlock(&st->lock);
	}
	return &st->chunks[slot];
}

/* Has what stands in that chunk hashed. */
static void
push(struct cw_scrub_stream *st, struct cw_scrub_chunk *chunk)
{
	if (!st->has_hasher) {
		hash(st, chunk);
		return;
	}
	pthread_mutex_lock(&st->lock);
	st->filled++;
	pthread_cond_broadcast(&st->changed);
	pthread_mutex_unlock(&st->lock);
}

/* Waits until all that was pushed is hashed. */
static void
drain(struct cw_scrub_stream *st)
{
	if (!st->has_hasher)
		return;
	pthread_mutex_lock(&st->lock);
	while (st->hashed != st->filled)
		pthread_cond_wait(&st->changed, &st->lock);
	pthread_mutex_unlock(&st->lock);
}

void
cw_scrub_stream_begin(
    struct cw_scrub_stream *st, struct cw_scrub *s, size_t chunk_size)
{
	*st = (struct cw_scrub_stream){.scrub = s, .chunk_size = chunk_size};
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->changed, NULL);
	st->sha256 = cw_sha256_new();
	st->xxh = cw_xxh_new();
	for (unsigned i = 0; i < CW_SCRUB_RING; i++) {
		void *data;

		if (posix_memalign(&data, CW_SCRUB_ALIGN, chunk_size) != 0)
			abort(); /* as cw_malloc does */
		st->chunks[i].data = data;
	}
	/* Without a thread of its own to hash it is slower, no worse. */
	if (!s->options->cached)
		st->has_hasher = cw_thread_start(&st->hasher, hasher, st) == 0;
}

void
cw_scrub_stream_end(struct cw_scrub_stream *st)
{
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
	for (unsigned i = 0; i < CW_SCRUB_RING; i++)
		free(st->chunks[i].data);
	free(st->wrong.items);
	free(st->unread.items);
}

/* ---- reading ---- */

/* A direct read is of whole sectors, at the end of the file too. */
static size_t
whole_sectors(size_t len)
{
	return (len + CW_SCRUB_ALIGN - 1) / CW_SCRUB_ALIGN * CW_SCRUB_ALIGN;
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
		if (n == 0 || (*is_direct && got % CW_SCRUB_ALIGN != 0))
			break;
	}
	return (ssize_t)got;
}

/*
 * Finds which blocks of a chunk can't be read, and which are wrong.  Each try
 * may cost a failing disk many seconds: once a whole chunk has failed, the
 * first block of each chunk that follows it speaks for the chunk.
 */
static void
narrow(struct cw_scrub_stream *st, int fd, uint8_t *buf, uint64_t offset,
    size_t len)
{
	const struct cw_scrub_range *last =
	    st->unread.count == 0 ? NULL
				  : &st->unread.items[st->unread.count - 1];
	bool follows = last != NULL && last->length >= st->chunk_size &&
		       last->offset + last->length == offset;
	bool has_failed = false;

	drain(st); /* the list of what is wrong is ours then */
	for (size_t at = 0; at < len; at += CW_SCRUB_BLOCK) {
		size_t n =
		    len - at < CW_SCRUB_BLOCK ? len - at : CW_SCRUB_BLOCK;
		bool is_direct = true; /* harmless where it is not */
		ssize_t got = read_chunk(
		    fd, &is_direct, buf, whole_sectors(n), offset + at);

		if (got >= (ssize_t)n) {
			check_blocks(st, buf, n, offset + at);
			continue;
		}
		has_failed = true;
		if (follows && at == 0) {
			add_range(&st->unread, offset, len, true);
			return;
		}
		add_range(&st->unread, offset + at, n, true);
	}
	/*
	 * It failed as a whole twice, if not in pieces.  Where blocks can be
	 * told, all of them were told just now.
	 */
	if (!has_failed && st->scrub->options->is_good == NULL)
		add_range(&st->unread, offset, len, true);
}

/* Whether nothing more is to be had from this device. */
static bool
is_gone(int code)
{
	return code == ENODEV || code == ENXIO || code == ENOTCONN ||
	       code == ESHUTDOWN || code == ENOMEDIUM;
}

static int64_t
nanoseconds(const struct timespec *t)
{
	/* Times that don't fit wrap: they are compared, and that is all. */
	return (
	    int64_t)((uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec);
}

/* Opens a file; or sets its state, and returns -1. */
static int
open_file(struct cw_scrub_file *file, bool *is_direct)
{
	struct cw_error err = CW_ERROR_INIT;
	struct stat st;
	int fd = -1;

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
		return -1;
	}
	file->found = (uint64_t)st.st_size;
	file->identity = (struct cw_scrub_identity){
	    .device = st.st_dev,
	    .inode = st.st_ino,
	    .mtime_ns = nanoseconds(&st.st_mtim),
	    .ctime_ns = nanoseconds(&st.st_ctim),
	};
	file->state = file->found == file->size ? CW_SCRUB_READ : CW_SCRUB_SIZE;
	return fd;
}

void
cw_scrub_look(struct cw_scrub_file *file)
{
	bool is_direct = false;
	int fd = open_file(file, &is_direct);

	cw_close(&fd);
}

/* What is read at once: less where the rate is low, whole blocks always. */
static size_t
step_of(const struct cw_scrub_stream *st)
{
	const struct cw_scrub_options *o = st->scrub->options;
	size_t step = o->cached ? CW_SCRUB_SLICE : st->chunk_size;

	while (o->rate != 0 && step > CW_SCRUB_BLOCK &&
	       step > o->rate / RATE_PARTS)
		step /= 2;
	return step;
}

/* Notes the rest of a file that there is no use in reading. */
static void
give_up(struct cw_scrub_stream *st, uint64_t offset, uint64_t left)
{
	add_range(&st->unread, offset, left, true);
	cw_progress_add(st->scrub->options->progress, left, 0);
}

/*
 * Reads up to end, which lies on a block or is where the file ends.  Returns
 * the state that the file has then; *file->state says what it had before.
 */
static enum cw_scrub_state
read_to(struct cw_scrub_stream *st, int fd, bool is_direct, uint64_t end)
{
	struct cw_scrub *s = st->scrub;
	struct cw_scrub_file *file = st->file;
	enum cw_scrub_state state = file->state;
	bool is_cached = s->options->cached;
	size_t step = step_of(st);

	for (uint64_t offset = 0; offset < end;) {
		uint64_t left = end - offset, begun_ns;
		size_t want = left < step ? (size_t)left : step;
		struct cw_scrub_chunk *chunk = acquire(st);
		ssize_t got;

		if (cw_stop_requested())
			return CW_SCRUB_PENDING;
		cw_scrub_keep_rate(s, want);
		begun_ns = cw_scrub_now_ns();
		got = read_chunk(
		    fd, &is_direct, chunk->data, whole_sectors(want), offset);
		if (got < 0 && !is_gone(errno)) /* it may have been a fluke */
			got = read_chunk(fd, &is_direct, chunk->data,
			    whole_sectors(want), offset);
		if (got < 0) {
			file->os_error = errno;
			state = CW_SCRUB_UNREADABLE;
			if (is_gone(errno) ||
			    st->unread.count >= CW_SCRUB_BAD_MAX) {
				give_up(st, offset, left);
				break;
			}
			narrow(st, fd, chunk->data, offset, want);
		} else if ((size_t)got < want ||
			   ((size_t)got > want && file->found <= file->size)) {
			/* It was cut, or grew, while we read. */
			file->found = offset + (uint64_t)got;
			state = CW_SCRUB_SIZE;
			drain(st);
			add_wrong(st, offset, left);
			cw_progress_add(s->options->progress, left, 0);
			break;
		} else {
			cw_scrub_learn(st, want, cw_scrub_now_ns() - begun_ns);
			chunk->len = want;
			chunk->offset = offset;
			chunk->has_digest = state != CW_SCRUB_UNREADABLE;
			if (chunk->has_digest || s->options->is_good != NULL)
				push(st, chunk);
		}
		if (!is_cached && !is_direct)
			(void)posix_fadvise(fd, (off_t)offset, (off_t)want,
			    POSIX_FADV_DONTNEED);
		offset += want;
		cw_progress_add(s->options->progress, want, 0);
	}
	return state;
}

/* Reads an open file as far as that is of use. */
static void
read_open(struct cw_scrub_stream *st, int fd, bool is_direct)
{
	const struct cw_scrub_options *o = st->scrub->options;
	struct cw_scrub_file *file = st->file;
	bool is_cut = file->found < file->size;
	bool is_longer = file->found > file->size;
	uint64_t end = file->size;

	if (o->cached)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	else if (!is_direct)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (file->state == CW_SCRUB_SIZE && o->is_good == NULL)
		end = 0;
	else if (is_cut) /* the block that the cut is in is lost */
		end = file->found / CW_SCRUB_BLOCK * CW_SCRUB_BLOCK;
	file->state = read_to(st, fd, is_direct, end);
	drain(st);
	cw_xxh_final(st->xxh, file->xxh);
	cw_sha256_final(st->sha256, file->sha256);
	if (file->state == CW_SCRUB_PENDING) {
		st->wrong.count = st->unread.count = 0;
		return;
	}
	file->is_prefix =
	    file->state == CW_SCRUB_SIZE && is_longer && o->is_good != NULL;
	if (is_cut && o->is_good != NULL)
		add_wrong(st, end, file->size - end);
	cw_progress_add(o->progress, file->size - end, 0);
	keep_ranges(st, file);
}

void
cw_scrub_read(struct cw_scrub_stream *st, struct cw_scrub_file *file)
{
	bool is_direct = !st->scrub->options->cached;
	int fd = open_file(file, &is_direct);

	st->file = file;
	if (fd >= 0) {
		read_open(st, fd, is_direct);
	} else {
		if (file->state == CW_SCRUB_UNREADABLE && file->size > 0)
			add_range(&st->unread, 0, file->size, true);
		keep_ranges(st, file);
		cw_progress_add(st->scrub->options->progress, file->size, 0);
	}
	cw_close(&fd);
	if (file->state != CW_SCRUB_PENDING)
		cw_progress_add(st->scrub->options->progress, 0, 1);
}
