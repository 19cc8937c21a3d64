/*
 * Cutover: the store changes its site.  A switchover is driven by the active
 * site over a session with the standby; a failover is done by the standby
 * alone.  See design, cutover; the records of the role are role.h's.
 *
 * What is written before what: the fenced site gives the store away on disk
 * before it says so; the other takes it on disk before it serves.  So at no
 * time two sites are active, and whatever is cut off is gone on with by the
 * same command, or by the next session.
 */
#ifndef CW_SITE_CUTOVER_H
#define CW_SITE_CUTOVER_H

#include "site/session.h"

#define CW_CUTOVER_STEPS_MAX 16u

struct cw_cutover_result {
	const char *kind; /* "switchover", "failover" */
	uint64_t epoch;	  /* after it */
	char from[64], to[64];
	uint64_t generation;
	double lost_seconds; /* failover: age of the last state we know of */
	struct cw_cutover_step {
		char name[32];
		double seconds;
		bool ok;
	} steps[CW_CUTOVER_STEPS_MAX];
	size_t step_count;
};

/* What a failover knows of what it loses. */
struct cw_cutover_loss {
	bool has_age;
	bool is_seed;	     /* nothing came but a seed; its age then */
	double seconds;	     /* since the last state that we know to be whole */
	uint64_t generation; /* that we serve */
	uint64_t missing;    /* files of the catalog that never arrived */
	uint64_t mailboxes;  /* directories that lack some of them */
	uint64_t unapplied;  /* changes that came and are not complete */
	char heard[64];	     /* a site that lived a moment ago, or "" */
	double heard_seconds;
	char list[4096]; /* path of the list of what is missing, or "" */
};

struct cw_cutover_options {
	struct cw_home *home;
	const struct cw_minisign_secret *secret;
	/* A step begins or something happened; may be NULL. */
	void (*report)(void *arg, const char *text);
	/*
	 * Failover: what will be lost stands in *loss; 0 goes on, -1 does not
	 * (CW_ERR_REFUSED).
	 */
	int (*confirm)(void *arg, const struct cw_cutover_loss *loss,
	    struct cw_error *err);
	void *arg;
};

/*
 * Hands a store that is active here to the session's peer.  A failure before
 * the hand-over puts everything back (the error says so); CW_ERR_UNREACHABLE
 * after it: do it again when the line is back.
 */
int cw_cutover_switch(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *options, struct cw_cutover_result *result,
    struct cw_error *err);

/* Asks the session's peer, where the store is active, to hand it to us. */
int cw_cutover_request(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *options, struct cw_cutover_result *result,
    struct cw_error *err);

/*
 * Answers the orders "cutover", "preflight" and "accept": for
 * cw_session_on_order, with struct cw_cutover_options as its argument.
 */
int cw_cutover_answer(void *arg, struct cw_session *s,
    struct cw_session_store *st, const char *kind,
    const struct cw_session_args *args, struct cw_session_args *values,
    struct cw_error *err);

/*
 * The active site is gone: this one takes over with what it has.  Done before:
 * only what is not done yet is done (the guard, the promote hook).
 */
int cw_cutover_fail_over(const struct cw_config_store *store,
    const struct cw_cutover_options *options, struct cw_cutover_result *result,
    struct cw_error *err);

/*
 * The record of a hand-over to this peer that is under way, as it stands
 * before a session with the peer may settle it: 1 with the text appended, 0 if
 * there is none, -1.
 */
int cw_cutover_pending(const struct cw_config_store *store,
    const struct cw_minisign_public *to,
    const struct cw_cutover_options *options, struct cw_buf *record,
    struct cw_error *err);

/*
 * The session told that the peer has taken over what we gave away: it is asked
 * to end what it began then, by the record of cw_cutover_pending.
 */
int cw_cutover_finish(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *options, const struct cw_buf *record,
    struct cw_cutover_result *result, struct cw_error *err);

/*
 * A switchover to this site that was cut off before its service had started:
 * it is started now.  1 with *result if there was one, 0 if not, -1.
 */
int cw_cutover_resume(const struct cw_config_store *store,
    const struct cw_cutover_options *options, struct cw_cutover_result *result,
    struct cw_error *err);

/*
 * A switchover that was cut off before anything was handed over: the service
 * is started again.  1 if there was one, 0 if not, or if it is under way in
 * another process, -1.
 */
int cw_cutover_put_back(const struct cw_config_store *store,
    const struct cw_cutover_options *options, struct cw_error *err);

/*
 * What the record and the marks beside it say that is not done, for `status`
 * and for whoever may do it.
 */
enum cw_cutover_rest {
	CW_CUTOVER_REST_NONE,
	CW_CUTOVER_REST_RUNS,	 /* a cutover is under way in some process */
	CW_CUTOVER_REST_FENCING, /* cut off before the hand-over */
	CW_CUTOVER_REST_GIVEN,	 /* handed over, and not known to be taken */
	CW_CUTOVER_REST_PROMOTE, /* active, and the promote hook is owed */
	CW_CUTOVER_REST_FENCE,	 /* passed by, and the fence hook is owed */
	CW_CUTOVER_REST_SPLIT,	 /* another site began this epoch as well */
};

/* It reads only, and waits for nobody. */
int cw_cutover_look(const struct cw_home *home,
    const struct cw_config_store *store, const struct cw_role *role,
    enum cw_cutover_rest *rest, struct cw_error *err);

#endif
