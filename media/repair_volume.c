#include "media/repair_impl.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT 4096u
#define BUFFER	  (1u << 20)

/* ---- as a new file ---- */

/* What is believed next, after this failed: see cw_recover_file. */
static bool
trust_more(enum cw_recover_trust *trust, bool is_lacking, enum cw_code code)
{
	if (code != CW_ERR_DAMAGED || *trust == CW_RECOVER_FILES ||
	    (is_lacking && *trust == CW_RECOVER_BOTH))
		return false;
	*trust = is_lacking ? CW_RECOVER_BOTH : CW_RECOVER_FILES;
	return true;
}

/* With count_all what lacks is counted to the end, for what is said of it. */
static int
write_once(struct cw_recover_file *in, const struct cw_manifest_file *file,
    const struct cw_repair_medium *to, bool count_all, uint8_t *buf,
    struct cw_error *err)
{
	uint64_t columns = cw_blocks_count(file->size);
	size_t run = cw_recover_run(in);
	struct cw_durable_result made;
	struct cw_error lack = CW_ERROR_INIT;
	struct cw_durable *d = NULL;
	int ret;

	ret = cw_durable_open(to->dirfd, file->name, file->size, &d, err);
	for (uint64_t c = 0; c < columns && ret == 0; c += run) {
		size_t count = columns - c < run ? (size_t)(columns - c) : run;
		uint64_t rest = file->size - c * CW_PARITY_COLUMN;
		uint64_t len = (uint64_t)count * CW_PARITY_COLUMN;

		ret = cw_stop_check(err);
		if (ret == 0 &&
		    cw_recover_read(in, c, count, buf, NULL, &lack) < 0 &&
		    (!count_all || lack.code != CW_ERR_DAMAGED))
			ret = -1;
		if (ret == 0 && lack.code == CW_OK)
			ret = cw_durable_write(
			    d, buf, (size_t)(len < rest ? len : rest), err);
	}
	if (lack.code != CW_OK && (ret < 0 || count_all)) {
		ret = -1;
		*err = lack;
	}
	if (ret == 0)
		ret = cw_durable_prove(d, NULL, NULL, &made, err);
	if (ret == 0 &&
	    memcmp(made.sha256, file->sha256, sizeof(made.sha256)) != 0)
		ret = cw_error_set(err, CW_ERR_DAMAGED,
		    "%s can't be rebuilt: what its parity gives is not what "
		    "was signed",
		    file->name);
	if (ret == 0)
		ret = cw_durable_finish(d, &made, err);
	cw_durable_free(d);
	return ret;
}

int
cw_repair_write_volume(struct cw_repair *r, const struct cw_manifest_file *file,
    const struct cw_repair_medium *to, struct cw_error *err)
{
	enum cw_recover_trust trust = CW_RECOVER_BLOCKS;
	bool is_lacking;
	int ret;

	if (cw_repair_is_blocked(to, file->name, err))
		return -1;
	do {
		struct cw_recover_file *in;
		uint8_t *buf;

		ret = cw_recover_open(r->recover, file->name, trust, &in, err);
		if (ret < 0)
			return -1;
		if (trust == CW_RECOVER_BLOCKS)
			cw_recover_hash(in);
		buf = cw_malloc(cw_recover_run(in) * CW_PARITY_COLUMN);
		ret = write_once(
		    in, file, to, trust == CW_RECOVER_BOTH, buf, err);
		is_lacking = cw_recover_lacking(in) > 0;
		free(buf);
		cw_recover_close(in);
	} while (ret < 0 && trust_more(&trust, is_lacking, err->code));
	return ret;
}

/* ---- in place ---- */

/* One file being mended. */
struct mend {
	struct cw_repair *r;
	const struct cw_repair_file *f;
	struct cw_recover_file *in;
	struct cw_blocks *blocks;
	int fd;	    /* written through the page cache */
	int direct; /* read past it, -1: the filesystem has no such thing */
	uint8_t *buf, *back;
	uint8_t *is_lacking; /* a byte a block: could not be mended */
	bool is_refused;     /* the disk did not take or keep something */
	/* Why not in place: CW_OK while that goes well. */
	struct cw_error why;
};

/* Reads back what was written, from the device. */
static bool
read_back(struct mend *m, uint64_t offset, size_t len)
{
	size_t want = (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, got;

	if (posix_fadvise(
		m->fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED) != 0)
		return false;
	if (m->direct >= 0 &&
	    pread(m->direct, m->back, want, (off_t)offset) >= (ssize_t)len)
		return true;
	return cw_pread_full(m->fd, m->back, len, offset, &got, NULL) == 0 &&
	       got == len;
}

/* The bytes of a block of the file. */
static size_t
block_len(const struct mend *m, uint64_t block)
{
	uint64_t rest = m->f->file->size - block * CW_PARITY_COLUMN;

	return rest < CW_PARITY_COLUMN ? (size_t)rest : CW_PARITY_COLUMN;
}

/*
 * Writes blocks that were rebuilt, those whose digest is the listed one: what
 * is not certain is not put over what is there.
 */
static int
put_blocks(struct mend *m, uint64_t first, size_t count, const bool *is_rebuilt)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t offset = (first + i) * CW_PARITY_COLUMN;
		const uint8_t *data = m->buf + i * CW_PARITY_COLUMN;
		size_t len = block_len(m, first + i);
		uint8_t xxh[CW_XXH_SIZE];

		if (!is_rebuilt[i])
			continue;
		cw_xxh(data, len, xxh);
		if (!cw_blocks_is_good(
			m->blocks, m->f->file->name, first + i, xxh))
			return cw_error_set(&m->why, CW_ERR_DAMAGED,
			    "%s: what parity gives at %llu has not the digest "
			    "that is listed",
			    m->f->name, (unsigned long long)offset);
		if (cw_pwrite_all(m->fd, data, len, offset, &m->why) < 0)
			return -1;
	}
	return cw_sync(m->fd, &m->why);
}

/* Writes one run of blocks over those that are bad, and reads them back. */
static int
mend_run(struct mend *m, uint64_t first, size_t count)
{
	bool is_rebuilt[CW_PARITY_ROWS_MAX];

	if (cw_recover_read(m->in, first, count, m->buf, is_rebuilt, &m->why) <
		0 ||
	    put_blocks(m, first, count, is_rebuilt) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		uint64_t offset = (first + i) * CW_PARITY_COLUMN;
		size_t len = block_len(m, first + i);

		if (is_rebuilt[i] &&
		    (!read_back(m, offset, len) ||
			memcmp(m->back, m->buf + i * CW_PARITY_COLUMN, len) !=
			    0))
			return cw_error_set(&m->why, CW_ERR_IO,
			    "%s: the disk does not keep what is written at "
			    "%llu",
			    m->f->name, (unsigned long long)offset);
	}
	return 0;
}

/* A run; where it cannot be whole, block by block, noting which could not. */
static int
mend_blocks(struct mend *m, uint64_t first, size_t count, struct cw_error *err)
{
	if (cw_stop_check(err) < 0)
		return -1;
	if (mend_run(m, first, count) == 0)
		return 0;
	if (m->why.code != CW_ERR_DAMAGED && m->why.code != CW_ERR_MISSING)
		m->is_refused = true;
	for (size_t i = 0; i < count; i++) {
		if (cw_stop_check(err) < 0)
			return -1;
		if (count == 1 || mend_run(m, first + i, 1) < 0)
			m->is_lacking[first + i] = true;
	}
	return 0;
}

/* Mends the ranges that were found bad. */
static int
mend_ranges(struct mend *m, struct cw_error *err)
{
	const struct cw_scrub_file *s = m->f->scrub;
	uint64_t blocks = cw_blocks_count(m->f->file->size);
	size_t run = cw_recover_run(m->in);

	for (size_t i = 0; i < s->bad_count; i++) {
		uint64_t first = s->bad[i].offset / CW_PARITY_COLUMN;
		uint64_t end = s->bad[i].offset + s->bad[i].length;

		end = cw_blocks_count(end);
		end = end < blocks ? end : blocks;
		for (; first < end; first += run)
			if (mend_blocks(m, first,
				end - first < run ? (size_t)(end - first) : run,
				err) < 0)
				return -1;
	}
	return 0;
}

/* Whether the whole file, read from the device, is what was signed. */
static bool
is_whole_good(struct mend *m)
{
	const struct cw_manifest_file *file = m->f->file;
	struct cw_sha256 *hash = cw_sha256_new();
	uint8_t sha256[CW_SHA256_SIZE];
	bool is_read = true;

	for (uint64_t at = 0; at < file->size && is_read; at += BUFFER) {
		uint64_t rest = file->size - at;
		size_t len = rest < BUFFER ? (size_t)rest : BUFFER;

		is_read = read_back(m, at, len);
		if (is_read)
			cw_sha256_update(hash, m->back, len);
	}
	cw_sha256_final(hash, sha256);
	cw_sha256_free(hash);
	return is_read && memcmp(sha256, file->sha256, sizeof(sha256)) == 0;
}

static int
open_mend(struct mend *m)
{
	const struct cw_repair_file *f = m->f;

	m->fd = cw_open_beneath(
	    f->medium->dirfd, f->name, O_RDWR | O_NONBLOCK, 0, &m->why);
	if (m->fd < 0)
		return -1;
	if (f->scrub->found != f->file->size &&
	    ftruncate(m->fd, (off_t)f->file->size) < 0)
		return cw_error_errno(
		    &m->why, "%s cannot be cut to its length", f->name);
	m->direct = cw_open_beneath(f->medium->dirfd, f->name,
	    O_RDONLY | O_DIRECT | O_NONBLOCK, 0, NULL);
	return cw_recover_open(
	    m->r->recover, f->file->name, CW_RECOVER_BLOCKS, &m->in, &m->why);
}

/*
 * 0: mended.  1: not, or not wholly: m->why says why, and is_lacking which
 * blocks.  -1: interrupted.
 */
static int
mend_in_place(struct mend *m, struct cw_error *err)
{
	const struct cw_repair_file *f = m->f;

	if (cw_blocks_open(m->r->set, (size_t)(f->medium - m->r->set->media),
		&m->blocks, &m->why) < 0)
		return 1;
	m->back = aligned_alloc(ALIGNMENT, BUFFER);
	if (m->back == NULL)
		abort();
	if (open_mend(m) < 0) {
		m->is_refused = true;
		return 1;
	}
	m->buf = cw_malloc(cw_recover_run(m->in) * CW_PARITY_COLUMN);
	m->is_lacking = cw_calloc(1, cw_blocks_count(f->file->size) + 1);
	/* What was put behind its end is cut off: that may be all. */
	if (f->scrub->found > f->file->size && is_whole_good(m))
		return 0;
	if (mend_ranges(m, err) < 0)
		return -1;
	if (is_whole_good(m))
		return 0;
	if (m->why.code == CW_OK)
		cw_error_set(&m->why, CW_ERR_DAMAGED,
		    "%s is not what was signed, though its blocks are",
		    f->name);
	return 1;
}

static void
end_mend(struct mend *m)
{
	cw_recover_close(m->in);
	cw_blocks_free(m->blocks);
	cw_close(&m->fd);
	cw_close(&m->direct);
	free(m->buf);
	free(m->back);
	free(m->is_lacking);
}

/* Whether there is a file that can be mended by its blocks at all. */
static bool
has_ranges(const struct cw_repair_file *f)
{
	const struct cw_scrub_file *s = f->scrub;
	uint64_t bad = 0;

	if (s->state != CW_SCRUB_READ && s->state != CW_SCRUB_SIZE &&
	    s->state != CW_SCRUB_UNREADABLE)
		return false;
	for (size_t i = 0; i < s->bad_count; i++)
		bad += s->bad[i].length;
	return s->bad_count > 0 ? bad < f->file->size
				: s->found > f->file->size;
}

/* A range of a file goes into the result, block by block if some are good. */
static void
report_range(struct cw_repair *r, const struct cw_repair_file *f,
    uint64_t offset, uint64_t length, const uint8_t *is_lacking,
    const struct cw_error *why)
{
	const char *name = f->name;
	uint32_t medium = f->file->medium;
	uint64_t end = offset + length;

	if (why == NULL)
		cw_repair_done(r, medium, name, offset, length);
	else if (is_lacking == NULL)
		cw_repair_cannot(r, medium, name, offset, length, why);
	else
		while (offset < end) {
			uint64_t block = offset / CW_PARITY_COLUMN;
			uint64_t stop = (block + 1) * CW_PARITY_COLUMN;

			stop = stop < end ? stop : end;
			if (is_lacking[block])
				cw_repair_cannot(r, medium, name, offset,
				    stop - offset, why);
			else
				cw_repair_done(
				    r, medium, name, offset, stop - offset);
			offset = stop;
		}
}

/* What was bad of a file goes into the result. */
static void
report(struct cw_repair *r, const struct cw_repair_file *f,
    const uint8_t *is_lacking, const struct cw_error *why)
{
	const struct cw_scrub_file *s = f->scrub;
	bool is_any = false;

	for (uint64_t i = 0;
	     is_lacking != NULL && i < cw_blocks_count(f->file->size); i++)
		is_any = is_any || is_lacking[i];
	if (!is_any)
		is_lacking = NULL;
	if (s->bad_count == 0)
		report_range(r, f, 0, f->file->size, NULL, why);
	for (size_t i = 0; i < s->bad_count; i++) {
		uint64_t offset = s->bad[i].offset, length = s->bad[i].length;

		/* What is behind the end is cut off. */
		if (offset >= f->file->size)
			continue;
		if (length > f->file->size - offset)
			length = f->file->size - offset;
		report_range(r, f, offset, length, is_lacking, why);
	}
}

/* The same file on another copy of the medium, if that one is good. */
static const struct cw_repair_file *
find_twin(const struct cw_repair *r, const struct cw_repair_file *f)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->files[i].file == f->file && r->files[i].is_good)
			return &r->files[i];
	return NULL;
}

static int
repair_dry(struct cw_repair *r, const struct cw_repair_file *f,
    const struct cw_repair_medium *to)
{
	struct cw_error why = CW_ERROR_INIT;
	uint64_t lost = find_twin(r, f) != NULL
			    ? 0
			    : cw_recover_lost(r->recover, f->file->name);

	if (!cw_repair_is_blocked(to, f->name, &why) && lost > 0)
		(void)cw_recover_say_lack(
		    r->recover, f->file->name, lost, &why);
	report(r, f, NULL, why.code == CW_OK ? NULL : &why);
	return 0;
}

/* What could be mended in place was: what is left of it lacks. */
static void
recount(const struct mend *m, struct cw_error *why)
{
	uint64_t blocks = cw_blocks_count(m->f->file->size), lacking = 0;

	for (uint64_t i = 0; m->is_lacking != NULL && i < blocks; i++)
		lacking += m->is_lacking[i];
	if (lacking > 0)
		(void)cw_recover_say_lack(
		    m->r->recover, m->f->file->name, lacking, why);
}

int
cw_repair_volume(
    struct cw_repair *r, const struct cw_repair_file *f, struct cw_error *err)
{
	struct cw_repair_medium to = {.number = f->file->medium,
	    .dirfd = f->medium->dirfd,
	    .path = f->medium->path};
	struct mend m = {.r = r, .f = f, .fd = -1, .direct = -1};
	const struct cw_repair_file *twin;
	struct cw_error why = CW_ERROR_INIT;
	int ret = 1;

	if (r->options->is_dry)
		return repair_dry(r, f, &to);
	if (f->is_holder && has_ranges(f))
		ret = mend_in_place(&m, err);
	if (ret > 0) {
		twin = find_twin(r, f);
		ret = twin != NULL && !cw_repair_is_blocked(&to, f->name, &why)
			  ? cw_repair_copy(twin->medium->dirfd, twin->name,
				f->file, to.dirfd, f->name, &why)
			  : cw_repair_write_volume(r, f->file, &to, &why);
		if (ret < 0 && why.code == CW_ERR_INTERRUPTED && err != NULL)
			*err = why;
		if (ret < 0 && why.code == CW_ERR_NOSPACE && m.is_refused)
			/* Both together say what to do. */
			cw_error_context(&why,
			    "%s; and there is no room for a new file",
			    m.why.message);
		if (ret < 0 && why.code != CW_ERR_INTERRUPTED) {
			if (why.code == CW_ERR_DAMAGED)
				recount(&m, &why);
			else if (why.code != CW_ERR_REFUSED)
				cw_error_context(&why, "%s", f->medium->path);
			report(r, f, m.is_lacking, &why);
			ret = 0;
		} else if (ret == 0) {
			report(r, f, NULL, NULL);
		}
	} else if (ret == 0) {
		report(r, f, NULL, NULL);
	}
	end_mend(&m);
	return ret;
}

int
cw_repair_missing(struct cw_repair *r, struct cw_error *err)
{
	for (size_t i = 0; i < r->count; i++) {
		struct cw_repair_file *f = &r->files[i];
		struct cw_repair_medium to = {.number = f->file->medium,
		    .dirfd = f->medium->dirfd,
		    .path = f->medium->path};
		struct cw_error why = CW_ERROR_INIT;
		struct stat st;
		int fd;

		if (cw_repair_is_untrusted(
			r, (size_t)(f->medium - r->set->media)) ||
		    f->file->medium == r->options->medium)
			continue;
		fd = cw_set_open_file(to.dirfd, f->name, 0, &st, &why);
		cw_close(&fd);
		if (why.code != CW_ERR_MISSING)
			continue;
		f->is_done = cw_repair_write_volume(r, f->file, &to, &why) == 0;
		if (f->is_done)
			report(r, f, NULL, NULL);
		else if (why.code == CW_ERR_INTERRUPTED) {
			if (err != NULL)
				*err = why;
			return -1;
		}
	}
	return 0;
}
