/* Names of functions in the files that a process has mapped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_SYMBOLS_H
#define POWERML_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* Name the function and the file that hold an address of code. A function without a name is told by
 * the place in its file where it begins, as in +0x1234. Nothing is written where nothing is known. */
void name_address(uint64_t address, char *function, char *library, size_t bytes);

#endif
