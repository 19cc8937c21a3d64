/*
 * The file MEDIUM: which medium of which seed a disk is.  The manifest lists
 * it, so what it says is signed.  Normative: formats/manifest/SPEC.md.
 */
#ifndef CW_FORMATS_MANIFEST_MEDIUM_H
#define CW_FORMATS_MANIFEST_MEDIUM_H

#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CW_SEED_ID_SIZE	      8u
#define CW_MANIFEST_MEDIA_MAX 9999u

#define CW_MEDIUM_LABEL_MAX 64u
#define CW_MEDIUM_UUID_MAX  64u
#define CW_MEDIUM_TEXT_MAX  512u

struct cw_medium {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint32_t number; /* counts from 1 */
	uint32_t count;	 /* in the set; 0: not known when it was written */
	char label[CW_MEDIUM_LABEL_MAX + 1]; /* printable ASCII, "" if none */
	char filesystem[CW_MEDIUM_UUID_MAX + 1]; /* UUID, "-" if unknown */
	int64_t time;				 /* seconds since 1970, UTC */
};

/* Appends the text to buf.  CW_ERR_USAGE for values that no MEDIUM may have. */
int cw_medium_encode(
    const struct cw_medium *medium, struct cw_buf *buf, struct cw_error *err);

/*
 * Decodes a whole text.  CW_ERR_FORMAT names the line, CW_ERR_UNSUPPORTED is
 * a newer version; then *medium is untouched.
 */
int cw_medium_decode(const char *text, size_t len, struct cw_medium *medium,
    struct cw_error *err);

#endif
