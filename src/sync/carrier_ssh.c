#include "sync/carrier_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAID_SIZE 4096u /* bytes of what ssh says that are kept */
#define WAIT_MS	  2000	/* for ssh to end by itself, then after SIGTERM */
#define STEP_MS	  10

/*
 * A file in memory that ends at SAID_SIZE: the other end decides how much ssh
 * says, and cannot fill a pipe that nobody reads.  None of 0 to 2, as the
 * pipes below.
 */
static int
make_said(struct cw_error *err)
{
	int made = memfd_create("ssh", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int fd = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, 3);

	cw_close(&made);
	if (fd < 0 || ftruncate(fd, SAID_SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
		(void)cw_error_errno(err, "a file in memory");
		cw_close(&fd);
	}
	return fd;
}

/* For the shell at the other end: '...', with '\'' for each quote. */
static void
quote(struct cw_buf *out, const char *text)
{
	cw_buf_text(out, "'");
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			cw_buf_text(out, "'\\''");
		else
			cw_buf_append(out, text, 1);
	}
	cw_buf_text(out, "'");
}

static void
remote_command(struct cw_buf *out, const struct cw_address *a,
    const struct cw_dial_options *options)
{
	quote(out, options->causeway != NULL ? options->causeway : "causeway");
	if (a->dir[0] != '\0') {
		cw_buf_text(out, " --home ");
		quote(out, a->dir);
	}
	cw_buf_text(out, " link --stdio");
	(void)cw_buf_string(out);
}

static int
spawn_ssh(char *const argv[], const int pipes[4], int said, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, fall_back;
	int why;

	(void)sigemptyset(&none);
	(void)sigemptyset(&fall_back);
	(void)sigaddset(&fall_back, SIGPIPE);
	(void)sigaddset(&fall_back, SIGTERM);
	(void)sigaddset(&fall_back, SIGINT);
	(void)sigaddset(&fall_back, SIGCHLD);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &fall_back);
	/* A ^C at the terminal is for us, who then end ssh in order. */
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						  POSIX_SPAWN_SETSIGDEF |
						  POSIX_SPAWN_SETPGROUP);
	(void)posix_spawn_file_actions_init(&actions);
	why = posix_spawn_file_actions_adddup2(&actions, pipes[0], 0);
	if (why == 0)
		why = posix_spawn_file_actions_adddup2(&actions, pipes[3], 1);
	if (why == 0)
		why = posix_spawn_file_actions_adddup2(&actions, said, 2);
	if (why == 0)
		why =
		    posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	return why;
}

/*
 * A pipe whose ends are none of 0 to 2, so that the dup2s of the child do not
 * write over one another.
 */
static int
make_pipe(int ends[2], struct cw_error *err)
{
	int made[2];

	if (pipe2(made, O_CLOEXEC) < 0)
		return cw_error_errno(err, "a pipe to ssh");
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(made[i], F_DUPFD_CLOEXEC, 3);
		cw_close(&made[i]);
	}
	if (ends[0] >= 0 && ends[1] >= 0)
		return 0;
	return cw_error_errno(err, "a pipe to ssh");
}

static int
run_ssh(const struct cw_address *a, const char *address, int limit_ms,
    const struct cw_dial_options *options, int said, const int pipes[4],
    pid_t *pid, struct cw_error *err)
{
	const char *ssh = options->ssh != NULL ? options->ssh : "ssh";
	struct cw_buf command = CW_BUF_INIT;
	char timeout[64], port[8], user[64], host[256];
	char batch[] = "-oBatchMode=yes", alive[] = "-oServerAliveInterval=30",
	     log[] = "-oLogLevel=ERROR",
	     no_forward[] = "-oClearAllForwardings=yes", no_tty[] = "-T",
	     p[] = "-p", l[] = "-l", dashes[] = "--";
	char *program = cw_strdup(ssh), *argv[16];
	int n = 0, why;

	(void)snprintf(timeout, sizeof(timeout), "-oConnectTimeout=%d",
	    (limit_ms + 999) / 1000);
	(void)snprintf(port, sizeof(port), "%s", a->port);
	(void)snprintf(user, sizeof(user), "%s", a->user);
	(void)snprintf(host, sizeof(host), "%s", a->host);
	remote_command(&command, a, options);
	argv[n++] = program;
	argv[n++] = no_tty;
	argv[n++] = batch;
	argv[n++] = alive;
	argv[n++] = log;
	argv[n++] = no_forward;
	argv[n++] = timeout;
	if (a->has_port) {
		argv[n++] = p;
		argv[n++] = port;
	}
	if (a->user[0] != '\0') {
		argv[n++] = l;
		argv[n++] = user;
	}
	argv[n++] = dashes;
	argv[n++] = host;
	argv[n++] = cw_buf_string(&command);
	argv[n] = NULL;
	why = spawn_ssh(argv, pipes, said, pid);
	cw_buf_free(&command);
	free(program);
	if (why == 0)
		return 0;
	return cw_error_set(err, CW_ERR_UNREACHABLE,
	    "cannot run %s to reach %s: %s", ssh, address, strerror(why));
}

int
cw_dial_ssh(const struct cw_address *a, const char *address, int limit_ms,
    const struct cw_dial_options *options, struct cw_carrier *out,
    struct cw_error *err)
{
	int pipes[4] = {-1, -1, -1, -1}, said, ret = -1;
	pid_t pid;

	if ((said = make_said(err)) < 0)
		return -1;
	if (make_pipe(pipes, err) < 0 || make_pipe(pipes + 2, err) < 0 ||
	    run_ssh(a, address, limit_ms, options, said, pipes, &pid, err) < 0)
		goto out;
	out->fd_in = pipes[2];
	out->fd_out = pipes[1];
	out->said = said;
	out->pid = pid;
	pipes[1] = pipes[2] = said = -1;
	(void)snprintf(out->name, sizeof(out->name), "%s", address);
	ret = 0;
out:
	for (int i = 0; i < 4; i++)
		cw_close(&pipes[i]);
	cw_close(&said);
	return ret;
}

static void
pause_step(void)
{
	static const struct timespec step = {0, STEP_MS * 1000000L};

	(void)nanosleep(&step, NULL);
}

static bool
wait_ssh(pid_t pid, int limit_ms)
{
	for (int waited = 0; waited < limit_ms; waited += STEP_MS) {
		pid_t got = waitpid(pid, NULL, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		pause_step();
	}
	return false;
}

void
cw_carrier_explain(struct cw_carrier *c, struct cw_error *err)
{
	char text[SAID_SIZE + 1], quoted[CW_QUOTE_MAX], *end;
	char said[CW_QUOTE_MAX + 32];
	size_t got = 0;

	if (c->said < 0 || err == NULL)
		return;
	/* It ends when its input does, and has then said all. */
	if (c->fd_out != c->fd_in)
		cw_close(&c->fd_out);
	if (c->pid > 0 && wait_ssh(c->pid, WAIT_MS))
		c->pid = -1;
	if (cw_pread_full(c->said, text, SAID_SIZE, 0, &got, NULL) < 0)
		return;
	text[got] = '\0';
	/* The last line tells the most. */
	end = text + strlen(text);
	while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
		*--end = '\0';
	while (end > text && end[-1] != '\n')
		end--;
	if (*end == '\0')
		return;
	cw_text_quote(end, strlen(end), quoted);
	(void)snprintf(said, sizeof(said), "ssh says: %s", quoted);
	(void)cw_error_advise(err, said);
}

void
cw_carrier_close(struct cw_carrier *c)
{
	if (c->fd_out != c->fd_in)
		cw_close(&c->fd_out);
	c->fd_out = -1;
	cw_close(&c->fd_in);
	cw_close(&c->said);
	if (c->pid > 0 && !wait_ssh(c->pid, WAIT_MS)) {
		(void)kill(c->pid, SIGTERM);
		if (!wait_ssh(c->pid, WAIT_MS)) {
			(void)kill(c->pid, SIGKILL);
			while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
				;
		}
	}
	c->pid = -1;
}
