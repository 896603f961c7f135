/* The tool's requests as functions. */
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
    ask(POWERML_PUSH, (unsigned long)name, 0, 0);
}

static inline void pop(void)
{
    ask(POWERML_POP, 0, 0, 0);
}

static inline unsigned long status(void)
{
    static unsigned long counters[256];
    return ask(POWERML_READ, (unsigned long)counters, sizeof counters, 0);
}

/* Write what the tool tells, and an empty line. */
static inline void print_told(void)
{
    static char text[1 << 20]; /* memory that is asked for now would be told of, too */
    ask(POWERML_TELL, (unsigned long)text, sizeof text - 1, 0);
    puts(text);
}
