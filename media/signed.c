#include "media/signed.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/twice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A manifest whose signature was found good. */
struct candidate {
	struct cw_manifest manifest;
	uint8_t sha256[CW_SHA256_SIZE];
	struct cw_set_signer signer;
};

/* The signer who made a signature over a text, or NULL with *err. */
static const struct cw_set_signer *
find_signer(const struct cw_signed *seen, const struct cw_buf *text,
    const struct cw_buf *sig, struct cw_error *err)
{
	uint8_t key_id[CW_MINISIGN_KEY_ID_SIZE];
	const char *sig_text = (const char *)sig->data;
	bool is_known = false;
	char id[17];

	if (cw_minisign_sig_key_id(sig_text, sig->len, key_id, err) < 0) {
		err->code = CW_ERR_UNTRUSTED;
		return NULL;
	}
	/* Two keys may have one id, by chance or by design. */
	for (size_t i = 0; i < seen->signer_count; i++) {
		const struct cw_set_signer *s = &seen->signers[i];

		if (memcmp(s->key.key_id, key_id, sizeof(key_id)) != 0)
			continue;
		is_known = true;
		if (cw_minisign_verify(&s->key, text->data, text->len, sig_text,
			sig->len, NULL, 0, err) == 0)
			return s;
	}
	cw_minisign_key_id_text(key_id, id);
	if (!is_known)
		cw_error_set(err, CW_ERR_UNTRUSTED,
		    "is signed by minisign key %s, which is not trusted here",
		    id);
	else
		cw_error_context(err, "was changed after key %s signed it", id);
	return NULL;
}

/*
 * Whether text is a manifest of this seed that a signer signed.  *c is filled
 * in only then.
 */
static int
check(const struct cw_set *set, const struct cw_signed *seen,
    const struct cw_buf *text, const struct cw_buf *sig, struct candidate *c,
    struct cw_error *err)
{
	const struct cw_set_signer *signer = find_signer(seen, text, sig, err);

	*c = (struct candidate){.manifest = CW_MANIFEST_INIT};
	if (signer == NULL)
		return -1;
	if (cw_manifest_decode(
		(const char *)text->data, text->len, &c->manifest, err) < 0)
		return cw_error_context(err, "is signed, but no manifest");
	if (memcmp(c->manifest.seed_id, set->seed_id, CW_SEED_ID_SIZE) != 0) {
		char other[CW_SEED_ID_TEXT];

		cw_hex_encode(c->manifest.seed_id, CW_SEED_ID_SIZE, other);
		cw_manifest_free(&c->manifest);
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "is signed, but of seed %s: it does not belong here",
		    other);
	}
	if (signer->has_fingerprint &&
	    memcmp(c->manifest.signer, signer->fingerprint,
		CW_CARD_FINGERPRINT_SIZE) != 0) {
		cw_manifest_free(&c->manifest);
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "is signed by %s, but names another site as its writer",
		    signer->name);
	}
	cw_sha256(text->data, text->len, c->sha256);
	c->signer = *signer;
	return 0;
}

/* A pair that was found good, and which copies are good in some pair. */
struct pair {
	int text, sig;
	bool has_text[2], has_sig[2];
};

/*
 * Notes which copies are not those that were found good.  A changed main file
 * is distrust even with a good copy beside it, for stock tools and people read
 * that one; one that is gone or unreadable, a changed copy, or an older
 * manifest that a crash left is damage.
 */
static void
compare(struct cw_set *set, size_t medium, const struct cw_twice *text,
    const struct cw_twice *sig, const struct pair *good,
    const struct candidate *best)
{
	static const enum cw_set_fault_kind kinds[2] = {
	    CW_SET_UNTRUSTED, CW_SET_REPAIRABLE};
	const struct cw_buf *body = &text->text[good->text];

	for (int i = 0; i < 2; i++) {
		const struct cw_buf *s = &sig->text[i];
		bool is_valid;

		if (i != good->text && !cw_twice_is_same(text))
			cw_twice_fault(text, i, set, medium,
			    good->has_text[i] ? CW_SET_REPAIRABLE : kinds[i],
			    CW_SET_REPAIRABLE,
			    good->has_text[i] ? "is an older manifest"
					      : "is not what was signed");
		if (i == good->sig || cw_twice_is_same(sig))
			continue;
		/* The untrusted comment is covered by no signature. */
		is_valid =
		    sig->has[i] &&
		    cw_minisign_verify(&best->signer.key, body->data, body->len,
			(const char *)s->data, s->len, NULL, 0, NULL) == 0;
		cw_twice_fault(sig, i, set, medium,
		    is_valid || good->has_sig[i] ? CW_SET_REPAIRABLE : kinds[i],
		    CW_SET_REPAIRABLE,
		    is_valid ? "is not the same as its other copy"
			     : "is not the signature of the manifest");
	}
}

/* A disk that turns up again later may be one that was replaced. */
static void
remember_media(struct cw_signed *seen, const struct cw_manifest *m)
{
	for (size_t i = 0; i < m->file_count; i++) {
		const struct cw_manifest_file *f = &m->files[i];

		if (strcmp(f->name, CW_SET_MEDIUM) != 0 ||
		    cw_signed_knows_medium(seen, f->medium, f->sha256))
			continue;
		seen->media = cw_reallocarray(
		    seen->media, seen->media_count + 1, sizeof(*seen->media));
		seen->media[seen->media_count].number = f->medium;
		memcpy(seen->media[seen->media_count].sha256, f->sha256,
		    sizeof(f->sha256));
		seen->media_count++;
	}
}

bool
cw_signed_knows_medium(
    const struct cw_signed *seen, uint32_t number, const uint8_t sha256[32])
{
	for (size_t i = 0; i < seen->media_count; i++)
		if (seen->media[i].number == number &&
		    memcmp(seen->media[i].sha256, sha256, 32) == 0)
			return true;
	return false;
}

void
cw_signed_free(struct cw_signed *seen)
{
	free(seen->media);
	seen->media = NULL;
	seen->media_count = 0;
}

/* Takes c over, or frees it. */
static void
keep(struct cw_set *set, struct cw_signed *seen, struct candidate *c)
{
	memcpy(set->key_id, c->signer.key.key_id, sizeof(set->key_id));
	set->has_key_id = true;
	remember_media(seen, &c->manifest);
	if (set->is_trusted && c->manifest.revision <= set->manifest.revision) {
		cw_manifest_free(&c->manifest);
		return;
	}
	cw_manifest_free(&set->manifest);
	set->manifest = c->manifest;
	memcpy(set->manifest_sha256, c->sha256, sizeof(c->sha256));
	set->signer = c->signer;
	set->is_trusted = true;
	seen->has_manifest = true;
}

/*
 * Finds a manifest and a signature of it among the copies of both; where a
 * crash left two that are signed, the later one.
 */
static bool
find_pair(struct cw_set *set, size_t medium, struct cw_signed *seen,
    const struct cw_twice *text, const struct cw_twice *sig,
    struct cw_error *first)
{
	struct candidate best = {.manifest = CW_MANIFEST_INIT};
	struct pair good = {.text = -1};

	for (int n = 0; n < 4; n++) {
		struct cw_error err = CW_ERROR_INIT;
		struct candidate c;
		int i = n >> 1, j = n & 1;

		if (!text->has[i] || !sig->has[j] || good.has_text[i] ||
		    (good.text >= 0 && cw_twice_is_same(text)))
			continue;
		if (check(set, seen, &text->text[i], &sig->text[j], &c, &err) <
		    0) {
			if (first->code == CW_OK)
				*first = err;
			continue;
		}
		good.has_text[i] = good.has_sig[j] = true;
		if (good.text >= 0 &&
		    c.manifest.revision <= best.manifest.revision) {
			cw_manifest_free(&c.manifest);
			continue;
		}
		cw_manifest_free(&best.manifest);
		best = c;
		good.text = i;
		good.sig = j;
	}
	if (good.text < 0)
		return false;
	compare(set, medium, text, sig, &good, &best);
	set->media[medium].revision = best.manifest.revision;
	set->media[medium].is_final = best.manifest.is_final;
	keep(set, seen, &best);
	return true;
}

/* With no trust to go by: what the copies claim, and whether they agree. */
static void
take_claim(struct cw_set *set, size_t medium, struct cw_signed *seen,
    const struct cw_twice *text)
{
	for (int i = 0; i < 2; i++) {
		struct cw_error err = CW_ERROR_INIT;
		struct cw_manifest m = CW_MANIFEST_INIT;
		char *reason = NULL;

		if (!text->has[i])
			continue;
		if (cw_manifest_decode((const char *)text->text[i].data,
			text->text[i].len, &m, &err) < 0)
			reason = cw_asprintf(
			    "is no manifest that can be read: %s", err.message);
		else if (memcmp(m.seed_id, set->seed_id, CW_SEED_ID_SIZE) != 0)
			reason = cw_strdup("is the manifest of another seed");
		if (reason != NULL) {
			cw_twice_fault(text, i, set, medium, CW_SET_UNTRUSTED,
			    CW_SET_UNTRUSTED, reason);
			free(reason);
			cw_manifest_free(&m);
		} else if (seen->has_manifest) {
			cw_manifest_free(&m);
		} else {
			set->manifest = m;
			cw_sha256(text->text[i].data, text->text[i].len,
			    set->manifest_sha256);
			seen->has_manifest = true;
		}
	}
}

/* Nobody vouches for this medium's manifest: says so, and what is odd. */
static void
distrust(struct cw_set *set, size_t medium, struct cw_signed *seen,
    const struct cw_twice *text, const struct cw_twice *sig,
    const struct cw_error *why)
{
	const enum cw_set_fault_kind distrusted = CW_SET_UNTRUSTED;

	for (int i = 0; i < 2 && !set->has_key_id; i++)
		set->has_key_id =
		    sig->has[i] &&
		    cw_minisign_sig_key_id((const char *)sig->text[i].data,
			sig->text[i].len, set->key_id, NULL) == 0;
	if (!sig->has[0] && !sig->has[1])
		cw_twice_fault(sig, 0, set, medium, distrusted, distrusted, "");
	else if (!text->has[0] && !text->has[1])
		cw_twice_fault(
		    text, 0, set, medium, CW_SET_DAMAGED, CW_SET_DAMAGED, "");
	else if (seen->signer_count > 0)
		cw_twice_fault(text, text->has[0] ? 0 : 1, set, medium,
		    distrusted, distrusted, why->message);
	/* Which copy is the changed one, nobody can tell without a key. */
	for (int which = 0; which < 2; which++) {
		const struct cw_twice *t = which == 0 ? text : sig;

		if (t->has[0] && t->has[1] && !cw_twice_is_same(t))
			cw_twice_fault(t, 1, set, medium, distrusted,
			    distrusted, "is not the same as the main file");
		else if (t->has[0] != t->has[1])
			cw_twice_fault(t, t->has[0] ? 1 : 0, set, medium,
			    CW_SET_REPAIRABLE, CW_SET_REPAIRABLE, "");
	}
	take_claim(set, medium, seen, text);
}

/* A whole file by its path; symlinks are the operator's own. */
static int
read_path(
    const char *path, size_t max, struct cw_buf *buf, struct cw_error *err)
{
	struct stat st;
	size_t got;
	int fd = -1, ret = -1;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		cw_error_set(err, CW_ERR_MISSING, "%s is not there", path);
	else if (fd < 0)
		cw_error_errno(err, "cannot open %s", path);
	else if (fstat(fd, &st) < 0)
		cw_error_errno(err, "cannot stat %s", path);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s is no regular file of at most %zu bytes", path, max);
	else if (cw_read_full(fd, cw_buf_reserve(buf, (size_t)st.st_size + 1),
		     (size_t)st.st_size, &got, err) < 0)
		cw_error_context(err, "%s", path);
	else {
		buf->len += got;
		ret = 0;
	}
	cw_close(&fd);
	return ret;
}

int
cw_signed_load_file(struct cw_set *set, const char *path, bool has_seed,
    struct cw_signed *seen, struct cw_error *err)
{
	char *sig_path = cw_asprintf("%s.minisig", path);
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;
	struct cw_manifest claim = CW_MANIFEST_INIT;
	struct candidate c;
	int ret = -1;

	if (read_path(path, CW_MANIFEST_TEXT_MAX, &text, err) < 0)
		goto out;
	if (read_path(sig_path, CW_MINISIGN_FILE_MAX, &sig, err) < 0) {
		cw_error_context(err,
		    "a manifest is believed with its signature beside it only");
		goto out;
	}
	/* The signer is asked first: see check. */
	if (find_signer(seen, &text, &sig, err) == NULL) {
		cw_error_context(err, "%s", path);
		goto out;
	}
	if (cw_manifest_decode((const char *)text.data, text.len, &claim, err) <
	    0) {
		cw_error_context(err, "%s is signed, but no manifest", path);
		goto out;
	}
	if (!has_seed)
		memcpy(set->seed_id, claim.seed_id, CW_SEED_ID_SIZE);
	else if (memcmp(set->seed_id, claim.seed_id, CW_SEED_ID_SIZE) != 0) {
		char other[CW_SEED_ID_TEXT];

		cw_hex_encode(claim.seed_id, CW_SEED_ID_SIZE, other);
		cw_error_set(err, CW_ERR_REFUSED,
		    "%s is the manifest of seed %s, not of the one that is "
		    "meant",
		    path, other);
		goto out;
	}
	cw_manifest_free(&claim);
	if (check(set, seen, &text, &sig, &c, err) < 0) {
		cw_error_context(err, "%s", path);
		goto out;
	}
	keep(set, seen, &c);
	ret = 0;
out:
	cw_manifest_free(&claim);
	cw_buf_free(&text);
	cw_buf_free(&sig);
	free(sig_path);
	return ret;
}

void
cw_signed_load(struct cw_set *set, size_t medium, struct cw_signed *seen)
{
	struct cw_error why = CW_ERROR_INIT;
	struct cw_twice text, sig;
	int fd = set->media[medium].dirfd;

	cw_twice_read(&text, fd, CW_SET_MANIFEST, CW_MANIFEST_TEXT_MAX);
	cw_twice_read(&sig, fd, CW_SET_SIGNATURE, CW_MINISIGN_FILE_MAX);
	for (int i = 0; i < 2; i++)
		seen->has_file = seen->has_file || text.has[i] ||
				 text.errors[i].code != CW_ERR_MISSING;
	if (!find_pair(set, medium, seen, &text, &sig, &why))
		distrust(set, medium, seen, &text, &sig, &why);
	cw_twice_free(&text);
	cw_twice_free(&sig);
}
