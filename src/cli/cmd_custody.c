#include "base/text.h"
#include "cli/commands.h"
#include "cli/media_dirs.h"
#include "cli/output.h"
#include "cli/trust.h"
#include "media/set.h"
#include "seed/custody_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway custody DIR... [--seed ID] [--event KIND] [--note TEXT]\n"
    "\n"
    "Prints the log of what happened to a seed, and checks it: each event is "
    "signed,\n"
    "and holds the hash of the one before it.  A log proves what it holds, not "
    "that\n"
    "nothing was cut off its end: with several media it says what the log of "
    "one has\n"
    "and that of another lacks.\n"
    "\n"
    "  --event KIND  add a signed event first: handed-over, received, released "
    "(the\n"
    "                medium may be used again) or erased\n"
    "  --note TEXT   what it says (\"to the courier, waybill 1234\"); without "
    "--event\n"
    "                the event is a note\n"
    "  --seed ID     which seed, where the medium holds several (else the "
    "newest)\n"
    "\n"
    "The events sealed, closed, verified, received and imported are added by "
    "`seed`,\n"
    "`seed close`, `verify` and `receive`.\n"
    "\n"
    "Exit status: 5 a log was changed.\n"
    "Example: causeway custody /mnt/disk1 --event handed-over --note 'courier "
    "1234'\n"
    "Next: `causeway verify DIR`.\n";

enum { OPT_NOTE = 256, OPT_SEED, OPT_EVENT };

static const struct option options[] = {
    {"note", required_argument, NULL, OPT_NOTE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"event", required_argument, NULL, OPT_EVENT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
	const char *seed, *note;
	bool is_adding;
	enum cw_custody_kind kind;
};

/* The log of one medium. */
struct log {
	struct cw_custody custody;
	struct cw_error error; /* CW_OK: all of it is good */
};

/* How far a signer is known here; for a paired one its name, too. */
static const char *
standing(const struct cw_cli *cli, const struct cw_minisign_public *signer,
    const char **name)
{
	struct cw_card own;

	*name = NULL;
	if (cli->home == NULL)
		return "unknown";
	if (cw_identity_card(cli->home->state_fd, &own, NULL) == 0 &&
	    cw_minisign_public_equal(&own.sign, signer)) {
		*name = cli->home->config.name;
		return "self";
	}
	for (size_t i = 0; i < cli->home->config.peer_count; i++) {
		const struct cw_config_peer *p = &cli->home->config.peers[i];

		if (cw_minisign_public_equal(&p->card.sign, signer)) {
			*name = p->name;
			return "paired";
		}
	}
	return "unknown";
}

static json_t *
events_json(const struct cw_cli *cli, const struct cw_custody *log)
{
	json_t *events = json_array();

	for (size_t i = 0; i < log->event_count; i++) {
		const struct cw_custody_event *e = &log->events[i];
		char time[CW_TIME_TEXT], key[CW_MINISIGN_BASE64_SIZE];
		const char *name, *known = standing(cli, &e->signer, &name);

		cw_time_format(e->time, time);
		cw_minisign_public_base64(&e->signer, key);
		json_array_append_new(events,
		    json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s?, s:o}",
			"sequence", (json_int_t)e->sequence, "time", time,
			"event", cw_custody_kind_name(e->kind), "site", e->site,
			"signer", key, "standing", known, "signer_name", name,
			"note", cw_cli_json_text(e->note, strlen(e->note))));
	}
	return events;
}

static bool
is_same_event(
    const struct cw_custody_event *a, const struct cw_custody_event *b)
{
	return a->kind == b->kind &&
	       cw_minisign_public_equal(&a->signer, &b->signer);
}

static bool
has_event(const struct cw_custody *log, const struct cw_custody_event *e)
{
	for (size_t i = 0; i < log->event_count; i++)
		if (is_same_event(&log->events[i], e))
			return true;
	return false;
}

/*
 * What one log has and another lacks.  Media part on their way, so it may be
 * as it should; a log whose end was cut off looks the same.
 */
static json_t *
compare(const struct cw_set *set, const struct log *logs)
{
	json_t *found = json_array();

	for (size_t a = 0; a < set->count; a++) {
		for (size_t i = 0; i < logs[a].custody.event_count; i++) {
			const struct cw_custody_event *e =
			    &logs[a].custody.events[i];
			bool is_known = e->kind == CW_CUSTODY_NOTE;

			/* Each kind once, and not what was said before. */
			for (size_t k = 0; k < i; k++)
				is_known |= is_same_event(
				    &logs[a].custody.events[k], e);
			for (size_t b = 0; b < a; b++)
				is_known |= has_event(&logs[b].custody, e);
			for (size_t b = 0; !is_known && b < set->count; b++) {
				char *text;

				if (has_event(&logs[b].custody, e))
					continue;
				text = cw_asprintf(
				    "the log in %s has no event \"%s\" of %s, "
				    "that in %s has one",
				    set->media[b].path,
				    cw_custody_kind_name(e->kind), e->site,
				    set->media[a].path);
				json_array_append_new(found,
				    cw_cli_json_text(text, strlen(text)));
				free(text);
			}
		}
	}
	return found;
}

static json_t *
to_json(
    const struct cw_cli *cli, const struct cw_set *set, const struct log *logs)
{
	json_t *media = json_array();

	for (size_t i = 0; i < set->count; i++) {
		const struct cw_set_medium *m = &set->media[i];

		json_array_append_new(
		    media, json_pack("{s:I, s:o, s:o, s:b, s:o}", "medium",
			       (json_int_t)m->number, "path",
			       cw_cli_json_text(m->path, strlen(m->path)),
			       "events", events_json(cli, &logs[i].custody),
			       "torn", logs[i].custody.is_torn, "wrong",
			       logs[i].error.code == CW_OK
				   ? json_null()
				   : cw_cli_json_text(logs[i].error.message,
					 strlen(logs[i].error.message))));
	}
	/* Those of the first medium by themselves: often there is one only. */
	return json_pack("{s:s, s:o, s:b, s:o, s:o}", "seed_id", set->seed_text,
	    "events", events_json(cli, &logs[0].custody), "torn",
	    logs[0].custody.is_torn, "media", media, "differences",
	    compare(set, logs));
}

static void
say_log(struct cw_cli *cli, const struct cw_set *set, size_t index,
    const struct cw_custody *log)
{
	const struct cw_set_medium *m = &set->media[index];

	if (set->count > 1)
		cw_cli_show(cli, "%sMedium %u, in %s:", index > 0 ? "\n" : "",
		    m->number, m->path);
	if (log->event_count == 0)
		cw_cli_show(
		    cli, "No event is in the log of seed %s.", set->seed_text);
	for (size_t i = 0; i < log->event_count; i++) {
		const struct cw_custody_event *e = &log->events[i];
		char time[CW_TIME_TEXT], note[CW_QUOTE_MAX], id[17];
		const char *name, *known = standing(cli, &e->signer, &name);
		bool is_other = name != NULL && strcmp(name, e->site) != 0;

		cw_time_format(e->time, time);
		cw_text_quote(e->note, strlen(e->note), note);
		cw_minisign_key_id_text(e->signer.key_id, id);
		cw_cli_show(cli, "%llu  %s  %-11s  %s (key %s, %s%s%s)%s%s",
		    (unsigned long long)e->sequence, time,
		    cw_custody_kind_name(e->kind), e->site, id, known,
		    is_other ? " as " : "", is_other ? name : "",
		    note[0] == '\0' ? "" : "  ", note);
	}
	if (log->is_torn)
		cw_cli_show(cli, "A torn line follows, left by a crash; the "
				 "next event cuts it off.");
}

static void
say(struct cw_cli *cli, const struct cw_set *set, const struct log *logs)
{
	json_t *differences = compare(set, logs), *text;
	size_t n;

	for (size_t i = 0; i < set->count; i++) {
		if (logs[i].error.code == CW_OK ||
		    logs[i].custody.event_count > 0)
			say_log(cli, set, i, &logs[i].custody);
		if (logs[i].error.code != CW_OK)
			cw_cli_show(cli, "From here on the log is wrong: %s",
			    logs[i].error.message);
	}
	if (json_array_size(differences) > 0)
		cw_cli_show(cli, "\nThe logs differ; either the media went "
				 "different ways, or one was cut:");
	json_array_foreach(differences, n, text)
	    cw_cli_show(cli, "  %s", json_string_value(text));
	json_decref(differences);
}

/* To the log of each medium; the first failure ends it. */
static int
add_event(struct cw_cli *cli, const struct cw_set *set, const struct request *q,
    struct cw_error *err)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_card own;
	int ret = 0;

	if (cw_cli_home(cli, CW_HOME_READ, err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &own, err) < 0 ||
	    cw_cli_signing_key(cli, &secret, err) < 0)
		return -1;
	for (size_t i = 0; ret == 0 && i < set->count; i++) {
		ret = cw_custody_file_append(set->media[i].dirfd, set->seed_id,
		    q->kind, q->note, own.name, secret, err);
		if (ret < 0)
			cw_error_context(err, "%s", set->media[i].path);
	}
	cw_minisign_secret_free(secret);
	return ret;
}

static int
show(struct cw_cli *cli, const struct cw_set *set)
{
	struct log *logs = cw_calloc(set->count, sizeof(*logs));
	struct cw_error err = CW_ERROR_INIT;
	int status;

	for (size_t i = 0; i < set->count; i++) {
		if (cw_custody_file_read(set->media[i].dirfd, set->seed_id,
			&logs[i].custody, &logs[i].error) == 0)
			continue;
		cw_error_context(&logs[i].error, "%s/%s", set->media[i].path,
		    CW_SET_CUSTODY);
		if (err.code == CW_OK)
			err = logs[i].error;
	}
	if (!cli->json)
		say(cli, set, logs);
	(void)fflush(stdout); /* before the error, where both go to one file */
	if (err.code != CW_OK)
		status = cw_cli_fail_with(
		    cli, cli->json ? to_json(cli, set, logs) : NULL, &err);
	else
		status =
		    cli->json ? cw_cli_emit(cli, to_json(cli, set, logs)) : 0;
	for (size_t i = 0; i < set->count; i++)
		cw_custody_free(&logs[i].custody);
	free(logs);
	return status;
}

static int
custody(struct cw_cli *cli, const struct request *q, char *const *args,
    size_t count)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_media_dirs dirs = CW_MEDIA_DIRS_INIT;
	struct cw_cli_trust trust = {NULL, 0};
	struct cw_set *set = NULL;
	int status;

	/* A home tells who is paired; without one, everybody is unknown. */
	if (cw_cli_trust(cli, NULL, &trust, &err) < 0 ||
	    cw_media_dirs_begin(args, count,
		q->is_adding ? CW_MEDIA_WRITE : CW_MEDIA_READ, &dirs,
		&err) < 0 ||
	    cw_set_open(dirs.dirs, dirs.count, q->seed, trust.signers,
		trust.count, &set, &err) < 0 ||
	    (q->is_adding && add_event(cli, set, q, &err) < 0))
		status = cw_cli_fail(cli, &err);
	else
		status = show(cli, set);
	free(trust.signers);
	cw_set_free(set);
	cw_media_dirs_end(cli, &dirs);
	return status;
}

/* Only what people know and programs do not. */
static int
take_event(struct cw_cli *cli, struct request *q, const char *text)
{
	if (!cw_custody_kind_parse(text, strlen(text), &q->kind) ||
	    (q->kind != CW_CUSTODY_HANDED_OVER &&
		q->kind != CW_CUSTODY_RECEIVED &&
		q->kind != CW_CUSTODY_RELEASED &&
		q->kind != CW_CUSTODY_ERASED && q->kind != CW_CUSTODY_NOTE))
		return cw_cli_usage_error(cli, usage,
		    "--event takes handed-over, received, released, erased or "
		    "note; the others are added by the commands that do them");
	q->is_adding = true;
	return 0;
}

int
cmd_custody(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {.kind = CW_CUSTODY_NOTE};
	int opt, status = 0;

	while (status == 0 &&
	       (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_NOTE:
			q.note = optarg;
			q.is_adding = true;
			break;
		case OPT_SEED:
			q.seed = optarg;
			break;
		case OPT_EVENT:
			status = take_event(cli, &q, optarg);
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (status != 0)
		return status;
	if (argc - optind < 1)
		return cw_cli_usage_error(cli, usage,
		    "custody takes the directories the media are mounted on");
	return custody(cli, &q, argv + optind, (size_t)(argc - optind));
}
