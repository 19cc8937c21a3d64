/*
 * What `receive` says of an import: in sentences, as an object, and the error
 * that ends it where something is missing.
 */
#ifndef CW_CLI_RECEIVE_REPORT_H
#define CW_CLI_RECEIVE_REPORT_H

#include "cli/cli.h"
#include "media/set.h"
#include "seed/import.h"

/*
 * Whether nothing is missing any more.  Damage that parity made good does not
 * count: all has arrived.
 */
bool cw_receive_is_whole(const struct cw_import_result *r);

/*
 * Prints the result; receipt is the line for the other site, NULL if there is
 * none.  Returns the exit status.
 */
int cw_receive_report(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *r, const char *receipt, double seconds);

#endif
