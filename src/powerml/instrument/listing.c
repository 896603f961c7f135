/* See listing.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "listing.h"

#include "pub_tool_libcbase.h"
#include "pub_tool_mallocfree.h"

/* struct linux_dirent64: the inode, the place of the next entry, the entry's length, its type. */
enum { NEXT = 8, LENGTH = 16, NAME = 19 };

static UShort length_of(const UChar *entry)
{
    UShort length;
    VG_(memcpy)(&length, entry + LENGTH, sizeof length);
    return length;
}

static Int by_name(const void *one, const void *other)
{
    return VG_(strcmp)((const HChar *)*(UChar *const *)one + NAME,
                       (const HChar *)*(UChar *const *)other + NAME);
}

/* Count the entries; 0 where they do not end where the bytes do. */
static UWord count_entries(const UChar *entries, UWord bytes)
{
    UWord count = 0, at = 0;
    while (at < bytes) {
        if (bytes - at <= NAME || length_of(entries + at) <= NAME
            || length_of(entries + at) > bytes - at)
            return 0;
        at += length_of(entries + at);
        count++;
    }
    return count;
}

void sort_listing(UChar *entries, UWord bytes)
{
    UWord count = count_entries(entries, bytes);
    if (count == 0)
        return;
    UChar *copy = VG_(malloc)("powerml.listing", bytes);
    UChar **sorted = VG_(malloc)("powerml.listing.order", count * sizeof *sorted);
    VG_(memcpy)(copy, entries, bytes);
    UChar *entry = copy;
    for (UWord i = 0; i < count; i++, entry += length_of(entry))
        sorted[i] = entry;
    VG_(ssort)(sorted, count, sizeof *sorted, by_name);
    /* Where a reader goes on after the i-th entry is told by the i-th, whichever that is. */
    entry = copy;
    for (UWord i = 0; i < count; i++, entry += length_of(entry)) {
        VG_(memcpy)(entries, sorted[i], length_of(sorted[i]));
        VG_(memcpy)(entries + NEXT, entry + NEXT, LENGTH - NEXT);
        entries += length_of(sorted[i]);
    }
    VG_(free)(sorted);
    VG_(free)(copy);
}
