#include "base/fs.h"
#include "site/guard.h"
#include "site/guard_mailbox.h"
#include "tests/unit/trees.h"

#include <string.h>
#include <sys/wait.h>

static struct cw_config_root roots[2];
static struct cw_config_store store;
static struct cw_guard_result result;
static int state;

static void
setup(void)
{
	tree_setup();
	state = cw_open_dir(tree_base, &err);
	roots[0] = (struct cw_config_root){
	    .name = cw_strdup("vmail"), .path = cw_strdup(in_root("a"))};
	roots[1] = (struct cw_config_root){
	    .name = cw_strdup("more"), .path = cw_strdup(in_root("b"))};
	make_dir("a");
	make_dir("b");
	store = (struct cw_config_store){.roots = roots, .root_count = 2};
}

static void
teardown(void)
{
	for (size_t i = 0; i < 2; i++) {
		free(roots[i].name);
		free(roots[i].path);
	}
	cw_close(&state);
	tree_teardown();
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(in_root(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void
ck_text(const char *name, const char *want)
{
	char text[4096] = "";
	FILE *f = fopen(in_root(name), "r");

	ck_assert_ptr_nonnull(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	ck_assert_str_eq(text, want);
}

/* A mailbox with messages "1" and "2", the second one not listed as seen. */
static void
mailbox(const char *name)
{
	char path[256];
	static const char *const dirs[] = {"", "/cur", "/new", "/tmp"};

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", name, dirs[i]);
		make_dir(path);
	}
	snprintf(path, sizeof(path), "%s/cur/one:2,S", name);
	put(path, "x");
	snprintf(path, sizeof(path), "%s/new/two", name);
	put(path, "x");
	snprintf(path, sizeof(path), "%s/" CW_UIDLIST_NAME, name);
	put(path, "3 V7 N4\n1 :one\n2 :two:2,\n3 :gone\n");
}

#define GUARDED(n) "3 V7 N" n "\n1 :one\n2 :two:2,\n"

static int
guard(uint64_t epoch)
{
	return cw_guard_run(state, &store, epoch, 1000, &result, &err);
}

START_TEST(all_mailboxes_of_all_roots_are_guarded)
{
	mailbox("a/ada");
	mailbox("a/ada/.Sent Mail\n%");
	make_dir("b/org");
	mailbox("b/org/ben");
	OK(guard(2));
	ck_assert_uint_eq(result.mailboxes, 3);
	ck_assert_uint_eq(result.raised, 3);
	ck_assert_uint_eq(result.lines_dropped, 3);
	ck_assert_uint_eq(result.broken, 0);
	ck_text("a/ada/" CW_UIDLIST_NAME, GUARDED("1004"));
	ck_text("a/ada/.Sent Mail\n%/" CW_UIDLIST_NAME, GUARDED("1004"));
	ck_text("b/org/ben/" CW_UIDLIST_NAME, GUARDED("1004"));
	ck_assert_int_ne(access(in_root("a/ada/" GUARD_TMP), F_OK), 0);
}
END_TEST

START_TEST(an_epoch_is_guarded_once_and_the_next_one_again)
{
	mailbox("a/ada");
	OK(guard(2));
	ck_assert(!result.was_done);
	OK(guard(2));
	ck_assert(result.was_done);
	ck_text("a/ada/" CW_UIDLIST_NAME, GUARDED("1004"));
	OK(guard(3));
	ck_text("a/ada/" CW_UIDLIST_NAME, GUARDED("2004"));
	ck_assert_int_eq(guard(2), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
}
END_TEST

START_TEST(what_was_planned_is_raised_no_further_by_a_second_run)
{
	mailbox("a/ada");
	mailbox("a/ben");
	/* As a crash leaves it: the plan is there, one list is done. */
	OK(cw_save_file(state, CW_GUARD_FILE,
	    "causeway-guard 1 2\n1004 vmail ada\n1004 vmail ben\nend\n", 53,
	    0600, &err));
	put("a/ada/" CW_UIDLIST_NAME, GUARDED("1004"));
	put("a/ben/" GUARD_TMP, "half");
	OK(guard(2));
	ck_assert_uint_eq(result.raised, 1);
	ck_text("a/ada/" CW_UIDLIST_NAME, GUARDED("1004"));
	ck_text("a/ben/" CW_UIDLIST_NAME, GUARDED("1004"));
	ck_assert_int_ne(access(in_root("a/ben/" GUARD_TMP), F_OK), 0);
	OK(guard(2));
	ck_assert(result.was_done);
}
END_TEST

START_TEST(a_plan_that_is_cut_off_is_not_believed)
{
	mailbox("a/ada");
	OK(cw_save_file(state, CW_GUARD_FILE,
	    "causeway-guard 1 2\n1004 vmail ada\n", 34, 0600, &err));
	ck_assert_int_eq(guard(2), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	OK(cw_save_file(state, CW_GUARD_FILE, "x", 1, 0600, &err));
	ck_assert_int_eq(guard(2), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
}
END_TEST

START_TEST(owner_and_mode_are_kept)
{
	struct stat st;

	mailbox("a/ada");
	ck_assert_int_eq(chmod(in_root("a/ada/" CW_UIDLIST_NAME), 0640), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(
		    chown(in_root("a/ada/" CW_UIDLIST_NAME), 5000, 5001), 0);
	OK(guard(2));
	ck_assert_int_eq(stat(in_root("a/ada/" CW_UIDLIST_NAME), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		ck_assert_uint_eq(st.st_uid, 5000);
		ck_assert_uint_eq(st.st_gid, 5001);
	}
}
END_TEST

START_TEST(a_list_without_messages_beside_it_keeps_its_lines)
{
	make_dir("a/control");
	put("a/control/" CW_UIDLIST_NAME, "3 V7 N4\n1 :one\n");
	OK(guard(2));
	ck_text("a/control/" CW_UIDLIST_NAME, "3 V7 N1004\n1 :one\n");
}
END_TEST

START_TEST(a_broken_list_stops_nobody)
{
	mailbox("a/ada");
	mailbox("a/ben");
	put("a/ada/" CW_UIDLIST_NAME, "rubbish\n");
	make_dir("a/cleo");
	ck_assert_int_eq(
	    symlink("/etc/passwd", in_root("a/cleo/" CW_UIDLIST_NAME)), 0);
	OK(guard(2));
	ck_assert_uint_eq(result.broken, 2);
	ck_assert_ptr_nonnull(strstr(result.first_broken, "/root/a/"));
	ck_text("a/ada/" CW_UIDLIST_NAME, "rubbish\n");
	ck_text("a/ben/" CW_UIDLIST_NAME, GUARDED("1004"));
}
END_TEST

START_TEST(more_mailboxes_than_a_batch_are_guarded)
{
	char name[64];

	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "a/u%d", i);
		make_dir(name);
		snprintf(name, sizeof(name), "a/u%d/" CW_UIDLIST_NAME, i);
		put(name, "3 V7 N4\n");
	}
	OK(guard(2));
	ck_assert_uint_eq(result.raised, 600);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "a/u%d/" CW_UIDLIST_NAME, i);
		ck_text(name, "3 V7 N1004\n");
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guard");
	TCase *t = tcase_create("guard");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, all_mailboxes_of_all_roots_are_guarded);
	tcase_add_test(t, an_epoch_is_guarded_once_and_the_next_one_again);
	tcase_add_test(
	    t, what_was_planned_is_raised_no_further_by_a_second_run);
	tcase_add_test(t, a_plan_that_is_cut_off_is_not_believed);
	tcase_add_test(t, owner_and_mode_are_kept);
	tcase_add_test(t, a_list_without_messages_beside_it_keeps_its_lines);
	tcase_add_test(t, a_broken_list_stops_nobody);
	tcase_add_test(t, more_mailboxes_than_a_batch_are_guarded);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
