#include "replica/replica.h"

int
cw_replica_open(const char *store_dir, struct cw_catalog *catalog,
    const struct cw_place_root *roots, size_t root_count,
    struct cw_replica *out, struct cw_error *err)
{
	*out = (struct cw_replica){
	    .catalog = catalog, .roots = roots, .root_count = root_count};
	out->place = cw_place_new(roots, root_count);
	if (cw_staging_open(store_dir, &out->staging, err) < 0 ||
	    cw_history_open(store_dir, &out->history, err) < 0 ||
	    cw_incoming_open(
		store_dir, roots, root_count, &out->incoming, err) < 0) {
		cw_replica_close(out);
		return -1;
	}
	return 0;
}

void
cw_replica_close(struct cw_replica *r)
{
	cw_incoming_close(r->incoming);
	cw_history_close(r->history);
	cw_staging_close(r->staging);
	cw_place_free(r->place);
	*r = (struct cw_replica){0};
}
