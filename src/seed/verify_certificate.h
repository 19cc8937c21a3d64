/*
 * The certificate of a verification: formats/certificate.
 */
#ifndef CW_SEED_VERIFY_CERTIFICATE_H
#define CW_SEED_VERIFY_CERTIFICATE_H

#include "base/buf.h"
#include "base/error.h"
#include "formats/card/card.h"
#include "formats/certificate/certificate.h"
#include "seed/verify.h"

/*
 * Appends to text what was found, in the name of the site of the card.
 * CW_ERR_REFUSED for a seed that nobody trusts.
 */
int cw_verify_certify(const struct cw_verify_result *result,
    enum cw_certificate_method method, const struct cw_card *site,
    struct cw_buf *text, struct cw_error *err);

#endif
