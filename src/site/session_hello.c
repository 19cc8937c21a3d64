/*
 * HELLO: what we say of ourselves, and what the peer says.
 */
#include "site/session_impl.h"

#include "base/bytes.h"
#include "site/receipts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_MS 20000

/* Optional: whoever says it came for one errand, and keeps no link. */
#define FEATURE_VISIT "visit"

static const char *const features[] = {NULL};

struct said {
	Cw__Store store;
	Cw__Epoch *epochs;
	Cw__Epoch **list;
	struct cw_buf text;
	uint8_t digest[CW_STATE_SIZE];
};

Cw__Role
session_role(const struct slot *slot)
{
	if (!slot->st.has_catalog)
		return CW__ROLE__STANDBY;
	switch (slot->st.role.is) {
	case CW_ROLE_IS_ACTIVE:
		/* Given away: it waits to follow. */
		return slot->st.role.has_handover ? CW__ROLE__FENCED
						  : CW__ROLE__ACTIVE;
	case CW_ROLE_IS_FENCED:
		return CW__ROLE__FENCED;
	default:
		return CW__ROLE__STANDBY;
	}
}

/* The epochs' lines, one in each. */
static void
say_history(struct said *said, const struct cw_epochs *history)
{
	char *at, *line;
	size_t n = 0;

	cw_epochs_format(history, &said->text);
	at = cw_buf_string(&said->text);
	said->epochs = cw_calloc(history->count + 1, sizeof(*said->epochs));
	said->list = cw_calloc(history->count + 1, sizeof(Cw__Epoch *));
	while ((line = strsep(&at, "\n")) != NULL && *line != '\0' &&
	       n < history->count) {
		Cw__Epoch *e = &said->epochs[n];

		cw__epoch__init(e);
		e->epoch = history->epochs[n].epoch;
		e->generation = history->epochs[n].generation;
		e->record.data = (uint8_t *)line;
		e->record.len = strlen(line);
		said->list[n++] = e;
	}
	said->store.n_history = n;
	said->store.history = said->list;
}

static int
say_store(struct cw_session *s, struct slot *slot, struct said *said,
    struct cw_error *err)
{
	const struct cw_catalog_info *info;
	struct cw_catalog *c = NULL;
	bool is_known;
	int ret;

	cw__store__init(&said->store);
	said->store.name = slot->st.config->name;
	said->store.role = session_role(slot);
	said->store.follows = said->store.role != CW__ROLE__ACTIVE;
	if (!slot->st.has_catalog)
		return 0;
	if (cw_home_catalog(
		s->o.home, slot->st.config, CW_CATALOG_READ, &c, err) < 0)
		return -1;
	info = cw_catalog_info(c);
	said->store.id.data = slot->st.store_id;
	said->store.id.len = CW_STORE_ID_SIZE;
	said->store.epoch = slot->st.role.epoch;
	said->store.generation = info->generation;
	said->store.floor = info->floor;
	ret = cw_state_digest(c, said->digest, &is_known, err);
	if (ret == 0 && is_known) {
		said->store.digest.data = said->digest;
		said->store.digest.len = sizeof(said->digest);
	}
	cw_catalog_close(c);
	say_history(said, &slot->st.role.history);
	return ret;
}

/* What we imported of the peer's seeds. */
struct receipts {
	char lines[CW_WIRE_RECEIPTS_MAX][CW_RECEIPT_TEXT_SIZE];
	ProtobufCBinaryData list[CW_WIRE_RECEIPTS_MAX];
	size_t count;
};

static void
gather_receipts(const struct cw_session *s, struct receipts *r)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		const struct cw_session_store *st = &s->slots[i].st;

		if (!st->has_catalog || st->config->follow == NULL ||
		    strcmp(st->config->follow, s->peer->name) != 0)
			continue;
		r->count += cw_receipts_list(s->o.home, st->store_id,
		    &r->lines[r->count], CW_WIRE_RECEIPTS_MAX - r->count);
	}
	for (size_t i = 0; i < r->count; i++) {
		r->list[i].data = (uint8_t *)r->lines[i];
		r->list[i].len = strlen(r->lines[i]);
	}
}

static int
say_hello(struct cw_session *s, struct cw_error *err)
{
	struct receipts *receipts = cw_calloc(1, sizeof(*receipts));
	struct said *said = cw_calloc(s->slot_count + 1, sizeof(*said));
	Cw__Store **list = cw_calloc(s->slot_count + 1, sizeof(Cw__Store *));
	Cw__Hello m = CW__HELLO__INIT;
	char software[] = "causeway " CW_VERSION, feature[] = FEATURE_VISIT;
	char *visit = feature;
	int ret = 0;

	m.version_min = m.version_max = CW_WIRE_VERSION;
	/* Who was called does not say how long that will last. */
	if (s->o.channel < 0 && !s->is_server) {
		m.optional = &visit;
		m.n_optional = 1;
	}
	m.site = s->o.home->config.name;
	m.software = software;
	m.time_ms = (uint64_t)session_clock_ms();
	m.stores = list;
	gather_receipts(s, receipts);
	m.receipts = receipts->list;
	m.n_receipts = receipts->count;
	for (size_t i = 0; ret == 0 && i < s->slot_count; i++) {
		ret = say_store(s, &s->slots[i], &said[i], err);
		list[m.n_stores++] = &said[i].store;
	}
	if (ret == 0)
		ret = session_send(s, CW_FRAME_HELLO, &m.base, err);
	for (size_t i = 0; i < s->slot_count; i++) {
		free(said[i].epochs);
		free(said[i].list);
		cw_buf_free(&said[i].text);
	}
	free(said);
	free(list);
	free(receipts);
	return ret;
}

/* The peer would wait for us otherwise.  slot NULL: about all. */
int
session_say_error(struct cw_session *s, const struct slot *slot,
    const struct cw_error *failed, struct cw_error *err)
{
	char sentence[CW_WIRE_TEXT_MAX + 1];
	Cw__Error m = CW__ERROR__INIT;

	(void)snprintf(sentence, sizeof(sentence), "%s", failed->message);
	cw_wire_clean(sentence);
	m.code = (char *)(uintptr_t)cw_error_name(failed->code);
	m.message = sentence;
	m.has_store = slot != NULL;
	m.store = slot != NULL ? slot->st.number : 0;
	return session_send(s, CW_FRAME_ERROR, &m.base, err);
}

/* A wrong one is worth a line, and no more. */
static void
hear_receipt(struct cw_session *s, const ProtobufCBinaryData *text)
{
	struct cw_error why = CW_ERROR_INIT;
	char id[2 * CW_SEED_ID_SIZE + 1];
	struct cw_receipt r;
	bool is_new;

	if (cw_receipts_confirm(s->o.home, (const char *)text->data, text->len,
		&r, NULL, &is_new, &why) < 0) {
		/* Its seed may be long forgotten here. */
		if (why.code != CW_ERR_MISSING)
			session_event(
			    s, "a receipt is passed over: %s", why.message);
		return;
	}
	if (!is_new)
		return;
	cw_hex_encode(r.seed_id, CW_SEED_ID_SIZE, id);
	if (r.wanted == 0)
		session_event(s, "seed %s is confirmed: all of it arrived", id);
	else
		session_event(s,
		    "seed %s is confirmed in part: %llu files had not arrived",
		    id, (unsigned long long)r.wanted);
}

static int
hear_hello(struct cw_session *s, struct cw_error *err)
{
	int64_t asked = session_clock_ms();
	struct cw_frame frame;
	struct cw_wire_msg m;
	const char *feature;
	int got = cw_link_recv(s->link, HELLO_MS, &frame, err);

	if (got == 0)
		return cw_error_set(err, CW_ERR_UNREACHABLE,
		    "site %s said nothing for %d s", s->peer->name,
		    HELLO_MS / 1000);
	if (got < 0 || (got = cw_wire_decode(s->reader, &frame, &m, err)) < 0)
		return -1;
	if (got == 1)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "site %s began with a frame of type %u instead of HELLO",
		    s->peer->name, frame.type);
	if (m.type == CW_FRAME_ERROR)
		return session_take_error(s, m.error, err);
	if (m.type != CW_FRAME_HELLO)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "site %s began with %s instead of HELLO", s->peer->name,
		    cw_frame_name(m.type));
	if (cw_wire_version(m.hello) == 0) {
		cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "site %s speaks versions %u to %u of the protocol, this "
		    "program %u; install the same version of causeway at both",
		    s->peer->name, m.hello->version_min, m.hello->version_max,
		    CW_WIRE_VERSION);
		(void)session_say_error(s, NULL, err, NULL);
		return -1;
	}
	if ((feature = cw_wire_unknown_feature(m.hello, features)) != NULL) {
		cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "site %s insists on \"%s\", which this version does not "
		    "know; install the same version of causeway at both",
		    s->peer->name, feature);
		(void)session_say_error(s, NULL, err, NULL);
		return -1;
	}
	s->is_visit = cw_wire_has_feature(m.hello, FEATURE_VISIT);
	s->clock_offset_ms = (int64_t)m.hello->time_ms -
			     (asked + (session_clock_ms() - asked) / 2);
	for (size_t i = 0; i < m.hello->n_receipts; i++)
		hear_receipt(s, &m.hello->receipts[i]);
	for (size_t i = 0; i < m.hello->n_stores; i++)
		if (session_meet(s, m.hello->stores[i], (uint32_t)i, err) < 0)
			return -1;
	return 0;
}

int
session_hello(struct cw_session *s, struct cw_error *err)
{
	if (say_hello(s, err) < 0 || hear_hello(s, err) < 0)
		return -1;
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		struct cw_error why = CW_ERROR_INIT;

		if (cw_session_begin(s, &slot->st, &why) == 0)
			continue;
		if (why.code != CW_ERR_UNREACHABLE &&
		    session_say_error(s, slot, &why, err) < 0)
			return -1;
		if (s->o.store != NULL || why.code == CW_ERR_UNREACHABLE) {
			if (err != NULL)
				*err = why;
			return -1;
		}
		/* One store's trouble does not stop the others. */
		session_leave_out(s, slot, true, why.message);
	}
	return 0;
}
