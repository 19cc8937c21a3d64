/*
 * While the daemon runs it holds the home, and commands that want to write
 * there are handed to it: it runs them in a child with our descriptors,
 * working directory and terminal, so that what they print, ask and end with is
 * the same.
 */
#ifndef CW_CLI_HAND_OVER_H
#define CW_CLI_HAND_OVER_H

#include "cli/cli.h"

/*
 * Asks the daemon of this home, if there is one, to run the command of cli.
 * Returns 1 if it has run (cli->was_handed_over, cli->handed_status); 0 if no
 * daemon answers; -1 if it refused, or went away meanwhile.
 */
int cw_cli_hand_over(struct cw_cli *cli, struct cw_error *err);

/*
 * Ends this process as the child of the daemon was ended, if it was ended by a
 * signal; else returns.
 */
void cw_cli_end_alike(const struct cw_cli *cli);

#endif
