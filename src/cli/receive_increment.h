/*
 * What `receive` needs of an increment: where the replica is that it goes to.
 */
#ifndef CW_CLI_RECEIVE_INCREMENT_H
#define CW_CLI_RECEIVE_INCREMENT_H

#include "cli/cli.h"
#include "media/set.h"
#include "seed/import.h"

/*
 * Sets store and roots of the options to those of the replica, the one that is
 * of the seed's store unless options->store names one.  Roots and their texts
 * are the configuration's but for the array, which the caller frees.
 * CW_ERR_REFUSED where there is none, or it is no standby.
 */
int cw_cli_receive_increment(struct cw_cli *cli, const struct cw_set *set,
    struct cw_import_options *options, struct cw_error *err);

/* After it: says what came of it. */
void cw_cli_say_increment(struct cw_cli *cli, const struct cw_set *set,
    const struct cw_import_result *result, double seconds);

#endif
