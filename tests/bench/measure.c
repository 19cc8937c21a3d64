/*
 * Runs a command and writes what it took, as one line of four numbers:
 * seconds of wall time, seconds of CPU (user and system, of all its
 * processes), peak memory in KiB, and the exit status.
 *
 *     cc -O2 -o measure measure.c
 *     measure FILE COMMAND [ARGUMENT]...
 *
 * Peak memory is the greatest sum of the resident sets of the command and all
 * its descendants, looked at every 20 ms: a pipeline counts as a whole.  What
 * comes and goes between two looks is caught for the largest single process
 * only, from the kernel's own maximum.  Pages that processes share count in
 * each of them.  Processes that outlive the command are waited for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS	  20000000L
#define MAX_DEPTH 16 /* of processes below processes */

static long
resident_kib(long pid)
{
	char path[64];
	long size, pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
	if (!(f = fopen(path, "r")))
		return 0; /* it has ended */
	if (fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long tree_kib(long pid, int depth);

/* The sum over the children that one thread has started. */
static long
children_kib(long pid, const char *thread, int depth)
{
	char path[320];
	long child, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/task/%s/children", pid, thread);
	if (!(f = fopen(path, "r")))
		return 0;
	while (fscanf(f, "%ld", &child) == 1)
		sum += resident_kib(child) + tree_kib(child, depth + 1);
	fclose(f);
	return sum;
}

/* The sum over everything below a process, itself not included. */
static long
tree_kib(long pid, int depth)
{
	struct dirent *entry;
	char path[64];
	long sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	if (depth > MAX_DEPTH || !(dir = opendir(path)))
		return 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += children_kib(pid, entry->d_name, depth);
	closedir(dir);
	return sum;
}

static double
seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Waits for all descendants; answers the command's own exit status. */
static int
wait_for(pid_t command, const sigset_t *child, long *peak_kib)
{
	const struct timespec look = {0, LOOK_NS};
	int status, result = 127;
	long kib;
	pid_t pid;

	for (;;) {
		kib = tree_kib(getpid(), 0);
		if (kib > *peak_kib)
			*peak_kib = kib;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == command)
				result = WIFEXITED(status)
					     ? WEXITSTATUS(status)
					     : 128 + WTERMSIG(status);
		if (pid < 0 && errno == ECHILD)
			return result;
		sigtimedwait(child, NULL, &look);
	}
}

int
main(int argc, char **argv)
{
	struct rusage usage;
	sigset_t child, old;
	double start;
	long peak_kib = 0;
	int status;
	pid_t pid;
	FILE *f;

	if (argc < 3) {
		fputs("usage: measure FILE COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	/* Orphans become ours, and so stay counted. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &old);
	start = now();
	if ((pid = fork()) == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[2], argv + 2);
		fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid < 0) {
		perror("measure: fork");
		return 1;
	}
	status = wait_for(pid, &child, &peak_kib);
	start = now() - start;
	getrusage(RUSAGE_CHILDREN, &usage);
	if (usage.ru_maxrss > peak_kib)
		peak_kib = usage.ru_maxrss;
	if (!(f = fopen(argv[1], "w"))) {
		perror(argv[1]);
		return 1;
	}
	fprintf(f, "%.3f %.3f %ld %d\n", start,
	    seconds(&usage.ru_utime) + seconds(&usage.ru_stime), peak_kib,
	    status);
	return fclose(f) == 0 ? status : 1;
}
