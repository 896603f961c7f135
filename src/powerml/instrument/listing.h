/* Listings of folders in one order, whatever file system they lie on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_LISTING_H
#define POWERML_LISTING_H

#include "pub_tool_basics.h"

/* Sort the entries that getdents64 has written, by their names. What is no listing stays as it is. */
void sort_listing(UChar *entries, UWord bytes);

#endif
