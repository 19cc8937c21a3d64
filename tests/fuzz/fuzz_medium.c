/* MEDIUM: what is accepted encodes to the same bytes. */
#include "formats/manifest/medium.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_medium value;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_medium_decode((const char *)data, size, &value, NULL) < 0)
		return 0;
	if (cw_medium_encode(&value, &again, NULL) < 0 || again.len != size ||
	    (size > 0 && memcmp(again.data, data, size) != 0))
		abort();
	cw_buf_free(&again);
	return 0;
}
