#include "cli/medium_ask.h"

#include "base/buf.h"
#include "base/progress.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/output.h"
#include "media/mount.h"
#include "site/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX     4096u
#define LOOK_MS	       200 /* whether we are asked to stop */
#define HOOK_TRIES_MAX 10u

int
cw_medium_ask_begin(struct cw_medium_ask *a, struct cw_error *err)
{
	int ret = cw_hook_check(
	    &a->cli->home->config, a->store->name, CW_HOOK_MEDIUM, err);

	if (ret <= 0)
		return ret;
	if (a->cli->json || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)))
		return 0;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "--to ask has nobody to ask: run it on a terminal, with --json, or "
	    "with medium = COMMAND in [hooks \"%s\"]",
	    a->store->name);
}

/*
 * The medium that is closed, if it is one that we mounted: true if it may be
 * unplugged.  Nothing of it is open any more when the next one is asked for.
 */
static bool
unmount_closed(struct cw_medium_ask *a, const char *path)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_mounted **found = NULL;
	struct cw_mounted *m;
	bool is_ours;

	for (size_t i = 0; i < a->dirs->count; i++)
		if (a->dirs->mounted[i] != NULL &&
		    strcmp(a->dirs->mounted[i]->dir, path) == 0)
			found = &a->dirs->mounted[i];
	for (size_t i = 0; i < a->mounted_count; i++)
		if (a->mounted[i] != NULL &&
		    strcmp(a->mounted[i]->dir, path) == 0)
			found = &a->mounted[i];
	if (found == NULL)
		return false;
	m = *found;
	*found = NULL;
	/* What was mounted before stays so, and must not be pulled out. */
	is_ours = m->is_ours;
	if (cw_mount_end(m, &err) == 0)
		return is_ours;
	cw_cli_warn(a->cli, "%s", err.message);
	return false;
}

/* ---- on the terminal ---- */

static void
tell_closed(const struct cw_pack_closed *c, bool was_unmounted)
{
	(void)fprintf(stderr, "\nMedium %u, in %s%s%s, ", c->number, c->path,
	    c->label[0] == '\0' ? "" : ", label ", c->label);
	if (c->problem != NULL)
		(void)fprintf(stderr,
		    "could not be completed: %s.\n"
		    "  It must come again at the end.\n",
		    c->problem);
	else
		(void)fprintf(stderr,
		    "is full and complete.\n"
		    "  %s, and stay away.\n"
		    "  Write on it:     %s\n",
		    was_unmounted ? "It is unmounted: it may be unplugged"
				  : "Unmount it; then it may be unplugged",
		    c->note);
}

static void
introduce(const struct cw_medium_ask *a, const struct cw_pack_ask *q)
{
	char left[CW_TEXT_MAX];

	for (size_t i = 0; i < q->closed_count; i++)
		tell_closed(&q->closed[i], a->was_unmounted[i]);
	if (q->is_again) {
		(void)fprintf(stderr,
		    "\nMedium %u is needed again: it was being written when "
		    "the seed was interrupted.\n"
		    "  On it stands:    %s\n"
		    "  Type the directory that it is mounted on (or its "
		    "device, or LABEL=...).\n"
		    "  Is it lost?  Press Ctrl-C, then: causeway seed remake "
		    "%s --medium %u --to DIR\n"
		    "\n",
		    q->medium, q->label, q->seed, q->medium);
		return;
	}
	(void)fprintf(stderr,
	    "\nMedium %u is needed: %s disk, with a filesystem on it.\n"
	    "  Write on it:     %s\n",
	    q->medium, q->medium > 1 ? "another" : "a", q->label);
	if (q->bytes_left > 0) {
		cw_text_bytes(q->bytes_left, left);
		(void)fprintf(stderr, "  Still to come:   about %s\n", left);
	}
	(void)fprintf(stderr,
	    "  Only the last medium gets the catalog: all of them must "
	    "arrive.\n"
	    "  Type the directory that it is mounted on (or its device, or "
	    "LABEL=...).\n"
	    "  Ctrl-C stops; the same command, typed again, goes on from "
	    "here.\n"
	    "\n");
}

static int
ask_terminal(struct cw_medium_ask *a, const struct cw_pack_ask *q, char **dir,
    struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;
	char *question;
	int ret;

	if (q->problem == NULL || !a->has_introduced)
		introduce(a, q);
	a->has_introduced = true;
	if (q->problem != NULL)
		(void)fprintf(stderr, "That will not do: %s.\n", q->problem);
	question = cw_asprintf("Directory of medium %u:", q->medium);
	do {
		free(*dir);
		ret = cw_ask_line(a->cli, question, dir, &why);
	} while (ret == 0 && (*dir)[0] == '\0');
	free(question);
	if (ret == 0)
		return 0;
	if (why.code == CW_ERR_REFUSED)
		return 1;
	*err = why;
	return -1;
}

/* ---- by lines of JSON ---- */

static json_t *
closed_json(const struct cw_pack_closed *c)
{
	return json_pack("{s:I, s:o, s:o, s:s, s:o}", "medium",
	    (json_int_t)c->number, "path",
	    cw_cli_json_text(c->path, strlen(c->path)), "label",
	    cw_cli_json_text(c->label, strlen(c->label)), "note", c->note,
	    "problem",
	    c->problem == NULL
		? json_null()
		: cw_cli_json_text(c->problem, strlen(c->problem)));
}

static void
print_json(const struct cw_pack_ask *q)
{
	json_t *closed = json_array(), *object;
	char *text;

	for (size_t i = 0; i < q->closed_count; i++)
		json_array_append_new(closed, closed_json(&q->closed[i]));
	object = json_pack("{s:i, s:{s:I, s:s, s:s, s:s, s:o, s:I, s:I, s:o}}",
	    "version", 1, "ask", "medium", (json_int_t)q->medium, "label",
	    q->label, "seed_id", q->seed, "reason",
	    q->problem != NULL	  ? "refused"
	    : q->is_again	  ? "again"
	    : q->closed_count > 0 ? "full"
				  : "first",
	    "closed", closed, "bytes_left", (json_int_t)q->bytes_left,
	    "volume_size", (json_int_t)q->volume_size, "problem",
	    q->problem == NULL
		? json_null()
		: cw_cli_json_text(q->problem, strlen(q->problem)));
	text = json_dumps(object, JSON_COMPACT);
	(void)fprintf(stderr, "%s\n", text);
	(void)fflush(stderr);
	free(text);
	json_decref(object);
}

/* A line from standard input; 1 at its end. */
static int
read_answer(char **line, struct cw_error *err)
{
	char text[ANSWER_MAX];
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
		char c;
		ssize_t n;

		if (cw_stop_check(err) < 0)
			return -1;
		n = poll(&p, 1, LOOK_MS);
		if (n == 0 || (n < 0 && errno == EINTR))
			continue;
		n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cw_error_errno(
			    err, "cannot read the answer to --to ask");
		if (n == 0 && len == 0)
			return 1;
		if (n == 0 || c == '\n')
			break;
		if (len + 1 == sizeof(text))
			return cw_error_set(err, CW_ERR_USAGE,
			    "the answer to --to ask is over %zu bytes",
			    sizeof(text) - 1);
		text[len++] = c;
	}
	while (len > 0 && text[len - 1] == '\r')
		len--;
	text[len] = '\0';
	*line = cw_strdup(text);
	return 0;
}

/* ---- by the hook ---- */

static int
ask_hook(struct cw_medium_ask *a, const struct cw_pack_ask *q, char **dir,
    struct cw_error *err)
{
	struct cw_buf answer = CW_BUF_INIT, closed = CW_BUF_INIT;

	for (size_t i = 0; i < q->closed_count; i++)
		cw_buf_printf(
		    &closed, "%s%s", i == 0 ? "" : "\n", q->closed[i].path);

	char *more[5] = {
	    cw_asprintf("CAUSEWAY_SEED=%s", q->seed),
	    cw_asprintf("CAUSEWAY_MEDIUM=%u", q->medium),
	    cw_asprintf("CAUSEWAY_LABEL=%s", q->label),
	    cw_asprintf("CAUSEWAY_CLOSED=%s", cw_buf_string(&closed)),
	    NULL,
	};
	struct cw_hook_call call = {
	    .role = "active",
	    .epoch = a->epoch,
	    .reason = q->problem != NULL ? q->problem
		      : q->is_again	 ? "again"
					 : "next",
	    .more = (const char *const *)more,
	    .answer = &answer,
	};
	int ret = -1;

	a->hook_tries = q->problem == NULL ? 1 : a->hook_tries + 1;
	if (a->hook_tries > HOOK_TRIES_MAX)
		cw_error_set(err, CW_ERR_FAILED,
		    "the medium hook of store %s gave %u answers that will "
		    "not do; the last one: %s",
		    a->store->name, HOOK_TRIES_MAX, q->problem);
	else
		ret = cw_hook_run(&a->cli->home->config, a->store,
		    CW_HOOK_MEDIUM, &call, err);
	if (ret == 0) {
		while (
		    answer.len > 0 && (answer.data[answer.len - 1] == '\n' ||
					  answer.data[answer.len - 1] == '\r'))
			answer.len--;
		*dir = cw_strdup(cw_buf_string(&answer));
	}
	for (size_t i = 0; more[i] != NULL; i++)
		free(more[i]);
	cw_buf_free(&answer);
	cw_buf_free(&closed);
	return ret < 0 ? -1 : 0;
}

/* ---- all ---- */

/* A device or label is mounted; *dir then is where. */
static int
mount_answer(struct cw_medium_ask *a, char **dir, struct cw_error *err)
{
	const struct cw_mount_options o = {.is_readonly = false};
	struct cw_mounted *m;

	if (!cw_mount_is_name(*dir))
		return 0;
	if (cw_mount(*dir, &o, &m, err) < 0)
		return -1;
	a->mounted = cw_reallocarray(
	    a->mounted, a->mounted_count + 1, sizeof(struct cw_mounted *));
	a->mounted[a->mounted_count++] = m;
	free(*dir);
	*dir = cw_strdup(m->dir);
	return 0;
}

static int
ask_once(struct cw_medium_ask *a, const struct cw_pack_ask *q, char **dir,
    struct cw_error *err)
{
	if (cw_hook_check(&a->cli->home->config, a->store->name, CW_HOOK_MEDIUM,
		NULL) != 1)
		return ask_hook(a, q, dir, err);
	if (!a->cli->json)
		return ask_terminal(a, q, dir, err);
	print_json(q);
	return read_answer(dir, err);
}

int
cw_medium_ask(
    void *arg, const struct cw_pack_ask *ask, char **dir, struct cw_error *err)
{
	struct cw_medium_ask *a = arg;
	struct cw_pack_ask q = *ask;
	struct cw_error why = CW_ERROR_INIT;
	int ret;

	*dir = NULL;
	a->was_unmounted =
	    cw_calloc(ask->closed_count + 1, sizeof(*a->was_unmounted));
	for (size_t i = 0; i < ask->closed_count; i++)
		a->was_unmounted[i] = unmount_closed(a, ask->closed[i].path);
	cw_progress_line_pause(a->line, true);
	while ((ret = ask_once(a, &q, dir, err)) == 0) {
		why = (struct cw_error)CW_ERROR_INIT;
		if (mount_answer(a, dir, &why) == 0)
			break;
		/* What could not be mounted is asked for again. */
		q.problem = why.message;
		free(*dir);
		*dir = NULL;
	}
	cw_progress_line_pause(a->line, false);
	free(a->was_unmounted);
	a->was_unmounted = NULL;
	if (ret != 0) {
		free(*dir);
		*dir = NULL;
	}
	return ret;
}

void
cw_medium_ask_end(struct cw_medium_ask *a)
{
	struct cw_error err = CW_ERROR_INIT;

	for (size_t i = 0; i < a->mounted_count; i++)
		if (cw_mount_end(a->mounted[i], &err) < 0)
			cw_cli_warn(a->cli, "%s", err.message);
	free(a->mounted);
	a->mounted = NULL;
	a->mounted_count = 0;
}
