#include "base/crypto.h"
#include "base/fs.h"
#include "site/home.h"
#include "site/identity.h"
#include "tests/unit/scratch.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[64];
static char *home_dir;
static struct cw_home *home;
static struct cw_error err;

static char *
below(const char *name)
{
	return cw_asprintf("%s/%s", top, name);
}

static int
create(const char *name)
{
	struct cw_home_options o = {.name = name};

	return cw_home_create(home_dir, NULL, &o, &home, &err);
}

static void
setup(void)
{
	err = (struct cw_error)CW_ERROR_INIT;
	home = NULL;
	ck_assert_int_eq(cw_crypto_init(&err), 0);
	strcpy(top, "/tmp/test_home.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	home_dir = below("home");
}

static void
teardown(void)
{
	cw_home_close(home);
	free(home_dir);
	scratch_remove(top);
}

static void
make_dir(const char *name)
{
	char *path = below(name);

	ck_assert_int_eq(cw_make_dirs(path, 0755, &err), 0);
	free(path);
}

static mode_t
mode_of(const char *name)
{
	char *path = below(name);
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

static struct cw_buf
config_text(void)
{
	struct cw_buf text = CW_BUF_INIT;

	ck_assert_int_eq(
	    cw_read_file(AT_FDCWD, home->config_path, 1 << 20, &text, &err), 0);
	(void)cw_buf_string(&text);
	return text;
}

/* A card of another site. */
static void
make_card(const char *name, struct cw_card *card)
{
	char *path = below(name);
	int fd;

	ck_assert_int_eq(cw_make_dirs(path, 0700, &err), 0);
	fd = cw_open_dir(path, &err);
	ck_assert_int_eq(cw_identity_create(fd, name, NULL, &err), 0);
	ck_assert_int_eq(cw_identity_card(fd, card, &err), 0);
	cw_close(&fd);
	free(path);
}

static int
add_store(const char *name, const char *root, const char *dir)
{
	struct cw_config_root r = {.name = cw_strdup(root), .path = below(dir)};
	struct cw_config_store store = {.roots = &r, .root_count = 1};
	int ret;

	store.name = cw_strdup(name);
	ret = cw_home_add_store(home, &store, &err);
	free(r.name);
	free(r.path);
	free(store.name);
	return ret;
}

START_TEST(a_made_home_opens)
{
	(void)umask(022);
	ck_assert_msg(create("a") == 0, "%s", err.message);
	ck_assert_str_eq(home->config.name, "a");
	ck_assert_int_eq(mode_of("home"), 0700);
	cw_home_close(home);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), 0);
	ck_assert_str_eq(home->config.name, "a");
	ck_assert_int_eq(home->lock_fd, -1);
}
END_TEST

START_TEST(a_replica_received_elsewhere_keeps_what_was_said_of_it)
{
	const char *name = "mail", *dir = "/srv/new", *history = "7d";
	struct cw_config_root old = {
	    .name = cw_strdup("mail"), .path = below("old")};
	struct cw_config_root new = {.name = old.name, .path = cw_strdup(dir)};
	struct cw_config_store store = {.name = cw_strdup(name),
	    .roots = &old,
	    .root_count = 1,
	    .history = cw_strdup(history)};
	const struct cw_config_store *is;
	char *own = cw_strdup("a");

	ck_assert_int_eq(create("a"), 0);
	store.follow = own;
	ck_assert_int_eq(cw_make_dirs(old.path, 0700, &err), 0);
	ck_assert_msg(
	    cw_home_add_store(home, &store, &err) == 0, "%s", err.message);
	free(store.history);
	store.history = NULL;
	store.roots = &new;
	ck_assert_msg(
	    cw_home_put_replica(home, &store, &err) == 0, "%s", err.message);
	is = cw_config_store(&home->config, name);
	ck_assert_ptr_nonnull(is);
	ck_assert_str_eq(is->roots[0].path, dir);
	ck_assert_ptr_nonnull(is->history);
	ck_assert_str_eq(is->history, history);
	free(own);
	free(store.name);
	free(old.name);
	free(old.path);
	free(new.path);
}
END_TEST

START_TEST(a_second_init_changes_nothing)
{
	ck_assert_int_eq(create("a"), 0);
	cw_home_close(home);
	home = NULL;
	ck_assert_int_eq(create("b"), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), 0);
	ck_assert_str_eq(home->config.name, "a");
}
END_TEST

START_TEST(an_init_that_was_killed_before_its_configuration_goes_on)
{
	struct cw_card before, after;

	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(cw_identity_card(home->state_fd, &before, &err), 0);
	ck_assert_int_eq(unlink(home->config_path), 0);
	cw_home_close(home);
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(cw_identity_card(home->state_fd, &after, &err), 0);
	ck_assert_int_eq(memcmp(&before, &after, sizeof(before)), 0);
}
END_TEST

START_TEST(no_home_says_what_to_type)
{
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(err.message, "init NAME"));
	ck_assert_ptr_nonnull(strstr(err.message, home_dir));
}
END_TEST

START_TEST(a_configuration_names_the_state_directory)
{
	char *config = below("etc/causeway.conf"), *state = below("var");
	struct cw_home_options o = {.name = "a", .state = state};

	ck_assert_msg(cw_home_create(NULL, config, &o, &home, &err) == 0, "%s",
	    err.message);
	cw_home_close(home);
	ck_assert_int_eq(
	    cw_home_open(NULL, config, CW_HOME_WRITE, &home, &err), 0);
	ck_assert_str_eq(home->state_path, state);
	ck_assert_int_eq(mode_of("var"), 0700);
	ck_assert_int_eq(mode_of("var/keys"), 0700);
	free(config);
	free(state);
}
END_TEST

START_TEST(a_directory_with_other_things_keeps_its_mode)
{
	(void)umask(022);
	make_dir("home/other");
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(mode_of("home"), 0755);
	ck_assert_int_eq(mode_of("home/keys"), 0700);
}
END_TEST

START_TEST(another_process_that_writes_is_named)
{
	char pid[32];
	int status;
	pid_t child;

	ck_assert_int_eq(create("a"), 0);
	(void)snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	child = fork();
	if (child == 0) {
		struct cw_home *other;
		int busy, read;

		busy = cw_home_open(
			   home_dir, NULL, CW_HOME_WRITE, &other, &err) < 0 &&
		       err.code == CW_ERR_BUSY &&
		       strstr(err.message, pid) != NULL;
		read = cw_home_open(
			   home_dir, NULL, CW_HOME_READ, &other, &err) == 0;
		_exit(busy && read ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	cw_home_close(home);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_WRITE, &home, &err), 0);
}
END_TEST

START_TEST(a_peer_is_added_once)
{
	struct cw_buf before, after;
	struct cw_card card;
	bool is_new;

	make_card("b", &card);
	ck_assert_int_eq(create("a"), 0);
	before = config_text();
	ck_assert_int_eq(
	    cw_home_add_peer(home, &card, "b:1", &is_new, &err), 0);
	ck_assert(is_new);
	ck_assert_int_eq(cw_home_add_peer(home, &card, NULL, &is_new, &err), 0);
	ck_assert(!is_new);
	ck_assert_int_eq(
	    cw_home_add_peer(home, &card, "b:2", &is_new, &err), 0);
	ck_assert(!is_new);
	ck_assert_uint_eq(home->config.peer_count, 1);
	ck_assert_str_eq(home->config.peers[0].address, "b:2");
	/* What stood there stands there still. */
	after = config_text();
	ck_assert_uint_gt(after.len, before.len);
	ck_assert_int_eq(memcmp(after.data, before.data, before.len), 0);
	cw_buf_free(&before);
	cw_buf_free(&after);
}
END_TEST

START_TEST(a_peer_with_another_key_is_refused)
{
	struct cw_card card, forged, renamed, own;
	bool is_new;

	make_card("b", &card);
	make_card("c", &forged);
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(cw_home_add_peer(home, &card, NULL, &is_new, &err), 0);
	strcpy(forged.name, "b");
	ck_assert_int_eq(
	    cw_home_add_peer(home, &forged, NULL, &is_new, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	renamed = card;
	strcpy(renamed.name, "d");
	ck_assert_int_eq(
	    cw_home_add_peer(home, &renamed, NULL, &is_new, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_identity_card(home->state_fd, &own, &err), 0);
	ck_assert_int_eq(cw_home_add_peer(home, &own, NULL, &is_new, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(
	    memcmp(&home->config.peers[0].card, &card, sizeof(card)), 0);
}
END_TEST

START_TEST(a_store_is_added_with_its_roots)
{
	const struct cw_config_store *store;

	make_dir("mail");
	ck_assert_int_eq(create("a"), 0);
	ck_assert_msg(
	    add_store("post", "mail", "mail") == 0, "%s", err.message);
	ck_assert_int_eq(cw_home_store(home, "post", &store, &err), 0);
	ck_assert_str_eq(store->roots[0].name, "mail");
	ck_assert_int_eq(cw_home_store(home, "pots", &store, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "post"));
	ck_assert_int_eq(add_store("post", "mail", "mail"), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
}
END_TEST

START_TEST(roots_that_hold_one_another_are_refused)
{
	char *target = below("mail/sub"), *link = below("link");

	make_dir("mail/sub");
	make_dir("mail2");
	ck_assert_int_eq(symlink(target, link), 0);
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(add_store("one", "m", "mail"), 0);
	ck_assert_int_eq(add_store("two", "m", "mail/sub"), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(add_store("two", "m", "mail"), -1);
	ck_assert_int_eq(add_store("two", "m", "link"), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(add_store("two", "m", "."), -1);
	/* The same beginning is not the same directory. */
	ck_assert_msg(add_store("two", "m", "mail2") == 0, "%s", err.message);
	free(target);
	free(link);
}
END_TEST

START_TEST(a_root_that_holds_the_home_is_refused)
{
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(add_store("m", "m", "."), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.message, "keys"));
	ck_assert_int_eq(add_store("m", "m", "home"), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
}
END_TEST

START_TEST(wrong_names_and_files_are_no_roots)
{
	char *file = below("file");
	int fd = open(file, O_WRONLY | O_CREAT, 0644);

	cw_close(&fd);
	make_dir("mail");
	make_dir("line\nbreak");
	make_dir(" padded ");
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(add_store("m/m", "m", "mail"), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(add_store("m", "../m", "mail"), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(add_store("m", "m", "file"), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(add_store("m", "m", "line\nbreak"), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(add_store("m", "m", " padded "), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_int_eq(add_store("m", "m", "absent"), -1);
	ck_assert_uint_eq(home->config.store_count, 0);
	free(file);
}
END_TEST

START_TEST(a_catalog_is_made_once_and_missed_when_it_is_gone)
{
	const struct cw_config_store *store;
	struct cw_catalog *c;
	char *path, *role;

	make_dir("mail");
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(add_store("m", "m", "mail"), 0);
	ck_assert_int_eq(cw_home_store(home, "m", &store, &err), 0);
	ck_assert_int_eq(
	    cw_home_catalog(home, store, CW_CATALOG_READ, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
	ck_assert_msg(
	    cw_home_catalog(home, store, CW_CATALOG_WRITE, &c, &err) == 0, "%s",
	    err.message);
	ck_assert_int_eq(cw_catalog_note_get(c, CW_NOTE_ROLE, &role, &err), 0);
	ck_assert_str_eq(role, CW_ROLE_ACTIVE);
	free(role);
	cw_catalog_close(c);
	/* Something of an earlier life of the store is left. */
	path = cw_home_store_dir(home, "m");
	ck_assert_int_eq(mode_of("home/stores/m"), 0700);
	free(path);
	path = cw_asprintf("%s/stores/m/history", home->state_path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	free(path);
	path = cw_home_catalog_path(home, "m");
	ck_assert_int_eq(unlink(path), 0);
	free(path);
	ck_assert_int_eq(
	    cw_home_catalog(home, store, CW_CATALOG_WRITE, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_MISSING);
}
END_TEST

START_TEST(the_mode_of_the_configuration_is_kept)
{
	struct cw_card card;

	make_card("b", &card);
	ck_assert_int_eq(create("a"), 0);
	ck_assert_int_eq(chmod(home->config_path, 0640), 0);
	ck_assert_int_eq(cw_home_add_peer(home, &card, NULL, NULL, &err), 0);
	ck_assert_int_eq(mode_of("home/causeway.conf"), 0640);
}
END_TEST

START_TEST(reading_homes_are_not_written)
{
	struct cw_card card;

	make_card("b", &card);
	ck_assert_int_eq(create("a"), 0);
	cw_home_close(home);
	ck_assert_int_eq(
	    cw_home_open(home_dir, NULL, CW_HOME_READ, &home, &err), 0);
	ck_assert_int_eq(cw_home_add_peer(home, &card, NULL, NULL, &err), -1);
	ck_assert_uint_eq(home->config.peer_count, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("home");
	TCase *tc = tcase_create("home");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_made_home_opens);
	tcase_add_test(
	    tc, a_replica_received_elsewhere_keeps_what_was_said_of_it);
	tcase_add_test(tc, a_second_init_changes_nothing);
	tcase_add_test(
	    tc, an_init_that_was_killed_before_its_configuration_goes_on);
	tcase_add_test(tc, no_home_says_what_to_type);
	tcase_add_test(tc, a_configuration_names_the_state_directory);
	tcase_add_test(tc, a_directory_with_other_things_keeps_its_mode);
	tcase_add_test(tc, another_process_that_writes_is_named);
	tcase_add_test(tc, a_peer_is_added_once);
	tcase_add_test(tc, a_peer_with_another_key_is_refused);
	tcase_add_test(tc, a_store_is_added_with_its_roots);
	tcase_add_test(tc, roots_that_hold_one_another_are_refused);
	tcase_add_test(tc, a_root_that_holds_the_home_is_refused);
	tcase_add_test(tc, wrong_names_and_files_are_no_roots);
	tcase_add_test(tc, a_catalog_is_made_once_and_missed_when_it_is_gone);
	tcase_add_test(tc, the_mode_of_the_configuration_is_kept);
	tcase_add_test(tc, reading_homes_are_not_written);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
