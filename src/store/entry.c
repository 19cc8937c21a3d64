#include "store/entry.h"

#include "base/bytes.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/*
 * SPEC.md "Attributes": version, then text fields and values with their
 * lengths in front and, behind texts, a NUL that makes them C strings where
 * they lie.
 */
#define ATTRS_VERSION 1u

struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool
take(struct cursor *in, size_t len, const uint8_t **out)
{
	if (len > in->left)
		return false;
	*out = in->at;
	in->at += len;
	in->left -= len;
	return true;
}

static bool
take_le32(struct cursor *in, uint32_t *out)
{
	const uint8_t *p;

	if (!take(in, 4, &p))
		return false;
	*out = cw_get_le32(p);
	return true;
}

/* A length, so many bytes without NUL, and a NUL. */
static bool
take_text(struct cursor *in, size_t max, const char **out, size_t *out_len)
{
	const uint8_t *p;
	uint32_t len;

	if (!take_le32(in, &len) || len > max ||
	    !take(in, (size_t)len + 1, &p) ||
	    memchr(p, '\0', (size_t)len + 1) != p + len)
		return false;
	*out = (const char *)p;
	*out_len = len;
	return true;
}

static bool
take_xattr(struct cursor *in, struct cw_xattr *x, const char *previous)
{
	uint32_t value_len;
	size_t len;

	if (!take_text(in, CW_ENTRY_NAME_MAX, &x->name, &len) || len == 0 ||
	    strchr(x->name, '=') != NULL ||
	    (previous != NULL && strcmp(previous, x->name) >= 0))
		return false;
	if (!take_le32(in, &value_len) || !take(in, value_len, &x->value))
		return false;
	x->len = value_len;
	return true;
}

int
cw_attrs_decode(
    const uint8_t *data, size_t len, struct cw_attrs *out, struct cw_error *err)
{
	struct cursor in = {data, len};
	struct cw_attrs attrs = {0};
	size_t access_len, default_len;
	const uint8_t *version;
	uint32_t count;

	*out = attrs;
	if (len > CW_ATTRS_MAX || !take(&in, 1, &version) ||
	    *version != ATTRS_VERSION ||
	    !take_text(&in, CW_ATTRS_MAX, &attrs.acl_access, &access_len) ||
	    !take_text(&in, CW_ATTRS_MAX, &attrs.acl_default, &default_len) ||
	    !take_le32(&in, &count) || count > CW_ATTRS_COUNT_MAX)
		goto bad;
	if (count > 0)
		attrs.xattrs = cw_calloc(count, sizeof(*attrs.xattrs));
	for (size_t i = 0; i < count; i++) {
		if (!take_xattr(&in, &attrs.xattrs[i],
			i == 0 ? NULL : attrs.xattrs[i - 1].name))
			goto bad;
	}
	attrs.xattr_count = count;
	if (in.left != 0 || (count == 0 && access_len == 0 && default_len == 0))
		goto bad;
	if (access_len == 0)
		attrs.acl_access = NULL;
	if (default_len == 0)
		attrs.acl_default = NULL;
	*out = attrs;
	return 0;
bad:
	free(attrs.xattrs);
	return cw_error_set(err, CW_ERR_FORMAT,
	    "extended attributes of an entry are malformed (%zu bytes)", len);
}

static void
append_le32(struct cw_buf *out, size_t v)
{
	cw_put_le32(cw_buf_reserve(out, 4), (uint32_t)v);
	out->len += 4;
}

static void
append_text(struct cw_buf *out, const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);

	append_le32(out, len);
	cw_buf_append(out, len == 0 ? "" : text, len + 1);
}

static int
compare_xattrs(const void *a, const void *b)
{
	const struct cw_xattr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
cw_attrs_encode(
    const struct cw_attrs *attrs, struct cw_buf *out, struct cw_error *err)
{
	static const uint8_t version = ATTRS_VERSION;
	struct cw_xattr *sorted = NULL;
	size_t before = out->len;

	if (attrs->xattr_count > CW_ATTRS_COUNT_MAX)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "%zu extended attributes, at most %u are kept",
		    attrs->xattr_count, CW_ATTRS_COUNT_MAX);
	if (attrs->xattr_count > 0) {
		sorted = cw_memdup(
		    attrs->xattrs, attrs->xattr_count * sizeof(*sorted));
		qsort(sorted, attrs->xattr_count, sizeof(*sorted),
		    compare_xattrs);
	}
	cw_buf_append(out, &version, 1);
	append_text(out, attrs->acl_access);
	append_text(out, attrs->acl_default);
	append_le32(out, attrs->xattr_count);
	for (size_t i = 0; i < attrs->xattr_count; i++) {
		append_text(out, sorted[i].name);
		append_le32(out, sorted[i].len);
		cw_buf_append(out, sorted[i].value, sorted[i].len);
		if (out->len - before > CW_ATTRS_MAX)
			break;
	}
	free(sorted);
	if (out->len - before <= CW_ATTRS_MAX)
		return 0;
	out->len = before;
	return cw_error_set(err, CW_ERR_UNSUPPORTED,
	    "extended attributes are larger than %u bytes", CW_ATTRS_MAX);
}

void
cw_attrs_free(struct cw_attrs *attrs)
{
	free(attrs->xattrs);
	*attrs = (struct cw_attrs){0};
}

void
cw_entry_member(const struct cw_entry *e, const char *path,
    const struct cw_attrs *attrs, struct cw_member *out)
{
	struct timespec mtime = cw_time_split(e->mtime_ns);

	*out = (struct cw_member){
	    .path = path,
	    .kind = e->kind,
	    .mode = e->mode,
	    .uid = e->uid,
	    .gid = e->gid,
	    .user = e->user,
	    .group = e->group,
	    .mtime_s = mtime.tv_sec,
	    .mtime_ns = (uint32_t)mtime.tv_nsec,
	    .size = e->kind == CW_KIND_FILE ? e->size : 0,
	    .target = e->kind == CW_KIND_SYMLINK ? e->target : NULL,
	};
	if (attrs != NULL) {
		out->xattrs = attrs->xattrs;
		out->xattr_count = attrs->xattr_count;
		out->acl_access = attrs->acl_access;
		out->acl_default = attrs->acl_default;
	}
}
