#include "tests/unit/trees.h"

#include "base/clock.h"
#include "formats/mail/mail.h"
#include "store/scan_attrs.h"

#include <sys/acl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <pthread.h>
#include <stdatomic.h>

static const struct cw_scan_options with_contents = {
    .contents = CW_SCAN_CONTENTS};

START_TEST(first_scan_finds_everything_and_reads_nothing)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;

	make_maildir("u");
	write_file("u/cur/1.M1.h:2,S", "hello");
	write_file("u/dovecot-uidlist", "3 V1 N2\n");
	ck_assert_int_eq(symlink("nowhere", in_root("u/link")), 0);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.generation, 1);
	ck_assert_uint_eq(r.added, 8);
	ck_assert_uint_eq(r.read, 0);
	ck_assert_uint_eq(cw_catalog_info(c)->pending, 2);
	ck_assert_int_eq(find(c, "mail/u/cur/1.M1.h:2,S", &e), 0);
	ck_assert_uint_eq(e.size, 5);
	ck_assert_uint_eq(e.class, CW_MAIL_MESSAGE);
	ck_assert(!e.has_digest);
	ck_assert_uint_eq(e.generation, 1);
	ck_assert_int_eq(find(c, "mail/u/dovecot-uidlist", &e), 0);
	ck_assert_uint_eq(e.class, CW_MAIL_CONTROL);
	ck_assert_int_eq(find(c, "mail/u/link", &e), 0);
	ck_assert_int_eq(e.kind, CW_KIND_SYMLINK);
	ck_assert_str_eq(e.target, "nowhere");
	cw_catalog_close(c);
}
END_TEST

START_TEST(nothing_changed_raises_no_generation)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;

	make_maildir("u");
	write_file("u/cur/1.M1.h:2,S", "hello");
	scan_with(c, NULL, NULL);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.generation, 1);
	ck_assert_uint_eq(r.added + r.changed + r.removed, 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(old_directories_of_messages_are_not_read_again)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;

	make_maildir("u");
	write_file("u/cur/1.M1.h:2,S", "hello");
	age_dir("u/cur", 10);
	age_dir("u/new", 10);
	age_dir("u/tmp", 10);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 5);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 2);
	write_file("u/cur/2.M1.h:2,S", "new one");
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 3);
	ck_assert_uint_eq(r.added, 1);
	ck_assert_uint_eq(r.generation, 2);
	cw_catalog_close(c);
}
END_TEST

START_TEST(an_empty_directory_is_not_read_again_until_something_comes)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;

	make_maildir("u");
	age_dir("u/cur", 10);
	age_dir("u/new", 10);
	age_dir("u/tmp", 10);
	scan_with(c, NULL, NULL);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 2);
	write_file("u/tmp/dovecot-keywords", "0 x\n");
	age_dir("u/tmp", 9);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 3);
	ck_assert_int_eq(find(c, "mail/u/tmp/dovecot-keywords", &e), 0);
	/* What is left out is there, and may be let in by configuration. */
	ck_assert_int_eq(unlink(in_root("u/tmp/dovecot-keywords")), 0);
	write_file("u/tmp/1.M1.h", "half");
	age_dir("u/tmp", 8);
	scan_with(c, NULL, NULL);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.dirs_read, 3);
	cw_catalog_close(c);
}
END_TEST

START_TEST(a_directory_changed_just_now_is_read_again)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	int64_t begun;

	make_maildir("u");
	age_dir("u/new", 10);
	age_dir("u/tmp", 10);
	/* Just now is two seconds: not where the machine stood still. */
	do {
		begun = cw_clock_ns();
		age_dir("u/cur", 1);
		scan_with(c, NULL, NULL);
		r = scan_with(c, NULL, NULL);
	} while (cw_clock_since(begun) > 0.9);
	ck_assert_uint_eq(r.dirs_read, 3);
	cw_catalog_close(c);
}
END_TEST

START_TEST(files_written_in_place_keep_their_directory_open)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;

	/* An account called "new". */
	make_maildir("new");
	write_file("new/dovecot-uidlist", "3 V1 N2\n");
	age_dir("new", 10);
	scan_with(c, NULL, NULL);
	write_file("new/dovecot-uidlist", "3 V1 N3 more\n");
	age_dir("new", 10);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.changed, 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(flags_and_moves_keep_the_digest)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;
	uint8_t digest[CW_DIGEST_SIZE];

	make_maildir("u");
	make_maildir("u/.Sent");
	write_file("u/new/1.M1.h", "hello");
	write_file("u/cur/2.M1.h:2,", "world");
	r = scan_with(c, NULL, &with_contents);
	ck_assert_uint_eq(r.read, 2);
	ck_assert_int_eq(find(c, "mail/u/new/1.M1.h", &e), 0);
	ck_assert(e.has_digest);
	memcpy(digest, e.digest, sizeof(digest));
	ck_assert_int_eq(
	    rename(in_root("u/new/1.M1.h"), in_root("u/cur/1.M1.h:2,S")), 0);
	ck_assert_int_eq(rename(in_root("u/cur/2.M1.h:2,"),
			     in_root("u/.Sent/cur/9.M9.h:2,F")),
	    0);
	r = scan_with(c, NULL, &with_contents);
	ck_assert_uint_eq(r.moved, 2);
	ck_assert_uint_eq(r.read, 0);
	ck_assert_uint_eq(r.added, 2);
	ck_assert_uint_eq(r.removed, 2);
	ck_assert_uint_eq(r.generation, 2);
	ck_assert_int_eq(find(c, "mail/u/new/1.M1.h", &e), 1);
	ck_assert_int_eq(find(c, "mail/u/cur/1.M1.h:2,S", &e), 0);
	ck_assert(e.has_digest);
	ck_assert_mem_eq(e.digest, digest, sizeof(digest));
	ck_assert_int_eq(find(c, "mail/u/.Sent/cur/9.M9.h:2,F", &e), 0);
	ck_assert(e.has_digest);
	cw_catalog_close(c);
}
END_TEST

START_TEST(a_renamed_folder_keeps_its_digests)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;

	make_maildir("u");
	make_maildir("u/.Old");
	write_file("u/.Old/cur/1.M1.h:2,S", "hello");
	scan_with(c, NULL, &with_contents);
	ck_assert_int_eq(rename(in_root("u/.Old"), in_root("u/.New")), 0);
	r = scan_with(c, NULL, &with_contents);
	ck_assert_uint_eq(r.moved, 1);
	ck_assert_uint_eq(r.read, 0);
	ck_assert_int_eq(find(c, "mail/u/.Old", &e), 1);
	ck_assert_int_eq(find(c, "mail/u/.New/cur/1.M1.h:2,S", &e), 0);
	ck_assert(e.has_digest);
	ck_assert_uint_eq(cw_catalog_info(c)->dirs, 9);
	cw_catalog_close(c);
}
END_TEST

static int
count_tombstone(void *arg, int64_t dir, const char *name, size_t len,
    enum cw_kind kind, uint64_t generation)
{
	unsigned *counts = arg;

	(void)dir;
	(void)name;
	(void)len;
	(void)generation;
	counts[kind == CW_KIND_DIR]++;
	return 0;
}

START_TEST(deletions_leave_tombstones)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	unsigned counts[2] = {0, 0};

	make_maildir("u");
	make_maildir("v");
	write_file("u/cur/1.M1.h:2,S", "hello");
	write_file("v/cur/1.M1.h:2,S", "hello");
	scan_with(c, NULL, NULL);
	ck_assert_int_eq(unlink(in_root("u/cur/1.M1.h:2,S")), 0);
	scratch_remove(in_root("v"));
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.generation, 2);
	ck_assert_uint_eq(r.removed, 6);
	ck_assert_uint_eq(r.suspects, 0);
	OK(cw_catalog_tombstones(c, 1, count_tombstone, counts, &err));
	ck_assert_uint_eq(counts[0], 1);
	ck_assert_uint_eq(counts[1], 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(plain_files_changed_in_place_lose_their_digest)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;

	write_file("a.conf", "one");
	write_file("b.conf", "two");
	scan_with(c, "plain", &with_contents);
	ck_assert_int_eq(find(c, "mail/a.conf", &e), 0);
	ck_assert(e.has_digest);
	write_file("a.conf", "three");
	r = scan_with(c, "plain", NULL);
	ck_assert_uint_eq(r.changed, 1);
	ck_assert_int_eq(find(c, "mail/a.conf", &e), 0);
	ck_assert(!e.has_digest);
	ck_assert_uint_eq(e.size, 5);
	r = scan_with(c, "plain", &with_contents);
	ck_assert_uint_eq(r.generation, 2);
	ck_assert_uint_eq(r.read, 1);
	ck_assert_uint_eq(cw_catalog_info(c)->pending, 0);
	cw_catalog_close(c);
}
END_TEST

/* Told that the entries are in: a reader finds them, and nothing was read. */
static int
note_listed(void *arg, struct cw_catalog *c, struct cw_error *e)
{
	unsigned *calls = arg;
	struct cw_catalog *reader;
	struct cw_entry entry;
	char path[100];

	(void)e;
	++*calls;
	ck_assert_uint_eq(cw_catalog_info(c)->generation, 1);
	snprintf(path, sizeof(path), "%s/catalog.sqlite", tree_base);
	OK(cw_catalog_open(path, CW_CATALOG_READ, &reader, &err));
	ck_assert_int_eq(find(reader, "mail/a.conf", &entry), 0);
	ck_assert(!entry.has_digest);
	cw_catalog_close(reader);
	return *calls == 1 ? cw_error_set(&err, CW_ERR_FAILED, "later") : 0;
}

START_TEST(entries_are_told_of_before_contents_are_read)
{
	unsigned calls = 0;
	const struct cw_scan_options options = {
	    .contents = CW_SCAN_CONTENTS, .listed = note_listed, .arg = &calls};
	struct cw_catalog *c = open_catalog();
	char path[80];
	const struct cw_scan_root root = {
	    .name = "mail", .path = path, .format = "plain"};
	struct cw_scan_result r;

	write_file("a.conf", "one");
	snprintf(path, sizeof(path), "%s/root", tree_base);
	/* Who does not want to go on ends the scan there. */
	ck_assert_int_eq(cw_scan(c, &root, 1, &options, &r, &err), -1);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_eq(cw_catalog_info(c)->pending, 1);
	r = scan_with(c, "plain", &options);
	ck_assert_uint_eq(calls, 2);
	ck_assert_uint_eq(r.read, 1);
	/* Nothing waits any more. */
	scan_with(c, "plain", &options);
	ck_assert_uint_eq(calls, 2);
	cw_catalog_close(c);
}
END_TEST

START_TEST(mode_and_owner_changes_are_changes_and_keep_messages_read)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_options full = {.full = true};
	struct cw_scan_result r;
	struct cw_entry e;

	make_maildir("u");
	write_file("u/cur/1.M1.h:2,S", "hello");
	scan_with(c, NULL, &with_contents);
	ck_assert_int_eq(chmod(in_root("u/cur/1.M1.h:2,S"), 0600), 0);
	ck_assert_int_eq(chmod(in_root("u"), 0700), 0);
	r = scan_with(c, NULL, &full);
	ck_assert_uint_eq(r.changed, 2);
	ck_assert_int_eq(find(c, "mail/u/cur/1.M1.h:2,S", &e), 0);
	ck_assert(e.has_digest);
	ck_assert_uint_eq(e.mode, 0600);
	cw_catalog_close(c);
}
END_TEST

START_TEST(a_file_may_become_a_directory_and_back)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_entry e;

	write_file("x", "file");
	scan_with(c, "plain", NULL);
	ck_assert_int_eq(unlink(in_root("x")), 0);
	make_dir("x");
	write_file("x/y", "inner");
	r = scan_with(c, "plain", NULL);
	ck_assert_uint_eq(r.removed, 1);
	ck_assert_uint_eq(r.added, 2);
	ck_assert_int_eq(find(c, "mail/x/y", &e), 0);
	ck_assert_int_eq(unlink(in_root("x/y")), 0);
	ck_assert_int_eq(rmdir(in_root("x")), 0);
	ck_assert_int_eq(symlink("y", in_root("x")), 0);
	r = scan_with(c, "plain", NULL);
	ck_assert_uint_eq(r.removed, 2);
	ck_assert_int_eq(find(c, "mail/x", &e), 0);
	ck_assert_int_eq(e.kind, CW_KIND_SYMLINK);
	ck_assert_int_eq(find(c, "mail/x/y", &e), 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(names_are_bytes)
{
	static const char *const names[] = {
	    "new\nline", "bad\xff\xfeutf8", " ", "-rf", "\\", "a\tb", "*"};
	struct cw_catalog *c = open_catalog();
	char longest[256], path[300];
	struct cw_entry e;

	memset(longest, 'n', 255);
	longest[255] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		write_file(names[i], "x");
	write_file(longest, "x");
	scan_with(c, "plain", &with_contents);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "mail/%s", names[i]);
		ck_assert_int_eq(find(c, path, &e), 0);
		ck_assert_str_eq(e.name, names[i]);
	}
	snprintf(path, sizeof(path), "mail/%s", longest);
	ck_assert_int_eq(find(c, path, &e), 0);
	ck_assert(e.has_digest);
	cw_catalog_close(c);
}
END_TEST

START_TEST(locks_sockets_and_fifos_stay_out)
{
	struct cw_catalog *c = open_catalog();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct cw_scan_result r;
	struct cw_entry e;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_maildir("u");
	write_file("u/dovecot-uidlist.lock", "");
	write_file("u/tmp/1.M1.h", "half");
	ck_assert_int_eq(mkfifo(in_root("u/fifo"), 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/root/u/sock",
	    tree_base);
	ck_assert_int_eq(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.added, 5);
	ck_assert_uint_eq(r.skipped, 4);
	ck_assert_int_eq(find(c, "mail/u/tmp", &e), 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(excluded_trees_stay_out)
{
	const char *const excludes[] = {"*/cache", "b.txt"};
	struct cw_scan_options o = {.excludes = excludes, .exclude_count = 2};
	struct cw_catalog *c = open_catalog();
	struct cw_entry e;

	make_dir("a");
	make_dir("a/cache");
	write_file("a/cache/x", "x");
	write_file("a/b.txt", "kept: another path");
	write_file("b.txt", "x");
	scan_with(c, "plain", &o);
	ck_assert_int_eq(find(c, "mail/a/cache", &e), 1);
	ck_assert_int_eq(find(c, "mail/b.txt", &e), 1);
	ck_assert_int_eq(find(c, "mail/a/b.txt", &e), 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(symlinks_lead_nowhere)
{
	struct cw_catalog *c = open_catalog();
	struct cw_entry e;
	char outside[100];

	snprintf(outside, sizeof(outside), "%s/outside", tree_base);
	ck_assert_int_eq(mkdir(outside, 0755), 0);
	make_dir("d");
	write_file("d/x", "x");
	scan_with(c, "plain", NULL);
	ck_assert_int_eq(unlink(in_root("d/x")), 0);
	ck_assert_int_eq(rmdir(in_root("d")), 0);
	ck_assert_int_eq(symlink(outside, in_root("d")), 0);
	scan_with(c, "plain", &with_contents);
	ck_assert_int_eq(find(c, "mail/d", &e), 0);
	ck_assert_int_eq(e.kind, CW_KIND_SYMLINK);
	ck_assert_int_eq(find(c, "mail/d/x", &e), 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(hard_links_share_a_group)
{
	struct cw_catalog *c = open_catalog();
	struct cw_entry a, b, alone;

	write_file("a", "x");
	write_file("alone", "x");
	ck_assert_int_eq(link(in_root("a"), in_root("b")), 0);
	scan_with(c, "plain", NULL);
	ck_assert_int_eq(find(c, "mail/a", &a), 0);
	ck_assert_int_eq(find(c, "mail/b", &b), 0);
	ck_assert_int_eq(find(c, "mail/alone", &alone), 0);
	ck_assert_int_ne(a.linkgroup, 0);
	ck_assert_int_eq(a.linkgroup, b.linkgroup);
	ck_assert_int_eq(alone.linkgroup, 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(sparse_files_are_marked)
{
	struct cw_catalog *c = open_catalog();
	struct cw_entry e;

	write_file("hole", "");
	write_file("full", "text");
	ck_assert_int_eq(truncate(in_root("hole"), 1 << 20), 0);
	scan_with(c, "plain", NULL);
	ck_assert_int_eq(find(c, "mail/hole", &e), 0);
	ck_assert(e.sparse);
	ck_assert_int_eq(find(c, "mail/full", &e), 0);
	ck_assert(!e.sparse);
	cw_catalog_close(c);
}
END_TEST

START_TEST(times_before_1970_and_with_ns_are_kept)
{
	const struct timespec times[2] = {{0, UTIME_OMIT}, {-5, 123456789}};
	struct cw_catalog *c = open_catalog();
	struct cw_entry e;
	struct cw_member m;

	write_file("old", "x");
	ck_assert_int_eq(utimensat(AT_FDCWD, in_root("old"), times, 0), 0);
	scan_with(c, "plain", NULL);
	ck_assert_int_eq(find(c, "mail/old", &e), 0);
	ck_assert_int_eq(e.mtime_ns, -5 * 1000000000ll + 123456789);
	cw_entry_member(&e, "mail/old", NULL, &m);
	ck_assert_int_eq(m.mtime_s, -5);
	ck_assert_uint_eq(m.mtime_ns, 123456789);
	cw_catalog_close(c);
}
END_TEST

START_TEST(attributes_and_acls_are_kept_and_watched)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	struct cw_attrs attrs;
	struct cw_entry e;
	acl_t acl;

	write_file("f", "x");
	if (setxattr(in_root("f"), "user.b", "2", 1, 0) != 0) {
		puts("skip: attributes_and_acls_are_kept_and_watched: no "
		     "user xattrs here");
		cw_catalog_close(c);
		return;
	}
	ck_assert_int_eq(setxattr(in_root("f"), "user.a", "", 0, 0), 0);
	acl = acl_from_text("u::rw,u:1234:r,g::r,m::r,o::-");
	ck_assert_int_eq(acl_set_file(in_root("f"), ACL_TYPE_ACCESS, acl), 0);
	acl_free(acl);
	scan_with(c, "plain", &with_contents);
	ck_assert_int_eq(find(c, "mail/f", &e), 0);
	OK(cw_attrs_decode(e.attrs, e.attrs_len, &attrs, &err));
	ck_assert_uint_eq(attrs.xattr_count, 2);
	ck_assert_str_eq(attrs.xattrs[0].name, "user.a");
	ck_assert_uint_eq(attrs.xattrs[0].len, 0);
	ck_assert_str_eq(attrs.xattrs[1].name, "user.b");
	ck_assert_str_eq(attrs.acl_access, "user::rw-\nuser:1234:r--\n"
					   "group::r--\nmask::r--\n"
					   "other::---\n");
	ck_assert_ptr_null(attrs.acl_default);
	cw_attrs_free(&attrs);
	ck_assert_int_eq(setxattr(in_root("f"), "user.b", "3", 1, 0), 0);
	r = scan_with(c, "plain", NULL);
	ck_assert_uint_eq(r.changed, 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(more_entries_than_a_batch_are_compared)
{
	enum { MANY = 9000 };
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	char name[40];

	make_maildir("u");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "u/cur/%d.M1.h:2,S", i * 7919);
		write_file(name, "x");
	}
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.added, MANY + 5);
	ck_assert_int_eq(unlink(in_root("u/cur/7919.M1.h:2,S")), 0);
	ck_assert_int_eq(
	    rename(in_root("u/cur/0.M1.h:2,S"), in_root("u/cur/0.M1.h:2,")), 0);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.added, 1);
	ck_assert_uint_eq(r.removed, 2);
	ck_assert_uint_eq(r.moved, 1);
	ck_assert_uint_eq(cw_catalog_info(c)->files, MANY - 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(deep_trees_are_reached)
{
	struct cw_catalog *c = open_catalog();
	char part[201], path[8000] = "mail";
	struct cw_entry e;
	int fd = open(in_root(""), O_RDONLY | O_DIRECTORY);

	memset(part, 'd', 200);
	part[200] = '\0';
	for (int i = 0; i < 30; i++) {
		int next;

		ck_assert_int_eq(mkdirat(fd, part, 0755), 0);
		next = openat(fd, part, O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
		strcat(strcat(path, "/"), part);
	}
	close(openat(fd, "leaf", O_CREAT | O_WRONLY, 0600));
	close(fd);
	scan_with(c, "plain", &with_contents);
	ck_assert_int_eq(find(c, strcat(path, "/leaf"), &e), 0);
	cw_catalog_close(c);
	/* nftw's own paths are too short for this. */
	ck_assert_int_eq(chdir(in_root("")), 0);
	ck_assert_int_eq(system("rm -rf d*"), 0);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_missing_root_is_an_error_and_deletes_nothing)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	char path[80], moved[80];
	struct cw_scan_root root = {
	    .name = "mail", .path = path, .format = "plain"};

	write_file("f", "x");
	scan_with(c, "plain", NULL);
	snprintf(path, sizeof(path), "%s/root", tree_base);
	snprintf(moved, sizeof(moved), "%s/moved", tree_base);
	ck_assert_int_eq(rename(path, moved), 0);
	ck_assert_int_eq(cw_scan(c, &root, 1, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	ck_assert_uint_eq(cw_catalog_info(c)->files, 1);

	/* An empty directory in its place: a disk that is not mounted. */
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(cw_scan(c, &root, 1, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_uint_eq(cw_catalog_info(c)->files, 1);
	scan_with(c, "plain", &(struct cw_scan_options){.accept_empty = true});
	ck_assert_uint_eq(cw_catalog_info(c)->files, 0);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rename(moved, path), 0);
	cw_catalog_close(c);
}
END_TEST

START_TEST(an_unreadable_directory_fails_the_scan_by_name)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	char path[80];
	struct cw_scan_root root = {
	    .name = "mail", .path = path, .format = "plain"};

	if (geteuid() == 0 && setegid(65534) + seteuid(65534) != 0) {
		puts("skip: an_unreadable_directory_fails_the_scan_by_name");
		cw_catalog_close(c);
		return;
	}
	/* The catalog was opened before; only the tree is looked at. */
	snprintf(path, sizeof(path), "%s/root", tree_base);
	if (geteuid() == 65534) {
		ck_assert_int_eq(seteuid(0), 0);
		make_dir("closed");
		write_file("closed/f", "x");
		scan_with(c, "plain", NULL);
		ck_assert_int_eq(chmod(in_root("closed"), 0), 0);
		ck_assert_int_eq(chmod(tree_base, 0777), 0);
		ck_assert_int_eq(seteuid(65534), 0);
		ck_assert_int_eq(cw_scan(c, &root, 1, NULL, &r, &err), -1);
		ck_assert_int_eq(seteuid(0) + setegid(0), 0);
		ck_assert_ptr_nonnull(strstr(err.message, "mail/closed"));
		ck_assert_uint_eq(cw_catalog_info(c)->files, 1);
	}
	cw_catalog_close(c);
}
END_TEST

START_TEST(roots_are_scanned_side_by_side)
{
	struct cw_catalog *c = open_catalog();
	char one[80], two[80];
	struct cw_scan_root roots[2] = {
	    {.name = "mail", .path = one}, {.name = "conf", .path = two}};
	struct cw_scan_result r;
	struct cw_entry e;
	size_t count;

	make_dir("one");
	make_dir("two");
	make_maildir("one/u");
	write_file("one/u/cur/1.M1.h:2,S", "hello");
	write_file("two/main.cf", "x = y\n");
	snprintf(one, sizeof(one), "%s/root/one", tree_base);
	snprintf(two, sizeof(two), "%s/root/two", tree_base);
	OK(cw_scan(c, roots, 2, &with_contents, &r, &err));
	OK(cw_state_check(c, &err));
	ck_assert_str_eq(cw_catalog_roots(c, &count)[0].format, "maildir");
	ck_assert_str_eq(cw_catalog_roots(c, &count)[1].format, "plain");
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(find(c, "mail/u/cur/1.M1.h:2,S", &e), 0);
	ck_assert_int_eq(find(c, "conf/main.cf", &e), 0);

	/* The other root keeps its entries. */
	ck_assert_int_eq(unlink(in_root("one/u/cur/1.M1.h:2,S")), 0);
	ck_assert_int_eq(unlink(in_root("two/main.cf")), 0);
	OK(cw_scan(c, &roots[1], 1, NULL, &r, &err));
	ck_assert_uint_eq(r.removed, 1);
	ck_assert_int_eq(find(c, "mail/u/cur/1.M1.h:2,S", &e), 0);
	cw_catalog_close(c);
}
END_TEST

/* ---- a store that lives ---- */

static atomic_bool stop_moving;

/* Two messages that always exist and never keep a name. */
static void *
move_about(void *arg)
{
	const char *dirs[] = {"u/new", "u/cur", "u/.A/cur", "u/.B/cur"};
	char from[2][300], to[300];
	unsigned seed = 1;

	(void)arg;
	for (int m = 0; m < 2; m++)
		snprintf(from[m], sizeof(from[m]), "%s/root/u/new/m%d.M1.h",
		    tree_base, m);
	for (unsigned i = 0; !atomic_load(&stop_moving); i++) {
		unsigned m = i % 2;

		seed = seed * 1103515245u + 12345u;
		snprintf(to, sizeof(to), "%s/root/%s/m%u.M1.h:2,%s", tree_base,
		    dirs[seed >> 16 & 3], m, (seed >> 20 & 1) != 0 ? "S" : "");
		if (rename(from[m], to) == 0)
			strcpy(from[m], to);
		if (i % 64 == 0)
			usleep(100);
	}
	return NULL;
}

static unsigned
count_names(struct cw_catalog *c, const char *begins)
{
	const struct cw_walk_query q = {.dir = CW_WALK_ALL_DIRS, .kind = 'f'};
	struct cw_entry e;
	struct cw_walk *w;
	unsigned found = 0;

	OK(cw_walk_open(c, &q, &w, &err));
	while (cw_walk_next(w, &e, &err) == 1)
		found += strncmp(e.name, begins, strlen(begins)) == 0;
	cw_walk_close(w);
	return found;
}

START_TEST(no_generation_lacks_a_message_that_moves)
{
	struct cw_catalog *c = open_catalog();
	struct cw_scan_result r;
	pthread_t thread;

	make_maildir("u");
	make_maildir("u/.A");
	make_maildir("u/.B");
	write_file("u/new/m0.M1.h", "zero");
	write_file("u/new/m1.M1.h", "one");
	for (int i = 0; i < 300; i++) {
		char name[60];

		snprintf(name, sizeof(name), "u/.A/cur/%d.M1.h:2,S", i);
		write_file(name, "filler");
	}
	scan_with(c, NULL, NULL);
	atomic_store(&stop_moving, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, move_about, NULL), 0);
	for (int i = 0; i < 8; i++) {
		scan_with(c, NULL, NULL);
		ck_assert_uint_ge(count_names(c, "m0."), 1);
		ck_assert_uint_ge(count_names(c, "m1."), 1);
	}
	atomic_store(&stop_moving, true);
	pthread_join(thread, NULL);
	r = scan_with(c, NULL, NULL);
	ck_assert_uint_eq(r.suspects, 0);
	ck_assert_uint_eq(count_names(c, "m0."), 1);
	ck_assert_uint_eq(count_names(c, "m1."), 1);
	cw_catalog_close(c);
}
END_TEST

START_TEST(an_account_without_rest_keeps_no_message_that_went)
{
	struct cw_catalog *c = open_catalog();
	struct cw_entry e;
	pthread_t thread;

	make_maildir("u");
	make_maildir("u/.A");
	make_maildir("u/.B");
	write_file("u/new/m0.M1.h", "zero");
	write_file("u/new/m1.M1.h", "one");
	write_file("u/cur/expunged.M1.h:2,S", "two");
	write_file("u/cur/flagged.M1.h:2,", "three");
	write_file("u/cur/moved.M1.h:2,S", "four");
	scan_with(c, NULL, NULL);
	atomic_store(&stop_moving, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, move_about, NULL), 0);
	scan_with(c, NULL, NULL);
	ck_assert_int_eq(unlink(in_root("u/cur/expunged.M1.h:2,S")), 0);
	ck_assert_int_eq(rename(in_root("u/cur/flagged.M1.h:2,"),
			     in_root("u/cur/flagged.M1.h:2,F")),
	    0);
	ck_assert_int_eq(rename(in_root("u/cur/moved.M1.h:2,S"),
			     in_root("u/.A/cur/moved.M1.h:2,S")),
	    0);
	scan_with(c, NULL, NULL);
	ck_assert_uint_eq(count_names(c, "expunged."), 0);
	ck_assert_uint_eq(count_names(c, "flagged."), 1);
	ck_assert_uint_eq(count_names(c, "moved."), 1);
	ck_assert_int_eq(find(c, "mail/u/cur/flagged.M1.h:2,F", &e), 0);
	ck_assert_int_eq(find(c, "mail/u/.A/cur/moved.M1.h:2,S", &e), 0);
	ck_assert_uint_ge(count_names(c, "m0."), 1);
	ck_assert_uint_ge(count_names(c, "m1."), 1);
	atomic_store(&stop_moving, true);
	pthread_join(thread, NULL);
	cw_catalog_close(c);
}
END_TEST

START_TEST(acl_values_are_read_strictly)
{
	static const uint8_t good[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255,
	    255, 32, 0, 4, 0, 255, 255, 255, 255};
	struct cw_buf out = CW_BUF_INIT;
	uint8_t bad[sizeof(good)];

	ck_assert_int_eq(attrs_acl_text(good, sizeof(good), &out), 0);
	ck_assert_str_eq(cw_buf_string(&out), "user::rw-\nother::r--\n");
	ck_assert_int_eq(attrs_acl_text(good, sizeof(good) - 1, &out), -1);
	ck_assert_int_eq(attrs_acl_text(good, 3, &out), -1);
	memcpy(bad, good, sizeof(good));
	bad[0] = 3;
	ck_assert_int_eq(attrs_acl_text(bad, sizeof(bad), &out), -1);
	memcpy(bad, good, sizeof(good));
	bad[4] = 3;
	ck_assert_int_eq(attrs_acl_text(bad, sizeof(bad), &out), -1);
	cw_buf_free(&out);
}
END_TEST

/* Domains, letters, accounts: as large sites lay them out. */
START_TEST(detection_reaches_accounts_far_down)
{
	const char *format;
	char path[80], dir[80];

	make_dir("v");
	for (int d = 0; d < 40; d++) {
		snprintf(dir, sizeof(dir), "v/%d", d);
		make_dir(dir);
		for (int l = 0; l < 20; l++) {
			snprintf(dir, sizeof(dir), "v/%d/%d", d, l);
			make_dir(dir);
			snprintf(dir, sizeof(dir), "v/%d/%d/x", d, l);
			make_dir(dir);
			snprintf(dir, sizeof(dir), "v/%d/%d/x/y", d, l);
			make_dir(dir);
			snprintf(dir, sizeof(dir), "v/%d/%d/x/y/u", d, l);
			make_dir(dir);
			snprintf(dir, sizeof(dir), "v/%d/%d/x/y/u/M", d, l);
			make_maildir(dir);
		}
	}
	snprintf(path, sizeof(path), "%s/root", tree_base);
	OK(cw_scan_detect(path, &format, &err));
	ck_assert_str_eq(format, "maildir");
}
END_TEST

/* Declared before there was mail in it, or before its disk was mounted. */
START_TEST(the_format_of_an_empty_root_is_detected_again)
{
	struct cw_catalog *c = open_catalog();
	size_t count;

	(void)scan_with(c, NULL, NULL);
	ck_assert_str_eq(cw_catalog_roots(c, &count)[0].format, "plain");
	make_maildir("u");
	(void)scan_with(c, NULL, NULL);
	ck_assert_str_eq(cw_catalog_roots(c, &count)[0].format, "maildir");
	cw_catalog_close(c);
}
END_TEST

START_TEST(detection_looks_into_accounts)
{
	const char *format;
	char path[80];

	snprintf(path, sizeof(path), "%s/root", tree_base);
	OK(cw_scan_detect(path, &format, &err));
	ck_assert_str_eq(format, "plain");
	make_dir("example.org");
	make_dir("example.org/u");
	make_maildir("example.org/u/Maildir");
	OK(cw_scan_detect(path, &format, &err));
	ck_assert_str_eq(format, "maildir");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scan");
	TCase *tc = tcase_create("scan");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, tree_setup, tree_teardown);
	tcase_add_test(tc, first_scan_finds_everything_and_reads_nothing);
	tcase_add_test(tc, nothing_changed_raises_no_generation);
	tcase_add_test(tc, old_directories_of_messages_are_not_read_again);
	tcase_add_test(
	    tc, an_empty_directory_is_not_read_again_until_something_comes);
	tcase_add_test(tc, a_directory_changed_just_now_is_read_again);
	tcase_add_test(tc, files_written_in_place_keep_their_directory_open);
	tcase_add_test(tc, flags_and_moves_keep_the_digest);
	tcase_add_test(tc, a_renamed_folder_keeps_its_digests);
	tcase_add_test(tc, deletions_leave_tombstones);
	tcase_add_test(tc, plain_files_changed_in_place_lose_their_digest);
	tcase_add_test(tc, entries_are_told_of_before_contents_are_read);
	tcase_add_test(
	    tc, mode_and_owner_changes_are_changes_and_keep_messages_read);
	tcase_add_test(tc, a_file_may_become_a_directory_and_back);
	tcase_add_test(tc, names_are_bytes);
	tcase_add_test(tc, locks_sockets_and_fifos_stay_out);
	tcase_add_test(tc, excluded_trees_stay_out);
	tcase_add_test(tc, symlinks_lead_nowhere);
	tcase_add_test(tc, hard_links_share_a_group);
	tcase_add_test(tc, sparse_files_are_marked);
	tcase_add_test(tc, times_before_1970_and_with_ns_are_kept);
	tcase_add_test(tc, attributes_and_acls_are_kept_and_watched);
	tcase_add_test(tc, more_entries_than_a_batch_are_compared);
	tcase_add_test(tc, deep_trees_are_reached);
	tcase_add_test(tc, a_missing_root_is_an_error_and_deletes_nothing);
	tcase_add_test(tc, an_unreadable_directory_fails_the_scan_by_name);
	tcase_add_test(tc, roots_are_scanned_side_by_side);
	tcase_add_test(tc, no_generation_lacks_a_message_that_moves);
	tcase_add_test(tc, an_account_without_rest_keeps_no_message_that_went);
	tcase_add_test(tc, acl_values_are_read_strictly);
	tcase_add_test(tc, detection_looks_into_accounts);
	tcase_add_test(tc, detection_reaches_accounts_far_down);
	tcase_add_test(tc, the_format_of_an_empty_root_is_detected_again);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
