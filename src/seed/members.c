#include "seed/members.h"

/*
 * Tar that is believed of one volume: a header of at most 40 KiB for each
 * member and what zstd can hold, which for hostile frames is anything; so a
 * bound that no honest volume of mail reaches.
 */
#define TAR_FACTOR 1024u
#define TAR_LEAST  (1ull << 30)

static uint64_t
tar_max(uint64_t sealed)
{
	return sealed > TAR_LEAST / TAR_FACTOR ? sealed * TAR_FACTOR
					       : TAR_LEAST;
}

int
members_read(struct cw_volume_reader *reader,
    const struct cw_age_identity *identity, uint64_t sealed,
    cw_volume_source_fn *source, members_take_fn *take, void *arg,
    struct cw_error *err)
{
	struct cw_member m;
	bool end = false;
	int ret;

	ret = cw_volume_reader_open(
	    reader, identity, tar_max(sealed), source, arg, err);
	while (ret == 0) {
		ret = cw_volume_next(reader, &m, &end, err);
		if (ret < 0 || end)
			break;
		if (take(arg, &m, err) < 0)
			ret = -1;
	}
	if (ret == 0)
		ret = cw_volume_reader_finish(reader, err);
	/* What the source has is the caller's again. */
	cw_volume_reader_stop(reader);
	return ret;
}
