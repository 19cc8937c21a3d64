#include "cli/serve.h"

#include "base/log.h"
#include "site/channel.h"
#include "site/cutover.h"
#include "site/generation.h"
#include "site/session.h"

#include <stdio.h>

static void
log_event(void *arg, const char *text)
{
	(void)arg;
	cw_log(CW_LOG_NOTICE, "%s", text);
}

static int
open_session(const struct cw_session_options *o, struct cw_home *home,
    const struct cw_daemon_link *link, struct cw_session **out,
    struct cw_error *err)
{
	struct cw_carrier carrier = CW_CARRIER_INIT;
	const struct cw_config_peer *peer;

	if (link->peer != NULL)
		return cw_home_peer(home, link->peer, &peer, err) < 0
			   ? -1
			   : cw_session_dial(o, peer, out, err);
	carrier.fd_in = carrier.fd_out = link->fd;
	(void)snprintf(carrier.name, sizeof(carrier.name), "%s", link->from);
	return cw_session_accept(o, &carrier, out, err);
}

int
cw_serve_session(void *arg, struct cw_home *home,
    const struct cw_daemon_link *link, struct cw_error *err)
{
	const struct cw_serve *serve = arg;
	const struct cw_session_options o = {.home = home,
	    .secret = serve->secret,
	    .channel = link->channel,
	    .event = log_event};
	struct cw_cutover_options cutover = {
	    .home = home, .secret = serve->secret, .report = log_event};
	struct cw_session *s = NULL;
	int ret;

	if (open_session(&o, home, link, &s, err) < 0)
		return -1;
	ret = cw_channel_send(link->channel, err, "%s %s",
	    cw_session_is_visit(s) ? "visited" : "connected",
	    cw_session_peer(s)->name);
	cw_session_on_order(s, cw_cutover_answer, &cutover);
	if (ret == 0)
		ret = cw_session_serve(s, NULL, NULL, 0, err);
	if (ret < 0 && err->code == CW_ERR_INTERRUPTED)
		cw_session_bye(s, "the daemon stops");
	cw_session_free(s);
	return ret < 0 ? -1 : 0;
}

int
cw_serve_scan(void *arg, struct cw_home *home,
    const struct cw_config_store *store, struct cw_daemon_scan *result,
    struct cw_error *err)
{
	const struct cw_generation_options options = {.capture = NULL};
	struct cw_generation taken;

	(void)arg;
	if (cw_generation_take(home, store, &options, &taken, err) < 0)
		return -1;
	if (taken.commands.has_news && taken.commands.failed > 0)
		cw_log(CW_LOG_ERROR, "store %s: %s", store->name,
		    taken.commands.first.message);
	else if (taken.commands.has_news)
		cw_log(CW_LOG_NOTICE, "store %s: its commands run again",
		    store->name);
	result->generation = taken.scan.generation;
	result->has_changed = taken.scan.generation != taken.before;
	return 0;
}

bool
cw_serve_is_active(
    void *arg, const struct cw_home *home, const struct cw_config_store *store)
{
	(void)arg;
	return cw_home_looks_active(home, store);
}

int
cw_serve_mend(void *arg, struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err)
{
	const struct cw_serve *serve = arg;
	const struct cw_cutover_options o = {
	    .home = home, .secret = serve->secret, .report = log_event};
	int got = cw_cutover_put_back(store, &o, err);

	if (got == 1)
		cw_log(CW_LOG_NOTICE,
		    "store %s: a cutover had been cut off and was put back",
		    store->name);
	return got < 0 ? -1 : 0;
}

bool
cw_serve_is_cut_off(
    void *arg, const struct cw_home *home, const struct cw_config_store *store)
{
	enum cw_cutover_rest rest = CW_CUTOVER_REST_NONE;
	struct cw_role role = {0};
	bool is;

	(void)arg;
	is = cw_home_has_catalog(home, store) &&
	     cw_home_role(home, store, NULL, &role, NULL) == 0 &&
	     cw_cutover_look(home, store, &role, &rest, NULL) == 0 &&
	     rest == CW_CUTOVER_REST_FENCING;
	cw_role_free(&role);
	return is;
}
