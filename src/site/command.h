/*
 * Roots that are the output of a command: `command = NAME=PROGRAM ARG...` in
 * [store "STORE"].  Before each scan the program is run, and what it printed
 * becomes the file "output" of the root's directory, which is then a root as
 * any other (format plain):
 *
 *   ROOT/output         mode 0600
 *   ROOT/.output.new    while the program runs
 *   STATE/commands/STORE/ROOTNAME/    ROOT, unless the root was given another
 *   STATE/commands/STORE/.ROOTNAME.failed   why it failed last; gone since
 *                                           it succeeded
 *
 * The output is believed only when the program ended with status 0, everybody
 * who held its standard output has closed it, it printed something, and it
 * kept within the limits of time and size.  Then it replaces the old one at
 * once, and only if it is another: a scan finds nothing new otherwise.  In all
 * other cases the old output stays.
 *
 * A program runs as hooks do (spawn.h), with this environment:
 *
 *   PATH             CW_SPAWN_PATH
 *   HOME             of the user we run as
 *   CAUSEWAY_STORE   the store's name
 *   CAUSEWAY_ROOT    the root's name
 *   TZ, LANG, LC_ALL as we have them, if we do
 */
#ifndef CW_SITE_COMMAND_H
#define CW_SITE_COMMAND_H

#include "base/progress.h"
#include "site/home.h"

#include <stdbool.h>
#include <stddef.h>

#define CW_COMMAND_FILE "output"

struct cw_commands {
	bool has_failed[CW_CONFIG_ROOTS_MAX]; /* by the root's index */
	size_t failed;
	struct cw_error first; /* why the first of them failed */
	bool has_news; /* one failed otherwise than last time, or no more */
};

/*
 * Runs the commands of a store's roots, one after another; the caller holds
 * the store's lock.  One that fails does not stop the others: *result says
 * which and why.  -1 only for CW_ERR_INTERRUPTED: somebody asked us to stop.
 */
int cw_commands_run(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_progress *progress,
    struct cw_commands *result, struct cw_error *err);

/*
 * CW_ERR_MISSING if one failed: what is missing in WHERE ("generation 7"), and
 * why.
 */
int cw_commands_judge(
    const struct cw_commands *result, const char *where, struct cw_error *err);

/*
 * Whether a command's program is there and may be run: CW_ERR_USAGE says what
 * is wrong with it.
 */
int cw_command_check(const char *command, struct cw_error *err);

/* What became of a root of a store that is active here. */
enum cw_command_state {
	CW_COMMAND_NONE,     /* no output of a command */
	CW_COMMAND_FRESH,    /* it was run for the last scan */
	CW_COMMAND_STALE,    /* it failed then: an older output, or none */
	CW_COMMAND_UNTENDED, /* another site's command made it; none does here
			      */
};

/*
 * Which of these, by the catalog.  *why, of a stale one, is the last failure,
 * for the caller to free; else NULL.
 */
enum cw_command_state cw_command_look(const struct cw_home *home,
    const struct cw_config_store *store, const struct cw_config_root *root,
    struct cw_catalog *c, char **why);

#endif
