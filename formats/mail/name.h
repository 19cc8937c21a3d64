/*
 * Names and paths of mail stores, taken apart: for the formats of this folder.
 */
#ifndef CW_FORMATS_MAIL_NAME_H
#define CW_FORMATS_MAIL_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct mail_name {
	const char *at; /* the last part of a path */
	size_t len;
	const char *parent; /* the part before it; len 0: the root itself */
	size_t parent_len;
};

static inline struct mail_name
mail_name_split(const char *path, size_t len)
{
	const char *slash = len == 0 ? NULL : memrchr(path, '/', len);
	struct mail_name n = {path, len, path, 0};

	if (slash != NULL) {
		size_t before = (size_t)(slash - path);
		const char *up =
		    before == 0 ? NULL : memrchr(path, '/', before);

		n.at = slash + 1;
		n.len = len - before - 1;
		n.parent = up == NULL ? path : up + 1;
		n.parent_len = before - (size_t)(n.parent - path);
	}
	return n;
}

static inline bool
mail_text_is(const char *at, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(at, text, len) == 0;
}

static inline bool
mail_text_begins(const char *at, size_t len, const char *text)
{
	return len >= strlen(text) && memcmp(at, text, strlen(text)) == 0;
}

static inline bool
mail_text_ends(const char *at, size_t len, const char *text)
{
	size_t tail = strlen(text);

	return len >= tail && memcmp(at + len - tail, text, tail) == 0;
}

/*
 * What is never part of a copy in any format: a lock that another host seems
 * to hold makes a mail server wait for minutes at the recovery site.
 */
static inline bool
mail_name_is_fleeting(const struct mail_name *n)
{
	return mail_text_ends(n->at, n->len, ".lock") ||
	       mail_text_ends(n->at, n->len, ".pid") ||
	       mail_text_begins(n->at, n->len, ".nfs");
}

#endif
