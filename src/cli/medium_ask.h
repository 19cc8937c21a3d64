/*
 * Asking for the next medium of a seed (`--to ask`): by the store's hook
 * `medium` if there is one; with --json by lines on standard error and
 * standard input; else on the terminal.
 */
#ifndef CW_CLI_MEDIUM_ASK_H
#define CW_CLI_MEDIUM_ASK_H

#include "cli/cli.h"
#include "cli/media_dirs.h"
#include "cli/progress_line.h"
#include "seed/pack.h"
#include "site/config.h"

#include <stddef.h>
#include <stdint.h>

struct cw_medium_ask {
	struct cw_cli *cli;
	const struct cw_config_store *store;
	uint64_t epoch;
	struct cw_media_dirs *dirs;    /* what was mounted for --to */
	struct cw_progress_line *line; /* silent while a question stands */

	/* Ours. */
	struct cw_mounted **mounted; /* answers that named a device */
	size_t mounted_count;
	unsigned hook_tries;
	bool has_introduced;
	bool *was_unmounted; /* by us, of the media that a question tells of */
};

/*
 * Whether there is anyone to ask: CW_ERR_REFUSED if not, or the hook's own
 * error.  cli, store, epoch and dirs are set before.
 */
int cw_medium_ask_begin(struct cw_medium_ask *a, struct cw_error *err);
/* For struct cw_pack_options; arg is the cw_medium_ask. */
int cw_medium_ask(
    void *arg, const struct cw_pack_ask *ask, char **dir, struct cw_error *err);
/* Unmounts what answers made us mount. */
void cw_medium_ask_end(struct cw_medium_ask *a);

#endif
