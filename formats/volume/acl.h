/*
 * POSIX.1e ACLs as short text with numeric ids: "user::rw-", "user:1000:r--",
 * "group::r--", "group:8:r--", "mask::r--", "other::---".
 */
#ifndef CW_FORMATS_VOLUME_ACL_H
#define CW_FORMATS_VOLUME_ACL_H

#include <stdbool.h>
#include <stdint.h>

/* In the order in which they are written. */
enum cw_acl_tag {
	CW_ACL_USER_OBJ,
	CW_ACL_USER,
	CW_ACL_GROUP_OBJ,
	CW_ACL_GROUP,
	CW_ACL_MASK,
	CW_ACL_OTHER,
};

struct cw_acl_entry {
	enum cw_acl_tag tag;
	uint32_t id;	/* of CW_ACL_USER and CW_ACL_GROUP */
	unsigned perms; /* 4 read, 2 write, 1 execute */
};

/*
 * Gives each entry to fn, which may be NULL.  Entries are divided by newlines
 * or commas; one behind the last is allowed.  Returns false for any text but
 * one of 3 to CW_MEMBER_ACL_MAX entries with one each of user::, group:: and
 * other::, at most one mask, and that if there are named ones, and ids under
 * 2^31 - 1.
 */
bool cw_acl_parse(const char *text,
    void (*fn)(void *arg, const struct cw_acl_entry *e), void *arg);

#define CW_ACL_ENTRY_TEXT 24u /* the longest text of one, with a NUL */
/* The text of one entry, without divider; returns its length. */
unsigned cw_acl_format(
    const struct cw_acl_entry *e, char out[CW_ACL_ENTRY_TEXT]);

#endif
