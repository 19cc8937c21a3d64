/*
 * Bounds of a message's fields, and the messages that have files of their own:
 * for check.c, check_hello.c and check_rows.c alone.  Each function returns 0,
 * or -1 with a sentence that calls the field what; CW_ERR_FORMAT, unless it
 * says otherwise.
 */
#ifndef CW_FORMATS_WIRE_BOUNDS_H
#define CW_FORMATS_WIRE_BOUNDS_H

#include "formats/wire/wire.h"

#define WIRE_NUMBER_MAX INT64_MAX /* what a catalog can hold */

/* Always fails: this value is not allowed. */
int wire_bad(struct cw_error *err, const char *what, uint64_t value);
int wire_most(
    struct cw_error *err, const char *what, uint64_t value, uint64_t max);
/* Exactly size bytes; or, if there may be none, none. */
int wire_sized(struct cw_error *err, const char *what,
    const ProtobufCBinaryData *b, size_t size, bool may_lack);
/* Printable ASCII without spaces: names of features, stores, orders. */
int wire_word(
    struct cw_error *err, const char *what, const char *text, size_t max);
/* No control characters, CW_WIRE_TEXT_MAX bytes at most. */
int wire_sentence(struct cw_error *err, const char *what, const char *text);
/* A directory's path beneath a root; the empty one is the root itself. */
int wire_path(struct cw_error *err, const ProtobufCBinaryData *b);
int wire_name(struct cw_error *err, const ProtobufCBinaryData *b);
int wire_store(struct cw_error *err, uint32_t store);
int wire_numbers(struct cw_error *err, uint64_t generation, uint64_t epoch);
/* CW_ERR_UNSUPPORTED: an enum's value may be one that a later version knows. */
int wire_known(struct cw_error *err, const char *what, int value, int max);

/* check_hello.c */
int wire_check_hello(const Cw__Hello *m, struct cw_error *err);

/* check_rows.c: all messages with rows */
int wire_check_plan(const Cw__Plan *m, struct cw_error *err);
int wire_check_row_want(const Cw__RowWant *m, struct cw_error *err);
int wire_check_dir_list(const Cw__DirList *m, struct cw_error *err);

#endif
