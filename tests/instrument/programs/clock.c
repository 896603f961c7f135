/* The clocks, in the order of the looks. Arguments: cost, to have them count cost; loop, to count
 * a loop of looks at the time stamp. */
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <x86intrin.h>

#include "tool.h"

enum { INSTRUCTION_CLASSES = 12, WEIGHT = 3, NANOSECONDS = 1000000 };

static uint64_t counters[256], weights[256];

/* What the clock ought to say in nanoseconds. */
static uint64_t cost(void)
{
    uint64_t sum = 0;
    ask(POWERML_READ, (unsigned long)counters, sizeof counters, 0);
    for (int i = 0; i < INSTRUCTION_CLASSES; i++)
        sum += WEIGHT * counters[i];
    return sum * NANOSECONDS;
}

static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t real(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t of_day(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_usec * 1000;
}

static uint64_t seconds(void)
{
    time_t kept;
    time_t told = time(&kept);
    return told == kept ? (uint64_t)told * 1000000000 : 0;
}

static uint64_t stamp(void)
{
    return __rdtsc();
}

static uint64_t stamp_and_core(void)
{
    unsigned core = 1234;
    uint64_t told = __rdtscp(&core);
    return core == 0 ? told : 0;
}

static uint64_t (*const clocks[])(void) = {monotonic, real, of_day, seconds, stamp, stamp_and_core};

enum { LOOKS = 1000 };

static uint64_t looks_cost(void)
{
    uint64_t before = cost();
    for (int i = 0; i < LOOKS; i++)
        __rdtsc();
    return (cost() - before) / NANOSECONDS / WEIGHT;
}

/* Print the instructions of the loop by the host's clock, and by the clock that counts cost. */
static void loop(void)
{
    looks_cost(); /* the linker has its work behind it */
    printf("%lu ", looks_cost());
    ask(POWERML_CLOCK, (unsigned long)weights, INSTRUCTION_CLASSES, NANOSECONDS);
    printf("%lu\n", looks_cost());
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "loop") == 0) {
        loop();
        return 0;
    }
    int counts_cost = count > 1 && strcmp(arguments[1], "cost") == 0;
    for (unsigned i = 0; i < sizeof clocks / sizeof clocks[0]; i++)
        printf("%lu ", clocks[i]());
    printf("\n");
    if (!counts_cost)
        return 0;
    for (int i = 0; i < INSTRUCTION_CLASSES; i++)
        weights[i] = WEIGHT;
    ask(POWERML_CLOCK, (unsigned long)weights, INSTRUCTION_CLASSES, NANOSECONDS);
    for (unsigned i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        uint64_t before = cost();
        uint64_t told = clocks[i]();
        printf("%lu %lu %lu\n", before, told, cost());
    }
    ask(POWERML_TICK, 0, 0, 0);
    for (unsigned i = 0; i < sizeof clocks / sizeof clocks[0]; i++)
        printf("%lu ", clocks[i]());
    printf("\n");
    return 0;
}
