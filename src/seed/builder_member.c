/*
 * One member into the open volume, read from its file piece by piece.
 */
#include "seed/builder_impl.h"

#include "base/fs.h"

/*
 * Makes sure that a member of this cost may be begun: 0 as usual, 1 if only
 * trying can tell (then a held frame has begun), 2 if there is no hope.
 */
static int
make_room(struct cw_builder *b, enum cw_zframe_kind kind, uint64_t cost,
    struct cw_error *err)
{
	if (b->number == 0 && builder_open_volume(b, err) < 0)
		return -1;
	if (!b->is_framed || b->frame != kind) {
		if (cw_volume_frame(b->writer, kind, false, err) < 0)
			return -1;
		b->is_framed = true;
		b->frame = kind;
	}
	if (cw_volume_room(b->writer) >= cost)
		return 0;
	/* What is in the frame counts as incompressible until it is cut. */
	if (cw_volume_frame(b->writer, kind, false, err) < 0)
		return -1;
	if (cw_volume_room(b->writer) >= cost)
		return 0;
	/* Mail seldom shrinks to less than half, text apart. */
	if (cost > CW_SMALL_MAX && cw_volume_room(b->writer) < cost / 2)
		return 2;
	if (cw_volume_room(b->writer) < cost / 8)
		return 2;
	if (cw_volume_frame(b->writer, kind, true, err) < 0)
		return -1;
	return 1;
}

static void
hash_zeros(struct cw_sha256 *sha, uint64_t len)
{
	static const uint8_t zeros[65536];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		cw_sha256_update(sha, zeros, n);
		len -= n;
	}
}

/*
 * Passes len bytes of fd from offset on to the member and to the digest.
 * Where the file ends too early, or can't be read (*why then says so), zeros
 * follow, and *is_short is set: the member is void, but the volume is whole.
 */
static int
copy(struct cw_builder *b, int fd, uint64_t offset, uint64_t len,
    bool *is_short, struct cw_error *why, struct cw_error *err)
{
	while (len > 0) {
		size_t cap, got = 0;
		uint8_t *space = cw_volume_space(b->writer, &cap);

		if (cap > len)
			cap = (size_t)len;
		if (cw_pread_full(fd, space, cap, offset, &got, why) < 0) {
			*is_short = true;
			got = 0;
		}
		if (got > 0) {
			cw_sha256_update(b->sha, space, got);
			if (cw_volume_data(b->writer, space, got, err) < 0)
				return -1;
		}
		offset += got;
		len -= got;
		if (got < cap) {
			*is_short = true;
			hash_zeros(b->sha, len);
			break;
		}
		if (cw_stop_check(err) < 0)
			return -1;
	}
	return 0;
}

/* The content of a whole member, holes and all. */
static int
copy_member(struct cw_builder *b, int fd, const struct cw_member *m,
    uint64_t offset, bool *is_short, struct cw_error *why, struct cw_error *err)
{
	uint64_t at = 0;

	if (!m->is_sparse)
		return copy(b, fd, offset, m->size, is_short, why, err);
	for (size_t i = 0; i < m->range_count; i++) {
		hash_zeros(b->sha, m->ranges[i].offset - at);
		if (copy(b, fd, m->ranges[i].offset, m->ranges[i].len, is_short,
			why, err) < 0)
			return -1;
		at = m->ranges[i].offset + m->ranges[i].len;
	}
	hash_zeros(b->sha, m->size - at);
	return 0;
}

/*
 * Writes one member; fd is -1 for what has no content.  The digest goes on in
 * b->sha, which the caller finishes.
 */
int
builder_put_member(struct cw_builder *b, const struct cw_member *m,
    enum cw_zframe_kind kind, int fd, uint64_t offset, bool *is_short,
    struct cw_error *why, struct cw_error *err)
{
	uint64_t cost = cw_volume_cost(m);
	int held = make_room(b, kind, cost, err);

	if (held < 0)
		return -1;
	if (held == 2)
		return BUILDER_DOES_NOT_FIT;
	if (cw_volume_begin(b->writer, m, err) < 0)
		return -1;
	if (fd >= 0 && copy_member(b, fd, m, offset, is_short, why, err) < 0)
		return -1;
	if (cw_volume_end(b->writer, err) < 0)
		return -1;
	if (held == 0)
		return BUILDER_DONE;
	b->is_framed = false;
	switch (cw_volume_commit(b->writer, err)) {
	case 0:
		return BUILDER_DONE;
	case 1:
		cw_volume_drop(b->writer);
		return BUILDER_DOES_NOT_FIT;
	default:
		return -1;
	}
}
