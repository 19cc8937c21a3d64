/*
 * The daemon's control socket: commands that the CLI hands over run in
 * children, with the CLI's descriptors.
 */
#include "base/fs.h"
#include "base/log.h"
#include "site/channel.h"
#include "site/daemon_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_MS 5000 /* in which a client must say what it wants */

struct command_work {
	const struct daemon *d;
	struct cw_control_request *request;
};

/* The other end of a link that ssh carries is a session like any other. */
static bool
is_link(const struct cw_control_request *r)
{
	return strcmp(r->what, "link") == 0;
}

static int
run_command(void *arg, int channel)
{
	const struct command_work *w = arg;
	struct cw_control_request *r = w->request;
	struct cw_error err = CW_ERROR_INIT;

	if (is_link(r))
		cw_channel_set_own(channel);
	if (cw_control_take_over(r, &err) < 0) {
		(void)dprintf(
		    r->fds[CW_CONTROL_STDERR], "causeway: %s\n", err.message);
		return cw_error_status(err.code);
	}
	for (int i = 0; i < CW_CONTROL_TERMINAL; i++)
		cw_close(&r->fds[i]);
	clearerr(stdin);
	clearerr(stdout);
	clearerr(stderr);
	cw_home_share_lock(w->d->home->lock_fd);
	return w->d->calls.command(w->d->calls.arg, r->argc, r->argv);
}

void
daemon_clients_accept(struct daemon *d)
{
	while (d->client_count < DAEMON_CLIENTS_MAX) {
		struct cw_error err = CW_ERROR_INIT;
		int fd, ret = cw_control_accept(d->control, &fd, &err);

		if (ret < 0)
			cw_log(CW_LOG_WARNING, "%s", err.message);
		if (ret <= 0)
			return;
		d->clients[d->client_count++] =
		    (struct daemon_client){fd, d->now};
	}
}

static void
remove_client(struct daemon *d, size_t index)
{
	d->client_count--;
	d->clients[index] = d->clients[d->client_count];
}

static unsigned
count_commands(const struct daemon *d)
{
	unsigned count = 0;

	for (size_t i = 0; i < d->jobs.count; i++)
		count += d->jobs.items[i]->kind == CW_JOB_COMMAND &&
			 !d->jobs.items[i]->has_ended;
	return count;
}

static int
start_command(struct daemon *d, int client, struct cw_control_request *r,
    struct cw_error *err)
{
	const int keep[] = {d->home->lock_fd, r->fds[CW_CONTROL_CWD],
	    r->fds[CW_CONTROL_STDIN], r->fds[CW_CONTROL_STDOUT],
	    r->fds[CW_CONTROL_STDERR], r->fds[CW_CONTROL_TERMINAL]};
	struct command_work command = {d, r};
	const struct cw_job_work work = {
	    .kind = is_link(r) ? CW_JOB_SESSION : CW_JOB_COMMAND,
	    .name = is_link(r) ? "causeway:link" : "causeway",
	    .keep = keep,
	    .keep_count = sizeof(keep) / sizeof(*keep),
	    .run = run_command,
	    .arg = &command};
	struct cw_job *job;

	if (d->stopping_ms != 0)
		return cw_error_set(err, CW_ERR_BUSY,
		    "the daemon is about to end; run the command again");
	if (d->calls.command == NULL)
		return cw_error_set(err, CW_ERR_BUSY,
		    "the daemon holds the home and takes no commands");
	if (count_commands(d) >= d->limits.commands)
		return cw_error_set(err, CW_ERR_BUSY,
		    "the daemon has %u commands to do already; wait until one "
		    "is done",
		    d->limits.commands);
	if (cw_job_start(&d->jobs, &work, d->now, &job, err) < 0)
		return -1;
	job->client = client;
	if (is_link(r))
		(void)snprintf(job->address, sizeof(job->address), "ssh");
	(void)snprintf(job->what, sizeof(job->what), "%s", r->what);
	cw_control_answer(client, "started", "%ld", (long)job->pid);
	return 0;
}

static void
send_status(const struct daemon *d, int client)
{
	struct cw_buf json = CW_BUF_INIT;

	daemon_status_json(d, &json);
	cw_control_answer(client, "status", "%s", cw_buf_string(&json));
	cw_buf_free(&json);
}

void
daemon_client_ready(struct daemon *d, size_t index)
{
	int fd = d->clients[index].fd;
	struct cw_control_request request;
	struct cw_error err = CW_ERROR_INIT;
	int ret = cw_control_recv_request(fd, &request, &err);

	if (ret == 0)
		return;
	remove_client(d, index);
	if (ret > 0 && !request.is_status) {
		ret = start_command(d, fd, &request, &err);
		cw_control_request_free(&request);
		if (ret == 0)
			return;
	} else if (ret > 0) {
		send_status(d, fd);
		cw_control_request_free(&request);
	}
	if (ret < 0 && err.code != CW_ERR_UNREACHABLE)
		cw_control_refuse(fd, &err);
	cw_close(&fd);
}

void
daemon_clients_turn(struct daemon *d, int64_t *deadline)
{
	for (size_t i = d->client_count; i-- > 0;) {
		int64_t until = d->clients[i].since_ms + REQUEST_MS;

		if (until <= d->now) {
			cw_close(&d->clients[i].fd);
			remove_client(d, i);
		} else {
			daemon_earlier(deadline, until);
		}
	}
}

void
daemon_command_client_ready(struct daemon *d, struct cw_job *job)
{
	int number, ret = cw_control_recv_signal(job->client, &number);

	if (ret > 0)
		(void)kill(job->pid, number);
	if (ret >= 0)
		return;
	cw_log(CW_LOG_INFO, "the client of `%s` has gone; the command ends",
	    job->what);
	cw_close(&job->client);
	(void)kill(job->pid, SIGTERM);
	(void)d;
}

void
daemon_command_ended(struct daemon *d, struct cw_job *job, int status)
{
	char end[CW_JOB_TEXT];

	daemon_describe_end(status, end);
	cw_log(WIFSIGNALED(status) ? CW_LOG_WARNING : CW_LOG_INFO, "`%s` %s",
	    job->what, end);
	/* It may have changed anything: the configuration, a store, a role. */
	if (d->stopping_ms == 0) {
		daemon_reload(d);
		for (size_t i = 0; i < d->store_count; i++)
			daemon_wake(d, d->stores[i].name, 0);
	}
	daemon_answer_client(job, status);
}

void
daemon_answer_client(struct cw_job *job, int status)
{
	if (job->client < 0)
		return;
	if (WIFSIGNALED(status))
		cw_control_answer(
		    job->client, "killed", "%d", WTERMSIG(status));
	else
		cw_control_answer(
		    job->client, "ended", "%d", WEXITSTATUS(status));
	cw_close(&job->client);
}
