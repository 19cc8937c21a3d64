/*
 * A request as the daemon receives it, and the child that becomes the command.
 */
#include "site/control_impl.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
	for (size_t i = 0; i < CONTROL_VARIABLES; i++) {
		size_t len = strlen(control_variables[i]);

		if (strncmp(text, control_variables[i], len) == 0 &&
		    text[len] == '=')
			return true;
	}
	return false;
}

static int
parse_command(
    struct control_texts *t, struct cw_control_request *r, struct cw_error *err)
{
	const char *what = control_next(t), *count = control_next(t), *text;
	size_t variables = 0;
	uint64_t argc;

	if (what == NULL || count == NULL || !is_word(what) ||
	    !cw_decimal_parse(
		count, strlen(count), CW_CONTROL_ARGS_MAX, &argc) ||
	    argc < 1)
		return cw_error_set(err, CW_ERR_FORMAT, "no command in it");
	r->what = cw_strdup(what);
	r->argv = cw_calloc((size_t)argc + 1, sizeof(*r->argv));
	r->environment =
	    cw_calloc(CONTROL_VARIABLES + 1, sizeof(*r->environment));
	while (r->argc < (int)argc) {
		text = control_next(t);
		if (text == NULL)
			return cw_error_set(
			    err, CW_ERR_FORMAT, "arguments are missing");
		r->argv[r->argc++] = cw_strdup(text);
	}
	while (t->at < t->end) {
		text = control_next(t);
		if (text == NULL || !is_variable(text) ||
		    variables == CONTROL_VARIABLES)
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
parse(
    struct control_texts *t, struct cw_control_request *r, struct cw_error *err)
{
	const char *kind;

	if (!control_next_is(t, CONTROL_MAGIC))
		return cw_error_set(err, CW_ERR_FORMAT, "no request");
	if (!control_next_is(t, CW_VERSION))
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "the daemon that runs is of version " CW_VERSION
		    ", this command is of another; restart the daemon");
	kind = control_next(t);
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
	struct control_texts texts;
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
	texts = (struct control_texts){data, data + n};
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
	for (size_t i = 0; i < CONTROL_VARIABLES; i++)
		(void)unsetenv(control_variables[i]);
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
