#include "base/text.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/link_events.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: causeway cutover STORE [--to SITE]\n"
    "       causeway cutover STORE --primary-lost [--yes]\n"
    "\n"
    "Moves a store to the other site.  Without --primary-lost both sites are "
    "up, and\n"
    "nothing is lost: the service stops here, the last changes cross, the "
    "service\n"
    "starts there.  If a step fails before the hand-over, everything is put "
    "back.\n"
    "It may be typed at either site.\n"
    "\n"
    "  --to SITE       which site takes over, where several follow\n"
    "  --primary-lost  the active site is gone: this one takes over with what "
    "it has\n"
    "  --yes           do not ask before\n"
    "\n"
    "Example: causeway cutover mail\n"
    "Next: `causeway status mail`; the old site follows by itself.\n";

static const struct option options[] = {
    {"to", required_argument, NULL, 't'},
    {"primary-lost", no_argument, NULL, 'l'},
    {"yes", no_argument, NULL, 'y'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct cutover {
	struct cw_cli *cli;
	const char *store;
	const char *to;
	const struct cw_config_store *config;
	bool is_lost, has_yes;
	struct cw_session_options session;
	struct cw_cutover_options o;
};

static void
say(void *arg, const char *text)
{
	const struct cutover *c = arg;

	cw_cli_event(c->cli, text);
}

static int
confirm(void *arg, const struct cw_cutover_loss *loss, struct cw_error *err)
{
	struct cutover *c = arg;
	char age[CW_TEXT_MAX], text[CW_ERROR_MAX];

	cw_text_seconds(loss->seconds, age);
	if (loss->has_age && loss->is_seed)
		(void)snprintf(text, sizeof(text),
		    "This site holds generation %llu of a seed that was packed "
		    "%s ago; what happened since is lost.",
		    (unsigned long long)loss->generation, age);
	else if (loss->has_age)
		(void)snprintf(text, sizeof(text),
		    "This site holds generation %llu, which was all there was "
		    "%s ago; what happened since is lost.",
		    (unsigned long long)loss->generation, age);
	else
		(void)snprintf(text, sizeof(text),
		    "This site holds generation %llu%s; how old that is is not "
		    "known, and what happened since is lost.",
		    (unsigned long long)loss->generation,
		    loss->is_seed ? " of a seed" : "");
	say(c, text);
	if (loss->heard[0] != '\0') {
		cw_text_seconds(loss->heard_seconds, age);
		(void)snprintf(text, sizeof(text),
		    "Site %s was heard %s ago.  If it is active and can be "
		    "reached, `causeway cutover %s` loses nothing.",
		    loss->heard, age, c->store);
		say(c, text);
	}
	if (loss->unapplied > 0) {
		(void)snprintf(text, sizeof(text),
		    "%llu changes of a later generation came in and are not "
		    "complete; they are dropped.",
		    (unsigned long long)loss->unapplied);
		say(c, text);
	}
	if (loss->missing > 0) {
		(void)snprintf(text, sizeof(text),
		    "%llu files in %llu directories never arrived; they are "
		    "listed in %.300s",
		    (unsigned long long)loss->missing,
		    (unsigned long long)loss->mailboxes, loss->list);
		say(c, text);
	}
	say(c, "Clients that synchronise will delete their own copies of "
	       "messages that are not here.");
	return cw_ask_yes(c->cli, c->has_yes,
	    "Is the other site really gone, and shall this one serve the "
	    "store?",
	    err);
}

/* It is where it is to be: nothing is done. */
static int
be_there(
    const struct cw_role *role, const char *site, struct cw_cutover_result *r)
{
	r->kind = "switchover";
	r->epoch = role->epoch;
	r->generation =
	    role->history.epochs[role->history.count - 1].generation;
	(void)snprintf(r->from, sizeof(r->from), "%s", site);
	(void)snprintf(r->to, sizeof(r->to), "%s", site);
	return 0;
}

/* given: the record of what was on its way to that site before. */
static int
go_on(struct cutover *c, struct cw_session *s, struct cw_session_store *st,
    const struct cw_buf *given, struct cw_cutover_result *r,
    struct cw_error *err)
{
	const struct cw_config_peer *peer = cw_session_peer(s);

	if (st == NULL || !st->is_shared || !st->has_catalog)
		return 1;
	if (st->role.is == CW_ROLE_IS_ACTIVE) {
		if (st->source == NULL &&
		    !(st->role.has_handover &&
			cw_minisign_public_equal(
			    &st->role.handover.to, &peer->card.sign)))
			return 1;
		return cw_cutover_switch(s, st, &c->o, r, err);
	}
	if (st->peer_role == CW__ROLE__ACTIVE && given->len > 0)
		return cw_cutover_finish(s, st, &c->o, given, r, err);
	if (st->peer_role == CW__ROLE__ACTIVE && c->to != NULL &&
	    strcmp(c->to, peer->name) == 0)
		return be_there(&st->role, peer->name, r);
	/* It may also give back what it could not serve. */
	if (st->follower != NULL || given->len > 0 ||
	    st->peer_role == CW__ROLE__FENCED)
		return cw_cutover_request(s, st, &c->o, r, err);
	return 1;
}

/* Typed where the store is active: to the site that follows. */
static int
push(struct cutover *c, const struct cw_config_peer *peer,
    struct cw_cutover_result *r, struct cw_error *err)
{
	struct cw_buf given = CW_BUF_INIT;
	struct cw_session *s = NULL;
	int ret = -1;

	if (cw_cutover_pending(
		c->config, &peer->card.sign, &c->o, &given, err) >= 0 &&
	    cw_session_dial(&c->session, peer, &s, err) == 0) {
		ret =
		    go_on(c, s, cw_session_store(s, c->store), &given, r, err);
		if (ret == 0)
			cw_session_bye(s, "cutover done");
		cw_session_free(s);
	}
	cw_buf_free(&given);
	return ret;
}

/* Already active here, and this is where it is to be: 1; 0; -1. */
static int
stay(struct cutover *c, struct cw_cutover_result *r, struct cw_error *err)
{
	const char *own = c->cli->home->config.name;
	struct cw_role role;
	int ret;

	if (c->to == NULL || strcmp(c->to, own) != 0 ||
	    !cw_home_has_catalog(c->cli->home, c->config))
		return 0;
	ret = cw_home_role(c->cli->home, c->config, NULL, &role, err);
	if (ret == 0 && role.is == CW_ROLE_IS_ACTIVE && !role.has_handover &&
	    (ret = cw_cutover_put_back(c->config, &c->o, err)) >= 0) {
		(void)be_there(&role, own, r);
		ret = 1;
	}
	cw_role_free(&role);
	return ret;
}

/* Nobody can be reached: what was begun before is put back. */
static void
put_back(struct cutover *c, struct cw_error *err)
{
	struct cw_error failed = CW_ERROR_INIT;
	int got = 0;

	if (err->code == CW_ERR_UNREACHABLE &&
	    cw_home_has_catalog(c->cli->home, c->config))
		got = cw_cutover_put_back(c->config, &c->o, &failed);
	if (got == 1)
		cw_error_advise(err,
		    "a cutover that had been cut off before was put back, and "
		    "the store is active and served at this site again");
	else if (got < 0)
		cw_error_set(err, err->code,
		    "%.500s; a cutover that had been cut off before could not "
		    "be put back: %.400s",
		    err->message, failed.message);
}

static int
switch_over(
    struct cutover *c, struct cw_cutover_result *r, struct cw_error *err)
{
	const struct cw_config *config = &c->cli->home->config;
	struct cw_error last = CW_ERROR_INIT;
	int done = cw_cutover_resume(c->config, &c->o, r, err);

	if (done == 0)
		done = stay(c, r, err);
	if (done != 0)
		return done < 0 ? -1 : 0;
	if (c->to != NULL && strcmp(c->to, config->name) != 0) {
		const struct cw_config_peer *peer;
		int ret;

		if (cw_home_peer(c->cli->home, c->to, &peer, err) < 0)
			return -1;
		ret = push(c, peer, r, err);
		if (ret < 0 && err != NULL)
			put_back(c, err);
		return ret == 1 ? cw_error_set(err, CW_ERR_REFUSED,
				      "site %s does not follow store %s", c->to,
				      c->store)
				: ret;
	}
	for (size_t i = 0; i < config->peer_count; i++) {
		int ret;

		if (config->peers[i].address == NULL)
			continue;
		ret = push(c, &config->peers[i], r, &last);
		if (ret == 0)
			return 0;
		if (ret < 0 && last.code != CW_ERR_UNREACHABLE)
			break;
	}
	if (last.code == CW_OK)
		cw_error_set(&last, CW_ERR_REFUSED,
		    "no other site that has an address here holds store %s, or "
		    "its copy stands still there (`causeway status` at that "
		    "site says why); "
		    "`causeway pair CARD --at HOST:PORT` gives one",
		    c->store);
	else if (last.code == CW_ERR_UNREACHABLE) {
		put_back(c, &last);
		cw_error_advise(&last,
		    "if the active site is lost: causeway cutover STORE "
		    "--primary-lost, at the site that takes over");
	}
	if (err != NULL)
		*err = last;
	return -1;
}

static json_t *
steps_json(const struct cw_cutover_result *r)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < r->step_count; i++)
		json_array_append_new(
		    steps, json_pack("{s:s, s:f, s:b}", "name",
			       r->steps[i].name, "seconds", r->steps[i].seconds,
			       "ok", (int)r->steps[i].ok));
	return steps;
}

static json_t *
result_json(const struct cw_cutover_result *r)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:f, s:o}", "kind", r->kind,
	    "epoch", (json_int_t)r->epoch, "from", r->from, "to", r->to,
	    "generation", (json_int_t)r->generation, "lost_seconds",
	    r->lost_seconds, "steps", steps_json(r));
}

static int
run(struct cutover *c)
{
	struct cw_minisign_secret *secret = NULL;
	struct cw_cutover_result r = {0};
	struct cw_error err = CW_ERROR_INIT;
	double total = 0;
	char took[CW_TEXT_MAX];
	int ret;

	if (cw_cli_session_options(
		c->cli, c->store, &secret, &c->session, &err) < 0)
		return cw_cli_fail(c->cli, &err);
	if (cw_home_store(c->cli->home, c->store, &c->config, &err) < 0) {
		cw_minisign_secret_free(secret);
		return cw_cli_fail(c->cli, &err);
	}
	c->o = (struct cw_cutover_options){.home = c->cli->home,
	    .secret = secret,
	    .report = say,
	    .confirm = confirm,
	    .arg = c};
	ret = c->is_lost ? cw_cutover_fail_over(c->config, &c->o, &r, &err)
			 : switch_over(c, &r, &err);
	cw_minisign_secret_free(secret);
	if (ret < 0)
		return r.kind != NULL && c->cli->json
			   ? cw_cli_fail_with(c->cli, result_json(&r), &err)
			   : cw_cli_fail(c->cli, &err);
	if (c->cli->json)
		return cw_cli_emit(c->cli, result_json(&r));
	for (size_t i = 0; i < r.step_count; i++) {
		cw_text_seconds(r.steps[i].seconds, took);
		cw_cli_say(c->cli, "  %-22s %s", r.steps[i].name, took);
		total += r.steps[i].seconds;
	}
	cw_text_seconds(total, took);
	cw_cli_say(c->cli,
	    "Store %s is active at %s since generation %llu, epoch %llu (%s).",
	    c->store, r.to, (unsigned long long)r.generation,
	    (unsigned long long)r.epoch, took);
	return 0;
}

int
cmd_cutover(struct cw_cli *cli, int argc, char **argv)
{
	struct cutover c = {.cli = cli};
	int opt;

	while ((opt = getopt_long(argc, argv, ":hy", options, NULL)) != -1) {
		switch (opt) {
		case 't':
			c.to = optarg;
			break;
		case 'l':
			c.is_lost = true;
			break;
		case 'y':
			c.has_yes = true;
			break;
		case 'h':
			return cw_cli_help(usage);
		default:
			return cw_cli_bad_option(cli, usage, opt, argv);
		}
	}
	if (optind + 1 != argc)
		return cw_cli_usage_error(cli, usage, "name one store");
	if (c.is_lost && c.to != NULL)
		return cw_cli_usage_error(cli, usage,
		    "--primary-lost takes over at this site; --to does not go "
		    "with it");
	c.store = argv[optind];
	return run(&c);
}
