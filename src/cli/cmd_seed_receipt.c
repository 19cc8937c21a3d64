/*
 * `seed receipt` and `seed confirm`: the receipt of an import, at the site
 * that made it and at the one that wants it.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/output.h"
#include "site/receipts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX 65536u /* bytes of standard input */

static const char receipt_usage[] =
    "usage: causeway seed receipt ID\n"
    "\n"
    "Prints the receipt of a seed that this site imported, once more: a line "
    "that proves\n"
    "to the other site what arrived.  It goes there by itself with the next "
    "sync.\n"
    "\n"
    "Example: causeway seed receipt 0123456789abcdef\n"
    "Next: at the other site `causeway seed confirm LINE`.\n";

static const char confirm_usage[] =
    "usage: causeway seed confirm LINE | -\n"
    "\n"
    "Takes the receipt of a seed that came by mail or on paper: checks that a "
    "paired site\n"
    "signed it, and for the very bytes that this site sealed, and keeps it.  "
    "`causeway\n"
    "status` shows which seeds are confirmed.  With - the line is read from "
    "standard\n"
    "input; line breaks in it do not matter.\n"
    "\n"
    "Exit status: 4 the receipt says that files are missing; 5 it is not to "
    "be trusted.\n"
    "Example: causeway seed confirm 'causeway-receipt1 ...'\n"
    "Next: `causeway status`.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: help was asked for; else a status, 0 to go on. */
static int
parse(struct cw_cli *cli, const char *usage, int argc, char **argv)
{
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h') {
			(void)cw_cli_help(usage);
			return -1;
		}
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
	return 0;
}

int
cmd_seed_receipt(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	char line[CW_RECEIPT_TEXT_SIZE];
	uint8_t id[CW_SEED_ID_SIZE];
	int status = parse(cli, receipt_usage, argc, argv), got;

	if (status != 0)
		return status < 0 ? 0 : status;
	if (argc - optind != 1 ||
	    !cw_hex_decode(argv[optind], strlen(argv[optind]), id, sizeof(id)))
		return cw_cli_usage_error(cli, receipt_usage,
		    "seed receipt takes a seed's id, 16 hexadecimal digits");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	got = cw_receipts_load(cli->home, argv[optind], line, &err);
	if (got == 1)
		cw_error_set(&err, CW_ERR_MISSING,
		    "this site did not import a seed %s", argv[optind]);
	if (got != 0)
		return cw_cli_fail(cli, &err);
	if (cli->json)
		return cw_cli_emit(cli, json_pack("{s:s, s:s}", "seed_id",
					    argv[optind], "receipt", line));
	(void)puts(line);
	return 0;
}

/* The words of the arguments, or standard input. */
static int
gather(int count, char **words, struct cw_buf *text, struct cw_error *err)
{
	if (count == 1 && strcmp(words[0], "-") == 0) {
		size_t got = 0;

		cw_buf_reserve(text, INPUT_MAX);
		if (cw_read_full(
			STDIN_FILENO, text->data, INPUT_MAX, &got, err) < 0)
			return -1;
		text->len = got;
		return 0;
	}
	/* A line without quotes comes as many arguments. */
	for (int i = 0; i < count; i++)
		cw_buf_printf(text, "%s%s", i > 0 ? " " : "", words[i]);
	return 0;
}

static int
confirm(struct cw_cli *cli, const struct cw_buf *text)
{
	const struct cw_config_peer *peer;
	struct cw_error err = CW_ERROR_INIT;
	char id[CW_SEED_ID_TEXT], time[CW_TIME_TEXT];
	struct cw_receipt r;
	json_t *object;
	bool is_new;

	if (cw_receipts_confirm(cli->home, (const char *)text->data, text->len,
		&r, &peer, &is_new, &err) < 0)
		return cw_cli_fail(cli, &err);
	cw_hex_encode(r.seed_id, CW_SEED_ID_SIZE, id);
	cw_time_format(r.time, time);
	object = json_pack("{s:s, s:s, s:I, s:s, s:b, s:I, s:o, s:b}",
	    "seed_id", id, "site", peer->name, "generation",
	    (json_int_t)r.generation, "time", time, "complete", r.wanted == 0,
	    "wanted", (json_int_t)r.wanted, "digest",
	    r.has_digest ? cw_cli_json_hex(r.digest, 32) : json_null(), "new",
	    is_new);
	cw_cli_say(cli, "%s imported seed %s, generation %" PRIu64 ", on %s%s.",
	    peer->name, id, r.generation, time,
	    is_new ? "" : " (known already)");
	if (r.wanted > 0) {
		cw_error_set(&err, CW_ERR_MISSING,
		    "%" PRIu64
		    " files had not arrived at %s by then: `causeway "
		    "sync` brings them, or a medium that is still on its way",
		    r.wanted, peer->name);
		if (!cli->json) {
			json_decref(object);
			object = NULL;
		}
		return cw_cli_fail_with(cli, object, &err);
	}
	cw_cli_say(cli, "All of it arrived.");
	if (cli->json)
		return cw_cli_emit(cli, object);
	json_decref(object);
	return 0;
}

int
cmd_seed_confirm(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	int status = parse(cli, confirm_usage, argc, argv);

	if (status != 0)
		return status < 0 ? 0 : status;
	if (argc - optind < 1)
		return cw_cli_usage_error(cli, confirm_usage,
		    "seed confirm takes a receipt, the line that `causeway "
		    "receive` ends with");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    gather(argc - optind, argv + optind, &text, &err) < 0)
		status = cw_cli_fail(cli, &err);
	else
		status = confirm(cli, &text);
	cw_buf_free(&text);
	return status;
}
