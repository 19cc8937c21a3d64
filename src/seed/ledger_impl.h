/*
 * The inside of a ledger: ledger.c writes lines, ledger_read.c reads them,
 * ledger_state.c has what they add up to.
 */
#ifndef CW_SEED_LEDGER_IMPL_H
#define CW_SEED_LEDGER_IMPL_H

#include "seed/ledger.h"

#define LEDGER_FIRST_LINE "causeway-ledger 1"

/* ---- ledger_state.c; with the lock, or where no other thread is ---- */

struct cw_ledger_volume *ledger_find(
    const struct cw_ledger *l, uint32_t number);
struct cw_ledger_group *ledger_find_group(
    const struct cw_ledger *l, uint32_t number);
void ledger_saw_medium(struct cw_ledger *l, uint32_t medium);
void ledger_keep_volume(
    struct cw_ledger *l, const struct cw_ledger_volume *volume);
/* With its group, if it is in one. */
void ledger_drop_volume(struct cw_ledger *l, uint32_t number);
/* False if that is no group of volumes that are there and in none. */
bool ledger_keep_group(struct cw_ledger *l, uint32_t number,
    const uint32_t *volumes, uint32_t count);
/* With its shards; its volumes stay. */
void ledger_break_group(struct cw_ledger *l, uint32_t number);
/* False if it is of no group, or there already. */
bool ledger_keep_shard(
    struct cw_ledger *l, const struct cw_ledger_shard *shard);
bool ledger_lose_shard(struct cw_ledger *l, uint32_t group, uint32_t index);
void ledger_keep_closed(struct cw_ledger *l, uint32_t medium);
void ledger_reopen(struct cw_ledger *l, uint32_t medium);

#endif
