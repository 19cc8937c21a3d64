#include "formats/age/age.h"

#include "formats/age/armor.h"
#include "formats/age/header.h"
#include "formats/age/open.h"

#include <stdlib.h>
#include <string.h>

struct cw_age_decoder {
	const struct cw_age_identity *id;
	struct cw_age_hooks hooks;
	struct cw_age_armor armor;
	bool begun;
	bool armored;

	struct cw_buf header; /* until it is whole */
	size_t header_from;   /* see cw_age_header_find */
	size_t header_size;   /* 0: not known yet */

	struct cw_age_open *open; /* NULL: still in the header */
	uint64_t index;		  /* of the chunk in sealed */
	size_t len;
	uint8_t sealed[CW_AGE_SEALED_CHUNK];
	uint8_t plain[CW_AGE_CHUNK];

	enum cw_age_outcome outcome;
	struct cw_error error; /* of the outcome, for every later call */
};

struct cw_age_decoder *
cw_age_decoder_new(
    const struct cw_age_identity *id, const struct cw_age_hooks *hooks)
{
	struct cw_age_decoder *d = cw_calloc(1, sizeof(*d));

	d->id = id;
	d->hooks = *hooks;
	d->armor = (struct cw_age_armor)CW_AGE_ARMOR_INIT;
	return d;
}

void
cw_age_decoder_free(struct cw_age_decoder *d)
{
	if (d == NULL)
		return;
	cw_age_open_free(d->open);
	cw_buf_free(&d->header);
	explicit_bzero(d->plain, sizeof(d->plain));
	free(d);
}

enum cw_age_outcome
cw_age_decoder_outcome(const struct cw_age_decoder *d)
{
	return d->outcome;
}

/* d->error was set. */
static int
fail(struct cw_age_decoder *d, enum cw_age_outcome outcome)
{
	d->outcome = outcome;
	return -1;
}

static int
release(struct cw_age_decoder *d)
{
	size_t len = d->len - CW_AGE_TAG;

	d->index++;
	d->len = 0;
	if (len > 0 &&
	    d->hooks.sink(d->hooks.arg, d->plain, len, &d->error) < 0)
		return fail(d, CW_AGE_OTHER);
	return 0;
}

/* The chunk in sealed was sealed so; else d->error says why not. */
static bool
opens(struct cw_age_decoder *d, bool is_last)
{
	return cw_age_open_chunk(d->open, d->index, is_last, d->sealed, d->len,
		   d->plain, &d->error) == 0;
}

/* A full chunk, and more behind it. */
static int
full_chunk(struct cw_age_decoder *d)
{
	struct cw_error error;

	if (opens(d, false))
		return release(d);
	error = d->error;
	/* It may be good for all that: the fault is then what follows it. */
	if (opens(d, true)) {
		if (release(d) < 0)
			return -1;
		(void)cw_error_set(&d->error, CW_ERR_DAMAGED,
		    "age payload: bytes follow its last chunk, %llu",
		    (unsigned long long)d->index - 1);
	} else {
		d->error = error;
	}
	return fail(d, CW_AGE_PAYLOAD);
}

static int
last_chunk(struct cw_age_decoder *d)
{
	struct cw_error error;

	if (opens(d, true))
		return release(d);
	error = d->error;
	/* A whole chunk that is not the last: it stands, the file was cut. */
	if (d->len == CW_AGE_SEALED_CHUNK && opens(d, false)) {
		if (release(d) < 0)
			return -1;
		(void)cw_error_set(&d->error, CW_ERR_DAMAGED,
		    "age payload: it is cut short behind chunk %llu",
		    (unsigned long long)d->index - 1);
	} else {
		d->error = error;
	}
	return fail(d, CW_AGE_PAYLOAD);
}

static int
push_payload(struct cw_age_decoder *d, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t take = CW_AGE_SEALED_CHUNK - d->len;

		if (take == 0) {
			if (full_chunk(d) < 0)
				return -1;
			continue;
		}
		take = take < len ? take : len;
		memcpy(d->sealed + d->len, data, take);
		d->len += take;
		data += take;
		len -= take;
	}
	return 0;
}

/* Opens the header that is gathered; what follows it is payload. */
static int
open_header(struct cw_age_decoder *d)
{
	struct cw_buf rest = CW_BUF_INIT;
	size_t offset;
	enum cw_age_outcome outcome;
	int ret;

	outcome = cw_age_open_header(d->header.data, d->header.len, d->id,
	    &d->hooks, &d->open, &offset, &d->error);
	if (outcome != CW_AGE_OK)
		return fail(d, outcome);
	rest = d->header;
	d->header = (struct cw_buf)CW_BUF_INIT;
	ret = push_payload(d, rest.data + offset, rest.len - offset);
	cw_buf_free(&rest);
	return ret;
}

static int
push_header(struct cw_age_decoder *d, const uint8_t *data, size_t len)
{
	size_t room = CW_AGE_HEADER_MAX - d->header.len;
	size_t take = len < room ? len : room;

	cw_buf_append(&d->header, data, take);
	if (d->header_size == 0)
		d->header_size = cw_age_header_find(
		    d->header.data, d->header.len, &d->header_from);
	/* Whole with its nonce, or too long for one: then it says so. */
	if ((d->header_size != 0 &&
		d->header.len >= d->header_size + CW_AGE_NONCE) ||
	    d->header.len == CW_AGE_HEADER_MAX) {
		if (open_header(d) < 0)
			return -1;
		return push_payload(d, data + take, len - take);
	}
	return 0;
}

static int
push_binary(struct cw_age_decoder *d, const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	return d->open == NULL ? push_header(d, data, len)
			       : push_payload(d, data, len);
}

static int
push_armored(struct cw_age_decoder *d, const uint8_t *data, size_t len)
{
	uint8_t bytes[CW_AGE_ARMOR_BYTES + 3];
	size_t n;

	for (size_t i = 0; i < len; i++) {
		if (cw_age_armor_push(
			&d->armor, (char)data[i], bytes, &n, &d->error) < 0)
			return fail(d, CW_AGE_ARMOR);
		if (push_binary(d, bytes, n) < 0)
			return -1;
	}
	return 0;
}

/* No age file begins with a dash or white space, and all armor does. */
static bool
begins_armor(uint8_t first)
{
	return first == '-' || first == ' ' || (first >= '\t' && first <= '\r');
}

static int
answer(const struct cw_age_decoder *d, struct cw_error *err)
{
	if (d->outcome == CW_AGE_OK)
		return 0;
	if (err != NULL)
		*err = d->error;
	return -1;
}

int
cw_age_decoder_push(struct cw_age_decoder *d, const uint8_t *data, size_t len,
    struct cw_error *err)
{
	if (d->outcome != CW_AGE_OK || len == 0)
		return answer(d, err);
	if (!d->begun) {
		d->begun = true;
		d->armored = begins_armor(data[0]);
	}
	if (d->armored)
		(void)push_armored(d, data, len);
	else
		(void)push_binary(d, data, len);
	return answer(d, err);
}

int
cw_age_decoder_finish(struct cw_age_decoder *d, struct cw_error *err)
{
	if (d->outcome != CW_AGE_OK)
		return answer(d, err);
	if (d->armored && cw_age_armor_finish(&d->armor, &d->error) < 0)
		(void)fail(d, CW_AGE_ARMOR);
	else if (d->open != NULL)
		(void)last_chunk(d);
	else if (open_header(d) == 0)
		/* It was not whole, so this cannot have worked. */
		(void)fail(d, CW_AGE_HEADER);
	return answer(d, err);
}
