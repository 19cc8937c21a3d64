#include "cli/cmd_media.h"

#include "base/text.h"
#include "cli/ask.h"
#include "cli/output.h"
#include "cli/progress_line.h"
#include "media/device_probe.h"
#include "media/prepare.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway media prepare DEVICE --label LABEL [--fs "
    "ext4|xfs|exfat]\n"
    "                [--erase DEVICE] [--yes] [--dry-run]\n"
    "\n"
    "Makes a medium of a whole disk: a partition table (GPT), one partition, "
    "a\n"
    "filesystem with a label.  Refused (7) for a disk that is mounted or in "
    "use, part\n"
    "of LVM or RAID, read-only, or that holds this system, a store or "
    "Causeway's state;\n"
    "and for one that holds anything, unless it is named twice: as DEVICE, and "
    "again\n"
    "behind --erase.\n"
    "\n"
    "  --label LABEL   letters, digits, '.', '_', '-'; up to 16 (ext4), 12 "
    "(xfs) or\n"
    "                  11 (exfat); write it on the disk, too\n"
    "  --fs KIND       ext4 (the default), xfs, or exfat (read by any "
    "computer; "
    "no\n"
    "                  journal)\n"
    "  --erase DEVICE  what is on it may be lost; says what that is, and asks\n"
    "  --yes           do not ask\n"
    "  --dry-run       say what would be lost, and write nothing\n"
    "\n"
    "Example: causeway media prepare /dev/sdb --label metairie-1 --erase "
    "/dev/sdb\n"
    "Next: `causeway media mount LABEL=metairie-1`.\n";

enum { OPT_LABEL = 256, OPT_FS, OPT_ERASE, OPT_YES, OPT_DRY };

static const struct option options[] = {
    {"label", required_argument, NULL, OPT_LABEL},
    {"fs", required_argument, NULL, OPT_FS},
    {"erase", required_argument, NULL, OPT_ERASE},
    {"yes", no_argument, NULL, OPT_YES},
    {"dry-run", no_argument, NULL, OPT_DRY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* "/dev/sdb, 2.00 TB, usb, WD Elements, serial WX11": which one it is. */
static char *
describe(const struct cw_device *d)
{
	char size[CW_TEXT_MAX], model[CW_QUOTE_MAX], serial[CW_QUOTE_MAX];

	cw_text_bytes(d->size, size);
	if (d->backing != NULL)
		cw_text_quote(d->backing, strlen(d->backing), model);
	else
		cw_text_quote(d->model, strlen(d->model), model);
	cw_text_quote(d->serial, strlen(d->serial), serial);
	return cw_asprintf("%s (%s, %s%s%s%s%s)", d->path, size, d->bus,
	    model[0] != '\0' ? ", " : "", model,
	    serial[0] != '\0' ? ", serial " : "", serial);
}

static json_t *
to_json(const struct cw_device *disk, const struct cw_prepare_options *o,
    char *const *lost, size_t lost_count, const struct cw_prepared *made)
{
	json_t *lines = json_array();
	json_t *object;

	for (size_t i = 0; i < lost_count; i++)
		json_array_append_new(
		    lines, cw_cli_json_text(lost[i], strlen(lost[i])));
	object = json_pack("{s:s, s:s, s:s, s:o, s:b}", "device", disk->path,
	    "label", o->label, "filesystem", cw_prepare_fs_name(o->fs), "lost",
	    lines, "dry_run", made == NULL);
	if (made != NULL)
		json_object_update_new(
		    object, json_pack("{s:s, s:s, s:I, s:I}", "partition",
				made->partition, "uuid", made->uuid, "size",
				(json_int_t)made->size, "usable",
				(json_int_t)made->usable));
	return object;
}

static void
say_losses(struct cw_cli *cli, const char *disk, bool is_dry, char *const *lost,
    size_t lost_count)
{
	if (lost_count == 0) {
		cw_cli_say(cli, "%s is empty: nothing is lost.", disk);
		return;
	}
	cw_cli_say(cli, "%s %s erased, and all of this lost for good:", disk,
	    is_dry ? "would be" : "will be");
	for (size_t i = 0; i < lost_count; i++)
		cw_cli_say(cli, "  %s", lost[i]);
	(void)fflush(stdout); /* before the question */
}

static void
say_made(struct cw_cli *cli, const struct cw_prepare_options *o,
    const struct cw_prepared *made)
{
	char size[CW_TEXT_MAX];

	cw_text_bytes(made->usable > 0 ? made->usable : made->size, size);
	cw_cli_say(cli, "%s is ready: %s \"%s\", UUID %s, %s%s.",
	    made->partition, cw_prepare_fs_name(o->fs), made->label, made->uuid,
	    size, made->usable > 0 ? " free" : "");
	cw_cli_say(cli,
	    "Write \"%s\" on the disk.  Next: causeway media mount LABEL=%s",
	    made->label, made->label);
}

/* Two disks of one label: nobody could say which of them is meant. */
static void
warn_of_twins(struct cw_cli *cli, const struct cw_prepare *plan)
{
	const char *label = plan->options.label;
	struct cw_devices *all;
	int disk;

	if (cw_devices_list("", &all, NULL) < 0)
		return;
	cw_devices_probe(all);
	disk =
	    cw_devices_by_number(all, plan->devices->list[plan->index].number);
	for (size_t i = 0; i < all->count && disk >= 0; i++)
		if (!cw_devices_is_on(all, (size_t)disk, i) &&
		    strcmp(all->list[i].label, label) == 0)
			cw_cli_warn(cli,
			    "%s has the label \"%s\" too: give each disk one "
			    "of its own, or LABEL=%s stands for neither",
			    all->list[i].path, label, label);
	cw_devices_free(all);
}

static int
run(struct cw_cli *cli, struct cw_prepare *plan,
    const struct cw_prepare_options *o, bool has_yes, bool is_dry)
{
	const struct cw_device *disk = &plan->devices->list[plan->index];
	struct cw_progress progress = {.what = NULL};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_prepared made;
	struct cw_progress_line *line;
	char **lost, *words = describe(disk), *question;
	size_t lost_count = cw_prepare_losses(plan, &lost);
	int ret = 0, status = 0;

	say_losses(cli, words, is_dry, lost, lost_count);
	warn_of_twins(cli, plan);
	if (is_dry) {
		if (cli->json)
			status = cw_cli_emit(
			    cli, to_json(disk, o, lost, lost_count, NULL));
		goto out;
	}
	if (lost_count > 0) {
		question = cw_asprintf("Erase %s?", words);
		ret = cw_ask_yes(cli, has_yes, question, &err);
		free(question);
	}
	if (ret == 0) {
		line = cw_progress_line_begin(cli, &progress);
		ret = cw_prepare_run(plan, &progress, &made, &err);
		cw_progress_line_end(line);
	}
	if (ret < 0) {
		status = cw_cli_fail(cli, &err);
	} else {
		say_made(cli, o, &made);
		if (cli->json)
			status = cw_cli_emit(
			    cli, to_json(disk, o, lost, lost_count, &made));
	}
out:
	cw_prepare_free_losses(lost, lost_count);
	free(words);
	return status;
}

static int
prepare(
    struct cw_cli *cli, struct cw_prepare_options *o, bool has_yes, bool is_dry)
{
	struct cw_media_places places = {NULL, 0};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_prepare *plan = NULL;
	int status;

	/* Without knowing where the stores are this is not done. */
	if (cw_media_places(cli, &places, &err) < 0) {
		status = cw_cli_fail(cli, &err);
		goto out;
	}
	o->places = places.list;
	o->place_count = places.count;
	if (cw_prepare_plan(o, &plan, &err) < 0)
		status = cw_cli_fail(cli, &err);
	else
		status = run(cli, plan, o, has_yes, is_dry);
out:
	cw_prepare_free(plan);
	cw_media_places_free(&places);
	return status;
}

int
cmd_media_prepare(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_prepare_options o = {.fs = CW_PREPARE_EXT4};
	bool has_yes = false, is_dry = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_LABEL:
			o.label = optarg;
			break;
		case OPT_FS:
			if (!cw_prepare_fs_parse(optarg, &o.fs))
				return cw_cli_usage_error(cli, usage,
				    "--fs takes ext4, xfs or exfat");
			break;
		case OPT_ERASE:
			o.erase = optarg;
			break;
		case OPT_YES:
			has_yes = true;
			break;
		case OPT_DRY:
			is_dry = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(cli, usage,
		    "media prepare takes one device, like /dev/sdb");
	if (o.label == NULL)
		return cw_cli_usage_error(
		    cli, usage, "--label is missing: what is the disk's name?");
	o.device = argv[optind];
	return prepare(cli, &o, has_yes, is_dry);
}
