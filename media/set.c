#include "media/set.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/folders.h"
#include "media/signed.h"
#include "media/twice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUESS_MAX 4u /* files looked for, of each medium it may be */

void
cw_set_signer_from_card(
    const struct cw_card *card, struct cw_set_signer *signer)
{
	*signer = (struct cw_set_signer){
	    .key = card->sign,
	    .has_fingerprint = true,
	};
	cw_card_fingerprint(card, signer->fingerprint);
	memcpy(signer->name, card->name, sizeof(signer->name));
}

int
cw_set_open_file(int dirfd, const char *name, int flags, struct stat *st,
    struct cw_error *err)
{
	/* Without O_NONBLOCK, opening a fifo would wait for its writer. */
	int fd = cw_open_beneath(
	    dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | flags, 0, err);
	int saved = errno;

	if (fd < 0) {
		if (err != NULL && (saved == ENOENT || saved == ENOTDIR))
			err->code = CW_ERR_MISSING;
		else if (err != NULL && saved == ENXIO)
			err->code = CW_ERR_DAMAGED; /* a socket, or no device */
		errno = saved;
		return -1;
	}
	if (fstat(fd, st) < 0) {
		saved = errno;
		cw_error_errno(err, "cannot stat %s", name);
	} else if (!S_ISREG(st->st_mode)) {
		saved = 0;
		cw_error_set(
		    err, CW_ERR_DAMAGED, "%s is not a regular file", name);
	} else {
		return fd;
	}
	cw_close(&fd);
	errno = saved;
	return -1;
}

int
cw_set_read_file(int dirfd, const char *name, size_t max, struct cw_buf *buf,
    struct cw_error *err)
{
	struct stat st;
	size_t got, size;
	int fd = cw_set_open_file(dirfd, name, 0, &st, err), ret = -1;

	if (fd < 0)
		return -1;
	if (st.st_size < 0 || (uint64_t)st.st_size > max) {
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s is %lld bytes, expected at most %zu", name,
		    (long long)st.st_size, max);
		goto out;
	}
	size = (size_t)st.st_size;
	if (cw_read_full(fd, cw_buf_reserve(buf, size + 1), size, &got, err) <
	    0) {
		cw_error_context(err, "%s", name);
		goto out;
	}
	buf->len += got;
	ret = 0;
out:
	cw_close(&fd);
	return ret;
}

/* Whether a text is what the manifest lists under a name. */
static bool
is_listed(const struct cw_set *set, uint32_t number, const char *name,
    const struct cw_buf *text)
{
	const struct cw_manifest_file *file =
	    cw_manifest_find(&set->manifest, number, name);
	uint8_t sha256[CW_SHA256_SIZE];

	if (file == NULL || file->size != text->len)
		return false;
	cw_sha256(text->data, text->len, sha256);
	return memcmp(sha256, file->sha256, sizeof(sha256)) == 0;
}

/*
 * Notes what is wrong with a file that is there twice; is_good says which of
 * the two are as the manifest lists them.  Returns the one that serves, or -1.
 */
static int
judge(struct cw_set *set, size_t medium, const struct cw_twice *t,
    const bool is_good[2])
{
	enum cw_set_fault_kind kind =
	    is_good[0] || is_good[1] ? CW_SET_REPAIRABLE : CW_SET_DAMAGED;

	for (int i = 0; i < 2; i++)
		if (!is_good[i])
			cw_twice_fault(t, i, set, medium, kind, kind,
			    "is not what the manifest lists");
	return is_good[0] ? 0 : is_good[1] ? 1 : -1;
}

/*
 * Which medium it is by the volumes it holds, for want of a good MEDIUM.
 * Names of volumes and shards begin with a digit, and are on one medium each.
 */
static uint32_t
guess_number(const struct cw_set *set, int dirfd)
{
	const struct cw_manifest *m = &set->manifest;
	uint32_t best = 0, best_found = 0;

	for (size_t i = 0; i < m->file_count;) {
		uint32_t number = m->files[i].medium, looked = 0, found = 0;
		struct stat st;

		for (; i < m->file_count && m->files[i].medium == number; i++) {
			const char *name = m->files[i].name;

			if (name[0] < '0' || name[0] > '9' ||
			    looked == GUESS_MAX)
				continue;
			looked++;
			if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) ==
				0 &&
			    S_ISREG(st.st_mode))
				found++;
		}
		if (found > best_found) {
			best = number;
			best_found = found;
		}
	}
	return best;
}

/* Which medium a text says it is, if a manifest of this seed listed it so. */
static uint32_t
former_number(const struct cw_set *set, const struct cw_signed *seen,
    const struct cw_twice *t)
{
	for (int i = 0; i < 2; i++) {
		uint8_t sha256[CW_SHA256_SIZE];
		struct cw_medium is;

		if (!t->has[i] ||
		    cw_medium_decode((const char *)t->text[i].data,
			t->text[i].len, &is, NULL) < 0 ||
		    memcmp(is.seed_id, set->seed_id, CW_SEED_ID_SIZE) != 0)
			continue;
		cw_sha256(t->text[i].data, t->text[i].len, sha256);
		if (cw_signed_knows_medium(seen, is.number, sha256))
			return is.number;
	}
	return 0;
}

/*
 * Finds out which medium of the set it is.  False if it was one of it, and
 * another one is by now.
 */
static bool
load_medium(struct cw_set *set, size_t index, const struct cw_signed *seen)
{
	struct cw_set_medium *medium = &set->media[index];
	struct cw_medium read[2];
	bool is_good[2] = {false, false};
	struct cw_twice t;
	int good;

	cw_twice_read(&t, medium->dirfd, CW_SET_MEDIUM, CW_MEDIUM_TEXT_MAX);
	for (int i = 0; i < 2; i++)
		is_good[i] =
		    t.has[i] &&
		    cw_medium_decode((const char *)t.text[i].data,
			t.text[i].len, &read[i], NULL) == 0 &&
		    memcmp(read[i].seed_id, set->seed_id, CW_SEED_ID_SIZE) ==
			0 &&
		    is_listed(set, read[i].number, CW_SET_MEDIUM, &t.text[i]);
	if (!is_good[0] && !is_good[1]) {
		medium->number = guess_number(set, medium->dirfd);
		/*
		 * A disk that was lost, made again, and found: nothing on it
		 * counts, and nothing is wrong with it.
		 */
		if (set->is_trusted && medium->number == 0 &&
		    former_number(set, seen, &t) != 0) {
			cw_twice_free(&t);
			return false;
		}
	}
	good = judge(set, index, &t, is_good);
	if (good >= 0) {
		medium->has_medium = true;
		medium->medium = read[good];
		medium->number = read[good].number;
	}
	cw_twice_free(&t);
	return true;
}

/* Takes a medium out of the set, with what was said of it. */
static void
leave_out(struct cw_set *set, size_t index)
{
	struct cw_set_medium *m = &set->media[index];
	size_t kept = 0;

	set->replaced = cw_reallocarray(
	    set->replaced, set->replaced_count + 1, sizeof(*set->replaced));
	set->replaced[set->replaced_count++] = m->path;
	cw_close(&m->dirfd);
	memmove(m, m + 1, (--set->count - index) * sizeof(*m));
	for (size_t i = 0; i < set->fault_count; i++) {
		struct cw_set_fault *f = &set->faults[i];

		if (f->medium == index) {
			free(f->message);
			continue;
		}
		if (f->medium > index)
			f->medium--;
		set->faults[kept++] = *f;
	}
	set->fault_count = kept;
}

static void
load_checksums(struct cw_set *set, size_t index)
{
	struct cw_set_medium *medium = &set->media[index];
	bool is_good[2] = {false, false};
	struct cw_error err = CW_ERROR_INIT;
	struct cw_twice t;
	int good;

	/* Where nothing tells which medium it is, nothing can be compared. */
	if (cw_manifest_find(
		&set->manifest, medium->number, CW_SET_CHECKSUMS) == NULL)
		return;
	cw_twice_read(
	    &t, medium->dirfd, CW_SET_CHECKSUMS, CW_SET_CHECKSUMS_MAX);
	for (int i = 0; i < 2; i++)
		is_good[i] = t.has[i] && is_listed(set, medium->number,
					     CW_SET_CHECKSUMS, &t.text[i]);
	good = judge(set, index, &t, is_good);
	if (good >= 0 && cw_checksums_decode((const char *)t.text[good].data,
			     t.text[good].len, &medium->checksums, &err) == 0)
		medium->has_checksums = true;
	else if (good >= 0) /* the signer's fault */
		cw_twice_fault(&t, good, set, index, CW_SET_DAMAGED,
		    CW_SET_DAMAGED, err.message);
	cw_twice_free(&t);
}

/* Whether a folder was given already, perhaps by another path. */
static bool
is_known(const struct cw_set *set, int fd)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0)
		return false;
	for (size_t i = 0; i < set->count; i++)
		if (fstat(set->media[i].dirfd, &b) == 0 &&
		    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return true;
	return false;
}

/* Takes the chosen seed's folders over from all that were found. */
static void
take_folders(struct cw_set *set, struct cw_folders *all)
{
	set->media = cw_calloc(all->count, sizeof(*set->media));
	for (size_t i = 0; i < all->count; i++) {
		struct cw_folder *f = &all->items[i];

		if (strcmp(f->id, set->seed_text) != 0 || is_known(set, f->fd))
			continue;
		set->media[set->count++] = (struct cw_set_medium){
		    .path = f->path,
		    .dirfd = f->fd,
		    .checksums = CW_CHECKSUMS_INIT,
		};
		f->path = NULL;
		f->fd = -1;
	}
}

static int
check_dirs(size_t dir_count, const char *seed, uint8_t id[CW_SEED_ID_SIZE],
    struct cw_error *err)
{
	if (dir_count == 0 || dir_count > CW_SET_DIRS_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%zu directories given, expected 1 to %u", dir_count,
		    CW_SET_DIRS_MAX);
	if (seed != NULL &&
	    !cw_hex_decode(seed, strlen(seed), id, CW_SEED_ID_SIZE))
		return cw_error_set(err, CW_ERR_USAGE,
		    "a seed id is 16 lower-case hex digits, as the folder in "
		    "causeway/ is named");
	return 0;
}

static int
find_seed(struct cw_set *set, const char *const *dirs, size_t dir_count,
    const char *seed, struct cw_error *err)
{
	struct cw_folders all = CW_FOLDERS_INIT;
	int ret = -1;

	for (size_t i = 0; i < dir_count; i++)
		if (cw_folders_search(&all, i, dirs[i], err) < 0)
			goto out;
	if (seed != NULL)
		memcpy(set->seed_text, seed, CW_SEED_ID_TEXT);
	else if (cw_folders_choose(&all, dir_count, set->seed_text, err) < 0)
		goto out;
	(void)cw_hex_decode(
	    set->seed_text, CW_SEED_ID_TEXT - 1, set->seed_id, CW_SEED_ID_SIZE);
	take_folders(set, &all);
	if (set->count == 0) {
		struct cw_buf others = CW_BUF_INIT;

		cw_folders_list(&all, &others);
		cw_error_set(err, CW_ERR_MISSING,
		    "seed %s is not in the directories given; what is there: "
		    "%s",
		    set->seed_text, cw_buf_string(&others));
		cw_buf_free(&others);
		goto out;
	}
	ret = 0;
out:
	cw_folders_free(&all);
	return ret;
}

static int
no_manifest(const struct cw_set *set, const struct cw_signed *seen,
    struct cw_error *err)
{
	const struct cw_set_fault *f = set->faults;

	for (size_t i = 0; i < set->fault_count; i++)
		if (set->faults[i].kind == CW_SET_UNTRUSTED ||
		    set->faults[i].is_missing)
			f = &set->faults[i];
	if (seen->has_file && f != NULL && f->kind != CW_SET_UNTRUSTED &&
	    !f->is_missing)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "%s, nor can its copy: have the active site send it "
		    "(`causeway seed manifest %s --to FILE`), and give it by "
		    "--manifest FILE",
		    f->message, set->seed_text);
	if (seen->has_file && f != NULL)
		return cw_error_set(err, CW_ERR_UNTRUSTED, "%s", f->message);
	return cw_error_set(err, CW_ERR_MISSING,
	    "seed %s in %s has no manifest: it was not sealed to the end; run "
	    "`causeway seed` again at the active site",
	    set->seed_text, set->media[0].path);
}

int
cw_set_open_from(const struct cw_set_source *source, struct cw_set **out,
    struct cw_error *err)
{
	struct cw_signed seen = {
	    .signers = source->signers, .signer_count = source->signer_count};
	const char *seed = source->seed;
	char id[CW_SEED_ID_TEXT];
	struct cw_set *set;
	int ret = -1;

	*out = NULL;
	set = cw_calloc(1, sizeof(*set));
	set->manifest = (struct cw_manifest)CW_MANIFEST_INIT;
	if (check_dirs(source->dir_count, seed, set->seed_id, err) < 0)
		goto out;
	if (source->manifest != NULL) {
		if (cw_signed_load_file(
			set, source->manifest, seed != NULL, &seen, err) < 0)
			goto out;
		cw_hex_encode(set->seed_id, CW_SEED_ID_SIZE, id);
		seed = id;
	}
	if (find_seed(set, source->dirs, source->dir_count, seed, err) < 0)
		goto out;
	for (size_t i = 0; i < set->count; i++)
		cw_signed_load(set, i, &seen);
	if (!seen.has_manifest) {
		no_manifest(set, &seen, err);
		goto out;
	}
	for (size_t i = 0; i < set->count;) {
		if (!load_medium(set, i, &seen)) {
			leave_out(set, i);
			continue;
		}
		load_checksums(set, i);
		i++;
	}
	if (set->count == 0) {
		cw_error_set(err, CW_ERR_MISSING,
		    "%s is no medium of seed %s any more: another one was made "
		    "in its place",
		    set->replaced[0], set->seed_text);
		goto out;
	}
	*out = set;
	ret = 0;
out:
	cw_signed_free(&seen);
	if (ret < 0)
		cw_set_free(set);
	return ret;
}

int
cw_set_open(const char *const *dirs, size_t dir_count, const char *seed,
    const struct cw_set_signer *signers, size_t signer_count,
    struct cw_set **out, struct cw_error *err)
{
	struct cw_set_source source = {
	    .dirs = dirs,
	    .dir_count = dir_count,
	    .seed = seed,
	    .signers = signers,
	    .signer_count = signer_count,
	};

	return cw_set_open_from(&source, out, err);
}

/* Whether a medium's line of the catalog has the governing digest. */
static bool
lists_catalog(const struct cw_manifest *m, uint32_t number)
{
	const struct cw_manifest_file *file =
	    cw_manifest_find(m, number, CW_SET_CATALOG);

	return m->has_catalog && file != NULL &&
	       memcmp(file->sha256, m->catalog, sizeof(m->catalog)) == 0;
}

bool
cw_set_has_catalog(const struct cw_set *set, size_t medium)
{
	return set->media[medium].number != 0 &&
	       lists_catalog(&set->manifest, set->media[medium].number);
}

size_t
cw_set_catalog_media(const struct cw_set *set, uint32_t *numbers, size_t max)
{
	const struct cw_manifest *m = &set->manifest;
	size_t count = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];

		if (strcmp(f->name, CW_SET_CATALOG) != 0 ||
		    !lists_catalog(m, f->medium))
			continue;
		if (count < max)
			numbers[count] = f->medium;
		count++;
	}
	return count;
}

void
cw_set_free(struct cw_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->count; i++) {
		cw_close(&set->media[i].dirfd);
		free(set->media[i].path);
		cw_checksums_free(&set->media[i].checksums);
	}
	for (size_t i = 0; i < set->fault_count; i++)
		free(set->faults[i].message);
	for (size_t i = 0; i < set->replaced_count; i++)
		free(set->replaced[i]);
	free(set->replaced);
	free(set->media);
	free(set->faults);
	cw_manifest_free(&set->manifest);
	free(set);
}

const struct cw_set_medium *
cw_set_find(const struct cw_set *set, uint32_t number)
{
	for (size_t i = 0; i < set->count; i++)
		if (number != 0 && set->media[i].number == number)
			return &set->media[i];
	return NULL;
}

bool
cw_set_holds(
    const struct cw_set_medium *medium, const struct cw_manifest_file *file)
{
	struct stat st;

	return medium->number == file->medium &&
	       fstatat(medium->dirfd, file->name, &st, AT_SYMLINK_NOFOLLOW) ==
		   0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size;
}

const struct cw_set_medium *
cw_set_holder(const struct cw_set *set, const struct cw_manifest_file *file)
{
	const struct cw_set_medium *first = cw_set_find(set, file->medium);

	if (first == NULL)
		return NULL;
	for (size_t i = (size_t)(first - set->media) + 1; i < set->count; i++) {
		if (set->media[i].number != file->medium)
			continue;
		/* Only where there is a choice is anything looked at. */
		if (cw_set_holds(first, file))
			return first;
		if (cw_set_holds(&set->media[i], file))
			return &set->media[i];
	}
	return first;
}
