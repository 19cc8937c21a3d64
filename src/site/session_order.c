/*
 * Orders: what one site asks the other to do, and its answer.  "generation"
 * (take one now) and "adopt" (what is this store) are answered here, the rest
 * by whoever was set to.
 */
#include "site/session_impl.h"

#include "base/bytes.h"
#include "site/channel.h"
#include "site/generation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A scan of a large store, a switchover with its hooks. */
#define ORDER_LIMIT_MS (INT64_C(3600) * 1000)
/* Orders of the peer that may wait for one scan. */
#define WAITING_MAX 64u

struct cw_session_args *
cw_session_args_new(void)
{
	return cw_calloc(1, sizeof(struct cw_session_args));
}

void
cw_session_args_free(struct cw_session_args *a)
{
	if (a == NULL)
		return;
	/* One of them may be a store's key. */
	for (size_t i = 0; i < a->count; i++) {
		cw_buf_wipe(&a->list[i].value);
		cw_buf_free(&a->list[i].value);
	}
	free(a);
}

void
cw_session_args_add(
    struct cw_session_args *a, const char *key, const void *value, size_t len)
{
	if (a->count == CW_WIRE_ARGS_MAX || len > CW_WIRE_VALUE_MAX)
		return;
	(void)snprintf(
	    a->list[a->count].key, sizeof(a->list[0].key), "%s", key);
	cw_buf_append(&a->list[a->count].value, value, len);
	a->count++;
}

void
cw_session_args_number(
    struct cw_session_args *a, const char *key, uint64_t value)
{
	char text[24];

	cw_session_args_add(a, key, text,
	    (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

const struct cw_buf *
cw_session_args_get(const struct cw_session_args *a, const char *key)
{
	for (size_t i = 0; a != NULL && i < a->count; i++)
		if (strcmp(a->list[i].key, key) == 0)
			return &a->list[i].value;
	return NULL;
}

bool
cw_session_args_get_number(
    const struct cw_session_args *a, const char *key, uint64_t *value)
{
	const struct cw_buf *text = cw_session_args_get(a, key);

	return text != NULL && cw_decimal_parse((const char *)text->data,
				   text->len, UINT64_MAX, value);
}

static struct cw_session_args *
from_wire(Cw__KeyValue *const *list, size_t count)
{
	struct cw_session_args *a = cw_session_args_new();

	for (size_t i = 0; i < count; i++)
		cw_session_args_add(
		    a, list[i]->key, list[i]->value.data, list[i]->value.len);
	return a;
}

struct wire_args {
	Cw__KeyValue values[CW_WIRE_ARGS_MAX];
	Cw__KeyValue *list[CW_WIRE_ARGS_MAX];
};

static struct wire_args *
to_wire(const struct cw_session_args *a)
{
	struct wire_args *w = cw_calloc(1, sizeof(*w));

	for (size_t i = 0; a != NULL && i < a->count; i++) {
		cw__key_value__init(&w->values[i]);
		w->values[i].key = (char *)(uintptr_t)a->list[i].key;
		w->values[i].value.data = a->list[i].value.data;
		w->values[i].value.len = a->list[i].value.len;
		w->list[i] = &w->values[i];
	}
	return w;
}

static int
send_reply(struct cw_session *s, uint32_t id,
    const struct cw_session_args *values, const struct cw_error *failed,
    bool has_more, const char *text, struct cw_error *err)
{
	struct wire_args *w = to_wire(values);
	Cw__Reply m = CW__REPLY__INIT;
	char sentence[CW_WIRE_TEXT_MAX + 1] = "";
	int ret;

	if (failed != NULL || text != NULL)
		(void)snprintf(sentence, sizeof(sentence), "%s",
		    failed != NULL ? failed->message : text);
	/* A hook's own words, for one, may hold anything. */
	cw_wire_clean(sentence);
	m.message = sentence;
	m.id = id;
	m.ok = failed == NULL;
	m.more = has_more;
	m.values = w->list;
	m.n_values = values != NULL ? values->count : 0;
	if (failed != NULL)
		m.code = (char *)(uintptr_t)cw_error_name(failed->code);
	ret = session_send(s, CW_FRAME_REPLY, &m.base, err);
	free(w);
	return ret;
}

int
cw_session_report(struct cw_session *s, struct cw_session_args *values,
    const char *text, struct cw_error *err)
{
	return send_reply(s, s->answering, values, NULL, true, text, err);
}

void
cw_session_on_order(struct cw_session *s, cw_session_answer *answer, void *arg)
{
	s->answer = answer;
	s->answer_arg = arg;
}

int
cw_session_generation(struct cw_session *s, struct cw_session_store *st,
    const char *capture, uint64_t *generation, struct cw_error *err)
{
	const struct cw_generation_options options = {
	    .capture = capture, .progress = s->o.progress};
	struct slot *slot = session_slot(s, st);
	struct cw_generation taken;
	int ret;

	if (session_lock_alone(slot, true, err) < 0)
		return -1;
	cw_session_busy(s, true);
	ret = cw_generation_take(s->o.home, st->config, &options, &taken, err);
	cw_session_busy(s, false);
	(void)session_lock_alone(slot, false, NULL);
	if (ret < 0)
		return -1;
	*generation = taken.scan.generation;
	if (st->source != NULL)
		cw_sync_source_wake(st->source, *generation);
	return 0;
}

static int
answer_generation(struct cw_session *s, uint64_t generation, uint32_t id,
    struct cw_error *err)
{
	struct cw_session_args *values = cw_session_args_new();
	int ret;

	cw_session_args_number(values, "generation", generation);
	ret = send_reply(s, id, values, NULL, false, NULL, err);
	cw_session_args_free(values);
	return ret;
}

static int
ask_daemon(struct cw_session *s, struct slot *slot, struct cw_error *err)
{
	if (slot->is_polling)
		return 0;
	slot->is_polling = true;
	return cw_channel_send(
	    s->o.channel, err, "poll %s", slot->st.config->name);
}

/* A new generation for the peer; the daemon takes it, or we do. */
static int
order_generation(
    struct cw_session *s, struct slot *slot, uint32_t id, struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;
	struct waiting *w;
	uint64_t generation;

	if (s->waiting_count == WAITING_MAX) {
		cw_error_set(&failed, CW_ERR_BUSY,
		    "site %s has %u orders of yours to answer already",
		    s->o.home->config.name, WAITING_MAX);
		return send_reply(s, id, NULL, &failed, false, NULL, err);
	}
	if (s->o.channel < 0) {
		if (cw_session_generation(
			s, &slot->st, NULL, &generation, &failed) < 0)
			return send_reply(
			    s, id, NULL, &failed, false, NULL, err);
		return answer_generation(s, generation, id, err);
	}
	w = cw_calloc(1, sizeof(*w));
	w->id = id;
	w->slot = slot;
	w->next = s->waiting;
	s->waiting = w;
	s->waiting_count++;
	return ask_daemon(s, slot, err);
}

int
session_take_poll(struct cw_session *s, const Cw__Poll *m, struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;
	uint64_t generation;

	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];

		if (!slot->st.is_shared || slot->st.peer_number != m->store ||
		    slot->st.source == NULL)
			continue;
		if (s->o.channel >= 0)
			return ask_daemon(s, slot, err);
		if (cw_session_generation(
			s, &slot->st, NULL, &generation, &failed) < 0)
			session_event(s, "store %s: %s", slot->st.config->name,
			    failed.message);
		/* The plan's end is said again, if nothing is new. */
		cw_sync_source_wake(slot->st.source, 0);
		return 0;
	}
	return 0;
}

int
session_take_line(struct cw_session *s, char *line, struct cw_error *err)
{
	char *words[4];
	unsigned n = cw_channel_words(line, words, 4);
	struct cw_session_store *st;
	struct slot *slot;
	uint64_t generation = 0;
	bool is_ok;

	if (n == 1 && strcmp(words[0], "stop") == 0) {
		s->has_stop = true;
		return 0;
	}
	if (n < 2 || (st = cw_session_store(s, words[1])) == NULL)
		return 0;
	slot = session_slot(s, st);
	if (n >= 3)
		(void)cw_decimal_parse(
		    words[2], strlen(words[2]), INT64_MAX, &generation);
	session_wake(s, slot, generation);
	if (n != 4 || strcmp(words[0], "scanned") != 0)
		return 0;
	slot->is_polling = false;
	is_ok = strcmp(words[3], "ok") == 0;
	for (struct waiting **at = &s->waiting; *at != NULL;) {
		struct waiting *w = *at;
		struct cw_error failed = {CW_ERR_FAILED,
		    "the active site could not take a generation; its log says "
		    "why"};
		int ret;

		if (w->slot != slot) {
			at = &w->next;
			continue;
		}
		ret = is_ok ? answer_generation(s, generation, w->id, err)
			    : send_reply(
				  s, w->id, NULL, &failed, false, NULL, err);
		*at = w->next;
		s->waiting_count--;
		free(w);
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int
answer_adopt(struct cw_session *s, struct slot *slot,
    struct cw_session_args *values, struct cw_error *err)
{
	uint8_t *key = cw_secret_alloc(CW_STATE_KEY_SIZE);
	const struct cw_root *roots;
	struct cw_catalog *c = NULL;
	size_t count;
	int ret = -1;

	if (slot->st.role.is != CW_ROLE_IS_ACTIVE) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "store %s is not active at site %s", slot->st.config->name,
		    s->o.home->config.name);
		goto out;
	}
	if (cw_home_catalog(
		s->o.home, slot->st.config, CW_CATALOG_READ, &c, err) < 0 ||
	    cw_catalog_state_key(c, key, err) < 0)
		goto out;
	cw_session_args_add(values, "id", slot->st.store_id, CW_STORE_ID_SIZE);
	cw_session_args_add(values, "key", key, CW_STATE_KEY_SIZE);
	roots = cw_catalog_roots(c, &count);
	for (size_t i = 0; i < count; i++) {
		char name[CW_WIRE_WORD_MAX + 1];

		(void)snprintf(name, sizeof(name), "root.%.50s", roots[i].name);
		cw_session_args_add(
		    values, name, roots[i].format, strlen(roots[i].format));
		(void)snprintf(
		    name, sizeof(name), "capture.%.50s", roots[i].name);
		cw_session_args_add(
		    values, name, roots[i].capture, strlen(roots[i].capture));
	}
	ret = 0;
out:
	cw_catalog_close(c);
	cw_secret_free(key);
	return ret;
}

/*
 * A hand-over is of this store, to us, by the peer itself, which must be the
 * site that is active by all that we know.  Anything else would not be taken
 * over in the end, but would use epochs up on the way.
 */
static int
check_giver(struct cw_session *s, const struct cw_role *role,
    const struct cw_handover *h, struct cw_error *err)
{
	const struct cw_epoch *last =
	    &role->history.epochs[role->history.count - 1];
	const struct cw_minisign_public *key = &s->peer->card.sign;

	if (!cw_minisign_public_equal(&h->to, &role->site))
		return cw_error_set(
		    err, CW_ERR_REFUSED, "the hand-over is to another site");
	if (!cw_minisign_public_equal(&h->from, key))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the hand-over was not signed by site %s, which shows it",
		    s->peer->name);
	if (!cw_minisign_public_equal(&last->site, key) &&
	    !cw_minisign_public_equal(&last->site, &role->site))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "site %s gives away a store that is active elsewhere",
		    s->peer->name);
	/* The answer to one that was taken over may have been lost. */
	if (h->epoch == role->epoch && role->is == CW_ROLE_IS_ACTIVE)
		return 0;
	if (role->is == CW_ROLE_IS_ACTIVE)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "site %s is active already, since epoch %" PRIu64,
		    s->o.home->config.name, role->epoch);
	if (h->epoch <= role->epoch)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the hand-over is an old one: it is of epoch %" PRIu64
		    ", and this is epoch %" PRIu64,
		    h->epoch, role->epoch);
	if (h->epoch > role->seen + EPOCHS_AHEAD)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the hand-over is of epoch %" PRIu64 ", out of all "
		    "proportion to epoch %" PRIu64 ", the greatest seen here",
		    h->epoch, role->seen);
	return 0;
}

static int
check_accept(struct cw_session *s, const struct slot *slot,
    const struct cw_session_args *args, struct cw_error *err)
{
	const struct cw_buf *record = cw_session_args_get(args, "record");
	uint8_t id[CW_STORE_ID_SIZE];
	struct cw_handover h;
	struct cw_role role;
	int ret;

	if (record == NULL)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "a hand-over without its record");
	if (cw_handover_parse(
		(const char *)record->data, record->len, id, &h, NULL, err) < 0)
		return -1;
	if (!slot->st.has_catalog ||
	    memcmp(id, slot->st.store_id, sizeof(id)) != 0)
		return cw_error_set(
		    err, CW_ERR_REFUSED, "the hand-over is of another store");
	ret = cw_home_role(s->o.home, slot->st.config, NULL, &role, err);
	if (ret == 0)
		ret = check_giver(s, &role, &h, err);
	cw_role_free(&role);
	return ret;
}

/*
 * What goes beyond "generation" and "adopt".  One at a time: the answer to a
 * cutover gives orders itself and serves meanwhile.
 */
static int
answer_order(struct cw_session *s, struct slot *slot, uint32_t id,
    const char *kind, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err)
{
	int ret;

	if (strcmp(kind, "adopt") == 0)
		return answer_adopt(s, slot, values, err);
	if (s->answer == NULL)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "site %s does not take the order \"%s\" now",
		    s->o.home->config.name, kind);
	if (s->is_answering)
		return cw_error_set(err, CW_ERR_BUSY,
		    "site %s is busy with another order of yours",
		    s->o.home->config.name);
	if (strcmp(kind, "accept") == 0 && check_accept(s, slot, args, err) < 0)
		return -1;
	s->is_answering = true;
	s->answering = id;
	ret = s->answer(s->answer_arg, s, &slot->st, kind, args, values, err);
	s->is_answering = false;
	return ret;
}

int
session_take_order(
    struct cw_session *s, const Cw__Order *m, struct cw_error *err)
{
	struct cw_session_args *args, *values;
	struct cw_error failed = CW_ERROR_INIT;
	struct slot *slot = NULL;
	char kind[CW_WIRE_WORD_MAX + 1];
	uint32_t id = m->id;
	int ret;

	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].st.is_shared &&
		    s->slots[i].st.peer_number == m->store)
			slot = &s->slots[i];
	if (slot == NULL) {
		cw_error_set(&failed, CW_ERR_REFUSED,
		    "site %s does not have that store", s->o.home->config.name);
		return send_reply(s, id, NULL, &failed, false, NULL, err);
	}
	(void)snprintf(kind, sizeof(kind), "%s", m->kind);
	if (strcmp(kind, "generation") == 0)
		return order_generation(s, slot, id, err);
	/* The message is the reader's; the answer may need it meanwhile. */
	args = from_wire(m->args, m->n_args);
	values = cw_session_args_new();
	ret = answer_order(s, slot, id, kind, args, values, &failed);
	ret = send_reply(
	    s, id, values, ret < 0 ? &failed : NULL, false, NULL, err);
	cw_session_args_free(args);
	cw_session_args_free(values);
	return ret;
}

int
session_take_reply(
    struct cw_session *s, const Cw__Reply *m, struct cw_error *err)
{
	struct cw_session_args *values;

	(void)err;
	if (m->id != s->awaited || s->awaited == 0)
		return 0;
	if (m->more) {
		session_event(s, "%.500s", m->message);
		return 0;
	}
	s->has_reply = true;
	s->reply_status = m->ok ? 0 : -1;
	if (!m->ok)
		cw_error_set(&s->reply_error, cw_wire_code(m->code),
		    "site %s: %.800s", s->peer->name, m->message);
	values = from_wire(m->values, m->n_values);
	if (s->reply != NULL) {
		for (size_t i = 0; i < values->count; i++)
			cw_session_args_add(s->reply, values->list[i].key,
			    values->list[i].value.data,
			    values->list[i].value.len);
	}
	cw_session_args_free(values);
	return 0;
}

static bool
is_answered(void *arg, struct cw_session *s)
{
	(void)arg;
	return s->has_reply;
}

int
cw_session_order(struct cw_session *s, const struct cw_session_store *st,
    const char *kind, const struct cw_session_args *args,
    struct cw_session_args *reply, struct cw_error *err)
{
	struct wire_args *w = to_wire(args);
	Cw__Order m = CW__ORDER__INIT;
	/* An order may be given while one is being answered. */
	uint32_t outer = s->awaited;
	struct cw_session_args *outer_reply = s->reply;
	int ret;

	m.id = s->next_order++;
	m.store = st->number;
	m.kind = (char *)(uintptr_t)kind;
	m.args = w->list;
	m.n_args = args != NULL ? args->count : 0;
	s->awaited = m.id;
	s->has_reply = false;
	s->reply = reply;
	ret = session_send(s, CW_FRAME_ORDER, &m.base, err);
	free(w);
	if (ret == 0)
		ret =
		    cw_session_serve(s, is_answered, NULL, ORDER_LIMIT_MS, err);
	if (ret == 1)
		ret = cw_error_set(err, CW_ERR_UNREACHABLE,
		    "site %s hung up before it answered", s->peer->name);
	if (ret == 0 && s->reply_status < 0) {
		if (err != NULL)
			*err = s->reply_error;
		ret = -1;
	}
	s->awaited = outer;
	s->reply = outer_reply;
	s->has_reply = false;
	return ret;
}
