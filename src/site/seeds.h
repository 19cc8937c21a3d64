/*
 * The seeds that this site packed of a store, from what its state directory
 * has of them: for whom, how far each is, and who confirmed it.
 */
#ifndef CW_SITE_SEEDS_H
#define CW_SITE_SEEDS_H

#include "formats/card/card.h"
#include "media/set.h"
#include "seed/ledger.h"
#include "site/home.h"
#include "store/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_seed_summary {
	char id[CW_SEED_ID_TEXT];
	char peer[CW_LEDGER_PEER_MAX + 1]; /* the site it is sealed for */
	const char *state; /* "unfinished", "sealed", "closed" (to ship) */
	uint64_t generation;
	uint64_t base; /* 0: a full seed */
	int64_t time;  /* of its start */
	/* The best receipt that came back. */
	bool is_confirmed;
	bool is_complete;	       /* nothing was wanted */
	uint64_t wanted;	       /* files */
	int64_t confirmed_time;	       /* of the import, by its clock */
	char by[CW_CARD_NAME_MAX + 1]; /* who: its name here */
};

/*
 * All of a store, newest first, into *out (to be freed); returns how many.
 * current (may be NULL) is the seed that the store's catalog names: one that
 * is not finished is known by it alone.
 */
size_t cw_seeds_of_store(const struct cw_home *home,
    const uint8_t store_id[CW_STORE_ID_SIZE], const uint8_t *current,
    struct cw_seed_summary **out);

/*
 * Up to which generation no site that follows needs the store's deletions any
 * more: each has acknowledged it by the link, or confirmed a complete seed of
 * it.  0: none, or it is not known of some (*waits_for then names the first;
 * it lives as long as the configuration or the seeds).  peers are those of the
 * configuration, as read.
 *
 * The next generation that is taken forgets deletions by itself, as far as
 * acknowledgements allow (generation.h); nothing is deleted here.
 */
uint64_t cw_seeds_settled(const struct cw_home *home,
    const struct cw_seed_summary *seeds, size_t count,
    const struct cw_peer *peers, const char **waits_for);

#endif
