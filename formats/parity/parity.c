#include "formats/parity/parity.h"

#include <isa-l.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ISA-L has three factors of 32 bytes, for vectors, in place of each one. */
#define FACTOR 32u
/* Bytes that are worked on at once: the buffers of all rows stay in cache. */
#define PIECE 4096u

struct cw_parity {
	uint32_t k, m;
	uint8_t *matrix; /* (k + m) rows of k */
	uint8_t *tables; /* of the m parity rows, row after row of k factors */
	uint8_t zeros[PIECE];
};

int
cw_parity_new(
    uint32_t k, uint32_t m, struct cw_parity **out, struct cw_error *err)
{
	struct cw_parity *p;

	*out = NULL;
	if (k == 0 || m == 0 || k > CW_PARITY_ROWS_MAX ||
	    m > CW_PARITY_ROWS_MAX - k)
		return cw_error_set(err, CW_ERR_USAGE,
		    "parity %u+%u: expected 1 to %u rows of each, and of both "
		    "together",
		    k, m, CW_PARITY_ROWS_MAX);
	p = cw_calloc(1, sizeof(*p));
	p->k = k;
	p->m = m;
	p->matrix = cw_malloc((size_t)(k + m) * k);
	p->tables = cw_malloc((size_t)m * k * FACTOR);
	gf_gen_cauchy1_matrix(p->matrix, (int)(k + m), (int)k);
	ec_init_tables((int)k, (int)m, p->matrix + (size_t)k * k, p->tables);
	*out = p;
	return 0;
}

void
cw_parity_free(struct cw_parity *p)
{
	if (p == NULL)
		return;
	free(p->matrix);
	free(p->tables);
	free(p);
}

void
cw_parity_add(const struct cw_parity *p, uint32_t row, const uint8_t *data,
    size_t len, uint8_t *const *accumulators)
{
	uint8_t *out[CW_PARITY_ROWS_MAX];

	for (size_t done = 0; done < len;) {
		size_t now = len - done < PIECE * 4 ? len - done : PIECE * 4;

		for (uint32_t j = 0; j < p->m; j++)
			out[j] = accumulators[j] + done;
		/* Neither the tables nor the data are written to. */
		ec_encode_data_update((int)now, (int)p->k, (int)p->m, (int)row,
		    p->tables, (uint8_t *)(uintptr_t)(data + done), out);
		done += now;
	}
}

/* Whether rows are in range, and none stands in both lists or twice. */
static bool
are_rows_good(const struct cw_parity *p, const uint32_t *have,
    const uint32_t *want, uint32_t want_count)
{
	bool seen[CW_PARITY_ROWS_MAX + 1] = {false};

	for (uint32_t i = 0; i < p->k + want_count; i++) {
		uint32_t row = i < p->k ? have[i] : want[i - p->k];

		if (row >= p->k + p->m || seen[row])
			return false;
		seen[row] = true;
	}
	return true;
}

/*
 * The factors with which the rows there make each row wanted: its row of the
 * matrix times the inverse of the rows there.
 */
static bool
find_factors(const struct cw_parity *p, const uint32_t *have,
    const uint32_t *want, uint32_t want_count, uint8_t *factors)
{
	size_t k = p->k;
	uint8_t *there = cw_malloc(k * k), *inverse = cw_malloc(k * k);
	bool is_done;

	for (size_t i = 0; i < k; i++)
		memcpy(there + i * k, p->matrix + have[i] * k, k);
	is_done = gf_invert_matrix(there, inverse, (int)k) == 0;
	for (uint32_t w = 0; is_done && w < want_count; w++)
		for (size_t col = 0; col < k; col++) {
			const uint8_t *row = p->matrix + want[w] * k;
			uint8_t sum = 0;

			for (size_t i = 0; i < k; i++)
				sum ^= gf_mul(row[i], inverse[i * k + col]);
			factors[w * k + col] = sum;
		}
	free(there);
	free(inverse);
	return is_done;
}

int
cw_parity_rebuild(const struct cw_parity *p, const uint32_t *have_rows,
    const uint8_t *const *have, const uint32_t *want_rows, uint32_t want_count,
    uint8_t *const *out, size_t len, struct cw_error *err)
{
	uint8_t *in_now[CW_PARITY_ROWS_MAX], *out_now[CW_PARITY_ROWS_MAX];
	uint8_t *factors, *tables;
	int ret = -1;

	if (want_count > p->m)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%u rows cannot be rebuilt with parity %u+%u", want_count,
		    p->k, p->m);
	if (!are_rows_good(p, have_rows, want_rows, want_count))
		return cw_error_set(
		    err, CW_ERR_USAGE, "rows of parity out of range or twice");
	if (want_count == 0 || len == 0)
		return 0;
	factors = cw_malloc((size_t)want_count * p->k);
	tables = cw_malloc((size_t)want_count * p->k * FACTOR);
	if (!find_factors(p, have_rows, want_rows, want_count, factors)) {
		/* No set of k rows of a Cauchy matrix is singular. */
		cw_error_set(err, CW_ERR_FAILED, "parity has no inverse");
		goto out;
	}
	ec_init_tables((int)p->k, (int)want_count, factors, tables);
	for (size_t done = 0; done < len;) {
		size_t now = len - done < PIECE ? len - done : PIECE;

		for (uint32_t i = 0; i < p->k; i++)
			in_now[i] =
			    (uint8_t *)(uintptr_t)(have[i] == NULL
						       ? p->zeros
						       : have[i] + done);
		for (uint32_t i = 0; i < want_count; i++)
			out_now[i] = out[i] + done;
		ec_encode_data((int)now, (int)p->k, (int)want_count, tables,
		    in_now, out_now);
		done += now;
	}
	ret = 0;
out:
	free(factors);
	free(tables);
	return ret;
}

void
cw_parity_name(uint32_t group, uint32_t shard, char name[CW_PARITY_NAME_MAX])
{
	(void)snprintf(name, CW_PARITY_NAME_MAX, "%06u.%02u" CW_PARITY_SUFFIX,
	    group, shard);
}

bool
cw_parity_name_parse(const char *name, uint32_t *group, uint32_t *shard)
{
	const char *dot = strchr(name, '.');
	char *end;
	char again[CW_PARITY_NAME_MAX];
	unsigned long g, s;

	if (dot == NULL || dot == name || name[0] < '0' || name[0] > '9' ||
	    dot[1] < '0' || dot[1] > '9' || strlen(name) >= sizeof(again))
		return false;
	g = strtoul(name, NULL, 10);
	s = strtoul(dot + 1, &end, 10);
	if (strcmp(end, CW_PARITY_SUFFIX) != 0 || g == 0 || g > UINT32_MAX ||
	    s == 0 || s > CW_PARITY_ROWS_MAX)
		return false;
	cw_parity_name((uint32_t)g, (uint32_t)s, again);
	if (strcmp(name, again) != 0)
		return false;
	*group = (uint32_t)g;
	*shard = (uint32_t)s;
	return true;
}
