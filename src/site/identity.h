/*
 * A site's identity: an age key that opens what is sealed for it, and a
 * minisign (Ed25519) key that signs what it seals.  The files are the stock
 * tools' own, so that mail comes back without Causeway:
 *
 *   keys/age.key       as age-keygen writes it                     0600
 *   keys/minisign.key  as minisign -G -W writes it                 0600
 *   keys/minisign.pub  as minisign -G writes it                    0644
 *   keys/card          the card (formats/card), public             0644
 *
 * With a passphrase age.key is an age file for it (age -d opens it, age -d -i
 * takes it as it is) and minisign.key is encrypted as minisign -G does.
 *
 * Secrets live in secure memory.  Call cw_crypto_init first.
 */
#ifndef CW_SITE_IDENTITY_H
#define CW_SITE_IDENTITY_H

#include "base/error.h"
#include "formats/age/age.h"
#include "formats/card/card.h"
#include "formats/minisign/minisign.h"

#define CW_IDENTITY_AGE	 "keys/age.key"
#define CW_IDENTITY_SIGN "keys/minisign.key"
#define CW_IDENTITY_PUB	 "keys/minisign.pub"
#define CW_IDENTITY_CARD "keys/card"

/*
 * Where a passphrase comes from.  ask is called only when a key turns out to
 * be encrypted; what names the key for the prompt.  It returns NULL with *err
 * set if there is none.  The text is its own to keep and wipe.
 */
struct cw_passphrase {
	const char *(*ask)(void *arg, const char *what, struct cw_error *err);
	void *arg;
};

/*
 * Makes keys and card beneath the state directory dirfd, the card last: where
 * there is a card, all keys are there.  passphrase NULL: none.  Keys left by a
 * run that was killed before its card are replaced; a complete identity is
 * kept if its name is the same, else CW_ERR_REFUSED.
 */
int cw_identity_create(
    int dirfd, const char *name, const char *passphrase, struct cw_error *err);

/*
 * The site's own card; no secret is read.  CW_ERR_FAILED, with what to do,
 * where there is none.
 */
int cw_identity_card(int dirfd, struct cw_card *card, struct cw_error *err);

/*
 * The age identity.  CW_ERR_DAMAGED if it is not the one of the card;
 * CW_ERR_REFUSED for a wrong passphrase, or none: ask may be NULL.  *out is
 * the caller's to free with cw_age_identity_free, NULL on failure.
 */
int cw_identity_age(int dirfd, const struct cw_passphrase *ask,
    struct cw_age_identity **out, struct cw_error *err);

/* The signing key; as above, to free with cw_minisign_secret_free. */
int cw_identity_sign(int dirfd, const struct cw_passphrase *ask,
    struct cw_minisign_secret **out, struct cw_error *err);

/*
 * Reads an age key file of the operator's choice: plain, or sealed by age with
 * a passphrase, armored or not.
 */
int cw_identity_age_file(int dirfd, const char *name,
    const struct cw_passphrase *ask, struct cw_age_identity **out,
    struct cw_error *err);

#endif
