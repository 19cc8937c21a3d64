/*
 * The set of files in a seed's folder, against what the manifest and
 * CHECKSUMS list: for verify.
 */
#ifndef CW_SEED_VERIFY_FOLDER_H
#define CW_SEED_VERIFY_FOLDER_H

#include "media/set.h"
#include "seed/verify_result.h"

/*
 * Finds what is there and not listed.  A file that was slipped in is damage:
 * whoever recovers the mail with stock tools would take it for the seed's.
 * What operating systems leave about (names with a dot in front) and our own
 * .tmp files are remarks.  The medium must have a number.
 */
void cw_verify_folder(const struct cw_set *set,
    const struct cw_set_medium *medium, struct cw_verify_result *r);

/* Checks that CHECKSUMS has a line for each file it should, and no other. */
void cw_verify_checksums(const struct cw_set *set,
    const struct cw_set_medium *medium, struct cw_verify_result *r);

/*
 * Checks the log's chain and signatures.  No log is a remark: nothing can
 * tell whether there ever was one.
 */
void cw_verify_custody(const struct cw_set *set,
    const struct cw_set_medium *medium, struct cw_verify_result *r);

#endif
