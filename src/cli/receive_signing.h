/*
 * What `receive` signs: events in the logs of the media, and the receipt for
 * the other site.  The key is opened when it is first needed, once.
 */
#ifndef CW_CLI_RECEIVE_SIGNING_H
#define CW_CLI_RECEIVE_SIGNING_H

#include "cli/cli.h"
#include "media/set.h"
#include "seed/import.h"
#include "site/receipts.h"

#include <stdbool.h>

struct cw_receive_signing {
	struct cw_cli *cli;
	const struct cw_set *set;
	struct cw_minisign_secret *secret; /* NULL: not opened; to be freed */
	struct cw_card own;
};

/*
 * That they arrived, on each medium that does not have it yet.  Media that
 * nobody trusts are not written to; what can't be written is no reason to let
 * mail wait: it is a warning.
 */
void cw_receive_note_received(struct cw_receive_signing *s);

/*
 * For cw_import_options.begin_consume; arg is the struct.  The log says that a
 * seed goes before anything of it does.
 */
int cw_receive_begin_consume(void *arg, struct cw_error *err);

/*
 * "imported" in the logs; and the receipt for the other site into line.  False
 * if there is none: that is a warning.
 */
bool cw_receive_sign_import(struct cw_receive_signing *s,
    const struct cw_import_result *r, char line[CW_RECEIPT_TEXT_SIZE]);

#endif
