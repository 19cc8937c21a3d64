/*
 * Anything that is no mail store we know: every file may change in place, and
 * no directory tells that nothing did.
 */
#include "formats/mail/mail.h"

#include "formats/mail/name.h"

extern const struct cw_mail_format cw_mail_plain;

static enum cw_mail_class
classify(const char *path, size_t len, enum cw_kind kind)
{
	struct mail_name n = mail_name_split(path, len);

	if (kind != CW_KIND_DIR && mail_name_is_fleeting(&n))
		return CW_MAIL_SKIP;
	return CW_MAIL_OTHER;
}

static bool
dir_tells(const char *path, size_t len)
{
	(void)path;
	(void)len;
	return false;
}

static int
detect(const char *const *paths, size_t count)
{
	(void)paths;
	(void)count;
	return 1;
}

const struct cw_mail_format cw_mail_plain = {
    .name = "plain",
    .classify = classify,
    .dir_tells = dir_tells,
    .detect = detect,
};
