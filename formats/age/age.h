/*
 * Files in the age v1 format (age-encryption.org/v1), which stock age reads
 * and writes: a header that wraps a fresh file key for recipients or a
 * passphrase, and a payload in chunks of 64 KiB, each authenticated with its
 * place and with whether it is the last.  Nothing here gives out a byte that
 * is not authenticated.  Formats that need a part Debian lacks (hybrid
 * post-quantum recipients, plugins) are refused by name.
 *
 * SPEC.md is normative.  Call cw_crypto_init first.  All objects are the
 * caller's to free; all free functions take NULL.
 *
 * What a failure to open means, by its code:
 *
 *   CW_ERR_FORMAT       header or armor that age v1 does not allow
 *   CW_ERR_UNTRUSTED    no identity matches, the passphrase is wrong or not
 *                       given, or the header's MAC is wrong
 *   CW_ERR_UNSUPPORTED  nothing matches, and a hybrid recipient is there
 *   CW_ERR_DAMAGED      a chunk is not what was sealed; cut short; too long
 *
 * enum cw_age_outcome is finer and tells apart what those codes put together.
 */
#ifndef CW_FORMATS_AGE_AGE_H
#define CW_FORMATS_AGE_AGE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/age/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_AGE_CHUNK	      65536u /* plaintext bytes of a full chunk */
#define CW_AGE_TAG	      16u
#define CW_AGE_SEALED_CHUNK   (CW_AGE_CHUNK + CW_AGE_TAG)
#define CW_AGE_NONCE	      16u /* bytes between header and chunks */
#define CW_AGE_RECIPIENTS_MAX 32u /* that we seal for */
#define CW_AGE_STANZAS_MAX    64u /* that we read */
#define CW_AGE_HEADER_MAX     (64u * 1024u) /* bytes, with the nonce */
#define CW_AGE_LOG_N	      18u	    /* scrypt: what age -p writes */
#define CW_AGE_LOG_N_MAX      22u	    /* scrypt: 4 GiB of memory */

enum cw_age_outcome {
	CW_AGE_OK,
	CW_AGE_NO_MATCH,    /* CW_ERR_UNTRUSTED */
	CW_AGE_HMAC,	    /* CW_ERR_UNTRUSTED */
	CW_AGE_HEADER,	    /* CW_ERR_FORMAT */
	CW_AGE_ARMOR,	    /* CW_ERR_FORMAT */
	CW_AGE_UNSUPPORTED, /* CW_ERR_UNSUPPORTED */
	CW_AGE_PAYLOAD,	    /* CW_ERR_DAMAGED */
	CW_AGE_OTHER,	    /* a hook failed, no memory: any code */
};

/*
 * Sealing: the header once, then chunks.
 */
struct cw_age_seal;

/*
 * A seal for count recipients (1 to CW_AGE_RECIPIENTS_MAX, else CW_ERR_USAGE)
 * with a fresh file key.  A recipient of low order is CW_ERR_FORMAT.
 */
int cw_age_seal_new(const struct cw_age_recipient *r, size_t count,
    struct cw_age_seal **out, struct cw_error *err);

/*
 * A seal for a passphrase, by scrypt with N = 2^log_n (1 to CW_AGE_LOG_N_MAX;
 * CW_AGE_LOG_N is the usual one: 256 MiB and about a second).  An empty
 * passphrase or another log_n is CW_ERR_USAGE.
 */
int cw_age_seal_new_passphrase(const char *passphrase, unsigned log_n,
    struct cw_age_seal **out, struct cw_error *err);

/*
 * The first bytes of the file: header and nonce.  They live as s does.  Their
 * length is cw_age_header_size(count) for recipients.
 */
const uint8_t *cw_age_seal_header(const struct cw_age_seal *s, size_t *len);

/*
 * Seals one chunk: len + CW_AGE_TAG bytes to out; out may be plain itself, but
 * must not overlap it otherwise.  Indexes count from 0; all chunks but the last
 * hold CW_AGE_CHUNK bytes, and the last is empty only where it is the only one
 * (else CW_ERR_FAILED).
 *
 * Chunks may be sealed in any order and by several threads at once on one seal:
 * each call takes a cipher handle of its own, and handles are kept for the next
 * call.  Never seal two different texts under one index of one seal: that gives
 * both away.  To try again, seal anew.
 */
int cw_age_seal_chunk(struct cw_age_seal *s, uint64_t index, bool is_last,
    const uint8_t *plain, size_t len, uint8_t *out, struct cw_error *err);

/*
 * Appends the whole file of plain to out: for what is small (key files,
 * catalogs in memory).  Use s for nothing else.
 */
int cw_age_seal_whole(struct cw_age_seal *s, const uint8_t *plain, size_t len,
    struct cw_buf *out, struct cw_error *err);

void cw_age_seal_free(struct cw_age_seal *s); /* wipes its keys */

/*
 * Sizes.  A header of X25519 recipients, with the nonce, is 86 + 98 a
 * recipient; a chunk costs 16 bytes more than it holds.
 */
size_t cw_age_header_size(size_t recipients);
/* Bytes of the file that holds plain bytes behind a header of that size. */
uint64_t cw_age_file_size(size_t header, uint64_t plain);
/*
 * The plaintext length that makes a file of exactly file_size bytes.  Returns
 * false, with *plain untouched, where none does (1 to 16 bytes above a
 * multiple of a sealed chunk, or below header + 16).
 */
bool cw_age_plain_size(size_t header, uint64_t file_size, uint64_t *plain);

/*
 * Opening with random access: for files whose chunks are read in any order, or
 * in parallel.  Not for armored files: see the decoder below.
 */
struct cw_age_open;

/*
 * Opens the header at data: the first bytes of the file, the whole of it or at
 * least CW_AGE_HEADER_MAX.  id, passphrase or both may be NULL; a file has
 * either kind of recipient.  On success *payload_offset is where chunk 0
 * begins. With a passphrase file this takes the time and memory of scrypt.  For
 * the codes see above; *out is NULL on failure.
 */
int cw_age_open_new(const uint8_t *data, size_t len,
    const struct cw_age_identity *id, const char *passphrase,
    struct cw_age_open **out, size_t *payload_offset, struct cw_error *err);

/*
 * Opens one sealed chunk of len bytes: len - CW_AGE_TAG bytes to plain, which
 * may be sealed itself.  Chunk i begins at payload_offset + i *
 * CW_AGE_SEALED_CHUNK; the caller knows from the file's size which is the last,
 * and with is_last the chunk itself says so too: a file that was cut at a chunk
 * fails.  On failure (CW_ERR_DAMAGED) plain holds zeros.  Threads: as for
 * cw_age_seal_chunk.
 */
int cw_age_open_chunk(struct cw_age_open *o, uint64_t index, bool is_last,
    const uint8_t *sealed, size_t len, uint8_t *plain, struct cw_error *err);

void cw_age_open_free(struct cw_age_open *o); /* wipes its keys */

/*
 * Whether the header at data is sound and of a passphrase file, so that the
 * caller can ask for one before cw_age_open_new.
 */
bool cw_age_wants_passphrase(const uint8_t *data, size_t len);

/*
 * Opening a stream: push bytes as they come, armored or not (found out from the
 * first one); plaintext goes to the sink, chunk by chunk, each authenticated.
 * Only when finish succeeds was that the whole file.  Memory: 200 KiB.
 */
struct cw_age_decoder;

struct cw_age_hooks {
	/*
	 * Asked at most once, and only if the file is one of a passphrase.
	 * NULL, or a NULL answer with *err set, refuses.  The text must live
	 * until the call that asked returns.
	 */
	const char *(*passphrase)(void *arg, struct cw_error *err);
	/* Takes plaintext; -1 with *err set ends the decoder. */
	int (*sink)(
	    void *arg, const uint8_t *data, size_t len, struct cw_error *err);
	void *arg;
};

/* id may be NULL, else it must live as long as the decoder.  hooks is copied.
 */
struct cw_age_decoder *cw_age_decoder_new(
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks);
/* After a failure every later call fails with the same error. */
int cw_age_decoder_push(struct cw_age_decoder *d, const uint8_t *data,
    size_t len, struct cw_error *err);
/* The bytes are at their end.  Call it once, after the last push. */
int cw_age_decoder_finish(struct cw_age_decoder *d, struct cw_error *err);
/* What the failure was; CW_AGE_OK while there is none. */
enum cw_age_outcome cw_age_decoder_outcome(const struct cw_age_decoder *d);
void cw_age_decoder_free(struct cw_age_decoder *d);

#endif
