#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "media/set.h"
#include "seed/custody_file.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: causeway custody DIR [--seed ID] [--note TEXT]\n"
    "\n"
    "Prints the log of what happened to a seed, and checks it: each event is "
    "signed,\n"
    "and holds the hash of the one before it.  A log proves what it holds, not "
    "that\n"
    "nothing was cut off its end.\n"
    "\n"
    "  --note TEXT  add a signed event first (\"handed to the courier\")\n"
    "  --seed ID    which seed, where the medium holds several (else the "
    "newest)\n"
    "\n"
    "Example: causeway custody /mnt/disk1 --note 'handed to the courier'\n"
    "Next: `causeway verify DIR`.\n";

enum { OPT_NOTE = 256, OPT_SEED };

static const struct option options[] = {
    {"note", required_argument, NULL, OPT_NOTE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* How far a signer is known here: "self", "paired" or "unknown". */
static const char *
standing(const struct cw_cli *cli, const struct cw_minisign_public *signer)
{
	struct cw_card own;

	if (cli->home == NULL)
		return "unknown";
	if (cw_identity_card(cli->home->state_fd, &own, NULL) == 0 &&
	    cw_minisign_public_equal(&own.sign, signer))
		return "self";
	for (size_t i = 0; i < cli->home->config.peer_count; i++)
		if (cw_minisign_public_equal(
			&cli->home->config.peers[i].card.sign, signer))
			return "paired";
	return "unknown";
}

static json_t *
to_json(const struct cw_cli *cli, const struct cw_set *set,
    const struct cw_custody *log)
{
	json_t *events = json_array();

	for (size_t i = 0; i < log->event_count; i++) {
		const struct cw_custody_event *e = &log->events[i];
		char time[CW_TIME_TEXT], key[CW_MINISIGN_BASE64_SIZE];

		cw_time_format(e->time, time);
		cw_minisign_public_base64(&e->signer, key);
		json_array_append_new(events,
		    json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "sequence",
			(json_int_t)e->sequence, "time", time, "event",
			cw_custody_kind_name(e->kind), "site", e->site,
			"signer", key, "standing", standing(cli, &e->signer),
			"note", cw_cli_json_text(e->note, strlen(e->note))));
	}
	return json_pack("{s:s, s:o, s:b}", "seed_id", set->seed_text, "events",
	    events, "torn", log->is_torn);
}

static void
say(struct cw_cli *cli, const struct cw_set *set, const struct cw_custody *log)
{
	if (log->event_count == 0)
		cw_cli_say(
		    cli, "No event is in the log of seed %s.", set->seed_text);
	for (size_t i = 0; i < log->event_count; i++) {
		const struct cw_custody_event *e = &log->events[i];
		char time[CW_TIME_TEXT], note[CW_QUOTE_MAX], id[17];

		cw_time_format(e->time, time);
		cw_text_quote(e->note, strlen(e->note), note);
		cw_minisign_key_id_text(e->signer.key_id, id);
		cw_cli_say(cli, "%llu  %s  %-11s  %s (key %s, %s)%s%s",
		    (unsigned long long)e->sequence, time,
		    cw_custody_kind_name(e->kind), e->site, id,
		    standing(cli, &e->signer), note[0] == '\0' ? "" : "  ",
		    note);
	}
	if (log->is_torn)
		cw_cli_say(cli, "A torn line follows, left by a crash; the "
				"next event cuts it off.");
}

static int
add_note(struct cw_cli *cli, const struct cw_set *set, const char *note,
    struct cw_error *err)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_card own;
	int ret = -1;

	if (cw_cli_home(cli, CW_HOME_READ, err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &own, err) < 0 ||
	    cw_cli_signing_key(cli, &secret, err) < 0)
		return -1;
	ret = cw_custody_file_append(set->media[0].dirfd, set->seed_id,
	    CW_CUSTODY_NOTE, note, own.name, secret, err);
	if (ret < 0)
		cw_error_context(err, "%s", set->media[0].path);
	cw_minisign_secret_free(secret);
	return ret;
}

/* A home tells who is paired; without one, everybody is unknown. */
static int
open_home(struct cw_cli *cli, struct cw_error *err)
{
	bool is_named = cli->home_dir != NULL || cli->config_file != NULL;

	if (!is_named && !cw_home_exists(NULL, NULL))
		return 0;
	if (cw_cli_home(cli, CW_HOME_READ, err) == 0)
		return 0;
	if (is_named)
		return -1;
	cw_cli_warn(cli, "going on without the home: %s", err->message);
	return 0;
}

static int
custody(struct cw_cli *cli, const char *dir, const char *seed, const char *note)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_set *set = NULL;
	json_t *object;
	int status, ret;

	if (open_home(cli, &err) < 0 ||
	    cw_set_open(&dir, 1, seed, NULL, 0, &set, &err) < 0 ||
	    (note != NULL && add_note(cli, set, note, &err) < 0)) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	ret =
	    cw_custody_file_read(set->media[0].dirfd, set->seed_id, &log, &err);
	object = cli->json ? to_json(cli, set, &log) : NULL;
	if (ret == 0 || log.event_count > 0)
		say(cli, set, &log);
	(void)fflush(stdout); /* before the error, where both go to one file */
	if (ret < 0) {
		cw_error_context(
		    &err, "%s/%s", set->media[0].path, CW_SET_CUSTODY);
		status = cw_cli_fail_with(cli, object, &err);
	} else {
		status = cli->json ? cw_cli_emit(cli, object) : 0;
	}
out:
	cw_custody_free(&log);
	cw_set_free(set);
	return status;
}

int
cmd_custody(struct cw_cli *cli, int argc, char **argv)
{
	const char *note = NULL, *seed = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_NOTE:
			note = optarg;
			break;
		case OPT_SEED:
			seed = optarg;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(cli, usage,
		    "custody takes one argument, the directory the medium is "
		    "mounted on");
	return custody(cli, argv[optind], seed, note);
}
