#include "site/receipts.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "site/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX (CW_RECEIPTS_SITES_MAX * CW_RECEIPT_TEXT_SIZE) /* bytes */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * A line as people send it: mail wraps it.  False if it is too long to be a
 * receipt.
 */
static bool
unwrap(const char *text, size_t len, char out[CW_RECEIPT_TEXT_SIZE])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_space(text[i]) &&
		    (n == 0 || i + 1 == len || is_space(text[i + 1])))
			continue;
		if (n == CW_RECEIPT_TEXT_SIZE - 1)
			return false;
		out[n++] = is_space(text[i]) ? ' ' : text[i];
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return true;
}

/* ---- the recovery site ---- */

static int
receipts_dir(const struct cw_home *home, bool may_make, struct cw_error *err)
{
	if (may_make && mkdirat(home->state_fd, CW_RECEIPTS_DIR, 0700) < 0 &&
	    errno != EEXIST)
		return cw_error_errno(
		    err, "cannot make %s/" CW_RECEIPTS_DIR, home->state_path);
	return cw_open_beneath(
	    home->state_fd, CW_RECEIPTS_DIR, O_RDONLY | O_DIRECTORY, 0, err);
}

/* 1 if there is none. */
static int
read_made(int dirfd, const char *seed_id, struct cw_receipt *r,
    char line[CW_RECEIPT_TEXT_SIZE], struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int ret =
	    cw_read_file(dirfd, seed_id, CW_RECEIPT_TEXT_SIZE, &text, err);

	if (ret == 0) {
		size_t len = text.len;

		if (len > 0 && text.data[len - 1] == '\n')
			len--;
		ret = cw_receipt_decode((const char *)text.data, len, r, err);
		if (ret == 0)
			cw_receipt_encode(r, line);
	}
	cw_buf_free(&text);
	if (ret < 0)
		cw_error_context(err, CW_RECEIPTS_DIR "/%s", seed_id);
	return ret;
}

/* Whether two receipts say the same, but for when. */
static bool
is_same(const struct cw_receipt *a, const struct cw_receipt *b)
{
	return memcmp(a->seed_id, b->seed_id, sizeof(a->seed_id)) == 0 &&
	       memcmp(a->store_id, b->store_id, sizeof(a->store_id)) == 0 &&
	       a->generation == b->generation &&
	       memcmp(a->manifest_sha256, b->manifest_sha256, 32) == 0 &&
	       a->has_digest == b->has_digest &&
	       memcmp(a->digest, b->digest, 32) == 0 &&
	       a->wanted == b->wanted && memcmp(a->site, b->site, 32) == 0;
}

int
cw_receipts_make(const struct cw_home *home,
    const struct cw_minisign_secret *secret, const struct cw_set *set,
    const uint8_t *digest, uint64_t wanted, char line[CW_RECEIPT_TEXT_SIZE],
    struct cw_error *err)
{
	struct cw_receipt r = {.time = time(NULL), .wanted = wanted}, last;
	struct cw_buf text = CW_BUF_INIT;
	struct cw_card own;
	int dirfd, ret = -1;

	if (cw_identity_card(home->state_fd, &own, err) < 0)
		return -1;
	dirfd = receipts_dir(home, true, err);
	if (dirfd < 0)
		return -1;
	memcpy(r.seed_id, set->seed_id, sizeof(r.seed_id));
	memcpy(r.store_id, set->manifest.store_id, sizeof(r.store_id));
	r.generation = set->manifest.generation;
	memcpy(r.manifest_sha256, set->manifest_sha256, 32);
	if (digest != NULL) {
		r.has_digest = true;
		memcpy(r.digest, digest, 32);
	}
	cw_card_fingerprint(&own, r.site);
	/* A file that is no receipt is replaced like an older one. */
	if (read_made(dirfd, set->seed_text, &last, line, NULL) == 0 &&
	    is_same(&last, &r) &&
	    cw_receipt_verify(&last, &own.sign, NULL) == 0) {
		ret = 0;
		goto out;
	}
	if (cw_receipt_sign(&r, secret, err) < 0)
		goto out;
	cw_receipt_encode(&r, line);
	cw_buf_printf(&text, "%s\n", line);
	ret =
	    cw_save_file(dirfd, set->seed_text, text.data, text.len, 0600, err);
out:
	cw_buf_free(&text);
	cw_close(&dirfd);
	return ret;
}

int
cw_receipts_load(const struct cw_home *home, const char *seed_id,
    char line[CW_RECEIPT_TEXT_SIZE], struct cw_error *err)
{
	struct cw_receipt r;
	int dirfd = receipts_dir(home, false, NULL), ret;

	if (dirfd < 0)
		return 1;
	ret = read_made(dirfd, seed_id, &r, line, err);
	cw_close(&dirfd);
	return ret;
}

static int
newest_first(const void *a, const void *b)
{
	const struct cw_receipt *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? 1 : -1;
	return memcmp(x->seed_id, y->seed_id, sizeof(x->seed_id));
}

size_t
cw_receipts_list(const struct cw_home *home,
    const uint8_t store_id[CW_STORE_ID_SIZE],
    char (*lines)[CW_RECEIPT_TEXT_SIZE], size_t max)
{
	struct cw_receipt *all = NULL, r;
	size_t count = 0;
	char line[CW_RECEIPT_TEXT_SIZE];
	int dirfd = receipts_dir(home, false, NULL);
	DIR *dir = dirfd < 0 ? NULL : fdopendir(dup(dirfd));
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		uint8_t id[CW_SEED_ID_SIZE];

		if (!cw_hex_decode(
			e->d_name, strlen(e->d_name), id, sizeof(id)) ||
		    read_made(dirfd, e->d_name, &r, line, NULL) != 0 ||
		    memcmp(r.store_id, store_id, CW_STORE_ID_SIZE) != 0)
			continue;
		all = cw_reallocarray(all, count + 1, sizeof(*all));
		all[count++] = r;
	}
	if (dir != NULL)
		closedir(dir);
	cw_close(&dirfd);
	if (count > 0)
		qsort(all, count, sizeof(*all), newest_first);
	if (count > max)
		count = max;
	for (size_t i = 0; i < count; i++)
		cw_receipt_encode(&all[i], lines[i]);
	free(all);
	return count;
}

/* ---- the active site ---- */

static const struct cw_config_peer *
find_peer(const struct cw_home *home, const uint8_t fingerprint[32])
{
	for (size_t i = 0; i < home->config.peer_count; i++) {
		uint8_t theirs[CW_CARD_FINGERPRINT_SIZE];

		cw_card_fingerprint(&home->config.peers[i].card, theirs);
		if (memcmp(theirs, fingerprint, sizeof(theirs)) == 0)
			return &home->config.peers[i];
	}
	return NULL;
}

/* That it is about what this site sealed. */
static int
check_manifest(int seed_dir, const struct cw_receipt *r, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_manifest m = CW_MANIFEST_INIT;
	uint8_t sha256[CW_SHA256_SIZE];
	int ret;

	ret = cw_read_file(
	    seed_dir, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX, &text, err);
	if (ret == 1)
		ret = cw_error_set(
		    err, CW_ERR_MISSING, "this site did not finish that seed");
	if (ret == 0)
		ret = cw_manifest_decode(
		    (const char *)text.data, text.len, &m, err);
	if (ret == 0) {
		cw_sha256(text.data, text.len, sha256);
		if (memcmp(sha256, r->manifest_sha256, 32) != 0)
			ret = cw_error_set(err, CW_ERR_UNTRUSTED,
			    "the receipt is for another manifest than the last "
			    "one that this site signed for the seed: other "
			    "bytes arrived, or an older revision (see "
			    "`causeway "
			    "seed manifest`)");
		else if (memcmp(m.store_id, r->store_id, CW_STORE_ID_SIZE) !=
			     0 ||
			 m.generation != r->generation)
			ret = cw_error_set(err, CW_ERR_UNTRUSTED,
			    "the receipt names another store or generation "
			    "than the seed's");
	}
	cw_manifest_free(&m);
	cw_buf_free(&text);
	return ret;
}

/* The lines that are kept; what is no receipt is passed over. */
static size_t
read_kept(int seed_dir, struct cw_receipt *out, size_t max)
{
	struct cw_buf text = CW_BUF_INIT;
	char *at, *line;
	size_t count = 0;

	if (cw_read_file(seed_dir, CW_RECEIPTS_FILE, KEPT_MAX, &text, NULL) ==
	    0) {
		at = cw_buf_string(&text);
		while (count < max && (line = strsep(&at, "\n")) != NULL)
			if (cw_receipt_decode(
				line, strlen(line), &out[count], NULL) == 0)
				count++;
	}
	cw_buf_free(&text);
	return count;
}

static int
keep(int seed_dir, const struct cw_receipt *r, bool *is_new,
    struct cw_error *err)
{
	struct cw_receipt kept[CW_RECEIPTS_SITES_MAX];
	size_t count, at;
	struct cw_buf text = CW_BUF_INIT;
	char line[CW_RECEIPT_TEXT_SIZE];
	int ret;

	/* A session and a command may both bring one; gone with seed_dir. */
	if (flock(seed_dir, LOCK_EX) < 0)
		return cw_error_errno(err, "cannot lock the seed's directory");
	count = read_kept(seed_dir, kept, CW_RECEIPTS_SITES_MAX);
	for (at = 0; at < count; at++)
		if (memcmp(kept[at].site, r->site, sizeof(r->site)) == 0)
			break;
	if (at < count) {
		bool was_complete = kept[at].wanted == 0;
		/* That of a manifest which was replaced since says nothing. */
		bool is_of_it = memcmp(kept[at].manifest_sha256,
				    r->manifest_sha256, 32) == 0;

		if (is_of_it && (was_complete != (r->wanted == 0)
					? was_complete
					: kept[at].time >= r->time))
			return 0;
	} else if (count == CW_RECEIPTS_SITES_MAX) {
		return cw_error_set(err, CW_ERR_REFUSED,
		    "receipts of %u sites are kept for that seed, more are not",
		    CW_RECEIPTS_SITES_MAX);
	} else {
		count++;
	}
	kept[at] = *r;
	for (size_t i = 0; i < count; i++) {
		cw_receipt_encode(&kept[i], line);
		cw_buf_printf(&text, "%s\n", line);
	}
	ret = cw_save_file(
	    seed_dir, CW_RECEIPTS_FILE, text.data, text.len, 0600, err);
	cw_buf_free(&text);
	if (ret == 0 && is_new != NULL)
		*is_new = true;
	return ret;
}

int
cw_receipts_confirm(const struct cw_home *home, const char *text, size_t len,
    struct cw_receipt *receipt, const struct cw_config_peer **peer,
    bool *is_new, struct cw_error *err)
{
	char line[CW_RECEIPT_TEXT_SIZE], id[CW_SEED_ID_TEXT];
	const struct cw_config_peer *from;
	struct cw_receipt r;
	char *path;
	int dirfd, ret;

	if (is_new != NULL)
		*is_new = false;
	if (!unwrap(text, len, line))
		return cw_error_set(
		    err, CW_ERR_FORMAT, "that is too long for a receipt");
	if (cw_receipt_decode(line, strlen(line), &r, err) < 0)
		return -1;
	cw_hex_encode(r.seed_id, CW_SEED_ID_SIZE, id);
	from = find_peer(home, r.site);
	if (from == NULL)
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the receipt for seed %s is of a site that is not paired "
		    "with this one: pair it (`causeway pair CARD`) if you know "
		    "whose it is",
		    id);
	if (cw_receipt_verify(&r, &from->card.sign, err) < 0)
		return cw_error_context(err, "seed %s", id);
	path = cw_home_seed_dir(home, id);
	dirfd =
	    openat(home->state_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	if (dirfd < 0)
		return cw_error_set(err, CW_ERR_MISSING,
		    "this site has no seed %s: see `causeway seed list`", id);
	ret = check_manifest(dirfd, &r, err);
	if (ret == 0)
		ret = keep(dirfd, &r, is_new, err);
	cw_close(&dirfd);
	if (ret < 0)
		return cw_error_context(err, "seed %s", id);
	*receipt = r;
	if (peer != NULL)
		*peer = from;
	return 0;
}

static int
best_first(const void *a, const void *b)
{
	const struct cw_receipt *x = a, *y = b;

	if ((x->wanted == 0) != (y->wanted == 0))
		return x->wanted == 0 ? -1 : 1;
	return newest_first(a, b);
}

size_t
cw_receipts_of_seed(const struct cw_home *home, const char *seed_id,
    struct cw_receipt *out, size_t max)
{
	char *path = cw_home_seed_dir(home, seed_id);
	int dirfd =
	    openat(home->state_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t count = 0, kept;

	free(path);
	if (dirfd < 0)
		return 0;
	kept = read_kept(dirfd, out, max);
	/* One of a manifest that was replaced since confirms nothing. */
	for (size_t i = 0; i < kept; i++)
		if (check_manifest(dirfd, &out[i], NULL) == 0)
			out[count++] = out[i];
	cw_close(&dirfd);
	if (count > 0)
		qsort(out, count, sizeof(*out), best_first);
	return count;
}
