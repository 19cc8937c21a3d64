#include "sync/link_impl.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

/* How long a peer that we refused may take to read that it was. */
#define REFUSED_MS 1000

/* RFC 8410: the DER around the 32 bytes of a public and of a secret key. */
static const uint8_t public_head[12] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const uint8_t secret_head[16] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30,
    0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

#define PUBLIC_SIZE (sizeof(public_head) + CW_ED25519_POINT_SIZE)
#define SECRET_SIZE (sizeof(secret_head) + CW_ED25519_SEED_SIZE)

/* All that both sides speak, and the one order between their ciphers. */
#define PRIORITY(ciphers)                                                      \
	"NONE:+VERS-TLS1.3:" ciphers ":+AEAD:+GROUP-X25519:"                   \
	"+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"
#define WITH_AES PRIORITY("+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305")
#define NO_AES	 PRIORITY("+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM")

static bool
cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
	return __builtin_cpu_supports("aes") != 0 &&
	       __builtin_cpu_supports("pclmul") != 0;
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (1ul << 3)) != 0; /* HWCAP_AES */
#else
	return false;
#endif
}

static int
gnutls_failed(struct cw_error *err, const char *what, int code)
{
	return cw_error_set(
	    err, CW_ERR_FAILED, "TLS: %s: %s", what, gnutls_strerror(code));
}

/* GnuTLS keeps a copy of the secret, and wipes it when the link is freed. */
static int
set_key(struct cw_link *l, const struct cw_minisign_secret *secret,
    struct cw_error *err)
{
	struct cw_minisign_public pub;
	uint8_t spki[PUBLIC_SIZE], *pkcs8 = cw_secret_alloc(SECRET_SIZE);
	gnutls_datum_t pub_der = {spki, PUBLIC_SIZE};
	gnutls_datum_t secret_der = {pkcs8, SECRET_SIZE};
	int code;

	cw_minisign_secret_public(secret, &pub);
	memcpy(spki, public_head, sizeof(public_head));
	memcpy(spki + sizeof(public_head), pub.point, sizeof(pub.point));
	memcpy(pkcs8, secret_head, sizeof(secret_head));
	memcpy(pkcs8 + sizeof(secret_head), cw_minisign_secret_seed(secret),
	    CW_ED25519_SEED_SIZE);
	code = gnutls_certificate_set_rawpk_key_mem(l->cred, &pub_der,
	    &secret_der, GNUTLS_X509_FMT_DER, NULL,
	    GNUTLS_KEY_DIGITAL_SIGNATURE, NULL, 0, 0);
	cw_secret_free(pkcs8);
	return code < 0 ? gnutls_failed(err, "our key", code) : 0;
}

/* Called in the handshake, before anything of ours is sent. */
static int
verify(gnutls_session_t tls)
{
	struct cw_link *l = gnutls_session_get_ptr(tls);
	unsigned count = 0;
	const gnutls_datum_t *keys;

	if (gnutls_certificate_type_get2(tls, GNUTLS_CTYPE_PEERS) !=
	    GNUTLS_CRT_RAWPK)
		return GNUTLS_E_CERTIFICATE_ERROR;
	keys = gnutls_certificate_get_peers(tls, &count);
	if (keys == NULL || count != 1 || keys[0].size != PUBLIC_SIZE ||
	    memcmp(keys[0].data, public_head, sizeof(public_head)) != 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	memcpy(l->peer_key, keys[0].data + sizeof(public_head),
	    sizeof(l->peer_key));
	for (size_t i = 0; i < l->options->pin_count; i++) {
		if (memcmp(l->options->pins[i].key, l->peer_key,
			sizeof(l->peer_key)) == 0) {
			l->peer = i;
			return 0;
		}
	}
	l->refused = true;
	return GNUTLS_E_CERTIFICATE_ERROR;
}

static int
set_up(struct cw_link *l, struct cw_error *err)
{
	unsigned flags = GNUTLS_NONBLOCK | GNUTLS_ENABLE_RAWPK |
			 GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET;
	int code;

	flags |= l->options->is_server ? GNUTLS_SERVER : GNUTLS_CLIENT;
	code = gnutls_certificate_allocate_credentials(&l->cred);
	if (code < 0)
		return gnutls_failed(err, "credentials", code);
	if (set_key(l, l->options->secret, err) < 0)
		return -1;
	gnutls_certificate_set_verify_function(l->cred, verify);
	if ((code = gnutls_init(&l->tls, flags)) < 0)
		return gnutls_failed(err, "a session", code);
	gnutls_session_set_ptr(l->tls, l);
	code = gnutls_priority_set_direct(
	    l->tls, cpu_has_aes() ? WITH_AES : NO_AES, NULL);
	if (code < 0)
		return gnutls_failed(err, "what we speak", code);
	code = gnutls_credentials_set(l->tls, GNUTLS_CRD_CERTIFICATE, l->cred);
	if (code < 0)
		return gnutls_failed(err, "credentials", code);
	gnutls_certificate_server_set_request(l->tls, GNUTLS_CERT_REQUIRE);
	gnutls_transport_set_ptr(l->tls, l);
	gnutls_transport_set_pull_function(l->tls, cw_link_pull);
	gnutls_transport_set_vec_push_function(l->tls, cw_link_push);
	return 0;
}

static int
alert_error(struct cw_link *l, struct cw_error *err)
{
	gnutls_alert_description_t alert = gnutls_alert_get(l->tls);
	const char *name = gnutls_alert_get_name(alert);

	if (name == NULL)
		name = "no known alert";
	switch (alert) {
	case GNUTLS_A_ACCESS_DENIED:
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_UNKNOWN_CA:
	case GNUTLS_A_CERTIFICATE_REQUIRED:
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the peer does not know our key (TLS says: %s); pair this "
		    "site there, with its present card",
		    name);
	case GNUTLS_A_PROTOCOL_VERSION:
	case GNUTLS_A_HANDSHAKE_FAILURE:
	case GNUTLS_A_INSUFFICIENT_SECURITY:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
	case GNUTLS_A_ILLEGAL_PARAMETER:
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "the peer does not speak TLS 1.3 with raw public keys "
		    "(TLS says: %s)",
		    name);
	default:
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "the peer broke off (TLS says: %s)", name);
	}
}

int
cw_link_tls_error(struct cw_link *l, int code, struct cw_error *err)
{
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return alert_error(l, err);
	if (code == GNUTLS_E_PREMATURE_TERMINATION || l->is_eof)
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "the line to the peer broke: it ended without a farewell");
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "what came from the peer was changed on its way, or is no TLS: %s",
	    gnutls_strerror(code));
}

static int
refused_error(struct cw_link *l, struct cw_error *err)
{
	char hex[2 * CW_ED25519_POINT_SIZE + 1];

	cw_hex_encode(l->peer_key, sizeof(l->peer_key), hex);
	return cw_error_set(err, CW_ERR_UNTRUSTED,
	    "the peer's key is none that we know: its Ed25519 key is %s; if "
	    "this is a paired site, compare cards with its operator before "
	    "you pair it again",
	    hex);
}

static int
handshake_error(struct cw_link *l, int code, struct cw_error *err)
{
	if (l->refused)
		return refused_error(l, err);
	switch (code) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return alert_error(l, err);
	case GNUTLS_E_CERTIFICATE_ERROR:
	case GNUTLS_E_CERTIFICATE_REQUIRED:
	case GNUTLS_E_NO_CERTIFICATE_FOUND:
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the peer shows no Ed25519 key of its own");
	case GNUTLS_E_PK_SIG_VERIFY_FAILED:
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the peer shows a key that it does not hold");
	case GNUTLS_E_PREMATURE_TERMINATION:
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "the line ended before TLS was agreed upon");
	default:
		if (l->is_eof)
			return cw_error_set(err, CW_ERR_UNREACHABLE,
			    "the line ended before TLS was agreed upon");
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "who answers does not speak TLS 1.3 with raw public keys: "
		    "%s",
		    gnutls_strerror(code));
	}
}

/* Says why, as far as it may be said, and lets the peer read it. */
static void
break_off(struct cw_link *l, int code)
{
	int64_t deadline = cw_clock_ms() + REFUSED_MS;

	if (l->refused)
		(void)gnutls_alert_send(
		    l->tls, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
	else
		(void)gnutls_alert_send_appropriate(l->tls, code);
	while (l->out_at < l->out.len) {
		if (cw_link_drain(l, NULL) < 0)
			return;
		if (l->out_at < l->out.len &&
		    cw_link_poll(l, WAIT_OUT, -1, deadline, NULL) <= 0)
			return;
	}
	cw_link_linger(l, deadline);
}

static int
handshake(struct cw_link *l, int timeout_ms, struct cw_error *err)
{
	int64_t deadline = cw_clock_ms() + timeout_ms;

	for (;;) {
		int code = gnutls_handshake(l->tls);
		unsigned what = WAIT_IN | WAIT_STOP;
		int got;

		if (code < 0 && gnutls_error_is_fatal(code) != 0) {
			bool is_told =
			    code == GNUTLS_E_FATAL_ALERT_RECEIVED || l->is_eof;

			(void)handshake_error(l, code, err);
			if (!is_told)
				break_off(l, code);
			return -1;
		}
		if (cw_link_drain(l, err) < 0)
			return -1;
		if (code == GNUTLS_E_SUCCESS)
			return 0;
		if (code != GNUTLS_E_AGAIN || l->in_at < l->in_len)
			continue;
		if (l->out_at < l->out.len)
			what |= WAIT_OUT;
		got = cw_link_poll(l, what, -1, deadline, err);
		if (got < 0)
			return -1;
		/* Also one who keeps us busy has no more time than that. */
		if (got == 0 || cw_clock_ms() >= deadline)
			return cw_error_set(err, CW_ERR_UNREACHABLE,
			    "no TLS with the peer within %d s",
			    (timeout_ms + 999) / 1000);
		if (((unsigned)got & WAIT_IN) != 0 && cw_link_fill(l, err) < 0)
			return -1;
	}
}

int
cw_link_open(int fd_in, int fd_out, const struct cw_link_options *options,
    struct cw_link **out, struct cw_error *err)
{
	struct cw_link *l;
	int limit = options->handshake_ms > 0 ? options->handshake_ms
					      : CW_LINK_HANDSHAKE_MS;

	assert(options->pin_count > 0);
	l = cw_calloc(1, sizeof(*l));
	l->fd_in = fd_in;
	l->fd_out = fd_out;
	l->flags_in = l->flags_out = -1;
	l->options = options;
	l->stall_ms =
	    options->stall_ms > 0 ? options->stall_ms : CW_LINK_STALL_MS;
	if (cw_link_prepare(l, err) < 0 || set_up(l, err) < 0 ||
	    handshake(l, limit, err) < 0) {
		cw_link_free(l);
		return -1;
	}
	l->options = NULL;
	l->record_max = gnutls_record_get_max_size(l->tls);
	if (l->record_max > RECORD_MAX)
		l->record_max = RECORD_MAX;
	l->cipher = cw_asprintf("%s, %s",
	    gnutls_protocol_get_name(gnutls_protocol_get_version(l->tls)),
	    gnutls_cipher_get_name(gnutls_cipher_get(l->tls)));
	*out = l;
	return 0;
}
