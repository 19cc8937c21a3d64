/*
 * Who the peer is and which stores it has.
 */
#include "formats/wire/bounds.h"

#include "base/crypto.h"
#include "base/fs.h"

#include <string.h>

#define STORE_ID_SIZE 16u
#define KEY_SIZE      32u

static int
check_epochs(const Cw__Store *s, struct cw_error *err)
{
	uint64_t last = 0;

	if (wire_most(
		err, "count of epochs", s->n_history, CW_WIRE_EPOCHS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < s->n_history; i++) {
		const Cw__Epoch *e = s->history[i];

		if (wire_numbers(err, e->generation, e->epoch) < 0 ||
		    wire_sized(err, "an epoch's key", &e->site_key, KEY_SIZE,
			true) < 0 ||
		    wire_most(err, "size of an epoch's record", e->record.len,
			CW_WIRE_RECORD_MAX) < 0)
			return -1;
		if (e->epoch <= last)
			return wire_bad(err, "order of epochs", e->epoch);
		last = e->epoch;
	}
	return 0;
}

static int
check_roots(const Cw__Store *s, struct cw_error *err)
{
	if (wire_most(err, "count of roots", s->n_roots, CW_WIRE_ROOTS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < s->n_roots; i++) {
		const Cw__Root *r = s->roots[i];

		if (wire_word(err, "a root's name", r->name, CW_WIRE_WORD_MAX) <
			0 ||
		    wire_word(err, "a root's format", r->format, 16) < 0 ||
		    wire_word(err, "a root's capture", r->capture, 16) < 0)
			return -1;
		if (!cw_name_is_safe(r->name, strlen(r->name)))
			return wire_bad(err, "a root's name", strlen(r->name));
	}
	return 0;
}

static int
check_position(const Cw__Position *p, struct cw_error *err)
{
	if (p == NULL)
		return 0;
	if (wire_most(err, "generation", p->generation, WIRE_NUMBER_MAX) < 0 ||
	    wire_path(err, &p->dir) < 0)
		return -1;
	return p->name.len == 0 ? 0 : wire_name(err, &p->name);
}

static int
check_store(const Cw__Store *s, struct cw_error *err)
{
	/* A replica that begins from nothing does not know the id yet. */
	if (wire_sized(err, "a store's id", &s->id, STORE_ID_SIZE, s->follows) <
		0 ||
	    wire_word(err, "a store's name", s->name, CW_WIRE_WORD_MAX) < 0 ||
	    wire_known(err, "role", (int)s->role, CW__ROLE__FENCED) < 0 ||
	    wire_numbers(err, s->generation, s->epoch) < 0 ||
	    check_epochs(s, err) < 0 ||
	    wire_sized(
		err, "a state digest", &s->digest, CW_SHA256_SIZE, true) < 0 ||
	    wire_numbers(err, s->since, s->floor) < 0 ||
	    wire_most(err, "generation", s->target, WIRE_NUMBER_MAX) < 0 ||
	    check_position(s->position, err) < 0 || check_roots(s, err) < 0)
		return -1;
	return wire_sized(err, "a state key", &s->state_key, KEY_SIZE, true);
}

static int
check_features(char *const *features, size_t count, struct cw_error *err)
{
	if (wire_most(err, "count of features", count, CW_WIRE_FEATURES_MAX) <
	    0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (wire_word(err, "a feature", features[i], CW_WIRE_WORD_MAX) <
		    0)
			return -1;
	}
	return 0;
}

int
wire_check_hello(const Cw__Hello *m, struct cw_error *err)
{
	if (m->version_min == 0 || m->version_max < m->version_min)
		return wire_bad(err, "range of versions", m->version_max);
	if (check_features(m->mandatory, m->n_mandatory, err) < 0 ||
	    check_features(m->optional, m->n_optional, err) < 0 ||
	    wire_word(err, "a site's name", m->site, CW_WIRE_WORD_MAX) < 0 ||
	    wire_most(err, "time", m->time_ms, WIRE_NUMBER_MAX) < 0 ||
	    wire_sentence(err, "the software's name", m->software) < 0 ||
	    wire_most(err, "count of stores", m->n_stores, CW_WIRE_STORES_MAX) <
		0)
		return -1;
	for (size_t i = 0; i < m->n_stores; i++) {
		if (check_store(m->stores[i], err) < 0)
			return -1;
	}
	if (wire_most(err, "count of receipts", m->n_receipts,
		CW_WIRE_RECEIPTS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_receipts; i++) {
		if (wire_most(err, "size of a receipt", m->receipts[i].len,
			CW_WIRE_RECEIPT_MAX) < 0)
			return -1;
	}
	return 0;
}
