/*
 * A link: frames between two sites that know each other's key, over any pair
 * of descriptors (a socket, pipes, ssh's standard input and output).
 *
 * TLS 1.3 and nothing older; each side proves its Ed25519 identity by a raw
 * public key (RFC 7250), which the other looks up in its list of pins: there
 * are no certificates, no authorities, no tickets.  A key that is not in the
 * list learns nothing: no byte of ours is sent to it but those of the TLS
 * handshake (which shows our public key to a client that asks for it).
 *
 * Sending queues and coalesces; receiving goes on while a send has to wait, so
 * that two ends that send at the same time do not wait for each other.  Every
 * wait has a time limit, ends with CW_ERR_INTERRUPTED when somebody asked the
 * process to stop, and never raises SIGPIPE.
 *
 * A link is for one thread at a time.  Call cw_crypto_init first.
 */
#ifndef CW_SYNC_LINK_H
#define CW_SYNC_LINK_H

#include "base/error.h"
#include "formats/minisign/minisign.h"
#include "formats/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CW_LINK_HANDSHAKE_MS 20000	 /* what 0 in the options stands for */
#define CW_LINK_STALL_MS     120000	 /* same */
#define CW_LINK_OUT_MAX	     (1u << 20)	 /* bytes out before a send waits */
#define CW_LINK_IN_MAX	     (32u << 20) /* bytes in while a send waits */

/* A key that we talk to: the Ed25519 point of its card. */
struct cw_link_pin {
	char name[64]; /* the peer's, for messages; NUL at its end */
	uint8_t key[CW_ED25519_POINT_SIZE];
};

struct cw_link_options {
	bool is_server; /* the side that was dialled */
	const struct cw_minisign_secret *secret;
	const struct cw_link_pin *pins; /* at least one */
	size_t pin_count;
	int handshake_ms; /* for all of the handshake; 0: the default */
	int stall_ms;	  /* for a send that gets nothing away; 0: default */
};

struct cw_link;

/*
 * Does the handshake.  The descriptors (which may be one and the same) stay
 * the caller's, to close after cw_link_free; they are made non-blocking until
 * then.  The options are not needed any longer afterwards.
 *
 * CW_ERR_UNTRUSTED if the peer's key is not in pins (the sentence has the
 * key), or ours is not in the peer's; a client may learn the latter only from
 * its first cw_link_recv.  CW_ERR_UNREACHABLE if the line broke or the time is
 * over, CW_ERR_UNSUPPORTED if the peer does not speak TLS 1.3 with raw keys.
 * On failure *out is untouched.
 */
int cw_link_open(int fd_in, int fd_out, const struct cw_link_options *options,
    struct cw_link **out, struct cw_error *err);

/*
 * Ends in order: what is queued is sent, then TLS's own farewell, within
 * timeout_ms.  The link takes no more sends after this; free it.
 */
int cw_link_close(struct cw_link *l, int timeout_ms, struct cw_error *err);

/* Drops what is queued, and frees.  NULL is allowed. */
void cw_link_free(struct cw_link *l);

/* Which pin the peer is: its index in the options. */
size_t cw_link_peer(const struct cw_link *l);

/*
 * Queues a frame.  Small ones gather until a record is full, cw_link_flush, or
 * a call that waits for the peer.  Waits only while more than CW_LINK_OUT_MAX
 * are on their way out, at most stall_ms without any progress, and receives
 * meanwhile up to CW_LINK_IN_MAX.  CW_ERR_UNREACHABLE when the line broke or
 * stalled; CW_ERR_FORMAT if it stalled because the peer takes nothing but
 * sends without end; CW_ERR_USAGE for a body over CW_FRAME_MAX.
 * After a failure recv still gives what had come before (the peer's ERROR may
 * tell more); nothing else but free is of use.
 */
int cw_link_send(struct cw_link *l, uint8_t type, uint8_t flags,
    const void *body, size_t len, struct cw_error *err);
/* The same from several places. */
int cw_link_sendv(struct cw_link *l, uint8_t type, uint8_t flags,
    const struct iovec *body, size_t count, struct cw_error *err);
/* The same for what cw_wire_encode gave. */
int cw_link_send_frame(
    struct cw_link *l, const struct cw_frame *frame, struct cw_error *err);

/* Gives all that is queued to the line as far as it goes without waiting. */
int cw_link_flush(struct cw_link *l, struct cw_error *err);

/* Bytes queued that the system has not taken yet. */
size_t cw_link_unsent(const struct cw_link *l);

/*
 * The next frame, waiting up to timeout_ms (0: not at all; -1 is not allowed).
 * Returns 1 with *out, whose body lives until the next recv; 0 when the time
 * is over; -1 on failure: CW_ERR_UNREACHABLE when the peer closed the link or
 * the line broke (cw_link_is_closed tells which), CW_ERR_DAMAGED for bytes
 * that TLS refuses, CW_ERR_FORMAT for a frame that none may send,
 * CW_ERR_UNTRUSTED if the peer refused our key.  Sends what is queued before
 * it waits.
 */
int cw_link_recv(struct cw_link *l, int timeout_ms, struct cw_frame *out,
    struct cw_error *err);

/*
 * Waits for a frame or for other_fd (-1: none), sending what is queued.
 * Returns CW_LINK_FRAME (a recv will answer at once, be it with a failure),
 * CW_LINK_OTHER (other_fd can be read, or was hung up), both, or 0 when the
 * time is over.
 */
#define CW_LINK_FRAME 1
#define CW_LINK_OTHER 2
int cw_link_wait(
    struct cw_link *l, int other_fd, int timeout_ms, struct cw_error *err);

/* The peer said farewell: the end was in order. */
bool cw_link_is_closed(const struct cw_link *l);

struct cw_link_stats {
	uint64_t bytes_sent; /* at the descriptors, TLS and all */
	uint64_t bytes_received;
	uint64_t frames_sent;
	uint64_t frames_received;
	uint64_t blocked_ns; /* time that sends waited */
	/*
	 * Time in which the line could have taken more and the peer had no
	 * room for it (its TCP window was full); 0 where that is not known.
	 */
	uint64_t peer_ns;
	int64_t heard_ms; /* CLOCK_MONOTONIC of the last bytes received */
};

void cw_link_stats(const struct cw_link *l, struct cw_link_stats *out);
/* That one alone, for who looks often. */
int64_t cw_link_heard_ms(const struct cw_link *l);

/* "TLS 1.3, AES-128-GCM", for people; valid as long as the link. */
const char *cw_link_cipher(const struct cw_link *l);

#endif
