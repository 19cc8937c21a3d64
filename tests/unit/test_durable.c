/* media/durable.h: whole and proven, or not there at all. */
#include "base/buf.h"
#include "base/fs.h"
#include "media/durable.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_durable.XXXXXX";
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
	cw_close(&dirfd_);
	(void)umount2(root, MNT_DETACH); /* where a test failed in it */
	scratch_remove(root);
}

/* Bytes that differ from block to block. */
static uint8_t *
pattern(size_t len)
{
	uint8_t *data = cw_malloc(len + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
	return data;
}

static bool
exists(const char *name)
{
	struct stat st;

	return fstatat(dirfd_, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
check_file(const char *name, const uint8_t *data, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf buf = CW_BUF_INIT;

	ck_assert_int_eq(cw_read_file(dirfd_, name, 1u << 30, &buf, &err), 0);
	ck_assert_uint_eq(buf.len, len);
	ck_assert(len == 0 || memcmp(buf.data, data, len) == 0);
	cw_buf_free(&buf);
}

/* Writes in steps, finishes, and compares all that finish says. */
static void
write_and_check(const char *name, size_t len, size_t step, uint64_t hint)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable_result result;
	uint8_t sha256[CW_SHA256_SIZE], xxh[CW_XXH_SIZE];
	uint8_t *data = pattern(len);
	struct cw_durable *d;
	struct stat st;

	ck_assert_int_eq(cw_durable_open(dirfd_, name, hint, &d, &err), 0);
	for (size_t at = 0; at < len; at += step)
		ck_assert_int_eq(cw_durable_write(d, data + at,
				     len - at < step ? len - at : step, &err),
		    0);
	ck_assert(!exists(name));
	ck_assert_msg(
	    cw_durable_finish(d, &result, &err) == 0, "%s", err.message);
	cw_durable_free(d);
	check_file(name, data, len);
	cw_sha256(data, len, sha256);
	cw_xxh(data, len, xxh);
	ck_assert_uint_eq(result.size, len);
	ck_assert_mem_eq(result.sha256, sha256, sizeof(sha256));
	ck_assert_mem_eq(result.xxh, xxh, sizeof(xxh));
	/* What was allocated too much is given back. */
	ck_assert_int_eq(fstatat(dirfd_, name, &st, 0), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_uint_le((uint64_t)st.st_blocks * 512, len + (1u << 20));
	free(data);
}

START_TEST(files_of_any_size_come_out_whole)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 65536, 2097151,
	    2097152, 2097153, 4194304, 9000001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%zu", sizes[i]);
		write_and_check(name, sizes[i], 1000003, 0);
	}
}
END_TEST

START_TEST(a_wrong_hint_does_no_harm)
{
	write_and_check("more", 3000000, 65536, 1u << 30);
	write_and_check("less", 3000000, 7, 1);
	write_and_check("far_too_much", 10, 10, UINT64_MAX);
}
END_TEST

START_TEST(a_name_may_be_in_a_subdirectory)
{
	ck_assert_int_eq(mkdirat(dirfd_, "copy", 0755), 0);
	write_and_check("copy/MEDIUM", 100, 100, 100);
	ck_assert(!exists("copy/MEDIUM.tmp"));
}
END_TEST

START_TEST(a_subdirectory_that_is_a_symlink_is_refused)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable *d;

	ck_assert_int_eq(symlinkat("/tmp", dirfd_, "copy"), 0);
	ck_assert_int_eq(cw_durable_open(dirfd_, "copy/x", 0, &d, &err), -1);
	ck_assert_ptr_null(d);
}
END_TEST

START_TEST(an_old_file_stays_until_the_new_one_is_proven)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable_result result;
	struct cw_durable *d;

	ck_assert_int_eq(cw_save_file(dirfd_, "x", "old", 3, 0644, &err), 0);
	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 0, &d, &err), 0);
	ck_assert_int_eq(cw_durable_write(d, "new", 3, &err), 0);
	check_file("x", (const uint8_t *)"old", 3);
	ck_assert_int_eq(cw_durable_finish(d, &result, &err), 0);
	check_file("x", (const uint8_t *)"new", 3);
	cw_durable_free(d);
}
END_TEST

START_TEST(free_alone_abandons)
{
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *data = pattern(5000000);
	struct cw_durable *d;

	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 0, &d, &err), 0);
	ck_assert_int_eq(cw_durable_write(d, data, 5000000, &err), 0);
	ck_assert(exists("x.tmp"));
	cw_durable_free(d);
	ck_assert(!exists("x.tmp"));
	ck_assert(!exists("x"));
	cw_durable_free(NULL);
	free(data);
}
END_TEST

START_TEST(an_old_tmp_file_is_replaced_even_a_symlink)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(
	    cw_save_file(dirfd_, "victim", "safe", 4, 0644, &err), 0);
	ck_assert_int_eq(symlinkat("victim", dirfd_, "x.tmp"), 0);
	write_and_check("x", 10, 10, 0);
	check_file("victim", (const uint8_t *)"safe", 4);
}
END_TEST

struct finisher {
	struct cw_durable *d;
	struct cw_durable_result result;
	struct cw_error err;
	int ret;
};

static void *
finish(void *arg)
{
	struct finisher *f = arg;

	f->ret = cw_durable_finish(f->d, &f->result, &f->err);
	return NULL;
}

START_TEST(another_thread_may_finish)
{
	struct finisher f = {.err = CW_ERROR_INIT};
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *data = pattern(5000000);
	pthread_t thread;

	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 0, &f.d, &err), 0);
	ck_assert_int_eq(cw_durable_write(f.d, data, 5000000, &err), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, finish, &f), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(f.ret, 0);
	check_file("x", data, 5000000);
	cw_durable_free(f.d);
	free(data);
}
END_TEST

START_TEST(damage_before_the_read_back_is_found_and_named)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable_result result;
	uint8_t *data = pattern(9000001);
	struct cw_durable *d;
	int fd;

	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 0, &d, &err), 0);
	ck_assert_int_eq(cw_durable_write(d, data, 9000001, &err), 0);
	/*
	 * The first buffers are handed to the disk when the last one is not
	 * full; wait until the third of these bytes is there.
	 */
	for (struct stat st = {.st_size = 0}; st.st_size < 4194304;) {
		ck_assert_int_eq(fstatat(dirfd_, "x.tmp", &st, 0), 0);
		usleep(1000);
	}
	fd = openat(dirfd_, "x.tmp", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "\xff\x00\xff", 3, 200000), 3);
	ck_assert_int_eq(fsync(fd), 0);
	cw_close(&fd);
	ck_assert_int_eq(cw_durable_finish(d, &result, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_ptr_nonnull(strstr(err.message, "x: "));
	/* 200000 lies in the block of 64 KiB that begins at 196608. */
	ck_assert_ptr_nonnull(strstr(err.message, "offset 196608"));
	ck_assert(!exists("x.tmp"));
	ck_assert(!exists("x"));
	cw_durable_free(d);
	free(data);
}
END_TEST

START_TEST(a_file_that_grew_before_the_read_back_is_found)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable_result result;
	uint8_t *data = pattern(4194304);
	struct cw_durable *d;

	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 0, &d, &err), 0);
	ck_assert_int_eq(cw_durable_write(d, data, 4194304, &err), 0);
	/* Longer than what was written, which the end must notice. */
	for (struct stat st = {.st_size = 0}; st.st_size < 4194304;) {
		ck_assert_int_eq(fstatat(dirfd_, "x.tmp", &st, 0), 0);
		usleep(1000);
	}
	{
		char *path = cw_asprintf("%s/x.tmp", root);

		ck_assert_int_eq(truncate(path, 4194305), 0);
		free(path);
	}
	ck_assert_int_eq(cw_durable_finish(d, &result, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert(!exists("x.tmp"));
	cw_durable_free(d);
	free(data);
}
END_TEST

START_TEST(a_full_disk_is_no_space_and_leaves_nothing)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_durable_result result;
	uint8_t *data = pattern(1u << 20);
	struct cw_durable *d;
	int ret = 0;

	if (geteuid() != 0 || mount("tmpfs", root, "tmpfs", 0, "size=8m") < 0) {
		puts("skip: a_full_disk_is_no_space_and_leaves_nothing (no "
		     "tmpfs may be mounted)");
		free(data);
		return;
	}
	cw_close(&dirfd_);
	dirfd_ = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(cw_durable_open(dirfd_, "x", 32u << 20, &d, &err), 0);
	for (int i = 0; i < 32 && ret == 0; i++)
		ret = cw_durable_write(d, data, 1u << 20, &err);
	if (ret == 0)
		ret = cw_durable_finish(d, &result, &err);
	ck_assert_int_eq(ret, -1);
	ck_assert_int_eq(err.code, CW_ERR_NOSPACE);
	ck_assert_ptr_nonnull(strstr(err.message, "x: "));
	cw_durable_free(d);
	ck_assert(!exists("x.tmp"));
	ck_assert(!exists("x"));
	/* The room is there for something smaller. */
	write_and_check("y", 4u << 20, 1u << 20, 4u << 20);
	cw_close(&dirfd_);
	free(data);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("durable");
	TCase *tc = tcase_create("durable");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, files_of_any_size_come_out_whole);
	tcase_add_test(tc, a_wrong_hint_does_no_harm);
	tcase_add_test(tc, a_name_may_be_in_a_subdirectory);
	tcase_add_test(tc, a_subdirectory_that_is_a_symlink_is_refused);
	tcase_add_test(tc, an_old_file_stays_until_the_new_one_is_proven);
	tcase_add_test(tc, free_alone_abandons);
	tcase_add_test(tc, an_old_tmp_file_is_replaced_even_a_symlink);
	tcase_add_test(tc, another_thread_may_finish);
	tcase_add_test(tc, damage_before_the_read_back_is_found_and_named);
	tcase_add_test(tc, a_file_that_grew_before_the_read_back_is_found);
	tcase_add_test(tc, a_full_disk_is_no_space_and_leaves_nothing);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
