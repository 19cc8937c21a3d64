#include "seed/verify_resume.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/text.h"
#include "formats/manifest/lines.h"
#include "formats/manifest/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "causeway-verify 1\n"

static const char *const methods[] = {"device", "cached"};

/* A file that was good. */
struct good {
	uint32_t medium;
	uint64_t size;
	struct cw_scrub_identity identity;
	char name[CW_MANIFEST_NAME_MAX + sizeof("copy/")];
};

struct cw_verify_resume {
	int dirfd, fd;
	char *name;
	int64_t begun;
	struct good *items; /* of earlier runs, by medium and name */
	size_t count;
	struct cw_error error; /* of writing */
};

static int
by_name(const void *a, const void *b)
{
	const struct good *x = a, *y = b;

	if (x->medium != y->medium)
		return x->medium < y->medium ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
take_signed(struct cw_lines *lines, int64_t *out, struct cw_error *err)
{
	uint64_t bits;

	if (cw_lines_word_number(lines, 0, UINT64_MAX, &bits, err) < 0)
		return -1;
	*out = (int64_t)bits;
	return 0;
}

static int
take_file(struct cw_lines *lines, struct good *g, struct cw_error *err)
{
	uint64_t medium, device, inode;

	*g = (struct good){.medium = 0};
	if (cw_lines_take(lines, "file", err) < 0 ||
	    cw_lines_word_number(
		lines, 1, CW_MANIFEST_MEDIA_MAX, &medium, err) < 0 ||
	    cw_lines_word_number(
		lines, 0, CW_MANIFEST_FILE_SIZE_MAX, &g->size, err) < 0 ||
	    take_signed(lines, &g->identity.mtime_ns, err) < 0 ||
	    take_signed(lines, &g->identity.ctime_ns, err) < 0 ||
	    cw_lines_word_number(lines, 0, UINT64_MAX, &device, err) < 0 ||
	    cw_lines_word_number(lines, 0, UINT64_MAX, &inode, err) < 0)
		return -1;
	if (lines->value == NULL || lines->value_len >= sizeof(g->name) ||
	    !cw_manifest_name_is_valid(lines->value, lines->value_len))
		return cw_lines_error(lines, err, "expected a file's name");
	g->medium = (uint32_t)medium;
	g->identity.device = device;
	g->identity.inode = inode;
	memcpy(g->name, lines->value, lines->value_len);
	return 0;
}

/*
 * Reads what an earlier run left; returns how many bytes of it count, 0 if it
 * is of no use.
 */
static size_t
take_text(struct cw_verify_resume *r, const struct cw_buf *text,
    const struct cw_verify_resume_source *source)
{
	uint8_t manifest[32];
	struct cw_lines lines;
	const char *whole;
	bool is_cached;
	size_t room = 0;

	cw_lines_begin(&lines, "progress", (const char *)text->data, text->len);
	if (cw_lines_version(&lines, "causeway-verify", NULL) < 0 ||
	    cw_lines_hex(&lines, "manifest", manifest, sizeof(manifest), NULL) <
		0 ||
	    memcmp(manifest, source->manifest, sizeof(manifest)) != 0 ||
	    cw_lines_take(&lines, "method", NULL) < 0)
		return 0;
	is_cached =
	    lines.value_len == 6 && memcmp(lines.value, methods[true], 6) == 0;
	if ((is_cached && !source->is_cached) ||
	    cw_lines_time(&lines, "begun", &r->begun, NULL) < 0)
		return 0;
	/* A line that was cut off ends what counts. */
	for (whole = lines.at; lines.len > 0; whole = lines.at) {
		struct good g;

		if (take_file(&lines, &g, NULL) < 0)
			break;
		if (r->count == room) {
			room = room == 0 ? 64 : 2 * room;
			r->items =
			    cw_reallocarray(r->items, room, sizeof(*r->items));
		}
		r->items[r->count++] = g;
	}
	if (r->count > 1)
		qsort(r->items, r->count, sizeof(*r->items), by_name);
	return (size_t)(whole - (const char *)text->data);
}

static int
begin_anew(struct cw_verify_resume *r,
    const struct cw_verify_resume_source *source, struct cw_error *err)
{
	char time_text[CW_TIME_TEXT], manifest[65];
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	r->begun = (int64_t)time(NULL);
	cw_time_format(r->begun, time_text);
	cw_hex_encode(source->manifest, 32, manifest);
	cw_buf_printf(&text, MAGIC "manifest %s\nmethod %s\nbegun %s\n",
	    manifest, methods[source->is_cached], time_text);
	ret = ftruncate(r->fd, 0) < 0
		  ? cw_error_errno(err, "cannot empty %s", r->name)
		  : cw_pwrite_all(r->fd, text.data, text.len, 0, err);
	cw_buf_free(&text);
	return ret;
}

/* Reads the file that is open; what is not ours is left alone. */
static int
load(struct cw_verify_resume *r, struct cw_buf *text, struct cw_error *err)
{
	struct stat st;
	size_t got;

	if (fstat(r->fd, &st) < 0)
		return cw_error_errno(err, "cannot stat %s", r->name);
	if (!S_ISREG(st.st_mode) || st.st_size > CW_VERIFY_RESUME_MAX)
		goto strange;
	if (cw_pread_full(r->fd, cw_buf_reserve(text, (size_t)st.st_size + 1),
		(size_t)st.st_size, 0, &got, err) < 0)
		return cw_error_context(err, "%s", r->name);
	text->len = got;
	if (got > 0 &&
	    memcmp(text->data, MAGIC,
		got < sizeof(MAGIC) - 1 ? got : sizeof(MAGIC) - 1) != 0)
		goto strange;
	return 0;
strange:
	return cw_error_set(err, CW_ERR_REFUSED,
	    "%s is no file that verify keeps its progress in: name another, or "
	    "remove it",
	    r->name);
}

static int
open_and_hold(struct cw_verify_resume *r, struct cw_error *err)
{
	r->fd = openat(r->dirfd, r->name,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	    0600);
	if (r->fd < 0)
		return cw_error_errno(err, "cannot open %s", r->name);
	if (flock(r->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			   ? cw_error_set(err, CW_ERR_BUSY,
				 "another process verifies this seed, and "
				 "keeps its progress in %s",
				 r->name)
			   : cw_error_errno(err, "cannot lock %s", r->name);
	return 0;
}

int
cw_verify_resume_open(const struct cw_verify_resume_source *source,
    struct cw_verify_resume **out, struct cw_error *err)
{
	struct cw_verify_resume *r = cw_calloc(1, sizeof(*r));
	struct cw_buf text = CW_BUF_INIT;
	size_t whole;
	int ret = -1;

	*out = NULL;
	r->fd = r->dirfd = -1;
	r->name = cw_strdup(source->name);
	r->dirfd = source->dirfd == AT_FDCWD
		       ? open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)
		       : fcntl(source->dirfd, F_DUPFD_CLOEXEC, 0);
	if (r->dirfd < 0) {
		cw_error_errno(err, "cannot reach %s", r->name);
		goto out;
	}
	if (open_and_hold(r, err) < 0 || load(r, &text, err) < 0)
		goto out;
	whole = source->is_fresh ? 0 : take_text(r, &text, source);
	if (whole == 0) {
		if (begin_anew(r, source, err) < 0)
			goto out;
	} else if (ftruncate(r->fd, (off_t)whole) < 0) {
		cw_error_errno(err, "cannot cut %s", r->name);
		goto out;
	}
	if (lseek(r->fd, 0, SEEK_END) < 0) {
		cw_error_errno(err, "cannot seek in %s", r->name);
		goto out;
	}
	*out = r;
	ret = 0;
out:
	cw_buf_free(&text);
	if (ret < 0)
		cw_verify_resume_close(r);
	return ret;
}

int64_t
cw_verify_resume_begun(const struct cw_verify_resume *r)
{
	return r->begun;
}

bool
cw_verify_resume_has(const struct cw_verify_resume *r, uint32_t medium,
    const struct cw_scrub_file *file)
{
	struct good key = {.medium = medium};
	const struct cw_scrub_identity *a, *b = &file->identity;
	const struct good *g;

	if (r->count == 0 || strlen(file->name) >= sizeof(key.name))
		return false;
	strcpy(key.name, file->name);
	/* A file that changed has a line of each run: any will do. */
	g = bsearch(&key, r->items, r->count, sizeof(key), by_name);
	if (g == NULL)
		return false;
	while (g > r->items && by_name(g - 1, &key) == 0)
		g--;
	for (; g < r->items + r->count && by_name(g, &key) == 0; g++) {
		a = &g->identity;
		if (g->size == file->size && file->found == file->size &&
		    a->device == b->device && a->inode == b->inode &&
		    a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns)
			return true;
	}
	return false;
}

void
cw_verify_resume_add(struct cw_verify_resume *r, uint32_t medium,
    const struct cw_scrub_file *file)
{
	const struct cw_scrub_identity *id = &file->identity;
	struct cw_buf line = CW_BUF_INIT;

	if (r->error.code != CW_OK)
		return;
	cw_buf_printf(&line, "file %u %llu %llu %llu %llu %llu %s\n", medium,
	    (unsigned long long)file->size, (unsigned long long)id->mtime_ns,
	    (unsigned long long)id->ctime_ns, (unsigned long long)id->device,
	    (unsigned long long)id->inode, file->name);
	if (cw_write_all(r->fd, line.data, line.len, &r->error) < 0)
		cw_error_context(&r->error, "%s", r->name);
	cw_buf_free(&line);
}

const struct cw_error *
cw_verify_resume_error(const struct cw_verify_resume *r)
{
	return r->error.code == CW_OK ? NULL : &r->error;
}

void
cw_verify_resume_drop(struct cw_verify_resume *r)
{
	(void)unlinkat(r->dirfd, r->name, 0);
}

void
cw_verify_resume_close(struct cw_verify_resume *r)
{
	if (r == NULL)
		return;
	cw_close(&r->fd);
	cw_close(&r->dirfd);
	free(r->items);
	free(r->name);
	free(r);
}
