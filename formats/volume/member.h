/*
 * One member of a volume: what a tar header says of a file, directory,
 * symlink or hard link.  A member owns nothing; its pointers are borrowed from
 * whoever filled it (the caller of a writer, or the reader until its next
 * call).  Text is bytes: any but NUL, in no particular character set.
 */
#ifndef CW_FORMATS_VOLUME_MEMBER_H
#define CW_FORMATS_VOLUME_MEMBER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of formats/volume/SPEC.md; writer and reader refuse what is over. */
/* clang-format off */
#define CW_MEMBER_PATH_MAX    32768u       /* bytes of a path, without NUL */
#define CW_MEMBER_TARGET_MAX  32768u       /* bytes of a symlink's target */
#define CW_MEMBER_NAME_MAX    255u         /* bytes of a user or group name */
#define CW_MEMBER_XATTRS_MAX  (768u << 10) /* bytes of all names and values */
#define CW_MEMBER_XATTR_COUNT 1024u        /* extended attributes */
#define CW_MEMBER_ACL_MAX     1024u        /* entries of one ACL */
#define CW_MEMBER_RANGES_MAX  16384u       /* data ranges of a sparse file */
/* clang-format on */

enum cw_kind {
	CW_KIND_FILE = 'f',
	CW_KIND_DIR = 'd',
	CW_KIND_SYMLINK = 'l',
	CW_KIND_LINK = 'h', /* hard link to an earlier member of the volume */
};

struct cw_xattr {
	const char *name; /* with its prefix, "user.x"; no '=' in it */
	const uint8_t *value;
	size_t len; /* 0 is allowed */
};

/* Bytes of a sparse file that are stored; what lies between are zeros. */
struct cw_range {
	uint64_t offset;
	uint64_t len;
};

struct cw_member {
	const char *path; /* "root/dir/name", see cw_member_path_ok */
	enum cw_kind kind;
	uint32_t mode; /* permission bits as stat gives them, 07777 */
	uint32_t uid;
	uint32_t gid;
	const char *user;  /* NULL or "" where unknown */
	const char *group; /* NULL or "" where unknown */
	int64_t mtime_s;
	uint32_t mtime_ns;  /* 0 to 999999999, counts up, also before 1970 */
	uint64_t size;	    /* of the content of CW_KIND_FILE, else 0 */
	const char *target; /* symlink: any text; hard link: a member's path */

	const struct cw_xattr *xattrs;
	size_t xattr_count;

	/*
	 * POSIX.1e ACLs in the short text form with numeric ids, one entry a
	 * line, NULL where there is none: "user::rw-\nuser:1000:r--\n...".
	 * Writers also take commas for newlines and no newline at the end.
	 * Readers give lines that all end in a newline.  Only directories have
	 * a default one.
	 */
	const char *acl_access;
	const char *acl_default;

	/*
	 * Where is_sparse, only these bytes are stored: ascending, not empty,
	 * within size, without overlap; none at all for a file that is one
	 * hole.  Offsets and lengths are multiples of 512, but a length that
	 * reaches the end of the file: what filesystems tell of holes is so,
	 * and tar needs it.
	 */
	bool is_sparse;
	const struct cw_range *ranges;
	size_t range_count;
};

#define CW_MEMBER_INIT                                                         \
	{                                                                      \
		NULL, CW_KIND_FILE                                             \
	}

/*
 * True for a path that a member may have: 1 to CW_MEMBER_PATH_MAX bytes, parts
 * divided by single slashes, no part "." or "..", no slash at either end.
 */
bool cw_member_path_ok(const char *path);

/*
 * Checks all of a member against the limits and rules above.  Failure is
 * CW_ERR_UNSUPPORTED and names path and reason.
 */
int cw_member_check(const struct cw_member *m, struct cw_error *err);

#endif
