/*
 * Shares: what is accepted has one text; in what people typed each is found,
 * and joining whatever was found gives the key it names or nothing.
 */
#include "base/crypto.h"
#include "site/escrow.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cw_age_identity *id = NULL;
	char text[CW_SHARE_TEXT_SIZE];
	struct cw_share s, *list = NULL;
	size_t count = 0;

	if (cw_crypto_init(NULL) < 0)
		abort();
	if (cw_share_decode((const char *)data, size, &s, NULL) == 0) {
		cw_share_encode(&s, text);
		if (strlen(text) != size || memcmp(text, data, size) != 0)
			abort();
	}
	(void)cw_escrow_read(
	    "it", (const char *)data, size, &list, &count, NULL);
	if ((list == NULL) != (count == 0))
		abort();
	(void)cw_escrow_join(list, count, &id, NULL);
	cw_age_identity_free(id);
	cw_secret_free(list);
	return 0;
}
