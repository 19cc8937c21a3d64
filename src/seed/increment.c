#include "seed/increment.h"

#include "base/bytes.h"
#include "media/set.h"
#include "store/increment.h"

#include <inttypes.h>

int
cw_increment_check(const struct cw_pack_options *o, struct cw_error *err)
{
	return o->since == 0
		   ? 0
		   : cw_catalog_check_since(o->catalog, o->since, err);
}

int
cw_increment_check_resume(const struct cw_pack_options *o,
    const struct cw_ledger *l, struct cw_error *err)
{
	char id[CW_SEED_ID_TEXT];

	if (o->since == l->base ||
	    (o->since_acked && o->since != 0 && l->base != 0))
		return cw_increment_check(o, err);
	cw_hex_encode(l->seed_id, CW_SEED_ID_SIZE, id);
	if (l->base == 0)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s of this store is unfinished, and is a full one: "
		    "finish it without --since, or give it up with --new",
		    id);
	return cw_error_set(err, CW_ERR_REFUSED,
	    "seed %s of this store is unfinished, and is an increment on "
	    "generation %" PRIu64 ": finish it with --since %" PRIu64
	    ", or give it up with --new",
	    id, l->base, l->base);
}

int
cw_increment_begin_pass(const struct cw_pack_options *o,
    const struct cw_ledger *l, struct cw_error *err)
{
	return l->base == 0 ? 0 : cw_catalog_spare(o->catalog, l->base, err);
}

int
cw_increment_end_pass(const struct cw_pack_options *o,
    const struct cw_ledger *l, bool *is_whole, struct cw_error *err)
{
	uint64_t again = 0;

	*is_whole = true;
	if (l->base != 0 &&
	    cw_catalog_spare_check(o->catalog, l->base, &again, err) < 0)
		return -1;
	*is_whole = again == 0;
	return 0;
}

int
cw_increment_unpacked(const struct cw_pack_options *o,
    const struct cw_ledger *l, uint64_t *entries, uint64_t *bytes,
    struct cw_error *err)
{
	return l->base == 0
		   ? cw_catalog_unpacked(o->catalog, entries, bytes, err)
		   : cw_catalog_unpacked_since(
			 o->catalog, l->base, entries, bytes, err);
}

int
cw_increment_entries(const struct cw_pack_options *o, const struct cw_ledger *l,
    uint64_t *entries, struct cw_error *err)
{
	uint64_t removals = 0;

	*entries = cw_catalog_info(o->catalog)->entries;
	if (l->base == 0)
		return 0;
	if (cw_catalog_changed_since(
		o->catalog, l->base, entries, &removals, err) < 0)
		return -1;
	*entries += removals;
	return 0;
}

int
cw_increment_report(const struct cw_pack_options *o, const struct cw_ledger *l,
    struct cw_pack_result *result, struct cw_error *err)
{
	result->base = l->base;
	if (l->base == 0)
		return 0;
	/* What it holds, not what the store does. */
	result->bytes = result->bytes_read;
	return cw_catalog_changed_since(
	    o->catalog, l->base, &result->entries, &result->removals, err);
}

int
cw_increment_export(const struct cw_pack_options *o, uint64_t base,
    const char *path, struct cw_error *err)
{
	return base == 0 ? cw_catalog_export(o->catalog, path, err)
			 : cw_catalog_export_since(o->catalog, base, path, err);
}
