/* What the parts of a link share. */
#ifndef CW_SYNC_LINK_IMPL_H
#define CW_SYNC_LINK_IMPL_H

#include "sync/link.h"

#include "base/buf.h"

#include <gnutls/gnutls.h>

#define RECORD_MAX 16384u /* bytes of content, RFC 8446 section 5.1 */

/* A frame that has come, or the part of it that has. */
struct arrival {
	struct arrival *next;
	uint8_t type;
	uint8_t flags;
	size_t len;
	size_t got;
	uint8_t body[];
};

struct cw_link {
	int fd_in, fd_out;
	int flags_in, flags_out; /* as they were; -1: not changed */
	bool out_is_socket;
	bool is_eof; /* of fd_in */
	int stall_ms;

	gnutls_certificate_credentials_t cred;
	gnutls_session_t tls;
	const struct cw_link_options *options; /* during the handshake */
	size_t peer;
	bool refused; /* the peer's key is not among the pins */
	uint8_t peer_key[CW_ED25519_POINT_SIZE];
	char *cipher;

	/*
	 * GnuTLS reads from `in` and writes to `out`, so that it never waits
	 * and the descriptors see large pieces.
	 */
	uint8_t *in;
	size_t in_at, in_len;
	struct cw_buf out;
	size_t out_at;

	uint8_t plain[RECORD_MAX]; /* content of the next record */
	size_t plain_len, record_max;

	uint8_t head[CW_FRAME_HEAD_SIZE];
	size_t head_len;
	struct arrival *part;
	struct arrival *first, *last; /* whole, to be handed out */
	struct arrival *current;      /* handed out */
	size_t queued;		      /* memory of first to last */

	bool is_closed;
	bool is_over; /* nothing more will come, for this reason */
	struct cw_error why;
	struct cw_link_stats stats;
};

/* ---- link_io.c ---- */

/* Remembers how the descriptors were, and sets them up. */
int cw_link_prepare(struct cw_link *l, struct cw_error *err);
void cw_link_restore(struct cw_link *l);

/* What cw_link_stats.peer_ns says. */
uint64_t cw_link_peer_ns(const struct cw_link *l);

/* GnuTLS's ends. */
ssize_t cw_link_pull(gnutls_transport_ptr_t arg, void *data, size_t len);
ssize_t cw_link_push(
    gnutls_transport_ptr_t arg, const giovec_t *iov, int count);

/* Reads once into `in`, which must be used up: 1 something or the end came. */
int cw_link_fill(struct cw_link *l, struct cw_error *err);

/* Writes from `out` as much as goes; returns the bytes, or -1. */
ssize_t cw_link_drain(struct cw_link *l, struct cw_error *err);

/*
 * Waits until one of these is ready, or deadline_ms: their bits, 0 when the
 * time is over.  Only for those that can be stopped -1, CW_ERR_INTERRUPTED.
 */
#define WAIT_IN	   1u
#define WAIT_OUT   2u
#define WAIT_OTHER 4u
#define WAIT_STOP  8u /* ends when the process is asked to stop */
int cw_link_poll(struct cw_link *l, unsigned what, int other_fd,
    int64_t deadline_ms, struct cw_error *err);

/* After our last byte: half-closes, and reads until the peer is gone too. */
void cw_link_linger(struct cw_link *l, int64_t deadline_ms);

/* ---- link_tls.c ---- */

/* What a failure of GnuTLS after the handshake means. */
int cw_link_tls_error(struct cw_link *l, int code, struct cw_error *err);

#endif
