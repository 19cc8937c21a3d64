#include "sync/link_impl.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Given to the system in pieces of this size while much is sent. */
#define WRITE_SIZE (128u << 10)

/*
 * Records are padded to a multiple of this, so that who watches the line sees
 * the size of what travels only so far.  RFC 8446 section 5.4.
 */
#define PAD 32u

/* Reads in a row before somebody looks at the clock again. */
#define READS_MAX 64u

void
cw_link_free(struct cw_link *l)
{
	if (l == NULL)
		return;
	if (l->tls != NULL)
		gnutls_deinit(l->tls);
	if (l->cred != NULL)
		gnutls_certificate_free_credentials(l->cred);
	cw_link_restore(l);
	while (l->first != NULL) {
		struct arrival *next = l->first->next;

		free(l->first);
		l->first = next;
	}
	free(l->current);
	free(l->part);
	free(l->in);
	free(l->cipher);
	cw_buf_free(&l->out);
	explicit_bzero(l->plain, sizeof(l->plain));
	free(l);
}

size_t
cw_link_peer(const struct cw_link *l)
{
	return l->peer;
}

size_t
cw_link_unsent(const struct cw_link *l)
{
	return l->plain_len + l->out.len - l->out_at;
}

bool
cw_link_is_closed(const struct cw_link *l)
{
	return l->is_closed;
}

void
cw_link_stats(const struct cw_link *l, struct cw_link_stats *out)
{
	*out = l->stats;
	out->peer_ns = cw_link_peer_ns(l);
}

int64_t
cw_link_heard_ms(const struct cw_link *l)
{
	return l->stats.heard_ms;
}

const char *
cw_link_cipher(const struct cw_link *l)
{
	return l->cipher;
}

/* ---- receiving ---- */

static int
give_reason(const struct cw_link *l, struct cw_error *err)
{
	if (err != NULL)
		*err = l->why;
	return -1;
}

static void
end_receiving(struct cw_link *l, const struct cw_error *why)
{
	if (l->is_over)
		return;
	l->is_over = true;
	l->why = *why;
}

static void
append_arrival(struct cw_link *l)
{
	if (l->last == NULL)
		l->first = l->part;
	else
		l->last->next = l->part;
	l->last = l->part;
	l->queued += sizeof(*l->part) + l->part->len;
	l->part = NULL;
	l->head_len = 0;
	l->stats.frames_received++;
}

static int
begin_arrival(struct cw_link *l, struct cw_error *err)
{
	struct cw_frame_head head;

	if (cw_frame_head_decode(l->head, &head, err) < 0)
		return cw_error_context(err, "from the peer");
	l->part = cw_malloc(sizeof(*l->part) + head.len);
	*l->part = (struct arrival){
	    .type = head.type, .flags = head.flags, .len = head.len};
	return 0;
}

/* Where the next bytes belong. */
static uint8_t *
place(struct cw_link *l, size_t *len)
{
	if (l->part == NULL) {
		*len = CW_FRAME_HEAD_SIZE - l->head_len;
		return l->head + l->head_len;
	}
	*len = l->part->len - l->part->got;
	return l->part->body + l->part->got;
}

static int
accept_bytes(struct cw_link *l, size_t n, struct cw_error *err)
{
	if (l->part != NULL) {
		l->part->got += n;
	} else {
		l->head_len += n;
		if (l->head_len < CW_FRAME_HEAD_SIZE)
			return 0;
		if (begin_arrival(l, err) < 0)
			return -1;
	}
	if (l->part->got == l->part->len)
		append_arrival(l);
	return 0;
}

static int
closed(struct cw_link *l, struct cw_error *err)
{
	if (l->head_len > 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer closed the link in the middle of a frame");
	l->is_closed = true;
	return cw_error_set(
	    err, CW_ERR_UNREACHABLE, "the peer closed the link");
}

/* Decrypts what is there, until `most` bytes of frames are queued. */
static int
decrypt(struct cw_link *l, size_t most, struct cw_error *err)
{
	while (l->queued < most) {
		size_t len;
		uint8_t *data = place(l, &len);
		ssize_t n = gnutls_record_recv(l->tls, data, len);

		if (n == GNUTLS_E_AGAIN)
			return 0;
		if (n == 0)
			return closed(l, err);
		if (n < 0 && gnutls_error_is_fatal((int)n) == 0)
			continue;
		if (n < 0)
			return cw_link_tls_error(l, (int)n, err);
		if (accept_bytes(l, (size_t)n, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * Receives without waiting, until `most` bytes of frames are queued or the
 * line has no more.  A failure is remembered, to be told when the frames that
 * came before it are used up.
 */
static void
receive(struct cw_link *l, size_t most)
{
	struct cw_error err = CW_ERROR_INIT;

	for (unsigned i = 0; i < READS_MAX && l->queued < most; i++) {
		int got = 0;

		if (l->is_over)
			return;

		if (decrypt(l, most, &err) < 0) {
			end_receiving(l, &err);
			return;
		}
		if (l->queued >= most || l->in_at < l->in_len)
			continue; /* to go on where it was left off */
		got = cw_link_fill(l, &err);
		if (got < 0)
			end_receiving(l, &err);
		if (got <= 0)
			return;
	}
}

/* ---- sending ---- */

/* One record, padded, into `out`. */
static int
seal(struct cw_link *l, const uint8_t *data, size_t len, struct cw_error *err)
{
	while (len > 0) {
		size_t pad = (PAD - len % PAD) % PAD;
		ssize_t n;

		if (len + pad > l->record_max)
			pad = 0;
		n = gnutls_record_send2(l->tls, data, len, pad, 0);
		if (n < 0)
			return gnutls_error_is_fatal((int)n) != 0
				   ? cw_link_tls_error(l, (int)n, err)
				   : cw_error_set(err, CW_ERR_FAILED, "TLS: %s",
					 gnutls_strerror((int)n));
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
seal_plain(struct cw_link *l, struct cw_error *err)
{
	size_t len = l->plain_len;

	l->plain_len = 0;
	return seal(l, l->plain, len, err);
}

static int
push(struct cw_link *l, struct cw_error *err)
{
	if (l->plain_len > 0 && seal_plain(l, err) < 0)
		return -1;
	if (l->out_at < l->out.len && cw_link_drain(l, err) < 0)
		return -1;
	return 0;
}

static int
stalled(const struct cw_link *l, struct cw_error *err)
{
	if (l->queued >= CW_LINK_IN_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "the peer sends without end and takes nothing");
	return cw_error_set(err, CW_ERR_UNREACHABLE,
	    "the peer took nothing for %d s", (l->stall_ms + 999) / 1000);
}

/*
 * Waits until at most `most` bytes are left to write.  What comes meanwhile is
 * queued up to a bound; over it the peer has to wait as we do, and if it takes
 * nothing as well, time decides.
 */
static int
wait_out(struct cw_link *l, size_t most, struct cw_error *err)
{
	int64_t progress = cw_clock_ms();

	while (l->out.len - l->out_at > most) {
		unsigned what = WAIT_OUT | WAIT_STOP;
		ssize_t sent;
		int got;

		if (l->is_over)
			return give_reason(l, err);
		if (l->queued < CW_LINK_IN_MAX)
			what |= WAIT_IN;
		got = cw_link_poll(l, what, -1, progress + l->stall_ms, err);
		if (got < 0)
			return -1;
		if (((unsigned)got & WAIT_IN) != 0)
			receive(l, CW_LINK_IN_MAX);
		sent = cw_link_drain(l, err);
		if (sent < 0)
			return -1;
		if (sent > 0)
			progress = cw_clock_ms();
		else if (cw_clock_ms() - progress >= l->stall_ms)
			return stalled(l, err);
	}
	return 0;
}

static int
wait_less(struct cw_link *l, struct cw_error *err)
{
	uint64_t start = (uint64_t)cw_clock_ns();
	int ret = wait_out(l, CW_LINK_OUT_MAX / 2, err);

	l->stats.blocked_ns += (uint64_t)cw_clock_ns() - start;
	return ret;
}

/* After each record: what is due is written, and if too much is left, waits. */
static int
after_record(struct cw_link *l, struct cw_error *err)
{
	if (l->out.len - l->out_at < WRITE_SIZE)
		return 0;
	if (cw_link_drain(l, err) < 0)
		return -1;
	if (l->out.len - l->out_at <= CW_LINK_OUT_MAX)
		return 0;
	return wait_less(l, err);
}

static int
put(struct cw_link *l, const uint8_t *data, size_t len, struct cw_error *err)
{
	while (len > 0) {
		size_t n = l->record_max - l->plain_len;

		if (n > len)
			n = len;
		/* A whole record goes from where it lies. */
		if (n == l->record_max) {
			if (seal(l, data, n, err) < 0)
				return -1;
		} else {
			memcpy(l->plain + l->plain_len, data, n);
			l->plain_len += n;
			if (l->plain_len == l->record_max &&
			    seal_plain(l, err) < 0)
				return -1;
		}
		data += n;
		len -= n;
		if (l->plain_len == 0 && after_record(l, err) < 0)
			return -1;
	}
	return 0;
}

static int
send_all(struct cw_link *l, const uint8_t head[CW_FRAME_HEAD_SIZE],
    const struct iovec *body, size_t count, struct cw_error *err)
{
	if (put(l, head, CW_FRAME_HEAD_SIZE, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (put(l, body[i].iov_base, body[i].iov_len, err) < 0)
			return -1;
	}
	l->stats.frames_sent++;
	return 0;
}

/*
 * A line that broke while we wrote may have brought the reason before: the
 * peer's alert tells more than "broken pipe".
 */
static int
explain(struct cw_link *l, struct cw_error *err)
{
	if (err == NULL || err->code != CW_ERR_UNREACHABLE)
		return -1;
	receive(l, CW_LINK_IN_MAX);
	if (l->is_over && l->why.code == CW_ERR_UNTRUSTED)
		*err = l->why;
	return -1;
}

int
cw_link_sendv(struct cw_link *l, uint8_t type, uint8_t flags,
    const struct iovec *body, size_t count, struct cw_error *err)
{
	struct cw_frame_head head = {0, type, flags};
	uint8_t bytes[CW_FRAME_HEAD_SIZE];
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += body[i].iov_len;
	if (len > CW_FRAME_MAX || type == 0 || (flags & ~CW_FRAME_ZSTD) != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "a frame of type %u and %zu bytes cannot be sent", type,
		    len);
	head.len = (uint32_t)len;
	cw_frame_head_encode(&head, bytes);
	return send_all(l, bytes, body, count, err) < 0 ? explain(l, err) : 0;
}

int
cw_link_send(struct cw_link *l, uint8_t type, uint8_t flags, const void *body,
    size_t len, struct cw_error *err)
{
	struct iovec iov = {NULL, len};

	memcpy(&iov.iov_base, &body, sizeof(body)); /* it is read only */
	return cw_link_sendv(l, type, flags, &iov, 1, err);
}

int
cw_link_send_frame(
    struct cw_link *l, const struct cw_frame *frame, struct cw_error *err)
{
	return cw_link_send(
	    l, frame->type, frame->flags, frame->body, frame->len, err);
}

int
cw_link_flush(struct cw_link *l, struct cw_error *err)
{
	return push(l, err) < 0 ? explain(l, err) : 0;
}

/* ---- waiting ---- */

/*
 * A frame, or the end: true.  Sends what is queued each time that the line is
 * read, so that a stream from the peer holds nothing of ours back.
 */
static bool
advance(struct cw_link *l)
{
	struct cw_error err = CW_ERROR_INIT;

	if (l->first != NULL || l->is_over)
		return true;
	if (decrypt(l, 1, &err) < 0)
		end_receiving(l, &err);
	if (l->first != NULL || l->is_over)
		return true;
	/* What fails to go is told by what comes, and if that is nothing... */
	if (push(l, &err) < 0) {
		receive(l, CW_LINK_IN_MAX);
		end_receiving(l, &err);
		return true;
	}
	receive(l, 1);
	return l->first != NULL || l->is_over;
}

int
cw_link_wait(
    struct cw_link *l, int other_fd, int timeout_ms, struct cw_error *err)
{
	int64_t deadline = cw_clock_ms() + timeout_ms;
	unsigned other = other_fd >= 0 ? WAIT_OTHER : 0;

	for (bool is_late = false;;) {
		bool has_frame = advance(l);
		unsigned what = other;
		int got;

		if (!has_frame) {
			what |= WAIT_IN | WAIT_STOP;
			if (l->out_at < l->out.len)
				what |= WAIT_OUT;
		}
		got = cw_link_poll(
		    l, what, other_fd, has_frame ? 0 : deadline, err);
		if (got < 0)
			return -1;
		if (has_frame || ((unsigned)got & WAIT_OTHER) != 0)
			return (has_frame ? CW_LINK_FRAME : 0) |
			       (((unsigned)got & WAIT_OTHER) != 0
				       ? CW_LINK_OTHER
				       : 0);
		/* Bytes that make no frame do not win more time. */
		if (got == 0 || is_late)
			return 0;
		is_late = cw_clock_ms() >= deadline;
	}
}

int
cw_link_recv(struct cw_link *l, int timeout_ms, struct cw_frame *out,
    struct cw_error *err)
{
	struct arrival *a;
	int got = CW_LINK_FRAME;

	free(l->current);
	l->current = NULL;
	if (l->first == NULL)
		got = cw_link_wait(l, -1, timeout_ms, err);
	if (got <= 0)
		return got;
	a = l->first;
	if (a == NULL)
		return give_reason(l, err);
	l->first = a->next;
	if (l->first == NULL)
		l->last = NULL;
	l->queued -= sizeof(*a) + a->len;
	l->current = a;
	*out = (struct cw_frame){a->type, a->flags, a->body, a->len};
	return 1;
}

int
cw_link_close(struct cw_link *l, int timeout_ms, struct cw_error *err)
{
	int64_t deadline = cw_clock_ms() + timeout_ms;

	if (push(l, err) < 0)
		return -1;
	(void)gnutls_bye(l->tls, GNUTLS_SHUT_WR);
	for (;;) {
		int got;

		if (cw_link_drain(l, err) < 0)
			return -1;
		if (l->out_at == l->out.len)
			break;
		got = cw_link_poll(l, WAIT_OUT, -1, deadline, err);
		if (got < 0)
			return -1;
		if (got == 0)
			return cw_error_set(err, CW_ERR_UNREACHABLE,
			    "the peer did not take our last words");
	}
	if (!l->is_over || l->is_closed)
		cw_link_linger(l, deadline);
	return 0;
}
