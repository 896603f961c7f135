/* What an instruction does, told by what the decoder has made of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_CLASSES_H
#define POWERML_CLASSES_H

#include "pub_tool_basics.h"
#include "pub_tool_tooliface.h"

#include "hierarchy.h"

struct instruction {
    enum instruction_class class;
    UInt float_operations, integer_operations;
};

/* Classify the instruction of the statements from one to before another. */
struct instruction classify(const IRSB *block, Int from, Int until, const VexGuestLayout *layout);

/* Find what an address is reckoned from, and how far it is from there. NULL: from nothing. */
IRExpr *base_of(const IRSB *block, IRExpr *address, Long *offset);

/* Begin a block, of which nothing is known yet. */
void forget_assignments(void);

/* Find the expression that a block assigns to a temporary from a statement on, or NULL. */
IRExpr *assigned_to(const IRSB *block, IRTemp temporary, Int from);

#endif
