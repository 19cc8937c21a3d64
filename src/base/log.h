/*
 * The log: one line for each event that is worth a person's time, to standard
 * error.  The daemon and its children write it; commands speak through the CLI
 * instead.
 *
 * A line is "2026-11-22T12:00:00Z WHO: message".  Where the journal reads
 * standard error ($JOURNAL_STREAM says so) it is "<6>WHO: message": the journal
 * has a time of its own.  Bytes that are not printable UTF-8 become \xHH, a
 * line is at most CW_LOG_MAX bytes, and it is written by one write(2).
 *
 * No secret, and no name of a mailbox, user or message belongs here.
 */
#ifndef CW_BASE_LOG_H
#define CW_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_LOG_MAX 1400u /* bytes of a line, its newline included */
#define CW_LOG_WHO 96u

/* The numbers are those of syslog(3), as the journal reads them. */
enum cw_log_level {
	CW_LOG_ERROR = 3,   /* something does not work; a person has to look */
	CW_LOG_WARNING = 4, /* it works, but not as it should */
	CW_LOG_NOTICE = 5,  /* a change of state: started, connected, ended */
	CW_LOG_INFO = 6,    /* usual work */
	CW_LOG_DEBUG = 7,   /* not shown unless asked for */
};

/*
 * Who speaks from now on in this process: "link shreveport", "scan mail"; NULL
 * for nobody.  At most CW_LOG_WHO - 1 bytes are kept.
 */
void cw_log_who(const char *who);

/* What is more talkative than this is left out; CW_LOG_INFO at first. */
void cw_log_limit(enum cw_log_level most);

/*
 * Writes a line.  It never waits: where standard error does not take it, it is
 * lost, and the next line that gets through is preceded by the count of those
 * that were.
 */
void cw_log(enum cw_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The line that cw_log would write, for tests: to out, of size bytes; returns
 * its length.  at is the time in seconds since 1970.
 */
size_t cw_log_format(enum cw_log_level level, const char *who,
    const char *message, bool for_journal, int64_t at, char *out, size_t size);

#endif
