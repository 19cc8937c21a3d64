#include "formats/volume/member.h"

#include "base/text.h"
#include "formats/volume/acl.h"
#include "formats/volume/header.h"

#include <string.h>

bool
cw_member_path_ok(const char *path)
{
	const char *part = path, *p = path;

	for (;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		if (p == part || (p - part == 1 && part[0] == '.') ||
		    (p - part == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (*p == '\0')
			break;
		part = p + 1;
	}
	return (size_t)(p - path) <= CW_MEMBER_PATH_MAX;
}

static int
refuse(const struct cw_member *m, const char *why, struct cw_error *err)
{
	const char *path = m->path == NULL ? "" : m->path;
	char name[CW_QUOTE_MAX];

	cw_text_quote(path, strlen(path), name);
	return cw_error_set(err, CW_ERR_UNSUPPORTED, "%s: %s", name, why);
}

static int
check_ranges(const struct cw_member *m, struct cw_error *err)
{
	uint64_t end = 0;

	if (m->range_count > CW_MEMBER_RANGES_MAX)
		return refuse(m, "has too many holes", err);
	for (size_t i = 0; i < m->range_count; i++) {
		const struct cw_range *r = &m->ranges[i];

		if (r->len == 0 || (i > 0 && r->offset < end) ||
		    r->offset > m->size || r->len > m->size - r->offset)
			return refuse(m, "has ranges that cannot be", err);
		end = r->offset + r->len;
		/* GNU tar lets each range begin in a block of its own. */
		if (r->offset % CW_TAR_BLOCK != 0 ||
		    (r->len % CW_TAR_BLOCK != 0 && end != m->size))
			return refuse(m, "has ranges of partial blocks", err);
	}
	return 0;
}

static int
check_xattrs(const struct cw_member *m, struct cw_error *err)
{
	size_t total = 0;

	if (m->xattr_count > CW_MEMBER_XATTR_COUNT)
		return refuse(m, "has too many extended attributes", err);
	for (size_t i = 0; i < m->xattr_count; i++) {
		const struct cw_xattr *x = &m->xattrs[i];
		size_t n = strlen(x->name);

		if (n == 0 || strchr(x->name, '=') != NULL)
			return refuse(m,
			    "has an extended attribute whose name tar cannot "
			    "hold",
			    err);
		if (n > CW_MEMBER_XATTRS_MAX - total ||
		    x->len > CW_MEMBER_XATTRS_MAX - total - n)
			return refuse(
			    m, "has too long extended attributes", err);
		total += n + x->len;
	}
	return 0;
}

static bool
name_fits(const char *name)
{
	return name == NULL ||
	       strnlen(name, CW_MEMBER_NAME_MAX + 1) <= CW_MEMBER_NAME_MAX;
}

static int
check_target(const struct cw_member *m, struct cw_error *err)
{
	size_t len;

	if (m->kind == CW_KIND_LINK) {
		if (m->target == NULL || !cw_member_path_ok(m->target))
			return refuse(m, "is a link to no path", err);
		return 0;
	}
	if (m->kind != CW_KIND_SYMLINK)
		return 0;
	len = m->target == NULL ? 0 : strlen(m->target);
	if (len == 0 || len > CW_MEMBER_TARGET_MAX)
		return refuse(m, "has an empty or too long target", err);
	return 0;
}

int
cw_member_check(const struct cw_member *m, struct cw_error *err)
{
	if (m->path == NULL || !cw_member_path_ok(m->path))
		return refuse(m, "is no path of a member", err);
	switch (m->kind) {
	case CW_KIND_FILE:
	case CW_KIND_DIR:
	case CW_KIND_SYMLINK:
	case CW_KIND_LINK:
		break;
	default:
		return refuse(m, "is of no kind that we carry", err);
	}
	if (m->mode > 07777 || m->mtime_ns > 999999999)
		return refuse(m, "has a mode or time that cannot be", err);
	if (m->kind == CW_KIND_FILE ? m->size > INT64_MAX : m->size != 0)
		return refuse(m, "has a size that cannot be", err);
	if (!name_fits(m->user) || !name_fits(m->group))
		return refuse(m, "has a too long owner's name", err);
	if (check_target(m, err) < 0)
		return -1;
	if (m->is_sparse) {
		if (m->kind != CW_KIND_FILE)
			return refuse(m, "is sparse and no file", err);
		if (check_ranges(m, err) < 0)
			return -1;
	}
	if (m->xattr_count > 0 && check_xattrs(m, err) < 0)
		return -1;
	if (m->acl_access != NULL && !cw_acl_parse(m->acl_access, NULL, NULL))
		return refuse(m, "has an access ACL that we cannot read", err);
	if (m->acl_default != NULL &&
	    (m->kind != CW_KIND_DIR ||
		!cw_acl_parse(m->acl_default, NULL, NULL)))
		return refuse(m, "has a default ACL that we cannot read", err);
	return 0;
}
