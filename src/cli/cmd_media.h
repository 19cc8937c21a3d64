/*
 * The parts of `causeway media`, each with argv[0] its own name, and what they
 * share.
 */
#ifndef CW_CLI_CMD_MEDIA_H
#define CW_CLI_CMD_MEDIA_H

#include "cli/cli.h"
#include "media/device_use.h"

#include <stddef.h>

int cmd_media_list(struct cw_cli *cli, int argc, char **argv);
int cmd_media_prepare(struct cw_cli *cli, int argc, char **argv);
int cmd_media_mount(struct cw_cli *cli, int argc, char **argv);
int cmd_media_unmount(struct cw_cli *cli, int argc, char **argv);

/*
 * What must not be lost, by the home's configuration: the state directory and
 * the roots of all stores.  Without a home there is nothing; a home that is
 * there and can't be read is an error.
 */
struct cw_media_places {
	struct cw_device_place *list;
	size_t count;
};
int cw_media_places(
    struct cw_cli *cli, struct cw_media_places *out, struct cw_error *err);
void cw_media_places_free(struct cw_media_places *places);

#endif
