#include "tests/unit/pairs.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * Calls that change something on disk pass through here, also SQLite's, so
 * that a child can be killed instead of its Nth one.
 */
static unsigned long crash_at;
static _Atomic unsigned long crash_calls; /* apply has a thread */

static void
count_call(void)
{
	if (crash_at > 0 && ++crash_calls == crash_at)
		kill(getpid(), SIGKILL);
}

#define CALL(name, params, ...)                                                \
	int name params;                                                       \
	int name params                                                        \
	{                                                                      \
		count_call();                                                  \
		return (int)syscall(SYS_##name, __VA_ARGS__);                  \
	}

CALL(renameat, (int a, const char *b, int c, const char *d), a, b, c, d)
CALL(renameat2, (int a, const char *b, int c, const char *d, unsigned e), a, b,
    c, d, e)
CALL(unlinkat, (int a, const char *b, int c), a, b, c)
CALL(unlink, (const char *a), a)
CALL(mkdirat, (int a, const char *b, mode_t c), a, b, c)
CALL(linkat, (int a, const char *b, int c, const char *d, int e), a, b, c, d, e)
CALL(symlinkat, (const char *a, int b, const char *c), a, b, c)
CALL(fchmod, (int a, mode_t b), a, b)
CALL(fchown, (int a, uid_t b, gid_t c), a, b, c)
CALL(fsync, (int a), a)
CALL(fdatasync, (int a), a)
CALL(syncfs, (int a), a)

ssize_t
pwrite64(int fd, const void *data, size_t len, off_t at)
{
	count_call();
	return syscall(SYS_pwrite64, fd, data, len, at);
}

int
futimens(int fd, const struct timespec times[2])
{
	count_call();
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

/* ---- small stores ---- */

static struct pair p;

static void
set_time(const char *name, time_t seconds)
{
	struct timespec times[2] = {{0, UTIME_OMIT}, {seconds, 123456789}};

	ck_assert_int_eq(
	    utimensat(AT_FDCWD, in_root(name), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void
message(const char *name, const char *text)
{
	write_file(name, text);
	set_time(name, 1700000000);
}

/* In the replica's tree, where nobody but us should write. */
static void
intrude(const char *name, const char *text)
{
	int fd = open(in_replica(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_msg(fd >= 0, "%s", name);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
digest_of(const char *text, uint8_t out[CW_DIGEST_SIZE])
{
	cw_sha256(text, strlen(text), out);
}

static int
compare_kept(void *arg, const struct cw_kept *kept)
{
	const char *text = arg;
	char found[256] = "";
	int fd;

	if (!kept->has_file || kept->e.size != strlen(text) ||
	    cw_history_open_kept(
		p.r.history, &kept->shelf, kept->n, &fd, &err) != 0)
		return 0;
	ck_assert_int_ge(read(fd, found, sizeof(found) - 1), 0);
	close(fd);
	return strcmp(found, text) == 0;
}

static int
compare_shelf(
    void *arg, const struct cw_shelf *shelf, uint64_t entries, uint64_t bytes)
{
	(void)entries;
	(void)bytes;
	return cw_history_each(p.r.history, shelf, compare_kept, arg, &err);
}

/* Is this kept in history, by us or as something that we do not know? */
static bool
is_kept_file(const char *text)
{
	return cw_history_shelves(p.r.history, compare_shelf,
		   (void *)(uintptr_t)text, &err) == 1;
}

/* Is this content kept in history? */
static bool
is_kept(const char *text)
{
	uint8_t digest[CW_DIGEST_SIZE];
	int fd, got;

	digest_of(text, digest);
	got = cw_history_find(p.r.history, digest, strlen(text), &fd, &err);
	ck_assert_msg(got >= 0, "%s", err.message);
	cw_close(&fd);
	return got == 0;
}

static void
setup(void)
{
	tree_setup();
	make_maildir("u");
	make_maildir("u/.Sent");
	make_maildir("u/.Old");
	message("u/cur/1.M1.h:2,", "one");
	message("u/cur/2.M2.h:2,S", "two two");
	message("u/.Old/cur/3.M3.h:2,S", "three");
	message("u/.Old/cur/4.M4.h:2,S", "four four");
	write_file("u/dovecot-uidlist", "3 V1 N2\n1 :1.M1.h\n");
	pair_open(&p);
	pair_sync(&p);
}

static void
teardown(void)
{
	pair_close(&p);
	tree_teardown();
}

START_TEST(a_first_sync_makes_all_equal)
{
	/* setup did it. */
	ck_assert_int_eq(
	    cw_incoming_info(p.r.incoming)->stage, CW_INCOMING_EMPTY);
	ck_assert_uint_eq(cw_incoming_info(p.r.incoming)->rows, 0);
}
END_TEST

START_TEST(a_flag_change_moves_the_file_and_wants_nothing)
{
	struct cw_apply_result r;
	struct stat before, after;

	ck_assert_int_eq(stat(in_replica("u/cur/1.M1.h:2,"), &before), 0);
	ck_assert_int_eq(
	    rename(in_root("u/cur/1.M1.h:2,"), in_root("u/cur/1.M1.h:2,FS")),
	    0);
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 0);
	r = pair_apply(&p);
	pair_check(&p);
	ck_assert_uint_eq(r.copied, 0);
	ck_assert_uint_eq(r.placed, 1);
	ck_assert_int_eq(stat(in_replica("u/cur/1.M1.h:2,FS"), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(a_removed_folder_is_in_history)
{
	ck_assert_int_eq(unlink(in_root("u/.Old/cur/3.M3.h:2,S")), 0);
	ck_assert_int_eq(rename(in_root("u/.Old/cur/4.M4.h:2,S"),
			     in_root("u/cur/4.M4.h:2,S")),
	    0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/cur")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/new")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/tmp")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old")), 0);
	intrude("u/.Old/dovecot.lock", "a lock");
	intrude("u/.Old/tmp/half", "half a message");
	ck_assert_int_eq(mkdir(in_replica("u/.Old/tmp/dir"), 0700), 0);
	intrude("u/.Old/tmp/dir/inner", "deep inside");
	pair_sync(&p);
	ck_assert(is_kept("three"));
	ck_assert(!is_kept("four four"));
	ck_assert(is_kept_file("half a message"));
	ck_assert(is_kept_file("deep inside"));
}
END_TEST

struct kept_count {
	unsigned entries, files;
};

static int
count_kept(void *arg, const struct cw_kept *kept)
{
	struct kept_count *c = arg;

	c->entries++;
	c->files += kept->has_file;
	return 0;
}

START_TEST(what_is_not_ours_is_kept_as_well)
{
	struct cw_shelf shelf = {false, 2};
	struct kept_count c = {0};

	ck_assert_int_eq(unlink(in_root("u/.Old/cur/3.M3.h:2,S")), 0);
	ck_assert_int_eq(unlink(in_root("u/.Old/cur/4.M4.h:2,S")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/cur")), 0);
	intrude("u/.Old/cur/x.lock", "1");
	pair_sync(&p);
	OK(cw_history_each(p.r.history, &shelf, count_kept, &c, &err));
	ck_assert_uint_eq(c.entries, 4);
	ck_assert_uint_eq(c.files, 3);
	OK(cw_history_forget(p.r.history, &shelf, &err));
	c = (struct kept_count){0};
	OK(cw_history_each(p.r.history, &shelf, count_kept, &c, &err));
	ck_assert_uint_eq(c.entries, 0);
	ck_assert_int_ne(access(in_base("store/history/2"), F_OK), 0);
}
END_TEST

START_TEST(a_changed_file_leaves_its_old_version)
{
	write_file("u/dovecot-uidlist", "3 V1 N3\n1 :1.M1.h\n2 :2.M2.h\n");
	pair_sync(&p);
	ck_assert(is_kept("3 V1 N2\n1 :1.M1.h\n"));
}
END_TEST

START_TEST(metadata_alone_moves_nothing)
{
	struct cw_apply_result r;
	struct stat before, after;

	ck_assert_int_eq(stat(in_replica("u/cur/1.M1.h:2,"), &before), 0);
	ck_assert_int_eq(chmod(in_root("u/cur/1.M1.h:2,"), 0600), 0);
	ck_assert_int_eq(chmod(in_root("u/.Sent"), 0700), 0);
	r = pair_sync(&p);
	ck_assert_uint_eq(r.placed, 0);
	ck_assert_uint_eq(r.touched, 2);
	ck_assert_int_eq(stat(in_replica("u/cur/1.M1.h:2,"), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(attributes_come_and_go)
{
	if (setxattr(in_root("u/cur/1.M1.h:2,"), "user.a", "1", 1, 0) < 0) {
		printf("skip: no extended attributes in /tmp\n");
		return;
	}
	ck_assert_int_eq(setxattr(in_root("u/cur"), "user.b", "22", 2, 0), 0);
	pair_sync(&p);
	ck_assert_int_eq(removexattr(in_root("u/cur/1.M1.h:2,"), "user.a"), 0);
	ck_assert_int_eq(removexattr(in_root("u/cur"), "user.b"), 0);
	ck_assert_int_eq(chmod(in_root("u/cur"), 0700), 0);
	pair_sync(&p);
}
END_TEST

START_TEST(attributes_go_when_a_file_moves_without_them)
{
	const char *from = "u/cur/1.M1.h:2,", *to = "u/cur/1.M1.h:2,T";

	if (setxattr(in_root(from), "user.k", "v", 1, 0) < 0) {
		printf("skip: no extended attributes in /tmp\n");
		return;
	}
	pair_sync(&p);
	ck_assert_int_eq(removexattr(in_root(from), "user.k"), 0);
	ck_assert_int_eq(rename(in_root(from), in_root(to)), 0);
	pair_sync(&p);
	ck_assert_int_lt(getxattr(in_replica(to), "user.k", NULL, 0), 0);
}
END_TEST

START_TEST(copies_of_what_stays_are_not_wanted)
{
	struct cw_apply_result r;

	message("u/.Sent/cur/9.M9.h:2,", "one");
	message("u/.Sent/cur/10.M10.h:2,", "one");
	message("u/.Sent/cur/11.M11.h:2,", "one");
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 0);
	r = pair_apply(&p);
	pair_check(&p);
	ck_assert_uint_eq(r.copied, 1);
	ck_assert_uint_eq(r.placed, 3);
}
END_TEST

START_TEST(many_that_go_fill_many_that_come)
{
	struct cw_apply_result r;

	message("u/cur/5.M5.h:2,", "same");
	message("u/cur/6.M6.h:2,", "same");
	message("u/cur/7.M7.h:2,", "same");
	pair_sync(&p);
	ck_assert_int_eq(
	    rename(in_root("u/cur/5.M5.h:2,"), in_root("u/cur/5.M5.h:2,S")), 0);
	ck_assert_int_eq(
	    rename(in_root("u/cur/6.M6.h:2,"), in_root("u/cur/6.M6.h:2,S")), 0);
	ck_assert_int_eq(unlink(in_root("u/cur/7.M7.h:2,")), 0);
	r = pair_sync(&p);
	ck_assert_uint_eq(r.copied, 0);
	ck_assert(is_kept("same"));
}
END_TEST

START_TEST(directories_are_not_from_1970)
{
	struct stat st;

	make_dir("u/empty");
	pair_sync(&p);
	ck_assert_int_eq(stat(in_replica("u/empty"), &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 0);
}
END_TEST

START_TEST(names_of_one_file_stay_one_file)
{
	struct cw_apply_result r;
	struct stat a, b;

	/* A new name of an old file, as a mail server copies. */
	ck_assert_int_eq(
	    link(in_root("u/cur/1.M1.h:2,"), in_root("u/.Sent/cur/1.M1.h:2,S")),
	    0);
	/* Two names of a new one. */
	message("u/new/8.M8.h", "eight");
	ck_assert_int_eq(
	    link(in_root("u/new/8.M8.h"), in_root("u/.Sent/new/8.M8.h")), 0);
	r = pair_sync(&p);
	ck_assert_uint_eq(r.linked, 2);
	ck_assert_int_eq(stat(in_replica("u/cur/1.M1.h:2,"), &a), 0);
	ck_assert_int_eq(stat(in_replica("u/.Sent/cur/1.M1.h:2,S"), &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	/* Another mode goes for all names. */
	ck_assert_int_eq(chmod(in_root("u/new/8.M8.h"), 0600), 0);
	pair_sync(&p);
	/* One name moves, the other stays. */
	ck_assert_int_eq(rename(in_root("u/.Sent/cur/1.M1.h:2,S"),
			     in_root("u/.Sent/cur/1.M1.h:2,FS")),
	    0);
	pair_sync(&p);
	/* They become two files. */
	ck_assert_int_eq(unlink(in_root("u/.Sent/new/8.M8.h")), 0);
	message("u/.Sent/new/8.M8.h", "eight");
	ck_assert_int_eq(chmod(in_root("u/.Sent/new/8.M8.h"), 0640), 0);
	pair_sync(&p);
}
END_TEST

START_TEST(kinds_change_places)
{
	/* A directory becomes a file, a file a directory, links change. */
	ck_assert_int_eq(symlink("nowhere", in_root("u/link")), 0);
	message("u/file", "I was a file");
	pair_sync(&p);
	ck_assert_int_eq(unlink(in_root("u/file")), 0);
	make_dir("u/file");
	message("u/file/inner", "inner");
	ck_assert_int_eq(unlink(in_root("u/link")), 0);
	ck_assert_int_eq(symlink("elsewhere", in_root("u/link")), 0);
	ck_assert_int_eq(unlink(in_root("u/.Old/cur/3.M3.h:2,S")), 0);
	ck_assert_int_eq(unlink(in_root("u/.Old/cur/4.M4.h:2,S")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/cur")), 0);
	message("u/.Old/cur", "three");
	pair_sync(&p);
	ck_assert(is_kept("I was a file"));
	ck_assert(is_kept("four four"));
	/* And back. */
	ck_assert_int_eq(unlink(in_root("u/.Old/cur")), 0);
	make_dir("u/.Old/cur");
	message("u/.Old/cur/4.M4.h:2,S", "four four");
	ck_assert_int_eq(unlink(in_root("u/file/inner")), 0);
	ck_assert_int_eq(rmdir(in_root("u/file")), 0);
	ck_assert_int_eq(symlink("u", in_root("u/file")), 0);
	ck_assert_int_eq(unlink(in_root("u/link")), 0);
	message("u/link", "no link");
	pair_sync(&p);
}
END_TEST

START_TEST(a_directory_made_again_keeps_nothing_of_the_old)
{
	/* Two generations, taken in one plan and in one after the other. */
	for (int together = 0; together < 2; together++) {
		ck_assert_int_eq(
		    rename(in_root("u/.Old"), in_root("u/.Gone")), 0);
		pair_scan(&p);
		if (!together)
			pair_sync(&p);
		make_maildir("u/.Old");
		message("u/.Old/cur/3.M3.h:2,S", "three, another");
		pair_scan(&p);
		ck_assert_int_eq(
		    chmod(in_root("u/.Old"), together ? 0700 : 0711), 0);
		pair_sync(&p);
		ck_assert_int_eq(rename(in_root("u/.Gone"),
				     in_root(together ? "u/.Two" : "u/.One")),
		    0);
		pair_sync(&p);
	}
}
END_TEST

START_TEST(damage_at_home_is_wanted_before_anything_changes)
{
	struct cw_apply_result r;
	struct timespec times[2] = {{0, UTIME_OMIT}, {1700000000, 123456789}};
	char *before, *after;

	/* Same size and time: only reading tells. */
	intrude("u/cur/1.M1.h:2,", "ONE");
	ck_assert_int_eq(
	    utimensat(AT_FDCWD, in_replica("u/cur/1.M1.h:2,"), times, 0), 0);
	ck_assert_int_eq(rename(in_root("u/cur/1.M1.h:2,"),
			     in_root("u/.Sent/cur/1.M1.h:2,S")),
	    0);
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 0);
	before = tree_text(in_base("replica"));
	ck_assert_int_eq(cw_apply(&p.r, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	ck_assert_uint_eq(r.missing, 1);
	after = tree_text(in_base("replica"));
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	/* Also after a restart. */
	pair_close_replica(&p);
	pair_open_replica(&p);
	ck_assert_int_eq(
	    cw_incoming_info(p.r.incoming)->stage, CW_INCOMING_COMPLETE);
	ck_assert_uint_eq(pair_supply_wants(&p), 1);
	pair_apply(&p);
	pair_check(&p);
	ck_assert(!is_kept("one"));
}
END_TEST

static void
unsupply(const char *text)
{
	uint8_t digest[CW_DIGEST_SIZE];

	cw_sha256(text, strlen(text), digest);
	OK(cw_staging_discard(p.r.staging, digest, &err));
}

START_TEST(what_lacks_stands_in_the_catalog_alone)
{
	const struct cw_apply_options options = {.partial = true};
	struct cw_apply_result r;
	struct stat st;
	uint64_t count;

	/* One that is new, under two names, and one in place of another. */
	message("u/cur/30.M30.h:2,", "thirty");
	ck_assert_int_eq(
	    link(in_root("u/cur/30.M30.h:2,"), in_root("u/cur/30b.M30.h:2,")),
	    0);
	message("u/cur/31.M31.h:2,", "thirty-one");
	message("u/cur/1.M1.h:2,", "another");
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 3);
	unsupply("thirty");
	unsupply("another");
	ck_assert_int_eq(cw_apply(&p.r, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	OK(cw_apply(&p.r, &options, &r, &err));
	ck_assert_uint_eq(r.missing, 2);
	ck_assert_uint_eq(r.lacking, 3);
	ck_assert(r.is_equal);
	ck_assert_int_eq(stat(in_replica("u/cur/31.M31.h:2,"), &st), 0);
	ck_assert_int_ne(stat(in_replica("u/cur/30.M30.h:2,"), &st), 0);
	ck_assert_int_ne(stat(in_replica("u/cur/1.M1.h:2,"), &st), 0);
	ck_assert(is_kept("one"));

	/* They are wanted from then on, and come to their places. */
	pair_close_replica(&p);
	pair_open_replica(&p);
	OK(cw_incoming_begin(p.r.incoming, r.generation, 1, &err));
	OK(cw_incoming_add_lacking(p.r.incoming, &p.r, &count, &err));
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(pair_supply_wants(&p), 2);
	pair_complete(&p);
	pair_apply(&p);
	pair_check(&p);
	OK(cw_incoming_begin(p.r.incoming, r.generation, 1, &err));
	OK(cw_incoming_add_lacking(p.r.incoming, &p.r, &count, &err));
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(a_file_that_is_gone_at_home_is_wanted)
{
	ck_assert_int_eq(unlink(in_replica("u/cur/2.M2.h:2,S")), 0);
	ck_assert_int_eq(
	    rename(in_root("u/cur/2.M2.h:2,S"), in_root("u/cur/2.M2.h:2,ST")),
	    0);
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 1);
	pair_apply(&p);
	pair_check(&p);
}
END_TEST

static void heal(const struct cw_apply_options *options);

START_TEST(a_directory_that_is_gone_at_home_is_made_again)
{
	char command[200];

	snprintf(
	    command, sizeof(command), "rm -rf '%s/replica/u/.Sent'", tree_base);
	ck_assert_int_eq(system(command), 0);
	message("u/.Sent/cur/9.M9.h:2,", "nine");
	make_dir("u/.Sent/cur/deep");
	pair_scan(&p);
	pair_collect(&p);
	pair_apply(&p);
	/* What nobody sent is for a comparison to find. */
	ck_assert_int_eq(access(in_replica("u/.Sent/cur/9.M9.h:2,"), F_OK), 0);
	ck_assert_int_eq(access(in_replica("u/.Sent/cur/deep"), F_OK), 0);
	ck_assert_int_ne(access(in_replica("u/.Sent/tmp"), F_OK), 0);
	heal(NULL);
}
END_TEST

START_TEST(history_gives_back_what_comes_again)
{
	ck_assert_int_eq(unlink(in_root("u/cur/2.M2.h:2,S")), 0);
	pair_sync(&p);
	ck_assert(is_kept("two two"));
	message("u/.Sent/cur/2.M2.h:2,S", "two two");
	pair_scan(&p);
	ck_assert_uint_eq(pair_collect(&p), 0);
	pair_apply(&p);
	pair_check(&p);
	ck_assert(is_kept("two two"));
}
END_TEST

START_TEST(a_row_without_its_directory_is_refused_before_anything_changes)
{
	struct cw_change ch = {.kind = CW_KIND_SYMLINK,
	    .dir_path = "mail/u/nowhere",
	    .dir_path_len = 14,
	    .e = {.name = "x",
		.name_len = 1,
		.kind = CW_KIND_SYMLINK,
		.target = "y",
		.target_len = 1,
		.mode = 0777,
		.generation = 2}};
	uint8_t digest[CW_STATE_SIZE] = {0};
	struct cw_apply_result r;

	OK(cw_incoming_begin(p.r.incoming, 1, 1, &err));
	OK(cw_incoming_add(p.r.incoming, &ch, &err));
	OK(cw_incoming_complete(p.r.incoming, 2, digest, &err));
	ck_assert_int_eq(cw_apply(&p.r, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FORMAT);
	OK(cw_incoming_discard(p.r.incoming, &err));
	pair_check(&p);
}
END_TEST

START_TEST(an_incomplete_plan_is_refused)
{
	struct cw_apply_result r;

	OK(cw_incoming_begin(p.r.incoming, 1, 1, &err));
	ck_assert_int_eq(cw_apply(&p.r, NULL, &r, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_apply_resume(&p.r, NULL, &r, &err), 1);
}
END_TEST

START_TEST(another_digest_is_told)
{
	struct cw_apply_result r;
	uint8_t digest[CW_STATE_SIZE] = {1};

	message("u/new/5.M5.h", "five");
	pair_scan(&p);
	pair_collect(&p);
	OK(cw_incoming_complete(p.r.incoming, 2, digest, &err));
	OK(cw_apply(&p.r, NULL, &r, &err));
	ck_assert(!r.is_equal);
	pair_check(&p);
}
END_TEST

/* ---- healing ---- */

static int
list_dir(void *arg, int64_t dir, const char *path, size_t len,
    const uint8_t digest[CW_STATE_SIZE])
{
	struct cw_walk_query q = CW_WALK_ALL;
	char *dir_path = cw_asprintf("%.*s", (int)len, path);
	struct cw_walk *walk;
	struct cw_entry e;

	(void)arg;
	(void)digest;
	q.dir = dir;
	OK(cw_incoming_list_begin(p.r.incoming, dir_path, len, &err));
	OK(cw_walk_open(p.source, &q, &walk, &err));
	while (cw_walk_next(walk, &e, &err) == 1) {
		struct cw_change ch = {.kind = e.kind,
		    .dir_path = dir_path,
		    .dir_path_len = len,
		    .e = e};

		OK(cw_incoming_list_add(p.r.incoming, &p.r, &ch, &err));
	}
	cw_walk_close(walk);
	OK(cw_incoming_list_end(p.r.incoming, &p.r, &err));
	free(dir_path);
	return 0;
}

/* Compares all directories; what comes in is what differs. */
static void
heal(const struct cw_apply_options *options)
{
	struct cw_apply_result r;

	OK(cw_incoming_begin(p.r.incoming, 0, 2, &err));
	OK(cw_catalog_each_dir(p.source, -1, list_dir, NULL, &err));
	OK(cw_incoming_commit(p.r.incoming, NULL, &err));
	pair_supply_wants(&p);
	pair_complete(&p);
	OK(cw_apply(&p.r, options, &r, &err));
	ck_assert(r.is_equal);
	pair_check(&p);
}

START_TEST(comparison_of_equals_gives_no_rows)
{
	OK(cw_incoming_begin(p.r.incoming, 0, 2, &err));
	OK(cw_catalog_each_dir(p.source, -1, list_dir, NULL, &err));
	ck_assert_uint_eq(cw_incoming_info(p.r.incoming)->rows, 0);
}
END_TEST

START_TEST(comparison_heals_what_the_tree_lacks)
{
	ck_assert_int_eq(unlink(in_replica("u/cur/2.M2.h:2,S")), 0);
	heal(NULL);
}
END_TEST

/* As if the replica had been active: it goes on by itself. */
static void
diverge(void)
{
	struct cw_scan_root root = {
	    .name = "mail", .path = in_base("replica"), .format = "maildir"};
	struct cw_scan_result result;
	char name[64];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "u/new/10%d.M.h", i);
		intrude(name, name);
		OK(cw_scan(
		    p.catalog, &root, 1, &pair_scan_options, &result, &err));
	}
	ck_assert_int_eq(rename(in_replica("u/cur/1.M1.h:2,"),
			     in_replica("u/cur/1.M1.h:2,T")),
	    0);
	ck_assert_int_eq(unlink(in_replica("u/.Old/cur/3.M3.h:2,S")), 0);
	ck_assert_int_eq(mkdir(in_replica("u/.Mine"), 0700), 0);
	intrude("u/.Mine/a message\n", "mine");
	intrude("u/.Sent/cur/common:2,S", "common");
	OK(cw_scan(p.catalog, &root, 1, &pair_scan_options, &result, &err));
	ck_assert_uint_eq(cw_catalog_info(p.catalog)->generation, 6);
	message("u/new/5.M5.h", "five");
	pair_scan(&p);
}

START_TEST(comparison_heals_a_replica_that_went_its_own_way)
{
	diverge();
	heal(NULL);
	ck_assert(is_kept("mine"));
}
END_TEST

START_TEST(what_diverged_is_put_aside_with_a_listing)
{
	struct cw_apply_options options = {.diverged_epoch = 1};
	struct cw_buf text = CW_BUF_INIT;
	char hex[65];
	uint8_t digest[32];

	diverge();
	heal(&options);
	ck_assert_int_ne(access(in_base("store/history/2"), F_OK), 0);
	OK(cw_read_file(
	    AT_FDCWD, in_base("store/diverged/1.txt"), 1 << 16, &text, &err));
	digest_of("mine", digest);
	cw_hex_encode(digest, 32, hex);
	ck_assert_ptr_nonnull(
	    strstr(cw_buf_string(&text), "mail/u/.Mine/a\\x20message\\x0a 4 "));
	ck_assert_ptr_nonnull(strstr(cw_buf_string(&text), hex));
	/* Renamed only: its content is in the store. */
	ck_assert_ptr_nonnull(
	    strstr(cw_buf_string(&text), "mail/u/cur/1.M1.h:2,T 3 "));
	cw_buf_free(&text);
}
END_TEST

/* ---- crashes ---- */

/* All that can happen, in one generation. */
static void
change_everything(void)
{
	ck_assert_int_eq(
	    rename(in_root("u/cur/1.M1.h:2,"), in_root("u/cur/1.M1.h:2,FS")),
	    0);
	ck_assert_int_eq(rename(in_root("u/cur/2.M2.h:2,S"),
			     in_root("u/.Sent/cur/2.M2.h:2,S")),
	    0);
	message("u/cur/20.M.h:2,", "two two");
	message("u/cur/21.M.h:2,", "two two");
	ck_assert_int_eq(unlink(in_root("u/.Old/cur/3.M3.h:2,S")), 0);
	ck_assert_int_eq(rename(in_root("u/.Old/cur/4.M4.h:2,S"),
			     in_root("u/.Sent/new/4.M4.h")),
	    0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/cur")), 0);
	ck_assert_int_eq(rmdir(in_root("u/.Old/new")), 0);
	message("u/.Old/cur", "a file now");
	make_maildir("u/.New");
	message("u/.New/cur/30.M.h:2,", "thirty");
	ck_assert_int_eq(link(in_root("u/.New/cur/30.M.h:2,"),
			     in_root("u/.Sent/cur/30.M.h:2,")),
	    0);
	ck_assert_int_eq(symlink("u", in_root("link")), 0);
	write_file("u/dovecot-uidlist", "3 V1 N9\n1 :1.M1.h\nmore\n");
	ck_assert_int_eq(chmod(in_root("u/tmp"), 0700), 0);
	message("u/keep", "keep");
}

/* Every content that the replica had is in its tree or in history. */
static void
check_nothing_is_lost(void)
{
	ck_assert(is_kept("three"));
	ck_assert(is_kept("3 V1 N2\n1 :1.M1.h\n"));
	ck_assert(is_kept_file("a lock"));
	ck_assert(is_kept("stays, mode only") ||
		  access(in_replica("u/stay"), F_OK) == 0);
}

/* Runs apply in a child that is killed at a call: true if it was. */
static bool
apply_until(unsigned long call)
{
	int status;
	pid_t child;

	pair_close_replica(&p);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct cw_apply_result r;

		pair_open_replica(&p);
		/* The call before was the last but for tidying up. */
		if (cw_incoming_info(p.r.incoming)->stage == CW_INCOMING_EMPTY)
			_exit(0);
		crash_at = call;
		if (cw_apply(&p.r, NULL, &r, &err) == 0)
			_exit(0);
		fprintf(stderr, "%s\n", err.message);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	pair_open_replica(&p);
	if (WIFSIGNALED(status))
		return true;
	ck_assert_msg(WEXITSTATUS(status) == 0, "apply failed at %lu", call);
	return false;
}

/* Stops at a call, then at others while it goes on; true if it was. */
static bool
apply_stopped_at(unsigned long call)
{
	struct cw_apply_result r;
	bool was_stopped = apply_until(call);

	if (was_stopped)
		(void)(apply_until(call / 2 + 1) && apply_until(call / 3 + 1));
	if (cw_incoming_info(p.r.incoming)->stage != CW_INCOMING_EMPTY)
		OK(cw_apply(&p.r, NULL, &r, &err));
	pair_check(&p);
	return was_stopped;
}

static bool
crash_once(unsigned long call)
{
	bool was_stopped;

	setup();
	message("u/stay", "stays, mode only");
	pair_sync(&p);
	intrude("u/.Old/cur/dovecot.lock", "a lock");
	change_everything();
	ck_assert_int_eq(chmod(in_root("u/stay"), 0600), 0);
	pair_scan(&p);
	pair_collect(&p);
	was_stopped = apply_stopped_at(call);
	check_nothing_is_lost();
	teardown();
	return was_stopped;
}

START_TEST(killed_anywhere_it_goes_on_to_the_same_end)
{
	const char *text = getenv("CRASH_STEP");
	unsigned long step = text == NULL ? 7 : strtoul(text, NULL, 10), at;

	for (at = 1 + (unsigned long)_i; crash_once(at); at += 4 * step)
		;
	ck_assert_uint_gt(at, 50);
	printf("stopped at every %luth of %lu calls\n", 4 * step, at);
}
END_TEST

/* The same of the first apply, where a thread places the files. */
static bool
crash_first(unsigned long call, bool apart)
{
	bool was_stopped;

	tree_setup();
	if (apart) {
		ck_assert_int_eq(mkdir(in_base("replica"), 0755), 0);
		ck_assert_int_eq(mount("causeway-test", in_base("replica"),
				     "tmpfs", 0, "size=64m,mode=755"),
		    0);
	}
	make_maildir("u");
	message("u/keep", "keep");
	for (int i = 0; i < 300; i++) {
		char name[64], text[32];

		snprintf(name, sizeof(name), "u/cur/1%03d.M.h:2,S", i);
		snprintf(text, sizeof(text), "message %d", i / 2);
		message(name, text);
	}
	make_maildir("u/.New");
	ck_assert_int_eq(
	    link(in_root("u/cur/1007.M.h:2,S"), in_root("u/.New/cur/7.M.h:2,")),
	    0);
	ck_assert_int_eq(symlink("u", in_root("link")), 0);
	pair_open(&p);
	pair_scan(&p);
	pair_collect(&p);
	was_stopped = apply_stopped_at(call);
	pair_close(&p);
	if (apart)
		ck_assert_int_eq(umount2(in_base("replica"), MNT_DETACH), 0);
	tree_teardown();
	return was_stopped;
}

START_TEST(a_first_apply_killed_anywhere_comes_to_the_same_end)
{
	unsigned long at;

	for (at = 1; crash_first(at, false); at += 80)
		;
	ck_assert_uint_gt(at, 800);
	printf("the first: stopped at every 80th of %lu calls\n", at);
}
END_TEST

START_TEST(a_first_apply_to_another_filesystem_is_the_same)
{
	tree_setup();
	if (mount("causeway-test", tree_base, "tmpfs", 0, NULL) < 0) {
		printf("skip: no tmpfs can be mounted here\n");
		tree_teardown();
		return;
	}
	ck_assert_int_eq(umount2(tree_base, MNT_DETACH), 0);
	tree_teardown();
	for (unsigned long at = 1; crash_first(at, true); at += 400)
		;
}
END_TEST

START_TEST(staging_may_lie_on_another_filesystem)
{
	char command[256];

	setup();
	pair_close_replica(&p);
	/* The store's folder moves to a filesystem of its own. */
	ck_assert_int_eq(rename(in_base("store"), in_base("before")), 0);
	ck_assert_int_eq(mkdir(in_base("store"), 0700), 0);
	if (mount("causeway-test", in_base("store"), "tmpfs", 0, "size=64m") <
	    0) {
		printf("skip: no tmpfs can be mounted here\n");
		rmdir(in_base("store"));
		rename(in_base("before"), in_base("store"));
		pair_open_replica(&p);
		teardown();
		return;
	}
	snprintf(command, sizeof(command), "cp -a %s/before/. %s/store/",
	    tree_base, tree_base);
	ck_assert_int_eq(system(command), 0);
	pair_open_replica(&p);
	message("u/stay", "stays, mode only");
	pair_sync(&p);
	intrude("u/.Old/cur/dovecot.lock", "a lock");
	change_everything();
	pair_scan(&p);
	pair_collect(&p);
	for (unsigned long at = 20; apply_until(at); at += 9)
		;
	pair_check(&p);
	check_nothing_is_lost();
	pair_close(&p);
	ck_assert_int_eq(umount2(in_base("store"), MNT_DETACH), 0);
	tree_teardown();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("apply");
	TCase *tc = tcase_create("apply"), *crash = tcase_create("crash");
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_first_sync_makes_all_equal);
	tcase_add_test(tc, a_flag_change_moves_the_file_and_wants_nothing);
	tcase_add_test(tc, a_removed_folder_is_in_history);
	tcase_add_test(tc, what_is_not_ours_is_kept_as_well);
	tcase_add_test(tc, a_changed_file_leaves_its_old_version);
	tcase_add_test(tc, metadata_alone_moves_nothing);
	tcase_add_test(tc, attributes_come_and_go);
	tcase_add_test(tc, attributes_go_when_a_file_moves_without_them);
	tcase_add_test(tc, copies_of_what_stays_are_not_wanted);
	tcase_add_test(tc, many_that_go_fill_many_that_come);
	tcase_add_test(tc, names_of_one_file_stay_one_file);
	tcase_add_test(tc, directories_are_not_from_1970);
	tcase_add_test(tc, kinds_change_places);
	tcase_add_test(tc, a_directory_made_again_keeps_nothing_of_the_old);
	tcase_add_test(tc, damage_at_home_is_wanted_before_anything_changes);
	tcase_add_test(tc, what_lacks_stands_in_the_catalog_alone);
	tcase_add_test(tc, a_file_that_is_gone_at_home_is_wanted);
	tcase_add_test(tc, a_directory_that_is_gone_at_home_is_made_again);
	tcase_add_test(tc, history_gives_back_what_comes_again);
	tcase_add_test(
	    tc, a_row_without_its_directory_is_refused_before_anything_changes);
	tcase_add_test(tc, an_incomplete_plan_is_refused);
	tcase_add_test(tc, another_digest_is_told);
	tcase_add_test(tc, comparison_of_equals_gives_no_rows);
	tcase_add_test(tc, comparison_heals_what_the_tree_lacks);
	tcase_add_test(tc, comparison_heals_a_replica_that_went_its_own_way);
	tcase_add_test(tc, what_diverged_is_put_aside_with_a_listing);
	tcase_add_loop_test(
	    crash, killed_anywhere_it_goes_on_to_the_same_end, 0, 4);
	tcase_add_test(
	    crash, a_first_apply_killed_anywhere_comes_to_the_same_end);
	tcase_add_test(crash, a_first_apply_to_another_filesystem_is_the_same);
	tcase_add_test(crash, staging_may_lie_on_another_filesystem);
	tcase_set_timeout(tc, 60);
	tcase_set_timeout(crash, 300);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, crash);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
