#include "base/fs.h"
#include "seed/finish_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void
finish_snapshot(struct cw_ledger *l, struct cw_ledger *copy)
{
	pthread_mutex_lock(&l->lock);
	*copy = *l;
	copy->fd = -1;
	copy->volumes = cw_calloc(l->volume_count + 1, sizeof(*copy->volumes));
	for (size_t i = 0; i < l->volume_count; i++)
		copy->volumes[i] = l->volumes[i];
	copy->shards = cw_calloc(l->shard_count + 1, sizeof(*copy->shards));
	for (size_t i = 0; i < l->shard_count; i++)
		copy->shards[i] = l->shards[i];
	copy->closed = cw_calloc(l->closed_count + 1, sizeof(*copy->closed));
	for (size_t i = 0; i < l->closed_count; i++)
		copy->closed[i] = l->closed[i];
	copy->groups = cw_calloc(l->group_count + 1, sizeof(*copy->groups));
	for (size_t i = 0; i < l->group_count; i++) {
		struct cw_ledger_group *g = &copy->groups[i];

		*g = l->groups[i];
		g->volumes = cw_calloc(g->count, sizeof(*g->volumes));
		memcpy(g->volumes, l->groups[i].volumes,
		    g->count * sizeof(*g->volumes));
	}
	pthread_mutex_unlock(&l->lock);
	pthread_mutex_init(&copy->lock, NULL);
}

void
finish_keep_listed_groups(struct cw_ledger *copy, const struct cw_manifest *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < copy->group_count; i++) {
		struct cw_ledger_group *g = &copy->groups[i];
		bool is_listed = true;

		for (uint32_t j = 0; j < g->count && is_listed; j++) {
			const struct cw_ledger_volume *v =
			    cw_ledger_find(copy, g->volumes[j]);
			char name[CW_LEDGER_NAME_MAX];

			cw_ledger_volume_name(g->volumes[j], name);
			is_listed = v != NULL && cw_manifest_find(m, v->medium,
						     name) != NULL;
		}
		if (is_listed)
			copy->groups[kept++] = *g;
		else
			free(g->volumes);
	}
	copy->group_count = kept;
}

int
finish_begin_manifest(
    const struct cw_finish *f, struct cw_manifest *m, struct cw_error *err)
{
	const struct cw_ledger *ledger = f->p.ledger;

	*m = (struct cw_manifest)CW_MANIFEST_INIT;
	memcpy(m->seed_id, ledger->seed_id, sizeof(m->seed_id));
	memcpy(m->store_id, f->store_id, sizeof(m->store_id));
	m->generation = ledger->generation;
	m->base = ledger->base;
	m->epoch = f->epoch;
	m->time = (int64_t)time(NULL);
	cw_card_fingerprint(f->o->card, m->signer);
	for (size_t i = 0; i < f->o->recipient_count; i++)
		if (cw_manifest_add_recipient(
			m, f->o->recipients[i].point, err) < 0)
			return -1;
	m->volume_size = ledger->volume_size;
	return 0;
}

int
finish_copy_medium(struct cw_manifest *to, const struct cw_manifest *from,
    uint32_t number, struct cw_error *err)
{
	const struct cw_medium *is = cw_manifest_medium(from, number);
	bool has_files = false;

	if (is != NULL && cw_manifest_add_medium(to, is, err) < 0)
		return -1;
	for (size_t i = 0; i < from->file_count; i++) {
		if (from->files[i].medium != number)
			continue;
		if (cw_manifest_add_file(to, &from->files[i], err) < 0)
			return -1;
		has_files = true;
	}
	return has_files ? 0 : 1;
}

int
finish_copy_closed(const struct cw_finish *f, struct cw_manifest *m,
    uint32_t number, struct cw_error *err)
{
	int ret =
	    f->has_last ? finish_copy_medium(m, &f->last, number, err) : 1;

	if (ret == 1)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "%s/" CW_SET_MANIFEST " is gone or does not list medium "
		    "%u, which was closed: make that medium again with "
		    "`causeway seed remake %s --medium %u --to DIR`",
		    f->path, number, f->seed, number);
	return ret;
}

int
finish_sign(struct cw_finish *f, struct cw_manifest *m,
    struct finish_signed *out, struct cw_error *err)
{
	char *comment = cw_asprintf("causeway seed %s", f->seed);
	int ret = -1;

	m->revision = f->p.ledger->last_revision + 1;
	out->revision = m->revision;
	cw_buf_reset(&out->text);
	cw_buf_reset(&out->signature);
	if (cw_ledger_add_revision(f->p.ledger, m->revision, err) < 0 ||
	    cw_manifest_encode(m, &out->text, err) < 0 ||
	    cw_minisign_sign(f->o->secret, out->text.data, out->text.len,
		comment, &out->signature, err) < 0)
		goto out;
	if (cw_save_file(f->p.seed_dir, CW_SET_MANIFEST, out->text.data,
		out->text.len, 0600, err) < 0 ||
	    cw_save_file(f->p.seed_dir, CW_SET_SIGNATURE, out->signature.data,
		out->signature.len, 0600, err) < 0) {
		cw_error_context(err, "%s", f->path);
		goto out;
	}
	ret = 0;
out:
	free(comment);
	return ret;
}
