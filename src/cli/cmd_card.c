#include "cli/commands.h"
#include "cli/output.h"
#include "media/qr.h"

#include <stdio.h>

static const char usage[] =
    "usage: causeway card [--fingerprint | --qr]\n"
    "\n"
    "Prints this site's card: one line, public, that another site pairs "
    "with.\n"
    "Send it by any way; then compare fingerprints on the telephone.\n"
    "\n"
    "  --fingerprint  the words to read out\n"
    "  --qr           the card as a QR code\n"
    "\n"
    "Example: causeway card > card.txt\n"
    "Next: `causeway pair CARD` at the other site.\n";

static const struct option options[] = {
    {"fingerprint", no_argument, NULL, 'f'},
    {"qr", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
print_qr(struct cw_cli *cli, const char *line)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	int status = 0;

	/* Terminals mostly write light on dark. */
	if (cw_qr_draw(line, CW_QR_LIGHT, 0, &text, &err) < 0)
		status = cw_cli_fail(cli, &err);
	else
		(void)fwrite(text.data, 1, text.len, stdout);
	cw_buf_free(&text);
	return status;
}

int
cmd_card(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	char line[CW_CARD_TEXT_SIZE], words[CW_CARD_WORDS_SIZE];
	bool wants_words = false, wants_qr = false;
	struct cw_card card;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			wants_words = true;
			break;
		case 'q':
			wants_qr = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc != optind)
		return cw_cli_usage_error(cli, usage, "card takes no argument");
	if (wants_words && wants_qr)
		return cw_cli_usage_error(
		    cli, usage, "give --fingerprint or --qr, not both");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &card, &err) < 0)
		return cw_cli_fail(cli, &err);
	if (cli->json)
		return cw_cli_emit(cli, cw_cli_json_card(&card));
	cw_card_encode(&card, line);
	cw_card_fingerprint_text(&card, words);
	if (wants_qr)
		return print_qr(cli, line);
	(void)puts(wants_words ? words : line);
	return 0;
}
