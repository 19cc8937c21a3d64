#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway init NAME [--listen HOST:PORT] [--state DIR] "
    "[--passphrase]\n"
    "\n"
    "Makes this site's identity (an age key and a minisign key) and a "
    "configuration\n"
    "in which every key is explained.  NAME is what other sites call this "
    "one: a-z,\n"
    "0-9 and -.  An existing site is never touched.\n"
    "\n"
    "  --listen HOST:PORT  where other sites will reach this one\n"
    "  --state DIR         state directory (default " CW_STATE_DEFAULT ");\n"
    "                      with --home DIR it is DIR itself\n"
    "  --passphrase        encrypt the keys; the passphrase comes from the\n"
    "                      terminal or from CAUSEWAY_PASSPHRASE\n"
    "\n"
    "Example: causeway init metairie\n"
    "Next: `causeway card` here, and `causeway pair CARD` at the other site.\n";

static const struct option options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"state", required_argument, NULL, 's'},
    {"passphrase", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The configuration takes absolute paths only. */
static char *
absolute(const char *path)
{
	char *here, *whole;

	if (path[0] == '/')
		return cw_strdup(path);
	here = get_current_dir_name();
	whole = cw_asprintf("%s/%s", here != NULL ? here : "", path);
	free(here);
	return whole;
}

static int
report(struct cw_cli *cli)
{
	struct cw_error err = CW_ERROR_INIT;
	char line[CW_CARD_TEXT_SIZE], words[CW_CARD_WORDS_SIZE];
	struct cw_card card;
	json_t *object;

	if (cw_identity_card(cli->home->state_fd, &card, &err) < 0)
		return cw_cli_fail(cli, &err);
	if (cli->json) {
		object = cw_cli_json_card(&card);
		json_object_set_new(object, "config",
		    cw_cli_json_text(cli->home->config_path,
			strlen(cli->home->config_path)));
		json_object_set_new(object, "state",
		    cw_cli_json_text(
			cli->home->state_path, strlen(cli->home->state_path)));
		return cw_cli_emit(cli, object);
	}
	cw_card_encode(&card, line);
	cw_card_fingerprint_text(&card, words);
	cw_cli_say(cli, "Site %s is made.", card.name);
	cw_cli_say(cli, "  configuration  %s", cli->home->config_path);
	cw_cli_say(cli, "  state          %s", cli->home->state_path);
	cw_cli_say(cli, "  fingerprint    %s", words);
	cw_cli_say(cli, "  card           %s\n", line);
	cw_cli_say(cli,
	    "Keep a copy of %s/keys in a safe place: what is sealed "
	    "for this site opens with them alone.",
	    cli->home->state_path);
	cw_cli_say(cli, "Next: take the card to the other site and type "
			"`causeway pair CARD` there.");
	return 0;
}

int
cmd_init(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_home_options o = {.name = NULL};
	struct cw_error err = CW_ERROR_INIT;
	bool wants_passphrase = false;
	char *state = NULL;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			o.listen = optarg;
			break;
		case 's':
			o.state = optarg;
			break;
		case 'p':
			wants_passphrase = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(
		    cli, usage, "init takes one argument, the site's name");
	o.name = argv[optind];
	if (o.state != NULL && cli->home_dir != NULL)
		return cw_cli_usage_error(cli, usage,
		    "with --home DIR the state is DIR itself; leave --state "
		    "out");
	if (!cw_card_name_is_valid(o.name, strlen(o.name)))
		return cw_cli_usage_error(cli, usage,
		    "\"%.100s\" is no name for a site; use 1 to %u of a-z, 0-9 "
		    "and -, without - at the ends",
		    o.name, CW_CARD_NAME_MAX);
	/* Before a passphrase is asked for in vain. */
	if (wants_passphrase &&
	    !cw_home_exists(cli->home_dir, cli->config_file)) {
		o.passphrase =
		    cw_ask_new_passphrase(cli, "the keys of this site", &err);
		if (o.passphrase == NULL)
			return cw_cli_fail(cli, &err);
	}
	if (o.state != NULL)
		o.state = state = absolute(o.state);
	ret = cw_home_create(
	    cli->home_dir, cli->config_file, &o, &cli->home, &err);
	free(state);
	return ret < 0 ? cw_cli_fail(cli, &err) : report(cli);
}
