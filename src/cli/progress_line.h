/*
 * Shows a struct cw_progress while work is done: on a terminal a line on
 * standard error that is redrawn five times a second, elsewhere plain lines
 * (the first after 1 s, then every 5 s).  --quiet and --json show nothing
 * unless --progress plain asks for it.
 */
#ifndef CW_CLI_PROGRESS_LINE_H
#define CW_CLI_PROGRESS_LINE_H

#include "base/progress.h"
#include "cli/cli.h"

#include <stdbool.h>

struct cw_progress_line;

/*
 * Begins to show p, which must outlive the line, from a thread of its own.
 * May return NULL: then nothing is shown.
 */
struct cw_progress_line *cw_progress_line_begin(
    const struct cw_cli *cli, struct cw_progress *p);
/* What is written to now ("medium 2 of 3"), behind the numbers; copied. */
void cw_progress_line_note(struct cw_progress_line *line, const char *note);
/* Clears the line and shows nothing while a question is asked, or goes on. */
void cw_progress_line_pause(struct cw_progress_line *line, bool is_paused);
/* Clears the line and ends the thread.  NULL is allowed. */
void cw_progress_line_end(struct cw_progress_line *line);

#endif
