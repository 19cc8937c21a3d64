#include "base/fs.h"
#include "replica/place.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static char dir[] = "/tmp/causeway-place-XXXXXX";
static struct cw_place_root root = {"mail", -1};
static struct cw_place *place;

static void
setup(void)
{
	char inner[64];

	strcpy(strrchr(dir, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(inner, sizeof(inner), "%s/root", dir);
	ck_assert_int_eq(mkdir(inner, 0700), 0);
	root.dirfd = open(inner, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(root.dirfd, 0);
	place = cw_place_new(&root, 1);
}

static void
teardown(void)
{
	cw_place_free(place);
	close(root.dirfd);
	scratch_remove(dir);
}

static struct cw_entry
entry(void)
{
	struct cw_entry e = CW_ENTRY_INIT;

	e.mode = 0640;
	e.uid = geteuid();
	e.gid = getegid();
	e.user = e.group = "";
	e.mtime_ns = -1500000001; /* before 1970, with a fraction */
	e.size = 5;
	return e;
}

static void
put(const char *path, const struct cw_entry *e)
{
	struct cw_error err = CW_ERROR_INIT;
	int fd;

	ck_assert_int_eq(cw_place_file_begin(place, path, false, &fd, &err), 0);
	ck_assert_int_eq(write(fd, "hello", 5), 5);
	ck_assert_msg(
	    cw_place_file_finish(place, &fd, e, &err) == 0, "%s", err.message);
}

START_TEST(a_file_has_the_entrys_mode_and_time)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_entry e = entry();
	struct stat st;

	put("mail/a", &e);
	ck_assert_int_eq(cw_place_stat(place, "mail/a", &st, &err), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(st.st_mtim.tv_sec, -2);
	ck_assert_int_eq(st.st_mtim.tv_nsec, 499999999);
}
END_TEST

START_TEST(a_look_never_gives_rights)
{
	struct cw_entry e = entry();
	struct cw_look look;

	e.mode = 07755;
	cw_place_look(place, &e, &look);
	ck_assert_uint_eq(look.mode, 01755);
}
END_TEST

START_TEST(a_path_that_leaves_the_root_is_refused)
{
	static const char *const paths[] = {"mail/../x", "mail/./x", "mail//x",
	    "/mail/x", "mail/x/", "other/x", "mail", ""};
	int fd;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cw_error err = CW_ERROR_INIT;

		ck_assert_msg(cw_place_file_begin(
				  place, paths[i], false, &fd, &err) == -1,
		    "%s", paths[i]);
		ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	}
}
END_TEST

START_TEST(a_symlink_in_the_way_is_not_followed)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_entry e = entry();
	int fd;

	ck_assert_int_eq(symlinkat("..", root.dirfd, "out"), 0);
	ck_assert_int_eq(
	    cw_place_file_begin(place, "mail/out/x", false, &fd, &err), -1);
	/* As the last part it is replaced by the file. */
	put("mail/out", &e);
	ck_assert_int_eq(readlinkat(root.dirfd, "out", (char[2]){0}, 2), -1);
	ck_assert_int_eq(faccessat(root.dirfd, "../x", F_OK, 0), -1);
}
END_TEST

START_TEST(a_link_joins_two_names)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_entry e = entry();
	struct stat a, b;

	ck_assert_int_eq(cw_place_dir(place, "mail/d", &err), 0);
	put("mail/d/a", &e);
	put("mail/b", &e);
	ck_assert_int_eq(cw_place_link(place, "mail/b", "mail/d/a", &err), 0);
	ck_assert_int_eq(cw_place_link(place, "mail/b", "mail/d/a", &err), 0);
	ck_assert_int_eq(cw_place_stat(place, "mail/d/a", &a, &err), 0);
	ck_assert_int_eq(cw_place_stat(place, "mail/b", &b, &err), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	ck_assert_uint_eq(a.st_nlink, 2);
}
END_TEST

START_TEST(attributes_that_give_rights_are_refused)
{
	struct cw_xattr xattr = {
	    "security.capability", (const uint8_t *)"x", 1};
	struct cw_attrs attrs = {.xattrs = &xattr, .xattr_count = 1};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf encoded = CW_BUF_INIT;
	struct cw_entry e = entry();
	int fd;

	ck_assert_int_eq(cw_attrs_encode(&attrs, &encoded, &err), 0);
	e.attrs = encoded.data;
	e.attrs_len = encoded.len;
	ck_assert_int_eq(
	    cw_place_file_begin(place, "mail/x", false, &fd, &err), 0);
	ck_assert_int_eq(cw_place_file_finish(place, &fd, &e, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	cw_buf_free(&encoded);
}
END_TEST

START_TEST(deep_paths_are_reached)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_entry e = entry();
	struct cw_buf path = CW_BUF_INIT;
	struct stat st;
	char part[202];

	memset(part, 'd', 200);
	part[200] = '\0';
	cw_buf_text(&path, "mail");
	for (int i = 0; i < 30; i++) { /* beyond PATH_MAX */
		cw_buf_printf(&path, "/%s", part);
		ck_assert_msg(
		    cw_place_dir(place, cw_buf_string(&path), &err) == 0, "%s",
		    err.message);
	}
	cw_buf_text(&path, "/x");
	put(cw_buf_string(&path), &e);
	ck_assert_int_eq(
	    cw_place_stat(place, cw_buf_string(&path), &st, &err), 0);
	cw_buf_free(&path);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("place");
	TCase *t = tcase_create("place");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_look_never_gives_rights);
	tcase_add_test(t, a_file_has_the_entrys_mode_and_time);
	tcase_add_test(t, a_path_that_leaves_the_root_is_refused);
	tcase_add_test(t, a_symlink_in_the_way_is_not_followed);
	tcase_add_test(t, a_link_joins_two_names);
	tcase_add_test(t, attributes_that_give_rights_are_refused);
	tcase_add_test(t, deep_paths_are_reached);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
