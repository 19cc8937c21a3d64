#include "cli/cmd_media.h"

#include "base/text.h"
#include "cli/output.h"
#include "media/device_probe.h"
#include "media/device_seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS	  6u
#define MODEL_MAX 24u /* characters; more end in "..." */
#define USES_MAX  3u  /* of a device that are shown */

static const char usage[] =
    "usage: causeway media list [--all] [--look]\n"
    "\n"
    "The disks of this machine: size, bus, model, what is on them, who uses "
    "them, and\n"
    "which of Causeway's seeds are on those that are mounted.  No home is "
    "needed; root\n"
    "sees more.\n"
    "\n"
    "  --all   also empty drives, RAM disks, and what is no medium\n"
    "  --look  also look for seeds on disks that are not mounted (read-only, "
    "and\n"
    "          mounted nowhere)\n"
    "\n"
    "Next: `causeway media prepare DEVICE --label L`, `causeway media mount "
    "DEVICE`.\n";

enum { OPT_ALL = 256, OPT_LOOK };

static const struct option options[] = {
    {"all", no_argument, NULL, OPT_ALL},
    {"look", no_argument, NULL, OPT_LOOK},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What an operator with a box of disks is not looking for. */
static bool
is_shown(const struct cw_devices *all, const struct cw_device *d, bool has_all)
{
	if (d->parent >= 0)
		return is_shown(all, &all->list[d->parent], has_all);
	return has_all || (d->size > 0 && d->kind != CW_DEVICE_VIRTUAL);
}

static unsigned
count_parts(const struct cw_devices *all, size_t disk)
{
	unsigned count = 0;

	for (size_t i = 0; i < all->count; i++)
		count += all->list[i].parent == (int)disk;
	return count;
}

static json_t *
text(const char *value)
{
	return cw_cli_json_text(value, strlen(value));
}

/* A text that may be missing. */
static json_t *
text_or_null(const char *value)
{
	return value == NULL || value[0] == '\0' ? json_null() : text(value);
}

static json_t *
uses_to_json(const struct cw_device *d)
{
	json_t *uses = json_array();

	for (size_t i = 0; i < d->use_count; i++)
		json_array_append_new(uses, json_pack("{s:s, s:o}", "kind",
						cw_use_name(d->uses[i].kind),
						"what", text(d->uses[i].what)));
	return uses;
}

static json_t *
seeds_to_json(const struct cw_device *d)
{
	json_t *seeds = json_array();

	for (size_t i = 0; i < d->seed_count; i++) {
		const struct cw_device_seed *s = &d->seeds[i];
		char time[CW_TIME_TEXT];

		cw_time_format(s->time, time);
		json_array_append_new(seeds,
		    json_pack("{s:s, s:I, s:I, s:o, s:o}", "seed_id", s->id,
			"medium", (json_int_t)s->number, "media",
			(json_int_t)s->count, "label", text_or_null(s->label),
			"time", text_or_null(s->time != 0 ? time : NULL)));
	}
	return seeds;
}

static json_t *
device_to_json(const struct cw_devices *all, const struct cw_device *d)
{
	json_t *mounts = json_array(), *marks = json_array(), *object;

	for (size_t i = 0; i < d->mount_count; i++)
		json_array_append_new(mounts, text(d->mounts[i]));
	for (size_t i = 0; i < d->signature_count; i++)
		json_array_append_new(marks, text(d->signatures[i].type));
	object = json_pack("{s:s, s:o, s:s, s:o, s:I, s:s, s:o, s:o}", "name",
	    d->name, "path", text(d->path), "kind",
	    cw_device_kind_name(d->kind), "parent",
	    d->parent < 0 ? json_null() : text(all->list[d->parent].name),
	    "size", (json_int_t)d->size, "bus", d->bus, "model",
	    text_or_null(d->model), "serial", text_or_null(d->serial));
	json_object_update_new(object,
	    json_pack("{s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}",
		"removable", d->is_removable, "rotational", d->is_rotational,
		"read_only", d->is_readonly, "backing_file",
		text_or_null(d->backing), "table", text_or_null(d->table),
		"filesystem", text_or_null(d->type), "usage",
		text_or_null(d->usage), "label", text_or_null(d->label), "uuid",
		text_or_null(d->uuid)));
	json_object_update_new(object,
	    json_pack("{s:o, s:b, s:o, s:b, s:o, s:b, s:o, s:o, s:b}",
		"signatures", marks, "unknown_data", d->has_other, "mounts",
		mounts, "in_use", d->use_count > 0, "uses", uses_to_json(d),
		"looked", d->was_looked, "seeds", seeds_to_json(d), "problem",
		text_or_null(d->problem != NULL ? d->problem : d->look_problem),
		"probed", d->was_probed));
	return object;
}

/* ---- for people ---- */

static char *
quoted(const char *value)
{
	char out[CW_QUOTE_MAX];

	cw_text_quote(value, strlen(value), out);
	return cw_strdup(out);
}

/* Of a model the beginning tells, of a file's path the end. */
static char *
model_of(const struct cw_device *d)
{
	char *whole = quoted(d->backing != NULL ? d->backing : d->model);
	size_t len = strlen(whole);
	char *shown;

	if (len <= MODEL_MAX)
		return whole;
	shown = d->backing != NULL
		    ? cw_asprintf("...%s", whole + len - (MODEL_MAX - 3))
		    : cw_asprintf("%.*s...", (int)MODEL_MAX - 3, whole);
	free(whole);
	return shown;
}

static char *
contents_of(const struct cw_devices *all, size_t index)
{
	const struct cw_device *d = &all->list[index];
	unsigned parts = count_parts(all, index);
	char *label, *what;

	if (d->type[0] != '\0') {
		label = quoted(d->label);
		what = label[0] == '\0'
			   ? cw_strdup(d->type)
			   : cw_asprintf("%s \"%s\"", d->type, label);
		free(label);
		return what;
	}
	if (d->size == 0)
		return cw_strdup("no medium");
	if (d->table[0] != '\0' || parts > 0)
		return cw_asprintf(
		    "%u partition%s", parts, parts == 1 ? "" : "s");
	if (d->problem != NULL)
		return cw_asprintf("? %s", d->problem);
	if (d->has_other)
		return cw_strdup("unknown data");
	return cw_strdup("empty");
}

/* Whether a line for people says it: others may say the same. */
static bool
is_told(const struct cw_device *d, const struct cw_use *use, bool has_parts)
{
	for (size_t i = 0; use->kind == CW_USE_BACKING && &d->uses[i] != use;
	     i++)
		if (d->uses[i].kind == CW_USE_BACKING)
			return false; /* text_of tells of all of them */
	/* The partition's own line says it. */
	if (has_parts && use->kind == CW_USE_PART)
		return false;
	for (size_t i = 0; use->kind == CW_USE_MOUNTED && i < d->use_count; i++)
		if (d->uses[i].kind == CW_USE_SYSTEM &&
		    strcmp(d->uses[i].what, use->what) == 0)
			return false;
	return true;
}

/* Of many files behind loop devices the number tells enough. */
static char *
text_of(const struct cw_device *d, const struct cw_use *use)
{
	unsigned count = 0;

	for (size_t i = 0; i < d->use_count; i++)
		count += d->uses[i].kind == CW_USE_BACKING;
	return use->kind == CW_USE_BACKING && count > 1
		   ? cw_asprintf(
			 "holds the files behind %u loop devices", count)
		   : cw_use_text(use);
}

/* What matters most comes first. */
static char *
uses_of(const struct cw_device *d, bool has_parts)
{
	static const enum cw_use_kind order[] = {CW_USE_SYSTEM, CW_USE_PLACE,
	    CW_USE_SWAP, CW_USE_HELD, CW_USE_BACKING, CW_USE_MOUNTED,
	    CW_USE_PART, CW_USE_EXCLUSIVE};
	struct cw_buf out = CW_BUF_INIT;
	unsigned shown = 0;
	char *line;

	for (size_t k = 0; k < sizeof(order) / sizeof(*order); k++)
		for (size_t i = 0; i < d->use_count; i++) {
			const struct cw_use *use = &d->uses[i];
			char *text_of_use, *safe;

			if (use->kind != order[k] ||
			    !is_told(d, use, has_parts) || shown++ >= USES_MAX)
				continue;
			text_of_use = text_of(d, use);
			safe = quoted(text_of_use);
			cw_buf_printf(
			    &out, "%s%s", out.len > 0 ? ", " : "", safe);
			free(safe);
			free(text_of_use);
		}
	if (shown > USES_MAX)
		cw_buf_text(&out, ", ...");
	if (d->use_count > 0 && out.len == 0)
		cw_buf_text(&out, "in use");
	else if (d->use_count == 0)
		cw_buf_text(&out,
		    strcmp(d->usage, "filesystem") == 0 ? "not mounted"
		    : d->type[0] != '\0' || d->problem != NULL || has_parts
			? "not in use"
			: "free");
	if (d->is_readonly)
		cw_buf_text(&out, ", read-only");
	line = cw_strdup(cw_buf_string(&out));
	cw_buf_free(&out);
	return line;
}

struct row {
	char *cells[COLUMNS];
	const struct cw_device *device;
};

static void
fill_row(const struct cw_devices *all, size_t index, struct row *row)
{
	const struct cw_device *d = &all->list[index];
	char size[CW_TEXT_MAX];

	cw_text_bytes(d->size, size);
	row->device = d;
	row->cells[0] =
	    cw_asprintf("%s%s", d->parent >= 0 ? "  " : "", d->path);
	row->cells[1] = cw_strdup(size);
	row->cells[2] = cw_strdup(d->parent >= 0 ? "" : d->bus);
	row->cells[3] = d->parent >= 0 ? cw_strdup("") : model_of(d);
	row->cells[4] = contents_of(all, index);
	row->cells[5] = uses_of(d, count_parts(all, index) > 0);
}

static void
print_row(struct cw_cli *cli, char *const *cells, const size_t *widths)
{
	struct cw_buf line = CW_BUF_INIT;

	for (size_t c = 0; c < COLUMNS; c++) {
		size_t len = strlen(cells[c]);

		/* Sizes are compared, so they end below one another. */
		if (c == 1)
			cw_buf_printf(&line, "%*s", (int)(widths[c] - len), "");
		cw_buf_text(&line, cells[c]);
		if (c != 1 && c + 1 < COLUMNS)
			cw_buf_printf(&line, "%*s", (int)(widths[c] - len), "");
		if (c + 1 < COLUMNS)
			cw_buf_text(&line, "  ");
	}
	cw_cli_show(cli, "%s", cw_buf_string(&line));
	cw_buf_free(&line);
}

static void
print_seeds(struct cw_cli *cli, const struct cw_device *d)
{
	for (size_t i = 0; i < d->seed_count; i++) {
		char text[CW_DEVICE_SEED_TEXT];

		cw_device_seed_text(&d->seeds[i], text);
		cw_cli_show(cli, "      %s", text);
	}
}

static void
print_table(struct cw_cli *cli, const struct cw_devices *all, bool has_all)
{
	static const char *const heads[COLUMNS] = {
	    "DEVICE", "SIZE", "BUS", "MODEL", "WHAT IS ON IT", "IN USE"};
	struct row *rows = cw_calloc(all->count + 1, sizeof(*rows));
	size_t widths[COLUMNS], count = 1;

	for (size_t c = 0; c < COLUMNS; c++)
		rows[0].cells[c] = cw_strdup(heads[c]);
	for (size_t i = 0; i < all->count; i++)
		if (is_shown(all, &all->list[i], has_all))
			fill_row(all, i, &rows[count++]);
	for (size_t c = 0; c < COLUMNS; c++) {
		widths[c] = 0;
		for (size_t i = 0; i < count; i++)
			if (strlen(rows[i].cells[c]) > widths[c])
				widths[c] = strlen(rows[i].cells[c]);
	}
	for (size_t i = 0; i < count; i++) {
		print_row(cli, rows[i].cells, widths);
		if (rows[i].device != NULL)
			print_seeds(cli, rows[i].device);
		for (size_t c = 0; c < COLUMNS; c++)
			free(rows[i].cells[c]);
	}
	free(rows);
	if (count == 1)
		cw_cli_show(cli, "(no disk is attached)");
}

/* What was left out, and what comes next. */
static void
say_more(struct cw_cli *cli, const struct cw_devices *all, bool has_all)
{
	struct cw_buf unseen = CW_BUF_INIT;
	unsigned left_out = 0, unlooked = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct cw_device *d = &all->list[i];

		if (!is_shown(all, d, has_all))
			left_out++;
		else if (d->size > 0 && !d->was_probed)
			cw_buf_printf(&unseen, " %s", d->path);
		else if (strcmp(d->usage, "filesystem") == 0 && !d->was_looked)
			unlooked++;
	}
	cw_cli_show(cli, "%s", "");
	if (unseen.len > 0)
		cw_cli_show(cli,
		    "Could not be opened; only what the kernel says of it is "
		    "shown:%s%s.",
		    cw_buf_string(&unseen),
		    geteuid() == 0 ? "" : "; root sees more");
	if (unlooked > 0)
		cw_cli_show(cli,
		    "Seeds on disks that are not mounted are not shown; "
		    "--look looks for them.");
	if (left_out > 0)
		cw_cli_show(cli,
		    "%u drives without a medium and RAM disks are left out; "
		    "--all shows them.",
		    left_out);
	cw_cli_show(cli,
	    "A disk for a seed: causeway media prepare DEVICE --label LABEL");
	cw_buf_free(&unseen);
}

static int
list(struct cw_cli *cli, bool has_all, bool has_look)
{
	struct cw_media_places places = {NULL, 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_devices *all = NULL;
	int status = 0;

	if (cw_media_places(cli, &places, &err) < 0)
		cw_cli_warn(cli, "going on without the home: %s", err.message);
	if (cw_devices_list("", &all, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	cw_devices_probe(all);
	if (cw_devices_uses(all, places.list, places.count, true, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	cw_devices_seeds(all, has_look);
	if (cli->json) {
		json_t *devices = json_array();

		for (size_t i = 0; i < all->count; i++)
			if (is_shown(all, &all->list[i], has_all))
				json_array_append_new(devices,
				    device_to_json(all, &all->list[i]));
		status =
		    cw_cli_emit(cli, json_pack("{s:o}", "devices", devices));
	} else {
		print_table(cli, all, has_all);
		say_more(cli, all, has_all);
	}
out:
	cw_devices_free(all);
	cw_media_places_free(&places);
	return status;
}

int
cmd_media_list(struct cw_cli *cli, int argc, char **argv)
{
	bool has_all = false, has_look = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_ALL:
			has_all = true;
			break;
		case OPT_LOOK:
			has_look = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (optind != argc)
		return cw_cli_usage_error(
		    cli, usage, "media list takes no arguments");
	return list(cli, has_all, has_look);
}
