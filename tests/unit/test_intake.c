#include "tests/unit/trees.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "replica/intake.h"
#include "replica/staging.h"

#include <sched.h>
#include <sys/stat.h>
#include <time.h>

#define BIG ((size_t)5 << 20)

static struct cw_staging *s;
static struct cw_intake *in;
static uint8_t *bytes;

static void
setup(void)
{
	tree_setup();
	OK(cw_staging_open(tree_base, &s, &err));
	OK(cw_intake_new(s, &in, &err));
	bytes = cw_malloc(BIG + 1000);
	for (size_t i = 0; i < BIG + 1000; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 4093);
}

static void
teardown(void)
{
	cw_intake_free(in);
	cw_staging_close(s);
	free(bytes);
	tree_teardown();
}

static bool
has(size_t len)
{
	uint8_t digest[CW_SHA256_SIZE];

	cw_sha256(bytes, len, digest);
	return cw_staging_has(s, digest, len, &err) == 1;
}

static uint64_t
drain(void)
{
	uint64_t damaged = 77;

	OK(cw_intake_drain(in, &damaged, &err));
	return damaged;
}

/* Hands over the first len bytes, in pieces of a size that fits nothing. */
static void
give(size_t len)
{
	struct cw_staging_writer *w = NULL;
	uint8_t digest[CW_SHA256_SIZE];

	cw_sha256(bytes, len, digest);
	OK(cw_staging_begin_at(s, digest, len, 0, &w, &err));
	for (size_t at = 0; at < len; at += 65000)
		OK(cw_intake_write(in, w, bytes + at,
		    len - at < 65000 ? len - at : 65000, &err));
	OK(cw_intake_finish(in, w, digest, NULL, &err));
}

START_TEST(what_was_handed_over_counts_as_had_and_is_there_after_a_drain)
{
	uint8_t digest[CW_SHA256_SIZE];

	for (size_t len = 1; len < 3000; len++) {
		cw_sha256(bytes, len, digest);
		OK(cw_intake_put(in, digest, bytes, len, NULL, &err));
		ck_assert(cw_intake_holds(in, digest) || has(len));
	}
	ck_assert_uint_eq(drain(), 0);
	for (size_t len = 1; len < 3000; len++)
		ck_assert(has(len));
	cw_sha256(bytes, 7, digest);
	ck_assert(!cw_intake_holds(in, digest));
}
END_TEST

START_TEST(contents_of_every_size_arrive_byte_for_byte)
{
	static const size_t sizes[] = {1, 4095, 4096, 262143, 262144, 262145,
	    1048576, 1048577, 3 * 1048576 - 4096, BIG, BIG + 1000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		give(sizes[i]);
	ck_assert_uint_eq(drain(), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t digest[CW_SHA256_SIZE];
		uint8_t *read = cw_malloc(sizes[i]);
		size_t got;
		int fd;

		cw_sha256(bytes, sizes[i], digest);
		OK(cw_staging_open_content(s, digest, sizes[i], &fd, &err));
		OK(cw_read_full(fd, read, sizes[i], &got, &err));
		ck_assert_uint_eq(got, sizes[i]);
		ck_assert_mem_eq(read, bytes, sizes[i]);
		cw_close(&fd);
		free(read);
	}
}
END_TEST

START_TEST(small_contents_may_come_between_the_pieces_of_a_large_one)
{
	struct cw_staging_writer *w = NULL;
	uint8_t digest[CW_SHA256_SIZE], small[CW_SHA256_SIZE];

	cw_sha256(bytes, BIG, digest);
	OK(cw_staging_begin_at(s, digest, BIG, 0, &w, &err));
	for (size_t at = 0, n = 0; at < BIG; at += n) {
		n = BIG - at < 50001 ? BIG - at : 50001;
		OK(cw_intake_write(in, w, bytes + at, n, &err));
		cw_sha256(bytes, at % 30000, small);
		OK(cw_intake_put(in, small, bytes, at % 30000, NULL, &err));
	}
	OK(cw_intake_finish(in, w, digest, NULL, &err));
	ck_assert_uint_eq(drain(), 0);
	ck_assert(has(BIG));
	ck_assert(has(50001 % 30000));
}
END_TEST

/* On a slow line. */
static void
pass_60_ms(void)
{
	struct timespec wait = {.tv_nsec = 60L * 1000 * 1000};

	while (nanosleep(&wait, &wait) < 0)
		;
}

START_TEST(a_small_content_does_not_wait_for_long)
{
	uint8_t digest[CW_SHA256_SIZE];

	for (size_t len = 10; len < 12; len++) {
		cw_sha256(bytes, len, digest);
		OK(cw_intake_put(in, digest, bytes, len, NULL, &err));
		pass_60_ms();
	}
	while (!has(10) || !has(11))
		sched_yield();
}
END_TEST

START_TEST(a_piece_does_not_wait_for_long)
{
	struct cw_staging_writer *w = NULL;
	uint8_t digest[CW_SHA256_SIZE], prefix[CW_SHA256_SIZE];
	uint64_t len = 0;

	cw_sha256(bytes, BIG, digest);
	OK(cw_staging_begin_at(s, digest, BIG, 0, &w, &err));
	OK(cw_intake_write(in, w, bytes, 100000, &err));
	pass_60_ms();
	OK(cw_intake_write(in, w, bytes + 100000, 1, &err));
	/* Whole sectors; the bytes behind them go on waiting. */
	while (len < 98304)
		ck_assert_int_ge(
		    cw_staging_partial(s, digest, &len, prefix, &err), 0);
	ck_assert_uint_eq(len, 98304);
	OK(cw_intake_write(in, w, bytes + 100001, BIG - 100001, &err));
	OK(cw_intake_finish(in, w, digest, NULL, &err));
	ck_assert_uint_eq(drain(), 0);
	ck_assert(has(BIG));
}
END_TEST

START_TEST(contents_that_are_written_at_a_time_do_not_mix)
{
	uint8_t digest[CW_SHA256_SIZE];

	/* More than wait at a time, the small ones twice in a row. */
	for (size_t i = 0; i < 24; i++) {
		give(BIG - i * 1000);
		for (size_t n = 0; n < 40; n++) {
			size_t len = i * 40 + n / 2;

			cw_sha256(bytes, len, digest);
			OK(cw_intake_put(in, digest, bytes, len, NULL, &err));
		}
	}
	ck_assert_uint_eq(drain(), 0);
	for (size_t i = 0; i < 24; i++) {
		uint8_t found[CW_SHA256_SIZE];
		int fd;

		ck_assert(has(i * 40 + 19));
		cw_sha256(bytes, BIG - i * 1000, digest);
		OK(cw_staging_open_content(
		    s, digest, BIG - i * 1000, &fd, &err));
		OK(cw_staging_prefix(fd, BIG - i * 1000, found, &err));
		ck_assert_mem_eq(found, digest, sizeof(found));
		cw_close(&fd);
	}
}
END_TEST

START_TEST(blocks_of_zeros_stay_holes)
{
	uint8_t digest[CW_SHA256_SIZE];
	struct stat st;
	int fd;

	memset(bytes + 4096, 0, BIG - 8192);
	give(BIG);
	ck_assert_uint_eq(drain(), 0);
	cw_sha256(bytes, BIG, digest);
	OK(cw_staging_open_content(s, digest, BIG, &fd, &err));
	OK(fstat(fd, &st));
	ck_assert_int_eq(st.st_size, BIG);
	ck_assert_int_lt(st.st_blocks * 512, 1 << 20);
	cw_close(&fd);
}
END_TEST

START_TEST(what_is_not_its_digest_is_counted_and_not_there)
{
	uint8_t digest[CW_SHA256_SIZE];
	struct cw_staging_writer *w = NULL;

	cw_sha256("another", 7, digest);
	OK(cw_staging_begin_at(s, digest, 300000, 0, &w, &err));
	OK(cw_intake_write(in, w, bytes, 300000, &err));
	OK(cw_intake_finish(in, w, digest, NULL, &err));
	give(2000);
	ck_assert_uint_eq(drain(), 1);
	ck_assert_uint_eq(drain(), 0);
	ck_assert(has(2000));
	ck_assert_int_eq(cw_staging_has(s, digest, 300000, &err), 0);
}
END_TEST

START_TEST(a_whole_one_that_is_not_its_digest_is_a_failure)
{
	uint8_t digest[CW_SHA256_SIZE];
	uint64_t damaged;

	cw_sha256("other", 5, digest);
	OK(cw_intake_put(in, digest, bytes, 5, NULL, &err));
	ck_assert_int_eq(cw_intake_drain(in, &damaged, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_int_eq(cw_staging_has(s, digest, 5, &err), 0);
}
END_TEST

START_TEST(a_drain_gives_an_unfinished_writer_back)
{
	uint8_t digest[CW_SHA256_SIZE], prefix[CW_SHA256_SIZE];
	struct cw_staging_writer *w = NULL;
	uint64_t len;

	cw_sha256(bytes, BIG, digest);
	OK(cw_staging_begin_at(s, digest, BIG, 0, &w, &err));
	OK(cw_intake_write(in, w, bytes, 1500000, &err));
	ck_assert_uint_eq(drain(), 0);
	ck_assert_uint_eq(cw_staging_at(w), 1500000);
	cw_staging_abandon(w);
	OK(cw_staging_partial(s, digest, &len, prefix, &err));
	ck_assert_uint_eq(len, 1500000);
}
END_TEST

START_TEST(a_failure_of_the_disk_is_told_and_stays)
{
	uint8_t digest[CW_SHA256_SIZE];
	uint64_t damaged;
	char path[100];

	/* The folder is gone: nothing can be made in it any more. */
	snprintf(path, sizeof(path), "%s/staging/boot", tree_base);
	OK(unlink(path));
	snprintf(path, sizeof(path), "%s/staging", tree_base);
	OK(rmdir(path));
	cw_sha256(bytes, 10, digest);
	OK(cw_intake_put(in, digest, bytes, 10, NULL, &err));
	ck_assert_int_eq(cw_intake_drain(in, &damaged, &err), -1);
	ck_assert_int_eq(cw_intake_put(in, digest, bytes, 10, NULL, &err), -1);
	ck_assert_int_eq(cw_intake_drain(in, &damaged, &err), -1);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("intake");
	Suite *suite = suite_create("intake");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
	    tc, what_was_handed_over_counts_as_had_and_is_there_after_a_drain);
	tcase_add_test(tc, contents_of_every_size_arrive_byte_for_byte);
	tcase_add_test(
	    tc, small_contents_may_come_between_the_pieces_of_a_large_one);
	tcase_add_test(tc, a_small_content_does_not_wait_for_long);
	tcase_add_test(tc, a_piece_does_not_wait_for_long);
	tcase_add_test(tc, contents_that_are_written_at_a_time_do_not_mix);
	tcase_add_test(tc, blocks_of_zeros_stay_holes);
	tcase_add_test(tc, what_is_not_its_digest_is_counted_and_not_there);
	tcase_add_test(tc, a_whole_one_that_is_not_its_digest_is_a_failure);
	tcase_add_test(tc, a_drain_gives_an_unfinished_writer_back);
	tcase_add_test(tc, a_failure_of_the_disk_is_told_and_stays);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
