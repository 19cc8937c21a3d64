#include "cli/status_daemon.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static double
number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void
print_link(const json_t *link)
{
	const char *peer = json_string_value(json_object_get(link, "peer"));
	const char *state = json_string_value(json_object_get(link, "state"));
	const char *doing = json_string_value(json_object_get(link, "doing"));
	const char *failure =
	    json_string_value(json_object_get(link, "failure"));
	char since[CW_TEXT_MAX];
	const json_t *left;
	size_t i;

	if (peer == NULL || state == NULL)
		return;
	(void)printf("  link to %s: %s", peer,
	    strcmp(state, "awaited") == 0 ? "not connected" : state);
	if (json_object_get(link, "seconds") != NULL) {
		cw_text_seconds(number(link, "seconds"), since);
		(void)printf(" for %s", since);
	}
	if (json_object_get(link, "retry_seconds") != NULL) {
		cw_text_seconds(number(link, "retry_seconds"), since);
		(void)printf(", next attempt in %s", since);
	}
	if (doing != NULL)
		(void)printf("; %s", doing);
	if (failure != NULL)
		(void)printf("; the last one failed: %s", failure);
	(void)putchar('\n');
	json_array_foreach(json_object_get(link, "stores_failed"), i, left)
	{
		const char *store =
		    json_string_value(json_object_get(left, "store"));

		failure = json_string_value(json_object_get(left, "failure"));
		if (store != NULL && failure != NULL)
			(void)printf(
			    "    store %s stands still: %s\n", store, failure);
	}
}

/* What is being done, a line each. */
static void
print_work(const json_t *list, const char *name, const char *verb)
{
	const json_t *item, *failure;
	char since[CW_TEXT_MAX];
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *what =
		    json_string_value(json_object_get(item, name));

		failure = json_object_get(item, "failure");
		if (what == NULL)
			continue;
		if (json_object_get(item, "pid") != NULL) {
			cw_text_seconds(number(item, "seconds"), since);
			(void)printf("  %s %s for %s\n", verb, what, since);
		}
		if (json_is_string(failure))
			(void)printf("  store %s, no generation: %s\n", what,
			    json_string_value(failure));
	}
}

void
cw_status_daemon_print(const json_t *daemon)
{
	const char *listening =
	    json_string_value(json_object_get(daemon, "listening"));
	const json_t *links = json_object_get(daemon, "links"), *link;
	char since[CW_TEXT_MAX];
	size_t i;

	if (daemon == NULL) {
		(void)puts("The daemon does not run.");
		return;
	}
	cw_text_seconds(number(daemon, "seconds"), since);
	(void)printf("The daemon runs for %s (process %lld)%s%s\n", since,
	    (long long)json_integer_value(json_object_get(daemon, "pid")),
	    listening != NULL ? ", listening on " : "",
	    listening != NULL ? listening : "");
	json_array_foreach(links, i, link) print_link(link);
	print_work(json_object_get(daemon, "stores"), "name", "scanning");
	print_work(json_object_get(daemon, "commands"), "command", "running");
}
