/*
 * What the files of role.h share: the texts of SPEC.md.
 */
#ifndef CW_SITE_ROLE_TEXT_H
#define CW_SITE_ROLE_TEXT_H

#include "site/role.h"

/* Signs an epoch's own fields; epochs of kind "created" are never signed. */
int role_epoch_sign(const uint8_t store_id[CW_STORE_ID_SIZE],
    struct cw_epoch *epoch, const struct cw_minisign_secret *secret,
    struct cw_error *err);

/* The whole text of a record, signed. */
int role_format(const struct cw_role *role,
    const struct cw_minisign_secret *secret, struct cw_buf *text,
    struct cw_error *err);
/* Parses it into an empty role, which the caller frees; the signature must
   be that of site. */
int role_parse(const char *text, size_t len,
    const struct cw_minisign_public *site, struct cw_role *role,
    struct cw_error *err);

int role_handover_format(const struct cw_role *role,
    const struct cw_handover *handover, const struct cw_minisign_secret *secret,
    struct cw_buf *text, struct cw_error *err);

void role_history_copy(
    const struct cw_epochs *from, struct cw_epochs *to); /* to is empty */

#endif
