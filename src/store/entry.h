/*
 * One entry of a store: a directory, regular file or symlink, as a row of the
 * catalog says it.  An entry owns nothing: its pointers belong to whoever
 * filled it (a lookup: until the next call on that catalog; a run: until the
 * run is filled again; a walk: until its next step).
 *
 * Names and targets are bytes: any but NUL, in no particular character set.
 */
#ifndef CW_STORE_ENTRY_H
#define CW_STORE_ENTRY_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/volume/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_DIGEST_SIZE	  32u	 /* SHA-256 of a file's content */
#define CW_ENTRY_NAME_MAX 255u	 /* bytes of one name */
#define CW_SMALL_MAX	  65536u /* bytes; larger files are packed by size */

struct cw_entry {
	int64_t dir;	   /* the directory it is in; 0 holds the roots */
	const char *name;  /* NUL behind it */
	size_t name_len;   /* 1 to CW_ENTRY_NAME_MAX */
	enum cw_kind kind; /* FILE, DIR or SYMLINK */
	uint8_t class; /* enum cw_mail_class: 0 control, 1 message, 2 other */
	uint32_t mode; /* 07777 */
	uint32_t uid;
	uint32_t gid;
	const char *user;  /* "" where the number has no name; lives as long */
	const char *group; /* as the catalog */
	int64_t mtime_ns;  /* since 1970, may be negative */
	int64_t ctime_ns;  /* as this site last saw it; 0 not seen */
	uint64_t size;	   /* of a file's content, else 0 */
	uint64_t ino;	   /* 0 not seen */
	int64_t linkgroup; /* names of one file share it; 0: a single name */
	bool has_digest;   /* files only; false: content not read yet */
	uint8_t digest[CW_DIGEST_SIZE];
	const char *target; /* symlinks, else NULL; NUL behind it */
	size_t target_len;
	const uint8_t
	    *attrs; /* xattrs and ACLs, see cw_attrs_decode; or NULL */
	size_t attrs_len;
	bool sparse; /* fewer blocks than its size needs: look for holes */
	uint64_t generation; /* that last touched it */
	uint32_t volume;     /* of the current seed that holds it (all of it, or
				its first part); 0: none */
	int64_t child;	     /* a directory's own id, else 0 */
};

#define CW_ENTRY_INIT                                                          \
	{                                                                      \
		.kind = CW_KIND_FILE                                           \
	}

/* Limits of an encoded set of attributes; more is refused by name. */
#define CW_ATTRS_MAX	   (1u << 20)
#define CW_ATTRS_COUNT_MAX 1024u

/* Extended attributes and ACLs, decoded: pointers into the encoded bytes. */
struct cw_attrs {
	struct cw_xattr *xattrs; /* ascending by name; owned, see _free */
	size_t xattr_count;
	const char *acl_access;	 /* text as in struct cw_member, or NULL */
	const char *acl_default; /* directories only */
};

/*
 * Decodes src/store/SPEC.md "Attributes" strictly.  data must stay while *out
 * is used.  Failure is CW_ERR_FORMAT and leaves *out empty.
 */
int cw_attrs_decode(const uint8_t *data, size_t len, struct cw_attrs *out,
    struct cw_error *err);
/* The one encoding of these attributes, appended; xattrs get sorted. */
int cw_attrs_encode(
    const struct cw_attrs *attrs, struct cw_buf *out, struct cw_error *err);
void cw_attrs_free(struct cw_attrs *attrs);

/*
 * Fills a volume's member from an entry.  path and attrs (decoded by the
 * caller, may be NULL) are borrowed; ranges are the caller's business.
 */
void cw_entry_member(const struct cw_entry *e, const char *path,
    const struct cw_attrs *attrs, struct cw_member *out);

#endif
