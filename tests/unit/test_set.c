/*
 * media/set.h: which manifest governs where media have different ones, and
 * what that makes of media that were closed early, replaced, or forged.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "media/set.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED "0123456789abcdef"

static char root[] = "/tmp/test_set.XXXXXX";
static struct cw_minisign_secret *secret;
static struct cw_set_signer signer;
static struct cw_set *set;
static struct cw_error err;

static void
setup(void)
{
	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	ck_assert_ptr_nonnull(mkdtemp(root));
	secret = cw_minisign_generate();
	cw_minisign_secret_public(secret, &signer.key);
}

static void
teardown(void)
{
	cw_set_free(set);
	set = NULL;
	scratch_remove(root);
	cw_minisign_secret_free(secret);
}

/* ---- media by hand ---- */

static void
save(const char *medium, const char *name, const void *data, size_t len)
{
	char *folder = cw_asprintf("%s/%s/causeway/" SEED, root, medium);
	char *copy = cw_asprintf("%s/copy", folder);
	int fd;

	ck_assert_int_eq(cw_make_dirs(copy, 0755, &err), 0);
	fd = cw_open_dir(folder, &err);
	ck_assert_int_eq(cw_save_file(fd, name, data, len, 0644, &err), 0);
	cw_close(&fd);
	free(copy);
	free(folder);
}

static void
add_line(struct cw_manifest *m, uint32_t number, const char *name,
    const void *data, size_t len)
{
	struct cw_manifest_file file = {.medium = number, .size = len};

	strcpy(file.name, name);
	cw_sha256(data, len, file.sha256);
	ck_assert_int_eq(cw_manifest_add_file(m, &file, &err), 0);
}

/* Puts a medium of two files together, and lists it. */
static void
fill(struct cw_manifest *m, const char *dir, uint32_t number, uint32_t volume,
    int64_t time)
{
	struct cw_medium is = {.number = number, .filesystem = "-"};
	struct cw_buf text = CW_BUF_INIT;
	char name[32];

	is.time = time;
	memcpy(is.seed_id, m->seed_id, sizeof(is.seed_id));
	ck_assert_int_eq(cw_medium_encode(&is, &text, &err), 0);
	save(dir, "MEDIUM", text.data, text.len);
	save(dir, "copy/MEDIUM", text.data, text.len);
	add_line(m, number, "MEDIUM", text.data, text.len);
	snprintf(name, sizeof(name), "%06u.tar.zst.age", volume);
	save(dir, name, name, strlen(name));
	add_line(m, number, name, name, strlen(name));
	cw_buf_free(&text);
}

static void
begin(struct cw_manifest *m, uint32_t revision, bool is_final)
{
	*m = (struct cw_manifest)CW_MANIFEST_INIT;
	ck_assert(cw_hex_decode(SEED, 16, m->seed_id, 8));
	m->generation = 42;
	m->time = 1000;
	ck_assert_int_eq(
	    cw_manifest_add_recipient(m, signer.key.point, NULL), 0);
	m->volume_size = 65536;
	m->revision = revision;
	m->media = is_final ? 2 : 0;
	m->is_final = is_final;
	m->has_catalog = is_final;
}

static void
sign(struct cw_manifest *m, struct cw_buf *text, struct cw_buf *sig)
{
	ck_assert_msg(
	    cw_manifest_encode(m, text, &err) == 0, "%s", err.message);
	ck_assert_int_eq(
	    cw_minisign_sign(secret, text->data, text->len, "", sig, &err), 0);
}

static void
seal(struct cw_manifest *m, const char *dir)
{
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;

	sign(m, &text, &sig);
	save(dir, "MANIFEST", text.data, text.len);
	save(dir, "copy/MANIFEST", text.data, text.len);
	save(dir, "MANIFEST.minisig", sig.data, sig.len);
	save(dir, "copy/MANIFEST.minisig", sig.data, sig.len);
	cw_buf_free(&text);
	cw_buf_free(&sig);
}

/* Medium 1 was closed at revision 1, medium 2 has the final one. */
static void
make_two(bool has_catalog)
{
	struct cw_manifest m;

	begin(&m, 1, false);
	fill(&m, "1", 1, 1, 1000);
	seal(&m, "1");
	cw_manifest_free(&m);
	begin(&m, 2, true);
	fill(&m, "1", 1, 1, 1000);
	fill(&m, "2", 2, 2, 1001);
	if (has_catalog) {
		save("2", CW_SET_CATALOG, "new", 3);
		add_line(&m, 2, CW_SET_CATALOG, "new", 3);
		add_line(&m, 1, CW_SET_CATALOG, "old", 3);
		cw_sha256("new", 3, m.catalog);
	}
	seal(&m, "2");
	cw_manifest_free(&m);
}

static int
open_from(const char *const *names, size_t count, const char *manifest)
{
	struct cw_set_source source = {
	    .dir_count = count, .signers = &signer, .signer_count = 1};
	char *dirs[8], *file = NULL;
	int ret;

	for (size_t i = 0; i < count; i++)
		dirs[i] = cw_asprintf("%s/%s", root, names[i]);
	if (manifest != NULL)
		file = cw_asprintf("%s/%s", root, manifest);
	source.dirs = (const char *const *)dirs;
	source.manifest = file;
	cw_set_free(set);
	err = (struct cw_error)CW_ERROR_INIT;
	ret = cw_set_open_from(&source, &set, &err);
	for (size_t i = 0; i < count; i++)
		free(dirs[i]);
	free(file);
	return ret;
}

static const char *const both[] = {"1", "2"};
static const char *const swapped[] = {"2", "1"};

START_TEST(the_greatest_revision_governs_in_any_order)
{
	make_two(false);
	for (int i = 0; i < 2; i++) {
		const char *const *names = i == 0 ? both : swapped;

		ck_assert_int_eq(open_from(names, 2, NULL), 0);
		ck_assert(set->is_trusted && set->manifest.is_final);
		ck_assert_uint_eq(set->manifest.revision, 2);
		ck_assert_uint_eq(set->count, 2);
		ck_assert_uint_eq(cw_set_find(set, 1)->revision, 1);
		ck_assert(!cw_set_find(set, 1)->is_final);
		ck_assert_uint_eq(cw_set_find(set, 2)->revision, 2);
	}
}
END_TEST

START_TEST(an_older_manifest_is_no_fault)
{
	make_two(false);
	ck_assert_int_eq(open_from(both, 2, NULL), 0);
	ck_assert_uint_eq(set->fault_count, 0);
	ck_assert(cw_set_find(set, 1)->has_medium);
}
END_TEST

START_TEST(a_medium_alone_is_judged_by_what_it_has)
{
	make_two(false);
	ck_assert_int_eq(open_from(both, 1, NULL), 0);
	ck_assert_uint_eq(set->manifest.revision, 1);
	ck_assert(!set->manifest.is_final);
	ck_assert_uint_eq(set->fault_count, 0);
}
END_TEST

START_TEST(a_manifest_that_travelled_by_itself_governs)
{
	make_two(false);
	ck_assert_int_eq(open_from(both, 1, "2/causeway/" SEED "/MANIFEST"), 0);
	ck_assert_uint_eq(set->manifest.revision, 2);
	ck_assert(set->manifest.is_final);
	ck_assert_uint_eq(set->count, 1);
	ck_assert_uint_eq(set->fault_count, 0);
}
END_TEST

START_TEST(a_manifest_by_itself_must_be_signed)
{
	make_two(false);
	save("2", "MANIFEST.minisig", "no", 2);
	ck_assert_int_eq(
	    open_from(both, 1, "2/causeway/" SEED "/MANIFEST"), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_int_eq(open_from(both, 1, "nothing"), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
}
END_TEST

START_TEST(a_manifest_that_nobody_trusts_does_not_govern)
{
	struct cw_minisign_secret *honest = secret;
	struct cw_manifest m;

	make_two(false);
	secret = cw_minisign_generate();
	begin(&m, 9, true);
	fill(&m, "2", 2, 2, 1001);
	seal(&m, "2");
	cw_manifest_free(&m);
	cw_minisign_secret_free(secret);
	secret = honest;
	ck_assert_int_eq(open_from(swapped, 2, NULL), 0);
	ck_assert(set->is_trusted);
	ck_assert_uint_eq(set->manifest.revision, 1);
	ck_assert_uint_eq(set->media[0].revision, 0);
	ck_assert_uint_ge(set->fault_count, 1);
	ck_assert_int_eq(set->faults[0].kind, CW_SET_UNTRUSTED);
}
END_TEST

START_TEST(which_media_have_the_catalog_that_governs)
{
	uint32_t numbers[2] = {0, 0};

	make_two(true);
	ck_assert_int_eq(open_from(both, 2, NULL), 0);
	ck_assert(!cw_set_has_catalog(set, 0));
	ck_assert(cw_set_has_catalog(set, 1));
	ck_assert_uint_eq(cw_set_catalog_media(set, numbers, 2), 1);
	ck_assert_uint_eq(numbers[0], 2);
}
END_TEST

START_TEST(an_open_manifest_has_no_catalog)
{
	make_two(true);
	ck_assert_int_eq(open_from(both, 1, NULL), 0);
	ck_assert(!cw_set_has_catalog(set, 0));
	ck_assert_uint_eq(cw_set_catalog_media(set, NULL, 0), 0);
}
END_TEST

/* Medium 2 was lost, made again in the folder "new", and found. */
static void
remake_two(void)
{
	struct cw_manifest m;

	make_two(false);
	begin(&m, 3, true);
	fill(&m, "1", 1, 1, 1000);
	fill(&m, "new", 2, 3, 1002);
	seal(&m, "new");
	cw_manifest_free(&m);
}

START_TEST(a_medium_that_was_made_again_is_left_out)
{
	static const char *const all[] = {"2", "1", "new"};

	remake_two();
	ck_assert_int_eq(open_from(all, 3, NULL), 0);
	ck_assert_uint_eq(set->manifest.revision, 3);
	ck_assert_uint_eq(set->count, 2);
	ck_assert_uint_eq(set->fault_count, 0);
	ck_assert_uint_eq(set->replaced_count, 1);
	ck_assert_ptr_nonnull(strstr(set->replaced[0], "/2/"));
	ck_assert_ptr_nonnull(strstr(cw_set_find(set, 2)->path, "/new/"));
}
END_TEST

START_TEST(by_itself_it_is_what_it_was)
{
	remake_two();
	ck_assert_int_eq(open_from(both + 1, 1, NULL), 0);
	ck_assert_uint_eq(set->manifest.revision, 2);
	ck_assert_uint_eq(set->fault_count, 0);
}
END_TEST

START_TEST(a_set_of_replaced_media_only_is_none)
{
	remake_two();
	ck_assert_int_eq(
	    open_from(both + 1, 1, "new/causeway/" SEED "/MANIFEST"), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
}
END_TEST

START_TEST(a_changed_MEDIUM_is_damage_and_no_replaced_medium)
{
	make_two(false);
	save("1", "MEDIUM", "no", 2);
	save("1", "copy/MEDIUM", "no", 2);
	ck_assert_int_eq(open_from(both, 2, NULL), 0);
	ck_assert_uint_eq(set->count, 2);
	ck_assert_uint_eq(set->media[0].number, 1); /* by its volume */
	ck_assert_uint_eq(set->fault_count, 2);
	ck_assert_int_eq(set->faults[0].kind, CW_SET_DAMAGED);
}
END_TEST

/* A crash while the manifest was written anew: the copies come first. */
START_TEST(a_half_written_revision_is_no_distrust)
{
	struct cw_buf text = CW_BUF_INIT, sig = CW_BUF_INIT;
	struct cw_manifest m;

	make_two(false);
	begin(&m, 5, true);
	fill(&m, "1", 1, 1, 1000);
	fill(&m, "2", 2, 2, 1001);
	sign(&m, &text, &sig);
	save("2", "copy/MANIFEST", text.data, text.len);
	save("2", "copy/MANIFEST.minisig", sig.data, sig.len);
	ck_assert_int_eq(open_from(both, 2, NULL), 0);
	ck_assert_uint_eq(set->manifest.revision, 5);
	for (size_t i = 0; i < set->fault_count; i++)
		ck_assert_int_eq(set->faults[i].kind, CW_SET_REPAIRABLE);
	ck_assert_uint_eq(set->fault_count, 2);
	cw_manifest_free(&m);
	cw_buf_free(&text);
	cw_buf_free(&sig);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("set");
	TCase *tc = tcase_create("set");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_greatest_revision_governs_in_any_order);
	tcase_add_test(tc, an_older_manifest_is_no_fault);
	tcase_add_test(tc, a_medium_alone_is_judged_by_what_it_has);
	tcase_add_test(tc, a_manifest_that_travelled_by_itself_governs);
	tcase_add_test(tc, a_manifest_by_itself_must_be_signed);
	tcase_add_test(tc, a_manifest_that_nobody_trusts_does_not_govern);
	tcase_add_test(tc, which_media_have_the_catalog_that_governs);
	tcase_add_test(tc, an_open_manifest_has_no_catalog);
	tcase_add_test(tc, a_medium_that_was_made_again_is_left_out);
	tcase_add_test(tc, by_itself_it_is_what_it_was);
	tcase_add_test(tc, a_set_of_replaced_media_only_is_none);
	tcase_add_test(tc, a_changed_MEDIUM_is_damage_and_no_replaced_medium);
	tcase_add_test(tc, a_half_written_revision_is_no_distrust);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
