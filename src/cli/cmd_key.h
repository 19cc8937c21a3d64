/*
 * The subcommands of `key`: argv[0] is the subcommand's name.
 */
#ifndef CW_CLI_CMD_KEY_H
#define CW_CLI_CMD_KEY_H

#include "cli/cli.h"

int cmd_key_split(struct cw_cli *cli, int argc, char **argv);
int cmd_key_join(struct cw_cli *cli, int argc, char **argv);

#endif
