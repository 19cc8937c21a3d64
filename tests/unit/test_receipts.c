/* Receipts between two homes: what the active site believes, and keeps. */
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "site/identity.h"
#include "site/receipts.h"
#include "tests/unit/scratch.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct cw_home *active, *recovery;
static struct cw_minisign_secret *secret;
static struct cw_set set;
static char line[CW_RECEIPT_TEXT_SIZE];

static struct cw_home *
make_home(const char *name)
{
	const struct cw_home_options options = {.name = name};
	char *path = cw_asprintf("%s/%s", dir, name);
	struct cw_error err = CW_ERROR_INIT;
	struct cw_home *home = NULL;

	ck_assert_msg(cw_home_create(path, NULL, &options, &home, &err) == 0,
	    "%s", err.message);
	free(path);
	return home;
}

static void
pair(struct cw_home *home, const struct cw_home *with)
{
	struct cw_card card;

	ck_assert_int_eq(cw_identity_card(with->state_fd, &card, NULL), 0);
	ck_assert_int_eq(cw_home_add_peer(home, &card, NULL, NULL, NULL), 0);
}

/* The seed's manifest as the active site has it; generation tells it apart. */
static void
seal(uint64_t generation)
{
	struct cw_manifest *m = &set.manifest;
	const struct cw_manifest_file file = {
	    .name = "MEDIUM", .medium = 1, .size = 1};
	struct cw_buf text = CW_BUF_INIT;
	struct cw_error err = CW_ERROR_INIT;
	uint8_t point[32] = {9};
	char *path;
	int fd;

	cw_manifest_free(m);
	*m = (struct cw_manifest)CW_MANIFEST_INIT;
	memcpy(m->seed_id, "\1\2\3\4\5\6\7\10", 8);
	memcpy(m->store_id, "storestorestores", 16);
	m->generation = generation;
	m->epoch = 1;
	m->time = 1795348800;
	m->has_catalog = true;
	m->volume_size = 1;
	m->media = 1;
	m->is_final = true;
	ck_assert_int_eq(cw_manifest_add_recipient(m, point, NULL), 0);
	ck_assert_int_eq(cw_manifest_add_file(m, &file, NULL), 0);
	ck_assert_msg(
	    cw_manifest_encode(m, &text, &err) == 0, "%s", err.message);
	memcpy(set.seed_id, m->seed_id, 8);
	cw_hex_encode(set.seed_id, 8, set.seed_text);
	cw_sha256(text.data, text.len, set.manifest_sha256);
	ck_assert_int_eq(cw_home_make_seed_dir(active, set.seed_text, NULL), 0);
	path = cw_home_seed_dir(active, set.seed_text);
	fd = cw_open_dir(path, NULL);
	ck_assert_int_eq(
	    cw_save_file(fd, CW_SET_MANIFEST, text.data, text.len, 0600, NULL),
	    0);
	cw_close(&fd);
	free(path);
	cw_buf_free(&text);
}

static void
setup(void)
{
	strcpy(dir, "/tmp/cw-receipts-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	active = make_home("metairie");
	recovery = make_home("shreveport");
	pair(active, recovery);
	pair(recovery, active);
	ck_assert_int_eq(
	    cw_identity_sign(recovery->state_fd, NULL, &secret, NULL), 0);
	seal(42);
}

static void
teardown(void)
{
	cw_manifest_free(&set.manifest);
	cw_minisign_secret_free(secret);
	cw_home_close(active);
	cw_home_close(recovery);
	scratch_remove(dir);
}

static void
make(uint64_t wanted)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_msg(cw_receipts_make(recovery, secret, &set, NULL, wanted,
			  line, &err) == 0,
	    "%s", err.message);
}

static int
confirm(bool *is_new, struct cw_error *err)
{
	const struct cw_config_peer *peer;
	struct cw_receipt r;

	return cw_receipts_confirm(
	    active, line, strlen(line), &r, &peer, is_new, err);
}

static void
refuses(enum cw_code code, const char *sentence)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_receipt kept[4];

	ck_assert_int_eq(confirm(NULL, &err), -1);
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, sentence) != NULL, "%s", err.message);
	ck_assert_uint_eq(
	    cw_receipts_of_seed(active, set.seed_text, kept, 4), 0);
}

/* How many files the best receipt that is kept says are wanted. */
static uint64_t
kept_wanted(void)
{
	struct cw_receipt kept[4];

	ck_assert_uint_eq(
	    cw_receipts_of_seed(active, set.seed_text, kept, 4), 1);
	return kept[0].wanted;
}

START_TEST(receipt_is_made_kept_and_confirmed)
{
	char again[CW_RECEIPT_TEXT_SIZE];
	bool is_new = false;

	make(0);
	ck_assert_int_eq(
	    cw_receipts_load(recovery, set.seed_text, again, NULL), 0);
	ck_assert_str_eq(again, line);
	ck_assert_int_eq(confirm(&is_new, NULL), 0);
	ck_assert(is_new);
	ck_assert_int_eq(confirm(&is_new, NULL), 0);
	ck_assert(!is_new);
	ck_assert_uint_eq(kept_wanted(), 0);
}
END_TEST

START_TEST(same_import_gives_the_same_receipt_again)
{
	char first[CW_RECEIPT_TEXT_SIZE];
	struct cw_receipt r;
	struct cw_buf text = CW_BUF_INIT;
	int fd;

	make(3);
	ck_assert_int_eq(cw_receipt_decode(line, strlen(line), &r, NULL), 0);
	/* As if it had been made an hour ago. */
	r.time -= 3600;
	ck_assert_int_eq(cw_receipt_sign(&r, secret, NULL), 0);
	cw_receipt_encode(&r, first);
	cw_buf_printf(&text, "%s\n", first);
	fd =
	    openat(recovery->state_fd, CW_RECEIPTS_DIR, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(
	    cw_save_file(fd, set.seed_text, text.data, text.len, 0600, NULL),
	    0);
	make(3);
	ck_assert_str_eq(line, first);
	make(2);
	ck_assert_str_ne(line, first);
	cw_close(&fd);
	cw_buf_free(&text);
}
END_TEST

START_TEST(site_that_is_not_paired_confirms_nothing)
{
	make(0);
	active->config.peer_count = 0;
	refuses(CW_ERR_UNTRUSTED, "not paired");
	active->config.peer_count = 1;
}
END_TEST

START_TEST(signature_of_another_site_confirms_nothing)
{
	struct cw_minisign_secret *other = cw_minisign_generate();
	struct cw_receipt r;

	make(0);
	ck_assert_int_eq(cw_receipt_decode(line, strlen(line), &r, NULL), 0);
	ck_assert_int_eq(cw_receipt_sign(&r, other, NULL), 0);
	cw_receipt_encode(&r, line);
	refuses(CW_ERR_UNTRUSTED, "signature is wrong");
	cw_minisign_secret_free(other);
}
END_TEST

START_TEST(receipt_for_other_bytes_than_were_sealed_is_refused)
{
	make(0);
	seal(43);
	refuses(CW_ERR_UNTRUSTED, "another manifest");
}
END_TEST

START_TEST(confirmation_of_a_replaced_manifest_counts_no_more)
{
	struct cw_receipt kept[4];
	bool is_new = false;

	make(0);
	ck_assert_int_eq(confirm(NULL, NULL), 0);
	seal(43);
	ck_assert_uint_eq(
	    cw_receipts_of_seed(active, set.seed_text, kept, 4), 0);
	/* And does not stand in the way of one for the new manifest. */
	make(7);
	ck_assert_int_eq(confirm(&is_new, NULL), 0);
	ck_assert(is_new);
	ck_assert_uint_eq(kept_wanted(), 7);
}
END_TEST

START_TEST(seed_of_another_site_is_missing_here)
{
	make(0);
	line[strlen(CW_RECEIPT_PREFIX) + 1] ^= 1;
	refuses(CW_ERR_UNTRUSTED, "signature");
	memset(set.seed_id, 0xee, 8);
	cw_hex_encode(set.seed_id, 8, set.seed_text);
	make(0);
	refuses(CW_ERR_MISSING, "no seed");
}
END_TEST

START_TEST(complete_receipt_is_not_taken_back)
{
	char part[CW_RECEIPT_TEXT_SIZE];
	bool is_new = true;

	make(5);
	memcpy(part, line, sizeof(part));
	make(0);
	ck_assert_int_eq(confirm(NULL, NULL), 0);
	memcpy(line, part, sizeof(part));
	ck_assert_int_eq(confirm(&is_new, NULL), 0);
	ck_assert(!is_new);
	ck_assert_uint_eq(kept_wanted(), 0);
}
END_TEST

START_TEST(receipts_that_go_back_are_of_the_store)
{
	char lines[2][CW_RECEIPT_TEXT_SIZE];

	make(0);
	ck_assert_uint_eq(
	    cw_receipts_list(recovery, set.manifest.store_id, lines, 2), 1);
	ck_assert_str_eq(lines[0], line);
	ck_assert_uint_eq(cw_receipts_list(recovery,
			      (const uint8_t *)"anotherstoreisit", lines, 2),
	    0);
	ck_assert_uint_eq(
	    cw_receipts_list(recovery, set.manifest.store_id, lines, 0), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("receipts");
	TCase *tc = tcase_create("receipts");
	SRunner *runner;
	int failed;

	if (cw_crypto_init(NULL) < 0)
		return 1;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, receipt_is_made_kept_and_confirmed);
	tcase_add_test(tc, same_import_gives_the_same_receipt_again);
	tcase_add_test(tc, site_that_is_not_paired_confirms_nothing);
	tcase_add_test(tc, signature_of_another_site_confirms_nothing);
	tcase_add_test(tc, receipt_for_other_bytes_than_were_sealed_is_refused);
	tcase_add_test(tc, confirmation_of_a_replaced_manifest_counts_no_more);
	tcase_add_test(tc, seed_of_another_site_is_missing_here);
	tcase_add_test(tc, complete_receipt_is_not_taken_back);
	tcase_add_test(tc, receipts_that_go_back_are_of_the_store);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
