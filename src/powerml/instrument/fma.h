/* Fused multiply-adds by the processor's own, whole vectors at a time.
 *
 * Valgrind's decoder takes one apart into its lanes, and computes each in software: until 3.23 in
 * 50 ns, since then in 5.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_FMA_H
#define POWERML_FMA_H

#include "pub_tool_basics.h"
#include "pub_tool_tooliface.h"

struct fma;

/* Forget what is known of the block before. */
void begin_fmas(void);

/* True if there is a fused multiply-add in the statements of an instruction. */
Bool has_multiply_add(const IRSB *in, Int from, Int until);

/* Find a fused multiply-add in the statements of an instruction; NULL: there is none, or one of a
 * form that is left to Valgrind. */
struct fma *find_fma(const IRSB *in, Int from, Int until);

/* Add a statement of that instruction to a block, unless it belongs to the multiply-add or depends
 * on it. */
void add_fma(struct fma *, IRSB *out, IRStmt *statement);

/* Add the multiply-add as one call, and what depends on it, at the end of the instruction. */
void end_fma(struct fma *, IRSB *out);

#endif
