/*
 * The lines between the supervisor (daemon.h) and its children, over a pair of
 * SOCK_SEQPACKET sockets: one datagram a line, no newline at its end.
 *
 * To a link session:
 *   wake STORE GENERATION         a scan ended with this one; 0: the store or
 *                                 its role may have changed
 *   scanned STORE GENERATION ok   the answer to "poll STORE"
 *   scanned STORE GENERATION failed   GENERATION is 0
 *   stop                          say goodbye and end
 * From a link session:
 *   proved PEER                   the handshake is done, this is who it is
 *   connected PEER                HELLO is done as well, and roles are settled
 *   visited PEER                  the same for one that came for one errand
 *   poll STORE                    please take a generation now
 *   doing TEXT                    for people, in `status`
 *   left STORE TEXT               why it stands still in this session: the
 *                                 daemon has another one begun after a while
 *   refused STORE TEXT            the same, and the peer says so: it will
 * From a scan job:
 *   generation N changed|unchanged
 *   busy TEXT                     who works on the store
 * From both:
 *   failed TEXT                   why it ends (the daemon says it for them)
 *
 * The child's end is blocking, the supervisor's is not.  What a child says is
 * checked; a line that makes no sense is logged and dropped.
 */
#ifndef CW_SITE_CHANNEL_H
#define CW_SITE_CHANNEL_H

#include "base/error.h"

#include <stdint.h>

#define CW_CHANNEL_MAX 1280u /* bytes of a line and its NUL */

/*
 * Sends a line.  A line that is too long is cut.  Returns 0; 1: not now, the
 * other end does not read (only at the supervisor's end, which does not
 * block); -1: the other end is gone (CW_ERR_INTERRUPTED: a child ends then).
 */
int cw_channel_send(int fd, struct cw_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Receives a line: 1 and the line in out; 0: nothing came within timeout_ms
 * (0: look only; -1: no limit; a signal ends the wait as well); -1: the other
 * end is gone.
 */
int cw_channel_recv(
    int fd, int timeout_ms, char out[CW_CHANNEL_MAX], struct cw_error *err);

/*
 * Takes a line apart at its spaces, in place: at most max words, the last one
 * holds the rest.  Returns their number.
 */
unsigned cw_channel_words(char *line, char **words, unsigned max);

/* Makes the pair; both are close-on-exec.  ours does not block. */
int cw_channel_pair(int *ours, int *theirs, struct cw_error *err);

/*
 * The channel of a command that is a session (`link`): set in the child of the
 * daemon, and asked for by the command; -1: there is no daemon.
 */
void cw_channel_set_own(int fd);
int cw_channel_own(void);

#endif
