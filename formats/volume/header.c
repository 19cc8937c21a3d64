#include "formats/volume/header.h"

#include "formats/volume/acl.h"

#include <stdio.h>
#include <string.h>

#define BLOCK CW_TAR_BLOCK

/* Offsets and widths of POSIX ustar, IEEE Std 1003.1-2017, pax. */
enum {
	NAME = 0,
	NAME_LEN = 100,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	CHECKSUM = 148,
	TYPE = 156,
	LINK = 157,
	LINK_LEN = 100,
	MAGIC = 257,
	USER = 265,
	GROUP = 297,
	USER_LEN = 32, /* with a NUL */
	DEV_MAJOR = 329,
	DEV_MINOR = 337,
	PREFIX = 345,
	PREFIX_LEN = 155,
};

#define OCTAL7_MAX  UINT64_C(07777777)
#define OCTAL11_MAX UINT64_C(077777777777)

/* The member's names, measured once. */
struct names {
	const char *path;
	size_t path_len; /* without the slash that a directory gets */
	bool is_ascii;
	size_t target_len;
	bool is_target_ascii;
};

static bool
is_ascii(const char *text, size_t len)
{
	unsigned char all = 0;

	for (size_t i = 0; i < len; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

static void
octal(uint8_t *to, unsigned digits, uint64_t value)
{
	while (digits > 0) {
		to[--digits] = (uint8_t)('0' + (value & 7));
		value >>= 3;
	}
}

/* What old tools get where the whole name stands in a pax record. */
static void
fallback(uint8_t *to, size_t cap, const char *text, size_t len)
{
	size_t skip = len > cap ? len - cap : 0;

	for (size_t i = skip; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		to[i - skip] = c >= 0x80 || (i == skip && c == '/') ? '_' : c;
	}
}

static char *
decimal(char *end, uint64_t value)
{
	do {
		*--end = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return end;
}

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void
record(struct cw_buf *out, const char *key, const char *suffix,
    const void *value, size_t value_len)
{
	size_t key_len = strlen(key), suffix_len = strlen(suffix);
	size_t rest = 1 + key_len + suffix_len + 1 + value_len + 1;
	char digits[24], *end = digits + sizeof(digits), *text;
	size_t count = 1;
	uint8_t *to;

	text = decimal(end, rest + count);
	while ((size_t)(end - text) != count) {
		count = (size_t)(end - text);
		text = decimal(end, rest + count);
	}
	to = cw_buf_reserve(out, count + rest);
	memcpy(to, text, count);
	to += count;
	*to++ = ' ';
	memcpy(to, key, key_len);
	to += key_len;
	memcpy(to, suffix, suffix_len);
	to += suffix_len;
	*to++ = '=';
	if (value_len > 0)
		memcpy(to, value, value_len);
	to[value_len] = '\n';
	out->len += count + rest;
}

static void
record_number(struct cw_buf *out, const char *key, uint64_t value)
{
	char digits[24], *end = digits + sizeof(digits);
	char *text = decimal(end, value);

	record(out, key, "", text, (size_t)(end - text));
}

/* Always nine digits behind the point, or none. */
static void
record_time(struct cw_buf *out, int64_t s, uint32_t ns)
{
	char digits[40], *end = digits + sizeof(digits), *text = end;
	bool is_negative = s < 0;
	uint64_t whole = is_negative ? -(uint64_t)s : (uint64_t)s;

	if (ns != 0) {
		/* s + ns/10^9 before 1970 is -(-s - 1 + (10^9 - ns)/10^9). */
		if (is_negative) {
			whole--;
			ns = 1000000000u - ns;
		}
		for (unsigned i = 0; i < 9; i++, ns /= 10)
			*--text = (char)('0' + ns % 10);
		*--text = '.';
	}
	text = decimal(text, whole);
	if (is_negative)
		*--text = '-';
	record(out, "mtime", "", text, (size_t)(end - text));
}

static void
add_acl_entry(void *arg, const struct cw_acl_entry *e)
{
	struct cw_buf *text = arg;
	char entry[CW_ACL_ENTRY_TEXT];

	if (text->len > 0)
		cw_buf_append(text, ",", 1);
	cw_buf_append(text, entry, cw_acl_format(e, entry));
}

static void
record_acl(struct cw_buf *out, const char *key, const char *acl)
{
	struct cw_buf text = CW_BUF_INIT;

	if (acl == NULL)
		return;
	(void)cw_acl_parse(acl, add_acl_entry, &text);
	record(out, key, "", text.data, text.len);
	cw_buf_free(&text);
}

/*
 * Splits an ASCII path that is longer than the name field at a slash.  Returns
 * the length of the prefix, 0 if there is no such place.
 */
static size_t
split(const struct names *n, size_t len)
{
	size_t at;

	if (len > PREFIX_LEN + 1 + NAME_LEN)
		return 0;
	for (at = len - NAME_LEN - 1; at < len - 1 && at <= PREFIX_LEN; at++)
		if (at > 0 && at < n->path_len && n->path[at] == '/')
			return at;
	return 0;
}

/* Writes name and prefix fields; false where a pax record must help. */
static bool
put_path(uint8_t h[BLOCK], const struct names *n, bool is_dir)
{
	size_t len = n->path_len + is_dir, prefix;

	if (n->is_ascii && len <= NAME_LEN) {
		memcpy(h + NAME, n->path, n->path_len);
		if (is_dir)
			h[NAME + n->path_len] = '/';
		return true;
	}
	prefix = n->is_ascii && len > NAME_LEN ? split(n, len) : 0;
	if (prefix > 0) {
		size_t rest = n->path_len - prefix - 1;

		memcpy(h + PREFIX, n->path, prefix);
		memcpy(h + NAME, n->path + prefix + 1, rest);
		if (is_dir)
			h[NAME + rest] = '/';
		return true;
	}
	fallback(h + NAME, NAME_LEN - is_dir, n->path, n->path_len);
	if (is_dir)
		h[NAME + strnlen((char *)h + NAME, NAME_LEN - 1)] = '/';
	return false;
}

static void
put_checksum(uint8_t h[BLOCK])
{
	uint32_t sum = 0;

	memset(h + CHECKSUM, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += h[i];
	octal(h + CHECKSUM, 6, sum);
	h[CHECKSUM + 6] = '\0';
}

/* All fields but names and times; numbers that fit no field are cut. */
static void
put_common(uint8_t h[BLOCK], char type, uint32_t mode, uint64_t size)
{
	octal(h + MODE, 7, mode);
	if (size <= OCTAL11_MAX) {
		octal(h + SIZE, 11, size);
	} else {
		/* Base 256, as GNU and all since; the pax record says it too.
		 */
		h[SIZE] = 0x80;
		for (unsigned i = 0; i < 8; i++)
			h[SIZE + 4 + i] = (uint8_t)(size >> (56 - 8 * i));
	}
	h[TYPE] = (uint8_t)type;
	memcpy(h + MAGIC,
	    "ustar\0"
	    "00",
	    8);
	octal(h + DEV_MAJOR, 7, 0);
	octal(h + DEV_MINOR, 7, 0);
}

/* Writes a user's or group's name; false where a pax record must help. */
static bool
put_owner(uint8_t *field, const char *name, size_t len)
{
	if (len >= USER_LEN || !is_ascii(name, len)) {
		fallback(field, USER_LEN - 1, name, len);
		return false;
	}
	memcpy(field, name, len);
	return true;
}

static void
put_id(struct cw_buf *out, uint8_t *field, const char *key, uint32_t id)
{
	if (id > OCTAL7_MAX)
		record_number(out, key, id);
	octal(field, 7, id > OCTAL7_MAX ? OCTAL7_MAX : id);
}

static uint64_t
put_time(const struct cw_member *m)
{
	if (m->mtime_s < 0)
		return 0;
	if ((uint64_t)m->mtime_s > OCTAL11_MAX)
		return OCTAL11_MAX;
	return (uint64_t)m->mtime_s;
}

/* The map of GNU sparse format 1.0: decimal lines in whole blocks. */
static void
make_map(const struct cw_member *m, struct cw_buf *map)
{
	const struct cw_range *last =
	    m->range_count > 0 ? &m->ranges[m->range_count - 1] : NULL;
	bool ends_in_hole = last == NULL || last->offset + last->len < m->size;
	size_t fill;

	cw_buf_printf(map, "%zu\n", m->range_count + ends_in_hole);
	for (size_t i = 0; i < m->range_count; i++)
		cw_buf_printf(map, "%llu\n%llu\n",
		    (unsigned long long)m->ranges[i].offset,
		    (unsigned long long)m->ranges[i].len);
	/* A last, empty range says where the hole ends. */
	if (ends_in_hole)
		cw_buf_printf(map, "%llu\n0\n", (unsigned long long)m->size);
	fill = (BLOCK - map->len % BLOCK) % BLOCK;
	memset(cw_buf_reserve(map, fill), 0, fill);
	map->len += fill;
}

static void
record_sparse(
    struct cw_buf *out, const struct cw_member *m, const struct names *n)
{
	record(out, "GNU.sparse.major", "", "1", 1);
	record(out, "GNU.sparse.minor", "", "0", 1);
	record(out, "GNU.sparse.name", "", n->path, n->path_len);
	record_number(out, "GNU.sparse.realsize", m->size);
}

static char
type_of(enum cw_kind kind)
{
	switch (kind) {
	case CW_KIND_DIR:
		return '5';
	case CW_KIND_SYMLINK:
		return '2';
	case CW_KIND_LINK:
		return '1';
	default:
		return '0';
	}
}

static void
encode_names(const struct cw_member *m, const struct names *n, uint8_t *h,
    struct cw_buf *out)
{
	static const char sparse_dir[] = "GNUSparseFile.0/";
	const size_t dir_len = sizeof(sparse_dir) - 1;

	if (m->is_sparse) {
		/* The true name goes to GNU.sparse.name. */
		memcpy(h + NAME, sparse_dir, dir_len);
		fallback(h + NAME + dir_len, NAME_LEN - dir_len, n->path,
		    n->path_len);
	} else if (!put_path(h, n, m->kind == CW_KIND_DIR)) {
		record(out, "path", "", n->path, n->path_len);
	}
	if (n->target_len == 0)
		return;
	if (n->is_target_ascii && n->target_len <= LINK_LEN) {
		memcpy(h + LINK, m->target, n->target_len);
	} else {
		fallback(h + LINK, LINK_LEN, m->target, n->target_len);
		record(out, "linkpath", "", m->target, n->target_len);
	}
}

static void
encode_owner(const struct cw_member *m, const char *user, const char *group,
    uint8_t *h, struct cw_buf *out)
{
	size_t user_len = strlen(user), group_len = strlen(group);

	put_id(out, h + UID, "uid", m->uid);
	put_id(out, h + GID, "gid", m->gid);
	if (!put_owner(h + USER, user, user_len))
		record(out, "uname", "", user, user_len);
	if (!put_owner(h + GROUP, group, group_len))
		record(out, "gname", "", group, group_len);
}

/*
 * libarchive reads "-0.5" as half a second after 1970, since its whole part
 * has no sign.  An access time, which no other member has, tells our reader.
 */
static void
encode_time(const struct cw_member *m, uint8_t *h, struct cw_buf *out)
{
	uint64_t s = put_time(m);

	octal(h + MTIME, 11, s);
	if (m->mtime_ns != 0 || (int64_t)s != m->mtime_s)
		record_time(out, m->mtime_s, m->mtime_ns);
	if (m->mtime_s == -1 && m->mtime_ns != 0)
		record(out, "atime", "", "-1", 2);
}

/* The 'x' header over the records that stand behind it in out. */
static void
put_records_header(struct cw_buf *out, size_t from)
{
	static const char name[] = "PaxHeaders/member";
	size_t len = out->len - from - BLOCK;
	size_t fill = (BLOCK - len % BLOCK) % BLOCK;
	uint8_t *h;

	memset(cw_buf_reserve(out, fill), 0, fill);
	out->len += fill;
	h = out->data + from;
	memset(h, 0, BLOCK);
	memcpy(h + NAME, name, sizeof(name) - 1);
	octal(h + UID, 7, 0);
	octal(h + GID, 7, 0);
	octal(h + MTIME, 11, 0);
	put_common(h, 'x', 0644, len);
	put_checksum(h);
}

uint64_t
cw_header_encode(const struct cw_member *m, struct cw_buf *out)
{
	const char *user = m->user == NULL ? "" : m->user;
	const char *group = m->group == NULL ? "" : m->group;
	size_t from = out->len;
	uint64_t stored = m->size;
	struct cw_buf map = CW_BUF_INIT;
	uint8_t h[BLOCK] = {0};
	struct names n = {.path = m->path, .path_len = strlen(m->path)};

	n.is_ascii = is_ascii(n.path, n.path_len);
	n.is_target_ascii = true;
	if (m->kind == CW_KIND_SYMLINK || m->kind == CW_KIND_LINK) {
		n.target_len = strlen(m->target);
		n.is_target_ascii = is_ascii(m->target, n.target_len);
	}

	/* Room for the header of the records, if there will be any. */
	(void)cw_buf_reserve(out, 3 * (size_t)BLOCK);
	out->len += BLOCK;
	if (!n.is_ascii || !n.is_target_ascii ||
	    !is_ascii(user, strlen(user)) || !is_ascii(group, strlen(group)))
		record(out, "hdrcharset", "", "BINARY", 6);
	encode_names(m, &n, h, out);
	if (m->is_sparse) {
		make_map(m, &map);
		stored = 0;
		for (size_t i = 0; i < m->range_count; i++)
			stored += m->ranges[i].len;
	}
	if (stored + map.len > OCTAL11_MAX)
		record_number(out, "size", stored + map.len);
	encode_owner(m, user, group, h, out);
	encode_time(m, h, out);
	record_acl(out, "SCHILY.acl.access", m->acl_access);
	record_acl(out, "SCHILY.acl.default", m->acl_default);
	if (m->is_sparse)
		record_sparse(out, m, &n);
	for (size_t i = 0; i < m->xattr_count; i++)
		record(out, "SCHILY.xattr.", m->xattrs[i].name,
		    m->xattrs[i].value, m->xattrs[i].len);

	if (out->len == from + BLOCK)
		out->len = from;
	else
		put_records_header(out, from);
	put_common(h, type_of(m->kind), m->mode, stored + map.len);
	put_checksum(h);
	cw_buf_append(out, h, BLOCK);
	if (map.len > 0)
		cw_buf_append(out, map.data, map.len);
	cw_buf_free(&map);
	return stored;
}

/* The longest record around a value: length, key, divider, newline. */
#define RECORD_MAX 48u

uint64_t
cw_header_bound(const struct cw_member *m)
{
	uint64_t len = 12 * RECORD_MAX + strlen(m->path);

	if (m->target != NULL)
		len += strlen(m->target);
	if (m->user != NULL)
		len += strlen(m->user);
	if (m->group != NULL)
		len += strlen(m->group);
	/* An entry grows by nothing: its divider becomes a comma. */
	if (m->acl_access != NULL)
		len += strlen(m->acl_access) + 1;
	if (m->acl_default != NULL)
		len += strlen(m->acl_default) + 1;
	for (size_t i = 0; i < m->xattr_count; i++)
		len +=
		    RECORD_MAX + strlen(m->xattrs[i].name) + m->xattrs[i].len;
	if (m->is_sparse)
		len += BLOCK + strlen(m->path) + 4 * RECORD_MAX +
		       42 * ((uint64_t)m->range_count + 2);
	return (len + BLOCK - 1) / BLOCK * BLOCK + 2 * BLOCK;
}
