#include "base/fs.h"
#include "media/blocks.h"
#include "seed/blocks.h"
#include "seed/custody_file.h"
#include "seed/finish_impl.h"
#include "seed/medium_files.h"
#include "seed/readme.h"
#include "seed/shipping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Room for small files, beside the catalog, on a medium that was closed. */
#define SMALL_FILES (1u << 20)
#define CHUNK	    (1u << 20)

static int
list_data(struct cw_medium_files *files, const struct cw_ledger *l,
    struct cw_pack_medium *report, struct cw_error *err)
{
	char name[CW_LEDGER_NAME_MAX];

	for (size_t i = 0; i < l->volume_count; i++) {
		const struct cw_ledger_volume *v = &l->volumes[i];
		struct cw_durable_result r = {.size = v->size};

		if (v->medium != files->medium)
			continue;
		cw_ledger_volume_name(v->number, name);
		memcpy(r.sha256, v->sha256, sizeof(r.sha256));
		memcpy(r.xxh, v->xxh, sizeof(r.xxh));
		if (cw_medium_files_list(
			files, name, &r, CW_MEDIUM_FILES_IN_BOTH, err) < 0)
			return -1;
		report->volumes++;
	}
	for (size_t i = 0; i < l->shard_count; i++) {
		const struct cw_ledger_shard *s = &l->shards[i];
		struct cw_durable_result r = {.size = s->size};

		if (s->medium != files->medium)
			continue;
		cw_ledger_shard_name(s->group, s->index, name);
		memcpy(r.sha256, s->sha256, sizeof(r.sha256));
		memcpy(r.xxh, s->xxh, sizeof(r.xxh));
		if (cw_medium_files_list(
			files, name, &r, CW_MEDIUM_FILES_IN_BOTH, err) < 0)
			return -1;
		report->shards++;
	}
	return 0;
}

struct blocks_source {
	const struct cw_finish *f;
	const struct cw_ledger *ledger;
	const struct cw_target_medium *m;
};

static int
fill_blocks(void *arg, struct cw_durable *d, struct cw_error *err)
{
	const struct blocks_source *s = arg;

	return cw_seed_blocks_write(s->ledger, s->f->p.seed_dir, s->m, d, err);
}

static int
write_readme(const struct cw_finish *f, const struct cw_target_medium *m,
    struct cw_error *err)
{
	struct cw_seed_readme about = {.seed_id = f->seed,
	    .minisign_key = f->key,
	    .medium = m->is.number,
	    .parity_k = f->p.ledger->parity_k,
	    .parity_m = f->p.ledger->parity_m,
	    .survive_media = f->p.ledger->survive_media,
	    .base = f->p.ledger->base};
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	cw_seed_readme(&text, &about);
	ret =
	    cw_save_file(m->top, "README.txt", text.data, text.len, 0644, err);
	cw_buf_free(&text);
	return ret;
}

/* CHECKSUMS of all that was listed so far. */
static int
write_checksums(struct cw_medium_files *files, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret = cw_checksums_encode(&files->sums, &text, err);

	if (ret == 0)
		ret = cw_medium_files_save(files, CW_SET_CHECKSUMS, &text,
		    CW_MEDIUM_FILES_IN_MANIFEST, err);
	cw_buf_free(&text);
	return ret;
}

void
finish_begin_report(
    struct cw_pack_medium *report, const struct cw_medium *is, const char *path)
{
	*report = (struct cw_pack_medium){.number = is->number};
	(void)snprintf(report->label, sizeof(report->label), "%s", is->label);
	report->path = cw_strdup(path);
}

int
finish_write_listed(const struct cw_finish *f, const struct cw_ledger *ledger,
    struct cw_target_medium *m, uint32_t count, int catalog,
    struct cw_manifest *part, struct cw_pack_medium *report,
    struct cw_error *err)
{
	struct blocks_source blocks = {f, ledger, m};
	struct cw_medium_files files = {
	    .manifest = part,
	    .sums = CW_CHECKSUMS_INIT,
	    .folder = m->folder,
	    .medium = m->is.number,
	};
	struct cw_durable_result r;
	struct cw_buf text = CW_BUF_INIT;
	int ret = -1;

	finish_begin_report(report, &m->is, m->path);
	m->is.count = count;
	if (write_readme(f, m, err) < 0 ||
	    cw_manifest_add_medium(part, &m->is, err) < 0 ||
	    list_data(&files, ledger, report, err) < 0 ||
	    cw_medium_files_write(
		&files, CW_SET_BLOCKS, fill_blocks, &blocks, NULL, err) < 0)
		goto out;
	if (catalog >= 0) {
		if (cw_medium_files_write(&files, CW_SET_CATALOG,
			cw_medium_files_fill_copy, &catalog, &r, err) < 0)
			goto out;
		memcpy(part->catalog, r.sha256, sizeof(r.sha256));
		part->has_catalog = true;
	}
	if (cw_medium_encode(&m->is, &text, err) < 0 ||
	    cw_medium_files_save(&files, CW_SET_MEDIUM, &text,
		CW_MEDIUM_FILES_IN_BOTH, err) < 0 ||
	    write_checksums(&files, err) < 0)
		goto out;
	ret = 0;
out:
	report->bytes = files.bytes;
	cw_checksums_free(&files.sums);
	cw_buf_free(&text);
	return ret;
}

/* Free bytes on a medium. */
static uint64_t
room(const struct cw_target_medium *m)
{
	struct statvfs vfs;

	if (fstatvfs(m->folder, &vfs) < 0)
		return 0;
	return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* What a file on a medium is, which must be what the manifest says. */
static int
look_at(const struct cw_target_medium *m, const char *name,
    const struct cw_manifest_file *line, struct cw_durable_result *r,
    struct cw_error *err)
{
	struct cw_sha256 *sha = cw_sha256_new();
	struct cw_xxh *xxh = cw_xxh_new();
	uint8_t *buf = cw_malloc(CHUNK);
	struct stat st;
	size_t got = 0;
	int fd, ret = -1;

	*r = (struct cw_durable_result){.size = 0};
	fd = cw_set_open_file(m->folder, name, 0, &st, err);
	if (fd < 0)
		goto out;
	do {
		if (cw_pread_full(fd, buf, CHUNK, r->size, &got, err) < 0)
			goto out;
		cw_sha256_update(sha, buf, got);
		cw_xxh_update(xxh, buf, got);
		r->size += got;
	} while (got > 0);
	cw_sha256_final(sha, r->sha256);
	cw_xxh_final(xxh, r->xxh);
	if (memcmp(r->sha256, line->sha256, sizeof(r->sha256)) != 0) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s is not what was written there", name);
		goto out;
	}
	ret = 0;
out:
	cw_close(&fd);
	cw_sha256_free(sha);
	cw_xxh_free(xxh);
	free(buf);
	return ret;
}

/* Lists a file that is there twice and stays as it is. */
static int
list_kept(struct cw_medium_files *files, const struct cw_target_medium *m,
    const struct cw_manifest *before, const char *name, struct cw_error *err)
{
	const struct cw_manifest_file *line =
	    cw_manifest_find(before, files->medium, name);
	char second[CW_MANIFEST_NAME_MAX + 1];
	struct cw_durable_result r;

	(void)snprintf(second, sizeof(second), CW_SET_COPY "/%s", name);
	if (line == NULL)
		return 0;
	if (look_at(m, name, line, &r, err) < 0 ||
	    cw_medium_files_list(
		files, name, &r, CW_MEDIUM_FILES_IN_BOTH, err) < 0 ||
	    look_at(m, second, line, &r, err) < 0)
		return -1;
	return cw_medium_files_list(
	    files, second, &r, CW_MEDIUM_FILES_IN_BOTH, err);
}

int
finish_refresh(const struct cw_finish *f, const struct cw_ledger *now,
    struct cw_target_medium *m, int catalog, uint64_t catalog_size,
    struct cw_manifest *part, struct cw_pack_medium *report,
    struct cw_error *err)
{
	const struct cw_medium *is;
	struct cw_medium_files files = {
	    .manifest = part,
	    .sums = CW_CHECKSUMS_INIT,
	    .folder = m->folder,
	    .medium = m->is.number,
	};
	struct cw_durable_result r;
	int ret = -1;

	if (room(m) < 2 * catalog_size + SMALL_FILES)
		return 1;
	is = f->has_last ? cw_manifest_medium(&f->last, m->is.number) : NULL;
	if (is == NULL)
		return 1; /* copy_closed says it */
	finish_begin_report(report, is, m->path);
	if (cw_manifest_add_medium(part, is, err) < 0 ||
	    list_data(&files, now, report, err) < 0 ||
	    list_kept(&files, m, &f->last, CW_SET_BLOCKS, err) < 0 ||
	    list_kept(&files, m, &f->last, CW_SET_MEDIUM, err) < 0 ||
	    cw_medium_files_write(&files, CW_SET_CATALOG,
		cw_medium_files_fill_copy, &catalog, &r, err) < 0)
		goto out;
	memcpy(part->catalog, r.sha256, sizeof(r.sha256));
	part->has_catalog = true;
	ret = write_checksums(&files, err);
out:
	report->bytes = files.bytes;
	cw_checksums_free(&files.sums);
	return ret;
}

int
finish_write_signed(const struct cw_finish *f, const struct cw_target_medium *m,
    const struct finish_signed *s, struct cw_pack_medium *report,
    struct cw_error *err)
{
	struct cw_medium_files files = {
	    .folder = m->folder, .medium = m->is.number};
	char note[160], count[16] = "?";

	if (m->is.count > 0)
		(void)snprintf(count, sizeof(count), "%u", m->is.count);
	(void)snprintf(note, sizeof(note),
	    "medium %u of %s, %llu volume%s, revision %u", m->is.number, count,
	    (unsigned long long)report->volumes,
	    report->volumes == 1 ? "" : "s", s->revision);
	if (cw_medium_files_save(&files, CW_SET_MANIFEST, &s->text,
		CW_MEDIUM_FILES_NOWHERE, err) < 0 ||
	    cw_medium_files_save(&files, CW_SET_SIGNATURE, &s->signature,
		CW_MEDIUM_FILES_NOWHERE, err) < 0 ||
	    cw_custody_file_append(m->folder, f->p.ledger->seed_id,
		CW_CUSTODY_SEALED, note, f->o->card->name, f->o->secret,
		err) < 0)
		return -1;
	report->bytes += files.bytes;
	/* Whoever pulls it out without unmounting loses nothing. */
	if (syncfs(m->folder) < 0)
		return cw_error_errno(err, "cannot sync");
	return cw_shipping_wrote(
	    f->p.seed_dir, m->is.number, m->folder, m->path, err);
}
