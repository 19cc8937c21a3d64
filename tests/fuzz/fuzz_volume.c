/*
 * The reader of volumes, without sealing.  The first byte says whether the rest
 * is the plaintext of a volume or bare tar, which is packed into a frame first.
 * What is accepted is written again, and must then come back as written.
 */
#include "base/buf.h"
#include "formats/volume/header.h"
#include "formats/volume/volume.h"
#include "tests/fuzz/bytes.h"

#include <stdlib.h>
#include <string.h>

#define MAX (4u << 20)

static void
append_zeros(struct cw_buf *tar, size_t len)
{
	memset(cw_buf_reserve(tar, len), 0, len);
	tar->len += len;
}

/* Reads a volume and makes the tar that our writer would have made of it. */
static int
read_all(struct cw_volume_reader *r, const uint8_t *data, size_t len,
    struct cw_buf *tar)
{
	struct source s = {data, len};
	struct cw_member m;
	bool end;

	cw_volume_reader_open_unsealed(r, MAX, take, &s);
	for (;;) {
		uint64_t stored, got = 0;

		if (cw_volume_next(r, &m, &end, NULL) < 0)
			return -1;
		if (end)
			break;
		if (cw_member_check(&m, NULL) < 0)
			abort();
		stored = cw_header_encode(&m, tar);
		if (tar->len > 2 * MAX)
			return -1;
		for (;;) {
			const uint8_t *block;
			uint64_t offset;
			size_t n;

			if (cw_volume_read_block(
				r, &block, &n, &offset, &end, NULL) < 0)
				return -1;
			if (end)
				break;
			cw_buf_append(tar, block, n);
			got += n;
		}
		if (got != stored)
			abort();
		append_zeros(tar,
		    (CW_TAR_BLOCK - tar->len % CW_TAR_BLOCK) % CW_TAR_BLOCK);
	}
	append_zeros(tar, 2 * CW_TAR_BLOCK);
	return cw_volume_reader_finish(r, NULL);
}

static void
pack(const uint8_t *tar, size_t len, struct cw_buf *out)
{
	static struct cw_zframe_writer *w;

	if (w == NULL)
		w = cw_zframe_writer_new(1);
	cw_zframe_start(w, append, out);
	if (cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL) < 0 ||
	    cw_zframe_write(w, tar, len, NULL) < 0 ||
	    cw_zframe_end(w, NULL) < 0 ||
	    cw_zframe_finish(w, cw_zframe_least(w), NULL) < 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cw_volume_reader *r;
	struct cw_buf packed = CW_BUF_INIT, tar = CW_BUF_INIT;
	struct cw_buf again = CW_BUF_INIT;
	int ret;

	if (len == 0)
		return 0;
	if (r == NULL)
		r = cw_volume_reader_new();
	if (data[0] & 1) {
		ret = read_all(r, data + 1, len - 1, &tar);
	} else {
		pack(data + 1, len - 1, &packed);
		ret = read_all(r, packed.data, packed.len, &tar);
	}
	if (ret == 0 && tar.len <= MAX) {
		cw_buf_reset(&packed);
		pack(tar.data, tar.len, &packed);
		if (read_all(r, packed.data, packed.len, &again) < 0 ||
		    again.len != tar.len ||
		    memcmp(again.data, tar.data, tar.len) != 0)
			abort();
	}
	cw_buf_free(&packed);
	cw_buf_free(&tar);
	cw_buf_free(&again);
	return 0;
}
