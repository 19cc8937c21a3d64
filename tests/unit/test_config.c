#include "base/crypto.h"
#include "formats/age/key.h"
#include "site/config.h"
#include "tests/unit/vectors.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cw_config config;
static struct cw_error err;

static void
setup(void)
{
	config = (struct cw_config)CW_CONFIG_INIT;
	err = (struct cw_error)CW_ERROR_INIT;
	ck_assert_int_eq(cw_crypto_init(&err), 0);
}

static void
teardown(void)
{
	cw_config_free(&config);
}

static int
parse(const char *text)
{
	return cw_config_parse(text, strlen(text), "test.conf", &config, &err);
}

static void
make_card(const char *name, struct cw_card *card)
{
	struct cw_minisign_secret *secret = cw_minisign_generate();
	struct cw_age_identity *id = cw_age_identity_generate();
	struct cw_age_recipient r;

	*card = (struct cw_card){.name = ""};
	strcpy(card->name, name);
	cw_age_identity_recipient(id, &r);
	memcpy(card->age_point, r.point, sizeof(r.point));
	cw_minisign_secret_public(secret, &card->sign);
	cw_minisign_secret_free(secret);
	cw_age_identity_free(id);
}

/* A refusal names file and line, and holds this text. */
static void
refuses(const char *text, const char *place, const char *says)
{
	ck_assert_int_eq(parse(text), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
	ck_assert_msg(strncmp(err.message, place, strlen(place)) == 0,
	    "\"%s\" does not begin with \"%s\"", err.message, place);
	ck_assert_msg(strstr(err.message, says) != NULL,
	    "\"%s\" does not say \"%s\"", err.message, says);
	ck_assert_ptr_null(config.name);
	ck_assert_ptr_null(config.stores);
}

START_TEST(reads_what_it_writes)
{
	struct cw_buf text = CW_BUF_INIT;

	cw_config_template("metairie", "0.0.0.0:7625", "/srv/state", &text);
	ck_assert_int_eq(cw_config_parse((char *)text.data, text.len,
			     "test.conf", &config, &err),
	    0);
	ck_assert_str_eq(config.name, "metairie");
	ck_assert_str_eq(config.listen, "0.0.0.0:7625");
	ck_assert_str_eq(config.state, "/srv/state");
	ck_assert_uint_eq(config.peer_count + config.store_count, 0);
	cw_buf_free(&text);
}
END_TEST

START_TEST(template_without_values_sets_the_name_alone)
{
	struct cw_buf text = CW_BUF_INIT;

	cw_config_template("a", NULL, NULL, &text);
	ck_assert_int_eq(cw_config_parse((char *)text.data, text.len,
			     "test.conf", &config, &err),
	    0);
	ck_assert_ptr_null(config.listen);
	ck_assert_ptr_null(config.state);
	cw_buf_free(&text);
}
END_TEST

/* Every commented key of the template is one that the parser knows. */
START_TEST(every_key_of_the_template_is_known)
{
	struct cw_buf text = CW_BUF_INIT, bare = CW_BUF_INIT;
	struct cw_card card;
	char line[CW_CARD_TEXT_SIZE];
	char *at, *next;

	make_card("shreveport", &card);
	cw_card_encode(&card, line);
	cw_config_template("metairie", NULL, NULL, &text);
	for (at = cw_buf_string(&text); at != NULL; at = next) {
		next = strchr(at, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (strncmp(at, "# card", 6) == 0)
			cw_buf_printf(&bare, "card = %s\n", line);
		else if (strncmp(at, "# follow", 8) == 0)
			cw_buf_text(&bare, "follow = shreveport\n");
		else if (strncmp(at, "# [", 3) == 0 ||
			 strstr(at, " = ") != NULL)
			cw_buf_printf(
			    &bare, "%s\n", at[0] == '#' ? at + 2 : at);
		else if (at[0] == '[')
			cw_buf_printf(&bare, "%s\n", at);
	}
	ck_assert_msg(cw_config_parse((char *)bare.data, bare.len, "bare",
			  &config, &err) == 0,
	    "%s", err.message);
	ck_assert_uint_eq(config.stores[0].root_count, 3);
	ck_assert_uint_eq(config.setting_count, 17);
	ck_assert_str_eq(config.contact, "Ann Otis +1 504 555 0100");
	cw_buf_free(&text);
	cw_buf_free(&bare);
}
END_TEST

START_TEST(unknown_sections_and_keys_are_refused_with_file_and_line)
{
	refuses("[site]\nname = a\n[sight]\n", "test.conf:3: ", "[sight]");
	refuses("[site]\nname = a\nnmae = b\n", "test.conf:3: ", "nmae");
	refuses("[site]\nname = a\n\n[store \"m\"]\nrooot = /m\n",
	    "test.conf:5: ", "rooot");
	refuses("[site]\nname = a\n[hooks \"m\"]\nfense = /x\n",
	    "test.conf:4: ", "fense");
	refuses("[site]\nname = a\n[check \"m\"]\nprobe = imap://h\nx = 1\n",
	    "test.conf:5: ", "unknown key x");
	refuses("name = a\n", "test.conf:1: ", "before any [section]");
	refuses("[site]\nname = a\nfoo\n", "test.conf:3: ", "key = value");
	refuses("[site]\nname = a\nlisten =\n", "test.conf:3: ", "no value");
	refuses("[site\nname = a\n", "test.conf:1: ", "']'");
	refuses("[store mail]\nroot = /m\n", "test.conf:1: ", "\"NAME\"");
	refuses("[site \"x\"]\n", "test.conf:1: ", "no name");
	refuses("[site]\nlisten = a:1\n", "test.conf:", "no name in [site]");
}
END_TEST

START_TEST(values_are_checked)
{
	refuses("[site]\nname = Big\n", "test.conf:2: ", "Big");
	refuses("[site]\nname = a\nname = b\n", "test.conf:3: ", "twice");
	refuses("[site]\nname = a\n[site]\n", "test.conf:3: ", "twice");
	refuses("[site]\nname = a\nlisten = 7625\n", "test.conf:3: ", "PORT");
	refuses(
	    "[site]\nname = a\nlisten = h:99999\n", "test.conf:3: ", "PORT");
	refuses("[site]\nname = a\nstate = s\n", "test.conf:3: ", "absolute");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = m\n",
	    "test.conf:4: ", "absolute");
	refuses("[site]\nname = a\n[store \"m\"]\n",
	    "test.conf:3: ", "neither root");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nformat = elm\n",
	    "test.conf:5: ", "elm");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nhistory = 3\n",
	    "test.conf:5: ", "history");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nevery = 0s\n",
	    "test.conf:5: ", "every");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nevery = 25h\n",
	    "test.conf:5: ", "every");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nevery = 1d\n",
	    "test.conf:5: ", "every");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\nfollow = b\n",
	    "test.conf:3: ", "causeway pair");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /m\n"
		"[store \"m\"]\nroot = /n\n",
	    "test.conf:5: ", "twice");
	refuses("[site]\nname = a\n[store \"m\"]\nroot = /x/m\nroot = /y/m\n",
	    "test.conf:5: ", "two roots are named m");
	refuses("[site]\nname = a\n[store \"m\"]\ncommand = u=a\n"
		"command = u=b\n",
	    "test.conf:5: ", "two commands");
	refuses("[site]\nname = a\n[store \"m\"]\ncommand = u=./a\n",
	    "test.conf:4: ", "absolute");
	refuses("[site]\nname = a\n[store \"m\"]\nlimit = much\n",
	    "test.conf:4: ", "no size");
	refuses("[site]\nname = a\n[store \"m\"]\ntimeout = 0s\n",
	    "test.conf:4: ", "no time");
	refuses("[site]\nname = a\n[store \"../m\"]\nroot = /m\n",
	    "test.conf:3: ", "NAME");
	refuses("[site]\nname = a\n[peer \"b\"]\n", "test.conf:3: ", "card");
	refuses("[site]\nname = a\n[peer \"b\"]\ncard = causeway1 b xx\n",
	    "test.conf:4: ", "card");
	refuses("[site]\nname = a\n[check \"c\"]\nevery = often\n",
	    "test.conf:4: ", "every");
	refuses("[site]\nname = a\n[hooks \"m\"]\nfence = stop\n",
	    "test.conf:4: ", "absolute");
}
END_TEST

START_TEST(nul_bytes_and_endless_lines_are_refused)
{
	static const char nul[] = "[site]\nname = a\nlisten = h\0:1\n";
	struct cw_buf text = CW_BUF_INIT;

	ck_assert_int_eq(
	    cw_config_parse(nul, sizeof(nul) - 1, "f", &config, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "f:3: "));
	cw_buf_text(&text, "[site]\n# ");
	for (unsigned i = 0; i < CW_CONFIG_LINE_MAX; i++)
		cw_buf_text(&text, "x");
	ck_assert_int_eq(
	    cw_config_parse((char *)text.data, text.len, "f", &config, &err),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.message, "f:2: "));
	cw_buf_free(&text);
}
END_TEST

START_TEST(long_names_and_paths_are_not_cut)
{
	struct cw_buf text = CW_BUF_INIT;
	char name[CW_CONFIG_NAME_MAX + 1], path[4000];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(path, 'p', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	cw_buf_printf(&text, "[site]\nname = a\n[store \"%s\"]\nroot = r=%s\n",
	    name, path);
	ck_assert_msg(cw_config_parse(
			  (char *)text.data, text.len, "f", &config, &err) == 0,
	    "%s", err.message);
	ck_assert_str_eq(config.stores[0].name, name);
	ck_assert_str_eq(config.stores[0].roots[0].path, path);
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_value_is_all_that_stands_on_its_line)
{
	ck_assert_int_eq(parse("[site]\nname = a\n[store \"m\"]\n"
			       "root = /a b ; c # d\nroot=x=/e=f:g\n"
			       "exclude = *.bak\nexclude = a = b\n"
			       "history = forever\n"),
	    0);
	ck_assert_str_eq(config.stores[0].roots[0].path, "/a b ; c # d");
	ck_assert_str_eq(config.stores[0].roots[0].name, "a_b___c___d");
	ck_assert_str_eq(config.stores[0].roots[1].name, "x");
	ck_assert_str_eq(config.stores[0].roots[1].path, "/e=f:g");
	ck_assert_uint_eq(config.stores[0].exclude_count, 2);
	ck_assert_str_eq(config.stores[0].excludes[1], "a = b");
}
END_TEST

START_TEST(every_is_in_seconds_and_has_a_default)
{
	struct cw_buf text = CW_BUF_INIT;

	ck_assert_int_eq(parse("[site]\nname = a\n[store \"m\"]\nroot = /m\n"
			       "[store \"n\"]\nroot = /n\nevery = 1s\n"
			       "[store \"o\"]\nroot = /o\nevery = 5m\n"
			       "[store \"p\"]\nroot = /p\nevery = 24h\n"),
	    0);
	ck_assert_uint_eq(cw_config_every(&config.stores[0]), 60);
	ck_assert_uint_eq(cw_config_every(&config.stores[1]), 1);
	ck_assert_uint_eq(cw_config_every(&config.stores[2]), 300);
	ck_assert_uint_eq(cw_config_every(&config.stores[3]), 86400);
	cw_config_append_store(&text, &config.stores[2]);
	ck_assert_ptr_nonnull(strstr(cw_buf_string(&text), "every = 5m\n"));
	cw_buf_free(&text);
}
END_TEST

START_TEST(root_names_come_from_the_last_component)
{
	static const struct {
		const char *path, *name;
	} cases[] = {
	    {"/var/vmail", "vmail"},
	    {"/var/vmail///", "vmail"},
	    {"/", "root"},
	    {"/srv/.hidden", "_hidden"},
	    {"/srv/-x", "_x"},
	    {"/srv/\xc3\xbc mail", "___mail"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *name = cw_config_root_name(cases[i].path);

		ck_assert_str_eq(name, cases[i].name);
		free(name);
	}
}
END_TEST

START_TEST(a_root_is_split_at_a_name_only)
{
	char *name, *dir;

	ck_assert_int_eq(
	    cw_config_root_parse("etc=/e/dovecot", &name, &dir, &err), 0);
	ck_assert_str_eq(name, "etc");
	ck_assert_str_eq(dir, "/e/dovecot");
	free(name);
	free(dir);
	ck_assert_int_eq(cw_config_root_parse("./a=b", &name, &dir, &err), 0);
	ck_assert_str_eq(name, "a_b");
	ck_assert_str_eq(dir, "./a=b");
	free(name);
	free(dir);
	ck_assert_int_eq(cw_config_root_parse("etc=", &name, &dir, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_USAGE);
}
END_TEST

/* A command, and its words with a '|' behind each. */
static const char *const commands[][2] = {
    {"/bin/a", "/bin/a|"},
    {"  a \t b  ", "a|b|"},
    {"a 'b  c' \"d 'e'\"", "a|b  c|d 'e'|"},
    {"a \"x\\\"y\\\\z\\n\" '\\' \\b", "a|x\"y\\z\\n|\\|\\b|"},
    {"a '' \"\" b''c $d *", "a|||bc|$d|*|"},
    {"", NULL},
    {"  ", NULL},
    {"'' a", NULL},
    {"a 'b", NULL},
    {"a \"b", NULL},
    {"bin/a", NULL},
    {"./a", NULL},
};

START_TEST(words_of_commands_are_parted)
{
	struct cw_buf text = CW_BUF_INIT;
	char **words;

	if (commands[_i][1] == NULL) {
		ck_assert_int_eq(
		    cw_config_words(commands[_i][0], &words, &err), -1);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
		ck_assert_ptr_null(words);
		return;
	}
	ck_assert_int_eq(cw_config_words(commands[_i][0], &words, &err), 0);
	for (size_t i = 0; words[i] != NULL; i++)
		cw_buf_printf(&text, "%s|", words[i]);
	ck_assert_str_eq(cw_buf_string(&text), commands[_i][1]);
	cw_config_words_free(words);
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_command_names_its_root)
{
	char *name, *command;

	ck_assert_int_eq(
	    cw_config_command_parse("u=/bin/a b=c", &name, &command, &err), 0);
	ck_assert_str_eq(name, "u");
	ck_assert_str_eq(command, "/bin/a b=c");
	free(name);
	free(command);
	ck_assert_int_eq(
	    cw_config_command_parse("/bin/a b=c", &name, &command, &err), 0);
	ck_assert_str_eq(name, "a");
	free(name);
	free(command);
	ck_assert_int_eq(
	    cw_config_command_parse("u=", &name, &command, &err), -1);
}
END_TEST

/* In whatever order their lines stand. */
START_TEST(a_command_finds_the_root_of_its_name)
{
	(void)parse("[site]\nname = a\n[store \"s\"]\ncommand = u=/bin/a\n"
		    "root = /srv/m\ncommand = v=/bin/b\nroot = u=/srv/u\n"
		    "timeout = 2m\nlimit = 1M\n");
	ck_assert_uint_eq(config.stores[0].root_count, 3);
	ck_assert_str_eq(config.stores[0].roots[0].path, "/srv/u");
	ck_assert_str_eq(config.stores[0].roots[0].command, "/bin/a");
	ck_assert(!config.stores[0].roots[0].has_spool);
	ck_assert_ptr_null(config.stores[0].roots[1].command);
	ck_assert_str_eq(config.stores[0].roots[2].path, "commands/s/v");
	ck_assert(config.stores[0].roots[2].has_spool);
	ck_assert_uint_eq(cw_config_timeout(&config.stores[0]), 120);
	ck_assert_uint_eq(cw_config_limit(&config.stores[0]), 1 << 20);
}
END_TEST

START_TEST(appended_sections_are_read_back)
{
	char root[] = "mail", path[] = "/srv/mail", other[] = "etc";
	char etc[] = "/etc/dovecot", pattern[] = "*.tmp", site[] = "b";
	char users[] = "users", spool[] = "commands/mail/users";
	char command[] = "/bin/echo 'a  b'", more[] = "/bin/true";
	char name[] = "mail", format[] = "maildir";
	struct cw_config_root roots[] = {{.name = root, .path = path},
	    {.name = other, .path = etc, .command = more},
	    {.name = users,
		.path = spool,
		.command = command,
		.has_spool = true}};
	char *excludes[] = {pattern};
	struct cw_config_store store = {.name = name,
	    .roots = roots,
	    .root_count = 3,
	    .format = format,
	    .excludes = excludes,
	    .exclude_count = 1,
	    .follow = site};
	struct cw_buf text = CW_BUF_INIT;
	struct cw_card card;

	make_card("b", &card);
	/* No newline at the end: the operator's editor left it out. */
	cw_buf_text(&text, "; mine\n[site]\nname = a");
	cw_config_append_peer(&text, &card, "b.example:1");
	cw_config_append_store(&text, &store);
	ck_assert_msg(cw_config_parse(
			  (char *)text.data, text.len, "f", &config, &err) == 0,
	    "%s", err.message);
	ck_assert_uint_eq(config.peer_count, 1);
	ck_assert_str_eq(config.peers[0].address, "b.example:1");
	ck_assert_int_eq(memcmp(&config.peers[0].card, &card, sizeof(card)), 0);
	ck_assert_str_eq(config.stores[0].roots[0].name, "mail");
	ck_assert_str_eq(config.stores[0].roots[1].name, "etc");
	ck_assert_str_eq(config.stores[0].roots[1].path, "/etc/dovecot");
	ck_assert_str_eq(config.stores[0].roots[1].command, more);
	ck_assert(!config.stores[0].roots[1].has_spool);
	ck_assert_str_eq(config.stores[0].roots[2].path, spool);
	ck_assert_str_eq(config.stores[0].roots[2].command, command);
	ck_assert(config.stores[0].roots[2].has_spool);
	ck_assert_str_eq(config.stores[0].follow, "b");
	ck_assert_int_eq(strncmp((char *)text.data, "; mine\n", 7), 0);
	cw_buf_free(&text);
}
END_TEST

START_TEST(an_address_is_set_and_replaced_in_its_line)
{
	struct cw_buf text = CW_BUF_INIT;
	struct cw_card card;

	make_card("b", &card);
	cw_buf_text(&text, "[site]\nname = a\n");
	cw_config_append_peer(&text, &card, NULL);
	cw_buf_text(&text, "# the end\n");
	for (int i = 0; i < 2; i++) {
		const char *address = i == 0 ? "one:1" : "two:2";

		ck_assert_int_eq(cw_config_parse((char *)text.data, text.len,
				     "f", &config, &err),
		    0);
		cw_config_set_address(&text, &config.peers[0], address);
		cw_config_free(&config);
		ck_assert_int_eq(cw_config_parse((char *)text.data, text.len,
				     "f", &config, &err),
		    0);
		ck_assert_str_eq(config.peers[0].address, address);
		cw_config_free(&config);
	}
	ck_assert_ptr_null(strstr(cw_buf_string(&text), "one:1"));
	ck_assert_ptr_nonnull(strstr(cw_buf_string(&text), "# the end\n"));
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_card_in_the_section_of_another_site_is_refused)
{
	struct cw_buf text = CW_BUF_INIT;
	char line[CW_CARD_TEXT_SIZE];
	struct cw_card card;

	make_card("c", &card);
	cw_card_encode(&card, line);
	cw_buf_printf(
	    &text, "[site]\nname = a\n[peer \"b\"]\ncard = %s\n", line);
	refuses(cw_buf_string(&text), "test.conf:4: ", "the card of c");
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_site_may_follow_its_own_seed)
{
	ck_assert_int_eq(parse("[site]\nname = a\n[store \"m\"]\nroot = /m\n"
			       "follow = a\n"),
	    0);
	ck_assert_str_eq(config.stores[0].follow, "a");
}
END_TEST

START_TEST(ipv6_addresses_stand_in_brackets)
{
	ck_assert(cw_config_address_is_valid("[2001:db8::1]:7625"));
	ck_assert(cw_config_address_is_valid("mail.example:0"));
	ck_assert(!cw_config_address_is_valid("2001:db8::1:7625"));
	ck_assert(!cw_config_address_is_valid("[]:1"));
	ck_assert(!cw_config_address_is_valid(":1"));
	ck_assert(!cw_config_address_is_valid("h:"));
	ck_assert(!cw_config_address_is_valid("h o:1"));
	ck_assert(!cw_config_address_is_valid("h\n:1"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_what_it_writes);
	tcase_add_test(tc, template_without_values_sets_the_name_alone);
	tcase_add_test(tc, every_key_of_the_template_is_known);
	tcase_add_test(
	    tc, unknown_sections_and_keys_are_refused_with_file_and_line);
	tcase_add_test(tc, values_are_checked);
	tcase_add_test(tc, nul_bytes_and_endless_lines_are_refused);
	tcase_add_test(tc, long_names_and_paths_are_not_cut);
	tcase_add_test(tc, a_value_is_all_that_stands_on_its_line);
	tcase_add_test(tc, every_is_in_seconds_and_has_a_default);
	tcase_add_test(tc, root_names_come_from_the_last_component);
	tcase_add_test(tc, a_root_is_split_at_a_name_only);
	tcase_add_loop_test(tc, words_of_commands_are_parted, 0,
	    (int)(sizeof(commands) / sizeof(*commands)));
	tcase_add_test(tc, a_command_names_its_root);
	tcase_add_test(tc, a_command_finds_the_root_of_its_name);
	tcase_add_test(tc, appended_sections_are_read_back);
	tcase_add_test(tc, an_address_is_set_and_replaced_in_its_line);
	tcase_add_test(tc, a_card_in_the_section_of_another_site_is_refused);
	tcase_add_test(tc, a_site_may_follow_its_own_seed);
	tcase_add_test(tc, ipv6_addresses_stand_in_brackets);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
