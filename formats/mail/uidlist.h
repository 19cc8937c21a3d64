/*
 * dovecot-uidlist: which message of a Maildir has which UID.  Normative for
 * what we take and make: SPEC.md in this folder; the format is Dovecot's
 * (https://doc.dovecot.org/2.3/developer_manual/design/mailbox_formats/).
 *
 * Bytes are hostile: bounded, checked, never trusted to be sane.
 */
#ifndef CW_FORMATS_MAIL_UIDLIST_H
#define CW_FORMATS_MAIL_UIDLIST_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_UIDLIST_NAME	    "dovecot-uidlist"
#define CW_UIDLIST_MAX	    (1u << 30) /* bytes of a file */
#define CW_UIDLIST_LINE_MAX 8192u

struct cw_uidlist {
	unsigned version;     /* 1 or 3 */
	uint32_t uidvalidity; /* 0: none yet */
	uint32_t next_uid;    /* as in the header, and beyond every UID */
	uint64_t lines;	      /* whole and well-formed ones */
	bool is_torn;	      /* the last line has no newline: no entry */
};

/*
 * Checks a whole text.  CW_ERR_FORMAT says which line; CW_ERR_UNSUPPORTED for
 * another version.  Then *list is untouched.
 */
int cw_uidlist_parse(const char *text, size_t len, struct cw_uidlist *list,
    struct cw_error *err);

struct cw_uidlist_guard {
	/*
	 * The header gets max(next_uid of the text, next_uid) as its next UID,
	 * as long as that fits in 32 bits.  From list and the number to raise
	 * by, cw_uidlist_raised makes it.
	 */
	uint32_t next_uid;
	/*
	 * Whether the message of this base name (what stands before ":2,") is
	 * there; lines of others are dropped.  NULL: all are.
	 */
	bool (*is_present)(void *arg, const char *base, size_t len);
	void *arg;
};

/* list->next_uid + raise, at most the greatest UID there is. */
uint32_t cw_uidlist_raised(const struct cw_uidlist *list, uint32_t raise);

/*
 * Appends the guarded text to out; a torn line is dropped.  *dropped (may be
 * NULL) counts lines whose message is absent.  Fails as cw_uidlist_parse does;
 * out is then untouched.
 */
int cw_uidlist_guard(const char *text, size_t len,
    const struct cw_uidlist_guard *guard, struct cw_buf *out, uint64_t *dropped,
    struct cw_error *err);

#endif
