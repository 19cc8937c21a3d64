/*
 * The supervisor: it waits for signals, children, clients, connections and
 * times, and hands each on.
 */
#include "site/daemon.h"

#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "site/daemon_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define LINES_A_TURN 64u
#define LAST_TURNS   64u /* for what a child said before its end */

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
daemon_jitter(unsigned pause_ms)
{
	uint32_t chance;

	cw_random(&chance, sizeof(chance));
	return (int64_t)pause_ms * 3 / 4 + chance % (pause_ms / 2 + 1);
}

unsigned
daemon_longer(const struct daemon *d, unsigned pause_ms)
{
	if (pause_ms == 0)
		return d->limits.pause_ms;
	return pause_ms > d->limits.pause_max_ms / 2 ? d->limits.pause_max_ms
						     : pause_ms * 2;
}

void
daemon_earlier(int64_t *deadline, int64_t at)
{
	if (at < *deadline)
		*deadline = at;
}

void
daemon_describe_end(int status, char out[CW_JOB_TEXT])
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, CW_JOB_TEXT, "was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, CW_JOB_TEXT, "ended with status %d",
		    WEXITSTATUS(status));
}

/* ---- the configuration ---- */

static void
listen_anew(struct daemon *d)
{
	const char *wanted =
	    d->calls.session == NULL ? NULL : d->home->config.listen;
	struct cw_error err = CW_ERROR_INIT;

	if ((wanted == NULL && d->listen_wanted == NULL) ||
	    (wanted != NULL && d->listen_wanted != NULL &&
		strcmp(wanted, d->listen_wanted) == 0))
		return;
	if (daemon_listen(d, &err) < 0)
		cw_log(CW_LOG_ERROR, "%s", err.message);
}

void
daemon_reload(struct daemon *d)
{
	struct cw_error err = CW_ERROR_INIT;
	bool has_changed;

	if (cw_home_reload(d->home, &has_changed, &err) < 0) {
		cw_log(CW_LOG_ERROR, "the old configuration stays: %s",
		    err.message);
		return;
	}
	if (!has_changed)
		return;
	cw_log(CW_LOG_NOTICE, "the configuration has changed");
	daemon_set_stores(d);
	daemon_set_peers(d);
	listen_anew(d);
	/* They know the old one; the links are made anew at once. */
	for (size_t i = 0; i < d->jobs.count; i++)
		if (d->jobs.items[i]->kind == CW_JOB_SESSION)
			cw_job_stop(d->jobs.items[i], d->now);
}

/* ---- the end ---- */

/*
 * The first time all are asked; the second time those who were only asked get
 * SIGTERM.
 */
static void
stop_all(struct daemon *d, unsigned signal)
{
	bool is_first = d->stopping_ms == 0;

	if (is_first) {
		cw_log(CW_LOG_NOTICE, "ending (signal %u)", signal);
		(void)sd_notify(0, "STOPPING=1");
		d->stopping_ms = d->now;
		cw_close(&d->listener);
		d->listening[0] = '\0';
	}
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *job = d->jobs.items[i];

		if (job->has_ended)
			continue;
		if (is_first)
			cw_job_stop(job, d->now);
		else if (!job->was_terminated)
			cw_job_terminate(job, d->now);
	}
}

/* Those who were asked to end, and do not. */
static void
press(struct daemon *d, int64_t *deadline)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *job = d->jobs.items[i];
		int64_t term = job->stop_ms + d->limits.stop_ms;
		int64_t kill_at = term + d->limits.kill_ms;

		if (job->stop_ms == 0 || job->has_ended)
			continue;
		if (!job->was_terminated && term <= d->now)
			cw_job_terminate(job, d->now);
		if (kill_at <= d->now) {
			cw_log(CW_LOG_WARNING,
			    "process %ld does not end; it is killed",
			    (long)job->pid);
			(void)kill(job->pid, SIGKILL);
			job->stop_ms = d->now;
		}
		daemon_earlier(deadline, job->was_terminated ? kill_at : term);
	}
}

/* ---- signals and children ---- */

static void
take_signals(struct daemon *d)
{
	struct signalfd_siginfo info;

	while (read(d->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			stop_all(d, info.ssi_signo);
		} else if (info.ssi_signo == SIGHUP && d->stopping_ms == 0) {
			(void)sd_notify(0, "RELOADING=1");
			daemon_reload(d);
			(void)sd_notify(0, "READY=1");
		}
	}
}

/* Takes what a child has said; false: that was all, for now. */
static bool
hear(struct daemon *d, struct cw_job *job)
{
	char line[CW_CHANNEL_MAX];
	int ret;

	/* A child that never stops talking must not hold us up. */
	for (unsigned i = 0; i < LINES_A_TURN && job->channel >= 0; i++) {
		ret = cw_channel_recv(job->channel, 0, line, NULL);
		if (ret == 0)
			return false;
		if (ret < 0)
			cw_close(&job->channel);
		else if (job->kind == CW_JOB_SESSION)
			daemon_session_said(d, job, line);
		else if (job->kind == CW_JOB_SCAN)
			daemon_scan_said(d, job, line);
	}
	return job->channel >= 0;
}

static void
reap(struct daemon *d)
{
	/* What the end of one brings about may start another. */
	for (size_t i = 0; i < d->jobs.count; i++) {
		struct cw_job *job = d->jobs.items[i];
		int status;

		if (!cw_job_reap(job, &status))
			continue;
		for (unsigned n = 0; n < LAST_TURNS && hear(d, job); n++)
			;
		if (job->kind == CW_JOB_SESSION)
			daemon_session_ended(d, job, status);
		else if (job->kind == CW_JOB_SCAN)
			daemon_scan_ended(d, job, status);
		else if (job->kind == CW_JOB_MEND)
			daemon_mend_ended(d, job, status);
		else
			daemon_command_ended(d, job, status);
		if (job->kind == CW_JOB_SESSION ||
		    job->kind == CW_JOB_COMMAND) {
			daemon_scans_look(d);
			daemon_mend_look(d);
		}
	}
	cw_jobs_sweep(&d->jobs);
}

/* ---- waiting ---- */

/* Who is waited for, in the order of poll's array. */
enum { SIGNALS, CONTROL, LISTENER, FIXED };

static size_t
gather(const struct daemon *d, struct pollfd *p)
{
	size_t n = FIXED;

	p[SIGNALS] = (struct pollfd){.fd = d->signals, .events = POLLIN};
	p[CONTROL] = (struct pollfd){.fd = d->control, .events = POLLIN};
	p[LISTENER] = (struct pollfd){.fd = d->listener, .events = POLLIN};
	if (d->client_count == DAEMON_CLIENTS_MAX)
		p[CONTROL].fd = -1;
	for (size_t i = 0; i < d->client_count; i++)
		p[n++] =
		    (struct pollfd){.fd = d->clients[i].fd, .events = POLLIN};
	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		p[n++] = (struct pollfd){.fd = job->channel,
		    .events = job->queue_count > 0 ? POLLIN | POLLOUT : POLLIN};
		p[n++] = (struct pollfd){.fd = job->client, .events = POLLIN};
	}
	return n;
}

/*
 * Hands on what poll found.  The arrays only grow meanwhile, but for clients,
 * which are therefore taken from the last to the first.
 */
static void
dispatch(struct daemon *d, const struct pollfd *p, size_t clients, size_t jobs)
{
	const struct pollfd *of_jobs = p + FIXED + clients;

	for (size_t i = 0; i < jobs; i++) {
		struct cw_job *job = d->jobs.items[i];

		if (of_jobs[2 * i].revents & POLLOUT)
			cw_job_flush(job);
		if (of_jobs[2 * i].revents & ~POLLOUT)
			(void)hear(d, job);
		if (of_jobs[2 * i + 1].revents != 0)
			daemon_command_client_ready(d, job);
	}
	for (size_t i = clients; i-- > 0;)
		if (p[FIXED + i].revents != 0)
			daemon_client_ready(d, i);
	if (p[CONTROL].revents != 0)
		daemon_clients_accept(d);
	if (p[LISTENER].revents != 0 && d->listener >= 0)
		daemon_accept(d);
	if (p[SIGNALS].revents != 0)
		take_signals(d);
	/* Whoever sent SIGCHLD: looking is cheap. */
	reap(d);
}

/* What is due; returns when something will be next. */
static int64_t
take_turn(struct daemon *d)
{
	int64_t deadline = DAEMON_NEVER;

	d->now = now_ms();
	daemon_clients_turn(d, &deadline);
	daemon_mend_turn(d, &deadline);
	daemon_scans_turn(d, &deadline);
	daemon_links_turn(d, &deadline);
	press(d, &deadline);
	daemon_notify(d, &deadline);
	return deadline;
}

static int
run(struct daemon *d, struct cw_error *err)
{
	struct pollfd *p = NULL;
	int ret = 0;

	for (;;) {
		int64_t deadline = take_turn(d), wait = -1;
		size_t clients = d->client_count, jobs = d->jobs.count, n;

		if (d->stopping_ms != 0 && jobs == 0)
			break;
		p = cw_reallocarray(p, FIXED + clients + 2 * jobs, sizeof(*p));
		n = gather(d, p);
		if (deadline != DAEMON_NEVER) {
			wait = deadline - now_ms();
			wait = wait < 0 ? 0 : wait > 3600000 ? 3600000 : wait;
		}
		if (poll(p, n, (int)wait) < 0 && errno != EINTR &&
		    errno != ENOMEM) {
			ret = cw_error_errno(err, "cannot wait");
			break;
		}
		d->now = now_ms();
		dispatch(d, p, clients, jobs);
	}
	free(p);
	return ret;
}

/* ---- the beginning ---- */

static void
set_default(unsigned *field, unsigned value)
{
	if (*field == 0)
		*field = value;
}

static void
set_limits(struct cw_daemon_limits *l)
{
	set_default(&l->pause_ms, 1000);
	set_default(&l->pause_max_ms, 60000);
	set_default(&l->renew_ms, 30000);
	set_default(&l->lasted_ms, 30000);
	set_default(&l->authenticate_ms, 15000);
	set_default(&l->stop_ms, 10000);
	set_default(&l->kill_ms, 15000);
	set_default(&l->sessions, 64);
	set_default(&l->unknown_sessions, 16);
	set_default(&l->unknown_address, 4);
	set_default(&l->commands, 16);
}

static int
open_all(struct daemon *d, sigset_t *old, struct cw_error *err)
{
	sigset_t wanted;
	uint64_t watchdog_us;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGHUP);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &wanted, old);
	d->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals < 0)
		return cw_error_errno(err, "cannot wait for signals");
	if (daemon_listen(d, err) < 0)
		return -1;
	d->control = cw_control_listen(d->home->state_fd, err);
	if (d->control < 0)
		return cw_error_context(err, "%s", d->home->state_path);
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		d->watchdog_ms = watchdog_us / 2000;
	return 0;
}

/* The children that are left when the supervisor itself fails. */
static void
abandon_all(struct daemon *d)
{
	for (size_t i = 0; i < d->jobs.count; i++) {
		(void)kill(d->jobs.items[i]->pid, SIGTERM);
		(void)waitpid(d->jobs.items[i]->pid, NULL, 0);
	}
}

static void
close_all(struct daemon *d)
{
	if (d->control >= 0)
		cw_control_unlink(d->home->state_fd);
	for (size_t i = 0; i < d->client_count; i++)
		cw_close(&d->clients[i].fd);
	for (size_t i = 0; i < d->store_count; i++) {
		free(d->stores[i].waiting);
		free(d->stores[i].served);
	}
	cw_jobs_free(&d->jobs);
	free(d->stores);
	for (size_t i = 0; i < d->peer_count; i++)
		free(d->peers[i].left);
	free(d->peers);
	free(d->listen_wanted);
	cw_close(&d->control);
	cw_close(&d->listener);
	cw_close(&d->signals);
}

int
cw_daemon_run(struct cw_home *home, const struct cw_daemon_options *options,
    struct cw_error *err)
{
	struct daemon d = {.home = home,
	    .calls = options->calls,
	    .limits = options->limits,
	    .signals = -1,
	    .control = -1,
	    .listener = -1};
	sigset_t old;
	int ret = -1;

	set_limits(&d.limits);
	d.began = d.now = d.strangers_ms = now_ms();
	if (open_all(&d, &old, err) < 0)
		goto out;
	daemon_set_peers(&d);
	daemon_set_stores(&d);
	cw_log(CW_LOG_NOTICE, "site %s runs (process %ld)%s%s",
	    home->config.name, (long)getpid(),
	    d.listening[0] != '\0' ? ", listening on " : "", d.listening);
	(void)sd_notify(0, "READY=1");
	ret = run(&d, err);
	if (ret < 0)
		abandon_all(&d);
	else
		cw_log(CW_LOG_NOTICE, "ended");
out:
	close_all(&d);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}
