/*
 * Who holds a store, and whether it held still.  Programs of the system hold
 * it, as those of our own do not count.
 */
#include "base/crypto.h"
#include "base/fs.h"
#include "site/holders.h"
#include "site/still.h"
#include "tests/unit/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

static struct cw_holders held;
static pid_t child;
static char root[80];

static void
setup(void)
{
	OK(cw_crypto_init(&err));
	tree_setup();
	(void)snprintf(root, sizeof(root), "%s/root", tree_base);
	child = 0;
}

static void
end_child(void)
{
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	child = 0;
}

static void
teardown(void)
{
	end_child();
	tree_teardown();
}

static bool
is_called(const char *name)
{
	char path[64], comm[32] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)child);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	if (fscanf(f, "%31s", comm) != 1)
		comm[0] = '\0';
	(void)fclose(f);
	return strcmp(comm, name) == 0;
}

/*
 * Starts a shell that does what `prepare` says and waits; returns when it has
 * done so.
 */
static void
hold(const char *prepare)
{
	int ready[2];
	char byte,
	    *script = cw_asprintf("cd / && { %s\n} && echo >&9 && exec 9>&- && "
				  "exec sleep 600",
		prepare);

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		(void)dup2(ready[1], 9);
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	(void)close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	/* And until sleep(1) has taken the shell's place. */
	while (read(ready[0], &byte, 1) > 0)
		;
	(void)close(ready[0]);
	while (!is_called("sleep"))
		(void)usleep(1000);
	free(script);
}

static void
look(void)
{
	const char *roots[] = {root};

	OK(cw_holders_find(roots, 1, &held, &err));
}

static void
ck_held(const char *what)
{
	look();
	ck_assert_msg(held.count >= 1, "nobody, expected %s", what);
	ck_assert_int_eq(held.list[0].pid, child);
	ck_assert_msg(strncmp(held.list[0].what, what, strlen(what)) == 0,
	    "%s %s", held.list[0].what, held.list[0].path);
}

#define NEED_ROOT()                                                            \
	do {                                                                   \
		if (geteuid() != 0) {                                          \
			puts("skip: looking at all processes needs root");     \
			return;                                                \
		}                                                              \
	} while (0)

/* In "..." a command that runs below the root. */
static void
hold_in_root(const char *fmt)
{
	char *text = cw_asprintf("R=%s; %s", root, fmt);

	hold(text);
	free(text);
}

START_TEST(a_store_that_nobody_holds_is_free)
{
	const char *roots[] = {root};

	NEED_ROOT();
	/* What is beside it does not count, with the same beginning. */
	hold_in_root("exec 5>\"$R-beside\"; cd \"$R/..\"");
	look();
	ck_assert_msg(held.count == 0, "%s %s %s", held.list[0].comm,
	    held.list[0].what, held.list[0].path);
	OK(cw_holders_wait(roots, 1, 1000, false, &held, &err));
}
END_TEST

START_TEST(an_open_file_holds_the_store)
{
	NEED_ROOT();
	hold_in_root("exec 5>\"$R/file\"");
	ck_held("fd 5");
	ck_assert_ptr_nonnull(strstr(held.list[0].path, "/root/file"));
	ck_assert_str_ne(held.list[0].comm, "");
}
END_TEST

START_TEST(an_unlinked_file_holds_the_store)
{
	NEED_ROOT();
	hold_in_root("exec 5>\"$R/file\"; rm \"$R/file\"");
	ck_held("fd 5");
}
END_TEST

START_TEST(a_working_directory_holds_the_store)
{
	NEED_ROOT();
	hold_in_root("cd \"$R\"");
	ck_held("cwd");
	end_child();
	hold_in_root("mkdir \"$R/d\"; cd \"$R/d\"; rmdir \"$R/d\"");
	ck_held("cwd");
}
END_TEST

START_TEST(an_executable_holds_the_store)
{
	NEED_ROOT();
	int ready[2];
	char *copy = cw_asprintf("cp /bin/sleep %s/run", root);
	char *run = cw_asprintf("%s/run", root);
	char byte;

	ck_assert_int_eq(system(copy), 0);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		ck_assert_int_eq(chdir("/"), 0);
		execl(run, "run", "600", (char *)NULL);
		_exit(127);
	}
	(void)close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 0);
	(void)close(ready[0]);
	ck_held("exe");
	free(copy);
	free(run);
}
END_TEST

START_TEST(a_mapping_holds_the_store)
{
	NEED_ROOT();
	if (access("/usr/bin/python3", X_OK) < 0) {
		puts("skip: python3 is not installed");
		return;
	}
	int ready[2];
	char byte;
	char *code = cw_asprintf(
	    "import mmap,os,time\n"
	    "f=os.open('%s/map',os.O_RDWR|os.O_CREAT)\n"
	    "os.ftruncate(f,4096)\nm=mmap.mmap(f,4096)\nos.close(f)\n"
	    /* Python keeps a descriptor of its own: close all. */
	    "os.write(9,b'x')\nos.closerange(3,64)\ntime.sleep(600)\n",
	    root);

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		(void)dup2(ready[1], 9);
		ck_assert_int_eq(chdir("/"), 0);
		execl("/usr/bin/python3", "python3", "-c", code, (char *)NULL);
		_exit(127);
	}
	(void)close(ready[1]);
	while (read(ready[0], &byte, 1) > 0)
		;
	(void)close(ready[0]);
	ck_held("map");
	free(code);
}
END_TEST

/* Whether mounts can be made here. */
static bool
can_mount(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		bool can =
		    unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    mount(root, root, NULL, MS_BIND, NULL) == 0;

		_exit(can ? 0 : 1);
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(a_process_behind_a_bind_mount_elsewhere_holds_the_store)
{
	NEED_ROOT();
	if (!can_mount()) {
		puts("skip: no mount namespaces here");
		return;
	}
	hold_in_root("mkdir \"$R/sub\" \"$R/../other\" && exec unshare -m sh "
		     "-c 'mount --bind \"$0/sub\" \"$0/../other\" && "
		     "exec 5>\"$0/../other/file\" && echo >&9 && "
		     "exec 9>&- sleep 600' \"$R\"; true");
	look();
	ck_assert_uint_eq(held.count, 1);
	ck_assert_int_eq(held.list[0].pid, child);
	ck_assert_msg(strstr(held.list[0].path, "/other/file") != NULL, "%s %s",
	    held.list[0].what, held.list[0].path);
}
END_TEST

START_TEST(the_same_path_of_another_namespace_does_not)
{
	NEED_ROOT();
	if (!can_mount()) {
		puts("skip: no mount namespaces here");
		return;
	}
	hold_in_root("exec unshare -m sh -c 'mount -t tmpfs none \"$0\" && "
		     "exec 5>\"$0/file\" && echo >&9 && "
		     "exec 9>&- sleep 600' \"$R\"; true");
	look();
	ck_assert_msg(held.count == 0, "%s %s %s", held.list[0].comm,
	    held.list[0].what, held.list[0].path);
}
END_TEST

START_TEST(who_holds_it_to_the_end_is_named)
{
	const char *roots[] = {root};

	NEED_ROOT();
	hold_in_root("exec 5>\"$R/file\"");
	ck_assert_int_eq(
	    cw_holders_wait(roots, 1, 300, false, &held, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.message, "sleep (process "));
	ck_assert_ptr_nonnull(strstr(err.message, "/root/file"));
	ck_assert_uint_eq(held.count, 1);
	ck_assert_int_eq(kill(child, 0), 0);
}
END_TEST

START_TEST(holders_are_killed_where_that_is_asked_for)
{
	const char *roots[] = {root};

	NEED_ROOT();
	hold_in_root("trap '' TERM; exec 5>\"$R/file\"");
	/* A zombie holds nothing. */
	OK(cw_holders_wait(roots, 1, 10000, true, &held, &err));
	ck_assert_msg(held.count == 0, "%s %s %s", held.list[0].comm,
	    held.list[0].what, held.list[0].path);
}
END_TEST

static void
walk(const char *format, uint8_t out[CW_STILL_SIZE])
{
	struct cw_still_root r = {.path = root, .format = format};

	OK(cw_still_digest(&r, 1, out, &err));
}

static void
run_in_root(const char *command)
{
	char *text = cw_asprintf("cd %s && %s", root, command);

	ck_assert_int_eq(system(text), 0);
	free(text);
}

START_TEST(a_store_that_held_still_has_the_same_digest)
{
	uint8_t a[CW_STILL_SIZE], b[CW_STILL_SIZE];

	run_in_root("mkdir -p m/cur m/new m/tmp && echo x >m/cur/1 && "
		    "echo y >m/list && ln -s x m/link");
	walk(NULL, a);
	walk(NULL, b);
	ck_assert_mem_eq(a, b, sizeof(a));
	walk("maildir", a);
	walk("maildir", b);
	ck_assert_mem_eq(a, b, sizeof(a));
}
END_TEST

START_TEST(whatever_moves_changes_the_digest)
{
	static const char *const changes[] = {"echo z >m/new/2",
	    "mv m/cur/1 m/cur/1:2,S", "rm m/cur/1:2,S", "echo yy >m/list",
	    "touch -d 2020-01-01 m/list", "chmod 600 m/list", "mkdir n",
	    "ln -sf y m/link", "mv m/list m/list2"};
	static const char *const formats[] = {NULL, "maildir"};
	uint8_t before[CW_STILL_SIZE], after[CW_STILL_SIZE];

	for (size_t f = 0; f < 2; f++) {
		run_in_root("rm -rf m n; mkdir -p m/cur m/new m/tmp && "
			    "echo x >m/cur/1 && echo y >m/list && "
			    "ln -s x m/link");
		for (size_t i = 0; i < sizeof(changes) / sizeof(*changes);
		     i++) {
			walk(formats[f], before);
			run_in_root(changes[i]);
			walk(formats[f], after);
			ck_assert_msg(memcmp(before, after, sizeof(after)) != 0,
			    "%s", changes[i]);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("holders");
	TCase *t = tcase_create("holders");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_store_that_nobody_holds_is_free);
	tcase_add_test(t, an_open_file_holds_the_store);
	tcase_add_test(t, an_unlinked_file_holds_the_store);
	tcase_add_test(t, a_working_directory_holds_the_store);
	tcase_add_test(t, an_executable_holds_the_store);
	tcase_add_test(t, a_mapping_holds_the_store);
	tcase_add_test(
	    t, a_process_behind_a_bind_mount_elsewhere_holds_the_store);
	tcase_add_test(t, the_same_path_of_another_namespace_does_not);
	tcase_add_test(t, who_holds_it_to_the_end_is_named);
	tcase_add_test(t, holders_are_killed_where_that_is_asked_for);
	tcase_add_test(t, a_store_that_held_still_has_the_same_digest);
	tcase_add_test(t, whatever_moves_changes_the_digest);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
