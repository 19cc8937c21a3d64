#include "seed/finish.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/manifest/checksums.h"
#include "media/durable.h"
#include "media/set.h"
#include "seed/custody_file.h"
#include "seed/readme.h"
#include "seed/sealed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CATALOG_EXPORT "catalog.sqlite"

/*
 * A row of the catalog takes about a hundred bytes sealed (its digest alone
 * 32 that don't compress), and the catalog stands on a medium twice.
 */
uint64_t
cw_finish_reserve(uint64_t entries)
{
	return 2 * (entries * 128 + (1u << 20));
}

/* Exports and seals the catalog into the state directory: once for all. */
static int
seal_catalog(const struct cw_pack_options *o, int seed_dir,
    const char *seed_path, struct cw_error *err)
{
	char *path = cw_asprintf("%s/" CATALOG_EXPORT, seed_path);
	int plain = -1, sealed = -1, ret = -1;

	if (unlinkat(seed_dir, CATALOG_EXPORT, 0) < 0 && errno != ENOENT) {
		cw_error_errno(err, "cannot remove %s", path);
		goto out;
	}
	if (cw_catalog_export(o->catalog, path, err) < 0)
		goto out;
	plain = openat(seed_dir, CATALOG_EXPORT, O_RDONLY | O_CLOEXEC);
	sealed = openat(seed_dir, CW_SET_CATALOG,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (plain < 0 || sealed < 0) {
		cw_error_errno(err, "cannot seal the catalog in %s", seed_path);
		goto out;
	}
	if (cw_sealed_file_write(plain, sealed, o->recipients,
		o->recipient_count, err) < 0) {
		cw_error_context(err, "sealing the catalog");
		goto out;
	}
	/* Names of mail don't lie about longer than they must. */
	(void)unlinkat(seed_dir, CATALOG_EXPORT, 0);
	ret = 0;
out:
	free(path);
	cw_close(&plain);
	cw_close(&sealed);
	return ret;
}

/* What is being put together for one medium. */
struct lists {
	struct cw_manifest *manifest;
	struct cw_checksums sums;
	struct cw_pack_medium *report;
	uint32_t medium;
};

static int
list(struct lists *l, const char *name, const struct cw_durable_result *r,
    bool is_in_manifest, struct cw_error *err)
{
	struct cw_manifest_file file = {.medium = l->medium, .size = r->size};

	(void)snprintf(file.name, sizeof(file.name), "%s", name);
	memcpy(file.sha256, r->sha256, sizeof(file.sha256));
	l->report->bytes += r->size;
	if (is_in_manifest &&
	    cw_manifest_add_file(l->manifest, &file, err) < 0)
		return -1;
	return cw_checksums_add(&l->sums, name, r->xxh, err);
}

/* Copies what is in fd, from its beginning, into a durable file. */
static int
copy_durable(int fd, int dirfd, const char *name,
    struct cw_durable_result *result, struct cw_error *err)
{
	uint8_t *buf = cw_malloc(1u << 20);
	struct cw_durable *d = NULL;
	uint64_t offset = 0;
	size_t got = 0;
	int ret;

	ret = cw_durable_open(dirfd, name, 0, &d, err);
	while (ret == 0) {
		ret = cw_pread_full(fd, buf, 1u << 20, offset, &got, err);
		if (ret < 0 || got == 0)
			break;
		offset += got;
		ret = cw_durable_write(d, buf, got, err);
	}
	if (ret == 0)
		ret = cw_durable_finish(d, result, err);
	cw_durable_free(d);
	free(buf);
	return ret;
}

static int
save_durable(int dirfd, const char *name, const struct cw_buf *text,
    struct cw_durable_result *result, struct cw_error *err)
{
	struct cw_durable *d = NULL;
	int ret;

	ret = cw_durable_open(dirfd, name, text->len, &d, err);
	if (ret == 0)
		ret = cw_durable_write(d, text->data, text->len, err);
	if (ret == 0)
		ret = cw_durable_finish(d, result, err);
	cw_durable_free(d);
	return ret;
}

/* Twice: in the folder and in copy/. */
static int
save_twice(struct lists *l, int folder, const char *name,
    const struct cw_buf *text, bool is_listed, struct cw_error *err)
{
	char *second = cw_asprintf(CW_SET_COPY "/%s", name);
	struct cw_durable_result r, r2;
	int ret;

	ret = save_durable(folder, name, text, &r, err);
	if (ret == 0)
		ret = save_durable(folder, second, text, &r2, err);
	if (ret == 0 && is_listed) {
		ret = list(l, name, &r, true, err);
		if (ret == 0)
			ret = list(l, second, &r2, false, err);
	} else if (ret == 0) {
		l->report->bytes += r.size + r2.size;
	}
	free(second);
	return ret;
}

static int
list_volumes(struct lists *l, const struct cw_ledger *ledger,
    struct cw_error *err)
{
	for (size_t i = 0; i < ledger->volume_count; i++) {
		const struct cw_ledger_volume *v = &ledger->volumes[i];
		struct cw_durable_result r;
		char name[32];

		if (v->medium != l->medium)
			continue;
		(void)snprintf(name, sizeof(name), "%06u" CW_SET_VOLUME,
		    v->number);
		r.size = v->size;
		memcpy(r.sha256, v->sha256, sizeof(r.sha256));
		memcpy(r.xxh, v->xxh, sizeof(r.xxh));
		if (list(l, name, &r, true, err) < 0)
			return -1;
		l->report->volumes++;
	}
	return 0;
}

/* All that the manifest lists of a medium, CHECKSUMS last. */
static int
prepare_medium(struct lists *l, const struct cw_ledger *ledger,
    struct cw_target_medium *m, uint32_t count, int catalog,
    struct cw_error *err)
{
	struct cw_durable_result r;
	struct cw_buf text = CW_BUF_INIT;
	int ret = -1;

	if (list_volumes(l, ledger, err) < 0)
		goto out;
	if (copy_durable(catalog, m->folder, CW_SET_CATALOG, &r, err) < 0 ||
	    list(l, CW_SET_CATALOG, &r, true, err) < 0 ||
	    copy_durable(catalog, m->folder, CW_SET_COPY "/" CW_SET_CATALOG, &r,
		err) < 0 ||
	    list(l, CW_SET_COPY "/" CW_SET_CATALOG, &r, false, err) < 0)
		goto out;
	m->is.count = count;
	if (cw_medium_encode(&m->is, &text, err) < 0 ||
	    save_twice(l, m->folder, CW_SET_MEDIUM, &text, true, err) < 0)
		goto out;
	cw_buf_reset(&text);
	if (cw_checksums_encode(&l->sums, &text, err) < 0)
		goto out;
	/* CHECKSUMS stands in the manifest, but not in itself. */
	{
		struct lists only = *l;

		only.sums = (struct cw_checksums)CW_CHECKSUMS_INIT;
		ret = save_twice(&only, m->folder, CW_SET_CHECKSUMS, &text,
		    true, err);
		cw_checksums_free(&only.sums);
	}
out:
	cw_buf_free(&text);
	cw_checksums_free(&l->sums);
	return ret;
}

static void
begin_manifest(const struct cw_pack_options *o, const struct cw_ledger *ledger,
    size_t media, struct cw_manifest *m, struct cw_error *err)
{
	const struct cw_catalog_info *info = cw_catalog_info(o->catalog);

	memcpy(m->seed_id, ledger->seed_id, sizeof(m->seed_id));
	memcpy(m->store_id, info->store_id, sizeof(m->store_id));
	m->generation = ledger->generation;
	m->epoch = info->epoch;
	m->time = (int64_t)time(NULL);
	cw_card_fingerprint(o->card, m->signer);
	for (size_t i = 0; i < o->recipient_count; i++)
		(void)cw_manifest_add_recipient(m, o->recipients[i].point, err);
	m->volume_size = ledger->volume_size;
	m->media = (uint32_t)media;
	m->is_final = true;
}

static int
write_readme(struct cw_target_medium *m, const char *seed, const char *key,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	cw_seed_readme(&text, seed, key, m->is.number);
	ret = cw_save_file(m->top, "README.txt", text.data, text.len, 0644,
	    err);
	cw_buf_free(&text);
	return ret;
}

/* Manifest, signature, and their copies; then custody begins. */
static int
close_medium(const struct cw_pack_options *o, const struct cw_ledger *ledger,
    struct cw_target_medium *m, const struct cw_buf *manifest,
    const struct cw_buf *signature, struct cw_pack_medium *report,
    struct cw_error *err)
{
	struct lists l = {.report = report};
	char note[128];

	if (save_twice(&l, m->folder, CW_SET_MANIFEST, manifest, false, err) <
		0 ||
	    save_twice(&l, m->folder, CW_SET_SIGNATURE, signature, false, err) <
		0)
		return -1;
	(void)snprintf(note, sizeof(note), "medium %u of %u, %llu volumes",
	    m->is.number, m->is.count, (unsigned long long)report->volumes);
	return cw_custody_file_append(m->folder, ledger->seed_id,
	    CW_CUSTODY_SEALED, note, o->card->name, o->secret, err);
}

/* Volumes on media that are not here cannot be listed again. */
static int
check_media(const struct cw_ledger *ledger, struct cw_target *target,
    struct cw_error *err)
{
	for (size_t i = 0; i < ledger->volume_count; i++)
		if (cw_target_find(target, ledger->volumes[i].medium) == NULL)
			return cw_error_set(err, CW_ERR_REFUSED,
			    "medium %u of this seed is not among the "
			    "directories given with --to: attach it and run "
			    "the same command again with its directory too",
			    ledger->volumes[i].medium);
	return 0;
}

static int
sign(const struct cw_pack_options *o, const char *seed, struct cw_manifest *m,
    struct cw_buf *text, struct cw_buf *signature, struct cw_error *err)
{
	char *comment = cw_asprintf("causeway seed %s", seed);
	int ret = -1;

	if (cw_manifest_encode(m, text, err) == 0 &&
	    cw_minisign_sign(o->secret, text->data, text->len, comment,
		signature, err) == 0)
		ret = 0;
	free(comment);
	return ret;
}

int
cw_finish(const struct cw_pack_options *o, struct cw_ledger *ledger,
    struct cw_target *target, int seed_dir, struct cw_pack_result *result,
    struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT, signature = CW_BUF_INIT;
	struct cw_manifest manifest = CW_MANIFEST_INIT;
	char seed[CW_SEED_ID_TEXT], key[CW_MINISIGN_BASE64_SIZE];
	size_t count = cw_target_count(target);
	char *seed_path;
	int catalog = -1, ret = -1;

	cw_hex_encode(ledger->seed_id, CW_SEED_ID_SIZE, seed);
	cw_minisign_public_base64(&o->card->sign, key);
	seed_path = cw_asprintf("%s/%s", o->seeds_path, seed);
	if (check_media(ledger, target, err) < 0 ||
	    seal_catalog(o, seed_dir, seed_path, err) < 0)
		goto out;
	catalog = openat(seed_dir, CW_SET_CATALOG, O_RDONLY | O_CLOEXEC);
	if (catalog < 0) {
		cw_error_errno(err, "cannot open %s/" CW_SET_CATALOG,
		    seed_path);
		goto out;
	}
	begin_manifest(o, ledger, count, &manifest, err);
	result->media = cw_calloc(count, sizeof(*result->media));
	result->media_count = count;
	for (size_t i = 0; i < count; i++) {
		struct cw_target_medium *m = cw_target_medium(target, i);
		struct lists l = {.manifest = &manifest,
		    .sums = CW_CHECKSUMS_INIT,
		    .report = &result->media[i],
		    .medium = m->is.number};

		l.report->number = m->is.number;
		l.report->path = cw_strdup(m->path);
		(void)snprintf(l.report->label, sizeof(l.report->label), "%s",
		    m->is.label);
		if (write_readme(m, seed, key, err) < 0 ||
		    prepare_medium(&l, ledger, m, (uint32_t)count, catalog,
			err) < 0) {
			cw_error_context(err, "medium in %s", m->path);
			goto out;
		}
	}
	if (sign(o, seed, &manifest, &text, &signature, err) < 0)
		goto out;
	for (size_t i = 0; i < count; i++) {
		struct cw_target_medium *m = cw_target_medium(target, i);

		if (close_medium(o, ledger, m, &text, &signature,
			&result->media[i], err) < 0) {
			cw_error_context(err, "medium in %s", m->path);
			goto out;
		}
		result->bytes_written += result->media[i].bytes;
	}
	cw_sha256(text.data, text.len, result->manifest_sha256);
	if (cw_save_file(seed_dir, CW_SET_MANIFEST, text.data, text.len, 0600,
		err) < 0 ||
	    cw_save_file(seed_dir, CW_SET_SIGNATURE, signature.data,
		signature.len, 0600, err) < 0 ||
	    cw_ledger_finish(ledger, err) < 0) {
		cw_error_context(err, "%s", seed_path);
		goto out;
	}
	ret = 0;
out:
	cw_close(&catalog);
	cw_manifest_free(&manifest);
	cw_buf_free(&text);
	cw_buf_free(&signature);
	free(seed_path);
	return ret;
}
