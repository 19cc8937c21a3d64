#include "cli/cmd_media.h"

#include "base/buf.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "media/mount.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway media list [--all] [--look]\n"
    "       causeway media prepare DEVICE --label LABEL [--fs "
    "ext4|xfs|exfat]\n"
    "                [--erase DEVICE] [--yes] [--dry-run]\n"
    "       causeway media mount DEVICE|LABEL=L|UUID=U [--read-only] [--at "
    "DIR]\n"
    "       causeway media unmount DEVICE|LABEL=L|UUID=U|DIR\n"
    "\n"
    "The disks of this machine: what is on them, who uses them, which of "
    "Causeway's\n"
    "seeds they hold; making a medium of a disk; mounting and unmounting.\n"
    "\n"
    "`causeway media list --help` and so on say more.\n";

static const char mount_usage[] =
    "usage: causeway media mount DEVICE|LABEL=L|UUID=U [--read-only] [--at "
    "DIR]\n"
    "\n"
    "Mounts a medium (nosuid, nodev, noexec) and prints where.  A disk stands "
    "for its\n"
    "only partition with a filesystem.  What is mounted already stays where "
    "it is.\n"
    "\n"
    "  --read-only  for verify and receive\n"
    "  --at DIR     an empty directory (default: " CW_MOUNT_DIR "/LABEL)\n"
    "\n"
    "Example: causeway media mount LABEL=metairie-1\n"
    "Next: `causeway seed STORE --for SITE --to DIR`, or `causeway verify "
    "DIR`.\n";

static const char unmount_usage[] =
    "usage: causeway media unmount DEVICE|LABEL=L|UUID=U|DIR\n"
    "\n"
    "Writes out what is still in memory and unmounts a medium.  When it has "
    "ended with\n"
    "0 the disk may be unplugged.\n"
    "\n"
    "Example: causeway media unmount LABEL=metairie-1\n";

enum { OPT_AT = 256, OPT_READ_ONLY };

static const struct option mount_options[] = {
    {"at", required_argument, NULL, OPT_AT},
    {"read-only", no_argument, NULL, OPT_READ_ONLY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct option no_options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void
add_place(struct cw_media_places *p, char *words, const char *path)
{
	p->list = cw_reallocarray(p->list, p->count + 1, sizeof(*p->list));
	p->list[p->count].words = words;
	p->list[p->count++].path = cw_strdup(path);
}

int
cw_media_places(
    struct cw_cli *cli, struct cw_media_places *out, struct cw_error *err)
{
	const struct cw_config *config;

	out->list = NULL;
	out->count = 0;
	if (cli->home_dir == NULL && cli->config_file == NULL &&
	    !cw_home_exists(NULL, NULL))
		return 0;
	if (cw_cli_home(cli, CW_HOME_READ, err) < 0)
		return -1;
	config = &cli->home->config;
	add_place(out,
	    cw_asprintf("Causeway's state directory %s", cli->home->state_path),
	    cli->home->state_path);
	for (size_t i = 0; i < config->store_count; i++)
		for (size_t r = 0; r < config->stores[i].root_count; r++) {
			const char *path = config->stores[i].roots[r].path;

			add_place(out,
			    cw_asprintf("the store %s (%s)",
				config->stores[i].name, path),
			    path);
		}
	return 0;
}

void
cw_media_places_free(struct cw_media_places *places)
{
	union {
		const char *looked;
		void *freed;
	} text;

	for (size_t i = 0; i < places->count; i++) {
		text.looked = places->list[i].words;
		free(text.freed);
		text.looked = places->list[i].path;
		free(text.freed);
	}
	free(places->list);
	places->list = NULL;
	places->count = 0;
}

static int
mount_medium(
    struct cw_cli *cli, const char *name, const struct cw_mount_options *o)
{
	struct cw_error err = CW_ERROR_INIT;
	char label[CW_QUOTE_MAX];
	struct cw_mounted *m;
	int status = 0;

	if (cw_mount(name, o, &m, &err) < 0)
		return cw_cli_fail(cli, &err);
	cw_text_quote(m->label, strlen(m->label), label);
	if (cli->json)
		status = cw_cli_emit(cli,
		    json_pack("{s:o, s:s, s:o, s:o, s:s, s:b, s:b}",
			"directory", cw_cli_json_text(m->dir, strlen(m->dir)),
			"device", m->device, "label",
			cw_cli_json_text(m->label, strlen(m->label)), "uuid",
			cw_cli_json_text(m->uuid, strlen(m->uuid)),
			"filesystem", m->type, "read_only", o->is_readonly,
			"was_mounted", !m->is_ours));
	else
		cw_cli_say(cli, "%s (%s \"%s\") is mounted on %s%s.", m->device,
		    m->type, label, m->dir, m->is_ours ? "" : ", as it was");
	cw_mount_keep(m);
	return status;
}

int
cmd_media_mount(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_mount_options o = {.is_readonly = false};
	int opt;

	while (
	    (opt = getopt_long(argc, argv, ":h", mount_options, NULL)) != -1) {
		switch (opt) {
		case OPT_AT:
			o.at = optarg;
			break;
		case OPT_READ_ONLY:
			o.is_readonly = true;
			break;
		case 'h':
			return cw_cli_help(mount_usage);
		default:
			return cw_cli_bad_option(cli, mount_usage, opt, argv);
		}
	}
	if (argc - optind != 1)
		return cw_cli_usage_error(cli, mount_usage,
		    "media mount takes one medium: a device, LABEL=L or "
		    "UUID=U");
	return mount_medium(cli, argv[optind], &o);
}

int
cmd_media_unmount(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	char *dir = NULL;
	int opt, status = 0;

	while ((opt = getopt_long(argc, argv, ":h", no_options, NULL)) != -1)
		return opt == 'h'
			   ? cw_cli_help(unmount_usage)
			   : cw_cli_bad_option(cli, unmount_usage, opt, argv);
	if (argc - optind != 1)
		return cw_cli_usage_error(cli, unmount_usage,
		    "media unmount takes one medium: a device, LABEL=L, UUID=U "
		    "or the directory it is mounted on");
	if (cw_unmount(argv[optind], &dir, &err) < 0)
		status = cw_cli_fail(cli, &err);
	else if (cli->json)
		status =
		    cw_cli_emit(cli, json_pack("{s:o}", "directory",
					 cw_cli_json_text(dir, strlen(dir))));
	else
		cw_cli_say(
		    cli, "%s is unmounted; the disk may be unplugged.", dir);
	free(dir);
	return status;
}

int
cmd_media(struct cw_cli *cli, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct cw_cli *cli, int argc, char **argv);
	} parts[] = {
	    {"list", cmd_media_list},
	    {"prepare", cmd_media_prepare},
	    {"mount", cmd_media_mount},
	    {"unmount", cmd_media_unmount},
	    {"umount", cmd_media_unmount},
	};

	if (argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return cw_cli_help(usage);
	for (size_t i = 0; argc > 1 && i < sizeof(parts) / sizeof(*parts); i++)
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run(cli, argc - 1, argv + 1);
	return cw_cli_usage_error(
	    cli, usage, "media takes list, prepare, mount or unmount");
}
