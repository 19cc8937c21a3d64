#include "formats/manifest/checksums.h"

#include "base/bytes.h"
#include "formats/manifest/lines.h"

#include <stdlib.h>
#include <string.h>

#define HEX_LEN 32u

void
cw_checksums_free(struct cw_checksums *sums)
{
	free(sums->items);
	*sums = (struct cw_checksums)CW_CHECKSUMS_INIT;
}

static int
compare(const void *left, const void *right)
{
	const struct cw_checksum *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/* Adds a name that is valid. */
static void
add(struct cw_checksums *sums, const char *name, size_t name_len,
    const uint8_t xxh[16])
{
	struct cw_checksum *item;

	if (sums->count == sums->cap) {
		sums->cap = sums->cap == 0 ? 64 : sums->cap * 2;
		sums->items = cw_reallocarray(
		    sums->items, sums->cap, sizeof(*sums->items));
	}
	item = &sums->items[sums->count++];
	memset(item, 0, sizeof(*item));
	memcpy(item->name, name, name_len);
	memcpy(item->xxh, xxh, sizeof(item->xxh));
	sums->is_sorted = sums->is_sorted &&
			  (sums->count == 1 || compare(item - 1, item) < 0);
}

int
cw_checksums_add(struct cw_checksums *sums, const char *name,
    const uint8_t xxh[16], struct cw_error *err)
{
	size_t len = strnlen(name, CW_MANIFEST_NAME_MAX + 1);

	if (!cw_manifest_name_is_valid(name, len))
		return cw_error_set(err, CW_ERR_USAGE,
		    "file name \"%.*s\" cannot stand in CHECKSUMS", (int)len,
		    name);
	if (sums->count >= CW_MANIFEST_FILES_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "more than %u files in CHECKSUMS", CW_MANIFEST_FILES_MAX);
	add(sums, name, len, xxh);
	return 0;
}

int
cw_checksums_encode(
    struct cw_checksums *sums, struct cw_buf *buf, struct cw_error *err)
{
	if (!sums->is_sorted)
		qsort(sums->items, sums->count, sizeof(*sums->items), compare);
	sums->is_sorted = true;
	for (size_t i = 1; i < sums->count; i++)
		if (compare(&sums->items[i - 1], &sums->items[i]) == 0)
			return cw_error_set(err, CW_ERR_USAGE,
			    "file %s stands in CHECKSUMS twice",
			    sums->items[i].name);
	for (size_t i = 0; i < sums->count; i++) {
		char hex[HEX_LEN + 1];

		cw_hex_encode(sums->items[i].xxh, HEX_LEN / 2, hex);
		cw_buf_printf(buf, "%s  %s\n", hex, sums->items[i].name);
	}
	return 0;
}

/* One line: 32 digits, two spaces, a name. */
static int
take_line(
    struct cw_lines *lines, struct cw_checksums *sums, struct cw_error *err)
{
	uint8_t xxh[HEX_LEN / 2];
	const char *name;
	size_t name_len;

	if (cw_lines_next(lines, err) < 0)
		return -1;
	if (lines->value_len <= HEX_LEN + 2 ||
	    !cw_hex_decode(lines->value, HEX_LEN, xxh, sizeof(xxh)) ||
	    memcmp(lines->value + HEX_LEN, "  ", 2) != 0)
		return cw_lines_error(lines, err,
		    "expected %u hexadecimal digits, two spaces and a name",
		    HEX_LEN);
	name = lines->value + HEX_LEN + 2;
	name_len = lines->value_len - HEX_LEN - 2;
	if (!cw_manifest_name_is_valid(name, name_len))
		return cw_lines_error(
		    lines, err, "name that no file of a seed may have");
	if (sums->count >= CW_MANIFEST_FILES_MAX)
		return cw_lines_error(
		    lines, err, "more than %u files", CW_MANIFEST_FILES_MAX);
	add(sums, name, name_len, xxh);
	if (!sums->is_sorted)
		return cw_lines_error(lines, err, "names are not in order");
	return 0;
}

int
cw_checksums_decode(const char *text, size_t len, struct cw_checksums *sums,
    struct cw_error *err)
{
	struct cw_lines lines;

	if (len > CW_MANIFEST_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "CHECKSUMS is %zu bytes, expected at most %u", len,
		    CW_MANIFEST_TEXT_MAX);
	cw_lines_begin(&lines, "CHECKSUMS", text, len);
	while (lines.len > 0) {
		if (take_line(&lines, sums, err) < 0) {
			cw_checksums_free(sums);
			return -1;
		}
	}
	return 0;
}

const struct cw_checksum *
cw_checksums_find(const struct cw_checksums *sums, const char *name)
{
	size_t len = strnlen(name, CW_MANIFEST_NAME_MAX + 1);
	struct cw_checksum key = {.name = ""};

	if (len > CW_MANIFEST_NAME_MAX || sums->count == 0)
		return NULL;
	memcpy(key.name, name, len);
	if (sums->is_sorted)
		return bsearch(&key, sums->items, sums->count,
		    sizeof(*sums->items), compare);
	for (size_t i = 0; i < sums->count; i++)
		if (compare(&key, &sums->items[i]) == 0)
			return &sums->items[i];
	return NULL;
}
