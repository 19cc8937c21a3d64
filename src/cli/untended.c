#include "cli/untended.h"

#include "base/buf.h"
#include "cli/output.h"

#include <stdlib.h>

char *
cw_cli_untended(const struct cw_cli *cli, const struct cw_config_store *store,
    const struct cw_config_root *root)
{
	return cw_asprintf(
	    "root %s was the output of a command at the site where the store "
	    "was active before; here no command makes it, so that it stays as "
	    "it came.  To have it made here, add the line `command = "
	    "%s=PROGRAM ARG...` to [store \"%s\"] of %s",
	    root->name, root->name, store->name, cli->home->config_path);
}

void
cw_cli_warn_untended(struct cw_cli *cli, const struct cw_config_store *store,
    struct cw_catalog *c)
{
	for (size_t i = 0; i < store->root_count; i++) {
		const struct cw_config_root *root = &store->roots[i];
		char *why, *text;

		if (cw_command_look(cli->home, store, root, c, &why) ==
		    CW_COMMAND_UNTENDED) {
			text = cw_cli_untended(cli, store, root);
			cw_cli_warn(cli, "%s", text);
			free(text);
		}
		free(why);
	}
}
