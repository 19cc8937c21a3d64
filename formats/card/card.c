#include "formats/card/card.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/card/words.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PREFIX	      "causeway"
#define VERSION	      "1"
#define KEYS_SIZE     72u /* age point, key id, Ed25519 point */
#define CHECKSUM_SIZE 6u  /* makes the base64 text come out even */
#define KEYS_BASE64   CW_BASE64_LEN(KEYS_SIZE + CHECKSUM_SIZE)
#define WORDS	      16u

bool
cw_card_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > CW_CARD_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return name[0] != '-' && name[len - 1] != '-';
}

static void
put_keys(const struct cw_card *card, uint8_t out[KEYS_SIZE])
{
	memcpy(out, card->age_point, 32);
	memcpy(out + 32, card->sign.key_id, 8);
	memcpy(out + 40, card->sign.point, 32);
}

/* The name is in the checksum, so that a typo in it is found too. */
static void
checksum(const char *name, size_t name_len, const uint8_t keys[KEYS_SIZE],
    uint8_t out[CHECKSUM_SIZE])
{
	static const char prefix[] = PREFIX VERSION " ";
	uint8_t text[sizeof(prefix) + CW_CARD_NAME_MAX + 1 + KEYS_SIZE];
	uint8_t digest[CW_SHA256_SIZE];
	size_t len = sizeof(prefix) - 1;

	memcpy(text, prefix, len);
	memcpy(text + len, name, name_len);
	len += name_len;
	text[len++] = ' ';
	memcpy(text + len, keys, KEYS_SIZE);
	len += KEYS_SIZE;
	cw_sha256(text, len, digest);
	memcpy(out, digest, CHECKSUM_SIZE);
}

void
cw_card_encode(const struct cw_card *card, char out[CW_CARD_TEXT_SIZE])
{
	uint8_t bytes[KEYS_SIZE + CHECKSUM_SIZE];
	char base64[KEYS_BASE64 + 1];
	size_t name_len = strnlen(card->name, sizeof(card->name));

	assert(cw_card_name_is_valid(card->name, name_len));
	put_keys(card, bytes);
	checksum(card->name, name_len, bytes, bytes + KEYS_SIZE);
	cw_base64_encode(bytes, sizeof(bytes), true, base64);
	snprintf(out, CW_CARD_TEXT_SIZE, PREFIX VERSION " %s %s", card->name,
	    base64);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether text is "causeway" and a decimal version, and which. */
static bool
take_version(const char *text, size_t len, uint64_t *version)
{
	size_t prefix = strlen(PREFIX);

	return len > prefix && memcmp(text, PREFIX, prefix) == 0 &&
	       cw_decimal_parse(
		   text + prefix, len - prefix, UINT32_MAX, version);
}

int
cw_card_decode(
    const char *text, size_t len, struct cw_card *card, struct cw_error *err)
{
	uint8_t bytes[KEYS_SIZE + CHECKSUM_SIZE + 3], expected[CHECKSUM_SIZE];
	const char *name, *base64;
	size_t name_len, got = 0;
	struct cw_card found;
	uint64_t version;

	while (len > 0 && is_space(text[len - 1]))
		len--;
	while (len > 0 && is_space(*text)) {
		text++;
		len--;
	}
	name = len == 0 ? NULL : memchr(text, ' ', len);
	if (name == NULL ||
	    !take_version(text, (size_t)(name - text), &version))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "not a card: it does not begin with \"causeway1 \"");
	if (version != 1)
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "card is of version %llu, expected 1",
		    (unsigned long long)version);
	name++;
	len -= (size_t)(name - text);
	base64 = memchr(name, ' ', len);
	name_len = base64 == NULL ? len : (size_t)(base64 - name);
	if (!cw_card_name_is_valid(name, name_len))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "card has no valid site name (a-z, 0-9 and -, at most %u)",
		    CW_CARD_NAME_MAX);
	if (base64 == NULL || len - name_len - 1 != KEYS_BASE64 ||
	    !cw_base64_decode(base64 + 1, KEYS_BASE64, true, bytes, &got) ||
	    got != KEYS_SIZE + CHECKSUM_SIZE)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "card's keys are not %u characters of base64",
		    (unsigned)KEYS_BASE64);
	checksum(name, name_len, bytes, expected);
	if (memcmp(expected, bytes + KEYS_SIZE, CHECKSUM_SIZE) != 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "card does not match its checksum: a character is wrong");
	if (!cw_ed25519_point_is_valid(bytes + 40))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "card's signing key is no valid Ed25519 point");
	memset(&found, 0, sizeof(found));
	memcpy(found.name, name, name_len);
	memcpy(found.age_point, bytes, 32);
	memcpy(found.sign.key_id, bytes + 32, 8);
	memcpy(found.sign.point, bytes + 40, 32);
	*card = found;
	return 0;
}

void
cw_card_fingerprint(
    const struct cw_card *card, uint8_t out[CW_CARD_FINGERPRINT_SIZE])
{
	uint8_t keys[KEYS_SIZE];

	put_keys(card, keys);
	cw_sha256(keys, sizeof(keys), out);
}

void
cw_card_fingerprint_words(const uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE],
    char out[CW_CARD_WORDS_SIZE])
{
	size_t len = 0;

	for (size_t i = 0; i < WORDS; i++) {
		const char *between = i == 0 ? "" : i % 4 == 0 ? " - " : " ";
		const char *word = cw_card_words[fingerprint[i]];

		memcpy(out + len, between, strlen(between));
		len += strlen(between);
		memcpy(out + len, word, strlen(word));
		len += strlen(word);
	}
	out[len] = '\0';
}

void
cw_card_fingerprint_text(
    const struct cw_card *card, char out[CW_CARD_WORDS_SIZE])
{
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE];

	cw_card_fingerprint(card, fingerprint);
	cw_card_fingerprint_words(fingerprint, out);
}

void
cw_card_short_id(const struct cw_card *card, char out[CW_CARD_SHORT_ID_SIZE])
{
	uint8_t fingerprint[CW_CARD_FINGERPRINT_SIZE];

	cw_card_fingerprint(card, fingerprint);
	cw_hex_encode(fingerprint, 8, out);
}
