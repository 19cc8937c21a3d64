#include "formats/volume/entry.h"

#include "base/buf.h"
#include "base/text.h"
#include "formats/volume/acl.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

struct cw_entry {
	struct cw_buf path;
	struct cw_buf acl_access;
	struct cw_buf acl_default;
	struct cw_xattr *xattrs; /* CW_MEMBER_XATTR_COUNT, NULL until needed */
	struct cw_range *ranges; /* CW_MEMBER_RANGES_MAX, NULL until needed */
};

struct cw_entry *
cw_entry_new(void)
{
	return cw_calloc(1, sizeof(struct cw_entry));
}

void
cw_entry_free(struct cw_entry *store)
{
	if (store == NULL)
		return;
	cw_buf_free(&store->path);
	cw_buf_free(&store->acl_access);
	cw_buf_free(&store->acl_default);
	free(store->xattrs);
	free(store->ranges);
	free(store);
}

static int
refuse(const char *path, const char *what, struct cw_error *err)
{
	char name[CW_QUOTE_MAX];

	if (path == NULL)
		path = "";
	cw_text_quote(path, strlen(path), name);
	return cw_error_set(err, CW_ERR_DAMAGED, "member %s: %s", name, what);
}

/*
 * libarchive reads the fraction of "-1.5" as if it counted up from -1, and
 * "-0.5" without its sign; the writer marks the latter with an access time.
 */
static void
get_time(struct archive_entry *e, struct cw_member *m)
{
	m->mtime_s = archive_entry_mtime(e);
	m->mtime_ns = (uint32_t)archive_entry_mtime_nsec(e);
	if (m->mtime_ns == 0 || m->mtime_ns > 999999999)
		return;
	if (m->mtime_s < 0 ||
	    (m->mtime_s == 0 && archive_entry_atime_is_set(e) &&
		archive_entry_atime(e) == -1)) {
		m->mtime_s--;
		m->mtime_ns = 1000000000u - m->mtime_ns;
	}
}

static int
get_xattrs(struct cw_entry *store, struct archive_entry *e, struct cw_member *m,
    struct cw_error *err)
{
	int count = archive_entry_xattr_reset(e);

	if (count <= 0)
		return 0;
	if (count > (int)CW_MEMBER_XATTR_COUNT)
		return refuse(m->path, "too many extended attributes", err);
	if (store->xattrs == NULL)
		store->xattrs =
		    cw_calloc(CW_MEMBER_XATTR_COUNT, sizeof(*store->xattrs));
	/* The list runs from the last to the first. */
	for (int i = count - 1; i >= 0; i--) {
		struct cw_xattr *x = &store->xattrs[i];
		const void *value;

		if (archive_entry_xattr_next(e, &x->name, &value, &x->len) !=
		    ARCHIVE_OK)
			return refuse(
			    m->path, "extended attributes that cannot be", err);
		x->value = value;
		for (int k = i + 1; k < count; k++)
			if (strcmp(x->name, store->xattrs[k].name) == 0)
				return refuse(m->path,
				    "an extended attribute is there twice",
				    err);
	}
	m->xattrs = store->xattrs;
	m->xattr_count = (size_t)count;
	return 0;
}

static int
get_ranges(struct cw_entry *store, struct archive_entry *e, struct cw_member *m,
    struct cw_error *err)
{
	int count = archive_entry_sparse_reset(e);
	la_int64_t offset, len;

	if (count <= 0)
		return 0;
	m->is_sparse = true;
	if (store->ranges == NULL)
		store->ranges =
		    cw_calloc(CW_MEMBER_RANGES_MAX, sizeof(*store->ranges));
	while (archive_entry_sparse_next(e, &offset, &len) == ARCHIVE_OK) {
		if (len == 0)
			continue;
		if (m->range_count == CW_MEMBER_RANGES_MAX || offset < 0 ||
		    len < 0)
			return refuse(m->path, "holes that cannot be", err);
		store->ranges[m->range_count].offset = (uint64_t)offset;
		store->ranges[m->range_count].len = (uint64_t)len;
		m->range_count++;
	}
	m->ranges = store->ranges;
	return 0;
}

/* Returns false for a tag that POSIX.1e does not have. */
static bool
convert_acl_entry(int tag, int id, int perms, struct cw_acl_entry *out)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		out->tag = CW_ACL_USER_OBJ;
		break;
	case ARCHIVE_ENTRY_ACL_USER:
		out->tag = CW_ACL_USER;
		break;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		out->tag = CW_ACL_GROUP_OBJ;
		break;
	case ARCHIVE_ENTRY_ACL_GROUP:
		out->tag = CW_ACL_GROUP;
		break;
	case ARCHIVE_ENTRY_ACL_MASK:
		out->tag = CW_ACL_MASK;
		break;
	case ARCHIVE_ENTRY_ACL_OTHER:
		out->tag = CW_ACL_OTHER;
		break;
	default:
		return false;
	}
	out->id = (uint32_t)id;
	out->perms = (unsigned)perms & 7u;
	return true;
}

/* Puts all entries with one tag into text. */
static bool
get_acl_tag(struct archive_entry *e, int want, enum cw_acl_tag tag,
    struct cw_buf *text, unsigned *count)
{
	int type, perms, found, id;
	const char *name;

	(void)archive_entry_acl_reset(e, want);
	while (archive_entry_acl_next(
		   e, want, &type, &perms, &found, &id, &name) == ARCHIVE_OK) {
		char line[CW_ACL_ENTRY_TEXT];
		struct cw_acl_entry entry;

		if (!convert_acl_entry(found, id, perms, &entry))
			return false;
		if (entry.tag != tag)
			continue;
		if (++*count > CW_MEMBER_ACL_MAX)
			return false;
		cw_buf_append(text, line, cw_acl_format(&entry, line));
		cw_buf_append(text, "\n", 1);
	}
	return true;
}

static int
get_acl(struct archive_entry *e, int want, struct cw_buf *text,
    const struct cw_member *m, const char **out, struct cw_error *err)
{
	unsigned count = 0;

	if (archive_entry_acl_count(e, want) == 0)
		return 0;
	cw_buf_reset(text);
	for (int tag = CW_ACL_USER_OBJ; tag <= CW_ACL_OTHER; tag++)
		if (!get_acl_tag(e, want, (enum cw_acl_tag)tag, text, &count))
			return refuse(m->path, "an ACL that cannot be", err);
	*out = cw_buf_string(text);
	return 0;
}

struct mask {
	bool is_there;
	unsigned perms;
};

static void
find_mask(void *arg, const struct cw_acl_entry *e)
{
	struct mask *mask = arg;

	if (e->tag == CW_ACL_MASK) {
		mask->is_there = true;
		mask->perms = e->perms;
	}
}

static int
get_acls(struct cw_entry *store, struct archive_entry *e, struct cw_member *m,
    struct cw_error *err)
{
	struct mask mask = {false, 0};

	if (archive_entry_acl_types(e) == 0)
		return 0;
	if (get_acl(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &store->acl_access, m,
		&m->acl_access, err) < 0 ||
	    get_acl(e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, &store->acl_default, m,
		&m->acl_default, err) < 0)
		return -1;
	/*
	 * libarchive's mode has the owning group's permissions where stat
	 * shows those of the mask.
	 */
	if (m->acl_access != NULL &&
	    cw_acl_parse(m->acl_access, find_mask, &mask) && mask.is_there)
		m->mode = (m->mode & ~070u) | mask.perms << 3;
	return 0;
}

/* Kind, target and size, which hang together. */
static int
get_kind(struct archive_entry *e, struct cw_member *m, struct cw_error *err)
{
	const char *link = archive_entry_hardlink(e);
	la_int64_t size = archive_entry_size(e);

	if (size < 0)
		return refuse(m->path, "a size that cannot be", err);
	if (link != NULL) {
		m->kind = CW_KIND_LINK;
		m->target = link;
	} else if (archive_entry_filetype(e) == AE_IFREG) {
		m->kind = CW_KIND_FILE;
		m->size = (uint64_t)size;
		return 0;
	} else if (archive_entry_filetype(e) == AE_IFDIR) {
		m->kind = CW_KIND_DIR;
	} else if (archive_entry_filetype(e) == AE_IFLNK) {
		m->kind = CW_KIND_SYMLINK;
		m->target = archive_entry_symlink(e);
	} else {
		return refuse(m->path, "neither file, directory nor link", err);
	}
	if (size != 0)
		return refuse(m->path, "content where none can be", err);
	return 0;
}

static int
get_path(struct cw_entry *store, struct archive_entry *e, struct cw_member *m,
    struct cw_error *err)
{
	const char *path = archive_entry_pathname(e);
	size_t len;

	if (path == NULL)
		return refuse(path, "no name", err);
	len = strlen(path);
	/* Only the ustar name of a directory ends in a slash. */
	if (archive_entry_filetype(e) == AE_IFDIR && len > 1 &&
	    path[len - 1] == '/') {
		cw_buf_reset(&store->path);
		cw_buf_append(&store->path, path, len - 1);
		path = cw_buf_string(&store->path);
	}
	m->path = path;
	return 0;
}

int
cw_entry_decode(struct cw_entry *store, struct archive_entry *e,
    struct cw_member *m, struct cw_error *err)
{
	la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	memset(m, 0, sizeof(*m));
	if (get_path(store, e, m, err) < 0 || get_kind(e, m, err) < 0)
		return -1;
	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return refuse(m->path, "an owner that cannot be", err);
	m->uid = (uint32_t)uid;
	m->gid = (uint32_t)gid;
	m->user = archive_entry_uname(e);
	m->group = archive_entry_gname(e);
	m->mode = (uint32_t)archive_entry_perm(e) & 07777u;
	get_time(e, m);
	if (get_xattrs(store, e, m, err) < 0 ||
	    get_ranges(store, e, m, err) < 0 || get_acls(store, e, m, err) < 0)
		return -1;
	if (cw_member_check(m, err) < 0) {
		if (err != NULL)
			err->code = CW_ERR_DAMAGED;
		return cw_error_context(err, "member");
	}
	return 0;
}
