/*
 * Formats of mail stores, as pure knowledge of names: which files are
 * messages, control files, temporary; which directories tell by their mtime
 * that nothing changed in them.  Nothing here looks at a disk.
 *
 * Paths are relative to a store's root, without a slash at either end.
 */
#ifndef CW_FORMATS_MAIL_H
#define CW_FORMATS_MAIL_H

#include "formats/volume/member.h"

#include <stdbool.h>
#include <stddef.h>

enum cw_mail_class {
	CW_MAIL_CONTROL = 0, /* without it messages lose UIDs or flags */
	CW_MAIL_MESSAGE = 1, /* immutable content */
	CW_MAIL_OTHER = 2,   /* may change in place */
	CW_MAIL_SKIP = 3,    /* no part of the store: locks, temporary files */
};

struct cw_mail_format {
	const char *name; /* "maildir" */

	/* What the entry of this path is; directories: OTHER or SKIP. */
	enum cw_mail_class (*classify)(
	    const char *path, size_t len, enum cw_kind kind);

	/*
	 * True for a directory whose mtime changes with every change of what
	 * is in it, since its files are never written in place.
	 */
	bool (*dir_tells)(const char *path, size_t len);

	/*
	 * How sure these paths of directories are of this format: 0 no.  The
	 * greatest wins; paths may be the first few hundred of a large tree.
	 */
	int (*detect)(const char *const *paths, size_t count);
};

/* NULL if there is none of this name. */
const struct cw_mail_format *cw_mail_format_find(const char *name);
/* Never NULL: "plain" takes everything. */
const struct cw_mail_format *cw_mail_format_detect(
    const char *const *paths, size_t count);

/* Bytes of a Maildir file's base name: what stands before ":2,". */
size_t cw_maildir_base_len(const char *name, size_t len);

#endif
