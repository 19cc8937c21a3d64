/*
 * QR codes as text: two modules a character, one above the other, with the
 * quiet zone of four modules that readers want.
 */
#ifndef CW_MEDIA_QR_H
#define CW_MEDIA_QR_H

#include "base/buf.h"
#include "base/error.h"

/* What is drawn, since most terminals write light on dark, and paper is white.
 */
enum cw_qr_ink {
	CW_QR_DARK,  /* dark modules are drawn: for paper */
	CW_QR_LIGHT, /* light modules are drawn: for a dark terminal */
};

/*
 * Appends the code of a text, in UTF-8, in the middle of so many columns (0:
 * at their beginning).  CW_ERR_USAGE for a text that no code can hold (about 2
 * KiB).
 */
int cw_qr_draw(const char *text, enum cw_qr_ink ink, unsigned columns,
    struct cw_buf *out, struct cw_error *err);

#endif
