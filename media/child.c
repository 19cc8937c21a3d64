#include "media/child.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 4096u /* bytes of what it says that are kept: the last */
#define SHOWN_MAX  300u	 /* of them in a message */
#define POLL_MS	   100

char *
cw_child_find(const char *name)
{
	static const char *const dirs[] = {
	    "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		char *path = cw_asprintf("%s/%s", dirs[i], name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* In the child, between fork and exec: system calls only. */
static void __attribute__((noreturn))
become(const char *path, const char *const argv[], int output, pid_t parent)
{
	static char search[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C";
	char *const environment[] = {search, locale, NULL};
	union {
		const char *const *given;
		char *const *taken; /* execve changes none of them */
	} arguments = {.given = argv};
	struct sigaction plain = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDONLY);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(127);
	/* Signals are for us to act on; a Ctrl-C must not tear it first. */
	(void)setpgid(0, 0);
	(void)sigaction(SIGPIPE, &plain, NULL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(127);
	(void)execve(path, arguments.taken, environment);
	_exit(127);
}

static void
keep(struct cw_buf *said, const char *data, size_t len)
{
	cw_buf_append(said, data, len);
	if (said->len > OUTPUT_MAX) {
		size_t extra = said->len - OUTPUT_MAX;

		memmove(said->data, said->data + extra, OUTPUT_MAX);
		said->len = OUTPUT_MAX;
	}
}

/* Until it closes its output, is to stop, or takes too long. */
static int
listen_to(int fd, unsigned timeout_s, struct cw_buf *said, struct cw_error *err)
{
	int64_t end = cw_clock_ms() + (int64_t)timeout_s * 1000;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char data[1024];
		ssize_t got;

		if (cw_stop_check(err) < 0)
			return -1;
		if (cw_clock_ms() > end)
			return cw_error_set(err, CW_ERR_FAILED,
			    "it took longer than %u s and was ended",
			    timeout_s);
		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		got = read(fd, data, sizeof(data));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		keep(said, data, (size_t)got);
	}
}

/* What it said last, on one line. */
static int
explain(struct cw_error *err, int status, struct cw_buf *said)
{
	char quoted[CW_QUOTE_MAX];
	char *text = cw_buf_string(said), *at = text;

	while (said->len > 0 && (at[said->len - 1] == '\n'))
		text[--said->len] = '\0';
	if (said->len > SHOWN_MAX)
		at += said->len - SHOWN_MAX;
	for (char *c = at; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	cw_text_quote(at, strlen(at), quoted);
	if (WIFSIGNALED(status))
		return cw_error_set(err, CW_ERR_FAILED,
		    "it was ended by signal %d: %s", WTERMSIG(status), quoted);
	return cw_error_set(err, CW_ERR_FAILED, "it ended with status %d: %s",
	    WEXITSTATUS(status),
	    quoted[0] != '\0' ? quoted : "it said nothing");
}

int
cw_child_run(const char *path, const char *const argv[], unsigned timeout_s,
    struct cw_error *err)
{
	struct cw_buf said = CW_BUF_INIT;
	pid_t parent = getpid(), pid;
	int ends[2], status = 0, ret;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cw_error_errno(err, "cannot run %s", path);
	pid = fork();
	if (pid == 0)
		become(path, argv, ends[1], parent);
	cw_close(&ends[1]);
	if (pid < 0) {
		cw_close(&ends[0]);
		return cw_error_errno(err, "cannot run %s", path);
	}
	ret = listen_to(ends[0], timeout_s, &said, err);
	if (ret < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (ret == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		ret = explain(err, status, &said);
	if (ret < 0)
		cw_error_context(err, "%s", path);
	cw_close(&ends[0]);
	cw_buf_free(&said);
	return ret;
}
