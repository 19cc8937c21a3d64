#include "media/recover_impl.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY	   (16u << 20) /* for all rows of a group */
#define RUN_MAX	   16u	       /* columns at once: 1 MiB of each file */
#define AHEAD	   3u	       /* runs that the kernel fetches */
#define SHA_BUFFER (1u << 20)

/* One row of the group, open. */
struct row {
	struct cw_recover_known *known; /* NULL: zeros, or lost */
	int fd;				/* -1: nothing to read */
	bool is_trusted;		/* by its SHA-256 */
	bool is_distrusted;		/* nothing of it counts */
	uint8_t *buf;			/* RUN columns */
	struct cw_sha256 *hash;		/* NULL: not hashed, or not in order */
	uint64_t hashed;		/* bytes */
	uint64_t found;			/* its size */
	bool is_read; /* what buf and good hold is the run wanted */
	bool good[RUN_MAX];
};

struct cw_recover_file {
	struct cw_recover *r;
	struct cw_recover_group group;
	bool has_group;
	uint32_t target; /* its row */
	enum cw_recover_trust trust;
	size_t run;	/* columns at once */
	uint64_t ahead; /* the column up to which the kernel reads ahead */
	struct row rows[CW_PARITY_ROWS_MAX];
	uint8_t *memory, *zeros;
	uint64_t lacking; /* columns that were beyond repair so far */
};

/* The bytes of a column that a file of this size has. */
static size_t
column_len(uint64_t size, uint64_t column)
{
	uint64_t start = column * CW_PARITY_COLUMN;

	if (start >= size)
		return 0;
	return size - start < CW_PARITY_COLUMN ? (size_t)(size - start)
					       : CW_PARITY_COLUMN;
}

/*
 * A file that was cut, or has grown, may serve as far as it goes.  It is read
 * through the page cache, which is emptied of it first, so that the kernel
 * reads ahead in all files of the group at once while this thread computes.
 */
static int
open_known(const struct cw_recover *r, const struct cw_recover_known *k,
    uint64_t *found)
{
	struct stat st;
	int fd;

	if (k->medium == SIZE_MAX)
		return -1;
	fd = cw_set_open_file(
	    r->set->media[k->medium].dirfd, k->file->name, 0, &st, NULL);
	if (fd < 0)
		return -1;
	*found = (uint64_t)st.st_size;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

static bool
read_at(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
	size_t got;

	if (cw_pread_full(fd, buf, len, offset, &got, NULL) < 0 || got != len)
		return false;
	(void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
	return true;
}

/* Finds out once whether a file is what was signed. */
static int
check_sha(
    struct cw_recover *r, struct cw_recover_known *k, struct cw_error *err)
{
	struct cw_sha256 *hash;
	uint8_t *buf, sha256[CW_SHA256_SIZE];
	bool is_known, is_good = false;
	uint64_t done = 0, found = 0;
	int fd, ret = 0;

	pthread_mutex_lock(&r->lock);
	is_known = k->sha != SHA_UNKNOWN;
	pthread_mutex_unlock(&r->lock);
	if (is_known)
		return 0;
	fd = open_known(r, k, &found);
	/* Of one that has grown, what was signed is its beginning. */
	if (fd >= 0 && found < k->file->size)
		cw_close(&fd);
	hash = cw_sha256_new();
	buf = cw_malloc(SHA_BUFFER);
	if (fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (fd >= 0 && done < k->file->size) {
		uint64_t rest = k->file->size - done;
		size_t now = rest < SHA_BUFFER ? (size_t)rest : SHA_BUFFER;

		ret = cw_stop_check(err);
		if (ret < 0 || !read_at(fd, buf, now, done))
			break;
		cw_sha256_update(hash, buf, now);
		cw_progress_add(r->progress, now, 0);
		done += now;
	}
	if (fd >= 0 && done == k->file->size) {
		cw_sha256_final(hash, sha256);
		is_good = memcmp(sha256, k->file->sha256, sizeof(sha256)) == 0;
	}
	if (ret == 0) {
		pthread_mutex_lock(&r->lock);
		k->sha = is_good ? SHA_GOOD : SHA_BAD;
		k->is_longer = found > k->file->size;
		pthread_mutex_unlock(&r->lock);
	}
	cw_sha256_free(hash);
	free(buf);
	cw_close(&fd);
	return ret;
}

static int
open_row(struct cw_recover_file *f, struct row *row,
    struct cw_recover_known *known, struct cw_error *err)
{
	struct cw_recover *r = f->r;

	row->known = known;
	if (known == NULL)
		return 0;
	row->fd = open_known(r, known, &row->found);
	if (row->fd < 0 || f->trust == CW_RECOVER_BLOCKS)
		return 0;
	if (check_sha(r, known, err) < 0)
		return -1;
	pthread_mutex_lock(&r->lock);
	row->is_trusted = known->sha == SHA_GOOD;
	pthread_mutex_unlock(&r->lock);
	row->is_distrusted = f->trust == CW_RECOVER_FILES && !row->is_trusted;
	return 0;
}

int
cw_recover_open(struct cw_recover *r, const char *file,
    enum cw_recover_trust trust, struct cw_recover_file **out,
    struct cw_error *err)
{
	struct cw_recover_known *known = cw_recover_find(r, file);
	struct cw_recover_file *f;
	size_t room;

	*out = NULL;
	if (known == NULL)
		return cw_error_set(err, CW_ERR_MISSING,
		    "%s is no volume or shard of this seed", file);
	f = cw_calloc(1, sizeof(*f));
	f->r = r;
	f->trust = trust;
	for (uint32_t i = 0; i < CW_PARITY_ROWS_MAX; i++)
		f->rows[i].fd = -1;
	f->has_group = cw_recover_group_of(r, file, &f->group, &f->target);
	if (!f->has_group) {
		f->group.rows = 1;
		f->group.known[0] = known;
		f->group.length = known->file->size;
		f->target = 0;
	}
	for (uint32_t i = 0; i < f->group.rows; i++)
		if (open_row(f, &f->rows[i], f->group.known[i], err) < 0) {
			cw_recover_close(f);
			return -1;
		}
	f->run = MEMORY / CW_PARITY_COLUMN / (f->group.rows + 1);
	f->run = f->run < 1 ? 1 : f->run > RUN_MAX ? RUN_MAX : f->run;
	room = f->run * CW_PARITY_COLUMN;
	f->memory = cw_malloc(room * f->group.rows);
	for (uint32_t i = 0; i < f->group.rows; i++)
		f->rows[i].buf = f->memory + i * room;
	f->zeros = cw_calloc(1, room);
	*out = f;
	return 0;
}

void
cw_recover_hash(struct cw_recover_file *f)
{
	for (uint32_t i = 0; i < f->group.rows; i++)
		if (i != f->target && f->rows[i].fd >= 0 &&
		    f->rows[i].hash == NULL)
			f->rows[i].hash = cw_sha256_new();
}

/* What was read of a row is hashed if nothing was left out before it. */
static void
hash_row(struct row *row, uint64_t offset, size_t len, bool is_read)
{
	if (row->hash == NULL || len == 0)
		return;
	if (is_read && offset == row->hashed) {
		cw_sha256_update(row->hash, row->buf, len);
		row->hashed += len;
	} else if (offset >= row->hashed) {
		cw_sha256_free(row->hash);
		row->hash = NULL;
	}
}

/* Now it is known what a row is, if it was hashed whole. */
static void
end_row(struct cw_recover *r, struct row *row)
{
	uint8_t sha256[CW_SHA256_SIZE];

	cw_close(&row->fd);
	if (row->hash == NULL)
		return;
	cw_sha256_final(row->hash, sha256);
	cw_sha256_free(row->hash);
	if (row->hashed != row->known->file->size)
		return;
	pthread_mutex_lock(&r->lock);
	row->known->sha =
	    memcmp(sha256, row->known->file->sha256, sizeof(sha256)) == 0
		? SHA_GOOD
		: SHA_BAD;
	row->known->is_longer = row->found > row->hashed;
	pthread_mutex_unlock(&r->lock);
}

void
cw_recover_close(struct cw_recover_file *f)
{
	if (f == NULL)
		return;
	for (uint32_t i = 0; i < f->group.rows; i++)
		end_row(f->r, &f->rows[i]);
	free(f->memory);
	free(f->zeros);
	free(f);
}

uint64_t
cw_recover_lacking(const struct cw_recover_file *f)
{
	return f->lacking;
}

size_t
cw_recover_run(const struct cw_recover_file *f)
{
	return f->run;
}

/* Whether what was read of a column is what its digest says. */
static bool
is_column_good(const struct cw_recover_file *f, const struct row *row,
    uint64_t column, const uint8_t *data, size_t len)
{
	const struct cw_recover_known *k = row->known;
	uint8_t xxh[CW_XXH_SIZE];

	if (row->is_distrusted)
		return false;
	if (row->is_trusted)
		return true;
	cw_xxh(data, len, xxh);
	return cw_blocks_is_good(
	    f->r->blocks[k->medium], k->file->name, column, xxh);
}

/*
 * Reads a run of columns of a row and finds out which of them are good.  What
 * is behind a file's end, and a row that lacks, is good: zeros.
 */
static void
read_row(
    struct cw_recover_file *f, struct row *row, uint64_t first, size_t count)
{
	struct cw_recover_known *k = row->known;
	uint64_t size = k == NULL ? 0 : k->file->size;
	size_t len = 0;
	bool is_whole = false;

	row->is_read = true;
	for (size_t i = 0; i < count; i++)
		len += column_len(size, first + i);
	memset(row->buf + len, 0, count * CW_PARITY_COLUMN - len);
	if (len > 0 && row->fd >= 0 && !row->is_distrusted) {
		is_whole =
		    read_at(row->fd, row->buf, len, first * CW_PARITY_COLUMN);
		hash_row(row, first * CW_PARITY_COLUMN, len, is_whole);
		cw_progress_add(f->r->progress, len, 0);
	}
	for (size_t i = 0; i < count; i++) {
		size_t now = column_len(size, first + i);
		uint8_t *data = row->buf + i * CW_PARITY_COLUMN;
		bool is_there = is_whole;

		row->good[i] = now == 0;
		if (now == 0 || row->fd < 0 || row->is_distrusted)
			continue;
		/* A bad sector spoils a run; its neighbours may be good. */
		if (!is_whole)
			is_there = read_at(
			    row->fd, data, now, (first + i) * CW_PARITY_COLUMN);
		row->good[i] =
		    is_there && is_column_good(f, row, first + i, data, now);
		if (!row->good[i]) {
			cw_recover_note(f->r, k, first + i);
			continue;
		}
		if (now < CW_PARITY_COLUMN)
			memset(data + now, 0, CW_PARITY_COLUMN - now);
	}
}

/* Rows to compute a column from: the data first, for it is mostly there. */
struct sources {
	uint32_t rows[CW_PARITY_ROWS_MAX];
	uint32_t count;
};

/*
 * Lets the kernel fetch the runs that follow, of as many rows as will be read
 * if all goes well.
 */
static void
read_ahead(struct cw_recover_file *f, uint64_t first)
{
	uint32_t k = f->r->set->manifest.parity_k, rows = 0;
	uint64_t start = first > f->ahead ? first : f->ahead;
	uint64_t end = first + AHEAD * f->run;

	if (start >= end)
		return;
	for (uint32_t row = 0; row < f->group.rows && rows < k; row++) {
		if (row == f->target || f->group.is_lost[row])
			continue;
		rows++;
		if (f->rows[row].fd >= 0 && !f->rows[row].is_distrusted)
			(void)posix_fadvise(f->rows[row].fd,
			    (off_t)(start * CW_PARITY_COLUMN),
			    (off_t)((end - start) * CW_PARITY_COLUMN),
			    POSIX_FADV_WILLNEED);
	}
	f->ahead = end;
}

/*
 * Finds k good rows for column i of the run first..first + count, reading as
 * many as it takes.
 */
static bool
find_sources(struct cw_recover_file *f, uint64_t first, size_t count, size_t i,
    struct sources *s)
{
	uint32_t k = f->r->set->manifest.parity_k;

	s->count = 0;
	for (uint32_t row = 0; row < f->group.rows && s->count < k; row++) {
		struct row *now = &f->rows[row];

		if (row == f->target || f->group.is_lost[row])
			continue;
		if (!now->is_read)
			read_row(f, now, first, count);
		if (now->good[i])
			s->rows[s->count++] = row;
	}
	return s->count == k;
}

static int
say_lack(const struct cw_recover_file *f, struct cw_error *err)
{
	return cw_recover_say_lack(
	    f->r, f->group.known[f->target]->file->name, f->lacking, err);
}

/* Computes len bytes from column i of the run on, all of the same sources. */
static int
compute(struct cw_recover_file *f, const struct sources *s, size_t i,
    size_t len, uint8_t *out, struct cw_error *err)
{
	const uint8_t *have[CW_PARITY_ROWS_MAX];
	uint8_t *want = out + i * CW_PARITY_COLUMN;

	for (uint32_t row = 0; row < s->count; row++)
		have[row] = f->rows[s->rows[row]].buf + i * CW_PARITY_COLUMN;
	return cw_parity_rebuild(
	    f->r->parity, s->rows, have, &f->target, 1, &want, len, err);
}

int
cw_recover_read(struct cw_recover_file *f, uint64_t first, size_t count,
    uint8_t *out, bool *is_rebuilt, struct cw_error *err)
{
	struct row *target = &f->rows[f->target];
	uint64_t size = target->known->file->size;
	uint64_t lacking = f->lacking;
	struct sources s, next;
	size_t i = 0;

	if (count > f->run)
		return cw_error_set(err, CW_ERR_USAGE, "too long a run");
	for (uint32_t row = 0; row < f->group.rows; row++)
		f->rows[row].is_read = false;
	/* Of a file that is gone every column is wanted. */
	if (target->fd < 0 && f->has_group)
		read_ahead(f, first);
	read_row(f, target, first, count);
	while (i < count) {
		size_t len = column_len(size, first + i), end = i + 1;

		if (is_rebuilt != NULL)
			is_rebuilt[i] = !target->good[i];
		if (target->good[i]) {
			memcpy(out + i * CW_PARITY_COLUMN,
			    target->buf + i * CW_PARITY_COLUMN, len);
			i++;
			continue;
		}
		s.count = 0;
		if (!f->has_group || !find_sources(f, first, count, i, &s)) {
			f->lacking++;
			i++;
			continue;
		}
		for (; end < count && !target->good[end]; end++) {
			if (!find_sources(f, first, count, end, &next) ||
			    memcmp(s.rows, next.rows,
				s.count * sizeof(s.rows[0])) != 0)
				break;
			if (is_rebuilt != NULL)
				is_rebuilt[end] = true;
			len += column_len(size, first + end);
		}
		if (compute(f, &s, i, len, out, err) < 0)
			return -1;
		i = end;
	}
	return f->lacking > lacking ? say_lack(f, err) : 0;
}

/* Goes through the file once; 1: it is not what was signed. */
static int
write_all(struct cw_recover_file *f, int out_fd, struct cw_error *err)
{
	const struct cw_manifest_file *file = f->group.known[f->target]->file;
	uint64_t columns = cw_blocks_count(file->size);
	uint8_t *out = cw_malloc(f->run * CW_PARITY_COLUMN);
	uint8_t sha256[CW_SHA256_SIZE];
	struct cw_sha256 *hash = cw_sha256_new();
	bool is_lacking = false;
	int ret = 0;

	for (uint64_t c = 0; c < columns && ret == 0; c += f->run) {
		uint64_t offset = c * CW_PARITY_COLUMN;
		uint64_t rest = file->size - offset;
		size_t count =
		    columns - c < f->run ? (size_t)(columns - c) : f->run;
		size_t len = count * CW_PARITY_COLUMN;

		ret = cw_stop_check(err);
		if (ret == 0 &&
		    cw_recover_read(f, c, count, out, NULL, err) < 0) {
			/* To the end, to say all that is lacking. */
			is_lacking = f->lacking > 0;
			ret = is_lacking ? 0 : -1;
		}
		if (ret < 0 || is_lacking)
			continue;
		len = len < rest ? len : (size_t)rest;
		cw_sha256_update(hash, out, len);
		ret = cw_pwrite_all(out_fd, out, len, offset, err);
	}
	if (ret == 0 && is_lacking)
		ret = say_lack(f, err);
	if (ret == 0 && ftruncate(out_fd, (off_t)file->size) < 0)
		ret = cw_error_errno(err, "cannot cut %s", file->name);
	cw_sha256_final(hash, sha256);
	if (ret == 0 && memcmp(sha256, file->sha256, sizeof(sha256)) != 0) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s can't be rebuilt: what its parity gives is not what "
		    "was signed",
		    file->name);
		ret = 1;
	}
	cw_sha256_free(hash);
	free(out);
	return ret;
}

int
cw_recover_file(
    struct cw_recover *r, const char *file, int out_fd, struct cw_error *err)
{
	enum cw_recover_trust trust = CW_RECOVER_BLOCKS;
	struct cw_error why = CW_ERROR_INIT;

	/*
	 * Digests of blocks are enough as a rule.  Where they leave too little
	 * the digests themselves may be damaged; where they give what was not
	 * signed, somebody made them to.
	 */
	for (;;) {
		struct cw_recover_file *f;
		bool is_lacking;
		int ret;

		if (cw_recover_open(r, file, trust, &f, &why) < 0)
			break;
		ret = write_all(f, out_fd, &why);
		is_lacking = f->lacking > 0 && f->has_group;
		cw_recover_close(f);
		if (ret == 0)
			return 0;
		if (trust == CW_RECOVER_FILES ||
		    (ret < 0 && (!is_lacking || trust != CW_RECOVER_BLOCKS)))
			break;
		trust = ret > 0 ? CW_RECOVER_FILES : CW_RECOVER_BOTH;
	}
	if (err != NULL)
		*err = why;
	return -1;
}
