#include "seed/name_set.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"

#include <stdlib.h>
#include <string.h>

/* Slots go by the low bits. */
static size_t
slot_of(const struct cw_name_set *s, uint64_t hash)
{
	size_t i = (size_t)hash & (s->cap - 1);

	while (s->slots[i] != 0 && s->slots[i] != hash)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static void
grow(struct cw_name_set *s)
{
	uint64_t *old = s->slots;
	size_t cap = s->cap;

	s->cap = cap == 0 ? 1024 : 2 * cap;
	s->slots = cw_calloc(s->cap, sizeof(*s->slots));
	for (size_t i = 0; i < cap; i++)
		if (old[i] != 0)
			s->slots[slot_of(s, old[i])] = old[i];
	free(old);
}

bool
cw_name_set_add(struct cw_name_set *s, const char *name, size_t len)
{
	uint8_t digest[CW_XXH_SIZE];
	uint64_t hash;
	size_t i;

	if (2 * s->count >= s->cap) {
		if (s->count >= CW_NAME_SET_MAX)
			return true;
		grow(s);
	}
	cw_xxh(name, len, digest);
	hash = cw_get_le64(digest) | UINT64_C(1) << 63; /* none is 0 */
	i = slot_of(s, hash);
	if (s->slots[i] == hash)
		return false;
	s->slots[i] = hash;
	s->count++;
	return true;
}

void
cw_name_set_reset(struct cw_name_set *s)
{
	if (s->count > 0)
		memset(s->slots, 0, s->cap * sizeof(*s->slots));
	s->count = 0;
}

void
cw_name_set_free(struct cw_name_set *s)
{
	free(s->slots);
	*s = (struct cw_name_set){NULL, 0, 0};
}
