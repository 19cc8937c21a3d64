#include "base/fs.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "site/gate.h"

#include <string.h>

static const char usage[] =
    "usage: causeway gate STORE [--force]\n"
    "\n"
    "Ends with status 0 only if this site may serve the store now, and with 7 "
    "if\n"
    "not.  Start mail services behind it: a site whose power returns before "
    "its\n"
    "line does must not serve by habit.\n"
    "\n"
    "  --force  an operator knows that no other site serves the store; this "
    "is\n"
    "           recorded, and holds until the machine is started again\n"
    "\n"
    "Example: causeway gate mail && systemctl start dovecot\n"
    "Next: where it is shut, the message says what opens it.\n";

static const struct option options[] = {
    {"force", no_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
force(struct cw_cli *cli, const char *name, struct cw_error *err)
{
	struct cw_minisign_secret *secret = NULL;
	const struct cw_config_store *store;
	int ret = -1, lock = -1;

	if (cw_cli_home(cli, CW_HOME_WRITE, err) == 0 &&
	    cw_home_store(cli->home, name, &store, err) == 0 &&
	    cw_home_lock_store(cli->home, name, 10000, &lock, err) == 0 &&
	    cw_cli_signing_key(cli, &secret, err) == 0)
		ret = cw_gate_force(cli->home, store, secret, err);
	cw_minisign_secret_free(secret);
	cw_close(&lock);
	return ret;
}

static int
gate(struct cw_cli *cli, const char *name, bool is_forced)
{
	struct cw_error err = CW_ERROR_INIT;
	const struct cw_config_store *store;
	struct cw_gate g;
	json_t *result;

	if ((is_forced && force(cli, name, &err) < 0) ||
	    cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    cw_home_store(cli->home, name, &store, &err) < 0 ||
	    cw_gate_look(cli->home, store, &g, &err) < 0)
		return cw_cli_fail(cli, &err);
	result = json_pack("{s:s, s:s, s:I, s:b, s:s, s:s}", "store", name,
	    "role", cw_role_name(g.role), "epoch", (json_int_t)g.epoch, "open",
	    g.is_open, "why", g.why, "reason", g.reason);
	if (!g.is_open) {
		cw_error_set(&err, CW_ERR_REFUSED, "%s", g.reason);
		return cw_cli_fail_with(cli, result, &err);
	}
	/* A disk that is full keeps nobody from serving. */
	if (g.epoch > 0 && cw_gate_note(cli->home, store, g.epoch, &err) < 0)
		cw_cli_warn(cli, "%s", err.message);
	if (cli->json)
		return cw_cli_emit(cli, result);
	json_decref(result);
	cw_cli_say(cli, "Store %s may be served here: %s.", name, g.reason);
	return 0;
}

int
cmd_gate(struct cw_cli *cli, int argc, char **argv)
{
	bool is_forced = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			is_forced = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(
		    cli, usage, "gate takes one argument, the store");
	return gate(cli, argv[optind], is_forced);
}
