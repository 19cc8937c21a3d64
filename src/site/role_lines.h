/*
 * What the texts of a role have in common (SPEC.md: the record, the history of
 * epochs, the hand-over): words of a line, and the signature at the end.  For
 * the files of role.h alone.
 *
 * A "word" is the next one of the line that was taken last; each function that
 * takes one fails with CW_ERR_FORMAT, file and line in the sentence.
 */
#ifndef CW_SITE_ROLE_LINES_H
#define CW_SITE_ROLE_LINES_H

#include "base/buf.h"
#include "formats/manifest/lines.h"
#include "site/role.h"

#define ROLE_NONE	 "-" /* in place of a word that there is none of */
#define ROLE_COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Which one of a list of words it is. */
bool role_find_word(const char *const *list, size_t count, const char *word,
    size_t len, size_t *found);
bool role_word_is_none(const char *word, size_t len);

/* ---- writing ---- */

void role_put_key(struct cw_buf *text, const struct cw_minisign_public *key);
void role_put_time(struct cw_buf *text, int64_t seconds);
void role_put_signature(
    struct cw_buf *text, const uint8_t sig[CW_ED25519_SIGNATURE_SIZE]);

/*
 * Puts "signature ..." behind what stands in text from start on; a failure
 * cuts the text back to there.
 */
int role_finish_text(struct cw_buf *text, size_t start, const char *domain,
    const struct cw_minisign_secret *secret, struct cw_error *err);

/* ---- reading ---- */

int role_word_key(struct cw_lines *lines, struct cw_minisign_public *key,
    struct cw_error *err);
int role_word_time(
    struct cw_lines *lines, int64_t *seconds, struct cw_error *err);
/* Whether a word is a signature, which is not checked by that. */
bool role_word_signature(
    const char *word, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE]);
/* The line has no more words. */
int role_line_end(const struct cw_lines *lines, struct cw_error *err);
/* Takes the line "KEY PUBLIC-KEY". */
int role_take_key(struct cw_lines *lines, const char *key,
    struct cw_minisign_public *out, struct cw_error *err);

/*
 * Takes the last line of text, "signature ...", and checks it over all that
 * stands before it: CW_ERR_UNTRUSTED if it is wrong.
 */
int role_check_text(struct cw_lines *lines, const char *text,
    const char *domain, const struct cw_minisign_public *signer,
    struct cw_error *err);

/* Takes the line "history COUNT" and those that it counts. */
int role_take_history(struct cw_lines *lines,
    const uint8_t store_id[CW_STORE_ID_SIZE], struct cw_epochs *history,
    struct cw_error *err);

/*
 * ---- signatures ----
 * Ed25519 over a domain and the SHA-256 of the bytes before the signature; a
 * history may be longer than what Ed25519 signs here at once.
 */

int role_sign(const struct cw_minisign_secret *secret, const char *domain,
    const void *text, size_t len, uint8_t sig[CW_ED25519_SIGNATURE_SIZE],
    struct cw_error *err);
bool role_signature_holds(const struct cw_minisign_public *signer,
    const char *domain, const void *text, size_t len,
    const uint8_t sig[CW_ED25519_SIGNATURE_SIZE]);

#endif
