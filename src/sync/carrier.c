#include "sync/carrier.h"

#include "base/bytes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "base/text.h"
#include "sync/carrier_impl.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIAL_MS 20000
#define STOP_MS 500
#define BACKLOG 16

/* ---- addresses ---- */

static int
is_no_address(const char *text, const char *why, struct cw_error *err)
{
	char quoted[CW_QUOTE_MAX];

	cw_text_quote(text, strlen(text), quoted);
	return cw_error_set(
	    err, CW_ERR_USAGE, "%s is no address: %s", quoted, why);
}

/* What may be in a host's name or number; the rest is the resolver's. */
static bool
is_host(const char *text, size_t len)
{
	if (len == 0 || len > 255 || text[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (strchr(
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789.-_:%",
			text[i]) == NULL)
			return false;
	}
	return true;
}

/* "[::1]:port", "host:port"; the port may lack where that is allowed. */
static int
split(const char *address, const char *text, size_t len, bool needs_port,
    struct cw_address *out, struct cw_error *err)
{
	const char *host = text, *end = text + len, *colon;
	size_t host_len;
	uint64_t port = 0;

	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (close == NULL)
			return is_no_address(address, "no ] behind [", err);
		host++;
		host_len = (size_t)(close - host);
		colon = close + 1;
	} else {
		colon = memchr(text, ':', len);
		if (colon == NULL)
			colon = end;
		host_len = (size_t)(colon - text);
		if (colon < end &&
		    memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL)
			return is_no_address(address,
			    "an IPv6 address stands in brackets, [::1]:7625",
			    err);
	}
	if (!is_host(host, host_len) && !(host_len == 1 && *host == '*'))
		return is_no_address(address, "the host's name is none", err);
	if (colon == end && needs_port)
		return is_no_address(
		    address, "write HOST:PORT, as in shreveport:7625", err);
	if (colon < end &&
	    (*colon != ':' || !cw_decimal_parse(colon + 1,
				  (size_t)(end - colon - 1), 65535, &port)))
		return is_no_address(
		    address, "a port is a number up to 65535", err);
	memcpy(out->host, host, host_len);
	out->host[host_len] = '\0';
	out->has_port = colon < end;
	(void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)port);
	return 0;
}

int
cw_address_parse(const char *text, struct cw_address *out, struct cw_error *err)
{
	static const char scheme[] = "ssh://";
	const char *rest = text + sizeof(scheme) - 1, *slash, *at;

	memset(out, 0, sizeof(*out));
	if (strlen(text) >= CW_ADDRESS_MAX)
		return is_no_address(text, "it is too long", err);
	if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
		return split(text, text, strlen(text), true, out, err);
	out->is_ssh = true;
	slash = strchr(rest, '/');
	if (slash == NULL)
		slash = rest + strlen(rest);
	else if (slash[1] != '\0')
		(void)snprintf(out->dir, sizeof(out->dir), "%s", slash);
	at = memchr(rest, '@', (size_t)(slash - rest));
	if (at != NULL) {
		if (at - rest >= (ptrdiff_t)sizeof(out->user) ||
		    memchr(rest, ':', (size_t)(at - rest)) != NULL ||
		    !is_host(rest, (size_t)(at - rest)))
			return is_no_address(
			    text, "the user's name is none", err);
		memcpy(out->user, rest, (size_t)(at - rest));
		rest = at + 1;
	}
	return split(text, rest, (size_t)(slash - rest), false, out, err);
}

int
cw_address_check(const char *address, struct cw_error *err)
{
	struct cw_address parsed;

	if (cw_address_parse(address, &parsed, err) < 0)
		return -1;
	if (strcmp(parsed.host, "*") == 0)
		return is_no_address(address, "* is no host to reach", err);
	if (parsed.has_port && strcmp(parsed.port, "0") == 0)
		return is_no_address(address, "0 is no port to reach", err);
	return 0;
}

/* "192.0.2.1:7625" of a socket's other end, or address. */
static void
name_peer(const struct sockaddr *sa, socklen_t len, const char *address,
    char out[CW_ADDRESS_MAX])
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		(void)snprintf(out, CW_ADDRESS_MAX, "%s", address);
	else
		(void)snprintf(out, CW_ADDRESS_MAX,
		    strchr(host, ':') != NULL ? "[%.255s]:%.31s"
					      : "%.255s:%.31s",
		    host, port);
}

/* ---- looking up ---- */

/*
 * getaddrinfo asks name servers for as long as it likes, so one runs in a
 * thread of the C library while we look at the clock.  A look-up that is
 * given up goes on there, and keeps its memory.
 */
struct lookup {
	struct gaicb cb;
	struct addrinfo hints;
	char host[256], port[8];
	struct lookup *next;
};

static struct lookup *given_up;

static int
wait_lookup(struct lookup *k, int64_t deadline, struct cw_error *err)
{
	const struct gaicb *list[1] = {&k->cb};

	for (;;) {
		int64_t left = deadline - cw_clock_ms();
		struct timespec some;
		int code = gai_error(&k->cb);

		if (code != EAI_INPROGRESS)
			return code;
		if (cw_stop_check(err) < 0)
			return EAI_INTR;
		if (left <= 0)
			return EAI_INPROGRESS;
		if (left > STOP_MS)
			left = STOP_MS;
		some.tv_sec = 0;
		some.tv_nsec = (long)left * 1000000;
		(void)gai_suspend(list, 1, &some);
	}
}

static int
look_up(const struct cw_address *a, int64_t deadline, struct addrinfo **out,
    struct cw_error *err)
{
	struct lookup *k = cw_calloc(1, sizeof(*k));
	struct gaicb *list[1] = {&k->cb};
	int code;

	(void)snprintf(k->host, sizeof(k->host), "%s", a->host);
	(void)snprintf(k->port, sizeof(k->port), "%s", a->port);
	k->hints.ai_socktype = SOCK_STREAM;
	k->hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
	/* A number needs no thread. */
	code = getaddrinfo(k->host, k->port, &k->hints, out);
	if (code == 0) {
		free(k);
		return 0;
	}
	k->hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
	k->cb.ar_name = k->host;
	k->cb.ar_service = k->port;
	k->cb.ar_request = &k->hints;
	code = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	if (code == 0)
		code = wait_lookup(k, deadline, err);
	if (code == EAI_INPROGRESS || code == EAI_INTR) {
		if (gai_cancel(&k->cb) == EAI_CANCELED) {
			free(k);
		} else {
			k->next = given_up;
			given_up = k;
		}
	} else {
		*out = k->cb.ar_result;
		free(k);
	}
	if (code == 0)
		return 0;
	if (code == EAI_INTR)
		return -1;
	return cw_error_set(err, CW_ERR_UNREACHABLE,
	    "cannot find %s: %s; look at its name and at the name servers "
	    "of this site, or use its number",
	    a->host,
	    code == EAI_INPROGRESS ? "no answer in time" : gai_strerror(code));
}

/* ---- dialling ---- */

static int
wait_connected(int fd, int64_t deadline, struct cw_error *err)
{
	struct pollfd p = {fd, POLLOUT, 0};
	socklen_t len = sizeof(int);
	int why = 0;

	for (;;) {
		int64_t left = deadline - cw_clock_ms();
		int n;

		if (cw_stop_check(err) < 0)
			return -1;
		if (left < 0)
			left = 0;
		n = poll(&p, 1, left > STOP_MS ? STOP_MS : (int)left);
		if (n > 0)
			break;
		if (n == 0 && left == 0) {
			errno = ETIMEDOUT;
			return 1;
		}
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
		return 1;
	errno = why;
	return why != 0;
}

/* 0 and *fd, 1 with errno, -1 if we were asked to stop. */
static int
connect_one(
    const struct addrinfo *ai, int64_t deadline, int *fd, struct cw_error *err)
{
	int s = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = 1;

	if (s < 0)
		return 1;
	if (connect(s, ai->ai_addr, ai->ai_addrlen) == 0)
		ret = 0;
	else if (errno == EINPROGRESS || errno == EINTR)
		ret = wait_connected(s, deadline, err);
	if (ret == 0) {
		*fd = s;
	} else {
		int saved = errno;

		cw_close(&s);
		errno = saved;
	}
	return ret;
}

static const char *
advice(int why)
{
	switch (why) {
	case ECONNREFUSED:
		return "is `causeway run` up there, and its listen the same?";
	case ETIMEDOUT:
		return "is the line up, and does a firewall let this port in?";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "is the line up?";
	default:
		return NULL;
	}
}

static int
dial_tcp(const struct cw_address *a, const char *address, int64_t deadline,
    struct cw_carrier *out, struct cw_error *err)
{
	struct addrinfo *list = NULL;
	int left = 0, fd = -1, ret = 1, why = 0;

	if (look_up(a, deadline, &list, err) < 0)
		return -1;
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		left++;
	/* A dead address takes its share of the time, not all of it. */
	for (struct addrinfo *ai = list; ai != NULL && ret == 1;
	     ai = ai->ai_next, left--) {
		int64_t now = cw_clock_ms();

		ret = connect_one(ai, now + (deadline - now) / left, &fd, err);
		why = errno;
		if (ret == 0)
			name_peer(
			    ai->ai_addr, ai->ai_addrlen, address, out->name);
	}
	if (list != NULL)
		freeaddrinfo(list);
	if (ret == 0) {
		out->fd_in = out->fd_out = fd;
		out->pid = out->said = -1;
		return 0;
	}
	if (ret > 0) {
		(void)cw_error_set(err, CW_ERR_UNREACHABLE,
		    "cannot reach %s port %s: %s", a->host, a->port,
		    strerror(why));
		if (advice(why) != NULL)
			(void)cw_error_advise(err, advice(why));
	}
	return -1;
}

int
cw_dial(const char *address, const struct cw_dial_options *options,
    struct cw_carrier *out, struct cw_error *err)
{
	static const struct cw_dial_options none = {0, NULL, NULL};
	struct cw_address a;
	int limit;

	if (options == NULL)
		options = &none;
	limit = options->timeout_ms > 0 ? options->timeout_ms : DIAL_MS;
	if (cw_address_check(address, err) < 0 ||
	    cw_address_parse(address, &a, err) < 0)
		return -1;
	if (a.is_ssh)
		return cw_dial_ssh(&a, address, limit, options, out, err);
	return dial_tcp(&a, address, cw_clock_ms() + limit, out, err);
}

/* ---- listening ---- */

static int
bind_one(const struct addrinfo *ai)
{
	const int one = 1, zero = 0;
	int s = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0)
		return -1;
	(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(
		    s, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(s, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(s, BACKLOG) < 0) {
		int saved = errno;

		cw_close(&s);
		errno = saved;
	}
	return s;
}

int
cw_listen(const char *address, int *fd, struct cw_error *err)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	    .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	struct cw_address a;
	bool is_any;
	int code, s = -1;

	if (cw_address_parse(address, &a, err) < 0)
		return -1;
	if (a.is_ssh)
		return is_no_address(address, "one listens at HOST:PORT", err);
	is_any = strcmp(a.host, "*") == 0;
	code = getaddrinfo(is_any ? NULL : a.host, a.port, &hints, &list);
	if (code != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "cannot listen at %s: %s", address, gai_strerror(code));
	/* "*": the IPv6 socket takes IPv4 as well, where there is IPv6. */
	for (struct addrinfo *ai = list; is_any && s < 0 && ai != NULL;
	     ai = ai->ai_next) {
		if (ai->ai_family == AF_INET6)
			s = bind_one(ai);
	}
	for (struct addrinfo *ai = list; s < 0 && ai != NULL; ai = ai->ai_next)
		s = bind_one(ai);
	freeaddrinfo(list);
	if (s < 0)
		return cw_error_errno(err, "cannot listen at %s", address);
	*fd = s;
	return 0;
}

int
cw_listen_port(int fd, uint16_t *port, struct cw_error *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return cw_error_errno(err, "the listening socket");
	if (sa.ss_family == AF_INET6)
		*port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
	else
		*port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
	return 0;
}

/* Failures of the one who called, not of the socket: accept(2). */
static bool
is_gone(int why)
{
	return why == EAGAIN || why == EINTR || why == ECONNABORTED ||
	       why == ENETDOWN || why == EPROTO || why == ENOPROTOOPT ||
	       why == EHOSTDOWN || why == ENONET || why == EHOSTUNREACH ||
	       why == EOPNOTSUPP || why == ENETUNREACH || why == ETIMEDOUT;
}

int
cw_accept(int fd, struct cw_carrier *out, struct cw_error *err)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int s = accept4(fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);

	if (s < 0 && is_gone(errno))
		return 1;
	if (s < 0)
		return cw_error_errno(err, "taking a connection");
	out->fd_in = out->fd_out = s;
	out->pid = out->said = -1;
	name_peer((struct sockaddr *)&sa, len, "an unknown address", out->name);
	return 0;
}
