/*
 * Custody: a log that is accepted, or the good part before a bad line, is
 * accepted again alone, with the same events.
 */
#include "base/crypto.h"
#include "formats/custody/custody.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_custody log = CW_CUSTODY_INIT, again = CW_CUSTODY_INIT;
	const char *text = (const char *)data;
	int ret;

	if (cw_crypto_init(NULL) < 0)
		abort();
	ret = cw_custody_decode(text, size, &log, NULL);
	if (log.whole_len > size || (ret == 0) != (log.bad_line == 0) ||
	    (ret == 0 && log.is_torn != (log.whole_len < size)))
		abort();
	if (cw_custody_decode(text, log.whole_len, &again, NULL) < 0 ||
	    again.is_torn || again.event_count != log.event_count)
		abort();
	for (size_t i = 0; i < log.event_count; i++)
		if (log.events[i].sequence != i + 1 ||
		    strcmp(log.events[i].note, again.events[i].note) != 0)
			abort();
	cw_custody_free(&again);
	cw_custody_free(&log);
	return 0;
}
