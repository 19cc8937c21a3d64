/*
 * The subcommands of `seed` that lie in files of their own; cmd_seed.c hands
 * them what stands behind `seed`: argv[0] is the subcommand's name.  Each
 * parses its own options (getopt_long begins anew) and returns an exit status.
 */
#ifndef CW_CLI_CMD_SEED_H
#define CW_CLI_CMD_SEED_H

#include "cli/cli.h"
#include "formats/age/age.h"
#include "seed/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A seed that is to be packed, as the command line says it. */
struct cw_seed_request {
	const char *store, *site;
	const char **to; /* directories, devices, labels */
	size_t to_count;
	bool has_ask; /* --to ask */
	struct cw_age_recipient recipients[CW_AGE_RECIPIENTS_MAX];
	size_t recipient_count; /* the site's is put first */
	uint64_t volume_size;
	bool has_parity;
	uint32_t parity_k, parity_m;
	uint32_t survive_media;
	unsigned builders;
	bool is_new;
	uint64_t since;	  /* 0: a full seed */
	bool since_acked; /* by acked_by, or the site it is for */
	const char *acked_by;
	uint32_t remake; /* a medium, see struct cw_pack_options */
};

/* Packs it, tells the result, and returns the exit status. */
int cw_cli_seed_pack(struct cw_cli *cli, struct cw_seed_request *q);
/* Adds a recipient that is not there yet; there must be room. */
void cw_cli_seed_recipient(
    struct cw_seed_request *q, const struct cw_age_recipient *r, bool is_first);

int cmd_seed_list(struct cw_cli *cli, int argc, char **argv);
/* The last manifest. */
int cmd_seed_manifest(struct cw_cli *cli, int argc, char **argv);
/* A lost medium, made again alone. */
int cmd_seed_remake(struct cw_cli *cli, int argc, char **argv);
/* Whether the media may be shipped, and if so: a "closed" event on each. */
int cmd_seed_close(struct cw_cli *cli, int argc, char **argv);
/* The packing slip. */
int cmd_seed_slip(struct cw_cli *cli, int argc, char **argv);
/* Recovery site: the receipt of an import, printed again. */
int cmd_seed_receipt(struct cw_cli *cli, int argc, char **argv);
/* Active site: takes a receipt that came as a line of text. */
int cmd_seed_confirm(struct cw_cli *cli, int argc, char **argv);

#endif
