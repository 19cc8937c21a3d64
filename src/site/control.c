#include "site/control.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef CW_VERSION
#define CW_VERSION "unknown"
#endif

#define MAGIC	   "causeway"
#define ANSWER_MS  10000 /* for a daemon's first word */
#define ANSWER_MAX CW_CONTROL_MAX

/* What a command is told of its client's environment. */
static const char *const environment[] = {
    "CAUSEWAY_PASSPHRASE", "COLUMNS", "TERM"};
#define ENVIRONMENT (sizeof(environment) / sizeof(*environment))

static bool has_taken_over;
static int own_terminal = -1;

int
cw_control_terminal(void)
{
	return own_terminal;
}

bool
cw_control_is_taken_over(void)
{
	return has_taken_over;
}

/*
 * The socket's address by way of the state directory's descriptor: a path of
 * any length is as good as another.
 */
static void
set_address(struct sockaddr_un *address, int state_fd)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path),
	    "/proc/self/fd/%d/" CW_CONTROL_SOCKET, state_fd);
}

void
cw_control_unlink(int state_fd)
{
	(void)unlinkat(state_fd, CW_CONTROL_SOCKET, 0);
}

int
cw_control_listen(int state_fd, struct cw_error *err)
{
	struct sockaddr_un address;
	mode_t mask;
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return cw_error_errno(err, "cannot make the control socket");
	cw_control_unlink(state_fd);
	set_address(&address, state_fd);
	mask = umask(0177);
	ret = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(mask);
	if (ret < 0 || listen(fd, 64) < 0) {
		cw_error_errno(err, "cannot listen on %s", CW_CONTROL_SOCKET);
		cw_close(&fd);
	}
	return fd;
}

int
cw_control_accept(int listen_fd, int *fd, struct cw_error *err)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	*fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (*fd < 0)
		return errno == EAGAIN || errno == EINTR ||
			       errno == ECONNABORTED
			   ? 0
			   : cw_error_errno(
				 err, "cannot accept on the control socket");
	if (getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	    (who.uid == geteuid() || who.uid == 0))
		return 1;
	cw_close(fd);
	return cw_error_set(err, CW_ERR_REFUSED,
	    "a process of user %lu tried the control socket",
	    (unsigned long)who.uid);
}

/* ---- requests ---- */

/* The texts of a datagram, one after the other. */
struct texts {
	const char *at, *end;
};

/* The next text; NULL at the end, or if no NUL ends it. */
static const char *
next_text(struct texts *t)
{
	const char *text = t->at;
	const char *nul = memchr(text, '\0', (size_t)(t->end - text));

	if (nul == NULL)
		return NULL;
	t->at = nul + 1;
	return text;
}

static bool
next_is(struct texts *t, const char *wanted)
{
	const char *text = next_text(t);

	return text != NULL && strcmp(text, wanted) == 0;
}

static bool
is_word(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 32 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz-") == len;
}

/* Whether a text is NAME=VALUE of a variable that we pass on. */
static bool
is_variable(const char *text)
{
	for (size_t i = 0; i < ENVIRONMENT; i++) {
		size_t len = strlen(environment[i]);

		if (strncmp(text, environment[i], len) == 0 && text[len] == '=')
			return true;
	}
	return false;
}

static int
parse_command(
    struct texts *t, struct cw_control_request *r, struct cw_error *err)
{
	const char *what = next_text(t), *count = next_text(t), *text;
	size_t variables = 0;
	uint64_t argc;

	if (what == NULL || count == NULL || !is_word(what) ||
	    !cw_decimal_parse(
		count, strlen(count), CW_CONTROL_ARGS_MAX, &argc) ||
	    argc < 1)
		return cw_error_set(err, CW_ERR_FORMAT, "no command in it");
	r->what = cw_strdup(what);
	r->argv = cw_calloc((size_t)argc + 1, sizeof(*r->argv));
	r->environment = cw_calloc(ENVIRONMENT + 1, sizeof(*r->environment));
	while (r->argc < (int)argc) {
		text = next_text(t);
		if (text == NULL)
			return cw_error_set(
			    err, CW_ERR_FORMAT, "arguments are missing");
		r->argv[r->argc++] = cw_strdup(text);
	}
	while (t->at < t->end) {
		text = next_text(t);
		if (text == NULL || !is_variable(text) ||
		    variables == ENVIRONMENT)
			return cw_error_set(
			    err, CW_ERR_FORMAT, "an environment of its own");
		r->environment[variables++] = cw_strdup(text);
	}
	for (int i = 0; i < CW_CONTROL_TERMINAL; i++)
		if (r->fds[i] < 0)
			return cw_error_set(
			    err, CW_ERR_FORMAT, "descriptors are missing");
	return 0;
}

static int
parse(struct texts *t, struct cw_control_request *r, struct cw_error *err)
{
	const char *kind;

	if (!next_is(t, MAGIC))
		return cw_error_set(err, CW_ERR_FORMAT, "no request");
	if (!next_is(t, CW_VERSION))
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "the daemon that runs is of version " CW_VERSION
		    ", this command is of another; restart the daemon");
	kind = next_text(t);
	if (kind != NULL && strcmp(kind, "status") == 0 && t->at == t->end) {
		r->is_status = true;
		return 0;
	}
	if (kind == NULL || strcmp(kind, "command") != 0)
		return cw_error_set(err, CW_ERR_FORMAT, "an unknown request");
	return parse_command(t, r, err);
}

/* Takes the descriptors that came along; those too many are closed. */
static void
take_fds(struct msghdr *message, struct cw_control_request *r)
{
	int count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
	     c = CMSG_NXTHDR(message, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < CW_CONTROL_FDS)
				r->fds[count++] = fd;
			else
				(void)close(fd);
		}
	}
}

int
cw_control_recv_request(
    int fd, struct cw_control_request *r, struct cw_error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CW_CONTROL_FDS)];
	} rights;
	char *data = cw_malloc(CW_CONTROL_MAX);
	struct iovec iov = {.iov_base = data, .iov_len = CW_CONTROL_MAX};
	struct msghdr message = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = rights.bytes,
	    .msg_controllen = sizeof(rights.bytes)};
	struct texts texts;
	ssize_t n;
	int ret;

	*r = (struct cw_control_request){.what = NULL};
	for (int i = 0; i < CW_CONTROL_FDS; i++)
		r->fds[i] = -1;
	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		free(data);
		return 0;
	}
	if (n <= 0) {
		free(data);
		return cw_error_set(
		    err, CW_ERR_UNREACHABLE, "the client has gone");
	}
	take_fds(&message, r);
	texts = (struct texts){data, data + n};
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		ret = cw_error_set(err, CW_ERR_FORMAT, "it is too long");
	else
		ret = parse(&texts, r, err);
	explicit_bzero(data, (size_t)n);
	free(data);
	if (ret == 0)
		return 1;
	cw_control_request_free(r);
	return -1;
}

void
cw_control_request_free(struct cw_control_request *r)
{
	for (int i = 0; i < CW_CONTROL_FDS; i++)
		cw_close(&r->fds[i]);
	for (int i = 0; i < r->argc; i++)
		free(r->argv[i]);
	for (char **v = r->environment; v != NULL && *v != NULL; v++) {
		explicit_bzero(*v, strlen(*v));
		free(*v);
	}
	free(r->argv);
	free((void *)r->environment);
	free(r->what);
	*r = (struct cw_control_request){.what = NULL};
	for (int i = 0; i < CW_CONTROL_FDS; i++)
		r->fds[i] = -1;
}

int
cw_control_take_over(struct cw_control_request *r, struct cw_error *err)
{
	static const int places[] = {[CW_CONTROL_STDIN] = STDIN_FILENO,
	    [CW_CONTROL_STDOUT] = STDOUT_FILENO,
	    [CW_CONTROL_STDERR] = STDERR_FILENO};

	if (fchdir(r->fds[CW_CONTROL_CWD]) < 0)
		return cw_error_errno(
		    err, "the daemon cannot enter the working directory");
	for (int i = CW_CONTROL_STDIN; i <= CW_CONTROL_STDERR; i++)
		if (dup2(r->fds[i], places[i]) < 0)
			return cw_error_errno(err, "cannot take a descriptor");
	for (size_t i = 0; i < ENVIRONMENT; i++)
		(void)unsetenv(environment[i]);
	for (char **v = r->environment; *v != NULL; v++) {
		char *equals = strchr(*v, '=');

		*equals = '\0';
		(void)setenv(*v, equals + 1, 1);
		*equals = '=';
		explicit_bzero(equals + 1, strlen(equals + 1));
	}
	own_terminal = r->fds[CW_CONTROL_TERMINAL];
	r->fds[CW_CONTROL_TERMINAL] = -1;
	has_taken_over = true;
	return 0;
}

/* ---- words both ways, once a command runs ---- */

int
cw_control_recv_signal(int fd, int *number)
{
	char data[64];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	struct texts t = {data, data + (n > 0 ? n : 0)};
	const char *text;
	uint64_t value;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || !next_is(&t, "signal"))
		return -1;
	text = next_text(&t);
	if (text == NULL || !cw_decimal_parse(text, strlen(text), 64, &value) ||
	    (value != SIGINT && value != SIGTERM))
		return -1;
	*number = (int)value;
	return 1;
}

/* Sends texts that end in a NUL each; never waits. */
static int
send_text(int fd, const struct cw_buf *text)
{
	ssize_t n;

	do
		n = send(
		    fd, text->data, text->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static void
add_text(struct cw_buf *out, const char *text)
{
	cw_buf_append(out, text, strlen(text) + 1);
}

void
cw_control_answer(int fd, const char *word, const char *fmt, ...)
{
	struct cw_buf out = CW_BUF_INIT;
	char *text = cw_malloc(ANSWER_MAX);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, ANSWER_MAX, fmt, ap);
	va_end(ap);
	add_text(&out, word);
	add_text(&out, text);
	(void)send_text(fd, &out);
	cw_buf_free(&out);
	free(text);
}

void
cw_control_refuse(int fd, const struct cw_error *why)
{
	struct cw_buf out = CW_BUF_INIT;

	add_text(&out, "refused");
	add_text(&out, cw_error_name(why->code));
	add_text(&out, why->message);
	(void)send_text(fd, &out);
	cw_buf_free(&out);
}

/* ---- the client ---- */

int
cw_control_connect(int state_fd, int *fd, struct cw_error *err)
{
	struct sockaddr_un address;
	int size = (int)CW_CONTROL_MAX * 2;

	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return cw_error_errno(err, "cannot make a socket");
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	set_address(&address, state_fd);
	if (connect(*fd, (const struct sockaddr *)&address, sizeof(address)) ==
	    0)
		return 0;
	cw_close(fd);
	/* No socket, a dead one, or not for us: as if no daemon was there. */
	return 1;
}

/*
 * Waits for the next answer and takes its first word off.  Returns its texts
 * in t, which point into data.
 */
static int
recv_answer(int fd, int timeout_ms, char *data, struct texts *t,
    const char **word, struct cw_error *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = -1;
	int ready;

	do
		ready = poll(&p, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready == 0)
		return cw_error_set(err, CW_ERR_BUSY,
		    "the daemon does not answer; look at its log");
	do
		n = recv(fd, data, ANSWER_MAX, 0);
	while (n < 0 && errno == EINTR);
	*t = (struct texts){data, data + (n > 0 ? n : 0)};
	*word = n > 0 ? next_text(t) : NULL;
	if (*word == NULL)
		return cw_error_set(err, CW_ERR_FAILED,
		    "the daemon went away; look at its log, and run the "
		    "command again");
	return 0;
}

/* A daemon that refuses: its reason becomes ours. */
static int
take_refusal(struct texts *t, struct cw_error *err)
{
	const char *name = next_text(t), *message = next_text(t);

	if (message == NULL)
		return cw_error_set(
		    err, CW_ERR_FAILED, "the daemon's answer makes no sense");
	for (int code = CW_ERR_FAILED; code <= CW_ERR_INTERRUPTED; code++)
		if (strcmp(cw_error_name((enum cw_code)code), name) == 0)
			return cw_error_set(
			    err, (enum cw_code)code, "%s", message);
	return cw_error_set(err, CW_ERR_FAILED, "%s", message);
}

static void
begin_request(struct cw_buf *out, const char *kind)
{
	add_text(out, MAGIC);
	add_text(out, CW_VERSION);
	add_text(out, kind);
}

int
cw_control_status(int fd, struct cw_buf *json, struct cw_error *err)
{
	struct cw_buf out = CW_BUF_INIT;
	char *data = cw_malloc(ANSWER_MAX);
	const char *word, *text;
	struct texts t;
	int ret = -1;

	begin_request(&out, "status");
	if (send_text(fd, &out) < 0) {
		cw_error_errno(err, "cannot ask the daemon");
		goto out;
	}
	if (recv_answer(fd, ANSWER_MS, data, &t, &word, err) < 0)
		goto out;
	text = strcmp(word, "status") == 0 ? next_text(&t) : NULL;
	if (text != NULL) {
		cw_buf_text(json, text);
		ret = 0;
	} else {
		ret = take_refusal(&t, err);
	}
out:
	cw_buf_free(&out);
	free(data);
	return ret;
}

static void
add_variables(struct cw_buf *out, const char *passphrase)
{
	for (size_t i = 0; i < ENVIRONMENT; i++) {
		const char *value = i == 0 && passphrase != NULL
					? passphrase
					: getenv(environment[i]);

		if (value == NULL)
			continue;
		cw_buf_text(out, environment[i]);
		cw_buf_text(out, "=");
		add_text(out, value);
	}
}

/* A descriptor for one that is not open: nothing can be read or written. */
static int
open_or_null(int fd)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return fd;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int
send_command(int fd, const struct cw_buf *text, struct cw_error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CW_CONTROL_FDS)];
	} rights = {.bytes = {0}};
	struct iovec iov = {.iov_base = text->data, .iov_len = text->len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[CW_CONTROL_FDS];
	struct cmsghdr *c;
	size_t count = CW_CONTROL_TERMINAL;
	ssize_t n;

	fds[CW_CONTROL_CWD] = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[CW_CONTROL_STDIN] = open_or_null(STDIN_FILENO);
	fds[CW_CONTROL_STDOUT] = open_or_null(STDOUT_FILENO);
	fds[CW_CONTROL_STDERR] = open_or_null(STDERR_FILENO);
	fds[CW_CONTROL_TERMINAL] =
	    open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fds[CW_CONTROL_TERMINAL] >= 0)
		count++;
	message.msg_control = rights.bytes;
	message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	n = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		cw_error_errno(err, "cannot hand the command to the daemon");
	for (size_t i = 0; i < count; i++)
		if (fds[i] > STDERR_FILENO)
			(void)close(fds[i]);
	return n < 0 ? -1 : 0;
}

/* What the daemon says in the end. */
static int
take_end(const char *word, struct texts *t, struct cw_control_end *end,
    struct cw_error *err)
{
	const char *text;
	uint64_t value;

	if (strcmp(word, "refused") == 0)
		return take_refusal(t, err);
	text = next_text(t);
	end->was_killed = strcmp(word, "killed") == 0;
	if ((!end->was_killed && strcmp(word, "ended") != 0) || text == NULL ||
	    !cw_decimal_parse(text, strlen(text), 255, &value))
		return cw_error_set(
		    err, CW_ERR_FAILED, "the daemon's answer makes no sense");
	end->status = (int)value;
	return 0;
}

/* Passes one signal on. */
static void
pass_signal(int fd, int signals)
{
	struct signalfd_siginfo info;
	struct cw_buf out = CW_BUF_INIT;

	if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	add_text(&out, "signal");
	cw_buf_printf(&out, "%u", info.ssi_signo);
	cw_buf_append(&out, "", 1);
	(void)send_text(fd, &out);
	cw_buf_free(&out);
}

/* Waits for the command's end and passes signals on. */
static int
wait_for_end(
    int fd, int signals, struct cw_control_end *end, struct cw_error *err)
{
	struct pollfd p[2] = {
	    {.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	char *data = cw_malloc(ANSWER_MAX);
	const char *word;
	struct texts t;
	int ret, wait_ms = ANSWER_MS;

	for (;;) {
		int ready = poll(p, 2, wait_ms);

		if (ready > 0 && (p[1].revents & POLLIN) != 0)
			pass_signal(fd, signals);
		if (ready > 0 && p[0].revents == 0)
			continue;
		if (ready < 0 && errno == EINTR)
			continue;
		ret = recv_answer(fd, 0, data, &t, &word, err);
		if (ret < 0)
			break;
		if (strcmp(word, "started") != 0) {
			ret = take_end(word, &t, end, err);
			break;
		}
		/* From here on it takes as long as the command does. */
		wait_ms = -1;
	}
	free(data);
	return ret;
}

int
cw_control_command(int fd, const char *what, int argc, char *const *argv,
    const char *passphrase, struct cw_control_end *end, struct cw_error *err)
{
	struct cw_buf out = CW_BUF_INIT;
	sigset_t wanted, old;
	int signals = -1, ret = -1;

	begin_request(&out, "command");
	add_text(&out, what);
	cw_buf_printf(&out, "%d", argc);
	cw_buf_append(&out, "", 1);
	for (int i = 0; i < argc; i++)
		add_text(&out, argv[i]);
	add_variables(&out, passphrase);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &wanted, &old);
	signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		cw_error_errno(err, "cannot wait for signals");
	else if (argc > (int)CW_CONTROL_ARGS_MAX || out.len > CW_CONTROL_MAX)
		cw_error_set(err, CW_ERR_USAGE,
		    "the arguments are too long to hand to the daemon");
	else if (send_command(fd, &out, err) == 0)
		ret = wait_for_end(fd, signals, end, err);
	cw_close(&signals);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	cw_buf_wipe(&out);
	return ret;
}
