#include "sync/link_impl.h"

#include "base/clock.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> /* glibc's knows no tcpi_rwnd_limited */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE	   (256u << 10) /* bytes of one read */
#define OUT_SLACK  (256u << 10) /* bytes sent before the rest moves down */
#define STOP_MS	   500		/* how long a request to stop may go unseen */
#define LINGER_MAX (64u << 20)	/* bytes thrown away while we linger */

/*
 * A line that says nothing is asked after 30 s and given up after 70: below
 * the time after which NAT boxes forget (RFC 5382 asks for two hours and four
 * minutes, many keep five minutes or less).
 */
#define KEEP_IDLE_S  30
#define KEEP_EVERY_S 10
#define KEEP_COUNT   4

static int
unblock(int fd, int *old, struct cw_error *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return cw_error_errno(err, "descriptor %d of a link", fd);
	*old = flags;
	return 0;
}

static void
set_tcp(const struct cw_link *l)
{
	static const char bbr[] = "bbr";
	const int one = 1, idle = KEEP_IDLE_S, every = KEEP_EVERY_S,
		  count = KEEP_COUNT;
	const unsigned limit = (unsigned)l->stall_ms;
	int fd = l->fd_out;

	/* What is no TCP, or has no BBR, does without. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, bbr, sizeof(bbr) - 1);
}

int
cw_link_prepare(struct cw_link *l, struct cw_error *err)
{
	struct stat st;

	l->in = cw_malloc(IN_SIZE);
	if (fstat(l->fd_out, &st) < 0)
		return cw_error_errno(
		    err, "descriptor %d of a link", l->fd_out);
	l->out_is_socket = S_ISSOCK(st.st_mode);
	if (unblock(l->fd_in, &l->flags_in, err) < 0 ||
	    (l->fd_out != l->fd_in &&
		unblock(l->fd_out, &l->flags_out, err) < 0))
		return -1;
	if (l->out_is_socket)
		set_tcp(l);
	return 0;
}

uint64_t
cw_link_peer_ns(const struct cw_link *l)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (!l->out_is_socket ||
	    getsockopt(l->fd_out, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_rwnd_limited) +
		      sizeof(info.tcpi_rwnd_limited))
		return 0;
	return info.tcpi_rwnd_limited * 1000;
}

void
cw_link_restore(struct cw_link *l)
{
	if (l->flags_in >= 0)
		(void)fcntl(l->fd_in, F_SETFL, l->flags_in);
	if (l->flags_out >= 0)
		(void)fcntl(l->fd_out, F_SETFL, l->flags_out);
}

ssize_t
cw_link_pull(gnutls_transport_ptr_t arg, void *data, size_t len)
{
	struct cw_link *l = arg;
	size_t n = l->in_len - l->in_at;

	if (n == 0 && l->is_eof)
		return 0;
	if (n == 0) {
		gnutls_transport_set_errno(l->tls, EAGAIN);
		return -1;
	}
	if (n > len)
		n = len;
	memcpy(data, l->in + l->in_at, n);
	l->in_at += n;
	return (ssize_t)n;
}

ssize_t
cw_link_push(gnutls_transport_ptr_t arg, const giovec_t *iov, int count)
{
	struct cw_link *l = arg;
	size_t sum = 0;

	for (int i = 0; i < count; i++) {
		cw_buf_append(&l->out, iov[i].iov_base, iov[i].iov_len);
		sum += iov[i].iov_len;
	}
	return (ssize_t)sum;
}

int
cw_link_fill(struct cw_link *l, struct cw_error *err)
{
	ssize_t n;

	do {
		n = read(l->fd_in, l->in, IN_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "the line to the peer broke: %s", strerror(errno));
	l->in_at = 0;
	l->in_len = (size_t)n;
	l->is_eof = n == 0;
	l->stats.bytes_received += (uint64_t)n;
	l->stats.heard_ms = cw_clock_ms();
	return 1;
}

/* A pipe has no MSG_NOSIGNAL: the signal is held, and taken back. */
static ssize_t
write_pipe(int fd, const void *data, size_t len)
{
	static const struct timespec none = {0, 0};
	sigset_t pipe_only, old, pending;
	bool was_pending;
	ssize_t n;
	int saved;

	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	(void)pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	n = write(fd, data, len);
	saved = errno;
	if (n < 0 && saved == EPIPE && !was_pending)
		(void)sigtimedwait(&pipe_only, NULL, &none);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return n;
}

ssize_t
cw_link_drain(struct cw_link *l, struct cw_error *err)
{
	size_t start = l->out_at;

	while (l->out_at < l->out.len) {
		const uint8_t *data = l->out.data + l->out_at;
		size_t len = l->out.len - l->out_at;
		ssize_t n = l->out_is_socket
				? send(l->fd_out, data, len, MSG_NOSIGNAL)
				: write_pipe(l->fd_out, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return cw_error_set(err, CW_ERR_UNREACHABLE,
			    "the line to the peer broke: %s", strerror(errno));
		l->out_at += (size_t)n;
	}
	start = l->out_at - start;
	l->stats.bytes_sent += start;
	if (l->out_at == l->out.len) {
		cw_buf_reset(&l->out);
		l->out_at = 0;
	} else if (l->out_at > OUT_SLACK && l->out_at > l->out.len / 2) {
		memmove(l->out.data, l->out.data + l->out_at,
		    l->out.len - l->out_at);
		l->out.len -= l->out_at;
		l->out_at = 0;
	}
	return (ssize_t)start;
}

static unsigned
ready(const struct pollfd fds[3])
{
	unsigned got = 0;

	for (unsigned i = 0; i < 3; i++) {
		/* Errors are what a read or write will tell. */
		if (fds[i].fd >= 0 && fds[i].revents != 0)
			got |= 1u << i;
	}
	return got;
}

int
cw_link_poll(struct cw_link *l, unsigned what, int other_fd,
    int64_t deadline_ms, struct cw_error *err)
{
	for (;;) {
		struct pollfd fds[3] = {
		    {(what & WAIT_IN) != 0 ? l->fd_in : -1, POLLIN, 0},
		    {(what & WAIT_OUT) != 0 ? l->fd_out : -1, POLLOUT, 0},
		    {(what & WAIT_OTHER) != 0 ? other_fd : -1, POLLIN, 0},
		};
		int64_t left = deadline_ms - cw_clock_ms();
		int n;

		if (left < 0)
			left = 0;
		if (left > 0 && (what & WAIT_STOP) != 0 &&
		    cw_stop_check(err) < 0)
			return -1;
		n = poll(fds, 3, left > STOP_MS ? STOP_MS : (int)left);
		if (n > 0)
			return (int)ready(fds);
		if (n < 0 && errno != EINTR)
			return cw_error_errno(err, "waiting for the peer");
		if (left == 0 && n == 0)
			return 0;
	}
}

void
cw_link_linger(struct cw_link *l, int64_t deadline_ms)
{
	uint64_t end = l->stats.bytes_received + LINGER_MAX;

	/*
	 * A socket that is closed with something unread is reset, and a reset
	 * throws away what the peer has not read yet: our last words.
	 */
	if (!l->out_is_socket || shutdown(l->fd_out, SHUT_WR) < 0)
		return;
	while (!l->is_eof && l->stats.bytes_received < end) {
		if (cw_link_poll(l, WAIT_IN, -1, deadline_ms, NULL) <= 0 ||
		    cw_link_fill(l, NULL) < 0)
			return;
	}
}
