/* The clock of a measured process: each look at it is a microsecond after the one before.
 *
 * Libraries do other things as time goes by: ONNX Runtime sums up its runs when a session is two
 * seconds old. Under Valgrind, on a busy machine, that falls into one region and not into the next.
 * This library is loaded before all others (LD_PRELOAD), so it needs nothing of Python's.
 */
#define _GNU_SOURCE
#include <sys/time.h>
#include <time.h>

#define SEEN __attribute__((visibility("default")))

/* 10 December 2018, the date of the paper. Any time in the past would do: what waits until a time
 * then waits no longer. Other clocks start at 0, for the same reason. */
#define START_SECONDS 1544400000
#define NANOSECONDS 1000000000ULL
#define TICK_NANOSECONDS 1000

static unsigned long long looks;

SEEN int clock_gettime(clockid_t clock, struct timespec *now)
{
    unsigned long long passed = ++looks * TICK_NANOSECONDS;
    now->tv_sec = (time_t)(passed / NANOSECONDS);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        now->tv_sec += START_SECONDS;
    now->tv_nsec = (long)(passed % NANOSECONDS);
    return 0;
}

SEEN int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

SEEN time_t time(time_t *seconds)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds != NULL)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}

/* It is built like an extension module, which has this; it is never imported. */
SEEN void *PyInit__clock(void)
{
    return NULL;
}
