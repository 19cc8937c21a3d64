#include "media/repair_impl.h"

#include "base/buf.h"
#include "base/fs.h"
#include "media/twice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether a medium is here, or was begun in one of the directories. */
static bool
is_here(const struct cw_repair *r, uint32_t number)
{
	return cw_set_find(r->set, number) != NULL;
}

static bool
is_listed(const struct cw_repair *r, uint32_t number)
{
	const struct cw_manifest *m = &r->set->manifest;

	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].medium == number)
			return true;
	return false;
}

/* Which medium a directory was begun to be made as; 0: none yet. */
static uint32_t
begun_as(const struct cw_repair *r, int dirfd)
{
	struct cw_medium is;
	struct cw_twice t;
	uint32_t number = 0;

	cw_twice_read(&t, dirfd, CW_SET_MEDIUM, CW_MEDIUM_TEXT_MAX);
	for (int i = 0; i < 2 && number == 0; i++)
		if (t.has[i] &&
		    cw_medium_decode((const char *)t.text[i].data,
			t.text[i].len, &is, NULL) == 0 &&
		    memcmp(is.seed_id, r->set->seed_id, CW_SEED_ID_SIZE) == 0)
			number = is.number;
	cw_twice_free(&t);
	return number;
}

/* Opens, or makes, DIR/causeway/SEED-ID: the one behind `before` others. */
static int
open_folder(const struct cw_repair *r, const char *dir, char **path,
    int *folders, size_t before, struct cw_error *err)
{
	int *folder = &folders[before], top = cw_open_dir(dir, err), ret = -1;
	struct stat a, b;

	*folder = -1;
	*path = cw_asprintf("%s/" CW_SET_FOLDER "/%s", dir, r->set->seed_text);
	if (top < 0)
		goto out;
	if ((mkdirat(top, CW_SET_FOLDER, 0755) < 0 && errno != EEXIST)) {
		cw_error_errno(err, "cannot make %s/" CW_SET_FOLDER, dir);
		goto out;
	}
	{
		char *below =
		    cw_asprintf(CW_SET_FOLDER "/%s", r->set->seed_text);

		if (mkdirat(top, below, 0755) < 0 && errno != EEXIST)
			cw_error_errno(err, "cannot make %s", *path);
		else
			*folder = cw_open_beneath(
			    top, below, O_RDONLY | O_DIRECTORY, 0, err);
		free(below);
	}
	if (*folder < 0 || cw_sync(top, err) < 0 || fstat(*folder, &a) < 0)
		goto out;
	for (size_t i = 0; i < r->set->count; i++)
		if (fstat(r->set->media[i].dirfd, &b) == 0 &&
		    a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			cw_error_set(err, CW_ERR_USAGE,
			    "--to %s holds this seed, and was given to be "
			    "repaired too: a medium is made again in another "
			    "directory",
			    dir);
			goto out;
		}
	for (size_t i = 0; i < before; i++)
		if (fstat(folders[i], &b) == 0 && a.st_dev == b.st_dev &&
		    a.st_ino == b.st_ino) {
			cw_error_set(err, CW_ERR_USAGE,
			    "--to %s is given twice: each medium is made in a "
			    "directory of its own",
			    dir);
			goto out;
		}
	if (flock(*folder, LOCK_EX | LOCK_NB) < 0) {
		cw_error_set(
		    err, CW_ERR_BUSY, "another process writes to %s", *path);
		goto out;
	}
	ret = 0;
out:
	if (ret < 0)
		cw_close(folder);
	cw_close(&top);
	return ret;
}

/* The least number that is neither here nor taken. */
static uint32_t
choose(const struct cw_repair *r, const uint32_t *taken, size_t count)
{
	const struct cw_manifest *m = &r->set->manifest;
	uint32_t last =
	    m->file_count == 0 ? 0 : m->files[m->file_count - 1].medium;

	for (uint32_t number = 1; number <= last; number++) {
		bool is_free = !is_here(r, number) && is_listed(r, number);

		for (size_t i = 0; i < count; i++)
			is_free = is_free && taken[i] != number;
		if (is_free)
			return number;
	}
	return 0;
}

/* All files of a medium, into a folder; those that are good stay. */
static int
make(struct cw_repair *r, const struct cw_repair_medium *to,
    struct cw_error *err)
{
	const struct cw_manifest *m = &r->set->manifest;
	struct cw_buf text = CW_BUF_INIT;
	const struct cw_medium *is = cw_manifest_medium(m, to->number);

	/* First what tells a second run which medium this is to be. */
	if (is != NULL && cw_medium_encode(is, &text, NULL) == 0 &&
	    cw_save_file(
		to->dirfd, CW_SET_MEDIUM, text.data, text.len, 0644, err) < 0) {
		cw_buf_free(&text);
		return -1;
	}
	cw_buf_free(&text);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];
		struct cw_error why = CW_ERROR_INIT;

		if (f->medium != to->number || !cw_blocks_has_file(f->name))
			continue;
		if (cw_stop_check(err) < 0)
			return -1;
		if (cw_repair_is_good(to->dirfd, f->name, f))
			continue;
		if (cw_repair_write_volume(r, f, to, &why) == 0) {
			cw_repair_done(r, to->number, f->name, 0, f->size);
			continue;
		}
		if (why.code == CW_ERR_INTERRUPTED) {
			*err = why;
			return -1;
		}
		if (why.code != CW_ERR_DAMAGED)
			cw_error_context(&why, "%s", to->path);
		cw_repair_cannot(r, to->number, f->name, 0, f->size, &why);
		/* A full disk stays full. */
		if (why.code == CW_ERR_NOSPACE)
			return 0;
	}
	return cw_repair_small(r, to, err);
}

static void
add_made(struct cw_repair *r, const struct cw_repair_medium *to, bool is_whole)
{
	struct cw_repair_result *result = r->result;
	const struct cw_medium *is =
	    cw_manifest_medium(&r->set->manifest, to->number);
	struct cw_repair_made *made;

	result->made = cw_reallocarray(
	    result->made, result->made_count + 1, sizeof(*result->made));
	made = &result->made[result->made_count++];
	*made = (struct cw_repair_made){.medium = to->number,
	    .path = cw_strdup(to->path),
	    .is_whole = is_whole};
	if (is != NULL)
		memcpy(made->label, is->label, sizeof(made->label));
}

/* Dry: what making a medium would do. */
static void
make_dry(struct cw_repair *r, uint32_t number)
{
	const struct cw_manifest *m = &r->set->manifest;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];
		struct cw_error why = CW_ERROR_INIT;

		if (f->medium != number || !cw_blocks_has_file(f->name))
			continue;
		if (cw_recover_can(r->recover, f->name))
			cw_repair_done(r, number, f->name, 0, f->size);
		else
			cw_repair_cannot(r, number, f->name, 0, f->size,
			    (cw_error_set(&why, CW_ERR_DAMAGED,
				 "%s of medium %u is beyond what its parity "
				 "can rebuild",
				 f->name, number),
				&why));
	}
}

/* A --to, and nothing to be made: said before anything is read. */
static int
no_medium(const struct cw_repair *r, const char *dir, struct cw_error *err)
{
	uint32_t number = r->set->media[0].number;

	for (size_t i = 1; i < r->set->count; i++)
		if (r->set->media[i].number != number)
			number = 0;
	if (number == 0)
		return cw_error_set(err, CW_ERR_USAGE,
		    "--to %s: no medium of seed %s is missing; --medium N says "
		    "which one to make again there all the same",
		    dir, r->set->seed_text);
	return cw_error_set(err, CW_ERR_USAGE,
	    "--to %s: no medium of seed %s is missing; to make medium %u again "
	    "there, which is not written to then, add --medium %u",
	    dir, r->set->seed_text, number, number);
}

static int
make_one(struct cw_repair *r, const char *dir, uint32_t number, int folder,
    const char *path, struct cw_error *err)
{
	struct cw_repair_medium to = {
	    .number = number, .dirfd = folder, .path = path, .is_made = true};
	size_t before = r->result->unrepairable_count;

	if (number == 0)
		return no_medium(r, dir, err);
	if (!is_listed(r, number))
		return cw_error_set(err, CW_ERR_USAGE,
		    "seed %s has no medium %u", r->set->seed_text, number);
	if (r->options->is_dry) {
		make_dry(r, number);
		return 0;
	}
	if (make(r, &to, err) < 0)
		return -1;
	add_made(r, &to, r->result->unrepairable_count == before);
	return 0;
}

int
cw_repair_make_media(struct cw_repair *r, struct cw_error *err)
{
	const struct cw_repair_options *o = r->options;
	size_t count = o->to_count;
	uint32_t *numbers = cw_calloc(count + 1, sizeof(*numbers));
	int *folders = cw_calloc(count + 1, sizeof(*folders));
	char **paths = cw_calloc(count + 1, sizeof(char *));
	int ret = 0;

	for (size_t i = 0; i < count; i++)
		folders[i] = -1;
	/* Those that were begun first keep their numbers. */
	for (size_t i = 0; i < count && ret == 0 && !o->is_dry; i++) {
		ret = open_folder(r, o->to[i], &paths[i], folders, i, err);
		if (ret == 0)
			numbers[i] = begun_as(r, folders[i]);
		if (ret == 0 && o->medium != 0 && numbers[i] != 0 &&
		    numbers[i] != o->medium)
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "--to %s is medium %u of this seed already, and "
			    "was to be medium %u",
			    o->to[i], numbers[i], o->medium);
	}
	for (size_t i = 0; i < count && ret == 0; i++) {
		if (o->medium != 0)
			numbers[i] = o->medium;
		else if (numbers[i] == 0)
			numbers[i] = choose(r, numbers, count);
		ret = make_one(
		    r, o->to[i], numbers[i], folders[i], paths[i], err);
	}
	for (size_t i = 0; i < count; i++) {
		cw_close(&folders[i]);
		free(paths[i]);
	}
	free(numbers);
	free(folders);
	free(paths);
	return ret;
}
