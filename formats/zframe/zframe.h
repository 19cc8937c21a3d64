/*
 * zstd frames with a seek table, as in the published zstd seekable format, and
 * a padding frame before the table: formats/zframe/SPEC.md.  `zstd -d` reads
 * the result as one stream.  Nothing here seals, and nothing does I/O: bytes
 * come from and go to callbacks.
 */
#ifndef CW_FORMATS_ZFRAME_ZFRAME_H
#define CW_FORMATS_ZFRAME_ZFRAME_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define CW_ZFRAME_SHORT_MAX  (4u << 20)   /* content of a SHORT frame */
#define CW_ZFRAME_LONG_MAX   (256u << 20) /* content of any other one */
#define CW_ZFRAME_WINDOW_MAX 27u          /* window log a reader accepts */
#define CW_ZFRAME_FRAMES_MAX (1u << 20)   /* data frames of one stream */
#define CW_ZFRAME_PAD_MIN    8u           /* bytes of an empty padding frame */
/* clang-format on */

/* Bytes of the seek table after `frames` data frames and the padding. */
#define CW_ZFRAME_TABLE_SIZE(frames) (8u + 8u * ((uint64_t)(frames) + 1u) + 9u)

/*
 * SHORT frames hold at most 4 MiB and are compressed in one piece.  The others
 * hold large messages that lie beside their likes: a long window finds what
 * repeats, and the rest is passed at speed.  It reaches back some 4 MiB in LONG
 * frames, 32 MiB in FAR ones, which are a fifth slower.
 */
enum cw_zframe_kind {
	CW_ZFRAME_SHORT,
	CW_ZFRAME_LONG,
	CW_ZFRAME_FAR,
};

/* Called with bytes in order, which it uses up.  Returns 0 or -1. */
typedef int cw_zframe_sink_fn(
    void *arg, const uint8_t *data, size_t len, struct cw_error *err);

/*
 * Gives up to cap bytes, at least one unless the input has ended (*got 0).
 * cap is never under CW_ZFRAME_SOURCE_MIN.  Returns 0 or -1.
 */
#define CW_ZFRAME_SOURCE_MIN (64u << 10)
typedef int cw_zframe_source_fn(
    void *arg, uint8_t *buf, size_t cap, size_t *got, struct cw_error *err);

/* ---- writing ---- */

struct cw_zframe_writer;

/*
 * level is zstd's for SHORT frames, 1 to 19; 0 is what SPEC.md takes, half
 * as fast again as level 3 and 6% larger.  The writer takes about 18 MiB, and
 * when first it writes a LONG or a FAR frame 10 or 40 MiB more; it keeps and
 * reuses them over any number of streams.  A SHORT frame that is full, and each
 * MiB of another one, is compressed by a thread of the writer while the next fills; the sink is
 * called by the caller's thread alone.
 */
struct cw_zframe_writer *cw_zframe_writer_new(int level);
void cw_zframe_writer_free(struct cw_zframe_writer *w); /* NULL is allowed */

/*
 * Starts a stream; whatever stream was unfinished is forgotten.  After a
 * failure of any call below only another start is of use.
 */
void cw_zframe_start(
    struct cw_zframe_writer *w, cw_zframe_sink_fn *sink, void *arg);

/*
 * Begins a frame; the one before must have ended.  A frame that is full is
 * ended by the writer, which goes on in another of its kind.
 */
int cw_zframe_begin(
    struct cw_zframe_writer *w, enum cw_zframe_kind kind, struct cw_error *err);
int cw_zframe_write(struct cw_zframe_writer *w, const void *data, size_t len,
    struct cw_error *err);
/*
 * Ends the frame and records it.  A frame without content leaves no trace.
 * No frame in progress is no error.
 */
int cw_zframe_end(struct cw_zframe_writer *w, struct cw_error *err);
bool cw_zframe_is_open(const struct cw_zframe_writer *w);

/*
 * Memory within the writer where the next content may be put, *len bytes (at
 * least 1, at most 4 MiB): a cw_zframe_write of what begins there costs no
 * copy.  A frame must be open.  The next call on w ends its life.
 */
uint8_t *cw_zframe_space(struct cw_zframe_writer *w, size_t *len);

/*
 * Holding: from here on the sink gets nothing, until commit passes it all that
 * was written, or drop forgets it, frames and all.  Both hold and commit
 * stand between frames; drop may come at any time.  At most limit bytes are
 * held: what is over is not kept, and commit then answers 1 instead of 0, as
 * it does where cw_zframe_held is over limit, having done nothing: drop.
 */
int cw_zframe_hold(
    struct cw_zframe_writer *w, uint64_t limit, struct cw_error *err);
uint64_t cw_zframe_held(const struct cw_zframe_writer *w);
int cw_zframe_commit(struct cw_zframe_writer *w, struct cw_error *err);
void cw_zframe_drop(struct cw_zframe_writer *w);

/*
 * Bytes of output so far, held ones among them; without a frame that is still
 * being compressed.
 */
uint64_t cw_zframe_written(const struct cw_zframe_writer *w);
/*
 * Bytes that finish can need for all that was written, at worst: those above,
 * those that an open frame may still give, padding and table, with room for
 * `more` bytes of further content.
 */
uint64_t cw_zframe_worst(const struct cw_zframe_writer *w, uint64_t more);
/* Bytes that finish needs at least; no frame may be open. */
uint64_t cw_zframe_least(const struct cw_zframe_writer *w);

/*
 * Writes padding and seek table so that exactly total bytes have been given to
 * the sink.  No frame may be open, nothing held; total is at least
 * cw_zframe_least and at most 4 GiB over cw_zframe_written.
 */
int cw_zframe_finish(
    struct cw_zframe_writer *w, uint64_t total, struct cw_error *err);

/* ---- reading ---- */

struct cw_zframe_reader;

struct cw_zframe_reader *cw_zframe_reader_new(void);
void cw_zframe_reader_free(struct cw_zframe_reader *r); /* NULL is allowed */

/*
 * Starts on a stream of which at most max_size bytes of content are believed;
 * more is CW_ERR_DAMAGED.
 */
void cw_zframe_reader_start(struct cw_zframe_reader *r, uint64_t max_size,
    cw_zframe_source_fn *source, void *arg);

/*
 * The next content, which lives until the next call; *len is 0 at the end of
 * the stream, and only after padding and table were there, agreed with the
 * frames, and the source had ended.  Errors are those of the source or
 * CW_ERR_DAMAGED, and final.
 */
int cw_zframe_next(struct cw_zframe_reader *r, const uint8_t **data,
    size_t *len, struct cw_error *err);

/*
 * The same into memory of the caller, CW_ZFRAME_SHORT_MAX bytes, and at most so
 * much at once.  Not to be mixed with cw_zframe_read on one stream.
 */
int cw_zframe_next_into(struct cw_zframe_reader *r, uint8_t *out, size_t *len,
    struct cw_error *err);

/* As cw_zframe_next, into the caller's memory: *got is less than len only at
 * the end. */
int cw_zframe_read(struct cw_zframe_reader *r, void *buf, size_t len,
    size_t *got, struct cw_error *err);

/* ---- the seek table by itself ---- */

struct cw_zframe_entry {
	uint32_t packed; /* bytes of the frame */
	uint32_t size;	 /* bytes of its content; 0 for the padding, the last */
};

/*
 * The bytes of the seek table that ends a stream, told from its last 9; 0 if
 * these are no footer of a table as we write it.
 */
uint64_t cw_zframe_table_size(const uint8_t footer[9]);

/*
 * Decodes a whole table of len bytes.  *out, *count entries, is the caller's
 * to free.  Failure is CW_ERR_DAMAGED and leaves both untouched.
 */
int cw_zframe_table_decode(const uint8_t *table, size_t len,
    struct cw_zframe_entry **out, size_t *count, struct cw_error *err);

#endif
