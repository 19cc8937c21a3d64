#include "base/fs.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve.h"
#include "site/daemon.h"

#include <stdio.h>
#include <time.h>

/*
 * How long the children of a daemon that was killed may need to end, before
 * the home is called busy.
 */
#define HEIRS_WAIT_MS 10000
#define LOOK_MS	      50

static const char usage[] =
    "usage: causeway run\n"
    "\n"
    "The daemon of this site, in the foreground: takes generations of the "
    "active\n"
    "stores, and keeps the links to the other sites.  Its log goes to "
    "standard\n"
    "error.  Other commands work while it runs.\n"
    "\n"
    "SIGHUP makes it read the configuration again; SIGTERM and SIGINT end it "
    "in\n"
    "order.\n"
    "\n"
    "Example: causeway run\n"
    "Next: `causeway status` says what is under way.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The CLI has handed over what it cannot do itself while we run. */
static int
run_command(void *arg, int argc, char **argv)
{
	(void)arg;
	return cw_cli_run(argc, argv);
}

/*
 * Whether a daemon answers.  Then ours cannot start; who else holds the home
 * may be the children of one that was killed, which are about to end.
 */
static bool
is_running(const struct cw_cli *cli)
{
	struct cw_home *home = NULL;
	int fd = -1;
	bool answers;

	if (cw_home_open(
		cli->home_dir, cli->config_file, CW_HOME_READ, &home, NULL) < 0)
		return false;
	answers = cw_control_connect(home->state_fd, &fd, NULL) == 0;
	cw_close(&fd);
	cw_home_close(home);
	return answers;
}

/* The home is never handed over: a daemon does not start another. */
static int
open_home(struct cw_cli *cli, struct cw_error *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};

	for (unsigned waited = 0;; waited += LOOK_MS) {
		if (cw_home_open(cli->home_dir, cli->config_file, CW_HOME_WRITE,
			&cli->home, err) == 0)
			return 0;
		if (err->code != CW_ERR_BUSY)
			return -1;
		if (is_running(cli))
			return cw_error_context(err, "a daemon runs already");
		if (waited >= HEIRS_WAIT_MS || cw_stop_requested())
			return -1;
		(void)nanosleep(&pause, NULL);
	}
}

int
cmd_run(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_serve serve = {.cli = cli};
	const struct cw_daemon_options daemon = {
	    .calls =
		{
		    .session = cw_serve_session,
		    .scan = cw_serve_scan,
		    .is_active = cw_serve_is_active,
		    .mend = cw_serve_mend,
		    .is_cut_off = cw_serve_is_cut_off,
		    .command = run_command,
		    .arg = &serve,
		},
	};
	int opt, ret;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h')
			return cw_cli_help(usage);
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
	if (argc != optind)
		return cw_cli_usage_error(cli, usage, "run takes no arguments");
	ret = open_home(cli, &err);
	if (ret == 0)
		ret = cw_cli_signing_key(cli, &serve.secret, &err);
	if (ret == 0)
		ret = cw_daemon_run(cli->home, &daemon, &err);
	cw_minisign_secret_free(serve.secret);
	return ret < 0 ? cw_cli_fail(cli, &err) : 0;
}
