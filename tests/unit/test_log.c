#include "base/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char line[CW_LOG_MAX + 1];

static const char *
format(const char *who, const char *message, bool for_journal)
{
	size_t len = cw_log_format(CW_LOG_WARNING, who, message, for_journal,
	    1795348800, line, CW_LOG_MAX);

	ck_assert_uint_le(len, CW_LOG_MAX);
	line[len] = '\0';
	return line;
}

START_TEST(a_line_has_time_who_and_message)
{
	ck_assert_str_eq(format("link b", "is up", false),
	    "2026-11-22T12:00:00Z link b: is up\n");
	ck_assert_str_eq(
	    format("", "is up", false), "2026-11-22T12:00:00Z is up\n");
	ck_assert_str_eq(
	    format(NULL, "is up", false), "2026-11-22T12:00:00Z is up\n");
}
END_TEST

START_TEST(the_journal_gets_a_priority_and_no_time)
{
	ck_assert_str_eq(format("link b", "is up", true), "<4>link b: is up\n");
}
END_TEST

START_TEST(controls_are_quoted)
{
	ck_assert_str_eq(format("a\nb", "c\033[2Jd\r\n\x7f\\x", true),
	    "<4>a\\x0ab: c\\x1b[2Jd\\x0d\\x0a\\x7f\\x\n");
	ck_assert_str_eq(format(NULL, "gr\303\274n \302\205 \377", true),
	    "<4>gr\303\274n \\xc2\\x85 \\xff\n");
}
END_TEST

START_TEST(a_line_is_bounded)
{
	char long_text[4 * CW_LOG_MAX];
	size_t len;

	for (size_t step = 0; step < 4; step++) {
		memset(long_text, step == 0 ? 'x' : '\n', sizeof(long_text));
		long_text[sizeof(long_text) - 1 - step] = '\0';
		format(step > 2 ? long_text : "who", long_text + step, false);
		len = strlen(line);
		ck_assert_uint_gt(len, CW_LOG_MAX - 12);
		ck_assert_str_eq(line + len - 4, "...\n");
	}
}
END_TEST

/* What stands in a file that was standard error. */
static char *
capture(const char *path)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	fclose(f);
	return text;
}

START_TEST(what_is_too_talkative_is_left_out)
{
	char path[] = "/tmp/test_log.XXXXXX";
	int fd = mkstemp(path), old = dup(STDERR_FILENO);

	unsetenv("JOURNAL_STREAM");
	dup2(fd, STDERR_FILENO);
	cw_log_who("scan mail");
	cw_log(CW_LOG_DEBUG, "hidden");
	cw_log(CW_LOG_INFO, "shown %d", 7);
	cw_log_limit(CW_LOG_ERROR);
	cw_log(CW_LOG_WARNING, "hidden as well");
	dup2(old, STDERR_FILENO);
	ck_assert_str_eq(capture(path) + 20, " scan mail: shown 7\n");
	unlink(path);
}
END_TEST

START_TEST(the_journal_is_known_by_its_stream)
{
	char path[] = "/tmp/test_log.XXXXXX", stream[64];
	int fd = mkstemp(path), old = dup(STDERR_FILENO);
	struct stat st;

	fstat(fd, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(fd, STDERR_FILENO);
	cw_log(CW_LOG_ERROR, "one");
	setenv("JOURNAL_STREAM", "1:2", 1);
	cw_log(CW_LOG_ERROR, "two");
	dup2(old, STDERR_FILENO);
	ck_assert_int_eq(strncmp(capture(path), "<3>one\n2", 8), 0);
	unlink(path);
}
END_TEST

START_TEST(a_reader_that_sleeps_does_not_hold_us_up)
{
	char text[1 << 16];
	int fds[2], old = dup(STDERR_FILENO);
	unsigned written = 0;
	ssize_t n;

	unsetenv("JOURNAL_STREAM");
	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	/* A pipe holds 64 KiB; this would wait for ever. */
	for (int i = 0; i < 200; i++)
		cw_log(CW_LOG_ERROR, "%01000d", i);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	while ((n = read(fds[0], text, sizeof(text))) > 0)
		written += (unsigned)n;
	ck_assert_uint_gt(written, 4096);
	cw_log(CW_LOG_ERROR, "awake");
	n = read(fds[0], text, sizeof(text) - 1);
	dup2(old, STDERR_FILENO);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "lines were lost here\n"));
	ck_assert_ptr_nonnull(strstr(text, "awake\n"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, a_line_has_time_who_and_message);
	tcase_add_test(tc, the_journal_gets_a_priority_and_no_time);
	tcase_add_test(tc, controls_are_quoted);
	tcase_add_test(tc, a_line_is_bounded);
	tcase_add_test(tc, what_is_too_talkative_is_left_out);
	tcase_add_test(tc, the_journal_is_known_by_its_stream);
	tcase_add_test(tc, a_reader_that_sleeps_does_not_hold_us_up);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
