/*
 * Extended attributes as entries hold them: user.* with their values, POSIX
 * ACLs as text.  ACLs are read in the kernel's own form, which is fixed
 * (linux/posix_acl_xattr.h), since libacl has no call that is relative to a
 * directory and does not follow symlinks.
 */
#include "store/scan_attrs.h"

#include "base/bytes.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define ACL_VERSION	2u
#define ACL_HEADER_SIZE 4u
#define ACL_ENTRY_SIZE	8u

static const struct {
	uint16_t tag;
	const char *text;
	bool has_id;
} acl_tags[] = {
    {0x01, "user:", false},
    {0x02, "user:", true},
    {0x04, "group:", false},
    {0x08, "group:", true},
    {0x10, "mask:", false},
    {0x20, "other:", false},
};

static bool
acl_entry_text(const uint8_t *entry, struct cw_buf *out)
{
	uint16_t tag = cw_get_le16(entry), perm = cw_get_le16(entry + 2);

	for (size_t i = 0; i < sizeof(acl_tags) / sizeof(acl_tags[0]); i++) {
		if (acl_tags[i].tag != tag)
			continue;
		cw_buf_text(out, acl_tags[i].text);
		if (acl_tags[i].has_id)
			cw_buf_printf(out, "%" PRIu32, cw_get_le32(entry + 4));
		cw_buf_printf(out, ":%c%c%c\n", (perm & 4) != 0 ? 'r' : '-',
		    (perm & 2) != 0 ? 'w' : '-', (perm & 1) != 0 ? 'x' : '-');
		return true;
	}
	return false;
}

int
attrs_acl_text(const uint8_t *raw, size_t len, struct cw_buf *out)
{
	if (len < ACL_HEADER_SIZE || cw_get_le32(raw) != ACL_VERSION ||
	    (len - ACL_HEADER_SIZE) % ACL_ENTRY_SIZE != 0 ||
	    (len - ACL_HEADER_SIZE) / ACL_ENTRY_SIZE > CW_MEMBER_ACL_MAX)
		return -1;
	for (size_t at = ACL_HEADER_SIZE; at < len; at += ACL_ENTRY_SIZE) {
		if (!acl_entry_text(raw + at, out))
			return -1;
	}
	return 0;
}

/* One file's attributes while they are gathered. */
struct gather {
	const char *path;
	struct cw_xattr *xattrs;
	size_t *offsets; /* of the values in values */
	size_t count;
	struct cw_buf values;
	struct cw_buf access;
	struct cw_buf def;
};

/* Appends a value; 1 if it went away meanwhile. */
static int
read_value(
    struct gather *g, const char *name, size_t *len, struct cw_error *err)
{
	size_t room = 256;

	for (int tries = 0; tries < 20; tries++) {
		uint8_t *to = cw_buf_reserve(&g->values, room);
		ssize_t n = lgetxattr(g->path, name, to, room);

		if (n >= 0) {
			g->values.len += (size_t)n;
			*len = (size_t)n;
			return 0;
		}
		if (errno == ENODATA || errno == ENOENT)
			return 1;
		if (errno != ERANGE)
			return cw_error_errno(
			    err, "cannot read attribute %s", name);
		room *= 2;
	}
	return cw_error_set(
	    err, CW_ERR_UNSUPPORTED, "attribute %s does not hold still", name);
}

static int
take_acl(struct gather *g, const char *name, struct cw_buf *out,
    struct cw_error *err)
{
	size_t before = g->values.len, len;
	int got = read_value(g, name, &len, err);

	if (got == 0 && len > 0 &&
	    attrs_acl_text(g->values.data + before, len, out) < 0)
		got = cw_error_set(
		    err, CW_ERR_UNSUPPORTED, "%s is malformed", name);
	g->values.len = before;
	return got < 0 ? -1 : 0;
}

static int
take_one(struct gather *g, const char *name, bool is_dir, struct cw_error *err)
{
	size_t at = g->values.len, len;
	int got;

	if (strcmp(name, "system.posix_acl_access") == 0)
		return take_acl(g, name, &g->access, err);
	if (strcmp(name, "system.posix_acl_default") == 0)
		return is_dir ? take_acl(g, name, &g->def, err) : 0;
	/* A '=' cannot be told in the headers of a tar archive. */
	if (strncmp(name, "user.", 5) != 0 || strchr(name, '=') != NULL ||
	    g->count == CW_ATTRS_COUNT_MAX)
		return 0;
	got = read_value(g, name, &len, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (g->count % 16 == 0) {
		g->xattrs = cw_reallocarray(
		    g->xattrs, g->count + 16, sizeof(*g->xattrs));
		g->offsets = cw_reallocarray(
		    g->offsets, g->count + 16, sizeof(*g->offsets));
	}
	g->xattrs[g->count].name = name;
	g->xattrs[g->count].len = len;
	g->offsets[g->count++] = at;
	return 0;
}

static int
gather_all(struct gather *g, const char *names, size_t len, bool is_dir,
    struct cw_buf *out, struct cw_error *err)
{
	struct cw_attrs attrs = {0};

	for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
		if (take_one(g, names + at, is_dir, err) < 0)
			return -1;
	}
	if (g->count == 0 && g->access.len == 0 && g->def.len == 0)
		return 0;
	for (size_t i = 0; i < g->count; i++)
		g->xattrs[i].value = g->values.data + g->offsets[i];
	attrs.xattrs = g->xattrs;
	attrs.xattr_count = g->count;
	if (g->access.len > 0)
		attrs.acl_access = cw_buf_string(&g->access);
	if (g->def.len > 0)
		attrs.acl_default = cw_buf_string(&g->def);
	return cw_attrs_encode(&attrs, out, err);
}

static int
read_attrs(
    struct gather *g, bool is_dir, struct cw_buf *out, struct cw_error *err)
{
	char few[512], *names = few;
	ssize_t n = llistxattr(g->path, few, sizeof(few));
	int ret;

	if (n < 0 && errno == ERANGE) {
		names = cw_malloc(65536); /* XATTR_LIST_MAX */
		n = llistxattr(g->path, names, 65536);
	}
	if (n == 0 || (n < 0 && (errno == ENOENT || errno == ENOTSUP ||
				    errno == ENODATA)))
		ret = 0;
	else if (n < 0)
		ret = cw_error_errno(err, "cannot list attributes");
	else
		ret = gather_all(g, names, (size_t)n, is_dir, out, err);
	if (names != few)
		free(names);
	return ret;
}

int
attrs_read(
    const char *path, bool is_dir, struct cw_buf *out, struct cw_error *err)
{
	struct gather g = {.path = path};
	int ret = read_attrs(&g, is_dir, out, err);

	if (ret < 0) {
		char quoted[CW_QUOTE_MAX];

		cw_text_quote(path, strlen(path), quoted);
		cw_error_context(err, "%s", quoted);
	}
	free(g.xattrs);
	free(g.offsets);
	cw_buf_free(&g.values);
	cw_buf_free(&g.access);
	cw_buf_free(&g.def);
	return ret;
}

int
cw_scan_attrs(int dirfd, const char *name, bool is_dir, struct cw_buf *out,
    struct cw_error *err)
{
	char path[64 + CW_ENTRY_NAME_MAX];

	/*
	 * The magic link leads to the directory that is open, whatever its
	 * name is now; what is called `name` in it is not followed.
	 */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	return attrs_read(path, is_dir, out, err);
}
