#include "seed/finish.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "seed/finish_impl.h"

#include <stdlib.h>
#include <string.h>

/*
 * A row of the catalog takes about a hundred bytes sealed (its digest alone
 * 32 that don't compress), and the catalog stands on a medium twice.
 */
uint64_t
cw_finish_reserve(uint64_t entries)
{
	return 2 * (entries * 128 + (1u << 20));
}

int
cw_finish_new(const struct cw_finish_parts *parts, struct cw_finish **out,
    struct cw_error *err)
{
	const struct cw_pack_options *o = parts->options;
	const struct cw_catalog_info *info = cw_catalog_info(o->catalog);
	struct cw_finish *f = cw_calloc(1, sizeof(*f));
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	*out = NULL;
	f->p = *parts;
	f->o = o;
	f->catalog = -1;
	cw_hex_encode(parts->ledger->seed_id, CW_SEED_ID_SIZE, f->seed);
	cw_minisign_public_base64(&o->card->sign, f->key);
	f->path = cw_asprintf("%s/%s", o->seeds_path, f->seed);
	/* The catalog is the builders' while media are closed. */
	memcpy(f->store_id, info->store_id, sizeof(f->store_id));
	f->epoch = info->epoch;
	f->last = (struct cw_manifest)CW_MANIFEST_INIT;
	ret = cw_read_file(
	    parts->seed_dir, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX, &text, err);
	if (ret == 0) {
		ret = cw_manifest_decode(
		    (const char *)text.data, text.len, &f->last, err);
		f->has_last = ret == 0;
	}
	cw_buf_free(&text);
	if (ret < 0) {
		cw_error_context(err, "%s/" CW_SET_MANIFEST, f->path);
		cw_finish_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

void
cw_finish_free(struct cw_finish *f)
{
	if (f == NULL)
		return;
	cw_finish_forget_catalog(f);
	cw_manifest_free(&f->last);
	free(f->path);
	free(f);
}

/* A medium that fails costs itself; a request to stop ends the work. */
static int
give_up(const struct cw_target_medium *m, struct cw_error *why,
    struct cw_error *err)
{
	if (why->code == CW_ERR_INTERRUPTED) {
		*err = *why;
		return -1;
	}
	cw_error_context(why, "medium %u in %s", m->is.number, m->path);
	return 1;
}

/* Manifest and signature of the media closed so far, and of this one. */
static int
sign_open(struct cw_finish *f, struct cw_ledger *now,
    const struct cw_manifest *part, uint32_t number,
    struct cw_manifest *manifest, struct finish_signed *text,
    struct cw_error *err)
{
	if (finish_begin_manifest(f, manifest, err) < 0)
		return -1;
	for (uint32_t n = 1; n <= now->last_medium; n++) {
		if (n == number) {
			if (finish_copy_medium(manifest, part, n, err) < 0)
				return -1;
		} else if (cw_ledger_is_closed(now, n) &&
			   finish_copy_closed(f, manifest, n, err) < 0) {
			return -1;
		}
	}
	finish_keep_listed_groups(now, manifest);
	if (cw_seed_parity_list(now, manifest, err) < 0)
		return -1;
	return finish_sign(f, manifest, text, err);
}

int
cw_finish_medium(struct cw_finish *f, struct cw_target_medium *m,
    struct cw_error *why, struct cw_error *err)
{
	struct finish_signed text = {CW_BUF_INIT, CW_BUF_INIT, 0};
	struct cw_manifest manifest = CW_MANIFEST_INIT;
	struct cw_manifest part = CW_MANIFEST_INIT;
	struct cw_pack_medium report = {.path = NULL};
	struct cw_ledger now;
	int ret = 1;

	if (cw_seed_parity_close(f->p.parity, m, why) < 0)
		return give_up(m, why, err);
	finish_snapshot(f->p.ledger, &now);
	memcpy(part.seed_id, now.seed_id, sizeof(part.seed_id));
	if (finish_write_listed(f, &now, m, 0, -1, &part, &report, why) < 0)
		goto out;
	ret = -1;
	if (sign_open(f, &now, &part, m->is.number, &manifest, &text, err) < 0)
		goto out;
	ret = 1;
	if (finish_write_signed(f, m, &text, &report, why) < 0)
		goto out;
	ret = cw_ledger_close_medium(f->p.ledger, m->is.number, err);
	if (ret < 0)
		goto out;
	cw_manifest_free(&f->last);
	f->last = manifest;
	f->has_last = true;
	manifest = (struct cw_manifest)CW_MANIFEST_INIT;
out:
	if (ret == 1)
		ret = give_up(m, why, err);
	free(report.path);
	cw_ledger_close(&now);
	cw_manifest_free(&manifest);
	cw_manifest_free(&part);
	cw_buf_free(&text.text);
	cw_buf_free(&text.signature);
	return ret;
}
