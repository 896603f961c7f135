/* The tool's requests as functions, and what it tells. */
#include <stdio.h>
#include <stdlib.h>

#include "requests.h"

static inline unsigned long ask(unsigned long request, unsigned long one, unsigned long two,
                                unsigned long three)
{
    return VALGRIND_DO_CLIENT_REQUEST_EXPR(0, request, one, two, three, 0, 0);
}

static inline void push(const char *name)
{
    VALGRIND_DO_CLIENT_REQUEST_STMT(POWERML_PUSH, name, 0, 0, 0, 0);
}

static inline void pop(void)
{
    VALGRIND_DO_CLIENT_REQUEST_STMT(POWERML_POP, 0, 0, 0, 0, 0);
}

static inline unsigned long status(void)
{
    static unsigned long counters[256];
    return ask(POWERML_READ, (unsigned long)counters, sizeof counters, 0);
}
