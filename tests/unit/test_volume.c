/*
 * formats/volume against itself, stock age, zstd and tar, and awkward
 * archives.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/volume/acl.h"
#include "formats/volume/header.h"
#include "formats/volume/volume.h"
#include "tests/fuzz/bytes.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SHARED CW_SOURCE_DIR "/../shared/data/"
#define SIZE   (256u << 10)
#define MAX    (UINT64_C(1) << 40)

/* ---- helpers ---- */

static struct cw_volume_writer *writer;
static struct cw_volume_reader *reader;
static struct cw_age_identity *identity;
static struct cw_age_recipient recipient;

static void
setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_crypto_init(&err) == 0, "%s", err.message);
	writer = cw_volume_writer_new(0);
	reader = cw_volume_reader_new();
	identity = cw_age_identity_generate();
	cw_age_identity_recipient(identity, &recipient);
}

static void
setup_ahead(void)
{
	setup();
	cw_volume_reader_go_ahead(reader);
}

static void
teardown(void)
{
	cw_volume_writer_free(writer);
	cw_volume_reader_free(reader);
	cw_age_identity_free(identity);
}

static void
noise(uint8_t *to, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		to[i] = (uint8_t)(seed >> 56);
	}
}

static void
open_volume(uint64_t size, struct cw_buf *file)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_volume_open(
			  writer, &recipient, 1, size, append, file, &err) == 0,
	    "%s", err.message);
}

/* content holds what is stored: of a sparse file the ranges only. */
static void
put(const struct cw_member *m, const void *content, size_t len)
{
	struct cw_error err = CW_ERROR_INIT;

	/* Check is slow in what holds. */
	if (cw_volume_begin(writer, m, &err) < 0 ||
	    cw_volume_data(writer, content, len, &err) < 0 ||
	    cw_volume_end(writer, &err) < 0)
		ck_abort_msg("%s", err.message);
}

static void
close_volume(bool is_last)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(
	    cw_volume_close(writer, is_last, &err) == 0, "%s", err.message);
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static void
assert_same(const struct cw_member *a, const struct cw_member *b)
{
	ck_assert_str_eq(a->path, b->path);
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->uid, b->uid);
	ck_assert_uint_eq(a->gid, b->gid);
	ck_assert(same_text(a->user, b->user));
	ck_assert(same_text(a->group, b->group));
	ck_assert_int_eq(a->mtime_s, b->mtime_s);
	ck_assert_uint_eq(a->mtime_ns, b->mtime_ns);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert(same_text(a->target, b->target));
	ck_assert_uint_eq(a->xattr_count, b->xattr_count);
	for (size_t i = 0; i < a->xattr_count; i++) {
		ck_assert_str_eq(a->xattrs[i].name, b->xattrs[i].name);
		ck_assert_uint_eq(a->xattrs[i].len, b->xattrs[i].len);
		if (a->xattrs[i].len > 0)
			ck_assert_mem_eq(a->xattrs[i].value, b->xattrs[i].value,
			    a->xattrs[i].len);
	}
	ck_assert(same_text(a->acl_access, b->acl_access));
	ck_assert(same_text(a->acl_default, b->acl_default));
	ck_assert_int_eq(a->is_sparse, b->is_sparse);
	ck_assert_uint_eq(a->range_count, b->range_count);
	for (size_t i = 0; i < a->range_count; i++) {
		ck_assert_uint_eq(a->ranges[i].offset, b->ranges[i].offset);
		ck_assert_uint_eq(a->ranges[i].len, b->ranges[i].len);
	}
}

static int
open_reader(const struct cw_buf *file, bool is_sealed, uint64_t max,
    struct source *s, struct cw_error *err)
{
	*s = (struct source){file->data, file->len};
	if (!is_sealed) {
		cw_volume_reader_open_unsealed(reader, max, take, s);
		return 0;
	}
	return cw_volume_reader_open(reader, identity, max, take, s, err);
}

/* Reads a member's stored bytes one after another. */
static int
read_content(struct cw_buf *out, struct cw_error *err)
{
	const uint8_t *data;
	uint64_t offset;
	size_t len;
	bool end;

	cw_buf_reset(out);
	for (;;) {
		if (cw_volume_read_block(
			reader, &data, &len, &offset, &end, err) < 0)
			return -1;
		if (end)
			return 0;
		cw_buf_append(out, data, len);
	}
}

/* Reads a whole volume; *count members.  The outcome is that of the reader. */
static int
read_volume(const struct cw_buf *file, bool is_sealed, uint64_t max,
    size_t *count, struct cw_error *err)
{
	struct cw_buf content = CW_BUF_INIT;
	struct cw_member m;
	struct source s;
	bool end = false;
	int ret = -1;

	*count = 0;
	if (open_reader(file, is_sealed, max, &s, err) < 0)
		goto out;
	for (;;) {
		if (cw_volume_next(reader, &m, &end, err) < 0)
			goto out;
		if (end)
			break;
		++*count;
		if (read_content(&content, err) < 0)
			goto out;
	}
	ret = cw_volume_reader_finish(reader, err);
out:
	cw_volume_reader_stop(reader);
	cw_buf_free(&content);
	return ret;
}

/* Makes an unsealed volume of any bytes of tar. */
static void
wrap(const void *tar, size_t len, struct cw_buf *out)
{
	static struct cw_zframe_writer *w;
	struct cw_error err = CW_ERROR_INIT;

	if (w == NULL)
		w = cw_zframe_writer_new(1);
	cw_zframe_start(w, append, out);
	ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, &err), 0);
	ck_assert_int_eq(cw_zframe_write(w, tar, len, &err), 0);
	ck_assert_int_eq(cw_zframe_end(w, &err), 0);
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), &err), 0);
}

/* ---- members of every sort ---- */

#define FILE_OF(p, n)                                                          \
	{                                                                      \
		.path = (p), .kind = CW_KIND_FILE, .mode = 0644, .uid = 1000,  \
		.gid = 100, .user = "no such", .group = "none",                \
		.mtime_s = 1600000000, .mtime_ns = 123456789, .size = (n)      \
	}

static char long_name[256], long_path[5000], deep_path[CW_MEMBER_PATH_MAX + 1];
static char split_path[240], long_user[CW_MEMBER_NAME_MAX + 1];
static uint8_t all_bytes[256], large_value[60000];

static const struct cw_xattr xattrs[] = {
    {"user.all", all_bytes, sizeof(all_bytes)},
    {"user.empty", NULL, 0},
    {"user.na\xc3\xafve \n name", all_bytes, 1},
    {"user.large", large_value, sizeof(large_value)},
};
static const struct cw_range ranges[] = {
    {4096, 4608},
    {1 << 20, 512},
    {UINT64_C(1) << 40, 512},
};
static const struct cw_range to_the_end[] = {{1024, 512}, {4096, 100}};
static const struct cw_range first_range[] = {{0, 512}};
static const char acl_access[] = "user::rw-\nuser:1000:r--\nuser:7:-w-\n"
				 "group::r-x\ngroup:8:rwx\nmask::rw-\n"
				 "other::---\n";
static const char acl_default[] = "user::rwx\ngroup::r-x\nother::--x\n";

static const struct cw_member members[] = {
    {.path = "mail",
	.kind = CW_KIND_DIR,
	.mode = 02770,
	.mtime_s = 1,
	.acl_default = acl_default},
    FILE_OF("mail/a", 5),
    FILE_OF("mail/empty", 0),
    FILE_OF("mail/new\nline", 5),
    FILE_OF("mail/\xff\xfe not UTF-8", 5),
    FILE_OF("mail/gr\xc3\xbc\xc3\x9f", 5),
    FILE_OF("mail/ leading = and : and \\ and \"", 5),
    FILE_OF("mail/.hidden", 5),
    FILE_OF("mail/..two dots", 5),
    FILE_OF(long_name, 5),
    FILE_OF(split_path, 5),
    FILE_OF(long_path, 5),
    FILE_OF(deep_path, 5),
    {.path = split_path, .kind = CW_KIND_DIR, .mode = 0755},
    {.path = long_path, .kind = CW_KIND_DIR, .mode = 0755},
    {.path = "mail/d\xc3\xafr", .kind = CW_KIND_DIR, .mode = 07777},
    {.path = "mail/before 1970",
	.kind = CW_KIND_FILE,
	.mtime_s = -2,
	.mtime_ns = 500000000,
	.size = 1},
    {.path = "mail/just before 1970",
	.kind = CW_KIND_FILE,
	.mtime_s = -1,
	.mtime_ns = 1},
    {.path = "mail/a second before 1970", .kind = CW_KIND_FILE, .mtime_s = -1},
    {.path = "mail/just after 1970", .kind = CW_KIND_FILE, .mtime_ns = 1},
    {.path = "mail/1901",
	.kind = CW_KIND_FILE,
	.mtime_s = INT64_C(-2177452801),
	.mtime_ns = 999999999},
    {.path = "mail/2999",
	.kind = CW_KIND_FILE,
	.mtime_s = INT64_C(32472144000)},
    {.path = "mail/owners",
	.kind = CW_KIND_FILE,
	.uid = UINT32_MAX - 1,
	.gid = 2097152,
	.user = long_user,
	.group = "gr\xc3\xbcppe",
	.size = 3},
    {.path = "mail/symlink",
	.kind = CW_KIND_SYMLINK,
	.mode = 0777,
	.target = "../../outside\n\xff"},
    {.path = "mail/long symlink",
	.kind = CW_KIND_SYMLINK,
	.mode = 0777,
	.target = long_path},
    {.path = "mail/link",
	.kind = CW_KIND_LINK,
	.mode = 0644,
	.target = "mail/a"},
    {.path = "mail/long link",
	.kind = CW_KIND_LINK,
	.mode = 0644,
	.target = long_path},
    {.path = "mail/xattrs",
	.kind = CW_KIND_FILE,
	.mode = 0600,
	.size = 2,
	.xattrs = xattrs,
	.xattr_count = 4},
    {.path = "mail/acl",
	.kind = CW_KIND_FILE,
	.mode = 0660,
	.size = 2,
	.acl_access = acl_access},
    {.path = "mail/sparse",
	.kind = CW_KIND_FILE,
	.mode = 0600,
	.size = UINT64_C(1) << 41,
	.is_sparse = true,
	.ranges = ranges,
	.range_count = 3},
    {.path = "mail/sparse \xc3\xbc to the end",
	.kind = CW_KIND_FILE,
	.mtime_ns = 5,
	.size = 4196,
	.is_sparse = true,
	.ranges = to_the_end,
	.range_count = 2},
    {.path = long_path,
	.kind = CW_KIND_FILE,
	.size = 1000000,
	.is_sparse = true,
	.ranges = first_range,
	.range_count = 1},
    {.path = "mail/hole",
	.kind = CW_KIND_FILE,
	.size = 1 << 20,
	.is_sparse = true},
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

static void
fill_names(void)
{
	memset(long_name, 'n', 255);
	memset(long_user, 'u', CW_MEMBER_NAME_MAX);
	for (size_t i = 0; i < sizeof(long_path) - 1; i++)
		long_path[i] = i % 101 == 100 ? '/' : 'p';
	for (size_t i = 0; i < sizeof(deep_path) - 1; i++)
		deep_path[i] = i % 2 == 1 ? '/' : 'd';
	deep_path[sizeof(deep_path) - 2] = 'd';
	for (size_t i = 0; i < sizeof(split_path) - 1; i++)
		split_path[i] = i % 80 == 79 ? '/' : 's';
	split_path[sizeof(split_path) - 2] = 's';
	for (size_t i = 0; i < sizeof(all_bytes); i++)
		all_bytes[i] = (uint8_t)i;
	memset(large_value, 'v', sizeof(large_value));
}

static size_t
stored_size(const struct cw_member *m)
{
	size_t total = 0;

	if (!m->is_sparse)
		return (size_t)m->size;
	for (size_t i = 0; i < m->range_count; i++)
		total += (size_t)m->ranges[i].len;
	return total;
}

START_TEST(members_are_read_back_as_they_were)
{
	struct cw_buf file = CW_BUF_INIT, got = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t content[8192];
	struct cw_member m;
	struct source s;
	bool end;

	fill_names();
	noise(content, sizeof(content), 1);
	open_volume(SIZE, &file);
	for (size_t i = 0; i < MEMBERS; i++)
		put(&members[i], content, stored_size(&members[i]));
	close_volume(false);
	ck_assert_uint_eq(file.len, SIZE);
	ck_assert_uint_eq(cw_volume_written(writer), SIZE);

	ck_assert_int_eq(open_reader(&file, true, MAX, &s, &err), 0);
	for (size_t i = 0; i < MEMBERS; i++) {
		ck_assert_msg(cw_volume_next(reader, &m, &end, &err) == 0, "%s",
		    err.message);
		ck_assert(!end);
		assert_same(&members[i], &m);
		ck_assert_msg(read_content(&got, &err) == 0, "%s", err.message);
		ck_assert_uint_eq(got.len, stored_size(&m));
		if (got.len > 0)
			ck_assert_mem_eq(got.data, content, got.len);
	}
	ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
	ck_assert(end);
	ck_assert_msg(
	    cw_volume_reader_finish(reader, &err) == 0, "%s", err.message);
	cw_buf_free(&file);
	cw_buf_free(&got);
}
END_TEST

START_TEST(content_may_be_skipped)
{
	struct cw_buf file = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *content = cw_calloc(1, 8u << 20);
	struct cw_member m;
	struct source s;
	size_t count = 0;
	bool end = false;

	fill_names();
	open_volume(SIZE, &file);
	for (size_t i = 0; i < MEMBERS; i++)
		put(&members[i], content, stored_size(&members[i]));
	m = (struct cw_member)FILE_OF("mail/of several frames", 8u << 20);
	put(&m, content, 8u << 20);
	put(&members[1], content, 5);
	close_volume(true);
	ck_assert_int_eq(open_reader(&file, true, MAX, &s, &err), 0);
	for (;;) {
		ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
		if (end)
			break;
		count++;
	}
	ck_assert_uint_eq(count, MEMBERS + 2);
	ck_assert_int_eq(cw_volume_reader_finish(reader, &err), 0);
	free(content);
	cw_buf_free(&file);
}
END_TEST

START_TEST(empty_volume_is_whole)
{
	struct cw_buf file = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	size_t count;

	open_volume(SIZE, &file);
	close_volume(false);
	ck_assert_uint_eq(file.len, SIZE);
	ck_assert_msg(read_volume(&file, true, MAX, &count, &err) == 0, "%s",
	    err.message);
	ck_assert_uint_eq(count, 0);
	cw_buf_free(&file);
}
END_TEST

START_TEST(members_over_the_limits_leave_the_volume_alone)
{
	static char huge[CW_MEMBER_PATH_MAX + 2];
	static const char *const paths[] = {"", "/", "/a", "a/", "a//b", ".",
	    "..", "a/.", "a/..", "./a", "../a", "a/../b", huge};
	static const struct cw_xattr equals[] = {{"user.a=b", NULL, 0}};
	static const struct cw_xattr over[] = {
	    {"user.a", NULL, CW_MEMBER_XATTRS_MAX}};
	static const struct cw_range overlap[] = {{0, 1024}, {512, 512}};
	static const struct cw_range outside[] = {{512, 1024}};
	static const struct cw_range partial[] = {{512, 100}, {1024, 100}};
	const struct cw_member bad[] = {
	    {.path = "a", .kind = (enum cw_kind)'p'},
	    {.path = "a", .kind = CW_KIND_FILE, .mode = 010000},
	    {.path = "a", .kind = CW_KIND_FILE, .mtime_ns = 1000000000},
	    {.path = "a", .kind = CW_KIND_DIR, .size = 1},
	    {.path = "a", .kind = CW_KIND_SYMLINK, .target = ""},
	    {.path = "a", .kind = CW_KIND_SYMLINK},
	    {.path = "a", .kind = CW_KIND_LINK, .target = "../b"},
	    {.path = "a",
		.kind = CW_KIND_FILE,
		.xattrs = equals,
		.xattr_count = 1},
	    {.path = "a",
		.kind = CW_KIND_FILE,
		.xattrs = over,
		.xattr_count = 1},
	    {.path = "a", .kind = CW_KIND_FILE, .acl_access = "user::rwx\n"},
	    {.path = "a", .kind = CW_KIND_FILE, .acl_default = acl_default},
	    {.path = "a",
		.kind = CW_KIND_FILE,
		.size = 1124,
		.is_sparse = true,
		.ranges = overlap,
		.range_count = 2},
	    {.path = "a",
		.kind = CW_KIND_FILE,
		.size = 1124,
		.is_sparse = true,
		.ranges = outside,
		.range_count = 1},
	    {.path = "a",
		.kind = CW_KIND_FILE,
		.size = 1124,
		.is_sparse = true,
		.ranges = partial,
		.range_count = 2},
	};
	struct cw_buf file = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	size_t count;

	memset(huge, 'h', sizeof(huge) - 1);
	open_volume(SIZE, &file);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct cw_member m = FILE_OF(paths[i], 0);

		ck_assert_msg(
		    cw_volume_begin(writer, &m, &err) == -1, "%s", paths[i]);
		ck_assert_int_eq(err.code, CW_ERR_UNSUPPORTED);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_msg(
		    cw_volume_begin(writer, &bad[i], &err) == -1, "%zu", i);
		ck_assert_int_eq(err.code, CW_ERR_UNSUPPORTED);
	}
	put(&members[1], "hello", 5);
	close_volume(true);
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), 0);
	ck_assert_uint_eq(count, 1);
	cw_buf_free(&file);
}
END_TEST

START_TEST(acl_text_is_strict)
{
	static const char *const bad[] = {"", "user::rwx", "user::rwx,,",
	    "user::rwx,group::rwx,other::rwx,other::rwx",
	    "user::rwx,user:1:rwx,group::rwx,other::rwx",
	    "user::rwx,group::rwx,other::rwx,mask::rwx,mask::rwx",
	    "user::rwz,group::rwx,other::rwx", "u::rwx,group::rwx,other::rwx",
	    "user:rwx,group::rwx,other::rwx",
	    "user::rwx,group::rwx,other::rwx,user:01:rwx,mask::rwx",
	    "user::rwx,group::rwx,other::rwx,user:2147483647:rwx,mask::rwx",
	    "user::rwx,group::rwx,other::rwx,user:joe:rwx,mask::rwx",
	    "user::rwx,group::rwx,other:1:rwx"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!cw_acl_parse(bad[i], NULL, NULL), "%s", bad[i]);
	ck_assert(cw_acl_parse(acl_access, NULL, NULL));
	ck_assert(cw_acl_parse("user::rwx,group::---,other::r-x", NULL, NULL));
}
END_TEST

START_TEST(header_is_as_the_spec_shows)
{
	static const char records[] = "30 mtime=1600000000.123456789\n";
	struct cw_buf out = CW_BUF_INIT;
	uint8_t expected[3 * CW_TAR_BLOCK] = {0};
	uint8_t *h = expected;
	struct cw_member m = FILE_OF("mail/a", 5);

	m.user = "vmail";
	m.group = "mail";
	ck_assert_uint_eq(cw_header_encode(&m, &out), 5);
	/* SPEC.md, Example. */
	memcpy(h, "PaxHeaders/member", 17);
	memcpy(h + 100,
	    "0000644\0"
	    "0000000\0"
	    "0000000\0",
	    24);
	memcpy(h + 124,
	    "00000000036\0"
	    "00000000000\0",
	    24);
	memcpy(h + 148, "012532\0 x", 9);
	memcpy(h + 257,
	    "ustar\0"
	    "00",
	    8);
	memcpy(h + 329,
	    "0000000\0"
	    "0000000\0",
	    16);
	h += CW_TAR_BLOCK;
	memcpy(h, records, 30);
	h += CW_TAR_BLOCK;
	memcpy(h, "mail/a", 6);

	memcpy(h + 100, "0000644", 8);
	memcpy(h + 108, "0001750", 8);
	memcpy(h + 116, "0000144", 8);
	memcpy(h + 124, "00000000005", 12);
	memcpy(h + 136, "13727410000", 12);
	memcpy(h + 148, "012240\0 0", 9);
	memcpy(h + 257,
	    "ustar\0"
	    "00",
	    8);
	memcpy(h + 265, "vmail", 5);
	memcpy(h + 297, "mail", 4);
	memcpy(h + 329,
	    "0000000\0"
	    "0000000\0",
	    16);
	ck_assert_uint_eq(out.len, sizeof(expected));
	for (size_t i = 0; i < out.len; i++)
		if (out.data[i] != expected[i])
			ck_abort_msg("byte %zu: %02x, expected %02x", i,
			    out.data[i], expected[i]);
	cw_buf_free(&out);
}
END_TEST

START_TEST(headers_are_never_over_their_bound)
{
	struct cw_buf out = CW_BUF_INIT;

	fill_names();
	for (size_t i = 0; i < MEMBERS; i++) {
		cw_buf_reset(&out);
		(void)cw_header_encode(&members[i], &out);
		ck_assert_uint_eq(out.len % CW_TAR_BLOCK, 0);
		ck_assert_uint_le(out.len, cw_header_bound(&members[i]));
	}
	cw_buf_free(&out);
}
END_TEST

/* ---- sizes, room, holding ---- */

START_TEST(padme_is_as_published)
{
	static const uint64_t known[][2] = {{0, 0}, {1, 1}, {2, 2}, {3, 3},
	    {8, 8}, {9, 10}, {17, 18}, {33, 36}, {100, 104}, {1000, 1024},
	    {1025, 1088}, {1 << 20, 1 << 20}, {(1 << 20) + 1, 1081344},
	    {1000000007, 1006632960}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		ck_assert_uint_eq(cw_padme(known[i][0]), known[i][1]);
	/* Never less, at most 12% more, and a fixed point. */
	for (uint64_t len = 1; len < UINT64_C(1) << 40; len += len / 7 + 1) {
		ck_assert_uint_ge(cw_padme(len), len);
		ck_assert_uint_le(cw_padme(len), len + len * 12 / 100 + 1);
		ck_assert_uint_eq(cw_padme(cw_padme(len)), cw_padme(len));
	}
}
END_TEST

START_TEST(last_volume_has_a_padme_size)
{
	static const size_t sizes[] = {
	    0, 1, 40000, 65536, 100000, 200000, 900000};
	uint8_t *content = cw_malloc(900000);
	struct cw_error err = CW_ERROR_INIT;

	noise(content, 900000, 2);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct cw_member m = FILE_OF("mail/a", sizes[i]);
		struct cw_buf file = CW_BUF_INIT;
		size_t count;

		open_volume(1u << 20, &file);
		put(&m, content, sizes[i]);
		close_volume(true);
		ck_assert_uint_ge(file.len, sizes[i]);
		ck_assert(file.len == cw_padme(file.len) ||
			  file.len == cw_volume_last_size(cw_age_header_size(1),
					  cw_padme(file.len - 16)));
		ck_assert_uint_lt(file.len, sizes[i] * 5 / 4 + 2048);
		ck_assert_int_eq(
		    read_volume(&file, true, MAX, &count, &err), 0);
		cw_buf_free(&file);
	}
	free(content);
}
END_TEST

START_TEST(sizes_that_cannot_be_are_refused)
{
	struct cw_buf file = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	const uint64_t bad[] = {0, CW_VOLUME_SIZE_MIN - 1,
	    CW_VOLUME_SIZE_MAX + 1,
	    cw_age_header_size(1) + 3 * CW_AGE_SEALED_CHUNK + 16};

	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(cw_volume_open(writer, &recipient, 1, bad[i],
				     append, &file, &err),
		    -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
	}
	/* Those that people use all can be, up to 32 recipients. */
	for (unsigned log = 16; log <= 32; log++)
		for (size_t n = 1; n <= CW_AGE_RECIPIENTS_MAX; n++)
			ck_assert_uint_gt(
			    cw_volume_capacity(UINT64_C(1) << log, n), 0);
	cw_buf_free(&file);
}
END_TEST

START_TEST(sink_gets_full_pieces)
{
	struct cw_buf file = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *content = cw_malloc(3u << 20);
	struct cw_member m = FILE_OF("mail/a", 3u << 20);
	size_t count;

	noise(content, 3u << 20, 3);
	open_volume(4u << 20, &file);
	put(&m, content, 3u << 20);
	/* The frame is still in the writer: cut it, and most of it is out. */
	ck_assert_int_eq(
	    cw_volume_frame(writer, CW_ZFRAME_SHORT, false, &err), 0);
	ck_assert_uint_eq(file.len % CW_VOLUME_PIECE, 0);
	ck_assert_uint_eq(file.len, 3u << 20);
	close_volume(false);
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), 0);
	free(content);
	cw_buf_free(&file);
}
END_TEST

/*
 * Fills volumes with what zstd cannot shrink, never over cw_volume_room: they
 * must close, and be full but for little.
 */
START_TEST(what_room_promises_fits)
{
	static const size_t sizes[] = {0, 100, 3000, 70000, 700000};
	uint8_t *content = cw_malloc(700000);
	struct cw_error err = CW_ERROR_INIT;

	noise(content, 700000, 4);
	for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(*sizes); i++) {
		struct cw_member m = FILE_OF("mail/a", sizes[i / 3]);
		struct cw_buf file = CW_BUF_INIT;
		size_t count, packed = 0;
		uint64_t room;

		open_volume(9u << 20, &file);
		ck_assert_int_eq(cw_volume_frame(writer,
				     (enum cw_zframe_kind)(i % 3), false, &err),
		    0);
		for (room = cw_volume_room(writer);
		     room >= cw_volume_cost(&m) && packed < 5000;
		     room = cw_volume_room(writer)) {
			/* Most frames find repeats: never the same bytes. */
			noise(content, m.size, packed + 5);
			put(&m, content, m.size);
			packed++;
		}
		close_volume(false);
		ck_assert_uint_eq(file.len, 9u << 20);
		ck_assert_int_eq(
		    read_volume(&file, true, MAX, &count, &err), 0);
		ck_assert_uint_eq(count, packed);
		if (sizes[i / 3] >= 70000)
			ck_assert_uint_gt(packed * (sizes[i / 3] + 1536),
			    (9u << 20) - sizes[i / 3] - 400000);
		cw_buf_free(&file);
	}
	free(content);
}
END_TEST

START_TEST(held_members_are_dropped_or_committed_whole)
{
	uint8_t *content = cw_malloc(300000);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	struct cw_member m;
	struct source s;
	size_t packed = 0;
	bool end;

	noise(content, 300000, 6);
	for (int kind = CW_ZFRAME_SHORT; kind <= CW_ZFRAME_FAR; kind++) {
		cw_buf_reset(&file);
		open_volume(1u << 20, &file);
		packed = 0;
		for (;;) {
			int ret;

			m = (struct cw_member)FILE_OF("mail/kept", 300000);
			ck_assert_int_eq(
			    cw_volume_frame(
				writer, (enum cw_zframe_kind)kind, true, &err),
			    0);
			noise(content, 300000, packed);
			put(&m, content, 300000);
			ret = cw_volume_commit(writer, &err);
			ck_assert_int_ge(ret, 0);
			if (ret == 1)
				break;
			packed++;
			/* Something else is tried, and left half done. */
			m.path = "mail/dropped";
			ck_assert_int_eq(
			    cw_volume_frame(
				writer, (enum cw_zframe_kind)kind, true, &err),
			    0);
			ck_assert_int_eq(cw_volume_begin(writer, &m, &err), 0);
			ck_assert_int_eq(
			    cw_volume_data(writer, content, 5, &err), 0);
			cw_volume_drop(writer);
		}
		cw_volume_drop(writer);
		ck_assert_uint_eq(packed, 3);
		m = (struct cw_member)FILE_OF("mail/end", 5);
		put(&m, "hello", 5);
		close_volume(false);
		ck_assert_uint_eq(file.len, 1u << 20);

		ck_assert_int_eq(open_reader(&file, true, MAX, &s, &err), 0);
		for (size_t i = 0; i < packed; i++) {
			ck_assert_int_eq(
			    cw_volume_next(reader, &m, &end, &err), 0);
			ck_assert_str_eq(m.path, "mail/kept");
		}
		ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
		ck_assert_str_eq(m.path, "mail/end");
		ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
		ck_assert(end);
		ck_assert_int_eq(cw_volume_reader_finish(reader, &err), 0);
	}
	cw_buf_free(&file);
	free(content);
}
END_TEST

START_TEST(more_than_fits_is_an_error)
{
	uint8_t *content = cw_malloc(300000);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	struct cw_member m = FILE_OF("mail/a", 300000);

	noise(content, 300000, 7);
	open_volume(SIZE, &file);
	put(&m, content, 300000);
	ck_assert_int_eq(cw_volume_close(writer, false, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	free(content);
	cw_buf_free(&file);
}
END_TEST

START_TEST(file_that_changed_its_size_meanwhile)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT, got = CW_BUF_INIT;
	struct cw_member m = FILE_OF("mail/a", 5);
	struct source s;
	bool end;

	open_volume(SIZE, &file);
	put(&m, "abc", 3);
	ck_assert_int_eq(cw_volume_begin(writer, &m, &err), 0);
	ck_assert_int_eq(cw_volume_data(writer, "abcdef", 6, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_int_eq(cw_volume_data(writer, "abcde", 5, &err), 0);
	ck_assert_int_eq(cw_volume_end(writer, &err), 0);
	close_volume(true);
	ck_assert_int_eq(open_reader(&file, true, MAX, &s, &err), 0);
	ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
	ck_assert_int_eq(read_content(&got, &err), 0);
	ck_assert_uint_eq(got.len, 5);
	ck_assert_mem_eq(got.data, "abc\0\0", 5);
	cw_buf_free(&got);
	cw_buf_free(&file);
}
END_TEST

/* ---- damage ---- */

START_TEST(every_cut_is_noticed)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	size_t count, header = cw_age_header_size(1);

	open_volume(SIZE, &file);
	put(&members[1], "hello", 5);
	close_volume(false);
	for (size_t len = 0; len < file.len;
	     len += len < header || len + 70 > file.len ? 1 : 4099) {
		struct cw_buf cut = {file.data, len, len};

		ck_assert_int_eq(
		    read_volume(&cut, true, MAX, &count, &err), -1);
	}
	/* At a chunk, where each chunk by itself is sound. */
	for (size_t i = 0; i < 4; i++) {
		struct cw_buf cut = {
		    file.data, header + i * CW_AGE_SEALED_CHUNK, 0};

		cut.cap = cut.len;
		ck_assert_int_eq(
		    read_volume(&cut, true, MAX, &count, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	}
	cw_buf_append(&file, "", 1);
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	cw_buf_free(&file);
}
END_TEST

START_TEST(every_flip_is_noticed)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	size_t count;

	open_volume(SIZE, &file);
	put(&members[1], "hello", 5);
	close_volume(false);
	for (size_t at = 0; at < file.len; at += at < 300 ? 1 : 1021) {
		file.data[at] ^= 0x10;
		ck_assert_msg(read_volume(&file, true, MAX, &count, &err) == -1,
		    "byte %zu", at);
		file.data[at] ^= 0x10;
	}
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), 0);
	cw_buf_free(&file);
}
END_TEST

/* A volume of several frames, so that there is something to be ahead of. */
static void
make_long_volume(struct cw_buf *file)
{
	uint8_t *content = cw_malloc(1u << 20);

	open_volume(64u << 20, file);
	for (uint64_t i = 0; i < 40; i++) {
		struct cw_member m = FILE_OF("mail/a", 1u << 20);

		noise(content, 1u << 20, i);
		put(&m, content, 1u << 20);
	}
	close_volume(true);
	free(content);
}

START_TEST(all_before_the_damage_is_given)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	size_t count;

	make_long_volume(&file);
	file.data[30u << 20] ^= 1;
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	/* Whole frames of 4 MiB before byte 30 Mi, and what is cut there. */
	ck_assert_uint_ge(count, 28);
	ck_assert_uint_le(count, 30);
	cw_buf_free(&file);
}
END_TEST

START_TEST(volume_that_was_given_up_is_left_alone)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	struct cw_member m;
	struct source s;
	size_t left, count;
	bool end;

	make_long_volume(&file);
	ck_assert_int_eq(open_reader(&file, true, MAX, &s, &err), 0);
	ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), 0);
	cw_volume_reader_stop(reader);
	left = s.len;
	ck_assert_uint_gt(left, 16u << 20);
	ck_assert_int_eq(cw_volume_next(reader, &m, &end, &err), -1);
	ck_assert_uint_eq(s.len, left);
	ck_assert_int_eq(read_volume(&file, true, MAX, &count, &err), 0);
	ck_assert_uint_eq(count, 40);
	cw_buf_free(&file);
}
END_TEST

START_TEST(another_identity_is_untrusted)
{
	struct cw_age_identity *other = cw_age_identity_generate();
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	struct source s;

	open_volume(SIZE, &file);
	close_volume(false);
	s = (struct source){file.data, file.len};
	ck_assert_int_eq(
	    cw_volume_reader_open(reader, other, MAX, take, &s, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	cw_age_identity_free(other);
	cw_buf_free(&file);
}
END_TEST

START_TEST(bombs_are_refused)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf file = CW_BUF_INIT;
	uint8_t *zeros = cw_calloc(1, 64u << 20);
	struct cw_member m = FILE_OF("mail/a", 64u << 20);
	size_t count;

	open_volume(SIZE, &file);
	put(&m, zeros, 64u << 20);
	close_volume(true);
	ck_assert_int_eq(
	    read_volume(&file, true, (64u << 20) + 2559, &count, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_int_eq(
	    read_volume(&file, true, (64u << 20) + 2560, &count, &err), 0);
	free(zeros);
	cw_buf_free(&file);
}
END_TEST

/* ---- tar that is not ours ---- */

static void
append_member(
    struct cw_buf *tar, const struct cw_member *m, const char *content)
{
	size_t fill;

	(void)cw_header_encode(m, tar);
	cw_buf_append(tar, content, strlen(content));
	fill = (CW_TAR_BLOCK - tar->len % CW_TAR_BLOCK) % CW_TAR_BLOCK;
	memset(cw_buf_reserve(tar, fill), 0, fill);
	tar->len += fill;
}

static void
append_zeros(struct cw_buf *tar, size_t len)
{
	memset(cw_buf_reserve(tar, len), 0, len);
	tar->len += len;
}

static void
assert_tar(const struct cw_buf *tar, int expected, const char *why)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf volume = CW_BUF_INIT;
	size_t count;

	wrap(tar->data, tar->len, &volume);
	ck_assert_msg(
	    read_volume(&volume, false, MAX, &count, &err) == expected,
	    "%s: %s", why, err.message);
	if (expected < 0) {
		ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
		ck_assert_msg(strstr(err.message, why) != NULL, "%s: %s", why,
		    err.message);
	}
	cw_buf_free(&volume);
}

START_TEST(archive_must_end_as_ours_do)
{
	struct cw_member m = FILE_OF("mail/a", 5);
	struct cw_buf tar = CW_BUF_INIT;

	append_member(&tar, &m, "hello");
	assert_tar(&tar, -1, "no end of the archive");
	append_zeros(&tar, CW_TAR_BLOCK);
	assert_tar(&tar, -1, "no end of the archive");
	append_zeros(&tar, CW_TAR_BLOCK);
	assert_tar(&tar, 0, "");
	append_zeros(&tar, CW_TAR_BLOCK);
	assert_tar(&tar, -1, "behind the end");
	append_zeros(&tar, 6u << 20);
	assert_tar(&tar, -1, "behind the end");
	cw_buf_reset(&tar);
	/* Content of zeros is no end. */
	m.size = 2 * CW_TAR_BLOCK;
	(void)cw_header_encode(&m, &tar);
	append_zeros(&tar, 2 * CW_TAR_BLOCK);
	assert_tar(&tar, -1, "no end of the archive");
	tar.len -= 1;
	assert_tar(&tar, -1, "tar, byte");
	cw_buf_free(&tar);
}
END_TEST

START_TEST(frames_behind_the_archive_are_refused)
{
	struct cw_zframe_writer *w = cw_zframe_writer_new(1);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf volume = CW_BUF_INIT;
	uint8_t zeros[2 * CW_TAR_BLOCK] = {0};
	size_t count;

	cw_zframe_start(w, append, &volume);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(cw_zframe_begin(w, CW_ZFRAME_SHORT, &err), 0);
		ck_assert_int_eq(
		    cw_zframe_write(w, zeros, sizeof(zeros), &err), 0);
		ck_assert_int_eq(cw_zframe_end(w, &err), 0);
	}
	ck_assert_int_eq(cw_zframe_finish(w, cw_zframe_least(w), &err), 0);
	ck_assert_int_eq(read_volume(&volume, false, MAX, &count, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	cw_zframe_writer_free(w);
	cw_buf_free(&volume);
}
END_TEST

START_TEST(paths_that_leave_the_root_are_refused)
{
	static const char *const paths[] = {
	    "/etc/passwd", "../a", "a/../../b", "a/./b", "a//b", "..", "."};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		/* The encoder does not check; cw_volume_begin does. */
		struct cw_member m = FILE_OF(paths[i], 5);
		struct cw_buf tar = CW_BUF_INIT;

		append_member(&tar, &m, "hello");
		append_zeros(&tar, 2 * CW_TAR_BLOCK);
		assert_tar(&tar, -1, "no path of a member");
		cw_buf_reset(&tar);
		m = (struct cw_member){
		    .path = "a", .kind = CW_KIND_LINK, .target = paths[i]};
		append_member(&tar, &m, "");
		append_zeros(&tar, 2 * CW_TAR_BLOCK);
		assert_tar(&tar, -1, "link to no path");
		cw_buf_free(&tar);
	}
}
END_TEST

START_TEST(attributes_twice_are_refused)
{
	static const struct cw_xattr twice[] = {
	    {"user.a", NULL, 0}, {"user.b", NULL, 0}, {"user.a", NULL, 0}};
	struct cw_member m = FILE_OF("mail/a", 0);
	struct cw_buf tar = CW_BUF_INIT;

	m.xattrs = twice;
	m.xattr_count = 3;
	append_member(&tar, &m, "");
	append_zeros(&tar, 2 * CW_TAR_BLOCK);
	assert_tar(&tar, -1, "twice");
	cw_buf_free(&tar);
}
END_TEST

START_TEST(endless_headers_are_refused)
{
	struct cw_member m = FILE_OF("mail/a", 0);
	struct cw_buf tar = CW_BUF_INIT, one = CW_BUF_INIT;

	/* Records without their member, again and again. */
	(void)cw_header_encode(&m, &one);
	while (tar.len < 9u << 20)
		cw_buf_append(&tar, one.data, 2 * CW_TAR_BLOCK);
	cw_buf_append(&tar, one.data, one.len);
	append_zeros(&tar, 2 * CW_TAR_BLOCK);
	assert_tar(&tar, -1, "tar");
	cw_buf_free(&tar);
	cw_buf_free(&one);
}
END_TEST

START_TEST(archives_of_others_are_refused_by_name)
{
	static const char *const known[][2] = {
	    {"volume/traverse.tar", "/gopher.txt: is no path"},
	    {"volume/specialfiles.tar", "fifo: neither file"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct cw_buf tar = vector_read(known[i][0]);

		assert_tar(&tar, -1, known[i][1]);
		cw_buf_free(&tar);
	}
}
END_TEST

static int
feed_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *d;
	int fed = 0;

	if (dir == NULL)
		return 0;
	while ((d = readdir(dir)) != NULL) {
		struct cw_error err = CW_ERROR_INIT;
		struct cw_buf volume = CW_BUF_INIT, tar;
		struct stat st;
		size_t count;

		if (d->d_name[0] == '.' || fstatat(dirfd(dir), d->d_name, &st,
					       AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			char *below = cw_asprintf("%s/%s", folder, d->d_name);

			fed += feed_folder(below);
			free(below);
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		tar = vector_read_at(folder, d->d_name);
		wrap(tar.data, tar.len, &volume);
		/* Whatever the answer is: it comes, and harms nothing. */
		if (read_volume(&volume, false, 1u << 30, &count, &err) < 0)
			ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
		cw_buf_free(&tar);
		cw_buf_free(&volume);
		fed++;
	}
	closedir(dir);
	return fed;
}

START_TEST(awkward_archives_do_no_harm)
{
	static const char *const packed[] = {
	    "archives/libarchive-corpus.tar.zst",
	    "archives/python-testtar.tar.zst"};
	char folder[] = "/tmp/cw_volume_XXXXXX";
	char *command;

	ck_assert_int_ge(feed_folder(CW_SOURCE_DIR "/tests/vectors/volume"), 3);
	if (access(SHARED "archives", R_OK) < 0) {
		puts("skip: awkward_archives_do_no_harm: no shared archives");
		return;
	}
	ck_assert_int_ge(feed_folder(SHARED "archives"), 3);
	ck_assert(mkdtemp(folder) != NULL);
	for (size_t i = 0; i < 2; i++) {
		command =
		    cw_asprintf("zstd -dc --long=27 %s%s | tar -xf - -C %s",
			SHARED, packed[i], folder);
		ck_assert_int_eq(system(command), 0);
		free(command);
	}
	ck_assert_int_ge(feed_folder(folder), 60);
	command = cw_asprintf("rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
	free(command);
}
END_TEST

/* ---- stock tools ---- */

static void
save(const char *folder, const char *name, const void *data, size_t len)
{
	char *path = cw_asprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "wb");

	ck_assert(f != NULL);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	fclose(f);
	free(path);
}

static void
assert_on_disk(const char *folder, const struct cw_member *m,
    const uint8_t *content, bool is_root)
{
	char *path = cw_asprintf("%s/out/%s", folder, m->path);
	struct stat st;

	ck_assert_msg(lstat(path, &st) == 0, "%s", m->path);
	if (m->kind == CW_KIND_SYMLINK) {
		char target[8192];
		ssize_t n = readlink(path, target, sizeof(target));

		ck_assert_int_eq(n, (ssize_t)strlen(m->target));
		ck_assert_mem_eq(target, m->target, (size_t)n);
	} else {
		ck_assert_msg((st.st_mode & 07777) == m->mode, "%s %o", m->path,
		    st.st_mode);
		if (is_root) {
			ck_assert_uint_eq(st.st_uid, m->uid);
			ck_assert_uint_eq(st.st_gid, m->gid);
		}
	}
	if (m->kind == CW_KIND_FILE || m->kind == CW_KIND_LINK) {
		ck_assert_int_eq(st.st_mtim.tv_sec, m->mtime_s);
		ck_assert_int_eq(st.st_mtim.tv_nsec, m->mtime_ns);
	}
	if (m->kind == CW_KIND_FILE) {
		ck_assert_uint_eq((uint64_t)st.st_size, m->size);
		if (!m->is_sparse && m->size > 0) {
			uint8_t got[64];
			int fd = open(path, O_RDONLY | O_CLOEXEC);

			ck_assert_int_eq(
			    read(fd, got, sizeof(got)), (ssize_t)m->size);
			ck_assert_mem_eq(got, content, m->size);
			close(fd);
		}
	}
	free(path);
}

START_TEST(stock_tools_restore_all)
{
	static const struct cw_xattr some[] = {
	    {"user.all", all_bytes, sizeof(all_bytes)},
	    {"user.\xc3\xbc", all_bytes, 1},
	};
	static const struct cw_range two[] = {{4096, 512}, {1 << 20, 1024}};
	static const struct cw_range end[] = {{1024, 512}, {4096, 100}};
	const struct cw_member stock[] = {
	    {.path = "mail",
		.kind = CW_KIND_DIR,
		.mode = 02750,
		.mtime_s = 1600000000,
		.acl_default = acl_default},
	    FILE_OF("mail/a", 5),
	    FILE_OF("mail/new\nline", 5),
	    FILE_OF("mail/empty", 0),
	    FILE_OF("mail/\xff\xfe not UTF-8", 5),
	    FILE_OF("mail/gr\xc3\xbc\xc3\x9f", 5),
	    FILE_OF(long_name, 5),
	    FILE_OF(split_path, 5),
	    FILE_OF(long_path, 5),
	    {.path = "mail/owners",
		.kind = CW_KIND_FILE,
		.uid = 4000000000,
		.gid = 2097152,
		.mode = 0600,
		.mtime_ns = 1,
		.group = "gr\xc3\xbcppe"},
	    {.path = "mail/before 1970",
		.kind = CW_KIND_FILE,
		.mode = 04711,
		.mtime_s = -7},
	    {.path = "mail/symlink",
		.kind = CW_KIND_SYMLINK,
		.mode = 0777,
		.target = "../\n\xff"},
	    {.path = "mail/link",
		.kind = CW_KIND_LINK,
		.mode = 0644,
		.uid = 1000,
		.gid = 100,
		.mtime_s = 1600000000,
		.mtime_ns = 123456789,
		.target = "mail/a"},
	    {.path = "mail/xattrs",
		.kind = CW_KIND_FILE,
		.mode = 0600,
		.size = 2,
		.xattrs = some,
		.xattr_count = 2},
	    {.path = "mail/acl",
		.kind = CW_KIND_FILE,
		.mode = 0660,
		.size = 2,
		.acl_access = acl_access},
	    {.path = "mail/sparse \xc3\xbc",
		.kind = CW_KIND_FILE,
		.mode = 0600,
		.size = 3 << 20,
		.is_sparse = true,
		.ranges = two,
		.range_count = 2},
	    {.path = "mail/hole",
		.kind = CW_KIND_FILE,
		.mode = 0600,
		.size = 1 << 20,
		.is_sparse = true},
	    {.path = "mail/ends in data",
		.kind = CW_KIND_FILE,
		.mode = 0600,
		.size = 4196,
		.is_sparse = true,
		.ranges = end,
		.range_count = 2},
	    FILE_OF("mail/last", 5),
	};
	char folder[] = "/tmp/cw_volume_XXXXXX";
	struct cw_buf file = CW_BUF_INIT;
	uint8_t content[4096], got[4096];
	bool is_root = geteuid() == 0;
	char *key, *path, *command;
	ssize_t n;

	if (system("command -v age zstd tar getfacl >/dev/null 2>&1") != 0) {
		puts("skip: stock_tools_restore_all: age, zstd, tar or acl "
		     "is missing");
		return;
	}
	fill_names();
	long_path[3000] = '\0'; /* so that the whole fits PATH_MAX */
	noise(content, sizeof(content), 8);
	open_volume(SIZE, &file);
	for (size_t i = 0; i < sizeof(stock) / sizeof(*stock); i++)
		put(&stock[i], content, stored_size(&stock[i]));
	close_volume(false);

	ck_assert(mkdtemp(folder) != NULL);
	key = cw_age_identity_format(identity, NULL);
	save(folder, "key", key, strlen(key));
	save(folder, "000001.tar.zst.age", file.data, file.len);
	cw_secret_free(key);
	command = cw_asprintf("cd %s && mkdir out && "
			      "age -d -i key 000001.tar.zst.age | zstd -d | "
			      "tar -xpf - --xattrs --acls -C out",
	    folder);
	ck_assert_int_eq(system(command), 0);
	free(command);
	for (size_t i = 0; i < sizeof(stock) / sizeof(*stock); i++)
		assert_on_disk(folder, &stock[i], content, is_root);

	path = cw_asprintf("%s/out/mail/xattrs", folder);
	n = getxattr(path, "user.all", got, sizeof(got));
	if (n < 0) {
		puts("skip: stock_tools_restore_all: attributes: none in "
		     "/tmp");
	} else {
		ck_assert_int_eq(n, 256);
		ck_assert_mem_eq(got, all_bytes, 256);
		ck_assert_int_eq(getxattr(path, "user.\xc3\xbc", got, 256), 1);
		command =
		    cw_asprintf("cd %s/out/mail && getfacl -cn acl | grep -qx "
				"'user:7:-w-' && getfacl -cn acl | grep -q "
				"'^group:8:rwx' && getfacl -cn . | grep -qx "
				"'default:other::--x'",
			folder);
		ck_assert_int_eq(system(command), 0);
		free(command);
	}
	free(path);
	path = cw_asprintf("%s/out/mail/sparse \xc3\xbc", folder);
	{
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		ck_assert_int_eq(pread(fd, got, 514, 4095), 514);
		ck_assert_mem_eq(got + 1, content, 512);
		ck_assert_uint_eq(got[0], 0);
		ck_assert_uint_eq(got[513], 0);
		ck_assert_int_eq(pread(fd, got, 1024, 1 << 20), 1024);
		ck_assert_mem_eq(got, content + 512, 1024);
		close(fd);
	}
	free(path);
	command = cw_asprintf("rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
	free(command);
	cw_buf_free(&file);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("volume");
	TCase *tcase = tcase_create("volume"), *ahead = tcase_create("ahead");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, members_are_read_back_as_they_were);
	tcase_add_test(tcase, content_may_be_skipped);
	tcase_add_test(tcase, empty_volume_is_whole);
	tcase_add_test(tcase, members_over_the_limits_leave_the_volume_alone);
	tcase_add_test(tcase, acl_text_is_strict);
	tcase_add_test(tcase, header_is_as_the_spec_shows);
	tcase_add_test(tcase, headers_are_never_over_their_bound);
	tcase_add_test(tcase, padme_is_as_published);
	tcase_add_test(tcase, last_volume_has_a_padme_size);
	tcase_add_test(tcase, sizes_that_cannot_be_are_refused);
	tcase_add_test(tcase, sink_gets_full_pieces);
	tcase_add_test(tcase, what_room_promises_fits);
	tcase_add_test(tcase, held_members_are_dropped_or_committed_whole);
	tcase_add_test(tcase, more_than_fits_is_an_error);
	tcase_add_test(tcase, file_that_changed_its_size_meanwhile);
	tcase_add_test(tcase, every_cut_is_noticed);
	tcase_add_test(tcase, every_flip_is_noticed);
	tcase_add_test(tcase, all_before_the_damage_is_given);
	tcase_add_test(tcase, volume_that_was_given_up_is_left_alone);
	tcase_add_test(tcase, another_identity_is_untrusted);
	tcase_add_test(tcase, bombs_are_refused);
	tcase_add_test(tcase, archive_must_end_as_ours_do);
	tcase_add_test(tcase, frames_behind_the_archive_are_refused);
	tcase_add_test(tcase, paths_that_leave_the_root_are_refused);
	tcase_add_test(tcase, attributes_twice_are_refused);
	tcase_add_test(tcase, endless_headers_are_refused);
	tcase_add_test(tcase, archives_of_others_are_refused_by_name);
	tcase_add_test(tcase, awkward_archives_do_no_harm);
	tcase_add_test(tcase, stock_tools_restore_all);
	suite_add_tcase(suite, tcase);
	/* The same, read ahead by a thread. */
	tcase_set_timeout(ahead, 300);
	tcase_add_checked_fixture(ahead, setup_ahead, teardown);
	tcase_add_test(ahead, members_are_read_back_as_they_were);
	tcase_add_test(ahead, content_may_be_skipped);
	tcase_add_test(ahead, empty_volume_is_whole);
	tcase_add_test(ahead, every_cut_is_noticed);
	tcase_add_test(ahead, every_flip_is_noticed);
	tcase_add_test(ahead, all_before_the_damage_is_given);
	tcase_add_test(ahead, volume_that_was_given_up_is_left_alone);
	tcase_add_test(ahead, bombs_are_refused);
	tcase_add_test(ahead, archive_must_end_as_ours_do);
	tcase_add_test(ahead, frames_behind_the_archive_are_refused);
	suite_add_tcase(suite, ahead);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
