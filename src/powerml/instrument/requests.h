/* What a program inside the instrument may ask of it. Outside it nothing is asked and 0 answered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWERML_REQUESTS_H
#define POWERML_REQUESTS_H

#include <valgrind/valgrind.h>

/* Raised with every change of the requests or of what the counters mean. */
#define POWERML_INTERFACE 2

enum powerml_request {
    POWERML_GET_INTERFACE = VG_USERREQ_TOOL_BASE('P', 'M'), /* answers with POWERML_INTERFACE */
    POWERML_START,    /* begin to count, with empty caches */
    POWERML_STOP,     /* count nothing until the next start */
    POWERML_ZERO,     /* set the counters to zero; the caches stay as they are */
    POWERML_COUNTERS, /* answers with the number of counters */
    POWERML_READ,     /* (counters, room in bytes): answers with a status, 0 if all is fine */
    POWERML_PUSH,     /* (name): charge what follows to a scope */
    POWERML_POP,      /* leave the scope */
    POWERML_FUNCTIONS, /* from now on charge to functions too */
    POWERML_TELL,     /* (text, room in bytes): answers with the bytes that it takes */
    POWERML_CLOCK,    /* (weights, their number, nanoseconds): the clock counts cost, see below */
    POWERML_TICK,     /* the clock counts looks again */
    POWERML_HOST_CLOCK, /* (1 or 0): the host's clock answers looks that follow, or no more */
    POWERML_SEGMENT,  /* (name): begin a segment of the open scope, where the last one ends; 0: none */
    POWERML_SEGMENT_LOOKS, /* (1 or 0): each look at the clock begins one, "look N", or no more */
    POWERML_WATCH,    /* (addresses, their number): running one begins a segment, see hierarchy.h */
    POWERML_LEARN,    /* (1 or 0): learn the code that is run, or no more */
    POWERML_SIFT      /* (from, until): charge other code to a scope of its own, see hierarchy.h */
};

/* POWERML_CLOCK: the weights are unsigned 64-bit integers, one for each counter. Whoever asks for
 * the time is told the sum of weight times counter, times `nanoseconds`. */

#endif
