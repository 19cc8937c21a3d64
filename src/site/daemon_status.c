/*
 * What the daemon says of itself: JSON for `status`, a line for systemd.
 */
#include "base/text.h"
#include "site/daemon_impl.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Hundreds of peers or stores do not fit into one answer: then some lack. */
#define JSON_MAX (CW_CONTROL_MAX * 3 / 4)

static double
seconds(const struct daemon *d, int64_t since_ms)
{
	return (double)(d->now - since_ms) / 1000;
}

/* A JSON string: what is no printable text becomes '?'. */
static void
add_string(struct cw_buf *json, const char *text)
{
	size_t len = strlen(text);

	cw_buf_text(json, "\"");
	for (size_t i = 0; i < len;) {
		size_t n = cw_text_printable(text + i, len - i);

		if (n == 1 && (text[i] == '"' || text[i] == '\\'))
			cw_buf_text(json, "\\");
		if (n == 0)
			cw_buf_text(json, "?");
		else
			cw_buf_append(json, text + i, n);
		i += n == 0 ? 1 : n;
	}
	cw_buf_text(json, "\"");
}

static void
add_member(struct cw_buf *json, const char *name, const char *text)
{
	cw_buf_printf(json, ",\"%s\":", name);
	if (text == NULL || text[0] == '\0')
		cw_buf_text(json, "null");
	else
		add_string(json, text);
}

static const struct cw_job *
session_of(const struct daemon *d, const char *peer)
{
	const struct cw_job *found = NULL;

	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		if (job->kind == CW_JOB_SESSION && !job->has_ended &&
		    !job->is_duplicate && strcmp(job->peer, peer) == 0 &&
		    (found == NULL || job->is_connected))
			found = job;
	}
	return found;
}

static void
add_link(
    const struct daemon *d, const struct daemon_peer *peer, struct cw_buf *json)
{
	const struct cw_job *job = session_of(d, peer->name);
	const struct cw_config_peer *known =
	    cw_config_peer(&d->home->config, peer->name);
	bool is_dialled =
	    known != NULL && known->address != NULL && d->calls.session != NULL;

	cw_buf_text(json, "{\"peer\":");
	add_string(json, peer->name);
	cw_buf_printf(json, ",\"connected\":%s,\"state\":\"%s\"",
	    job != NULL && job->is_connected ? "true" : "false",
	    job == NULL		? is_dialled ? "waiting" : "awaited"
	    : job->is_connected ? "connected"
				: "connecting");
	if (job != NULL)
		cw_buf_printf(json,
		    ",\"pid\":%ld,\"dialled\":%s,\"seconds\":%.3f",
		    (long)job->pid, job->is_dialled ? "true" : "false",
		    seconds(d,
			job->is_connected ? job->connected_ms : job->began_ms));
	else if (is_dialled)
		cw_buf_printf(json, ",\"retry_seconds\":%.3f",
		    peer->next_ms > d->now
			? (double)(peer->next_ms - d->now) / 1000
			: 0.0);
	add_member(json, "from", job == NULL ? NULL : job->address);
	add_member(json, "doing", job == NULL ? NULL : job->doing);
	add_member(json, "failure", peer->failure);
	cw_buf_text(json, ",\"stores_failed\":[");
	for (size_t i = 0, n = 0; i < peer->left_count; i++) {
		if (job == NULL || !job->is_connected || json->len > JSON_MAX)
			break;
		cw_buf_text(json, n++ > 0 ? ",{\"store\":" : "{\"store\":");
		add_string(json, peer->left[i].store);
		add_member(json, "failure", peer->left[i].why);
		cw_buf_text(json, "}");
	}
	cw_buf_text(json, "]}");
}

static void
add_store(
    const struct daemon *d, const struct daemon_store *s, struct cw_buf *json)
{
	cw_buf_text(json, "{\"name\":");
	add_string(json, s->name);
	cw_buf_printf(
	    json, ",\"scanning\":%s", s->job != NULL ? "true" : "false");
	if (s->job != NULL)
		cw_buf_printf(json, ",\"pid\":%ld,\"seconds\":%.3f",
		    (long)s->job->pid, seconds(d, s->job->began_ms));
	if (s->generation > 0)
		cw_buf_printf(json,
		    ",\"generation\":%llu,\"taken_seconds\":%.3f",
		    (unsigned long long)s->generation, seconds(d, s->taken_ms));
	add_member(json, "failure", s->failure);
	cw_buf_text(json, "}");
}

static void
add_commands(const struct daemon *d, struct cw_buf *json)
{
	bool is_first = true;

	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		if (job->kind != CW_JOB_COMMAND || job->has_ended)
			continue;
		cw_buf_text(
		    json, is_first ? "{\"command\":" : ",{\"command\":");
		add_string(json, job->what);
		cw_buf_printf(json, ",\"pid\":%ld,\"seconds\":%.3f}",
		    (long)job->pid, seconds(d, job->began_ms));
		is_first = false;
	}
}

void
daemon_status_json(const struct daemon *d, struct cw_buf *json)
{
	cw_buf_printf(json, "{\"pid\":%ld,\"seconds\":%.3f,\"stopping\":%s",
	    (long)getpid(), seconds(d, d->began),
	    d->stopping_ms != 0 ? "true" : "false");
	add_member(json, "listening", d->listening);
	cw_buf_text(json, ",\"links\":[");
	for (size_t i = 0; i < d->peer_count && json->len < JSON_MAX; i++) {
		if (i > 0)
			cw_buf_text(json, ",");
		add_link(d, &d->peers[i], json);
	}
	cw_buf_text(json, "],\"stores\":[");
	for (size_t i = 0; i < d->store_count && json->len < JSON_MAX; i++) {
		if (i > 0)
			cw_buf_text(json, ",");
		add_store(d, &d->stores[i], json);
	}
	cw_buf_text(json, "],\"commands\":[");
	add_commands(d, json);
	cw_buf_text(json, "]}");
}

void
daemon_notify(struct daemon *d, int64_t *deadline)
{
	unsigned links = 0, jobs = 0;
	char text[sizeof(d->said)];

	for (size_t i = 0; i < d->jobs.count; i++) {
		const struct cw_job *job = d->jobs.items[i];

		if (job->has_ended)
			continue;
		links += job->kind == CW_JOB_SESSION && job->is_connected;
		jobs += job->kind == CW_JOB_COMMAND;
	}
	(void)snprintf(text, sizeof(text),
	    "%s%s%s%zu stores, %u of %zu peers connected, %u commands",
	    d->stopping_ms != 0 ? "ending; " : "",
	    d->listening[0] != '\0' ? d->listening : "",
	    d->listening[0] != '\0' ? "; " : "", d->store_count, links,
	    d->peer_count, jobs);
	if (strcmp(text, d->said) != 0) {
		(void)snprintf(d->said, sizeof(d->said), "%s", text);
		(void)sd_notifyf(0, "STATUS=%s", text);
	}
	if (d->watchdog_ms == 0)
		return;
	if (d->now - d->watched_ms >= (int64_t)d->watchdog_ms) {
		(void)sd_notify(0, "WATCHDOG=1");
		d->watched_ms = d->now;
	}
	daemon_earlier(deadline, d->watched_ms + (int64_t)d->watchdog_ms);
}
