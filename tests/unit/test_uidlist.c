#include "formats/mail/uidlist.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cw_error err;

static const char three[] =
    "3 V1795364272 N5 G5851b801b015036b94400000db03cc4f\n"
    "1 :1795364272.M27935P16532.alpha,S=16,W=19\n"
    "2 W21 :1795364272.M29748P16532.alpha,S=16,W=19:2,S\n"
    "4 :1795364272.M30909P16532.alpha,S=17,W=20\n";
static const char one[] = "1 1275660208 3\n1 1276528487.a:2,\n2 b c\n";

static bool
is_listed(void *arg, const char *base, size_t len)
{
	const char *const *names = arg;

	for (; *names != NULL; names++)
		if (strlen(*names) == len && memcmp(*names, base, len) == 0)
			return true;
	return false;
}

static char *
guarded(
    const char *text, uint32_t next, const char **present, uint64_t *dropped)
{
	struct cw_uidlist_guard guard = {.next_uid = next,
	    .is_present = present == NULL ? NULL : is_listed,
	    .arg = present};
	struct cw_buf out = CW_BUF_INIT;

	ck_assert_msg(cw_uidlist_guard(
			  text, strlen(text), &guard, &out, dropped, &err) == 0,
	    "%s", err.message);
	return cw_buf_string(&out);
}

START_TEST(versions_1_and_3_are_read)
{
	struct cw_uidlist list;

	ck_assert_int_eq(
	    cw_uidlist_parse(three, strlen(three), &list, &err), 0);
	ck_assert_uint_eq(list.version, 3);
	ck_assert_uint_eq(list.uidvalidity, 1795364272);
	ck_assert_uint_eq(list.next_uid, 5);
	ck_assert_uint_eq(list.lines, 3);
	ck_assert(!list.is_torn);
	ck_assert_int_eq(cw_uidlist_parse(one, strlen(one), &list, &err), 0);
	ck_assert_uint_eq(list.version, 1);
	ck_assert_uint_eq(list.next_uid, 3);
	ck_assert_uint_eq(list.lines, 2);
}
END_TEST

START_TEST(the_guard_raises_the_next_uid_and_keeps_the_rest)
{
	uint64_t dropped;
	char *text = guarded(three, 100005, NULL, &dropped);

	ck_assert_str_eq(text,
	    "3 V1795364272 N100005 G5851b801b015036b94400000db03cc4f\n"
	    "1 :1795364272.M27935P16532.alpha,S=16,W=19\n"
	    "2 W21 :1795364272.M29748P16532.alpha,S=16,W=19:2,S\n"
	    "4 :1795364272.M30909P16532.alpha,S=17,W=20\n");
	ck_assert_uint_eq(dropped, 0);
	free(text);
	text = guarded(one, 103, NULL, &dropped);
	ck_assert_str_eq(text, "1 1275660208 103\n1 1276528487.a:2,\n2 b c\n");
	free(text);
}
END_TEST

START_TEST(lines_of_absent_messages_are_dropped)
{
	const char *present[] = {
	    "1795364272.M29748P16532.alpha,S=16,W=19", NULL};
	uint64_t dropped;
	char *text = guarded(three, 7, present, &dropped);

	ck_assert_str_eq(text,
	    "3 V1795364272 N7 G5851b801b015036b94400000db03cc4f\n"
	    "2 W21 :1795364272.M29748P16532.alpha,S=16,W=19:2,S\n");
	ck_assert_uint_eq(dropped, 2);
	free(text);
}
END_TEST

START_TEST(the_next_uid_never_falls)
{
	char *text = guarded(three, 2, NULL, NULL);

	ck_assert_str_eq(text, three);
	free(text);
	/* A header behind its lines. */
	text = guarded("3 V1 N2\n9 :a\n", 0, NULL, NULL);
	ck_assert_str_eq(text, "3 V1 N10\n9 :a\n");
	free(text);
}
END_TEST

START_TEST(uids_end_at_32_bits)
{
	struct cw_uidlist list = {.next_uid = UINT32_MAX - 5};

	ck_assert_uint_eq(cw_uidlist_raised(&list, 5), UINT32_MAX);
	ck_assert_uint_eq(cw_uidlist_raised(&list, 100000), UINT32_MAX);
	ck_assert_uint_eq(cw_uidlist_raised(&list, 4), UINT32_MAX - 1);
	static const char last[] = "3 V1 N1\n4294967295 :a\n";

	ck_assert_int_eq(cw_uidlist_parse(last, strlen(last), &list, &err), 0);
	ck_assert_uint_eq(list.next_uid, UINT32_MAX);
}
END_TEST

START_TEST(a_torn_line_is_no_entry)
{
	struct cw_uidlist list;
	static const char torn[] = "3 V1 N9\n1 :a\n2 :b";
	char *text;

	ck_assert_int_eq(cw_uidlist_parse(torn, strlen(torn), &list, &err), 0);
	ck_assert(list.is_torn);
	ck_assert_uint_eq(list.lines, 1);
	text = guarded(torn, 20, NULL, NULL);
	ck_assert_str_eq(text, "3 V1 N20\n1 :a\n");
	free(text);
}
END_TEST

START_TEST(hostile_lists_are_refused_and_leave_nothing)
{
	static const char *const bad[] = {"", "3", "3 V1 N1", "\n", "3\n",
	    "3 V1\n", "3 N1\n", "3 V1 N0\n", "3 V1 N4294967296\n", "3 V1 N-1\n",
	    "3 V1 N01\n", "3 V1 V2 N1\n", "3 V1 N1 N2\n", "3  V1 N1\n", "1 5\n",
	    "1 5 6 7\n", "1 x 6\n", "x V1 N1\n", "33 V1 N1\n",
	    "3 V1 N1\n0 :a\n", "3 V1 N1\n2 :a\n2 :b\n", "3 V1 N1\n2 :a\n1 :b\n",
	    "3 V1 N1\n1 a\n", "3 V1 N1\n1 :\n", "3 V1 N1\n1\n", "3 V1 N1\n\n",
	    "3 V1 N1\nx :a\n", "3 V1 N1\n1 :../../etc/passwd\n",
	    "3 V1 N1\n4294967296 :a\n",
	    "3 V1 N1\n4294967295 :a\n4294967295 :b\n", "1 1 1\n1 \n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct cw_uidlist_guard guard = {.next_uid = 5};
		struct cw_buf out = CW_BUF_INIT;
		struct cw_uidlist list;

		ck_assert_msg(
		    cw_uidlist_parse(bad[i], strlen(bad[i]), &list, &err) == -1,
		    "%s", bad[i]);
		ck_assert_int_eq(err.code, CW_ERR_FORMAT);
		ck_assert_int_eq(cw_uidlist_guard(bad[i], strlen(bad[i]),
				     &guard, &out, NULL, &err),
		    -1);
		ck_assert_uint_eq(out.len, 0);
		cw_buf_free(&out);
	}
}
END_TEST

START_TEST(a_nul_byte_a_long_line_and_a_newer_version_are_refused)
{
	static const char nul[] = "3 V1 N1\n1 :a\0b\n";
	struct cw_uidlist list;
	char *line = malloc(CW_UIDLIST_LINE_MAX + 64);

	ck_assert_int_eq(
	    cw_uidlist_parse(nul, sizeof(nul) - 1, &list, &err), -1);
	ck_assert_int_eq(cw_uidlist_parse("4 V1 N1\n", 8, &list, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNSUPPORTED);
	strcpy(line, "3 V1 N1\n1 :");
	memset(line + 11, 'a', CW_UIDLIST_LINE_MAX);
	line[11 + CW_UIDLIST_LINE_MAX] = '\n';
	ck_assert_int_eq(
	    cw_uidlist_parse(line, 12 + CW_UIDLIST_LINE_MAX, &list, &err), -1);
	free(line);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("uidlist");
	TCase *t = tcase_create("uidlist");
	SRunner *r;
	int failed;

	tcase_add_test(t, versions_1_and_3_are_read);
	tcase_add_test(t, the_guard_raises_the_next_uid_and_keeps_the_rest);
	tcase_add_test(t, lines_of_absent_messages_are_dropped);
	tcase_add_test(t, the_next_uid_never_falls);
	tcase_add_test(t, uids_end_at_32_bits);
	tcase_add_test(t, a_torn_line_is_no_entry);
	tcase_add_test(t, hostile_lists_are_refused_and_leave_nothing);
	tcase_add_test(
	    t, a_nul_byte_a_long_line_and_a_newer_version_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
