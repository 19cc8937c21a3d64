#include "formats/wire/bounds.h"

#include "base/fs.h"
#include "formats/wire/wire.h"

#include <string.h>

int
wire_bad(struct cw_error *err, const char *what, uint64_t value)
{
	return cw_error_set(err, CW_ERR_FORMAT, "%s: %llu is not allowed", what,
	    (unsigned long long)value);
}

int
wire_most(struct cw_error *err, const char *what, uint64_t value, uint64_t max)
{
	return value <= max ? 0 : wire_bad(err, what, value);
}

int
wire_sized(struct cw_error *err, const char *what, const ProtobufCBinaryData *b,
    size_t size, bool may_lack)
{
	if (b->len == size || (may_lack && b->len == 0))
		return 0;
	return cw_error_set(err, CW_ERR_FORMAT,
	    "%s has %zu bytes, expected %zu", what, b->len, size);
}

int
wire_word(struct cw_error *err, const char *what, const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len == 0 || len > max)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s has %zu bytes, expected 1 to %zu", what, len, max);
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "%s has the byte 0x%02x in it", what,
			    (unsigned char)text[i]);
	}
	return 0;
}

int
wire_sentence(struct cw_error *err, const char *what, const char *text)
{
	size_t len = strlen(text);

	if (len > CW_WIRE_TEXT_MAX)
		return wire_bad(err, what, len);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return cw_error_set(err, CW_ERR_FORMAT,
			    "%s has the byte 0x%02x in it", what,
			    (unsigned char)text[i]);
	}
	return 0;
}

int
wire_path(struct cw_error *err, const ProtobufCBinaryData *b)
{
	if (b->len == 0)
		return 0;
	if (b->len > CW_WIRE_PATH_MAX ||
	    !cw_path_is_safe((const char *)b->data, b->len))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a directory's path of %zu bytes that leads elsewhere or "
		    "is too long",
		    b->len);
	return 0;
}

int
wire_name(struct cw_error *err, const ProtobufCBinaryData *b)
{
	if (b->len > CW_WIRE_NAME_MAX ||
	    !cw_name_is_safe((const char *)b->data, b->len))
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a name of %zu bytes that is none", b->len);
	return 0;
}

int
wire_store(struct cw_error *err, uint32_t store)
{
	return wire_most(
	    err, "number of a store", store, CW_WIRE_STORES_MAX - 1);
}

int
wire_numbers(struct cw_error *err, uint64_t generation, uint64_t epoch)
{
	if (wire_most(err, "generation", generation, WIRE_NUMBER_MAX) < 0)
		return -1;
	return wire_most(err, "epoch", epoch, WIRE_NUMBER_MAX);
}

int
wire_known(struct cw_error *err, const char *what, int value, int max)
{
	if (value >= 0 && value <= max)
		return 0;
	return cw_error_set(
	    err, CW_ERR_UNSUPPORTED, "%s %d is unknown to us", what, value);
}
