/*
 * The packing slip of a medium: a page of at most 80 columns that goes into
 * the box, for the person who opens it, and a QR code with the same facts in
 * one line for a telephone.  It names the seed and the medium, and nothing of
 * what is in them.
 */
#ifndef CW_MEDIA_SLIP_H
#define CW_MEDIA_SLIP_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/manifest/manifest.h"
#include "formats/manifest/medium.h"
#include "media/qr.h"

#include <stdbool.h>
#include <stdint.h>

#define CW_SLIP_COLUMNS	  80u
#define CW_SLIP_CALL_MAX  256u /* bytes of whom to call */
#define CW_SLIP_CODE_SIZE 320u /* the line in the code and a NUL */

struct cw_slip {
	uint8_t seed_id[CW_SEED_ID_SIZE];
	uint32_t number, media;			 /* medium i of n */
	char label[CW_MEDIUM_LABEL_MAX + 1];	 /* "" if it has none */
	char filesystem[CW_MEDIUM_UUID_MAX + 1]; /* "-" if unknown */
	uint64_t bytes;	  /* of the seed's files on the medium */
	const char *from; /* names of sites; NULL: not to be told */
	const char *to;
	uint8_t manifest_sha256[32]; /* of the final manifest */
	int64_t time;		     /* of the manifest */
	const char *call;	     /* NULL: nobody was named */
};

/*
 * The line in the code: "causeway-slip 1 SEED-ID I/N SHA256 LABEL".  A label's
 * bytes that are no letter, digit, '.', '_' or '-' are '%' and two hex digits;
 * without one there is "-".
 */
void cw_slip_code(const struct cw_slip *slip, char out[CW_SLIP_CODE_SIZE]);

/* "3f2a 0b77 ...", 16 groups of four, and a NUL. */
#define CW_SLIP_GROUPS_SIZE 80u
void cw_slip_groups(const uint8_t sha256[32], char out[CW_SLIP_GROUPS_SIZE]);

/* Appends the page.  Text of others is quoted for people. */
int cw_slip_page(const struct cw_slip *slip, enum cw_qr_ink ink,
    struct cw_buf *out, struct cw_error *err);

#endif
