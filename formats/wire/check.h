/* The bounds of SPEC.md "Messages", over a decoded message. */
#ifndef CW_FORMATS_WIRE_CHECK_H
#define CW_FORMATS_WIRE_CHECK_H

#include "formats/wire/wire.h"

/* What a frame type carries; NULL for a type that we do not know. */
const ProtobufCMessageDescriptor *cw_wire_descriptor(uint8_t type);

/* Bytes that a message of this type may have. */
size_t cw_wire_plain_max(uint8_t type);

/*
 * CW_ERR_FORMAT, or CW_ERR_UNSUPPORTED for an enum's value that we do not
 * know.  Changes nothing.
 */
int cw_wire_check(const struct cw_wire_msg *msg, struct cw_error *err);

#endif
