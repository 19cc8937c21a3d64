#include "site/escrow.h"

#include "base/crypto.h"

#include <ctype.h>
#include <libgfshare.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORDS	   13u /* of a share: four, and nine groups */
#define WORD_MAX   24u
#define SHARES_MAX 255u /* at once; they are in secure memory */

static void
fill_random(unsigned char *out, unsigned int len)
{
	cw_random_secret(out, len);
}

static void
fill_anything(unsigned char *out, unsigned int len)
{
	cw_random(out, len);
}

/* The hook is one for all of libgfshare. */
static void
use_our_random(void)
{
	gfshare_fill_rand = fill_random;
}

/* It overwrites its memory with random bytes first, of which any will do. */
static void
end(gfshare_ctx *g)
{
	gfshare_fill_rand = fill_anything;
	gfshare_ctx_free(g);
}

static void
name_key(const uint8_t *point, uint8_t out[CW_SHARE_KEY_SIZE])
{
	uint8_t sha256[CW_SHA256_SIZE];

	cw_sha256(point, 32, sha256);
	memcpy(out, sha256, CW_SHARE_KEY_SIZE);
}

int
cw_escrow_split(const struct cw_age_identity *id, unsigned needed,
    unsigned made, struct cw_share **out, struct cw_error *err)
{
	uint8_t numbers[CW_SHARE_MADE_MAX], split[CW_SHARE_SPLIT_SIZE];
	struct cw_share *shares;
	uint8_t *scalar;
	gfshare_ctx *g;

	*out = NULL;
	if (needed < CW_SHARE_NEEDED_MIN || needed > made ||
	    made > CW_SHARE_MADE_MAX)
		return cw_error_set(err, CW_ERR_USAGE,
		    "%u of %u shares: expected from %u to %u, and no more "
		    "needed than made",
		    needed, made, CW_SHARE_NEEDED_MIN, CW_SHARE_MADE_MAX);
	if (cw_age_identity_count(id) != 1)
		return cw_error_set(err, CW_ERR_USAGE,
		    "the key file holds %zu keys: split each alone",
		    cw_age_identity_count(id));
	use_our_random();
	for (unsigned i = 0; i < made; i++)
		numbers[i] = (uint8_t)(i + 1);
	g = gfshare_ctx_init_enc(
	    numbers, made, (unsigned char)needed, CW_SHARE_DATA_SIZE);
	if (g == NULL)
		return cw_error_errno(err, "cannot split the key");
	scalar = cw_secret_alloc(CW_SHARE_DATA_SIZE);
	memcpy(scalar, cw_age_identity_scalar(id, 0), CW_SHARE_DATA_SIZE);
	gfshare_ctx_enc_setsecret(g, scalar);
	cw_secret_free(scalar);
	cw_random(split, sizeof(split));
	shares = cw_secret_alloc(made * sizeof(*shares));
	for (unsigned i = 0; i < made; i++) {
		struct cw_share *s = &shares[i];

		s->needed = (uint8_t)needed;
		s->made = (uint8_t)made;
		s->index = numbers[i];
		memcpy(s->split, split, sizeof(split));
		name_key(cw_age_identity_point(id, 0), s->key);
		gfshare_ctx_enc_getshare(g, (unsigned char)i, s->data);
	}
	end(g);
	*out = shares;
	return 0;
}

/* Puts each share in its place; those that do not belong together. */
static int
sort_out(const struct cw_share *shares, size_t count,
    const struct cw_share *at[CW_SHARE_MADE_MAX + 1], unsigned *different,
    struct cw_error *err)
{
	const struct cw_share *first = &shares[0];

	*different = 0;
	for (size_t i = 0; i < count; i++) {
		const struct cw_share *s = &shares[i];

		if (memcmp(s->key, first->key, sizeof(s->key)) != 0)
			return cw_error_set(err, CW_ERR_UNTRUSTED,
			    "shares %u and %u are of different keys (see their "
			    "third words)",
			    first->index, s->index);
		if (memcmp(s->split, first->split, sizeof(s->split)) != 0 ||
		    s->needed != first->needed || s->made != first->made)
			return cw_error_set(err, CW_ERR_UNTRUSTED,
			    "shares %u and %u are of different splits of the "
			    "key (see their second and fourth words)",
			    first->index, s->index);
		if (at[s->index] == NULL) {
			at[s->index] = s;
			++*different;
		} else if (!cw_secret_equal(at[s->index]->data, s->data,
			       CW_SHARE_DATA_SIZE)) {
			return cw_error_set(err, CW_ERR_UNTRUSTED,
			    "share %u was given twice, and they differ",
			    s->index);
		}
	}
	return 0;
}

int
cw_escrow_join(const struct cw_share *shares, size_t count,
    struct cw_age_identity **out, struct cw_error *err)
{
	const struct cw_share *at[CW_SHARE_MADE_MAX + 1] = {NULL};
	uint8_t numbers[CW_SHARE_MADE_MAX], key[CW_SHARE_KEY_SIZE];
	unsigned different, n = 0, missing;
	struct cw_age_identity *id;
	uint8_t *data;
	gfshare_ctx *g;

	*out = NULL;
	if (count == 0)
		return cw_error_set(err, CW_ERR_MISSING, "no share was given");
	if (sort_out(shares, count, at, &different, err) < 0)
		return -1;
	if (different < shares[0].needed) {
		missing = shares[0].needed - different;
		return cw_error_set(err, CW_ERR_MISSING,
		    "%u of %u shares are here, %u are needed: bring %u more",
		    different, shares[0].made, shares[0].needed, missing);
	}
	/* No more than are needed: the others could only disturb. */
	for (unsigned i = 1; i <= CW_SHARE_MADE_MAX; i++)
		if (at[i] != NULL && n < shares[0].needed)
			numbers[n++] = (uint8_t)i;
	use_our_random();
	g = gfshare_ctx_init_dec(numbers, n, CW_SHARE_DATA_SIZE);
	if (g == NULL)
		return cw_error_errno(err, "cannot join the shares");
	data = cw_secret_alloc(CW_SHARE_DATA_SIZE);
	for (unsigned i = 0; i < n; i++) {
		memcpy(data, at[numbers[i]]->data, CW_SHARE_DATA_SIZE);
		gfshare_ctx_dec_giveshare(g, (unsigned char)i, data);
	}
	gfshare_ctx_dec_extract(g, data);
	end(g);
	id = cw_age_identity_from_scalar(data);
	cw_secret_free(data);
	name_key(cw_age_identity_point(id, 0), key);
	if (memcmp(key, shares[0].key, sizeof(key)) != 0) {
		cw_age_identity_free(id);
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "the shares do not give the key that they name: one of "
		    "them is not what was made; try with others");
	}
	*out = id;
	return 0;
}

/* ---- shares that people typed ---- */

struct words {
	const char *at, *end;
	bool is_line_start;
};

/* The next word, folded; a longer one than any of a share's is cut. */
static bool
next_word(struct words *w, char out[WORD_MAX])
{
	size_t n = 0;

	while (w->at < w->end) {
		char c = *w->at;

		if (w->is_line_start && c == '#') {
			while (w->at < w->end && *w->at != '\n')
				w->at++;
			continue;
		}
		w->is_line_start = c == '\n';
		if (isspace((unsigned char)c)) {
			w->at++;
			continue;
		}
		while (w->at < w->end && !isspace((unsigned char)*w->at)) {
			if (n < WORD_MAX - 1)
				out[n++] = (char)tolower((unsigned char)*w->at);
			w->at++;
		}
		out[n] = '\0';
		return true;
	}
	return false;
}

static void
add(struct cw_share **list, size_t *count, const struct cw_share *s)
{
	struct cw_share *grown = cw_secret_alloc((*count + 1) * sizeof(*grown));

	if (*count > 0)
		memcpy(grown, *list, *count * sizeof(*grown));
	grown[(*count)++] = *s;
	cw_secret_free(*list);
	*list = grown;
}

int
cw_escrow_read(const char *what, const char *text, size_t len,
    struct cw_share **list, size_t *count, struct cw_error *err)
{
	static const char prefix[] = "causeway-share";
	struct words w = {text, text + len, true};
	char *line = cw_secret_alloc(WORDS * WORD_MAX);
	char *word = cw_secret_alloc(WORD_MAX);
	struct cw_share *s = cw_secret_alloc(sizeof(*s));
	unsigned found = 0;
	int ret = 0;

	while (ret == 0 && next_word(&w, word)) {
		size_t n = 0;

		if (strncmp(word, prefix, sizeof(prefix) - 1) != 0)
			continue;
		if (*count == SHARES_MAX) {
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "more than %u shares", SHARES_MAX);
			break;
		}
		found++;
		for (unsigned i = 0; i < WORDS; i++) {
			struct words before = w;

			if (i > 0 && (!next_word(&w, word) ||
					 strncmp(word, prefix,
					     sizeof(prefix) - 1) == 0)) {
				w = before;
				break;
			}
			n += (size_t)snprintf(line + n, WORDS * WORD_MAX - n,
			    "%s%s", i > 0 ? " " : "", word);
		}
		ret = cw_share_decode(line, n, s, err);
		if (ret == 0)
			add(list, count, s);
		else
			cw_error_context(err, "%s, share %u", what, found);
	}
	if (ret == 0 && found == 0)
		ret = cw_error_set(err, CW_ERR_FORMAT,
		    "%s holds no share: one begins with \"" CW_SHARE_PREFIX
		    "\"",
		    what);
	cw_secret_free(line);
	cw_secret_free(word);
	cw_secret_free(s);
	return ret;
}
