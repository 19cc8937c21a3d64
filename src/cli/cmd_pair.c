#include "base/buf.h"
#include "cli/commands.h"
#include "cli/output.h"

static const char usage[] =
    "usage: causeway pair CARD [--at HOST:PORT]\n"
    "\n"
    "Trusts another site: CARD is the line that `causeway card` prints there.  "
    "The\n"
    "fingerprint that is printed has to be compared on the telephone: whoever "
    "could\n"
    "change the card on its way can read what you seal for it.\n"
    "\n"
    "  --at HOST:PORT  where that site listens\n"
    "\n"
    "Example: causeway pair \"$(cat card.txt)\" --at shreveport.example:7625\n"
    "Next: `causeway seed STORE --for SITE --to DIR`.\n";

static const struct option options[] = {
    {"at", required_argument, NULL, 'a'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
report(struct cw_cli *cli, const struct cw_card *card, bool is_new)
{
	const struct cw_config_peer *peer =
	    cw_config_peer(&cli->home->config, card->name);
	char words[CW_CARD_WORDS_SIZE];
	json_t *o;

	if (cli->json) {
		o = cw_cli_json_card(card);
		json_object_set_new(o, "address",
		    peer->address != NULL ? json_string(peer->address)
					  : json_null());
		json_object_set_new(o, "is_new", json_boolean(is_new));
		return cw_cli_emit(cli, o);
	}
	cw_card_fingerprint_text(card, words);
	cw_cli_say(cli, "Site %s is trusted%s.  Its fingerprint is", card->name,
	    is_new ? "" : " already");
	cw_cli_say(cli, "  %s", words);
	cw_cli_say(cli,
	    "Call that site now, and let them read out what `causeway card "
	    "--fingerprint` prints there.");
	cw_cli_say(cli,
	    "If one word differs, somebody changed the card on its way: take "
	    "[peer \"%s\"] out of %s.",
	    card->name, cli->home->config_path);
	return 0;
}

int
cmd_pair(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	const char *address = NULL;
	struct cw_card card;
	bool is_new;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			address = optarg;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc == optind)
		return cw_cli_usage_error(cli, usage, "pair takes a card");
	/* The card has spaces in it; the shell may have cut it there. */
	for (int i = optind; i < argc; i++)
		cw_buf_printf(&text, "%s%s", i > optind ? " " : "", argv[i]);
	ret = cw_card_decode(cw_buf_string(&text), text.len, &card, &err);
	cw_buf_free(&text);
	if (ret < 0) {
		/* What was typed is wrong, not what lies on a disk. */
		if (err.code == CW_ERR_FORMAT)
			err.code = CW_ERR_USAGE;
		cw_error_context(&err, "that is no card");
		return cw_cli_fail(cli, &err);
	}
	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    cw_home_add_peer(cli->home, &card, address, &is_new, &err) < 0)
		return cw_cli_fail(cli, &err);
	return report(cli, &card, is_new);
}
