/*
 * The lists of a manifest that are not its files: media described, groups of
 * parity.  For manifest.c alone.
 */
#ifndef CW_FORMATS_MANIFEST_SECTIONS_H
#define CW_FORMATS_MANIFEST_SECTIONS_H

#include "base/buf.h"
#include "formats/manifest/lines.h"
#include "formats/manifest/manifest.h"

/* Frees both. */
void cw_sections_free(struct cw_manifest *m);

/* What is added is in order and range: only what m says of them is checked. */
int cw_sections_check(
    const struct cw_manifest *m, enum cw_code code, struct cw_error *err);

void cw_sections_encode(const struct cw_manifest *m, struct cw_buf *buf);

/* Takes "described", "groups" and what follows each. */
int cw_sections_decode(
    struct cw_lines *lines, struct cw_manifest *m, struct cw_error *err);

#endif
