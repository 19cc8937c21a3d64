#include "cli/link_events.h"

#include <stdio.h>

void
cw_cli_event(void *arg, const char *text)
{
	const struct cw_cli *cli = arg;

	if (!cli->quiet && !cli->json)
		(void)fprintf(stderr, "%s\n", text);
}

int
cw_cli_session_options(struct cw_cli *cli, const char *store,
    struct cw_minisign_secret **secret, struct cw_session_options *options,
    struct cw_error *err)
{
	if (cw_cli_home(cli, CW_HOME_WRITE, err) < 0 ||
	    cw_cli_signing_key(cli, secret, err) < 0)
		return -1;
	*options = (struct cw_session_options){.home = cli->home,
	    .secret = *secret,
	    .store = store,
	    .channel = -1,
	    .event = cw_cli_event,
	    .arg = cli};
	return 0;
}

size_t
cw_cli_reachable_peers(const struct cw_cli *cli)
{
	size_t count = 0;

	for (size_t i = 0; i < cli->home->config.peer_count; i++)
		count += cli->home->config.peers[i].address != NULL;
	return count;
}
