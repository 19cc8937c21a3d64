#include "cli/trust.h"

#include "base/fs.h"
#include "cli/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void
add_card(struct cw_cli_trust *t, const struct cw_card *card)
{
	t->signers =
	    cw_reallocarray(t->signers, t->count + 1, sizeof(*t->signers));
	cw_set_signer_from_card(card, &t->signers[t->count++]);
}

static int
add_cards(struct cw_cli *cli, struct cw_cli_trust *t, struct cw_error *err)
{
	bool is_named = cli->home_dir != NULL || cli->config_file != NULL;
	struct cw_card own;

	if (!is_named && !cw_home_exists(NULL, NULL))
		return 0;
	if (cw_cli_home(cli, CW_HOME_READ, err) < 0) {
		if (is_named)
			return -1;
		cw_cli_warn(cli, "going on without the home: %s", err->message);
		return 0;
	}
	if (cw_identity_card(cli->home->state_fd, &own, NULL) == 0)
		add_card(t, &own);
	for (size_t i = 0; i < cli->home->config.peer_count; i++)
		add_card(t, &cli->home->config.peers[i].card);
	return 0;
}

/* The key in an argument, or in the file that it names, alone. */
static int
trust_only(struct cw_cli_trust *t, const char *arg, struct cw_error *err)
{
	struct cw_set_signer only = {.has_fingerprint = false};
	struct cw_buf text = CW_BUF_INIT;
	int ret;

	ret = cw_minisign_public_parse(arg, strlen(arg), &only.key, NULL);
	if (ret < 0) {
		ret = cw_read_file(
		    AT_FDCWD, arg, CW_MINISIGN_FILE_MAX, &text, err);
		if (ret > 0)
			ret = cw_error_set(err, CW_ERR_USAGE,
			    "--signer: %s is no minisign public key, and no "
			    "file of that name is here",
			    arg);
		else if (ret == 0)
			ret = cw_minisign_public_parse(
			    (const char *)text.data, text.len, &only.key, err);
		cw_buf_free(&text);
		if (ret < 0) {
			if (err->code != CW_ERR_USAGE)
				cw_error_context(err, "--signer %s", arg);
			err->code = CW_ERR_USAGE;
			return -1;
		}
	}
	/* A card with that key says more about it than the key alone. */
	for (size_t i = 0; i < t->count; i++)
		if (cw_minisign_public_equal(&t->signers[i].key, &only.key))
			only = t->signers[i];
	free(t->signers);
	t->signers = cw_memdup(&only, sizeof(only));
	t->count = 1;
	return 0;
}

int
cw_cli_trust(struct cw_cli *cli, const char *signer, struct cw_cli_trust *t,
    struct cw_error *err)
{
	*t = (struct cw_cli_trust){NULL, 0};
	if (add_cards(cli, t, err) == 0 &&
	    (signer == NULL || trust_only(t, signer, err) == 0))
		return 0;
	free(t->signers);
	*t = (struct cw_cli_trust){NULL, 0};
	return -1;
}
