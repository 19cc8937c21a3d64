/*
 * `ls --at GENERATION`.  A catalog knows of each entry what it is and the
 * generation that last touched it, and of deletions where and when; it does
 * not keep what an entry was.  So a list of an earlier generation is given
 * where nothing of it changed since, and refused where something did.
 */
#ifndef CW_CLI_LS_AT_H
#define CW_CLI_LS_AT_H

#include "base/buf.h"
#include "base/error.h"
#include "cli/listing.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What an operator types: a generation, from 1 on.  A time is CW_ERR_REFUSED,
 * since nothing says when generations were taken; else CW_ERR_USAGE.
 */
int cw_ls_at_parse(const char *text, uint64_t *at, struct cw_error *err);

/*
 * Whether what `top` (a path of the catalog, "" for all roots) and, with
 * is_deep, all below it is now, is what it was at that generation: 0 if so,
 * also where it was not there then and is not now.  CW_ERR_REFUSED where it is
 * not, or where it cannot be known.  Hold the catalog, so that what is listed
 * afterwards is what was looked at.
 */
int cw_ls_at_check(struct cw_listing *l, const char *store, uint64_t at,
    struct cw_buf *top, bool is_deep, struct cw_error *err);

#endif
