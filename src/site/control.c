#include "site/control_impl.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const control_variables[CONTROL_VARIABLES] = {
    "CAUSEWAY_PASSPHRASE", "COLUMNS", "TERM"};

void
control_address(struct sockaddr_un *address, int state_fd)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path),
	    "/proc/self/fd/%d/" CW_CONTROL_SOCKET, state_fd);
}

const char *
control_next(struct control_texts *t)
{
	const char *text = t->at;
	const char *nul = memchr(text, '\0', (size_t)(t->end - text));

	if (nul == NULL)
		return NULL;
	t->at = nul + 1;
	return text;
}

bool
control_next_is(struct control_texts *t, const char *wanted)
{
	const char *text = control_next(t);

	return text != NULL && strcmp(text, wanted) == 0;
}

void
control_add(struct cw_buf *out, const char *text)
{
	cw_buf_append(out, text, strlen(text) + 1);
}

int
control_send(int fd, const struct cw_buf *text)
{
	ssize_t n;

	do
		n = send(
		    fd, text->data, text->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
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
	control_address(&address, state_fd);
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

int
cw_control_recv_signal(int fd, int *number)
{
	char data[64];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	struct control_texts t = {data, data + (n > 0 ? n : 0)};
	const char *text;
	uint64_t value;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || !control_next_is(&t, "signal"))
		return -1;
	text = control_next(&t);
	if (text == NULL || !cw_decimal_parse(text, strlen(text), 64, &value) ||
	    (value != SIGINT && value != SIGTERM))
		return -1;
	*number = (int)value;
	return 1;
}

void
cw_control_answer(int fd, const char *word, const char *fmt, ...)
{
	struct cw_buf out = CW_BUF_INIT;
	char *text = cw_malloc(CW_CONTROL_MAX);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, CW_CONTROL_MAX, fmt, ap);
	va_end(ap);
	control_add(&out, word);
	control_add(&out, text);
	(void)control_send(fd, &out);
	cw_buf_free(&out);
	free(text);
}

void
cw_control_refuse(int fd, const struct cw_error *why)
{
	struct cw_buf out = CW_BUF_INIT;

	control_add(&out, "refused");
	control_add(&out, cw_error_name(why->code));
	control_add(&out, why->message);
	(void)control_send(fd, &out);
	cw_buf_free(&out);
}
