#include "tests/unit/trees.h"

#include "base/bytes.h"
#include "base/crypto.h"

#define EXAMPLE_FILE                                                           \
	"c1640d339515d24b6f23004fbfce3488198728d4d8e2d023b102b1c261457038"
#define EXAMPLE_DIR                                                            \
	"74a8823df9e23c3f9def823d2c4cb59bea184e3e7b61b2328b9559f743988d10"
#define EXAMPLE_SUM                                                            \
	"350d90708ef80e8b0c13838ceb1aea2304a07612544483563c980abaa5ddfd48"
#define EXAMPLE_LINK                                                           \
	"f4463118ac0c03e42b669a3d67c38c0cf46e63462f35e08d07046fad35ef9513"

static struct cw_state *state;

static void
setup(void)
{
	uint8_t key[CW_STATE_KEY_SIZE];

	err = (struct cw_error)CW_ERROR_INIT;
	OK(cw_crypto_init(&err));
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	state = cw_state_new(key);
}

static void
teardown(void)
{
	cw_state_free(state);
}

static struct cw_entry
example_file(void)
{
	struct cw_entry e = CW_ENTRY_INIT;

	e.dir = 3;
	e.name = "1.M1.h:2,S";
	e.name_len = 10;
	e.mode = 0600;
	e.user = "vmail";
	e.group = "mail";
	e.mtime_ns = 1700000000123456789;
	e.size = 5;
	e.has_digest = true;
	cw_sha256("hello", 5, e.digest);
	return e;
}

static struct cw_entry
example_dir(void)
{
	struct cw_entry e = CW_ENTRY_INIT;

	e.name = "mail";
	e.name_len = 4;
	e.kind = CW_KIND_DIR;
	e.mode = 0755;
	e.mtime_ns = 77;
	return e;
}

static void
mac_of(const char *dir, const struct cw_entry *e, char hex[65])
{
	uint8_t mac[CW_STATE_SIZE];

	cw_state_mac(state, dir, strlen(dir), e, mac);
	cw_hex_encode(mac, sizeof(mac), hex);
}

START_TEST(specified_examples_agree)
{
	struct cw_entry file = example_file(), dir = example_dir();
	struct cw_entry link = CW_ENTRY_INIT;
	uint8_t sum[CW_STATE_SIZE] = {0}, mac[CW_STATE_SIZE];
	char hex[65];

	mac_of("mail/u/cur", &file, hex);
	ck_assert_str_eq(hex, EXAMPLE_FILE);
	mac_of("", &dir, hex);
	ck_assert_str_eq(hex, EXAMPLE_DIR);
	link.name = "l";
	link.name_len = 1;
	link.kind = CW_KIND_SYMLINK;
	link.mode = 0777;
	link.mtime_ns = -1;
	link.user = "vmail";
	link.group = "mail";
	link.target = "../x";
	link.target_len = 4;
	mac_of("mail", &link, hex);
	ck_assert_str_eq(hex, EXAMPLE_LINK);

	cw_state_mac(state, "mail/u/cur", 10, &file, mac);
	cw_state_add(sum, mac);
	cw_state_mac(state, "", 0, &dir, mac);
	cw_state_add(sum, mac);
	cw_hex_encode(sum, sizeof(sum), hex);
	ck_assert_str_eq(hex, EXAMPLE_SUM);
	cw_state_sub(sum, mac);
	cw_hex_encode(sum, sizeof(sum), hex);
	ck_assert_str_eq(hex, EXAMPLE_FILE);
}
END_TEST

START_TEST(all_that_counts_counts)
{
	static const uint8_t attrs[] = {1, 2, 3};
	struct cw_entry e[10];
	char first[65], hex[65];

	for (size_t i = 0; i < 10; i++)
		e[i] = example_file();
	e[0].mode = 0644;
	e[1].mtime_ns++;
	e[2].size++;
	e[3].digest[31] ^= 1;
	e[4].user = "vmai";
	e[5].group = "maill";
	e[6].name = "1.M1.h:2,T";
	e[7].kind = CW_KIND_DIR;
	e[8].attrs = attrs;
	e[8].attrs_len = sizeof(attrs);
	e[9].user = "vmailmail";
	e[9].group = "";
	for (size_t i = 0; i < 10; i++) {
		mac_of("mail/u/cur", &e[i], hex);
		ck_assert_msg(strcmp(hex, EXAMPLE_FILE) != 0, "%zu", i);
	}
	e[0] = example_file();
	mac_of("mail/u/new", &e[0], first);
	ck_assert_str_ne(first, EXAMPLE_FILE);
}
END_TEST

START_TEST(what_sites_differ_in_does_not_count)
{
	struct cw_entry e = example_file(), d = example_dir();
	char hex[65];

	e.uid = 1;
	e.gid = 2;
	e.ino = 3;
	e.ctime_ns = 4;
	e.linkgroup = 5;
	e.class = 2;
	e.generation = 6;
	e.volume = 7;
	e.sparse = true;
	mac_of("mail/u/cur", &e, hex);
	ck_assert_str_eq(hex, EXAMPLE_FILE);
	d.mtime_ns = 12345;
	d.child = 9;
	mac_of("", &d, hex);
	ck_assert_str_eq(hex, EXAMPLE_DIR);
}
END_TEST

START_TEST(sums_carry_over_all_bytes)
{
	uint8_t ones[CW_STATE_SIZE], one[CW_STATE_SIZE] = {1};
	uint8_t zero[CW_STATE_SIZE] = {0}, sum[CW_STATE_SIZE];

	memset(ones, 0xff, sizeof(ones));
	memcpy(sum, ones, sizeof(sum));
	cw_state_add(sum, one);
	ck_assert_mem_eq(sum, zero, sizeof(sum));
	cw_state_sub(sum, one);
	ck_assert_mem_eq(sum, ones, sizeof(sum));
	cw_state_add(sum, ones);
	cw_state_sub(sum, ones);
	ck_assert_mem_eq(sum, ones, sizeof(sum));
}
END_TEST

START_TEST(attributes_have_one_encoding)
{
	static const char hex[] = "010000000000000000000001000000"
				  "06000000757365722e62000100000032";
	struct cw_xattr x[2] = {{"user.b", (const uint8_t *)"2", 1},
	    {"user.a", (const uint8_t *)"", 0}};
	struct cw_attrs in = {x, 1, NULL, NULL}, out;
	struct cw_buf buf = CW_BUF_INIT;
	char text[200];

	OK(cw_attrs_encode(&in, &buf, &err));
	ck_assert_uint_lt(buf.len, 100);
	cw_hex_encode(buf.data, buf.len, text);
	ck_assert_str_eq(text, hex);
	for (size_t len = 0; len < buf.len; len++)
		ck_assert_int_eq(
		    cw_attrs_decode(buf.data, len, &out, &err), -1);

	/* Sorted by the encoder, refused unsorted by the decoder. */
	in.xattr_count = 2;
	in.acl_access = "user::rwx\n";
	cw_buf_reset(&buf);
	OK(cw_attrs_encode(&in, &buf, &err));
	OK(cw_attrs_decode(buf.data, buf.len, &out, &err));
	ck_assert_uint_eq(out.xattr_count, 2);
	ck_assert_str_eq(out.xattrs[0].name, "user.a");
	ck_assert_str_eq(out.acl_access, "user::rwx\n");
	ck_assert_ptr_null(out.acl_default);
	cw_attrs_free(&out);
	for (size_t i = 0; i + 6 <= buf.len; i++) {
		if (memcmp(buf.data + i, "user.a", 6) == 0)
			buf.data[i + 5] = 'c';
	}
	ck_assert_int_eq(cw_attrs_decode(buf.data, buf.len, &out, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	cw_buf_free(&buf);
}
END_TEST

START_TEST(two_sites_with_the_same_tree_agree)
{
	struct cw_catalog *a, *b;
	uint8_t sum_a[CW_STATE_SIZE], sum_b[CW_STATE_SIZE];
	char copy[120], key[100];
	struct cw_scan_root root = {
	    .name = "mail", .path = key, .format = "plain"};
	struct cw_scan_options o = {.contents = CW_SCAN_CONTENTS};
	struct cw_scan_result r;
	bool known;

	tree_setup();
	a = open_catalog();
	snprintf(copy, sizeof(copy), "%s/copy.sqlite", tree_base);
	/* The same key, no entries: as if it had been sealed in a seed. */
	OK(cw_catalog_export(a, copy, &err));
	OK(cw_catalog_open(copy, CW_CATALOG_WRITE, &b, &err));
	snprintf(key, sizeof(key), "%s/root", tree_base);
	write_file("a", "1");
	write_file("b", "2");
	make_dir("d");
	write_file("d/c", "3");

	OK(cw_scan(a, &root, 1, NULL, &r, &err));
	OK(cw_state_digest(a, sum_a, &known, &err));
	ck_assert(!known);
	OK(cw_scan(a, &root, 1, &o, &r, &err));
	OK(cw_state_digest(a, sum_a, &known, &err));
	ck_assert(known);

	/* Another way to the same state. */
	ck_assert_int_eq(rename(in_root("a"), in_root("x")) +
			     rename(in_root("b"), in_root("y")),
	    0);
	OK(cw_scan(b, &root, 1, &o, &r, &err));
	OK(cw_state_digest(b, sum_b, &known, &err));
	ck_assert_mem_ne(sum_a, sum_b, sizeof(sum_a));
	ck_assert_int_eq(rename(in_root("x"), in_root("a")) +
			     rename(in_root("y"), in_root("b")),
	    0);
	OK(cw_scan(b, &root, 1, &o, &r, &err));
	OK(cw_state_digest(b, sum_b, &known, &err));
	ck_assert(known);
	ck_assert_mem_eq(sum_a, sum_b, sizeof(sum_a));
	OK(cw_state_check(a, &err));
	OK(cw_state_check(b, &err));
	cw_catalog_close(a);
	cw_catalog_close(b);
	tree_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("state");
	TCase *tc = tcase_create("state");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, specified_examples_agree);
	tcase_add_test(tc, all_that_counts_counts);
	tcase_add_test(tc, what_sites_differ_in_does_not_count);
	tcase_add_test(tc, sums_carry_over_all_bytes);
	tcase_add_test(tc, attributes_have_one_encoding);
	tcase_add_test(tc, two_sites_with_the_same_tree_agree);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
