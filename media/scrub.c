#include "media/scrub.h"

#include "base/buf.h"
#include "base/thread.h"
#include "media/scrub_disk.h"
#include "media/scrub_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	    (4u << 20) /* of a read from the device */
#define CHUNK_SMALL (1u << 20) /* where there are many streams */
#define STREAMS_BIG 8u	       /* that may have big chunks */
#define STREAMS_MAX 32u	       /* of CW_SCRUB_RING chunks each */

/*
 * Many virtual disks and arrays say that they turn.  One that gives this much
 * does not seek, or not so that it matters; 32 MiB tell.
 */
#define FAST_RATE  400000000u /* bytes a second */
#define FAST_BYTES (32u << 20)

uint64_t
cw_scrub_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Takes a file of a disk that has room for one more reader. */
static struct cw_scrub_file *
take(struct cw_scrub *s, struct cw_scrub_device **from)
{
	struct cw_scrub_file *file = NULL;

	pthread_mutex_lock(&s->lock);
	while (file == NULL && !cw_stop_requested()) {
		struct cw_scrub_device *best = NULL;
		bool has_more = false;

		for (size_t i = 0; i < s->device_count; i++) {
			struct cw_scrub_device *d = &s->devices[i];

			if (d->next == d->count)
				continue;
			has_more = true;
			if (d->running == d->limit)
				continue;
			/* Even between disks, then the biggest first. */
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
give_back(struct cw_scrub *s, struct cw_scrub_device *device)
{
	pthread_mutex_lock(&s->lock);
	device->running--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
cw_scrub_keep_rate(struct cw_scrub *s, size_t len)
{
	uint64_t rate = s->options->rate, due_ns;

	if (rate == 0)
		return;
	pthread_mutex_lock(&s->lock);
	due_ns =
	    s->begun_ns + (uint64_t)((double)s->asked / (double)rate * 1e9);
	s->asked += len;
	pthread_mutex_unlock(&s->lock);
	for (uint64_t now;
	     (now = cw_scrub_now_ns()) < due_ns && !cw_stop_requested();) {
		uint64_t wait = due_ns - now;
		struct timespec t = {0, 0};

		/* In pieces, so that a request to stop is soon seen. */
		t.tv_nsec = (long)(wait < 50000000u ? wait : 50000000u);
		(void)nanosleep(&t, NULL);
	}
}

void
cw_scrub_learn(struct cw_scrub_stream *st, size_t len, uint64_t spent_ns)
{
	struct cw_scrub_device *d = st->device;

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
tell(struct cw_scrub *s, const struct cw_scrub_file *file,
    void (*what)(void *arg, const struct cw_scrub_file *file))
{
	if (what == NULL)
		return;
	pthread_mutex_lock(&s->telling);
	what(s->options->arg, file);
	pthread_mutex_unlock(&s->telling);
}

static void *
stream(void *arg)
{
	struct cw_scrub_stream *st = arg;
	struct cw_scrub *s = st->scrub;
	struct cw_scrub_file *file;

	while ((file = take(s, &st->device)) != NULL) {
		tell(s, file, s->options->begun);
		cw_scrub_read(st, file);
		if (file->state != CW_SCRUB_PENDING)
			tell(s, file, s->options->done);
		give_back(s, st->device);
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

/* The disk of a directory, made known if it is new. */
static struct cw_scrub_device *
device_of(struct cw_scrub *s, int dirfd, unsigned limit)
{
	struct cw_scrub_disk disk;

	cw_scrub_disk_of(dirfd, &disk);
	for (size_t i = 0; i < s->device_count; i++)
		if (s->devices[i].id == disk.id)
			return &s->devices[i];
	s->devices = cw_reallocarray(
	    s->devices, s->device_count + 1, sizeof(*s->devices));
	s->devices[s->device_count] = (struct cw_scrub_device){
	    .id = disk.id,
	    .limit = limit,
	    .full_limit = limit,
	};
	if (!s->options->cached && disk.is_rotating)
		s->devices[s->device_count].limit = 1;
	return &s->devices[s->device_count++];
}

static void
sort_by_device(struct cw_scrub *s, struct cw_scrub_file *files, size_t count,
    unsigned limit)
{
	struct cw_scrub_device *d = NULL;

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

/* At most STREAMS_MAX, and no more than there are files. */
static unsigned
stream_count(const struct cw_scrub *s, unsigned threads, size_t files)
{
	size_t n = threads;

	/* Slow disks can all turn at once, whatever the cores. */
	if (n < s->device_count)
		n = s->device_count;
	if (n > STREAMS_MAX)
		n = STREAMS_MAX;
	return (unsigned)(n < files ? n : files);
}

/* Reads with n streams; false if not even one thread could be had. */
static bool
run(struct cw_scrub *s, unsigned n)
{
	struct cw_scrub_stream *streams = cw_calloc(n + 1, sizeof(*streams));
	bool has_threads = n == 0;

	for (unsigned i = 0; i < n; i++) {
		cw_scrub_stream_begin(
		    &streams[i], s, n > STREAMS_BIG ? CHUNK_SMALL : CHUNK);
		streams[i].has_thread = cw_thread_start(&streams[i].thread,
					    stream, &streams[i]) == 0;
	}
	for (unsigned i = 0; i < n; i++) {
		has_threads = has_threads || streams[i].has_thread;
		if (streams[i].has_thread)
			pthread_join(streams[i].thread, NULL);
		cw_scrub_stream_end(&streams[i]);
	}
	free(streams);
	return has_threads;
}

int
cw_scrub(struct cw_scrub_file *files, size_t count,
    const struct cw_scrub_options *options, struct cw_error *err)
{
	struct cw_scrub s = {
	    .options = options,
	    .begun_ns = cw_scrub_now_ns(),
	};
	unsigned threads = options->threads;
	bool has_run;

	if (threads == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		threads = cores < 1 ? 1 : (unsigned)cores;
	}
	for (size_t i = 0; i < count; i++)
		files[i].state = CW_SCRUB_PENDING;
	pthread_mutex_init(&s.lock, NULL);
	pthread_mutex_init(&s.telling, NULL);
	pthread_cond_init(&s.changed, NULL);
	sort_by_device(&s, files, count, threads);
	has_run = run(&s, stream_count(&s, threads, count));

	for (size_t i = 0; i < s.device_count; i++)
		free(s.devices[i].files);
	free(s.devices);
	pthread_cond_destroy(&s.changed);
	pthread_mutex_destroy(&s.telling);
	pthread_mutex_destroy(&s.lock);
	if (!has_run)
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
