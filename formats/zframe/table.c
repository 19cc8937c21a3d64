#include "formats/zframe/zframe.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "formats/zframe/layout.h"

#include <stdlib.h>

uint64_t
cw_zframe_table_size(const uint8_t footer[9])
{
	uint32_t count = cw_get_le32(footer);

	if (cw_get_le32(footer + 5) != SEEKABLE_MAGIC || footer[4] != 0 ||
	    count == 0 || count > CW_ZFRAME_FRAMES_MAX + 1)
		return 0;
	return CW_ZFRAME_TABLE_SIZE(count - 1);
}

int
cw_zframe_table_decode(const uint8_t *table, size_t len,
    struct cw_zframe_entry **out, size_t *count, struct cw_error *err)
{
	struct cw_zframe_entry *entries;
	size_t n;

	if (len < CW_ZFRAME_TABLE_SIZE(0) ||
	    cw_zframe_table_size(table + len - 9) != len ||
	    cw_get_le32(table) != TABLE_MAGIC ||
	    cw_get_le32(table + 4) != len - 8)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "the %zu bytes are no seek table of zstd frames", len);
	n = (len - 17) / 8;
	entries = cw_reallocarray(NULL, n, sizeof(*entries));
	for (size_t i = 0; i < n; i++) {
		entries[i].packed = cw_get_le32(table + 8 + 8 * i);
		entries[i].size = cw_get_le32(table + 12 + 8 * i);
		if ((entries[i].size == 0) != (i == n - 1) ||
		    entries[i].size > CONTENT_MAX ||
		    entries[i].packed < CW_ZFRAME_PAD_MIN) {
			free(entries);
			return cw_error_set(err, CW_ERR_DAMAGED,
			    "seek table entry %zu of %zu cannot be", i, n);
		}
	}
	*out = entries;
	*count = n;
	return 0;
}
