/*
 * How fast a link is on this machine: two processes, a TCP connection on
 * loopback, DATA frames of 256 KiB one way.
 *
 *     linkspeed [MIB]
 */
#include "base/crypto.h"
#include "sync/carrier.h"
#include "sync/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BODY (256u << 10)

static void
need(int ok, const struct cw_error *err)
{
	if (ok)
		return;
	fprintf(stderr, "linkspeed: %s\n", err->message);
	exit(1);
}

static double
seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static struct cw_link *
open_link(const struct cw_carrier *c, bool is_server,
    const struct cw_minisign_secret *own, const struct cw_minisign_secret *peer)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_link_pin pin = {.name = "peer"};
	struct cw_minisign_public pub;
	struct cw_link_options o = {.is_server = is_server,
	    .secret = own,
	    .pins = &pin,
	    .pin_count = 1};
	struct cw_link *l;

	cw_minisign_secret_public(peer, &pub);
	memcpy(pin.key, pub.point, sizeof(pin.key));
	need(cw_link_open(c->fd_in, c->fd_out, &o, &l, &err) == 0, &err);
	return l;
}

static void
serve(int fd, const struct cw_minisign_secret *own,
    const struct cw_minisign_secret *peer)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_carrier c = CW_CARRIER_INIT;
	struct cw_link *l;
	struct cw_frame f;
	int got;

	while (cw_accept(fd, &c, &err) == 1)
		(void)usleep(1000);
	l = open_link(&c, true, own, peer);
	while ((got = cw_link_recv(l, 10000, &f, &err)) == 1)
		;
	need(cw_link_is_closed(l), &err);
	cw_link_free(l);
	cw_carrier_close(&c);
	exit(0);
}

int
main(int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_carrier c = CW_CARRIER_INIT;
	unsigned mib = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2048;
	struct cw_minisign_secret *near, *far;
	uint8_t *body = calloc(1, BODY);
	struct cw_link_stats stats;
	struct cw_link *l;
	char address[32];
	uint16_t port;
	double start;
	pid_t pid;
	int fd, status;

	need(cw_crypto_init(&err) == 0, &err);
	near = cw_minisign_generate();
	far = cw_minisign_generate();
	need(cw_listen("127.0.0.1:0", &fd, &err) == 0, &err);
	need(cw_listen_port(fd, &port, &err) == 0, &err);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	if ((pid = fork()) == 0)
		serve(fd, far, near);
	need(cw_dial(address, NULL, &c, &err) == 0, &err);
	l = open_link(&c, false, near, far);
	start = seconds();
	for (unsigned i = 0; i < mib * 4; i++)
		need(cw_link_send(l, CW_FRAME_DATA, 0, body, BODY, &err) == 0,
		    &err);
	need(cw_link_close(l, 10000, &err) == 0, &err);
	start = seconds() - start;
	cw_link_stats(l, &stats);
	printf("%s: %.0f MB/s, %.3f bytes sent a byte, waited %.2f s of %.2f\n",
	    cw_link_cipher(l), mib * 1.048576 / start,
	    (double)stats.bytes_sent / (mib * 1048576.0),
	    (double)stats.blocked_ns * 1e-9, start);
	cw_link_free(l);
	cw_carrier_close(&c);
	(void)waitpid(pid, &status, 0);
	cw_minisign_secret_free(near);
	cw_minisign_secret_free(far);
	free(body);
	return status != 0;
}
