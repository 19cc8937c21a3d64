#include "base/progress.h"

#include <stddef.h>

static atomic_bool stop;

void
cw_progress_start(
    struct cw_progress *p, const char *what, uint64_t bytes, uint64_t items)
{
	if (p == NULL)
		return;
	atomic_store(&p->bytes_done, 0);
	atomic_store(&p->items_done, 0);
	atomic_store(&p->bytes_total, bytes);
	atomic_store(&p->items_total, items);
	atomic_store(&p->what, what);
}

void
cw_progress_add(struct cw_progress *p, uint64_t bytes, uint64_t items)
{
	if (p == NULL)
		return;
	atomic_fetch_add_explicit(&p->bytes_done, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->items_done, items, memory_order_relaxed);
}

void
cw_stop_request(void)
{
	atomic_store(&stop, true);
}

bool
cw_stop_requested(void)
{
	return atomic_load_explicit(&stop, memory_order_relaxed);
}

int
cw_stop_check(struct cw_error *err)
{
	if (!cw_stop_requested())
		return 0;
	return cw_error_set(err, CW_ERR_INTERRUPTED,
	    "stopped by a signal; run the same command again to go on");
}
