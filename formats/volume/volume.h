/*
 * Volumes: members -> pax tar -> zstd frames -> age, and back, as
 * formats/volume/SPEC.md says.  No I/O here: the bytes of the file go to and
 * come from callbacks.  Any stock `age -d | zstd -d | tar x` reads a volume.
 *
 * Writer and reader are for one thread: work in parallel by volumes.
 * Call cw_crypto_init first.
 */
#ifndef CW_FORMATS_VOLUME_VOLUME_H
#define CW_FORMATS_VOLUME_VOLUME_H

#include "base/error.h"
#include "formats/age/age.h"
#include "formats/volume/member.h"
#include "formats/zframe/zframe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_VOLUME_SIZE_MIN (64u << 10)
#define CW_VOLUME_SIZE_MAX (UINT64_C(4) << 30)
/* Bytes of a full piece to the sink. */
#define CW_VOLUME_PIECE (512u << 10)

/* ---- writing ---- */

struct cw_volume_writer;

/*
 * Takes bytes of the file in order: pieces of CW_VOLUME_PIECE bytes, only the
 * last is shorter.  They live until it returns 0 or -1.
 */
typedef int cw_volume_sink_fn(
    void *arg, const uint8_t *data, size_t len, struct cw_error *err);

/*
 * A writer for any number of volumes, one after another; level is zstd's for
 * SHORT frames, 0 for the usual one.  Takes about 12 MiB, with FAR frames 50.
 */
struct cw_volume_writer *cw_volume_writer_new(int level);
void cw_volume_writer_free(struct cw_volume_writer *w); /* NULL is allowed */

/*
 * Starts a volume of exactly volume_size bytes (CW_VOLUME_SIZE_MIN to _MAX;
 * the few sizes that no age file can have are CW_ERR_USAGE).  A volume in
 * progress is aborted.  After any failure below but that of cw_volume_begin
 * with CW_ERR_UNSUPPORTED the volume is lost: abort.
 */
int cw_volume_open(struct cw_volume_writer *w,
    const struct cw_age_recipient *recipients, size_t count,
    uint64_t volume_size, cw_volume_sink_fn *sink, void *arg,
    struct cw_error *err);

/*
 * Ends the frame in progress and begins another: where mail should be reached
 * by itself, where the kind changes, or to learn what room is left.  Without
 * it, frames are SHORT and end when they are full, within a member too.  Not
 * within a member.
 *
 * held: from here on the sink gets nothing until cw_volume_commit or
 * cw_volume_drop: for the end of a volume, where only trying tells whether
 * some more members fit.  Memory: what is held, at most what fits.  While
 * held, another cw_volume_frame with held = false cuts within what is held.
 */
int cw_volume_frame(struct cw_volume_writer *w, enum cw_zframe_kind kind,
    bool held, struct cw_error *err);

/*
 * Ends the held frame.  0: it fits, and is part of the volume.  1: it does not
 * and nothing has changed: drop it.  -1: failed.  Not within a member.
 */
int cw_volume_commit(struct cw_volume_writer *w, struct cw_error *err);
/* Forgets all members since the held frame began, also a member begun. */
void cw_volume_drop(struct cw_volume_writer *w);

/*
 * A member: begin, its content in any pieces, end.  Members over the limits of
 * member.h are refused by begin with CW_ERR_UNSUPPORTED, and the volume goes
 * on as if it had not been called.  Of a sparse file only the bytes of its
 * ranges are passed.  More content than the member promised is CW_ERR_FAILED;
 * less is filled up with zeros by end, for a file that shrank as it was read:
 * the caller knows, and packs it once more.
 */
int cw_volume_begin(struct cw_volume_writer *w, const struct cw_member *m,
    struct cw_error *err);
int cw_volume_data(struct cw_volume_writer *w, const void *data, size_t len,
    struct cw_error *err);
int cw_volume_end(struct cw_volume_writer *w, struct cw_error *err);

/*
 * Memory within the writer for the next content, *len bytes (at least 1): read
 * into it, then pass it to cw_volume_data, which then copies nothing.  Only
 * within a member; the next call on w ends its life.
 */
uint8_t *cw_volume_space(struct cw_volume_writer *w, size_t *len);

/*
 * Bytes of tar that certainly still fit, whatever they are: members of which
 * the cw_volume_cost together is not more.  What lies in a frame in progress
 * counts as if zstd gained nothing, so cw_volume_frame may raise this much.
 */
uint64_t cw_volume_room(const struct cw_volume_writer *w);
/* Bytes of tar that a member takes at most, header and content. */
uint64_t cw_volume_cost(const struct cw_member *m);
/* The room of an empty volume with a header of `recipients`. */
uint64_t cw_volume_capacity(uint64_t volume_size, size_t recipients);

/* Bytes of the file that the sink has got. */
uint64_t cw_volume_written(const struct cw_volume_writer *w);

/*
 * Ends archive, frames, padding and sealing.  The file has exactly the volume
 * size, or with is_last the size of cw_volume_last_size, if that is less.
 * What does not fit is CW_ERR_FAILED.  The file key is wiped.
 */
int cw_volume_close(
    struct cw_volume_writer *w, bool is_last, struct cw_error *err);
/* Wipes the file key; the sink is not called. */
void cw_volume_abort(struct cw_volume_writer *w);

/*
 * PADMÉ (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
 * Communication with PURBs", 2019, section 4): the least length not under len
 * whose binary floating point form has no longer mantissa than exponent.  It
 * adds at most 12%.
 */
uint64_t cw_padme(uint64_t len);
/* The least size not under cw_padme(len) that an age file can have. */
uint64_t cw_volume_last_size(size_t header, uint64_t len);

/* ---- reading ---- */

struct cw_volume_reader;

/*
 * Gives bytes of the file in order: up to cap, at least one unless it has
 * ended (*got 0).  Returns 0 or -1.
 */
typedef int cw_volume_source_fn(
    void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err);

/*
 * A reader for any number of volumes, one after another.  Takes about 10 MiB,
 * and the window of FAR frames: 32 MiB of ours, at most 128.
 */
struct cw_volume_reader *cw_volume_reader_new(void);
void cw_volume_reader_free(struct cw_volume_reader *r); /* NULL is allowed */

/*
 * From the next volume on a thread of the reader calls the source, opens and
 * decompresses ahead of the caller: 12 MiB more.  What the source touches is
 * that thread's until cw_volume_reader_finish has succeeded, or
 * cw_volume_reader_stop.
 */
void cw_volume_reader_go_ahead(struct cw_volume_reader *r);
/* Gives up the volume; the source is not called any more.  None: harmless. */
void cw_volume_reader_stop(struct cw_volume_reader *r);

/*
 * Starts on a volume and reads its header: errors of cw_age_open_new, or of
 * the source.  At most max_tar bytes of tar are believed.
 */
int cw_volume_reader_open(struct cw_volume_reader *r,
    const struct cw_age_identity *id, uint64_t max_tar,
    cw_volume_source_fn *source, void *arg, struct cw_error *err);

/*
 * The next member, or *end = true.  All of *m is the reader's and lives until
 * the next call.  What is not of this format (other kinds of entries, paths
 * that leave the root, anything over the limits, bytes that do not agree) is
 * CW_ERR_DAMAGED.  Errors are final.  Content that was not read is skipped.
 */
int cw_volume_next(struct cw_volume_reader *r, struct cw_member *m, bool *end,
    struct cw_error *err);

/*
 * The next piece of the member's content and its place in the file, or *end.
 * Pieces ascend and lie within m->size; what none covers (sparse files) are
 * zeros.  *data lives until the next call.
 */
int cw_volume_read_block(struct cw_volume_reader *r, const uint8_t **data,
    size_t *len, uint64_t *offset, bool *end, struct cw_error *err);

/*
 * To be called after *end: only if this succeeds was the volume whole.  Checks
 * that nothing follows but padding and table, that these agree with what was
 * read, and that the sealed file ended where its sealer ended it.
 */
int cw_volume_reader_finish(struct cw_volume_reader *r, struct cw_error *err);

/* ---- without sealing, for tests ---- */

/* The same with no age file around: file sizes are those of the plaintext. */
int cw_volume_open_unsealed(struct cw_volume_writer *w, uint64_t size,
    cw_volume_sink_fn *sink, void *arg, struct cw_error *err);
void cw_volume_reader_open_unsealed(struct cw_volume_reader *r,
    uint64_t max_tar, cw_volume_source_fn *source, void *arg);

#endif
