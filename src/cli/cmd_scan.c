#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "cli/untended.h"
#include "site/command.h"
#include "site/generation.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: causeway scan STORE [--contents] [--full] [--accept-empty]\n"
    "\n"
    "Looks at the store's directories and takes a generation of what is there "
    "now.\n"
    "Files are not read, unless asked for: a seed reads them anyway.  The "
    "commands of\n"
    "roots are run first; if one fails, its old output stays, all else is "
    "taken, and\n"
    "the status is 4.\n"
    "\n"
    "  --contents      read files whose content is not known yet\n"
    "  --full          look at every file, trust no directory's time\n"
    "  --accept-empty  a root that was replaced and is empty (or nearly so) "
    "now really\n"
    "                  is; else it is taken for a disk that is not mounted\n"
    "\n"
    "Example: causeway scan mail\n"
    "Next: `causeway status mail`, or `causeway seed mail --for SITE --to "
    "DIR`.\n";

static const struct option options[] = {
    {"contents", no_argument, NULL, 'c'},
    {"full", no_argument, NULL, 'f'},
    {"accept-empty", no_argument, NULL, 'e'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static json_t *
to_json(const char *store, const struct cw_scan_result *r,
    const struct cw_catalog_info *info, double seconds)
{
	return json_pack(
	    "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "store",
	    store, "generation", (json_int_t)r->generation, "added",
	    (json_int_t)r->added, "changed", (json_int_t)r->changed, "removed",
	    (json_int_t)r->removed, "moved", (json_int_t)r->moved, "suspects",
	    (json_int_t)r->suspects, "entries", (json_int_t)info->entries,
	    "bytes", (json_int_t)info->bytes, "pending",
	    (json_int_t)info->pending, "seconds", seconds);
}

/* failed: of commands, if it is set. */
static int
report(struct cw_cli *cli, const struct cw_config_store *store,
    struct cw_catalog *c, const struct cw_scan_result *r,
    const struct cw_error *failed, double seconds)
{
	const struct cw_catalog_info *info = cw_catalog_info(c);
	char added[CW_TEXT_MAX], changed[CW_TEXT_MAX], removed[CW_TEXT_MAX];
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX], took[CW_TEXT_MAX];

	if (cli->json && failed->code == CW_OK)
		return cw_cli_emit(cli, to_json(store->name, r, info, seconds));
	if (cli->json)
		return cw_cli_fail_with(
		    cli, to_json(store->name, r, info, seconds), failed);
	cw_text_count(r->added, added);
	cw_text_count(r->changed, changed);
	cw_text_count(r->removed, removed);
	cw_text_count(info->entries, entries);
	cw_text_bytes(info->bytes, bytes);
	cw_text_seconds(seconds, took);
	cw_cli_say(cli,
	    "Store %s is at generation %llu: %s entries, %s (%s added, %s "
	    "changed, %s removed; %s).",
	    store->name, (unsigned long long)r->generation, entries, bytes,
	    added, changed, removed, took);
	if (r->suspects > 0)
		cw_cli_say(cli,
		    "%llu entries were missing but may have moved; the next "
		    "scan decides.",
		    (unsigned long long)r->suspects);
	cw_cli_warn_untended(cli, store, c);
	return failed->code == CW_OK ? 0 : cw_cli_fail(cli, failed);
}

/* A root that is empty all of a sudden: what the operator can do. */
static void
explain(struct cw_error *err)
{
	size_t len = strlen(err->message);

	if (err->code == CW_ERR_REFUSED)
		(void)snprintf(err->message + len, sizeof(err->message) - len,
		    "  Mount it and scan again; --accept-empty if it really is "
		    "empty");
}

static int
scan(struct cw_cli *cli, const char *name, struct cw_scan_options o)
{
	struct cw_error err = CW_ERROR_INIT;
	const struct cw_config_store *store;
	struct cw_scan_result result = {0};
	struct cw_progress progress = {.what = NULL};
	struct cw_progress_line *line;
	struct cw_commands commands;
	struct cw_catalog *c = NULL;
	int64_t from_ns;
	double seconds;
	char where[64];
	int lock, status;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0 ||
	    cw_home_store(cli->home, name, &store, &err) < 0 ||
	    cw_home_require_active(cli->home, store,
		"its generations come from the site where it is active",
		&err) < 0)
		return cw_cli_fail(cli, &err);
	if (cw_cli_lock_store(cli, name, &lock, &err) < 0)
		return cw_cli_fail(cli, &err);
	from_ns = cw_clock_ns();
	o.progress = &progress;
	line = cw_progress_line_begin(cli, &progress);
	if (cw_home_catalog(cli->home, store, CW_CATALOG_WRITE, &c, &err) < 0 ||
	    cw_commands_run(cli->home, store, &progress, &commands, &err) < 0 ||
	    cw_home_scan(store, c, &commands, &o, &result, &err) < 0 ||
	    cw_catalog_refresh(c, &err) < 0) {
		cw_progress_line_end(line);
		cw_catalog_close(c);
		cw_close(&lock);
		explain(&err);
		return cw_cli_fail(cli, &err);
	}
	cw_progress_line_end(line);
	seconds = cw_clock_since(from_ns);
	(void)snprintf(where, sizeof(where), "generation %llu",
	    (unsigned long long)result.generation);
	(void)cw_commands_judge(&commands, where, &err);
	status = report(cli, store, c, &result, &err, seconds);
	cw_catalog_close(c);
	cw_close(&lock);
	return status;
}

int
cmd_scan(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_scan_options o = {.contents = CW_SCAN_NO_CONTENTS};
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o.contents = CW_SCAN_CONTENTS;
			break;
		case 'f':
			o.full = true;
			break;
		case 'e':
			o.accept_empty = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(
		    cli, usage, "scan takes one argument, the store");
	return scan(cli, argv[optind], o);
}
