/*
 * `seed close`: the gate before media are shipped.
 */
#include "base/bytes.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/media_dirs.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "site/shipment.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: causeway seed close ID | DIR... [--no-remount]\n"
    "\n"
    "The last gate before media are shipped.  Reads each in full again, from "
    "the device,\n"
    "and says whether it may go.  It may not while it is damaged, or was not "
    "unmounted and\n"
    "mounted since it was written, while the recovery site is not paired, or "
    "while the\n"
    "seed is not finished; all reasons are listed.  A medium that passes gets "
    "an event\n"
    "`closed` in its log, so media can be closed one after another.  With ID "
    "alone the\n"
    "media are looked for where they were written.\n"
    "\n"
    "  --seed ID     which seed, where the media hold several\n"
    "  --no-remount  for media that cannot be unmounted: the disks of a server "
    "that is\n"
    "                shipped as a whole\n"
    "\n"
    "Exit status: 0 all media may be shipped; 7 not yet, with the reasons.\n"
    "Example: causeway seed close /mnt/disk1 /mnt/disk2\n"
    "Next: `causeway seed slip ID`, unmount, pack, ship.\n";

enum { OPT_NO_REMOUNT = 256, OPT_SEED };

static const struct option options[] = {
    {"no-remount", no_argument, NULL, OPT_NO_REMOUNT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static json_t *
reasons_json(const struct cw_shipment_reasons *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(
		    list, cw_cli_json_text(r->list[i], strlen(r->list[i])));
	return list;
}

static json_t *
to_json(const struct cw_shipment *s)
{
	json_t *media = json_array();

	for (size_t i = 0; i < s->count; i++) {
		const struct cw_shipment_medium *m = &s->media[i];

		json_array_append_new(media,
		    json_pack("{s:I, s:o, s:o, s:b, s:o}", "medium",
			(json_int_t)m->number, "label",
			cw_cli_json_text(m->label, strlen(m->label)), "path",
			m->path == NULL
			    ? json_null()
			    : cw_cli_json_text(m->path, strlen(m->path)),
			"ready", m->is_closed, "reasons",
			reasons_json(&m->why_not)));
	}
	return json_pack("{s:s, s:b, s:o, s:o}", "seed_id", s->seed_text,
	    "ready", s->is_ready, "media", media, "reasons",
	    reasons_json(&s->why_not));
}

static void
say_medium(struct cw_cli *cli, const struct cw_shipment_medium *m)
{
	char bytes[CW_TEXT_MAX];

	cw_text_bytes(m->bytes, bytes);
	if (m->number == 0)
		cw_cli_say(cli, "NO   %s", m->path);
	else
		cw_cli_say(cli, "%s  medium %u%s%s, %s%s%s%s",
		    m->is_closed ? "OK " : "NO ", m->number,
		    m->label[0] == '\0' ? "" : ", label ", m->label, bytes,
		    m->path == NULL ? "" : ", in ",
		    m->path == NULL ? "" : m->path,
		    m->path == NULL && m->is_closed ? ", closed before" : "");
	for (size_t i = 0; i < m->why_not.count; i++)
		cw_cli_say(cli, "       - %s", m->why_not.list[i]);
}

static int
finish(struct cw_cli *cli, const struct cw_shipment *s)
{
	struct cw_error err = CW_ERROR_INIT;
	const struct cw_shipment_medium *first = NULL;

	/* What is wrong with a medium that is here tells the most. */
	for (size_t i = 0; i < s->count; i++) {
		const struct cw_shipment_medium *m = &s->media[i];

		say_medium(cli, m);
		if (m->why_not.count > 0 &&
		    (first == NULL || (first->path == NULL && m->path != NULL)))
			first = m;
	}
	if (s->is_ready) {
		cw_cli_say(cli,
		    "Seed %s may be shipped.  Next: `causeway seed slip %s`, "
		    "unmount, pack.",
		    s->seed_text, s->seed_text);
		return cli->json ? cw_cli_emit(cli, to_json(s)) : 0;
	}
	for (size_t i = 0; i < s->why_not.count; i++)
		cw_cli_say(cli, "NO   %s", s->why_not.list[i]);
	(void)fflush(stdout);
	if (!cli->json && !cli->quiet)
		cw_error_set(&err, CW_ERR_REFUSED,
		    "seed %s may not be shipped yet, see above", s->seed_text);
	else if (first != NULL && first->number > 0)
		cw_error_set(&err, CW_ERR_REFUSED,
		    "seed %s may not be shipped yet; medium %u: %.600s",
		    s->seed_text, first->number, first->why_not.list[0]);
	else
		cw_error_set(&err, CW_ERR_REFUSED,
		    "seed %s may not be shipped yet: %.600s", s->seed_text,
		    s->why_not.count > 0 ? s->why_not.list[0]
		    : first != NULL	 ? first->why_not.list[0]
					 : "no media");
	return cw_cli_fail_with(cli, cli->json ? to_json(s) : NULL, &err);
}

static int
close_media(struct cw_cli *cli, struct cw_shipment_options *o,
    char *const *args, size_t count)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_media_dirs dirs = CW_MEDIA_DIRS_INIT;
	struct cw_progress progress = {.what = NULL};
	struct cw_minisign_secret *secret = NULL;
	struct cw_progress_line *line;
	struct cw_shipment result = {.count = 0};
	int ret, status;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    cw_cli_signing_key(cli, &secret, &err) < 0 ||
	    cw_media_dirs_begin(args, count, CW_MEDIA_WRITE, &dirs, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	o->dirs = dirs.dirs;
	o->dir_count = dirs.count;
	o->secret = secret;
	o->progress = &progress;
	line = cw_progress_line_begin(cli, &progress);
	ret = cw_shipment_close(cli->home, o, &result, &err);
	cw_progress_line_end(line);
	status = ret < 0 ? cw_cli_fail(cli, &err) : finish(cli, &result);
out:
	cw_shipment_free(&result);
	cw_media_dirs_end(cli, &dirs);
	cw_minisign_secret_free(secret);
	return status;
}

int
cmd_seed_close(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_shipment_options o = {.seed = NULL};
	uint8_t id[CW_SEED_ID_SIZE];
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_NO_REMOUNT:
			o.without_remount = true;
			break;
		case OPT_SEED:
			o.seed = optarg;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	argv += optind;
	argc -= optind;
	/* The id may stand first, before the directories or without any. */
	if (argc > 0 && o.seed == NULL &&
	    cw_hex_decode(argv[0], strlen(argv[0]), id, sizeof(id))) {
		o.seed = argv[0];
		argv++;
		argc--;
	} else if (argc == 0) {
		return cw_cli_usage_error(cli, usage,
		    "seed close takes a seed's id, or the directories where "
		    "its media are mounted");
	}
	if (o.seed != NULL &&
	    !cw_hex_decode(o.seed, strlen(o.seed), id, sizeof(id)))
		return cw_cli_usage_error(
		    cli, usage, "--seed takes 16 hexadecimal digits");
	return close_media(cli, &o, argv, (size_t)argc);
}
