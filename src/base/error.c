#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int status;
} codes[] = {
    [CW_OK] = {"ok", 0},
    [CW_ERR_FAILED] = {"failed", 1},
    [CW_ERR_IO] = {"io", 1},
    [CW_ERR_NOSPACE] = {"no-space", 1},
    [CW_ERR_USAGE] = {"usage", 2},
    [CW_ERR_REPAIRABLE] = {"repairable", 3},
    [CW_ERR_DAMAGED] = {"damaged", 4},
    [CW_ERR_FORMAT] = {"format", 4},
    [CW_ERR_UNSUPPORTED] = {"unsupported", 4},
    [CW_ERR_MISSING] = {"missing", 4},
    [CW_ERR_UNTRUSTED] = {"untrusted", 5},
    [CW_ERR_BUSY] = {"busy", 6},
    [CW_ERR_REFUSED] = {"refused", 7},
    [CW_ERR_UNREACHABLE] = {"unreachable", 8},
    [CW_ERR_INTERRUPTED] = {"interrupted", 1},
};

int
cw_error_set(struct cw_error *err, enum cw_code code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return -1;
}

int
cw_error_errno(struct cw_error *err, const char *fmt, ...)
{
	int saved = errno;
	size_t len;
	va_list ap;

	if (err == NULL)
		return -1;
	err->code =
	    saved == ENOSPC || saved == EDQUOT ? CW_ERR_NOSPACE : CW_ERR_IO;
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len, ": %s",
	    strerrordesc_np(saved) != NULL ? strerrordesc_np(saved)
					   : "unknown error");
	errno = saved;
	return -1;
}

int
cw_error_context(struct cw_error *err, const char *fmt, ...)
{
	char text[2 * CW_ERROR_MAX];
	va_list ap;
	int len;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	len = vsnprintf(text, CW_ERROR_MAX, fmt, ap);
	va_end(ap);
	if (len < 0)
		return -1;
	len = len >= (int)CW_ERROR_MAX ? (int)CW_ERROR_MAX - 1 : len;
	(void)snprintf(
	    text + len, sizeof(text) - (size_t)len, ": %s", err->message);
	text[CW_ERROR_MAX - 1] = '\0';
	memcpy(err->message, text, strlen(text) + 1);
	return -1;
}

int
cw_error_advise(struct cw_error *err, const char *advice)
{
	size_t len;

	if (err == NULL)
		return -1;
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len, "; %s",
	    advice);
	return -1;
}

const char *
cw_error_name(enum cw_code code)
{
	return codes[code].name;
}

int
cw_error_status(enum cw_code code)
{
	return codes[code].status;
}
