#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "site/channel.h"
#include "site/daemon.h"
#include "site/identity.h"
#include "tests/unit/scratch.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 120000 /* what has not happened by then does not happen */

/* What the children of the daemon and the tests tell one another. */
struct shared {
	atomic_int scans, scanning, scanning_most, scan_sleep_ms;
	atomic_int scans_to_meet; /* scans wait until so many run */
	atomic_int scans_to_crash, scan_fails, scan_waits_for_stop;
	atomic_int scan_was_stopped;
	atomic_int sessions, sessions_to_crash, sessions_open, dial_connects;
	atomic_int stops, wakes, answers_ok, answers_failed;
	atomic_int commands, command_was_stopped, command_pid;
	atomic_int session_is_deaf;
	atomic_int is_cut_off, mends, mends_to_fail;
};

static struct shared *shared;
static char top[64];
static char *home_dir;
static struct cw_error err;
static struct cw_daemon_limits limits;
static pid_t daemon_pid;
static bool has_links;
static int held = -1; /* a lock that the daemon must not inherit */

static void
pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* Waits for a condition; fails the test by the time it cannot come any more. */
#define WAIT_FOR(condition)                                                    \
	do {                                                                   \
		int waited = 0;                                                \
		while (!(condition)) {                                         \
			ck_assert_msg(                                         \
			    waited < LIMIT_MS, "never: %s", #condition);       \
			pause_ms(5);                                           \
			waited += 5;                                           \
		}                                                              \
	} while (0)

static char *
below(const char *name)
{
	return cw_asprintf("%s/%s", top, name);
}

/* ---- what the children do ---- */

static int
scan(void *arg, struct cw_home *home, const struct cw_config_store *store,
    struct cw_daemon_scan *result, struct cw_error *e)
{
	int running = ++shared->scanning;

	(void)arg;
	(void)home;
	(void)store;
	if (running > shared->scanning_most)
		shared->scanning_most = running;
	for (int i = 0;
	     i < LIMIT_MS && shared->scanning_most < shared->scans_to_meet;
	     i += 5)
		pause_ms(5);
	pause_ms(shared->scan_sleep_ms);
	if (shared->scan_waits_for_stop) {
		while (!cw_stop_requested())
			pause_ms(5);
		shared->scan_was_stopped++;
		shared->scanning--;
		return cw_stop_check(e);
	}
	shared->scanning--;
	result->generation = (uint64_t)++shared->scans;
	result->has_changed = true;
	if (shared->scans_to_crash > 0) {
		shared->scans_to_crash--;
		(void)kill(getpid(), SIGKILL);
	}
	if (shared->scan_fails)
		return cw_error_set(e, CW_ERR_REFUSED, "the root is empty");
	return 0;
}

static void
hear(int channel, bool *stop)
{
	char line[CW_CHANNEL_MAX], *words[4];
	int ret = cw_channel_recv(channel, 0, line, NULL);
	unsigned count;

	*stop = ret < 0;
	if (ret <= 0)
		return;
	count = cw_channel_words(line, words, 4);
	if (strcmp(words[0], "stop") == 0) {
		shared->stops++;
		*stop = !shared->session_is_deaf;
	} else if (strcmp(words[0], "wake") == 0) {
		shared->wakes++;
	} else if (count == 4 && strcmp(words[3], "ok") == 0) {
		shared->answers_ok++;
	} else {
		shared->answers_failed++;
	}
}

/* A session whose peer types what it shall tell the daemon. */
static int
session(void *arg, struct cw_home *home, const struct cw_daemon_link *link,
    struct cw_error *e)
{
	char text[256];
	bool stop = false;
	ssize_t n;

	(void)arg;
	(void)home;
	shared->sessions++;
	if (shared->sessions_to_crash > 0) {
		shared->sessions_to_crash--;
		(void)kill(getpid(), SIGKILL);
	}
	if (link->peer != NULL) {
		if (!shared->dial_connects)
			return cw_error_set(e, CW_ERR_UNREACHABLE, "no answer");
		(void)cw_channel_send(
		    link->channel, NULL, "connected %s", link->peer);
	}
	shared->sessions_open++;
	while (!stop && (!cw_stop_requested() || shared->session_is_deaf)) {
		struct pollfd p[2] = {{.fd = link->channel, .events = POLLIN},
		    {.fd = link->fd, .events = POLLIN}};

		if (poll(p, 2, 1000) < 0)
			continue;
		if (p[0].revents != 0)
			hear(link->channel, &stop);
		if (p[1].revents == 0)
			continue;
		n = read(link->fd, text, sizeof(text) - 1);
		if (n <= 0)
			break;
		text[n] = '\0';
		for (char *save, *line = strtok_r(text, "\n", &save);
		     line != NULL; line = strtok_r(NULL, "\n", &save))
			(void)cw_channel_send(link->channel, NULL, "%s", line);
	}
	shared->sessions_open--;
	return 0;
}

static int
command(void *arg, int argc, char **argv)
{
	const char *secret = getenv("CAUSEWAY_PASSPHRASE");
	struct cw_home *home = NULL;
	char cwd[512];
	int status;

	(void)arg;
	shared->commands++;
	if (argc == 2 && strcmp(argv[1], "wait") == 0) {
		shared->command_pid = getpid();
		while (!cw_stop_requested())
			pause_ms(5);
		shared->command_was_stopped++;
		return 5;
	}
	if (argc == 2 && strcmp(argv[1], "die") == 0)
		(void)kill(getpid(), SIGUSR1);
	if (argc == 2 && strcmp(argv[1], "write") == 0) {
		status =
		    cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err);
		cw_home_close(home);
		return status < 0 ? 1 : 0;
	}
	for (int i = 0; i < argc; i++)
		(void)printf("[%s]", argv[i]);
	(void)printf(" %s %s\n", getcwd(cwd, sizeof(cwd)),
	    secret == NULL ? "-" : secret);
	(void)fprintf(stderr, "to standard error\n");
	while ((status = getchar()) != EOF)
		(void)putchar(status);
	(void)fflush(stdout);
	return 3;
}

static int
mend(void *arg, struct cw_home *home, const struct cw_config_store *store,
    struct cw_error *e)
{
	(void)arg;
	(void)home;
	(void)store;
	shared->mends++;
	if (shared->mends_to_fail > 0) {
		shared->mends_to_fail--;
		return cw_error_set(e, CW_ERR_FAILED, "the hook failed");
	}
	shared->is_cut_off = 0;
	return 0;
}

static bool
is_cut_off(
    void *arg, const struct cw_home *home, const struct cw_config_store *store)
{
	(void)arg;
	(void)home;
	(void)store;
	return shared->is_cut_off != 0;
}

/* ---- the daemon and its home ---- */

static void
append_config(const char *text)
{
	char *path = below("home/causeway.conf");
	FILE *f = fopen(path, "a");

	ck_assert_ptr_nonnull(f);
	(void)fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

static void
add_store(const char *name)
{
	char *text = cw_asprintf(
	    "\n[store \"%s\"]\nroot = %s/%s\nevery = 1h\n", name, top, name);

	append_config(text);
	free(text);
}

static void
add_peer(const char *name, const char *address)
{
	char *path = below(name), card_text[CW_CARD_TEXT_SIZE], *text;
	struct cw_card card;
	int fd;

	ck_assert_int_eq(cw_make_dirs(path, 0700, &err), 0);
	fd = cw_open_dir(path, &err);
	ck_assert_int_eq(cw_identity_create(fd, name, NULL, &err), 0);
	ck_assert_int_eq(cw_identity_card(fd, &card, &err), 0);
	cw_close(&fd);
	cw_card_encode(&card, card_text);
	text = cw_asprintf("\n[peer \"%s\"]\ncard = %s\n%s%s\n", name,
	    card_text, address == NULL ? "" : "address = ",
	    address == NULL ? "" : address);
	append_config(text);
	free(text);
	free(path);
}

static void
setup(void)
{
	struct cw_home_options o = {.name = "m", .listen = "127.0.0.1:0"};
	struct cw_home *home;

	err = (struct cw_error)CW_ERROR_INIT;
	limits = (struct cw_daemon_limits){.pause_ms = 20, .pause_max_ms = 80};
	has_links = true;
	daemon_pid = 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	shared->dial_connects = 1;
	/* Children of a daemon that was killed come to us. */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	strcpy(top, "/tmp/test_daemon.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	home_dir = below("home");
	ck_assert_msg(cw_home_create(home_dir, NULL, &o, &home, &err) == 0,
	    "%s", err.message);
	cw_home_close(home);
}

static void
teardown(void)
{
	if (daemon_pid > 0)
		(void)kill(daemon_pid, SIGKILL);
	/* They die with it, but a moment later, and may write until then. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	free(home_dir);
	scratch_remove(top);
	(void)munmap(shared, sizeof(*shared));
}

/* The daemon's process. */
static void
be_daemon(void)
{
	struct cw_daemon_options o = {.calls = {.scan = scan,
					  .command = command,
					  .mend = mend,
					  .is_cut_off = is_cut_off},
	    .limits = limits};
	struct cw_home *home;
	char *path = below("log");
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	cw_close(&held);
	(void)dup2(log, STDERR_FILENO);
	(void)close(log);
	free(path);
	if (has_links)
		o.calls.session = session;
	if (cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err) < 0 ||
	    cw_daemon_run(home, &o, &err) < 0) {
		cw_log(CW_LOG_ERROR, "%s", err.message);
		_exit(cw_error_status(err.code));
	}
	cw_home_close(home);
	_exit(0);
}

/* A connection to the control socket; -1: no daemon answers. */
static int
control(void)
{
	int state = cw_open_dir(home_dir, &err), fd = -1;

	ck_assert_int_ge(state, 0);
	(void)cw_control_connect(state, &fd, &err);
	cw_close(&state);
	return fd;
}

static bool
answers(void)
{
	int fd = control();
	bool does = fd >= 0;

	cw_close(&fd);
	return does;
}

static void
start(void)
{
	daemon_pid = fork();
	if (daemon_pid == 0)
		be_daemon();
	WAIT_FOR(answers());
}

static void
finish(int signal, int status)
{
	int got;

	ck_assert_int_eq(kill(daemon_pid, signal), 0);
	ck_assert_int_eq(waitpid(daemon_pid, &got, 0), daemon_pid);
	daemon_pid = 0;
	if (signal == SIGKILL)
		return;
	ck_assert(WIFEXITED(got));
	ck_assert_int_eq(WEXITSTATUS(got), status);
}

static json_t *
status(void)
{
	struct cw_buf text = CW_BUF_INIT;
	json_error_t why;
	json_t *json;
	int fd = control();

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(
	    cw_control_status(fd, &text, &err) == 0, "%s", err.message);
	json = json_loadb((char *)text.data, text.len, 0, &why);
	ck_assert_msg(json != NULL, "%s in %.*s", why.text, (int)text.len,
	    (char *)text.data);
	cw_buf_free(&text);
	cw_close(&fd);
	return json;
}

/* A member of the link to the first peer. */
static bool
link_is(const char *state)
{
	json_t *json = status();
	const char *is = json_string_value(json_object_get(
	    json_array_get(json_object_get(json, "links"), 0), "state"));
	bool same = is != NULL && strcmp(is, state) == 0;

	json_decref(json);
	return same;
}

static int
dial(void)
{
	json_t *json = status();
	const char *text =
	    json_string_value(json_object_get(json, "listening"));
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_ptr_nonnull(text);
	a.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	json_decref(json);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
type(int fd, const char *text)
{
	ck_assert_int_eq(cw_write_all(fd, text, strlen(text), &err), 0);
}

/* Whether the other end is closed by the time. */
static bool
is_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&p, 1, LIMIT_MS) == 1 && read(fd, &c, 1) <= 0;
}

static char *
read_log(void)
{
	char *path = below("log");
	struct cw_buf text = CW_BUF_INIT;

	ck_assert_int_eq(cw_read_file(AT_FDCWD, path, 1 << 20, &text, &err), 0);
	free(path);
	return cw_buf_string(&text);
}

static bool
log_says(const char *what)
{
	char *text = read_log();
	bool does = strstr(text, what) != NULL;

	free(text);
	return does;
}

/* ---- scans ---- */

START_TEST(scans_of_one_store_do_not_overlap_and_polls_are_answered)
{
	int fd;

	add_store("mail");
	add_peer("b", NULL);
	shared->scan_sleep_ms = 10;
	start();
	fd = dial();
	type(fd, "connected b\n");
	for (int i = 0; i < 30; i++) {
		int before = shared->answers_ok;

		type(fd, "poll mail\n");
		WAIT_FOR(shared->answers_ok > before);
	}
	ck_assert_int_eq(shared->scanning_most, 1);
	/* Each poll had a scan of its own, which began after it. */
	ck_assert_int_ge(shared->scans, 30);
	ck_assert_int_ge(shared->wakes, 30);
	(void)close(fd);
}
END_TEST

START_TEST(a_poll_during_a_scan_waits_for_the_next_one)
{
	int fd;

	add_store("mail");
	add_peer("b", NULL);
	shared->scans_to_meet = 2; /* the scan waits until we let it go */
	start();
	WAIT_FOR(shared->scanning == 1);
	fd = dial();
	type(fd, "connected b\npoll mail\n");
	WAIT_FOR(link_is("connected"));
	shared->scans_to_meet = 0;
	WAIT_FOR(shared->answers_ok == 1);
	ck_assert_int_eq(shared->scans, 2);
	(void)close(fd);
}
END_TEST

START_TEST(two_stores_are_scanned_at_the_same_time)
{
	add_store("mail");
	add_store("spool");
	shared->scans_to_meet = 2;
	start();
	WAIT_FOR(shared->scans == 2);
	ck_assert_int_eq(shared->scanning_most, 2);
}
END_TEST

START_TEST(a_replica_and_an_unknown_store_are_not_scanned)
{
	int fd;

	add_peer("b", NULL);
	append_config("\n[store \"r\"]\nroot = /r\nfollow = b\nevery = 1s\n");
	start();
	fd = dial();
	type(fd, "connected b\npoll r\npoll nothing\n");
	WAIT_FOR(shared->answers_failed == 2);
	ck_assert_int_eq(shared->scans, 0);
	(void)close(fd);
}
END_TEST

START_TEST(stores_are_scanned_again_and_again)
{
	append_config("\n[store \"r\"]\nroot = /r\nevery = 1s\n");
	start();
	WAIT_FOR(shared->scans >= 3);
}
END_TEST

START_TEST(a_scan_that_crashes_is_tried_again_and_logged)
{
	int fd;

	add_store("mail");
	add_peer("b", NULL);
	shared->scans_to_crash = 3;
	start();
	WAIT_FOR(shared->scans >= 4);
	WAIT_FOR(log_says("generations are taken again"));
	ck_assert(log_says("store mail: no generation was taken: was killed "
			   "by signal 9"));
	/* And who polls is answered all the same. */
	shared->scans_to_crash = 1;
	fd = dial();
	type(fd, "connected b\npoll mail\n");
	WAIT_FOR(shared->answers_failed == 1);
	(void)close(fd);
}
END_TEST

START_TEST(a_failure_is_logged_once)
{
	const char *first;
	char *text;

	add_store("mail");
	shared->scan_fails = 1;
	start();
	WAIT_FOR(shared->scans >= 4);
	text = read_log();
	first = strstr(text, "the root is empty");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(strstr(first + 1, "the root is empty"));
	free(text);
}
END_TEST

static bool
is_scanning(void)
{
	json_t *json = status();
	bool is = json_is_true(json_object_get(
	    json_array_get(json_object_get(json, "stores"), 0), "scanning"));

	json_decref(json);
	return is;
}

static bool
is_doing(const char *what)
{
	json_t *json = status();
	const char *doing = json_string_value(json_object_get(
	    json_array_get(json_object_get(json, "links"), 0), "doing"));
	bool is = doing != NULL && strcmp(doing, what) == 0;

	json_decref(json);
	return is;
}

START_TEST(a_store_that_is_worked_on_is_not_scanned)
{
	struct cw_home *home;

	add_store("mail");
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), 0);
	ck_assert_int_eq(cw_home_lock_store(home, "mail", 0, &held, &err), 0);
	start();
	/* The scan waits for the lock, in a process of its own. */
	WAIT_FOR(is_scanning());
	ck_assert_int_eq(shared->scans, 0);
	cw_close(&held);
	WAIT_FOR(shared->scans == 1);
	cw_home_close(home);
}
END_TEST

START_TEST(a_held_store_says_who_holds_it)
{
	struct cw_home *home;
	char *who = cw_asprintf("process %ld ", (long)getpid());
	int lock, other;

	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), 0);
	ck_assert_int_eq(cw_home_lock_store(home, "mail", 0, &lock, &err), 0);
	ck_assert_int_eq(
	    cw_home_lock_store(home, "mail", 50, &other, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_BUSY);
	ck_assert_ptr_nonnull(strstr(err.message, who));
	cw_close(&lock);
	ck_assert_int_eq(cw_home_lock_store(home, "mail", 0, &lock, &err), 0);
	cw_close(&lock);
	cw_home_close(home);
	free(who);
}
END_TEST

/* ---- links ---- */

START_TEST(a_peer_with_an_address_is_dialled_until_it_answers)
{
	add_peer("b", "127.0.0.1:1");
	shared->dial_connects = 0;
	start();
	WAIT_FOR(shared->sessions >= 4);
	/* It goes from one to the other while it is asked. */
	WAIT_FOR(link_is("waiting") || link_is("connecting"));
	shared->dial_connects = 1;
	WAIT_FOR(link_is("connected"));
	ck_assert_int_eq(shared->sessions_open, 1);
	ck_assert(log_says("no link to b: no answer"));
	ck_assert(log_says("the link to b is up"));
}
END_TEST

START_TEST(a_session_that_crashes_is_begun_again)
{
	add_peer("b", "127.0.0.1:1");
	shared->sessions_to_crash = 2;
	start();
	WAIT_FOR(link_is("connected"));
	ck_assert_int_eq(shared->sessions, 3);
	ck_assert(log_says("killed by signal 9"));
}
END_TEST

START_TEST(a_peer_that_dials_again_takes_the_place_of_its_dead_link)
{
	int first, second;

	add_peer("b", NULL);
	start();
	first = dial();
	type(first, "connected b\n");
	WAIT_FOR(link_is("connected"));
	second = dial();
	type(second, "connected b\n");
	ck_assert(is_closed(first));
	ck_assert_int_eq(shared->stops, 1);
	WAIT_FOR(shared->sessions_open == 1);
	ck_assert(link_is("connected"));
	(void)close(first);
	(void)close(second);
}
END_TEST

START_TEST(of_two_links_that_cross_the_lesser_name_s_stays)
{
	int fd;

	/* We are m; z is greater, so what we dialled stays. */
	add_peer("z", "127.0.0.1:1");
	start();
	WAIT_FOR(link_is("connected"));
	fd = dial();
	type(fd, "connected z\n");
	ck_assert(is_closed(fd));
	WAIT_FOR(shared->sessions_open == 1);
	ck_assert_int_eq(shared->stops, 1);
	ck_assert_int_eq(shared->sessions, 2);
	(void)close(fd);
}
END_TEST

START_TEST(of_two_links_that_cross_the_greater_name_s_goes)
{
	int fd;

	add_peer("b", "127.0.0.1:1");
	start();
	WAIT_FOR(link_is("connected"));
	fd = dial();
	type(fd, "connected b\n");
	WAIT_FOR(shared->stops == 1 && shared->sessions_open == 1);
	/* The one that b dialled is there, so nothing is dialled. */
	pause_ms(200);
	ck_assert_int_eq(shared->sessions, 2);
	type(fd, "doing this and that\n");
	WAIT_FOR(is_doing("this and that"));
	/* It goes: then we dial again. */
	(void)close(fd);
	WAIT_FOR(shared->sessions == 3);
}
END_TEST

START_TEST(connections_that_prove_nothing_are_few_and_short)
{
	int fds[5];

	limits.authenticate_ms = 8000;
	start();
	for (int i = 0; i < 4; i++)
		fds[i] = dial();
	WAIT_FOR(shared->sessions_open == 4);
	fds[4] = dial();
	ck_assert(is_closed(fds[4]));
	ck_assert_int_eq(shared->sessions, 4);
	for (int i = 0; i < 4; i++)
		ck_assert(is_closed(fds[i]));
	/* Then others have their turn. */
	(void)close(fds[4]);
	fds[4] = dial();
	WAIT_FOR(shared->sessions == 5);
	for (int i = 0; i < 5; i++)
		(void)close(fds[i]);
}
END_TEST

START_TEST(who_has_proved_who_it_is_may_take_its_time)
{
	int fd;

	/* A fence hook runs before the roles are settled. */
	limits.authenticate_ms = 4000;
	add_peer("b", NULL);
	start();
	fd = dial();
	type(fd, "proved b\n");
	pause_ms(4500);
	type(fd, "connected b\n");
	WAIT_FOR(link_is("connected"));
	ck_assert_int_eq(shared->sessions_open, 1);
	(void)close(fd);
}
END_TEST

START_TEST(a_store_that_stands_still_is_tried_again_by_a_new_session)
{
	int fd;

	limits.renew_ms = 100;
	add_store("s");
	add_peer("b", NULL);
	start();
	for (int i = 1; i <= 2; i++) {
		fd = dial();
		type(fd, "proved b\nleft s the disk is full\nconnected b\n");
		ck_assert(is_closed(fd));
		ck_assert_int_eq(shared->stops, i);
		(void)close(fd);
	}
	ck_assert(log_says("store s stands still with b: the disk is full"));
	fd = dial();
	type(fd, "proved b\nrefused s over there\nconnected b\n");
	WAIT_FOR(log_says("store s stands still with b: over there"));
	/* What is wrong at the peer is the peer's to try again. */
	pause_ms(300);
	ck_assert_int_eq(shared->sessions_open, 1);
	(void)close(fd);
	WAIT_FOR(shared->sessions_open == 0);
	fd = dial();
	type(fd, "proved b\nconnected b\n");
	WAIT_FOR(log_says("store s goes on with b"));
	(void)close(fd);
}
END_TEST

START_TEST(a_session_is_not_believed_that_it_is_somebody_unknown)
{
	int fd;

	start();
	fd = dial();
	type(fd, "connected stranger\n");
	ck_assert(is_closed(fd));
	(void)close(fd);
}
END_TEST

/* ---- commands ---- */

/* Runs a command through the daemon in a process of its own. */
static pid_t
run(int argc, const char *const *argv, const char *cwd, int in, int out)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct cw_control_end end = {false, 0};
		int fd;

		if (cwd != NULL && chdir(cwd) < 0)
			_exit(99);
		if (in >= 0)
			(void)dup2(in, STDIN_FILENO);
		if (out >= 0) {
			(void)dup2(out, STDOUT_FILENO);
			(void)dup2(out, STDERR_FILENO);
		}
		/* No other end of a pipe stays with us. */
		(void)close_range(STDERR_FILENO + 1, ~0u, 0);
		fd = control();
		if (cw_control_command(fd, "scan", argc,
			(char **)(uintptr_t)argv, "secret", &end, &err) < 0)
			_exit(100 + cw_error_status(err.code));
		_exit(end.was_killed ? 200 : end.status);
	}
	return pid;
}

static int
status_of(pid_t pid)
{
	int got;

	ck_assert_int_eq(waitpid(pid, &got, 0), pid);
	ck_assert(WIFEXITED(got));
	return WEXITSTATUS(got);
}

START_TEST(a_command_has_its_client_s_place_and_output_and_status)
{
	const char *argv[] = {"causeway", "a b", "", "c", NULL};
	char *want;
	char *real = realpath(top, NULL);
	struct cw_buf got = CW_BUF_INIT;
	int in[2], out[2];
	char buf[512];
	ssize_t n;
	pid_t pid;

	start();
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	pid = run(4, argv, top, in[0], out[1]);
	(void)close(out[1]);
	(void)close(in[0]);
	type(in[1], "typed\n");
	(void)close(in[1]);
	while ((n = read(out[0], buf, sizeof(buf))) > 0)
		cw_buf_append(&got, buf, (size_t)n);
	ck_assert_int_eq(status_of(pid), 3);
	want = cw_asprintf("to standard error\n[causeway][a b][][c] %s "
			   "secret\ntyped\n",
	    real);
	ck_assert_str_eq(cw_buf_string(&got), want);
	/* The passphrase is nowhere but there. */
	ck_assert(!log_says("secret"));
	cw_buf_free(&got);
	free(want);
	free(real);
	(void)close(out[0]);
}
END_TEST

START_TEST(a_command_shares_the_daemon_s_lock_and_nobody_else)
{
	const char *argv[] = {"causeway", "write", NULL};
	struct cw_home *home = NULL;

	start();
	ck_assert_int_eq(status_of(run(2, argv, NULL, -1, -1)), 0);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_BUSY);
	/* The command's end did not give the lock back. */
	ck_assert_int_eq(status_of(run(2, argv, NULL, -1, -1)), 0);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err), -1);
}
END_TEST

START_TEST(a_command_that_is_killed_says_so)
{
	const char *argv[] = {"causeway", "die", NULL};

	start();
	ck_assert_int_eq(status_of(run(2, argv, NULL, -1, -1)), 200);
	ck_assert(answers());
}
END_TEST

START_TEST(a_cutover_that_was_cut_off_is_put_back)
{
	const char *argv[] = {"causeway", "die", NULL};

	add_store("s");
	shared->is_cut_off = 1;
	shared->mends_to_fail = 1;
	start();
	/* At once, and again when the hook fails. */
	WAIT_FOR(shared->mends == 2 && !shared->is_cut_off);
	ck_assert(log_says("the hook failed"));
	/* Whatever child of ours may have left one. */
	shared->is_cut_off = 1;
	ck_assert_int_eq(status_of(run(2, argv, NULL, -1, -1)), 200);
	WAIT_FOR(shared->mends == 3 && !shared->is_cut_off);
}
END_TEST

START_TEST(a_signal_at_the_client_stops_the_command_in_order)
{
	const char *argv[] = {"causeway", "wait", NULL};
	pid_t pid;

	start();
	pid = run(2, argv, NULL, -1, -1);
	WAIT_FOR(shared->command_pid != 0);
	ck_assert_int_eq(kill(pid, SIGINT), 0);
	ck_assert_int_eq(status_of(pid), 5);
	ck_assert_int_eq(shared->command_was_stopped, 1);
}
END_TEST

START_TEST(a_client_that_vanishes_takes_its_command_along)
{
	const char *argv[] = {"causeway", "wait", NULL};
	pid_t pid;

	start();
	pid = run(2, argv, NULL, -1, -1);
	WAIT_FOR(shared->command_pid != 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	(void)waitpid(pid, NULL, 0);
	WAIT_FOR(shared->command_was_stopped == 1);
	ck_assert(answers());
}
END_TEST

START_TEST(commands_are_bounded)
{
	const char *argv[] = {"causeway", "wait", NULL};
	pid_t first, second;

	limits.commands = 1;
	start();
	first = run(2, argv, NULL, -1, -1);
	WAIT_FOR(shared->command_pid != 0);
	second = run(2, argv, NULL, -1, -1);
	ck_assert_int_eq(status_of(second), 106);
	ck_assert_int_eq(kill(first, SIGTERM), 0);
	ck_assert_int_eq(status_of(first), 5);
}
END_TEST

START_TEST(a_request_that_makes_no_sense_is_refused)
{
	static const char *const wrong[] = {
	    "", "causeway", "causeway\0000.0", "x\0y\0z"};
	static const size_t len[] = {1, 9, 13, 6};
	char answer[1024];

	start();
	for (size_t i = 0; i < 4; i++) {
		int fd = control();

		ck_assert_int_eq(
		    send(fd, wrong[i], len[i], 0), (ssize_t)len[i]);
		ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 8);
		ck_assert_str_eq(answer, "refused");
		ck_assert_int_eq(recv(fd, answer, sizeof(answer), 0), 0);
		(void)close(fd);
	}
	ck_assert(answers());
}
END_TEST

/* ---- the end, and the configuration ---- */

START_TEST(sigterm_ends_all_in_order)
{
	const char *argv[] = {"causeway", "wait", NULL};
	char *socket = below("home/control.sock");
	struct cw_home *home;
	pid_t pid;
	int fd;

	add_store("mail");
	add_peer("b", NULL);
	shared->scan_waits_for_stop = 1;
	start();
	fd = dial();
	type(fd, "connected b\n");
	pid = run(2, argv, NULL, -1, -1);
	WAIT_FOR(shared->command_pid != 0 && shared->scanning == 1 &&
		 link_is("connected"));
	finish(SIGTERM, 0);
	ck_assert_int_eq(shared->stops, 1);
	ck_assert_int_eq(shared->scan_was_stopped, 1);
	ck_assert_int_eq(shared->command_was_stopped, 1);
	ck_assert_int_eq(status_of(pid), 5);
	ck_assert_int_ne(access(socket, F_OK), 0);
	/* Nobody holds it any more. */
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err), 0);
	cw_home_close(home);
	ck_assert(!log_says("is killed"));
	(void)close(fd);
	free(socket);
}
END_TEST

START_TEST(who_does_not_end_is_ended)
{
	int fd;

	limits.stop_ms = limits.kill_ms = 50;
	add_peer("b", NULL);
	shared->session_is_deaf = 1;
	start();
	fd = dial();
	type(fd, "connected b\n");
	WAIT_FOR(link_is("connected"));
	finish(SIGTERM, 0);
	ck_assert(log_says("it is killed"));
	(void)close(fd);
}
END_TEST

START_TEST(sighup_reads_the_configuration_again)
{
	add_peer("b", "127.0.0.1:1");
	start();
	WAIT_FOR(link_is("connected"));
	add_store("mail");
	ck_assert_int_eq(kill(daemon_pid, SIGHUP), 0);
	WAIT_FOR(shared->scans == 1);
	/* The link is made anew, with what is new. */
	WAIT_FOR(shared->sessions == 2 && link_is("connected"));
	/* A wrong one leaves the old one in place. */
	append_config("\n[store \"mail\"]\nnonsense = 1\n");
	ck_assert_int_eq(kill(daemon_pid, SIGHUP), 0);
	WAIT_FOR(log_says("the old configuration stays"));
	ck_assert(link_is("connected"));
}
END_TEST

START_TEST(a_command_s_change_of_the_configuration_is_seen)
{
	const char *argv[] = {"causeway", "write", NULL};

	start();
	add_store("mail");
	ck_assert_int_eq(status_of(run(2, argv, NULL, -1, -1)), 0);
	WAIT_FOR(shared->scans == 1);
}
END_TEST

START_TEST(a_daemon_that_was_killed_leaves_nobody_behind)
{
	const char *argv[] = {"causeway", "wait", NULL};
	struct cw_home *home = NULL;
	pid_t pid;

	add_store("mail");
	add_peer("b", "127.0.0.1:1");
	shared->scan_waits_for_stop = 1;
	start();
	pid = run(2, argv, NULL, -1, -1);
	WAIT_FOR(shared->command_pid != 0 && shared->scanning == 1 &&
		 link_is("connected"));
	finish(SIGKILL, 0);
	/* The client learns of it, the children end in order. */
	ck_assert_int_eq(status_of(pid), 101);
	WAIT_FOR(shared->scan_was_stopped == 1 &&
		 shared->command_was_stopped == 1 &&
		 shared->sessions_open == 0);
	WAIT_FOR(cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err) == 0);
	cw_home_close(home);
	/* The socket that it left is in nobody's way. */
	shared->scan_waits_for_stop = 0;
	start();
	WAIT_FOR(shared->scans == 1 && link_is("connected"));
	finish(SIGINT, 0);
}
END_TEST

START_TEST(a_daemon_without_links_listens_nowhere)
{
	json_t *json;

	has_links = false;
	add_peer("b", "127.0.0.1:1");
	start();
	json = status();
	ck_assert(json_is_null(json_object_get(json, "listening")));
	ck_assert(json_is_false(json_object_get(json, "stopping")));
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json, "pid")), daemon_pid);
	json_decref(json);
	ck_assert_int_eq(shared->sessions, 0);
}
END_TEST

START_TEST(systemd_is_told)
{
	char *path = below("notify"), text[4096];
	struct sockaddr_un {
		sa_family_t family;
		char path[108];
	} a = {.family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has_ready = false, has_watchdog = false, has_stopping = false;
	ssize_t n;

	strcpy(a.path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "100000", 1);
	start();
	for (int i = 0; i < 1000 && !has_stopping; i++) {
		n = recv(fd, text, sizeof(text) - 1, 0);
		ck_assert_int_gt(n, 0);
		text[n] = '\0';
		has_ready |= strstr(text, "READY=1") != NULL;
		has_watchdog |= strstr(text, "WATCHDOG=1") != NULL;
		has_stopping |= strstr(text, "STOPPING=1") != NULL;
		if (has_ready && has_watchdog && daemon_pid > 0)
			finish(SIGTERM, 0);
	}
	ck_assert(has_ready && has_watchdog && has_stopping);
	(void)close(fd);
	free(path);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("daemon");
	TCase *tc = tcase_create("daemon");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 90);
	tcase_add_test(
	    tc, scans_of_one_store_do_not_overlap_and_polls_are_answered);
	tcase_add_test(tc, a_poll_during_a_scan_waits_for_the_next_one);
	tcase_add_test(tc, two_stores_are_scanned_at_the_same_time);
	tcase_add_test(tc, a_replica_and_an_unknown_store_are_not_scanned);
	tcase_add_test(tc, stores_are_scanned_again_and_again);
	tcase_add_test(tc, a_scan_that_crashes_is_tried_again_and_logged);
	tcase_add_test(tc, a_failure_is_logged_once);
	tcase_add_test(tc, a_store_that_is_worked_on_is_not_scanned);
	tcase_add_test(tc, a_held_store_says_who_holds_it);
	tcase_add_test(tc, a_peer_with_an_address_is_dialled_until_it_answers);
	tcase_add_test(tc, a_session_that_crashes_is_begun_again);
	tcase_add_test(
	    tc, a_peer_that_dials_again_takes_the_place_of_its_dead_link);
	tcase_add_test(tc, of_two_links_that_cross_the_lesser_name_s_stays);
	tcase_add_test(tc, of_two_links_that_cross_the_greater_name_s_goes);
	tcase_add_test(tc, connections_that_prove_nothing_are_few_and_short);
	tcase_add_test(tc, who_has_proved_who_it_is_may_take_its_time);
	tcase_add_test(
	    tc, a_store_that_stands_still_is_tried_again_by_a_new_session);
	tcase_add_test(tc, a_cutover_that_was_cut_off_is_put_back);
	tcase_add_test(
	    tc, a_session_is_not_believed_that_it_is_somebody_unknown);
	tcase_add_test(
	    tc, a_command_has_its_client_s_place_and_output_and_status);
	tcase_add_test(tc, a_command_shares_the_daemon_s_lock_and_nobody_else);
	tcase_add_test(tc, a_command_that_is_killed_says_so);
	tcase_add_test(tc, a_signal_at_the_client_stops_the_command_in_order);
	tcase_add_test(tc, a_client_that_vanishes_takes_its_command_along);
	tcase_add_test(tc, commands_are_bounded);
	tcase_add_test(tc, a_request_that_makes_no_sense_is_refused);
	tcase_add_test(tc, sigterm_ends_all_in_order);
	tcase_add_test(tc, who_does_not_end_is_ended);
	tcase_add_test(tc, sighup_reads_the_configuration_again);
	tcase_add_test(tc, a_command_s_change_of_the_configuration_is_seen);
	tcase_add_test(tc, a_daemon_that_was_killed_leaves_nobody_behind);
	tcase_add_test(tc, a_daemon_without_links_listens_nowhere);
	tcase_add_test(tc, systemd_is_told);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
