/* Fused multiply-adds: see fma.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fma.h"

#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_machine.h"

#include "classes.h"

static const IRQop *multiply_add(const IRStmt *statement)
{
    if (statement->tag != Ist_WrTmp || statement->Ist.WrTmp.data->tag != Iex_Qop)
        return NULL;
    const IRQop *qop = statement->Ist.WrTmp.data->Iex.Qop.details;
    switch (qop->op) {
    case Iop_MAddF32: case Iop_MSubF32: case Iop_MAddF64: case Iop_MSubF64:
        return qop;
    default:
        return NULL;
    }
}

Bool has_multiply_add(const IRSB *in, Int from, Int until)
{
    for (Int i = from; i < until; i++)
        if (multiply_add(in->stmts[i]) != NULL)
            return True;
    return False;
}

#if defined(VGA_amd64)

#include <cpuid.h>

enum { MOST_LANES = 8, OPERANDS = 3, MOST_LATER = 64, MOST_RECENT = 64 };

struct fma {
    UInt lanes, lane_bytes, seen;
    Bool is_subtraction;
    Int first_in_out; /* where the instruction begins in the block that is written */
    IRTemp results[MOST_LANES];
    IRExpr *operands[OPERANDS][MOST_LANES];
    IRStmt *later[MOST_LATER]; /* what depends on the results */
    UInt later_count;
};

/* A result that may be the operand of a later one in the block. */
struct recent {
    UInt lanes;
    IRTemp results[MOST_LANES], copies[MOST_LANES];
    IRTemp vector;
};

static struct fma current;
static struct recent recent[MOST_RECENT];
static UInt recent_count;

/* Operands and result on their way to the call and back. */
static struct {
    union {
        float singles[MOST_LANES];
        double doubles[MOST_LANES / 2];
    } operands[OPERANDS], result;
} passed __attribute__((aligned(32)));

/* Vectors go in halves of 128 bits: that is how the operands were stored, and a load of more than
 * one store would wait for them. */
typedef float four_singles __attribute__((vector_size(16)));
typedef double two_doubles __attribute__((vector_size(16)));

#define VECTOR_CALL(name, type, count, fused, sign)                                                \
    __attribute__((target("fma"))) static void name(void)                                          \
    {                                                                                              \
        for (int i = 0; i < (count); i++)                                                          \
            ((type *)&passed.result)[i] =                                                          \
                fused(((const type *)&passed.operands[0])[i],                                      \
                      ((const type *)&passed.operands[1])[i],                                      \
                      sign((const type *)&passed.operands[2])[i]);                                 \
    }

#define SCALAR_CALL(name, field, fused, sign)                                                      \
    __attribute__((target("fma"))) static void name(void)                                          \
    {                                                                                              \
        passed.result.field[0] = fused(passed.operands[0].field[0], passed.operands[1].field[0],   \
                                       sign passed.operands[2].field[0]);                          \
    }

SCALAR_CALL(add_1_single, singles, __builtin_fmaf, +)
VECTOR_CALL(add_4_singles, four_singles, 1, __builtin_ia32_vfmaddps, +)
VECTOR_CALL(add_8_singles, four_singles, 2, __builtin_ia32_vfmaddps, +)
SCALAR_CALL(add_1_double, doubles, __builtin_fma, +)
VECTOR_CALL(add_2_doubles, two_doubles, 1, __builtin_ia32_vfmaddpd, +)
VECTOR_CALL(add_4_doubles, two_doubles, 2, __builtin_ia32_vfmaddpd, +)
SCALAR_CALL(subtract_1_single, singles, __builtin_fmaf, -)
VECTOR_CALL(subtract_4_singles, four_singles, 1, __builtin_ia32_vfmaddps, -)
VECTOR_CALL(subtract_8_singles, four_singles, 2, __builtin_ia32_vfmaddps, -)
SCALAR_CALL(subtract_1_double, doubles, __builtin_fma, -)
VECTOR_CALL(subtract_2_doubles, two_doubles, 1, __builtin_ia32_vfmaddpd, -)
VECTOR_CALL(subtract_4_doubles, two_doubles, 2, __builtin_ia32_vfmaddpd, -)

struct call {
    UInt lane_bytes, lanes;
    Bool is_subtraction;
    const HChar *name;
    void (*function)(void);
};

static const struct call calls[] = {
    {4, 1, False, "add_1_single", add_1_single},
    {4, 4, False, "add_4_singles", add_4_singles},
    {4, 8, False, "add_8_singles", add_8_singles},
    {8, 1, False, "add_1_double", add_1_double},
    {8, 2, False, "add_2_doubles", add_2_doubles},
    {8, 4, False, "add_4_doubles", add_4_doubles},
    {4, 1, True, "subtract_1_single", subtract_1_single},
    {4, 4, True, "subtract_4_singles", subtract_4_singles},
    {4, 8, True, "subtract_8_singles", subtract_8_singles},
    {8, 1, True, "subtract_1_double", subtract_1_double},
    {8, 2, True, "subtract_2_doubles", subtract_2_doubles},
    {8, 4, True, "subtract_4_doubles", subtract_4_doubles},
};

static const struct call *call_for(const struct fma *fma)
{
    for (UInt i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i].lane_bytes == fma->lane_bytes && calls[i].lanes == fma->lanes &&
            calls[i].is_subtraction == fma->is_subtraction)
            return &calls[i];
    return NULL;
}

static Bool has_fma(void)
{
    static Int known = -1;
    UInt a, b, c, d;
    if (known == -1)
        known = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA);
    return known != 0;
}

void begin_fmas(void)
{
    recent_count = 0;
}

/* Take a multiply-add of one lane; False where it does not belong with those before. */
static Bool take_lane(struct fma *fma, IRTemp result, const IRQop *qop)
{
    Bool is_subtraction = qop->op == Iop_MSubF32 || qop->op == Iop_MSubF64;
    UInt lane_bytes = qop->op == Iop_MAddF32 || qop->op == Iop_MSubF32 ? 4 : 8;
    if (fma->lanes == MOST_LANES || qop->arg1->tag != Iex_Const)
        return False;
    if (fma->lanes > 0 &&
        (fma->lane_bytes != lane_bytes || fma->is_subtraction != is_subtraction))
        return False;
    fma->lane_bytes = lane_bytes;
    fma->is_subtraction = is_subtraction;
    fma->results[fma->lanes] = result;
    fma->operands[0][fma->lanes] = qop->arg2;
    fma->operands[1][fma->lanes] = qop->arg3;
    fma->operands[2][fma->lanes] = qop->arg4;
    fma->lanes++;
    return True;
}

static Bool is_of(const IRTemp *temporaries, UInt count, const IRExpr *expression)
{
    if (expression->tag != Iex_RdTmp)
        return False;
    for (UInt i = 0; i < count; i++)
        if (temporaries[i] == expression->Iex.RdTmp.tmp)
            return True;
    return False;
}

/* True if every statement after the first lane can be done before all lanes, or after them. */
static Bool can_be_moved(const IRSB *in, Int first, Int until, const struct fma *fma)
{
    IRTemp later[2 * MOST_LANES];
    UInt count = 0;
    for (Int i = first; i < until; i++) {
        const IRStmt *statement = in->stmts[i];
        if (multiply_add(statement) != NULL) {
            if (count == sizeof later / sizeof later[0])
                return False;
            later[count++] = statement->Ist.WrTmp.tmp;
            continue;
        }
        if (statement->tag == Ist_Put)
            continue;
        if (statement->tag != Ist_WrTmp)
            return False;
        const IRExpr *value = statement->Ist.WrTmp.data;
        switch (value->tag) {
        case Iex_RdTmp:
            if (is_of(later, count, value)) {
                if (count == sizeof later / sizeof later[0])
                    return False;
                later[count++] = statement->Ist.WrTmp.tmp;
            }
            break;
        case Iex_Get: /* lanes are read before they are written */
            break;
        case Iex_Load:
        case Iex_Const:
            break;
        case Iex_Unop:
            if (is_of(later, count, value->Iex.Unop.arg))
                return False;
            break;
        case Iex_Binop:
            if (is_of(later, count, value->Iex.Binop.arg1) ||
                is_of(later, count, value->Iex.Binop.arg2))
                return False;
            break;
        default:
            return False;
        }
    }
    for (UInt lane = 0; lane < fma->lanes; lane++)
        for (UInt operand = 0; operand < OPERANDS; operand++)
            if (is_of(fma->results, fma->lanes, fma->operands[operand][lane]))
                return False;
    return True;
}

/* True if no lane is read after it was written. */
static Bool reads_come_first(const IRSB *in, Int first, Int until)
{
    for (Int put = first; put < until; put++) {
        if (in->stmts[put]->tag != Ist_Put)
            continue;
        Int start = in->stmts[put]->Ist.Put.offset;
        Int end = start + sizeofIRType(typeOfIRExpr(in->tyenv, in->stmts[put]->Ist.Put.data));
        for (Int get = put + 1; get < until; get++) {
            if (in->stmts[get]->tag != Ist_WrTmp ||
                in->stmts[get]->Ist.WrTmp.data->tag != Iex_Get)
                continue;
            const IRExpr *value = in->stmts[get]->Ist.WrTmp.data;
            Int from = value->Iex.Get.offset;
            if (from < end && from + sizeofIRType(value->Iex.Get.ty) > start)
                return False;
        }
    }
    return True;
}

struct fma *find_fma(const IRSB *in, Int from, Int until)
{
    Int first = -1;
    VG_(memset)(&current, 0, sizeof current);
    for (Int i = from; i < until; i++) {
        const IRQop *qop = multiply_add(in->stmts[i]);
        if (qop == NULL)
            continue;
        if (!take_lane(&current, in->stmts[i]->Ist.WrTmp.tmp, qop))
            return NULL;
        first = first < 0 ? i : first;
    }
    if (first < 0 || !has_fma() || call_for(&current) == NULL ||
        !can_be_moved(in, first, until, &current) || !reads_come_first(in, first, until))
        return NULL;
    current.first_in_out = -1;
    return &current;
}

static IRExpr *address_of(const void *place)
{
    return IRExpr_Const(IRConst_U64((Addr)place));
}

static IRTemp assign(IRSB *out, IRType type, IRExpr *value)
{
    IRTemp temporary = newIRTemp(out->tyenv, type);
    addStmtToIRSB(out, IRStmt_WrTmp(temporary, value));
    return temporary;
}

/* Find the value of an operand's lane within the instruction, or NULL. */
static const IRExpr *value_of(const struct fma *fma, const IRSB *out, const IRExpr *operand)
{
    if (operand->tag != Iex_RdTmp)
        return NULL;
    return assigned_to(out, operand->Iex.RdTmp.tmp, fma->first_in_out);
}

/* True if the lanes of an operand follow one another in the registers. */
static Bool lies_in_register(const struct fma *fma, const IRSB *out, IRExpr *const *lanes,
                             Int *offset)
{
    for (UInt i = 0; i < fma->lanes; i++) {
        const IRExpr *value = value_of(fma, out, lanes[i]);
        if (value == NULL || value->tag != Iex_Get)
            return False;
        if (i == 0)
            *offset = value->Iex.Get.offset;
        else if (value->Iex.Get.offset != *offset + (Int)(i * fma->lane_bytes))
            return False;
    }
    return True;
}

/* Find where the lanes of an operand follow one another in memory, or NULL. */
static IRExpr *place_in_memory(const struct fma *fma, const IRSB *out, IRExpr *const *lanes)
{
    IRExpr *start = NULL, *base = NULL;
    Long offset = 0;
    for (UInt i = 0; i < fma->lanes; i++) {
        const IRExpr *value = value_of(fma, out, lanes[i]);
        if (value == NULL || value->tag != Iex_Load)
            return NULL;
        Long at = 0;
        IRExpr *from = base_of(out, value->Iex.Load.addr, &at);
        if (i == 0) {
            start = value->Iex.Load.addr;
            base = from;
            offset = at;
        } else if (at != offset + (Long)(i * fma->lane_bytes) || (from == NULL) != (base == NULL) ||
                   (from != NULL && !eqIRAtom(from, base)))
            return NULL;
    }
    return start;
}

/* Find the result of an earlier multiply-add that an operand is. */
static Bool is_recent(const struct fma *fma, IRExpr *const *lanes, IRTemp *vector)
{
    for (UInt i = 0; i < recent_count; i++) {
        UInt lane = 0;
        if (recent[i].lanes != fma->lanes)
            continue;
        while (lane < fma->lanes && lanes[lane]->tag == Iex_RdTmp &&
               (lanes[lane]->Iex.RdTmp.tmp == recent[i].results[lane] ||
                lanes[lane]->Iex.RdTmp.tmp == recent[i].copies[lane]))
            lane++;
        if (lane == fma->lanes) {
            *vector = recent[i].vector;
            return True;
        }
    }
    return False;
}

static IRType vector_type(const struct fma *fma)
{
    return fma->lanes * fma->lane_bytes == 32 ? Ity_V256 : Ity_V128;
}

static void pass_operand(const struct fma *fma, IRSB *out, UInt operand)
{
    IRExpr *const *lanes = fma->operands[operand];
    IRType type = vector_type(fma);
    IRTemp vector = IRTemp_INVALID;
    Int offset = 0;
    IRExpr *start;
    HChar *to = (HChar *)&passed.operands[operand];
    if (fma->lanes > 1) {
        if (is_recent(fma, lanes, &vector)) {
        } else if (lies_in_register(fma, out, lanes, &offset))
            vector = assign(out, type, IRExpr_Get(offset, type));
        else if ((start = place_in_memory(fma, out, lanes)) != NULL)
            vector = assign(out, type, IRExpr_Load(Iend_LE, type, start));
    }
    if (vector != IRTemp_INVALID) {
        addStmtToIRSB(out, IRStmt_Store(Iend_LE, address_of(to), IRExpr_RdTmp(vector)));
        return;
    }
    for (UInt i = 0; i < fma->lanes; i++)
        addStmtToIRSB(out, IRStmt_Store(Iend_LE, address_of(to + i * fma->lane_bytes), lanes[i]));
}

/* True if the results are put into one register, lane by lane; tells where it begins. */
static Bool is_put_whole(const struct fma *fma, const IRTemp *copies, Int *offset)
{
    Int lowest = 0;
    UInt lanes_put = 0;
    for (UInt i = 0; i < fma->later_count; i++) {
        const IRStmt *statement = fma->later[i];
        if (statement->tag != Ist_Put)
            continue;
        const IRExpr *data = statement->Ist.Put.data;
        UInt lane = 0;
        while (lane < fma->lanes && data->Iex.RdTmp.tmp != fma->results[lane] &&
               data->Iex.RdTmp.tmp != copies[lane])
            lane++;
        Int start = statement->Ist.Put.offset - (Int)(lane * fma->lane_bytes);
        if (lane == fma->lanes || (lanes_put > 0 && start != lowest))
            return False;
        lowest = start;
        lanes_put++;
    }
    *offset = lowest;
    return lanes_put == fma->lanes;
}

static void find_copies(const struct fma *fma, IRTemp *copies)
{
    for (UInt lane = 0; lane < fma->lanes; lane++)
        copies[lane] = fma->results[lane];
    for (UInt i = 0; i < fma->later_count; i++) {
        const IRStmt *statement = fma->later[i];
        if (statement->tag != Ist_WrTmp)
            continue;
        for (UInt lane = 0; lane < fma->lanes; lane++)
            if (statement->Ist.WrTmp.data->Iex.RdTmp.tmp == fma->results[lane])
                copies[lane] = statement->Ist.WrTmp.tmp;
    }
}

void end_fma(struct fma *fma, IRSB *out)
{
    const struct call *call = call_for(fma);
    for (UInt operand = 0; operand < OPERANDS; operand++)
        pass_operand(fma, out, operand);
    addStmtToIRSB(out, IRStmt_Dirty(unsafeIRDirty_0_N(0, call->name,
                                                      VG_(fnptr_to_fnentry)(call->function),
                                                      mkIRExprVec_0())));
    /* The lanes that nobody uses are thrown away by Valgrind. */
    IRType type = fma->lane_bytes == 8 ? Ity_F64 : Ity_F32;
    HChar *from = (HChar *)&passed.result;
    for (UInt i = 0; i < fma->lanes; i++)
        addStmtToIRSB(out, IRStmt_WrTmp(fma->results[i],
                                        IRExpr_Load(Iend_LE, type,
                                                    address_of(from + i * fma->lane_bytes))));
    IRTemp copies[MOST_LANES];
    Int offset = 0;
    find_copies(fma, copies);
    Bool is_whole = fma->lanes > 1 && is_put_whole(fma, copies, &offset);
    IRTemp vector = IRTemp_INVALID;
    if (fma->lanes > 1) {
        vector = assign(out, vector_type(fma),
                        IRExpr_Load(Iend_LE, vector_type(fma), address_of(from)));
        if (recent_count < MOST_RECENT) {
            struct recent *one = &recent[recent_count++];
            one->lanes = fma->lanes;
            one->vector = vector;
            VG_(memcpy)(one->results, fma->results, sizeof one->results);
            VG_(memcpy)(one->copies, copies, sizeof one->copies);
        }
    }
    if (is_whole)
        addStmtToIRSB(out, IRStmt_Put(offset, IRExpr_RdTmp(vector)));
    for (UInt i = 0; i < fma->later_count; i++)
        if (!is_whole || fma->later[i]->tag != Ist_Put)
            addStmtToIRSB(out, fma->later[i]);
}

static Bool depends(const struct fma *fma, const IRExpr *expression)
{
    if (is_of(fma->results, fma->seen, expression))
        return True;
    for (UInt i = 0; i < fma->later_count; i++)
        if (fma->later[i]->tag == Ist_WrTmp && is_of(&fma->later[i]->Ist.WrTmp.tmp, 1, expression))
            return True;
    return False;
}

void add_fma(struct fma *fma, IRSB *out, IRStmt *statement)
{
    if (fma->first_in_out < 0)
        fma->first_in_out = out->stmts_used;
    if (multiply_add(statement) != NULL) {
        fma->seen++;
        return;
    }
    if (fma->seen > 0) {
        const IRExpr *used = statement->tag == Ist_Put      ? statement->Ist.Put.data
                             : statement->tag == Ist_WrTmp ? statement->Ist.WrTmp.data
                                                           : NULL;
        if (used != NULL && depends(fma, used)) {
            tl_assert(fma->later_count < MOST_LATER);
            fma->later[fma->later_count++] = statement;
            return;
        }
    }
    addStmtToIRSB(out, statement);
}

#else /* other processors' Valgrinds have an instruction for it */

void begin_fmas(void)
{
}

struct fma *find_fma(const IRSB *in, Int from, Int until)
{
    (void)in, (void)from, (void)until;
    return NULL;
}

void add_fma(struct fma *fma, IRSB *out, IRStmt *statement)
{
    (void)fma;
    addStmtToIRSB(out, statement);
}

void end_fma(struct fma *fma, IRSB *out)
{
    (void)fma, (void)out;
}

#endif
