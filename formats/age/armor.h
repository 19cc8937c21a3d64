/*
 * Armor: an age file as text, in a strict form of PEM.  This reads it as a
 * stream; Causeway writes none.  For formats/age alone.  See SPEC.md, Armor.
 */
#ifndef CW_FORMATS_AGE_ARMOR_H
#define CW_FORMATS_AGE_ARMOR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_AGE_ARMOR_COLUMNS 64u
#define CW_AGE_ARMOR_BYTES   (CW_AGE_ARMOR_COLUMNS / 4 * 3)

struct cw_age_armor {
	enum {
		CW_AGE_ARMOR_LEADING,  /* white space before the first line */
		CW_AGE_ARMOR_BEGIN,    /* within the first line */
		CW_AGE_ARMOR_BODY,     /* base64 */
		CW_AGE_ARMOR_END,      /* a short line came: now the last one */
		CW_AGE_ARMOR_TRAILING, /* white space behind the last line */
	} state;
	char line[CW_AGE_ARMOR_COLUMNS + 1]; /* room for a CR */
	size_t len;
	size_t spaces; /* of leading or trailing white space */
	bool indented; /* white space since the last line end */
};

#define CW_AGE_ARMOR_INIT                                                      \
	{                                                                      \
		CW_AGE_ARMOR_LEADING, "", 0, 0, false                          \
	}

/*
 * Takes one character; *n of the CW_AGE_ARMOR_BYTES + 3 bytes at out are then
 * the next of the file.  CW_ERR_FORMAT for what no armor may hold.
 */
int cw_age_armor_push(struct cw_age_armor *a, char c, uint8_t *out, size_t *n,
    struct cw_error *err);
/* The text is at its end; CW_ERR_FORMAT unless the last line was there. */
int cw_age_armor_finish(struct cw_age_armor *a, struct cw_error *err);

#endif
