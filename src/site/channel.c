#include "site/channel.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
cw_channel_pair(int *ours, int *theirs, struct cw_error *err)
{
	int fds[2], flags;

	*ours = *theirs = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return cw_error_errno(err, "cannot make a pair of sockets");
	*ours = fds[0];
	*theirs = fds[1];
	flags = fcntl(*ours, F_GETFL);
	if (flags >= 0 && fcntl(*ours, F_SETFL, flags | O_NONBLOCK) == 0)
		return 0;
	cw_error_errno(err, "cannot set up a pair of sockets");
	cw_close(ours);
	cw_close(theirs);
	return -1;
}

static int
is_gone(struct cw_error *err)
{
	return cw_error_set(
	    err, CW_ERR_INTERRUPTED, "the daemon's other process is gone");
}

int
cw_channel_send(int fd, struct cw_error *err, const char *fmt, ...)
{
	char line[CW_CHANNEL_MAX];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (len < 0)
		return cw_error_set(err, CW_ERR_FAILED, "no line to send");
	if ((size_t)len >= sizeof(line))
		len = (int)sizeof(line) - 1;
	for (;;) {
		if (send(fd, line, (size_t)len, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN)
			return 1;
		if (errno != EINTR)
			return is_gone(err);
	}
}

int
cw_channel_recv(
    int fd, int timeout_ms, char out[CW_CHANNEL_MAX], struct cw_error *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	/* An empty datagram is none of ours: it would look like the end. */
	if (timeout_ms != 0) {
		int ready = poll(&p, 1, timeout_ms);

		if (ready == 0 || (ready < 0 && errno == EINTR))
			return 0;
	}
	n = recv(fd, out, CW_CHANNEL_MAX - 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return is_gone(err);
	out[n] = '\0';
	return 1;
}

unsigned
cw_channel_words(char *line, char **words, unsigned max)
{
	unsigned count = 0;

	while (*line == ' ')
		line++;
	while (*line != '\0' && count < max) {
		words[count++] = line;
		if (count == max)
			break;
		line += strcspn(line, " ");
		if (*line != '\0')
			*line++ = '\0';
		while (*line == ' ')
			line++;
	}
	return count;
}

static int own_fd = -1;

void
cw_channel_set_own(int fd)
{
	own_fd = fd;
}

int
cw_channel_own(void)
{
	return own_fd;
}
