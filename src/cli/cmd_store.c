#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway store add STORE [ROOTNAME=]DIR... [--format F]\n"
    "                          [--exclude PATTERN]... [--history TIME]\n"
    "                          [--command [ROOTNAME=]PROGRAM...]... "
    "[--follow SITE]\n"
    "       causeway store list\n"
    "\n"
    "`store add` declares a store at the active site: a name, and the "
    "directory trees\n"
    "(roots) that belong to it.  ROOTNAME is the directory's last component "
    "unless it\n"
    "is given; every path in a seed begins with it.  Nothing is read yet.\n"
    "`store list` shows stores with roots, formats, sizes and generations.\n"
    "\n"
    "  --format F         maildir or plain, for all roots (default: "
    "detected)\n"
    "  --exclude PATTERN  leave out what matches as a whole path below a "
    "root\n"
    "                     (fnmatch(3); * matches no slash); may be given "
    "again\n"
    "  --history TIME     what a replica keeps of old files: 30d, 8w, "
    "forever\n"
    "  --command [ROOTNAME=]\"PROGRAM ARG...\"\n"
    "                     a root that is what a program prints at each scan, "
    "as the\n"
    "                     file `output`; with ROOTNAME=DIR given as well, in "
    "DIR; no\n"
    "                     shell; may be given again, and DIR left out then\n"
    "  --follow SITE      an empty replica of that site's store of this name\n"
    "\n"
    "Example: causeway store add mail /var/vmail etc=/etc/dovecot \\\n"
    "           --command 'users=/usr/bin/sqlite3 /etc/mail/users.db .dump'\n"
    "Next: `causeway seed STORE --for SITE --to DIR`.\n";

static const struct option options[] = {
    {"format", required_argument, NULL, 'f'},
    {"exclude", required_argument, NULL, 'x'},
    {"history", required_argument, NULL, 'H'},
    {"follow", required_argument, NULL, 'F'},
    {"command", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Whether a path says itself where it is: absolute, no ".", "..", "//". */
static bool
is_plain(const char *path)
{
	return path[0] == '/' && strstr(path, "//") == NULL &&
	       strstr(path, "/./") == NULL && strstr(path, "/../") == NULL &&
	       !(strlen(path) > 1 && path[strlen(path) - 1] == '/') &&
	       !(strlen(path) > 2 &&
		   strcmp(path + strlen(path) - 2, "/.") == 0) &&
	       !(strlen(path) > 2 &&
		   strcmp(path + strlen(path) - 3, "/..") == 0);
}

/*
 * Fills a root from "[NAME=]DIR".  A plain path stays as it was typed, so
 * that a symlink the operator moves later is still followed.
 */
static int
parse_root(const char *arg, struct cw_config_root *root, struct cw_error *err)
{
	bool is_named;
	char *dir, *real;

	if (cw_config_root_parse(arg, &root->name, &dir, err) < 0)
		return -1;
	if (is_plain(dir)) {
		root->path = dir;
		return 0;
	}
	real = realpath(dir, NULL);
	if (real == NULL) {
		cw_error_errno(err, "cannot find directory %s", dir);
		free(dir);
		free(root->name);
		return -1;
	}
	/* "." has no name of its own. */
	is_named = strcmp(arg, dir) != 0;
	if (!is_named) {
		free(root->name);
		root->name = cw_config_root_name(real);
	}
	free(dir);
	root->path = real;
	return 0;
}

static json_t *
roots_json(const struct cw_config_store *store, struct cw_catalog *c)
{
	json_t *roots = json_array();
	size_t count = 0;
	const struct cw_root *known =
	    c != NULL ? cw_catalog_roots(c, &count) : NULL;

	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *r = &store->roots[i];
		const char *format =
		    r->command != NULL ? "plain" : store->format;

		for (size_t j = 0; j < count; j++)
			if (strcmp(known[j].name, r->name) == 0)
				format = known[j].format;
		if (format == NULL)
			(void)cw_scan_detect(r->path, &format, NULL);
		json_array_append_new(roots,
		    json_pack("{s:s, s:o, s:s?, s:o}", "name", r->name, "path",
			cw_cli_json_text(r->path, strlen(r->path)), "format",
			format, "command",
			r->command == NULL ? json_null()
					   : cw_cli_json_text(r->command,
						 strlen(r->command))));
	}
	return roots;
}

static void
print_roots(const json_t *roots)
{
	const json_t *root;
	size_t i;

	json_array_foreach(roots, i, root)
	{
		const char *format =
		    json_string_value(json_object_get(root, "format"));
		const char *command =
		    json_string_value(json_object_get(root, "command"));

		(void)printf("  root %s: %s (%s)\n",
		    json_string_value(json_object_get(root, "name")),
		    json_string_value(json_object_get(root, "path")),
		    command != NULL  ? "output of a command"
		    : format != NULL ? format
				     : "format not known");
		if (command != NULL)
			(void)printf("    command: %s\n", command);
	}
}

static int
add(struct cw_cli *cli, struct cw_config_store *store)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_catalog *c = NULL;
	const struct cw_config_store *made;
	json_t *roots;
	int lock = -1, ret;

	if (cw_cli_home(cli, CW_HOME_WRITE, &err) < 0)
		return cw_cli_fail(cli, &err);
	if (store->follow != NULL) {
		const struct cw_config_peer *peer;

		if (cw_home_peer(cli->home, store->follow, &peer, &err) < 0)
			return cw_cli_fail(cli, &err);
	}
	if (cw_home_add_store(cli->home, store, &err) < 0 ||
	    cw_home_store(cli->home, store->name, &made, &err) < 0)
		return cw_cli_fail(cli, &err);
	/* If we are killed here, the first scan makes the catalog. */
	if (made->follow == NULL) {
		ret = cw_cli_lock_store(cli, made->name, &lock, &err);
		if (ret == 0)
			ret = cw_home_catalog(
			    cli->home, made, CW_CATALOG_WRITE, &c, &err);
		cw_close(&lock);
		if (ret < 0)
			return cw_cli_fail(cli, &err);
	}
	roots = roots_json(made, NULL);
	cw_catalog_close(c);
	if (cli->json)
		return cw_cli_emit(cli,
		    json_pack("{s:s, s:s, s:o}", "store", made->name, "role",
			made->follow == NULL ? CW_ROLE_ACTIVE : CW_ROLE_STANDBY,
			"roots", roots));
	if (made->follow == NULL)
		cw_cli_say(cli, "Store %s is declared.", made->name);
	else
		cw_cli_say(cli, "Store %s is declared, a replica of %s.",
		    made->name, made->follow);
	if (!cli->quiet)
		print_roots(roots);
	json_decref(roots);
	if (made->follow == NULL)
		cw_cli_say(cli, "Next: `causeway seed %s --for SITE --to DIR`.",
		    made->name);
	else
		cw_cli_say(cli,
		    "Next: `causeway sync %s`, or `causeway run`, once the "
		    "other site is paired with an address.",
		    made->name);
	return 0;
}

static json_t *
describe(struct cw_cli *cli, const struct cw_config_store *store)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_catalog *c = NULL;
	struct cw_catalog_info info = {.generation = 0};
	json_t *o;

	if (cw_home_has_catalog(cli->home, store)) {
		if (cw_home_catalog(
			cli->home, store, CW_CATALOG_READ, &c, &err) == 0)
			info = *cw_catalog_info(c);
		else
			cw_cli_warn(
			    cli, "store %s: %s", store->name, err.message);
	}
	o = json_pack("{s:s, s:o, s:I, s:I, s:I, s:s?}", "name", store->name,
	    "roots", roots_json(store, c), "generation",
	    (json_int_t)info.generation, "entries", (json_int_t)info.entries,
	    "bytes", (json_int_t)info.bytes, "follow", store->follow);
	cw_catalog_close(c);
	return o;
}

static void
print_store(const json_t *o)
{
	char entries[CW_TEXT_MAX], bytes[CW_TEXT_MAX];
	json_int_t generation =
	    json_integer_value(json_object_get(o, "generation"));

	cw_text_count(
	    (uint64_t)json_integer_value(json_object_get(o, "entries")),
	    entries);
	cw_text_bytes(
	    (uint64_t)json_integer_value(json_object_get(o, "bytes")), bytes);
	if (generation == 0)
		(void)printf("%s: not scanned yet\n",
		    json_string_value(json_object_get(o, "name")));
	else
		(void)printf("%s: generation %lld, %s entries, %s\n",
		    json_string_value(json_object_get(o, "name")),
		    (long long)generation, entries, bytes);
	print_roots(json_object_get(o, "roots"));
}

static int
list(struct cw_cli *cli)
{
	struct cw_error err = CW_ERROR_INIT;
	json_t *stores = json_array();

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0) {
		json_decref(stores);
		return cw_cli_fail(cli, &err);
	}
	for (size_t i = 0; i < cli->home->config.store_count; i++) {
		json_t *o = describe(cli, &cli->home->config.stores[i]);

		if (!cli->json)
			print_store(o);
		json_array_append_new(stores, o);
	}
	if (cli->json)
		return cw_cli_emit(cli, json_pack("{s:o}", "stores", stores));
	json_decref(stores);
	if (cli->home->config.store_count == 0)
		cw_cli_say(cli,
		    "No store is declared; `causeway store add STORE DIR` "
		    "declares one.");
	return 0;
}

/*
 * Adds the commands, each to the root of its name if one was given a
 * directory.
 */
static int
parse_commands(struct cw_config_store *store, char **commands, size_t count,
    struct cw_error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct cw_config_root *root = NULL;
		char *name, *command;

		if (cw_config_command_parse(commands[i], &name, &command, err) <
		    0)
			return -1;
		for (size_t k = 0; k < store->root_count; k++)
			if (strcmp(store->roots[k].name, name) == 0)
				root = &store->roots[k];
		if (root != NULL && root->command != NULL) {
			cw_error_set(err, CW_ERR_USAGE,
			    "root %s has two commands; write --command "
			    "NAME=\"%s\"",
			    name, command);
			free(name);
			free(command);
			return -1;
		}
		if (root == NULL) {
			root = &store->roots[store->root_count++];
			root->name = cw_strdup(name);
			root->path = cw_config_spool(store->name, name);
			root->has_spool = true;
		}
		root->command = command;
		free(name);
	}
	return 0;
}

static int
parse_add(struct cw_cli *cli, int argc, char **argv,
    struct cw_config_store *store, char **commands, size_t command_count)
{
	struct cw_error err = CW_ERROR_INIT;
	int count = argc - optind - 2;

	if (count < 0 || (count == 0 && command_count == 0))
		return cw_cli_usage_error(cli, usage,
		    "store add takes a store's name and its directories");
	if ((size_t)count + command_count > CW_CONFIG_ROOTS_MAX)
		return cw_cli_usage_error(
		    cli, usage, "more than %u roots", CW_CONFIG_ROOTS_MAX);
	store->name = argv[optind + 1];
	store->roots =
	    cw_calloc((size_t)count + command_count, sizeof(*store->roots));
	for (int i = 0; i < count; i++) {
		if (parse_root(argv[optind + 2 + i],
			&store->roots[store->root_count], &err) < 0)
			return cw_cli_fail(cli, &err);
		store->root_count++;
	}
	if (parse_commands(store, commands, command_count, &err) < 0)
		return cw_cli_fail(cli, &err);
	return add(cli, store);
}

static void
free_args(struct cw_config_store *store)
{
	for (size_t i = 0; i < store->root_count; i++) {
		free(store->roots[i].name);
		free(store->roots[i].path);
		free(store->roots[i].command);
	}
	free(store->roots);
	free(store->excludes);
}

int
cmd_store(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_config_store store = {.name = NULL};
	char **commands = cw_calloc((size_t)argc + 1, sizeof(*commands));
	size_t command_count = 0;
	int opt, status;

	/* At most one exclude an argument; the texts stay argv's. */
	store.excludes = cw_calloc((size_t)argc + 1, sizeof(*store.excludes));
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			store.format = optarg;
			break;
		case 'x':
			store.excludes[store.exclude_count++] = optarg;
			break;
		case 'H':
			store.history = optarg;
			break;
		case 'c':
			commands[command_count++] = optarg;
			break;
		case 'F':
			store.follow = optarg;
			break;
		case 'h':
			status = cw_cli_help(usage);
			goto out;
		default:
			status = cw_cli_bad_option(cli, usage, opt, argv);
			goto out;
		}
	}
	if (optind < argc && strcmp(argv[optind], "add") == 0)
		status =
		    parse_add(cli, argc, argv, &store, commands, command_count);
	else if (argc - optind == 1 && strcmp(argv[optind], "list") == 0)
		status = list(cli);
	else
		status = cw_cli_usage_error(
		    cli, usage, "write `store add` or `store list`");
out:
	free_args(&store);
	free(commands);
	return status;
}
