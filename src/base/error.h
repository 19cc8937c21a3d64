/*
 * Errors: why a call failed, in a code that the caller may act on and a
 * sentence for the operator.  The first detector writes it; callers may put
 * what they were doing in front of it; only the CLI prints it.
 */
#ifndef CW_BASE_ERROR_H
#define CW_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

enum cw_code {
	CW_OK = 0,
	CW_ERR_FAILED,	    /* anything without a code of its own */
	CW_ERR_IO,	    /* the system refused: the sentence holds errno's */
	CW_ERR_NOSPACE,	    /* ENOSPC or EDQUOT: another medium may do */
	CW_ERR_USAGE,	    /* the operator typed or configured it wrong */
	CW_ERR_REPAIRABLE,  /* damage that parity can repair */
	CW_ERR_DAMAGED,	    /* bytes are not what was signed or promised */
	CW_ERR_FORMAT,	    /* bytes that no version of a format allows */
	CW_ERR_UNSUPPORTED, /* well formed, but newer or stranger than us */
	CW_ERR_MISSING,	    /* a file, volume or medium is not there */
	CW_ERR_UNTRUSTED,   /* signature, signer, recipient or replay */
	CW_ERR_BUSY,	    /* another process holds it */
	CW_ERR_REFUSED,	    /* a safety check said no */
	CW_ERR_UNREACHABLE, /* the other site does not answer */
	CW_ERR_INTERRUPTED, /* a signal asked us to stop */
};

#define CW_ERROR_MAX 1024u

struct cw_error {
	enum cw_code code;
	char message[CW_ERROR_MAX]; /* one line, no newline at its end */
};

#define CW_ERROR_INIT                                                          \
	{                                                                      \
		CW_OK, ""                                                      \
	}

/*
 * Sets code and sentence and returns -1, so that a detector can say
 * `return cw_error_set(...)`.  err may be NULL.
 */
int cw_error_set(struct cw_error *err, enum cw_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same for a failed system call: appends ": " and errno's text.  The code
 * is CW_ERR_NOSPACE for ENOSPC and EDQUOT, else CW_ERR_IO.
 */
int cw_error_errno(struct cw_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the sentence.  Returns -1. */
int cw_error_context(struct cw_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "; advice" behind the sentence: what to do.  Returns -1. */
int cw_error_advise(struct cw_error *err, const char *advice);

/* The stable name of a code in --json output: "damaged", "untrusted", ... */
const char *cw_error_name(enum cw_code code);

/* The exit status of a code: see causeway(1), EXIT STATUS. */
int cw_error_status(enum cw_code code);

#endif
