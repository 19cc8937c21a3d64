#include "base/buf.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/progress.h"
#include "sync/carrier.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cw_error err;

/* A program in the place of ssh, which is asked nothing and does `does`. */
static char *
fake_ssh(const char *does)
{
	char name[] = "/tmp/test_carrier.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	dprintf(fd, "#!/bin/sh\n%s\n", does);
	ck_assert_int_eq(fchmod(fd, 0700), 0);
	close(fd);
	return cw_strdup(name);
}

static void
drop_ssh(char *name)
{
	ck_assert_int_eq(unlink(name), 0);
	free(name);
}

/* All until the end, as text. */
static char *
read_all(int fd)
{
	struct cw_buf text = CW_BUF_INIT;
	ssize_t n;

	while ((n = read(fd, cw_buf_reserve(&text, 4096), 4096)) > 0)
		text.len += (size_t)n;
	return cw_buf_string(&text);
}

START_TEST(addresses_that_are_none_say_why)
{
	static const char *const wrong[] = {"", "metairie",
	    "metairie:", "metairie:x", "metairie:65536", "metairie:-1", ":7625",
	    "::1:7625", "[::1:7625", "[::1]7625", "-oProxyCommand=x:1", "a b:1",
	    "a;b:1", "*:7625", "metairie:0", "ssh://", "ssh://-oProxyCommand=x",
	    "ssh://-l@host", "ssh://a:b@host", "ssh://host:port",
	    "ssh://$(x)/"};
	static const char *const right[] = {"metairie:7625", "192.0.2.1:7625",
	    "[2001:db8::1]:7625", "[fe80::1%eth0]:7625", "mail_1.example.org:1",
	    "ssh://metairie", "ssh://root@metairie",
	    "ssh://root@metairie:22/var/lib/causeway", "ssh://m/it's here",
	    "ssh://[::1]:22"};
	char longest[400];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err.message[0] = '\0';
		ck_assert_msg(
		    cw_address_check(wrong[i], &err) == -1, "%s", wrong[i]);
		ck_assert_int_eq(err.code, CW_ERR_USAGE);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		ck_assert_msg(cw_address_check(right[i], &err) == 0, "%s: %s",
		    right[i], err.message);
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + sizeof(longest) - 6, ":7625");
	ck_assert_int_eq(cw_address_check(longest, &err), -1);
}
END_TEST

static void
meets_over(const char *listen, const char *host)
{
	struct cw_carrier near = CW_CARRIER_INIT, far = CW_CARRIER_INIT;
	struct pollfd p = {-1, POLLIN, 0};
	char address[64], byte = 0;
	uint16_t port;
	int fd, status;

	if (cw_listen(listen, &fd, &err) < 0) {
		ck_assert_int_ne(err.code, CW_ERR_USAGE);
		printf("skip: %s: %s\n", listen, err.message);
		return;
	}
	ck_assert_int_eq(cw_accept(fd, &far, &err), 1);
	ck_assert_int_eq(cw_listen_port(fd, &port, &err), 0);
	ck_assert_uint_ne(port, 0);
	snprintf(address, sizeof(address), "%s:%u", host, (unsigned)port);
	ck_assert_msg(
	    cw_dial(address, NULL, &near, &err) == 0, "%s", err.message);
	p.fd = fd;
	ck_assert_int_eq(poll(&p, 1, 60000), 1);
	status = cw_accept(fd, &far, &err);
	ck_assert_msg(status == 0, "%s", err.message);
	ck_assert_str_eq(near.name, address);
	ck_assert_int_eq(near.fd_in, near.fd_out);
	ck_assert_int_eq(fcntl(near.fd_in, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(far.fd_in, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(write(near.fd_out, "x", 1), 1);
	p.fd = far.fd_in;
	ck_assert_int_eq(poll(&p, 1, 60000), 1);
	ck_assert_int_eq(read(far.fd_in, &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	cw_carrier_close(&near);
	ck_assert_int_eq(near.fd_in, -1);
	ck_assert_int_eq(read(far.fd_in, &byte, 1), 0);
	cw_carrier_close(&far);
	cw_carrier_close(&far);
	close(fd);
}

START_TEST(dial_and_accept_meet_over_ipv4)
{
	meets_over("127.0.0.1:0", "127.0.0.1");
}
END_TEST

START_TEST(dial_and_accept_meet_over_ipv6)
{
	meets_over("[::1]:0", "[::1]");
}
END_TEST

START_TEST(star_listens_to_ipv4_too)
{
	meets_over("*:0", "127.0.0.1");
}
END_TEST

START_TEST(port_where_nobody_listens_is_told_with_advice)
{
	struct cw_carrier c = CW_CARRIER_INIT;
	char address[64], text[16];
	uint16_t port;
	int fd;

	/* A port that was just free. */
	ck_assert_int_eq(cw_listen("127.0.0.1:0", &fd, &err), 0);
	ck_assert_int_eq(cw_listen_port(fd, &port, &err), 0);
	close(fd);
	snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
	snprintf(text, sizeof(text), "%u", (unsigned)port);
	ck_assert_int_eq(cw_dial(address, NULL, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.message, "127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(err.message, text));
	ck_assert_ptr_nonnull(strstr(err.message, "causeway run"));
	ck_assert_int_eq(c.fd_in, -1);
}
END_TEST

START_TEST(name_that_nobody_knows_is_told)
{
	struct cw_dial_options o = {.timeout_ms = 3000};
	struct cw_carrier c = CW_CARRIER_INIT;

	/* RFC 6761: never a name. */
	ck_assert_int_eq(cw_dial("causeway.invalid:7625", &o, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.message, "causeway.invalid"));
}
END_TEST

START_TEST(port_in_use_is_told)
{
	char address[64];
	uint16_t port;
	int fd, second;

	ck_assert_int_eq(cw_listen("127.0.0.1:0", &fd, &err), 0);
	ck_assert_int_eq(cw_listen_port(fd, &port, &err), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
	ck_assert_int_eq(cw_listen(address, &second, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, address));
	close(fd);
}
END_TEST

START_TEST(request_to_stop_ends_a_dial)
{
	struct cw_carrier c = CW_CARRIER_INIT;

	cw_stop_request();
	ck_assert_int_eq(cw_dial("causeway.invalid:7625", NULL, &c, &err), -1);
	ck_assert(
	    err.code == CW_ERR_INTERRUPTED || err.code == CW_ERR_UNREACHABLE);
}
END_TEST

START_TEST(ssh_is_asked_to_run_causeway_there)
{
	char *ssh = fake_ssh("printf '%s\\n' \"$@\"");
	struct cw_dial_options o = {.ssh = ssh};
	struct cw_carrier c = CW_CARRIER_INIT;
	char *said;

	ck_assert_int_eq(
	    cw_dial("ssh://mail@metairie:2222/srv/it's here", &o, &c, &err), 0);
	said = read_all(c.fd_in);
	ck_assert_ptr_nonnull(strstr(said, "-oBatchMode=yes\n"));
	ck_assert_ptr_nonnull(
	    strstr(said, "-p\n2222\n-l\nmail\n--\nmetairie\n'causeway' --home "
			 "'/srv/it'\\''s here' link --stdio\n"));
	free(said);
	cw_carrier_close(&c);
	drop_ssh(ssh);
}
END_TEST

START_TEST(bytes_go_both_ways_through_ssh)
{
	char *ssh = fake_ssh("exec cat");
	struct cw_dial_options o = {.ssh = ssh};
	struct cw_carrier c = CW_CARRIER_INIT;
	char *said;

	ck_assert_int_eq(cw_dial("ssh://metairie", &o, &c, &err), 0);
	ck_assert_int_eq(write(c.fd_out, "hello", 5), 5);
	cw_close(&c.fd_out);
	said = read_all(c.fd_in);
	ck_assert_str_eq(said, "hello");
	free(said);
	cw_carrier_close(&c);
	drop_ssh(ssh);
}
END_TEST

START_TEST(last_words_of_ssh_are_in_the_error)
{
	char *ssh = fake_ssh("i=0; while [ $i -lt 3 ]; do echo warn >&2;\n"
			     "i=$((i+1)); done\n"
			     "echo 'Permission denied \33[2J' >&2; exit 255");
	struct cw_dial_options o = {.ssh = ssh};
	struct cw_carrier c = CW_CARRIER_INIT;

	ck_assert_int_eq(cw_dial("ssh://metairie", &o, &c, &err), 0);
	(void)cw_error_set(&err, CW_ERR_UNREACHABLE, "the line ended");
	cw_carrier_explain(&c, &err);
	ck_assert_int_eq(err.code, CW_ERR_UNREACHABLE);
	ck_assert_str_eq(err.message,
	    "the line ended; ssh says: Permission denied \\x1b[2J");
	cw_carrier_close(&c);
	drop_ssh(ssh);
}
END_TEST

START_TEST(ssh_that_says_too_much_is_cut)
{
	/* Ends by itself, since what is over is refused. */
	char *ssh = fake_ssh("yes >&2; exit 0");
	struct cw_dial_options o = {.ssh = ssh};
	struct cw_carrier c = CW_CARRIER_INIT;

	ck_assert_int_eq(cw_dial("ssh://metairie", &o, &c, &err), 0);
	(void)cw_error_set(&err, CW_ERR_UNREACHABLE, "the line ended");
	cw_carrier_explain(&c, &err);
	ck_assert_uint_lt(strlen(err.message), 100);
	cw_carrier_close(&c);
	drop_ssh(ssh);
}
END_TEST

START_TEST(ssh_that_is_not_there_is_told)
{
	struct cw_dial_options o = {.ssh = "/nonexistent/ssh"};
	struct cw_carrier c = CW_CARRIER_INIT;

	ck_assert_int_eq(cw_dial("ssh://metairie", &o, &c, &err), -1);
	ck_assert_int_eq(err.code, CW_ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.message, "/nonexistent/ssh"));
}
END_TEST

START_TEST(ssh_that_does_not_end_is_ended)
{
	char *ssh = fake_ssh("exec sleep 1000");
	struct cw_dial_options o = {.ssh = ssh};
	struct cw_carrier c = CW_CARRIER_INIT;
	pid_t pid;

	ck_assert_int_eq(cw_dial("ssh://metairie", &o, &c, &err), 0);
	pid = c.pid;
	cw_carrier_close(&c);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
	drop_ssh(ssh);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("carrier");
	TCase *tc = tcase_create("carrier");
	SRunner *sr;
	int failed;

	if (cw_crypto_init(&err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, addresses_that_are_none_say_why);
	tcase_add_test(tc, dial_and_accept_meet_over_ipv4);
	tcase_add_test(tc, dial_and_accept_meet_over_ipv6);
	tcase_add_test(tc, star_listens_to_ipv4_too);
	tcase_add_test(tc, port_where_nobody_listens_is_told_with_advice);
	tcase_add_test(tc, name_that_nobody_knows_is_told);
	tcase_add_test(tc, port_in_use_is_told);
	tcase_add_test(tc, request_to_stop_ends_a_dial);
	tcase_add_test(tc, ssh_is_asked_to_run_causeway_there);
	tcase_add_test(tc, bytes_go_both_ways_through_ssh);
	tcase_add_test(tc, last_words_of_ssh_are_in_the_error);
	tcase_add_test(tc, ssh_that_says_too_much_is_cut);
	tcase_add_test(tc, ssh_that_is_not_there_is_told);
	tcase_add_test(tc, ssh_that_does_not_end_is_ended);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
