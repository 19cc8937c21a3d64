/*
 * What a verification has read and found good, in a file, so that one that is
 * interrupted goes on where it was.  Format: src/seed/SPEC.md, "Progress of
 * verify".
 *
 * It is bound to the manifest and to the way of reading.  A line counts only
 * for the very file: the same device, inode, size and times.  Whoever can
 * write to it can have files passed over unread: it belongs into the hands of
 * who runs the command, not onto a medium.
 */
#ifndef CW_SEED_VERIFY_RESUME_H
#define CW_SEED_VERIFY_RESUME_H

#include "base/error.h"
#include "media/scrub.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_VERIFY_RESUME_MAX (256u << 20) /* bytes */

struct cw_verify_resume;

struct cw_verify_resume_source {
	int dirfd;		 /* of name; need not stay open */
	const char *name;	 /* the file; made (0600) if it is not there */
	const uint8_t *manifest; /* SHA-256, 32 bytes */
	bool is_cached;		 /* what was read from memory proves less */
	bool is_fresh;		 /* forgets what it holds */
};

/*
 * Opens the file, and holds it alone.  What it holds of another manifest, or
 * of a weaker way of reading, is forgotten.  CW_ERR_BUSY if another process
 * has it, CW_ERR_REFUSED if it is a file of something else, CW_ERR_IO.
 */
int cw_verify_resume_open(const struct cw_verify_resume_source *source,
    struct cw_verify_resume **out, struct cw_error *err);

/* When the verification that it belongs to began, seconds since 1970. */
int64_t cw_verify_resume_begun(const struct cw_verify_resume *r);

/* Whether that very file was read before and was good. */
bool cw_verify_resume_has(const struct cw_verify_resume *r, uint32_t medium,
    const struct cw_scrub_file *file);

/*
 * Adds a file that was read whole and is good, from any thread, one at a
 * time.  Failure to write is no failure of the verification: nothing more is
 * added then, and cw_verify_resume_error says why.
 */
void cw_verify_resume_add(struct cw_verify_resume *r, uint32_t medium,
    const struct cw_scrub_file *file);

/* NULL as long as all could be written. */
const struct cw_error *cw_verify_resume_error(const struct cw_verify_resume *r);

/* Removes the file: there is nothing to go on with. */
void cw_verify_resume_drop(struct cw_verify_resume *r);

/* Leaves the file for the next run.  NULL is allowed. */
void cw_verify_resume_close(struct cw_verify_resume *r);

#endif
