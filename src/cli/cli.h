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
	bool has_spoken;      /* a JSON object was printed */
	struct cw_home *home; /* opened by cw_cli_home, closed by main */
	char *passphrase;     /* secret memory, NULL: not asked yet */
};

/*
 * Opens the home into cli->home, at most once.  Failure leaves it NULL.
 */
int cw_cli_home(
    struct cw_cli *cli, enum cw_home_mode mode, struct cw_error *err);

/* The home's keys, asking for the passphrase where one is needed. */
int cw_cli_age_identity(
    struct cw_cli *cli, struct cw_age_identity **out, struct cw_error *err);
int cw_cli_signing_key(
    struct cw_cli *cli, struct cw_minisign_secret **out, struct cw_error *err);

#endif
