#include "formats/manifest/manifest.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"
#include "formats/manifest/lines.h"
#include "formats/manifest/sections.h"

#include <stdlib.h>
#include <string.h>

/* "file 1 0 SHA256 x" and a newline: no file takes less text. */
#define FILE_LINE_MIN (sizeof("file 1 0  x") + 64)

void
cw_manifest_free(struct cw_manifest *m)
{
	free(m->files);
	cw_sections_free(m);
	*m = (struct cw_manifest)CW_MANIFEST_INIT;
}

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
	       c == '/';
}

/* Whether a component of a path is more than "", "." or "..". */
static bool
is_component(const char *name, size_t len)
{
	return len > 2 || (len > 0 && name[0] != '.') ||
	       (len == 2 && name[1] != '.');
}

bool
cw_manifest_name_is_valid(const char *name, size_t len)
{
	size_t start = 0;

	if (len == 0 || len > CW_MANIFEST_NAME_MAX || name[0] == '-')
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && !is_name_char(name[i]))
			return false;
		if (i < len && name[i] != '/')
			continue;
		if (!is_component(name + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

int
cw_manifest_add_recipient(
    struct cw_manifest *m, const uint8_t age_point[32], struct cw_error *err)
{
	if (cw_manifest_has_recipient(m, age_point))
		return 0;
	if (m->recipient_count >= CW_MANIFEST_RECIPIENTS_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "more than %u recipients", CW_MANIFEST_RECIPIENTS_MAX);
	cw_sha256(age_point, 32, m->recipients[m->recipient_count++]);
	return 0;
}

bool
cw_manifest_has_recipient(
    const struct cw_manifest *m, const uint8_t age_point[32])
{
	uint8_t fingerprint[32];

	cw_sha256(age_point, 32, fingerprint);
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (memcmp(m->recipients[i], fingerprint, 32) == 0)
			return true;
	return false;
}

static int
compare_files(const void *left, const void *right)
{
	const struct cw_manifest_file *a = left, *b = right;

	if (a->medium != b->medium)
		return a->medium < b->medium ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int
compare_recipients(const void *left, const void *right)
{
	return memcmp(left, right, 32);
}

int
cw_manifest_add_file(struct cw_manifest *m, const struct cw_manifest_file *file,
    struct cw_error *err)
{
	size_t name_len = strnlen(file->name, sizeof(file->name));
	struct cw_manifest_file *copy;

	if (!cw_manifest_name_is_valid(file->name, name_len))
		return cw_error_set(err, CW_ERR_USAGE,
		    "file name \"%.*s\" cannot stand in a manifest",
		    (int)name_len, file->name);
	if (file->medium == 0 || file->medium > CW_MANIFEST_MEDIA_MAX ||
	    file->size > CW_MANIFEST_FILE_SIZE_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "file %s: medium or size out of range", file->name);
	if (m->file_count >= CW_MANIFEST_FILES_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "more than %u files in a manifest", CW_MANIFEST_FILES_MAX);
	if (m->file_count == m->file_cap) {
		m->file_cap = m->file_cap == 0 ? 64 : m->file_cap * 2;
		m->files =
		    cw_reallocarray(m->files, m->file_cap, sizeof(*m->files));
	}
	copy = &m->files[m->file_count++];
	*copy = *file;
	/* Bytes behind the name's end are nobody's. */
	memset(copy->name + name_len, 0, sizeof(copy->name) - name_len);
	m->is_sorted = m->is_sorted && (m->file_count == 1 ||
					   compare_files(copy - 1, copy) < 0);
	return 0;
}

const struct cw_manifest_file *
cw_manifest_find(const struct cw_manifest *m, uint32_t medium, const char *name)
{
	size_t len = strlen(name);
	struct cw_manifest_file key = {.medium = medium};

	if (len > CW_MANIFEST_NAME_MAX || m->file_count == 0)
		return NULL;
	memcpy(key.name, name, len);
	if (m->is_sorted)
		return bsearch(&key, m->files, m->file_count, sizeof(*m->files),
		    compare_files);
	for (size_t i = 0; i < m->file_count; i++)
		if (compare_files(&key, &m->files[i]) == 0)
			return &m->files[i];
	return NULL;
}

/*
 * What the fields must be to each other.  The decoder has checked each for
 * itself, the encoder checks with it what its caller filled in.
 */
static int
check_fields(
    const struct cw_manifest *m, enum cw_code code, struct cw_error *err)
{
	if (m->generation > CW_MANIFEST_COUNTER_MAX ||
	    m->epoch > CW_MANIFEST_COUNTER_MAX || m->base > m->generation)
		return cw_error_set(err, code,
		    "manifest: generation, base or epoch out of range");
	if (m->revision == 0)
		return cw_error_set(
		    err, code, "manifest: revision 0, expected 1 or more");
	if (m->is_final && !m->has_catalog)
		return cw_error_set(
		    err, code, "manifest: a final one names its catalog");
	if (m->recipient_count == 0 ||
	    m->recipient_count > CW_MANIFEST_RECIPIENTS_MAX)
		return cw_error_set(err, code,
		    "manifest: %u recipients, expected 1 to %u",
		    m->recipient_count, CW_MANIFEST_RECIPIENTS_MAX);
	if (m->volume_size == 0 || m->volume_size > CW_MANIFEST_VOLUME_MAX)
		return cw_error_set(err, code,
		    "manifest: volume size %llu, expected 1 to %llu",
		    (unsigned long long)m->volume_size, CW_MANIFEST_VOLUME_MAX);
	if ((m->parity_k == 0) != (m->parity_m == 0) ||
	    m->parity_k > CW_MANIFEST_PARITY_MAX ||
	    m->parity_m > CW_MANIFEST_PARITY_MAX - m->parity_k)
		return cw_error_set(err, code, "manifest: parity %u+%u is none",
		    m->parity_k, m->parity_m);
	if (m->media > CW_MANIFEST_MEDIA_MAX || (m->is_final && m->media == 0))
		return cw_error_set(err, code,
		    "manifest: %u media, expected %u to %u", m->media,
		    m->is_final ? 1 : 0, CW_MANIFEST_MEDIA_MAX);
	/* Any media - survive_media of them have to restore everything. */
	if (m->survive_media > m->parity_m ||
	    (m->media != 0 && m->survive_media >= m->media))
		return cw_error_set(err, code,
		    "manifest: cannot survive %u of %u media with parity "
		    "%u+%u",
		    m->survive_media, m->media, m->parity_k, m->parity_m);
	return 0;
}

static void
put_hex(struct cw_buf *buf, const char *key, const uint8_t *bytes, size_t len)
{
	char hex[65];

	cw_hex_encode(bytes, len, hex);
	cw_buf_printf(buf, "%s %s\n", key, hex);
}

static void
put_number(struct cw_buf *buf, const char *key, uint64_t value)
{
	cw_buf_printf(buf, "%s %llu\n", key, (unsigned long long)value);
}

static void
put_head(const struct cw_manifest *m, const char *time, struct cw_buf *buf)
{
	cw_buf_text(buf, "causeway-manifest 1\n");
	put_hex(buf, "seed", m->seed_id, sizeof(m->seed_id));
	put_hex(buf, "store", m->store_id, sizeof(m->store_id));
	put_number(buf, "generation", m->generation);
	put_number(buf, "base", m->base);
	put_number(buf, "epoch", m->epoch);
	cw_buf_printf(buf, "time %s\n", time);
	put_number(buf, "revision", m->revision);
	if (m->has_catalog)
		put_hex(buf, "catalog", m->catalog, sizeof(m->catalog));
	else
		cw_buf_text(buf, "catalog -\n");
	put_hex(buf, "signer", m->signer, sizeof(m->signer));
	put_number(buf, "recipients", m->recipient_count);
	for (uint32_t i = 0; i < m->recipient_count; i++)
		put_hex(buf, "recipient", m->recipients[i], 32);
	put_number(buf, "volume-size", m->volume_size);
	cw_buf_printf(buf, "parity %u %u\n", m->parity_k, m->parity_m);
	put_number(buf, "survive-media", m->survive_media);
	put_number(buf, "media", m->media);
	cw_buf_printf(buf, "state %s\n", m->is_final ? "final" : "open");
	cw_sections_encode(m, buf);
	put_number(buf, "files", m->file_count);
}

/* Sorts; a name twice on a medium is the caller's mistake. */
static int
order(struct cw_manifest *m, struct cw_error *err)
{
	qsort(m->recipients, m->recipient_count, 32, compare_recipients);
	for (uint32_t i = 1; i < m->recipient_count; i++)
		if (memcmp(m->recipients[i - 1], m->recipients[i], 32) == 0)
			return cw_error_set(err, CW_ERR_USAGE,
			    "manifest: a recipient stands there twice");
	if (!m->is_sorted)
		qsort(
		    m->files, m->file_count, sizeof(*m->files), compare_files);
	m->is_sorted = true;
	for (size_t i = 1; i < m->file_count; i++)
		if (compare_files(&m->files[i - 1], &m->files[i]) == 0)
			return cw_error_set(err, CW_ERR_USAGE,
			    "manifest: file %s stands there twice on medium "
			    "%u",
			    m->files[i].name, m->files[i].medium);
	if (m->media != 0 && m->file_count > 0 &&
	    m->files[m->file_count - 1].medium > m->media)
		return cw_error_set(err, CW_ERR_USAGE,
		    "manifest: file %s is on medium %u of %u",
		    m->files[m->file_count - 1].name,
		    m->files[m->file_count - 1].medium, m->media);
	return 0;
}

int
cw_manifest_encode(
    struct cw_manifest *m, struct cw_buf *buf, struct cw_error *err)
{
	char time[CW_TIME_TEXT];
	size_t start = buf->len;
	int64_t again;

	if (check_fields(m, CW_ERR_USAGE, err) < 0 ||
	    cw_sections_check(m, CW_ERR_USAGE, err) < 0 || order(m, err) < 0)
		return -1;
	cw_time_format(m->time, time);
	if (!cw_time_parse(time, strlen(time), &again) || again != m->time)
		return cw_error_set(
		    err, CW_ERR_USAGE, "manifest: time out of range");
	put_head(m, time, buf);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *file = &m->files[i];
		char hex[65];

		cw_hex_encode(file->sha256, sizeof(file->sha256), hex);
		cw_buf_printf(buf, "file %u %llu %s %s\n", file->medium,
		    (unsigned long long)file->size, hex, file->name);
	}
	if (buf->len - start > CW_MANIFEST_TEXT_MAX) {
		buf->len = start;
		return cw_error_set(err, CW_ERR_USAGE,
		    "manifest is over %u bytes", CW_MANIFEST_TEXT_MAX);
	}
	return 0;
}

static int
take_catalog(
    struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	if (cw_lines_take(lines, "catalog", err) < 0)
		return -1;
	if (lines->value_len == 1 && lines->value[0] == '-')
		return 0;
	if (!cw_hex_decode(
		lines->value, lines->value_len, m->catalog, sizeof(m->catalog)))
		return cw_lines_error(
		    lines, err, "expected a SHA-256 in hexadecimal or \"-\"");
	m->has_catalog = true;
	return 0;
}

static int
take_recipients(
    struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	uint64_t count;

	if (cw_lines_number(lines, "recipients", 1, CW_MANIFEST_RECIPIENTS_MAX,
		&count, err) < 0)
		return -1;
	for (; m->recipient_count < count; m->recipient_count++) {
		uint8_t *now = m->recipients[m->recipient_count];

		if (cw_lines_hex(lines, "recipient", now, 32, err) < 0)
			return -1;
		if (m->recipient_count > 0 && memcmp(now - 32, now, 32) >= 0)
			return cw_lines_error(
			    lines, err, "recipients are not in order");
	}
	return 0;
}

static int
take_parity(struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	uint64_t k, parity;

	if (cw_lines_take(lines, "parity", err) < 0 ||
	    cw_lines_word_number(lines, 0, CW_MANIFEST_PARITY_MAX, &k, err) <
		0 ||
	    cw_lines_word_number(
		lines, 0, CW_MANIFEST_PARITY_MAX, &parity, err) < 0)
		return -1;
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "more than two values");
	m->parity_k = (uint32_t)k;
	m->parity_m = (uint32_t)parity;
	return 0;
}

static int
take_state(struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	if (cw_lines_take(lines, "state", err) < 0)
		return -1;
	m->is_final =
	    lines->value_len == 5 && memcmp(lines->value, "final", 5) == 0;
	if (!m->is_final &&
	    (lines->value_len != 4 || memcmp(lines->value, "open", 4) != 0))
		return cw_lines_error(
		    lines, err, "expected \"open\" or \"final\"");
	return 0;
}

/* All before the files; *count is how many of these are promised. */
static int
take_head(struct cw_lines *lines, struct cw_manifest *m, uint64_t *count,
    struct cw_error *err)
{
	uint64_t revision, survive, media;

	if (cw_lines_version(lines, "causeway-manifest", err) < 0 ||
	    cw_lines_hex(lines, "seed", m->seed_id, sizeof(m->seed_id), err) <
		0 ||
	    cw_lines_hex(
		lines, "store", m->store_id, sizeof(m->store_id), err) < 0 ||
	    cw_lines_number(lines, "generation", 0, CW_MANIFEST_COUNTER_MAX,
		&m->generation, err) < 0 ||
	    cw_lines_number(
		lines, "base", 0, CW_MANIFEST_COUNTER_MAX, &m->base, err) < 0 ||
	    cw_lines_number(lines, "epoch", 0, CW_MANIFEST_COUNTER_MAX,
		&m->epoch, err) < 0 ||
	    cw_lines_time(lines, "time", &m->time, err) < 0 ||
	    cw_lines_number(lines, "revision", 1, UINT32_MAX, &revision, err) <
		0 ||
	    take_catalog(lines, m, err) < 0 ||
	    cw_lines_hex(lines, "signer", m->signer, sizeof(m->signer), err) <
		0 ||
	    take_recipients(lines, m, err) < 0 ||
	    cw_lines_number(lines, "volume-size", 1, CW_MANIFEST_VOLUME_MAX,
		&m->volume_size, err) < 0 ||
	    take_parity(lines, m, err) < 0 ||
	    cw_lines_number(lines, "survive-media", 0, CW_MANIFEST_PARITY_MAX,
		&survive, err) < 0 ||
	    cw_lines_number(
		lines, "media", 0, CW_MANIFEST_MEDIA_MAX, &media, err) < 0 ||
	    take_state(lines, m, err) < 0)
		return -1;
	m->revision = (uint32_t)revision;
	m->survive_media = (uint32_t)survive;
	m->media = (uint32_t)media;
	if (check_fields(m, CW_ERR_FORMAT, err) < 0 ||
	    cw_sections_decode(lines, m, err) < 0)
		return -1;
	return cw_lines_number(
	    lines, "files", 0, CW_MANIFEST_FILES_MAX, count, err);
}

static int
take_file(struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err)
{
	struct cw_manifest_file file = {.size = 0};
	const char *hex, *name;
	size_t hex_len, name_len;
	uint64_t medium;

	if (cw_lines_take(lines, "file", err) < 0 ||
	    cw_lines_word_number(lines, 1,
		m->media == 0 ? CW_MANIFEST_MEDIA_MAX : m->media, &medium,
		err) < 0 ||
	    cw_lines_word_number(
		lines, 0, CW_MANIFEST_FILE_SIZE_MAX, &file.size, err) < 0 ||
	    cw_lines_word(lines, &hex, &hex_len, err) < 0 ||
	    cw_lines_word(lines, &name, &name_len, err) < 0)
		return -1;
	if (!cw_hex_decode(hex, hex_len, file.sha256, sizeof(file.sha256)))
		return cw_lines_error(
		    lines, err, "expected a SHA-256 in hexadecimal");
	if (lines->value != NULL || !cw_manifest_name_is_valid(name, name_len))
		return cw_lines_error(
		    lines, err, "name that no file of a seed may have");
	file.medium = (uint32_t)medium;
	memcpy(file.name, name, name_len);
	if (m->file_count > 0 &&
	    compare_files(&m->files[m->file_count - 1], &file) >= 0)
		return cw_lines_error(lines, err, "files are not in order");
	return cw_manifest_add_file(m, &file, err);
}

int
cw_manifest_decode(
    const char *text, size_t len, struct cw_manifest *m, struct cw_error *err)
{
	struct cw_lines lines;
	uint64_t count = 0;

	if (len > CW_MANIFEST_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "manifest is %zu bytes, expected at most %u", len,
		    CW_MANIFEST_TEXT_MAX);
	cw_lines_begin(&lines, "manifest", text, len);
	if (take_head(&lines, m, &count, err) < 0)
		goto fail;
	if (count > lines.len / FILE_LINE_MIN) {
		cw_lines_error(&lines, err,
		    "%llu files promised, but the text is too short for them",
		    (unsigned long long)count);
		goto fail;
	}
	while (m->file_count < count)
		if (take_file(&lines, m, err) < 0)
			goto fail;
	if (cw_lines_end(&lines, err) < 0)
		goto fail;
	return 0;
fail:
	cw_manifest_free(m);
	return -1;
}
