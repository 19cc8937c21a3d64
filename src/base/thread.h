/*
 * Threads of work beside the one of the program that expects signals.
 */
#ifndef CW_BASE_THREAD_H
#define CW_BASE_THREAD_H

#include <pthread.h>

/*
 * As pthread_create with the usual attributes, but all signals are blocked in
 * the thread: they go to the one that knows what to put in order.  Returns 0 or
 * an errno value; then there is no thread.
 */
int cw_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
