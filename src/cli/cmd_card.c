#include "cli/commands.h"
#include "cli/output.h"

#include <qrencode.h>
#include <stdio.h>

#define QUIET_ZONE 2 /* modules around the code, for cameras */

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

static bool
is_dark(const QRcode *code, int x, int y)
{
	return x >= 0 && y >= 0 && x < code->width && y < code->width &&
	       (code->data[y * code->width + x] & 1) != 0;
}

/*
 * Two modules a character, one above the other.  Light modules are drawn, as
 * terminals mostly write light on dark.
 */
static void
draw(const QRcode *code)
{
	static const char *const blocks[] = {"\u2588", "\u2580", "\u2584", " "};

	for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2) {
		for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++) {
			int above = is_dark(code, x, y) ? 2 : 0;
			int below = is_dark(code, x, y + 1) ? 1 : 0;

			(void)fputs(blocks[above + below], stdout);
		}
		(void)fputc('\n', stdout);
	}
}

static int
print_qr(struct cw_cli *cli, const char *line)
{
	struct cw_error err = CW_ERROR_INIT;
	QRcode *code = QRcode_encodeString8bit(line, 0, QR_ECLEVEL_M);

	if (code == NULL) {
		cw_error_errno(&err, "cannot make a QR code");
		return cw_cli_fail(cli, &err);
	}
	draw(code);
	QRcode_free(code);
	return 0;
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
