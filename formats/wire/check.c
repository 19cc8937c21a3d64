#include "formats/wire/check.h"

#include "base/crypto.h"
#include "base/fs.h"

#include <string.h>

#define STORE_ID_SIZE 16u
#define KEY_SIZE      32u
#define NUMBER_MAX    INT64_MAX /* what a catalog can hold */

static int
bad(struct cw_error *err, const char *what, uint64_t value)
{
	return cw_error_set(err, CW_ERR_FORMAT, "%s: %llu is not allowed", what,
	    (unsigned long long)value);
}

static int
most(struct cw_error *err, const char *what, uint64_t value, uint64_t max)
{
	return value <= max ? 0 : bad(err, what, value);
}

/* Exactly size bytes; or, if there may be none, none. */
static int
sized(struct cw_error *err, const char *what, const ProtobufCBinaryData *b,
    size_t size, bool may_lack)
{
	if (b->len == size || (may_lack && b->len == 0))
		return 0;
	return cw_error_set(err, CW_ERR_FORMAT,
	    "%s has %zu bytes, expected %zu", what, b->len, size);
}

/* Printable ASCII without spaces: names of features, stores, orders. */
static int
word(struct cw_error *err, const char *what, const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len == 0 || len > max)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s has %zu bytes, expected 1 to %zu", what, len, max);
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "%s has the byte 0x%02x in it", what,
			    (unsigned char)text[i]);
	}
	return 0;
}

static int
sentence(struct cw_error *err, const char *what, const char *text)
{
	size_t len = strlen(text);

	if (len > CW_WIRE_TEXT_MAX)
		return bad(err, what, len);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "%s has the byte 0x%02x in it", what,
			    (unsigned char)text[i]);
	}
	return 0;
}

static int
path(struct cw_error *err, const ProtobufCBinaryData *b)
{
	if (b->len == 0)
		return 0;
	if (b->len > CW_WIRE_PATH_MAX ||
	    !cw_path_is_safe((const char *)b->data, b->len))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a directory's path of %zu bytes that leads elsewhere or "
		    "is too long",
		    b->len);
	return 0;
}

static int
name(struct cw_error *err, const ProtobufCBinaryData *b)
{
	if (b->len > CW_WIRE_NAME_MAX ||
	    !cw_name_is_safe((const char *)b->data, b->len))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a name of %zu bytes that is none", b->len);
	return 0;
}

static int
store_index(struct cw_error *err, uint32_t store)
{
	return most(err, "number of a store", store, CW_WIRE_STORES_MAX - 1);
}

/* Generation and epoch. */
static int
numbers(struct cw_error *err, uint64_t generation, uint64_t epoch)
{
	if (most(err, "generation", generation, NUMBER_MAX) < 0)
		return -1;
	return most(err, "epoch", epoch, NUMBER_MAX);
}

/* An enum's value may be one that a later version knows. */
static int
known(struct cw_error *err, const char *what, int value, int max)
{
	if (value >= 0 && value <= max)
		return 0;
	return cw_error_set(
	    err, CW_ERR_UNSUPPORTED, "%s %d is unknown to us", what, value);
}

/* ---- HELLO ---- */

static int
check_epochs(const Cw__Store *s, struct cw_error *err)
{
	uint64_t last = 0;

	if (most(err, "count of epochs", s->n_history, CW_WIRE_EPOCHS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < s->n_history; i++) {
		const Cw__Epoch *e = s->history[i];

		if (numbers(err, e->generation, e->epoch) < 0 ||
		    sized(err, "an epoch's key", &e->site_key, KEY_SIZE, true) <
			0 ||
		    most(err, "size of an epoch's record", e->record.len,
			CW_WIRE_RECORD_MAX) < 0)
			return -1;
		if (e->epoch <= last)
			return bad(err, "order of epochs", e->epoch);
		last = e->epoch;
	}
	return 0;
}

static int
check_roots(const Cw__Store *s, struct cw_error *err)
{
	if (most(err, "count of roots", s->n_roots, CW_WIRE_ROOTS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < s->n_roots; i++) {
		const Cw__Root *r = s->roots[i];

		if (word(err, "a root's name", r->name, CW_WIRE_WORD_MAX) < 0 ||
		    word(err, "a root's format", r->format, 16) < 0 ||
		    word(err, "a root's capture", r->capture, 16) < 0)
			return -1;
		if (!cw_name_is_safe(r->name, strlen(r->name)))
			return bad(err, "a root's name", strlen(r->name));
	}
	return 0;
}

static int
check_position(const Cw__Position *p, struct cw_error *err)
{
	if (p == NULL)
		return 0;
	if (most(err, "generation", p->generation, NUMBER_MAX) < 0 ||
	    path(err, &p->dir) < 0)
		return -1;
	return p->name.len == 0 ? 0 : name(err, &p->name);
}

static int
check_store(const Cw__Store *s, struct cw_error *err)
{
	/* A replica that begins from nothing does not know the id yet. */
	if (sized(err, "a store's id", &s->id, STORE_ID_SIZE, s->follows) < 0 ||
	    word(err, "a store's name", s->name, CW_WIRE_WORD_MAX) < 0 ||
	    known(err, "role", (int)s->role, CW__ROLE__FENCED) < 0 ||
	    numbers(err, s->generation, s->epoch) < 0 ||
	    check_epochs(s, err) < 0 ||
	    sized(err, "a state digest", &s->digest, CW_SHA256_SIZE, true) <
		0 ||
	    numbers(err, s->since, s->floor) < 0 ||
	    most(err, "generation", s->target, NUMBER_MAX) < 0 ||
	    check_position(s->position, err) < 0 || check_roots(s, err) < 0)
		return -1;
	return sized(err, "a state key", &s->state_key, KEY_SIZE, true);
}

static int
check_features(char *const *features, size_t count, struct cw_error *err)
{
	if (most(err, "count of features", count, CW_WIRE_FEATURES_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (word(err, "a feature", features[i], CW_WIRE_WORD_MAX) < 0)
			return -1;
	}
	return 0;
}

static int
check_hello(const Cw__Hello *m, struct cw_error *err)
{
	if (m->version_min == 0 || m->version_max < m->version_min)
		return bad(err, "range of versions", m->version_max);
	if (check_features(m->mandatory, m->n_mandatory, err) < 0 ||
	    check_features(m->optional, m->n_optional, err) < 0 ||
	    word(err, "a site's name", m->site, CW_WIRE_WORD_MAX) < 0 ||
	    most(err, "time", m->time_ms, NUMBER_MAX) < 0 ||
	    sentence(err, "the software's name", m->software) < 0 ||
	    most(err, "count of stores", m->n_stores, CW_WIRE_STORES_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_stores; i++) {
		if (check_store(m->stores[i], err) < 0)
			return -1;
	}
	if (most(err, "count of receipts", m->n_receipts,
		CW_WIRE_RECEIPTS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_receipts; i++) {
		if (most(err, "size of a receipt", m->receipts[i].len,
			CW_WIRE_RECEIPT_MAX) < 0)
			return -1;
	}
	return 0;
}

/* ---- rows ---- */

/* A removal and a brief row say what they are about, and nothing more. */
static bool
is_bare(const Cw__Row *r)
{
	return r->mode == 0 && r->mtime_ns == 0 && r->size == 0 &&
	       r->digest.len == 0 && r->owner == 0 && r->content.len == 0 &&
	       r->content_coding == CW__CODING__RAW && r->linkgroup == 0 &&
	       r->target.len == 0 && r->attrs.len == 0 && !r->sparse;
}

static int
check_content(const Cw__Row *r, struct cw_error *err)
{
	if (known(err, "coding", (int)r->content_coding, CW__CODING__ZSTD) < 0)
		return -1;
	if (r->content.len == 0)
		return r->content_coding == CW__CODING__RAW
			   ? 0
			   : bad(err, "coding of no content", 1);
	if (r->size > CW_WIRE_CONTENT_MAX ||
	    r->content.len > CW_WIRE_CONTENT_MAX)
		return bad(err, "size of a content in a row", r->size);
	if (r->content_coding == CW__CODING__RAW && r->content.len != r->size)
		return bad(err, "size of a content in a row", r->content.len);
	return 0;
}

static int
check_file(const Cw__Row *r, struct cw_error *err)
{
	if (sized(err, "a content's digest", &r->digest, CW_SHA256_SIZE,
		false) < 0 ||
	    most(err, "size of a file", r->size, CW_WIRE_SIZE_MAX) < 0 ||
	    most(err, "target of a file", r->target.len, 0) < 0)
		return -1;
	return check_content(r, err);
}

/* Directories and symlinks. */
static int
check_other(const Cw__Row *r, struct cw_error *err)
{
	bool is_link = r->kind == CW__KIND__SYMLINK;

	if (r->size != 0 || r->digest.len != 0 || r->content.len != 0 ||
	    r->content_coding != CW__CODING__RAW || r->sparse)
		return bad(err, "content of what is no file", r->size);
	if (!is_link && (r->linkgroup != 0 || r->target.len != 0))
		return bad(err, "links of a directory", r->linkgroup);
	if (is_link &&
	    (r->target.len == 0 || r->target.len > CW_WIRE_TARGET_MAX ||
		memchr(r->target.data, '\0', r->target.len) != NULL))
		return bad(err, "a symlink's target", r->target.len);
	return 0;
}

static int
check_row(const Cw__Row *r, struct cw_error *err)
{
	if (name(err, &r->name) < 0 ||
	    most(err, "number of a directory", r->dir, CW_WIRE_DIR_MAX) < 0 ||
	    most(err, "generation", r->generation, NUMBER_MAX) < 0 ||
	    known(err, "kind", (int)r->kind, CW__KIND__SYMLINK) < 0 ||
	    most(err, "class", r->class_, UINT8_MAX) < 0 ||
	    sized(err, "the MAC of a brief row", &r->brief_mac,
		CW_WIRE_BRIEF_SIZE, true) < 0)
		return -1;
	if (r->removed || r->brief_mac.len > 0) {
		if (!is_bare(r) || (r->removed && r->brief_mac.len > 0))
			return bad(err, "fields beside a removal", r->size);
		if (r->brief_mac.len > 0 && r->kind != CW__KIND__FILE)
			return bad(
			    err, "kind of a brief row", (uint64_t)r->kind);
		return 0;
	}
	if (most(err, "mode", r->mode, 07777) < 0 ||
	    most(err, "number of an owner", r->owner, CW_WIRE_OWNER_MAX) < 0 ||
	    most(err, "link group", r->linkgroup, NUMBER_MAX) < 0 ||
	    most(err, "size of attributes", r->attrs.len, CW_WIRE_ATTRS_MAX) <
		0)
		return -1;
	return r->kind == CW__KIND__FILE ? check_file(r, err)
					 : check_other(r, err);
}

static int
check_owners(Cw__Owner *const *owners, size_t count, struct cw_error *err)
{
	if (most(err, "count of owners", count, CW_WIRE_ROWS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const Cw__Owner *o = owners[i];

		if (most(err, "number of an owner", o->index,
			CW_WIRE_OWNER_MAX) < 0 ||
		    most(err, "bytes of a user's name", strlen(o->user),
			CW_WIRE_NAME_MAX) < 0 ||
		    most(err, "bytes of a group's name", strlen(o->group),
			CW_WIRE_NAME_MAX) < 0)
			return -1;
	}
	return 0;
}

static int
check_directories(Cw__Dir *const *dirs, size_t count, struct cw_error *err)
{
	if (most(err, "count of directories", count, CW_WIRE_ROWS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (most(err, "number of a directory", dirs[i]->index,
			CW_WIRE_DIR_MAX) < 0 ||
		    most(err, "number of a directory", dirs[i]->id,
			NUMBER_MAX) < 0 ||
		    path(err, &dirs[i]->path) < 0)
			return -1;
	}
	return 0;
}

static int
check_plan(const Cw__Plan *m, struct cw_error *err)
{
	const Cw__Row *last = NULL;
	uint64_t generation = 0;

	if (store_index(err, m->store) < 0 ||
	    numbers(err, m->since, m->target) < 0 ||
	    most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_directories(m->dirs, m->n_dirs, err) < 0 ||
	    check_owners(m->owners, m->n_owners, err) < 0)
		return -1;
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];
		bool is_next =
		    generation == 0 ||
		    (r->generation != 0 && r->generation != generation);

		if (check_row(r, err) < 0)
			return -1;
		if (!m->answer && r->generation != 0 &&
		    r->generation < generation)
			return bad(err, "order of generations", r->generation);
		if (r->generation != 0)
			generation = r->generation;
		if (generation == 0)
			return bad(err, "generation of the first row", 0);
		if (!m->answer && !is_next && r->removed && !last->removed)
			return bad(err, "removal behind a put", generation);
		last = r;
	}
	return 0;
}

static int
check_plan_end(const Cw__PlanEnd *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    numbers(err, m->generation, m->epoch) < 0)
		return -1;
	return sized(err, "a state digest", &m->digest, CW_SHA256_SIZE, true);
}

static int
check_start(const Cw__Start *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    numbers(err, m->generation, m->epoch) < 0 ||
	    most(err, "generation", m->since, NUMBER_MAX) < 0 ||
	    most(err, "number of a directory", m->dir, NUMBER_MAX) < 0)
		return -1;
	return m->name.len == 0 ? 0 : name(err, &m->name);
}

static int
check_row_want(const Cw__RowWant *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_directories(m->dirs, m->n_dirs, err) < 0)
		return -1;
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];

		if (name(err, &r->name) < 0 ||
		    most(err, "number of a directory", r->dir,
			CW_WIRE_DIR_MAX) < 0)
			return -1;
		if (!is_bare(r) || r->brief_mac.len > 0)
			return bad(err, "fields of a row wanted", r->size);
	}
	return 0;
}

/* ---- contents ---- */

static int
check_ranges(const Cw__Item *it, struct cw_error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < it->n_ranges; i++) {
		const Cw__Range *r = it->ranges[i];

		if (r->length == 0 || r->offset < end || r->offset > it->size ||
		    r->length > it->size - r->offset)
			return bad(err, "a range's offset", r->offset);
		end = r->offset + r->length;
	}
	return 0;
}

static int
check_item(const Cw__Item *it, struct cw_error *err)
{
	if (it->id == 0)
		return bad(err, "an item's number", 0);
	if (sized(err, "a content's digest", &it->digest, CW_SHA256_SIZE,
		false) < 0 ||
	    most(err, "size of a file", it->size, CW_WIRE_SIZE_MAX) < 0 ||
	    most(err, "offset", it->offset, it->size) < 0 ||
	    sized(err, "a prefix's digest", &it->prefix,
		it->offset > 0 ? CW_SHA256_SIZE : 0, false) < 0)
		return -1;
	if (it->offset > 0 && it->n_ranges > 0)
		return bad(err, "offset beside ranges", it->offset);
	if (it->chunks && it->n_ranges > 0)
		return bad(err, "ranges of chunks", it->n_ranges);
	return check_ranges(it, err);
}

static int
check_want(const Cw__Want *m, struct cw_error *err)
{
	size_t ranges = 0;

	if (store_index(err, m->store) < 0 ||
	    most(err, "count of items", m->n_items, CW_WIRE_ITEMS_MAX) < 0 ||
	    most(err, "count of cancelled items", m->n_cancel,
		CW_WIRE_ITEMS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_items; i++) {
		ranges += m->items[i]->n_ranges;
		if (most(err, "count of ranges", ranges, CW_WIRE_RANGES_MAX) <
			0 ||
		    check_item(m->items[i], err) < 0)
			return -1;
	}
	return 0;
}

static int
check_data(const Cw__Data *m, struct cw_error *err)
{
	if (m->id == 0)
		return bad(err, "an item's number", 0);
	if (most(err, "offset", m->offset, CW_WIRE_SIZE_MAX) < 0 ||
	    known(err, "coding", (int)m->coding, CW__CODING__ZSTD) < 0 ||
	    most(err, "size of a payload", m->payload.len,
		CW_WIRE_PAYLOAD_MAX) < 0)
		return -1;
	if (m->payload.len == 0 && (!m->last || m->coding != CW__CODING__RAW))
		return bad(err, "size of a payload", 0);
	if (m->gone && m->payload.len > 0)
		return bad(err, "payload of what is gone", m->payload.len);
	return 0;
}

static int
check_chunks(const Cw__Chunks *m, struct cw_error *err)
{
	if (m->id == 0)
		return bad(err, "an item's number", 0);
	if (most(err, "offset", m->first, CW_WIRE_SIZE_MAX) < 0 ||
	    most(err, "count of chunks", m->n_lengths, CW_WIRE_CHUNKS_MAX) <
		0 ||
	    sized(err, "the chunks' digests", &m->digests,
		m->n_lengths * CW_SHA256_SIZE, false) < 0)
		return -1;
	if (m->n_lengths == 0 && !m->last)
		return bad(err, "count of chunks", 0);
	if (m->gone && m->n_lengths > 0)
		return bad(err, "chunks of what is gone", m->n_lengths);
	for (size_t i = 0; i < m->n_lengths; i++) {
		if (m->lengths[i] == 0 || m->lengths[i] > CW_WIRE_CHUNK_MAX)
			return bad(err, "size of a chunk", m->lengths[i]);
	}
	return 0;
}

static int
check_ack(const Cw__Ack *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    numbers(err, m->generation, m->epoch) < 0)
		return -1;
	return sized(err, "a state digest", &m->digest, CW_SHA256_SIZE, true);
}

/* ---- equality ---- */

static int
check_dirs(const Cw__Dirs *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    most(err, "generation", m->generation, NUMBER_MAX) < 0 ||
	    most(err, "count of directories", m->n_dirs, CW_WIRE_DIRS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_dirs; i++) {
		if (path(err, &m->dirs[i]->path) < 0 ||
		    sized(err, "a directory's digest", &m->dirs[i]->digest,
			CW_SHA256_SIZE, false) < 0)
			return -1;
	}
	return 0;
}

static int
check_dir_want(const Cw__DirWant *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    most(err, "count of directories", m->n_paths, CW_WIRE_DIRS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_paths; i++) {
		if (path(err, &m->paths[i]) < 0)
			return -1;
	}
	return 0;
}

static int
check_dir_list(const Cw__DirList *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 || path(err, &m->path) < 0 ||
	    most(err, "generation", m->generation, NUMBER_MAX) < 0 ||
	    most(err, "count of rows", m->n_rows, CW_WIRE_ROWS_MAX) < 0 ||
	    check_owners(m->owners, m->n_owners, err) < 0)
		return -1;
	if (m->gone && m->n_rows > 0)
		return bad(err, "rows of what is gone", m->n_rows);
	for (size_t i = 0; i < m->n_rows; i++) {
		const Cw__Row *r = m->rows[i];

		if (check_row(r, err) < 0)
			return -1;
		if (r->removed || r->brief_mac.len > 0 || r->dir != 0)
			return bad(err, "removal in a list", r->dir);
		if (i == 0 && r->generation == 0)
			return bad(err, "generation of the first row", 0);
	}
	return 0;
}

/* ---- all the rest ---- */

static int
check_values(Cw__KeyValue *const *values, size_t count, struct cw_error *err)
{
	if (most(err, "count of values", count, CW_WIRE_ARGS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (word(err, "a key", values[i]->key, CW_WIRE_WORD_MAX) < 0 ||
		    most(err, "size of a value", values[i]->value.len,
			CW_WIRE_VALUE_MAX) < 0)
			return -1;
	}
	return 0;
}

static int
check_error(const Cw__Error *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    word(err, "an error's code", m->code, CW_WIRE_WORD_MAX) < 0)
		return -1;
	return sentence(err, "an error's sentence", m->message);
}

static int
check_order(const Cw__Order *m, struct cw_error *err)
{
	if (store_index(err, m->store) < 0 ||
	    word(err, "an order's kind", m->kind, CW_WIRE_WORD_MAX) < 0)
		return -1;
	return check_values(m->args, m->n_args, err);
}

static int
check_reply(const Cw__Reply *m, struct cw_error *err)
{
	if (m->code[0] != '\0' &&
	    word(err, "a reply's code", m->code, CW_WIRE_WORD_MAX) < 0)
		return -1;
	if (sentence(err, "a reply's sentence", m->message) < 0)
		return -1;
	return check_values(m->values, m->n_values, err);
}

static int
check(const struct cw_wire_msg *msg, struct cw_error *err)
{
	switch ((enum cw_frame_type)msg->type) {
	case CW_FRAME_HELLO:
		return check_hello(msg->hello, err);
	case CW_FRAME_PLAN:
		return check_plan(msg->plan, err);
	case CW_FRAME_PLAN_END:
		return check_plan_end(msg->plan_end, err);
	case CW_FRAME_WANT:
		return check_want(msg->want, err);
	case CW_FRAME_DATA:
		return check_data(msg->data, err);
	case CW_FRAME_CHUNKS:
		return check_chunks(msg->chunks, err);
	case CW_FRAME_ACK:
		return check_ack(msg->ack, err);
	case CW_FRAME_PING:
		return most(err, "time", msg->ping->time_ms, NUMBER_MAX);
	case CW_FRAME_BYE:
		return sentence(err, "a farewell", msg->bye->reason);
	case CW_FRAME_ERROR:
		return check_error(msg->error, err);
	case CW_FRAME_DIRS:
		return check_dirs(msg->dirs, err);
	case CW_FRAME_DIR_WANT:
		return check_dir_want(msg->dir_want, err);
	case CW_FRAME_DIR_LIST:
		return check_dir_list(msg->dir_list, err);
	case CW_FRAME_ORDER:
		return check_order(msg->order, err);
	case CW_FRAME_REPLY:
		return check_reply(msg->reply, err);
	case CW_FRAME_POLL:
		return store_index(err, msg->poll->store);
	case CW_FRAME_START:
		return check_start(msg->start, err);
	case CW_FRAME_ROW_WANT:
		return check_row_want(msg->row_want, err);
	case CW_FRAME_OPTIONAL:
		break;
	}
	return cw_error_set(
	    err, CW_ERR_UNSUPPORTED, "frames of type %u", msg->type);
}

int
cw_wire_check(const struct cw_wire_msg *msg, struct cw_error *err)
{
	if (check(msg, err) < 0)
		return cw_error_context(err, "%s", cw_frame_name(msg->type));
	return 0;
}
