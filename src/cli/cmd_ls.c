#include "base/clock.h"
#include "base/progress.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/ls_at.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway ls STORE[:PATH] [--recursive] [--at GENERATION]\n"
    "       causeway ls STORE --mtree [--at GENERATION]\n"
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
    "  --at GENERATION  as it was then: only where nothing of it changed "
    "since, "
    "which\n"
    "               the catalog knows; else refused (7)\n"
    "\n"
    "Example: causeway ls mail:example.org/alice\n"
    "Next: run it with --mtree at both sites to compare them by other "
    "means.\n";

static const struct option options[] = {
    {"recursive", no_argument, NULL, 'r'},
    {"mtree", no_argument, NULL, 'm'},
    {"at", required_argument, NULL, 'a'},
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

static void
print_entry(const struct cw_entry *e, const char *path, size_t len,
    struct cw_buf *quoted)
{
	char time[CW_TIME_TEXT];

	print_mode(e);
	print_owner(e->user, e->uid);
	print_owner(e->group, e->gid);
	cw_time_format(cw_time_split(e->mtime_ns).tv_sec, time);
	cw_buf_reset(quoted);
	cw_text_quote_whole(path, len, quoted);
	(void)printf(" %12llu %s %s", (unsigned long long)e->size, time,
	    len > 0 ? cw_buf_string(quoted) : ".");
	if (e->kind == CW_KIND_SYMLINK) {
		cw_buf_reset(quoted);
		cw_text_quote_whole(e->target, e->target_len, quoted);
		(void)printf(" -> %s", cw_buf_string(quoted));
	}
	(void)putchar('\n');
}

/* Bytes that are no UTF-8 are quoted, and it is said that they are. */
static void
set_quoted(json_t *o, const char *key, const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);

	if (string == NULL)
		json_object_set_new(o, key, json_true());
	json_decref(string);
}

static json_t *
entry_json(const struct cw_entry *e, const char *path, size_t len)
{
	char time[CW_TIME_TEXT], mode[8];
	json_t *o;

	cw_time_format(cw_time_split(e->mtime_ns).tv_sec, time);
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
	set_quoted(o, "path_quoted", path, len);
	if (e->kind == CW_KIND_SYMLINK)
		set_quoted(o, "target_quoted", e->target, e->target_len);
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
	uint64_t generation; /* what is listed */
	struct cw_buf quoted;
};

static int
show(struct lister *l, const struct cw_entry *e, struct cw_error *err)
{
	const char *path;
	size_t len;

	if (cw_listing_path(&l->listing, e, &path, &len, err) < 0)
		return -1;
	if (!l->cli->json) {
		print_entry(e, path, len, &l->quoted);
	} else {
		json_t *o = entry_json(e, path, len);

		if (l->has_begun)
			(void)putchar(',');
		(void)json_dumpf(o, stdout, JSON_COMPACT);
		json_decref(o);
	}
	l->has_begun = true;
	/* Nobody reads on: `ls -r | head` need not walk millions of rows. */
	if (ferror(stdout))
		return cw_error_set(
		    err, CW_ERR_IO, "cannot write to standard output");
	return cw_stop_check(err);
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
		int below = 1;

		if (is_deep)
			below =
			    cw_listing_is_below(&l->listing, e.dir, top, err);
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
		    store, (unsigned long long)l->generation);
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
begin_json(struct cw_cli *cli, const char *store, uint64_t generation)
{
	(void)printf("{\"version\":1,\"store\":\"%s\",\"generation\":%llu,"
		     "\"entries\":[",
	    store, (unsigned long long)generation);
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

/* What is asked for. */
struct request {
	const char *path;
	bool is_deep, is_mtree;
	uint64_t at; /* 0: now */
};

/* Whether what is there now may be shown for what was there then. */
static int
check_at(struct lister *l, const char *store, const struct request *q,
    struct cw_error *err)
{
	struct cw_buf top = CW_BUF_INIT;
	int ret;

	if (cw_catalog_hold(l->listing.catalog, err) < 0 ||
	    cw_catalog_refresh(l->listing.catalog, err) < 0)
		return -1;
	if (!q->is_mtree)
		cw_listing_resolve(&l->listing, q->path, &top);
	ret = cw_ls_at_check(
	    &l->listing, store, q->at, &top, q->is_deep || q->is_mtree, err);
	cw_buf_free(&top);
	l->generation = q->at;
	return ret;
}

static int
list(struct cw_cli *cli, const char *store, const struct request *q,
    struct cw_catalog *c)
{
	struct cw_error err = CW_ERROR_INIT;
	struct lister l = {.cli = cli, .quoted = CW_BUF_INIT};
	bool is_json = false;
	int ret = 0;

	cw_listing_begin(&l.listing, c);
	l.generation = cw_catalog_info(c)->generation;
	if (q->at > 0)
		ret = check_at(&l, store, q, &err);
	if (ret == 0 && q->is_mtree) {
		ret = cw_mtree_print(&l.listing, store, l.generation, &err);
	} else if (ret == 0) {
		is_json = cli->json;
		if (is_json)
			begin_json(cli, store, l.generation);
		ret = list_path(&l, store, q->path, q->is_deep, &err);
	}
	cw_listing_end(&l.listing);
	cw_buf_free(&l.quoted);
	cw_catalog_release(c);
	if (is_json)
		return end_json(&err, ret < 0);
	return ret < 0 ? cw_cli_fail(cli, &err) : 0;
}

static int
ls(struct cw_cli *cli, const char *arg, struct request *q)
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
	q->path = colon == NULL ? "" : colon + 1;
	status = list(cli, store->name, q, c);
	cw_catalog_close(c);
	return status;
}

int
cmd_ls(struct cw_cli *cli, int argc, char **argv)
{
	struct request q = {.at = 0};
	struct cw_error err = CW_ERROR_INIT;
	int opt;

	while ((opt = getopt_long(argc, argv, ":rh", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			q.is_deep = true;
			break;
		case 'm':
			q.is_mtree = true;
			break;
		case 'a':
			if (cw_ls_at_parse(optarg, &q.at, &err) == 0)
				break;
			if (err.code == CW_ERR_USAGE)
				return cw_cli_usage_error(
				    cli, usage, "%s", err.message);
			return cw_cli_fail(cli, &err);
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(
		    cli, usage, "ls takes one argument, STORE or STORE:PATH");
	if (q.is_mtree && cli->json)
		return cw_cli_usage_error(
		    cli, usage, "--mtree prints a specification, not JSON");
	if (q.is_mtree && strchr(argv[optind], ':') != NULL)
		return cw_cli_usage_error(cli, usage,
		    "--mtree is of a whole store; leave the path "
		    "out");
	return ls(cli, argv[optind], &q);
}
