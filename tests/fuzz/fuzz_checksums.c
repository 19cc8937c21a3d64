/* CHECKSUMS: what is accepted encodes to the same bytes. */
#include "formats/manifest/checksums.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_checksums value = CW_CHECKSUMS_INIT;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_checksums_decode((const char *)data, size, &value, NULL) < 0)
		return 0;
	if (cw_checksums_encode(&value, &again, NULL) < 0 ||
	    again.len != size ||
	    (size > 0 && memcmp(again.data, data, size) != 0))
		abort();
	cw_buf_free(&again);
	cw_checksums_free(&value);
	return 0;
}
