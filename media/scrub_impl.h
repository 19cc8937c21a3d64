/*
 * The parts of a scrub: who reads which file when (scrub.c), and how a file is
 * read (scrub_read.c).  For these two alone.
 */
#ifndef CW_MEDIA_SCRUB_IMPL_H
#define CW_MEDIA_SCRUB_IMPL_H

#include "media/scrub.h"

#include <pthread.h>
#include <stdatomic.h>

#define CW_SCRUB_ALIGN 4096u
#define CW_SCRUB_SLICE (128u << 10) /* hashed at once: in the core's cache */
#define CW_SCRUB_RING  3u	    /* chunks between reader and hasher */

/* The files of one disk, the biggest first. */
struct cw_scrub_device {
	dev_t id;
	struct cw_scrub_file **files;
	size_t count, next;
	unsigned running, limit;
	unsigned full_limit;	  /* if it turns out to be fast */
	uint64_t bytes, spent_ns; /* of reading, one file at a time */
};

struct cw_scrub {
	const struct cw_scrub_options *options;
	uint64_t begun_ns;	    /* for the rate */
	_Atomic size_t wrong_count; /* ranges, of all files */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct cw_scrub_device *devices;
	size_t device_count;
	uint64_t asked; /* bytes, for the rate */

	pthread_mutex_t telling; /* one callback at a time */
};

/* What was read, on its way to the hasher. */
struct cw_scrub_chunk {
	uint8_t *data;
	size_t len;
	uint64_t offset;
	bool has_digest; /* else its blocks alone are of interest */
};

/* A growing list of ranges. */
struct cw_scrub_ranges {
	struct cw_scrub_range *items;
	size_t count, room;
};

/*
 * One file at a time: the stream's own thread reads, and a second one hashes
 * what was read, so that device and core work at the same time.  From the page
 * cache there is nothing to wait for, and one thread does both.
 */
struct cw_scrub_stream {
	struct cw_scrub *scrub;
	struct cw_scrub_device *device; /* of the file in hand */
	struct cw_scrub_file *file;
	struct cw_sha256 *sha256;
	struct cw_xxh *xxh;
	struct cw_scrub_chunk chunks[CW_SCRUB_RING];
	size_t chunk_size;
	struct cw_scrub_ranges wrong;  /* the hasher's, until it has drained */
	struct cw_scrub_ranges unread; /* the reader's */

	pthread_t thread, hasher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned filled, hashed; /* chunks, ever */
	bool has_thread, has_hasher, is_over;
};

/* Makes a stream with chunks of that many bytes; starts its hasher. */
void cw_scrub_stream_begin(
    struct cw_scrub_stream *st, struct cw_scrub *s, size_t chunk_size);
/* When nobody reads with it any more. */
void cw_scrub_stream_end(struct cw_scrub_stream *st);

/* Reads one file to its end, or leaves it pending if we are to stop. */
void cw_scrub_read(struct cw_scrub_stream *st, struct cw_scrub_file *file);

/* Waits until len more bytes may be read. */
void cw_scrub_keep_rate(struct cw_scrub *s, size_t len);
/* Lets more streams read a disk that turns out to be fast. */
void cw_scrub_learn(struct cw_scrub_stream *st, size_t len, uint64_t spent_ns);

uint64_t cw_scrub_now_ns(void);

#endif
