#include "base/bytes.h"
#include "base/crypto.h"
#include "formats/minisign/minisign.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <unistd.h>

#define SHARED CW_SOURCE_DIR "/../shared/data/minisign"

static struct cw_minisign_secret *
read_secret(const char *name)
{
	struct cw_buf text = vector_read(name);
	struct cw_minisign_secret *secret = NULL;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_minisign_secret_parse((const char *)text.data,
			  text.len, NULL, &secret, &err) == 0,
	    "%s", err.message);
	cw_buf_free(&text);
	return secret;
}

static struct cw_minisign_public
read_public(const char *name)
{
	struct cw_buf text = vector_read(name);
	struct cw_minisign_public pub;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_minisign_public_parse(
			  (const char *)text.data, text.len, &pub, &err) == 0,
	    "%s", err.message);
	cw_buf_free(&text);
	return pub;
}

static int
verify_vector(const char *text, size_t len, struct cw_error *err)
{
	struct cw_minisign_public pub = read_public("minisign/plain.pub");
	struct cw_buf msg = vector_read("minisign/message.txt");
	char comment[64];
	int ret = cw_minisign_verify(
	    &pub, msg.data, msg.len, text, len, comment, sizeof(comment), err);

	if (ret == 0)
		ck_assert_str_eq(comment, "a trusted comment");
	cw_buf_free(&msg);
	return ret;
}

START_TEST(every_signature_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("minisign", "expected", verify_vector), 0);
}
END_TEST

static int
public_vector(const char *text, size_t len, struct cw_error *err)
{
	struct cw_minisign_public pub, again;
	char *file;

	if (cw_minisign_public_parse(text, len, &pub, err) < 0)
		return -1;
	file = cw_minisign_public_format(&pub);
	ck_assert_int_eq(
	    cw_minisign_public_parse(file, strlen(file), &again, err), 0);
	ck_assert(cw_minisign_public_equal(&pub, &again));
	free(file);
	return 0;
}

START_TEST(every_public_key_vector_has_its_outcome)
{
	ck_assert_int_eq(
	    vector_run("minisign", "expected-public", public_vector), 0);
}
END_TEST

static int
secret_vector(const char *text, size_t len, struct cw_error *err)
{
	struct cw_minisign_secret *secret = NULL;
	/* A passphrase only where the limits must be refused before scrypt. */
	const char *passphrase = NULL;
	struct cw_buf usual =
	    vector_read("minisign/c_encrypted_password123.key");
	int ret;

	if (cw_minisign_secret_is_encrypted(text, len) &&
	    (len != usual.len || memcmp(text, usual.data, len) != 0))
		passphrase = "x";
	cw_buf_free(&usual);
	ret = cw_minisign_secret_parse(text, len, passphrase, &secret, err);
	ck_assert((ret == 0) == (secret != NULL));
	cw_minisign_secret_free(secret);
	return ret;
}

START_TEST(every_secret_key_vector_has_its_outcome)
{
	ck_assert_int_eq(
	    vector_run("minisign", "expected-secret", secret_vector), 0);
}
END_TEST

START_TEST(plain_secret_key_is_written_as_the_stock_tool_writes_it)
{
	struct cw_minisign_secret *secret = read_secret("minisign/plain.key");
	struct cw_buf expected = vector_read("minisign/plain.key");
	char *text = cw_minisign_secret_format(secret, NULL, NULL);

	ck_assert_str_eq(text, (char *)expected.data);
	cw_secret_free(text);
	cw_buf_free(&expected);
	cw_minisign_secret_free(secret);
}
END_TEST

START_TEST(public_key_is_written_as_the_stock_tool_writes_it)
{
	struct cw_minisign_secret *secret = read_secret("minisign/plain.key");
	struct cw_buf expected = vector_read("minisign/plain.pub");
	struct cw_minisign_public pub;
	char *text;

	cw_minisign_secret_public(secret, &pub);
	text = cw_minisign_public_format(&pub);
	ck_assert_str_eq(text, (char *)expected.data);
	free(text);
	cw_buf_free(&expected);
	cw_minisign_secret_free(secret);
}
END_TEST

START_TEST(wycheproof_ed25519_vectors_have_their_outcome)
{
	struct cw_buf lines = vector_read("minisign/ed25519-wycheproof.txt");
	char *save = NULL;
	int count = 0;

	for (char *line = strtok_r((char *)lines.data, "\n", &save);
	     line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char id[8], result[8], key[65], msg[4096], sig[512];
		uint8_t point[32], bytes[2048], s[64];
		size_t len;
		bool is_good;

		ck_assert_int_eq(sscanf(line, "%7s %7s %64s %4095s %511s", id,
				     result, key, msg, sig),
		    5);
		len = strcmp(msg, "-") == 0 ? 0 : strlen(msg) / 2;
		ck_assert(cw_hex_decode(key, 64, point, 32));
		ck_assert(len == 0 || cw_hex_decode(msg, 2 * len, bytes, len));
		is_good = cw_hex_decode(sig, strlen(sig), s, 64) &&
			  cw_ed25519_verify(point, bytes, len, s);
		ck_assert_msg(
		    is_good == (strcmp(result, "valid") == 0), "test %s", id);
		count++;
	}
	ck_assert_int_eq(count, 151);
	cw_buf_free(&lines);
}
END_TEST

/* RFC 8032 section 7.1, TEST 3. */
START_TEST(ed25519_signs_as_rfc_8032_says)
{
	static const char seed_hex[] = "c5aa8df43f9f837bedb7442f31dcb7b1"
				       "66d38535076f094b85ce3a2e0b4458f7";
	static const char point_hex[] = "fc51cd8e6218a1a38da47ed00230f058"
					"0816ed13ba3303ac5deb911548908025";
	static const char sig_hex[] = "6291d657deec24024827e69c3abe01a3"
				      "0ce548a284743a445e3680d7db5ac3ac"
				      "18ff9b538d16f290ae67f760984dc659"
				      "4a7c15e9716ed28dc027beceea1ec40a";
	static const uint8_t msg[] = {0xaf, 0x82};
	uint8_t seed[32], point[32], expected[64], found[64];

	ck_assert(cw_hex_decode(seed_hex, 64, seed, 32));
	ck_assert(cw_hex_decode(point_hex, 64, expected, 32));
	ck_assert_int_eq(cw_ed25519_point(seed, point, NULL), 0);
	ck_assert_mem_eq(point, expected, 32);
	ck_assert(cw_hex_decode(sig_hex, 128, expected, 64));
	ck_assert_int_eq(
	    cw_ed25519_sign_raw(seed, point, msg, 2, found, NULL), 0);
	ck_assert_mem_eq(found, expected, 64);
}
END_TEST

START_TEST(a_message_too_long_to_sign_is_refused)
{
	struct cw_minisign_secret *secret = read_secret("minisign/plain.key");
	uint8_t *msg = cw_calloc(1, CW_ED25519_SIGN_MAX + 1), sig[64];
	struct cw_error err = CW_ERROR_INIT;
	struct cw_minisign_public pub;

	ck_assert_int_eq(
	    cw_ed25519_sign(secret, msg, CW_ED25519_SIGN_MAX + 1, sig, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(
	    cw_ed25519_sign(secret, msg, CW_ED25519_SIGN_MAX, sig, &err), 0);
	cw_minisign_secret_public(secret, &pub);
	ck_assert(cw_ed25519_verify(pub.point, msg, CW_ED25519_SIGN_MAX, sig));
	free(msg);
	cw_minisign_secret_free(secret);
}
END_TEST

START_TEST(what_we_sign_verifies_and_names_its_key)
{
	struct cw_minisign_secret *secret = cw_minisign_generate();
	struct cw_buf sig = CW_BUF_INIT;
	struct cw_minisign_public pub;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t id[8];
	char comment[8];

	ck_assert_int_eq(
	    cw_minisign_sign(secret, "abc", 3, "seed\t0123456789", &sig, &err),
	    0);
	cw_minisign_secret_public(secret, &pub);
	ck_assert_int_eq(cw_minisign_verify(&pub, "abc", 3, (char *)sig.data,
			     sig.len, comment, sizeof(comment), &err),
	    0);
	ck_assert_str_eq(comment, "seed\t01");
	ck_assert_int_eq(cw_minisign_verify(&pub, "abd", 3, (char *)sig.data,
			     sig.len, NULL, 0, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_int_eq(
	    cw_minisign_sig_key_id((char *)sig.data, sig.len, id, &err), 0);
	ck_assert_mem_eq(id, pub.key_id, 8);
	cw_buf_free(&sig);
	cw_minisign_secret_free(secret);
}
END_TEST

START_TEST(a_comment_of_two_lines_is_refused)
{
	struct cw_minisign_secret *secret = read_secret("minisign/plain.key");
	struct cw_buf sig = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(
	    cw_minisign_sign(secret, "abc", 3, "one\ntwo", &sig, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_uint_eq(sig.len, 0);
	cw_minisign_secret_free(secret);
}
END_TEST

static void
verify_go_minisign(const char *name)
{
	struct cw_minisign_public pub = read_public("minisign/go-minisign.pub");
	struct cw_buf msg = vector_read("minisign/go-minisign.txt");
	struct cw_buf sig = vector_read(name);
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_minisign_verify(&pub, msg.data, msg.len,
			  (char *)sig.data, sig.len, NULL, 0, &err) == 0,
	    "%s", err.message);
	cw_buf_free(&sig);
	cw_buf_free(&msg);
}

START_TEST(signatures_of_other_writers_verify)
{
	verify_go_minisign("minisign/go-minisign.legacy.minisig");
	verify_go_minisign("minisign/go-minisign.prehashed.minisig");
}
END_TEST

START_TEST(encrypted_secret_key_opens_with_its_passphrase_only)
{
	struct cw_minisign_secret *secret = read_secret("minisign/plain.key");
	struct cw_minisign_secret *again = NULL;
	struct cw_minisign_public pub, pub_again;
	struct cw_error err = CW_ERROR_INIT;
	char *text = cw_minisign_secret_format(secret, "a phrase", &err);

	ck_assert_ptr_nonnull(text);
	ck_assert(cw_minisign_secret_is_encrypted(text, strlen(text)));
	ck_assert_int_eq(
	    cw_minisign_secret_parse(text, strlen(text), NULL, &again, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_minisign_secret_parse(
			     text, strlen(text), "another", &again, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(cw_minisign_secret_parse(
			     text, strlen(text), "a phrase", &again, &err),
	    0);
	cw_minisign_secret_public(secret, &pub);
	cw_minisign_secret_public(again, &pub_again);
	ck_assert(cw_minisign_public_equal(&pub, &pub_again));
	cw_secret_free(text);
	cw_minisign_secret_free(again);
	cw_minisign_secret_free(secret);
}
END_TEST

/* scrypt with N = 2^20 takes 1 GiB for some seconds: one key is enough. */
START_TEST(encrypted_secret_key_of_the_stock_tool_opens)
{
	struct cw_buf text =
	    vector_read("minisign/c_encrypted_password123.key");
	struct cw_minisign_public expected =
	    read_public("minisign/c_encrypted_password123.pub");
	struct cw_minisign_secret *secret = NULL;
	struct cw_minisign_public pub;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_minisign_secret_parse((char *)text.data, text.len,
			  "password123", &secret, &err) == 0,
	    "%s", err.message);
	cw_minisign_secret_public(secret, &pub);
	ck_assert(cw_minisign_public_equal(&pub, &expected));
	cw_minisign_secret_free(secret);
	cw_buf_free(&text);
}
END_TEST

START_TEST(shared_test_key_belongs_to_its_public_key)
{
	struct cw_buf text;
	struct cw_minisign_secret *secret = NULL;
	struct cw_minisign_public pub, expected;

	if (access(SHARED "/test.key", R_OK) != 0) {
		puts("skip: shared_test_key_belongs_to_its_public_key");
		return;
	}
	text = vector_read_at(SHARED, "test.key");
	ck_assert_int_eq(cw_minisign_secret_parse((char *)text.data, text.len,
			     "test", &secret, NULL),
	    0);
	cw_minisign_secret_public(secret, &pub);
	cw_buf_free(&text);
	text = vector_read_at(SHARED, "test.pub");
	ck_assert_int_eq(cw_minisign_public_parse(
			     (char *)text.data, text.len, &expected, NULL),
	    0);
	ck_assert(cw_minisign_public_equal(&pub, &expected));
	cw_buf_free(&text);
	cw_minisign_secret_free(secret);
}
END_TEST

static void
write_at(const char *dir, const char *name, const void *data, size_t len)
{
	char *path = cw_asprintf("%s/%s", dir, name);
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
	free(path);
}

static int
run_in(const char *dir, const char *command)
{
	char *line = cw_asprintf("cd '%s' && %s >out 2>&1", dir, command);
	int status = system(line);

	free(line);
	return status;
}

START_TEST(stock_tool_and_we_read_each_other)
{
	char dir[] = "/tmp/cw-minisign-XXXXXX";
	struct cw_minisign_secret *secret, *theirs = NULL;
	struct cw_minisign_public pub;
	struct cw_error err = CW_ERROR_INIT;
	struct cw_buf sig = CW_BUF_INIT, file;
	char *text, *line;

	if (system("command -v minisign >/dev/null") != 0) {
		puts("skip: stock_tool_and_we_read_each_other");
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(dir));
	secret = cw_minisign_generate();
	cw_minisign_secret_public(secret, &pub);
	write_at(dir, "msg", "abc", 3);

	/* Our signature and public key. */
	ck_assert_int_eq(
	    cw_minisign_sign(secret, "abc", 3, "ours", &sig, &err), 0);
	write_at(dir, "msg.minisig", sig.data, sig.len);
	text = cw_minisign_public_format(&pub);
	write_at(dir, "key.pub", text, strlen(text));
	free(text);
	ck_assert_int_eq(run_in(dir, "minisign -V -p key.pub -m msg"), 0);

	/* Our secret keys, plain and encrypted, and their signatures. */
	text = cw_minisign_secret_format(secret, NULL, &err);
	write_at(dir, "key", text, strlen(text));
	cw_secret_free(text);
	text = cw_minisign_secret_format(secret, "phrase", &err);
	write_at(dir, "locked", text, strlen(text));
	cw_secret_free(text);
	ck_assert_int_eq(run_in(dir, "minisign -S -s key -m msg -x a"), 0);
	ck_assert_int_eq(
	    run_in(dir, "echo phrase | minisign -S -s locked -m msg -x b"), 0);
	for (const char *name = "a"; name != NULL;
	     name = *name == 'a' ? "b" : NULL) {
		file = vector_read_at(dir, name);
		ck_assert_int_eq(
		    cw_minisign_verify(&pub, "abc", 3, (char *)file.data,
			file.len, NULL, 0, &err),
		    0);
		cw_buf_free(&file);
	}

	/* Their key. */
	ck_assert_int_eq(run_in(dir, "minisign -G -W -p t.pub -s t.key"), 0);
	file = vector_read_at(dir, "t.key");
	ck_assert_int_eq(cw_minisign_secret_parse(
			     (char *)file.data, file.len, NULL, &theirs, &err),
	    0);
	cw_buf_free(&file);

	cw_minisign_secret_free(theirs);
	cw_minisign_secret_free(secret);
	cw_buf_free(&sig);
	line = cw_asprintf("rm -r '%s'", dir);
	ck_assert_int_eq(system(line), 0);
	free(line);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("minisign");
	TCase *tc = tcase_create("minisign");
	struct cw_error err = CW_ERROR_INIT;
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, every_signature_vector_has_its_outcome);
	tcase_add_test(tc, every_public_key_vector_has_its_outcome);
	tcase_add_test(tc, every_secret_key_vector_has_its_outcome);
	tcase_add_test(
	    tc, plain_secret_key_is_written_as_the_stock_tool_writes_it);
	tcase_add_test(tc, public_key_is_written_as_the_stock_tool_writes_it);
	tcase_add_test(tc, wycheproof_ed25519_vectors_have_their_outcome);
	tcase_add_test(tc, ed25519_signs_as_rfc_8032_says);
	tcase_add_test(tc, a_message_too_long_to_sign_is_refused);
	tcase_add_test(tc, what_we_sign_verifies_and_names_its_key);
	tcase_add_test(tc, a_comment_of_two_lines_is_refused);
	tcase_add_test(tc, signatures_of_other_writers_verify);
	tcase_add_test(tc, encrypted_secret_key_opens_with_its_passphrase_only);
	tcase_add_test(tc, encrypted_secret_key_of_the_stock_tool_opens);
	tcase_add_test(tc, shared_test_key_belongs_to_its_public_key);
	tcase_add_test(tc, stock_tool_and_we_read_each_other);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
