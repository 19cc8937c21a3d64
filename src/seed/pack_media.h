/*
 * The media of a seed that is being packed: those that are written to, those
 * that were closed before, and the asking for more.
 */
#ifndef CW_SEED_PACK_MEDIA_H
#define CW_SEED_PACK_MEDIA_H

#include "formats/manifest/medium.h"
#include "seed/builder.h"
#include "seed/finish.h"
#include "seed/ledger.h"
#include "seed/pack.h"
#include "seed/parity.h"
#include "seed/target.h"

#include <stdbool.h>
#include <stdint.h>

struct cw_pack_media {
	const struct cw_pack_options *o;
	struct cw_ledger *ledger;
	int seed_dir;
	const struct cw_build *build; /* for the estimate of what is left */
	uint64_t reserve;
	struct cw_target *target;
	struct cw_target *closed; /* NULL: none is here */
	struct cw_seed_parity *parity;
	struct cw_finish *finish;

	/* Ours. */
	struct cw_pack_closed *told; /* what the next question tells of */
	size_t told_count;
	char **answers; /* directories that were not among the options' */
	size_t answer_count;
	bool is_over; /* nobody answered: nobody is asked again */
	struct cw_error over;
	uint64_t written_before; /* bytes of volumes, when this run began */
};

/*
 * The size of volumes where none was given: CW_VOLUME_SIZE_DEFAULT, or less
 * where a medium would not hold a few of them with their shards.
 */
uint64_t cw_pack_media_volume_size(
    const struct cw_pack_options *o, uint32_t shards);

/*
 * Opens the directories of the options; entries is how many the catalog has.
 * The ledger is made true (see cw_seed_parity_open).  o, ledger, seed_dir and
 * build are set before; the rest is zero.  Free it in any case.
 */
int cw_pack_media_open(
    struct cw_pack_media *m, uint64_t entries, struct cw_error *err);
void cw_pack_media_free(struct cw_pack_media *m);

/*
 * Whether one of the media failed, while the seed can do without it until it
 * is attached again or made again.
 */
bool cw_pack_media_has_failed(const struct cw_pack_media *m);

/*
 * The MEDIUM of this seed beneath a directory, whoever wrote it: 0, or 1 if
 * there is none.
 */
int cw_pack_media_peek(const char *dir, const uint8_t seed_id[CW_SEED_ID_SIZE],
    struct cw_medium *out, struct cw_error *err);

/*
 * Before the media are opened, where options->remake says so: the ledger
 * loses what was on that medium, and one of the directories gets its number.
 * CW_ERR_REFUSED, with what to do instead, where that is not the way.
 */
int cw_pack_media_remake(struct cw_pack_media *m, struct cw_error *err);

#endif
