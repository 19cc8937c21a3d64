/*
 * What the files of daemon.h share: daemon.c waits and dispatches, the others
 * do one kind of work each.
 */
#ifndef CW_SITE_DAEMON_IMPL_H
#define CW_SITE_DAEMON_IMPL_H

#include "base/buf.h"
#include "site/daemon.h"
#include "site/jobs.h"

#include <poll.h>

#define DAEMON_CLIENTS_MAX 32u
#define DAEMON_NEVER	   INT64_MAX

/* A peer of the configuration: when it is dialled next. */
struct daemon_peer {
	char name[CW_CONFIG_NAME_MAX + 1];
	int64_t next_ms;
	unsigned pause_ms;
	char failure[CW_CHANNEL_MAX]; /* the last one; "": none */
	/* Stores that stand still in the link that is, or was last. */
	struct cw_job_left *left;
	size_t left_count;
	unsigned renew_ms; /* how long a session with such a store lasts */
	bool is_quiet;	   /* the next one is no news */
};

/* A store of the configuration: when it is scanned next, and for whom. */
struct daemon_store {
	char name[CW_CONFIG_NAME_MAX + 1];
	int64_t next_ms;
	bool was_active;
	unsigned pause_ms; /* 0: the last scan was well */
	bool is_wanted;	   /* somebody asked for a generation */
	struct cw_job *job;
	struct cw_job *mender;
	int64_t mend_ms; /* when to look for a cutover that was cut off */
	unsigned mend_pause_ms;
	struct cw_job **waiting; /* sessions that the next scan answers */
	size_t waiting_count;
	struct cw_job **served; /* those that the running one answers */
	size_t served_count;
	uint64_t generation; /* the last one that was taken; 0: none yet */
	int64_t taken_ms;
	char failure[CW_CHANNEL_MAX];
};

/* A client of the control socket that has not said what it wants. */
struct daemon_client {
	int fd;
	int64_t since_ms;
};

struct daemon {
	struct cw_home *home;
	struct cw_daemon_calls calls;
	struct cw_daemon_limits limits;
	int signals, control, listener;
	char listening[CW_JOB_TEXT]; /* "": nowhere */
	char *listen_wanted;	     /* of the configuration; NULL: none */
	int64_t now;		     /* milliseconds, CLOCK_MONOTONIC */
	int64_t began;
	int64_t stopping_ms; /* 0: it runs */
	struct cw_jobs jobs;
	struct daemon_peer *peers;
	size_t peer_count;
	struct daemon_store *stores;
	size_t store_count;
	struct daemon_client clients[DAEMON_CLIENTS_MAX];
	size_t client_count;
	int64_t strangers_ms; /* when the log began to count strangers */
	unsigned strangers;
	char said[256];	      /* the last status that systemd was told */
	uint64_t watchdog_ms; /* 0: there is none */
	int64_t watched_ms;
};

/* A pause of about so long: a quarter more or less, by chance. */
int64_t daemon_jitter(unsigned pause_ms);
/* The next pause after a failure. */
unsigned daemon_longer(const struct daemon *d, unsigned pause_ms);
/* *deadline becomes the earlier of the two. */
void daemon_earlier(int64_t *deadline, int64_t at);
/* "was killed by signal 11 (Segmentation fault)", "ended with status 1". */
void daemon_describe_end(int status, char out[CW_JOB_TEXT]);
/* Reads the configuration again and does what it says. */
void daemon_reload(struct daemon *d);

/* ---- daemon_links.c ---- */
/* Listens where the configuration says. */
int daemon_listen(struct daemon *d, struct cw_error *err);
void daemon_accept(struct daemon *d);
/* Makes d->peers those of the configuration. */
void daemon_set_peers(struct daemon *d);
/* Dials who is to be dialled, ends who did not authenticate in time. */
void daemon_links_turn(struct daemon *d, int64_t *deadline);
void daemon_session_said(struct daemon *d, struct cw_job *job, char *line);
void daemon_session_ended(struct daemon *d, struct cw_job *job, int status);
/* Tells all sessions. */
/* generation: one whose scan has just ended; 0: not known. */
void daemon_wake(struct daemon *d, const char *store, uint64_t generation);

/* ---- daemon_scans.c ---- */
void daemon_set_stores(struct daemon *d);
/* Roles may have moved: stores that are active now are scanned at once. */
void daemon_scans_look(struct daemon *d);
void daemon_scans_turn(struct daemon *d, int64_t *deadline);
void daemon_scan_said(struct daemon *d, struct cw_job *job, char *line);
void daemon_scan_ended(struct daemon *d, struct cw_job *job, int status);
/* A session asks for a generation. */
void daemon_scan_wanted(
    struct daemon *d, struct cw_job *session, const char *store);
/* A session has gone: it need not be answered. */
void daemon_scan_forget(struct daemon *d, const struct cw_job *session);
bool daemon_store_is_active(
    const struct daemon *d, const struct cw_config_store *store);

/* ---- daemon_commands.c ---- */
void daemon_clients_accept(struct daemon *d);
/* A client that has not said what it wants is ready to be read. */
void daemon_client_ready(struct daemon *d, size_t index);
void daemon_clients_turn(struct daemon *d, int64_t *deadline);
/* The client of a running command says something, or has gone. */
void daemon_command_client_ready(struct daemon *d, struct cw_job *job);
void daemon_command_ended(struct daemon *d, struct cw_job *job, int status);
/* Tells the client of a job how it ended; no harm where there is none. */
void daemon_answer_client(struct cw_job *job, int status);

/* ---- daemon_mend.c ---- */
/* A child has ended: what it may have left is looked for. */
void daemon_mend_look(struct daemon *d);
void daemon_mend_turn(struct daemon *d, int64_t *deadline);
void daemon_mend_ended(struct daemon *d, struct cw_job *job, int status);

/* ---- daemon_status.c ---- */
void daemon_status_json(const struct daemon *d, struct cw_buf *json);
/* Tells systemd what there is to tell. */
void daemon_notify(struct daemon *d, int64_t *deadline);

#endif
