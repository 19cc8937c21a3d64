/*
 * Runs a command and stops it, or fails it, at its Nth system call that
 * changes something on disk, counted over all threads of it:
 *
 *     cc -O2 -o stopat stopat.c
 *     stopat [OPTION...] COMMAND [ARGUMENT...]
 *
 *   --log FILE       writes a line "N CALL PATH" for each such call
 *   --kill N         SIGKILL instead of the Nth
 *   --fail N ERRNO   the Nth fails with EIO, ENOSPC, ... and is not done
 *   --on             from the Nth on, all of them fail
 *   --run N COMMAND  sh runs that before the Nth, which waits for it
 *   --calls A,B,...  these calls count (see below), instead of those that write
 *   --path TEXT      only calls with TEXT in their path count; those in /dev
 *                    do if TEXT begins with /dev/
 *   --own            only calls of the command itself, not of its children
 *   --name NAME      only calls of processes of that name (comm); it is the
 *                    process that makes the Nth call that is killed then
 *
 * The exit status is the command's, 128 + signal if a signal ended it, 125 if
 * this program failed, 77 if the kernel does not have what it needs.
 *
 * It is a seccomp filter that hands the calls to us (seccomp_unotify(2)), so a
 * call waits while we decide, and is not done if we kill.  strace can inject
 * as well, but counts each thread by itself.  Writes through mmap and to
 * standard output and error are not seen.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define PATH_SIZE 4096

/* Where a call has its path: -1 is none. */
struct call {
	const char *name;
	int number;
	int fd;	      /* index of the argument that is a descriptor */
	int path;     /* index of the one that is a path */
	bool is_read; /* counts only where --calls names it */
};

static const struct call calls[] = {
    {"write", __NR_write, 0, -1, false},
    {"pwrite64", __NR_pwrite64, 0, -1, false},
    {"writev", __NR_writev, 0, -1, false},
    {"pwritev", __NR_pwritev, 0, -1, false},
    {"fsync", __NR_fsync, 0, -1, false},
    {"fdatasync", __NR_fdatasync, 0, -1, false},
    {"syncfs", __NR_syncfs, 0, -1, false},
    {"ftruncate", __NR_ftruncate, 0, -1, false},
    {"fallocate", __NR_fallocate, 0, -1, false},
    {"openat", __NR_openat, 0, 1, false},   /* with O_CREAT */
    {"openat2", __NR_openat2, 0, 1, false}, /* with O_CREAT */
#ifdef __NR_open
    {"open", __NR_open, -1, 0, false}, /* with O_CREAT */
#endif
#ifdef __NR_rename
    {"rename", __NR_rename, -1, 0, false},
    {"unlink", __NR_unlink, -1, 0, false},
    {"mkdir", __NR_mkdir, -1, 0, false},
    {"rmdir", __NR_rmdir, -1, 0, false},
    {"link", __NR_link, -1, 1, false},
    {"symlink", __NR_symlink, -1, 1, false},
#endif
#ifdef __NR_renameat
    {"renameat", __NR_renameat, 0, 1, false},
#endif
    {"renameat2", __NR_renameat2, 0, 1, false},
    {"unlinkat", __NR_unlinkat, 0, 1, false},
    {"mkdirat", __NR_mkdirat, 0, 1, false},
    {"linkat", __NR_linkat, 2, 3, false},
    {"symlinkat", __NR_symlinkat, 1, 2, false},
    {"read", __NR_read, 0, -1, true},
    {"pread64", __NR_pread64, 0, -1, true},
    {"readv", __NR_readv, 0, -1, true},
    {"preadv", __NR_preadv, 0, -1, true},
    {"getdents64", __NR_getdents64, 0, -1, true},
    {"ioctl", __NR_ioctl, 0, -1, true},
};

static const struct {
	const char *name;
	int number;
} errors[] = {
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"EDQUOT", EDQUOT},
    {"EROFS", EROFS},
    {"EINTR", EINTR},
    {"EACCES", EACCES},
};

static struct {
	FILE *log;
	unsigned long kill_at, fail_at, run_at;
	int error;
	bool goes_on;
	bool is_own;
	const char *only_calls, *only_path, *only_name, *command;
} o;

static void
die(const char *what)
{
	fprintf(stderr, "stopat: %s: %s\n", what, strerror(errno));
	exit(125);
}

static bool
is_chosen(const struct call *call)
{
	size_t len = strlen(call->name);
	const char *at = o.only_calls;

	if (at == NULL)
		return !call->is_read;
	while ((at = strstr(at, call->name)) != NULL) {
		if ((at == o.only_calls || at[-1] == ',') &&
		    (at[len] == '\0' || at[len] == ','))
			return true;
		at += len;
	}
	return false;
}

/* Makes the chosen calls wait for us; returns the descriptor to be asked. */
static int
install(void)
{
	struct sock_filter f[2 * COUNT(calls) + 2];
	struct sock_fprog program = {.filter = f};
	unsigned short n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < COUNT(calls); i++) {
		if (!is_chosen(&calls[i]))
			continue;
		f[n++] = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(
		    BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	f[n++] =
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* The child's side of handing the descriptor over; it must be no chosen one. */
static int
send_fd(int to, int fd)
{
	char byte = 0;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &m, 0) == 1 ? 0 : -1;
}

/* Returns -1 if the child ended without sending one. */
static int
receive_fd(int from)
{
	char byte;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Bytes of the waiting thread's memory; false if they are not there. */
static bool
peek(uint32_t pid, uint64_t address, void *out, size_t len, bool is_text)
{
	char name[64];
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "/proc/%u/mem", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = pread(fd, out, len, (off_t)address);
	(void)close(fd);
	if (n <= 0)
		return false;
	if (!is_text)
		return (size_t)n == len;
	return memchr(out, '\0', (size_t)n) != NULL;
}

static void
describe_fd(uint32_t pid, int fd, char *out)
{
	char name[64];
	ssize_t n;

	(void)snprintf(name, sizeof(name),
	    fd == AT_FDCWD ? "/proc/%u/cwd" : "/proc/%u/fd/%d", pid, fd);
	n = readlink(name, out, PATH_SIZE - 1);
	out[n < 0 ? 0 : n] = '\0';
}

static void
describe(const struct call *call, const struct seccomp_notif *q, char *out)
{
	char text[PATH_SIZE] = "";
	size_t len;

	out[0] = '\0';
	if (call->path >= 0 &&
	    !peek(q->pid, q->data.args[call->path], text, sizeof(text), true))
		text[0] = '\0';
	if (text[0] != '/')
		describe_fd(q->pid,
		    call->fd < 0 ? AT_FDCWD : (int)q->data.args[call->fd], out);
	len = strlen(out);
	if (text[0] != '\0')
		(void)snprintf(
		    out + len, PATH_SIZE, "%s%s", len > 0 ? "/" : "", text);
	for (char *at = out; *at != '\0'; at++)
		if (*at == '\n')
			*at = '?';
}

/* The process of a thread, by /proc; 0 if it has gone. */
static pid_t
process_of(uint32_t tid)
{
	char text[2048], *at;
	ssize_t n;
	int fd;

	(void)snprintf(text, sizeof(text), "/proc/%u/status", tid);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, "\nTgid:");
	return at == NULL ? 0 : (pid_t)strtol(at + 6, NULL, 10);
}

static bool
has_name(pid_t pid, const char *name)
{
	char path[64], text[32];
	size_t len = strlen(name);
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	(void)close(fd);
	return n == (ssize_t)len + 1 && strncmp(text, name, len) == 0;
}

/* Opening counts only where it may make a file, writing only to files. */
static bool
counts(const struct call *call, const struct seccomp_notif *q, const char *path,
    pid_t caller, pid_t child)
{
	struct open_how how;
	bool is_device;

	if (o.is_own && caller != child)
		return false;
	if (o.only_name != NULL && !has_name(caller, o.only_name))
		return false;
	switch (call->number) {
	case __NR_openat:
		if ((q->data.args[2] & O_CREAT) == 0)
			return false;
		break;
	case __NR_openat2:
		if (!peek(q->pid, q->data.args[2], &how, sizeof(how), false) ||
		    (how.flags & O_CREAT) == 0)
			return false;
		break;
#ifdef __NR_open
	case __NR_open:
		if ((q->data.args[1] & O_CREAT) == 0)
			return false;
		break;
#endif
	default:
		if (call->path < 0 && q->data.args[call->fd] <= 2)
			return false;
	}
	is_device =
	    o.only_path != NULL && strncmp(o.only_path, "/dev/", 5) == 0;
	return path[0] == '/' && strncmp(path, "/proc/", 6) != 0 &&
	       (is_device || strncmp(path, "/dev/", 5) != 0) &&
	       (o.only_path == NULL || strstr(path, o.only_path) != NULL);
}

/* Answers one call; *n is how many there were. */
static void
answer(int listener, pid_t child, unsigned long *n)
{
	struct seccomp_notif q = {0};
	struct seccomp_notif_resp r = {0};
	const struct call *call = NULL;
	char path[2 * PATH_SIZE];
	pid_t caller, doomed;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q) < 0) {
		if (errno == EINTR || errno == ENOENT)
			return; /* the thread is gone */
		die("cannot receive a call");
	}
	for (size_t i = 0; i < COUNT(calls) && call == NULL; i++)
		if (calls[i].number == q.data.nr)
			call = &calls[i];
	r.id = q.id;
	r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	describe(call, &q, path);
	caller = process_of(q.pid);
	if (counts(call, &q, path, caller, child)) {
		++*n;
		if (o.log != NULL) {
			fprintf(o.log, "%lu %s %s\n", *n, call->name, path);
			(void)fflush(o.log);
		}
		if (*n == o.run_at && system(o.command) != 0)
			fprintf(stderr, "stopat: failed: %s\n", o.command);
		if (*n == o.kill_at) {
			doomed = o.only_name != NULL ? caller : child;
			(void)kill(doomed, SIGKILL);
			/* Whoever lives on has to be answered. */
			if (caller == doomed || caller == 0)
				return;
		}
		if (*n == o.fail_at || (o.goes_on && *n > o.fail_at)) {
			r.flags = 0;
			r.error = -o.error;
		}
	}
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0 &&
	    errno != ENOENT && errno != EINPROGRESS)
		die("cannot answer a call");
}

static void
supervise(int listener, pid_t child)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	unsigned long n = 0;

	for (;;) {
		if (poll(&p, 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("cannot wait");
		}
		if ((p.revents & POLLIN) != 0)
			answer(listener, child, &n);
		else
			return; /* nobody is left who could call */
	}
}

static unsigned long
number(const char *text)
{
	char *end;
	unsigned long n;

	n = text == NULL ? 0 : strtoul(text, &end, 10);
	if (n == 0 || *end != '\0') {
		fprintf(stderr, "stopat: a number from 1 is needed\n");
		exit(125);
	}
	return n;
}

static char **
parse(char **argv)
{
	for (argv++; *argv != NULL && strncmp(*argv, "--", 2) == 0; argv++) {
		const char *option = *argv;

		if (strcmp(option, "--on") == 0) {
			o.goes_on = true;
		} else if (strcmp(option, "--own") == 0) {
			o.is_own = true;
		} else if (argv[1] == NULL) {
			break;
		} else if (strcmp(option, "--log") == 0) {
			o.log = fopen(*++argv, "we");
			if (o.log == NULL)
				die(*argv);
		} else if (strcmp(option, "--kill") == 0) {
			o.kill_at = number(*++argv);
		} else if (strcmp(option, "--fail") == 0) {
			o.fail_at = number(*++argv);
			for (size_t i = 0; i < COUNT(errors); i++)
				if (argv[1] != NULL &&
				    strcmp(errors[i].name, argv[1]) == 0)
					o.error = errors[i].number;
			if (o.error == 0)
				break;
			argv++;
		} else if (strcmp(option, "--run") == 0) {
			o.run_at = number(*++argv);
			if (argv[1] == NULL)
				break;
			o.command = *++argv;
		} else if (strcmp(option, "--calls") == 0) {
			o.only_calls = *++argv;
		} else if (strcmp(option, "--path") == 0) {
			o.only_path = *++argv;
		} else if (strcmp(option, "--name") == 0) {
			o.only_name = *++argv;
		} else {
			break;
		}
	}
	if (*argv == NULL || strncmp(*argv, "--", 2) == 0) {
		fprintf(stderr, "usage: stopat [--log FILE] [--kill N | "
				"--fail N ERRNO [--on] |\n"
				"              --run N COMMAND]\n"
				"              [--calls A,B,...] [--path TEXT] "
				"[--own] [--name NAME]\n"
				"              COMMAND [ARGUMENT...]\n");
		exit(125);
	}
	return argv;
}

int
main(int argc, char **argv)
{
	int pair[2], listener, status;
	pid_t child;

	(void)argc;
	argv = parse(argv);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		listener = install();
		if (listener < 0 || send_fd(pair[1], listener) < 0)
			_exit(77);
		(void)close(listener);
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	(void)close(pair[1]);
	listener = receive_fd(pair[0]);
	if (listener >= 0)
		supervise(listener, child);
	if (waitpid(child, &status, 0) < 0)
		die("waitpid");
	if (o.log != NULL && fclose(o.log) != 0)
		die("the log");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
