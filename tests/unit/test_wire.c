#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/wire/wire.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static struct cw_wire_reader *reader;
static struct cw_wire_writer *writer;
static struct cw_error err;
static uint8_t digest[32] = {1, 2, 3};

/* protobuf-c has no const. */
static ProtobufCBinaryData
bytes_of(const void *data, size_t len)
{
	ProtobufCBinaryData b = {len, NULL};

	memcpy(&b.data, &data, sizeof(data));
	return b;
}

#define TEXT(text) bytes_of(text, strlen(text))
#define DIGEST	   bytes_of(digest, 32)

static void
set_up(void)
{
	reader = cw_wire_reader_new();
	writer = cw_wire_writer_new();
	memset(&err, 0, sizeof(err));
}

static void
tear_down(void)
{
	cw_wire_reader_free(reader);
	cw_wire_writer_free(writer);
}

/* Packs without checks, as a hostile peer does, and decodes. */
static int
hears(uint8_t type, const ProtobufCMessage *m)
{
	static uint8_t body[CW_FRAME_MAX];
	struct cw_frame f = {.type = type, .body = body};
	struct cw_wire_msg msg;

	ck_assert_uint_le(protobuf_c_message_get_packed_size(m), sizeof(body));
	f.len = protobuf_c_message_pack(m, body);
	err.code = CW_OK;
	return cw_wire_decode(reader, &f, &msg, &err);
}

#define accepts(type, m)                                                       \
	ck_assert_msg(hears(type, &(m).base) == 0, "%s", err.message)
#define refuses(type, m, why)                                                  \
	do {                                                                   \
		ck_assert_int_eq(hears(type, &(m).base), -1);                  \
		ck_assert_msg(err.code == (why), "%s", err.message);           \
	} while (0)

static Cw__Row
file_row(void)
{
	Cw__Row r = CW__ROW__INIT;

	r.name = TEXT("1700000000.M1P2.metairie:2,S");
	r.generation = 7;
	r.mode = 0600;
	r.mtime_ns = 1700000000123456789;
	r.size = 5;
	r.digest = DIGEST;
	r.content = TEXT("hello");
	return r;
}

static Cw__Plan
plan_of(Cw__Row **rows, size_t count)
{
	Cw__Plan p = CW__PLAN__INIT;

	p.rows = rows;
	p.n_rows = count;
	return p;
}

START_TEST(head_is_six_bytes)
{
	struct cw_frame_head in = {0x012345, CW_FRAME_DATA, CW_FRAME_ZSTD};
	struct cw_frame_head out;
	static const uint8_t bytes[] = {0x45, 0x23, 0x01, 0x00, 0x05, 0x01};
	uint8_t got[CW_FRAME_HEAD_SIZE];

	cw_frame_head_encode(&in, got);
	ck_assert_mem_eq(got, bytes, sizeof(bytes));
	ck_assert_int_eq(cw_frame_head_decode(got, &out, &err), 0);
	ck_assert_uint_eq(out.len, in.len);
	ck_assert_uint_eq(out.type, in.type);
	ck_assert_uint_eq(out.flags, in.flags);
}
END_TEST

START_TEST(head_that_lies_is_refused)
{
	static const uint8_t heads[][CW_FRAME_HEAD_SIZE] = {
	    {0x01, 0x00, 0x10, 0x00, 0x05, 0x00}, /* 1 MiB and 1 */
	    {0xff, 0xff, 0xff, 0xff, 0x05, 0x00},
	    {0x01, 0x00, 0x00, 0x00, 0x00, 0x00}, /* type 0 */
	    {0x01, 0x00, 0x00, 0x00, 0x05, 0x02}, /* unknown flag */
	};
	struct cw_frame_head out = {42, 42, 42};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		ck_assert_int_eq(
		    cw_frame_head_decode(heads[i], &out, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_FORMAT);
		ck_assert_uint_eq(out.len, 42);
	}
}
END_TEST

/* The example of SPEC.md. */
START_TEST(spec_example_is_what_we_write)
{
	Cw__Row r = CW__ROW__INIT, *rows[] = {&r};
	Cw__Dir d = CW__DIR__INIT, *dirs[] = {&d};
	Cw__Plan p = plan_of(rows, 1);
	uint8_t mac[] = {0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8};
	struct cw_frame_head head;
	struct cw_frame f;
	struct cw_buf got = CW_BUF_INIT;
	char text[256];

	r.dir = 1;
	r.name = TEXT("1700000000.M1.h:2,RS");
	r.generation = 42;
	r.brief_mac = bytes_of(mac, 8);
	d.index = 1;
	d.path = TEXT("mail/ann/cur");
	p.dirs = dirs;
	p.n_dirs = 1;
	ck_assert_int_eq(
	    cw_wire_encode(writer, CW_FRAME_PLAN, &p.base, 0, &f, &err), 0);
	head = (struct cw_frame_head){(uint32_t)f.len, f.type, f.flags};
	cw_frame_head_encode(&head, cw_buf_reserve(&got, CW_FRAME_HEAD_SIZE));
	got.len = CW_FRAME_HEAD_SIZE;
	cw_buf_append(&got, f.body, f.len);
	ck_assert_uint_lt(got.len, sizeof(text) / 2);
	cw_hex_encode(got.data, got.len, text);
	ck_assert_str_eq(text,
	    "380000000200"
	    "122408011214313730303030303030302e4d312e683a322c5253182a6208"
	    "a1a2a3a4a5a6a7a8"
	    "1a100801120c"
	    "6d61696c2f616e6e2f637572");
	cw_buf_free(&got);
}
END_TEST

START_TEST(plan_comes_back_as_it_was_compressed_or_not)
{
	Cw__Row a = file_row(), b = file_row(), *rows[] = {&a, &b};
	Cw__Plan p = plan_of(rows, 2);
	struct cw_wire_msg msg;
	struct cw_frame f;
	size_t plain = 0;

	b.generation = 0;
	for (int level = 0; level <= 3; level += 3) {
		ck_assert_int_eq(cw_wire_encode(writer, CW_FRAME_PLAN, &p.base,
				     level, &f, &err),
		    0);
		ck_assert_uint_eq(f.flags, level == 0 ? 0 : CW_FRAME_ZSTD);
		if (level == 0)
			plain = f.len;
		else
			ck_assert_uint_lt(f.len, plain);
		ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), 0);
		ck_assert_uint_eq(msg.type, CW_FRAME_PLAN);
		ck_assert_uint_eq(msg.plan->n_rows, 2);
		ck_assert_mem_eq(msg.plan->rows[1]->name.data, b.name.data, 28);
		ck_assert_int_eq(msg.plan->rows[0]->mtime_ns, a.mtime_ns);
		/* The second row has what the first said. */
		ck_assert_uint_eq(msg.plan->rows[1]->generation, 7);
	}
}
END_TEST

START_TEST(rows_that_lead_elsewhere_are_refused)
{
	static const struct {
		const char *name;
		size_t len;
	} names[] = {
	    {"", 0}, {".", 1}, {"..", 2}, {"a/b", 3}, {"a\0b", 3}, {"/", 1}};
	char longest[256];
	Cw__Row r = file_row(), *rows[] = {&r};
	Cw__Plan p = plan_of(rows, 1);

	memset(longest, 'n', sizeof(longest));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		r.name = bytes_of(names[i].name, names[i].len);
		refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	}
	r.name = bytes_of(longest, 256);
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.name = bytes_of(longest, 255);
	accepts(CW_FRAME_PLAN, p);
}
END_TEST

START_TEST(directories_that_lead_elsewhere_are_refused)
{
	static const char *paths[] = {
	    "/etc", "..", "mail/../..", "mail//a", "mail/", "./mail"};
	Cw__Dir d = CW__DIR__INIT, *dirs[] = {&d};
	Cw__Plan p = CW__PLAN__INIT;

	p.dirs = dirs;
	p.n_dirs = 1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		d.path = TEXT(paths[i]);
		refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	}
	d.path = TEXT("");
	accepts(CW_FRAME_PLAN, p);
	d.path = TEXT("mail/ann/.Sent/cur");
	accepts(CW_FRAME_PLAN, p);
	d.index = CW_WIRE_DIR_MAX + 1;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
}
END_TEST

START_TEST(fields_of_a_file_are_bounded)
{
	uint8_t many[40000] = {0};
	Cw__Row r, *rows[] = {&r};
	Cw__Plan p = plan_of(rows, 1);

#define WRONG(change)                                                          \
	do {                                                                   \
		r = file_row();                                                \
		change;                                                        \
		refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);                      \
	} while (0)
	r = file_row();
	accepts(CW_FRAME_PLAN, p);
	WRONG(r.digest.len = 31);
	WRONG(r.digest.len = 0);
	WRONG(r.mode = 010000);
	WRONG(r.size = 4);
	WRONG(r.size = 6);
	WRONG(r.size = CW_WIRE_SIZE_MAX + 1; r.content.len = 0);
	WRONG(r.content = bytes_of(many, 32769); r.size = 32769);
	WRONG(r.content_coding = CW__CODING__ZSTD; r.size = 32769);
	WRONG(r.content.len = 0; r.content_coding = CW__CODING__ZSTD);
	WRONG(r.target = TEXT("x"));
	WRONG(r.owner = CW_WIRE_OWNER_MAX + 1);
	WRONG(r.dir = CW_WIRE_DIR_MAX + 1);
	WRONG(r.linkgroup = 1ull << 63);
	WRONG(r.generation = 1ull << 63);
	WRONG(r.generation = 0);
	WRONG(r.class_ = 256);
	WRONG(r.brief_mac = bytes_of(many, 8));
	WRONG(r.brief_mac = bytes_of(many, 7));
	WRONG(r.removed = true);
	WRONG(r.kind = CW__KIND__DIRECTORY);
	WRONG(r.kind = CW__KIND__SYMLINK);
#undef WRONG
	r = file_row();
	r.kind = (Cw__Kind)3;
	refuses(CW_FRAME_PLAN, p, CW_ERR_UNSUPPORTED);
	r = file_row();
	r.content_coding = (Cw__Coding)2;
	refuses(CW_FRAME_PLAN, p, CW_ERR_UNSUPPORTED);
}
END_TEST

START_TEST(symlinks_and_directories_have_their_own_fields)
{
	Cw__Row r = CW__ROW__INIT, *rows[] = {&r};
	Cw__Plan p = plan_of(rows, 1);

	r.name = TEXT("cur");
	r.generation = 1;
	r.kind = CW__KIND__DIRECTORY;
	r.mode = 0700;
	accepts(CW_FRAME_PLAN, p);
	r.linkgroup = 1;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.kind = CW__KIND__SYMLINK;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.target = bytes_of("a\0b", 3);
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.target = TEXT("../elsewhere");
	accepts(CW_FRAME_PLAN, p);
}
END_TEST

START_TEST(removals_say_a_name_and_nothing_more)
{
	Cw__Row r = CW__ROW__INIT, put = file_row(), *rows[] = {&r, &put};
	Cw__Plan p = plan_of(rows, 2);

	r.name = TEXT("gone");
	r.generation = 7;
	r.removed = true;
	accepts(CW_FRAME_PLAN, p);
	r.mode = 0600;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.mode = 0;
	/* Removals come before puts, lower generations before higher. */
	rows[0] = &put;
	rows[1] = &r;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	r.generation = 8;
	accepts(CW_FRAME_PLAN, p);
	r.generation = 6;
	refuses(CW_FRAME_PLAN, p, CW_ERR_FORMAT);
	p.answer = true;
	accepts(CW_FRAME_PLAN, p);
}
END_TEST

START_TEST(hello_is_bounded)
{
	Cw__Hello h = CW__HELLO__INIT;
	Cw__Store s = CW__STORE__INIT, *stores[300];
	Cw__Epoch e[2] = {CW__EPOCH__INIT, CW__EPOCH__INIT};
	Cw__Epoch *epochs[] = {&e[0], &e[1]};
	char word[66] = "metairie", *features[65];
	uint8_t record[CW_WIRE_RECORD_MAX + 1] = {0};
	ProtobufCBinaryData receipts[CW_WIRE_RECEIPTS_MAX + 1];

	for (size_t i = 0; i < 300; i++)
		stores[i] = &s;
	for (size_t i = 0; i < 65; i++)
		features[i] = word;
	h.version_min = h.version_max = 1;
	h.site = word;
	h.stores = stores;
	h.n_stores = 256;
	s.id = bytes_of(digest, 16);
	s.name = word;
	accepts(CW_FRAME_HELLO, h);
	h.n_stores = 257;
	refuses(CW_FRAME_HELLO, h, CW_ERR_FORMAT);
	h.n_stores = 1;
#define WRONG(change, back)                                                    \
	do {                                                                   \
		change;                                                        \
		refuses(CW_FRAME_HELLO, h, CW_ERR_FORMAT);                     \
		back;                                                          \
		accepts(CW_FRAME_HELLO, h);                                    \
	} while (0)
	WRONG(h.version_min = 0, h.version_min = 1);
	WRONG(h.version_min = 2, h.version_min = 1);
	WRONG(s.id.len = 15, s.id.len = 16);
	WRONG(s.digest = bytes_of(digest, 16), s.digest = DIGEST);
	WRONG(s.state_key = bytes_of(digest, 31), s.state_key = DIGEST);
	WRONG(s.generation = 1ull << 63, s.generation = 1);
	WRONG(strcpy(word, "a b"), strcpy(word, "a-b"));
	WRONG(strcpy(word, "\x1b[2J"), strcpy(word, "a"));
	WRONG(strcpy(word, ""), strcpy(word, "a"));
	WRONG((memset(word, 'a', 65), word[65] = '\0'), word[64] = '\0');
	for (size_t i = 0; i < CW_WIRE_RECEIPTS_MAX + 1; i++)
		receipts[i] = bytes_of(record, CW_WIRE_RECEIPT_MAX);
	h.receipts = receipts;
	WRONG(h.n_receipts = CW_WIRE_RECEIPTS_MAX + 1,
	    h.n_receipts = CW_WIRE_RECEIPTS_MAX);
	WRONG(receipts[7].len++, receipts[7].len--);
	h.mandatory = features;
	WRONG(h.n_mandatory = 65, h.n_mandatory = 64);
	e[0].epoch = 1;
	e[1].epoch = 2;
	e[1].record = bytes_of(record, CW_WIRE_RECORD_MAX);
	s.history = epochs;
	s.n_history = 2;
	accepts(CW_FRAME_HELLO, h);
	WRONG(e[1].epoch = 1, e[1].epoch = 2);
	WRONG(e[1].record.len++, e[1].record.len--);
	WRONG(e[1].site_key = bytes_of(digest, 5), e[1].site_key = DIGEST);
#undef WRONG
	s.role = (Cw__Role)3;
	refuses(CW_FRAME_HELLO, h, CW_ERR_UNSUPPORTED);
}
END_TEST

START_TEST(wants_are_bounded)
{
	Cw__Item it = CW__ITEM__INIT, *items[] = {&it};
	Cw__Range r[2] = {CW__RANGE__INIT, CW__RANGE__INIT};
	Cw__Range *ranges[] = {&r[0], &r[1]};
	Cw__Want w = CW__WANT__INIT;

	w.items = items;
	w.n_items = 1;
	it.id = 1;
	it.digest = DIGEST;
	it.size = 100;
	accepts(CW_FRAME_WANT, w);
	it.offset = 50;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	it.prefix = DIGEST;
	accepts(CW_FRAME_WANT, w);
	it.offset = 101;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	it.offset = 0;
	it.prefix.len = 0;
	it.ranges = ranges;
	it.n_ranges = 2;
	r[0].offset = 0;
	r[0].length = 50;
	r[1].offset = 50;
	r[1].length = 50;
	accepts(CW_FRAME_WANT, w);
	r[1].length = 51;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	r[1].length = UINT64_MAX;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	r[1].length = 10;
	r[1].offset = 49;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	r[1].offset = 60;
	accepts(CW_FRAME_WANT, w);
	it.chunks = true;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	it.n_ranges = 0;
	accepts(CW_FRAME_WANT, w);
	it.offset = 50;
	it.prefix = DIGEST;
	accepts(CW_FRAME_WANT, w);
	it.n_ranges = 2;
	it.chunks = false;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
	it.n_ranges = 0;
	it.id = 0;
	refuses(CW_FRAME_WANT, w, CW_ERR_FORMAT);
}
END_TEST

START_TEST(data_and_chunks_are_bounded)
{
	uint8_t *payload = cw_calloc(1, CW_WIRE_PAYLOAD_MAX + 1);
	uint32_t lengths[2] = {1, CW_WIRE_CHUNK_MAX};
	Cw__Data d = CW__DATA__INIT;
	Cw__Chunks c = CW__CHUNKS__INIT;

	d.id = 3;
	refuses(CW_FRAME_DATA, d, CW_ERR_FORMAT); /* nothing, and not last */
	d.last = true;
	accepts(CW_FRAME_DATA, d);
	d.gone = true;
	accepts(CW_FRAME_DATA, d);
	d.payload = bytes_of(payload, 1);
	refuses(CW_FRAME_DATA, d, CW_ERR_FORMAT);
	d.gone = false;
	d.payload.len = CW_WIRE_PAYLOAD_MAX;
	accepts(CW_FRAME_DATA, d);
	d.payload.len++;
	refuses(CW_FRAME_DATA, d, CW_ERR_FORMAT);
	c.id = 1;
	c.lengths = lengths;
	c.n_lengths = 2;
	c.digests = bytes_of(payload, 64);
	accepts(CW_FRAME_CHUNKS, c);
	c.digests.len = 32;
	refuses(CW_FRAME_CHUNKS, c, CW_ERR_FORMAT);
	c.digests.len = 64;
	lengths[1]++;
	refuses(CW_FRAME_CHUNKS, c, CW_ERR_FORMAT);
	lengths[1] = 0;
	refuses(CW_FRAME_CHUNKS, c, CW_ERR_FORMAT);
	free(payload);
}
END_TEST

START_TEST(data_head_and_payload_are_the_message)
{
	char payload[300];
	uint8_t head[CW_WIRE_DATA_HEAD_MAX];
	Cw__Data d = CW__DATA__INIT;
	struct cw_frame f;
	size_t n;

	memset(payload, 'x', sizeof(payload));
	d.id = 77;
	d.offset = 1ull << 40;
	d.last = true;
	for (size_t len = 0; len <= sizeof(payload); len += 100) {
		d.payload = bytes_of(payload, len);
		ck_assert_int_eq(
		    cw_wire_encode(writer, CW_FRAME_DATA, &d.base, 0, &f, &err),
		    0);
		n = cw_wire_data_head(&d, head);
		ck_assert_uint_eq(n + len, f.len);
		ck_assert_mem_eq(head, f.body, n);
		ck_assert_mem_eq(payload, f.body + n, len);
	}
	/* The largest of each. */
	d.id = UINT32_MAX;
	d.offset = UINT64_MAX;
	d.coding = CW__CODING__ZSTD;
	d.gone = true;
	d.payload = bytes_of(payload, CW_FRAME_MAX);
	ck_assert_uint_lt(cw_wire_data_head(&d, head), sizeof(head));
}
END_TEST

START_TEST(sentences_have_no_control_characters)
{
	char text[2000] = "all is \x1b[2J well";
	Cw__Error e = CW__ERROR__INIT;
	char code[] = "refused";

	e.code = code;
	e.message = text;
	refuses(CW_FRAME_ERROR, e, CW_ERR_FORMAT);
	cw_wire_clean(text);
	ck_assert_str_eq(text, "all is ?[2J well");
	accepts(CW_FRAME_ERROR, e);
	memset(text, 'x', sizeof(text) - 1);
	refuses(CW_FRAME_ERROR, e, CW_ERR_FORMAT);
	cw_wire_clean(text);
	accepts(CW_FRAME_ERROR, e);
}
END_TEST

START_TEST(codes_have_names_that_come_back)
{
	for (int i = CW_ERR_FAILED; i <= CW_ERR_INTERRUPTED; i++)
		ck_assert_int_eq(
		    cw_wire_code(cw_error_name((enum cw_code)i)), i);
	ck_assert_int_eq(cw_wire_code("nonsense"), CW_ERR_FAILED);
}
END_TEST

START_TEST(unknown_types_are_refused_and_optional_ones_passed_over)
{
	struct cw_frame f = {.type = 99};
	struct cw_wire_msg msg;

	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNSUPPORTED);
	f.type = CW_FRAME_OPTIONAL;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), 1);
	f.type = 255;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), 1);
}
END_TEST

START_TEST(unknown_fields_are_no_error)
{
	/* store = 1, field 2000 = 7 */
	static const uint8_t body[] = {0x08, 0x01, 0x80, 0x7d, 0x07};
	struct cw_frame f = {CW_FRAME_POLL, 0, body, sizeof(body)};
	struct cw_wire_msg msg;

	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), 0);
	ck_assert_uint_eq(msg.poll->store, 1);
}
END_TEST

/* Rows of two bytes each, which would be structs of 250. */
START_TEST(message_that_would_take_too_much_memory_is_refused)
{
	struct cw_frame f = {.type = CW_FRAME_PLAN};
	struct cw_wire_msg msg;
	uint8_t *rows = cw_malloc(CW_FRAME_ROWS_MAX);
	uint8_t *packed = cw_malloc(CW_FRAME_MAX);

	for (size_t i = 0; i < CW_FRAME_ROWS_MAX; i += 2) {
		rows[i] = 0x12;
		rows[i + 1] = 0;
	}
	f.flags = CW_FRAME_ZSTD;
	f.len = ZSTD_compress(packed, CW_FRAME_MAX, rows, CW_FRAME_ROWS_MAX, 1);
	ck_assert(!ZSTD_isError(f.len));
	f.body = packed;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(err.message, "memory"));
	/* One byte more than a PLAN may have. */
	free(rows);
	rows = cw_calloc(1, CW_FRAME_ROWS_MAX + 1);
	f.len =
	    ZSTD_compress(packed, CW_FRAME_MAX, rows, CW_FRAME_ROWS_MAX + 1, 1);
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	/* And others have less. */
	f.type = CW_FRAME_WANT;
	f.len = ZSTD_compress(
	    packed, CW_FRAME_MAX, rows, CW_FRAME_PLAIN_MAX + 1, 1);
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	free(rows);
	free(packed);
}
END_TEST

START_TEST(what_is_not_one_zstd_frame_is_refused)
{
	static const char plain[] = "a content of a message, so to say so";
	uint8_t packed[256], out[512];
	struct cw_wire_msg msg;
	struct cw_frame f = {CW_FRAME_POLL, CW_FRAME_ZSTD, out, 0};
	size_t n;

	n = ZSTD_compress(packed, sizeof(packed), "\x08\x01", 2, 1);
	ck_assert(!ZSTD_isError(n));
	memcpy(out, packed, n);
	f.len = n;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), 0);
	f.len = n - 1;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	memcpy(out + n, packed, n);
	f.len = 2 * n;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	memcpy(out, "\x50\x2a\x4d\x18\x00\x00\x00\x00", 8);
	f.len = 8;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	f.len = 0;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	/* A frame that does not tell its content's size. */
	{
		ZSTD_CCtx *z = ZSTD_createCCtx();

		(void)ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
		n = ZSTD_compress2(
		    z, out, sizeof(out), plain, sizeof(plain) - 1);
		ZSTD_freeCCtx(z);
	}
	ck_assert(!ZSTD_isError(n));
	f.len = n;
	ck_assert_int_eq(cw_wire_decode(reader, &f, &msg, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
}
END_TEST

START_TEST(contents_come_back_and_never_grow_over_their_bound)
{
	char content[4000];
	ProtobufCBinaryData b;
	Cw__Coding coding;
	const uint8_t *out;
	size_t len;

	memset(content, 'a', sizeof(content));
	cw_wire_compress(writer, content, sizeof(content), 3, &coding, &b);
	ck_assert_int_eq(coding, CW__CODING__ZSTD);
	ck_assert_uint_lt(b.len, 100);
	ck_assert_int_eq(cw_wire_content(reader, coding, &b, sizeof(content),
			     &out, &len, &err),
	    0);
	ck_assert_uint_eq(len, sizeof(content));
	ck_assert_mem_eq(out, content, len);
	ck_assert_int_eq(cw_wire_content(reader, coding, &b,
			     sizeof(content) - 1, &out, &len, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	/* What does not get smaller stays. */
	cw_wire_compress(writer, digest, sizeof(digest), 3, &coding, &b);
	cw_wire_compress(writer, "short", 5, 19, &coding, &b);
	ck_assert_int_eq(coding, CW__CODING__RAW);
	ck_assert_int_eq(
	    cw_wire_content(reader, coding, &b, 5, &out, &len, &err), 0);
	ck_assert_mem_eq(out, "short", 5);
	ck_assert_int_eq(
	    cw_wire_content(reader, coding, &b, 4, &out, &len, &err), -1);
}
END_TEST

START_TEST(what_a_peer_would_refuse_is_not_encoded)
{
	Cw__Row r = file_row(), *rows[] = {&r};
	Cw__Plan p = plan_of(rows, 1);
	struct cw_frame f;

	r.name = TEXT("..");
	ck_assert_int_eq(
	    cw_wire_encode(writer, CW_FRAME_PLAN, &p.base, 0, &f, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
}
END_TEST

START_TEST(row_size_is_enough_to_fill_frames_by)
{
	static const size_t lens[] = {0, 5, 127, 128, 16383, 16384, 32768};
	uint8_t *content = cw_calloc(1, 32768);
	Cw__Row r = file_row(), *rows[] = {&r};
	Cw__Plan p = plan_of(rows, 1);

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		r.content = bytes_of(content, lens[i]);
		ck_assert_uint_le(
		    cw__plan__get_packed_size(&p), cw_wire_row_size(&r));
	}
	free(content);
}
END_TEST

START_TEST(versions_and_features_are_agreed_upon)
{
	static const char *const ours[] = {"brief", "chunks", NULL};
	char brief[] = "brief", later[] = "later";
	char *mandatory[] = {brief, later};
	Cw__Hello h = CW__HELLO__INIT;

	h.version_min = 1;
	h.version_max = 9;
	ck_assert_uint_eq(cw_wire_version(&h), 1);
	h.version_min = 2;
	ck_assert_uint_eq(cw_wire_version(&h), 0);
	h.mandatory = mandatory;
	h.n_mandatory = 1;
	ck_assert_ptr_null(cw_wire_unknown_feature(&h, ours));
	h.n_mandatory = 2;
	ck_assert_str_eq(cw_wire_unknown_feature(&h, ours), "later");
	ck_assert(cw_wire_has_feature(&h, "brief"));
	ck_assert(!cw_wire_has_feature(&h, "chunks"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tc = tcase_create("wire");
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, head_is_six_bytes);
	tcase_add_test(tc, head_that_lies_is_refused);
	tcase_add_test(tc, spec_example_is_what_we_write);
	tcase_add_test(tc, plan_comes_back_as_it_was_compressed_or_not);
	tcase_add_test(tc, rows_that_lead_elsewhere_are_refused);
	tcase_add_test(tc, directories_that_lead_elsewhere_are_refused);
	tcase_add_test(tc, fields_of_a_file_are_bounded);
	tcase_add_test(tc, symlinks_and_directories_have_their_own_fields);
	tcase_add_test(tc, removals_say_a_name_and_nothing_more);
	tcase_add_test(tc, hello_is_bounded);
	tcase_add_test(tc, wants_are_bounded);
	tcase_add_test(tc, data_and_chunks_are_bounded);
	tcase_add_test(tc, data_head_and_payload_are_the_message);
	tcase_add_test(tc, sentences_have_no_control_characters);
	tcase_add_test(tc, codes_have_names_that_come_back);
	tcase_add_test(
	    tc, unknown_types_are_refused_and_optional_ones_passed_over);
	tcase_add_test(tc, unknown_fields_are_no_error);
	tcase_add_test(tc, message_that_would_take_too_much_memory_is_refused);
	tcase_add_test(tc, what_is_not_one_zstd_frame_is_refused);
	tcase_add_test(tc, contents_come_back_and_never_grow_over_their_bound);
	tcase_add_test(tc, what_a_peer_would_refuse_is_not_encoded);
	tcase_add_test(tc, row_size_is_enough_to_fill_frames_by);
	tcase_add_test(tc, versions_and_features_are_agreed_upon);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
