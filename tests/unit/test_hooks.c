#include "base/fs.h"
#include "site/hooks.h"
#include "tests/unit/trees.h"

#include <signal.h>
#include <string.h>
#include <time.h>

static struct cw_config config;
static const struct cw_config_store *store;
static const struct cw_hook_call call = {
    .role = "standby", .epoch = 7, .reason = "a test"};

static void
setup(void)
{
	tree_setup();
	config = (struct cw_config)CW_CONFIG_INIT;
}

static void
teardown(void)
{
	cw_config_free(&config);
	tree_teardown();
}

/* A hook "fence" of this script, and further lines of its section. */
static void
configure(const char *script, const char *more)
{
	char *path = cw_asprintf("%s/hook", tree_base);
	char *text = cw_asprintf(
	    "[site]\nname = metairie\n[store \"mail\"]\nroot = a=/srv/a:b\n"
	    "root = b=/srv/b\n[hooks \"mail\"]\nfence = %s\n%s",
	    path, more);
	int dir = cw_open_dir(tree_base, &err);

	if (script != NULL)
		OK(cw_save_file(
		    dir, "hook", script, strlen(script), 0755, &err));
	OK(cw_config_parse(text, strlen(text), "conf", &config, &err));
	store = cw_config_store(&config, "mail");
	cw_close(&dir);
	free(text);
	free(path);
}

static int
run(void)
{
	return cw_hook_run(&config, store, CW_HOOK_FENCE, &call, &err);
}

static char *
output(const char *name)
{
	struct cw_buf text = CW_BUF_INIT;
	int dir = cw_open_dir(tree_base, &err);

	OK(cw_read_file(dir, name, 65536, &text, &err));
	cw_close(&dir);
	return cw_buf_string(&text);
}

START_TEST(a_hook_that_is_not_configured_is_said_to_be_so)
{
	configure("#!/bin/sh\n", "");
	ck_assert_int_eq(
	    cw_hook_check(&config, "mail", CW_HOOK_PROMOTE, &err), 1);
	ck_assert_int_eq(
	    cw_hook_run(&config, store, CW_HOOK_PROMOTE, &call, &err), 1);
	ck_assert_int_eq(
	    cw_hook_check(&config, "other", CW_HOOK_FENCE, &err), 1);
}
END_TEST

START_TEST(a_hook_gets_its_environment_and_no_other)
{
	char *script = cw_asprintf("#!/bin/sh\nenv >%s/env\npwd >%s/pwd\n"
				   "cat >%s/stdin\nls /proc/$$/fd | wc -l "
				   ">%s/fds\n",
	    tree_base, tree_base, tree_base, tree_base);
	char *text;

	setenv("SECRET", "x", 1);
	setenv("TZ", "UTC", 1);
	configure(script, "");
	OK(run());
	text = output("env");
	ck_assert_ptr_null(strstr(text, "SECRET"));
	ck_assert_ptr_nonnull(strstr(text, "PATH=/usr/local/sbin:"));
	ck_assert_ptr_nonnull(strstr(text, "CAUSEWAY_HOOK=fence\n"));
	ck_assert_ptr_nonnull(strstr(text, "CAUSEWAY_STORE=mail\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "CAUSEWAY_ROOTS=/srv/a:b\n/srv/b\n"));
	ck_assert_ptr_nonnull(strstr(text, "CAUSEWAY_ROLE=standby\n"));
	ck_assert_ptr_nonnull(strstr(text, "CAUSEWAY_EPOCH=7\n"));
	ck_assert_ptr_nonnull(strstr(text, "CAUSEWAY_REASON=a test\n"));
	ck_assert_ptr_nonnull(strstr(text, "TZ=UTC\n"));
	free(text);
	text = output("pwd");
	ck_assert_str_eq(text, "/\n");
	free(text);
	text = output("stdin");
	ck_assert_str_eq(text, "");
	free(text);
	free(script);
}
END_TEST

START_TEST(a_failing_hook_is_named_with_its_status_and_its_words)
{
	configure(
	    "#!/bin/sh\necho no such unit; echo really >&2; exit 3\n", "");
	ck_assert_int_eq(run(), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(err.message, "fence hook of store mail"));
	ck_assert_ptr_nonnull(strstr(err.message, "status 3"));
	ck_assert_ptr_nonnull(strstr(err.message, "no such unit really"));
}
END_TEST

START_TEST(a_hook_that_was_killed_is_named_with_the_signal)
{
	configure("#!/bin/sh\nkill -9 $$\n", "");
	ck_assert_int_eq(run(), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "signal 9"));
	ck_assert_ptr_nonnull(strstr(err.message, "printed nothing"));
}
END_TEST

START_TEST(of_much_output_the_end_is_kept)
{
	configure("#!/bin/sh\nyes abcdefgh | head -c 3000000\necho; "
		  "printf '\\001the end'\nexit 1\n",
	    "");
	ck_assert_int_eq(run(), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "... "));
	ck_assert_ptr_nonnull(strstr(err.message, "\\x01the end"));
}
END_TEST

START_TEST(a_hook_that_does_not_end_is_stopped_with_its_children)
{
	char *script = cw_asprintf(
	    "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $! >%s/pid\necho "
	    "waiting\nsleep 600\nsleep 600\n",
	    tree_base);
	struct timespec from, to;
	char *pid;

	configure(script, "timeout = 3s\n");
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	ck_assert_int_eq(run(), -1);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	ck_assert_int_le(to.tv_sec - from.tv_sec, 120);
	ck_assert_ptr_nonnull(strstr(err.message, "did not end within 3.0 s"));
	ck_assert_ptr_nonnull(strstr(err.message, "waiting"));
	pid = output("pid");
	char *state = cw_asprintf("/proc/%d/stat", atoi(pid));
	char c = 'R';

	/* Gone, or a zombie that nobody has waited for, once it was killed and
	 * had a turn to die. */
	for (int i = 0; i < 1000 && c != 'Z'; i++) {
		FILE *f = fopen(state, "r");

		if (f == NULL || fscanf(f, "%*d %*s %c", &c) != 1)
			c = 'Z';
		if (f != NULL)
			(void)fclose(f);
		if (c != 'Z')
			(void)usleep(20000);
	}
	ck_assert_int_eq(c, 'Z');
	free(state);
	free(pid);
	free(script);
}
END_TEST

START_TEST(a_daemon_that_keeps_the_output_does_not_hold_us)
{
	char *script = cw_asprintf(
	    "#!/bin/sh\nsetsid sleep 60 &\necho $! >%s/pid\n", tree_base);
	struct timespec from, to;
	char *pid;

	configure(script, "");
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	OK(run());
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	ck_assert_int_le(to.tv_sec - from.tv_sec, 50);
	pid = output("pid");
	/* It is ours to end, and it lives. */
	ck_assert_int_eq(kill(atoi(pid), SIGKILL), 0);
	free(pid);
	free(script);
}
END_TEST

START_TEST(a_hook_that_can_not_or_must_not_run_is_refused)
{
	char *path = cw_asprintf("%s/hook", tree_base);

	configure(NULL, "");
	ck_assert_int_eq(run(), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(run(), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "is not a file"));
	ck_assert_int_eq(rmdir(path), 0);
	cw_config_free(&config);

	configure("#!/bin/sh\n", "");
	OK(run());
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(run(), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "not executable"));
	ck_assert_int_eq(chmod(path, 0757), 0);
	ck_assert_int_eq(run(), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "everybody"));
	cw_config_free(&config);

	configure("#!/no/such/interpreter\n", "");
	ck_assert_int_eq(run(), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	free(path);
}
END_TEST

START_TEST(settings_are_read_and_have_defaults)
{
	struct cw_hook_settings s;

	configure("#!/bin/sh\n", "");
	cw_hook_settings(&config, "mail", &s);
	ck_assert_uint_eq(s.timeout_ms, 60000);
	ck_assert(!s.kill_holders);
	ck_assert_uint_eq(s.guard, 100000);
	cw_config_free(&config);
	configure(NULL, "timeout = 2m\nholders = kill\nguard = 5000\n");
	cw_hook_settings(&config, "mail", &s);
	ck_assert_uint_eq(s.timeout_ms, 120000);
	ck_assert(s.kill_holders);
	ck_assert_uint_eq(s.guard, 5000);
}
END_TEST

START_TEST(wrong_settings_are_refused_by_line)
{
	static const char *const lines[] = {"timeout = soon", "timeout = 0s",
	    "holders = shoot", "guard = -1", "guard = 2000000000",
	    "fence = hook", "fences = /bin/true"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char *text = cw_asprintf(
		    "[site]\nname = a\n[hooks \"mail\"]\n%s\n", lines[i]);

		ck_assert_int_eq(
		    cw_config_parse(text, strlen(text), "conf", &config, &err),
		    -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
		ck_assert_ptr_nonnull(strstr(err.message, "conf:4:"));
		free(text);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hooks");
	TCase *t = tcase_create("hooks");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_hook_that_is_not_configured_is_said_to_be_so);
	tcase_add_test(t, a_hook_gets_its_environment_and_no_other);
	tcase_add_test(
	    t, a_failing_hook_is_named_with_its_status_and_its_words);
	tcase_add_test(t, a_hook_that_was_killed_is_named_with_the_signal);
	tcase_add_test(t, of_much_output_the_end_is_kept);
	tcase_add_test(
	    t, a_hook_that_does_not_end_is_stopped_with_its_children);
	tcase_add_test(t, a_daemon_that_keeps_the_output_does_not_hold_us);
	tcase_add_test(t, a_hook_that_can_not_or_must_not_run_is_refused);
	tcase_add_test(t, settings_are_read_and_have_defaults);
	tcase_add_test(t, wrong_settings_are_refused_by_line);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
