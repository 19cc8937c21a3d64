#include "site/identity.h"

#include "base/crypto.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CARD_FILE_MAX 4096u

/*
 * Reads a file that holds a secret into secure memory, with a NUL behind it;
 * the caller frees it with cw_secret_free.
 */
static int
read_secret(int dirfd, const char *name, size_t max, char **text, size_t *len,
    struct cw_error *err)
{
	struct stat st;
	int fd, ret = -1;

	*text = NULL;
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return cw_error_set(err, CW_ERR_FAILED,
		    "there is no key file %s; name the one to use, or make "
		    "keys with `causeway init`",
		    name);
	if (fd < 0)
		return cw_error_errno(err, "cannot open key file %s", name);
	if (fstat(fd, &st) < 0) {
		cw_error_errno(err, "cannot stat %s", name);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)max) {
		cw_error_set(err, CW_ERR_FORMAT,
		    "%s is no key file: expected a file of at most %zu bytes",
		    name, max);
		goto out;
	}
	*text = cw_secret_alloc((size_t)st.st_size + 1);
	if (cw_read_full(fd, *text, (size_t)st.st_size, len, err) < 0) {
		cw_error_context(err, "%s", name);
		goto out;
	}
	ret = 0;
out:
	cw_close(&fd);
	if (ret < 0) {
		cw_secret_free(*text);
		*text = NULL;
	}
	return ret;
}

/* What the age decoder tells us and takes from us when it opens a key file. */
struct unsealing {
	const struct cw_passphrase *ask;
	const char *name;
	char *text; /* secure; room for max bytes */
	size_t len, max;
};

static const char *
ask_for(const struct cw_passphrase *ask, const char *name, struct cw_error *err)
{
	if (ask == NULL || ask->ask == NULL) {
		cw_error_set(err, CW_ERR_REFUSED,
		    "%s is encrypted; give its passphrase on a terminal or in "
		    "CAUSEWAY_PASSPHRASE",
		    name);
		return NULL;
	}
	return ask->ask(ask->arg, name, err);
}

static const char *
ask_hook(void *arg, struct cw_error *err)
{
	struct unsealing *u = arg;

	return ask_for(u->ask, u->name, err);
}

static int
take_text(void *arg, const uint8_t *data, size_t len, struct cw_error *err)
{
	struct unsealing *u = arg;

	if (len > u->max - u->len)
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s holds more than the keys of a key file", u->name);
	memcpy(u->text + u->len, data, len);
	u->len += len;
	return 0;
}

static bool
starts_with(const char *text, size_t len, const char *start)
{
	return len >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

/* Opens a key file that is itself sealed; *text and *len are replaced. */
static int
unseal(const char *name, const struct cw_passphrase *ask, char **text,
    size_t *len, struct cw_error *err)
{
	struct unsealing u = {.ask = ask, .name = name, .max = *len};
	struct cw_age_hooks hooks = {ask_hook, take_text, &u};
	struct cw_age_decoder *d = cw_age_decoder_new(NULL, &hooks);
	int ret = -1;

	u.text = cw_secret_alloc(*len + 1);
	if (cw_age_decoder_push(d, (const uint8_t *)*text, *len, err) < 0 ||
	    cw_age_decoder_finish(d, err) < 0) {
		if (cw_age_decoder_outcome(d) == CW_AGE_NO_MATCH &&
		    err != NULL && err->code != CW_ERR_REFUSED)
			cw_error_set(err, CW_ERR_REFUSED,
			    "the passphrase for %s is wrong", name);
		goto out;
	}
	cw_secret_free(*text);
	*text = u.text;
	*len = u.len;
	u.text = NULL;
	ret = 0;
out:
	cw_secret_free(u.text);
	cw_age_decoder_free(d);
	return ret;
}

int
cw_identity_age_file(int dirfd, const char *name,
    const struct cw_passphrase *ask, struct cw_age_identity **out,
    struct cw_error *err)
{
	char *text = NULL;
	size_t len = 0;
	int ret = -1;

	*out = NULL;
	if (read_secret(dirfd, name, CW_AGE_KEY_FILE_MAX, &text, &len, err) < 0)
		return -1;
	if ((starts_with(text, len, "age-encryption.org/v1\n") ||
		starts_with(text, len, "-----BEGIN AGE ENCRYPTED FILE-----")) &&
	    unseal(name, ask, &text, &len, err) < 0)
		goto out;
	if (cw_age_identity_parse(text, len, out, err) < 0) {
		cw_error_context(err, "%s", name);
		goto out;
	}
	ret = 0;
out:
	cw_secret_free(text);
	return ret;
}

int
cw_identity_card(int dirfd, struct cw_card *card, struct cw_error *err)
{
	struct cw_buf text = CW_BUF_INIT;
	int found =
	    cw_read_file(dirfd, CW_IDENTITY_CARD, CARD_FILE_MAX, &text, err);
	int ret = -1;

	if (found > 0)
		cw_error_set(err, CW_ERR_FAILED,
		    "this home has no identity (there is no %s); make one with "
		    "`causeway init`",
		    CW_IDENTITY_CARD);
	else if (found == 0 && (ret = cw_card_decode((const char *)text.data,
				    text.len, card, err)) < 0)
		cw_error_context(err, "%s", CW_IDENTITY_CARD);
	cw_buf_free(&text);
	return ret;
}

int
cw_identity_age(int dirfd, const struct cw_passphrase *ask,
    struct cw_age_identity **out, struct cw_error *err)
{
	struct cw_age_recipient r;
	struct cw_card card;

	*out = NULL;
	if (cw_identity_card(dirfd, &card, err) < 0 ||
	    cw_identity_age_file(dirfd, CW_IDENTITY_AGE, ask, out, err) < 0)
		return -1;
	cw_age_identity_recipient(*out, &r);
	if (memcmp(r.point, card.age_point, sizeof(r.point)) == 0)
		return 0;
	cw_age_identity_free(*out);
	*out = NULL;
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "%s is not the key of this site's card (%s); put back the right "
	    "file",
	    CW_IDENTITY_AGE, CW_IDENTITY_CARD);
}

int
cw_identity_sign(int dirfd, const struct cw_passphrase *ask,
    struct cw_minisign_secret **out, struct cw_error *err)
{
	struct cw_minisign_public pub;
	const char *passphrase = NULL;
	struct cw_card card;
	char *text = NULL;
	size_t len = 0;
	int ret = -1;

	*out = NULL;
	if (cw_identity_card(dirfd, &card, err) < 0 ||
	    read_secret(dirfd, CW_IDENTITY_SIGN, CW_MINISIGN_FILE_MAX, &text,
		&len, err) < 0)
		return -1;
	if (cw_minisign_secret_is_encrypted(text, len)) {
		passphrase = ask_for(ask, CW_IDENTITY_SIGN, err);
		if (passphrase == NULL)
			goto out;
	}
	if (cw_minisign_secret_parse(text, len, passphrase, out, err) < 0) {
		cw_error_context(err, "%s", CW_IDENTITY_SIGN);
		goto out;
	}
	cw_minisign_secret_public(*out, &pub);
	if (!cw_minisign_public_equal(&pub, &card.sign)) {
		cw_minisign_secret_free(*out);
		*out = NULL;
		cw_error_set(err, CW_ERR_DAMAGED,
		    "%s is not the key of this site's card (%s); put back the "
		    "right file",
		    CW_IDENTITY_SIGN, CW_IDENTITY_CARD);
		goto out;
	}
	ret = 0;
out:
	cw_secret_free(text);
	return ret;
}

static int
save_age(int dirfd, const struct cw_age_identity *id, const char *passphrase,
    struct cw_error *err)
{
	struct cw_buf sealed = CW_BUF_INIT;
	struct cw_age_seal *seal = NULL;
	char created[CW_TIME_TEXT];
	char *text;
	int ret = -1;

	cw_time_format((int64_t)time(NULL), created);
	text = cw_age_identity_format(id, created);
	if (passphrase == NULL) {
		ret = cw_save_file(
		    dirfd, CW_IDENTITY_AGE, text, strlen(text), 0600, err);
		goto out;
	}
	if (cw_age_seal_new_passphrase(passphrase, CW_AGE_LOG_N, &seal, err) <
		0 ||
	    cw_age_seal_whole(
		seal, (const uint8_t *)text, strlen(text), &sealed, err) < 0)
		goto out;
	ret = cw_save_file(
	    dirfd, CW_IDENTITY_AGE, sealed.data, sealed.len, 0600, err);
out:
	cw_secret_free(text);
	cw_age_seal_free(seal);
	cw_buf_free(&sealed);
	return ret;
}

static int
save_sign(int dirfd, const struct cw_minisign_secret *secret,
    const struct cw_minisign_public *pub, const char *passphrase,
    struct cw_error *err)
{
	char *text = cw_minisign_secret_format(secret, passphrase, err);
	char *line = cw_minisign_public_format(pub);
	int ret = -1;

	if (text != NULL && cw_save_file(dirfd, CW_IDENTITY_SIGN, text,
				strlen(text), 0600, err) == 0)
		ret = cw_save_file(
		    dirfd, CW_IDENTITY_PUB, line, strlen(line), 0644, err);
	cw_secret_free(text);
	free(line);
	return ret;
}

/* 1: there is a complete identity of that name; 0: there is none. */
static int
look(int dirfd, const char *name, struct cw_error *err)
{
	struct cw_card card;

	if (faccessat(dirfd, CW_IDENTITY_CARD, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return cw_error_errno(
		    err, "cannot look at %s", CW_IDENTITY_CARD);
	}
	if (cw_identity_card(dirfd, &card, err) < 0)
		return -1;
	if (strcmp(card.name, name) == 0)
		return 1;
	return cw_error_set(err, CW_ERR_REFUSED,
	    "there are keys of site %s already; use that name to go on with "
	    "them, or another home",
	    card.name);
}

int
cw_identity_create(
    int dirfd, const char *name, const char *passphrase, struct cw_error *err)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_age_identity *id = NULL;
	struct cw_age_recipient r;
	struct cw_card card = {.name = ""};
	char line[CW_CARD_TEXT_SIZE + 1];
	size_t len;
	int ret = -1;

	if (!cw_card_name_is_valid(name, strlen(name)))
		return cw_error_set(err, CW_ERR_USAGE,
		    "\"%s\" is no name for a site; use 1 to %u of a-z, 0-9 and "
		    "-, without - at the ends",
		    name, CW_CARD_NAME_MAX);
	ret = look(dirfd, name, err);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	ret = -1;
	if (mkdirat(dirfd, "keys", 0700) < 0 && errno != EEXIST)
		return cw_error_errno(err, "cannot make directory keys");

	id = cw_age_identity_generate();
	secret = cw_minisign_generate();
	cw_age_identity_recipient(id, &r);
	memcpy(card.name, name, strlen(name) + 1);
	memcpy(card.age_point, r.point, sizeof(card.age_point));
	cw_minisign_secret_public(secret, &card.sign);
	cw_card_encode(&card, line);
	len = strlen(line);
	line[len++] = '\n';
	/* The card comes last: nobody has seen it before the keys are safe. */
	if (save_age(dirfd, id, passphrase, err) < 0 ||
	    save_sign(dirfd, secret, &card.sign, passphrase, err) < 0 ||
	    cw_save_file(dirfd, CW_IDENTITY_CARD, line, len, 0644, err) < 0)
		goto out;
	ret = 0;
out:
	cw_minisign_secret_free(secret);
	cw_age_identity_free(id);
	return ret;
}
