/*
 * The text before an age payload: the version line, recipient stanzas, the MAC.
 * This reads and writes its grammar; wrap.h knows what the stanzas mean.  For
 * formats/age alone.  See SPEC.md, Header.
 */
#ifndef CW_FORMATS_AGE_HEADER_H
#define CW_FORMATS_AGE_HEADER_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/age/age.h"
#include "formats/age/primitives.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_AGE_VERSION_LINE "age-encryption.org/v1"
#define CW_AGE_ARGS_MAX	    3u /* that a stanza type of ours has, with the type */

/* Text within the header: not ended by a NUL. */
struct cw_age_slice {
	const char *text;
	size_t len;
};

struct cw_age_stanza {
	struct cw_age_slice line; /* behind "-> " */
	/* The first ones; arg[0] is the type.  arg_count counts them all. */
	struct cw_age_slice arg[CW_AGE_ARGS_MAX];
	size_t arg_count;
	const uint8_t *body;
	size_t body_len;
};

/* The slices point into the parsed bytes, the bodies into memory of h. */
struct cw_age_header {
	size_t count;
	struct cw_age_stanza stanzas[CW_AGE_STANZAS_MAX];
	uint8_t *bodies;
	size_t mac_over; /* bytes that the MAC covers, to "---" inclusive */
	uint8_t mac[CW_AGE_MAC];
	size_t size; /* bytes of the header, without the nonce */
};

/*
 * The size of the header at data if its last line is complete, else 0.  *from
 * is where to go on looking: 0 at first, kept for the next call with more.
 */
size_t cw_age_header_find(const uint8_t *data, size_t len, size_t *from);

/*
 * Parses a header at data, whatever follows it.  CW_ERR_FORMAT for what the
 * grammar does not allow, for a header that is cut short or over
 * CW_AGE_HEADER_MAX - CW_AGE_NONCE bytes, and for too many stanzas.  *h is to
 * be freed after success alone.
 */
int cw_age_header_parse(const uint8_t *data, size_t len,
    struct cw_age_header *h, struct cw_error *err);
void cw_age_header_free(struct cw_age_header *h);

bool cw_age_slice_is(struct cw_age_slice s, const char *text);

/* Writing: the version line, stanzas, then the MAC line. */
void cw_age_header_begin(struct cw_buf *out);
void cw_age_stanza_write(struct cw_buf *out, struct cw_age_slice line,
    const uint8_t *body, size_t body_len);
void cw_age_header_finish(
    struct cw_buf *out, const uint8_t file_key[CW_AGE_FILE_KEY]);

/* The MAC of a header's first len bytes, "---" inclusive. */
void cw_age_header_mac(const uint8_t file_key[CW_AGE_FILE_KEY],
    const uint8_t *data, size_t len, uint8_t mac[CW_AGE_MAC]);

#endif
