/*
 * What verify says of what it found: to people, and as JSON.
 */
#ifndef CW_CLI_VERIFY_REPORT_H
#define CW_CLI_VERIFY_REPORT_H

#include "cli/cli.h"
#include "seed/verify.h"

#include <jansson.h>
#include <stdbool.h>

/* A line for the seed, one for each thing that is wrong, up to a bound. */
void cw_verify_say(
    struct cw_cli *cli, const struct cw_verify_result *r, bool is_quick);

/* The object of --json; certificate is the file's name, or NULL. */
json_t *cw_verify_json(
    const struct cw_verify_result *r, const char *certificate);

#endif
