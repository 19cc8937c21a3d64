#include "seed/pack_scan.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LEFT_SHARE 10u

/* As many entries must be left; the roots themselves are entries, too. */
static uint64_t
least_entries(const struct cw_pack_options *o, uint64_t most)
{
	uint64_t known = cw_catalog_info(o->catalog)->entries;
	uint64_t roots = o->root_count;

	if (known < most)
		known = most;
	if (known <= roots)
		return 0;
	return known / LEFT_SHARE > roots ? known / LEFT_SHARE : roots + 1;
}

/* What the operator of a store that is empty all of a sudden can do. */
static void
explain(struct cw_error *err)
{
	size_t len;

	if (err == NULL || err->code != CW_ERR_REFUSED)
		return;
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len,
	    "  Mount it and run the same command again; if it is right so: "
	    "`causeway scan STORE --accept-empty` first");
}

int
cw_pack_scan(const struct cw_pack_options *o, struct cw_pack_scanned *scanned,
    struct cw_error *err)
{
	struct cw_scan_options options = {
	    /* Only the digest tells what an increment has to hold. */
	    .contents = o->since == 0 ? CW_SCAN_NO_CONTENTS : CW_SCAN_CONTENTS,
	    .excludes = o->excludes,
	    .exclude_count = o->exclude_count,
	    .least_entries = least_entries(o, scanned->most_entries),
	    .keep_unreadable = true,
	    .progress = o->progress,
	};
	struct cw_scan_result result;
	struct timespec now;
	uint64_t entries;

	/* What stamps files: it may be a tick behind. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	scanned->began_ns = cw_time_ns(now);
	cw_progress_start(o->progress, "scanning", 0, 0);
	if (cw_scan(o->catalog, o->roots, o->root_count, &options, &result,
		err) < 0) {
		explain(err);
		return -1;
	}
	entries = cw_catalog_info(o->catalog)->entries;
	if (scanned->most_entries < entries)
		scanned->most_entries = entries;
	scanned->unreadable = result.unreadable;
	scanned->first_unreadable = result.first_unreadable;
	return 0;
}
