/*
 * Contents: what lacks is asked for, and what comes goes to staging.  Of a file
 * that was appended to only the tail is sent: we say what we have of it by its
 * length and SHA-256.  Of a large one that changed elsewhere the chunks are
 * asked for first, and then those that our version does not have.
 */
#include "sync/follower_impl.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

/* Smaller files are sent whole rather than asked about twice. */
#define CHUNKS_FROM (256u << 10)
/* Above this the list of chunks would take too much memory. */
#define CHUNKS_UP_TO (16ull << 30)

void
follower_free_want(struct cw_follower *f, struct want *w)
{
	if (f->current == w)
		f->current = NULL;
	/* Nobody else may write to it any more. */
	if (w->is_plain && w->writer != NULL)
		(void)follower_settle(f, NULL);
	cw_staging_abandon(w->writer);
	cw_close(&w->base_fd);
	free(w->path);
	free(w->chunks);
	f->chunks -= w->chunk_count;
	f->want_bytes -= w->size - w->offset;
	f->want_count--;
	memset(w, 0, sizeof(*w));
}

int
follower_settle(struct cw_follower *f, struct cw_error *err)
{
	uint64_t damaged = 0;
	int ret = cw_intake_drain(f->intake, &damaged, err);

	f->has_gone = f->has_gone || damaged > 0;
	return ret;
}

void
follower_drop_wants(struct cw_follower *f)
{
	for (size_t i = 0; i < WANTS_MAX; i++)
		if (f->wants[i].id != 0)
			follower_free_want(f, &f->wants[i]);
}

struct want *
follower_find_want(struct cw_follower *f, uint32_t id)
{
	if (f->current != NULL && f->current->id == id)
		return f->current;
	for (size_t i = 0; i < WANTS_MAX; i++)
		if (f->wants[i].id == id && id != 0)
			return &f->wants[i];
	return NULL;
}

static bool
is_coming(const struct cw_follower *f, const uint8_t digest[CW_DIGEST_SIZE])
{
	for (size_t i = 0; i < WANTS_MAX; i++)
		if (f->wants[i].id != 0 &&
		    memcmp(f->wants[i].digest, digest, CW_DIGEST_SIZE) == 0)
			return true;
	return cw_intake_holds(f->intake, digest);
}

static bool
has_room(const struct cw_follower *f)
{
	return f->want_count < WANTS_MAX && f->want_bytes < WANTS_BYTES_MAX &&
	       f->chunks < CHUNKS_MAX / 4;
}

int
follower_send_want(struct cw_follower *f, Cw__Item *item, struct cw_error *err)
{
	Cw__Want m = CW__WANT__INIT;

	m.store = f->o.store;
	m.n_items = 1;
	m.items = &item;
	return follower_send(f, CW_FRAME_WANT, &m.base, err);
}

/*
 * The version that we have of the file: its length and digest, which is that
 * of a prefix if the file was only appended to.  1 if there is none.
 */
static int
find_base(struct cw_follower *f, const char *path, struct cw_entry *out,
    struct cw_error *err)
{
	int got =
	    cw_catalog_lookup_path(f->catalog, path, strlen(path), out, err);

	if (got != 0)
		return got;
	return out->kind == CW_KIND_FILE && out->has_digest && out->size > 0
		   ? 0
		   : 1;
}

/*
 * Our older version: most often it was appended to.  Of a large file that was
 * not, the chunks come.  A part that staging has is as good as a prefix once it
 * is the longer one; before that, what follows it may be in our version.
 */
static void
use_base(
    struct want *w, const struct cw_entry *base, uint8_t prefix[CW_SHA256_SIZE])
{
	uint64_t part = w->offset;

	if (part > 0 && part >= base->size)
		return;
	w->in_chunks = w->size >= CHUNKS_FROM && w->size <= CHUNKS_UP_TO &&
		       base->size <= CHUNKS_UP_TO;
	if (w->in_chunks) {
		w->kept = part;
		w->offset = 0;
	}
	if (part == 0 && base->size <= w->size) {
		w->from_base = true;
		w->offset = base->size;
		memcpy(prefix, base->digest, CW_SHA256_SIZE);
	}
}

static int
ask(struct cw_follower *f, const uint8_t digest[CW_DIGEST_SIZE], uint64_t size,
    const char *path, const struct cw_look *look, bool with_base,
    struct cw_error *err)
{
	Cw__Item item = CW__ITEM__INIT;
	uint8_t prefix[CW_SHA256_SIZE];
	struct cw_entry base;
	struct want *w = f->wants;
	int got;

	while (w->id != 0)
		w++;
	memset(w, 0, sizeof(*w));
	w->base_fd = -1;
	w->size = size;
	w->look = *look;
	got = cw_staging_partial(
	    f->replica.staging, digest, &w->offset, prefix, err);
	if (got < 0)
		return -1;
	if (got == 1 || w->offset > size)
		w->offset = 0;
	if (with_base && (got = find_base(f, path, &base, err)) < 0)
		return -1;
	if (with_base && got == 0)
		use_base(w, &base, prefix);
	/* Contents of all stores share the numbers of a link. */
	w->id = f->o.store << CW_WANT_BITS | f->next_id;
	f->next_id = f->next_id % ((1u << CW_WANT_BITS) - 1) + 1;
	memcpy(w->digest, digest, CW_DIGEST_SIZE);
	w->path = cw_strdup(path);
	f->want_count++;
	f->want_bytes += w->size - w->offset;
	item.id = w->id;
	item.digest.data = w->digest;
	item.digest.len = CW_DIGEST_SIZE;
	item.size = size;
	item.offset = w->offset;
	item.chunks = w->in_chunks;
	if (w->offset > 0) {
		item.prefix.data = prefix;
		item.prefix.len = sizeof(prefix);
	}
	return follower_send_want(f, &item, err);
}

static bool
is_before(const struct cw_want_cursor *a, const struct cw_want_cursor *b)
{
	if (a->wish != b->wish)
		return a->wish < b->wish;
	return a->key != b->key ? a->key < b->key : a->row < b->row;
}

/* It is asked for when there is room; the cursor may be beyond it. */
static void
pass_over(struct cw_follower *f, const struct cw_entry *e)
{
	struct cw_want_cursor at = f->cursor;

	f->has_more = true;
	cw_incoming_want_from(e, &at);
	if (!is_before(&at, &f->cursor) ||
	    (f->has_passed && is_before(&f->passed, &at)))
		return;
	f->has_passed = true;
	f->passed = at;
}

int
follower_want(
    struct cw_follower *f, const struct cw_change *ch, struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT;
	struct cw_look look;
	int got = cw_incoming_lacks(f->replica.incoming, &f->replica, ch, err);

	if (got <= 0 || is_coming(f, ch->e.digest))
		return got < 0 ? -1 : 0;
	if (!has_room(f)) {
		pass_over(f, &ch->e);
		return 0;
	}
	if (ch->dir_path_len > 0)
		cw_buf_printf(&path, "%s/", ch->dir_path);
	cw_buf_append(&path, ch->e.name, ch->e.name_len);
	cw_place_look(f->place, &ch->e, &look);
	got = ask(f, ch->e.digest, ch->e.size, cw_buf_string(&path), &look,
	    true, err);
	cw_buf_free(&path);
	return got;
}

void
follower_begin_wants(struct cw_follower *f)
{
	f->has_more = cw_incoming_info(f->replica.incoming)->rows > 0;
	f->has_passed = false;
	/* In a session without any, what comes with its row is here. */
	f->cursor = (struct cw_want_cursor){.skips_come = !f->has_more};
}

int
follower_want_more(struct cw_follower *f, struct cw_error *err)
{
	struct cw_want want;

	/* Not for every content that comes: when half of them are here. */
	if (!f->has_more || f->want_count > WANTS_MAX / 2 ||
	    f->want_bytes > WANTS_BYTES_MAX / 2)
		return 0;
	while (has_room(f)) {
		struct cw_buf path = CW_BUF_INIT;
		int got = cw_incoming_next_want(
		    f->replica.incoming, &f->replica, &f->cursor, &want, err);

		if (got < 0)
			return -1;
		if (got == 0 && f->has_passed) {
			f->cursor = f->passed;
			f->has_passed = false;
			continue;
		}
		if (got == 0) {
			f->has_more = false;
			return 0;
		}
		if (is_coming(f, want.digest))
			continue;
		cw_buf_append(&path, want.path, want.path_len);
		got = ask(f, want.digest, want.size, cw_buf_string(&path),
		    &want.look, true, err);
		cw_buf_free(&path);
		if (got < 0)
			return -1;
	}
	return 0;
}

/* Asks again for all of it, without what we have, which does not fit. */
static int
ask_whole(struct cw_follower *f, struct want *w, struct cw_error *err)
{
	uint8_t digest[CW_DIGEST_SIZE];
	struct cw_look look = w->look;
	uint64_t size = w->size;
	char *path = w->path;
	int ret;

	w->path = NULL;
	memcpy(digest, w->digest, sizeof(digest));
	follower_free_want(f, w);
	ret = cw_staging_discard(f->replica.staging, digest, err);
	if (ret == 0)
		ret = ask(f, digest, size, path, &look, false, err);
	free(path);
	return ret;
}

int
follower_begin_data(struct cw_follower *f, struct want *w, uint64_t offset,
    struct cw_error *err)
{
	struct cw_staging *s = f->replica.staging;
	int got;

	f->current = w;
	if (w->chunks != NULL)
		return cw_staging_begin_at(
		    s, w->digest, w->size, w->kept, &w->writer, err);
	if (offset != 0 && offset != w->offset)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a content from a place that was not asked");
	w->is_plain = offset == 0;
	if (offset == 0 || !w->from_base)
		return cw_staging_begin_at(
		    s, w->digest, w->size, offset, &w->writer, err);
	got = cw_place_open(f->place, w->path, &w->base_fd, err);
	if (got != 0)
		return got < 0 ? -1 : 1;
	return cw_staging_begin_from(
	    s, w->digest, w->size, w->base_fd, offset, &w->writer, err);
}

/* The chunks that our version has, up to `until`. */
static int
copy_chunks(struct want *w, uint64_t until, struct cw_error *err)
{
	while (w->chunk_at < w->chunk_count) {
		const struct chunk *c = &w->chunks[w->chunk_at];

		if (c->offset >= until)
			return 0;
		if (c->has_base && cw_staging_copy(w->writer, w->base_fd,
				       c->base_offset, c->len, err) < 0)
			return -1;
		w->chunk_at++;
	}
	return 0;
}

int
follower_finish_want(
    struct cw_follower *f, struct want *w, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	int ret;

	if (w->chunks != NULL && copy_chunks(w, w->size, err) < 0)
		return -1;
	ret = w->is_plain ? cw_intake_finish(
				f->intake, w->writer, w->digest, &w->look, &why)
			  : cw_staging_finish(w->writer, &w->look, &why);
	w->writer = NULL;
	if (ret == 0) {
		f->uncommitted += w->size;
		f->state.contents++;
		follower_free_want(f, w);
		return 0;
	}
	if (why.code != CW_ERR_DAMAGED) {
		if (err != NULL)
			*err = why;
		return -1;
	}
	/* What we had of it was not what we took it for. */
	if (w->from_base || w->chunks != NULL || w->offset > 0)
		return ask_whole(f, w, err);
	f->has_gone = true;
	follower_free_want(f, w);
	return 0;
}

static uint64_t
bytes_taken(const struct want *w)
{
	return w->is_plain ? w->at : cw_staging_at(w->writer);
}

static int
take_bytes(struct cw_follower *f, struct want *w, const uint8_t *bytes,
    size_t len, struct cw_error *err)
{
	if (!w->is_plain)
		return cw_staging_write(w->writer, bytes, len, err);
	if (len > w->size - w->at)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a content of %llu bytes got more than that from the "
		    "peer",
		    (unsigned long long)w->size);
	w->at += len;
	return cw_intake_write(f->intake, w->writer, bytes, len, err);
}

int
follower_data(struct cw_follower *f, struct cw_wire_reader *reader,
    const Cw__Data *data, struct cw_error *err)
{
	struct want *w = follower_find_want(f, data->id);
	const uint8_t *bytes;
	size_t len;
	int got;

	if (w == NULL)
		return 0; /* of a want that we took back */
	if (data->gone) {
		f->has_gone = true;
		follower_free_want(f, w);
		return 0;
	}
	if (w->in_chunks && (!w->from_base || w->chunk_count > 0))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent a content whose chunks were asked for");
	w->in_chunks = false; /* the prefix fitted */
	if (w->writer == NULL &&
	    (got = follower_begin_data(f, w, data->offset, err)) != 0)
		return got < 0 ? -1 : ask_whole(f, w, err);
	if (w->chunks != NULL && copy_chunks(w, data->offset, err) < 0)
		return -1;
	if (cw_wire_content(reader, data->coding, &data->payload,
		CW_WIRE_PAYLOAD_MAX, &bytes, &len, err) < 0)
		return -1;
	if (bytes_taken(w) != data->offset)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sent byte %llu of a content where %llu was due",
		    (unsigned long long)data->offset,
		    (unsigned long long)bytes_taken(w));
	if (take_bytes(f, w, bytes, len, err) < 0)
		return -1;
	/* What came in its place need not be copied. */
	while (w->chunks != NULL && w->chunk_at < w->chunk_count &&
	       w->chunks[w->chunk_at].offset < cw_staging_at(w->writer))
		w->chunk_at++;
	return data->last ? follower_finish_want(f, w, err) : 0;
}
