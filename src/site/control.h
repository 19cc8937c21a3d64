/*
 * The control socket: STATE/control.sock, by which commands reach the daemon
 * that holds the home.  For the owner of the daemon and root alone: mode 0600,
 * and the kernel says who connects.
 *
 * A client sends one request, a SOCK_SEQPACKET datagram of texts that each end
 * in a NUL:
 *   "causeway" VERSION "status"
 *   "causeway" VERSION "command" WHAT ARGC ARG... ENVIRONMENT...
 * WHAT is the command's name for people.  ENVIRONMENT is NAME=VALUE, of
 * CAUSEWAY_PASSPHRASE, COLUMNS and TERM.  With a command come descriptors
 * (SCM_RIGHTS): the working directory, standard input, output and error, and
 * the terminal if there is one.  The daemon answers with one datagram each:
 *   "status" JSON
 *   "refused" CODE MESSAGE     CODE is that of an error (cw_error_name)
 *   "started" PID              then, when the command has ended:
 *   "ended" STATUS   or   "killed" SIGNAL
 * While a command runs, the client may send "signal" NUMBER (SIGINT, SIGTERM).
 * A client that goes away ends its command (SIGTERM).
 */
#ifndef CW_SITE_CONTROL_H
#define CW_SITE_CONTROL_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CW_CONTROL_SOCKET   "control.sock"
#define CW_CONTROL_MAX	    (128u << 10) /* bytes of a datagram */
#define CW_CONTROL_ARGS_MAX 4096u

/* Descriptors of a command, in their order. */
enum {
	CW_CONTROL_CWD,
	CW_CONTROL_STDIN,
	CW_CONTROL_STDOUT,
	CW_CONTROL_STDERR,
	CW_CONTROL_TERMINAL, /* -1: none */
	CW_CONTROL_FDS,
};

struct cw_control_request {
	bool is_status; /* else a command, to which the rest belongs */
	char *what;
	int argc;
	char **argv;	    /* argv[argc] is NULL; argv[0] the program */
	char **environment; /* "NAME=VALUE", up to a NULL */
	int fds[CW_CONTROL_FDS];
};

/* ---- for the daemon ---- */

/*
 * Makes the socket in the state directory, in place of one that a daemon
 * before us left, and listens.  Returns the descriptor, which does not block.
 * The home's lock must be ours.
 */
int cw_control_listen(int state_fd, struct cw_error *err);
void cw_control_unlink(int state_fd);

/*
 * Accepts a client: 1 and its descriptor, which does not block; 0 where there
 * is none; -1 for one that may not (it is closed, and the error says who).
 */
int cw_control_accept(int listen_fd, int *fd, struct cw_error *err);

/*
 * Receives a request: 1; 0 if it is still to come; -1 for what is none
 * (CW_ERR_UNSUPPORTED: of another version), CW_ERR_UNREACHABLE if the client
 * has gone.
 */
int cw_control_recv_request(
    int fd, struct cw_control_request *request, struct cw_error *err);
/* Closes the descriptors, wipes the environment. */
void cw_control_request_free(struct cw_control_request *request);

/*
 * In the child: makes working directory, standard input, output, error and
 * environment those of the request.  The terminal stays in
 * cw_control_terminal.
 */
int cw_control_take_over(
    struct cw_control_request *request, struct cw_error *err);

/*
 * What a client says meanwhile: 1 and the signal's number; 0 for nothing; -1
 * if it has gone or makes no sense.
 */
int cw_control_recv_signal(int fd, int *number);

/* Answers; one that does not read is no matter. */
void cw_control_answer(int fd, const char *word, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void cw_control_refuse(int fd, const struct cw_error *why);

/* ---- for the client ---- */

/*
 * The terminal of a command that was handed over; -1: none, or this process
 * is no such command.
 */
int cw_control_terminal(void);
/* Whether this process is a command that was handed over. */
bool cw_control_is_taken_over(void);

/*
 * Connects to the daemon of a state directory.  Returns 0 and the descriptor,
 * 1 if no daemon answers there.
 */
int cw_control_connect(int state_fd, int *fd, struct cw_error *err);

/* Asks what is under way: JSON, appended to json.  fd is of no use then. */
int cw_control_status(int fd, struct cw_buf *json, struct cw_error *err);

/* How a command that was handed over has ended. */
struct cw_control_end {
	bool was_killed; /* by the signal `status` */
	int status;
};

/*
 * Hands a command over and waits for its end.  passphrase (NULL: that of the
 * environment) goes along.  SIGINT and SIGTERM that arrive meanwhile are
 * passed on.  Failure: CW_ERR_BUSY and others: it was not started, or
 * (CW_ERR_FAILED) the daemon went away meanwhile.
 */
int cw_control_command(int fd, const char *what, int argc, char *const *argv,
    const char *passphrase, struct cw_control_end *end, struct cw_error *err);

#endif
