/*
 * How commands speak.  People get sentences on standard output and troubles on
 * standard error; with --json one object goes to standard output and nothing
 * else does.
 */
#ifndef CW_CLI_OUTPUT_H
#define CW_CLI_OUTPUT_H

#include "base/error.h"
#include "cli/cli.h"

#include <getopt.h>
#include <jansson.h>

/*
 * Ends a command that failed: "causeway: MESSAGE" on standard error, or the
 * error object.  Returns the exit status.
 */
int cw_cli_fail(struct cw_cli *cli, const struct cw_error *err);
/* The same for a command that goes on when it is run again: says so. */
int cw_cli_fail_resumable(struct cw_cli *cli, struct cw_error *err);
/*
 * The same for a command that has a result all the same: with --json the
 * object (taken over) comes with "error" inside.
 */
int cw_cli_fail_with(
    struct cw_cli *cli, json_t *result, const struct cw_error *err);

/*
 * Ends a command that was called wrongly: the message and the first line of
 * usage on standard error.  Returns 2.
 */
int cw_cli_usage_error(struct cw_cli *cli, const char *usage, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* Prints usage on standard output, as it was asked for.  Returns 0. */
int cw_cli_help(const char *usage);
/*
 * For the '?' and ':' of getopt_long (opterr is 0; begin short options with
 * ":"): says which option was wrong.  Returns 2.
 */
int cw_cli_bad_option(
    struct cw_cli *cli, const char *usage, int opt, char **argv);

/* A line for people; nothing with --json or --quiet.  No newline in fmt. */
void cw_cli_say(struct cw_cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of what the command was asked to show: with --quiet, too. */
void cw_cli_show(struct cw_cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "causeway: warning: ..." on standard error, always. */
void cw_cli_warn(struct cw_cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Prints the object (taken over) on one line, with "version":1 first.  Call it
 * once.  Returns 0, the exit status of success.
 */
int cw_cli_emit(struct cw_cli *cli, json_t *object);

/* A JSON string of any bytes: what is no UTF-8 is quoted as for people. */
json_t *cw_cli_json_text(const char *text, size_t len);
/* len bytes as a lower-case hex string. */
json_t *cw_cli_json_hex(const void *data, size_t len);
/* A site's public half: name, card, fingerprint, age_recipient, minisign_key.
 */
json_t *cw_cli_json_card(const struct cw_card *card);

#endif
