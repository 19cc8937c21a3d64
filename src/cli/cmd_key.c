#include "base/fs.h"
#include "cli/cmd_key.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: causeway key\n"
    "       causeway key split N M [--out DIR | --print] [--identity KEYFILE]\n"
    "       causeway key join [FILE... | -] --out FILE | --print\n"
    "\n"
    "Says where this site's keys are, whether a passphrase protects them, and "
    "what\n"
    "their public halves are.  The files are the stock tools' own: `age -d -i "
    "FILE`\n"
    "opens what was sealed for this site, `minisign -V -p FILE` checks what "
    "it signed.\n"
    "\n"
    "`key split` makes shares of the age key for escrow, `key join` puts them "
    "together:\n"
    "see `causeway key split --help`.\n"
    "\n"
    "Example: causeway key\n"
    "Next: keep a copy of both private keys where no disaster reaches them.\n";

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

#define KEY_FILE_START 64u

/* Whether the age key file is itself sealed; its first bytes say so. */
static int
is_sealed(const struct cw_home *home, bool *sealed, struct cw_error *err)
{
	static const char magic[] = "age-encryption.org/v1";
	char start[KEY_FILE_START];
	size_t got = 0;
	int fd, ret;

	fd = cw_open_beneath(home->state_fd, CW_IDENTITY_AGE, 0, 0, err);
	if (fd < 0)
		return -1;
	ret = cw_read_full(fd, start, sizeof(start), &got, err);
	*sealed = got >= sizeof(magic) - 1 &&
		  memcmp(start, magic, sizeof(magic) - 1) == 0;
	explicit_bzero(start, sizeof(start));
	cw_close(&fd);
	return ret;
}

static void
print(struct cw_cli *cli, json_t *o)
{
	const char *how = json_is_true(json_object_get(o, "encrypted"))
			      ? "encrypted with a passphrase"
			      : "not encrypted";

	cw_cli_show(cli, "Opens what is sealed for this site (%s):", how);
	cw_cli_show(cli, "  private    %s",
	    json_string_value(json_object_get(o, "age_file")));
	cw_cli_show(cli, "  recipient  %s",
	    json_string_value(json_object_get(o, "age_recipient")));
	cw_cli_show(cli, "Signs what this site seals (%s):", how);
	cw_cli_show(cli, "  private    %s",
	    json_string_value(json_object_get(o, "minisign_file")));
	cw_cli_show(cli, "  public     %s",
	    json_string_value(json_object_get(o, "minisign_public_file")));
	cw_cli_show(cli, "  key        %s (id %s)",
	    json_string_value(json_object_get(o, "minisign_key")),
	    json_string_value(json_object_get(o, "minisign_key_id")));
}

static void
set_path(json_t *o, const char *key, const char *dir, const char *name)
{
	char *path = cw_asprintf("%s/%s", dir, name);

	json_object_set_new(o, key, cw_cli_json_text(path, strlen(path)));
	free(path);
}

int
cmd_key(struct cw_cli *cli, int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_card card;
	char key_id[17];
	bool sealed;
	json_t *o;
	int opt;

	if (argc > 1 && strcmp(argv[1], "split") == 0)
		return cmd_key_split(cli, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "join") == 0)
		return cmd_key_join(cli, argc - 1, argv + 1);
	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h')
			return cw_cli_help(usage);
		return cw_cli_bad_option(cli, usage, opt, argv);
	}
	if (argc != optind)
		return cw_cli_usage_error(
		    cli, usage, "key takes no argument but split and join");
	if (cw_cli_home(cli, CW_HOME_READ, &err) < 0 ||
	    cw_identity_card(cli->home->state_fd, &card, &err) < 0 ||
	    is_sealed(cli->home, &sealed, &err) < 0)
		return cw_cli_fail(cli, &err);
	o = cw_cli_json_card(&card);
	cw_minisign_key_id_text(card.sign.key_id, key_id);
	json_object_set_new(o, "minisign_key_id", json_string(key_id));
	json_object_set_new(o, "encrypted", json_boolean(sealed));
	set_path(o, "age_file", cli->home->state_path, CW_IDENTITY_AGE);
	set_path(o, "minisign_file", cli->home->state_path, CW_IDENTITY_SIGN);
	set_path(
	    o, "minisign_public_file", cli->home->state_path, CW_IDENTITY_PUB);
	if (cli->json)
		return cw_cli_emit(cli, o);
	print(cli, o);
	json_decref(o);
	return 0;
}
