/* What a program under the QEMU plug-in may ask of it, by the system call
 * getpriority(POWERML_MAGIC, request, ...). Elsewhere that is an error and nothing is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWERML_PLUGIN_REQUESTS_H
#define POWERML_PLUGIN_REQUESTS_H

enum { POWERML_MAGIC = 0x504d };

/* Those of requests.h, with the same arguments and answers, and with the same numbers from the first
 * one on. */
#define POWERML_INTERFACE 2

enum powerml_request {
    POWERML_GET_INTERFACE,
    POWERML_START,
    POWERML_STOP,
    POWERML_ZERO,
    POWERML_COUNTERS,
    POWERML_READ,
    POWERML_PUSH,
    POWERML_POP,
    POWERML_FUNCTIONS,
    POWERML_TELL,
    POWERML_CLOCK,
    POWERML_TICK,
    POWERML_HOST_CLOCK,
    POWERML_SEGMENT,
    POWERML_SEGMENT_LOOKS,
    POWERML_WATCH,
    POWERML_LEARN,
    POWERML_SIFT,
    POWERML_OPEN_MARKS, /* (path): answers with an error's number, or 0 */
    POWERML_MARK        /* (name): write the counters so far; answers likewise */
};

#endif
