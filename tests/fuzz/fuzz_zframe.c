/*
 * The reader of zstd frames.  What it accepts has a seek table that the table
 * decoder reads alike, and comes back when it is written and read again.
 */
#include "base/buf.h"
#include "formats/zframe/zframe.h"
#include "tests/fuzz/bytes.h"

#include <stdlib.h>
#include <string.h>

#define MAX (1u << 20)

static int
read_all(const uint8_t *data, size_t len, struct cw_buf *out)
{
	static struct cw_zframe_reader *r;
	struct source s = {data, len};
	const uint8_t *piece;
	size_t piece_len;

	if (r == NULL)
		r = cw_zframe_reader_new();
	cw_zframe_reader_start(r, MAX, take, &s);
	do {
		if (cw_zframe_next(r, &piece, &piece_len, NULL) < 0)
			return -1;
		cw_buf_append(out, piece, piece_len);
	} while (piece_len > 0);
	return 0;
}

static void
check_table(const uint8_t *data, size_t len, uint64_t size)
{
	uint64_t table = cw_zframe_table_size(data + len - 9);
	struct cw_zframe_entry *entries;
	size_t count;
	uint64_t sum = 0;

	if (table == 0 || table > len ||
	    cw_zframe_table_decode(
		data + len - table, (size_t)table, &entries, &count, NULL) < 0)
		abort();
	for (size_t i = 0; i < count; i++)
		sum += entries[i].size;
	if (sum != size)
		abort();
	free(entries);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cw_zframe_writer *w;
	struct cw_buf content = CW_BUF_INIT, packed = CW_BUF_INIT;
	struct cw_buf again = CW_BUF_INIT;
	enum cw_zframe_kind kind = (enum cw_zframe_kind)(len % 3);
	struct cw_zframe_entry *entries;
	size_t count;

	if (w == NULL)
		w = cw_zframe_writer_new(1);
	if (cw_zframe_table_decode(data, len, &entries, &count, NULL) == 0)
		free(entries);
	if (read_all(data, len, &content) == 0) {
		check_table(data, len, content.len);
		cw_zframe_start(w, append, &packed);
		if (cw_zframe_begin(w, kind, NULL) < 0 ||
		    cw_zframe_write(w, content.data, content.len, NULL) < 0 ||
		    cw_zframe_end(w, NULL) < 0 ||
		    cw_zframe_finish(w, cw_zframe_least(w), NULL) < 0 ||
		    read_all(packed.data, packed.len, &again) < 0 ||
		    again.len != content.len ||
		    (again.len > 0 &&
			memcmp(again.data, content.data, again.len) != 0))
			abort();
	}
	cw_buf_free(&content);
	cw_buf_free(&packed);
	cw_buf_free(&again);
	return 0;
}
