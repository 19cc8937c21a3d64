/*
 * The daemon's link sessions: who is dialled and accepted, and that a peer has
 * one.
 */
#include "base/fs.h"
#include "base/log.h"
#include "site/daemon_impl.h"
#include "sync/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTS_A_TURN 16
#define DIAL_MS	       30000 /* for reaching the peer, before it proves itself */
#define RACE_MS	       10000 /* two that began within this cross each other */
#define STRANGERS      20u   /* lines of the log for them, a minute */
#define STRANGERS_MS   60000

/* What a session's child needs. */
struct session_work {
	const struct daemon *d;
	struct cw_daemon_link link;
	const char *who;
};

static int
run_session(void *arg, int channel)
{
	struct session_work *w = arg;
	struct cw_error err = CW_ERROR_INIT;

	cw_log_who(w->who);
	w->link.channel = channel;
	if (w->d->calls.session(w->d->calls.arg, w->d->home, &w->link, &err) ==
	    0)
		return 0;
	if (err.code != CW_ERR_INTERRUPTED)
		(void)cw_channel_send(channel, NULL, "failed %s", err.message);
	return cw_error_status(err.code);
}

/* Starts a session; fd is that of an accepted connection, or -1. */
static struct cw_job *
start_session(struct daemon *d, const char *peer, int fd, const char *from)
{
	struct cw_error err = CW_ERROR_INIT;
	char who[CW_LOG_WHO];
	const int keep[] = {fd, d->home->lock_fd, d->home->state_fd};
	struct session_work session = {.d = d,
	    .link = {.peer = peer, .fd = fd, .from = from, .channel = -1},
	    .who = who};
	const struct cw_job_work work = {.kind = CW_JOB_SESSION,
	    .name = "causeway:link",
	    .keep = keep,
	    .keep_count = sizeof(keep) / sizeof(*keep),
	    .run = run_session,
	    .arg = &session};
	struct cw_job *job;

	(void)snprintf(who, sizeof(who), "link %s", peer != NULL ? peer : from);
	if (cw_job_start(&d->jobs, &work, d->now, &job, &err) < 0) {
		cw_log(CW_LOG_ERROR, "no link session: %s", err.message);
		return NULL;
	}
	if (peer != NULL) {
		job->is_dialled = true;
		(void)snprintf(job->peer, sizeof(job->peer), "%s", peer);
	} else {
		(void)snprintf(job->address, sizeof(job->address), "%s", from);
	}
	return job;
}

/* ---- listening ---- */

int
daemon_listen(struct daemon *d, struct cw_error *err)
{
	const char *wanted =
	    d->calls.session == NULL ? NULL : d->home->config.listen;
	const char *colon;
	uint16_t port;

	cw_close(&d->listener);
	d->listening[0] = '\0';
	free(d->listen_wanted);
	d->listen_wanted = wanted == NULL ? NULL : cw_strdup(wanted);
	if (wanted == NULL)
		return 0;
	if (cw_listen(wanted, &d->listener, err) < 0 ||
	    cw_listen_port(d->listener, &port, err) < 0) {
		cw_close(&d->listener);
		return -1;
	}
	colon = strrchr(wanted, ':');
	(void)snprintf(d->listening, sizeof(d->listening), "%.*s:%u",
	    (int)(colon - wanted), wanted, port);
	return 0;
}

/* Events of those who have not proved who they are: only so many a minute. */
static enum cw_log_level
stranger_level(struct daemon *d)
{
	if (d->now - d->strangers_ms > STRANGERS_MS) {
		if (d->strangers > STRANGERS)
			cw_log(CW_LOG_WARNING,
			    "%u more events of connections that did not prove "
			    "who they were",
			    d->strangers - STRANGERS);
		d->strangers = 0;
		d->strangers_ms = d->now;
	}
	return ++d->strangers > STRANGERS ? CW_LOG_DEBUG : CW_LOG_WARNING;
}

/* Why a connection from there is not taken; NULL: it is. */
static const char *
reason_against(const struct daemon *d, const char *address)
{
	unsigned all = 0, unknown = 0, same = 0;

	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		if (job->kind != CW_JOB_SESSION || job->has_ended)
			continue;
		all++;
		if (job->proved[0] != '\0' || job->is_connected ||
		    job->is_dialled)
			continue;
		unknown++;
		same += strcmp(job->address, address) == 0;
	}
	if (all >= d->limits.sessions)
		return "there are too many sessions";
	if (unknown >= d->limits.unknown_sessions)
		return "too many connections have not proved who they are";
	if (same >= d->limits.unknown_address)
		return "too many connections from there have not proved who "
		       "they are";
	return NULL;
}

void
daemon_accept(struct daemon *d)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct cw_carrier c = CW_CARRIER_INIT;
		struct cw_error err = CW_ERROR_INIT;
		const char *reason;
		char *port;
		int ret = cw_accept(d->listener, &c, &err);

		if (ret > 0)
			return;
		if (ret < 0) {
			cw_log(stranger_level(d), "%s", err.message);
			return;
		}
		port = strrchr(c.name, ':');
		if (port != NULL)
			*port = '\0';
		reason = reason_against(d, c.name);
		if (reason != NULL)
			cw_log(stranger_level(d),
			    "a connection from %s was closed: %s", c.name,
			    reason);
		else
			(void)start_session(d, NULL, c.fd_in, c.name);
		cw_carrier_close(&c);
	}
}

/* ---- who is dialled ---- */

static struct daemon_peer *
find_peer(const struct daemon *d, const char *name)
{
	for (size_t i = 0; i < d->peer_count; i++)
		if (strcmp(d->peers[i].name, name) == 0)
			return &d->peers[i];
	return NULL;
}

void
daemon_set_peers(struct daemon *d)
{
	const struct cw_config *c = &d->home->config;
	struct daemon_peer *peers =
	    cw_calloc(c->peer_count + 1, sizeof(*peers));

	for (size_t i = 0; i < c->peer_count; i++) {
		struct daemon_peer *old = find_peer(d, c->peers[i].name);

		if (old != NULL) {
			peers[i] = *old;
			old->left = NULL;
		}
		(void)snprintf(peers[i].name, sizeof(peers[i].name), "%s",
		    c->peers[i].name);
		peers[i].next_ms = d->now;
		peers[i].pause_ms = 0;
	}
	for (size_t i = 0; i < d->peer_count; i++)
		free(d->peers[i].left);
	free(d->peers);
	d->peers = peers;
	d->peer_count = c->peer_count;
}

/* Whether a session with this peer is there, or on its way. */
static bool
has_session(const struct daemon *d, const char *peer)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		if (job->kind == CW_JOB_SESSION && !job->has_ended &&
		    strcmp(job->peer, peer) == 0)
			return true;
	}
	return false;
}

static void
dial(struct daemon *d, int64_t *deadline)
{
	for (size_t i = 0; i < d->peer_count; i++) {
		struct daemon_peer *peer = &d->peers[i];
		const struct cw_config_peer *known =
		    cw_config_peer(&d->home->config, peer->name);

		if (known == NULL || known->address == NULL ||
		    has_session(d, peer->name))
			continue;
		if (peer->next_ms <= d->now) {
			if (start_session(d, peer->name, -1, NULL) != NULL)
				continue;
			peer->pause_ms = daemon_longer(d, peer->pause_ms);
			peer->next_ms = d->now + daemon_jitter(peer->pause_ms);
		}
		daemon_earlier(deadline, peer->next_ms);
	}
}

/*
 * A session in which a store stands still for what is wrong here (a full disk)
 * ends after a while, and the next one tries again.
 */
static void
renew(struct daemon *d, struct cw_job *job, int64_t *deadline)
{
	struct daemon_peer *peer = find_peer(d, job->peer);
	bool is_wanted = false;
	int64_t until;

	if (peer == NULL || !job->is_connected)
		return;
	for (size_t i = 0; i < peer->left_count; i++)
		is_wanted |= peer->left[i].is_ours;
	if (!is_wanted)
		return;
	if (peer->renew_ms < d->limits.renew_ms)
		peer->renew_ms = d->limits.renew_ms;
	until = job->connected_ms + peer->renew_ms;
	if (until > d->now) {
		daemon_earlier(deadline, until);
		return;
	}
	peer->renew_ms = peer->renew_ms > d->limits.pause_max_ms * 5 / 2
			     ? d->limits.pause_max_ms * 5
			     : peer->renew_ms * 2;
	peer->is_quiet = job->is_renewed = true;
	cw_job_stop(job, d->now);
}

void
daemon_links_turn(struct daemon *d, int64_t *deadline)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *job = d->jobs.items[i];
		int64_t until;

		if (job->kind != CW_JOB_SESSION || job->has_ended ||
		    job->stop_ms != 0)
			continue;
		if (job->proved[0] != '\0') {
			renew(d, job, deadline);
			continue;
		}
		until = job->began_ms + d->limits.authenticate_ms +
			(job->is_dialled ? DIAL_MS : 0);
		if (until <= d->now) {
			(void)snprintf(job->failure, sizeof(job->failure),
			    "it did not prove who it is in time");
			cw_job_terminate(job, d->now);
		} else {
			daemon_earlier(deadline, until);
		}
	}
	if (d->calls.session != NULL && d->stopping_ms == 0)
		dial(d, deadline);
}

/* ---- what sessions say ---- */

/*
 * Of two sessions with one peer, whether the younger stays.  A site dials only
 * while it knows of no session, so one that it dials anew says that the older
 * one is dead, unless both sites dialled at the same time: then both keep the
 * one that the site whose name sorts first has dialled.
 */
static bool
younger_stays(const struct daemon *d, const struct cw_job *younger,
    const struct cw_job *elder)
{
	bool is_race = younger->connected_ms - elder->connected_ms < RACE_MS;
	bool is_ours_first = strcmp(d->home->config.name, younger->peer) < 0;

	if (younger->is_dialled)
		return !elder->is_dialled && is_race && is_ours_first;
	return !elder->is_dialled || !is_race || !is_ours_first;
}

static void
end_duplicate(struct daemon *d, struct cw_job *younger)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *elder = d->jobs.items[i];
		struct cw_job *loser;

		if (elder == younger || elder->kind != CW_JOB_SESSION ||
		    elder->has_ended || !elder->is_connected ||
		    elder->stop_ms != 0 ||
		    strcmp(elder->peer, younger->peer) != 0)
			continue;
		loser = younger_stays(d, younger, elder) ? elder : younger;
		cw_log(CW_LOG_INFO,
		    "there are two links to %s; the %s one ends", younger->peer,
		    loser == elder ? "older" : "younger");
		loser->is_duplicate = true;
		cw_job_stop(loser, d->now);
		if (loser == younger)
			return;
	}
}

/* Who it is; roles are still to be settled, and that may take its time. */
static void
proved(struct cw_job *job, const char *name)
{
	(void)snprintf(job->proved, sizeof(job->proved), "%s", name);
}

static struct cw_job_left *
find_left(struct cw_job_left *list, size_t count, const char *store)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].store, store) == 0)
			return &list[i];
	return NULL;
}

static void
put_left(struct cw_job_left **list, size_t *count, const struct cw_job_left *l)
{
	struct cw_job_left *at = find_left(*list, *count, l->store);

	if (at == NULL) {
		*list = cw_reallocarray(*list, *count + 1, sizeof(**list));
		at = &(*list)[(*count)++];
	}
	*at = *l;
}

/* Of a link that has come up: what stood still in the one before goes on. */
static void
settle_left(struct daemon_peer *peer, const struct cw_job *job)
{
	for (size_t i = 0; i < peer->left_count; i++)
		if (find_left(job->left, job->left_count,
			peer->left[i].store) == NULL)
			cw_log(CW_LOG_NOTICE, "store %s goes on with %s",
			    peer->left[i].store, peer->name);
	peer->left_count = 0;
	for (size_t i = 0; i < job->left_count; i++)
		put_left(&peer->left, &peer->left_count, &job->left[i]);
	if (peer->left_count == 0)
		peer->renew_ms = 0;
}

/* words: STORE TEXT */
static void
left(struct daemon *d, struct cw_job *job, char *words, bool is_ours)
{
	struct daemon_peer *peer = find_peer(d, job->proved);
	struct cw_job_left l = {.is_ours = is_ours};
	const struct cw_job_left *known;
	char *parts[2] = {NULL, NULL};

	if (peer == NULL || cw_channel_words(words, parts, 2) != 2 ||
	    cw_config_store(&d->home->config, parts[0]) == NULL)
		return;
	(void)snprintf(l.store, sizeof(l.store), "%s", parts[0]);
	(void)snprintf(l.why, sizeof(l.why), "%s", parts[1]);
	known = find_left(peer->left, peer->left_count, l.store);
	/* Once, not in every session. */
	if (known == NULL || strcmp(known->why, l.why) != 0)
		cw_log(CW_LOG_ERROR, "store %s stands still with %s: %s",
		    l.store, peer->name, l.why);
	put_left(&job->left, &job->left_count, &l);
	if (job->is_connected && job->peer[0] != '\0')
		put_left(&peer->left, &peer->left_count, &l);
}

static void
connected(struct daemon *d, struct cw_job *job, const char *name)
{
	struct daemon_peer *peer = find_peer(d, name);

	if (peer == NULL || job->is_connected ||
	    (job->is_dialled && strcmp(job->peer, name) != 0)) {
		cw_log(CW_LOG_ERROR,
		    "a link session says that it is connected to %s; it ends",
		    name);
		cw_job_terminate(job, d->now);
		return;
	}
	(void)snprintf(job->peer, sizeof(job->peer), "%s", name);
	job->is_connected = true;
	job->connected_ms = d->now;
	peer->failure[0] = '\0';
	cw_log(peer->is_quiet ? CW_LOG_DEBUG : CW_LOG_NOTICE,
	    "the link to %s is up%s%s", name, job->is_dialled ? "" : ", from ",
	    job->address);
	peer->is_quiet = false;
	settle_left(peer, job);
	end_duplicate(d, job);
	/* It was dialled while we were told to read a new configuration. */
	if (d->stopping_ms != 0)
		cw_job_stop(job, d->now);
}

/* A site that came for one errand: no link that would be kept. */
static void
visited(const struct daemon *d, struct cw_job *job, const char *name)
{
	job->is_connected = true;
	job->connected_ms = d->now;
	cw_log(CW_LOG_INFO, "a visit of %s from %s", name, job->address);
}

void
daemon_session_said(struct daemon *d, struct cw_job *job, char *line)
{
	char *words[2] = {NULL, NULL};
	unsigned count = cw_channel_words(line, words, 2);

	if (count == 2 && strcmp(words[0], "connected") == 0)
		connected(d, job, words[1]);
	else if (count == 2 && strcmp(words[0], "visited") == 0)
		visited(d, job, words[1]);
	else if (count == 2 && strcmp(words[0], "proved") == 0)
		proved(job, words[1]);
	else if (count == 2 && strcmp(words[0], "left") == 0)
		left(d, job, words[1], true);
	else if (count == 2 && strcmp(words[0], "refused") == 0)
		left(d, job, words[1], false);
	else if (count == 2 && strcmp(words[0], "poll") == 0)
		daemon_scan_wanted(d, job, words[1]);
	else if (count > 0 && strcmp(words[0], "doing") == 0)
		(void)snprintf(job->doing, sizeof(job->doing), "%s",
		    count == 2 ? words[1] : "");
	else if (count == 2 && strcmp(words[0], "failed") == 0)
		(void)snprintf(
		    job->failure, sizeof(job->failure), "%s", words[1]);
	else if (count == 0 || strcmp(words[0], "ended") != 0)
		cw_log(CW_LOG_WARNING, "a link session says \"%s\"",
		    count > 0 ? words[0] : "");
}

static void
peer_session_ended(
    struct daemon *d, struct cw_job *job, struct daemon_peer *peer)
{
	bool has_lasted = job->is_connected &&
			  d->now - job->connected_ms >= d->limits.lasted_ms;

	if (job->is_dialled && !has_lasted && !job->is_duplicate)
		peer->pause_ms = daemon_longer(d, peer->pause_ms);
	else
		peer->pause_ms = d->limits.pause_ms;
	/* A session that we ended for a new configuration: at once. */
	peer->next_ms = d->now + (job->stop_ms != 0 && !job->is_duplicate &&
					     !job->was_terminated
					 ? 0
					 : daemon_jitter(peer->pause_ms));
	if (job->is_duplicate || job->is_renewed ||
	    (job->stop_ms != 0 && job->failure[0] == '\0'))
		return;
	if (job->is_connected)
		cw_log(job->failure[0] == '\0' ? CW_LOG_NOTICE : CW_LOG_WARNING,
		    "the link to %s is down%s%s", job->peer,
		    job->failure[0] == '\0' ? "" : ": ", job->failure);
	else if (strcmp(peer->failure, job->failure) != 0)
		/* Once, not at every attempt. */
		cw_log(CW_LOG_WARNING, "no link to %s: %s", job->peer,
		    job->failure);
	memcpy(peer->failure, job->failure, sizeof(peer->failure));
}

void
daemon_session_ended(struct daemon *d, struct cw_job *job, int status)
{
	struct daemon_peer *peer = find_peer(d, job->peer);
	char end[CW_JOB_TEXT];

	daemon_scan_forget(d, job);
	daemon_answer_client(job, status);
	if (job->failure[0] == '\0' && status != 0 && job->stop_ms == 0) {
		daemon_describe_end(status, end);
		(void)snprintf(
		    job->failure, sizeof(job->failure), "its process %s", end);
	}
	if (peer != NULL)
		peer_session_ended(d, job, peer);
	else if (job->failure[0] != '\0')
		cw_log(stranger_level(d), "a connection from %s: %s",
		    job->address, job->failure);
}

void
daemon_wake(struct daemon *d, const char *store, uint64_t generation)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *job = d->jobs.items[i];

		if (job->kind == CW_JOB_SESSION && !job->has_ended &&
		    job->is_connected)
			cw_job_tell(job, "wake %s %llu", store,
			    (unsigned long long)generation);
	}
}
