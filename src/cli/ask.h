/*
 * Questions: passphrases and confirmations, on the terminal only.  Where there
 * is none, a passphrase comes from CAUSEWAY_PASSPHRASE and a confirmation from
 * --yes, or the command is refused.
 */
#ifndef CW_CLI_ASK_H
#define CW_CLI_ASK_H

#include "base/error.h"
#include "cli/cli.h"

/*
 * The passphrase, asked for once a run.  what names what it opens.  NULL with
 * CW_ERR_REFUSED where it can't be had.  It lives in secure memory as long as
 * cli does.
 */
const char *cw_ask_passphrase(
    struct cw_cli *cli, const char *what, struct cw_error *err);
/* A new one: typed twice on a terminal. */
const char *cw_ask_new_passphrase(
    struct cw_cli *cli, const char *what, struct cw_error *err);

/*
 * Returns 0 for yes (or if has_yes: --yes was given), -1 and CW_ERR_REFUSED
 * for anything else or without a terminal.  question ends in '?'.
 */
int cw_ask_yes(struct cw_cli *cli, bool has_yes, const char *question,
    struct cw_error *err);

/*
 * Asks for a line ("Path of the next medium: "); the answer, without its
 * newline, is the caller's to free.  CW_ERR_REFUSED without a terminal or at
 * its end.
 */
int cw_ask_line(struct cw_cli *cli, const char *question, char **answer,
    struct cw_error *err);

#endif
