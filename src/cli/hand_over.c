#include "cli/hand_over.h"

#include "base/fs.h"
#include "site/control.h"

#include <signal.h>
#include <stdio.h>

int
cw_cli_hand_over(struct cw_cli *cli, struct cw_error *err)
{
	struct cw_control_end end = {false, 0};
	struct cw_home *home = NULL;
	int fd = -1, ret;

	/* The child of a daemon does not go round in circles. */
	if (cw_control_is_taken_over())
		return 0;
	if (cw_home_open(
		cli->home_dir, cli->config_file, CW_HOME_READ, &home, err) < 0)
		return -1;
	ret = cw_control_connect(home->state_fd, &fd, err);
	cw_home_close(home);
	if (ret != 0)
		return ret > 0 ? 0 : -1;
	/* What we have said comes before what the child says. */
	(void)fflush(stdout);
	ret = cw_control_command(
	    fd, cli->command, cli->argc, cli->argv, cli->passphrase, &end, err);
	cw_close(&fd);
	if (ret < 0)
		return -1;
	cli->was_handed_over = true;
	if (end.was_killed)
		cli->killed_by = end.status;
	cli->handed_status = end.was_killed ? 128 + end.status : end.status;
	return 1;
}

void
cw_cli_end_alike(const struct cw_cli *cli)
{
	struct sigaction usual = {.sa_handler = SIG_DFL};

	if (cli->killed_by == 0)
		return;
	(void)sigaction(cli->killed_by, &usual, NULL);
	(void)raise(cli->killed_by);
}
