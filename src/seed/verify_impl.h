/*
 * A verification under way: shared by verify.c (what is read, and how) and
 * verify_judge.c (what that means).
 */
#ifndef CW_SEED_VERIFY_IMPL_H
#define CW_SEED_VERIFY_IMPL_H

#include "media/blocks.h"
#include "media/recover.h"
#include "media/scrub.h"
#include "seed/verify.h"
#include "seed/verify_resume.h"

/* What one scrubbed file is. */
struct cw_verify_item {
	size_t medium; /* index into the set's media */
	const struct cw_manifest_file *file;
	char name[sizeof(CW_SET_COPY) + CW_MANIFEST_NAME_MAX + 1];
	bool is_copy;	 /* of the item before it */
	bool has_copy;	 /* the item behind this one */
	bool has_blocks; /* a volume or shard */
	bool is_quick;	 /* its size was looked at, no more */
	bool was_before; /* good, in an earlier run */
	bool is_good;
};

struct cw_verify_work {
	const struct cw_verify_options *options;
	struct cw_verify_result *result;
	struct cw_set *set;
	struct cw_scrub_file *files; /* in the order of items */
	struct cw_verify_item *items;
	size_t count, room;
	struct cw_blocks **blocks; /* of each medium of the set */
	struct cw_recover *recover;
	struct cw_verify_resume *resume; /* NULL: none */
	unsigned *running; /* files of each medium that are read now */
};

/* What is wrong with a file that is there, or NULL; to be freed. */
char *cw_verify_find_fault(const struct cw_verify_work *v,
    const struct cw_verify_item *item, const struct cw_scrub_file *f);

/*
 * Says in the result what the scrub found, what cw_set_open found, and which
 * media are absent, and of all that what can be repaired.
 */
void cw_verify_judge(struct cw_verify_work *v);

#endif
