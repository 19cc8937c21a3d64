/*
 * Runs the UID guard over a Maildir tree, as a failover does before it starts
 * the service: guard_tool STATE ROOT EPOCH RAISE
 */
#include "base/buf.h"
#include "base/fs.h"
#include "site/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct cw_error err = CW_ERROR_INIT;
	struct cw_guard_result result;
	struct cw_config_root root;
	struct cw_config_store store = {.roots = &root, .root_count = 1};
	int fd;

	if (argc != 5) {
		(void)fputs(
		    "usage: guard_tool STATE ROOT EPOCH RAISE\n", stderr);
		return 2;
	}
	root.name = cw_strdup("root");
	root.path = argv[2];
	fd = cw_open_dir(argv[1], &err);
	if (fd < 0 ||
	    cw_guard_run(fd, &store, strtoull(argv[3], NULL, 10),
		(uint32_t)strtoul(argv[4], NULL, 10), &result, &err) < 0) {
		(void)fprintf(stderr, "guard_tool: %s\n", err.message);
		return 1;
	}
	(void)printf("%llu mailboxes, %llu raised, %llu lines dropped, "
		     "%llu broken%s\n",
	    (unsigned long long)result.mailboxes,
	    (unsigned long long)result.raised,
	    (unsigned long long)result.lines_dropped,
	    (unsigned long long)result.broken,
	    result.was_done ? ", done before" : "");
	(void)close(fd);
	free(root.name);
	return 0;
}
