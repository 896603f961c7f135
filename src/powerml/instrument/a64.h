/* What an A64 instruction does, told by its encoding.
 *
 * Encodings are those of the Arm Architecture Reference Manual, DDI 0487, chapter C4.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_A64_H
#define POWERML_A64_H

#include <stdint.h>

#include "hierarchy.h"

enum { A64_BYTES = 4 };

/* An instruction has one operand in memory at most: a pair, or several registers that are loaded
 * from places side by side, are one. It has none where `bytes` is 0. */
struct a64_instruction {
    enum instruction_class class;
    uint32_t float_operations, integer_operations;
    uint32_t bytes;
    enum direction direction;
    int is_conditional; /* an exclusive store may fail */
    int is_zeroing;     /* DC ZVA, whose operand is a block of zeros */
};

struct a64_instruction a64_classify(uint32_t encoding);

#endif
