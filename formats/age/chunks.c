#include "formats/age/chunks.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/age/age.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 32u /* handles kept: more than that many threads are rare */

/*
 * A libgcrypt cipher handle serves one thread at a time, and setting its key
 * costs a good part of a chunk.  So handles with the key set wait here, and
 * there are as many as threads were ever at work at once.
 */
struct cw_age_chunks {
	uint8_t *key; /* secret */
	pthread_mutex_t lock;
	struct cw_age_aead *idle[IDLE_MAX]; /* under lock, as idle_count */
	size_t idle_count;
};

struct cw_age_chunks *
cw_age_chunks_new(const uint8_t file_key[CW_AGE_FILE_KEY], const uint8_t *nonce)
{
	struct cw_age_chunks *c = cw_calloc(1, sizeof(*c));

	c->key = cw_secret_alloc(CW_AGE_KEY);
	(void)cw_age_hkdf(file_key, CW_AGE_FILE_KEY, nonce, CW_AGE_NONCE,
	    "payload", strlen("payload"), c->key, CW_AGE_KEY);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
cw_age_chunks_free(struct cw_age_chunks *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->idle_count; i++)
		cw_age_aead_free(c->idle[i]);
	cw_secret_free(c->key);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct cw_age_aead *
take(struct cw_age_chunks *c, struct cw_error *err)
{
	struct cw_age_aead *a = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->idle_count > 0)
		a = c->idle[--c->idle_count];
	pthread_mutex_unlock(&c->lock);
	if (a == NULL && (a = cw_age_aead_new(c->key)) == NULL)
		(void)cw_error_set(err, CW_ERR_FAILED,
		    "age: out of secure memory for a cipher");
	return a;
}

static void
give_back(struct cw_age_chunks *c, struct cw_age_aead *a)
{
	pthread_mutex_lock(&c->lock);
	if (c->idle_count < IDLE_MAX) {
		c->idle[c->idle_count++] = a;
		a = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	cw_age_aead_free(a);
}

/* Eleven bytes of counter, big-endian, and one that says "last". */
static void
set_nonce(uint64_t index, bool is_last, uint8_t nonce[CW_AGE_AEAD_NONCE])
{
	memset(nonce, 0, CW_AGE_AEAD_NONCE);
	cw_put_be64(nonce + 3, index);
	nonce[11] = is_last;
}

/* All but the last are full; only a chunk that is alone may be empty. */
static bool
is_length(uint64_t index, bool is_last, size_t len)
{
	if (!is_last)
		return len == CW_AGE_CHUNK;
	return len <= CW_AGE_CHUNK && (len > 0 || index == 0);
}

int
cw_age_chunks_seal(struct cw_age_chunks *c, uint64_t index, bool is_last,
    const uint8_t *plain, size_t len, uint8_t *out, struct cw_error *err)
{
	uint8_t nonce[CW_AGE_AEAD_NONCE];
	struct cw_age_aead *a;

	if (!is_length(index, is_last, len))
		return cw_error_set(err, CW_ERR_FAILED,
		    "age: chunk %llu of %zu bytes cannot be sealed as %s one",
		    (unsigned long long)index, len,
		    is_last ? "the last" : "a full");
	if ((a = take(c, err)) == NULL)
		return -1;
	set_nonce(index, is_last, nonce);
	cw_age_aead_seal(a, nonce, plain, len, out);
	give_back(c, a);
	return 0;
}

int
cw_age_chunks_open(struct cw_age_chunks *c, uint64_t index, bool is_last,
    const uint8_t *sealed, size_t len, uint8_t *plain, struct cw_error *err)
{
	uint8_t nonce[CW_AGE_AEAD_NONCE];
	struct cw_age_aead *a;
	bool ok;

	if (len < CW_AGE_TAG || !is_length(index, is_last, len - CW_AGE_TAG)) {
		if (len > CW_AGE_TAG)
			memset(plain, 0, len - CW_AGE_TAG);
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "age payload: chunk %llu is %zu bytes long, which no %s "
		    "chunk is",
		    (unsigned long long)index, len, is_last ? "last" : "full");
	}
	if ((a = take(c, err)) == NULL) {
		memset(plain, 0, len - CW_AGE_TAG);
		return -1;
	}
	set_nonce(index, is_last, nonce);
	ok = cw_age_aead_open(a, nonce, sealed, len, plain);
	give_back(c, a);
	if (!ok)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "age payload: chunk %llu (from plaintext offset %llu) is "
		    "not what was sealed there%s",
		    (unsigned long long)index,
		    (unsigned long long)index * CW_AGE_CHUNK,
		    is_last ? " as the last one" : "");
	return 0;
}
