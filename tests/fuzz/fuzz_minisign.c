/*
 * minisign: the first byte says which reader takes the rest.  Keys that are
 * accepted are written and read again; raw Ed25519 takes any key and
 * signature.
 */
#include "base/crypto.h"
#include "formats/minisign/minisign.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_public(const char *text, size_t len)
{
	struct cw_minisign_public pub, again;
	char *file;

	if (cw_minisign_public_parse(text, len, &pub, NULL) < 0)
		return;
	file = cw_minisign_public_format(&pub);
	if (cw_minisign_public_parse(file, strlen(file), &again, NULL) < 0 ||
	    !cw_minisign_public_equal(&pub, &again))
		abort();
	free(file);
}

static void
try_secret(const char *text, size_t len)
{
	struct cw_minisign_secret *secret = NULL, *again = NULL;
	char *file;

	/* Without a passphrase: scrypt would take all the time. */
	if (cw_minisign_secret_parse(text, len, NULL, &secret, NULL) < 0)
		return;
	file = cw_minisign_secret_format(secret, NULL, NULL);
	if (cw_minisign_secret_parse(file, strlen(file), NULL, &again, NULL) <
	    0)
		abort();
	cw_secret_free(file);
	cw_minisign_secret_free(again);
	cw_minisign_secret_free(secret);
}

static void
try_signature(const char *text, size_t len)
{
	struct cw_minisign_public pub = {.point = {9}};
	char comment[64];

	if (cw_minisign_sig_key_id(text, len, pub.key_id, NULL) < 0)
		return;
	(void)cw_minisign_verify(
	    &pub, "abc", 3, text, len, comment, sizeof(comment), NULL);
}

static void
try_raw(const uint8_t *data, size_t size)
{
	if (size >= 96)
		(void)cw_ed25519_verify(data, data + 96, size - 96, data + 32);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (cw_crypto_init(NULL) < 0)
		abort();
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 'p':
		try_public(text, size - 1);
		break;
	case 's':
		try_secret(text, size - 1);
		break;
	case 'm':
		try_signature(text, size - 1);
		break;
	default:
		try_raw(data + 1, size - 1);
		break;
	}
	return 0;
}
