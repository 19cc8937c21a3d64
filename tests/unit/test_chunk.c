#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/chunk/chunk.h"
#include "formats/chunk/gear.h"
#include "vectors.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct cw_chunk_sizes tiny = {64, 256, 1024};

/* The content of SPEC.md's example. */
static void
stream(struct cw_buf *buf, size_t len)
{
	static const char text[] = "causeway content";
	uint8_t in[sizeof(text) - 1 + 8], out[CW_SHA256_SIZE];

	memcpy(in, text, sizeof(text) - 1);
	for (uint64_t i = 0; buf->len < len; i++) {
		cw_put_le64(in + sizeof(text) - 1, i);
		cw_sha256(in, sizeof(in), out);
		cw_buf_append(buf, out,
		    len - buf->len < sizeof(out) ? len - buf->len
						 : sizeof(out));
	}
}

static void
repeat(struct cw_buf *buf, size_t len, const char *text, size_t text_len)
{
	for (size_t i = 0; i < len; i++)
		cw_buf_append(buf, text + i % text_len, 1);
}

static void
make(struct cw_buf *buf, const char *kind, size_t len)
{
	static const char line[] =
	    "Received: from mx.example by mail.example;\r\n";

	if (strcmp(kind, "stream") == 0)
		stream(buf, len);
	else if (strcmp(kind, "zeros") == 0)
		repeat(buf, len, "", 1);
	else
		repeat(buf, len, line, sizeof(line) - 1);
}

/* Lengths of all chunks; the caller's to free. */
static size_t *
cut(const struct cw_chunk_sizes *s, const uint8_t *data, size_t len,
    size_t *count)
{
	size_t *lengths = cw_calloc(len / s->min + 2, sizeof(*lengths));
	size_t n;

	for (*count = 0; (n = cw_chunk_next(s, data, len, true)) > 0;) {
		lengths[(*count)++] = n;
		data += n;
		len -= n;
	}
	ck_assert_uint_eq(len, 0);
	return lengths;
}

START_TEST(gear_is_made_as_the_spec_says)
{
	uint8_t in[] = "causeway chunk 1\0", out[CW_SHA256_SIZE];

	ck_assert_uint_eq(sizeof(in), 18);
	for (unsigned i = 0; i < 256; i++) {
		in[16] = (uint8_t)i;
		cw_sha256(in, 17, out);
		ck_assert_uint_eq(cw_chunk_gear[i], cw_get_le64(out));
	}
}
END_TEST

START_TEST(cuts_are_those_of_the_vectors)
{
	struct cw_buf lines = vector_read("chunk/expected");
	char *save = NULL;
	unsigned cases = 0;

	for (char *line = strtok_r((char *)lines.data, "\n", &save);
	     line != NULL; line = strtok_r(NULL, "\n", &save)) {
		struct cw_buf content = CW_BUF_INIT;
		struct cw_chunk_sizes s;
		char kind[16], *at = strchr(line, ':') + 1;
		size_t len, count, *lengths;

		ck_assert_int_eq(sscanf(line, "%15s %zu %u %u %u", kind, &len,
				     &s.min, &s.average, &s.max),
		    5);
		make(&content, kind, len);
		lengths = cut(&s, content.data, len, &count);
		for (size_t i = 0; i < count; i++)
			ck_assert_uint_eq(strtoull(at, &at, 10), lengths[i]);
		ck_assert_str_eq(at, "");
		free(lengths);
		cw_buf_free(&content);
		cases++;
	}
	ck_assert_uint_gt(cases, 50);
	cw_buf_free(&lines);
}
END_TEST

START_TEST(cuts_are_the_same_whatever_the_feeding_size)
{
	static const size_t steps[] = {1, 63, 64, 65, 1000, 4096};
	struct cw_buf content = CW_BUF_INIT;
	size_t count, *lengths;

	stream(&content, 20000);
	lengths = cut(&tiny, content.data, content.len, &count);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		size_t begin = 0, end = 0, n, found = 0;

		while (begin < content.len) {
			end += steps[i];
			if (end > content.len)
				end = content.len;
			while ((n = cw_chunk_next(&tiny, content.data + begin,
				    end - begin, end == content.len)) > 0) {
				ck_assert_uint_lt(found, count);
				ck_assert_uint_eq(n, lengths[found++]);
				begin += n;
			}
		}
		ck_assert_uint_eq(found, count);
	}
	free(lengths);
	cw_buf_free(&content);
}
END_TEST

/* Chunks of b that are not among those of a. */
static size_t
strangers(const struct cw_buf *a, const struct cw_buf *b)
{
	size_t a_count, b_count, at_b = 0, missing = 0;
	size_t *a_len = cut(&tiny, a->data, a->len, &a_count);
	size_t *b_len = cut(&tiny, b->data, b->len, &b_count);

	for (size_t i = 0; i < b_count; i++) {
		size_t at_a = 0, k;

		for (k = 0; k < a_count; k++) {
			if (a_len[k] == b_len[i] &&
			    memcmp(a->data + at_a, b->data + at_b, b_len[i]) ==
				0)
				break;
			at_a += a_len[k];
		}
		missing += k == a_count;
		at_b += b_len[i];
	}
	free(a_len);
	free(b_len);
	return missing;
}

START_TEST(insertion_changes_only_chunks_nearby)
{
	struct cw_buf content = CW_BUF_INIT;
	size_t places = 0, sum = 0;

	stream(&content, 50000); /* some 170 chunks */
	for (size_t at = 0; at <= content.len; at += 997) {
		struct cw_buf more = CW_BUF_INIT;
		size_t changed;

		cw_buf_append(&more, content.data, at);
		cw_buf_text(&more, "Status: RO\r\n");
		cw_buf_append(&more, content.data + at, content.len - at);
		changed = strangers(&content, &more);
		ck_assert_uint_ge(changed, 1);
		/* Until old and new cuts meet. */
		ck_assert_uint_le(changed, 12);
		sum += changed;
		places++;
		cw_buf_free(&more);
	}
	ck_assert_uint_le(sum, 3 * places);
	cw_buf_free(&content);
}
END_TEST

START_TEST(bounds_are_kept)
{
	static const char *const kinds[] = {"stream", "zeros", "text"};

	for (size_t kind = 0; kind < 3; kind++) {
		for (size_t len = 0; len < 20000; len += 617) {
			struct cw_buf content = CW_BUF_INIT;
			size_t count, *lengths;

			make(&content, kinds[kind], len);
			lengths = cut(&tiny, content.data, len, &count);
			for (size_t i = 0; i < count; i++) {
				ck_assert_uint_le(lengths[i], tiny.max);
				if (i + 1 < count)
					ck_assert_uint_ge(lengths[i], tiny.min);
			}
			free(lengths);
			cw_buf_free(&content);
		}
	}
}
END_TEST

START_TEST(more_is_asked_for_only_under_max)
{
	struct cw_buf zeros = CW_BUF_INIT;

	make(&zeros, "zeros", 2 * tiny.max);
	ck_assert_uint_eq(
	    cw_chunk_next(&tiny, zeros.data, tiny.max - 1, false), 0);
	ck_assert_uint_eq(
	    cw_chunk_next(&tiny, zeros.data, tiny.max - 1, true), tiny.max - 1);
	ck_assert_uint_eq(
	    cw_chunk_next(&tiny, zeros.data, tiny.max, false), tiny.max);
	ck_assert_uint_eq(
	    cw_chunk_next(&tiny, zeros.data, 2 * tiny.max, false), tiny.max);
	ck_assert_uint_eq(cw_chunk_next(&tiny, NULL, 0, true), 0);
	ck_assert_uint_eq(cw_chunk_next(&tiny, NULL, 0, false), 0);
	cw_buf_free(&zeros);
}
END_TEST

START_TEST(sizes_grow_with_content)
{
	ck_assert_uint_eq(cw_chunk_sizes_for(0)->average, 8u << 10);
	ck_assert_uint_eq(cw_chunk_sizes_for(4u << 20)->average, 8u << 10);
	ck_assert_uint_eq(
	    cw_chunk_sizes_for((4u << 20) + 1)->average, 16u << 10);
	ck_assert_uint_eq(cw_chunk_sizes_for(1u << 30)->average, 16u << 10);
	ck_assert_uint_eq(
	    cw_chunk_sizes_for((1u << 30) + 1)->average, 64u << 10);
	for (unsigned i = 0; i < 64; i++)
		ck_assert(cw_chunk_sizes_valid(cw_chunk_sizes_for(1ull << i)));
}
END_TEST

START_TEST(sizes_over_the_bounds_are_refused)
{
	static const struct cw_chunk_sizes bad[] = {
	    {0, 0, 0},
	    {63, 256, 1024},
	    {64, 64, 1024},
	    {64, 256, 256},
	    {64, 255, 1024},
	    {64, 256, (16u << 20) + 1},
	    {512, 256, 1024},
	};

	ck_assert(cw_chunk_sizes_valid(&tiny));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert(!cw_chunk_sizes_valid(&bad[i]));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("chunk");
	TCase *tcase = tcase_create("chunk");
	SRunner *runner;
	int failed;

	if (cw_crypto_init(NULL) < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, gear_is_made_as_the_spec_says);
	tcase_add_test(tcase, cuts_are_those_of_the_vectors);
	tcase_add_test(tcase, cuts_are_the_same_whatever_the_feeding_size);
	tcase_add_test(tcase, insertion_changes_only_chunks_nearby);
	tcase_add_test(tcase, bounds_are_kept);
	tcase_add_test(tcase, more_is_asked_for_only_under_max);
	tcase_add_test(tcase, sizes_grow_with_content);
	tcase_add_test(tcase, sizes_over_the_bounds_are_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
