#include "base/buf.h"
#include "base/crypto.h"
#include "base/progress.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/hand_over.h"
#include "cli/output.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CW_VERSION
#define CW_VERSION "unknown"
#endif

#ifdef __SANITIZE_ADDRESS__
/*
 * libgcrypt keeps its random state for good, with the pointer to it in locked
 * memory, where a leak checker does not look.
 */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libgcrypt\n";
}
const char *__lsan_default_options(void);
const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}
#endif

static const struct {
	const char *name;
	int (*run)(struct cw_cli *cli, int argc, char **argv);
	const char *summary;
} commands[] = {
    {"init", cmd_init, "make this site's identity and configuration"},
    {"card", cmd_card, "print this site's card, or its fingerprint"},
    {"pair", cmd_pair, "trust another site by its card"},
    {"key", cmd_key, "say where the keys are, and their public halves"},
    {"store", cmd_store, "declare a store; list stores"},
    {"scan", cmd_scan, "take a generation of a store now"},
    {"status", cmd_status, "roles, generations, digests of all stores"},
    {"ls", cmd_ls, "list a store's entries, or print them for mtree"},
    {"media", cmd_media, "list disks; prepare, mount and unmount media"},
    {"seed", cmd_seed, "pack a store into a sealed seed on media"},
    {"verify", cmd_verify, "check a seed on media; no key is needed"},
    {"repair", cmd_repair, "rebuild what parity can of a damaged seed"},
    {"receive", cmd_receive, "import a seed into a replica"},
    {"gate", cmd_gate, "whether this site may serve a store now"},
    {"custody", cmd_custody, "the log of what happened to a seed"},
    {"sync", cmd_sync, "catch up once with the other site"},
    {"cutover", cmd_cutover, "move a store to the other site"},
    {"link", cmd_link, "the other end of a link that ssh carries"},
    {"run", cmd_run, "the daemon: looks for changes, links to other sites"},
    {"open", cmd_open, "decrypt a volume or any age file to standard output"},
};

/* What is to come, and what there is until then. */
static const struct {
	const char *name, *until_then;
} later[] = {
    {"plan", "`causeway scan` says how large a store is"},
    {"log", "`causeway status` says which generation a store is at"},
    {"restore", "what a replica replaced or removed is kept in "
		"stores/STORE/history of its state directory"},
    {"rollback", "what a replica replaced or removed is kept in "
		 "stores/STORE/history of its state directory"},
    {"drill", "`causeway cutover` moves a store, and home again"},
    {"order", "`causeway cutover STORE --primary-lost` is typed at the site "
	      "that takes over"},
};

/* How long a command waits for who works on its store. */
#define QUIET_WAIT_MS 2000u
#define LONG_WAIT_MS  600000u

#define COMMANDS (sizeof(commands) / sizeof(*commands))

static const char usage_head[] =
    "usage: causeway [--config FILE | --home DIR] [--json] [--quiet]\n"
    "                [--progress auto|plain|none] COMMAND ...\n"
    "\n"
    "Carries a mail store across a disaster: seals it into an encrypted,\n"
    "verifiable seed on removable media, and makes a replica of it at the "
    "site\n"
    "where the media arrive.\n"
    "\n";

static const char usage_tail[] =
    "\n"
    "  --config FILE    configuration (default " CW_CONFIG_DEFAULT ")\n"
    "  --home DIR       configuration DIR/" CW_CONFIG_FILE
    " and the state beside it\n"
    "  --json           print one JSON object\n"
    "  --quiet          print errors, and what a command was asked to show\n"
    "  --progress WHEN  auto, plain (lines at intervals) or none\n"
    "  --version        print the version\n"
    "\n"
    "Begin with `causeway init NAME`; `causeway COMMAND --help` explains a "
    "command.\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 repairable damage, 4 "
    "damage\n"
    "or something missing, 5 not trusted, 6 busy, 7 refused by a safety "
    "check,\n"
    "8 other site not reached.\n";

static void
print_usage(FILE *out)
{
	(void)fputs(usage_head, out);
	for (size_t i = 0; i < COMMANDS; i++)
		(void)fprintf(
		    out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	(void)fputs(usage_tail, out);
}

/* The part of the usage that is shown with errors about it. */
static int __attribute__((format(printf, 2, 3)))
wrong_usage(struct cw_cli *cli, const char *fmt, ...)
{
	char text[CW_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cw_cli_usage_error(cli, usage_head, "%s", text);
}

static void
on_signal(int number)
{
	(void)number;
	cw_stop_request();
}

/*
 * The first signal asks long work to end in order; a second one ends the
 * process as it stands, which every command survives.
 */
static void
set_signals(void)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	stop.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

/* What the arguments ask of main itself. */
struct globals {
	bool help, version;
	const char *wrong; /* the option that was used wrongly */
	const char *why;
	int argc; /* what is left, the command first */
	char **argv;
};

/*
 * The value of a global option, in the same argument or the next one.
 * Returns false if arg is not this option.
 */
static bool
take_value(const char *arg, const char *name, int argc, char **argv, int *i,
    const char **value, struct globals *g)
{
	size_t len = strlen(name);

	if (strncmp(arg, name, len) != 0)
		return false;
	if (arg[len] == '=') {
		*value = arg + len + 1;
	} else if (arg[len] != '\0') {
		return false;
	} else if (*i + 1 < argc) {
		*value = argv[++*i];
	} else {
		g->wrong = name;
		g->why = "needs a value";
		return true;
	}
	if (**value == '\0') {
		g->wrong = name;
		g->why = "needs a value that is not empty";
	}
	return true;
}

static void
set_progress(struct cw_cli *cli, const char *value, struct globals *g)
{
	if (strcmp(value, "auto") == 0)
		cli->progress = CW_CLI_PROGRESS_AUTO;
	else if (strcmp(value, "plain") == 0)
		cli->progress = CW_CLI_PROGRESS_PLAIN;
	else if (strcmp(value, "none") == 0)
		cli->progress = CW_CLI_PROGRESS_NONE;
	else {
		g->wrong = "--progress";
		g->why = "takes auto, plain or none";
	}
}

/*
 * Takes the global options out of argv, before the command and behind it, up
 * to "--".  What is left goes to the command.
 */
static void
take_globals(struct cw_cli *cli, int argc, char **argv, struct globals *g)
{
	g->argv = cw_calloc((size_t)argc + 1, sizeof(*g->argv));
	for (int i = 1; i < argc && g->wrong == NULL; i++) {
		const char *arg = argv[i], *progress = NULL;

		if (strcmp(arg, "--") == 0 && g->argc > 0) {
			while (i < argc)
				g->argv[g->argc++] = argv[i++];
		} else if (strcmp(arg, "--json") == 0) {
			cli->json = true;
		} else if (strcmp(arg, "--quiet") == 0) {
			cli->quiet = true;
		} else if (take_value(arg, "--config", argc, argv, &i,
			       &cli->config_file, g) ||
			   take_value(arg, "--home", argc, argv, &i,
			       &cli->home_dir, g)) {
			continue;
		} else if (take_value(arg, "--progress", argc, argv, &i,
			       &progress, g)) {
			if (g->wrong == NULL)
				set_progress(cli, progress, g);
		} else if (g->argc == 0 && (strcmp(arg, "--help") == 0 ||
					       strcmp(arg, "-h") == 0)) {
			g->help = true;
		} else if (g->argc == 0 && strcmp(arg, "--version") == 0) {
			g->version = true;
		} else if (g->argc == 0 && arg[0] == '-') {
			g->wrong = arg;
			g->why = "is no option of causeway";
		} else {
			g->argv[g->argc++] = argv[i];
		}
	}
}

static int
run_command(struct cw_cli *cli, int argc, char **argv)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[0], commands[i].name) == 0) {
			optind = 0; /* getopt_long starts anew */
			opterr = 0;
			return commands[i].run(cli, argc, argv);
		}
	for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++)
		if (strcmp(argv[0], later[i].name) == 0)
			return wrong_usage(cli,
			    "causeway %s is not in this version yet, and "
			    "nothing was done; until then: %s",
			    argv[0], later[i].until_then);
	return wrong_usage(
	    cli, "there is no command %.100s; see causeway --help", argv[0]);
}

/* `causeway help COMMAND` and `causeway --help COMMAND`. */
static int
help(struct cw_cli *cli, const char *command)
{
	char *name = cw_strdup(command), option[] = "--help";
	char *argv[] = {name, option, NULL};
	int status = run_command(cli, 2, argv);

	free(name);
	return status;
}

static int
act(struct cw_cli *cli, const struct globals *g)
{
	struct cw_error err = CW_ERROR_INIT;

	if (g->wrong != NULL)
		return wrong_usage(cli, "%.200s %s", g->wrong, g->why);
	if (g->version && cli->json)
		return cw_cli_emit(cli, json_pack("{s:s, s:s}", "program",
					    "causeway", "release", CW_VERSION));
	if (g->version) {
		(void)puts("causeway " CW_VERSION);
		return 0;
	}
	if (g->argc > 0 && strcmp(g->argv[0], "help") == 0)
		return g->argc > 1 ? help(cli, g->argv[1])
				   : (print_usage(stdout), 0);
	if (g->help && g->argc > 0)
		return help(cli, g->argv[0]);
	if (g->help) {
		print_usage(stdout);
		return 0;
	}
	if (g->argc == 0) {
		if (cli->json)
			return wrong_usage(cli, "no command is given");
		print_usage(stderr);
		return cw_error_status(CW_ERR_USAGE);
	}
	if (cli->config_file != NULL && cli->home_dir != NULL)
		return wrong_usage(
		    cli, "give --config or --home, not both of them");
	if (cw_crypto_init(&err) < 0)
		return cw_cli_fail(cli, &err);
	cli->command = g->argv[0];
	return run_command(cli, g->argc, g->argv);
}

int
cw_cli_home(struct cw_cli *cli, enum cw_home_mode mode, struct cw_error *err)
{
	bool is_enough = cli->home != NULL &&
			 (mode == CW_HOME_READ || cli->home->lock_fd >= 0);
	struct cw_error why = CW_ERROR_INIT;

	if (is_enough)
		return 0;
	cw_home_close(cli->home);
	cli->home = NULL;
	if (cw_home_open(
		cli->home_dir, cli->config_file, mode, &cli->home, &why) == 0)
		return 0;
	if (err != NULL)
		*err = why;
	/* Who holds it may be a daemon that does it for us. */
	if (why.code == CW_ERR_BUSY)
		(void)cw_cli_hand_over(cli, err);
	return -1;
}

int
cw_cli_lock_store(
    struct cw_cli *cli, const char *store, int *fd, struct cw_error *err)
{
	struct cw_error why = CW_ERROR_INIT;

	if (cw_home_lock_store(cli->home, store, QUIET_WAIT_MS, fd, &why) == 0)
		return 0;
	if (why.code != CW_ERR_BUSY) {
		if (err != NULL)
			*err = why;
		return -1;
	}
	if (!cli->quiet && !cli->json)
		(void)fprintf(stderr,
		    "causeway: waiting until store %s is free\n", store);
	return cw_home_lock_store(cli->home, store, LONG_WAIT_MS, fd, err);
}

static const char *
ask_for_key(void *arg, const char *what, struct cw_error *err)
{
	return cw_ask_passphrase(arg, what, err);
}

int
cw_cli_age_identity(
    struct cw_cli *cli, struct cw_age_identity **out, struct cw_error *err)
{
	struct cw_passphrase ask = {ask_for_key, cli};

	*out = NULL;
	if (cw_cli_home(cli, CW_HOME_READ, err) < 0)
		return -1;
	return cw_identity_age(cli->home->state_fd, &ask, out, err);
}

int
cw_cli_signing_key(
    struct cw_cli *cli, struct cw_minisign_secret **out, struct cw_error *err)
{
	struct cw_passphrase ask = {ask_for_key, cli};

	*out = NULL;
	if (cw_cli_home(cli, CW_HOME_READ, err) < 0)
		return -1;
	return cw_identity_sign(cli->home->state_fd, &ask, out, err);
}

int
cw_cli_run(int argc, char **argv)
{
	struct cw_cli cli = {
	    .progress = CW_CLI_PROGRESS_AUTO, .argc = argc, .argv = argv};
	struct globals g = {.help = false};
	int status;

	/*
	 * Seeds are for anyone to verify, so what we make on media is readable
	 * to all; what is secret is made private by itself.
	 */
	(void)umask(022);
	set_signals();
	take_globals(&cli, argc, argv, &g);
	status = act(&cli, &g);
	if (cli.was_handed_over)
		status = cli.handed_status;
	cw_home_close(cli.home);
	cw_secret_free(cli.passphrase);
	free(g.argv);
	/* A result that nobody could read is no success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		/* An error that was meant for it cannot be read either. */
		if (status == 0 || cli.json)
			(void)fputs(
			    "causeway: cannot write to standard output\n",
			    stderr);
		if (status == 0)
			status = cw_error_status(CW_ERR_IO);
	}
	cw_cli_end_alike(&cli);
	return status;
}

int
main(int argc, char **argv)
{
	/*
	 * Buffers of some hundred KiB come and go with every frame: the heap
	 * keeps their pages instead of giving them back to be cleared anew.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
	return cw_cli_run(argc, argv);
}
