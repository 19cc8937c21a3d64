#include "formats/volume/volume.h"

#include "base/buf.h"
#include "base/text.h"
#include "formats/volume/ahead.h"
#include "formats/volume/entry.h"
#include "formats/volume/header.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sealed chunks that are read at once. */
#define SEALED_CAP (16u * CW_AGE_SEALED_CHUNK)
/* What the tar reader gets at once, and so what it may read too much. */
#define SLICE (256u << 10)
/*
 * What the headers of one member may take: the limits of member.h in worst
 * case.  It also bounds the memory that they cost libarchive.
 */
#define HEADERS_MAX (4u << 20)

_Static_assert(CW_ZFRAME_SOURCE_MIN >= CW_AGE_CHUNK,
    "a chunk is opened into the space that frames offer");
_Static_assert(SEALED_CAP >= CW_AGE_HEADER_MAX, "a header is read at once");

enum state {
	CLOSED,
	FRESH, /* the tar reader has not been started */
	OPEN,
	AT_END, /* behind the end of the archive */
	DONE,
	FAILED,
};

struct cw_volume_reader {
	enum state state;
	struct cw_error why; /* of the source, where libarchive cannot say */
	cw_volume_source_fn *source;
	void *arg;

	struct cw_age_open *age; /* NULL where unsealed */
	uint8_t *sealed;	 /* SEALED_CAP */
	size_t sealed_pos;
	size_t sealed_len;
	bool is_eof;   /* of the source */
	bool was_last; /* the last chunk has been opened */
	uint64_t chunk;

	struct cw_zframe_reader *frames;
	struct cw_ahead *ahead; /* NULL: nothing is read ahead */
	const uint8_t *slice;	/* decompressed, not given to the tar reader */
	size_t slice_len;
	uint64_t given;

	struct archive *tar;
	bool in_headers;
	uint64_t header_bytes;
	const char *name; /* of the member */
	uint64_t size;	  /* of its content */
	uint64_t at;	  /* end of the last block */
	uint64_t left;	  /* bytes that blocks still must give */

	struct cw_entry *entry;
};

struct cw_volume_reader *
cw_volume_reader_new(void)
{
	struct cw_volume_reader *r = cw_calloc(1, sizeof(*r));

	r->sealed = cw_malloc(SEALED_CAP);
	r->frames = cw_zframe_reader_new();
	r->entry = cw_entry_new();
	return r;
}

void
cw_volume_reader_go_ahead(struct cw_volume_reader *r)
{
	if (r->ahead == NULL)
		r->ahead = cw_ahead_new();
}

void
cw_volume_reader_stop(struct cw_volume_reader *r)
{
	/* Before all that its thread makes use of. */
	cw_ahead_stop(r->ahead);
	cw_age_open_free(r->age);
	r->age = NULL;
	if (r->tar != NULL)
		archive_read_free(r->tar);
	r->tar = NULL;
	r->state = CLOSED;
}

void
cw_volume_reader_free(struct cw_volume_reader *r)
{
	if (r == NULL)
		return;
	cw_volume_reader_stop(r);
	cw_ahead_free(r->ahead);
	cw_zframe_reader_free(r->frames);
	cw_entry_free(r->entry);
	free(r->sealed);
	free(r);
}

/* ---- age ---- */

/* Reads until `sealed` is full or the source has ended. */
static int
refill(struct cw_volume_reader *r, struct cw_error *err)
{
	r->sealed_len -= r->sealed_pos;
	memmove(r->sealed, r->sealed + r->sealed_pos, r->sealed_len);
	r->sealed_pos = 0;
	while (!r->is_eof && r->sealed_len < SEALED_CAP) {
		size_t got;

		if (r->source(r->arg, r->sealed + r->sealed_len,
			SEALED_CAP - r->sealed_len, &got, err) < 0)
			return -1;
		r->sealed_len += got;
		r->is_eof = got == 0;
	}
	return 0;
}

/* The source of the frames: opens chunks as long as whole ones have room. */
static int
open_chunks(
    void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct cw_volume_reader *r = arg;

	*got = 0;
	while (!r->was_last && cap - *got >= CW_AGE_CHUNK) {
		size_t len = r->sealed_len - r->sealed_pos;

		/* More than a chunk shows that it is not the last. */
		if (len <= CW_AGE_SEALED_CHUNK && !r->is_eof) {
			if (refill(r, err) < 0)
				return -1;
			len = r->sealed_len;
		}
		r->was_last = len <= CW_AGE_SEALED_CHUNK;
		if (!r->was_last)
			len = CW_AGE_SEALED_CHUNK;
		if (len <= CW_AGE_TAG)
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "the sealed file ends within chunk %llu",
			    (unsigned long long)r->chunk);
		if (cw_age_open_chunk(r->age, r->chunk, r->was_last,
			r->sealed + r->sealed_pos, len, buf + *got, err) < 0)
			return -1;
		r->chunk++;
		r->sealed_pos += len;
		*got += len - CW_AGE_TAG;
	}
	return 0;
}

static void
start(struct cw_volume_reader *r, cw_volume_source_fn *source, void *arg)
{
	cw_volume_reader_stop(r);
	r->why.code = CW_OK;
	r->source = source;
	r->arg = arg;
	r->sealed_pos = 0;
	r->sealed_len = 0;
	r->is_eof = false;
	r->was_last = false;
	r->chunk = 0;
	r->slice_len = 0;
	r->given = 0;
	r->in_headers = true;
	r->header_bytes = 0;
}

int
cw_volume_reader_open(struct cw_volume_reader *r,
    const struct cw_age_identity *id, uint64_t max_tar,
    cw_volume_source_fn *source, void *arg, struct cw_error *err)
{
	start(r, source, arg);
	if (refill(r, err) < 0 || cw_age_open_new(r->sealed, r->sealed_len, id,
				      NULL, &r->age, &r->sealed_pos, err) < 0)
		return -1;
	cw_zframe_reader_start(r->frames, max_tar, open_chunks, r);
	if (r->ahead != NULL)
		cw_ahead_start(r->ahead, r->frames);
	r->state = FRESH;
	return 0;
}

void
cw_volume_reader_open_unsealed(struct cw_volume_reader *r, uint64_t max_tar,
    cw_volume_source_fn *source, void *arg)
{
	start(r, source, arg);
	cw_zframe_reader_start(r->frames, max_tar, source, arg);
	if (r->ahead != NULL)
		cw_ahead_start(r->ahead, r->frames);
	r->state = FRESH;
}

/* ---- tar ---- */

static int
fail(struct cw_volume_reader *r, struct cw_error *err)
{
	const char *what = archive_error_string(r->tar);

	r->state = FAILED;
	if (r->why.code != CW_OK) {
		if (err != NULL)
			*err = r->why;
		return -1;
	}
	return cw_error_set(err, CW_ERR_DAMAGED, "tar, byte %llu: %s",
	    (unsigned long long)archive_filter_bytes(r->tar, 0),
	    what == NULL ? "not as we write it" : what);
}

/* Content that is not what the member's header says. */
static int
refuse(struct cw_volume_reader *r, const char *what, struct cw_error *err)
{
	char name[CW_QUOTE_MAX];

	r->state = FAILED;
	cw_text_quote(r->name, strlen(r->name), name);
	return cw_error_set(err, CW_ERR_DAMAGED, "member %s: %s", name, what);
}

static int
next_content(struct cw_volume_reader *r, const uint8_t **data, size_t *len,
    struct cw_error *err)
{
	return r->ahead != NULL ? cw_ahead_next(r->ahead, data, len, err)
				: cw_zframe_next(r->frames, data, len, err);
}

/* libarchive's read callback. */
static la_ssize_t
give_tar(struct archive *a, void *arg, const void **data)
{
	struct cw_volume_reader *r = arg;
	size_t len;

	if (r->slice_len == 0 &&
	    next_content(r, &r->slice, &r->slice_len, &r->why) < 0)
		goto failed;
	len = r->slice_len < SLICE ? r->slice_len : SLICE;
	if (r->in_headers) {
		r->header_bytes += len;
		if (r->header_bytes > HEADERS_MAX) {
			(void)cw_error_set(&r->why, CW_ERR_DAMAGED,
			    "tar: a member's headers are too long");
			goto failed;
		}
	}
	*data = r->slice;
	r->slice += len;
	r->slice_len -= len;
	r->given += len;
	return (la_ssize_t)len;
failed:
	archive_set_error(a, EIO, "%s", r->why.message);
	return ARCHIVE_FATAL;
}

static int
start_tar(struct cw_volume_reader *r, struct cw_error *err)
{
	r->tar = archive_read_new();
	if (r->tar == NULL)
		abort();
	if (archive_read_support_filter_none(r->tar) != ARCHIVE_OK ||
	    archive_read_support_format_tar(r->tar) != ARCHIVE_OK ||
	    archive_read_set_read_callback(r->tar, give_tar) != ARCHIVE_OK ||
	    archive_read_set_callback_data(r->tar, r) != ARCHIVE_OK ||
	    archive_read_open1(r->tar) != ARCHIVE_OK)
		return fail(r, err);
	r->state = OPEN;
	return 0;
}

/* What the header says becomes what the blocks must agree with. */
static int
get_member(struct cw_volume_reader *r, struct archive_entry *e,
    struct cw_member *m, struct cw_error *err)
{
	if (cw_entry_decode(r->entry, e, m, err) < 0) {
		r->state = FAILED;
		return -1;
	}
	r->name = m->path;
	r->size = m->size;
	r->at = 0;
	r->left = m->size;
	if (m->is_sparse) {
		r->left = 0;
		for (size_t i = 0; i < m->range_count; i++)
			r->left += m->ranges[i].len;
	}
	return 0;
}

/*
 * The end is two blocks of zeros.  libarchive would also take one, none, or
 * more bytes behind them.
 */
static int
check_end(struct cw_volume_reader *r, struct cw_error *err)
{
	uint64_t end = (uint64_t)archive_filter_bytes(r->tar, 0);
	uint64_t header = (uint64_t)archive_read_header_position(r->tar);

	if (end - header != 2 * (uint64_t)CW_TAR_BLOCK) {
		r->state = FAILED;
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "tar, byte %llu: no end of the archive",
		    (unsigned long long)header);
	}
	if (end != r->given || r->slice_len > 0) {
		r->state = FAILED;
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "tar, byte %llu: bytes behind the end of the archive",
		    (unsigned long long)end);
	}
	r->state = AT_END;
	return 0;
}

int
cw_volume_next(struct cw_volume_reader *r, struct cw_member *m, bool *end,
    struct cw_error *err)
{
	struct archive_entry *e;
	int ret;

	*end = false;
	if (r->state == AT_END || r->state == DONE) {
		*end = true;
		return 0;
	}
	if (r->state == FRESH && start_tar(r, err) < 0)
		return -1;
	if (r->state != OPEN)
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "volume: read on after a failure");
	if (!r->in_headers && archive_read_data_skip(r->tar) != ARCHIVE_OK)
		return fail(r, err);
	r->in_headers = true;
	r->header_bytes = 0;
	ret = archive_read_next_header(r->tar, &e);
	if (ret == ARCHIVE_EOF) {
		*end = true;
		return check_end(r, err);
	}
	/* A warning is about something that our writer does not do. */
	if (ret != ARCHIVE_OK)
		return fail(r, err);
	r->in_headers = false;
	return get_member(r, e, m, err);
}

int
cw_volume_read_block(struct cw_volume_reader *r, const uint8_t **data,
    size_t *len, uint64_t *offset, bool *end, struct cw_error *err)
{
	const void *block;
	la_int64_t at;
	int ret;

	*end = false;
	if (r->state != OPEN || r->in_headers)
		return cw_error_set(err, CW_ERR_FAILED,
		    "volume: content read where there is none");
	do {
		ret = archive_read_data_block(r->tar, &block, len, &at);
		if (ret == ARCHIVE_EOF) {
			*len = 0;
			*end = true;
			/* Contradictory records of holes can have this. */
			if (r->left > 0)
				return refuse(r,
				    "less content than "
				    "it says",
				    err);
			return 0;
		}
		if (ret != ARCHIVE_OK)
			return fail(r, err);
	} while (*len == 0);
	if (*len > r->left || at < 0 || (uint64_t)at < r->at ||
	    (uint64_t)at > r->size || *len > r->size - (uint64_t)at)
		return refuse(r, "content outside of the file", err);
	*data = block;
	*offset = (uint64_t)at;
	r->left -= *len;
	r->at = *offset + *len;
	return 0;
}

int
cw_volume_reader_finish(struct cw_volume_reader *r, struct cw_error *err)
{
	const uint8_t *data;
	size_t len;

	if (r->state == DONE)
		return 0;
	if (r->state != AT_END)
		return cw_error_set(
		    err, CW_ERR_DAMAGED, "volume: not read to its end");
	r->state = FAILED;
	if (next_content(r, &data, &len, err) < 0)
		return -1;
	if (len > 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "zstd frames behind the end of the archive");
	cw_volume_reader_stop(r);
	r->state = DONE;
	return 0;
}
