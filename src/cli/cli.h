/*
 * What every command has: the global options, the home, and the ways to speak
 * and to fail (output.h, progress_line.h, ask.h).  main.c makes it; commands
 * take it.  Only this layer prints and exits.
 */
#ifndef CW_CLI_CLI_H
#define CW_CLI_CLI_H

#include "base/error.h"
#include "formats/age/key.h"
#include "formats/minisign/minisign.h"
#include "site/home.h"
#include "site/identity.h"

#include <stdbool.h>

enum cw_cli_progress {
	CW_CLI_PROGRESS_AUTO, /* a line on a terminal, plain lines elsewhere */
	CW_CLI_PROGRESS_PLAIN,
	CW_CLI_PROGRESS_NONE,
};

struct cw_cli {
	const char *config_file; /* --config, NULL: not given */
	const char *home_dir;	 /* --home, NULL: not given */
	bool json;
	bool quiet;
	enum cw_cli_progress progress;
	int argc;	      /* all arguments, as they were typed */
	char **argv;	      /* the program's name first */
	const char *command;  /* its name; NULL: none yet */
	bool has_spoken;      /* a JSON object was printed */
	bool was_handed_over; /* the daemon ran the command: hand_over.h */
	int handed_status;    /* its exit status */
	int killed_by;	      /* the signal that ended it, 0: none */
	struct cw_home *home; /* opened by cw_cli_home, closed by main */
	char *passphrase;     /* secret memory, NULL: not asked yet */
};

/*
 * Opens the home into cli->home, at most once.  Failure leaves it NULL.  For
 * writing, while a daemon holds it, the whole command is handed to the daemon;
 * this fails then, and cw_cli_fail says nothing and returns the status that
 * the command ended with there.  So open the home before any work is done and
 * anything is printed.
 */
int cw_cli_home(
    struct cw_cli *cli, enum cw_home_mode mode, struct cw_error *err);

/*
 * Takes the lock of a store, as cw_home_lock_store, for long enough that a
 * scan of the daemon is over; says on standard error that it waits.
 */
int cw_cli_lock_store(
    struct cw_cli *cli, const char *store, int *fd, struct cw_error *err);

/*
 * Runs one command: main, and the daemon's child for a command that was handed
 * to it.  Returns the exit status.
 */
int cw_cli_run(int argc, char **argv);

/* The home's keys, asking for the passphrase where one is needed. */
int cw_cli_age_identity(
    struct cw_cli *cli, struct cw_age_identity **out, struct cw_error *err);
int cw_cli_signing_key(
    struct cw_cli *cli, struct cw_minisign_secret **out, struct cw_error *err);

#endif
