/* media/prepare.h: what is refused, from nothing but a list of devices. */
#include "base/buf.h"
#include "media/child.h"
#include "media/device.h"
#include "media/device_use.h"
#include "media/prepare.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define GIB (1ull << 30)

static struct cw_devices devices;
static struct cw_device list[3]; /* a disk, its partition, another disk */
static struct cw_error err;

static void
fill(struct cw_device *d, const char *name, int parent)
{
	memset(d, 0, sizeof(*d));
	d->name = cw_strdup(name);
	d->path = cw_asprintf("/dev/%s", name);
	d->parent = parent;
	d->kind = parent < 0 ? CW_DEVICE_DISK : CW_DEVICE_PARTITION;
	d->size = GIB;
	d->was_probed = true;
	d->has_node = true;
}

static void
setup(void)
{
	fill(&list[0], "sdb", -1);
	fill(&list[1], "sdc", -1);
	fill(&list[2], "sdc1", 1);
	devices.list = list;
	devices.count = 1; /* an empty disk alone */
	err = (struct cw_error)CW_ERROR_INIT;
}

static void
teardown(void)
{
	for (size_t i = 0; i < 3; i++) {
		for (size_t u = 0; u < list[i].use_count; u++)
			free(list[i].uses[u].what);
		free(list[i].uses);
		free(list[i].name);
		free(list[i].path);
		free(list[i].problem);
	}
}

static int
decide(size_t index, bool has_erase)
{
	return cw_prepare_decide(
	    &devices, index, CW_PREPARE_EXT4, has_erase, &err);
}

static void
mark(struct cw_device *d, const char *type, const char *usage)
{
	strcpy(d->type, type);
	strcpy(d->usage, usage);
	strcpy(d->signatures[0].type, type);
	strcpy(d->signatures[0].usage, usage);
	d->signature_count = 1;
}

/* Refused with these words, whether it is named twice or not. */
static void
refused_always(size_t index, const char *words)
{
	for (int has_erase = 0; has_erase < 2; has_erase++) {
		ck_assert_int_eq(decide(index, has_erase), -1);
		ck_assert_int_eq(err.code, CW_ERR_REFUSED);
		ck_assert_msg(
		    strstr(err.message, words) != NULL, "%s", err.message);
		ck_assert_ptr_null(strstr(err.message, "--erase"));
	}
}

/* Refused, saying what it holds, unless it is named twice. */
static void
refused_once(size_t index, const char *words)
{
	ck_assert_int_eq(decide(index, false), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
	ck_assert_ptr_nonnull(strstr(err.message, "--erase"));
	ck_assert_int_eq(decide(index, true), 0);
}

START_TEST(an_empty_disk_is_taken)
{
	ck_assert_int_eq(decide(0, false), 0);
	ck_assert_int_eq(decide(0, true), 0);
}
END_TEST

START_TEST(any_use_refuses_always)
{
	static const struct {
		enum cw_use_kind kind;
		const char *what, *words;
	} uses[] = {
	    {CW_USE_MOUNTED, "/mnt/x", "mounted on /mnt/x"},
	    {CW_USE_SWAP, "", "swap"},
	    {CW_USE_HELD, "md0", "part of md0"},
	    {CW_USE_BACKING, "/dev/loop1", "the file behind /dev/loop1"},
	    {CW_USE_PART, "/dev/sdb1: swap", "/dev/sdb1: swap"},
	    {CW_USE_SYSTEM, "/", "this system (/)"},
	    {CW_USE_PLACE, "the store mail", "holds the store mail"},
	    {CW_USE_EXCLUSIVE, "", "another program"},
	};

	for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
		cw_device_add_use(&list[0], uses[i].kind, uses[i].what);
		refused_always(0, uses[i].words);
		free(list[0].uses[0].what);
		list[0].use_count = 0;
	}
}
END_TEST

START_TEST(what_is_no_whole_disk_is_refused_always)
{
	devices.count = 3;
	refused_always(2, "name the disk, which is /dev/sdc");
	list[0].kind = CW_DEVICE_MAPPED;
	refused_always(0, "built on other disks");
	list[0].kind = CW_DEVICE_RAID;
	refused_always(0, "built on other disks");
	list[0].kind = CW_DEVICE_OPTICAL;
	refused_always(0, "no disk that can be carried");
	list[0].kind = CW_DEVICE_VIRTUAL;
	refused_always(0, "no disk that can be carried");
}
END_TEST

START_TEST(a_readonly_empty_or_small_drive_is_refused_always)
{
	list[0].is_readonly = true;
	refused_always(0, "read-only");
	list[0].is_readonly = false;
	list[0].size = 0;
	refused_always(0, "no medium");
	list[0].size = 1u << 20;
	refused_always(0, "needs");
	/* XFS wants more. */
	list[0].size = 200u << 20;
	ck_assert_int_eq(decide(0, false), 0);
	ck_assert_int_eq(
	    cw_prepare_decide(&devices, 0, CW_PREPARE_XFS, false, &err), -1);
}
END_TEST

START_TEST(a_disk_that_cannot_be_read_is_refused_always)
{
	list[0].problem = cw_strdup("Input/output error");
	refused_always(0, "Input/output error");
	list[0].was_probed = false;
	refused_always(0, "cannot be looked at");
}
END_TEST

START_TEST(marks_refuse_unless_named_twice)
{
	mark(&list[0], "LVM2_member", "raid");
	refused_once(0, "LVM2_member on /dev/sdb");
	mark(&list[0], "linux_raid_member", "raid");
	refused_once(0, "linux_raid_member");
	mark(&list[0], "crypto_LUKS", "crypto");
	refused_once(0, "crypto_LUKS");
	mark(&list[0], "zfs_member", "filesystem");
	refused_once(0, "zfs_member");
	mark(&list[0], "swap", "other");
	refused_once(0, "swap on /dev/sdb");
	mark(&list[0], "ext4", "filesystem");
	strcpy(list[0].label, "photos");
	refused_once(0, "ext4 \"photos\" on /dev/sdb");
}
END_TEST

START_TEST(several_marks_at_once_refuse_unless_named_twice)
{
	mark(&list[0], "ext4", "filesystem");
	list[0].type[0] = '\0'; /* none of them governs */
	list[0].problem = cw_strdup("holds the marks of several things");
	refused_once(0, "ext4");
}
END_TEST

START_TEST(a_table_and_partitions_refuse_unless_named_twice)
{
	devices.count = 3;
	strcpy(list[1].table, "gpt");
	refused_once(1, "a partition table (gpt)");
	refused_once(1, "the partition /dev/sdc1");
	mark(&list[2], "xfs", "filesystem");
	refused_once(1, "xfs on /dev/sdc1");
	list[2].seed_count = 2;
	refused_once(1, "2 of Causeway's seeds on /dev/sdc1");
	list[2].seed_count = 0;
	/* It is not the other disk's. */
	ck_assert_int_eq(decide(0, false), 0);
}
END_TEST

START_TEST(unknown_data_refuses_unless_named_twice)
{
	list[0].has_other = true;
	refused_once(0, "data of a kind that is not known");
}
END_TEST

START_TEST(labels_are_those_the_filesystem_holds)
{
	static const char long_[] = "abcdefghijklmnopq";
	static const struct {
		enum cw_prepare_fs fs;
		size_t max;
	} kinds[] = {{CW_PREPARE_EXT4, 16}, {CW_PREPARE_XFS, 12},
	    {CW_PREPARE_EXFAT, 11}};

	for (size_t i = 0; i < 3; i++) {
		const char *fits = long_ + sizeof(long_) - 1 - kinds[i].max;

		ck_assert_int_eq(
		    cw_prepare_check_label(fits, kinds[i].fs, &err), 0);
		ck_assert_int_eq(
		    cw_prepare_check_label(fits - 1, kinds[i].fs, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
	}
}
END_TEST

START_TEST(labels_name_a_directory_and_nothing_else)
{
	static const char *const bad[] = {"", ".", "..", "-rf", "a/b", "a b",
	    "a\nb", "\"", "a\\b", "\xc3\xa4"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_int_eq(
		    cw_prepare_check_label(bad[i], CW_PREPARE_EXT4, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
	}
	ck_assert_int_eq(
	    cw_prepare_check_label("Disk_1.a-b", CW_PREPARE_EXT4, &err), 0);
}
END_TEST

START_TEST(a_child_that_fails_is_quoted)
{
	const char *const fails[] = {
	    "sh", "-c", "echo first; echo the reason >&2; exit 3", NULL};
	const char *const well[] = {"sh", "-c", "read x; test -z \"$x\"", NULL};
	char *sh = cw_child_find("sh");

	ck_assert_ptr_nonnull(sh);
	ck_assert_int_eq(cw_child_run(sh, fails, 60, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(err.message, "status 3"));
	ck_assert_ptr_nonnull(strstr(err.message, "the reason"));
	ck_assert_int_eq(cw_child_run(sh, well, 60, &err), 0);
	ck_assert_ptr_null(cw_child_find("no-such-program-of-ours"));
	free(sh);
}
END_TEST

START_TEST(a_child_that_does_not_end_is_ended)
{
	const char *const forever[] = {"sleep", "1000", NULL};
	char *sleep_ = cw_child_find("sleep");

	ck_assert_ptr_nonnull(sleep_);
	ck_assert_int_eq(cw_child_run(sleep_, forever, 0, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "longer than"));
	free(sleep_);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("prepare");
	TCase *tc = tcase_create("prepare");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_empty_disk_is_taken);
	tcase_add_test(tc, any_use_refuses_always);
	tcase_add_test(tc, what_is_no_whole_disk_is_refused_always);
	tcase_add_test(tc, a_readonly_empty_or_small_drive_is_refused_always);
	tcase_add_test(tc, a_disk_that_cannot_be_read_is_refused_always);
	tcase_add_test(tc, marks_refuse_unless_named_twice);
	tcase_add_test(tc, several_marks_at_once_refuse_unless_named_twice);
	tcase_add_test(tc, a_table_and_partitions_refuse_unless_named_twice);
	tcase_add_test(tc, unknown_data_refuses_unless_named_twice);
	tcase_add_test(tc, labels_are_those_the_filesystem_holds);
	tcase_add_test(tc, labels_name_a_directory_and_nothing_else);
	tcase_add_test(tc, a_child_that_fails_is_quoted);
	tcase_add_test(tc, a_child_that_does_not_end_is_ended);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
