/*
 * Parity: whatever is lost of a small group, and from whichever rows, what is
 * rebuilt is what was there.  The first bytes choose geometry, rows and sizes,
 * the rest is data.  Names of shards are decoded from the same bytes.
 */
#include "formats/parity/parity.h"

#include <stdlib.h>
#include <string.h>

#define ROWS 12u
#define LEN  512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_name(const uint8_t *data, size_t size)
{
	char name[40], again[CW_PARITY_NAME_MAX];
	uint32_t group, shard;

	size = size < sizeof(name) ? size : sizeof(name) - 1;
	memcpy(name, data, size);
	name[size] = '\0';
	if (!cw_parity_name_parse(name, &group, &shard))
		return;
	cw_parity_name(group, shard, again);
	if (strcmp(name, again) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t rows[ROWS][LEN], made[ROWS][LEN];
	uint8_t *shards[ROWS], *out[ROWS];
	const uint8_t *have[ROWS];
	uint32_t have_rows[ROWS], want_rows[ROWS], k, m, haves = 0, wants = 0;
	struct cw_parity *p;
	size_t len;

	try_name(data, size);
	if (size < 4)
		return 0;
	k = 1 + data[0] % 8;
	m = 1 + data[1] % 4;
	len = 1 + (data[2] | (size_t)(data[3] & 1) << 8) % LEN;
	data += 4;
	size -= 4;
	memset(rows, 0, sizeof(rows));
	if (cw_parity_new(k, m, &p, NULL) < 0)
		abort();
	for (uint32_t j = 0; j < m; j++)
		shards[j] = rows[k + j];
	for (uint32_t i = 0; i < k; i++) {
		size_t now = size < len ? size : len;

		memcpy(rows[i], data, now);
		cw_parity_add(p, i, rows[i], now, shards);
		data += now;
		size -= now;
	}
	/* The bytes that are left choose who is lost. */
	for (uint32_t i = 0; i < k + m; i++) {
		bool is_lost = i < size && (data[i] & 1) != 0 && wants < m;

		if (haves == k || (is_lost && k + m - i > k - haves)) {
			out[wants] = made[wants];
			want_rows[wants++] = i;
		} else {
			have[haves] = rows[i];
			have_rows[haves++] = i;
		}
	}
	if (haves != k || cw_parity_rebuild(p, have_rows, have, want_rows,
			      wants, out, len, NULL) < 0)
		abort();
	for (uint32_t i = 0; i < wants; i++)
		if (memcmp(made[i], rows[want_rows[i]], len) != 0)
			abort();
	cw_parity_free(p);
	return 0;
}
