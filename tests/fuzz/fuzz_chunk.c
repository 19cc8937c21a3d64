/*
 * Cutting content: bounds are kept, and pieces of any size give the cuts that
 * the whole gives.  The first four bytes choose sizes and pieces.
 */
#include "formats/chunk/chunk.h"

#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cw_chunk_sizes s;
	size_t step, end = 0, n, whole;

	if (len < 4)
		return 0;
	s.min = 64u + data[0];
	s.average = 1u << data[1] % 32;
	s.max = s.average + data[2] * 16u;
	step = 1u + data[3];
	data += 4;
	len -= 4;
	if (!cw_chunk_sizes_valid(&s))
		return 0;
	while (len > 0) {
		whole = cw_chunk_next(&s, data, len, true);
		if (whole == 0 || whole > len || whole > s.max ||
		    (whole < s.min && whole < len))
			abort();
		do {
			end = len - end < step ? len : end + step;
			n = cw_chunk_next(&s, data, end, end == len);
		} while (n == 0);
		if (n != whole)
			abort();
		data += n;
		len -= n;
		end -= n;
	}
	return 0;
}
