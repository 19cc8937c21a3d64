#include "formats/mail/mail.h"

#include <string.h>

extern const struct cw_mail_format cw_mail_maildir;
extern const struct cw_mail_format cw_mail_plain;

static const struct cw_mail_format *const formats[] = {
    &cw_mail_maildir,
    &cw_mail_plain,
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

const struct cw_mail_format *
cw_mail_format_find(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

const struct cw_mail_format *
cw_mail_format_detect(const char *const *paths, size_t count)
{
	const struct cw_mail_format *best = &cw_mail_plain;
	int most = 0;

	for (size_t i = 0; i < FORMATS; i++) {
		int sure = formats[i]->detect(paths, count);

		if (sure > most) {
			most = sure;
			best = formats[i];
		}
	}
	return best;
}
