#include "media/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

#define QUIET_ZONE 4 /* modules around the code: ISO/IEC 18004 */

static bool
is_dark(const QRcode *code, int x, int y)
{
	return x >= 0 && y >= 0 && x < code->width && y < code->width &&
	       (code->data[y * code->width + x] & 1) != 0;
}

int
cw_qr_draw(const char *text, enum cw_qr_ink ink, unsigned columns,
    struct cw_buf *out, struct cw_error *err)
{
	/* By which halves are inked: neither, the lower, the upper, both. */
	static const char *const blocks[] = {" ", "\u2584", "\u2580", "\u2588"};
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
	int flip = ink == CW_QR_LIGHT ? 3 : 0, width, indent;

	if (code == NULL)
		return errno == ERANGE
			   ? cw_error_set(err, CW_ERR_USAGE,
				 "the text is too long for a QR code")
			   : cw_error_errno(err, "cannot make a QR code");
	width = code->width + 2 * QUIET_ZONE;
	indent = (int)columns > width ? ((int)columns - width) / 2 : 0;
	for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2) {
		cw_buf_printf(out, "%*s", indent, "");
		for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++) {
			int upper = is_dark(code, x, y) ? 2 : 0;
			int lower = is_dark(code, x, y + 1) ? 1 : 0;

			cw_buf_text(out, blocks[(upper + lower) ^ flip]);
		}
		cw_buf_text(out, "\n");
	}
	QRcode_free(code);
	return 0;
}
