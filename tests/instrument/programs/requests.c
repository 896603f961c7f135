/* A request a case; the argument names the case. */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

static uint64_t counters[256];
static volatile uint64_t sink;

static __attribute__((noinline)) void work(int rounds)
{
    for (int i = 0; i < rounds; i++)
        sink += (uint64_t)i;
}

static uint64_t executed(void)
{
    uint64_t sum = 0;
    ask(POWERML_READ, (unsigned long)counters, sizeof counters, 0);
    for (int i = 0; i < 12; i++)
        sum += counters[i];
    return sum;
}

static uint64_t missed(void)
{
    uint64_t sum = 0;
    unsigned long count = ask(POWERML_COUNTERS, 0, 0, 0);
    ask(POWERML_READ, (unsigned long)counters, sizeof counters, 0);
    for (unsigned long i = 17; i < count; i++)
        sum += counters[i];
    return sum;
}

static void interface(void)
{
    printf("%lu %lu\n", ask(POWERML_GET_INTERFACE, 0, 0, 0), ask(POWERML_COUNTERS, 0, 0, 0));
}

static void scopes(void)
{
    ask(POWERML_FUNCTIONS, 0, 0, 0);
    for (int i = 0; i < 2; i++) {
        push("outer");
        work(10);
        push("inner");
        work(100);
        pop();
        pop();
    }
    print_told();
}

static void zero(void)
{
    work(1000);
    uint64_t before = executed();
    ask(POWERML_ZERO, 0, 0, 0);
    uint64_t after = executed();
    work(1000);
    printf("%lu %lu %lu\n", before, after, executed());
}

static void popped_twice(void)
{
    push("a");
    pop();
    printf("%lu ", status());
    pop();
    printf("%lu ", status());
    ask(POWERML_ZERO, 0, 0, 0);
    printf("%lu\n", status());
}

static void no_space(void)
{
    size_t needed = 8 * ask(POWERML_COUNTERS, 0, 0, 0);
    void *readable = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(counters, 0xff, sizeof counters);
    printf("%lu ", ask(POWERML_READ, (unsigned long)counters, needed - 1, 0));
    printf("%d ", counters[0] == UINT64_MAX);
    printf("%lu ", ask(POWERML_READ, 0, needed, 0));
    printf("%lu ", ask(POWERML_READ, (unsigned long)readable, needed, 0));
    printf("%lu ", ask(POWERML_READ, (unsigned long)counters, needed, 0));
    /* No more is written than there is room for. */
    printf("%d\n", counters[needed / 8 - 1] != UINT64_MAX && counters[needed / 8] == UINT64_MAX);
}

static void told_without_room(void)
{
    char text[8] = "1234567";
    ask(POWERML_STOP, 0, 0, 0); /* what is told grows by digits else */
    unsigned long needed = ask(POWERML_TELL, 0, 0, 0);
    printf("%d ", needed == ask(POWERML_TELL, (unsigned long)text, 3, 0));
    printf("%s ", text);
    printf("%d\n", needed == ask(POWERML_TELL, 4096, 100, 0)); /* nothing is mapped there */
}

static void forked(void)
{
    push("a");
    fflush(stdout);
    if (fork() == 0) {
        printf("%lu ", status());
        ask(POWERML_ZERO, 0, 0, 0);
        pop();
        fflush(stdout);
        if (fork() == 0) {
            printf("%lu ", status());
            exit(0);
        }
        wait(NULL);
        exit(0);
    }
    wait(NULL);
    printf("%lu\n", status());
}

static void *thread(void *none)
{
    work(10);
    return none;
}

static void run_thread(void)
{
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
}

static void threads(void)
{
    run_thread();
    printf("%lu ", status());
    push("a");
    run_thread();
    printf("%lu\n", status());
}

static void stopped(void)
{
    uint64_t counts[5];
    work(1000);
    ask(POWERML_STOP, 0, 0, 0);
    counts[0] = executed();
    work(1000);
    counts[1] = executed();
    ask(POWERML_START, 0, 0, 0);
    work(1000);
    counts[2] = executed();
    printf("%lu %lu %lu\n", counts[0], counts[1], counts[2]);
}

/* Started again, the same work misses as often as the first time; where it goes on, never. */
static void cold(void)
{
    static char bytes[1 << 14];
    uint64_t counts[3];
    for (int i = 0; i < 3; i++) {
        if (i < 2)
            ask(POWERML_START, 0, 0, 0);
        ask(POWERML_ZERO, 0, 0, 0);
        for (size_t j = 0; j < sizeof bytes; j += 64)
            ((volatile char *)bytes)[j] = 1;
        counts[i] = missed();
    }
    printf("%d %d %d\n", counts[0] >= 2 * 256, counts[0] == counts[1], counts[2] < 50);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"interface", interface}, {"scopes", scopes},     {"zero", zero},
    {"popped_twice", popped_twice}, {"no_space", no_space},
    {"told_without_room", told_without_room}, {"forked", forked}, {"threads", threads},
    {"stopped", stopped}, {"cold", cold},
};

int main(int count, char **arguments)
{
    for (unsigned i = 0; count == 2 && i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].name, arguments[1]) == 0) {
            cases[i].run();
            return 0;
        }
    return 1;
}
