#include "formats/age/header.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS	   64u
#define LINE_BYTES (COLUMNS / 4 * 3) /* that a full line of a body carries */
#define MAC_TEXT   CW_BASE64_RAW_LEN(CW_AGE_MAC)

/* The lines that are still to be parsed. */
struct cursor {
	const char *text;
	size_t len;
	size_t at;
	size_t number; /* of the line last taken, from 1 */
};

size_t
cw_age_header_find(const uint8_t *data, size_t len, size_t *from)
{
	while (*from < len) {
		const uint8_t *line = data + *from;
		const uint8_t *end = memchr(line, '\n', len - *from);

		if (end == NULL)
			return 0;
		/* No other line can begin so: bodies are base64. */
		if (end - line >= 3 && memcmp(line, "---", 3) == 0)
			return (size_t)(end - data) + 1;
		*from = (size_t)(end - data) + 1;
	}
	return 0;
}

bool
cw_age_slice_is(struct cw_age_slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.text, text, s.len) == 0;
}

static int
take_line(struct cursor *c, struct cw_age_slice *line, struct cw_error *err)
{
	const char *start = c->text + c->at;
	const char *end = memchr(start, '\n', c->len - c->at);

	c->number++;
	if (end == NULL)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "age header: no end of line %zu within the first %zu bytes",
		    c->number, c->len);
	line->text = start;
	line->len = (size_t)(end - start);
	c->at += line->len + 1;
	return 0;
}

/* "-> type argument argument": single spaces, visible ASCII characters. */
static int
parse_args(
    const struct cursor *c, struct cw_age_stanza *s, struct cw_error *err)
{
	size_t start = 0;

	s->arg_count = 0;
	for (size_t i = 0; i <= s->line.len; i++) {
		if (i < s->line.len && s->line.text[i] != ' ') {
			if (s->line.text[i] < 33 || s->line.text[i] > 126)
				return cw_error_set(err, CW_ERR_FORMAT,
				    "age header: line %zu holds a character "
				    "that no argument may have",
				    c->number);
			continue;
		}
		if (i == start)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "age header: line %zu has an empty argument",
			    c->number);
		if (s->arg_count < CW_AGE_ARGS_MAX)
			s->arg[s->arg_count] = (struct cw_age_slice){
			    s->line.text + start, i - start};
		s->arg_count++;
		start = i + 1;
	}
	return 0;
}

/* Full lines of base64, then one that is shorter, or empty. */
static int
parse_body(struct cursor *c, struct cw_age_stanza *s, uint8_t *out,
    struct cw_error *err)
{
	struct cw_age_slice line = {NULL, 0};

	s->body = out;
	s->body_len = 0;
	do {
		uint8_t bytes[LINE_BYTES + 3];
		size_t n;

		if (take_line(c, &line, err) < 0)
			return -1;
		if (line.len > COLUMNS ||
		    !cw_base64_decode(line.text, line.len, false, bytes, &n))
			return cw_error_set(err, CW_ERR_FORMAT,
			    "age header: line %zu is not the base64 of a "
			    "stanza's body",
			    c->number);
		memcpy(out + s->body_len, bytes, n);
		s->body_len += n;
	} while (line.len == COLUMNS);
	return 0;
}

static int
parse_mac(const struct cursor *c, struct cw_age_slice line,
    struct cw_age_header *h, struct cw_error *err)
{
	uint8_t mac[MAC_TEXT / 4 * 3 + 3];
	size_t n;

	if (line.len != 4 + MAC_TEXT || line.text[3] != ' ' ||
	    !cw_base64_decode(line.text + 4, MAC_TEXT, false, mac, &n))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "age header: line %zu is not \"--- \" and a MAC of %zu "
		    "base64 characters",
		    c->number, (size_t)MAC_TEXT);
	memcpy(h->mac, mac, CW_AGE_MAC);
	h->mac_over = (size_t)(line.text - c->text) + 3;
	h->size = c->at;
	return 0;
}

static int
parse(struct cursor *c, struct cw_age_header *h, struct cw_error *err)
{
	struct cw_age_slice line;
	size_t used = 0;

	if (take_line(c, &line, err) < 0)
		return -1;
	if (!cw_age_slice_is(line, CW_AGE_VERSION_LINE))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "not an age v1 file: its first line is not \"%s\"",
		    CW_AGE_VERSION_LINE);
	for (;;) {
		struct cw_age_stanza *s = &h->stanzas[h->count];

		if (take_line(c, &line, err) < 0)
			return -1;
		if (line.len >= 3 && memcmp(line.text, "---", 3) == 0)
			break;
		if (line.len < 3 || memcmp(line.text, "-> ", 3) != 0)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "age header: line %zu begins neither a recipient "
			    "(\"-> \") nor the MAC (\"--- \")",
			    c->number);
		if (h->count == CW_AGE_STANZAS_MAX)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "age header has more than %u recipients",
			    CW_AGE_STANZAS_MAX);
		s->line = (struct cw_age_slice){line.text + 3, line.len - 3};
		if (parse_args(c, s, err) < 0 ||
		    parse_body(c, s, h->bodies + used, err) < 0)
			return -1;
		used += s->body_len;
		h->count++;
	}
	if (h->count == 0)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "age header has no recipient");
	return parse_mac(c, line, h, err);
}

int
cw_age_header_parse(const uint8_t *data, size_t len, struct cw_age_header *h,
    struct cw_error *err)
{
	size_t most = CW_AGE_HEADER_MAX - CW_AGE_NONCE;
	struct cursor c = {(const char *)data, len < most ? len : most, 0, 0};

	if (len == 0)
		return cw_error_set(
		    err, CW_ERR_FORMAT, "not an age v1 file: it is empty");
	memset(h, 0, sizeof(*h));
	h->bodies = cw_malloc(c.len);
	if (parse(&c, h, err) < 0) {
		cw_age_header_free(h);
		return -1;
	}
	return 0;
}

void
cw_age_header_free(struct cw_age_header *h)
{
	free(h->bodies);
	h->bodies = NULL;
}

void
cw_age_header_begin(struct cw_buf *out)
{
	cw_buf_text(out, CW_AGE_VERSION_LINE "\n");
}

void
cw_age_stanza_write(struct cw_buf *out, struct cw_age_slice line,
    const uint8_t *body, size_t body_len)
{
	char text[COLUMNS + 1];
	size_t take;

	cw_buf_text(out, "-> ");
	cw_buf_append(out, line.text, line.len);
	cw_buf_text(out, "\n");
	/* A body of whole lines ends with an empty one. */
	do {
		take = body_len < LINE_BYTES ? body_len : LINE_BYTES;
		if (take > 0) {
			cw_base64_encode(body, take, false, text);
			cw_buf_text(out, text);
			body += take;
			body_len -= take;
		}
		cw_buf_text(out, "\n");
	} while (take == LINE_BYTES);
}

void
cw_age_header_mac(const uint8_t file_key[CW_AGE_FILE_KEY], const uint8_t *data,
    size_t len, uint8_t mac[CW_AGE_MAC])
{
	uint8_t key[CW_AGE_KEY];

	(void)cw_age_hkdf(file_key, CW_AGE_FILE_KEY, NULL, 0, "header",
	    strlen("header"), key, sizeof(key));
	cw_age_hmac(key, sizeof(key), data, len, mac);
	explicit_bzero(key, sizeof(key));
}

void
cw_age_header_finish(
    struct cw_buf *out, const uint8_t file_key[CW_AGE_FILE_KEY])
{
	uint8_t mac[CW_AGE_MAC];
	char text[MAC_TEXT + 1];

	cw_buf_text(out, "---");
	cw_age_header_mac(file_key, out->data, out->len, mac);
	cw_base64_encode(mac, sizeof(mac), false, text);
	cw_buf_printf(out, " %s\n", text);
}
