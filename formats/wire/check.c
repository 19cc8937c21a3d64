#include "formats/wire/check.h"

#include "base/crypto.h"
#include "formats/wire/bounds.h"

static int
check_plan_end(const Cw__PlanEnd *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_numbers(err, m->generation, m->epoch) < 0)
		return -1;
	return wire_sized(
	    err, "a state digest", &m->digest, CW_SHA256_SIZE, true);
}

static int
check_start(const Cw__Start *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_numbers(err, m->generation, m->epoch) < 0 ||
	    wire_most(err, "generation", m->since, WIRE_NUMBER_MAX) < 0 ||
	    wire_most(err, "number of a directory", m->dir, WIRE_NUMBER_MAX) <
		0)
		return -1;
	return m->name.len == 0 ? 0 : wire_name(err, &m->name);
}

static int
check_ranges(const Cw__Item *it, struct cw_error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < it->n_ranges; i++) {
		const Cw__Range *r = it->ranges[i];

		if (r->length == 0 || r->offset < end || r->offset > it->size ||
		    r->length > it->size - r->offset)
			return wire_bad(err, "a range's offset", r->offset);
		end = r->offset + r->length;
	}
	return 0;
}

static int
check_item(const Cw__Item *it, struct cw_error *err)
{
	if (it->id == 0)
		return wire_bad(err, "an item's number", 0);
	if (wire_sized(err, "a content's digest", &it->digest, CW_SHA256_SIZE,
		false) < 0 ||
	    wire_most(err, "size of a file", it->size, CW_WIRE_SIZE_MAX) < 0 ||
	    wire_most(err, "offset", it->offset, it->size) < 0 ||
	    wire_sized(err, "a prefix's digest", &it->prefix,
		it->offset > 0 ? CW_SHA256_SIZE : 0, false) < 0)
		return -1;
	if (it->offset > 0 && it->n_ranges > 0)
		return wire_bad(err, "offset beside ranges", it->offset);
	if (it->chunks && it->n_ranges > 0)
		return wire_bad(err, "ranges of chunks", it->n_ranges);
	return check_ranges(it, err);
}

static int
check_want(const Cw__Want *m, struct cw_error *err)
{
	size_t ranges = 0;

	if (wire_store(err, m->store) < 0 ||
	    wire_most(err, "count of items", m->n_items, CW_WIRE_ITEMS_MAX) <
		0 ||
	    wire_most(err, "count of cancelled items", m->n_cancel,
		CW_WIRE_ITEMS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_items; i++) {
		ranges += m->items[i]->n_ranges;
		if (wire_most(err, "count of ranges", ranges,
			CW_WIRE_RANGES_MAX) < 0 ||
		    check_item(m->items[i], err) < 0)
			return -1;
	}
	return 0;
}

static int
check_data(const Cw__Data *m, struct cw_error *err)
{
	if (m->id == 0)
		return wire_bad(err, "an item's number", 0);
	if (wire_most(err, "offset", m->offset, CW_WIRE_SIZE_MAX) < 0 ||
	    wire_known(err, "coding", (int)m->coding, CW__CODING__ZSTD) < 0 ||
	    wire_most(err, "size of a payload", m->payload.len,
		CW_WIRE_PAYLOAD_MAX) < 0)
		return -1;
	if (m->payload.len == 0 && (!m->last || m->coding != CW__CODING__RAW))
		return wire_bad(err, "size of a payload", 0);
	if (m->gone && m->payload.len > 0)
		return wire_bad(err, "payload of what is gone", m->payload.len);
	return 0;
}

static int
check_chunks(const Cw__Chunks *m, struct cw_error *err)
{
	if (m->id == 0)
		return wire_bad(err, "an item's number", 0);
	if (wire_most(err, "offset", m->first, CW_WIRE_SIZE_MAX) < 0 ||
	    wire_most(
		err, "count of chunks", m->n_lengths, CW_WIRE_CHUNKS_MAX) < 0 ||
	    wire_sized(err, "the chunks' digests", &m->digests,
		m->n_lengths * CW_SHA256_SIZE, false) < 0)
		return -1;
	if (m->n_lengths == 0 && !m->last)
		return wire_bad(err, "count of chunks", 0);
	if (m->gone && m->n_lengths > 0)
		return wire_bad(err, "chunks of what is gone", m->n_lengths);
	for (size_t i = 0; i < m->n_lengths; i++) {
		if (m->lengths[i] == 0 || m->lengths[i] > CW_WIRE_CHUNK_MAX)
			return wire_bad(err, "size of a chunk", m->lengths[i]);
	}
	return 0;
}

static int
check_ack(const Cw__Ack *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_numbers(err, m->generation, m->epoch) < 0)
		return -1;
	return wire_sized(
	    err, "a state digest", &m->digest, CW_SHA256_SIZE, true);
}

static int
check_dirs(const Cw__Dirs *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_most(err, "generation", m->generation, WIRE_NUMBER_MAX) < 0 ||
	    wire_most(
		err, "count of directories", m->n_dirs, CW_WIRE_DIRS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_dirs; i++) {
		if (wire_path(err, &m->dirs[i]->path) < 0 ||
		    wire_sized(err, "a directory's digest", &m->dirs[i]->digest,
			CW_SHA256_SIZE, false) < 0)
			return -1;
	}
	return 0;
}

static int
check_dir_want(const Cw__DirWant *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_most(
		err, "count of directories", m->n_paths, CW_WIRE_DIRS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < m->n_paths; i++) {
		if (wire_path(err, &m->paths[i]) < 0)
			return -1;
	}
	return 0;
}

static int
check_values(Cw__KeyValue *const *values, size_t count, struct cw_error *err)
{
	if (wire_most(err, "count of values", count, CW_WIRE_ARGS_MAX) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (wire_word(err, "a key", values[i]->key, CW_WIRE_WORD_MAX) <
			0 ||
		    wire_most(err, "size of a value", values[i]->value.len,
			CW_WIRE_VALUE_MAX) < 0)
			return -1;
	}
	return 0;
}

static int
check_error(const Cw__Error *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_word(err, "an error's code", m->code, CW_WIRE_WORD_MAX) < 0)
		return -1;
	return wire_sentence(err, "an error's sentence", m->message);
}

static int
check_order(const Cw__Order *m, struct cw_error *err)
{
	if (wire_store(err, m->store) < 0 ||
	    wire_word(err, "an order's kind", m->kind, CW_WIRE_WORD_MAX) < 0)
		return -1;
	return check_values(m->args, m->n_args, err);
}

static int
check_reply(const Cw__Reply *m, struct cw_error *err)
{
	if (m->code[0] != '\0' &&
	    wire_word(err, "a reply's code", m->code, CW_WIRE_WORD_MAX) < 0)
		return -1;
	if (wire_sentence(err, "a reply's sentence", m->message) < 0)
		return -1;
	return check_values(m->values, m->n_values, err);
}

static int
check(const struct cw_wire_msg *msg, struct cw_error *err)
{
	switch ((enum cw_frame_type)msg->type) {
	case CW_FRAME_HELLO:
		return wire_check_hello(msg->hello, err);
	case CW_FRAME_PLAN:
		return wire_check_plan(msg->plan, err);
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
		return wire_most(
		    err, "time", msg->ping->time_ms, WIRE_NUMBER_MAX);
	case CW_FRAME_BYE:
		return wire_sentence(err, "a farewell", msg->bye->reason);
	case CW_FRAME_ERROR:
		return check_error(msg->error, err);
	case CW_FRAME_DIRS:
		return check_dirs(msg->dirs, err);
	case CW_FRAME_DIR_WANT:
		return check_dir_want(msg->dir_want, err);
	case CW_FRAME_DIR_LIST:
		return wire_check_dir_list(msg->dir_list, err);
	case CW_FRAME_ORDER:
		return check_order(msg->order, err);
	case CW_FRAME_REPLY:
		return check_reply(msg->reply, err);
	case CW_FRAME_POLL:
		return wire_store(err, msg->poll->store);
	case CW_FRAME_START:
		return check_start(msg->start, err);
	case CW_FRAME_ROW_WANT:
		return wire_check_row_want(msg->row_want, err);
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
