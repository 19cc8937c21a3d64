#include "seed/finish_catalog.h"

#include "base/buf.h"
#include "base/fs.h"
#include "media/set.h"
#include "seed/increment.h"
#include "seed/sealed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CATALOG_EXPORT "catalog.sqlite"

int
cw_finish_catalog(const struct cw_pack_options *o, uint64_t base, int seed_dir,
    const char *seed_path, int *fd, uint64_t *size, struct cw_error *err)
{
	char *path = cw_asprintf("%s/" CATALOG_EXPORT, seed_path);
	int plain = -1, sealed = -1, ret = -1;
	struct stat st;

	if (unlinkat(seed_dir, CATALOG_EXPORT, 0) < 0 && errno != ENOENT) {
		cw_error_errno(err, "cannot remove %s", path);
		goto out;
	}
	if (cw_increment_export(o, base, path, err) < 0)
		goto out;
	plain = openat(seed_dir, CATALOG_EXPORT, O_RDONLY | O_CLOEXEC);
	sealed = openat(seed_dir, CW_SET_CATALOG,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (plain < 0 || sealed < 0) {
		cw_error_errno(err, "cannot seal the catalog in %s", seed_path);
		goto out;
	}
	if (cw_sealed_file_write(
		plain, sealed, o->recipients, o->recipient_count, err) < 0) {
		cw_error_context(err, "sealing the catalog");
		goto out;
	}
	/* Names of mail don't lie about longer than they must. */
	(void)unlinkat(seed_dir, CATALOG_EXPORT, 0);
	if (fstat(sealed, &st) < 0) {
		cw_error_errno(err, "cannot stat the catalog in %s", seed_path);
		goto out;
	}
	*fd = sealed;
	*size = (uint64_t)st.st_size;
	sealed = -1;
	ret = 0;
out:
	free(path);
	cw_close(&plain);
	cw_close(&sealed);
	return ret;
}
