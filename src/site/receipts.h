/*
 * Receipts of seeds, kept at both sites:
 *
 *   STATE/receipts/SEED-ID         recovery site: what it signed, one line
 *   STATE/seeds/SEED-ID/receipt    active site: what came back, a line for
 *                                  each site that imported the seed
 *
 * The recovery site makes one whenever `receive` ends, replacing the last; it
 * is printed, and goes to the active site in HELLO of every session.
 */
#ifndef CW_SITE_RECEIPTS_H
#define CW_SITE_RECEIPTS_H

#include "formats/receipt/receipt.h"
#include "media/set.h"
#include "site/home.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_RECEIPTS_DIR	      "receipts" /* of the state directory */
#define CW_RECEIPTS_FILE      "receipt"	 /* of a seed's, at the active site */
#define CW_RECEIPTS_SITES_MAX 32u	 /* that one seed is confirmed by */

/*
 * For `receive`, after the import: makes, signs and durably keeps the receipt
 * for the seed of set.  digest is the replica's state digest, NULL if it is
 * not known; wanted counts the files that did not arrive.  Where the last
 * receipt says the same, it is given again.  The line is for the operator.
 */
int cw_receipts_make(const struct cw_home *home,
    const struct cw_minisign_secret *secret, const struct cw_set *set,
    const uint8_t *digest, uint64_t wanted, char line[CW_RECEIPT_TEXT_SIZE],
    struct cw_error *err);

/* The receipt that this site made for a seed (hex id).  1 if there is none. */
int cw_receipts_load(const struct cw_home *home, const char *seed_id,
    char line[CW_RECEIPT_TEXT_SIZE], struct cw_error *err);

/* The newest receipts that this site made for a store, at most max. */
size_t cw_receipts_list(const struct cw_home *home,
    const uint8_t store_id[CW_STORE_ID_SIZE],
    char (*lines)[CW_RECEIPT_TEXT_SIZE], size_t max);

/*
 * Active site: takes a receipt (white space around it is passed over).
 * CW_ERR_UNTRUSTED: not of a paired site, not signed by it, or not for the
 * manifest that this site signed.  CW_ERR_MISSING: this site has no such seed,
 * or did not finish it.  A complete receipt is never replaced by one that is
 * not; *is_new (may be NULL) says whether anything was.  *peer (may be NULL)
 * lives as long as the configuration.
 */
int cw_receipts_confirm(const struct cw_home *home, const char *text,
    size_t len, struct cw_receipt *receipt, const struct cw_config_peer **peer,
    bool *is_new, struct cw_error *err);

/*
 * The receipts that are kept for a seed of this site, best first: complete,
 * then newest.  They were checked when they came.  Returns how many.
 */
size_t cw_receipts_of_seed(const struct cw_home *home, const char *seed_id,
    struct cw_receipt *out, size_t max);

#endif
