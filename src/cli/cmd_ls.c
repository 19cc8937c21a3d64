#include "base/progress.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway ls STORE[:PATH] [--recursive]\n"
    "       causeway ls STORE --mtree\n"
    "\n"
    "Lists what the catalog knows of a store: mode, owner, group, size, time "
    "(UTC)\n"
    "and name.  PATH is relative to the root's directory; a store with "
    "several roots\n"
    "shows their names first (STORE:ROOT/PATH).\n"
    "\n"
    "  --recursive  list directories with all that is in them\n"
    "  --mtree      the whole store as a specification that mtree checks:\n"
    "               causeway ls mail --mtree | mtree -e -p /var/vmail\n"
    "\n"
    "Example: causeway ls mail:example.org/alice\n"
    "Next: run it with --mtree at both sites to compare them by other "
    "means.\n";

static const struct option options[] = {
    {"recursive", no_argument, NULL, 'r'},
    {"mtree", no_argument, NULL, 'm'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void
print_mode(const struct cw_entry *e)
{
	char text[11] = "?rwxrwxrwx";
	uint32_t mode = e->mode;

	text[0] = e->kind == CW_KIND_DIR       ? 'd'
		  : e->kind == CW_KIND_SYMLINK ? 'l'
					       : '-';
	for (unsigned i = 0; i < 9; i++)
		if ((mode & (0400u >> i)) == 0)
			text[1 + i] = '-';
	if ((mode & 04000) != 0)
		text[3] = text[3] == 'x' ? 's' : 'S';
	if ((mode & 02000) != 0)
		text[6] = text[6] == 'x' ? 's' : 'S';
	if ((mode & 01000) != 0)
		text[9] = text[9] == 'x' ? 't' : 'T';
	(void)fputs(text, stdout);
}

static void
print_owner(const char *name, uint32_t number)
{
	char quoted[CW_QUOTE_MAX];

	cw_text_quote(name, strlen(name), quoted);
	if (name[0] != '\0')
		(void)printf(" %-8s", quoted);
	else
		(void)printf(" %-8u", number);
}

static int64_t
whole_seconds(int64_t ns)
{
	return ns / 1000000000 - (ns % 1000000000 < 0 ? 1 : 0);
}

static void
print_entry(const struct cw_entry *e, const char *path, size_t len)
{
	char time[CW_TIME_TEXT], quoted[CW_QUOTE_MAX];

	print_mode(e);
	print_owner(e->user, e->uid);
	print_owner(e->group, e->gid);
	cw_time_format(whole_seconds(e->mtime_ns), time);
	cw_text_quote(path, len, quoted);
	(void)printf(" %12llu %s %s", (unsigned long long)e->size, time,
	    len > 0 ? quoted : ".");
	if (e->kind == CW_KIND_SYMLINK) {
		cw_text_quote(e->target, e->target_len, quoted);
		(void)printf(" -> %s", quoted);
	}
	(void)putchar('\n');
}

static json_t *
entry_json(const struct cw_entry *e, const char *path, size_t len)
{
	char time[CW_TIME_TEXT], mode[8];
	json_t *o;

	cw_time_format(whole_seconds(e->mtime_ns), time);
	(void)snprintf(mode, sizeof(mode), "%04o", e->mode & 07777);
	o = json_pack("{s:o, s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:s, s:I}",
	    "path", cw_cli_json_text(path, len), "kind",
	    e->kind == CW_KIND_DIR	 ? "directory"
	    : e->kind == CW_KIND_SYMLINK ? "symlink"
					 : "file",
	    "mode", mode, "uid", (json_int_t)e->uid, "gid", (json_int_t)e->gid,
	    "user", cw_cli_json_text(e->user, strlen(e->user)), "group",
	    cw_cli_json_text(e->group, strlen(e->group)), "size",
	    (json_int_t)e->size, "time", time, "generation",
	    (json_int_t)e->generation);
	if (e->kind == CW_KIND_FILE)
		json_object_set_new(o, "sha256",
		    e->has_digest ? cw_cli_json_hex(e->digest, CW_DIGEST_SIZE)
				  : json_null());
	if (e->kind == CW_KIND_SYMLINK)
		json_object_set_new(
		    o, "target", cw_cli_json_text(e->target, e->target_len));
	return o;
}

/*
 * Entries as they come.  The JSON object is written piece by piece, so that a
 * large store needs no memory.
 */
struct lister {
	struct cw_cli *cli;
	struct cw_listing listing;
	bool has_begun;
};

static int
show(struct lister *l, const struct cw_entry *e, struct cw_error *err)
{
	const char *path;
	size_t len;

	if (cw_listing_path(&l->listing, e, &path, &len, err) < 0)
		return -1;
	if (!l->cli->json) {
		print_entry(e, path, len);
	} else {
		json_t *o = entry_json(e, path, len);

		if (l->has_begun)
			(void)putchar(',');
		(void)json_dumpf(o, stdout, JSON_COMPACT);
		json_decref(o);
	}
	l->has_begun = true;
	return cw_stop_check(err);
}

/* Whether an entry lies below the directory of this catalog path. */
static int
is_below(struct lister *l, const struct cw_entry *e, const struct cw_buf *top,
    struct cw_error *err)
{
	const char *dir;
	size_t len;

	if (top->len == 0)
		return 1;
	if (cw_catalog_dir_path(l->listing.catalog, e->dir, &dir, &len, err) <
	    0)
		return -1;
	return len >= top->len && memcmp(dir, top->data, top->len) == 0 &&
	       (len == top->len || dir[top->len] == '/');
}

static int
walk(struct lister *l, int64_t dir, const struct cw_buf *top, bool is_deep,
    struct cw_error *err)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	struct cw_entry e;
	int got, ret = -1;

	if (!is_deep)
		q.dir = dir;
	if (cw_walk_open(l->listing.catalog, &q, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, err)) > 0) {
		int below = is_deep ? is_below(l, &e, top, err) : 1;

		if (below < 0 || (below > 0 && show(l, &e, err) < 0))
			goto out;
	}
	ret = got;
out:
	cw_walk_close(walk);
	return ret;
}

/* Lists a path: a directory's entries, or the one entry that it is. */
static int
list_path(struct lister *l, const char *store, const char *path, bool is_deep,
    struct cw_error *err)
{
	struct cw_catalog *c = l->listing.catalog;
	struct cw_buf top = CW_BUF_INIT;
	char quoted[CW_QUOTE_MAX];
	struct cw_entry e = CW_ENTRY_INIT;
	int64_t dir = 0;
	int found = 0, ret = -1;

	cw_listing_resolve(&l->listing, path, &top);
	if (top.len > 0) {
		found = cw_catalog_lookup_path(
		    c, cw_buf_string(&top), top.len, &e, err);
		dir = e.child;
	}
	if (found > 0) {
		cw_text_quote(path, strlen(path), quoted);
		cw_error_set(err, CW_ERR_MISSING,
		    "there is no %s in store %s at generation %llu", quoted,
		    store, (unsigned long long)cw_catalog_info(c)->generation);
	} else if (found == 0) {
		if (top.len > 0 && e.kind != CW_KIND_DIR)
			ret = show(l, &e, err);
		else
			ret = walk(l, dir, &top, is_deep, err);
	}
	cw_buf_free(&top);
	return ret;
}

static void
begin_json(struct cw_cli *cli, const char *store, struct cw_catalog *c)
{
	(void)printf("{\"version\":1,\"store\":\"%s\",\"generation\":%llu,"
		     "\"entries\":[",
	    store, (unsigned long long)cw_catalog_info(c)->generation);
	cli->has_spoken = true;
}

static int
end_json(const struct cw_error *err, int failed)
{
	(void)putchar(']');
	if (failed) {
		json_t *o = json_pack("{s:s, s:o}", "code",
		    cw_error_name(err->code), "message",
		    cw_cli_json_text(err->message, strlen(err->message)));

		(void)fputs(",\"error\":", stdout);
		(void)json_dumpf(o, stdout, JSON_COMPACT);
		json_decref(o);
	}
	(void)puts("}");
	return failed ? cw_error_status(err->code) : 0;
}

static int
list(struct cw_cli *cli, const char *store, const char *path, bool is_deep,
    bool is_mtree, struct cw_catalog *c)
{
	struct cw_error err = CW_ERROR_INIT;
	struct lister l = {.cli = cli};
	int ret;

	cw_listing_begin(&l.listing, c);
	if (is_mtree) {
		ret = cw_mtree_print(&l.listing, store, &err);
	} else {
		if (cli->json)
			begin_json(cli, store, c);
		ret = list_path(&l, store, path, is_deep, &err);
	}
	cw_listing_end(&l.listing);
	if (cli->json)
		return end_json(&err, ret < 0);
	return ret < 0 ? cw_cli_fail(cli, &err) : 0;
}

static int
ls(struct cw_cli *cli, const char *arg, bool is_deep, bool is_mtree)
{
	struct cw_error err = CW_ERROR_INIT;
	const char *colon = strchr(arg, ':');
	const struct cw_config_store *store = NULL;
	struct cw_catalog *c = NULL;
	char *name;
	int status, ret;

	name = colon == NULL ? cw_strdup(arg)
			     : cw_asprintf("%.*s", (int)(colon - arg), arg);
	ret = cw_cli_home(cli, CW_HOME_READ, &err);
	if (ret == 0)
		ret = cw_home_store(cli->home, name, &store, &err);
	free(name);
	if (ret == 0)
		ret = cw_home_catalog(
		    cli->home, store, CW_CATALOG_READ, &c, &err);
	if (ret < 0)
		return cw_cli_fail(cli, &err);
	status = list(cli, store->name, colon == NULL ? "" : colon + 1, is_deep,
	    is_mtree, c);
	cw_catalog_close(c);
	return status;
}

int
cmd_ls(struct cw_cli *cli, int argc, char **argv)
{
	bool is_deep = false, is_mtree = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":rh", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			is_deep = true;
			break;
		case 'm':
			is_mtree = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(
		    cli, usage, "ls takes one argument, STORE or STORE:PATH");
	if (is_mtree && cli->json)
		return cw_cli_usage_error(
		    cli, usage, "--mtree prints a specification, not JSON");
	if (is_mtree && strchr(argv[optind], ':') != NULL)
		return cw_cli_usage_error(cli, usage,
		    "--mtree is of a whole store; leave the path "
		    "out");
	return ls(cli, argv[optind], is_deep, is_mtree);
}
