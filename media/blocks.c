#include "media/blocks.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Digests are kept in pages of the sidecar, each slot one of either copy. */
#define PAGE  16384u
#define SLOTS 64u /* 2 MiB in all */

struct page {
	uint64_t number;
	bool is_used, is_read;
	uint8_t bytes[PAGE];
};

/* A volume or shard of the medium, in order of name. */
struct listed {
	const char *name; /* in the manifest */
	uint64_t first;	  /* number of its first digest */
	uint64_t count;
};

struct sidecar {
	int fd; /* -1: none, or of a wrong length */
	struct page *pages;
};

struct cw_blocks {
	struct listed *files;
	size_t count;
	uint64_t length; /* bytes that a sidecar has to have */
	struct sidecar copies[2];
	/* The pages are the only thing that changes. */
	pthread_mutex_t *lock;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

bool
cw_blocks_has_file(const char *name)
{
	return name[0] >= '0' && name[0] <= '9' && strchr(name, '/') == NULL &&
	       (ends_with(name, CW_SET_VOLUME) ||
		   ends_with(name, CW_PARITY_SUFFIX));
}

/* The manifest has the files of a medium in order of name. */
static void
list_files(struct cw_blocks *b, const struct cw_manifest *m, uint32_t number)
{
	uint64_t next = 0;
	size_t room = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];

		if (f->medium != number || !cw_blocks_has_file(f->name))
			continue;
		if (b->count == room) {
			room = room == 0 ? 64 : 2 * room;
			b->files =
			    cw_reallocarray(b->files, room, sizeof(*b->files));
		}
		b->files[b->count++] = (struct listed){.name = f->name,
		    .first = next,
		    .count = cw_blocks_count(f->size)};
		next += b->files[b->count - 1].count;
	}
	b->length = next * CW_XXH_SIZE;
}

static void
open_copy(struct sidecar *copy, const struct cw_blocks *b, int dirfd,
    const char *name)
{
	struct stat st;

	copy->fd = cw_set_open_file(dirfd, name, 0, &st, NULL);
	if (copy->fd < 0)
		return;
	if ((uint64_t)st.st_size != b->length) {
		cw_close(&copy->fd);
		return;
	}
	/* What the disk says now, not what was read or written before. */
	(void)posix_fadvise(copy->fd, 0, 0, POSIX_FADV_DONTNEED);
	copy->pages = cw_calloc(SLOTS, sizeof(*copy->pages));
}

int
cw_blocks_open(const struct cw_set *set, size_t medium, struct cw_blocks **out,
    struct cw_error *err)
{
	const struct cw_set_medium *is = &set->media[medium];
	struct cw_blocks *b;

	(void)err; /* nothing there is no error */
	b = cw_calloc(1, sizeof(*b));
	b->copies[0].fd = b->copies[1].fd = -1;
	b->lock = cw_malloc(sizeof(*b->lock));
	pthread_mutex_init(b->lock, NULL);
	*out = b;
	if (is->number == 0)
		return 0;
	list_files(b, &set->manifest, is->number);
	if (b->length == 0)
		return 0;
	open_copy(&b->copies[0], b, is->dirfd, CW_SET_BLOCKS);
	open_copy(&b->copies[1], b, is->dirfd, CW_SET_COPY "/" CW_SET_BLOCKS);
	return 0;
}

void
cw_blocks_free(struct cw_blocks *b)
{
	if (b == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		cw_close(&b->copies[i].fd);
		free(b->copies[i].pages);
	}
	pthread_mutex_destroy(b->lock);
	free(b->lock);
	free(b->files);
	free(b);
}

bool
cw_blocks_has(const struct cw_blocks *b)
{
	return b->copies[0].fd >= 0 || b->copies[1].fd >= 0;
}

static const struct listed *
find(const struct cw_blocks *b, const char *name)
{
	size_t low = 0, high = b->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, b->files[middle].name);

		if (order == 0)
			return &b->files[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Compares the entry at a position of one copy; the lock is held. */
static bool
is_entry(const struct sidecar *copy, uint64_t length, uint64_t at,
    const uint8_t xxh[CW_XXH_SIZE])
{
	uint64_t number = at / PAGE;
	struct page *page;

	if (copy->fd < 0)
		return false;
	page = &copy->pages[number % SLOTS];
	if (!page->is_used || page->number != number) {
		uint64_t rest = length - number * PAGE;
		size_t want = rest < PAGE ? (size_t)rest : PAGE, got = 0;

		page->is_used = true;
		page->number = number;
		page->is_read = cw_pread_full(copy->fd, page->bytes, want,
				    number * PAGE, &got, NULL) == 0 &&
				got == want;
	}
	return page->is_read &&
	       memcmp(page->bytes + at % PAGE, xxh, CW_XXH_SIZE) == 0;
}

bool
cw_blocks_is_good(const struct cw_blocks *b, const char *file, uint64_t block,
    const uint8_t xxh[16])
{
	const struct listed *f = find(b, file);
	bool is_good;
	uint64_t at;

	if (f == NULL || block >= f->count)
		return false;
	at = (f->first + block) * CW_XXH_SIZE;
	pthread_mutex_lock(b->lock);
	is_good = is_entry(&b->copies[0], b->length, at, xxh) ||
		  is_entry(&b->copies[1], b->length, at, xxh);
	pthread_mutex_unlock(b->lock);
	return is_good;
}
