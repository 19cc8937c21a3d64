#include "base/buf.h"
#include "base/bytes.h"
#include "formats/zframe/zframe.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

static int
append(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	(void)err;
	cw_buf_append(arg, data, len);
	return 0;
}

static int
refuse(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	(void)arg, (void)data, (void)len;
	return cw_error_set(err, CW_ERR_NOSPACE, "full");
}

struct source {
	const uint8_t *data;
	size_t len;
	size_t step; /* bytes a call at most */
};

static int
take(void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err)
{
	struct source *s = arg;

	(void)err;
	ck_assert_uint_ge(cap, CW_ZFRAME_SOURCE_MIN);
	*got = s->len < cap ? s->len : cap;
	if (*got > s->step)
		*got = s->step;
	memcpy(buf, s->data, *got);
	s->data += *got;
	s->len -= *got;
	return 0;
}

/* Bytes that zstd cannot make smaller, the same in each run. */
static void
noise(struct cw_buf *buf, size_t len, uint64_t seed)
{
	uint8_t *to = cw_buf_reserve(buf, len);

	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		to[i] = (uint8_t)(seed >> 56);
	}
	buf->len += len;
}

/* Reads all of it back; -1 with the error of the reader. */
static int
read_all(const struct cw_buf *packed, size_t step, uint64_t max,
    struct cw_buf *out, struct cw_error *err)
{
	static struct cw_zframe_reader *r;
	struct source s = {packed->data, packed->len, step};
	const uint8_t *data;
	size_t len;
	int ret;

	if (r == NULL)
		r = cw_zframe_reader_new();

	cw_zframe_reader_start(r, max, take, &s);
	do {
		ret = cw_zframe_next(r, &data, &len, err);
		if (ret == 0)
			cw_buf_append(out, data, len);
	} while (ret == 0 && len > 0);
	return ret;
}

static void
write_frame(struct cw_zframe_writer *w, enum cw_zframe_kind kind,
    const struct cw_buf *content)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_zframe_begin(w, kind, &err), 0);
	ck_assert_int_eq(
	    cw_zframe_write(w, content->data, content->len, &err), 0);
	ck_assert_int_eq(cw_zframe_end(w, &err), 0);
}

/* A small stream of two frames: "hello, " and "world\n". */
static void
small_stream(struct cw_buf *packed)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	uint8_t first[] = "hello, ", second[] = "world\n";
	struct cw_buf hello = {first, 7, 7}, world = {second, 6, 6};

	cw_zframe_start(w, append, packed);
	write_frame(w, CW_ZFRAME_SHORT, &hello);
	write_frame(w, CW_ZFRAME_SHORT, &world);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w) + 5, &err), 0);
	cw_zframe_writer_free(w);
}

START_TEST(stream_is_as_the_spec_shows)
{
	/* SPEC.md, Example. */
	static const char expected[] = "28b52ffd200739000068656c6c6f2c20"
				       "28b52ffd2006310000776f726c640a"
				       "502a4d18050000000000000000"
				       "5e2a4d1821000000"
				       "1000000007000000"
				       "0f00000006000000"
				       "0d00000000000000"
				       "0300000000b1ea928f";
	struct cw_buf packed = CW_BUF_INIT;
	char hex[512];

	small_stream(&packed);
	ck_assert_uint_lt(packed.len, 256);
	cw_hex_encode(packed.data, packed.len, hex);
	ck_assert_str_eq(hex, expected);
	cw_buf_free(&packed);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
	static const size_t steps[] = {999, 100001, SIZE_MAX};
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf content = CW_BUF_INIT, packed = CW_BUF_INIT;
	uint64_t total;

	/* Two full SHORT frames and a piece, then one of each other kind. */
	noise(&content, (9u << 20) + 17, 1);
	memset(content.data + 100000, 'x', 5u << 20);
	cw_zframe_start(w, append, &packed);
	write_frame(w, CW_ZFRAME_SHORT, &content);
	write_frame(w, CW_ZFRAME_LONG, &content);
	write_frame(w, CW_ZFRAME_FAR, &content);
	total = cw_zframe_least(w) + 1000000;
	ck_assert_int_eq(cw_zframe_finish(w, total, &err), 0);
	ck_assert_uint_eq(packed.len, total);
	for (size_t i = 0; i < 3; i++) {
		struct cw_buf out = CW_BUF_INIT;

		ck_assert_msg(read_all(&packed, steps[i], 3 * content.len, &out,
				  &err) == 0,
		    "%s", err.message);
		ck_assert_uint_eq(out.len, 3 * content.len);
		for (size_t k = 0; k < 3; k++)
			ck_assert_mem_eq(out.data + k * content.len,
			    content.data, content.len);
		cw_buf_free(&out);
	}
	cw_buf_free(&packed);
	cw_buf_free(&content);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(space_and_copy_give_the_same_bytes)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf content = CW_BUF_INIT, a = CW_BUF_INIT, b = CW_BUF_INIT;

	noise(&content, 5u << 20, 2);
	memset(content.data, 'y', 3u << 20);
	for (int kind = CW_ZFRAME_SHORT; kind <= CW_ZFRAME_FAR; kind++) {
		cw_buf_reset(&a);
		cw_buf_reset(&b);
		cw_zframe_start(w, append, &a);
		write_frame(w, (enum cw_zframe_kind)kind, &content);
		ck_assert_int_eq(
		    cw_zframe_finish(w, cw_zframe_least(w), &err), 0);

		cw_zframe_start(w, append, &b);
		ck_assert_int_eq(
		    cw_zframe_begin(w, (enum cw_zframe_kind)kind, &err), 0);
		for (size_t at = 0; at < content.len;) {
			size_t n;
			uint8_t *to = cw_zframe_space(w, &n);

			if (n > content.len - at)
				n = content.len - at;
			memcpy(to, content.data + at, n);
			ck_assert_int_eq(cw_zframe_write(w, to, n, &err), 0);
			at += n;
		}
		ck_assert_int_eq(cw_zframe_end(w, &err), 0);
		ck_assert_int_eq(
		    cw_zframe_finish(w, cw_zframe_least(w), &err), 0);
		ck_assert_uint_eq(a.len, b.len);
		ck_assert_mem_eq(a.data, b.data, a.len);
	}
	cw_buf_free(&a);
	cw_buf_free(&b);
	cw_buf_free(&content);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(stock_zstd_reads_the_stream)
{
	char path[] = "/tmp/cw_zframe_XXXXXX", command[200];
	struct cw_buf packed = CW_BUF_INIT;
	int fd = mkstemp(path), status;

	if (system("zstd --version >/dev/null 2>&1") != 0) {
		puts("skip: stock_zstd_reads_the_stream: no zstd");
		return;
	}
	small_stream(&packed);
	ck_assert_int_eq(
	    write(fd, packed.data, packed.len), (ssize_t)packed.len);
	close(fd);
	snprintf(command, sizeof(command),
	    "test \"$(zstd -dc < %s)\" = 'hello, world'", path);
	status = system(command);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	unlink(path);
	cw_buf_free(&packed);
}
END_TEST

START_TEST(repeats_within_a_window_cost_nothing)
{
	static const struct {
		enum cw_zframe_kind kind;
		size_t distance;
	} cases[] = {
	    {CW_ZFRAME_LONG, (size_t)3 << 20},
	    {CW_ZFRAME_FAR, (size_t)24 << 20},
	};
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_buf content = CW_BUF_INIT, packed = CW_BUF_INIT;
	size_t once;

	/* The second copy lies so far behind the first. */
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cw_buf_reset(&content);
		cw_buf_reset(&packed);
		noise(&content, cases[i].distance, 3);
		once = content.len;
		cw_buf_append(&content, content.data, cases[i].distance / 6);
		cw_zframe_start(w, append, &packed);
		write_frame(w, cases[i].kind, &content);
		ck_assert_uint_lt(packed.len, once + once / 200);
	}
	cw_buf_free(&content);
	cw_buf_free(&packed);
	cw_zframe_writer_free(w);
}
END_TEST

/* Words, so that frames take zstd some time and become smaller. */
static void
prose(struct cw_buf *buf, size_t len)
{
	uint64_t seed = 1;

	while (buf->len < len) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		cw_buf_printf(buf, "%x ", (unsigned)(seed >> 54));
	}
	buf->len = len;
}

START_TEST(full_frame_is_the_same_in_the_background)
{
	struct cw_buf content = CW_BUF_INIT, a = CW_BUF_INIT, b = CW_BUF_INIT;
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	const size_t len = 3 * (size_t)CW_ZFRAME_SHORT_MAX + 1000;

	prose(&content, len);
	cw_zframe_start(w, append, &a);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL), 0);
	ck_assert_int_eq(cw_zframe_write(w, content.data, len, NULL), 0);
	ck_assert_int_eq(cw_zframe_end(w, NULL), 0);
	ck_assert_uint_eq(cw_zframe_written(w), a.len);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), NULL), 0);

	/* Now each is waited for before the next one begins. */
	cw_zframe_start(w, append, &b);
	for (size_t at = 0; at < len; at += CW_ZFRAME_SHORT_MAX) {
		size_t n = len - at < CW_ZFRAME_SHORT_MAX ? len - at
							  : CW_ZFRAME_SHORT_MAX;

		ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL), 0);
		ck_assert_int_eq(
		    cw_zframe_write(w, content.data + at, n, NULL), 0);
		ck_assert_int_eq(cw_zframe_end(w, NULL), 0);
	}
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), NULL), 0);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	cw_zframe_writer_free(w);
	cw_buf_free(&content);
	cw_buf_free(&a);
	cw_buf_free(&b);
}
END_TEST

START_TEST(stream_may_be_left_while_a_frame_is_compressed)
{
	struct cw_buf content = CW_BUF_INIT, a = CW_BUF_INIT, b = CW_BUF_INIT;
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	const size_t len = CW_ZFRAME_SHORT_MAX + 1000;

	prose(&content, len);
	cw_zframe_start(w, append, &a);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL), 0);
	ck_assert_int_eq(cw_zframe_write(w, content.data, len, NULL), 0);
	/* What is on its way counts, though nothing was given yet. */
	ck_assert_uint_eq(cw_zframe_written(w), 0);
	ck_assert_uint_ge(cw_zframe_worst(w, 0), len);

	cw_zframe_start(w, append, &b);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL), 0);
	ck_assert_int_eq(cw_zframe_write(w, content.data, 1000, NULL), 0);
	ck_assert_int_eq(cw_zframe_end(w, NULL), 0);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), NULL), 0);
	ck_assert_uint_eq(a.len, 0);
	cw_buf_reset(&a);
	ck_assert_int_eq(read_all(&b, 65536, 1000, &a, NULL), 0);
	ck_assert_uint_eq(a.len, 1000);
	ck_assert_mem_eq(a.data, content.data, 1000);

	cw_zframe_start(w, append, &b);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, NULL), 0);
	ck_assert_int_eq(cw_zframe_write(w, content.data, len, NULL), 0);
	cw_zframe_writer_free(w);
	cw_buf_free(&content);
	cw_buf_free(&a);
	cw_buf_free(&b);
}
END_TEST

START_TEST(drop_leaves_no_trace)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf big = CW_BUF_INIT, packed = CW_BUF_INIT;
	struct cw_buf expected = CW_BUF_INIT;
	uint8_t first[] = "hello, ", second[] = "world\n";
	struct cw_buf hello = {first, 7, 7}, world = {second, 6, 6};

	small_stream(&expected);
	noise(&big, 10u << 20, 4);
	cw_zframe_start(w, append, &packed);
	write_frame(w, CW_ZFRAME_SHORT, &hello);
	for (int kind = CW_ZFRAME_SHORT; kind <= CW_ZFRAME_FAR; kind++) {
		/* Once with ended frames, once in the midst of one. */
		ck_assert_int_eq(cw_zframe_hold(w, UINT64_MAX, &err), 0);
		write_frame(w, (enum cw_zframe_kind)kind, &big);
		ck_assert_uint_ge(cw_zframe_held(w), big.len);
		ck_assert_uint_eq(packed.len, 16);
		cw_zframe_drop(w);
		ck_assert_int_eq(cw_zframe_hold(w, UINT64_MAX, &err), 0);
		ck_assert_int_eq(
		    cw_zframe_begin(w, (enum cw_zframe_kind)kind, &err), 0);
		ck_assert_int_eq(
		    cw_zframe_write(w, big.data, big.len, &err), 0);
		cw_zframe_drop(w);
	}
	write_frame(w, CW_ZFRAME_SHORT, &world);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w) + 5, &err), 0);
	ck_assert_uint_eq(packed.len, expected.len);
	ck_assert_mem_eq(packed.data, expected.data, expected.len);
	cw_buf_free(&expected);
	cw_buf_free(&packed);
	cw_buf_free(&big);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(commit_passes_all_or_answers_one)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf content = CW_BUF_INIT, packed = CW_BUF_INIT;
	struct cw_buf out = CW_BUF_INIT;

	noise(&content, 6u << 20, 5);
	cw_zframe_start(w, append, &packed);
	ck_assert_int_eq(cw_zframe_hold(w, 6u << 20, &err), 0);
	write_frame(w, CW_ZFRAME_SHORT, &content);
	ck_assert_int_eq(cw_zframe_commit(w, &err), 1);
	ck_assert_uint_eq(packed.len, 0);
	cw_zframe_drop(w);
	ck_assert_uint_eq(cw_zframe_written(w), 0);

	ck_assert_int_eq(cw_zframe_hold(w, 7u << 20, &err), 0);
	write_frame(w, CW_ZFRAME_SHORT, &content);
	ck_assert_int_eq(cw_zframe_commit(w, &err), 0);
	ck_assert_uint_eq(packed.len, cw_zframe_written(w));
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), &err), 0);
	ck_assert_int_eq(
	    read_all(&packed, SIZE_MAX, content.len, &out, &err), 0);
	ck_assert_uint_eq(out.len, content.len);
	ck_assert_mem_eq(out.data, content.data, content.len);
	cw_buf_free(&out);
	cw_buf_free(&packed);
	cw_buf_free(&content);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(worst_is_never_exceeded)
{
	static const size_t sizes[] = {
	    0, 1, 1000, 4u << 20, (4u << 20) + 1, 13u << 20};
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf content = CW_BUF_INIT, packed = CW_BUF_INIT;

	noise(&content, 13u << 20, 6);
	for (int kind = CW_ZFRAME_SHORT; kind <= CW_ZFRAME_FAR; kind++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			/* Once nothing is on its way yet, once a piece is. */
			size_t before = i % 2 == 0 ? 300000 : 5500000;
			uint64_t worst;

			cw_buf_reset(&packed);
			cw_zframe_start(w, append, &packed);
			ck_assert_int_eq(
			    cw_zframe_begin(w, (enum cw_zframe_kind)kind, &err),
			    0);
			ck_assert_int_eq(
			    cw_zframe_write(w, content.data, before, &err), 0);
			worst = cw_zframe_worst(w, sizes[i]);
			ck_assert_int_eq(
			    cw_zframe_write(w, content.data, sizes[i], &err),
			    0);
			ck_assert_int_eq(cw_zframe_end(w, &err), 0);
			ck_assert_uint_le(cw_zframe_least(w), worst);
		}
	}
	cw_buf_free(&packed);
	cw_buf_free(&content);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(finish_refuses_a_total_that_is_too_small)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf packed = CW_BUF_INIT;

	cw_zframe_start(w, append, &packed);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w) - 1, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	cw_buf_free(&packed);
	cw_zframe_writer_free(w);
}
END_TEST

START_TEST(error_of_the_sink_comes_through)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;

	cw_zframe_start(w, refuse, NULL);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, &err), 0);
	ck_assert_int_eq(cw_zframe_write(w, "x", 1, &err), 0);
	ck_assert_int_eq(cw_zframe_end(w, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_NOSPACE);
	cw_zframe_writer_free(w);
}
END_TEST

static void
assert_refused(const struct cw_buf *packed, uint64_t max, const char *why)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf out = CW_BUF_INIT;

	ck_assert_int_eq(read_all(packed, SIZE_MAX, max, &out, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_msg(
	    strstr(err.message, why) != NULL, "%s: %s", why, err.message);
	cw_buf_free(&out);
}

START_TEST(reader_refuses_every_cut_and_every_flip)
{
	struct cw_buf packed = CW_BUF_INIT, out = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;

	small_stream(&packed);
	for (size_t n = 0; n < packed.len; n++) {
		struct cw_buf cut = {packed.data, n, n};

		ck_assert_int_eq(read_all(&cut, 7, 100, &out, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	}
	/*
	 * All but the content itself, which age and digests guard.  A flip may
	 * still give another header of zstd for the same content.
	 */
	for (size_t n = 0; n < packed.len; n++) {
		bool is_content = (n >= 9 && n < 16) || (n >= 25 && n < 31);

		for (int bit = 0; bit < 8 && !is_content; bit++) {
			packed.data[n] ^= (uint8_t)(1 << bit);
			cw_buf_reset(&out);
			if (read_all(&packed, SIZE_MAX, 100, &out, &err) == 0) {
				ck_assert_uint_eq(out.len, 13);
				ck_assert_mem_eq(
				    out.data, "hello, world\n", 13);
			}
			packed.data[n] ^= (uint8_t)(1 << bit);
		}
	}
	cw_buf_append(&packed, "", 1);
	assert_refused(&packed, 100, "bytes behind the seek table");
	cw_buf_free(&out);
	cw_buf_free(&packed);
}
END_TEST

START_TEST(reader_refuses_more_than_was_stated)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(0);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf zeros = CW_BUF_INIT, packed = CW_BUF_INIT;

	memset(cw_buf_reserve(&zeros, 9u << 20), 0, 9u << 20);
	zeros.len = 9u << 20;
	for (int kind = CW_ZFRAME_SHORT; kind <= CW_ZFRAME_FAR; kind++) {
		cw_buf_reset(&packed);
		cw_zframe_start(w, append, &packed);
		write_frame(w, (enum cw_zframe_kind)kind, &zeros);
		ck_assert_int_eq(
		    cw_zframe_finish(w, cw_zframe_least(w), &err), 0);
		assert_refused(&packed, zeros.len - 1, "bytes stated");
	}
	cw_buf_free(&zeros);
	cw_buf_free(&packed);
	cw_zframe_writer_free(w);
}
END_TEST

/* One frame by zstd itself, then padding and a table that agree with it. */
static void
wrap(struct cw_buf *packed, const void *frame, size_t len, uint32_t size)
{
	uint8_t tail[8 + 8 + 16 + 9];

	cw_buf_append(packed, frame, len);
	cw_put_le32(tail, 0x184d2a50);
	cw_put_le32(tail + 4, 0);
	cw_put_le32(tail + 8, 0x184d2a5e);
	cw_put_le32(tail + 12, 25);
	cw_put_le32(tail + 16, (uint32_t)len);
	cw_put_le32(tail + 20, size);
	cw_put_le32(tail + 24, 8);
	cw_put_le32(tail + 28, 0);
	cw_put_le32(tail + 32, 2);
	tail[36] = 0;
	cw_put_le32(tail + 37, 0x8f92eab1);
	cw_buf_append(packed, tail, sizeof(tail));
}

START_TEST(reader_refuses_what_we_do_not_write)
{
	static const uint8_t wide[] = {
	    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x09, 0x00, 0x00, 'x'};
	static const uint8_t empty[] = {
	    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00};
	static const uint8_t skippable[] = {
	    0x51, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'};
	struct cw_buf packed = CW_BUF_INIT, out = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	uint8_t frame[64];
	size_t len;

	wrap(&packed, wide, sizeof(wide), 1);
	assert_refused(&packed, 100, "window");
	cw_buf_reset(&packed);
	wrap(&packed, empty, sizeof(empty), 0);
	assert_refused(&packed, 100, "empty frame");
	cw_buf_reset(&packed);
	wrap(&packed, skippable, sizeof(skippable), 0);
	assert_refused(&packed, 100, "no frame that we know");

	cw_buf_reset(&packed);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	len = ZSTD_compress2(ctx, frame, sizeof(frame), "abc", 3);
	wrap(&packed, frame, len, 3);
	assert_refused(&packed, 100, "checksum");

	/* The same without the checksum is fine. */
	cw_buf_reset(&packed);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 0);
	len = ZSTD_compress2(ctx, frame, sizeof(frame), "abc", 3);
	wrap(&packed, frame, len, 3);
	ck_assert_int_eq(read_all(&packed, SIZE_MAX, 100, &out, &err), 0);
	ck_assert_uint_eq(out.len, 3);
	ZSTD_freeCCtx(ctx);
	cw_buf_free(&out);
	cw_buf_free(&packed);
}
END_TEST

START_TEST(read_fills_the_callers_memory)
{
	struct cw_zframe_reader *r = cw_zframe_reader_new();
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf packed = CW_BUF_INIT;
	struct source s;
	char text[32];
	size_t got;

	small_stream(&packed);
	s = (struct source){packed.data, packed.len, 3};
	cw_zframe_reader_start(r, 13, take, &s);
	ck_assert_int_eq(cw_zframe_read(r, text, 10, &got, &err), 0);
	ck_assert_uint_eq(got, 10);
	ck_assert_int_eq(cw_zframe_read(r, text + 10, 10, &got, &err), 0);
	ck_assert_uint_eq(got, 3);
	ck_assert_mem_eq(text, "hello, world\n", 13);
	ck_assert_int_eq(cw_zframe_read(r, text, 10, &got, &err), 0);
	ck_assert_uint_eq(got, 0);
	cw_zframe_reader_free(r);
	cw_buf_free(&packed);
}
END_TEST

START_TEST(table_is_found_from_the_end)
{
	struct cw_zframe_entry *entries;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf packed = CW_BUF_INIT;
	uint64_t len;
	size_t count;

	small_stream(&packed);
	len = cw_zframe_table_size(packed.data + packed.len - 9);
	ck_assert_uint_eq(len, CW_ZFRAME_TABLE_SIZE(2));
	ck_assert_int_eq(cw_zframe_table_decode(packed.data + packed.len - len,
			     len, &entries, &count, &err),
	    0);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(entries[0].packed, 16);
	ck_assert_uint_eq(entries[0].size, 7);
	ck_assert_uint_eq(entries[2].packed, 13);
	ck_assert_uint_eq(entries[2].size, 0);
	free(entries);
	ck_assert_int_eq(
	    cw_zframe_table_decode(packed.data + packed.len - len + 1, len - 1,
		&entries, &count, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	packed.data[packed.len - 1] ^= 1;
	ck_assert_uint_eq(
	    cw_zframe_table_size(packed.data + packed.len - 9), 0);
	cw_buf_free(&packed);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("zframe");
	TCase *tcase = tcase_create("zframe");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, stream_is_as_the_spec_shows);
	tcase_add_test(tcase, what_is_written_is_read_back);
	tcase_add_test(tcase, space_and_copy_give_the_same_bytes);
	tcase_add_test(tcase, stock_zstd_reads_the_stream);
	tcase_add_test(tcase, repeats_within_a_window_cost_nothing);
	tcase_add_test(tcase, full_frame_is_the_same_in_the_background);
	tcase_add_test(tcase, stream_may_be_left_while_a_frame_is_compressed);
	tcase_add_test(tcase, drop_leaves_no_trace);
	tcase_add_test(tcase, commit_passes_all_or_answers_one);
	tcase_add_test(tcase, worst_is_never_exceeded);
	tcase_add_test(tcase, finish_refuses_a_total_that_is_too_small);
	tcase_add_test(tcase, error_of_the_sink_comes_through);
	tcase_add_test(tcase, reader_refuses_every_cut_and_every_flip);
	tcase_add_test(tcase, reader_refuses_more_than_was_stated);
	tcase_add_test(tcase, reader_refuses_what_we_do_not_write);
	tcase_add_test(tcase, read_fills_the_callers_memory);
	tcase_add_test(tcase, table_is_found_from_the_end);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
