/*
 * Frames in, frames out: the loop of a session.
 */
#include "site/session_impl.h"

#include "base/clock.h"
#include "base/progress.h"
#include "base/text.h"
#include "site/channel.h"
#include "site/current.h"
#include "store/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Tells a dead line: three pings did not come. */
#define DEAD_MS 65000
/* How often the record of a peer that was heard is renewed; see gate.h. */
#define HEARD_MS     10000
#define ROLE_LOOK_MS 500
#define BEHIND_MS    1000
#define IDLE_MS	     500

int64_t
session_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
session_event(struct cw_session *s, const char *fmt, ...)
{
	char text[CW_ERROR_MAX];
	va_list ap;

	if (s->o.event == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->o.event(s->o.arg, text);
}

int
session_send(struct cw_session *s, enum cw_frame_type type,
    const ProtobufCMessage *m, struct cw_error *err)
{
	struct cw_frame frame;

	int ret = -1;

	(void)pthread_mutex_lock(&s->sending);
	s->sent_ms = cw_clock_ms();
	if (cw_wire_encode(s->writer, type, m, 3, &frame, err) == 0 &&
	    cw_link_send_frame(s->link, &frame, err) == 0)
		ret = cw_link_flush(s->link, err);
	(void)pthread_mutex_unlock(&s->sending);
	return ret;
}

struct slot *
session_slot(struct cw_session *s, struct cw_session_store *st)
{
	(void)s;
	return (struct slot *)(void *)st;
}

const struct cw_config_peer *
cw_session_peer(const struct cw_session *s)
{
	return s->peer;
}

bool
cw_session_is_visit(const struct cw_session *s)
{
	return s->is_visit;
}

struct cw_link *
cw_session_link(struct cw_session *s)
{
	return s->link;
}

int64_t
cw_session_clock_offset(const struct cw_session *s)
{
	return s->clock_offset_ms;
}

struct cw_session_store *
cw_session_store(struct cw_session *s, const char *name)
{
	for (size_t i = 0; i < s->slot_count; i++)
		if (strcmp(s->slots[i].st.config->name, name) == 0)
			return &s->slots[i].st;
	return NULL;
}

/* Opening and ending. */

static int
handshake(struct cw_session *s, bool is_server, struct cw_error *err)
{
	const struct cw_config *config = &s->o.home->config;
	struct cw_link_pin *pins;
	struct cw_link_options options = {
	    .is_server = is_server, .secret = s->o.secret};
	int ret;

	if (config->peer_count == 0)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "no other site is paired with this one; exchange cards "
		    "(`causeway card`, `causeway pair`) first");
	pins = cw_calloc(config->peer_count, sizeof(*pins));
	for (size_t i = 0; i < config->peer_count; i++) {
		(void)snprintf(pins[i].name, sizeof(pins[i].name), "%s",
		    config->peers[i].name);
		memcpy(pins[i].key, config->peers[i].card.sign.point,
		    sizeof(pins[i].key));
	}
	options.pins = pins;
	options.pin_count = config->peer_count;
	/* Whom we dialled is who has to answer. */
	if (s->peer != NULL) {
		options.pins = &pins[s->peer - config->peers];
		options.pin_count = 1;
	}
	/* The daemon's own limit is 15 s. */
	options.handshake_ms = is_server ? 10000 : 0;
	ret = cw_link_open(
	    s->carrier.fd_in, s->carrier.fd_out, &options, &s->link, err);
	if (ret == 0 && s->peer == NULL)
		s->peer = &config->peers[cw_link_peer(s->link)];
	free(pins);
	return ret;
}

static struct cw_session *
session_new(const struct cw_session_options *options)
{
	struct cw_session *s = cw_calloc(1, sizeof(*s));

	s->o = *options;
	s->carrier = (struct cw_carrier)CW_CARRIER_INIT;
	s->reader = cw_wire_reader_new();
	s->writer = cw_wire_writer_new();
	s->next_order = 1;
	(void)pthread_mutex_init(&s->sending, NULL);
	return s;
}

static int
open_session(struct cw_session *s, bool is_server, struct cw_session **out,
    struct cw_error *err)
{
	s->is_server = is_server;
	if (handshake(s, is_server, err) < 0 ||
	    (s->o.channel >= 0 && cw_channel_send(s->o.channel, err,
				      "proved %s", s->peer->name) < 0) ||
	    session_open_stores(s, err) < 0 || session_hello(s, err) < 0) {
		cw_carrier_explain(&s->carrier, err);
		cw_session_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

int
cw_session_dial(const struct cw_session_options *options,
    const struct cw_config_peer *peer, struct cw_session **out,
    struct cw_error *err)
{
	struct cw_session *s;

	if (peer->address == NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "no address of site %s is known; give one: causeway pair "
		    "CARD --at HOST:PORT",
		    peer->name);
	s = session_new(options);
	s->peer = peer;
	if (cw_dial(peer->address, NULL, &s->carrier, err) < 0) {
		cw_session_free(s);
		return cw_error_context(err, "site %s", peer->name);
	}
	return open_session(s, false, out, err);
}

int
cw_session_accept(const struct cw_session_options *options,
    struct cw_carrier *carrier, struct cw_session **out, struct cw_error *err)
{
	struct cw_session *s = session_new(options);

	s->carrier = *carrier;
	return open_session(s, true, out, err);
}

void
cw_session_free(struct cw_session *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->slot_count; i++)
		session_close_store(&s->slots[i]);
	free(s->slots);
	while (s->waiting != NULL) {
		struct waiting *next = s->waiting->next;

		free(s->waiting);
		s->waiting = next;
	}
	cw_wire_reader_free(s->reader);
	cw_wire_writer_free(s->writer);
	cw_link_free(s->link);
	cw_carrier_close(&s->carrier);
	(void)pthread_mutex_destroy(&s->sending);
	free(s);
}

void
cw_session_bye(struct cw_session *s, const char *reason)
{
	Cw__Bye m = CW__BYE__INIT;

	m.reason = (char *)(uintptr_t)reason;
	if (session_send(s, CW_FRAME_BYE, &m.base, NULL) == 0)
		(void)cw_link_close(s->link, 5000, NULL);
}

/* Frames. */

static struct slot *
slot_of(struct cw_session *s, uint32_t peer_number)
{
	for (size_t i = 0; i < s->slot_count; i++)
		if ((s->slots[i].st.is_shared || s->slots[i].is_left) &&
		    s->slots[i].st.peer_number == peer_number)
			return &s->slots[i];
	return NULL;
}

/* The store that a frame is about, by the sender's number or by a want's. */
static struct slot *
slot_of_frame(struct cw_session *s, const struct cw_wire_msg *m)
{
	uint32_t own = UINT32_MAX;

	switch (m->type) {
	case CW_FRAME_PLAN:
		return slot_of(s, m->plan->store);
	case CW_FRAME_PLAN_END:
		return slot_of(s, m->plan_end->store);
	case CW_FRAME_WANT:
		return slot_of(s, m->want->store);
	case CW_FRAME_ACK:
		return slot_of(s, m->ack->store);
	case CW_FRAME_DIRS:
		return slot_of(s, m->dirs->store);
	case CW_FRAME_DIR_WANT:
		return slot_of(s, m->dir_want->store);
	case CW_FRAME_DIR_LIST:
		return slot_of(s, m->dir_list->store);
	case CW_FRAME_START:
		return slot_of(s, m->start->store);
	case CW_FRAME_ROW_WANT:
		return slot_of(s, m->row_want->store);
	case CW_FRAME_DATA:
		own = m->data->id >> CW_WANT_BITS;
		break;
	case CW_FRAME_CHUNKS:
		own = m->chunks->id >> CW_WANT_BITS;
		break;
	default:
		break;
	}
	return own < s->slot_count ? &s->slots[own] : NULL;
}

static int
take_sync(
    struct cw_session *s, const struct cw_wire_msg *m, struct cw_error *err)
{
	struct slot *slot = slot_of_frame(s, m);
	bool is_to_source =
	    m->type == CW_FRAME_START || m->type == CW_FRAME_WANT ||
	    m->type == CW_FRAME_ACK || m->type == CW_FRAME_DIR_WANT ||
	    m->type == CW_FRAME_ROW_WANT;
	bool was_current;

	if (slot == NULL)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "site %s sent %s about a store that it never named",
		    s->peer->name, cw_frame_name(m->type));
	/* The roles changed while it was on its way. */
	if (is_to_source ? slot->st.source == NULL : slot->st.follower == NULL)
		return 0;
	if (is_to_source)
		return cw_sync_source_take(slot->st.source, m, err);
	was_current = cw_follower_is_current(slot->st.follower);
	if (cw_follower_take(slot->st.follower, s->reader, m, err) < 0)
		return -1;
	/* What a failover would have to tell of its age. */
	if (cw_follower_is_current(slot->st.follower) &&
	    (!was_current || m->type == CW_FRAME_PLAN_END)) {
		struct cw_follower_state state;

		cw_follower_state(slot->st.follower, &state);
		if (state.is_equal && session_rejoin(slot, err) < 0)
			return -1;
		return cw_current_save(slot->dirfd, state.generation, err);
	}
	return cw_follower_poll(slot->st.follower, err);
}

void
session_leave_out(
    struct cw_session *s, struct slot *slot, bool is_ours, const char *why)
{
	const char *name = slot->st.config->name;

	cw_sync_source_free(slot->st.source);
	cw_follower_free(slot->st.follower);
	slot->st.source = NULL;
	slot->st.follower = NULL;
	slot->is_left |= slot->st.is_shared;
	slot->st.is_shared = false;
	/* The daemon logs it once, shows it, and has it tried again. */
	if (s->o.channel >= 0)
		(void)cw_channel_send(s->o.channel, NULL, "%s %s %s",
		    is_ours ? "left" : "refused", name, why);
	else
		session_event(s, "store %s: %s", name, why);
}

/*
 * A disk that is full under one store stops that one alone.  What the line or
 * the peer does wrong, or may have, ends the session.  0: it was left out.
 */
static int
one_failed(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;

	if (err == NULL || s->o.store != NULL)
		return -1;
	switch (err->code) {
	case CW_ERR_NOSPACE:
	case CW_ERR_FAILED:
	case CW_ERR_BUSY:
		break;
	default:
		return -1;
	}
	failed = *err;
	if (session_say_error(s, slot, &failed, err) < 0)
		return -1;
	session_leave_out(s, slot, true, failed.message);
	*err = (struct cw_error)CW_ERROR_INIT;
	return 0;
}

int
session_take_error(
    struct cw_session *s, const Cw__Error *m, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	char quoted[CW_QUOTE_MAX];

	cw_text_quote(m->message, strlen(m->message), quoted);
	/* About one store: the others go on. */
	if (m->has_store && s->o.store == NULL) {
		struct slot *slot = slot_of(s, m->store);

		if (slot == NULL)
			return 0;
		(void)cw_error_set(&why, CW_ERR_FAILED, "site %s says: %s",
		    s->peer->name, quoted);
		session_leave_out(s, slot, false, why.message);
		return 0;
	}
	return cw_error_set(err, cw_wire_code(m->code), "site %s says: %s",
	    s->peer->name, quoted);
}

static int
take_frame(
    struct cw_session *s, const struct cw_frame *frame, struct cw_error *err)
{
	struct cw_wire_msg m;
	struct slot *slot;
	int got = cw_wire_decode(s->reader, frame, &m, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	switch (m.type) {
	case CW_FRAME_PING:
		return 0; /* that it came is all there is to it */
	case CW_FRAME_BYE:
		s->is_over = true;
		return 0;
	case CW_FRAME_ERROR:
		return session_take_error(s, m.error, err);
	case CW_FRAME_ORDER:
		return session_take_order(s, m.order, err);
	case CW_FRAME_REPLY:
		return session_take_reply(s, m.reply, err);
	case CW_FRAME_POLL:
		return session_take_poll(s, m.poll, err);
	case CW_FRAME_HELLO:
		return cw_error_set(err, CW_ERR_FORMAT,
		    "site %s said HELLO twice", s->peer->name);
	default:
		if (take_sync(s, &m, err) == 0)
			return 0;
		slot = slot_of_frame(s, &m);
		return slot != NULL ? one_failed(s, slot, err) : -1;
	}
}

/* Frames that a follower kept while it applied, then one of the line. */
static int
take_some(struct cw_session *s, bool has_frame, struct cw_error *err)
{
	struct cw_frame frame;
	int got;

	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];

		while (slot->st.follower != NULL &&
		       cw_follower_next_frame(slot->st.follower, &frame) == 1)
			if (take_frame(s, &frame, err) < 0)
				return -1;
	}
	for (unsigned i = 0; has_frame && i < 64 && !s->is_over; i++) {
		if ((got = cw_link_recv(s->link, 0, &frame, err)) <= 0)
			return got;
		if (take_frame(s, &frame, err) < 0)
			return -1;
		/* What it kept comes first. */
		for (size_t k = 0; k < s->slot_count; k++)
			if (s->slots[k].st.follower != NULL)
				return 0;
	}
	return 0;
}

static int
step_sources(struct cw_session *s, bool *did, struct cw_error *err)
{
	*did = false;
	for (size_t i = 0; i < s->slot_count; i++) {
		struct cw_sync_source *source = s->slots[i].st.source;
		int got;

		if (source == NULL)
			continue;
		if ((got = cw_sync_source_step(source, err)) < 0 &&
		    one_failed(s, &s->slots[i], err) < 0)
			return -1;
		*did |= got == 1;
	}
	return 0;
}

/* How far followers are, for `status`. */
static void
note_behind(struct cw_session *s, int64_t now)
{
	if (now - s->behind_ms < BEHIND_MS)
		return;
	s->behind_ms = now;
	session_wake_deferred(s);
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		struct cw_follower_state state;
		struct cw_behind behind;

		if (slot->st.follower == NULL)
			continue;
		cw_follower_state(slot->st.follower, &state);
		behind = (struct cw_behind){state.waiting, state.wanted_bytes};
		if (behind.rows == slot->noted_rows && behind.rows == 0)
			continue;
		slot->noted_rows = behind.rows;
		cw_behind_save(slot->dirfd, &behind);
	}
}

static int
keep_alive(struct cw_session *s, struct cw_error *err)
{
	int64_t now = cw_clock_ms();
	int64_t heard_ms = cw_link_heard_ms(s->link);

	/* While we were busy nobody listened. */
	if (heard_ms < s->listened_ms)
		heard_ms = s->listened_ms;
	if (now - heard_ms > DEAD_MS)
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "site %s has not been heard for %d s; the line is taken "
		    "for "
		    "dead",
		    s->peer->name, DEAD_MS / 1000);
	if (now - s->heard_noted_ms > HEARD_MS &&
	    heard_ms > s->heard_noted_ms) {
		s->heard_noted_ms = now;
		for (size_t i = 0; i < s->slot_count; i++)
			if (s->slots[i].st.is_shared)
				(void)cw_peer_hear(s->slots[i].dirfd,
				    s->peer->name, s->slots[i].st.peer_epoch,
				    NULL);
	}
	note_behind(s, now);
	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].st.follower != NULL &&
		    cw_follower_rest(s->slots[i].st.follower, err) < 0 &&
		    one_failed(s, &s->slots[i], err) < 0)
			return -1;
	if (now - s->sent_ms > SESSION_PING_MS) {
		Cw__Ping ping = CW__PING__INIT;

		return session_send(s, CW_FRAME_PING, &ping.base, err);
	}
	return 0;
}

/* How long to wait for the peer before looking around. */
static int
idle_ms(const struct cw_session *s)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		const struct cw_sync_source *source = s->slots[i].st.source;

		if (source != NULL && cw_sync_source_is_waiting(source))
			return CW_SYNC_SOURCE_LOOK_MS;
	}
	return IDLE_MS;
}

static int
take_lines(struct cw_session *s, struct cw_error *err)
{
	char line[CW_CHANNEL_MAX];
	int got;

	while ((got = cw_channel_recv(s->o.channel, 0, line, err)) == 1)
		if (session_take_line(s, line, err) < 0)
			return -1;
	return got;
}

/*
 * Somebody else moved a store, or declared one: what was settled at HELLO does
 * not hold any more.
 */
static bool
has_moved(struct cw_session *s)
{
	int64_t now = cw_clock_ms();

	if (now - s->looked_ms < ROLE_LOOK_MS)
		return false;
	s->looked_ms = now;
	for (size_t i = 0; i < s->slot_count; i++)
		if (!session_look_at_role(&s->slots[i], false))
			return true;
	return false;
}

int
cw_session_serve(struct cw_session *s,
    bool (*until)(void *arg, struct cw_session *s), void *arg, int64_t limit_ms,
    struct cw_error *err)
{
	int64_t begun = cw_clock_ms();
	bool did = true;

	for (;;) {
		int got;

		if (until != NULL && until(arg, s))
			return 0;
		if (s->is_over)
			return 1;
		if (until == NULL && has_moved(s)) {
			cw_session_bye(s, "roles changed");
			return 1;
		}
		if (s->has_stop)
			return cw_error_set(
			    err, CW_ERR_INTERRUPTED, "asked to stop");
		if (limit_ms > 0 && cw_clock_ms() - begun > limit_ms)
			return cw_error_set(err, CW_ERR_UNREACHABLE,
			    "site %s did not answer within %lld s",
			    s->peer->name, (long long)(limit_ms / 1000));
		if (cw_stop_check(err) < 0 || keep_alive(s, err) < 0)
			return -1;
		got = cw_link_wait(
		    s->link, s->o.channel, did ? 0 : idle_ms(s), err);
		if (got < 0 ||
		    ((got & CW_LINK_OTHER) != 0 && take_lines(s, err) < 0) ||
		    take_some(s, (got & CW_LINK_FRAME) != 0, err) < 0 ||
		    step_sources(s, &did, err) < 0)
			return -1;
		did |= got != 0;
	}
}
