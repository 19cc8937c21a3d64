/*
 * `causeway run`: one process without threads that holds the home's lock,
 * waits, and has all work done in children that it forks:
 *
 *   a link session  for each connection, accepted or dialled
 *   a scan job      for each active store, every `every` and on request
 *   a command       for each that the CLI hands over (control.h)
 *
 * What the work is comes from the caller, by functions that run in a child of
 * their own.  There a first SIGTERM or SIGINT is cw_stop_request, a second one
 * ends the process; SIGPIPE is ignored; standard error is the log's; home is
 * the child's copy and its lock is the daemon's.  The supervisor opens no
 * catalog, resolves no name and waits for nobody.
 *
 * Whatever a child does, the others and the supervisor go on: a child that
 * ends with an error or a signal is logged, and what it did is done again
 * after a pause that doubles, with some jitter, up to pause_max_ms.
 */
#ifndef CW_SITE_DAEMON_H
#define CW_SITE_DAEMON_H

#include "base/error.h"
#include "site/control.h"
#include "site/home.h"

#include <stdbool.h>
#include <stdint.h>

/* The connection that a session is for. */
struct cw_daemon_link {
	const char *peer; /* whom to dial; NULL: it was accepted */
	int fd; /* of an accepted connection, else -1; ours to close */
	const char *from; /* address of an accepted one, for people */
	int channel;	  /* channel.h; -1 at its end: the daemon is gone */
};

/* What a scan has come to. */
struct cw_daemon_scan {
	uint64_t generation;
	bool has_changed; /* since the scan before it */
};

struct cw_daemon_calls {
	/*
	 * Runs a session to its end.  It authenticates the peer within 10 s,
	 * says "proved PEER", and when roles are settled "connected PEER".
	 * NULL: there are no links.
	 */
	int (*session)(void *arg, struct cw_home *home,
	    const struct cw_daemon_link *link, struct cw_error *err);
	/*
	 * Takes a generation of a store, whose lock (cw_home_lock_store) is
	 * held meanwhile.  NULL: none are taken.
	 */
	int (*scan)(void *arg, struct cw_home *home,
	    const struct cw_config_store *store, struct cw_daemon_scan *result,
	    struct cw_error *err);
	/*
	 * Whether generations of this store are taken here.  The supervisor
	 * itself asks this: a small file may be read, no more.  NULL: what
	 * follows no site is.
	 */
	bool (*is_active)(void *arg, const struct cw_home *home,
	    const struct cw_config_store *store);
	/*
	 * Puts a cutover back that was cut off; is_cut_off is asked by the
	 * supervisor itself, when it begins and whenever a child has ended.
	 * The store's lock is free.  NULL: nothing is put back.
	 */
	int (*mend)(void *arg, struct cw_home *home,
	    const struct cw_config_store *store, struct cw_error *err);
	bool (*is_cut_off)(void *arg, const struct cw_home *home,
	    const struct cw_config_store *store);
	/*
	 * Runs a command that was handed over and returns its exit status.
	 * Standard input, output and error, working directory, environment
	 * and terminal (control.h) are the client's already, and the next
	 * cw_home_open for writing takes over the daemon's lock.  NULL:
	 * commands are refused.
	 */
	int (*command)(void *arg, int argc, char **argv);
	void *arg;
};

/* Times and numbers; 0 in any of them stands for the default. */
struct cw_daemon_limits {
	unsigned pause_ms;	   /* before the first retry: 1000 */
	unsigned pause_max_ms;	   /* 60000 */
	unsigned renew_ms;	   /* a session in which a store stands still:
				      30000, doubling up to pause_max_ms * 5 */
	unsigned lasted_ms;	   /* a session that forgives: 30000 */
	unsigned authenticate_ms;  /* then a session is ended: 15000 */
	unsigned stop_ms;	   /* from "stop" to SIGTERM: 10000 */
	unsigned kill_ms;	   /* from SIGTERM to SIGKILL: 15000 */
	unsigned sessions;	   /* in all: 64 */
	unsigned unknown_sessions; /* not authenticated, in all: 16 */
	unsigned unknown_address;  /* the same of one address: 4 */
	unsigned commands;	   /* at a time: 16 */
};

struct cw_daemon_options {
	struct cw_daemon_calls calls;
	struct cw_daemon_limits limits;
};

/*
 * Runs until SIGTERM or SIGINT, then ends the children in order and returns 0.
 * home must be open for writing; home->config is replaced when the file has
 * changed (SIGHUP, or a command changed it).  Failure: nothing was begun
 * (the address to listen on, the control socket), or the supervisor's own
 * means failed and the children were ended.
 */
int cw_daemon_run(struct cw_home *home, const struct cw_daemon_options *options,
    struct cw_error *err);

#endif
