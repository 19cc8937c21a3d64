/*
 * Carriers: the ways by which a link gets from one site to another.  An
 * address is
 *
 *   HOST:PORT     TCP; HOST is a name, an IPv4 address, or an IPv6 one in
 *                 brackets
 *   ssh://[USER@]HOST[:PORT][/DIR]
 *                 runs ssh, and there `causeway [--home /DIR] link --stdio`;
 *                 with keys only, it never asks
 *
 * Nothing here trusts the other end: that is the link's business.
 */
#ifndef CW_SYNC_CARRIER_H
#define CW_SYNC_CARRIER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CW_ADDRESS_MAX 320u /* bytes of an address and a NUL */

struct cw_carrier {
	int fd_in;
	int fd_out; /* the same as fd_in for TCP */
	pid_t pid;  /* of ssh, else -1 */
	int said;   /* what ssh had to say, else -1 */
	/* Who it is, for messages: "192.0.2.1:7625", or the address dialled. */
	char name[CW_ADDRESS_MAX];
};

#define CW_CARRIER_INIT                                                        \
	{                                                                      \
		-1, -1, -1, -1, ""                                             \
	}

struct cw_dial_options {
	int timeout_ms;	      /* for looking up and connecting; 0: 20 s */
	const char *ssh;      /* NULL: "ssh" */
	const char *causeway; /* its name at the other end; NULL: "causeway" */
};

/* Whether a text is an address: CW_ERR_USAGE says what is wrong with it. */
int cw_address_check(const char *address, struct cw_error *err);

/*
 * Reaches the other end.  CW_ERR_UNREACHABLE says host, port, why, and what to
 * look at.  With ssh this returns as soon as it runs: whether it got anywhere
 * is seen by the link's handshake.  options may be NULL.  Failure leaves *out
 * as it was.
 */
int cw_dial(const char *address, const struct cw_dial_options *options,
    struct cw_carrier *out, struct cw_error *err);

/* Puts behind the sentence what ssh said, if it did. */
void cw_carrier_explain(struct cw_carrier *c, struct cw_error *err);

/* Closes, and waits for ssh (2 s at most, then it is killed). */
void cw_carrier_close(struct cw_carrier *c);

/*
 * Listens at HOST:PORT; HOST may be "*", port 0 is any free one.  *fd is
 * non-blocking and close-on-exec, the caller's to close.
 */
int cw_listen(const char *address, int *fd, struct cw_error *err);
/* The port that it got. */
int cw_listen_port(int fd, uint16_t *port, struct cw_error *err);

/*
 * Takes one connection.  Returns 0; 1 if there is none (or it is gone again);
 * -1 on failure.
 */
int cw_accept(int fd, struct cw_carrier *out, struct cw_error *err);

#endif
