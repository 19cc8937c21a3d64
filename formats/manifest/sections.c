#include "formats/manifest/sections.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* No line of a medium or group takes less text. */
#define MEDIUM_LINE_MIN (sizeof("medium 1 0 2026-11-22T12:00:00Z - ") - 1)
#define GROUP_LINE_MIN	(sizeof("group 1 1") - 1)

void
cw_sections_free(struct cw_manifest *m)
{
	free(m->described);
	free(m->groups);
	free(m->members);
	free(m->group_of);
}

/* Room for one more item. */
static void *
grow(void *items, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return items;
	*cap = *cap == 0 ? 16 : *cap * 2;
	return cw_reallocarray(items, *cap, size);
}

int
cw_manifest_add_medium(
    struct cw_manifest *m, const struct cw_medium *medium, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	size_t at = m->described_count;
	int ret;

	if (memcmp(medium->seed_id, m->seed_id, CW_SEED_ID_SIZE) != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "medium %u is of another seed", medium->number);
	if (cw_manifest_medium(m, medium->number) != NULL)
		return cw_error_set(err, CW_ERR_USAGE,
		    "medium %u is described twice", medium->number);
	/* Whether it may be one at all. */
	ret = cw_medium_encode(medium, &text, err);
	cw_buf_free(&text);
	if (ret < 0)
		return -1;
	m->described = grow(m->described, m->described_count, &m->described_cap,
	    sizeof(*m->described));
	for (; at > 0 && m->described[at - 1].number > medium->number; at--)
		m->described[at] = m->described[at - 1];
	m->described[at] = *medium;
	m->described_count++;
	return 0;
}

const struct cw_medium *
cw_manifest_medium(const struct cw_manifest *m, uint32_t number)
{
	size_t low = 0, high = m->described_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->described[middle].number == number)
			return &m->described[middle];
		if (m->described[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Notes that a volume is in the group that is added next. */
static int
claim_volume(struct cw_manifest *m, uint32_t volume, struct cw_error *err)
{
	if (volume == 0 || volume > CW_MANIFEST_FILES_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "volume %u of a group is out of range", volume);
	if (volume >= m->group_of_count) {
		size_t count = m->group_of_count == 0 ? 64 : m->group_of_count;

		while (count <= volume)
			count *= 2;
		m->group_of =
		    cw_reallocarray(m->group_of, count, sizeof(*m->group_of));
		memset(m->group_of + m->group_of_count, 0,
		    (count - m->group_of_count) * sizeof(*m->group_of));
		m->group_of_count = count;
	}
	if (m->group_of[volume] != 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "volume %u is in a group already", volume);
	m->group_of[volume] = (uint32_t)m->group_count + 1;
	return 0;
}

int
cw_manifest_add_group(struct cw_manifest *m, uint32_t number,
    const uint32_t *volumes, uint32_t count, struct cw_error *err)
{
	uint32_t after =
	    m->group_count == 0 ? 0 : m->groups[m->group_count - 1].number;

	if (number <= after || number > CW_MANIFEST_FILES_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "group %u is out of order or range", number);
	if (count == 0 || count > m->parity_k)
		return cw_error_set(err, CW_ERR_USAGE,
		    "group %u has %u volumes, expected 1 to %u", number, count,
		    m->parity_k);
	for (uint32_t i = 0; i < count; i++) {
		if (claim_volume(m, volumes[i], err) == 0)
			continue;
		while (i-- > 0)
			m->group_of[volumes[i]] = 0;
		return -1;
	}
	m->groups =
	    grow(m->groups, m->group_count, &m->group_cap, sizeof(*m->groups));
	m->groups[m->group_count++] = (struct cw_manifest_group){
	    .number = number, .count = count, .first = m->member_count};
	for (uint32_t i = 0; i < count; i++) {
		m->members = grow(m->members, m->member_count, &m->member_cap,
		    sizeof(*m->members));
		m->members[m->member_count++] = volumes[i];
	}
	return 0;
}

const struct cw_manifest_group *
cw_manifest_group_of(const struct cw_manifest *m, uint32_t volume)
{
	if (volume >= m->group_of_count || m->group_of[volume] == 0)
		return NULL;
	return &m->groups[m->group_of[volume] - 1];
}

int
cw_sections_check(
    const struct cw_manifest *m, enum cw_code code, struct cw_error *err)
{
	const struct cw_medium *last;

	for (size_t i = 0; i < m->group_count; i++)
		if (m->groups[i].count > m->parity_k)
			return cw_error_set(err, code,
			    "manifest: group %u has %u volumes, more than "
			    "parity %u+%u has",
			    m->groups[i].number, m->groups[i].count,
			    m->parity_k, m->parity_m);
	if (m->described_count == 0)
		return 0;
	last = &m->described[m->described_count - 1];
	if (m->media != 0 && last->number > m->media)
		return cw_error_set(err, code,
		    "manifest: medium %u of %u is described", last->number,
		    m->media);
	for (size_t i = 0; i < m->described_count; i++)
		if (memcmp(m->described[i].seed_id, m->seed_id,
			CW_SEED_ID_SIZE) != 0)
			return cw_error_set(err, code,
			    "manifest: medium %u is described for another "
			    "seed",
			    m->described[i].number);
	return 0;
}

void
cw_sections_encode(const struct cw_manifest *m, struct cw_buf *buf)
{
	char time[CW_TIME_TEXT];

	cw_buf_printf(buf, "described %zu\n", m->described_count);
	for (size_t i = 0; i < m->described_count; i++) {
		const struct cw_medium *is = &m->described[i];

		cw_time_format(is->time, time);
		cw_buf_printf(buf, "medium %u %u %s %s %s\n", is->number,
		    is->count, time, is->filesystem, is->label);
	}
	cw_buf_printf(buf, "groups %zu\n", m->group_count);
	for (size_t i = 0; i < m->group_count; i++) {
		const struct cw_manifest_group *g = &m->groups[i];

		cw_buf_printf(buf, "group %u", g->number);
		for (size_t j = 0; j < g->count; j++)
			cw_buf_printf(buf, " %u", m->members[g->first + j]);
		cw_buf_text(buf, "\n");
	}
}

/* Copies a word into a field that a NUL ends; false if it is too long. */
static bool
copy_word(char *field, size_t size, const char *word, size_t len)
{
	if (len >= size || memchr(word, '\0', len) != NULL)
		return false;
	memcpy(field, word, len);
	field[len] = '\0';
	return true;
}

/* "medium I N TIME FILESYSTEM LABEL"; the label may hold spaces. */
static int
take_medium(struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	struct cw_medium is = {.number = 0};
	struct cw_error why = CW_ERROR_INIT;
	const char *time, *filesystem;
	uint64_t number, count;
	size_t time_len, len;

	memcpy(is.seed_id, m->seed_id, sizeof(is.seed_id));
	if (cw_lines_take(lines, "medium", err) < 0 ||
	    cw_lines_word_number(
		lines, 1, CW_MANIFEST_MEDIA_MAX, &number, err) < 0 ||
	    cw_lines_word_number(lines, 0, CW_MANIFEST_MEDIA_MAX, &count, err) <
		0 ||
	    cw_lines_word(lines, &time, &time_len, err) < 0 ||
	    cw_lines_word(lines, &filesystem, &len, err) < 0)
		return -1;
	is.number = (uint32_t)number;
	is.count = (uint32_t)count;
	if (lines->value == NULL || !cw_time_parse(time, time_len, &is.time) ||
	    !copy_word(is.filesystem, sizeof(is.filesystem), filesystem, len) ||
	    !copy_word(
		is.label, sizeof(is.label), lines->value, lines->value_len))
		return cw_lines_error(lines, err,
		    "expected a number, a count, a time, a filesystem and a "
		    "label");
	if (m->described_count > 0 &&
	    m->described[m->described_count - 1].number >= is.number)
		return cw_lines_error(lines, err, "media are not in order");
	if (cw_manifest_add_medium(m, &is, &why) < 0)
		return cw_lines_error(lines, err, "%s", why.message);
	return 0;
}

static int
take_group(struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	uint32_t volumes[CW_MANIFEST_PARITY_MAX], count = 0;
	struct cw_error why = CW_ERROR_INIT;
	uint64_t number, volume;

	if (cw_lines_take(lines, "group", err) < 0 ||
	    cw_lines_word_number(
		lines, 1, CW_MANIFEST_FILES_MAX, &number, err) < 0)
		return -1;
	do {
		if (count == m->parity_k)
			return cw_lines_error(lines, err,
			    "more volumes than parity %u+%u has", m->parity_k,
			    m->parity_m);
		if (cw_lines_word_number(
			lines, 1, CW_MANIFEST_FILES_MAX, &volume, err) < 0)
			return -1;
		volumes[count++] = (uint32_t)volume;
	} while (lines->value != NULL);
	if (cw_manifest_add_group(m, (uint32_t)number, volumes, count, &why) <
	    0)
		return cw_lines_error(lines, err, "%s", why.message);
	return 0;
}

/* "KEY N", where N lines of at least min bytes follow. */
static int
take_count(struct cw_lines *lines, const char *key, uint64_t max, size_t min,
    uint64_t *count, struct cw_error *err)
{
	if (cw_lines_number(lines, key, 0, max, count, err) < 0)
		return -1;
	if (*count > lines->len / min)
		return cw_lines_error(lines, err,
		    "%llu promised, but the text is too short for them",
		    (unsigned long long)*count);
	return 0;
}

int
cw_sections_decode(
    struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	uint64_t described, groups;

	if (take_count(lines, "described", CW_MANIFEST_MEDIA_MAX,
		MEDIUM_LINE_MIN, &described, err) < 0)
		return -1;
	while (m->described_count < described)
		if (take_medium(lines, m, err) < 0)
			return -1;
	if (take_count(lines, "groups", CW_MANIFEST_FILES_MAX, GROUP_LINE_MIN,
		&groups, err) < 0)
		return -1;
	while (m->group_count < groups)
		if (take_group(lines, m, err) < 0)
			return -1;
	return cw_sections_check(m, CW_ERR_FORMAT, err);
}
