/* Certificates: what is accepted encodes to the same bytes. */
#include "base/crypto.h"
#include "formats/certificate/certificate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_certificate value = CW_CERTIFICATE_INIT;
	struct cw_buf again = CW_BUF_INIT;

	if (cw_crypto_init(NULL) < 0)
		abort();
	if (cw_certificate_decode((const char *)data, size, &value, NULL) < 0)
		return 0;
	if (cw_certificate_encode(&value, &again, NULL) < 0 ||
	    again.len != size ||
	    (size > 0 && memcmp(again.data, data, size) != 0))
		abort();
	cw_buf_free(&again);
	cw_certificate_free(&value);
	return 0;
}
