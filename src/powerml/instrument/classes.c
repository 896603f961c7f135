/* Classes of instructions: see classes.h.
 *
 * The decoder splits an instruction into operations on temporaries. Its class is that of the widest
 * and most expensive of them; an operation that merely makes an address does not count.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "classes.h"

#include "pub_tool_libcbase.h"

#include "libvex_guest_amd64.h"
#include "libvex_guest_arm64.h"

#if defined(VGA_amd64)
#define OFFSET_OF_FLAGS ((Int)offsetof(VexGuestAMD64State, guest_CC_OP))
#define OFFSET_OF_FLOAT_STACK ((Int)offsetof(VexGuestAMD64State, guest_FTOP))
#elif defined(VGA_arm64)
#define OFFSET_OF_FLAGS ((Int)offsetof(VexGuestARM64State, guest_CC_OP))
#define OFFSET_OF_FLOAT_STACK (-1) /* it has none */
#else
#error "the instrument knows the flags of x86-64 and of arm64"
#endif

enum { MOST_TEMPORARIES = 1 << 14 };

enum kind { NOTHING, WHOLE_NUMBERS, REALS, FUSED, DIVISION };

struct operation {
    enum kind kind;
    UInt lanes;
};

#define LANES_4_8_16(name)                                                                         \
    case name##8x16:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 16};                                              \
    case name##16x8:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 8};                                               \
    case name##32x4:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 4}

#define LANES_8_16_32(name)                                                                        \
    case name##8x32:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 32};                                              \
    case name##16x16:                                                                              \
        return (struct operation){WHOLE_NUMBERS, 16};                                              \
    case name##32x8:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 8}

#define SHORT_LANES_OF_SIGNS(name, sign)                                                           \
    case name##8##sign##x32:                                                                       \
        return (struct operation){WHOLE_NUMBERS, 32};                                              \
    case name##8##sign##x16:                                                                       \
    case name##16##sign##x16:                                                                      \
        return (struct operation){WHOLE_NUMBERS, 16};                                              \
    case name##16##sign##x8:                                                                       \
        return (struct operation){WHOLE_NUMBERS, 8}

#define LANES_OF_SIGNS(name, sign)                                                                 \
    SHORT_LANES_OF_SIGNS(name, sign);                                                              \
    case name##32##sign##x8:                                                                       \
        return (struct operation){WHOLE_NUMBERS, 8};                                               \
    case name##32##sign##x4:                                                                       \
        return (struct operation){WHOLE_NUMBERS, 4}

#define LANES_16_32_64(name)                                                                       \
    case name##16x16:                                                                              \
        return (struct operation){WHOLE_NUMBERS, 16};                                              \
    case name##16x8:                                                                               \
    case name##32x8:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 8};                                               \
    case name##32x4:                                                                               \
    case name##64x4:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 4};                                               \
    case name##64x2:                                                                               \
        return (struct operation){WHOLE_NUMBERS, 2}

/* Operations on vectors of real numbers; those with 0 in their names work on the lowest lane. */
#define REALS_OF(name, kind)                                                                       \
    case name##32Fx8:                                                                              \
        return (struct operation){kind, 8};                                                        \
    case name##64Fx4:                                                                              \
    case name##32Fx4:                                                                              \
        return (struct operation){kind, 4};                                                        \
    case name##64Fx2:                                                                              \
        return (struct operation){kind, 2};                                                        \
    case name##32F0x4:                                                                             \
    case name##64F0x2:                                                                             \
        return (struct operation){kind, 1}

#define SCALARS_OF(name, kind)                                                                     \
    case name##F64:                                                                                \
    case name##F32:                                                                                \
        return (struct operation){kind, 1}

static struct operation weigh(IROp op)
{
    switch (op) {
        REALS_OF(Iop_Add, REALS);
        REALS_OF(Iop_Sub, REALS);
        REALS_OF(Iop_Mul, REALS);
        REALS_OF(Iop_Max, REALS);
        REALS_OF(Iop_Min, REALS);
        REALS_OF(Iop_Div, DIVISION);
        REALS_OF(Iop_Sqrt, DIVISION);
        SCALARS_OF(Iop_Add, REALS);
        SCALARS_OF(Iop_Sub, REALS);
        SCALARS_OF(Iop_Mul, REALS);
        SCALARS_OF(Iop_Neg, NOTHING); /* a part of another */
        SCALARS_OF(Iop_Abs, NOTHING);
        SCALARS_OF(Iop_Cmp, REALS);
        SCALARS_OF(Iop_Div, DIVISION);
        SCALARS_OF(Iop_Sqrt, DIVISION);
        SCALARS_OF(Iop_MAdd, FUSED);
        SCALARS_OF(Iop_MSub, FUSED);
    case Iop_CmpEQ32Fx4: case Iop_CmpLT32Fx4: case Iop_CmpLE32Fx4: case Iop_CmpUN32Fx4:
    case Iop_CmpGT32Fx4: case Iop_CmpGE32Fx4: case Iop_Abs32Fx4: case Iop_Neg32Fx4:
    case Iop_RecipEst32Fx4: case Iop_RSqrtEst32Fx4:
        return (struct operation){REALS, 4};
    case Iop_CmpEQ64Fx2: case Iop_CmpLT64Fx2: case Iop_CmpLE64Fx2: case Iop_CmpUN64Fx2:
    case Iop_Abs64Fx2: case Iop_Neg64Fx2:
        return (struct operation){REALS, 2};
    case Iop_CmpEQ32F0x4: case Iop_CmpLT32F0x4: case Iop_CmpLE32F0x4: case Iop_CmpUN32F0x4:
    case Iop_CmpEQ64F0x2: case Iop_CmpLT64F0x2: case Iop_CmpLE64F0x2: case Iop_CmpUN64F0x2:
    case Iop_RecipEst32F0x4: case Iop_RSqrtEst32F0x4:
        return (struct operation){REALS, 1};
    /* What only changes a number's kind is an instruction, but no operation. */
    case Iop_I32StoF64: case Iop_I64StoF64:
    case Iop_I32StoF32: case Iop_I64StoF32: case Iop_F64toI32S: case Iop_F64toI64S:
    case Iop_F32toI32S: case Iop_F32toI64S: case Iop_F32toF64: case Iop_F64toF32:
    case Iop_RoundF64toInt: case Iop_RoundF32toInt:
        return (struct operation){REALS, 0};
    case Iop_I32StoF32x4: case Iop_F32toI32Sx4: case Iop_I32StoF32x8: case Iop_F32toI32Sx8:
        return (struct operation){REALS, 0};
    case Iop_RecipEst32Fx8: case Iop_RSqrtEst32Fx8:
        return (struct operation){REALS, 8};
        LANES_4_8_16(Iop_Add);
        LANES_4_8_16(Iop_Sub);
        LANES_4_8_16(Iop_CmpEQ);
        LANES_8_16_32(Iop_Add);
        LANES_8_16_32(Iop_Sub);
        LANES_8_16_32(Iop_CmpEQ);
    case Iop_Mul16x8: case Iop_MulHi16Ux8: case Iop_MulHi16Sx8: case Iop_MullEven16Sx8:
        return (struct operation){WHOLE_NUMBERS, 8};
        LANES_OF_SIGNS(Iop_CmpGT, S);
        LANES_OF_SIGNS(Iop_Max, S);
        LANES_OF_SIGNS(Iop_Max, U);
        LANES_OF_SIGNS(Iop_Min, S);
        LANES_OF_SIGNS(Iop_Min, U);
        SHORT_LANES_OF_SIGNS(Iop_QAdd, S);
        SHORT_LANES_OF_SIGNS(Iop_QAdd, U);
        SHORT_LANES_OF_SIGNS(Iop_QSub, S);
        SHORT_LANES_OF_SIGNS(Iop_QSub, U);
        SHORT_LANES_OF_SIGNS(Iop_Avg, U);
        LANES_16_32_64(Iop_ShlN);
        LANES_16_32_64(Iop_ShrN);
    case Iop_SarN16x8: case Iop_SarN32x4: case Iop_SarN16x16: case Iop_SarN32x8:
        return (struct operation){WHOLE_NUMBERS, op == Iop_SarN16x16   ? 16
                                                 : op == Iop_SarN32x4 ? 4
                                                                      : 8};
    case Iop_Add64x2: case Iop_Sub64x2: case Iop_CmpEQ64x2: case Iop_CmpGT64Sx2:
        return (struct operation){WHOLE_NUMBERS, 2};
    case Iop_Add64x4: case Iop_Sub64x4: case Iop_CmpEQ64x4: case Iop_CmpGT64Sx4:
        return (struct operation){WHOLE_NUMBERS, 4};
    case Iop_PwExtUSMulQAdd8x16: /* 16 products, added in pairs */
        return (struct operation){WHOLE_NUMBERS, 16 + 8};
    case Iop_Mul32x4:
        return (struct operation){WHOLE_NUMBERS, 4};
    case Iop_Mul16x16: case Iop_MulHi16Ux16: case Iop_MulHi16Sx16:
        return (struct operation){WHOLE_NUMBERS, 16};
    case Iop_Mul32x8:
        return (struct operation){WHOLE_NUMBERS, 8};
    case Iop_DivU32: case Iop_DivS32: case Iop_DivU64: case Iop_DivS64: case Iop_DivModU64to32:
    case Iop_DivModS64to32: case Iop_DivModU128to64: case Iop_DivModS128to64:
    case Iop_DivModS64to64: case Iop_DivModU64to64: case Iop_DivModS32to32: case Iop_DivModU32to32:
        return (struct operation){DIVISION, 1};
    /* What only takes a number apart, puts it together or passes it on. */
    case Iop_ReinterpF64asI64: case Iop_ReinterpI64asF64: case Iop_ReinterpF32asI32:
    case Iop_ReinterpI32asF32: case Iop_64to8: case Iop_64to32: case Iop_64to16: case Iop_32to8:
    case Iop_32to16: case Iop_16to8: case Iop_8Uto16: case Iop_8Uto32: case Iop_8Uto64:
    case Iop_16Uto32: case Iop_16Uto64: case Iop_32Uto64: case Iop_8Sto16: case Iop_8Sto32:
    case Iop_8Sto64: case Iop_16Sto32: case Iop_16Sto64: case Iop_32Sto64: case Iop_16HIto8:
    case Iop_8HLto16: case Iop_32HIto16: case Iop_16HLto32: case Iop_64HIto32: case Iop_32HLto64:
    case Iop_128to64: case Iop_128HIto64: case Iop_64HLto128: case Iop_Not1: case Iop_And1:
    case Iop_Or1: case Iop_32to1: case Iop_64to1: case Iop_1Uto8: case Iop_1Uto32: case Iop_1Uto64:
    case Iop_1Sto8: case Iop_1Sto16: case Iop_1Sto32: case Iop_1Sto64: case Iop_V128to64:
    case Iop_V128HIto64: case Iop_64HLtoV128: case Iop_64UtoV128: case Iop_SetV128lo64:
    case Iop_ZeroHI64ofV128: case Iop_ZeroHI96ofV128: case Iop_ZeroHI112ofV128:
    case Iop_ZeroHI120ofV128: case Iop_32UtoV128: case Iop_V128to32: case Iop_SetV128lo32:
    case Iop_V256to64_0: case Iop_V256to64_1: case Iop_V256to64_2: case Iop_V256to64_3:
    case Iop_64x4toV256: case Iop_V256toV128_0: case Iop_V256toV128_1: case Iop_V128HLtoV256:
        return (struct operation){NOTHING, 0};
    default:
        return (struct operation){WHOLE_NUMBERS, 1};
    }
}

/* By temporary the statement of the block that assigns it, as far as the block was gone through. */
static Int assignments[MOST_TEMPORARIES];
static Int statements_seen;

void forget_assignments(void)
{
    statements_seen = 0;
}

IRExpr *assigned_to(const IRSB *block, IRTemp temporary, Int from)
{
    for (; statements_seen < block->stmts_used; statements_seen++) {
        const IRStmt *statement = block->stmts[statements_seen];
        if (statement->tag == Ist_WrTmp && statement->Ist.WrTmp.tmp < MOST_TEMPORARIES)
            assignments[statement->Ist.WrTmp.tmp] = statements_seen;
    }
    if (temporary >= MOST_TEMPORARIES)
        return NULL;
    /* What is known of another block may be left there. */
    Int found = assignments[temporary];
    if (found < from || found >= statements_seen || block->stmts[found]->tag != Ist_WrTmp ||
        block->stmts[found]->Ist.WrTmp.tmp != temporary)
        return NULL;
    return block->stmts[found]->Ist.WrTmp.data;
}

IRExpr *base_of(const IRSB *block, IRExpr *address, Long *offset)
{
    for (;;) {
        if (address->tag == Iex_Const) {
            *offset += (Long)address->Iex.Const.con->Ico.U64;
            return NULL;
        }
        IRExpr *value = assigned_to(block, address->Iex.RdTmp.tmp, 0);
        if (value != NULL && value->tag == Iex_RdTmp) {
            address = value;
            continue;
        }
        if (value == NULL || value->tag != Iex_Binop || value->Iex.Binop.op != Iop_Add64 ||
            value->Iex.Binop.arg2->tag != Iex_Const || value->Iex.Binop.arg1->tag != Iex_RdTmp)
            return address;
        *offset += (Long)value->Iex.Binop.arg2->Iex.Const.con->Ico.U64;
        address = value->Iex.Binop.arg1;
    }
}

/* What is known of an instruction while its statements are gone through from the last one. */
struct view {
    const IRSB *block;
    const VexGuestLayout *layout;
    Bool has_access, has_reals, has_division;
    UInt widest;    /* bits of the widest vector */
    UInt assembled; /* bits of what is put together of parts that were computed apart */
    /* An operation on one real number, how often it is done, and to how many bytes. */
    IROp lone_op;
    UInt lone_reals, lone_bytes;
    Bool has_comparison;         /* of two of these */
    UInt fused, bytes_of_a_lane;
    UInt float_operations, integer_operations;
};

/* What a temporary is used for within the instruction: a sum of these. */
enum use { AS_NUMBER = 1, AS_ADDRESS = 2, AS_STACK_POINTER = 4 };

static UChar uses[MOST_TEMPORARIES];
static Bool stack_pointers[MOST_TEMPORARIES];

static Bool is_stack_pointer(IRTemp temporary)
{
    return temporary < MOST_TEMPORARIES && stack_pointers[temporary];
}

/* Begin with a temporary that the instruction assigns. */
static void begin_temporary(const IRStmt *statement, const VexGuestLayout *layout)
{
    IRTemp temporary = statement->Ist.WrTmp.tmp;
    const IRExpr *value = statement->Ist.WrTmp.data;
    if (temporary >= MOST_TEMPORARIES)
        return;
    uses[temporary] = 0;
    stack_pointers[temporary] =
        (value->tag == Iex_Get && value->Iex.Get.offset == layout->offset_SP) ||
        (value->tag == Iex_Binop &&
         (value->Iex.Binop.op == Iop_Add64 || value->Iex.Binop.op == Iop_Sub64) &&
         value->Iex.Binop.arg1->tag == Iex_RdTmp && value->Iex.Binop.arg2->tag == Iex_Const &&
         is_stack_pointer(value->Iex.Binop.arg1->Iex.RdTmp.tmp));
}

static void mark(const IRExpr *expression, UChar use)
{
    if (expression->tag == Iex_RdTmp && expression->Iex.RdTmp.tmp < MOST_TEMPORARIES)
        uses[expression->Iex.RdTmp.tmp] |= use;
}

static void mark_operands(const IRExpr *expression, UChar use)
{
    switch (expression->tag) {
    case Iex_Unop:
        mark(expression->Iex.Unop.arg, use);
        break;
    case Iex_Binop:
        mark(expression->Iex.Binop.arg1, use);
        mark(expression->Iex.Binop.arg2, use);
        break;
    case Iex_Triop:
        mark(expression->Iex.Triop.details->arg1, use);
        mark(expression->Iex.Triop.details->arg2, use);
        mark(expression->Iex.Triop.details->arg3, use);
        break;
    case Iex_Qop:
        mark(expression->Iex.Qop.details->arg1, use);
        mark(expression->Iex.Qop.details->arg2, use);
        mark(expression->Iex.Qop.details->arg3, use);
        mark(expression->Iex.Qop.details->arg4, use);
        break;
    case Iex_ITE:
        mark(expression->Iex.ITE.cond, AS_ADDRESS); /* it chooses */
        mark(expression->Iex.ITE.iftrue, use);
        mark(expression->Iex.ITE.iffalse, use);
        break;
    case Iex_CCall:
        for (IRExpr **argument = expression->Iex.CCall.args; *argument != NULL; argument++)
            mark(*argument, use);
        break;
    case Iex_GetI:
        mark(expression->Iex.GetI.ix, AS_ADDRESS);
        break;
    case Iex_RdTmp:
        mark(expression, use);
        break;
    default:
        break;
    }
}

/* Note an operation on one real number: several of a kind are a vector that was taken apart. */
static void note_lone_real(struct view *view, IROp op)
{
    if (op == Iop_CmpF32 || op == Iop_CmpF64)
        view->has_comparison = True;
    if (view->lone_reals == 0)
        view->lone_op = op;
    if (op != view->lone_op)
        return;
    view->lone_reals++;
    Bool is_single = op == Iop_RoundF32toInt || op == Iop_F32toI32S || op == Iop_I32StoF32;
    view->lone_bytes = is_single ? 4 : 8;
}

/* Note what an operation puts together: the decoder works on some vectors half by half. */
static void note_assembly(struct view *view, IROp op)
{
    UInt bits = op == Iop_V128HLtoV256 || op == Iop_64x4toV256 ? 256
                : op == Iop_64HLtoV128                         ? 128
                                                               : 0;
    if (bits > view->assembled)
        view->assembled = bits;
}

static void add_operation(struct view *view, IROp op, IRType type)
{
    struct operation operation = weigh(op);
    UInt bits = type == Ity_V256 ? 256 : type == Ity_V128 ? 128 : 0;
    note_assembly(view, op);
    if (operation.kind == NOTHING)
        return;
    if (operation.lanes == 1 && operation.kind != WHOLE_NUMBERS)
        bits = 0; /* the lowest lane alone */
    if (bits > view->widest)
        view->widest = bits;
    Bool is_real = type == Ity_F32 || type == Ity_F64 || operation.kind == REALS || bits != 0;
    switch (operation.kind) {
    case FUSED:
        view->fused += operation.lanes;
        view->float_operations += 2 * operation.lanes;
        view->bytes_of_a_lane = type == Ity_F64 ? 8 : 4;
        break;
    case DIVISION:
        view->has_division = True;
        if (is_real || type == Ity_V128)
            view->float_operations += operation.lanes;
        else
            view->integer_operations += operation.lanes;
        break;
    case REALS:
        view->has_reals = True;
        if (bits == 0)
            note_lone_real(view, op);
        view->float_operations += operation.lanes;
        break;
    default:
        view->integer_operations += operation.lanes;
        break;
    }
}

static IROp operation_of(const IRExpr *expression)
{
    switch (expression->tag) {
    case Iex_Unop:
        return expression->Iex.Unop.op;
    case Iex_Binop:
        return expression->Iex.Binop.op;
    case Iex_Triop:
        return expression->Iex.Triop.details->op;
    case Iex_Qop:
        return expression->Iex.Qop.details->op;
    default:
        return Iop_INVALID;
    }
}

/* Add what a function of Valgrind's computes of 64 bits of vectors. */
static void add_call(struct view *view, const HChar *name)
{
    if (VG_(strcmp)(name, "amd64g_calculate_mmx_pmaddwd") == 0)
        view->integer_operations += 4 + 2;
    else if (VG_(strcmp)(name, "amd64g_calculate_mmx_psadbw") == 0)
        view->integer_operations += 8 + 7;
    else if (VG_(strncmp)(name, "amd64g_calculate_sse_", 21) == 0 ||
             VG_(strcmp)(name, "amd64g_calculate_pclmul") == 0)
        view->integer_operations++;
}

static void look_at_assignment(struct view *view, IRTemp temporary, const IRExpr *value)
{
    UChar use = temporary < MOST_TEMPORARIES ? uses[temporary] : AS_NUMBER;
    if (value->tag == Iex_Load) {
        mark(value->Iex.Load.addr, AS_ADDRESS);
        return;
    }
    /* What pushes and pops do to the stack pointer is no arithmetic of theirs. */
    if (use == 0)
        use = is_stack_pointer(temporary) ? AS_STACK_POINTER : AS_NUMBER; /* by a later one */
    Bool is_number = (use & AS_NUMBER) || ((use & AS_STACK_POINTER) && !view->has_access);
    IROp op = operation_of(value);
    if (op != Iop_INVALID && is_number)
        add_operation(view, op, typeOfIRExpr(view->block->tyenv, value));
    if (value->tag == Iex_CCall && is_number)
        add_call(view, value->Iex.CCall.cee->name);
    mark_operands(value, is_number ? AS_NUMBER : use);
}

static void look_at(struct view *view, const IRStmt *statement)
{
    const VexGuestLayout *layout = view->layout;
    switch (statement->tag) {
    case Ist_WrTmp:
        look_at_assignment(view, statement->Ist.WrTmp.tmp, statement->Ist.WrTmp.data);
        break;
    case Ist_Put:
        if (statement->Ist.Put.offset == layout->offset_IP)
            break;
        mark(statement->Ist.Put.data, statement->Ist.Put.offset == layout->offset_SP ||
                                              statement->Ist.Put.offset == OFFSET_OF_FLOAT_STACK
                                          ? AS_STACK_POINTER
                                          : AS_NUMBER);
        break;
    case Ist_PutI:
        mark(statement->Ist.PutI.details->data, AS_NUMBER);
        mark(statement->Ist.PutI.details->ix, AS_ADDRESS);
        break;
    case Ist_Store:
        mark(statement->Ist.Store.data, AS_NUMBER);
        mark(statement->Ist.Store.addr, AS_ADDRESS);
        break;
    case Ist_StoreG:
        mark(statement->Ist.StoreG.details->data, AS_NUMBER);
        mark(statement->Ist.StoreG.details->addr, AS_ADDRESS);
        mark(statement->Ist.StoreG.details->guard, AS_ADDRESS);
        break;
    case Ist_LoadG:
        mark(statement->Ist.LoadG.details->addr, AS_ADDRESS);
        mark(statement->Ist.LoadG.details->guard, AS_ADDRESS);
        break;
    case Ist_CAS:
    case Ist_LLSC:
        view->integer_operations++;
        break;
    case Ist_Exit:
        mark(statement->Ist.Exit.guard, AS_NUMBER);
        break;
    default:
        break;
    }
}

static Bool leads_to(const IRExpr *next, Addr address)
{
    return next->tag == Iex_Const && next->Iex.Const.con->Ico.U64 == address;
}

/* True if an instruction does itself again: one on strings, or an atomic one that was disturbed. */
static Bool repeats_itself(const IRSB *block, Int from, Int until)
{
    Addr own = block->stmts[from]->Ist.IMark.addr;
    for (Int i = from; i < until; i++)
        if (block->stmts[i]->tag == Ist_Exit && block->stmts[i]->Ist.Exit.dst->Ico.U64 == own)
            return True;
    return until < block->stmts_used ? block->stmts[until]->Ist.IMark.addr == own
                                     : leads_to(block->next, own);
}

/* True if an instruction leads elsewhere than to the next one. */
static Bool is_branch(const IRSB *block, Int from, Int until)
{
    Addr next = block->stmts[from]->Ist.IMark.addr + block->stmts[from]->Ist.IMark.len;
    if (repeats_itself(block, from, until))
        return False;
    for (Int i = from; i < until; i++)
        if (block->stmts[i]->tag == Ist_Exit && block->stmts[i]->Ist.Exit.jk == Ijk_Boring)
            return True;
    if (until < block->stmts_used)
        return block->stmts[until]->Ist.IMark.addr != next;
    if (block->jumpkind == Ijk_Call || block->jumpkind == Ijk_Ret)
        return True;
    return block->jumpkind == Ijk_Boring && !leads_to(block->next, next);
}

/* True if an instruction moves strings: that it counts and advances is no arithmetic of its own. */
static Bool moves_strings(const IRSB *block, Int from, Int until)
{
    Bool has_store = False;
    for (Int i = from; i < until; i++) {
        if (block->stmts[i]->tag == Ist_CAS)
            return False;
        has_store |= block->stmts[i]->tag == Ist_Store;
    }
    return has_store && repeats_itself(block, from, until);
}

static Bool has_access(const IRSB *block, Int from, Int until)
{
    for (Int i = from; i < until; i++) {
        const IRStmt *statement = block->stmts[i];
        if (statement->tag == Ist_Store || statement->tag == Ist_StoreG ||
            statement->tag == Ist_LoadG ||
            (statement->tag == Ist_WrTmp && statement->Ist.WrTmp.data->tag == Iex_Load))
            return True;
    }
    return False;
}

/* True if an instruction compares: it leaves its operands to the flags, which a later one reads. */
static Bool sets_flags(const IRSB *block, Int from, Int until)
{
    for (Int i = from; i < until; i++)
        if (block->stmts[i]->tag == Ist_Put && block->stmts[i]->Ist.Put.offset == OFFSET_OF_FLAGS)
            return True;
    return False;
}

/* The bits of the vectors that an instruction works on; 0: on none. */
static UInt width_of(const struct view *view)
{
    UInt widest = view->widest > view->assembled ? view->widest : view->assembled;
    if (!view->has_reals || view->widest > 0)
        return widest;
    if (view->lone_reals <= 1 || view->has_comparison)
        return 0;
    return widest > 0 ? widest : view->lone_reals * view->lone_bytes > 16 ? 256 : 128;
}

static enum instruction_class class_of(const struct view *view, Bool is_a_branch)
{
    UInt width = width_of(view);
    if (view->fused == 1)
        return FMA_SCALAR;
    if (view->fused > 1)
        return 8 * view->bytes_of_a_lane * view->fused > 128 ? FMA_256 : FMA_128;
    if (view->has_division)
        return DIVISIONS;
    if (view->has_reals)
        return width == 0 ? FLOAT_SCALAR : width == 128 ? FLOAT_128 : FLOAT_256;
    if (view->widest > 0 || (width > 0 && view->integer_operations > 0))
        return width == 128 ? INTEGER_128 : INTEGER_256;
    if (is_a_branch)
        return BRANCHES;
    return view->integer_operations > 0 ? INTEGER : MOVES;
}

/* The operations of an instruction on whole numbers: a scalar one does one, into however many the
 * decoder takes it apart. */
static UInt integer_operations_of(const struct view *view, enum instruction_class class)
{
    switch (class) {
    case INTEGER:
        return 1;
    case INTEGER_128:
    case INTEGER_256:
        return view->integer_operations;
    case DIVISIONS:
        return view->float_operations == 0 ? 1 : 0;
    default:
        return 0;
    }
}

struct instruction classify(const IRSB *block, Int from, Int until, const VexGuestLayout *layout)
{
    struct view view = {.block = block, .layout = layout};
    if (moves_strings(block, from, until))
        return (struct instruction){.class = MOVES};
    view.has_access = has_access(block, from, until);
    for (Int i = from; i < until; i++)
        if (block->stmts[i]->tag == Ist_WrTmp)
            begin_temporary(block->stmts[i], layout);
    for (Int i = until - 1; i > from; i--)
        look_at(&view, block->stmts[i]);
    struct instruction instruction;
    Bool is_a_branch = is_branch(block, from, until);
    if (view.integer_operations == 0 && view.float_operations == 0 && !is_a_branch &&
        sets_flags(block, from, until))
        view.integer_operations = 1;
    instruction.class = class_of(&view, is_a_branch);
    instruction.float_operations = view.float_operations;
    instruction.integer_operations = integer_operations_of(&view, instruction.class);
    return instruction;
}
