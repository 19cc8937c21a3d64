/* What prepare's files share; see prepare.h. */
#ifndef CW_MEDIA_PREPARE_IMPL_H
#define CW_MEDIA_PREPARE_IMPL_H

#include "media/prepare.h"

/* A list in which the disk and its partitions were probed; *out is new. */
int cw_prepare_look(const struct cw_prepare_options *o, struct cw_devices **out,
    size_t *index, struct cw_error *err);

/* The lines of cw_prepare_losses, with or without the seeds. */
size_t cw_prepare_contents(
    const struct cw_devices *all, size_t index, bool has_seeds, char ***out);

#endif
