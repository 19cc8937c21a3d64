/* Cards: what is accepted has one text, but for white space around it. */
#include "base/crypto.h"
#include "formats/card/card.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[CW_CARD_TEXT_SIZE], words[CW_CARD_WORDS_SIZE];
	struct cw_card card;

	if (cw_crypto_init(NULL) < 0)
		abort();
	if (cw_card_decode((const char *)data, size, &card, NULL) < 0)
		return 0;
	cw_card_encode(&card, text);
	if (memmem(data, size, text, strlen(text)) == NULL)
		abort();
	cw_card_fingerprint_text(&card, words);
	return 0;
}
