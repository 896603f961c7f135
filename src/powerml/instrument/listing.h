/* Listings of folders in one order, whatever file system they lie on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_LISTING_H
#define POWERML_LISTING_H

#include <stddef.h>
#include <stdint.h>

/* Sort the entries that getdents64 has written, by their names. What is no listing stays as it is. */
void sort_listing(uint8_t *entries, size_t bytes);

#endif
