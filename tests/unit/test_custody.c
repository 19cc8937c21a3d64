#include "base/crypto.h"
#include "formats/custody/custody.h"
#include "tests/unit/vectors.h"

#include <check.h>

static const uint8_t seed_id[CW_SEED_ID_SIZE] = {
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static struct cw_minisign_secret *
read_secret(void)
{
	struct cw_buf text = vector_read("minisign/plain.key");
	struct cw_minisign_secret *secret = NULL;

	ck_assert_int_eq(cw_minisign_secret_parse(
			     (char *)text.data, text.len, NULL, &secret, NULL),
	    0);
	cw_buf_free(&text);
	return secret;
}

static struct cw_custody_event
make_event(enum cw_custody_kind kind, const char *note)
{
	struct cw_custody_event event = {.time = 1795348800, .kind = kind};

	snprintf(event.site, sizeof(event.site), "metairie");
	snprintf(event.note, sizeof(event.note), "%s", note);
	return event;
}

/*
 * Writes the events of a good log again, one after another: the same bytes,
 * since Ed25519 is deterministic and all vectors are of one key.
 */
static void
write_again(const struct cw_custody *log, const char *text)
{
	struct cw_minisign_secret *secret = read_secret();
	struct cw_buf again = CW_BUF_INIT;

	for (size_t i = 0; i < log->event_count; i++) {
		struct cw_buf more = CW_BUF_INIT;

		ck_assert_int_eq(
		    cw_custody_append((char *)again.data, again.len,
			log->seed_id, &log->events[i], secret, &more, NULL),
		    0);
		cw_buf_append(&again, more.data, more.len);
		cw_buf_free(&more);
	}
	if (log->event_count > 0) {
		ck_assert_uint_eq(again.len, log->whole_len);
		ck_assert_mem_eq(again.data, text, again.len);
	}
	cw_buf_free(&again);
	cw_minisign_secret_free(secret);
}

static int
run_custody(const char *text, size_t len, struct cw_error *err)
{
	struct cw_custody log = CW_CUSTODY_INIT;
	int ret = cw_custody_decode(text, len, &log, err);

	ck_assert((ret < 0) == (log.bad_line != 0));
	if (ret == 0) {
		ck_assert(log.is_torn == (log.whole_len < len));
		write_again(&log, text);
	}
	cw_custody_free(&log);
	return ret;
}

START_TEST(every_custody_vector_has_its_outcome)
{
	ck_assert_int_eq(vector_run("custody", "expected", run_custody), 0);
}
END_TEST

START_TEST(good_log_has_its_events)
{
	struct cw_buf text = vector_read("custody/good.custody");
	struct cw_buf pub_text = vector_read("minisign/plain.pub");
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_minisign_public pub;

	ck_assert_int_eq(cw_minisign_public_parse(
			     (char *)pub_text.data, pub_text.len, &pub, NULL),
	    0);
	ck_assert_int_eq(
	    cw_custody_decode((char *)text.data, text.len, &log, NULL), 0);
	ck_assert_mem_eq(log.seed_id, seed_id, sizeof(seed_id));
	ck_assert_uint_eq(log.event_count, 2);
	ck_assert(!log.is_torn);
	ck_assert_uint_eq(log.whole_len, text.len);
	ck_assert_int_eq(log.events[1].kind, CW_CUSTODY_HANDED_OVER);
	ck_assert_uint_eq(log.events[1].sequence, 2);
	ck_assert_str_eq(log.events[1].site, "metairie");
	ck_assert_str_eq(
	    log.events[1].note, "to driver M\xc3\xbcller, 100% sure\n");
	ck_assert_int_eq(log.events[1].time, 1795348800 + 6 * 3600 + 1800);
	ck_assert(cw_minisign_public_equal(&log.events[1].signer, &pub));
	cw_custody_free(&log);
	cw_buf_free(&pub_text);
	cw_buf_free(&text);
}
END_TEST

START_TEST(the_first_bad_line_is_named_and_good_events_are_kept)
{
	struct cw_buf text = vector_read("custody/event-twice.custody");
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_error err = CW_ERROR_INIT;

	ck_assert_int_eq(
	    cw_custody_decode((char *)text.data, text.len, &log, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNTRUSTED);
	ck_assert_uint_eq(log.bad_line, 3);
	ck_assert_uint_eq(log.event_count, 1);
	cw_custody_free(&log);
	cw_buf_free(&text);
}
END_TEST

START_TEST(a_log_cut_anywhere_is_torn_or_whole_and_goes_on)
{
	struct cw_buf text = vector_read("custody/good.custody");
	struct cw_minisign_secret *secret = read_secret();
	struct cw_custody_event event =
	    make_event(CW_CUSTODY_RECEIVED, "again");

	for (size_t len = 0; len < text.len; len++) {
		struct cw_custody log = CW_CUSTODY_INIT;
		struct cw_buf whole = CW_BUF_INIT, more = CW_BUF_INIT;

		ck_assert_int_eq(
		    cw_custody_decode((char *)text.data, len, &log, NULL), 0);
		ck_assert_uint_le(log.whole_len, len);
		ck_assert(log.is_torn == (log.whole_len != len));
		if (len % 97 == 0) {
			ck_assert_int_eq(
			    cw_custody_append((char *)text.data, log.whole_len,
				seed_id, &event, secret, &more, NULL),
			    0);
			cw_buf_append(&whole, text.data, log.whole_len);
			cw_buf_append(&whole, more.data, more.len);
			ck_assert_int_eq(
			    run_custody((char *)whole.data, whole.len, NULL),
			    0);
		}
		cw_buf_free(&more);
		cw_buf_free(&whole);
		cw_custody_free(&log);
	}
	cw_minisign_secret_free(secret);
	cw_buf_free(&text);
}
END_TEST

static enum cw_code
append_to(const char *name, const uint8_t id[CW_SEED_ID_SIZE],
    const struct cw_custody_event *event)
{
	struct cw_buf text = vector_read(name), more = CW_BUF_INIT;
	struct cw_minisign_secret *secret = read_secret();
	struct cw_error err = CW_ERROR_INIT;
	int ret = cw_custody_append(
	    (char *)text.data, text.len, id, event, secret, &more, &err);

	ck_assert((ret == 0) == (more.len > 0));
	cw_minisign_secret_free(secret);
	cw_buf_free(&more);
	cw_buf_free(&text);
	return err.code;
}

START_TEST(a_wrong_log_is_not_added_to)
{
	static const uint8_t other[CW_SEED_ID_SIZE] = {1};
	struct cw_custody_event event = make_event(CW_CUSTODY_NOTE, "x");

	ck_assert_int_eq(
	    append_to("custody/good.custody", seed_id, &event), CW_OK);
	ck_assert_int_eq(
	    append_to("custody/good.custody", other, &event), CW_ERR_REFUSED);
	ck_assert_int_eq(
	    append_to("custody/torn-line.custody", seed_id, &event),
	    CW_ERR_DAMAGED);
	ck_assert_int_eq(
	    append_to("custody/changed-note.custody", seed_id, &event),
	    CW_ERR_UNTRUSTED);
}
END_TEST

START_TEST(an_event_with_values_it_cannot_have_is_not_written)
{
	struct cw_custody_event event = make_event(CW_CUSTODY_NOTE, "x");

	event.site[0] = 'M';
	ck_assert_int_eq(
	    append_to("custody/good.custody", seed_id, &event), CW_ERR_USAGE);
	event = make_event(CW_CUSTODY_NOTE, "x");
	memset(event.note, 'x', sizeof(event.note)); /* no NUL at all */
	ck_assert_int_eq(
	    append_to("custody/good.custody", seed_id, &event), CW_ERR_USAGE);
}
END_TEST

START_TEST(events_of_two_signers_verify_each_by_its_key)
{
	struct cw_minisign_secret *one = read_secret();
	struct cw_minisign_secret *two = cw_minisign_generate();
	struct cw_custody_event event = make_event(CW_CUSTODY_SEALED, "");
	struct cw_custody log = CW_CUSTODY_INIT;
	struct cw_minisign_public pub;
	struct cw_buf a = CW_BUF_INIT, b = CW_BUF_INIT;

	ck_assert_int_eq(
	    cw_custody_append(NULL, 0, seed_id, &event, one, &a, NULL), 0);
	event.kind = CW_CUSTODY_RECEIVED;
	ck_assert_int_eq(cw_custody_append((char *)a.data, a.len, seed_id,
			     &event, two, &b, NULL),
	    0);
	cw_buf_append(&a, b.data, b.len);
	ck_assert_int_eq(
	    cw_custody_decode((char *)a.data, a.len, &log, NULL), 0);
	cw_minisign_secret_public(two, &pub);
	ck_assert(!cw_minisign_public_equal(&log.events[0].signer, &pub));
	ck_assert(cw_minisign_public_equal(&log.events[1].signer, &pub));
	cw_custody_free(&log);
	cw_buf_free(&b);
	cw_buf_free(&a);
	cw_minisign_secret_free(two);
	cw_minisign_secret_free(one);
}
END_TEST

START_TEST(kinds_have_one_name_each)
{
	enum cw_custody_kind kind;

	for (int i = 0; i <= CW_CUSTODY_NOTE; i++) {
		const char *name =
		    cw_custody_kind_name((enum cw_custody_kind)i);

		ck_assert(cw_custody_kind_parse(name, strlen(name), &kind));
		ck_assert_int_eq((int)kind, i);
	}
	ck_assert(!cw_custody_kind_parse("seal", 4, &kind));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("custody");
	TCase *tc = tcase_create("custody");
	struct cw_error err = CW_ERROR_INIT;
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, every_custody_vector_has_its_outcome);
	tcase_add_test(tc, good_log_has_its_events);
	tcase_add_test(
	    tc, the_first_bad_line_is_named_and_good_events_are_kept);
	tcase_add_test(tc, a_log_cut_anywhere_is_torn_or_whole_and_goes_on);
	tcase_add_test(tc, a_wrong_log_is_not_added_to);
	tcase_add_test(tc, an_event_with_values_it_cannot_have_is_not_written);
	tcase_add_test(tc, events_of_two_signers_verify_each_by_its_key);
	tcase_add_test(tc, kinds_have_one_name_each);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
