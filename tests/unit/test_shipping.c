#include "base/fs.h"
#include "seed/shipping.h"
#include "tests/unit/scratch.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static int fd;

static void
setup(void)
{
	strcpy(dir, "/tmp/cw-shipping-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void
teardown(void)
{
	close(fd);
	scratch_remove(dir);
}

START_TEST(nothing_is_known_without_a_file)
{
	struct cw_shipping s;

	ck_assert_int_eq(cw_shipping_load(fd, &s, NULL), 0);
	ck_assert_uint_eq(s.count, 0);
	ck_assert_ptr_null(cw_shipping_find(&s, 1));
	cw_shipping_free(&s);
}
END_TEST

START_TEST(media_that_were_written_are_remembered_by_number)
{
	char *odd = cw_asprintf("%s/a b%%c\nd", dir);
	struct cw_shipping s;

	ck_assert_int_eq(mkdir(odd, 0700), 0);
	ck_assert_int_eq(cw_shipping_wrote(fd, 2, fd, odd, NULL), 0);
	ck_assert_int_eq(cw_shipping_wrote(fd, 1, fd, dir, NULL), 0);
	ck_assert_int_eq(cw_shipping_load(fd, &s, NULL), 0);
	ck_assert_uint_eq(s.count, 2);
	ck_assert_uint_eq(s.media[0].number, 1);
	ck_assert_str_eq(s.media[0].path, dir);
	ck_assert_str_eq(s.media[1].path, odd);
	ck_assert_int_eq(s.media[1].closed, 0);
	cw_shipping_free(&s);
	free(odd);
}
END_TEST

START_TEST(closed_medium_that_is_written_again_is_open)
{
	struct cw_shipping s;

	ck_assert_int_eq(cw_shipping_wrote(fd, 1, fd, dir, NULL), 0);
	ck_assert_int_eq(cw_shipping_close(fd, 1, true, NULL), 0);
	ck_assert_int_eq(cw_shipping_load(fd, &s, NULL), 0);
	ck_assert_int_ne(s.media[0].closed, 0);
	cw_shipping_free(&s);
	ck_assert_int_eq(cw_shipping_wrote(fd, 1, fd, dir, NULL), 0);
	ck_assert_int_eq(cw_shipping_load(fd, &s, NULL), 0);
	ck_assert_uint_eq(s.count, 1);
	ck_assert_int_eq(s.media[0].closed, 0);
	cw_shipping_free(&s);
}
END_TEST

START_TEST(unknown_medium_cannot_be_closed)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_shipping_close(fd, 7, true, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
}
END_TEST

START_TEST(what_is_no_such_file_is_refused)
{
	static const char *const wrong[] = {
	    "causeway-shipping 2\n",
	    "causeway-shipping 1\nmedium 0 2026-11-22T12:00:00Z - 1 s 1 - /x\n",
	    "causeway-shipping 1\nmedium 1 yesterday - 1 s 1 - /x\n",
	    "causeway-shipping 1\nmedium 1 2026-11-22T12:00:00Z - 1 z 1 - /x\n",
	    "causeway-shipping 1\nmedium 1 2026-11-22T12:00:00Z - 1 s 1 - \n",
	    "causeway-shipping 1\nmedium 1 2026-11-22T12:00:00Z - 1 s 1 - "
	    "/%4\n",
	    "causeway-shipping 1\nmedium 1 2026-11-22T12:00:00Z - 1 s 1 - "
	    "/%41\n",
	    "causeway-shipping 1\nmedium 1 2026-11-22T12:00:00Z - 1 s 1 - /x",
	    "causeway-shipping 1\n"
	    "medium 2 2026-11-22T12:00:00Z - 1 s 1 - /x\n"
	    "medium 2 2026-11-22T12:00:00Z - 1 s 1 - /x\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct cw_shipping s;

		ck_assert_int_eq(cw_save_file(fd, CW_SHIPPING_FILE, wrong[i],
				     strlen(wrong[i]), 0600, NULL),
		    0);
		ck_assert_msg(
		    cw_shipping_load(fd, &s, NULL) == -1, "%s", wrong[i]);
		cw_shipping_free(&s);
	}
}
END_TEST

START_TEST(another_boot_device_or_life_is_another_mount)
{
	struct cw_mount_life then = {
	    .boot = "b1", .device = 5, .kind = 's', .life = 9};
	struct cw_mount_life now = then;

	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_NO);
	now.life = 10;
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_YES);
	now = then;
	now.device = 6;
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_YES);
	now = then;
	strcpy(now.boot, "b2");
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_YES);
	/* Two measures cannot be compared. */
	now = then;
	now.kind = 'u';
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_UNKNOWN);
	/* An id of a mount is used again: that it is equal proves nothing. */
	then.kind = now.kind = 'm';
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_UNKNOWN);
	now.life++;
	ck_assert_int_eq(cw_mount_life_anew(&then, &now), CW_REMOUNTED_YES);
}
END_TEST

START_TEST(filesystem_that_stays_mounted_has_one_life)
{
	struct cw_mount_life a, b;

	ck_assert_int_eq(cw_mount_life_look(fd, &a, NULL), 0);
	ck_assert_int_eq(cw_mount_life_look(fd, &b, NULL), 0);
	ck_assert_int_ne(cw_mount_life_anew(&a, &b), CW_REMOUNTED_YES);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("shipping");
	TCase *tc = tcase_create("shipping");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_known_without_a_file);
	tcase_add_test(tc, media_that_were_written_are_remembered_by_number);
	tcase_add_test(tc, closed_medium_that_is_written_again_is_open);
	tcase_add_test(tc, unknown_medium_cannot_be_closed);
	tcase_add_test(tc, what_is_no_such_file_is_refused);
	tcase_add_test(tc, another_boot_device_or_life_is_another_mount);
	tcase_add_test(tc, filesystem_that_stays_mounted_has_one_life);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
