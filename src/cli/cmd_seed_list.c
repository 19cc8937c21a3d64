/*
 * `seed list` and `seed manifest`: the seeds of this site.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/cmd_seed.h"
#include "cli/output.h"
#include "media/set.h"
#include "seed/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char list_usage[] = "usage: causeway seed list\n"
				 "\n"
				 "Lists the seeds that this site packed, the "
				 "newest last: for whom, how far, "
				 "on how\n"
				 "many media.\n";

static const char manifest_usage[] =
    "usage: causeway seed manifest ID [--to FILE]\n"
    "\n"
    "Prints the last manifest of a seed: the final one when the seed is "
    "finished.\n"
    "\n"
    "  --to FILE   writes it to FILE and its signature to FILE.minisig: "
    "together they can\n"
    "              travel by mail, for `verify` and `receive` with "
    "--manifest FILE\n";

static const struct option options[] = {
    {"to", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What is left of a subcommand's arguments; -1 with *status where it ends. */
static int
parse(struct cw_cli *cli, const char *usage, int argc, char **argv,
    const char **to, int *status)
{
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 't' && to != NULL) {
			*to = optarg;
			continue;
		}
		*status = opt == 'h' ? cw_cli_help(usage)
				     : cw_cli_bad_option(cli, usage, opt, argv);
		return -1;
	}
	return argc - optind;
}

static json_t *
ledger_json(const char *id, const struct cw_ledger *l, uint64_t bytes)
{
	char time[CW_TIME_TEXT];

	cw_time_format(l->time, time);
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I}",
	    "seed_id", id, "for", l->peer, "state",
	    l->is_finished ? "sealed" : "unfinished", "generation",
	    (json_int_t)l->generation, "base_generation", (json_int_t)l->base,
	    "time", time, "volumes", (json_int_t)l->volume_count, "bytes",
	    (json_int_t)bytes, "media", (json_int_t)l->last_medium);
}

struct found {
	int64_t time;
	char id[2 * CW_SEED_ID_SIZE + 1];
};

static int
oldest_first(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->time != y->time ? (x->time < y->time ? -1 : 1)
				  : strcmp(x->id, y->id);
}

/* Reads the ledger of a seed: 0, 1 if there is none. */
static int
read_ledger(struct cw_cli *cli, int seeds, const char *id, struct cw_ledger *l)
{
	struct cw_error err = CW_ERROR_INIT;
	int dir, ret;

	dir = openat(seeds, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 1;
	ret = cw_ledger_read(dir, l, &err);
	(void)close(dir);
	if (ret < 0)
		cw_cli_warn(cli, "seed %s: %s", id, err.message);
	return ret != 0;
}

static void
list_one(struct cw_cli *cli, int seeds, const char *id, json_t *array)
{
	char bytes[CW_TEXT_MAX], time[CW_TIME_TEXT], base[48] = "";
	struct cw_ledger l;
	uint64_t sum = 0;

	if (read_ledger(cli, seeds, id, &l) != 0)
		return;
	for (size_t i = 0; i < l.volume_count; i++)
		sum += l.volumes[i].size;
	if (array != NULL)
		json_array_append_new(array, ledger_json(id, &l, sum));
	cw_text_bytes(sum, bytes);
	cw_time_format(l.time, time);
	if (l.base != 0)
		(void)snprintf(base, sizeof(base),
		    " (an increment on %" PRIu64 ")", l.base);
	cw_cli_show(cli,
	    "%s  for %s, %s, begun %s, generation %" PRIu64
	    "%s, %zu volume%s, %s on %u %s",
	    id, l.peer, l.is_finished ? "sealed" : "unfinished", time,
	    l.generation, base, l.volume_count, l.volume_count == 1 ? "" : "s",
	    bytes, l.last_medium, l.last_medium == 1 ? "medium" : "media");
	cw_ledger_close(&l);
}

/* The seeds in a directory of them, oldest first; the caller frees *all. */
static int
find_seeds(struct cw_cli *cli, DIR *dir, struct found **all, size_t *count,
    struct cw_error *err)
{
	struct dirent *entry;
	struct cw_ledger l;
	size_t room = 0;

	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		const char *id = entry->d_name;

		if (strlen(id) != sizeof((*all)->id) - 1 ||
		    read_ledger(cli, dirfd(dir), id, &l) != 0)
			continue;
		if (*count == room) {
			room = room == 0 ? 16 : 2 * room;
			*all = cw_reallocarray(*all, room, sizeof(**all));
		}
		(*all)[*count].time = l.time;
		memcpy((*all)[(*count)++].id, id, sizeof((*all)->id));
		cw_ledger_close(&l);
	}
	if (errno != 0)
		return cw_error_errno(err, "cannot read the list of seeds");
	if (*count > 1)
		qsort(*all, *count, sizeof(**all), oldest_first);
	return 0;
}

static int
list(struct cw_cli *cli)
{
	struct cw_error err = CW_ERROR_INIT;
	struct found *all = NULL;
	json_t *array = NULL;
	size_t count = 0;
	DIR *dir = NULL;
	int seeds, ret = 0;

	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	seeds = openat(
	    cli->home->state_fd, "seeds", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = seeds < 0 ? NULL : fdopendir(seeds);
	if (dir == NULL && errno != ENOENT)
		ret = cw_error_errno(&err, "cannot read the list of seeds");
	if (dir != NULL)
		ret = find_seeds(cli, dir, &all, &count, &err);
	if (ret == 0) {
		array = cli->json ? json_array() : NULL;
		for (size_t i = 0; i < count; i++)
			list_one(cli, seeds, all[i].id, array);
		if (count == 0)
			cw_cli_show(cli,
			    "No seeds yet: `causeway seed STORE --for SITE "
			    "--to DIR` packs one.");
	}
	if (dir != NULL)
		closedir(dir);
	free(all);
	if (ret < 0)
		return cw_cli_fail(cli, &err);
	return cli->json ? cw_cli_emit(cli, json_pack("{s:o}", "seeds", array))
			 : 0;
}

static int
print_manifest(struct cw_cli *cli, const char *id)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT;
	uint8_t seed[CW_SEED_ID_SIZE];
	int ret, status = 0;
	char *name;

	if (!cw_hex_decode(id, strlen(id), seed, sizeof(seed)))
		return cw_cli_usage_error(cli, manifest_usage,
		    "a seed's id is 16 hexadecimal digits: see `causeway seed "
		    "list`");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	name = cw_asprintf("seeds/%s/" CW_SET_MANIFEST, id);
	ret = cw_read_file(
	    cli->home->state_fd, name, CW_MANIFEST_TEXT_MAX, &text, &err);
	free(name);
	if (ret == 1)
		cw_error_set(&err, CW_ERR_MISSING,
		    "this site has no finished seed %s: see `causeway seed "
		    "list`",
		    id);
	if (ret != 0)
		status = cw_cli_fail(cli, &err);
	else if (cli->json)
		status = cw_cli_emit(cli,
		    json_pack("{s:s, s:o}", "seed_id", id, "manifest",
			cw_cli_json_text((const char *)text.data, text.len)));
	else
		(void)fwrite(text.data, 1, text.len, stdout);
	cw_buf_free(&text);
	return status;
}

/* The manifest and its signature as files of their own. */
static int
save_manifest(struct cw_cli *cli, const char *id, const char *to)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;
	char *from = cw_asprintf("seeds/%s/" CW_SET_MANIFEST, id);
	char *from_sig = cw_asprintf("seeds/%s/" CW_SET_SIGNATURE, id);
	char *dir = cw_strdup(to), *slash = strrchr(dir, '/');
	const char *name = slash == NULL ? to : to + (slash - dir) + 1;
	char *name_sig = cw_asprintf("%s.minisig", name);
	int fd = -1, ret = -1;

	if (slash != NULL)
		slash[slash == dir] = '\0';
	if (cw_read_file(cli->home->state_fd, from, CW_MANIFEST_TEXT_MAX, &text,
		&err) != 0 ||
	    cw_read_file(cli->home->state_fd, from_sig, CW_MINISIGN_FILE_MAX,
		&sig, &err) != 0) {
		if (err.code == CW_OK)
			cw_error_set(&err, CW_ERR_MISSING,
			    "this site has no manifest of seed %s: see "
			    "`causeway seed list`",
			    id);
		goto out;
	}
	fd = cw_open_dir(slash == NULL ? "." : dir, &err);
	if (fd < 0 ||
	    cw_save_file(fd, name_sig, sig.data, sig.len, 0644, &err) < 0 ||
	    cw_save_file(fd, name, text.data, text.len, 0644, &err) < 0)
		goto out;
	cw_cli_say(cli,
	    "The manifest of seed %s is in %s, its signature in "
	    "%s.minisig.",
	    id, to, to);
	ret = 0;
out:
	cw_close(&fd);
	free(from);
	free(from_sig);
	free(dir);
	free(name_sig);
	cw_buf_free(&text);
	cw_buf_free(&sig);
	if (ret < 0)
		return cw_cli_fail(cli, &err);
	return cli->json ? cw_cli_emit(cli, json_pack("{s:s, s:s}", "seed_id",
						id, "file", to))
			 : 0;
}

int
cmd_seed_list(struct cw_cli *cli, int argc, char **argv)
{
	int status, left = parse(cli, list_usage, argc, argv, NULL, &status);

	if (left < 0)
		return status;
	if (left > 0)
		return cw_cli_usage_error(
		    cli, list_usage, "seed list takes no arguments");
	return list(cli);
}

int
cmd_seed_manifest(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	uint8_t seed[CW_SEED_ID_SIZE];
	const char *to = NULL, *id;
	int status, left = parse(cli, manifest_usage, argc, argv, &to, &status);

	if (left < 0)
		return status;
	id = left == 1 ? argv[optind] : "";
	if (to == NULL && left == 1)
		return print_manifest(cli, id);
	if (!cw_hex_decode(id, strlen(id), seed, sizeof(seed)))
		return cw_cli_usage_error(cli, manifest_usage,
		    "seed manifest takes one seed's id, 16 hexadecimal "
		    "digits: see `causeway seed list`");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0)
		return cw_cli_fail(cli, &err);
	return save_manifest(cli, id, to);
}
