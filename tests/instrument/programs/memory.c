/* Accesses of every kind that is not a plain load or store. */
#include <stdint.h>
#include <string.h>

static char bytes[1 << 16] __attribute__((aligned(64)));
static unsigned __int128 wide __attribute__((aligned(16)));
static uint64_t word;
static uint32_t spread[3] __attribute__((aligned(64)));

static void copy(void *to, const void *from, uint64_t count)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void copy_words(void *to, const void *from, uint64_t count)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void fill(void *to, uint64_t count, uint64_t value)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static int compare(const void *one, const void *other, uint64_t count)
{
    char differs;
    __asm__ volatile("repe cmpsb; setne %0"
                     : "=q"(differs), "+D"(one), "+S"(other), "+c"(count)
                     :
                     : "memory", "cc");
    return differs;
}

int main(void)
{
    unsigned __int128 expected = 0;
    for (int round = 0; round < 50; round++) {
        copy(bytes + 7 * round, bytes + 30000 + round, 100);
        copy_words(bytes + 40001 + 64 * round, bytes + 64 * round, 40);
        fill(bytes + 3 * round, 33, (uint64_t)round);
        compare(bytes, bytes + 20000, 50);
        __sync_bool_compare_and_swap(&wide, expected, expected + 1);
        expected++;
        __atomic_fetch_add(&word, 3, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&word, 3, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&word, 5, __ATOMIC_SEQ_CST);
        word += 2;
        /* Across the end of a line, and of a page. */
        *(volatile uint64_t *)(bytes + 64 * round + 60) += 1;
        *(volatile uint64_t *)(bytes + 4092) += 1;
        for (int i = 0; i < 3; i++)
            *(volatile uint32_t *)&spread[i] ^= (uint32_t)round;
    }
    char state[512] __attribute__((aligned(64)));
    __asm__ volatile("fxsave %0" : "=m"(state));
    __asm__ volatile("fxrstor %0" : : "m"(state));
    return wide != expected;
}
