#include "formats/mail/uidlist.h"

#include "base/bytes.h"
#include "formats/mail/mail.h"

#include <string.h>

#define UID_MAX UINT32_MAX

struct reader {
	const char *at, *end;
	size_t number; /* of the line last taken, from 1 */
	const char *line;
	size_t len; /* without the newline */
};

/* A whole line; false at the end, or where only a torn one is left. */
static bool
next_line(struct reader *r)
{
	const char *newline =
	    r->at == r->end ? NULL
			    : memchr(r->at, '\n', (size_t)(r->end - r->at));

	if (newline == NULL)
		return false;
	r->number++;
	r->line = r->at;
	r->len = (size_t)(newline - r->at);
	r->at = newline + 1;
	return true;
}

static int
wrong(const struct reader *r, struct cw_error *err, const char *what)
{
	return cw_error_set(err, CW_ERR_FORMAT,
	    CW_UIDLIST_NAME ", line %zu: %s", r->number, what);
}

/* A word up to a space; *at is then behind the space, or at the end. */
static size_t
take_word(const char **at, const char *end, const char **word)
{
	const char *space = memchr(*at, ' ', (size_t)(end - *at));

	*word = *at;
	*at = space == NULL ? end : space + 1;
	return (size_t)((space == NULL ? end : space) - *word);
}

static bool
parse_uid(const char *text, size_t len, uint32_t min, uint32_t *out)
{
	uint64_t value;

	if (!cw_decimal_parse(text, len, UID_MAX, &value) || value < min)
		return false;
	*out = (uint32_t)value;
	return true;
}

/* "1 VALIDITY NEXT" */
static bool
parse_header_1(const char *at, const char *end, struct cw_uidlist *list)
{
	const char *validity, *next;
	size_t validity_len = take_word(&at, end, &validity);
	size_t next_len = take_word(&at, end, &next);

	return at == end &&
	       parse_uid(validity, validity_len, 0, &list->uidvalidity) &&
	       parse_uid(next, next_len, 1, &list->next_uid);
}

/* "3 V1 N2 Gabc": words with a letter before each, in any order. */
static bool
parse_header_3(const char *at, const char *end, struct cw_uidlist *list)
{
	bool has_validity = false, has_next = false;

	while (at < end) {
		const char *word;
		size_t len = take_word(&at, end, &word);

		if (len == 0)
			return false;
		if (word[0] == 'V') {
			if (has_validity || !parse_uid(word + 1, len - 1, 0,
						&list->uidvalidity))
				return false;
			has_validity = true;
		} else if (word[0] == 'N') {
			if (has_next ||
			    !parse_uid(word + 1, len - 1, 1, &list->next_uid))
				return false;
			has_next = true;
		}
	}
	return has_validity && has_next;
}

static int
parse_header(struct reader *r, struct cw_uidlist *list, struct cw_error *err)
{
	const char *at, *end, *version;
	size_t len;

	if (!next_line(r)) {
		r->number = 1;
		return wrong(r, err, "no whole header");
	}
	if (r->len > CW_UIDLIST_LINE_MAX)
		return wrong(r, err, "too long");
	at = r->line;
	end = r->line + r->len;
	len = take_word(&at, end, &version);
	if (len == 1 && version[0] == '1')
		list->version = 1;
	else if (len == 1 && version[0] == '3')
		list->version = 3;
	else if (len == 1 && version[0] >= '0' && version[0] <= '9')
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    CW_UIDLIST_NAME " is of version %c, expected 1 or 3",
		    version[0]);
	else
		return wrong(r, err, "no version");
	if (memchr(r->line, '\0', r->len) != NULL ||
	    !(list->version == 1 ? parse_header_1(at, end, list)
				 : parse_header_3(at, end, list)))
		return wrong(
		    r, err, "no valid UIDVALIDITY and next UID in the header");
	return 0;
}

/* "UID NAME", or from version 3 on "UID [words] :NAME". */
static int
parse_line(const struct reader *r, unsigned version, uint32_t min,
    uint32_t *uid, const char **name, size_t *name_len, struct cw_error *err)
{
	const char *at = r->line, *end = r->line + r->len, *word;
	size_t len;

	if (r->len > CW_UIDLIST_LINE_MAX)
		return wrong(r, err, "too long");
	if (memchr(r->line, '\0', r->len) != NULL)
		return wrong(r, err, "a NUL byte");
	len = take_word(&at, end, &word);
	if (!parse_uid(word, len, min, uid))
		return wrong(r, err, "no UID greater than that before");
	if (version == 1) {
		*name = at;
		*name_len = (size_t)(end - at);
	} else {
		while (at < end && *at != ':')
			(void)take_word(&at, end, &word);
		if (at == end)
			return wrong(r, err, "no name of a file");
		*name = at + 1;
		*name_len = (size_t)(end - at) - 1;
	}
	if (*name_len == 0 || memchr(*name, '/', *name_len) != NULL)
		return wrong(r, err, "no name of a file");
	return 0;
}

/*
 * Goes through all lines; those of messages that are there go to out.  out and
 * guard may be NULL.
 */
static int
go_through(struct reader *r, const struct cw_uidlist_guard *guard,
    struct cw_uidlist *list, struct cw_buf *out, uint64_t *dropped,
    struct cw_error *err)
{
	uint32_t min = 1;
	bool is_full = false;

	while (next_line(r)) {
		const char *name = NULL;
		size_t len = 0;
		uint32_t uid = 0;

		if (is_full)
			return wrong(r, err, "no UID is left for it");
		if (parse_line(r, list->version, min, &uid, &name, &len, err) <
		    0)
			return -1;
		is_full = uid == UID_MAX;
		min = is_full ? uid : uid + 1;
		list->lines++;
		if (guard != NULL && guard->is_present != NULL &&
		    !guard->is_present(
			guard->arg, name, cw_maildir_base_len(name, len))) {
			(*dropped)++;
			continue;
		}
		if (out != NULL) {
			cw_buf_append(out, r->line, r->len);
			cw_buf_text(out, "\n");
		}
	}
	list->is_torn = r->at != r->end;
	/* A header that is behind its lines: they have the last word. */
	if (list->next_uid < min)
		list->next_uid = min;
	return 0;
}

static int
check_size(size_t len, struct cw_error *err)
{
	if (len > CW_UIDLIST_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    CW_UIDLIST_NAME " is %zu bytes, expected at most %u", len,
		    CW_UIDLIST_MAX);
	return 0;
}

int
cw_uidlist_parse(
    const char *text, size_t len, struct cw_uidlist *list, struct cw_error *err)
{
	struct reader r = {.at = text, .end = text + len};
	struct cw_uidlist found = {0};

	if (check_size(len, err) < 0 || parse_header(&r, &found, err) < 0 ||
	    go_through(&r, NULL, &found, NULL, NULL, err) < 0)
		return -1;
	*list = found;
	return 0;
}

uint32_t
cw_uidlist_raised(const struct cw_uidlist *list, uint32_t raise)
{
	return raise > UID_MAX - list->next_uid ? UID_MAX
						: list->next_uid + raise;
}

/* The header as it was, but for its next UID. */
static void
put_header(struct cw_buf *out, const char *line, size_t len, unsigned version,
    uint32_t next)
{
	const char *at = line, *end = line + len, *word;

	if (version == 1) {
		size_t word_len;

		(void)take_word(&at, end, &word);
		word_len = take_word(&at, end, &word);
		cw_buf_printf(out, "1 %.*s %u\n", (int)word_len, word, next);
		return;
	}
	while (at < end) {
		size_t word_len = take_word(&at, end, &word);

		if (word != line)
			cw_buf_text(out, " ");
		if (word != line && word[0] == 'N')
			cw_buf_printf(out, "N%u", next);
		else
			cw_buf_append(out, word, word_len);
	}
	cw_buf_text(out, "\n");
}

int
cw_uidlist_guard(const char *text, size_t len,
    const struct cw_uidlist_guard *guard, struct cw_buf *out, uint64_t *dropped,
    struct cw_error *err)
{
	struct reader r = {.at = text, .end = text + len};
	struct cw_uidlist list = {0}, again = {0};
	uint64_t absent = 0;

	/* First whether it is right, and the last UID: the header needs it. */
	if (cw_uidlist_parse(text, len, &list, err) < 0 ||
	    parse_header(&r, &again, err) < 0)
		return -1;
	put_header(out, r.line, r.len, list.version,
	    guard->next_uid > list.next_uid ? guard->next_uid : list.next_uid);
	if (go_through(&r, guard, &again, out, &absent, err) < 0)
		return -1;
	if (dropped != NULL)
		*dropped = absent;
	return 0;
}
