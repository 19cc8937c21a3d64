#include "seed/verify_certificate.h"

#include <stdio.h>
#include <string.h>

/* A name that a manifest may have; what was slipped in may have any. */
static void
put_name(const char *name, char out[CW_MANIFEST_NAME_MAX + 1])
{
	snprintf(out, CW_MANIFEST_NAME_MAX + 1, "%s", name);
	for (char *c = out; *c != '\0'; c++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			   "xyz0123456789._-/",
			*c) == NULL)
			*c = '_';
	if (!cw_manifest_name_is_valid(out, strlen(out)))
		strcpy(out, "_");
}

static uint64_t
at_most(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

static void
add_media(struct cw_certificate *c, const struct cw_verify_result *r)
{
	for (uint32_t i = 0; i < r->media_present; i++) {
		const struct cw_verify_medium *m = &r->present[i];
		struct cw_certificate_medium is = {
		    .number = m->number,
		    .files = m->files,
		    .bytes = m->bytes,
		};

		/* Of two copies of a disk, the first one. */
		if (m->number == 0 ||
		    cw_certificate_medium(c, m->number) != NULL)
			continue;
		memcpy(is.label, m->label, sizeof(is.label));
		memcpy(is.filesystem, m->filesystem, sizeof(is.filesystem));
		cw_certificate_add_medium(c, &is);
	}
}

static void
add_damage(struct cw_certificate *c, const struct cw_verify_result *r)
{
	for (size_t i = 0; i < r->damaged_count; i++) {
		const struct cw_verify_damage *d = &r->damaged[i];
		struct cw_certificate_damage is = {
		    .medium = d->medium,
		    .offset = at_most(d->offset, CW_MANIFEST_FILE_SIZE_MAX),
		    .length = at_most(d->length, CW_MANIFEST_FILE_SIZE_MAX),
		    .is_repairable = d->status == CW_VERIFY_REPAIRABLE,
		};

		put_name(d->file, is.file);
		cw_certificate_add_damage(c, &is);
	}
	for (size_t i = 0; i < r->missing_count; i++) {
		const struct cw_verify_missing *m = &r->missing[i];
		struct cw_certificate_damage is = {
		    .medium = m->medium,
		    .is_missing = true,
		    .is_repairable = m->is_repairable,
		};

		put_name(m->file, is.file);
		cw_certificate_add_damage(c, &is);
	}
	c->damage_more += r->damaged_more;
}

int
cw_verify_certify(const struct cw_verify_result *result,
    enum cw_certificate_method method, const struct cw_card *site,
    struct cw_buf *text, struct cw_error *err)
{
	static const enum cw_certificate_result results[] = {
	    [CW_VERIFY_OK] = CW_CERTIFICATE_OK,
	    [CW_VERIFY_REPAIRABLE] = CW_CERTIFICATE_REPAIRABLE,
	    [CW_VERIFY_DAMAGED] = CW_CERTIFICATE_DAMAGED,
	};
	struct cw_certificate c = CW_CERTIFICATE_INIT;
	int ret;

	if (result->status == CW_VERIFY_UNTRUSTED)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "seed %s gets no certificate: nobody here trusts it",
		    result->seed_text);
	memcpy(c.seed_id, result->seed_id, sizeof(c.seed_id));
	memcpy(c.store_id, result->store_id, sizeof(c.store_id));
	memcpy(c.manifest, result->manifest_sha256, sizeof(c.manifest));
	memcpy(c.signer, result->signer, sizeof(c.signer));
	memcpy(c.site, site->name, sizeof(c.site));
	cw_card_fingerprint(site, c.fingerprint);
	c.generation = result->generation;
	c.revision = result->revision;
	c.is_final = result->is_final;
	c.media_count = result->media;
	c.method = method;
	c.from = result->from;
	c.to = result->to;
	c.result = results[result->status];
	c.volumes = result->volumes;
	add_media(&c, result);
	add_damage(&c, result);
	ret = cw_certificate_encode(&c, text, err);
	cw_certificate_free(&c);
	return ret;
}
