#include "formats/wire/check.h"

#include "base/bytes.h"

#include <string.h>

/* By type. */
static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *descriptor;
} types[] = {
    {"?", NULL},
    {"HELLO", &cw__hello__descriptor},
    {"PLAN", &cw__plan__descriptor},
    {"PLAN_END", &cw__plan_end__descriptor},
    {"WANT", &cw__want__descriptor},
    {"DATA", &cw__data__descriptor},
    {"CHUNKS", &cw__chunks__descriptor},
    {"ACK", &cw__ack__descriptor},
    {"PING", &cw__ping__descriptor},
    {"BYE", &cw__bye__descriptor},
    {"ERROR", &cw__error__descriptor},
    {"DIRS", &cw__dirs__descriptor},
    {"DIR_WANT", &cw__dir_want__descriptor},
    {"DIR_LIST", &cw__dir_list__descriptor},
    {"ORDER", &cw__order__descriptor},
    {"REPLY", &cw__reply__descriptor},
    {"POLL", &cw__poll__descriptor},
    {"START", &cw__start__descriptor},
    {"ROW_WANT", &cw__row_want__descriptor},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

void
cw_frame_head_encode(
    const struct cw_frame_head *head, uint8_t out[CW_FRAME_HEAD_SIZE])
{
	cw_put_le32(out, head->len);
	out[4] = head->type;
	out[5] = head->flags;
}

int
cw_frame_head_decode(const uint8_t in[CW_FRAME_HEAD_SIZE],
    struct cw_frame_head *head, struct cw_error *err)
{
	uint32_t len = cw_get_le32(in);

	if (len > CW_FRAME_MAX)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a frame says that it has %u bytes, more than %u", len,
		    CW_FRAME_MAX);
	if (in[4] == 0)
		return cw_error_set(err, CW_ERR_FORMAT, "a frame of type 0");
	if ((in[5] & ~CW_FRAME_ZSTD) != 0)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "a frame with flags 0x%02x, which mean nothing", in[5]);
	head->len = len;
	head->type = in[4];
	head->flags = in[5];
	return 0;
}

const char *
cw_frame_name(uint8_t type)
{
	return type < TYPES ? types[type].name : "?";
}

const ProtobufCMessageDescriptor *
cw_wire_descriptor(uint8_t type)
{
	return type < TYPES ? types[type].descriptor : NULL;
}

size_t
cw_wire_plain_max(uint8_t type)
{
	return type == CW_FRAME_PLAN || type == CW_FRAME_DIR_LIST
		   ? CW_FRAME_ROWS_MAX
		   : CW_FRAME_PLAIN_MAX;
}

enum cw_code
cw_wire_code(const char *name)
{
	for (int i = CW_ERR_FAILED; i <= CW_ERR_INTERRUPTED; i++) {
		if (strcmp(name, cw_error_name((enum cw_code)i)) == 0)
			return (enum cw_code)i;
	}
	return CW_ERR_FAILED;
}

void
cw_wire_clean(char *text)
{
	size_t len = strnlen(text, CW_WIRE_TEXT_MAX);

	text[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	}
}

uint32_t
cw_wire_version(const Cw__Hello *hello)
{
	return hello->version_min <= CW_WIRE_VERSION &&
		       hello->version_max >= CW_WIRE_VERSION
		   ? CW_WIRE_VERSION
		   : 0;
}

const char *
cw_wire_unknown_feature(const Cw__Hello *hello, const char *const *ours)
{
	for (size_t i = 0; i < hello->n_mandatory; i++) {
		const char *const *our = ours;

		while (*our != NULL && strcmp(*our, hello->mandatory[i]) != 0)
			our++;
		if (*our == NULL)
			return hello->mandatory[i];
	}
	return NULL;
}

bool
cw_wire_has_feature(const Cw__Hello *hello, const char *feature)
{
	for (size_t i = 0; i < hello->n_mandatory; i++) {
		if (strcmp(hello->mandatory[i], feature) == 0)
			return true;
	}
	for (size_t i = 0; i < hello->n_optional; i++) {
		if (strcmp(hello->optional[i], feature) == 0)
			return true;
	}
	return false;
}
