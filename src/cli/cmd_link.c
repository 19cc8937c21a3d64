#include "cli/commands.h"
#include "cli/link_events.h"
#include "cli/output.h"
#include "site/channel.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: causeway link --stdio\n"
    "\n"
    "The other end of a link that ssh carries: another site that knows this "
    "one as\n"
    "ssh://HOST runs it.  Who is at the other end proves itself by its card "
    "all the\n"
    "same.\n"
    "\n"
    "Example: ssh recovery.example causeway link --stdio\n"
    "Next: `causeway pair CARD --at ssh://recovery.example` at the other "
    "site.\n";

static const struct option options[] = {
    {"stdio", no_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
serve(struct cw_cli *cli)
{
	struct cw_carrier carrier = CW_CARRIER_INIT;
	struct cw_minisign_secret *secret = NULL;
	struct cw_cutover_options cutover = {0};
	struct cw_session_options o;
	struct cw_session *s = NULL;
	struct cw_error err = CW_ERROR_INIT;
	int status = 0;

	carrier.fd_in = dup(STDIN_FILENO);
	carrier.fd_out = dup(STDOUT_FILENO);
	(void)snprintf(carrier.name, sizeof(carrier.name), "standard input");
	if (cw_cli_session_options(cli, NULL, &secret, &o, &err) < 0) {
		cw_carrier_close(&carrier);
		return cw_cli_fail(cli, &err);
	}
	o.channel = cw_channel_own();
	cutover.home = cli->home;
	cutover.secret = secret;
	cutover.report = cw_cli_event;
	cutover.arg = cli;
	if (cw_session_accept(&o, &carrier, &s, &err) < 0) {
		status = cw_cli_fail(cli, &err);
	} else {
		cw_session_on_order(s, cw_cutover_answer, &cutover);
		/* Whoever dialled ends it; a line that breaks is no failure. */
		if (o.channel >= 0)
			(void)cw_channel_send(o.channel, NULL, "%s %s",
			    cw_session_is_visit(s) ? "visited" : "connected",
			    cw_session_peer(s)->name);
		if (cw_session_serve(s, NULL, NULL, 0, &err) < 0) {
			if (err.code == CW_ERR_INTERRUPTED)
				cw_session_bye(s, "the daemon stops");
			else if (err.code != CW_ERR_UNREACHABLE)
				status = cw_cli_fail(cli, &err);
		}
	}
	cw_session_free(s);
	cw_minisign_secret_free(secret);
	return status;
}

int
cmd_link(struct cw_cli *cli, int argc, char **argv)
{
	bool is_stdio = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			is_stdio = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (!is_stdio || optind != argc)
		return cw_cli_usage_error(
		    cli, usage, "link is for ssh, and takes --stdio");
	return serve(cli);
}
