#include "formats/certificate/certificate.h"

#include "base/bytes.h"
#include "base/text.h"
#include "formats/manifest/lines.h"

#include <stdlib.h>
#include <string.h>

#define HEX_MAX	    (2 * 32 + 1)
#define VOLUMES_MAX 999999u
#define BYTES_MAX   (1ull << 62)

static const char *const methods[] = {"device", "cached", "quick"};
static const char *const results[] = {"ok", "repairable", "damaged"};
static const char *const states[] = {"open", "final"};
static const char *const fates[] = {"lost", "repairable"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void
cw_certificate_free(struct cw_certificate *c)
{
	free(c->media);
	free(c->damage);
	*c = (struct cw_certificate)CW_CERTIFICATE_INIT;
}

/* Room for one more of an array that doubles with each power of two. */
static void *
grow(void *items, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return items;
	return cw_reallocarray(items, count == 0 ? 1 : 2 * count, size);
}

void
cw_certificate_add_medium(
    struct cw_certificate *c, const struct cw_certificate_medium *medium)
{
	c->media = grow(c->media, c->medium_count, sizeof(*c->media));
	c->media[c->medium_count++] = *medium;
}

void
cw_certificate_add_damage(
    struct cw_certificate *c, const struct cw_certificate_damage *damage)
{
	if (c->damage_count >= CW_CERTIFICATE_DAMAGE_MAX) {
		c->damage_more++;
		return;
	}
	c->damage = grow(c->damage, c->damage_count, sizeof(*c->damage));
	c->damage[c->damage_count++] = *damage;
}

const struct cw_certificate_medium *
cw_certificate_medium(const struct cw_certificate *c, uint32_t number)
{
	for (size_t i = 0; i < c->medium_count; i++)
		if (c->media[i].number == number)
			return &c->media[i];
	return NULL;
}

static bool
is_printable(const char *text, size_t size, char lowest)
{
	size_t len = strnlen(text, size);

	for (size_t i = 0; i < len; i++)
		if (text[i] < lowest || text[i] > '~')
			return false;
	return len < size;
}

/* ---- what no certificate may say ---- */

static const char *
find_bad_medium(const struct cw_certificate *c)
{
	for (size_t i = 0; i < c->medium_count; i++) {
		const struct cw_certificate_medium *m = &c->media[i];

		if (m->number == 0 || m->number > CW_MANIFEST_MEDIA_MAX ||
		    (c->media_count != 0 && m->number > c->media_count) ||
		    (i > 0 && m->number <= c->media[i - 1].number))
			return "numbers of media are out of order or range";
		if (m->files > CW_MANIFEST_FILES_MAX || m->bytes > BYTES_MAX)
			return "counts of a medium are out of range";
		if (m->filesystem[0] == '\0' ||
		    !is_printable(m->filesystem, sizeof(m->filesystem), '!') ||
		    !is_printable(m->label, sizeof(m->label), ' '))
			return "label or UUID of a medium is none";
	}
	return NULL;
}

static const char *
find_bad_damage(const struct cw_certificate *c)
{
	for (size_t i = 0; i < c->damage_count; i++) {
		const struct cw_certificate_damage *d = &c->damage[i];

		if (d->medium > CW_MANIFEST_MEDIA_MAX ||
		    d->offset > CW_MANIFEST_FILE_SIZE_MAX ||
		    d->length > CW_MANIFEST_FILE_SIZE_MAX ||
		    (d->is_missing && (d->offset != 0 || d->length != 0)))
			return "numbers of a damage are out of range";
		if (!cw_manifest_name_is_valid(
			d->file, strnlen(d->file, sizeof(d->file))))
			return "name of a damaged file is none";
		if (c->result == CW_CERTIFICATE_OK ||
		    (c->result == CW_CERTIFICATE_REPAIRABLE &&
			!d->is_repairable))
			return "result and damage disagree";
	}
	if (c->result == CW_CERTIFICATE_OK && c->damage_more > 0)
		return "result and damage disagree";
	return NULL;
}

/* Says what is wrong with it, or NULL; media must be in order. */
static const char *
find_fault(const struct cw_certificate *c)
{
	const char *fault;

	if (c->generation > CW_MANIFEST_COUNTER_MAX || c->revision == 0)
		return "generation or revision is out of range";
	if (c->media_count > CW_MANIFEST_MEDIA_MAX ||
	    (c->is_final && c->media_count == 0))
		return "count of media is out of range";
	if (!cw_card_name_is_valid(c->site, strnlen(c->site, sizeof(c->site))))
		return "name of a site is none";
	if (c->from > c->to)
		return "it ends before it begins";
	if (c->volumes > VOLUMES_MAX || c->damage_more > BYTES_MAX ||
	    c->damage_count > CW_CERTIFICATE_DAMAGE_MAX ||
	    c->medium_count > CW_MANIFEST_MEDIA_MAX)
		return "counts are out of range";
	if (c->is_final && c->result == CW_CERTIFICATE_OK &&
	    c->medium_count != c->media_count)
		return "not all media were read, and yet it is ok";
	fault = find_bad_medium(c);
	return fault != NULL ? fault : find_bad_damage(c);
}

/* ---- encoding ---- */

static void
put_hex(struct cw_buf *buf, const char *key, const uint8_t *data, size_t len)
{
	char hex[HEX_MAX];

	cw_hex_encode(data, len, hex);
	cw_buf_printf(buf, "%s %s\n", key, hex);
}

static void
put_number(struct cw_buf *buf, const char *key, uint64_t number)
{
	cw_buf_printf(buf, "%s %llu\n", key, (unsigned long long)number);
}

/* False for a time that has no text. */
static bool
put_time(struct cw_buf *buf, const char *key, int64_t time)
{
	char text[CW_TIME_TEXT];
	int64_t again;

	cw_time_format(time, text);
	cw_buf_printf(buf, "%s %s\n", key, text);
	return cw_time_parse(text, strlen(text), &again) && again == time;
}

static void
put_damage(struct cw_buf *buf, const struct cw_certificate_damage *d)
{
	if (d->is_missing)
		cw_buf_printf(buf, "missing %u %s %s\n", d->medium,
		    fates[d->is_repairable], d->file);
	else
		cw_buf_printf(buf, "bad %u %llu %llu %s %s\n", d->medium,
		    (unsigned long long)d->offset,
		    (unsigned long long)d->length, fates[d->is_repairable],
		    d->file);
}

static int
by_number(const void *a, const void *b)
{
	const struct cw_certificate_medium *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

int
cw_certificate_encode(
    struct cw_certificate *c, struct cw_buf *buf, struct cw_error *err)
{
	size_t before = buf->len;
	const char *fault;
	bool has_times;

	if (c->medium_count > 1)
		qsort(c->media, c->medium_count, sizeof(*c->media), by_number);
	fault = find_fault(c);
	if (fault != NULL)
		return cw_error_set(
		    err, CW_ERR_USAGE, "certificate: %s", fault);
	cw_buf_text(buf, "causeway-certificate 1\n");
	put_hex(buf, "seed", c->seed_id, sizeof(c->seed_id));
	put_hex(buf, "store", c->store_id, sizeof(c->store_id));
	put_number(buf, "generation", c->generation);
	put_hex(buf, "manifest", c->manifest, sizeof(c->manifest));
	put_number(buf, "revision", c->revision);
	cw_buf_printf(buf, "state %s\n", states[c->is_final]);
	put_number(buf, "media", c->media_count);
	put_hex(buf, "signer", c->signer, sizeof(c->signer));
	cw_buf_printf(buf, "verified-by %s\n", c->site);
	put_hex(buf, "fingerprint", c->fingerprint, sizeof(c->fingerprint));
	cw_buf_printf(buf, "method %s\n", methods[c->method]);
	has_times = put_time(buf, "from", c->from);
	has_times = put_time(buf, "to", c->to) && has_times;
	cw_buf_printf(buf, "result %s\n", results[c->result]);
	put_number(buf, "volumes", c->volumes);
	put_number(buf, "read", c->medium_count);
	for (size_t i = 0; i < c->medium_count; i++)
		cw_buf_printf(buf, "medium %u %llu %llu %s %s\n",
		    c->media[i].number, (unsigned long long)c->media[i].files,
		    (unsigned long long)c->media[i].bytes,
		    c->media[i].filesystem, c->media[i].label);
	cw_buf_printf(buf, "damage %zu %llu\n", c->damage_count,
	    (unsigned long long)c->damage_more);
	for (size_t i = 0; i < c->damage_count; i++)
		put_damage(buf, &c->damage[i]);
	if (has_times && buf->len - before <= CW_CERTIFICATE_TEXT_MAX)
		return 0;
	buf->len = before;
	return cw_error_set(err, CW_ERR_USAGE,
	    "certificate: a time is out of range, or it is too long");
}

/* ---- decoding ---- */

/* Takes a word that is one of a list. */
static int
take_choice(struct cw_lines *lines, const char *const *names, size_t count,
    size_t *out, struct cw_error *err)
{
	const char *word;
	size_t len;

	if (cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == len &&
		    memcmp(names[i], word, len) == 0) {
			*out = i;
			return 0;
		}
	return cw_lines_error(lines, err, "%.*s is none of the words expected",
	    (int)(len < 32 ? len : 32), word);
}

static int
take_key_choice(struct cw_lines *lines, const char *key,
    const char *const *names, size_t count, size_t *out, struct cw_error *err)
{
	if (cw_lines_take(lines, key, err) < 0 ||
	    take_choice(lines, names, count, out, err) < 0)
		return -1;
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "more than one value");
	return 0;
}

static int
take_site(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	if (cw_lines_take(lines, "verified-by", err) < 0)
		return -1;
	if (!cw_card_name_is_valid(lines->value, lines->value_len))
		return cw_lines_error(lines, err, "that is no name of a site");
	memcpy(c->site, lines->value, lines->value_len);
	return 0;
}

static int
take_seed(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	uint64_t revision, media;
	size_t state;

	if (cw_lines_version(lines, "causeway-certificate", err) < 0 ||
	    cw_lines_hex(lines, "seed", c->seed_id, sizeof(c->seed_id), err) <
		0 ||
	    cw_lines_hex(
		lines, "store", c->store_id, sizeof(c->store_id), err) < 0 ||
	    cw_lines_number(lines, "generation", 0, CW_MANIFEST_COUNTER_MAX,
		&c->generation, err) < 0 ||
	    cw_lines_hex(
		lines, "manifest", c->manifest, sizeof(c->manifest), err) < 0 ||
	    cw_lines_number(lines, "revision", 1, UINT32_MAX, &revision, err) <
		0 ||
	    take_key_choice(
		lines, "state", states, COUNT(states), &state, err) < 0 ||
	    cw_lines_number(
		lines, "media", 0, CW_MANIFEST_MEDIA_MAX, &media, err) < 0 ||
	    cw_lines_hex(lines, "signer", c->signer, sizeof(c->signer), err) <
		0)
		return -1;
	c->revision = (uint32_t)revision;
	c->is_final = state == 1;
	c->media_count = (uint32_t)media;
	return 0;
}

static int
take_work(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	size_t method, result;

	if (take_site(lines, c, err) < 0 ||
	    cw_lines_hex(lines, "fingerprint", c->fingerprint,
		sizeof(c->fingerprint), err) < 0 ||
	    take_key_choice(
		lines, "method", methods, COUNT(methods), &method, err) < 0 ||
	    cw_lines_time(lines, "from", &c->from, err) < 0 ||
	    cw_lines_time(lines, "to", &c->to, err) < 0 ||
	    take_key_choice(
		lines, "result", results, COUNT(results), &result, err) < 0 ||
	    cw_lines_number(
		lines, "volumes", 0, VOLUMES_MAX, &c->volumes, err) < 0)
		return -1;
	c->method = (enum cw_certificate_method)method;
	c->result = (enum cw_certificate_result)result;
	return 0;
}

static int
take_medium(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	struct cw_certificate_medium m = {.number = 0};
	const char *word;
	uint64_t number;
	size_t len;

	if (cw_lines_take(lines, "medium", err) < 0 ||
	    cw_lines_word_number(
		lines, 1, CW_MANIFEST_MEDIA_MAX, &number, err) < 0 ||
	    cw_lines_word_number(
		lines, 0, CW_MANIFEST_FILES_MAX, &m.files, err) < 0 ||
	    cw_lines_word_number(lines, 0, BYTES_MAX, &m.bytes, err) < 0 ||
	    cw_lines_word(lines, &word, &len, err) < 0)
		return -1;
	if (len > CW_MEDIUM_UUID_MAX || lines->value == NULL ||
	    lines->value_len > CW_MEDIUM_LABEL_MAX ||
	    memchr(word, '\0', len) != NULL ||
	    memchr(lines->value, '\0', lines->value_len) != NULL)
		return cw_lines_error(
		    lines, err, "expected a UUID and a label");
	m.number = (uint32_t)number;
	memcpy(m.filesystem, word, len);
	memcpy(m.label, lines->value, lines->value_len);
	cw_certificate_add_medium(c, &m);
	return 0;
}

static int
take_media(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	uint64_t count;

	if (cw_lines_number(
		lines, "read", 0, CW_MANIFEST_MEDIA_MAX, &count, err) < 0)
		return -1;
	for (uint64_t i = 0; i < count; i++)
		if (take_medium(lines, c, err) < 0)
			return -1;
	return 0;
}

/* The rest of a "bad" or "missing" record. */
static int
take_values(struct cw_lines *lines, struct cw_certificate_damage *d,
    struct cw_error *err)
{
	uint64_t medium;
	size_t fate;

	if (cw_lines_word_number(
		lines, 0, CW_MANIFEST_MEDIA_MAX, &medium, err) < 0)
		return -1;
	if (!d->is_missing &&
	    (cw_lines_word_number(
		 lines, 0, CW_MANIFEST_FILE_SIZE_MAX, &d->offset, err) < 0 ||
		cw_lines_word_number(
		    lines, 0, CW_MANIFEST_FILE_SIZE_MAX, &d->length, err) < 0))
		return -1;
	if (take_choice(lines, fates, COUNT(fates), &fate, err) < 0)
		return -1;
	if (lines->value == NULL ||
	    !cw_manifest_name_is_valid(lines->value, lines->value_len))
		return cw_lines_error(lines, err, "expected a file's name");
	d->medium = (uint32_t)medium;
	d->is_repairable = fate == 1;
	memcpy(d->file, lines->value, lines->value_len);
	return 0;
}

static int
take_damage(
    struct cw_lines *lines, struct cw_certificate *c, struct cw_error *err)
{
	static const char *const kinds[] = {"bad", "missing"};
	uint64_t count;

	if (cw_lines_take(lines, "damage", err) < 0 ||
	    cw_lines_word_number(
		lines, 0, CW_CERTIFICATE_DAMAGE_MAX, &count, err) < 0 ||
	    cw_lines_word_number(lines, 0, BYTES_MAX, &c->damage_more, err) < 0)
		return -1;
	if (lines->value != NULL)
		return cw_lines_error(lines, err, "more than two values");
	for (uint64_t i = 0; i < count; i++) {
		struct cw_certificate_damage d = {.medium = 0};
		size_t kind;

		if (cw_lines_next(lines, err) < 0 ||
		    take_choice(lines, kinds, COUNT(kinds), &kind, err) < 0)
			return -1;
		d.is_missing = kind == 1;
		if (take_values(lines, &d, err) < 0)
			return -1;
		cw_certificate_add_damage(c, &d);
	}
	return 0;
}

int
cw_certificate_decode(const char *text, size_t len, struct cw_certificate *c,
    struct cw_error *err)
{
	struct cw_lines lines;
	const char *fault;

	*c = (struct cw_certificate)CW_CERTIFICATE_INIT;
	if (len > CW_CERTIFICATE_TEXT_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "certificate is %zu bytes, expected at most %u", len,
		    CW_CERTIFICATE_TEXT_MAX);
	cw_lines_begin(&lines, "certificate", text, len);
	if (take_seed(&lines, c, err) < 0 || take_work(&lines, c, err) < 0 ||
	    take_media(&lines, c, err) < 0 || take_damage(&lines, c, err) < 0 ||
	    cw_lines_end(&lines, err) < 0)
		goto fail;
	fault = find_fault(c);
	if (fault != NULL) {
		cw_error_set(err, CW_ERR_FORMAT, "certificate: %s", fault);
		goto fail;
	}
	return 0;
fail:
	cw_certificate_free(c);
	return -1;
}
