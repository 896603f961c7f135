/* See listing.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "listing.h"

#ifdef POWERML_PLUGIN
#include <stdlib.h>
#include <string.h>
#define ALLOCATE(bytes) malloc(bytes)
#define RELEASE(memory) free(memory)
#define COPY memcpy
#define COMPARE strcmp
#define SORT qsort
#else
#include "pub_tool_basics.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_mallocfree.h"
#define ALLOCATE(bytes) VG_(malloc)("powerml.listing", bytes)
#define RELEASE(memory) VG_(free)(memory)
#define COPY VG_(memcpy)
#define COMPARE VG_(strcmp)
#define SORT VG_(ssort)
#endif

/* struct linux_dirent64: the inode, the place of the next entry, the entry's length, its type. */
enum { NEXT = 8, LENGTH = 16, NAME = 19 };

static uint16_t length_of(const uint8_t *entry)
{
    uint16_t length;
    COPY(&length, entry + LENGTH, sizeof length);
    return length;
}

static int by_name(const void *one, const void *other)
{
    return COMPARE((const char *)*(uint8_t *const *)one + NAME,
                   (const char *)*(uint8_t *const *)other + NAME);
}

/* Count the entries; 0 where they do not end where the bytes do. */
static size_t count_entries(const uint8_t *entries, size_t bytes)
{
    size_t count = 0, at = 0;
    while (at < bytes) {
        if (bytes - at <= NAME || length_of(entries + at) <= NAME
            || length_of(entries + at) > bytes - at)
            return 0;
        at += length_of(entries + at);
        count++;
    }
    return count;
}

void sort_listing(uint8_t *entries, size_t bytes)
{
    size_t count = count_entries(entries, bytes);
    if (count == 0)
        return;
    uint8_t *copy = ALLOCATE(bytes);
    uint8_t **sorted = ALLOCATE(count * sizeof *sorted);
    COPY(copy, entries, bytes);
    uint8_t *entry = copy;
    for (size_t i = 0; i < count; i++, entry += length_of(entry))
        sorted[i] = entry;
    SORT(sorted, count, sizeof *sorted, by_name);
    /* Where a reader goes on after the i-th entry is told by the i-th, whichever that is. */
    entry = copy;
    for (size_t i = 0; i < count; i++, entry += length_of(entry)) {
        COPY(entries, sorted[i], length_of(sorted[i]));
        COPY(entries + NEXT, entry + NEXT, LENGTH - NEXT);
        entries += length_of(sorted[i]);
    }
    RELEASE(sorted);
    RELEASE(copy);
}
