#include "store/sqlite_fail.h"

#include <errno.h>
#include <string.h>

/* The errno behind an error that has one, or 0. */
static int
system_number(sqlite3 *db)
{
	int code = sqlite3_errcode(db) & 0xff;

	return code == SQLITE_IOERR || code == SQLITE_CANTOPEN
		   ? sqlite3_system_errno(db)
		   : 0;
}

enum cw_code
cw_sqlite_code(sqlite3 *db)
{
	int number = system_number(db);

	if (number == ENOSPC || number == EDQUOT)
		return CW_ERR_NOSPACE;
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return CW_ERR_NOSPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return CW_ERR_DAMAGED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return CW_ERR_BUSY;
	case SQLITE_INTERRUPT:
		return CW_ERR_INTERRUPTED;
	default:
		return CW_ERR_IO;
	}
}

int
cw_sqlite_fail(
    sqlite3 *db, const char *doing, const char *what, struct cw_error *err)
{
	int number = system_number(db);

	return cw_error_set(err, cw_sqlite_code(db), "cannot %s in %s: %s%s%s",
	    doing, what, sqlite3_errmsg(db), number != 0 ? ": " : "",
	    number != 0 ? strerrordesc_np(number) : "");
}
