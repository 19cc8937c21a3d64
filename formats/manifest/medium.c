#include "formats/manifest/medium.h"

#include "base/bytes.h"
#include "base/text.h"
#include "formats/manifest/lines.h"
#include "formats/manifest/manifest.h"

#include <stdbool.h>
#include <string.h>

static bool
is_printable(const char *text, size_t len, char lowest)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < lowest || text[i] > '~')
			return false;
	return true;
}

static bool
label_is_valid(const char *label, size_t len)
{
	return len <= CW_MEDIUM_LABEL_MAX && is_printable(label, len, ' ');
}

static bool
filesystem_is_valid(const char *uuid, size_t len)
{
	return len > 0 && len <= CW_MEDIUM_UUID_MAX &&
	       is_printable(uuid, len, '!');
}

int
cw_medium_encode(
    const struct cw_medium *medium, struct cw_buf *buf, struct cw_error *err)
{
	char time[CW_TIME_TEXT], seed[2 * CW_SEED_ID_SIZE + 1];
	int64_t again;

	if (medium->number == 0 || medium->number > CW_MANIFEST_MEDIA_MAX ||
	    medium->count > CW_MANIFEST_MEDIA_MAX ||
	    (medium->count != 0 && medium->number > medium->count))
		return cw_error_set(err, CW_ERR_USAGE,
		    "medium %u of %u is out of range", medium->number,
		    medium->count);
	if (!label_is_valid(
		medium->label, strnlen(medium->label, sizeof(medium->label))))
		return cw_error_set(err, CW_ERR_USAGE,
		    "label of a medium must be printable ASCII of at most %u "
		    "characters",
		    CW_MEDIUM_LABEL_MAX);
	if (!filesystem_is_valid(medium->filesystem,
		strnlen(medium->filesystem, sizeof(medium->filesystem))))
		return cw_error_set(err, CW_ERR_USAGE,
		    "filesystem of a medium must be a UUID or \"-\"");
	cw_time_format(medium->time, time);
	if (!cw_time_parse(time, strlen(time), &again) || again != medium->time)
		return cw_error_set(
		    err, CW_ERR_USAGE, "time of a medium out of range");
	cw_hex_encode(medium->seed_id, CW_SEED_ID_SIZE, seed);
	cw_buf_printf(buf,
	    "causeway-medium 1\nseed %s\nmedium %u %u\nlabel %s\n"
	    "filesystem %s\ntime %s\n",
	    seed, medium->number, medium->count, medium->label,
	    medium->filesystem, time);
	return 0;
}

/* "medium I N" */
static int
take_numbers(
    struct cw_lines *lines, struct cw_medium *medium, struct cw_error *err)
{
	uint64_t number, count;

	if (cw_lines_take(lines, "medium", err) < 0 ||
	    cw_lines_word_number(
		lines, 1, CW_MANIFEST_MEDIA_MAX, &number, err) < 0 ||
	    cw_lines_word_number(lines, 0, CW_MANIFEST_MEDIA_MAX, &count, err) <
		0)
		return -1;
	if (lines->value != NULL || (count != 0 && number > count))
		return cw_lines_error(
		    lines, err, "expected a number and how many there are");
	medium->number = (uint32_t)number;
	medium->count = (uint32_t)count;
	return 0;
}

int
cw_medium_decode(const char *text, size_t len, struct cw_medium *medium,
    struct cw_error *err)
{
	struct cw_medium found = {.number = 0};
	struct cw_lines lines;

	if (len > CW_MEDIUM_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "MEDIUM is %zu bytes, expected at most %u", len,
		    CW_MEDIUM_TEXT_MAX);
	cw_lines_begin(&lines, "MEDIUM", text, len);
	if (cw_lines_version(&lines, "causeway-medium", err) < 0 ||
	    cw_lines_hex(&lines, "seed", found.seed_id, CW_SEED_ID_SIZE, err) <
		0 ||
	    take_numbers(&lines, &found, err) < 0 ||
	    cw_lines_take(&lines, "label", err) < 0)
		return -1;
	if (!label_is_valid(lines.value, lines.value_len))
		return cw_lines_error(&lines, err,
		    "label is not printable ASCII of at most %u characters",
		    CW_MEDIUM_LABEL_MAX);
	memcpy(found.label, lines.value, lines.value_len);
	if (cw_lines_take(&lines, "filesystem", err) < 0)
		return -1;
	if (!filesystem_is_valid(lines.value, lines.value_len))
		return cw_lines_error(
		    &lines, err, "filesystem is neither a UUID nor \"-\"");
	memcpy(found.filesystem, lines.value, lines.value_len);
	if (cw_lines_time(&lines, "time", &found.time, err) < 0 ||
	    cw_lines_end(&lines, err) < 0)
		return -1;
	*medium = found;
	return 0;
}
