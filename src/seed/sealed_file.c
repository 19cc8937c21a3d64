#include "seed/sealed_file.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/progress.h"
#include "formats/volume/volume.h"
#include "formats/zframe/zframe.h"

#include <stdlib.h>
#include <string.h>

/* Makes 2% less of a catalog than what is best for mail. */
#define LEVEL 3

struct sealer {
	struct cw_age_seal *seal;
	int fd;
	uint64_t index;
	uint8_t chunk[CW_AGE_CHUNK];
	size_t len;
	uint8_t sealed[CW_AGE_SEALED_CHUNK];
};

static int
seal_chunk(struct sealer *s, bool is_last, struct cw_error *err)
{
	if (cw_age_seal_chunk(s->seal, s->index++, is_last, s->chunk, s->len,
		s->sealed, err) < 0 ||
	    cw_write_all(s->fd, s->sealed, s->len + CW_AGE_TAG, err) < 0)
		return -1;
	s->len = 0;
	return 0;
}

static int
take(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct sealer *s = arg;

	while (len > 0) {
		size_t n = CW_AGE_CHUNK - s->len;

		/* A full chunk waits: it may turn out to be the last. */
		if (n == 0) {
			if (seal_chunk(s, false, err) < 0)
				return -1;
			continue;
		}
		n = n < len ? n : len;
		memcpy(s->chunk + s->len, data, n);
		s->len += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int
compress(int fd, struct cw_zframe_writer *w, struct cw_error *err)
{
	uint8_t *buf = cw_malloc(1u << 20);
	size_t got = 0;
	int ret;

	ret = cw_zframe_begin(w, CW_ZFRAME_SHORT, err);
	while (ret == 0) {
		ret = cw_read_full(fd, buf, 1u << 20, &got, err);
		if (ret < 0 || got == 0)
			break;
		ret = cw_zframe_write(w, buf, got, err);
		if (ret == 0)
			ret = cw_stop_check(err);
	}
	if (ret == 0)
		ret = cw_zframe_end(w, err);
	free(buf);
	return ret;
}

int
cw_sealed_file_write(int plain_fd, int out_fd,
    const struct cw_age_recipient *recipients, size_t count,
    struct cw_error *err)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(LEVEL);
	struct sealer *s = cw_calloc(1, sizeof(*s));
	const uint8_t *header;
	uint64_t size, plain;
	size_t header_len;
	int ret = -1;

	s->fd = out_fd;
	if (cw_age_seal_new(recipients, count, &s->seal, err) < 0)
		goto out;
	header = cw_age_seal_header(s->seal, &header_len);
	if (cw_write_all(out_fd, header, header_len, err) < 0)
		goto out;
	cw_zframe_start(w, take, s);
	if (compress(plain_fd, w, err) < 0)
		goto out;
	size = cw_volume_last_size(header_len,
	    cw_age_file_size(header_len, cw_zframe_least(w)));
	if (!cw_age_plain_size(header_len, size, &plain)) {
		cw_error_set(err, CW_ERR_FAILED,
		    "no age file has %llu bytes", (unsigned long long)size);
		goto out;
	}
	if (cw_zframe_finish(w, plain, err) < 0 ||
	    seal_chunk(s, true, err) < 0)
		goto out;
	ret = 0;
out:
	cw_age_seal_free(s->seal);
	cw_zframe_writer_free(w);
	explicit_bzero(s, sizeof(*s));
	free(s);
	return ret;
}

struct opener {
	struct cw_age_open *open;
	int fd;
	uint64_t index;
	uint8_t sealed[2 * CW_AGE_SEALED_CHUNK]; /* two chunks: what follows a
						    chunk shows it is not the
						    last */
	size_t sealed_len;
	bool is_end, is_done;
	uint8_t plain[CW_AGE_CHUNK];
	size_t plain_pos, plain_len;
};

static int
open_chunk(struct opener *o, struct cw_error *err)
{
	size_t got, len;

	if (!o->is_end) {
		if (cw_read_full(o->fd, o->sealed + o->sealed_len,
			sizeof(o->sealed) - o->sealed_len, &got, err) < 0)
			return -1;
		o->sealed_len += got;
		o->is_end = o->sealed_len < sizeof(o->sealed);
	}
	o->is_done = o->is_end && o->sealed_len <= CW_AGE_SEALED_CHUNK;
	len = o->sealed_len < CW_AGE_SEALED_CHUNK ? o->sealed_len :
						   CW_AGE_SEALED_CHUNK;
	if (len < CW_AGE_TAG)
		return cw_error_set(err, CW_ERR_DAMAGED, "it is cut short");
	if (cw_age_open_chunk(o->open, o->index++, o->is_done, o->sealed, len,
		o->plain, err) < 0)
		return -1;
	o->sealed_len -= len;
	memmove(o->sealed, o->sealed + len, o->sealed_len);
	o->plain_pos = 0;
	o->plain_len = len - CW_AGE_TAG;
	return 0;
}

static int
give(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct opener *o = arg;
	size_t n;

	if (o->plain_pos == o->plain_len && !o->is_done &&
	    open_chunk(o, err) < 0)
		return -1;
	n = o->plain_len - o->plain_pos;
	n = n < cap ? n : cap;
	memcpy(buf, o->plain + o->plain_pos, n);
	o->plain_pos += n;
	*got = n;
	return 0;
}

int
cw_sealed_file_read(int sealed_fd, int out_fd,
    const struct cw_age_identity *identity, uint64_t max, struct cw_error *err)
{
	struct cw_zframe_reader *r = cw_zframe_reader_new();
	struct opener *o = cw_calloc(1, sizeof(*o));
	const uint8_t *data;
	size_t len, offset;
	int ret = -1;

	o->fd = sealed_fd;
	if (cw_read_full(sealed_fd, o->sealed, CW_AGE_HEADER_MAX, &len, err) <
		0 ||
	    cw_age_open_new(o->sealed, len, identity, NULL, &o->open, &offset,
		err) < 0)
		goto out;
	o->sealed_len = len - offset;
	memmove(o->sealed, o->sealed + offset, o->sealed_len);
	cw_zframe_reader_start(r, max, give, o);
	do {
		if (cw_zframe_next(r, &data, &len, err) < 0 ||
		    cw_write_all(out_fd, data, len, err) < 0 ||
		    cw_stop_check(err) < 0)
			goto out;
	} while (len > 0);
	ret = 0;
out:
	cw_age_open_free(o->open);
	explicit_bzero(o, sizeof(*o));
	free(o);
	cw_zframe_reader_free(r);
	return ret;
}
