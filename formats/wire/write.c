#include "formats/wire/check.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Below this a frame of zstd saves nothing: its own head takes 9 bytes. */
#define ZIP_MIN 32u

/* Field 6, length-delimited. */
#define PAYLOAD_TAG 0x32u

struct cw_wire_writer {
	ZSTD_CCtx *zstd;
	struct cw_buf plain;
	struct cw_buf packed;
	struct cw_buf content;
};

struct cw_wire_writer *
cw_wire_writer_new(void)
{
	struct cw_wire_writer *w = cw_calloc(1, sizeof(*w));

	w->zstd = ZSTD_createCCtx();
	if (w->zstd == NULL)
		abort();
	return w;
}

void
cw_wire_writer_free(struct cw_wire_writer *w)
{
	if (w == NULL)
		return;
	ZSTD_freeCCtx(w->zstd);
	cw_buf_free(&w->plain);
	cw_buf_free(&w->packed);
	cw_buf_free(&w->content);
	free(w);
}

/* Whether it was worth it. */
static bool
zip(struct cw_wire_writer *w, const void *data, size_t len, int level,
    struct cw_buf *out)
{
	size_t got;

	if (level == 0 || len < ZIP_MIN)
		return false;
	cw_buf_reset(out);
	/* Room for less than there was: more is not wanted. */
	got = ZSTD_compressCCtx(
	    w->zstd, cw_buf_reserve(out, len), len - 1, data, len, level);
	if (ZSTD_isError(got))
		return false;
	out->len = got;
	return true;
}

int
cw_wire_encode(struct cw_wire_writer *w, enum cw_frame_type type,
    const ProtobufCMessage *m, int level, struct cw_frame *out,
    struct cw_error *err)
{
	const void *as_const = m;
	struct cw_wire_msg msg = {.type = (uint8_t)type};
	const struct cw_buf *body = &w->plain;
	size_t len;

	memcpy(&msg.base, &as_const, sizeof(msg.base)); /* looked at only */
	if (cw_wire_check(&msg, err) < 0) {
		if (err != NULL)
			err->code = CW_ERR_USAGE;
		return -1;
	}
	len = protobuf_c_message_get_packed_size(m);
	if (len > cw_wire_plain_max(msg.type))
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s: %zu bytes are too many", cw_frame_name(msg.type), len);
	cw_buf_reset(&w->plain);
	w->plain.len =
	    protobuf_c_message_pack(m, cw_buf_reserve(&w->plain, len + 1));
	if (zip(w, w->plain.data, len, level, &w->packed))
		body = &w->packed;
	if (body->len > CW_FRAME_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%s: %zu bytes are too many", cw_frame_name(msg.type),
		    body->len);
	*out = (struct cw_frame){
	    .type = msg.type,
	    .flags = body == &w->packed ? CW_FRAME_ZSTD : 0,
	    .body = body->data,
	    .len = body->len,
	};
	return 0;
}

void
cw_wire_compress(struct cw_wire_writer *w, const void *data, size_t len,
    int level, Cw__Coding *coding, ProtobufCBinaryData *out)
{
	if (zip(w, data, len, level, &w->content)) {
		*coding = CW__CODING__ZSTD;
		out->data = w->content.data;
		out->len = w->content.len;
		return;
	}
	*coding = CW__CODING__RAW;
	memcpy(&out->data, &data, sizeof(data)); /* protobuf-c has no const */
	out->len = len;
}

size_t
cw_wire_data_head(const Cw__Data *data, uint8_t out[CW_WIRE_DATA_HEAD_MAX])
{
	Cw__Data head = *data;
	size_t left = data->payload.len, n;

	head.payload.len = 0;
	n = cw__data__pack(&head, out);
	if (left == 0)
		return n;
	out[n++] = PAYLOAD_TAG;
	for (; left >= 0x80; left >>= 7)
		out[n++] = (uint8_t)(0x80 | (left & 0x7f));
	out[n++] = (uint8_t)left;
	return n;
}

size_t
cw_wire_row_size(const Cw__Row *row)
{
	return cw__row__get_packed_size(row) + 5; /* tag and length */
}
