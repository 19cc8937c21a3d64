/*
 * What SQLite's errors mean to us, for all that keeps an SQLite file.
 */
#ifndef CW_STORE_SQLITE_FAIL_H
#define CW_STORE_SQLITE_FAIL_H

#include "base/error.h"

#include <sqlite3.h>

/*
 * The code of the last error of a connection: CW_ERR_NOSPACE, _DAMAGED, _BUSY,
 * _INTERRUPTED, or _IO for what is none of these.
 */
enum cw_code cw_sqlite_code(sqlite3 *db);

/*
 * Sets err from the last error of a connection: "cannot DOING in WHAT: ...",
 * where what names the file, and with the system's reason if there is one.
 * Returns -1.
 */
int cw_sqlite_fail(
    sqlite3 *db, const char *doing, const char *what, struct cw_error *err);

#endif
