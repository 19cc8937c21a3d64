/* Receipts: what is accepted has one text. */
#include "base/crypto.h"
#include "formats/receipt/receipt.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[CW_RECEIPT_TEXT_SIZE];
	struct cw_receipt r;

	if (cw_crypto_init(NULL) < 0)
		abort();
	if (cw_receipt_decode((const char *)data, size, &r, NULL) < 0)
		return 0;
	cw_receipt_encode(&r, text);
	if (strlen(text) != size || memcmp(text, data, size) != 0)
		abort();
	return 0;
}
