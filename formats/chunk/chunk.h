/*
 * Chunks: content is cut where it says so itself, so that bytes put in, taken
 * out or changed move the cuts beside them and no others.  FastCDC (Xia et al.,
 * USENIX ATC 2016) with normalized chunking: formats/chunk/SPEC.md.
 *
 * Two sites that cut the same bytes by the same sizes get the same chunks.
 * A chunk's identity is its SHA-256, which is the caller's affair: the rolling
 * hash here finds places and proves nothing.  Nothing is kept between calls.
 */
#ifndef CW_FORMATS_CHUNK_CHUNK_H
#define CW_FORMATS_CHUNK_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define CW_CHUNK_MIN 64u         /* least min: the bytes that decide on a cut */
#define CW_CHUNK_MAX (16u << 20) /* greatest max */
/* clang-format on */

/* Bytes of a chunk: CW_CHUNK_MIN <= min < average < max <= CW_CHUNK_MAX. */
struct cw_chunk_sizes {
	uint32_t min;	  /* the last chunk may be shorter */
	uint32_t average; /* what chunks tend to; a power of two */
	uint32_t max;
};

/* Whether the sizes are as above: for those that a peer named. */
bool cw_chunk_sizes_valid(const struct cw_chunk_sizes *sizes);

/*
 * The sizes for content of so many bytes: averages of 8, 16 and 64 KiB, up to
 * 4 MiB, up to 1 GiB and above.  An older version of the content is cut by the
 * sizes of the newer one, whatever its own size is, or no chunk of it would be
 * found again.
 */
const struct cw_chunk_sizes *cw_chunk_sizes_for(uint64_t size);

/*
 * The length of the first chunk of data, where data begins at a cut (or at the
 * start of the content), and is_end tells that nothing follows its len bytes.
 * 0: more bytes are needed, which len >= sizes->max never does; or there are
 * none.  The answer does not depend on how many bytes there were beyond it,
 * so content may be fed in pieces of any size:
 *
 *	while ((n = cw_chunk_next(sizes, data, len, is_end)) > 0)
 *		use(data, n), data += n, len -= n;
 *	move what is left to the front of the buffer, and read on behind it
 *
 * What is left is looked at again from its start, so a buffer of several max
 * is quicker than a small one.
 */
size_t cw_chunk_next(const struct cw_chunk_sizes *sizes, const uint8_t *data,
    size_t len, bool is_end);

#endif
