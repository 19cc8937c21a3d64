/*
 * Whom a seed may be signed by, as commands that need no home see it.
 */
#ifndef CW_CLI_TRUST_H
#define CW_CLI_TRUST_H

#include "cli/cli.h"
#include "media/set.h"

#include <stddef.h>

struct cw_cli_trust {
	struct cw_set_signer *signers; /* to be freed */
	size_t count;
};

/*
 * The home's own card and those it is paired with; without a home there are
 * none, which is no error unless the operator named one.  With signer, a
 * minisign public key or the name of its file, that key alone.  Failure leaves
 * t empty.
 */
int cw_cli_trust(struct cw_cli *cli, const char *signer, struct cw_cli_trust *t,
    struct cw_error *err);

#endif
