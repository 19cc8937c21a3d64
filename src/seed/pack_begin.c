/*
 * Which seed a run of the packer works on: the one that was interrupted, or a
 * new one.
 */
#include "seed/pack_begin.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/set.h"
#include "seed/blocks.h"
#include "seed/increment.h"
#include "seed/pack_media.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *
seed_path(const struct cw_pack_options *o, const uint8_t *seed_id)
{
	char id[CW_SEED_ID_TEXT];

	cw_hex_encode(seed_id, CW_SEED_ID_SIZE, id);
	return cw_asprintf("%s/%s", o->seeds_path, id);
}

static int
open_seed_dir(const struct cw_pack_options *o, const uint8_t *seed_id,
    bool make, int *seed_dir, struct cw_error *err)
{
	char *path = seed_path(o, seed_id);
	int ret = 0;

	if (make)
		ret = cw_make_dirs(path, 0700, err);
	if (ret == 0) {
		*seed_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*seed_dir < 0)
			ret = errno == ENOENT
				  ? 1
				  : cw_error_errno(err, "cannot open %s", path);
	}
	free(path);
	return ret;
}

static int
check_resume(const struct cw_pack_options *o, const struct cw_ledger *l,
    struct cw_error *err)
{
	bool is_same = strcmp(l->peer, o->peer) == 0 &&
		       l->recipient_count == o->recipient_count;
	char id[CW_SEED_ID_TEXT];

	for (size_t i = 0; i < o->recipient_count && is_same; i++)
		is_same =
		    memcmp(l->recipients[i], o->recipients[i].point, 32) == 0;
	cw_hex_encode(l->seed_id, CW_SEED_ID_SIZE, id);
	if (!is_same)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s of this store is unfinished, and was begun for %s "
		    "with other recipients: finish it with the same --for and "
		    "--recipient, or give it up with --new",
		    id, l->peer);
	if (o->has_parity &&
	    (o->parity_k != l->parity_k || o->parity_m != l->parity_m ||
		o->survive_media != l->survive_media))
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is unfinished and was begun with other parity: "
		    "leave out --parity and --survive-media to go on, or give "
		    "it up with --new",
		    id);
	if (o->volume_size != 0 && o->volume_size != l->volume_size)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s is unfinished and has volumes of %llu bytes: "
		    "leave out --volume-size to go on, or give it up with "
		    "--new",
		    id, (unsigned long long)l->volume_size);
	return cw_increment_check_resume(o, l, err);
}

/* A seed that was interrupted before it had a ledger never began. */
static void
remove_stillborn(
    const struct cw_pack_options *o, const uint8_t *seed_id, int seed_dir)
{
	char *path = seed_path(o, seed_id);

	(void)unlinkat(seed_dir, CW_LEDGER_FILE ".tmp", 0);
	(void)rmdir(path);
	free(path);
}

int
cw_pack_resume(const struct cw_pack_options *o, struct cw_ledger *l,
    int *seed_dir, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(o->catalog);
	int ret;

	if (!info->has_seed || o->is_new)
		return 1;
	ret = open_seed_dir(o, info->seed_id, false, seed_dir, err);
	if (ret != 0)
		return ret;
	ret = cw_ledger_open(*seed_dir, l, err);
	if (ret == 0 && (!l->is_finished || o->remake != 0))
		return check_resume(o, l, err);
	if (ret == 0) {
		cw_seed_blocks_forget(*seed_dir); /* if a crash left any */
		cw_ledger_close(l);
	}
	if (ret == 1)
		remove_stillborn(o, info->seed_id, *seed_dir);
	cw_close(seed_dir);
	return ret < 0 ? -1 : 1;
}

int
cw_pack_begin(const struct cw_pack_options *o, struct cw_ledger *l,
    int *seed_dir, struct cw_error *err)
{
	memset(l, 0, sizeof(*l));
	l->fd = -1;
	cw_random(l->seed_id, sizeof(l->seed_id));
	(void)snprintf(l->peer, sizeof(l->peer), "%s", o->peer);
	l->time = (int64_t)time(NULL);
	l->generation = cw_catalog_info(o->catalog)->generation;
	l->base = o->since;
	l->parity_k = o->has_parity ? o->parity_k : CW_PACK_PARITY_K;
	l->parity_m = o->has_parity ? o->parity_m : CW_PACK_PARITY_M;
	l->survive_media = o->survive_media;
	l->volume_size = o->volume_size == 0
			     ? cw_pack_media_volume_size(
				   o, l->survive_media > 0 ? 0 : l->parity_m)
			     : o->volume_size;
	for (size_t i = 0; i < o->recipient_count; i++)
		memcpy(l->recipients[i], o->recipients[i].point, 32);
	l->recipient_count = (uint32_t)o->recipient_count;
	/*
	 * The ledger comes last: a seed id in the catalog without a ledger is
	 * one that never began.
	 */
	if (cw_increment_check(o, err) < 0 ||
	    cw_catalog_start_seed(o->catalog, l->seed_id, err) < 0 ||
	    open_seed_dir(o, l->seed_id, true, seed_dir, err) != 0)
		return -1;
	return cw_ledger_create(*seed_dir, l, err);
}
