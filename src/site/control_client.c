/*
 * The client: a command that asks the daemon, or is handed over to it.
 */
#include "site/control_impl.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 10000 /* for a daemon's first word */

int
cw_control_connect(int state_fd, int *fd, struct cw_error *err)
{
	struct sockaddr_un address;
	int size = (int)CW_CONTROL_MAX * 2;

	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return cw_error_errno(err, "cannot make a socket");
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	control_address(&address, state_fd);
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
recv_answer(int fd, int timeout_ms, char *data, struct control_texts *t,
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
		n = recv(fd, data, CW_CONTROL_MAX, 0);
	while (n < 0 && errno == EINTR);
	*t = (struct control_texts){data, data + (n > 0 ? n : 0)};
	*word = n > 0 ? control_next(t) : NULL;
	if (*word == NULL)
		return cw_error_set(err, CW_ERR_FAILED,
		    "the daemon went away; look at its log, and run the "
		    "command again");
	return 0;
}

/* A daemon that refuses: its reason becomes ours. */
static int
take_refusal(struct control_texts *t, struct cw_error *err)
{
	const char *name = control_next(t), *message = control_next(t);

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
	control_add(out, CONTROL_MAGIC);
	control_add(out, CW_VERSION);
	control_add(out, kind);
}

int
cw_control_status(int fd, struct cw_buf *json, struct cw_error *err)
{
	struct cw_buf out = CW_BUF_INIT;
	char *data = cw_malloc(CW_CONTROL_MAX);
	const char *word, *text;
	struct control_texts t;
	int ret = -1;

	begin_request(&out, "status");
	if (control_send(fd, &out) < 0) {
		cw_error_errno(err, "cannot ask the daemon");
		goto out;
	}
	if (recv_answer(fd, ANSWER_MS, data, &t, &word, err) < 0)
		goto out;
	text = strcmp(word, "status") == 0 ? control_next(&t) : NULL;
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
	for (size_t i = 0; i < CONTROL_VARIABLES; i++) {
		const char *value = i == 0 && passphrase != NULL
					? passphrase
					: getenv(control_variables[i]);

		if (value == NULL)
			continue;
		cw_buf_text(out, control_variables[i]);
		cw_buf_text(out, "=");
		control_add(out, value);
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
take_end(const char *word, struct control_texts *t, struct cw_control_end *end,
    struct cw_error *err)
{
	const char *text;
	uint64_t value;

	if (strcmp(word, "refused") == 0)
		return take_refusal(t, err);
	text = control_next(t);
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
	control_add(&out, "signal");
	cw_buf_printf(&out, "%u", info.ssi_signo);
	cw_buf_append(&out, "", 1);
	(void)control_send(fd, &out);
	cw_buf_free(&out);
}

/* Waits for the command's end and passes signals on. */
static int
wait_for_end(
    int fd, int signals, struct cw_control_end *end, struct cw_error *err)
{
	struct pollfd p[2] = {
	    {.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	char *data = cw_malloc(CW_CONTROL_MAX);
	const char *word;
	struct control_texts t;
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
	control_add(&out, what);
	cw_buf_printf(&out, "%d", argc);
	cw_buf_append(&out, "", 1);
	for (int i = 0; i < argc; i++)
		control_add(&out, argv[i]);
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
