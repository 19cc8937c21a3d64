/*
 * A site that holds a paired key and misbehaves: what a peer that was taken
 * over could do.  It speaks over our own link library, with the identity of
 * its home, and sends frames as they come to its mind.
 *
 *     fakepeer --home DIR [--key] [--dial HOST:PORT | --listen HOST:PORT]
 *         [--seconds N] ATTACK [ARG] [-- COMMAND...]
 *
 * COMMAND is the victim: it is run with the link as its standard input and
 * output (causeway link --stdio) or, with --listen, to dial us (causeway
 * sync).  Its status is ours then, and the last line says what memory and time
 * it took; 99 if it had to be killed after N seconds.  With --dial, 0 if the
 * victim hung up and 99 if it did not.  --key: with a key that nobody knows.
 *
 * What the victim says is printed: "heard TYPE ...".
 */
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/progress.h"
#include "site/cutover.h"
#include "site/home.h"
#include "site/identity.h"
#include "site/role.h"
#include "store/contents.h"
#include "sync/carrier.h"
#include "sync/link.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HUNG 99

struct fake {
	struct cw_home *home;
	const struct cw_config_store *config;
	struct cw_minisign_secret *secret;
	struct cw_link *link;
	struct cw_wire_reader *reader;
	struct cw_role role;
	uint8_t id[16], digest[CW_STATE_SIZE];
	uint64_t generation;
	uint32_t serial; /* of the victim's START, or of ours */
	double until;
	bool is_over;
	const char *arg;
};

static struct cw_error err;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fakepeer: %s: %s\n", what, err.message);
	_exit(98);
}

/* ---- sending ---- */

static void
gone(struct fake *f)
{
	if (!f->is_over)
		printf("hung up: %s\n", err.message);
	f->is_over = true;
}

static void
raw(struct fake *f, unsigned type, unsigned flags, const void *body, size_t len)
{
	if (!f->is_over && (cw_link_send(f->link, (uint8_t)type, (uint8_t)flags,
				body, len, &err) < 0 ||
			       cw_link_flush(f->link, &err) < 0))
		gone(f);
}

static void
say(struct fake *f, unsigned type, const void *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *body = cw_malloc(len + 1);

	protobuf_c_message_pack(m, body);
	raw(f, type, 0, body, len);
	free(body);
}

/* ---- hearing ---- */

static void
answer_generation(struct fake *f, uint32_t id)
{
	Cw__Reply m = CW__REPLY__INIT;
	Cw__KeyValue value = CW__KEY_VALUE__INIT, *list = &value;
	char key[] = "generation", text[24];

	value.key = key;
	value.value.data = (uint8_t *)text;
	value.value.len = (size_t)snprintf(
	    text, sizeof(text), "%llu", (unsigned long long)f->generation + 1);
	m.id = id;
	m.ok = true;
	m.values = &list;
	m.n_values = 1;
	say(f, CW_FRAME_REPLY, &m);
}

static void
note(struct fake *f, const struct cw_wire_msg *m)
{
	switch (m->type) {
	case CW_FRAME_ERROR:
		printf(
		    "heard ERROR %s %s\n", m->error->code, m->error->message);
		break;
	case CW_FRAME_REPLY:
		printf("heard REPLY %s %s\n",
		    m->reply->ok ? "ok" : m->reply->code, m->reply->message);
		break;
	case CW_FRAME_START:
		f->serial = m->start->serial;
		printf("heard START since %llu all %d\n",
		    (unsigned long long)m->start->since, m->start->all);
		break;
	case CW_FRAME_HELLO:
		printf("heard HELLO of %s, %zu stores\n", m->hello->site,
		    m->hello->n_stores);
		break;
	case CW_FRAME_WANT:
		printf("heard WANT of %zu, first %u, size %llu, chunks %d\n",
		    m->want->n_items,
		    m->want->n_items > 0 ? m->want->items[0]->id : 0,
		    m->want->n_items > 0
			? (unsigned long long)m->want->items[0]->size
			: 0,
		    m->want->n_items > 0 && m->want->items[0]->chunks);
		break;
	case CW_FRAME_DATA:
		printf("heard DATA %s offset %llu\n",
		    m->data->gone ? "gone" : "",
		    (unsigned long long)m->data->offset);
		break;
	case CW_FRAME_ORDER:
		printf("heard ORDER %s\n", m->order->kind);
		if (strcmp(m->order->kind, "generation") == 0)
			answer_generation(f, m->order->id);
		break;
	default:
		printf("heard %s\n", cw_frame_name(m->type));
	}
}

/* The next frame of a type (0: of any) within so many seconds: 0. */
static int
hear(struct fake *f, unsigned type, double seconds, struct cw_wire_msg *m)
{
	double end = now() + seconds;

	if (end > f->until)
		end = f->until;
	while (!f->is_over && now() < end) {
		struct cw_frame frame;
		int ms = (int)((end - now()) * 1000) + 1;
		int got = cw_link_recv(f->link, ms, &frame, &err);

		if (got < 0)
			gone(f);
		if (got != 1 || cw_wire_decode(f->reader, &frame, m, NULL) != 0)
			continue;
		note(f, m);
		if (type == 0 || m->type == type)
			return 0;
	}
	return -1;
}

/* What has come is thrown away, unread. */
static void
ignore(struct fake *f)
{
	struct cw_frame frame;
	int got = 0;

	while (
	    !f->is_over && (got = cw_link_recv(f->link, 0, &frame, &err)) == 1)
		;
	if (got < 0)
		gone(f);
	if (now() > f->until)
		f->is_over = true;
}

/* ---- HELLO ---- */

struct hello {
	Cw__Hello m;
	Cw__Store store;
	Cw__Store *stores;
	Cw__Epoch epochs[CW_WIRE_EPOCHS_MAX];
	Cw__Epoch *list[CW_WIRE_EPOCHS_MAX];
	char *visit;
	struct cw_buf text;
};

static void
fill_history(struct hello *h, const struct cw_epochs *history)
{
	char *at, *line;
	size_t n = 0;

	cw_buf_reset(&h->text);
	cw_epochs_format(history, &h->text);
	at = cw_buf_string(&h->text);
	while ((line = strsep(&at, "\n")) != NULL && *line != '\0' &&
	       n < history->count) {
		cw__epoch__init(&h->epochs[n]);
		h->epochs[n].epoch = history->epochs[n].epoch;
		h->epochs[n].generation = history->epochs[n].generation;
		h->epochs[n].record.data = (uint8_t *)line;
		h->epochs[n].record.len = strlen(line);
		h->list[n] = &h->epochs[n];
		n++;
	}
	h->store.history = h->list;
	h->store.n_history = n;
}

static struct hello *
hello_new(struct fake *f)
{
	struct hello *h = cw_calloc(1, sizeof(*h));
	static char visit[] = "visit", software[] = "fakepeer";

	cw__hello__init(&h->m);
	cw__store__init(&h->store);
	h->stores = &h->store;
	h->visit = visit;
	h->m.version_min = h->m.version_max = CW_WIRE_VERSION;
	h->m.optional = &h->visit;
	h->m.n_optional = 1;
	h->m.site = f->home->config.name;
	h->m.software = software;
	h->m.time_ms = (uint64_t)time(NULL) * 1000;
	h->m.stores = &h->stores;
	h->m.n_stores = 1;
	h->store.name = f->config->name;
	h->store.id.data = f->id;
	h->store.id.len = sizeof(f->id);
	h->store.role = f->role.is == CW_ROLE_IS_ACTIVE ? CW__ROLE__ACTIVE
							: CW__ROLE__STANDBY;
	h->store.follows = f->role.is != CW_ROLE_IS_ACTIVE;
	h->store.epoch = f->role.epoch;
	h->store.generation = f->generation;
	h->store.digest.data = f->digest;
	h->store.digest.len = sizeof(f->digest);
	fill_history(h, &f->role.history);
	return h;
}

static void
hello_say(struct fake *f, struct hello *h)
{
	struct cw_wire_msg m;

	say(f, CW_FRAME_HELLO, &h->m);
	(void)hear(f, CW_FRAME_HELLO, 20, &m);
	cw_buf_free(&h->text);
	free(h);
}

static void
hello(struct fake *f)
{
	hello_say(f, hello_new(f));
}

/* HELLO, and the victim, who follows, has said START. */
static void
as_source(struct fake *f)
{
	struct cw_wire_msg m;

	hello(f);
	(void)hear(f, CW_FRAME_START, 30, &m);
}

static void
start(struct fake *f, uint64_t since)
{
	Cw__Start m = CW__START__INIT;

	m.serial = ++f->serial;
	m.since = since;
	m.epoch = f->role.epoch;
	say(f, CW_FRAME_START, &m);
}

static void
as_replica(struct fake *f)
{
	struct cw_wire_msg m;

	hello(f);
	start(f, f->generation);
	(void)hear(f, CW_FRAME_PLAN_END, 30, &m);
}

/* ---- plans ---- */

#define ROWS 4096

struct plan {
	Cw__Plan m;
	Cw__Row rows[ROWS];
	Cw__Row *row_list[ROWS];
	Cw__Dir dirs[ROWS];
	Cw__Dir *dir_list[ROWS];
	Cw__Owner owner;
	Cw__Owner *owners;
	uint8_t digests[ROWS][CW_DIGEST_SIZE];
};

static struct plan *
plan_new(struct fake *f)
{
	struct plan *p = cw_calloc(1, sizeof(*p));
	static char root[] = "root";

	cw__plan__init(&p->m);
	cw__owner__init(&p->owner);
	p->owners = &p->owner;
	p->owner.user = p->owner.group = root;
	p->m.serial = f->serial;
	p->m.first = true;
	p->m.since = f->generation;
	p->m.target = f->generation + 1;
	p->m.rows = p->row_list;
	p->m.dirs = p->dir_list;
	p->m.owners = &p->owners;
	p->m.n_owners = 1;
	return p;
}

static Cw__Row *
row_bytes(struct fake *f, struct plan *p, const char *dir, size_t dir_len,
    const char *name, size_t name_len)
{
	size_t n = p->m.n_dirs, i = p->m.n_rows++;
	Cw__Row *row = &p->rows[i];

	if (n == 0 || p->dirs[n - 1].path.len != dir_len ||
	    memcmp(p->dirs[n - 1].path.data, dir, dir_len) != 0) {
		cw__dir__init(&p->dirs[n]);
		p->dirs[n].index = (uint32_t)n;
		p->dirs[n].id = 100 + n;
		p->dirs[n].path.data = (uint8_t *)(uintptr_t)dir;
		p->dirs[n].path.len = dir_len;
		p->dir_list[n] = &p->dirs[n];
		n = ++p->m.n_dirs;
	}
	cw__row__init(row);
	p->row_list[i] = row;
	row->dir = (uint32_t)n - 1;
	row->name.data = (uint8_t *)(uintptr_t)name;
	row->name.len = name_len;
	row->generation = f->generation + 1;
	row->mode = 0644;
	row->mtime_ns = 1700000000000000000;
	row->digest.data = p->digests[i];
	row->digest.len = CW_DIGEST_SIZE;
	return row;
}

static Cw__Row *
row(struct fake *f, struct plan *p, const char *dir, const char *name)
{
	return row_bytes(f, p, dir, strlen(dir), name, strlen(name));
}

/* Its content is in the row, and right. */
static Cw__Row *
file(struct fake *f, struct plan *p, const char *dir, const char *name,
    const char *text)
{
	Cw__Row *r = row(f, p, dir, name);

	r->size = r->content.len = strlen(text);
	r->content.data = (uint8_t *)(uintptr_t)text;
	cw_sha256(text, strlen(text), r->digest.data);
	return r;
}

/* A file that is to be wanted. */
static Cw__Row *
large(struct fake *f, struct plan *p, const char *dir, const char *name,
    uint64_t size)
{
	Cw__Row *r = row(f, p, dir, name);

	r->size = size;
	memset(r->digest.data, (int)(p->m.n_rows & 0xff), CW_DIGEST_SIZE);
	cw_put_le64(r->digest.data, (uint64_t)(now() * 1e6));
	return r;
}

static Cw__Row *
node(struct fake *f, struct plan *p, const char *dir, const char *name,
    Cw__Kind kind, const char *target)
{
	Cw__Row *r = row(f, p, dir, name);

	r->kind = kind;
	r->mode = 0755;
	if (kind == CW__KIND__DIRECTORY)
		r->mtime_ns = 0;
	r->digest.len = 0;
	if (target != NULL) {
		r->target.data = (uint8_t *)(uintptr_t)target;
		r->target.len = strlen(target);
	}
	return r;
}

static void
plan_say(struct fake *f, struct plan *p)
{
	p->m.serial = f->serial;
	say(f, CW_FRAME_PLAN, &p->m);
	free(p);
}

static void
end_at(struct fake *f, uint64_t generation, const uint8_t *digest)
{
	Cw__PlanEnd m = CW__PLAN_END__INIT;

	m.generation = generation;
	m.epoch = f->role.epoch;
	m.serial = f->serial;
	if (digest != NULL) {
		m.digest.data = (uint8_t *)(uintptr_t)digest;
		m.digest.len = CW_STATE_SIZE;
	}
	say(f, CW_FRAME_PLAN_END, &m);
}

/* The plan is all there is, and has no digest that could tell. */
static void
plan_end(struct fake *f, struct plan *p)
{
	struct cw_wire_msg m;

	plan_say(f, p);
	end_at(f, f->generation + 1, NULL);
	if (hear(f, CW_FRAME_ACK, 10, &m) == 0)
		f->generation++;
}

/* ---- answers to WANTs ---- */

static void
data(struct fake *f, uint32_t id, uint64_t offset, size_t len, bool last)
{
	Cw__Data m = CW__DATA__INIT;
	uint8_t *bytes = cw_calloc(1, len + 1);

	m.id = id;
	m.offset = offset;
	m.last = last;
	m.payload.data = bytes;
	m.payload.len = len;
	say(f, CW_FRAME_DATA, &m);
	free(bytes);
}

static void
chunks(struct fake *f, uint32_t id, uint64_t first, uint32_t len, size_t count,
    bool last)
{
	Cw__Chunks m = CW__CHUNKS__INIT;

	m.id = id;
	m.first = first;
	m.last = last;
	m.lengths = cw_calloc(count + 1, sizeof(*m.lengths));
	m.n_lengths = count;
	for (size_t i = 0; i < count; i++)
		m.lengths[i] = len;
	m.digests.data = cw_calloc(count + 1, CW_SHA256_SIZE);
	m.digests.len = count * CW_SHA256_SIZE;
	say(f, CW_FRAME_CHUNKS, &m);
	free(m.lengths);
	free(m.digests.data);
}

/* The victim, who follows, wants a content of so many bytes: its item. */
static Cw__Item *
wanted(struct fake *f, const char *dir, const char *name, uint64_t size,
    struct cw_wire_msg *m)
{
	struct plan *p;

	as_source(f);
	p = plan_new(f);
	(void)large(f, p, dir, name, size);
	plan_say(f, p);
	end_at(f, f->generation + 1, NULL);
	return hear(f, CW_FRAME_WANT, 10, m) == 0 && m->want->n_items > 0
		   ? m->want->items[0]
		   : NULL;
}

/* ---- orders ---- */

static void
order(struct fake *f, const char *kind, const char *record, size_t len)
{
	Cw__Order m = CW__ORDER__INIT;
	Cw__KeyValue value = CW__KEY_VALUE__INIT, *list = &value;
	static char key[] = "record";
	struct cw_wire_msg reply;

	value.key = key;
	value.value.data = (uint8_t *)(uintptr_t)record;
	value.value.len = len;
	m.id = 7;
	m.kind = (char *)(uintptr_t)kind;
	m.args = &list;
	m.n_args = record != NULL ? 1 : 0;
	say(f, CW_FRAME_ORDER, &m);
	/* Reports may come before the answer. */
	while (hear(f, CW_FRAME_REPLY, 20, &reply) == 0 && reply.reply->more)
		;
}

/* A record that is false in one way, as ARG says. */
static void
order_accept(struct fake *f)
{
	const struct cw_config_peer *peer = &f->home->config.peers[0];
	struct cw_minisign_public to = peer->card.sign;
	struct cw_minisign_secret *key = f->secret;
	uint64_t generation = f->generation;
	struct cw_role role = f->role;
	struct cw_buf text = CW_BUF_INIT;

	role.is = CW_ROLE_IS_ACTIVE;
	role.fork = CW_FORK_NONE;
	if (strcmp(f->arg, "store") == 0)
		memset(role.store_id, 0x5a, sizeof(role.store_id));
	if (strcmp(f->arg, "site") == 0)
		to = role.site;
	if (strcmp(f->arg, "key") == 0) {
		key = cw_minisign_generate();
		cw_minisign_secret_public(key, &role.site);
	}
	if (strcmp(f->arg, "epoch") == 0)
		role.seen = CW_ROLE_EPOCH_MAX - 2;
	if (strcmp(f->arg, "generation") == 0)
		generation += 5;
	if (cw_role_hand_over(
		&role, &to, generation, f->digest, key, &text, &err) < 0)
		die("hand-over");
	order(f, "accept", (const char *)text.data, text.len);
	cw_buf_free(&text);
}

/* ---- the attacks ---- */

static void
garbage(struct fake *f, size_t n)
{
	uint8_t bytes[512];

	for (size_t i = 0; i < n && !f->is_over; i++) {
		cw_random(bytes, sizeof(bytes));
		raw(f, 1 + bytes[0] % 18, bytes[1] & 1, bytes + 2, bytes[2]);
		ignore(f);
	}
}

/* What is wrong before or in HELLO. */
static bool
attack_hello(struct fake *f, const char *what)
{
	static char feature[] = "teleport";
	char *list = feature;
	struct hello *h = hello_new(f);
	struct cw_minisign_secret *key;

	if (strcmp(what, "hello-silence") == 0) {
		return true;
	} else if (strcmp(what, "hello-garbage") == 0) {
		raw(f, CW_FRAME_HELLO, 0, "\377\377\377\377 what", 9);
	} else if (strcmp(what, "hello-optional") == 0) {
		raw(f, 200, 0, "x", 1);
	} else if (strcmp(what, "hello-other") == 0) {
		start(f, 0);
	} else if (strcmp(what, "hello-version") == 0) {
		h->m.version_min = 7;
		h->m.version_max = 9;
		hello_say(f, h);
	} else if (strcmp(what, "hello-mandatory") == 0) {
		h->m.mandatory = &list;
		h->m.n_mandatory = 1;
		hello_say(f, h);
	} else if (strcmp(what, "hello-twice") == 0) {
		hello(f);
		hello(f);
	} else if (strcmp(what, "hello-roots") == 0) {
		static Cw__Root root;
		static char name[] = "../x";
		static Cw__Root *roots[300];

		cw__root__init(&root);
		root.name = root.format = root.capture = name;
		for (size_t i = 0; i < 300; i++)
			roots[i] = &root;
		h->store.roots = roots;
		h->store.n_roots = 300;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-unpaired") == 0) {
		/* A key that nobody knows began a greater epoch. */
		key = cw_minisign_generate();
		cw_minisign_secret_public(key, &f->role.site);
		f->role.is = CW_ROLE_IS_STANDBY;
		if (cw_role_promote(&f->role, CW_EPOCH_FAILOVER, f->generation,
			key, &err) < 0)
			die("promote");
		fill_history(h, &f->role.history);
		h->store.epoch = f->role.epoch;
		h->store.role = CW__ROLE__ACTIVE;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-split") == 0) {
		/* As many failovers as it takes to be in the epoch of ARG. */
		while (f->role.epoch < strtoull(f->arg, NULL, 10)) {
			f->role.is = CW_ROLE_IS_STANDBY;
			if (cw_role_promote(&f->role, CW_EPOCH_FAILOVER,
				f->generation, f->secret, &err) < 0)
				die("promote");
		}
		fill_history(h, &f->role.history);
		h->store.epoch = f->role.epoch;
		h->store.role = CW__ROLE__ACTIVE;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-far") == 0) {
		f->role.is = CW_ROLE_IS_STANDBY;
		f->role.seen = CW_ROLE_EPOCH_MAX - 2;
		if (cw_role_promote(&f->role, CW_EPOCH_FAILOVER, f->generation,
			f->secret, &err) < 0)
			die("promote");
		fill_history(h, &f->role.history);
		h->store.epoch = f->role.epoch;
		h->store.role = CW__ROLE__ACTIVE;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-unsigned") == 0) {
		/* Says it is active, and shows nothing. */
		h->store.epoch = 99;
		h->store.role = CW__ROLE__ACTIVE;
		h->store.n_history = 0;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-lower") == 0) {
		/* Does not know that it was superseded, or says so. */
		h->store.role = CW__ROLE__ACTIVE;
		hello_say(f, h);
	} else if (strcmp(what, "epoch-edited") == 0) {
		h->text.data[h->text.len / 2] ^= 1;
		h->store.role = CW__ROLE__ACTIVE;
		hello_say(f, h);
	} else {
		cw_buf_free(&h->text);
		free(h);
		return false;
	}
	return true;
}

/* Frames that no honest site sends. */
static bool
attack_frame(struct fake *f, const char *what)
{
	static uint8_t body[64] = {
	    0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0x7f};
	Cw__Ping ping = CW__PING__INIT;
	Cw__PlanEnd end = CW__PLAN_END__INIT;
	Cw__Error error = CW__ERROR__INIT;

	if (strcmp(what, "frame-unknown") == 0) {
		hello(f);
		raw(f, 99, 0, "x", 1);
	} else if (strcmp(what, "frame-garbage") == 0) {
		hello(f);
		garbage(f, 20000);
	} else if (strcmp(what, "frame-bomb") == 0) {
		hello(f);
		raw(f, CW_FRAME_PLAN, 1, body, sizeof(body));
	} else if (strcmp(what, "frame-store") == 0) {
		hello(f);
		end.store = 200;
		say(f, CW_FRAME_PLAN_END, &end);
	} else if (strcmp(what, "frame-silence") == 0) {
		hello(f);
	} else if (strcmp(what, "frame-pings") == 0) {
		hello(f);
		for (unsigned i = 0; i < 300000 && !f->is_over; i++) {
			say(f, CW_FRAME_PING, &ping);
			ignore(f);
		}
	} else if (strcmp(what, "frame-words") == 0) {
		/* What a terminal would take for orders, and no UTF-8. */
		static char code[] = "refused",
			    words[] = "\302\2332J\377\376 x";

		hello(f);
		error.code = code;
		error.message = words;
		say(f, CW_FRAME_ERROR, &error);
	} else {
		return false;
	}
	return true;
}

/* Against a follower: paths and kinds. */
static bool
attack_path(struct fake *f, const char *what)
{
	static const struct {
		const char *what, *dir, *name;
		size_t dir_len, name_len;
	} bad[] = {
	    {"path-up", "mail/../../up", "x", 13, 1},
	    {"path-dots", "mail/cur", "..", 8, 2},
	    {"path-dot", "mail/cur", ".", 8, 1},
	    {"path-slash", "mail/cur", "../../x", 8, 7},
	    {"path-absolute", "/etc", "cron", 4, 4},
	    {"path-double", "mail//cur", "x", 9, 1},
	    {"path-trailing", "mail/cur/", "x", 9, 1},
	    {"path-nul", "mail/cur", "a\0b", 8, 3},
	    {"path-nul-dir", "mail/c\0r", "x", 8, 1},
	    {"path-empty", "mail/cur", "", 8, 0},
	    {"path-root", "nosuch/cur", "x", 10, 1},
	    {"path-top", "", "nosuch", 0, 6},
	};
	struct plan *p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		Cw__Row *r;

		if (strcmp(what, bad[i].what) != 0)
			continue;
		as_source(f);
		p = plan_new(f);
		r = row_bytes(f, p, bad[i].dir, bad[i].dir_len, bad[i].name,
		    bad[i].name_len);
		r->size = r->content.len = 4;
		r->content.data = (uint8_t *)(uintptr_t) "evil";
		cw_sha256("evil", 4, r->digest.data);
		plan_end(f, p);
		return true;
	}
	if (strcmp(what, "path-symlink") == 0) {
		/* A symlink out of the root, then files through it. */
		as_source(f);
		p = plan_new(f);
		(void)node(f, p, "mail", "way", CW__KIND__SYMLINK, f->arg);
		plan_end(f, p);
		p = plan_new(f);
		(void)file(f, p, "mail/way", "pwned", "evil");
		(void)node(f, p, "mail/way", "sub", CW__KIND__DIRECTORY, NULL);
		plan_end(f, p);
	} else if (strcmp(what, "path-symlink-at-once") == 0) {
		as_source(f);
		p = plan_new(f);
		(void)node(f, p, "mail", "way2", CW__KIND__SYMLINK, f->arg);
		(void)file(f, p, "mail/way2", "pwned", "evil");
		plan_end(f, p);
	} else if (strcmp(what, "path-planted") == 0) {
		/* ARG is a directory of the replica that is a symlink now. */
		as_source(f);
		p = plan_new(f);
		(void)file(f, p, f->arg, "pwned", "evil");
		plan_end(f, p);
	} else if (strcmp(what, "path-file-is-dir") == 0) {
		as_source(f);
		p = plan_new(f);
		(void)file(f, p, "mail", "both", "a file");
		(void)file(f, p, "mail/both", "below", "below it");
		plan_end(f, p);
	} else if (strcmp(what, "path-deep") == 0) {
		static char deep[9000] = "mail";

		as_source(f);
		for (size_t i = 4; i + 2 < sizeof(deep); i += 2)
			memcpy(deep + i, "/d", 2);
		p = plan_new(f);
		(void)file(f, p, deep, "x", "deep");
		plan_end(f, p);
	} else if (strcmp(what, "path-loop") == 0) {
		/* Names of one file that is two, a link to itself. */
		as_source(f);
		p = plan_new(f);
		file(f, p, "mail", "one", "one")->linkgroup = 9;
		file(f, p, "mail", "two", "other")->linkgroup = 9;
		(void)node(f, p, "mail", "self", CW__KIND__SYMLINK, "self");
		(void)node(f, p, "mail", "mail", CW__KIND__DIRECTORY, NULL);
		(void)node(
		    f, p, "mail/mail", "mail", CW__KIND__DIRECTORY, NULL);
		plan_end(f, p);
	} else {
		return false;
	}
	return true;
}

/* Against a follower: sizes, digests, contents, generations. */
static bool
attack_content(struct fake *f, const char *what)
{
	struct cw_wire_msg m;
	struct plan *p;
	Cw__Item *item;
	Cw__Row *r;

	if (strcmp(what, "row-short") == 0 || strcmp(what, "row-long") == 0) {
		as_source(f);
		p = plan_new(f);
		r = file(f, p, "mail/cur", "liar", "sixteen bytes ..");
		r->size = strcmp(what, "row-long") == 0 ? 3 : 400;
		plan_end(f, p);
	} else if (strcmp(what, "row-digest") == 0) {
		as_source(f);
		p = plan_new(f);
		r = file(f, p, "mail/cur", "liar", "sixteen bytes ..");
		r->digest.data[5] ^= 1;
		plan_end(f, p);
	} else if (strcmp(what, "row-owner") == 0) {
		as_source(f);
		p = plan_new(f);
		file(f, p, "mail/cur", "liar", "x")->owner = 77;
		plan_end(f, p);
	} else if (strcmp(what, "row-huge") == 0) {
		/* Claims that it is as large as a file can be, then sends. */
		item = wanted(f, "mail/cur", "huge", 1ull << 62, &m);
		for (unsigned i = 0; item != NULL && i < 8; i++)
			data(f, item->id, (uint64_t)i << 18, 1u << 18, false);
	} else if (strcmp(what, "row-backward") == 0) {
		as_source(f);
		p = plan_new(f);
		(void)file(f, p, "mail/cur", "one", "x");
		file(f, p, "mail/cur", "two", "x")->generation = f->generation;
		plan_end(f, p);
	} else if (strcmp(what, "row-brief") == 0) {
		/* Brief rows that fit nothing, answered by more of them. */
		as_source(f);
		for (unsigned i = 0; i < 2000 && !f->is_over; i++) {
			p = plan_new(f);
			p->m.first = i == 0;
			p->m.answer = i > 0;
			r = row(f, p, "mail/cur", "1.M1.h:2,S");
			r->digest.len = 0;
			r->mode = 0;
			r->mtime_ns = 0;
			r->brief_mac.data = p->digests[0];
			r->brief_mac.len = 8;
			plan_say(f, p);
			ignore(f);
		}
	} else if (strcmp(what, "data-short") == 0) {
		item = wanted(f, "mail/cur", "large", 300000, &m);
		if (item != NULL)
			data(f, item->id, 0, 1000, true);
	} else if (strcmp(what, "data-long") == 0) {
		item = wanted(f, "mail/cur", "large", 100000, &m);
		if (item != NULL)
			data(f, item->id, 0, 200000, false);
	} else if (strcmp(what, "data-jump") == 0) {
		item = wanted(f, "mail/cur", "large", 300000, &m);
		if (item != NULL) {
			data(f, item->id, 0, 1000, false);
			data(f, item->id, 99000, 1000, true);
		}
	} else if (strcmp(what, "data-from") == 0) {
		item = wanted(f, "mail/cur", "large", 300000, &m);
		if (item != NULL)
			data(f, item->id, 77, 1000, false);
	} else if (strcmp(what, "data-endless") == 0) {
		item = wanted(f, "mail/cur", "large", 300000, &m);
		for (unsigned i = 0; item != NULL && i < 100000 && !f->is_over;
		     i++) {
			data(f, item->id, 0, 0, false);
			ignore(f);
		}
	} else if (strcmp(what, "data-wrong") == 0 ||
		   strcmp(what, "data-gone") == 0) {
		/* Never the content that was promised, however often. */
		bool is_gone = strcmp(what, "data-gone") == 0;
		int got = 0;

		item = wanted(f, "mail/cur", "large", 100000, &m);
		while (item != NULL && !f->is_over && got == 0) {
			Cw__Data gone_data = CW__DATA__INIT;

			gone_data.id = item->id;
			gone_data.gone = gone_data.last = true;
			if (is_gone)
				say(f, CW_FRAME_DATA, &gone_data);
			else
				data(f, item->id, 0, 100000, true);
			item = NULL;
			while ((got = hear(f, 0, 10, &m)) == 0 &&
			       m.type != CW_FRAME_WANT)
				if (m.type == CW_FRAME_POLL)
					end_at(f, f->generation + 1, NULL);
			if (got == 0 && m.want->n_items > 0)
				item = m.want->items[0];
		}
	} else if (strcmp(what, "data-silence") == 0) {
		item = wanted(f, "mail/cur", "large", 300000, &m);
		if (item != NULL)
			data(f, item->id, 0, 1000, false);
	} else if (strcmp(what, "data-nobody") == 0) {
		as_source(f);
		for (uint32_t i = 0; i < 1000; i++)
			data(f, 0x3ff + i, 0, 1000, true);
		data(f, UINT32_MAX, 0, 1000, true);
	} else if (strcmp(what, "chunks-sum") == 0) {
		item = wanted(f, "mail", f->arg, 1000000, &m);
		if (item != NULL)
			chunks(f, item->id, 0, 20000, 3, true);
	} else if (strcmp(what, "chunks-over") == 0) {
		item = wanted(f, "mail", f->arg, 1000000, &m);
		if (item != NULL)
			chunks(f, item->id, 0, 30000, 100, true);
	} else if (strcmp(what, "chunks-tiny") == 0) {
		item = wanted(f, "mail", f->arg, 1u << 30, &m);
		for (uint64_t i = 0; item != NULL && i < 120 && !f->is_over;
		     i++)
			chunks(f, item->id, i * 16384, 1, 16384, false);
	} else if (strcmp(what, "chunks-order") == 0) {
		item = wanted(f, "mail", f->arg, 1000000, &m);
		if (item != NULL)
			chunks(f, item->id, 5000, 20000, 3, false);
	} else if (strcmp(what, "chunks-data") == 0) {
		item = wanted(f, "mail", f->arg, 1000000, &m);
		if (item != NULL) {
			chunks(f, item->id, 0, 20000, 3, false);
			data(f, item->id, 0, 1000, false);
		}
	} else if (strcmp(what, "plan-silence") == 0) {
		as_source(f);
		p = plan_new(f);
		(void)file(f, p, "mail/cur", "one", "x");
		plan_say(f, p);
	} else {
		return false;
	}
	return true;
}

/* Against a follower: generations, comparison, floods. */
static bool
attack_plan(struct fake *f, const char *what)
{
	uint8_t wrong[CW_STATE_SIZE] = {1, 2, 3};
	struct cw_wire_msg m;
	struct plan *p;

	if (strcmp(what, "end-backward") == 0) {
		as_source(f);
		for (unsigned i = 0; i < 300 && !f->is_over; i++) {
			end_at(f, f->generation > 0 ? f->generation - 1 : 0,
			    wrong);
			(void)hear(f, CW_FRAME_START, 2, &m);
		}
	} else if (strcmp(what, "end-digest") == 0) {
		/* Always another digest: compared, and nothing is found. */
		as_source(f);
		for (unsigned i = 0; i < 50 && !f->is_over; i++) {
			Cw__Dirs dirs = CW__DIRS__INIT;

			end_at(f, f->generation, wrong);
			if (hear(f, CW_FRAME_START, 10, &m) < 0 ||
			    !m.start->all)
				continue;
			dirs.serial = f->serial;
			dirs.last = true;
			dirs.generation = f->generation;
			say(f, CW_FRAME_DIRS, &dirs);
			(void)hear(f, CW_FRAME_START, 10, &m);
		}
	} else if (strcmp(what, "list-unasked") == 0) {
		Cw__DirList list = CW__DIR_LIST__INIT;

		as_source(f);
		list.serial = f->serial;
		list.path.data = (uint8_t *)(uintptr_t) "mail";
		list.path.len = 4;
		list.last = true;
		say(f, CW_FRAME_DIR_LIST, &list);
	} else if (strcmp(what, "list-up") == 0) {
		Cw__Dirs dirs = CW__DIRS__INIT;
		Cw__DirSum sum = CW__DIR_SUM__INIT, *sums = &sum;

		as_source(f);
		sum.path.data = (uint8_t *)(uintptr_t) "mail/../../etc";
		sum.path.len = 14;
		sum.digest.data = wrong;
		sum.digest.len = sizeof(wrong);
		dirs.dirs = &sums;
		dirs.n_dirs = 1;
		dirs.serial = f->serial;
		dirs.generation = f->generation;
		say(f, CW_FRAME_DIRS, &dirs);
	} else if (strcmp(what, "flood-rows") == 0) {
		as_source(f);
		for (unsigned i = 0; i < 150 && !f->is_over; i++) {
			static char names[2000][24];

			p = plan_new(f);
			p->m.first = i == 0;
			for (unsigned k = 0; k < 2000; k++) {
				snprintf(
				    names[k], sizeof(names[k]), "%u.%u", i, k);
				(void)node(f, p, "mail/cur", names[k],
				    CW__KIND__DIRECTORY, NULL);
			}
			plan_say(f, p);
			ignore(f);
		}
	} else if (strcmp(what, "flood-plans") == 0) {
		/* Of another serial: void, and still bytes. */
		as_source(f);
		for (unsigned i = 0; i < 200 && !f->is_over; i++) {
			p = plan_new(f);
			for (unsigned k = 0; k < 4000; k++)
				(void)node(f, p, "mail/cur", "x",
				    CW__KIND__DIRECTORY, NULL);
			p->m.serial = 4000000000u;
			say(f, CW_FRAME_PLAN, &p->m);
			free(p);
			ignore(f);
		}
	} else if (strcmp(what, "flood-replies") == 0) {
		Cw__Reply reply = CW__REPLY__INIT;

		as_source(f);
		reply.id = 4242;
		reply.more = true;
		for (unsigned i = 0; i < 100000 && !f->is_over; i++) {
			say(f, CW_FRAME_REPLY, &reply);
			ignore(f);
		}
	} else if (strcmp(what, "hold") == 0) {
		/* In the midst of a plan, alive, and not going on. */
		Cw__Ping ping = CW__PING__INIT;

		as_source(f);
		p = plan_new(f);
		(void)large(f, p, "mail/cur", "never", 100000);
		plan_say(f, p);
		while (!f->is_over && now() < f->until) {
			say(f, CW_FRAME_PING, &ping);
			(void)hear(f, 0, 0.5, &m);
		}
	} else {
		return false;
	}
	return true;
}

/* Against the active site. */
static bool
attack_source(struct fake *f, const char *what)
{
	Cw__Ack ack = CW__ACK__INIT;
	Cw__Want want = CW__WANT__INIT;
	Cw__Item items[1024], *list[1024];
	Cw__Range ranges[2], *range_list[2] = {&ranges[0], &ranges[1]};
	uint8_t digest[CW_SHA256_SIZE] = {9};
	struct cw_wire_msg m;

	for (size_t i = 0; i < 1024; i++) {
		cw__item__init(&items[i]);
		items[i].id = (uint32_t)i + 1;
		items[i].digest.data = digest;
		items[i].digest.len = sizeof(digest);
		items[i].size = 5000;
		list[i] = &items[i];
	}
	cw__range__init(&ranges[0]);
	cw__range__init(&ranges[1]);
	want.items = list;
	ack.digest.data = digest;
	ack.digest.len = sizeof(digest);
	if (strcmp(what, "ack-unsent") == 0) {
		hello(f);
		ack.generation = f->generation;
		say(f, CW_FRAME_ACK, &ack);
	} else if (strcmp(what, "ack-beyond") == 0) {
		as_replica(f);
		ack.generation = f->generation + 900;
		say(f, CW_FRAME_ACK, &ack);
	} else if (strcmp(what, "want-unknown") == 0) {
		as_replica(f);
		want.n_items = 1;
		say(f, CW_FRAME_WANT, &want);
		(void)hear(f, CW_FRAME_DATA, 10, &m);
		items[0].chunks = true;
		say(f, CW_FRAME_WANT, &want);
		(void)hear(f, CW_FRAME_CHUNKS, 10, &m);
		f->is_over = true;
	} else if (strcmp(what, "want-prefix") == 0) {
		/* The digest of a file of ARG bytes, with a false prefix. */
		struct cw_catalog *c;
		struct cw_entry e;

		as_replica(f);
		if (cw_home_catalog(
			f->home, f->config, CW_CATALOG_READ, &c, &err) < 0 ||
		    cw_catalog_lookup_path(
			c, f->arg, strlen(f->arg), &e, &err) != 0)
			die("catalog");
		memcpy(digest, e.digest, sizeof(digest));
		items[0].size = e.size;
		items[0].offset = e.size / 2;
		items[0].prefix.data = f->digest;
		items[0].prefix.len = 32;
		cw_catalog_close(c);
		want.n_items = 1;
		say(f, CW_FRAME_WANT, &want);
		(void)hear(f, CW_FRAME_DATA, 10, &m);
		f->is_over = true;
	} else if (strcmp(what, "want-beyond") == 0 ||
		   strcmp(what, "want-overlap") == 0) {
		as_replica(f);
		ranges[0].offset = 10;
		ranges[0].length = 100;
		ranges[1].offset =
		    strcmp(what, "want-overlap") == 0 ? 50 : 4990;
		ranges[1].length = 100;
		items[0].ranges = range_list;
		items[0].n_ranges = 2;
		want.n_items = 1;
		say(f, CW_FRAME_WANT, &want);
	} else if (strcmp(what, "flood-wants") == 0) {
		as_replica(f);
		want.n_items = 1024;
		for (unsigned i = 0; i < 200 && !f->is_over; i++)
			say(f, CW_FRAME_WANT, &want);
	} else if (strcmp(what, "flood-cancels") == 0) {
		static uint32_t ids[8192];

		as_replica(f);
		for (unsigned i = 0; i < 8192; i++)
			ids[i] = 1 + i % 1024;
		want.cancel = ids;
		for (unsigned i = 0; i < 8 && !f->is_over; i++) {
			want.n_cancel = 0;
			want.n_items = 1024;
			say(f, CW_FRAME_WANT, &want);
			want.n_items = 0;
			want.n_cancel = 8192;
			say(f, CW_FRAME_WANT, &want);
			ignore(f);
		}
		f->is_over = true;
	} else if (strcmp(what, "flood-starts") == 0) {
		Cw__Start s = CW__START__INIT;

		hello(f);
		s.all = true;
		for (unsigned i = 0; i < 3000 && !f->is_over; i++) {
			s.serial = i;
			s.since = i;
			s.name.data = (uint8_t *)(uintptr_t) "name";
			s.name.len = i % 5;
			s.dir = UINT64_C(1) << (i % 62);
			say(f, CW_FRAME_START, &s);
			ignore(f);
		}
		f->is_over = true;
	} else if (strcmp(what, "flood-dirs") == 0) {
		Cw__DirWant dw = CW__DIR_WANT__INIT;
		static ProtobufCBinaryData paths[16];
		static char long_path[30000];

		as_replica(f);
		for (size_t i = 0; i + 1 < sizeof(long_path); i += 2)
			memcpy(long_path + i, "d/", 2);
		for (size_t i = 0; i < 16; i++) {
			paths[i].data = (uint8_t *)long_path;
			paths[i].len = sizeof(long_path) - 1;
		}
		dw.paths = paths;
		dw.n_paths = 16;
		/* Faster than they are answered: over what may wait. */
		for (unsigned i = 0; i < 400 && !f->is_over; i++)
			say(f, CW_FRAME_DIR_WANT, &dw);
	} else if (strcmp(what, "rows-unknown") == 0) {
		Cw__RowWant rw = CW__ROW_WANT__INIT;
		Cw__Row r = CW__ROW__INIT, *rows = &r;
		Cw__Dir d = CW__DIR__INIT, *dirs = &d;

		as_replica(f);
		r.name.data = (uint8_t *)(uintptr_t) "no such";
		r.name.len = 7;
		r.generation = 1;
		r.removed = true;
		d.path.data = (uint8_t *)(uintptr_t) "mail/nowhere";
		d.path.len = 12;
		rw.rows = &rows;
		rw.n_rows = 1;
		rw.dirs = &dirs;
		rw.n_dirs = 1;
		rw.serial = f->serial;
		say(f, CW_FRAME_ROW_WANT, &rw);
		(void)hear(f, CW_FRAME_PLAN, 10, &m);
		d.path.len = 4;
		r.dir = 3; /* never named */
		say(f, CW_FRAME_ROW_WANT, &rw);
	} else if (strcmp(what, "flood-orders") == 0) {
		Cw__Order o = CW__ORDER__INIT;
		static char kind[] = "generation";

		as_replica(f);
		o.kind = kind;
		for (unsigned i = 0; i < 3000 && !f->is_over; i++) {
			o.id = i;
			say(f, CW_FRAME_ORDER, &o);
			ignore(f);
		}
		f->is_over = true;
	} else if (strcmp(what, "order-recursion") == 0) {
		/* Each of its orders is answered by another cutover. */
		Cw__Order o = CW__ORDER__INIT;
		static char kind[] = "cutover";

		as_replica(f);
		o.kind = kind;
		for (unsigned i = 0; i < 5000 && !f->is_over; i++) {
			o.id = 100 + i;
			say(f, CW_FRAME_ORDER, &o);
		}
		(void)hear(f, CW_FRAME_REPLY, 10, &m);
		f->is_over = true;
	} else {
		return false;
	}
	return true;
}

/* Orders that it may not give. */
static bool
attack_order(struct fake *f, const char *what)
{
	struct cw_buf text = CW_BUF_INIT;

	if (strcmp(what, "order") == 0) {
		hello(f);
		order(f, f->arg, NULL, 0);
	} else if (strcmp(what, "order-garbage") == 0) {
		hello(f);
		order(f, "accept", "no record\n", 10);
	} else if (strcmp(what, "order-accept") == 0) {
		hello(f);
		order_accept(f);
	} else if (strcmp(what, "order-replay") == 0) {
		/* A record that was taken over once, from the file ARG. */
		if (cw_read_file(AT_FDCWD, f->arg, 1u << 20, &text, &err) != 0)
			die(f->arg);
		hello(f);
		order(f, "accept", (const char *)text.data, text.len);
		cw_buf_free(&text);
	} else {
		return false;
	}
	f->is_over = true;
	return true;
}

/* Writes the record by which we would hand over, as it is now, to ARG. */
static void
write_record(struct fake *f)
{
	struct cw_role role = f->role;
	struct cw_buf text = CW_BUF_INIT;

	if (cw_role_hand_over(&role, &f->home->config.peers[0].card.sign,
		f->generation, f->digest, f->secret, &text, &err) < 0 ||
	    cw_save_file(AT_FDCWD, f->arg, text.data, text.len, 0600, &err) < 0)
		die("record");
	cw_buf_free(&text);
}

/* ---- the victim ---- */

static pid_t
run_victim(char **argv, int fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
	} else {
		dup2(2, 1);
	}
	execvp(argv[0], argv);
	_exit(97);
}

static int
await_victim(pid_t pid, double begun, double until)
{
	struct rusage usage;
	int status, got;

	while (
	    (got = wait4(pid, &status, WNOHANG, &usage)) == 0 && now() < until)
		usleep(20000);
	if (got == 0) {
		kill(pid, SIGKILL);
		(void)wait4(pid, &status, 0, &usage);
	}
	printf(
	    "victim: %ld MiB, %.1f s\n", usage.ru_maxrss >> 10, now() - begun);
	if (got == 0)
		return HUNG;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 90;
}

static void
load(struct fake *f, const char *home, bool with_new_key)
{
	struct cw_catalog *c = NULL;
	bool is_known;

	if (cw_home_open(home, NULL, CW_HOME_READ, &f->home, &err) < 0 ||
	    cw_identity_sign(f->home->state_fd, NULL, &f->secret, &err) < 0)
		die(home);
	if (f->home->config.peer_count == 0 || f->home->config.store_count == 0)
		die("it has no peer or no store");
	f->config = &f->home->config.stores[0];
	if (cw_home_catalog(f->home, f->config, CW_CATALOG_READ, &c, &err) <
		0 ||
	    cw_home_role(f->home, f->config, c, &f->role, &err) < 0 ||
	    cw_state_digest(c, f->digest, &is_known, &err) < 0)
		die("store");
	memcpy(f->id, cw_catalog_info(c)->store_id, sizeof(f->id));
	f->generation = cw_catalog_info(c)->generation;
	cw_catalog_close(c);
	if (with_new_key)
		f->secret = cw_minisign_generate();
}

static int
open_link(struct fake *f, int fd, bool is_server)
{
	const struct cw_config_peer *peer = &f->home->config.peers[0];
	struct cw_link_pin pin;
	const struct cw_link_options options = {.is_server = is_server,
	    .secret = f->secret,
	    .pins = &pin,
	    .pin_count = 1};

	memset(&pin, 0, sizeof(pin));
	(void)snprintf(pin.name, sizeof(pin.name), "%s", peer->name);
	memcpy(pin.key, peer->card.sign.point, sizeof(pin.key));
	return cw_link_open(fd, fd, &options, &f->link, &err);
}

static void
attack(struct fake *f, const char *what)
{
	struct cw_wire_msg m;

	if (!attack_hello(f, what) && !attack_frame(f, what) &&
	    !attack_path(f, what) && !attack_content(f, what) &&
	    !attack_plan(f, what) && !attack_source(f, what) &&
	    !attack_order(f, what)) {
		fprintf(stderr, "fakepeer: no attack %s\n", what);
		_exit(98);
	}
	/* What it makes of it. */
	while (!f->is_over && now() < f->until)
		(void)hear(f, 0, f->until - now(), &m);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"home", 1, NULL, 'h'},
	    {"dial", 1, NULL, 'd'}, {"listen", 1, NULL, 'l'},
	    {"seconds", 1, NULL, 's'}, {"key", 0, NULL, 'k'},
	    {NULL, 0, NULL, 0}};
	struct cw_carrier carrier = CW_CARRIER_INIT;
	const char *home = NULL, *dial = NULL, *listen = NULL, *what;
	double seconds = 15, begun = now();
	struct fake f = {.arg = ""};
	bool with_new_key = false;
	int opt, pair[2] = {-1, -1}, fd = -1, status = 0;
	pid_t pid = -1;

	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (opt == 'h')
			home = optarg;
		else if (opt == 'd')
			dial = optarg;
		else if (opt == 'l')
			listen = optarg;
		else if (opt == 's')
			seconds = atof(optarg);
		else if (opt == 'k')
			with_new_key = true;
		else
			return 2;
	}
	if (home == NULL || optind == argc)
		return 2;
	what = argv[optind++];
	if (optind < argc && strcmp(argv[optind], "--") != 0)
		f.arg = argv[optind++];
	if (optind < argc && strcmp(argv[optind], "--") == 0)
		optind++;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (cw_crypto_init(&err) < 0)
		die("libgcrypt");
	load(&f, home, with_new_key);
	if (strcmp(what, "record") == 0) {
		write_record(&f);
		_exit(0);
	}
	f.reader = cw_wire_reader_new();
	f.until = begun + seconds;
	if (dial != NULL) {
		if (cw_dial(dial, NULL, &carrier, &err) < 0)
			die(dial);
		fd = carrier.fd_in;
	} else if (listen != NULL) {
		if (cw_listen(listen, &fd, &err) < 0)
			die(listen);
		pid = run_victim(argv + optind, -1);
		while (cw_accept(fd, &carrier, &err) == 1 && now() < f.until)
			usleep(10000);
		fd = carrier.fd_in;
	} else {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) <
		    0)
			return 98;
		pid = run_victim(argv + optind, pair[1]);
		close(pair[1]);
		fd = pair[0];
	}
	if (strcmp(what, "handshake-silence") == 0) {
		char byte;

		while (now() < f.until && recv(fd, &byte, 1, 0) > 0)
			;
	} else if (open_link(&f, fd, listen != NULL) < 0) {
		printf("no link: %s\n", err.message);
		f.is_over = true;
	} else {
		/* However long it took to get here. */
		f.until = now() + seconds;
		attack(&f, what);
	}
	if (pid < 0 && !f.is_over && now() >= f.until)
		status = HUNG;
	if (f.link != NULL)
		(void)cw_link_close(f.link, 500, NULL);
	cw_link_free(f.link);
	close(fd);
	if (pid > 0)
		status = await_victim(pid, begun, f.until + 60);
	printf("status %d\n", status);
	/* What it leaks on the way is nobody's business. */
	fflush(stdout);
	_exit(status);
}
