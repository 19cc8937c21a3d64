#include "formats/chunk/chunk.h"

#include "formats/chunk/gear.h"

#include <assert.h>

/* SPEC.md, Sizes, says how they were found. */
static const struct cw_chunk_sizes fine = {2u << 10, 8u << 10, 32u << 10};
static const struct cw_chunk_sizes middle = {4u << 10, 16u << 10, 64u << 10};
static const struct cw_chunk_sizes coarse = {16u << 10, 64u << 10, 256u << 10};

#define FINE_MAX   (4ull << 20)
#define MIDDLE_MAX (1ull << 30)

/* Bits by which a cut is made rarer before the average, and likelier after. */
#define NORMALIZED 2u

bool
cw_chunk_sizes_valid(const struct cw_chunk_sizes *s)
{
	return s->min >= CW_CHUNK_MIN && s->min < s->average &&
	       s->average < s->max && s->max <= CW_CHUNK_MAX &&
	       (s->average & (s->average - 1)) == 0;
}

const struct cw_chunk_sizes *
cw_chunk_sizes_for(uint64_t size)
{
	return size <= FINE_MAX	    ? &fine
	       : size <= MIDDLE_MAX ? &middle
				    : &coarse;
}

/*
 * Rolls on from data[at] to data[end - 1]; the length up to and with the first
 * byte after which the hash is under the limit, 0 if there is none.  Two bytes
 * a turn: what the table gives does not wait for the hash.
 */
static size_t
find(const uint8_t *data, size_t at, size_t end, uint64_t limit, uint64_t *hash)
{
	uint64_t h = *hash;

	for (; at + 2 <= end; at += 2) {
		h = (h << 1) + cw_chunk_gear[data[at]];
		if (h < limit)
			return at + 1;
		h = (h << 1) + cw_chunk_gear[data[at + 1]];
		if (h < limit)
			return at + 2;
	}
	if (at < end) {
		h = (h << 1) + cw_chunk_gear[data[at]];
		if (h < limit)
			return at + 1;
	}
	*hash = h;
	return 0;
}

size_t
cw_chunk_next(const struct cw_chunk_sizes *s, const uint8_t *data, size_t len,
    bool is_end)
{
	unsigned bits = (unsigned)__builtin_ctz(s->average);
	uint64_t rare = UINT64_C(1) << (64 - bits - NORMALIZED);
	uint64_t likely = UINT64_C(1) << (64 - bits + NORMALIZED);
	size_t end = len < s->max ? len : s->max, turn, cut;
	uint64_t hash = 0;

	assert(cw_chunk_sizes_valid(s));
	if (len < s->min)
		return is_end ? len : 0;
	/* The window before the first place where a cut may be. */
	for (size_t i = s->min - CW_CHUNK_MIN; i < s->min - 1; i++)
		hash = (hash << 1) + cw_chunk_gear[data[i]];
	turn = s->average - 1 < end ? s->average - 1 : end;
	cut = find(data, s->min - 1, turn, rare, &hash);
	if (cut == 0)
		cut = find(data, turn, end, likely, &hash);
	if (cut == 0 && (len >= s->max || is_end))
		cut = end;
	return cut;
}
