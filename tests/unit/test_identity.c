#include "base/crypto.h"
#include "base/fs.h"
#include "site/identity.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VECTORS	   CW_SOURCE_DIR "/tests/vectors/identity"
#define PASSPHRASE "correct horse battery"

static char dir[64];
static int dirfd_;
static struct cw_error err;

static void
setup(void)
{
	err = (struct cw_error)CW_ERROR_INIT;
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	strcpy(dir, "/tmp/test_identity.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = cw_open_dir(dir, &err);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	static const char *const names[] = {CW_IDENTITY_AGE, CW_IDENTITY_SIGN,
	    CW_IDENTITY_PUB, CW_IDENTITY_CARD};

	for (size_t i = 0; i < 4; i++)
		(void)unlinkat(dirfd_, names[i], 0);
	(void)unlinkat(dirfd_, "keys", AT_REMOVEDIR);
	cw_close(&dirfd_);
	(void)rmdir(dir);
}

static const char *answer; /* what the hook says; NULL: nothing */
static int asked;

static const char *
ask(void *arg, const char *what, struct cw_error *e)
{
	(void)arg;
	(void)what;
	asked++;
	if (answer == NULL)
		cw_error_set(e, CW_ERR_REFUSED, "nobody is here");
	return answer;
}

static const struct cw_passphrase hook = {ask, NULL};

static mode_t
mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(fstatat(dirfd_, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static struct cw_buf
read_name(const char *name)
{
	struct cw_buf text = CW_BUF_INIT;

	ck_assert_int_eq(cw_read_file(dirfd_, name, 65536, &text, &err), 0);
	return text;
}

/* The recipient in the comment of the key file that age-keygen wrote. */
static void
check_recipient(const struct cw_age_identity *id)
{
	struct cw_buf text = vector_read_at(VECTORS, "age.key");
	char recipient[CW_AGE_RECIPIENT_TEXT];
	struct cw_age_recipient r;

	cw_age_identity_recipient(id, &r);
	cw_age_recipient_format(&r, recipient);
	ck_assert_ptr_nonnull(strstr((char *)text.data, recipient));
	cw_buf_free(&text);
}

START_TEST(a_new_identity_loads_and_fits_its_card)
{
	struct cw_age_identity *id;
	struct cw_minisign_secret *secret;
	struct cw_card card;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	ck_assert_int_eq(cw_identity_card(dirfd_, &card, &err), 0);
	ck_assert_str_eq(card.name, "a");
	ck_assert_int_eq(cw_identity_age(dirfd_, NULL, &id, &err), 0);
	ck_assert_int_eq(cw_identity_sign(dirfd_, NULL, &secret, &err), 0);
	ck_assert_int_eq(
	    memcmp(cw_age_identity_point(id, 0), card.age_point, 32), 0);
	cw_age_identity_free(id);
	cw_minisign_secret_free(secret);
}
END_TEST

START_TEST(private_files_are_for_their_owner_alone)
{
	(void)umask(0);
	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	ck_assert_int_eq(mode_of("keys"), 0700);
	ck_assert_int_eq(mode_of(CW_IDENTITY_AGE), 0600);
	ck_assert_int_eq(mode_of(CW_IDENTITY_SIGN), 0600);
	ck_assert_int_eq(mode_of(CW_IDENTITY_PUB), 0644);
	ck_assert_int_eq(mode_of(CW_IDENTITY_CARD), 0644);
}
END_TEST

START_TEST(key_files_begin_as_the_stock_tools_write_them)
{
	struct cw_buf text;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	text = read_name(CW_IDENTITY_AGE);
	ck_assert_int_eq(strncmp(cw_buf_string(&text), "# created: 20", 13), 0);
	ck_assert_ptr_nonnull(
	    strstr(cw_buf_string(&text), "\n# public key: age1"));
	ck_assert_ptr_nonnull(
	    strstr(cw_buf_string(&text), "\nAGE-SECRET-KEY-1"));
	cw_buf_free(&text);
	text = read_name(CW_IDENTITY_SIGN);
	ck_assert_ptr_nonnull(strstr(cw_buf_string(&text), "\nRWQAAEIy"));
	cw_buf_free(&text);
}
END_TEST

START_TEST(creating_again_keeps_the_keys)
{
	struct cw_buf before, after;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	before = read_name(CW_IDENTITY_AGE);
	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	ck_assert_int_eq(cw_identity_create(dirfd_, "b", NULL, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	after = read_name(CW_IDENTITY_AGE);
	ck_assert_uint_eq(before.len, after.len);
	ck_assert_int_eq(memcmp(before.data, after.data, before.len), 0);
	cw_buf_free(&before);
	cw_buf_free(&after);
}
END_TEST

START_TEST(keys_without_a_card_are_replaced)
{
	struct cw_age_identity *id;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	ck_assert_int_eq(unlinkat(dirfd_, CW_IDENTITY_CARD, 0), 0);
	ck_assert_int_eq(unlinkat(dirfd_, CW_IDENTITY_SIGN, 0), 0);
	ck_assert_int_eq(cw_identity_create(dirfd_, "b", NULL, &err), 0);
	ck_assert_int_eq(cw_identity_age(dirfd_, NULL, &id, &err), 0);
	cw_age_identity_free(id);
}
END_TEST

START_TEST(a_name_that_no_card_takes_is_refused)
{
	ck_assert_int_eq(cw_identity_create(dirfd_, "A b", NULL, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_ne(faccessat(dirfd_, "keys", F_OK, 0), 0);
}
END_TEST

START_TEST(another_key_than_the_cards_is_told)
{
	struct cw_buf text = vector_read_at(VECTORS, "age.key");
	struct cw_age_identity *id;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", NULL, &err), 0);
	ck_assert_int_eq(cw_save_file(dirfd_, CW_IDENTITY_AGE, text.data,
			     text.len, 0600, &err),
	    0);
	ck_assert_int_eq(cw_identity_age(dirfd_, NULL, &id, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert_ptr_null(id);
	cw_buf_free(&text);
}
END_TEST

START_TEST(no_identity_says_init)
{
	struct cw_card card;

	ck_assert_int_eq(cw_identity_card(dirfd_, &card, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(err.message, "causeway init"));
}
END_TEST

START_TEST(a_passphrase_guards_both_keys)
{
	struct cw_age_identity *id;
	struct cw_minisign_secret *secret;
	struct cw_card card;
	struct cw_buf text;

	ck_assert_int_eq(cw_identity_create(dirfd_, "a", PASSPHRASE, &err), 0);
	text = read_name(CW_IDENTITY_AGE);
	ck_assert_int_eq(
	    strncmp(cw_buf_string(&text), "age-encryption.org/v1\n", 22), 0);
	cw_buf_free(&text);

	/* The card needs no passphrase. */
	ck_assert_int_eq(cw_identity_card(dirfd_, &card, &err), 0);

	ck_assert_int_eq(cw_identity_age(dirfd_, NULL, &id, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_identity_sign(dirfd_, NULL, &secret, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);

	asked = 0;
	answer = PASSPHRASE;
	ck_assert_int_eq(cw_identity_age(dirfd_, &hook, &id, &err), 0);
	ck_assert_int_eq(cw_identity_sign(dirfd_, &hook, &secret, &err), 0);
	ck_assert_int_eq(asked, 2);
	cw_age_identity_free(id);
	cw_minisign_secret_free(secret);

	answer = "wrong";
	ck_assert_int_eq(cw_identity_age(dirfd_, &hook, &id, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_identity_sign(dirfd_, &hook, &secret, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	answer = NULL;
	ck_assert_int_eq(cw_identity_age(dirfd_, &hook, &id, &err), -1);
	ck_assert_str_eq(err.message, "nobody is here");
}
END_TEST

START_TEST(key_files_of_the_stock_tools_load)
{
	static const char *const names[] = {
	    "age.key", "age-sealed.key", "age-armored.key"};
	struct cw_age_identity *id;
	int vectors = cw_open_dir(VECTORS, &err);

	answer = PASSPHRASE;
	for (size_t i = 0; i < 3; i++) {
		ck_assert_msg(cw_identity_age_file(
				  vectors, names[i], &hook, &id, &err) == 0,
		    "%s: %s", names[i], err.message);
		check_recipient(id);
		cw_age_identity_free(id);
	}
	ck_assert_int_eq(
	    cw_identity_age_file(vectors, "minisign.pub", &hook, &id, &err),
	    -1);
	ck_assert_int_eq(
	    cw_identity_age_file(vectors, "none.key", &hook, &id, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "none.key"));
	cw_close(&vectors);
}
END_TEST

START_TEST(a_home_of_stock_keys_works)
{
	struct cw_buf age = vector_read_at(VECTORS, "age.key");
	struct cw_buf sign = vector_read_at(VECTORS, "minisign.key");
	struct cw_buf pub = vector_read_at(VECTORS, "minisign.pub");
	struct cw_card card = {.name = "stock"};
	struct cw_minisign_secret *secret;
	struct cw_age_identity *id;
	char line[CW_CARD_TEXT_SIZE];

	ck_assert_int_eq(mkdirat(dirfd_, "keys", 0700), 0);
	ck_assert_int_eq(
	    cw_age_identity_parse((char *)age.data, age.len, &id, &err), 0);
	memcpy(card.age_point, cw_age_identity_point(id, 0), 32);
	cw_age_identity_free(id);
	ck_assert_int_eq(cw_minisign_public_parse(
			     (char *)pub.data, pub.len, &card.sign, &err),
	    0);
	cw_card_encode(&card, line);
	ck_assert_int_eq(cw_save_file(dirfd_, CW_IDENTITY_AGE, age.data,
			     age.len, 0600, &err),
	    0);
	ck_assert_int_eq(cw_save_file(dirfd_, CW_IDENTITY_SIGN, sign.data,
			     sign.len, 0600, &err),
	    0);
	ck_assert_int_eq(cw_save_file(dirfd_, CW_IDENTITY_CARD, line,
			     strlen(line), 0644, &err),
	    0);
	ck_assert_int_eq(cw_identity_age(dirfd_, NULL, &id, &err), 0);
	ck_assert_int_eq(cw_identity_sign(dirfd_, NULL, &secret, &err), 0);
	cw_age_identity_free(id);
	cw_minisign_secret_free(secret);
	cw_buf_free(&age);
	cw_buf_free(&sign);
	cw_buf_free(&pub);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tc = tcase_create("identity");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_new_identity_loads_and_fits_its_card);
	tcase_add_test(tc, private_files_are_for_their_owner_alone);
	tcase_add_test(tc, key_files_begin_as_the_stock_tools_write_them);
	tcase_add_test(tc, creating_again_keeps_the_keys);
	tcase_add_test(tc, keys_without_a_card_are_replaced);
	tcase_add_test(tc, a_name_that_no_card_takes_is_refused);
	tcase_add_test(tc, another_key_than_the_cards_is_told);
	tcase_add_test(tc, no_identity_says_init);
	tcase_add_test(tc, a_passphrase_guards_both_keys);
	tcase_add_test(tc, key_files_of_the_stock_tools_load);
	tcase_add_test(tc, a_home_of_stock_keys_works);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
