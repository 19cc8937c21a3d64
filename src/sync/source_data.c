/*
 * Contents: what the replica wants, by digest, from wherever the catalog has
 * it now.  Where the replica has the beginning of it, that is hashed and
 * compared.  Whether all of it is what was wanted the replica finds out by its
 * digest; we only look whether the file was written to since the catalog
 * knows it.
 */
#include "sync/source_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "formats/chunk/chunk.h"
#include "store/contents.h"

#include <stdlib.h>
#include <string.h>

static void
end_sending(struct cw_sync_source *s)
{
	cw_close(&s->sending.fd);
	cw_sha256_free(s->sending.sha);
	free(s->sending.ranges);
	memset(&s->sending, 0, sizeof(s->sending));
	s->sending.fd = -1;
}

void
source_forget_wants(struct cw_sync_source *s)
{
	end_sending(s);
	s->item_first = s->item_count = s->range_count = 0;
}

static void
cancel(struct cw_sync_source *s, uint32_t id)
{
	size_t ranges = 0, kept = 0;

	if (s->sending.fd >= 0 && s->sending.item.id == id)
		end_sending(s);
	for (size_t i = 0; i < s->item_count; i++) {
		struct item *item = &s->items[i];

		if (i < s->item_first)
			continue;
		if (item->id == id)
			memmove(s->ranges + ranges,
			    s->ranges + ranges + item->ranges,
			    (s->range_count - ranges - item->ranges) *
				sizeof(*s->ranges)),
			    s->range_count -= item->ranges;
		else
			ranges += item->ranges, s->items[kept++] = *item;
	}
	s->item_first = 0;
	s->item_count = kept;
}

/* Drops the items in front that were taken. */
static void
compact(struct cw_sync_source *s)
{
	if (s->item_first == 0)
		return;
	memmove(s->items, s->items + s->item_first,
	    (s->item_count - s->item_first) * sizeof(*s->items));
	s->item_count -= s->item_first;
	s->item_first = 0;
}

static int
add_item(struct cw_sync_source *s, const Cw__Item *m, struct cw_error *err)
{
	struct item *item;
	uint64_t behind = 0;

	if (s->item_count == ITEMS_MAX || s->range_count > ITEMS_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer wants more contents at a time than %u",
		    ITEMS_MAX);
	if (m->digest.len != CW_DIGEST_SIZE || m->offset > m->size ||
	    (m->offset > 0 && m->prefix.len != CW_SHA256_SIZE))
		return cw_error_set(
		    err, CW_ERR_FORMAT, "the peer's WANT is malformed");
	item = &s->items[s->item_count];
	memset(item, 0, sizeof(*item));
	item->id = m->id;
	memcpy(item->digest, m->digest.data, CW_DIGEST_SIZE);
	item->size = m->size;
	item->offset = m->offset;
	if (m->offset > 0)
		memcpy(item->prefix, m->prefix.data, CW_SHA256_SIZE);
	item->chunks = m->chunks;
	item->ranges = m->n_ranges;
	for (size_t i = 0; i < m->n_ranges; i++) {
		const Cw__Range *r = m->ranges[i];

		/* Ascending, so that no byte is sent twice. */
		if (r->offset < behind || r->length == 0 ||
		    r->offset > m->size || r->length > m->size - r->offset)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "the peer wants ranges that make no sense");
		behind = r->offset + r->length;
	}
	for (size_t i = 0; i < m->n_ranges; i++)
		s->ranges[s->range_count++] =
		    (struct range){m->ranges[i]->offset, m->ranges[i]->length};
	s->item_count++;
	return 0;
}

int
source_want(
    struct cw_sync_source *s, const Cw__Want *want, struct cw_error *err)
{
	size_t ranges = 0;

	for (size_t i = 0; i < want->n_cancel; i++)
		cancel(s, want->cancel[i]);
	compact(s);
	for (size_t i = 0; i < want->n_items; i++)
		ranges += want->items[i]->n_ranges;
	s->items = cw_reallocarray(
	    s->items, s->item_count + want->n_items + 1, sizeof(*s->items));
	s->ranges = cw_reallocarray(
	    s->ranges, s->range_count + ranges + 1, sizeof(*s->ranges));
	for (size_t i = 0; i < want->n_items; i++)
		if (add_item(s, want->items[i], err) < 0)
			return -1;
	return 0;
}

/* Finding the file. */

struct finding {
	struct cw_sync_source *s;
	const struct item *item;
	struct cw_error *err;
	int fd;
	struct stat st;
	bool is_as_known; /* st is what the catalog has */
};

static void
look_at(struct finding *f, const struct cw_entry *e)
{
	f->is_as_known = fstat(f->fd, &f->st) == 0 && e->ino != 0 &&
			 (uint64_t)f->st.st_ino == e->ino &&
			 (uint64_t)f->st.st_size == e->size &&
			 cw_time_ns(f->st.st_mtim) == e->mtime_ns &&
			 cw_time_ns(f->st.st_ctim) == e->ctime_ns;
}

static int
try_entry(void *arg, const struct cw_entry *e)
{
	struct finding *f = arg;
	const char *path;
	size_t len;
	int got;

	if (e->size != f->item->size)
		return 0;
	if (cw_catalog_dir_path(f->s->catalog, e->dir, &path, &len, f->err) < 0)
		return -1;
	got = source_open(f->s, path, len, e, &f->fd, f->err);
	if (got == 0)
		look_at(f, e);
	return got == 0 ? 1 : got < 0 ? -1 : 0;
}

static size_t
piece_size(const struct cw_sync_source *s)
{
	return s->pace.level == 0 ? FAST_PIECE_SIZE : PIECE_SIZE;
}

static int
send_data(struct cw_sync_source *s, const struct item *item, uint64_t offset,
    const void *data, size_t len, bool is_last, bool is_gone,
    struct cw_error *err)
{
	uint8_t head[CW_WIRE_DATA_HEAD_MAX];
	Cw__Data m = CW__DATA__INIT;
	struct iovec parts[2];

	m.id = item->id;
	m.offset = offset;
	m.last = is_last;
	m.gone = is_gone;
	if (len > 0)
		cw_wire_compress(
		    s->writer, data, len, s->pace.level, &m.coding, &m.payload);
	parts[0].iov_base = head;
	parts[0].iov_len = cw_wire_data_head(&m, head);
	parts[1].iov_base = m.payload.data;
	parts[1].iov_len = m.payload.len;
	if (cw_link_sendv(
		s->o.link, CW_FRAME_DATA, 0, parts, len > 0 ? 2 : 1, err) < 0)
		return -1;
	s->state.content_bytes += m.payload.len;
	cw_pace_sent(&s->pace, s->o.link, len);
	return 0;
}

static int
send_gone(
    struct cw_sync_source *s, const struct item *item, struct cw_error *err)
{
	s->state.gone++;
	if (item->chunks) {
		Cw__Chunks m = CW__CHUNKS__INIT;

		m.id = item->id;
		m.last = m.gone = true;
		return source_send(s, CW_FRAME_CHUNKS, &m.base, 0, err);
	}
	return send_data(s, item, 0, NULL, 0, true, true, err);
}

/* Hashes what the replica has: *is_same tells if the file begins with it. */
static int
hash_prefix(struct cw_sync_source *s, bool *is_same, struct cw_error *err)
{
	struct sending *g = &s->sending;
	uint8_t digest[CW_SHA256_SIZE];
	struct cw_sha256 *fork;

	*is_same = false;
	while (g->at < g->item.offset) {
		size_t want = SOURCE_BUF, got = 0;

		if (want > g->item.offset - g->at)
			want = (size_t)(g->item.offset - g->at);
		if (cw_pread_full(g->fd, s->buf, want, g->at, &got, NULL) < 0 ||
		    got < want)
			return 1;
		cw_sha256_update(g->sha, s->buf, got);
		g->at += got;
		if (cw_stop_check(err) < 0)
			return -1;
	}
	fork = cw_sha256_copy(g->sha);
	cw_sha256_final(fork, digest);
	cw_sha256_free(fork);
	*is_same = memcmp(digest, g->item.prefix, sizeof(digest)) == 0;
	return 0;
}

/* The chunks of a large content, for the replica to look up in its version. */
static int
send_chunks(struct cw_sync_source *s, struct cw_error *err)
{
	struct sending *g = &s->sending;
	const struct cw_chunk_sizes *sizes = cw_chunk_sizes_for(g->item.size);
	size_t room = (size_t)sizes->max * 2 + SOURCE_BUF, have = 0, n;
	uint8_t *buf = cw_malloc(room);
	struct cw_buf digests = CW_BUF_INIT;
	uint32_t *lengths =
	    cw_malloc(CW_WIRE_CHUNKS_MAX / 2 * sizeof(*lengths));
	uint64_t read_at = 0, at = 0;
	Cw__Chunks m = CW__CHUNKS__INIT;
	bool is_end = false;
	int ret = -1;

	m.id = g->item.id;
	m.lengths = lengths;
	while (!m.last) {
		size_t got = 0, used = 0, want = room - have;

		if (cw_stop_check(err) < 0)
			goto out;
		if (want > g->item.size - read_at)
			want = (size_t)(g->item.size - read_at);
		if (want > 0 && (cw_pread_full(g->fd, buf + have, want, read_at,
				     &got, NULL) < 0 ||
				    got < want)) {
			ret = send_gone(s, &g->item, err);
			goto out;
		}
		read_at += got;
		is_end = read_at == g->item.size;
		have += got;
		while ((n = cw_chunk_next(
			    sizes, buf + used, have - used, is_end)) > 0 &&
		       m.n_lengths < CW_WIRE_CHUNKS_MAX / 2) {
			uint8_t digest[CW_SHA256_SIZE];

			cw_sha256(buf + used, n, digest);
			cw_buf_append(&digests, digest, sizeof(digest));
			lengths[m.n_lengths++] = (uint32_t)n;
			used += n;
			at += n;
		}
		memmove(buf, buf + used, have - used);
		have -= used;
		m.last = is_end && have == 0;
		if (m.last && at != g->item.size) {
			ret = send_gone(s, &g->item, err);
			goto out;
		}
		if (!m.last && m.n_lengths < CW_WIRE_CHUNKS_MAX / 2)
			continue;
		m.digests.data = digests.data;
		m.digests.len = digests.len;
		if (source_send(s, CW_FRAME_CHUNKS, &m.base, 0, err) < 0)
			goto out;
		m.first = at;
		m.n_lengths = 0;
		cw_buf_reset(&digests);
	}
	ret = 0;
out:
	free(lengths);
	free(buf);
	cw_buf_free(&digests);
	return ret;
}

/* Takes the next item up: 1, also if it is gone. */
static int
begin_item(struct cw_sync_source *s, struct cw_error *err)
{
	struct finding f = {.s = s, .err = err, .fd = -1};
	struct sending *g = &s->sending;
	bool is_same = false;
	int got;

	g->item = s->items[s->item_first++];
	f.item = &g->item;
	if (g->item.ranges > 0) {
		g->range_count = (size_t)g->item.ranges;
		g->ranges =
		    cw_memdup(s->ranges, g->range_count * sizeof(*g->ranges));
		memmove(s->ranges, s->ranges + g->range_count,
		    (s->range_count - g->range_count) * sizeof(*s->ranges));
		s->range_count -= g->range_count;
	}
	if (s->item_first == s->item_count)
		s->item_first = s->item_count = 0;
	if (cw_catalog_each_content(
		s->catalog, g->item.digest, try_entry, &f, err) < 0)
		return -1;
	g->fd = f.fd;
	if (g->fd < 0) {
		struct item item = g->item;

		end_sending(s);
		return send_gone(s, &item, err) < 0 ? -1 : 1;
	}
	s->state.contents++;
	if (g->range_count > 0) {
		g->at = g->ranges[0].offset;
		return 1;
	}
	g->known = f.st;
	if (g->item.offset > 0 || !f.is_as_known)
		g->sha = cw_sha256_new();
	if (g->item.offset > 0 && hash_prefix(s, &is_same, err) < 0)
		return -1;
	if (g->item.chunks && !is_same) {
		got = send_chunks(s, err);
		end_sending(s);
		return got < 0 ? -1 : 1;
	}
	g->item.chunks = false;
	if (g->item.offset == 0)
		return 1;
	g->send_from = is_same ? g->item.offset : 0;
	if (!is_same) {
		cw_sha256_free(g->sha);
		g->sha = cw_sha256_new();
		g->at = 0;
	}
	return 1;
}

/* A piece of the ranges that the replica lacks. */
static int
send_range(struct cw_sync_source *s, struct cw_error *err)
{
	struct sending *g = &s->sending;
	const struct range *r = &g->ranges[g->range_at];
	uint64_t end = r->offset + r->length, from = g->at;
	size_t want = piece_size(s), got = 0;
	bool is_last;
	int ret;

	if (want > end - from)
		want = (size_t)(end - from);
	if (cw_pread_full(g->fd, s->buf, want, from, &got, NULL) < 0 ||
	    got < want) {
		struct item item = g->item;

		end_sending(s);
		return send_gone(s, &item, err) < 0 ? -1 : 1;
	}
	g->at += got;
	if (g->at == end && ++g->range_at < g->range_count)
		g->at = g->ranges[g->range_at].offset;
	is_last = g->range_at == g->range_count;
	ret = send_data(s, &g->item, from, s->buf, got, is_last, false, err);
	if (is_last)
		end_sending(s);
	return ret < 0 ? -1 : 1;
}

/* All of it was read: did it change since it was catalogued? */
static bool
is_what_was_wanted(struct sending *g)
{
	uint8_t digest[CW_SHA256_SIZE];
	struct stat st;

	if (g->sha == NULL)
		return fstat(g->fd, &st) == 0 &&
		       st.st_size == g->known.st_size &&
		       cw_time_ns(st.st_mtim) == cw_time_ns(g->known.st_mtim) &&
		       cw_time_ns(st.st_ctim) == cw_time_ns(g->known.st_ctim);
	cw_sha256_final(g->sha, digest);
	return memcmp(digest, g->item.digest, sizeof(digest)) == 0;
}

static int
send_piece(struct cw_sync_source *s, struct cw_error *err)
{
	struct sending *g = &s->sending;
	uint64_t from = g->at;
	size_t want = piece_size(s), got = 0;
	struct item item = g->item;
	bool is_last;
	int ret;

	if (want > item.size - from)
		want = (size_t)(item.size - from);
	if (cw_pread_full(g->fd, s->buf, want, from, &got, NULL) < 0 ||
	    got < want) {
		end_sending(s);
		return send_gone(s, &item, err) < 0 ? -1 : 1;
	}
	if (g->sha != NULL)
		cw_sha256_update(g->sha, s->buf, got);
	g->at += got;
	is_last = g->at == item.size;
	if (is_last) {
		bool is_wanted = is_what_was_wanted(g);

		end_sending(s);
		if (!is_wanted)
			return send_gone(s, &item, err) < 0 ? -1 : 1;
	}
	ret = send_data(s, &item, from, s->buf, got, is_last, false, err);
	return ret < 0 ? -1 : 1;
}

int
source_data(struct cw_sync_source *s, struct cw_error *err)
{
	if (s->sending.fd < 0) {
		if (s->item_first == s->item_count)
			return 0;
		return begin_item(s, err);
	}
	return s->sending.ranges != NULL ? send_range(s, err)
					 : send_piece(s, err);
}
