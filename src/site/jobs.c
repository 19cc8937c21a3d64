#include "site/jobs.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/progress.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUE_MAX 256u /* lines; beyond it the oldest is dropped */

static void
on_signal(int number)
{
	(void)number;
	cw_stop_request();
}

static void
set_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal,
	    .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGCHLD, &usual, NULL);
	(void)sigaction(SIGHUP, &usual, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Closes all descriptors above 2 but these. */
static void
keep_only(int *fds, size_t count)
{
	unsigned from = STDERR_FILENO + 1;

	qsort(fds, count, sizeof(*fds), compare);
	for (size_t i = 0; i < count; i++) {
		if (fds[i] < (int)from)
			continue;
		if (fds[i] > (int)from)
			(void)close_range(from, (unsigned)fds[i] - 1, 0);
		from = (unsigned)fds[i] + 1;
	}
	(void)close_range(from, ~0u, 0);
}

/* The child, from its first moment to its last. */
static void __attribute__((noreturn))
be_child(const struct cw_job_work *work, int channel, pid_t parent)
{
	int *keep = cw_calloc(work->keep_count + 1, sizeof(*keep));
	int status;

	if (work->keep_count > 0)
		memcpy(keep, work->keep, work->keep_count * sizeof(*keep));
	keep[work->keep_count] = channel;
	keep_only(keep, work->keep_count + 1);
	free(keep);
	(void)setsid();
	set_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		(void)raise(SIGTERM);
	(void)prctl(PR_SET_NAME, work->name);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
	status = work->run(work->arg, channel);
	(void)fflush(NULL);
	_exit(status & 0xff);
}

int
cw_job_start(struct cw_jobs *jobs, const struct cw_job_work *work,
    int64_t now_ms, struct cw_job **out, struct cw_error *err)
{
	int ours, theirs;
	pid_t parent = getpid(), pid;
	struct cw_job *job;

	*out = NULL;
	if (cw_channel_pair(&ours, &theirs, err) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		be_child(work, theirs, parent);
	cw_close(&theirs);
	if (pid < 0) {
		cw_error_errno(err, "cannot fork");
		cw_close(&ours);
		return -1;
	}
	job = cw_calloc(1, sizeof(*job));
	job->kind = work->kind;
	job->pid = pid;
	job->channel = ours;
	job->client = -1;
	job->began_ms = now_ms;
	jobs->items =
	    cw_reallocarray(jobs->items, jobs->count + 1, sizeof(*jobs->items));
	jobs->items[jobs->count++] = job;
	*out = job;
	return 0;
}

static void
drop_first(struct cw_job *job)
{
	free(job->queue[0]);
	job->queue_count--;
	memmove(&job->queue[0], &job->queue[1],
	    job->queue_count * sizeof(*job->queue));
}

void
cw_job_flush(struct cw_job *job)
{
	while (job->queue_count > 0) {
		int ret = job->channel < 0 ? -1
					   : cw_channel_send(job->channel, NULL,
						 "%s", job->queue[0]);

		if (ret > 0)
			return;
		drop_first(job);
	}
}

void
cw_job_tell(struct cw_job *job, const char *fmt, ...)
{
	char line[CW_CHANNEL_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* What it was not told yet need not be said twice. */
	for (size_t i = 0; i < job->queue_count; i++)
		if (strcmp(job->queue[i], line) == 0)
			return;
	if (job->queue_count == QUEUE_MAX)
		drop_first(job);
	job->queue = cw_reallocarray(
	    job->queue, job->queue_count + 1, sizeof(*job->queue));
	job->queue[job->queue_count++] = cw_strdup(line);
	cw_job_flush(job);
}

void
cw_job_terminate(struct cw_job *job, int64_t now_ms)
{
	if (job->has_ended)
		return;
	if (job->stop_ms == 0)
		job->stop_ms = now_ms;
	job->was_terminated = true;
	(void)kill(job->pid, SIGTERM);
}

void
cw_job_stop(struct cw_job *job, int64_t now_ms)
{
	if (job->stop_ms != 0)
		return;
	if (job->kind == CW_JOB_SESSION) {
		job->stop_ms = now_ms;
		cw_job_tell(job, "stop");
	} else {
		cw_job_terminate(job, now_ms);
	}
}

bool
cw_job_reap(struct cw_job *job, int *status)
{
	if (job->has_ended || waitpid(job->pid, status, WNOHANG) != job->pid)
		return false;
	job->has_ended = true;
	return true;
}

static void
job_free(struct cw_job *job)
{
	while (job->queue_count > 0)
		drop_first(job);
	free(job->queue);
	free(job->left);
	cw_close(&job->channel);
	cw_close(&job->client);
	free(job);
}

void
cw_jobs_sweep(struct cw_jobs *jobs)
{
	size_t kept = 0;

	for (size_t i = 0; i < jobs->count; i++) {
		if (jobs->items[i]->has_ended)
			job_free(jobs->items[i]);
		else
			jobs->items[kept++] = jobs->items[i];
	}
	jobs->count = kept;
}

void
cw_jobs_free(struct cw_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		job_free(jobs->items[i]);
	free(jobs->items);
	*jobs = (struct cw_jobs){NULL, 0};
}
