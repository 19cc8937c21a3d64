/*
 * The daemon's scan jobs: one at a time of each active store, at intervals and
 * when a session asks.
 */
#include "base/bytes.h"
#include "base/fs.h"
#include "base/log.h"
#include "site/daemon_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a job waits for a command that works on its store. */
#define STORE_WAIT_MS 30000

struct scan_work {
	const struct daemon *d;
	const struct cw_config_store *store;
};

static int
run_scan(void *arg, int channel)
{
	const struct scan_work *w = arg;
	const struct daemon *d = w->d;
	struct cw_daemon_scan result = {0, false};
	struct cw_error err = CW_ERROR_INIT;
	char who[CW_LOG_WHO];
	int lock, ret;

	(void)snprintf(who, sizeof(who), "scan %s", w->store->name);
	cw_log_who(who);
	if (cw_home_lock_store(
		d->home, w->store->name, STORE_WAIT_MS, &lock, &err) < 0) {
		if (err.code == CW_ERR_BUSY)
			(void)cw_channel_send(
			    channel, NULL, "busy %s", err.message);
		ret = -1;
	} else {
		ret = d->calls.scan(
		    d->calls.arg, d->home, w->store, &result, &err);
		cw_close(&lock);
	}
	if (ret == 0) {
		(void)cw_channel_send(channel, NULL, "generation %llu %s",
		    (unsigned long long)result.generation,
		    result.has_changed ? "changed" : "unchanged");
		return 0;
	}
	if (err.code != CW_ERR_INTERRUPTED && err.code != CW_ERR_BUSY)
		(void)cw_channel_send(channel, NULL, "failed %s", err.message);
	return cw_error_status(err.code);
}

static struct daemon_store *
find_store(const struct daemon *d, const char *name)
{
	for (size_t i = 0; i < d->store_count; i++)
		if (strcmp(d->stores[i].name, name) == 0)
			return &d->stores[i];
	return NULL;
}

bool
daemon_store_is_active(
    const struct daemon *d, const struct cw_config_store *store)
{
	if (d->calls.is_active != NULL)
		return d->calls.is_active(d->calls.arg, d->home, store);
	return store->follow == NULL;
}

void
daemon_set_stores(struct daemon *d)
{
	const struct cw_config *c = &d->home->config;
	struct daemon_store *stores =
	    cw_calloc(c->store_count + 1, sizeof(*stores));

	for (size_t i = 0; i < c->store_count; i++) {
		struct daemon_store *old = find_store(d, c->stores[i].name);
		int64_t soon =
		    d->now + 1000 * (int64_t)cw_config_every(&c->stores[i]);

		if (old == NULL) {
			(void)snprintf(stores[i].name, sizeof(stores[i].name),
			    "%s", c->stores[i].name);
			stores[i].next_ms = stores[i].mend_ms = d->now;
			continue;
		}
		stores[i] = *old;
		*old = (struct daemon_store){.name = ""};
		/* It may be scanned more often now. */
		daemon_earlier(&stores[i].next_ms, soon);
	}
	for (size_t i = 0; i < d->store_count; i++) {
		free(d->stores[i].waiting);
		free(d->stores[i].served);
	}
	free(d->stores);
	d->stores = stores;
	d->store_count = c->store_count;
}

/* ---- who waits ---- */

static void
add_session(struct cw_job ***list, size_t *count, struct cw_job *session)
{
	for (size_t i = 0; i < *count; i++)
		if ((*list)[i] == session)
			return;
	*list = cw_reallocarray(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = session;
}

static void
remove_session(
    struct cw_job **list, size_t *count, const struct cw_job *session)
{
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++)
		if (list[i] != session)
			list[kept++] = list[i];
	*count = kept;
}

void
daemon_scan_forget(struct daemon *d, const struct cw_job *session)
{
	for (size_t i = 0; i < d->store_count; i++) {
		struct daemon_store *s = &d->stores[i];

		remove_session(s->waiting, &s->waiting_count, session);
		remove_session(s->served, &s->served_count, session);
	}
}

void
daemon_scan_wanted(struct daemon *d, struct cw_job *session, const char *store)
{
	const struct cw_config_store *known =
	    cw_config_store(&d->home->config, store);
	struct daemon_store *s = find_store(d, store);

	if (known == NULL || s == NULL || d->calls.scan == NULL ||
	    d->stopping_ms != 0 || !daemon_store_is_active(d, known)) {
		cw_job_tell(session, "scanned %s 0 failed", store);
		return;
	}
	/* A scan that runs may have passed by what is waited for. */
	add_session(&s->waiting, &s->waiting_count, session);
	s->is_wanted = true;
}

static void
answer(struct daemon_store *s, uint64_t generation)
{
	for (size_t i = 0; i < s->served_count; i++)
		cw_job_tell(s->served[i], "scanned %s %llu %s", s->name,
		    (unsigned long long)generation,
		    generation > 0 ? "ok" : "failed");
	free(s->served);
	s->served = NULL;
	s->served_count = 0;
}

/* ---- jobs ---- */

static void
plan_next(struct daemon *d, struct daemon_store *s)
{
	const struct cw_config_store *known =
	    cw_config_store(&d->home->config, s->name);
	unsigned every =
	    known == NULL ? CW_CONFIG_EVERY : cw_config_every(known);

	s->next_ms = d->now + 1000 * (int64_t)every;
	/* A failure is tried again sooner, at first. */
	if (s->pause_ms > 0)
		daemon_earlier(
		    &s->next_ms, d->now + daemon_jitter(s->pause_ms));
}

static void
failed(struct daemon *d, struct daemon_store *s, const char *why)
{
	/* Once, not at every attempt. */
	if (strcmp(s->failure, why) != 0)
		cw_log(CW_LOG_ERROR, "store %s: no generation was taken: %s",
		    s->name, why);
	(void)snprintf(s->failure, sizeof(s->failure), "%s", why);
	s->pause_ms = daemon_longer(d, s->pause_ms);
}

static void
start_scan(struct daemon *d, struct daemon_store *s,
    const struct cw_config_store *store)
{
	struct cw_error err = CW_ERROR_INIT;
	const int keep[] = {d->home->lock_fd, d->home->state_fd};
	struct scan_work scan = {d, store};
	const struct cw_job_work work = {.kind = CW_JOB_SCAN,
	    .name = "causeway:scan",
	    .keep = keep,
	    .keep_count = sizeof(keep) / sizeof(*keep),
	    .run = run_scan,
	    .arg = &scan};

	s->is_wanted = false;
	s->served = s->waiting;
	s->served_count = s->waiting_count;
	s->waiting = NULL;
	s->waiting_count = 0;
	if (cw_job_start(&d->jobs, &work, d->now, &s->job, &err) == 0) {
		(void)snprintf(
		    s->job->store, sizeof(s->job->store), "%s", s->name);
		return;
	}
	failed(d, s, err.message);
	answer(s, 0);
	plan_next(d, s);
}

void
daemon_scans_look(struct daemon *d)
{
	for (size_t i = 0; i < d->store_count; i++) {
		struct daemon_store *s = &d->stores[i];
		const struct cw_config_store *store =
		    cw_config_store(&d->home->config, s->name);
		bool is_active =
		    store != NULL && daemon_store_is_active(d, store);

		/* It has just come here: what it is like now counts. */
		if (is_active && !s->was_active)
			s->next_ms = d->now;
		s->was_active = is_active;
	}
}

void
daemon_scans_turn(struct daemon *d, int64_t *deadline)
{
	if (d->calls.scan == NULL || d->stopping_ms != 0)
		return;
	for (size_t i = 0; i < d->store_count; i++) {
		struct daemon_store *s = &d->stores[i];
		const struct cw_config_store *store =
		    cw_config_store(&d->home->config, s->name);

		if (s->job != NULL || store == NULL)
			continue;
		if (s->is_wanted || s->next_ms <= d->now) {
			if (daemon_store_is_active(d, store)) {
				start_scan(d, s, store);
				continue;
			}
			/* It was, when somebody asked. */
			s->is_wanted = false;
			s->pause_ms = 0;
			s->served = s->waiting;
			s->served_count = s->waiting_count;
			s->waiting = NULL;
			s->waiting_count = 0;
			answer(s, 0);
			plan_next(d, s);
		}
		daemon_earlier(deadline, s->next_ms);
	}
}

void
daemon_scan_said(struct daemon *d, struct cw_job *job, char *line)
{
	char *words[2] = {NULL, NULL}, *parts[2] = {NULL, NULL};
	unsigned count = cw_channel_words(line, words, 2);
	uint64_t generation;

	(void)d;
	if (count == 2 && strcmp(words[0], "failed") == 0) {
		(void)snprintf(
		    job->failure, sizeof(job->failure), "%s", words[1]);
	} else if (count == 2 && strcmp(words[0], "busy") == 0) {
		job->was_busy = true;
	} else if (count == 2 && strcmp(words[0], "generation") == 0 &&
		   cw_channel_words(words[1], parts, 2) == 2 &&
		   cw_decimal_parse(
		       parts[0], strlen(parts[0]), INT64_MAX, &generation)) {
		job->generation = generation;
		job->has_changed = strcmp(parts[1], "changed") == 0;
	} else {
		cw_log(CW_LOG_WARNING, "a scan job says \"%s\"",
		    count > 0 ? words[0] : "");
	}
}

void
daemon_scan_ended(struct daemon *d, struct cw_job *job, int status)
{
	struct daemon_store *s = find_store(d, job->store);
	char end[CW_JOB_TEXT];

	/* A store that is not declared any more. */
	if (s == NULL || s->job != job)
		return;
	s->job = NULL;
	if (status == 0 && job->generation > 0) {
		if (s->failure[0] != '\0')
			cw_log(CW_LOG_NOTICE,
			    "store %s: generations are taken again", s->name);
		s->failure[0] = '\0';
		s->pause_ms = 0;
		s->generation = job->generation;
		s->taken_ms = d->now;
	} else if (job->stop_ms == 0 && !job->was_busy) {
		daemon_describe_end(status, end);
		failed(d, s, job->failure[0] != '\0' ? job->failure : end);
	}
	answer(s, status == 0 ? job->generation : 0);
	/*
	 * Also when nothing changed: those who follow learn that they are
	 * current as of now.
	 */
	if (status == 0)
		daemon_wake(d, s->name, job->generation);
	if (status == 0 && job->has_changed)
		cw_log(CW_LOG_DEBUG, "store %s is at generation %llu", s->name,
		    (unsigned long long)job->generation);
	plan_next(d, s);
}
