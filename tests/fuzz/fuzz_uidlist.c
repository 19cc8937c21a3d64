/*
 * dovecot-uidlist: what is accepted, guarded, is accepted again, with the same
 * UIDVALIDITY, no fewer lines than are kept, and no lower next UID; and a
 * second time changes nothing.
 */
#include "formats/mail/uidlist.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Drops some names, always the same ones. */
static bool
is_present(void *arg, const char *base, size_t len)
{
	(void)arg;
	return len == 0 || (base[len - 1] & 3) != 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_uidlist_guard guard = {.is_present = is_present};
	struct cw_buf once = CW_BUF_INIT, twice = CW_BUF_INIT;
	struct cw_uidlist before, after;
	uint64_t dropped = 0;

	if (cw_uidlist_parse((const char *)data, size, &before, NULL) < 0)
		return 0;
	guard.next_uid = cw_uidlist_raised(&before, 100000);
	if (guard.next_uid < before.next_uid ||
	    cw_uidlist_guard(
		(const char *)data, size, &guard, &once, &dropped, NULL) < 0 ||
	    cw_uidlist_parse((const char *)once.data, once.len, &after, NULL) <
		0)
		abort();
	if (after.uidvalidity != before.uidvalidity || after.is_torn ||
	    after.lines + dropped != before.lines ||
	    after.next_uid != guard.next_uid)
		abort();
	if (cw_uidlist_guard((const char *)once.data, once.len, &guard, &twice,
		&dropped, NULL) < 0 ||
	    dropped != 0 || twice.len != once.len ||
	    memcmp(twice.data, once.data, once.len) != 0)
		abort();
	cw_buf_free(&once);
	cw_buf_free(&twice);
	return 0;
}
