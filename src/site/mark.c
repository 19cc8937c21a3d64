#include "site/mark.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int
cw_mark_set(int dirfd, const char *mark, uint64_t epoch, struct cw_error *err)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);

	return cw_save_file(dirfd, mark, text, (size_t)len, 0600, err);
}

int
cw_mark_look(int dirfd, const char *mark, uint64_t epoch, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	uint64_t noted = 0;
	int got = cw_read_file(dirfd, mark, 24, &text, err);

	/* What makes no sense was never durable: nothing followed it. */
	if (got == 0 && (text.len == 0 || text.data[text.len - 1] != '\n' ||
			    !cw_decimal_parse((const char *)text.data,
				text.len - 1, INT64_MAX, &noted)))
		noted = 0;
	cw_buf_free(&text);
	return got < 0 ? -1 : got == 0 && noted == epoch && epoch > 0;
}

void
cw_mark_clear(int dirfd, const char *mark)
{
	(void)unlinkat(dirfd, mark, 0);
}
