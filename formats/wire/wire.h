/*
 * The wire: frames of a link and the messages in them.  Normative:
 * formats/wire/SPEC.md; the messages' fields are in wire.proto, from which
 * protoc-c makes struct Cw__Hello and so on.
 *
 * What comes from a peer is hostile also when the peer is known: the reader
 * here bounds every length, count and value before anything else sees it, and
 * takes its memory from an arena of fixed size.
 *
 * Nothing here does I/O; src/sync/link.h carries the frames.
 */
#ifndef CW_FORMATS_WIRE_WIRE_H
#define CW_FORMATS_WIRE_WIRE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/wire/wire.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_WIRE_VERSION 1u

/* clang-format off */
enum cw_frame_type {
	CW_FRAME_HELLO = 1,    /* Cw__Hello */
	CW_FRAME_PLAN = 2,     /* Cw__Plan */
	CW_FRAME_PLAN_END = 3, /* Cw__PlanEnd */
	CW_FRAME_WANT = 4,     /* Cw__Want */
	CW_FRAME_DATA = 5,     /* Cw__Data */
	CW_FRAME_CHUNKS = 6,   /* Cw__Chunks */
	CW_FRAME_ACK = 7,      /* Cw__Ack */
	CW_FRAME_PING = 8,     /* Cw__Ping */
	CW_FRAME_BYE = 9,      /* Cw__Bye */
	CW_FRAME_ERROR = 10,   /* Cw__Error */
	CW_FRAME_DIRS = 11,    /* Cw__Dirs */
	CW_FRAME_DIR_WANT = 12,/* Cw__DirWant */
	CW_FRAME_DIR_LIST = 13,/* Cw__DirList */
	CW_FRAME_ORDER = 14,   /* Cw__Order */
	CW_FRAME_REPLY = 15,   /* Cw__Reply */
	CW_FRAME_POLL = 16,    /* Cw__Poll */
	CW_FRAME_START = 17,   /* Cw__Start */
	CW_FRAME_ROW_WANT = 18,/* Cw__RowWant */
	CW_FRAME_OPTIONAL = 128, /* from here on: unknown ones are passed over */
};

#define CW_FRAME_HEAD_SIZE   6u
#define CW_FRAME_ZSTD	     1u	         /* flag: the body is one zstd frame */
#define CW_FRAME_MAX	     (1u << 20)  /* bytes of a body on the line */
#define CW_FRAME_PLAIN_MAX   (1u << 20)  /* of a message */
#define CW_FRAME_ROWS_MAX    (8u << 20)  /* of a PLAN or DIR_LIST */

/* Bounds of fields, see SPEC.md. */
#define CW_WIRE_STORES_MAX   256u    /* stores of a HELLO */
#define CW_WIRE_EPOCHS_MAX   256u    /* epochs of a store */
#define CW_WIRE_RECORD_MAX   4096u   /* bytes of an epoch's record */
#define CW_WIRE_ROOTS_MAX    256u
#define CW_WIRE_FEATURES_MAX 64u
#define CW_WIRE_RECEIPTS_MAX 8u      /* of a HELLO */
#define CW_WIRE_RECEIPT_MAX  1024u   /* bytes of each */
#define CW_WIRE_WORD_MAX     64u     /* feature, store, root, kind, key, code */
#define CW_WIRE_TEXT_MAX     1024u   /* bytes of a sentence */
#define CW_WIRE_PATH_MAX     32768u
#define CW_WIRE_TARGET_MAX   32768u
#define CW_WIRE_NAME_MAX     255u
#define CW_WIRE_ATTRS_MAX    (896u << 10)
#define CW_WIRE_CONTENT_MAX  32768u  /* bytes of a content in a row */
#define CW_WIRE_ROWS_MAX     32768u  /* of a frame; and Dirs, and Owners */
#define CW_WIRE_DIR_MAX      4095u   /* greatest index of a Dir */
#define CW_WIRE_OWNER_MAX    1023u   /* greatest index of an Owner */
#define CW_WIRE_ITEMS_MAX    8192u   /* of a WANT, and ids that it cancels */
#define CW_WIRE_RANGES_MAX   8192u   /* of a WANT, over all items */
#define CW_WIRE_PAYLOAD_MAX  (256u << 10) /* of a DATA, also decompressed */
#define CW_WIRE_CHUNKS_MAX   16384u
#define CW_WIRE_CHUNK_MAX    (16u << 20)
#define CW_WIRE_DIRS_MAX     16384u  /* sums of a DIRS, paths of a DIR_WANT */
#define CW_WIRE_ARGS_MAX     256u
#define CW_WIRE_VALUE_MAX    (64u << 10)
#define CW_WIRE_SIZE_MAX     (1ull << 62) /* of a file */
#define CW_WIRE_BRIEF_SIZE   8u
/* clang-format on */

struct cw_frame_head {
	uint32_t len; /* of the body on the line */
	uint8_t type;
	uint8_t flags;
};

void cw_frame_head_encode(
    const struct cw_frame_head *head, uint8_t out[CW_FRAME_HEAD_SIZE]);
/*
 * CW_ERR_FORMAT for a body over CW_FRAME_MAX, type 0 or an unknown flag; then
 * *head is untouched.  Unknown types pass: cw_wire_decode tells them.
 */
int cw_frame_head_decode(const uint8_t in[CW_FRAME_HEAD_SIZE],
    struct cw_frame_head *head, struct cw_error *err);

/* A frame as it came: body as on the line, borrowed. */
struct cw_frame {
	uint8_t type;
	uint8_t flags;
	const uint8_t *body;
	size_t len;
};

/* A message of the type that the frame had. */
struct cw_wire_msg {
	uint8_t type;
	union {
		ProtobufCMessage *base;
		Cw__Hello *hello;
		Cw__Plan *plan;
		Cw__PlanEnd *plan_end;
		Cw__Want *want;
		Cw__Data *data;
		Cw__Chunks *chunks;
		Cw__Ack *ack;
		Cw__Ping *ping;
		Cw__Bye *bye;
		Cw__Error *error;
		Cw__Dirs *dirs;
		Cw__DirWant *dir_want;
		Cw__DirList *dir_list;
		Cw__Order *order;
		Cw__Reply *reply;
		Cw__Poll *poll;
		Cw__Start *start;
		Cw__RowWant *row_want;
	};
};

/* ---- reading ---- */

struct cw_wire_reader;

struct cw_wire_reader *cw_wire_reader_new(void);
void cw_wire_reader_free(struct cw_wire_reader *r); /* NULL is allowed */

/*
 * Decodes a frame and checks every bound.  Returns 0; 1 for a frame of an
 * optional type that we do not know (pass it over); -1 with CW_ERR_FORMAT, or
 * CW_ERR_UNSUPPORTED for a type or an enum's value that we do not know.  The
 * message is the reader's and lives until the next call; on -1 and 1 *out is
 * untouched.
 *
 * Rows without a generation have got that of the row before.  Whether an index
 * of a Dir, Owner or store was ever given is for the session to check.
 */
int cw_wire_decode(struct cw_wire_reader *r, const struct cw_frame *frame,
    struct cw_wire_msg *out, struct cw_error *err);

/*
 * The content of a row, or the payload of a DATA, decompressed if need be: at
 * most max bytes, else CW_ERR_FORMAT.  *out is the message's own or the
 * reader's; it lives until the next call of this, or of decode.
 */
int cw_wire_content(struct cw_wire_reader *r, Cw__Coding coding,
    const ProtobufCBinaryData *bytes, size_t max, const uint8_t **out,
    size_t *len, struct cw_error *err);

/* ---- writing ---- */

struct cw_wire_writer;

struct cw_wire_writer *cw_wire_writer_new(void);
void cw_wire_writer_free(struct cw_wire_writer *w); /* NULL is allowed */

/*
 * Encodes a message of this type.  level 0: not compressed; else a zstd level
 * (negative ones are fast), used if it saves bytes.  What the peer would
 * refuse is CW_ERR_USAGE.  out->body is the writer's until the next call.
 */
int cw_wire_encode(struct cw_wire_writer *w, enum cw_frame_type type,
    const ProtobufCMessage *m, int level, struct cw_frame *out,
    struct cw_error *err);

/*
 * Compresses a content for a row or a DATA: *coding tells whether it was worth
 * it; then *out is the writer's until the next call of this, else it is data.
 */
void cw_wire_compress(struct cw_wire_writer *w, const void *data, size_t len,
    int level, Cw__Coding *coding, ProtobufCBinaryData *out);

/*
 * The body of a DATA up to its payload's bytes, which follow as they lie (see
 * cw_link_sendv).  Returns the bytes written.
 */
#define CW_WIRE_DATA_HEAD_MAX 64u
size_t cw_wire_data_head(
    const Cw__Data *data, uint8_t out[CW_WIRE_DATA_HEAD_MAX]);

/* An upper bound of what a row takes in a PLAN, to fill frames by. */
size_t cw_wire_row_size(const Cw__Row *row);

/* ---- names ---- */

const char *cw_frame_name(uint8_t type); /* "HELLO"; "?" if unknown */
/* The code of an Error's or Reply's name; CW_ERR_FAILED if unknown. */
enum cw_code cw_wire_code(const char *name);
/*
 * Makes a sentence one that the peer takes: control characters become '?',
 * what is over CW_WIRE_TEXT_MAX bytes goes.
 */
void cw_wire_clean(char *text);
/*
 * The version to speak, 0 if the ranges do not meet; and the first mandatory
 * feature that is not in ours (a list that ends in NULL), or NULL.
 */
uint32_t cw_wire_version(const Cw__Hello *hello);
const char *cw_wire_unknown_feature(
    const Cw__Hello *hello, const char *const *ours);
bool cw_wire_has_feature(const Cw__Hello *hello, const char *feature);

#endif
