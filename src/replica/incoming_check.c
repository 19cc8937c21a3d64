/*
 * What a change has to be to be taken.  What could not be placed is refused
 * here: it must not be met when half of a generation is.
 */
#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"
#include "replica/incoming_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>

int
incoming_bad_change(
    const struct cw_change *ch, const char *what, struct cw_error *err)
{
	char dir[CW_QUOTE_MAX], name[CW_QUOTE_MAX];

	cw_text_quote(ch->dir_path, ch->dir_path_len, dir);
	cw_text_quote(ch->e.name, ch->e.name_len, name);
	return cw_error_set(err, CW_ERR_FORMAT,
	    "a change of %s in \"%s\" has a malformed %s", name, dir, what);
}

static bool
is_root(const struct cw_incoming *in, const char *name, size_t len)
{
	for (size_t i = 0; i < in->root_count; i++) {
		if (strlen(in->roots[i]) == len &&
		    memcmp(in->roots[i], name, len) == 0)
			return true;
	}
	return false;
}

static const char *
check_name(const struct cw_incoming *in, const struct cw_change *ch)
{
	const struct cw_entry *e = &ch->e;
	const char *slash;
	size_t root_len;

	if (e->name_len < 1 || e->name_len > CW_ENTRY_NAME_MAX ||
	    !cw_name_is_safe(e->name, e->name_len))
		return "name";
	if (ch->dir_path_len == 0) {
		if (!is_root(in, e->name, e->name_len) ||
		    (!ch->is_removal && e->kind != CW_KIND_DIR))
			return "root";
		return NULL;
	}
	if (ch->dir_path_len + 1 + e->name_len > CW_PATH_MAX ||
	    !cw_path_is_safe(ch->dir_path, ch->dir_path_len))
		return "path";
	slash = memchr(ch->dir_path, '/', ch->dir_path_len);
	root_len =
	    slash == NULL ? ch->dir_path_len : (size_t)(slash - ch->dir_path);
	return is_root(in, ch->dir_path, root_len) ? NULL : "root";
}

static bool
acl_is_good(const char *text)
{
	acl_t acl = text == NULL ? NULL : acl_from_text(text);
	bool good = text == NULL || (acl != NULL && acl_valid(acl) == 0);

	if (acl != NULL)
		acl_free(acl);
	return good;
}

/* What could not be set must not be met when half of it is done. */
static const char *
check_attrs(const struct cw_entry *e)
{
	struct cw_attrs attrs;
	const char *bad = NULL;

	if (e->attrs_len == 0)
		return NULL;
	if (e->kind == CW_KIND_SYMLINK || e->attrs == NULL ||
	    e->attrs_len > CW_ATTRS_MAX ||
	    cw_attrs_decode(e->attrs, e->attrs_len, &attrs, NULL) < 0)
		return "set of attributes";
	for (size_t i = 0; i < attrs.xattr_count; i++) {
		if (strncmp(attrs.xattrs[i].name, "user.", 5) != 0 ||
		    attrs.xattrs[i].name[5] == '\0')
			bad = "attribute";
	}
	if (!acl_is_good(attrs.acl_access) || !acl_is_good(attrs.acl_default) ||
	    (attrs.acl_default != NULL && e->kind != CW_KIND_DIR))
		bad = "access control list";
	cw_attrs_free(&attrs);
	return bad;
}

static const char *
check_put(const struct cw_entry *e)
{
	bool is_file = e->kind == CW_KIND_FILE;

	if (!is_file && e->kind != CW_KIND_DIR && e->kind != CW_KIND_SYMLINK)
		return "kind";
	/* docs/decisions/setuid.md */
	if (e->mode > (e->kind == CW_KIND_DIR ? 07777u : 01777u) &&
	    e->kind != CW_KIND_SYMLINK)
		return "mode";
	if (e->mode > 07777u)
		return "mode";
	if (e->class > 2)
		return "class";
	if (e->has_digest != is_file)
		return "digest";
	if (is_file ? e->size > INT64_MAX : e->size != 0)
		return "size";
	if (is_file && e->size == 0) {
		uint8_t empty[CW_SHA256_SIZE];

		cw_sha256("", 0, empty);
		if (memcmp(empty, e->digest, sizeof(empty)) != 0)
			return "digest";
	}
	if (e->linkgroup < 0 || (e->linkgroup > 0 && !is_file))
		return "link group";
	if (e->kind == CW_KIND_SYMLINK
		? e->target == NULL || e->target_len < 1 ||
		      e->target_len > CW_MEMBER_TARGET_MAX ||
		      memchr(e->target, '\0', e->target_len) != NULL
		: e->target_len > 0)
		return "target";
	if ((e->user != NULL && strlen(e->user) > CW_MEMBER_NAME_MAX) ||
	    (e->group != NULL && strlen(e->group) > CW_MEMBER_NAME_MAX))
		return "owner";
	return check_attrs(e);
}

int
incoming_check(const struct cw_incoming *in, const struct cw_change *ch,
    struct cw_error *err)
{
	const char *bad = check_name(in, ch);

	if (bad == NULL && ch->e.generation > INT64_MAX)
		bad = "generation";
	if (bad == NULL && !ch->is_removal)
		bad = check_put(&ch->e);
	return bad == NULL ? 0 : incoming_bad_change(ch, bad, err);
}
