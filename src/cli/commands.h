/*
 * The commands.  Each parses its arguments (argv[0] is its name), calls the
 * library, prints, and returns an exit status: causeway(1), EXIT STATUS.
 */
#ifndef CW_CLI_COMMANDS_H
#define CW_CLI_COMMANDS_H

#include "cli/cli.h"

int cmd_init(struct cw_cli *cli, int argc, char **argv);
int cmd_card(struct cw_cli *cli, int argc, char **argv);
int cmd_key(struct cw_cli *cli, int argc, char **argv);
int cmd_pair(struct cw_cli *cli, int argc, char **argv);
int cmd_store(struct cw_cli *cli, int argc, char **argv);
int cmd_scan(struct cw_cli *cli, int argc, char **argv);
int cmd_status(struct cw_cli *cli, int argc, char **argv);
int cmd_ls(struct cw_cli *cli, int argc, char **argv);
int cmd_seed(struct cw_cli *cli, int argc, char **argv);
int cmd_verify(struct cw_cli *cli, int argc, char **argv);
int cmd_repair(struct cw_cli *cli, int argc, char **argv);
int cmd_receive(struct cw_cli *cli, int argc, char **argv);
int cmd_link(struct cw_cli *cli, int argc, char **argv);
int cmd_sync(struct cw_cli *cli, int argc, char **argv);
int cmd_cutover(struct cw_cli *cli, int argc, char **argv);
int cmd_run(struct cw_cli *cli, int argc, char **argv);
int cmd_open(struct cw_cli *cli, int argc, char **argv);
int cmd_gate(struct cw_cli *cli, int argc, char **argv);
int cmd_custody(struct cw_cli *cli, int argc, char **argv);
int cmd_media(struct cw_cli *cli, int argc, char **argv);

#endif
