#include "formats/volume/acl.h"

#include "base/bytes.h"
#include "formats/volume/member.h"

#include <stdio.h>
#include <string.h>

/* libarchive holds ids in an int, and takes greater ones for INT_MAX. */
#define ID_MAX (INT32_MAX - 1)

static const char *const tags[] = {
    [CW_ACL_USER_OBJ] = "user",
    [CW_ACL_USER] = "user",
    [CW_ACL_GROUP_OBJ] = "group",
    [CW_ACL_GROUP] = "group",
    [CW_ACL_MASK] = "mask",
    [CW_ACL_OTHER] = "other",
};

static bool
parse_perms(const char *p, unsigned *perms)
{
	*perms = 0;
	for (unsigned i = 0; i < 3; i++) {
		if (p[i] == "rwx"[i])
			*perms |= 4u >> i;
		else if (p[i] != '-')
			return false;
	}
	return true;
}

static bool
parse_entry(const char *text, size_t len, struct cw_acl_entry *e)
{
	const char *id = memchr(text, ':', len);
	size_t tag_len, id_len;
	uint64_t number = 0;
	unsigned tag;

	if (id == NULL || len < 4 || text[len - 4] != ':' ||
	    !parse_perms(text + len - 3, &e->perms))
		return false;
	tag_len = (size_t)(id - text);
	id++;
	if (text + len - 4 < id)
		return false;
	id_len = (size_t)(text + len - 4 - id);
	for (tag = CW_ACL_USER_OBJ; tag <= CW_ACL_OTHER; tag++) {
		bool is_named = tag == CW_ACL_USER || tag == CW_ACL_GROUP;

		if (strlen(tags[tag]) == tag_len &&
		    memcmp(tags[tag], text, tag_len) == 0 &&
		    is_named == (id_len > 0))
			break;
	}
	if (tag > CW_ACL_OTHER ||
	    (id_len > 0 && !cw_decimal_parse(id, id_len, ID_MAX, &number)))
		return false;
	e->tag = (enum cw_acl_tag)tag;
	e->id = (uint32_t)number;
	return true;
}

bool
cw_acl_parse(const char *text,
    void (*fn)(void *arg, const struct cw_acl_entry *e), void *arg)
{
	unsigned seen[CW_ACL_OTHER + 1] = {0};
	unsigned count = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n,");
		struct cw_acl_entry e;

		if (++count > CW_MEMBER_ACL_MAX || !parse_entry(text, len, &e))
			return false;
		seen[e.tag]++;
		if (fn != NULL)
			fn(arg, &e);
		text += len;
		if (*text != '\0')
			text++;
	}
	return seen[CW_ACL_USER_OBJ] == 1 && seen[CW_ACL_GROUP_OBJ] == 1 &&
	       seen[CW_ACL_OTHER] == 1 && seen[CW_ACL_MASK] <= 1 &&
	       (seen[CW_ACL_MASK] == 1 ||
		   seen[CW_ACL_USER] + seen[CW_ACL_GROUP] == 0);
}

unsigned
cw_acl_format(const struct cw_acl_entry *e, char out[CW_ACL_ENTRY_TEXT])
{
	char id[11] = "";

	if (e->tag == CW_ACL_USER || e->tag == CW_ACL_GROUP)
		(void)snprintf(id, sizeof(id), "%u", (unsigned)e->id);
	return (unsigned)snprintf(out, CW_ACL_ENTRY_TEXT, "%s:%s:%c%c%c",
	    tags[e->tag], id, e->perms & 4 ? 'r' : '-',
	    e->perms & 2 ? 'w' : '-', e->perms & 1 ? 'x' : '-');
}
