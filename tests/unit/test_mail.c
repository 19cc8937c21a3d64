#include "formats/mail/mail.h"

#include <check.h>
#include <string.h>

static enum cw_mail_class
class_of(const char *format, const char *path, enum cw_kind kind)
{
	const struct cw_mail_format *f = cw_mail_format_find(format);

	ck_assert_ptr_nonnull(f);
	return f->classify(path, strlen(path), kind);
}

static enum cw_mail_class
file(const char *path)
{
	return class_of("maildir", path, CW_KIND_FILE);
}

START_TEST(messages_are_what_lies_in_cur_and_new)
{
	ck_assert_int_eq(file("u/cur/1.M2.host:2,S"), CW_MAIL_MESSAGE);
	ck_assert_int_eq(file("u/.Sent/new/1.M2.host"), CW_MAIL_MESSAGE);
	ck_assert_int_eq(file("cur/1.M2.host:2,"), CW_MAIL_MESSAGE);
	ck_assert_int_eq(file("u/cur/1.M2.x.lock"), CW_MAIL_MESSAGE);
	ck_assert_int_eq(file("u/1.M2.host"), CW_MAIL_OTHER);
	ck_assert_int_eq(
	    class_of("maildir", "u/cur/link", CW_KIND_SYMLINK), CW_MAIL_OTHER);
}
END_TEST

START_TEST(control_files_are_known_by_name)
{
	static const char *const names[] = {"dovecot-uidlist",
	    "dovecot-keywords", "dovecot-uidvalidity",
	    "dovecot-uidvalidity.5f3a", "subscriptions", "maildirfolder",
	    "dovecot-acl", "dovecot.index", "dovecot.index.log",
	    "dovecot.index.log.2", "dovecot.list.index", "courierimapuiddb",
	    "maildirsize", ".dovecot.sieve", "sieve/work.sieve"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[100] = "u/Maildir/";

		ck_assert_int_eq(file(strcat(path, names[i])), CW_MAIL_CONTROL);
	}
}
END_TEST

START_TEST(locks_temporary_and_derived_files_stay_out)
{
	static const char *const paths[] = {"u/dovecot-uidlist.lock",
	    "u/tmp/1.M2.host", "u/tmp/whatever", "tmp/1.M2.host",
	    "u/dovecot.index.cache", "u/dovecot.index.tmp",
	    "u/dovecot.index.log.newlock", "u/.temp.host.1.2", "u/master.pid",
	    "u/cur/.nfs0001"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		ck_assert_msg(file(paths[i]) == CW_MAIL_SKIP, "%s", paths[i]);
	ck_assert_int_eq(
	    class_of("plain", "a/b.lock", CW_KIND_SYMLINK), CW_MAIL_SKIP);
	ck_assert_int_eq(
	    class_of("plain", "run/x.pid", CW_KIND_FILE), CW_MAIL_SKIP);
}
END_TEST

START_TEST(directories_are_always_kept)
{
	static const char *const paths[] = {
	    "u/tmp", "tmp", "u/.x.lock", "tmp/Maildir", "u/cur"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		ck_assert_int_eq(
		    class_of("maildir", paths[i], CW_KIND_DIR), CW_MAIL_OTHER);
}
END_TEST

START_TEST(an_account_may_be_called_tmp)
{
	ck_assert_int_eq(file("tmp/cur/1.M2.host:2,S"), CW_MAIL_MESSAGE);
	ck_assert_int_eq(file("tmp/dovecot-uidlist"), CW_MAIL_CONTROL);
	ck_assert_int_eq(file("new/subscriptions"), CW_MAIL_CONTROL);
}
END_TEST

START_TEST(only_directories_of_messages_tell)
{
	const struct cw_mail_format *f = cw_mail_format_find("maildir");
	const struct cw_mail_format *plain = cw_mail_format_find("plain");

	ck_assert(f->dir_tells("u/cur", 5));
	ck_assert(f->dir_tells("new", 3));
	ck_assert(!f->dir_tells("u/tmp", 5));
	ck_assert(!f->dir_tells("u", 1));
	ck_assert(!f->dir_tells("u/xcur", 6));
	ck_assert(!plain->dir_tells("u/cur", 5));
}
END_TEST

START_TEST(base_ends_at_the_flags)
{
	ck_assert_uint_eq(cw_maildir_base_len("1.M2.h:2,S", 10), 6);
	ck_assert_uint_eq(cw_maildir_base_len("1.M2.h", 6), 6);
	ck_assert_uint_eq(cw_maildir_base_len("", 0), 0);
}
END_TEST

START_TEST(detection_wants_cur_and_new_side_by_side)
{
	const char *whole[] = {"a", "a/b", "a/b/tmp", "a/b/cur", "a/b/new"};
	const char *top[] = {"new", "cur", "tmp"};
	const char *apart[] = {"a/cur", "b/new", "c/tmp", "a", "b", "c"};

	ck_assert_str_eq(cw_mail_format_detect(whole, 5)->name, "maildir");
	ck_assert_str_eq(cw_mail_format_detect(top, 3)->name, "maildir");
	ck_assert_str_eq(cw_mail_format_detect(top, 2)->name, "maildir");
	ck_assert_str_eq(cw_mail_format_detect(top, 1)->name, "plain");
	ck_assert_str_eq(cw_mail_format_detect(apart, 6)->name, "plain");
	ck_assert_str_eq(cw_mail_format_detect(NULL, 0)->name, "plain");
	ck_assert_ptr_null(cw_mail_format_find("mbx"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("mail");
	TCase *tc = tcase_create("mail");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_test(tc, messages_are_what_lies_in_cur_and_new);
	tcase_add_test(tc, control_files_are_known_by_name);
	tcase_add_test(tc, locks_temporary_and_derived_files_stay_out);
	tcase_add_test(tc, directories_are_always_kept);
	tcase_add_test(tc, an_account_may_be_called_tmp);
	tcase_add_test(tc, only_directories_of_messages_tell);
	tcase_add_test(tc, base_ends_at_the_flags);
	tcase_add_test(tc, detection_wants_cur_and_new_side_by_side);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
