#include "base/crypto.h"
#include "base/fs.h"
#include "site/gate.h"
#include "site/identity.h"
#include "site/role.h"
#include "tests/unit/trees.h"

#include <string.h>
#include <sys/stat.h>

/* Three sites: their keys, and a role at each of the first two. */
static struct cw_minisign_secret *secret[3];
static struct cw_minisign_public key[3];
static const uint8_t store_id[CW_STORE_ID_SIZE] = "0123456789abcde";
static const uint8_t digest[CW_STATE_SIZE] = "digest";
static struct cw_role a, b;
static int dirfd;

static void
load(struct cw_role *role, size_t site, bool is_standby)
{
	struct cw_role_start start = {.store_id = store_id,
	    .site = &key[site],
	    .is_standby = is_standby,
	    .epoch = 1,
	    .origin = &key[0]};

	OK(cw_role_load(dirfd, &start, role, &err));
}

static void
setup(void)
{
	OK(cw_crypto_init(&err));
	tree_setup();
	dirfd = cw_open_dir(tree_base, &err);
	for (size_t i = 0; i < 3; i++) {
		secret[i] = cw_minisign_generate();
		cw_minisign_secret_public(secret[i], &key[i]);
	}
	load(&a, 0, false);
	load(&b, 1, true);
}

static void
teardown(void)
{
	cw_role_free(&a);
	cw_role_free(&b);
	for (size_t i = 0; i < 3; i++)
		cw_minisign_secret_free(secret[i]);
	cw_close(&dirfd);
	tree_teardown();
}

/* What goes from one site to another: text, and back again. */
static int
tell(struct cw_role *to, const struct cw_role *from)
{
	struct cw_epochs history = CW_EPOCHS_INIT;
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	cw_epochs_format(&from->history, &text);
	ret = cw_epochs_parse(
	    (const char *)text.data, text.len, store_id, &history, &err);
	if (ret == 0)
		ret = cw_role_supersede(to, &history, key, 3, &err);
	cw_buf_free(&text);
	cw_epochs_free(&history);
	return ret;
}

static void
switch_over(struct cw_role *from, struct cw_role *to, size_t site_from,
    size_t site_to, uint64_t generation)
{
	struct cw_buf record = CW_BUF_INIT;

	OK(cw_role_hand_over(from, &key[site_to], generation, digest,
	    secret[site_from], &record, &err));
	OK(cw_role_accept(to, (const char *)record.data, record.len, key, 3,
	    generation, digest, secret[site_to], &err));
	cw_buf_free(&record);
}

START_TEST(a_store_without_a_record_is_what_its_catalog_says)
{
	ck_assert(!a.is_stored);
	ck_assert_int_eq(a.is, CW_ROLE_IS_ACTIVE);
	ck_assert_int_eq(b.is, CW_ROLE_IS_STANDBY);
	ck_assert_uint_eq(a.epoch, 1);
	ck_assert_uint_eq(a.history.count, 1);
	ck_assert_int_eq(a.history.epochs[0].kind, CW_EPOCH_CREATED);
}
END_TEST

START_TEST(a_saved_record_is_read_back_as_it_was)
{
	struct cw_buf record = CW_BUF_INIT;
	struct cw_role again;

	OK(cw_role_promote(&a, CW_EPOCH_FAILOVER, 40, secret[0], &err));
	OK(cw_role_force(&a, &err));
	OK(cw_role_hand_over(
	    &a, &key[1], 41, digest, secret[0], &record, &err));
	cw_buf_free(&record);
	OK(cw_role_save(dirfd, &a, secret[0], &err));

	load(&again, 0, true);
	ck_assert(again.is_stored);
	ck_assert_int_eq(again.is, CW_ROLE_IS_ACTIVE);
	ck_assert_uint_eq(again.epoch, 2);
	ck_assert_uint_eq(again.history.count, 2);
	ck_assert_uint_eq(again.history.epochs[1].generation, 40);
	ck_assert_str_eq(again.boot, a.boot);
	ck_assert_int_ne(again.forced_time, 0);
	ck_assert_str_eq(again.forced_boot, a.forced_boot);
	ck_assert(again.has_handover);
	ck_assert_uint_eq(again.handover.epoch, 3);
	ck_assert_mem_eq(again.handover.digest, digest, CW_STATE_SIZE);
	ck_assert_int_eq(again.moving, CW_MOVING_HANDING);
	cw_role_free(&again);
}
END_TEST

START_TEST(a_record_that_was_touched_is_refused)
{
	struct cw_role_start start = {
	    .store_id = store_id, .site = &key[0], .epoch = 1};
	struct cw_buf text = CW_BUF_INIT;
	struct cw_role again;

	OK(cw_role_promote(&a, CW_EPOCH_FAILOVER, 40, secret[0], &err));
	OK(cw_role_save(dirfd, &a, secret[0], &err));
	OK(cw_read_file(dirfd, CW_ROLE_FILE, 65536, &text, &err));
	for (size_t i = 0; i < text.len; i++) {
		text.data[i] ^= 1;
		OK(cw_save_file(
		    dirfd, CW_ROLE_FILE, text.data, text.len, 0600, &err));
		ck_assert_int_eq(cw_role_load(dirfd, &start, &again, &err), -1);
		/* A changed version may be a newer one. */
		ck_assert(err.code == CW_ERR_DAMAGED ||
			  err.code == CW_ERR_UNSUPPORTED);
		cw_role_free(&again);
		text.data[i] ^= 1;
	}
	for (size_t len = 0; len < text.len; len++) {
		OK(cw_save_file(
		    dirfd, CW_ROLE_FILE, text.data, len, 0600, &err));
		ck_assert_int_eq(cw_role_load(dirfd, &start, &again, &err), -1);
		cw_role_free(&again);
	}
	/* Nor is it written over. */
	ck_assert_int_eq(cw_role_save(dirfd, &a, secret[0], &err), -1);
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_lower_epoch_is_never_saved_over_a_greater)
{
	struct cw_role old;

	load(&old, 0, false);
	OK(cw_role_promote(&a, CW_EPOCH_FAILOVER, 40, secret[0], &err));
	OK(cw_role_save(dirfd, &a, secret[0], &err));
	ck_assert_int_eq(cw_role_save(dirfd, &old, secret[0], &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	OK(cw_role_save(dirfd, &a, secret[0], &err));
	cw_role_free(&old);
}
END_TEST

START_TEST(a_record_of_another_site_is_not_ours)
{
	struct cw_role_start start = {
	    .store_id = store_id, .site = &key[1], .epoch = 1};
	struct cw_role role;

	OK(cw_role_save(dirfd, &a, secret[0], &err));
	ck_assert_int_eq(cw_role_load(dirfd, &start, &role, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	cw_role_free(&role);
	ck_assert_int_eq(cw_role_save(dirfd, &a, secret[1], &err), -1);
}
END_TEST

START_TEST(a_switchover_moves_the_role_and_loses_nothing)
{
	switch_over(&a, &b, 0, 1, 40);
	ck_assert_int_eq(b.is, CW_ROLE_IS_ACTIVE);
	ck_assert_uint_eq(b.epoch, 2);
	ck_assert_int_eq(a.is, CW_ROLE_IS_ACTIVE);
	ck_assert(a.has_handover);

	ck_assert_int_eq(tell(&a, &b), 1);
	ck_assert_int_eq(a.is, CW_ROLE_IS_STANDBY);
	ck_assert(!a.has_handover);
	ck_assert_uint_eq(a.epoch, 2);
	ck_assert_uint_eq(a.fork, CW_FORK_NONE);
	ck_assert_int_eq(tell(&a, &b), 0);
	ck_assert_int_eq(tell(&b, &a), 0);

	/* And back, without more. */
	switch_over(&b, &a, 1, 0, 45);
	ck_assert_int_eq(tell(&b, &a), 1);
	ck_assert_int_eq(a.is, CW_ROLE_IS_ACTIVE);
	ck_assert_uint_eq(a.epoch, 3);
	ck_assert_int_eq(b.is, CW_ROLE_IS_STANDBY);
	ck_assert_uint_eq(b.history.count, 3);
}
END_TEST

START_TEST(a_hand_over_is_the_same_however_often_it_is_made_and_taken)
{
	struct cw_buf first = CW_BUF_INIT, second = CW_BUF_INIT;
	uint8_t other[CW_STATE_SIZE] = "other";

	OK(cw_role_hand_over(&a, &key[1], 40, digest, secret[0], &first, &err));
	/* As after a crash. */
	OK(cw_role_save(dirfd, &a, secret[0], &err));
	cw_role_free(&a);
	load(&a, 0, false);
	OK(cw_role_hand_over(
	    &a, &key[1], 40, digest, secret[0], &second, &err));
	ck_assert_uint_eq(first.len, second.len);
	ck_assert_mem_eq(first.data, second.data, first.len);
	ck_assert_int_eq(cw_role_hand_over(
			     &a, &key[1], 41, digest, secret[0], &second, &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_role_hand_over(
			     &a, &key[2], 40, digest, secret[0], &second, &err),
	    -1);

	for (int i = 0; i < 2; i++) {
		OK(cw_role_accept(&b, (char *)first.data, first.len, key, 3,
		    i == 0 ? 40 : 55, i == 0 ? digest : other, secret[1],
		    &err));
		ck_assert_uint_eq(b.epoch, 2);
		ck_assert_uint_eq(b.history.count, 2);
	}
	cw_buf_free(&first);
	cw_buf_free(&second);
}
END_TEST

START_TEST(a_hand_over_is_refused_unless_all_of_it_is_right)
{
	uint8_t other[CW_STATE_SIZE] = "other";
	struct cw_buf r = CW_BUF_INIT;
	struct cw_role c;

	OK(cw_role_hand_over(&a, &key[1], 40, digest, secret[0], &r, &err));
	const char *text = (const char *)r.data;

	/* Not pinned. */
	ck_assert_int_eq(cw_role_accept(&b, text, r.len, key + 1, 2, 40, digest,
			     secret[1], &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	/* We are behind, or differ. */
	ck_assert_int_eq(cw_role_accept(&b, text, r.len, key, 3, 39, digest,
			     secret[1], &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(
	    cw_role_accept(&b, text, r.len, key, 3, 40, other, secret[1], &err),
	    -1);
	/* To another site. */
	load(&c, 2, true);
	ck_assert_int_eq(cw_role_accept(&c, text, r.len, key, 3, 40, digest,
			     secret[2], &err),
	    -1);
	cw_role_free(&c);
	/* Any byte changed, any cut. */
	for (size_t i = 0; i < r.len; i++) {
		r.data[i] ^= 1;
		ck_assert_int_eq(cw_role_accept(&b, text, r.len, key, 3, 40,
				     digest, secret[1], &err),
		    -1);
		r.data[i] ^= 1;
		ck_assert_int_eq(cw_role_accept(&b, text, i, key, 3, 40, digest,
				     secret[1], &err),
		    -1);
	}
	ck_assert_int_eq(b.is, CW_ROLE_IS_STANDBY);
	OK(cw_role_accept(
	    &b, text, r.len, key, 3, 40, digest, secret[1], &err));
	cw_buf_free(&r);
}
END_TEST

START_TEST(a_hand_over_that_was_shunned_is_never_taken)
{
	struct cw_buf r = CW_BUF_INIT;

	OK(cw_role_hand_over(&a, &key[1], 40, digest, secret[0], &r, &err));
	OK(cw_role_shun(&b, a.handover.epoch, &err));
	OK(cw_role_withdraw(&a, &err));
	ck_assert(!a.has_handover);
	ck_assert_int_eq(a.moving, CW_MOVING_NOT);
	ck_assert_int_eq(cw_role_accept(&b, (char *)r.data, r.len, key, 3, 40,
			     digest, secret[1], &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_int_eq(cw_role_withdraw(&a, &err), -1);
	cw_buf_free(&r);
	/* The next one offers an epoch that nobody has seen. */
	switch_over(&a, &b, 0, 1, 41);
	ck_assert_uint_eq(b.epoch, 3);
	ck_assert_int_eq(cw_role_shun(&b, 3, &err), -1);
}
END_TEST

START_TEST(an_old_primary_is_fenced_by_a_failover)
{
	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	ck_assert_uint_eq(b.epoch, 2);
	ck_assert_str_ne(b.boot, "");

	ck_assert_int_eq(tell(&a, &b), 1);
	ck_assert_int_eq(a.is, CW_ROLE_IS_FENCED);
	ck_assert_uint_eq(a.epoch, 2);
	ck_assert_uint_eq(a.fork, 40);
	ck_assert_int_eq(cw_role_force(&a, &err), -1);
	OK(cw_role_save(dirfd, &a, secret[0], &err));
	cw_role_free(&a);
	load(&a, 0, false);
	ck_assert_int_eq(a.is, CW_ROLE_IS_FENCED);
	ck_assert_uint_eq(a.fork, 40);

	OK(cw_role_rejoin(&a, &err));
	ck_assert_int_eq(a.is, CW_ROLE_IS_STANDBY);
	ck_assert_uint_eq(a.fork, CW_FORK_NONE);
	ck_assert_int_eq(cw_role_rejoin(&b, &err), -1);
	switch_over(&b, &a, 1, 0, 50);
	ck_assert_uint_eq(a.epoch, 3);
}
END_TEST

START_TEST(a_fenced_site_accepts_no_hand_over)
{
	struct cw_buf r = CW_BUF_INIT;

	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	ck_assert_int_eq(tell(&a, &b), 1);
	OK(cw_role_hand_over(&b, &key[0], 50, digest, secret[1], &r, &err));
	ck_assert_int_eq(cw_role_accept(&a, (char *)r.data, r.len, key, 3, 50,
			     digest, secret[0], &err),
	    -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	cw_buf_free(&r);
}
END_TEST

START_TEST(a_failover_while_a_hand_over_is_out_goes_beyond_it)
{
	struct cw_buf r = CW_BUF_INIT;

	OK(cw_role_hand_over(&a, &key[1], 40, digest, secret[0], &r, &err));
	OK(cw_role_promote(&a, CW_EPOCH_FAILOVER, 40, secret[0], &err));
	ck_assert_uint_eq(a.epoch, 3);
	/* The record may arrive late: who took it learns of the greater. */
	OK(cw_role_accept(
	    &b, (char *)r.data, r.len, key, 3, 40, digest, secret[1], &err));
	ck_assert_int_eq(tell(&b, &a), 1);
	ck_assert_int_eq(b.is, CW_ROLE_IS_FENCED);
	ck_assert_int_eq(tell(&a, &b), 0);
	cw_buf_free(&r);
}
END_TEST

START_TEST(split_brain_is_named_and_a_human_can_end_it)
{
	struct cw_role c;

	load(&c, 2, true);
	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	OK(cw_role_promote(&c, CW_EPOCH_FAILOVER, 38, secret[2], &err));
	ck_assert_int_eq(tell(&b, &c), -1);
	ck_assert_int_eq(err.code, CW_ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.message, "--primary-lost"));
	ck_assert_int_eq(b.is, CW_ROLE_IS_ACTIVE);

	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 41, secret[1], &err));
	ck_assert_int_eq(tell(&c, &b), 1);
	ck_assert_int_eq(c.is, CW_ROLE_IS_FENCED);
	ck_assert_uint_eq(c.fork, 38);
	cw_role_free(&c);
}
END_TEST

START_TEST(an_epoch_begun_by_a_stranger_is_not_believed)
{
	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	struct cw_minisign_public other[1] = {key[2]};

	ck_assert_int_eq(cw_role_supersede(&a, &b.history, other, 1, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_int_eq(a.is, CW_ROLE_IS_ACTIVE);
	ck_assert_uint_eq(a.epoch, 1);
}
END_TEST

START_TEST(a_history_with_a_byte_changed_is_not_believed)
{
	struct cw_buf text = CW_BUF_INIT;
	size_t start;

	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	cw_epochs_format(&b.history, &text);
	start =
	    (size_t)((uint8_t *)memchr(text.data, '\n', text.len) - text.data);
	for (size_t i = start; i < text.len; i++) {
		struct cw_epochs h = CW_EPOCHS_INIT;

		text.data[i] ^= 1;
		ck_assert_int_eq(cw_epochs_parse((char *)text.data, text.len,
				     store_id, &h, &err),
		    -1);
		cw_epochs_free(&h);
		text.data[i] ^= 1;
	}
	cw_buf_free(&text);
}
END_TEST

/* "1A 2B40 3A45": an epoch, its site, its generation. */
static struct cw_epochs
history_of(const char *text)
{
	struct cw_epochs h = CW_EPOCHS_INIT;
	unsigned long epoch, generation;
	char site;
	int n;

	h.epochs = calloc(8, sizeof(*h.epochs));
	while (
	    sscanf(text, " %lu%c%lu%n", &epoch, &site, &generation, &n) == 3) {
		struct cw_epoch *e = &h.epochs[h.count];

		e->epoch = epoch;
		e->generation = generation;
		e->site = key[site - 'A'];
		e->kind = h.count == 0 ? CW_EPOCH_CREATED : CW_EPOCH_FAILOVER;
		h.count++;
		text += n;
	}
	return h;
}

START_TEST(the_fork_is_where_histories_part)
{
	static const struct {
		const char *own, *peer;
		uint64_t generation;
		int superseded; /* -1 own, 1 peer, 0 neither */
	} cases[] = {
	    {"1A0", "1A0", CW_FORK_NONE, 0},
	    {"1A0", "1A0 2B40", 40, -1},
	    {"1A0 2B40", "1A0", 40, 1},
	    {"1A0 2B40", "1A0 2B40 3A45", 45, -1},
	    {"1A0 2C30", "1A0 2B40 3B42", 30, -1},
	    {"1A0 2C50", "1A0 2B40 3B42", 40, -1},
	    /* Epoch 3 threw away what epoch 2 had done. */
	    {"1A0", "1A0 2B40 3C38", 38, -1},
	    /* Ours begins with what a seed came with. */
	    {"2B0", "1A0 2B40", CW_FORK_NONE, 0},
	    {"2B0 3C44", "1A0 2B40", 44, 1},
	    {"1A0 4C20", "1A0 2B40 3A45", 20, 1},
	    /* Nothing in common is known. */
	    {"5A0", "1A0 2B40 6B70", 0, -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cw_epochs own = history_of(cases[i].own);
		struct cw_epochs peer = history_of(cases[i].peer);
		struct cw_fork fork;

		OK(cw_role_fork(&own, &peer, &fork, &err));
		ck_assert_msg(fork.generation == cases[i].generation,
		    "%s and %s: %llu", cases[i].own, cases[i].peer,
		    (unsigned long long)fork.generation);
		ck_assert_int_eq(
		    fork.own_is_superseded, cases[i].superseded == -1);
		ck_assert_int_eq(
		    fork.peer_is_superseded, cases[i].superseded == 1);
		cw_epochs_free(&own);
		cw_epochs_free(&peer);
	}
}
END_TEST

START_TEST(a_standby_learns_what_it_only_assumed)
{
	struct cw_role c;
	struct cw_role_start start = {.store_id = store_id,
	    .site = &key[2],
	    .is_standby = true,
	    .epoch = 2,
	    .origin = &key[1]};

	OK(cw_role_promote(&b, CW_EPOCH_FAILOVER, 40, secret[1], &err));
	OK(cw_role_load(dirfd, &start, &c, &err));
	ck_assert_int_eq(tell(&c, &b), 1);
	ck_assert_uint_eq(c.history.count, 2);
	ck_assert_uint_eq(c.fork, CW_FORK_NONE);
	ck_assert_int_eq(c.is, CW_ROLE_IS_STANDBY);
	ck_assert_int_eq(tell(&c, &b), 0);
	cw_role_free(&c);
}
END_TEST

/* The gate, at a home with a scanned store. */
static struct cw_home *home;
static const struct cw_config_store *store;
static struct cw_minisign_secret *own;

static void
open_home(bool has_peer, bool has_seed)
{
	struct cw_home_options o = {.name = "metairie"};
	char name[] = "mail", root_name[] = "vmail";
	struct cw_config_root root = {.name = root_name};
	struct cw_config_store s = {
	    .name = name, .roots = &root, .root_count = 1};
	struct cw_catalog *c = NULL;
	struct cw_card card;
	uint8_t seed[CW_SEED_ID_SIZE] = {1};
	char *dir = cw_asprintf("%s/home", tree_base);

	root.path = cw_asprintf("%s/root", tree_base);
	OK(cw_home_create(dir, NULL, &o, &home, &err));
	OK(cw_home_add_store(home, &s, &err));
	memset(&card, 0, sizeof(card));
	strcpy(card.name, "shreveport");
	memcpy(card.age_point, key[1].point, 32);
	card.sign = key[1];
	if (has_peer)
		OK(cw_home_add_peer(home, &card, NULL, NULL, &err));
	OK(cw_home_store(home, "mail", &store, &err));
	OK(cw_home_catalog(home, store, CW_CATALOG_WRITE, &c, &err));
	if (has_seed)
		OK(cw_catalog_start_seed(c, seed, &err));
	cw_catalog_close(c);
	OK(cw_identity_sign(home->state_fd, NULL, &own, &err));
	free(dir);
	free(root.path);
}

static void
close_home(void)
{
	cw_minisign_secret_free(own);
	cw_home_close(home);
}

static void
ck_gate(bool is_open, const char *why)
{
	struct cw_gate gate;

	OK(cw_gate_look(home, store, &gate, &err));
	ck_assert_msg(
	    strcmp(gate.why, why) == 0, "%s: %s", gate.why, gate.reason);
	ck_assert_int_eq(gate.is_open, is_open);
}

static int
store_fd(void)
{
	char *path = cw_home_store_dir(home, "mail");
	int fd = cw_open_dir(path, &err);

	free(path);
	return fd;
}

START_TEST(the_gate_is_open_for_a_store_that_nobody_follows)
{
	open_home(true, false);
	ck_gate(true, "unfollowed");
	close_home();
}
END_TEST

START_TEST(the_gate_asks_when_a_seed_may_have_become_active)
{
	open_home(true, true);
	ck_gate(false, "unheard");
	int fd = store_fd();

	OK(cw_peer_hear(fd, "shreveport", 1, &err));
	ck_gate(true, "heard");
	/* The peer tells of a later epoch. */
	OK(cw_peer_hear(fd, "shreveport", 2, &err));
	ck_gate(false, "epoch");
	cw_close(&fd);
	close_home();
}
END_TEST

START_TEST(a_peer_of_another_boot_or_long_ago_is_not_heard)
{
	struct cw_peer peer;

	open_home(true, true);
	int fd = store_fd();

	OK(cw_peer_hear(fd, "shreveport", 1, &err));
	OK(cw_peer_load(fd, "shreveport", &peer, &err));
	ck_assert(cw_peer_is_heard(&peer));
	peer.heard -= 61;
	OK(cw_peer_save(fd, "shreveport", &peer, &err));
	ck_assert(!cw_peer_is_heard(&peer));
	ck_gate(false, "unheard");
	peer.heard += 61;
	peer.heard_boot[0] ^= 1;
	OK(cw_peer_save(fd, "shreveport", &peer, &err));
	ck_gate(false, "unheard");
	cw_close(&fd);
	close_home();
}
END_TEST

START_TEST(a_store_that_was_served_in_this_boot_passes_without_a_line)
{
	open_home(true, true);
	OK(cw_gate_note(home, store, 1, &err));
	ck_gate(true, "served");
	OK(cw_gate_note(home, store, 2, &err));
	ck_gate(false, "unheard");
	close_home();
}
END_TEST

START_TEST(what_a_human_forces_is_recorded_and_passes)
{
	struct cw_role role;

	open_home(true, true);
	OK(cw_gate_force(home, store, own, &err));
	ck_gate(true, "forced");
	OK(cw_home_role(home, store, NULL, &role, &err));
	ck_assert_int_ne(role.forced_time, 0);
	/* A power cut: another boot. */
	role.forced_boot[0] ^= 1;
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(false, "unheard");
	cw_role_free(&role);
	close_home();
}
END_TEST

START_TEST(the_gate_follows_the_role)
{
	struct cw_buf record = CW_BUF_INIT;
	struct cw_role role;
	struct cw_catalog *c;
	char *note;

	open_home(true, true);
	OK(cw_home_role(home, store, NULL, &role, &err));
	OK(cw_role_promote(&role, CW_EPOCH_FAILOVER, 3, own, &err));
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(true, "promoted");

	cw_role_set_moving(&role, CW_MOVING_FENCING);
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(false, "moving");
	OK(cw_role_hand_over(&role, &key[1], 3, digest, own, &record, &err));
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(false, "handed-over");
	OK(cw_role_withdraw(&role, &err));
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(true, "promoted");

	role.is = CW_ROLE_IS_STANDBY;
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(false, "standby");
	OK(cw_home_catalog(home, store, CW_CATALOG_READ, &c, &err));
	OK(cw_catalog_note_get(c, CW_NOTE_ROLE, &note, &err));
	ck_assert_str_eq(note, CW_ROLE_STANDBY);
	ck_assert_uint_eq(cw_catalog_info(c)->epoch, 2);
	free(note);
	cw_catalog_close(c);
	role.is = CW_ROLE_IS_FENCED;
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	ck_gate(false, "fenced");
	cw_role_free(&role);
	cw_buf_free(&record);
	close_home();
}
END_TEST

START_TEST(a_damaged_record_shuts_the_gate)
{
	struct cw_gate gate;
	struct cw_role role;

	open_home(true, false);
	OK(cw_home_role(home, store, NULL, &role, &err));
	OK(cw_home_role_save(home, store, NULL, &role, own, &err));
	cw_role_free(&role);
	int fd = store_fd();

	OK(cw_save_file(fd, CW_ROLE_FILE, "causeway-role 1\n", 16, 0600, &err));
	ck_assert_int_eq(cw_gate_look(home, store, &gate, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_DAMAGED);
	ck_assert(!gate.is_open);
	cw_close(&fd);
	close_home();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("role");
	TCase *t = tcase_create("role");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_store_without_a_record_is_what_its_catalog_says);
	tcase_add_test(t, a_saved_record_is_read_back_as_it_was);
	tcase_add_test(t, a_record_that_was_touched_is_refused);
	tcase_add_test(t, a_lower_epoch_is_never_saved_over_a_greater);
	tcase_add_test(t, a_record_of_another_site_is_not_ours);
	tcase_add_test(t, a_switchover_moves_the_role_and_loses_nothing);
	tcase_add_test(
	    t, a_hand_over_is_the_same_however_often_it_is_made_and_taken);
	tcase_add_test(t, a_hand_over_is_refused_unless_all_of_it_is_right);
	tcase_add_test(t, a_hand_over_that_was_shunned_is_never_taken);
	tcase_add_test(t, an_old_primary_is_fenced_by_a_failover);
	tcase_add_test(t, a_fenced_site_accepts_no_hand_over);
	tcase_add_test(t, a_failover_while_a_hand_over_is_out_goes_beyond_it);
	tcase_add_test(t, split_brain_is_named_and_a_human_can_end_it);
	tcase_add_test(t, an_epoch_begun_by_a_stranger_is_not_believed);
	tcase_add_test(t, a_history_with_a_byte_changed_is_not_believed);
	tcase_add_test(t, the_fork_is_where_histories_part);
	tcase_add_test(t, a_standby_learns_what_it_only_assumed);
	tcase_add_test(t, the_gate_is_open_for_a_store_that_nobody_follows);
	tcase_add_test(t, the_gate_asks_when_a_seed_may_have_become_active);
	tcase_add_test(t, a_peer_of_another_boot_or_long_ago_is_not_heard);
	tcase_add_test(
	    t, a_store_that_was_served_in_this_boot_passes_without_a_line);
	tcase_add_test(t, what_a_human_forces_is_recorded_and_passes);
	tcase_add_test(t, the_gate_follows_the_role);
	tcase_add_test(t, a_damaged_record_shuts_the_gate);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
