/* media/scrub.h: digests of many files, and what is wrong with the rest. */
#include "base/buf.h"
#include "base/fs.h"
#include "media/scrub.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES 12

static char root[] = "/tmp/test_scrub.XXXXXX";
static int dirfd_;

static void
setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	dirfd_ = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	char *command = cw_asprintf("rm -rf '%s'", root);

	cw_close(&dirfd_);
	ck_assert_int_eq(system(command), 0);
	free(command);
}

static uint8_t *
pattern(size_t len, uint32_t x)
{
	uint8_t *data = cw_malloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static struct cw_scrub_file
file_named(const char *name, uint64_t size)
{
	return (struct cw_scrub_file){
	    .dirfd = dirfd_, .name = name, .size = size};
}

static void
save(const char *name, const uint8_t *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_save_file(dirfd_, name, data, len, 0644, &err), 0);
}

static void
digests_are_right(bool cached, unsigned threads)
{
	static const size_t sizes[FILES] = {0, 1, 4095, 4096, 65536, 131072,
	    131073, 1000000, 4194303, 4194304, 4194305, 13000001};
	struct cw_scrub_options options = {
	    .cached = cached, .threads = threads};
	struct cw_progress progress = {.what = NULL};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[FILES];
	uint8_t *datas[FILES];
	char names[FILES][16];
	uint64_t total = 0;

	options.progress = &progress;
	for (size_t i = 0; i < FILES; i++) {
		datas[i] = pattern(sizes[i], (uint32_t)i);
		snprintf(names[i], sizeof(names[i]), "f%zu", i);
		save(names[i], datas[i], sizes[i]);
		files[i] = file_named(names[i], sizes[i]);
		total += sizes[i];
	}
	ck_assert_int_eq(cw_scrub(files, FILES, &options, &err), 0);
	for (size_t i = 0; i < FILES; i++) {
		uint8_t sha256[CW_SHA256_SIZE], xxh[CW_XXH_SIZE];

		cw_sha256(datas[i], sizes[i], sha256);
		cw_xxh(datas[i], sizes[i], xxh);
		ck_assert_int_eq(files[i].state, CW_SCRUB_READ);
		ck_assert_uint_eq(files[i].found, sizes[i]);
		ck_assert_mem_eq(files[i].sha256, sha256, sizeof(sha256));
		ck_assert_mem_eq(files[i].xxh, xxh, sizeof(xxh));
		ck_assert_uint_eq(files[i].bad_count, 0);
		free(datas[i]);
	}
	ck_assert_uint_eq(progress.bytes_done, total);
	ck_assert_uint_eq(progress.items_done, FILES);
	cw_scrub_free(files, FILES);
}

START_TEST(digests_from_the_device_are_right)
{
	digests_are_right(false, 0);
}
END_TEST

START_TEST(digests_from_the_page_cache_are_right)
{
	digests_are_right(true, 0);
}
END_TEST

START_TEST(one_thread_or_many_make_no_difference)
{
	digests_are_right(false, 1);
	digests_are_right(true, 1);
	digests_are_right(false, 64);
}
END_TEST

START_TEST(no_files_are_no_work)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_scrub(NULL, 0, &options, &err), 0);
}
END_TEST

START_TEST(what_is_no_file_is_told_and_the_others_are_read)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[7];

	save("good", (const uint8_t *)"good", 4);
	save("long", (const uint8_t *)"longer", 6);
	ck_assert_int_eq(symlinkat("good", dirfd_, "symlink"), 0);
	ck_assert_int_eq(mkfifoat(dirfd_, "fifo", 0644), 0);
	ck_assert_int_eq(mkdirat(dirfd_, "dir", 0755), 0);
	files[0] = file_named("symlink", 4);
	files[1] = file_named("fifo", 4);
	files[2] = file_named("dir", 4);
	files[3] = file_named("nothing", 4);
	files[4] = file_named("long", 4);
	files[5] = file_named("../etc/passwd", 4);
	files[6] = file_named("good", 4);
	ck_assert_int_eq(cw_scrub(files, 7, &options, &err), 0);
	ck_assert_int_eq(files[0].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[1].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[2].state, CW_SCRUB_STRANGE);
	ck_assert_int_eq(files[3].state, CW_SCRUB_MISSING);
	ck_assert_int_eq(files[4].state, CW_SCRUB_SIZE);
	ck_assert_uint_eq(files[4].found, 6);
	ck_assert_int_ne(files[5].state, CW_SCRUB_READ);
	ck_assert_int_eq(files[6].state, CW_SCRUB_READ);
	cw_scrub_free(files, 7);
}
END_TEST

START_TEST(a_request_to_stop_leaves_files_pending)
{
	struct cw_scrub_options options = {.threads = 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file file;

	save("f", (const uint8_t *)"good", 4);
	file = file_named("f", 4);
	cw_stop_request(); /* of this test's own process */
	ck_assert_int_eq(cw_scrub(&file, 1, &options, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_INTERRUPTED);
	ck_assert_int_eq(file.state, CW_SCRUB_PENDING);
}
END_TEST

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

START_TEST(the_rate_is_kept)
{
	/* 3 MiB at 8 MiB a second; the first read waits for nobody. */
	struct cw_scrub_options options = {
	    .rate = 8u << 20, .cached = true, .threads = 2};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_scrub_file files[3];
	char names[3][8];
	double begun;

	for (uint32_t i = 0; i < 3; i++) {
		uint8_t *data = pattern(1u << 20, i);

		snprintf(names[i], sizeof(names[i]), "f%u", i);
		save(names[i], data, 1u << 20);
		files[i] = file_named(names[i], 1u << 20);
		free(data);
	}
	begun = now();
	ck_assert_int_eq(cw_scrub(files, 3, &options, &err), 0);
	ck_assert(now() - begun > 0.3);
	cw_scrub_free(files, 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scrub");
	TCase *tc = tcase_create("scrub");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, digests_from_the_device_are_right);
	tcase_add_test(tc, digests_from_the_page_cache_are_right);
	tcase_add_test(tc, one_thread_or_many_make_no_difference);
	tcase_add_test(tc, no_files_are_no_work);
	tcase_add_test(tc, what_is_no_file_is_told_and_the_others_are_read);
	tcase_add_test(tc, a_request_to_stop_leaves_files_pending);
	tcase_add_test(tc, the_rate_is_kept);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
