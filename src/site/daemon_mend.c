/*
 * Cutovers that were cut off before anything was handed over: their process was
 * killed, and the service of the store is down for nothing.
 */
#include "base/log.h"
#include "site/daemon_impl.h"

#include <stdio.h>
#include <string.h>

struct mend_work {
	const struct daemon *d;
	const struct cw_config_store *store;
};

static int
run_mend(void *arg, int channel)
{
	const struct mend_work *w = arg;
	struct cw_error err = CW_ERROR_INIT;
	char who[CW_LOG_WHO];

	(void)channel;
	(void)snprintf(who, sizeof(who), "put back %s", w->store->name);
	cw_log_who(who);
	if (w->d->calls.mend(w->d->calls.arg, w->d->home, w->store, &err) == 0)
		return 0;
	cw_log(CW_LOG_ERROR, "store %s: %s", w->store->name, err.message);
	return cw_error_status(err.code);
}

static bool
is_cut_off(const struct daemon *d, const struct cw_config_store *store)
{
	return d->calls.mend != NULL && d->calls.is_cut_off != NULL &&
	       d->calls.is_cut_off(d->calls.arg, d->home, store);
}

void
daemon_mend_look(struct daemon *d)
{
	for (size_t i = 0; i < d->store_count; i++)
		if (d->stores[i].mend_pause_ms == 0)
			d->stores[i].mend_ms = d->now;
}

static void
start(struct daemon *d, struct daemon_store *s,
    const struct cw_config_store *store)
{
	const int keep[] = {d->home->lock_fd, d->home->state_fd};
	struct mend_work mend = {d, store};
	const struct cw_job_work work = {.kind = CW_JOB_MEND,
	    .name = "causeway:mend",
	    .keep = keep,
	    .keep_count = sizeof(keep) / sizeof(*keep),
	    .run = run_mend,
	    .arg = &mend};
	struct cw_error err = CW_ERROR_INIT;

	if (cw_job_start(&d->jobs, &work, d->now, &s->mender, &err) == 0) {
		(void)snprintf(
		    s->mender->store, sizeof(s->mender->store), "%s", s->name);
		return;
	}
	cw_log(CW_LOG_ERROR, "store %s: %s", s->name, err.message);
	s->mend_pause_ms = daemon_longer(d, s->mend_pause_ms);
	s->mend_ms = d->now + s->mend_pause_ms;
}

void
daemon_mend_turn(struct daemon *d, int64_t *deadline)
{
	if (d->stopping_ms != 0)
		return;
	for (size_t i = 0; i < d->store_count; i++) {
		struct daemon_store *s = &d->stores[i];
		const struct cw_config_store *store =
		    cw_config_store(&d->home->config, s->name);

		if (s->mender != NULL || store == NULL ||
		    s->mend_ms == DAEMON_NEVER)
			continue;
		if (s->mend_ms <= d->now) {
			s->mend_ms = DAEMON_NEVER;
			if (is_cut_off(d, store))
				start(d, s, store);
			else
				s->mend_pause_ms = 0;
		}
		daemon_earlier(deadline, s->mend_ms);
	}
}

void
daemon_mend_ended(struct daemon *d, struct cw_job *job, int status)
{
	for (size_t i = 0; i < d->store_count; i++) {
		struct daemon_store *s = &d->stores[i];

		if (s->mender != job)
			continue;
		s->mender = NULL;
		/* The hook may succeed later. */
		s->mend_pause_ms =
		    status == 0 ? 0 : daemon_longer(d, s->mend_pause_ms);
		s->mend_ms = status == 0
				 ? DAEMON_NEVER
				 : d->now + daemon_jitter(s->mend_pause_ms);
	}
}
