/*
 * A catalog with one mailbox, root "mail" and directory "cur" in it, for the
 * tests that need rows and no tree.
 */
#ifndef TESTS_UNIT_MAILBOX_H
#define TESTS_UNIT_MAILBOX_H

#include "tests/unit/entries.h"

static struct cw_catalog *catalog;
static int64_t mail, cur;

/* Both directories are of generation 1. */
static inline void
mailbox_setup(void)
{
	tree_setup();
	catalog = open_with_root(&mail);
	OK(cw_catalog_begin(catalog, &err));
	cur = put_dir(catalog, mail, "cur", 1);
	commit_as(catalog, 1);
}

static inline void
mailbox_teardown(void)
{
	cw_catalog_close(catalog);
	tree_teardown();
}

static inline void
begin(void)
{
	OK(cw_catalog_begin(catalog, &err));
}

#endif
