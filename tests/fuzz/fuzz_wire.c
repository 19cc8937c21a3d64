/*
 * A link's bytes: heads, bodies, messages.  What is accepted can be encoded
 * again, and that decodes to the same bytes once more; contents decompress
 * within their bounds or are refused.
 */
#include "base/crypto.h"
#include "formats/wire/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_wire_reader *reader, *again;
static struct cw_wire_writer *writer, *second;

static void
read_rows(Cw__Row *const *rows, size_t count)
{
	const uint8_t *out;
	size_t len;

	for (size_t i = 0; i < count; i++) {
		if (cw_wire_content(reader, rows[i]->content_coding,
			&rows[i]->content, CW_WIRE_CONTENT_MAX, &out, &len,
			NULL) == 0 &&
		    len > CW_WIRE_CONTENT_MAX)
			abort();
		if (cw_wire_row_size(rows[i]) <
		    cw__row__get_packed_size(rows[i]))
			abort();
	}
}

static void
check_data(const Cw__Data *d, const struct cw_frame *f)
{
	uint8_t head[CW_WIRE_DATA_HEAD_MAX];
	const uint8_t *out;
	size_t len, n;

	if (cw_wire_content(reader, d->coding, &d->payload, CW_WIRE_PAYLOAD_MAX,
		&out, &len, NULL) == 0 &&
	    len > CW_WIRE_PAYLOAD_MAX)
		abort();
	n = cw_wire_data_head(d, head);
	if (n + d->payload.len != f->len || memcmp(head, f->body, n) != 0)
		abort();
}

/*
 * What nobody knows is dropped, for protobuf-c takes some that it then writes
 * otherwise (a field's number 0, in two bytes).
 */
static void
drop_unknown(ProtobufCMessage *m)
{
	m->n_unknown_fields = 0;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		char *at = (char *)m;
		size_t count = 1;
		ProtobufCMessage **list;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			memcpy(
			    &count, at + f->quantifier_offset, sizeof(count));
			memcpy(&list, at + f->offset, sizeof(list));
		} else {
			list = (ProtobufCMessage **)(void *)(at + f->offset);
		}
		for (size_t k = 0; k < count; k++) {
			if (list[k] != NULL)
				drop_unknown(list[k]);
		}
	}
}

static void
one_frame(const struct cw_frame *f)
{
	struct cw_wire_msg msg, same;
	struct cw_frame first, twice;

	if (cw_wire_decode(reader, f, &msg, NULL) != 0)
		return;
	drop_unknown(msg.base);
	if (cw_wire_encode(writer, (enum cw_frame_type)msg.type, msg.base, 0,
		&first, NULL) < 0) {
		/* A compressed PLAN may be too large when it is not. */
		if (f->flags == 0)
			abort();
		return;
	}
	if (cw_wire_decode(again, &first, &same, NULL) != 0)
		abort();
	if (cw_wire_encode(second, (enum cw_frame_type)same.type, same.base, 0,
		&twice, NULL) < 0 ||
	    twice.len != first.len ||
	    memcmp(first.body, twice.body, first.len) != 0)
		abort();
	if (msg.type == CW_FRAME_PLAN)
		read_rows(msg.plan->rows, msg.plan->n_rows);
	if (msg.type == CW_FRAME_DIR_LIST)
		read_rows(msg.dir_list->rows, msg.dir_list->n_rows);
	if (msg.type == CW_FRAME_DATA)
		check_data(msg.data, &first);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_frame_head head;
	uint8_t bytes[CW_FRAME_HEAD_SIZE];

	if (reader == NULL) {
		if (cw_crypto_init(NULL) < 0)
			abort();
		reader = cw_wire_reader_new();
		again = cw_wire_reader_new();
		writer = cw_wire_writer_new();
		second = cw_wire_writer_new();
	}
	while (size >= CW_FRAME_HEAD_SIZE) {
		struct cw_frame f;

		if (cw_frame_head_decode(data, &head, NULL) < 0)
			return 0;
		cw_frame_head_encode(&head, bytes);
		if (memcmp(bytes, data, sizeof(bytes)) != 0)
			abort();
		data += CW_FRAME_HEAD_SIZE;
		size -= CW_FRAME_HEAD_SIZE;
		f = (struct cw_frame){head.type, head.flags, data, head.len};
		if (f.len > size)
			f.len = size;
		one_frame(&f);
		data += f.len;
		size -= f.len;
	}
	return 0;
}
