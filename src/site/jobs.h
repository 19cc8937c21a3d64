/*
 * The children of the daemon: forked into a state in which they can work, told
 * and heard by a channel, asked to end and made to end.
 */
#ifndef CW_SITE_JOBS_H
#define CW_SITE_JOBS_H

#include "base/error.h"
#include "site/channel.h"
#include "site/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CW_JOB_TEXT 128u

enum cw_job_kind {
	CW_JOB_SESSION,
	CW_JOB_SCAN,
	CW_JOB_COMMAND,
	CW_JOB_MEND,
};

/* A store that stands still in a session, and why. */
struct cw_job_left {
	char store[CW_CONFIG_NAME_MAX + 1];
	char why[CW_CHANNEL_MAX];
	bool is_ours; /* not what the peer said */
};

struct cw_job {
	enum cw_job_kind kind;
	pid_t pid;
	int channel; /* our end; -1: closed */
	int64_t began_ms;
	int64_t stop_ms;     /* when it was asked to end; 0: it was not */
	bool was_terminated; /* got SIGTERM from us */
	bool has_ended;	     /* and was waited for; goes with the next sweep */
	char **queue;	     /* lines that it did not take yet */
	size_t queue_count;
	char failure[CW_CHANNEL_MAX]; /* what it said last: "failed ..." */

	/* A session. */
	char peer[CW_CONFIG_NAME_MAX + 1]; /* "": not known yet */
	char address[CW_JOB_TEXT];	   /* where an accepted one is from */
	bool is_dialled;
	char proved[CW_CONFIG_NAME_MAX + 1]; /* the same, also of a visit */
	struct cw_job_left *left;
	size_t left_count;
	bool is_connected;
	bool is_renewed;   /* ended for stores that stand still */
	bool is_duplicate; /* and was told to end */
	int64_t connected_ms;
	char doing[CW_JOB_TEXT];

	/* A scan. */
	char store[CW_CONFIG_NAME_MAX + 1];
	uint64_t generation; /* 0: none was taken */
	bool has_changed;
	bool was_busy;

	/* A command, or a session that a command asked for (`link`). */
	char what[33];
	int client; /* its control socket; -1: the client has gone */
};

struct cw_jobs {
	struct cw_job **items;
	size_t count;
};

/* What a child is to do.  Its return value is the exit status. */
struct cw_job_work {
	enum cw_job_kind kind;
	const char *name; /* for ps(1): "causeway:scan"; 15 bytes are shown */
	/*
	 * Descriptors that it needs besides 0, 1, 2 and its channel; all
	 * others are closed.  -1 is allowed.
	 */
	const int *keep;
	size_t keep_count;
	int (*run)(void *arg, int channel);
	void *arg;
};

/*
 * Forks a child.  It has a session (setsid(2)) of its own, so that a terminal's
 * Ctrl-C reaches the daemon alone; gets SIGTERM when the daemon dies; SIGINT
 * and SIGTERM ask it to stop, a second one ends it; it has no NOTIFY_SOCKET.
 * The job is the table's, which outlives it.
 */
int cw_job_start(struct cw_jobs *jobs, const struct cw_job_work *work,
    int64_t now_ms, struct cw_job **out, struct cw_error *err);

/* Sends a line, or keeps it until the child reads.  Never waits. */
void cw_job_tell(struct cw_job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Sends what was kept. */
void cw_job_flush(struct cw_job *job);

/*
 * Asks a child to end: a session is told "stop", the others get SIGTERM, which
 * ends them in order as well.
 */
void cw_job_stop(struct cw_job *job, int64_t now_ms);
/* SIGTERM now, whatever it was told. */
void cw_job_terminate(struct cw_job *job, int64_t now_ms);

/*
 * Whether the child has ended.  *status is that of waitpid(2).  The channel
 * can still be read.
 */
bool cw_job_reap(struct cw_job *job, int *status);

/* Frees the jobs that have ended. */
void cw_jobs_sweep(struct cw_jobs *jobs);
/* Frees all (those that run are not waited for). */
void cw_jobs_free(struct cw_jobs *jobs);

#endif
