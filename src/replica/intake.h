/*
 * Intake: contents that come in are hashed and written to staging by two
 * threads, while the one that reads the line goes on.  Writing 2.5 GB of
 * mail took the follower 5 s of 14 (measured), and hashing it 1.5 s.
 *
 * What lies in the page cache is synced beside, every 32 MiB, so that little
 * is left for the sync at the end.
 *
 * What was handed over counts as had (cw_intake_holds) until cw_intake_drain
 * says otherwise.  At most 12 MiB wait; handing over more waits, so that
 * the disk bounds the line.
 *
 * A process that is killed loses what waits, and it crosses the line again.
 * So nothing waits for more to come for longer than 50 ms, as long as anything
 * comes: where the disk is faster than the line, that is what the line brings
 * meanwhile, and 1.2 MiB at most.
 *
 * One thread at a time may call it, and staging must outlive it.
 */
#ifndef CW_REPLICA_INTAKE_H
#define CW_REPLICA_INTAKE_H

#include "replica/staging.h"

struct cw_intake;

int cw_intake_new(
    struct cw_staging *s, struct cw_intake **out, struct cw_error *err);
/* Writes what waits, and ends the threads.  NULL is allowed. */
void cw_intake_free(struct cw_intake *in);

/*
 * A small content as a whole, of 1 MiB at most, which the source has read to
 * the end and so knows: one of another digest is a failure.  A copy is taken.
 * look (NULL: none) is what its file will be in the tree.
 */
int cw_intake_put(struct cw_intake *in, const uint8_t digest[CW_SHA256_SIZE],
    const void *data, size_t len, const struct cw_look *look,
    struct cw_error *err);

/*
 * A content in pieces, from its start.  The writer is begun by
 * cw_staging_begin_at (with nothing kept) and is the intake's from the first
 * piece to finish, but for cw_intake_drain, which gives it back as it then is:
 * abandon it, or go on.  Pieces of one writer come before those of the next.
 * finish ends the writer, whatever happens.
 */
int cw_intake_write(struct cw_intake *in, struct cw_staging_writer *w,
    const void *data, size_t len, struct cw_error *err);
int cw_intake_finish(struct cw_intake *in, struct cw_staging_writer *w,
    const uint8_t digest[CW_SHA256_SIZE], const struct cw_look *look,
    struct cw_error *err);

/* Whether a whole content of that digest waits to be written. */
bool cw_intake_holds(
    struct cw_intake *in, const uint8_t digest[CW_SHA256_SIZE]);

/*
 * Waits until all is written.  *damaged: contents since the last call that
 * came in pieces and were not what their digest says, and so are not there.
 * -1 with the first failure; the other functions return it, too, once it
 * happened.
 */
int cw_intake_drain(
    struct cw_intake *in, uint64_t *damaged, struct cw_error *err);

#endif
