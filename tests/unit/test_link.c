#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/progress.h"
#include "sync/link.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1u << 20)

/* Two sites, and one that neither knows. */
static struct cw_minisign_secret *near_key, *far_key, *strange_key;

/* One side of a link: its descriptors, its key, whom it knows. */
struct side {
	int in, out;
	struct cw_link_options options;
	struct cw_link_pin pin[2];
	struct cw_link *link;
	struct cw_error err;
	int ret;
	int (*play)(struct side *side); /* after the handshake */
	pthread_t thread;
	uint64_t bytes;
	const char *says;
};

static void
set_pin(struct cw_link_pin *pin, const char *name,
    const struct cw_minisign_secret *secret)
{
	struct cw_minisign_public pub;

	cw_minisign_secret_public(secret, &pub);
	memset(pin, 0, sizeof(*pin));
	strcpy(pin->name, name);
	memcpy(pin->key, pub.point, sizeof(pin->key));
}

static void
init_side(struct side *s, bool is_server, int in, int out,
    const struct cw_minisign_secret *own, const struct cw_minisign_secret *peer)
{
	memset(s, 0, sizeof(*s));
	s->in = in;
	s->out = out;
	set_pin(&s->pin[0], "peer", peer);
	s->options.is_server = is_server;
	s->options.secret = own;
	s->options.pins = s->pin;
	s->options.pin_count = 1;
	s->options.handshake_ms = 60000;
	s->options.stall_ms = 60000;
}

static void
sockets(struct side *a, struct side *b)
{
	int ends[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	init_side(a, false, ends[0], ends[0], near_key, far_key);
	init_side(b, true, ends[1], ends[1], far_key, near_key);
}

static void
tcp_sockets(struct side *a, struct side *b)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int ends[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(
	    getsockname(listener, (struct sockaddr *)&at, &len), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&at, len), 0);
	ends[1] = accept(listener, NULL, NULL);
	ck_assert_int_ge(ends[1], 0);
	close(listener);
	init_side(a, false, ends[0], ends[0], near_key, far_key);
	init_side(b, true, ends[1], ends[1], far_key, near_key);
}

static void
pipes(struct side *a, struct side *b)
{
	int there[2], back[2];

	ck_assert_int_eq(pipe2(there, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(back, O_CLOEXEC), 0);
	init_side(a, false, back[0], there[1], near_key, far_key);
	init_side(b, true, there[0], back[1], far_key, near_key);
}

static void
close_side(struct side *s)
{
	cw_link_free(s->link);
	s->link = NULL;
	if (s->out != s->in)
		cw_close(&s->out);
	s->out = -1;
	cw_close(&s->in);
}

static void *
run(void *arg)
{
	struct side *s = arg;

	s->ret = cw_link_open(s->in, s->out, &s->options, &s->link, &s->err);
	if (s->ret == 0 && s->play != NULL)
		s->ret = s->play(s);
	return NULL;
}

static void
start(struct side *s)
{
	ck_assert_int_eq(pthread_create(&s->thread, NULL, run, s), 0);
}

static void
join(struct side *s)
{
	ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
}

/* Both sides through the handshake, in two threads. */
static void
shake(struct side *a, struct side *b)
{
	start(b);
	(void)run(a);
	join(b);
}

static void
linked(struct side *a, struct side *b)
{
	sockets(a, b);
	shake(a, b);
	ck_assert_msg(a->ret == 0, "%s", a->err.message);
	ck_assert_msg(b->ret == 0, "%s", b->err.message);
}

static void
sends(struct side *s, uint8_t type, const void *body, size_t len)
{
	ck_assert_msg(cw_link_send(s->link, type, 0, body, len, &s->err) == 0,
	    "%s", s->err.message);
}

START_TEST(frames_arrive_over_a_socket_as_they_were_sent)
{
	struct side a, b;
	struct cw_frame f;
	struct cw_link_stats stats;

	linked(&a, &b);
	ck_assert_uint_eq(cw_link_peer(a.link), 0);
	ck_assert_ptr_nonnull(strstr(cw_link_cipher(a.link), "TLS1.3"));
	sends(&a, CW_FRAME_PING, "hello", 5);
	sends(&a, CW_FRAME_POLL, NULL, 0);
	ck_assert_int_eq(cw_link_recv(b.link, 0, &f, &b.err), 0);
	ck_assert_int_eq(cw_link_flush(a.link, &a.err), 0);
	ck_assert_uint_eq(cw_link_unsent(a.link), 0);
	ck_assert_int_eq(cw_link_recv(b.link, 60000, &f, &b.err), 1);
	ck_assert_uint_eq(f.type, CW_FRAME_PING);
	ck_assert_uint_eq(f.len, 5);
	ck_assert_mem_eq(f.body, "hello", 5);
	ck_assert_int_eq(cw_link_recv(b.link, 60000, &f, &b.err), 1);
	ck_assert_uint_eq(f.type, CW_FRAME_POLL);
	ck_assert_uint_eq(f.len, 0);
	cw_link_stats(b.link, &stats);
	ck_assert_uint_eq(stats.frames_received, 2);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(frames_arrive_over_pipes)
{
	struct side a, b;
	struct cw_frame f;

	pipes(&a, &b);
	shake(&a, &b);
	ck_assert_msg(
	    a.ret == 0 && b.ret == 0, "%s%s", a.err.message, b.err.message);
	sends(&b, CW_FRAME_BYE, "so long", 7);
	ck_assert_int_eq(cw_link_flush(b.link, &b.err), 0);
	ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), 1);
	ck_assert_mem_eq(f.body, "so long", 7);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(thousand_small_frames_share_records)
{
	struct side a, b;
	struct cw_frame f;
	struct cw_link_stats before, after;

	linked(&a, &b);
	cw_link_stats(a.link, &before);
	for (int i = 0; i < 1000; i++)
		sends(&a, CW_FRAME_WANT, "0123456789", 10);
	ck_assert_int_eq(cw_link_flush(a.link, &a.err), 0);
	cw_link_stats(a.link, &after);
	ck_assert_uint_lt(after.bytes_sent - before.bytes_sent, 16100);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(cw_link_recv(b.link, 60000, &f, &b.err), 1);
	close_side(&a);
	close_side(&b);
}
END_TEST

/* A peer that may also look at every byte that the other side has sent. */
static void
refuses_each_other(
    struct cw_minisign_secret *a_knows, struct cw_minisign_secret *b_knows)
{
	struct side a, b;
	struct cw_frame f;
	char hex[65], key[65];
	struct cw_minisign_public pub;

	sockets(&a, &b);
	set_pin(&a.pin[0], "far", a_knows);
	set_pin(&b.pin[0], "near", b_knows);
	start(&b);
	(void)run(&a);
	/* A client may learn it from its first words only. */
	if (a.ret == 0) {
		sends(&a, CW_FRAME_HELLO, "who am I", 8);
		a.ret = cw_link_recv(a.link, 60000, &f, &a.err);
	}
	join(&b);
	ck_assert_int_eq(a.ret, -1);
	ck_assert_int_eq(b.ret, -1);
	ck_assert_msg(a.err.code == CW_ERR_UNTRUSTED, "%s", a.err.message);
	ck_assert_msg(b.err.code == CW_ERR_UNTRUSTED, "%s", b.err.message);
	cw_minisign_secret_public(
	    a_knows == strange_key ? far_key : near_key, &pub);
	cw_hex_encode(pub.point, 32, hex);
	strcpy(key, hex);
	if (a_knows == strange_key) {
		ck_assert_ptr_nonnull(strstr(a.err.message, key));
		ck_assert_ptr_nonnull(strstr(b.err.message, "our key"));
	} else {
		ck_assert_ptr_nonnull(strstr(b.err.message, key));
		ck_assert_ptr_nonnull(strstr(a.err.message, "our key"));
	}
	close_side(&a);
	close_side(&b);
}

START_TEST(server_refuses_a_client_that_it_does_not_know)
{
	refuses_each_other(far_key, strange_key);
}
END_TEST

START_TEST(client_refuses_a_server_that_it_does_not_know)
{
	refuses_each_other(strange_key, near_key);
}
END_TEST

START_TEST(stranger_gets_nothing_but_the_handshake)
{
	struct side a, b;
	struct cw_frame f;
	struct cw_link_stats stats;

	/* a is the stranger, and trusts whomever it reaches. */
	sockets(&a, &b);
	a.options.secret = strange_key;
	start(&b);
	(void)run(&a);
	if (a.ret == 0) {
		ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), -1);
		cw_link_stats(a.link, &stats);
		ck_assert_uint_eq(stats.frames_received, 0);
		/* ServerHello to Finished, and an alert. */
		ck_assert_uint_lt(stats.bytes_received, 700);
	}
	join(&b);
	ck_assert_ptr_null(b.link);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(peer_is_the_pin_whose_key_it_has)
{
	struct side a, b;

	sockets(&a, &b);
	set_pin(&b.pin[0], "strange", strange_key);
	set_pin(&b.pin[1], "near", near_key);
	b.options.pin_count = 2;
	shake(&a, &b);
	ck_assert_int_eq(b.ret, 0);
	ck_assert_uint_eq(cw_link_peer(b.link), 1);
	close_side(&a);
	close_side(&b);
}
END_TEST

/* Somebody else's TLS, up to the end of its handshake. */
static int
foreign_handshake(int fd, const char *priority)
{
	gnutls_session_t tls;
	gnutls_certificate_credentials_t cred;
	int code;

	ck_assert_int_eq(gnutls_certificate_allocate_credentials(&cred), 0);
	ck_assert_int_eq(
	    gnutls_init(&tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
	ck_assert_int_eq(gnutls_priority_set_direct(tls, priority, NULL), 0);
	ck_assert_int_eq(
	    gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, cred), 0);
	gnutls_transport_set_int(tls, fd);
	gnutls_handshake_set_timeout(tls, 60000);
	do {
		code = gnutls_handshake(tls);
	} while (code < 0 && gnutls_error_is_fatal(code) == 0);
	if (code == 0) { /* a client without a key hears of it later */
		char byte;

		code = (int)gnutls_record_recv(tls, &byte, 1);
	}
	gnutls_deinit(tls);
	gnutls_certificate_free_credentials(cred);
	return code;
}

static void
server_refuses(const char *priority, enum cw_code code)
{
	struct side a, b;

	sockets(&a, &b);
	start(&b);
	ck_assert_int_lt(foreign_handshake(a.in, priority), 0);
	close_side(&a);
	join(&b);
	ck_assert_int_eq(b.ret, -1);
	ck_assert_msg(b.err.code == code, "%d: %s", b.err.code, b.err.message);
	close_side(&b);
}

START_TEST(tls_1_2_is_refused)
{
	server_refuses("NORMAL:-VERS-ALL:+VERS-TLS1.2", CW_ERR_UNSUPPORTED);
}
END_TEST

START_TEST(client_with_certificates_is_refused)
{
	server_refuses("NORMAL", CW_ERR_UNSUPPORTED);
}
END_TEST

START_TEST(client_without_a_key_is_refused)
{
	server_refuses("NORMAL:-VERS-ALL:+VERS-TLS1.3:+CTYPE-CLI-RAWPK:"
		       "+CTYPE-SRV-RAWPK",
	    CW_ERR_UNSUPPORTED);
}
END_TEST

START_TEST(what_is_no_tls_is_refused)
{
	struct side a, b;
	static const char http[] = "GET / HTTP/1.1\r\nHost: causeway\r\n\r\n";

	sockets(&a, &b);
	start(&b);
	ck_assert_int_eq(write(a.in, http, sizeof(http) - 1), sizeof(http) - 1);
	ck_assert_int_eq(shutdown(a.in, SHUT_WR), 0);
	join(&b);
	ck_assert_int_eq(b.ret, -1);
	ck_assert_msg(b.err.code == CW_ERR_UNSUPPORTED ||
			  b.err.code == CW_ERR_UNREACHABLE,
	    "%s", b.err.message);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(silent_peer_ends_the_handshake_in_time)
{
	struct side a, b;

	sockets(&a, &b);
	a.options.handshake_ms = 50;
	(void)run(&a);
	ck_assert_int_eq(a.ret, -1);
	ck_assert_int_eq(a.err.code, CW_ERR_UNREACHABLE);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(line_that_ends_in_the_handshake_is_told)
{
	struct side a, b;

	sockets(&a, &b);
	close_side(&b);
	(void)run(&a);
	ck_assert_int_eq(a.ret, -1);
	ck_assert_int_eq(a.err.code, CW_ERR_UNREACHABLE);
	close_side(&a);
}
END_TEST

START_TEST(recv_returns_when_its_time_is_over)
{
	struct side a, b;
	struct cw_frame f;

	linked(&a, &b);
	ck_assert_int_eq(cw_link_recv(a.link, 0, &f, &a.err), 0);
	ck_assert_int_eq(cw_link_recv(a.link, 20, &f, &a.err), 0);
	close_side(&a);
	close_side(&b);
}
END_TEST

static int
close_after_saying(struct side *s)
{
	if (s->says != NULL && cw_link_send(s->link, CW_FRAME_BYE, 0, s->says,
				   strlen(s->says), &s->err) < 0)
		return -1;
	return cw_link_close(s->link, 60000, &s->err);
}

START_TEST(frames_before_the_farewell_arrive_then_the_end_is_told)
{
	struct side a, b;
	struct cw_frame f;

	sockets(&a, &b);
	b.play = close_after_saying;
	b.says = "done";
	start(&b);
	(void)run(&a);
	ck_assert_int_eq(a.ret, 0);
	ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), 1);
	ck_assert_mem_eq(f.body, "done", 4);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), -1);
		ck_assert_int_eq(a.err.code, CW_ERR_UNREACHABLE);
		ck_assert(cw_link_is_closed(a.link));
	}
	close_side(&a);
	join(&b);
	ck_assert_msg(b.ret == 0, "%s", b.err.message);
	close_side(&b);
}
END_TEST

START_TEST(line_that_breaks_is_no_farewell)
{
	struct side a, b;
	struct cw_frame f;

	linked(&a, &b);
	close_side(&b);
	ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), -1);
	ck_assert_msg(a.err.code == CW_ERR_UNREACHABLE, "%s", a.err.message);
	ck_assert(!cw_link_is_closed(a.link));
	close_side(&a);
}
END_TEST

static void
breaks_while_sending(void (*connect)(struct side *a, struct side *b))
{
	struct side a, b;
	uint8_t *body = cw_calloc(1, MIB);
	int ret = 0;

	connect(&a, &b);
	shake(&a, &b);
	ck_assert_int_eq(a.ret, 0);
	close_side(&b);
	for (int i = 0; i < 64 && ret == 0; i++)
		ret = cw_link_send(a.link, CW_FRAME_DATA, 0, body, MIB, &a.err);
	ck_assert_int_eq(ret, -1);
	ck_assert_msg(a.err.code == CW_ERR_UNREACHABLE, "%s", a.err.message);
	free(body);
	close_side(&a);
}

START_TEST(sends_into_a_broken_line_fail_without_a_signal)
{
	breaks_while_sending(sockets);
	breaks_while_sending(pipes);
}
END_TEST

/*
 * Sends 64 MiB, and receives what is there now and then, as a session does.
 * The content tells its place, so that a frame lost or swapped is seen.
 */
static int
send_and_receive(struct side *s)
{
	uint32_t *body = cw_calloc(1, MIB);
	uint32_t sent = 0, got = 0;
	int ret = 0;

	while (ret >= 0 && (sent < 64 || got < 64)) {
		struct cw_frame f;
		uint32_t number;

		if (sent < 64) {
			for (size_t i = 0; i < MIB / 4; i += 1024)
				body[i] = sent + (uint32_t)i;
			ret = cw_link_send(
			    s->link, CW_FRAME_DATA, 0, body, MIB, &s->err);
			sent++;
			if (ret == 0 && sent % 8 != 0)
				continue;
		}
		if (ret == 0 && got < 64)
			ret = cw_link_recv(
			    s->link, sent < 64 ? 0 : 60000, &f, &s->err);
		if (ret != 1)
			continue;
		ret = 0;
		for (size_t i = 0; i < MIB / 4; i += 1024) {
			memcpy(&number, f.body + 4 * i, 4);
			if (f.len != MIB || number != got + (uint32_t)i)
				ret = cw_error_set(
				    &s->err, CW_ERR_DAMAGED, "frame %u", got);
		}
		got++;
		/* All that has come: the other side is held by nothing. */
		while (ret == 0 && got < 64 &&
		       (ret = cw_link_recv(s->link, 0, &f, &s->err)) == 1) {
			got++;
			ret = 0;
		}
	}
	free(body);
	s->bytes = (uint64_t)got * MIB;
	return ret < 0 ? -1 : cw_link_close(s->link, 60000, &s->err);
}

START_TEST(two_ends_that_both_send_do_not_wait_for_each_other)
{
	struct side a, b;

	sockets(&a, &b);
	a.play = b.play = send_and_receive;
	shake(&a, &b);
	ck_assert_msg(a.ret == 0, "%s", a.err.message);
	ck_assert_msg(b.ret == 0, "%s", b.err.message);
	ck_assert_uint_eq(a.bytes, 64 * MIB);
	ck_assert_uint_eq(b.bytes, 64 * MIB);
	close_side(&a);
	close_side(&b);
}
END_TEST

/* Sends 24 MiB and never looks, then looks. */
static int
send_blindly(struct side *s)
{
	uint8_t *body = cw_calloc(1, MIB);
	struct cw_frame f;
	int ret = 0;

	for (int i = 0; i < 24 && ret == 0; i++)
		ret =
		    cw_link_send(s->link, CW_FRAME_DATA, 0, body, MIB, &s->err);
	for (int i = 0; i < 24 && ret == 0; i++) {
		if (cw_link_recv(s->link, 60000, &f, &s->err) != 1)
			ret = -1;
	}
	free(body);
	return ret < 0 ? -1 : cw_link_close(s->link, 60000, &s->err);
}

START_TEST(what_comes_while_a_send_waits_is_kept)
{
	struct side a, b;

	sockets(&a, &b);
	a.play = b.play = send_blindly;
	shake(&a, &b);
	ck_assert_msg(a.ret == 0, "%s", a.err.message);
	ck_assert_msg(b.ret == 0, "%s", b.err.message);
	close_side(&a);
	close_side(&b);
}
END_TEST

static int
send_for_ever(struct side *s)
{
	uint8_t *body = cw_calloc(1, MIB);
	int ret = 0;

	while (ret == 0)
		ret =
		    cw_link_send(s->link, CW_FRAME_DATA, 0, body, MIB, &s->err);
	free(body);
	return ret;
}

START_TEST(flood_from_a_peer_that_takes_nothing_ends_the_link)
{
	struct side a, b;

	sockets(&a, &b);
	a.play = b.play = send_for_ever;
	/* Time enough for the other to fill what is kept of it. */
	a.options.stall_ms = 5000;
	start(&b);
	(void)run(&a);
	ck_assert_int_eq(a.ret, -1);
	ck_assert_msg(a.err.code == CW_ERR_FORMAT, "%s", a.err.message);
	close_side(&a);
	join(&b);
	ck_assert_int_eq(b.ret, -1);
	close_side(&b);
}
END_TEST

START_TEST(peer_that_takes_nothing_ends_a_send_in_time)
{
	struct side a, b;
	struct cw_link_stats stats;

	sockets(&a, &b);
	a.options.stall_ms = 100;
	shake(&a, &b);
	ck_assert_int_eq(send_for_ever(&a), -1);
	ck_assert_int_eq(a.err.code, CW_ERR_UNREACHABLE);
	cw_link_stats(a.link, &stats);
	ck_assert_uint_ge(stats.blocked_ns, 100000000u);
	ck_assert_uint_eq(stats.peer_ns, 0); /* no TCP: it cannot be known */
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(peer_whose_window_is_full_is_told_from_a_slow_line)
{
	struct side a, b;
	struct cw_link_stats stats;

	tcp_sockets(&a, &b);
	a.options.stall_ms = 500;
	shake(&a, &b);
	ck_assert_int_eq(send_for_ever(&a), -1);
	ck_assert_int_eq(a.err.code, CW_ERR_UNREACHABLE);
	cw_link_stats(a.link, &stats);
	ck_assert_uint_ge(stats.peer_ns, 100000000u);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(frame_over_the_limit_is_not_sent)
{
	struct side a, b;
	uint8_t *body = cw_calloc(1, MIB + 1);

	linked(&a, &b);
	ck_assert_int_eq(
	    cw_link_send(a.link, CW_FRAME_DATA, 0, body, MIB + 1, &a.err), -1);
	ck_assert_int_eq(a.err.code, CW_ERR_USAGE);
	ck_assert_int_eq(
	    cw_link_send(a.link, CW_FRAME_DATA, 0, body, MIB, &a.err), 0);
	free(body);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(several_pieces_make_one_frame)
{
	struct side a, b;
	struct cw_frame f;
	char one[] = "causeway ", two[] = "to shreveport";
	struct iovec iov[3] = {{one, 9}, {NULL, 0}, {two, 13}};

	linked(&a, &b);
	ck_assert_int_eq(
	    cw_link_sendv(a.link, CW_FRAME_DATA, CW_FRAME_ZSTD, iov, 3, &a.err),
	    0);
	ck_assert_int_eq(cw_link_flush(a.link, &a.err), 0);
	ck_assert_int_eq(cw_link_recv(b.link, 60000, &f, &b.err), 1);
	ck_assert_uint_eq(f.flags, CW_FRAME_ZSTD);
	ck_assert_uint_eq(f.len, 22);
	ck_assert_mem_eq(f.body, "causeway to shreveport", 22);
	close_side(&a);
	close_side(&b);
}
END_TEST

/* A middle that changes one byte of what b sends after the handshake. */
START_TEST(changed_byte_is_told_and_nothing_of_its_record_comes_through)
{
	struct side a, b;
	struct cw_frame f;
	int ends[2], n;
	uint8_t bytes[4096];

	linked(&a, &b);
	/* b's bytes are taken off the line and put back changed. */
	sends(&b, CW_FRAME_BYE, "trust me", 8);
	ck_assert_int_eq(cw_link_flush(b.link, &b.err), 0);
	n = (int)recv(a.in, bytes, sizeof(bytes), 0);
	ck_assert_int_gt(n, 20);
	bytes[n - 1] ^= 1;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(write(ends[1], bytes, (size_t)n), n);
	ck_assert_int_eq(dup2(ends[0], a.in), a.in);
	ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), -1);
	ck_assert_msg(a.err.code == CW_ERR_DAMAGED, "%s", a.err.message);
	close(ends[0]);
	close(ends[1]);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(wait_tells_a_frame_from_the_other_descriptor)
{
	struct side a, b;
	struct cw_frame f;
	int other[2];

	linked(&a, &b);
	ck_assert_int_eq(pipe2(other, O_CLOEXEC), 0);
	ck_assert_int_eq(cw_link_wait(a.link, other[0], 10, &a.err), 0);
	ck_assert_int_eq(write(other[1], "x", 1), 1);
	ck_assert_int_eq(
	    cw_link_wait(a.link, other[0], 60000, &a.err), CW_LINK_OTHER);
	sends(&b, CW_FRAME_POLL, NULL, 0);
	ck_assert_int_eq(cw_link_flush(b.link, &b.err), 0);
	ck_assert_int_eq(
	    cw_link_wait(a.link, -1, 60000, &a.err), CW_LINK_FRAME);
	ck_assert_int_eq(cw_link_wait(a.link, other[0], 60000, &a.err),
	    CW_LINK_FRAME | CW_LINK_OTHER);
	ck_assert_int_eq(cw_link_recv(a.link, 0, &f, &a.err), 1);
	close(other[0]);
	close(other[1]);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(waiting_sends_what_is_queued)
{
	struct side a, b;
	struct cw_frame f;

	linked(&a, &b);
	sends(&a, CW_FRAME_POLL, NULL, 0);
	ck_assert_uint_gt(cw_link_unsent(a.link), 0);
	ck_assert_int_eq(cw_link_recv(a.link, 0, &f, &a.err), 0);
	ck_assert_uint_eq(cw_link_unsent(a.link), 0);
	ck_assert_int_eq(cw_link_recv(b.link, 60000, &f, &b.err), 1);
	close_side(&a);
	close_side(&b);
}
END_TEST

/* Check runs each test in a process of its own, so the request stays there. */
START_TEST(request_to_stop_ends_a_wait)
{
	struct side a, b;
	struct cw_frame f;

	linked(&a, &b);
	cw_stop_request();
	ck_assert_int_eq(cw_link_recv(a.link, 60000, &f, &a.err), -1);
	ck_assert_int_eq(a.err.code, CW_ERR_INTERRUPTED);
	/* The farewell still goes. */
	b.play = NULL;
	sends(&a, CW_FRAME_BYE, "stopped", 7);
	ck_assert_int_eq(cw_link_close(a.link, 100, &a.err), 0);
	ck_assert_int_eq(cw_link_recv(b.link, 0, &f, &b.err), 1);
	ck_assert_mem_eq(f.body, "stopped", 7);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(descriptors_are_left_as_they_were)
{
	struct side a, b;
	int flags;

	sockets(&a, &b);
	flags = fcntl(a.in, F_GETFL);
	shake(&a, &b);
	ck_assert_int_eq(a.ret, 0);
	ck_assert_int_ne(fcntl(a.in, F_GETFL), flags);
	cw_link_free(a.link);
	a.link = NULL;
	ck_assert_int_eq(fcntl(a.in, F_GETFL), flags);
	close_side(&a);
	close_side(&b);
}
END_TEST

START_TEST(flags_that_mean_nothing_are_not_sent)
{
	struct side a, b;

	linked(&a, &b);
	ck_assert_int_eq(
	    cw_link_send(a.link, CW_FRAME_PING, 0x80, "x", 1, &a.err), -1);
	ck_assert_int_eq(a.err.code, CW_ERR_USAGE);
	close_side(&a);
	close_side(&b);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("link");
	struct cw_error err = CW_ERROR_INIT;
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	near_key = cw_minisign_generate();
	far_key = cw_minisign_generate();
	strange_key = cw_minisign_generate();
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, frames_arrive_over_a_socket_as_they_were_sent);
	tcase_add_test(tc, frames_arrive_over_pipes);
	tcase_add_test(tc, thousand_small_frames_share_records);
	tcase_add_test(tc, server_refuses_a_client_that_it_does_not_know);
	tcase_add_test(tc, client_refuses_a_server_that_it_does_not_know);
	tcase_add_test(tc, stranger_gets_nothing_but_the_handshake);
	tcase_add_test(tc, peer_is_the_pin_whose_key_it_has);
	tcase_add_test(tc, tls_1_2_is_refused);
	tcase_add_test(tc, client_with_certificates_is_refused);
	tcase_add_test(tc, client_without_a_key_is_refused);
	tcase_add_test(tc, what_is_no_tls_is_refused);
	tcase_add_test(tc, silent_peer_ends_the_handshake_in_time);
	tcase_add_test(tc, line_that_ends_in_the_handshake_is_told);
	tcase_add_test(tc, recv_returns_when_its_time_is_over);
	tcase_add_test(
	    tc, frames_before_the_farewell_arrive_then_the_end_is_told);
	tcase_add_test(tc, line_that_breaks_is_no_farewell);
	tcase_add_test(tc, sends_into_a_broken_line_fail_without_a_signal);
	tcase_add_test(tc, two_ends_that_both_send_do_not_wait_for_each_other);
	tcase_add_test(tc, what_comes_while_a_send_waits_is_kept);
	tcase_add_test(tc, flood_from_a_peer_that_takes_nothing_ends_the_link);
	tcase_add_test(tc, peer_that_takes_nothing_ends_a_send_in_time);
	tcase_add_test(tc, peer_whose_window_is_full_is_told_from_a_slow_line);
	tcase_add_test(tc, frame_over_the_limit_is_not_sent);
	tcase_add_test(tc, several_pieces_make_one_frame);
	tcase_add_test(
	    tc, changed_byte_is_told_and_nothing_of_its_record_comes_through);
	tcase_add_test(tc, wait_tells_a_frame_from_the_other_descriptor);
	tcase_add_test(tc, waiting_sends_what_is_queued);
	tcase_add_test(tc, request_to_stop_ends_a_wait);
	tcase_add_test(tc, descriptors_are_left_as_they_were);
	tcase_add_test(tc, flags_that_mean_nothing_are_not_sent);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	cw_minisign_secret_free(near_key);
	cw_minisign_secret_free(far_key);
	cw_minisign_secret_free(strange_key);
	return failed != 0;
}
