/*
 * Orders of a cutover: asked for at the standby, answered at either site.
 */
#include "site/cutover_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
cw_cutover_request(struct cw_session *s, struct cw_session_store *st,
    const struct cw_cutover_options *o, struct cw_cutover_result *r,
    struct cw_error *err)
{
	struct cw_session_args *reply = cw_session_args_new();
	int ret;

	memset(r, 0, sizeof(*r));
	r->kind = "switchover";
	(void)snprintf(
	    r->from, sizeof(r->from), "%s", cw_session_peer(s)->name);
	(void)snprintf(r->to, sizeof(r->to), "%s", o->home->config.name);
	cw_session_on_order(s, cw_cutover_answer, (void *)(uintptr_t)o);
	ret = cw_session_order(s, st, "cutover", NULL, reply, err);
	(void)cw_session_args_get_number(reply, "epoch", &r->epoch);
	(void)cw_session_args_get_number(reply, "generation", &r->generation);
	for (size_t i = 0; i < reply->count; i++) {
		struct cw_cutover_step *step = &r->steps[r->step_count];
		char text[128], *at = text;
		int ok = 0;

		if (strcmp(reply->list[i].key, "step") != 0 ||
		    r->step_count == CW_CUTOVER_STEPS_MAX ||
		    reply->list[i].value.len >= sizeof(text))
			continue;
		memcpy(
		    text, reply->list[i].value.data, reply->list[i].value.len);
		text[reply->list[i].value.len] = '\0';
		/* "SECONDS OK NAME" */
		step->seconds = strtod(at, &at);
		ok = (int)strtol(at, &at, 10);
		step->ok = ok == 1;
		(void)snprintf(step->name, sizeof(step->name), "%s",
		    *at == ' ' ? at + 1 : at);
		r->step_count++;
	}
	cw_session_args_free(reply);
	return ret;
}

struct relayed {
	const struct cw_cutover_options *o;
	struct cw_session *s;
};

/* To our log, and to who ordered it. */
static void
relay(void *arg, const char *text)
{
	struct relayed *r = arg;

	cutover_say(r->o, "%s", text);
	(void)cw_session_report(r->s, NULL, text, NULL);
}

static int
answer_cutover(const struct cw_cutover_options *o, struct cw_session *s,
    struct cw_session_store *st, struct cw_session_args *values,
    struct cw_error *err)
{
	struct relayed relayed = {o, s};
	struct cw_cutover_options own = *o;
	struct cw_cutover_result r;
	int ret;

	own.report = relay;
	own.arg = &relayed;
	ret = cw_cutover_switch(s, st, &own, &r, err);
	cw_session_args_number(values, "epoch", r.epoch);
	cw_session_args_number(values, "generation", r.generation);
	for (size_t i = 0; i < r.step_count; i++) {
		char text[128];

		(void)snprintf(text, sizeof(text), "%.3f %d %s",
		    r.steps[i].seconds, r.steps[i].ok ? 1 : 0, r.steps[i].name);
		cw_session_args_add(values, "step", text, strlen(text));
	}
	return ret;
}

int
cw_cutover_answer(void *arg, struct cw_session *s, struct cw_session_store *st,
    const char *kind, const struct cw_session_args *args,
    struct cw_session_args *values, struct cw_error *err)
{
	const struct cw_cutover_options *o = arg;

	if (strcmp(kind, "cutover") == 0)
		return answer_cutover(o, s, st, values, err);
	if (strcmp(kind, "preflight") == 0)
		return cutover_preflight(o, s, st, args, values, err);
	if (strcmp(kind, "accept") == 0)
		return cutover_accept(o, s, st, args, values, err);
	return cw_error_set(err, CW_ERR_UNSUPPORTED,
	    "this version does not know the order \"%.64s\"", kind);
}
