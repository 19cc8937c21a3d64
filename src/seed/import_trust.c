#include "seed/import_trust.h"

#include "media/scrub.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

int
cw_import_check_trust(const struct cw_import_options *o, struct cw_error *err)
{
	const struct cw_set *set = o->set;
	char key_id[17] = "unknown", words[CW_CARD_WORDS_SIZE];
	struct cw_age_recipient own;

	if (!set->is_trusted) {
		if (set->has_key_id)
			cw_minisign_key_id_text(set->key_id, key_id);
		cw_card_fingerprint_words(set->manifest.signer, words);
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "seed %s is not signed by a site that is paired with this "
		    "one. It claims to come from the site with minisign key %s "
		    "and fingerprint: %s. Get that site's card, compare these "
		    "words on the telephone, then `causeway pair CARD`",
		    set->seed_text, key_id, words);
	}
	cw_age_identity_recipient(o->identity, &own);
	if (!cw_manifest_has_recipient(&set->manifest, own.point))
		return cw_error_set(err, CW_ERR_UNTRUSTED,
		    "seed %s is not sealed for this site: only the sites that "
		    "were named with --for and --recipient can open it",
		    set->seed_text);
	return 0;
}

int
cw_import_check_full(const struct cw_import_options *o, struct cw_error *err)
{
	if (o->set->manifest.base == 0)
		return 0;
	return cw_error_set(err, CW_ERR_UNSUPPORTED,
	    "seed %s is an increment on generation %" PRIu64
	    ": it is received into a replica that is there, not into an empty "
	    "directory",
	    o->set->seed_text, o->set->manifest.base);
}

int
cw_import_open_listed(const struct cw_set_medium *medium, const char *name,
    const struct cw_manifest_file *listed, struct cw_error *err)
{
	struct cw_scrub_file file = {
	    .dirfd = medium->dirfd, .name = name, .size = listed->size};
	struct cw_scrub_options options = {.threads = 1, .cached = true};
	struct stat st;
	int fd = -1;

	if (cw_scrub(&file, 1, &options, err) < 0)
		return -1;
	if (file.state == CW_SCRUB_READ &&
	    memcmp(file.sha256, listed->sha256, 32) == 0)
		fd = cw_set_open_file(medium->dirfd, name, 0, &st, err);
	cw_scrub_free(&file, 1);
	return fd;
}
