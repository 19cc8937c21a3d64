#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "formats/volume/volume.h"
#include "seed/sealed_file.h"
#include "vectors.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

static struct cw_age_identity *identity;
static struct cw_age_recipient recipient;

static void
setup(void)
{
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(cw_crypto_init(&err), 0);
	identity = cw_age_identity_generate();
	cw_age_identity_recipient(identity, &recipient);
}

static void
teardown(void)
{
	cw_age_identity_free(identity);
}

static int
memory(void)
{
	int fd = memfd_create("sealed", 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int
sealed(size_t len)
{
	struct cw_error err = CW_ERROR_INIT;
	uint8_t *data = cw_malloc(len);
	int plain = memory(), out = memory();

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	ck_assert_int_eq(cw_write_all(plain, data, len, &err), 0);
	ck_assert_int_eq(lseek(plain, 0, SEEK_SET), 0);
	ck_assert_msg(cw_sealed_file_write(plain, out, &recipient, 1, &err) ==
		0,
	    "%s", err.message);
	ck_assert_int_eq(lseek(out, 0, SEEK_SET), 0);
	close(plain);
	free(data);
	return out;
}

START_TEST(what_was_sealed_is_opened)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 5 << 20};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct cw_error err = CW_ERROR_INIT;
		int fd = sealed(sizes[i]), out = memory();
		off_t size = lseek(fd, 0, SEEK_END);

		/* Its size is one of the few that such files may have. */
		ck_assert_uint_eq(cw_volume_last_size(cw_age_header_size(1),
				      (uint64_t)size),
		    (uint64_t)size);
		ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
		ck_assert_msg(cw_sealed_file_read(fd, out, identity, 8 << 20,
				  &err) == 0,
		    "%zu: %s", sizes[i], err.message);
		ck_assert_int_eq(lseek(out, 0, SEEK_END), (off_t)sizes[i]);
		close(fd);
		close(out);
	}
}
END_TEST

START_TEST(more_than_was_allowed_is_refused)
{
	struct cw_error err = CW_ERROR_INIT;
	int fd = sealed(5 << 20), out = memory();

	ck_assert_int_eq(cw_sealed_file_read(fd, out, identity, 1 << 20, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	close(fd);
	close(out);
}
END_TEST

START_TEST(another_key_does_not_open_it)
{
	struct cw_age_identity *other = cw_age_identity_generate();
	struct cw_error err = CW_ERROR_INIT;
	int fd = sealed(1000), out = memory();

	ck_assert_int_eq(cw_sealed_file_read(fd, out, other, 1 << 20, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	close(fd);
	close(out);
	cw_age_identity_free(other);
}
END_TEST

START_TEST(a_cut_file_is_noticed_at_every_length)
{
	int fd = sealed(200000);
	off_t size = lseek(fd, 0, SEEK_END);

	for (off_t cut = size - 1; cut >= 0; cut -= 997) {
		struct cw_error err = CW_ERROR_INIT;
		int out = memory();

		ck_assert_int_eq(ftruncate(fd, cut), 0);
		ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
		ck_assert_int_eq(cw_sealed_file_read(fd, out, identity,
				     1 << 20, &err),
		    -1);
		close(out);
	}
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sealed_file");
	TCase *t = tcase_create("sealed_file");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_was_sealed_is_opened);
	tcase_add_test(t, more_than_was_allowed_is_refused);
	tcase_add_test(t, another_key_does_not_open_it);
	tcase_add_test(t, a_cut_file_is_noticed_at_every_length);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
