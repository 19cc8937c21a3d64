/*
 * The chunks of a large file that changed: those that our version does not have
 * are asked for.
 */
#include "sync/follower_impl.h"

#include "base/fs.h"
#include "formats/chunk/chunk.h"

#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 4096u

static int
by_digest(const void *a, const void *b)
{
	return memcmp(((const struct chunk *)a)->digest,
	    ((const struct chunk *)b)->digest, CW_SHA256_SIZE);
}

/* Cuts our version by the sizes of the new one. */
static int
cut_base(
    struct want *w, struct chunk **out, size_t *count, struct cw_error *err)
{
	const struct cw_chunk_sizes *sizes = cw_chunk_sizes_for(w->size);
	size_t room = (size_t)sizes->max * 4, have = 0, cap = 0, n;
	uint8_t *buf = cw_malloc(room);
	struct chunk *list = NULL;
	uint64_t read_at = 0, at = 0;
	bool is_end = false;
	int ret = -1;

	*count = 0;
	do {
		size_t got = 0, used = 0;

		if (cw_stop_check(err) < 0 ||
		    cw_pread_full(w->base_fd, buf + have, room - have, read_at,
			&got, err) < 0)
			goto out;
		read_at += got;
		is_end = got < room - have;
		have += got;
		while (
		    *count < CHUNKS_MAX && (n = cw_chunk_next(sizes, buf + used,
						have - used, is_end)) > 0) {
			if (*count == cap) {
				cap = cap == 0 ? 256 : cap * 2;
				list =
				    cw_reallocarray(list, cap, sizeof(*list));
			}
			list[*count] =
			    (struct chunk){.offset = at, .len = (uint32_t)n};
			cw_sha256(buf + used, n, list[(*count)++].digest);
			used += n;
			at += n;
		}
		memmove(buf, buf + used, have - used);
		have -= used;
	} while (!is_end && *count < CHUNKS_MAX);
	if (*count > 0)
		qsort(list, *count, sizeof(*list), by_digest);
	*out = list;
	list = NULL;
	ret = 0;
out:
	free(list);
	free(buf);
	return ret;
}

/* The chunks that staging has whole; the rest of it is of no use. */
static void
skip_kept(struct want *w)
{
	uint64_t kept = 0;

	while (w->chunk_at < w->chunk_count) {
		const struct chunk *c = &w->chunks[w->chunk_at];

		if (c->offset + c->len > w->kept)
			break;
		kept = c->offset + c->len;
		w->chunk_at++;
	}
	w->kept = kept;
}

/* Asks for the chunks that our version does not have. */
static int
ask_ranges(struct cw_follower *f, struct want *w, struct cw_error *err)
{
	Cw__Item item = CW__ITEM__INIT;
	Cw__Range *ranges = cw_calloc(RANGES_MAX, sizeof(*ranges));
	Cw__Range **list = cw_calloc(RANGES_MAX, sizeof(*list));
	struct chunk *base = NULL;
	size_t base_count = 0, n = 0;
	uint64_t lacking = 0;
	int got, ret = -1;

	got = cw_place_open(f->place, w->path, &w->base_fd, err);
	if (got < 0 || (got == 0 && cut_base(w, &base, &base_count, err) < 0))
		goto out;
	for (size_t i = 0; i < w->chunk_count; i++) {
		struct chunk *c = &w->chunks[i];
		const struct chunk *same = NULL;

		/* In staging already; the whole is hashed in the end. */
		if (c->offset + c->len <= w->kept)
			continue;
		if (base_count > 0)
			same = bsearch(
			    c, base, base_count, sizeof(*base), by_digest);
		/* The last range takes all the rest, if it has to. */
		if (same != NULL && same->len == c->len && n < RANGES_MAX) {
			c->has_base = true;
			c->base_offset = same->offset;
			continue;
		}
		lacking += c->len;
		if (n > 0 &&
		    ranges[n - 1].offset + ranges[n - 1].length == c->offset) {
			ranges[n - 1].length += c->len;
			continue;
		}
		cw__range__init(&ranges[n]);
		ranges[n].offset = c->offset;
		ranges[n].length = c->len;
		list[n] = &ranges[n];
		n++;
	}
	w->in_chunks = false;
	skip_kept(w);
	if (n == 0) {
		/* All of it is here, only in another order or shorter. */
		if (follower_begin_data(f, w, 0, err) == 0)
			ret = follower_finish_want(f, w, err);
		goto out;
	}
	f->want_bytes -= w->size - w->offset;
	w->offset = w->size - lacking;
	f->want_bytes += lacking;
	item.id = w->id;
	item.digest.data = w->digest;
	item.digest.len = CW_DIGEST_SIZE;
	item.size = w->size;
	item.n_ranges = n;
	item.ranges = list;
	ret = follower_send_want(f, &item, err);
out:
	free(base);
	free(ranges);
	free(list);
	return ret;
}

int
follower_chunks(
    struct cw_follower *f, const Cw__Chunks *m, struct cw_error *err)
{
	struct want *w = follower_find_want(f, m->id);
	const struct cw_chunk_sizes *sizes;
	uint64_t at;

	if (w == NULL)
		return 0;
	if (m->gone) {
		f->has_gone = true;
		follower_free_want(f, w);
		return 0;
	}
	at = w->chunk_count == 0 ? 0
				 : w->chunks[w->chunk_count - 1].offset +
				       w->chunks[w->chunk_count - 1].len;
	if (!w->in_chunks || m->first != at ||
	    m->digests.len != m->n_lengths * CW_SHA256_SIZE ||
	    w->chunk_count + m->n_lengths > CHUNKS_MAX)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "the peer's CHUNKS are malformed");
	/* Nor was it appended to. */
	if (w->from_base) {
		f->want_bytes += w->offset;
		w->offset = 0;
		w->from_base = false;
	}
	if (w->chunk_count + m->n_lengths > w->chunk_cap) {
		w->chunk_cap = w->chunk_count + m->n_lengths;
		w->chunks = cw_reallocarray(
		    w->chunks, w->chunk_cap, sizeof(*w->chunks));
	}
	sizes = cw_chunk_sizes_for(w->size);
	for (size_t i = 0; i < m->n_lengths; i++) {
		struct chunk *c;

		/* A lot of tiny ones would take all our memory. */
		if (m->lengths[i] > sizes->max ||
		    m->lengths[i] > w->size - at ||
		    (m->lengths[i] < sizes->min &&
			m->lengths[i] != w->size - at))
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer's CHUNKS are not cut as they must be");
		c = &w->chunks[w->chunk_count++];
		f->chunks++;
		*c = (struct chunk){.offset = at, .len = m->lengths[i]};
		memcpy(c->digest, m->digests.data + i * CW_SHA256_SIZE,
		    CW_SHA256_SIZE);
		at += c->len;
	}
	if (m->last && at != w->size)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer's CHUNKS make another size than the file's");
	return m->last ? ask_ranges(f, w, err) : 0;
}
