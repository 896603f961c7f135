/* Classes of A64 instructions: see a64.h.
 *
 * As on x86, what only moves, permutes or converts numbers is an instruction, but no operation. A
 * vector of 64 bits is counted among those of 128.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "a64.h"

enum { ZERO_REGISTER = 31, VECTOR_BYTES = 16, ZEROED_BYTES = 64 };

static uint32_t bits(uint32_t encoding, unsigned high, unsigned low)
{
    return encoding >> low & ((1u << (high - low + 1)) - 1);
}

static uint32_t bit(uint32_t encoding, unsigned number)
{
    return encoding >> number & 1;
}

static struct a64_instruction plain(enum instruction_class class)
{
    return (struct a64_instruction){.class = class};
}

static struct a64_instruction of_integers(enum instruction_class class, uint32_t operations)
{
    return (struct a64_instruction){.class = class, .integer_operations = operations};
}

static struct a64_instruction of_reals(enum instruction_class class, uint32_t operations)
{
    return (struct a64_instruction){.class = class, .float_operations = operations};
}

static struct a64_instruction accessing(enum direction direction, uint32_t bytes)
{
    return (struct a64_instruction){.class = MOVES, .bytes = bytes, .direction = direction};
}

static struct a64_instruction loading_or_storing(uint32_t is_load, uint32_t bytes)
{
    return accessing(is_load ? READ : WRITE, bytes);
}

static struct a64_instruction modifying(uint32_t bytes)
{
    struct a64_instruction found = accessing(MODIFY, bytes);
    found.class = INTEGER;
    found.integer_operations = 1;
    return found;
}

/* --- loads and stores ------------------------------------------------------------------------ */

/* LD1 to LD4 and ST1 to ST4 of whole registers. */
static struct a64_instruction structures(uint32_t encoding)
{
    uint32_t registers;
    switch (bits(encoding, 15, 12)) {
    case 0: /* LD4 */
    case 2: /* LD1 of four */
        registers = 4;
        break;
    case 4:
    case 6:
        registers = 3;
        break;
    case 8:
    case 10:
        registers = 2;
        break;
    default:
        registers = 1;
        break;
    }
    return loading_or_storing(bit(encoding, 22), registers * (bit(encoding, 30) ? 16 : 8));
}

/* The same of one lane of each register, or of all lanes with one value. */
static struct a64_instruction single_structures(uint32_t encoding)
{
    uint32_t size = bits(encoding, 11, 10);
    uint32_t registers = (bit(encoding, 13) << 1 | bit(encoding, 21)) + 1;
    uint32_t bytes_of_a_lane;
    switch (bits(encoding, 15, 14)) {
    case 0:
        bytes_of_a_lane = 1;
        break;
    case 1:
        bytes_of_a_lane = 2;
        break;
    case 2:
        bytes_of_a_lane = size == 0 ? 4 : 8;
        break;
    default: /* with replication */
        bytes_of_a_lane = 1u << size;
        break;
    }
    return loading_or_storing(bit(encoding, 22), registers * bytes_of_a_lane);
}

/* Exclusive and ordered accesses, compare and swap. */
static struct a64_instruction exclusives(uint32_t encoding)
{
    uint32_t size = bits(encoding, 31, 30);
    uint32_t is_ordered = bit(encoding, 23), is_pair = bit(encoding, 21);
    if (is_pair && is_ordered)
        return modifying(1u << size); /* CAS */
    if (is_pair && size < 2)
        return modifying(8u << bit(encoding, 30)); /* CASP */
    struct a64_instruction found =
        loading_or_storing(bit(encoding, 22), (is_pair ? 2u : 1u) << size);
    found.is_conditional = !is_ordered && found.direction == WRITE;
    return found;
}

static struct a64_instruction literals(uint32_t encoding)
{
    uint32_t size = bits(encoding, 31, 30);
    if (bit(encoding, 26))
        return accessing(READ, 4u << size);
    return size == 3 ? plain(MOVES) /* PRFM */ : accessing(READ, size == 1 ? 8 : 4);
}

static struct a64_instruction pairs(uint32_t encoding)
{
    uint32_t size = bits(encoding, 31, 30);
    uint32_t bytes = bit(encoding, 26) ? 4u << size : size == 2 ? 8 : 4;
    return loading_or_storing(bit(encoding, 22), 2 * bytes);
}

static struct a64_instruction registers(uint32_t encoding)
{
    uint32_t size = bits(encoding, 31, 30), kind = bits(encoding, 23, 22);
    if (bit(encoding, 26)) {
        uint32_t is_load = kind & 1;
        return loading_or_storing(is_load, kind >= 2 ? VECTOR_BYTES : 1u << size);
    }
    int is_offset = bit(encoding, 24); /* an unsigned one */
    if (!is_offset && bit(encoding, 21) && bits(encoding, 11, 10) == 0) {
        if (bits(encoding, 15, 12) == 12) /* LDAPR */
            return accessing(READ, 1u << size);
        return modifying(1u << size);
    }
    if (!is_offset && bit(encoding, 21) && bit(encoding, 10)) /* LDRAA, LDRAB */
        return accessing(READ, 8);
    if (size == 3 && kind == 2) /* PRFM */
        return plain(MOVES);
    return loading_or_storing(kind != 0, 1u << size);
}

static struct a64_instruction loads_and_stores(uint32_t encoding)
{
    if ((encoding & 0xbe000000) == 0x0c000000)
        return bit(encoding, 24) ? single_structures(encoding) : structures(encoding);
    switch (encoding & 0x3b000000) {
    case 0x08000000:
        return exclusives(encoding);
    case 0x18000000:
        return literals(encoding);
    case 0x19000000: /* LDAPUR, STLUR; others are tags of memory */
        if (bits(encoding, 11, 10) == 0 && !bit(encoding, 21))
            return loading_or_storing(bits(encoding, 23, 22) != 0, 1u << bits(encoding, 31, 30));
        return plain(MOVES);
    case 0x28000000:
    case 0x29000000:
        return pairs(encoding);
    case 0x38000000:
    case 0x39000000:
        return registers(encoding);
    default:
        return plain(MOVES);
    }
}

/* --- integers and branches -------------------------------------------------------------------- */

static struct a64_instruction immediates(uint32_t encoding)
{
    uint32_t first = bits(encoding, 9, 5), into = bits(encoding, 4, 0);
    switch (bits(encoding, 25, 23)) {
    case 2: /* ADD and SUB; without a number they copy the stack pointer */
        if (bits(encoding, 30, 29) == 0 && bits(encoding, 21, 10) == 0 &&
            (first == ZERO_REGISTER || into == ZERO_REGISTER))
            return plain(MOVES);
        return of_integers(INTEGER, 1);
    case 4: /* AND, ORR, EOR */
        if (bits(encoding, 30, 29) == 1 && first == ZERO_REGISTER)
            return plain(MOVES);
        return of_integers(INTEGER, 1);
    case 5: /* MOVZ, MOVN, MOVK */
        return plain(MOVES);
    default:
        return of_integers(INTEGER, 1);
    }
}

static struct a64_instruction branches_and_system(uint32_t encoding)
{
    if ((encoding & 0xffffffe0) == 0xd50b7420) { /* DC ZVA */
        struct a64_instruction found = accessing(WRITE, ZEROED_BYTES);
        found.is_zeroing = 1;
        return found;
    }
    int is_system = (encoding & 0xff000000) == 0xd5000000;
    return plain(is_system ? MOVES : BRANCHES);
}

static struct a64_instruction of_registers(uint32_t encoding)
{
    uint32_t kind = bits(encoding, 28, 24);
    if (kind == 10 && bits(encoding, 30, 29) == 1 && !bit(encoding, 21) &&
        bits(encoding, 15, 10) == 0 && bits(encoding, 9, 5) == ZERO_REGISTER)
        return plain(MOVES);
    if (kind == 26 && bits(encoding, 23, 21) == 4 && !bit(encoding, 30) && !bit(encoding, 10))
        return plain(MOVES); /* CSEL */
    if (kind == 26 && bits(encoding, 23, 21) == 6 && !bit(encoding, 30) &&
        bits(encoding, 15, 11) == 1)
        return of_integers(DIVISIONS, 1);
    if (kind == 27) { /* multiply and add; without what is added it multiplies */
        int adds = bits(encoding, 14, 10) != ZERO_REGISTER && bits(encoding, 23, 21) != 6;
        return of_integers(INTEGER, adds ? 2 : 1);
    }
    return of_integers(INTEGER, 1);
}

/* --- real numbers and vectors ------------------------------------------------------------------ */

/* Real numbers outside vectors. */
static struct a64_instruction scalar_reals(uint32_t encoding)
{
    if (bit(encoding, 24))
        return of_reals(FMA_SCALAR, 2);
    if (!bit(encoding, 21)) /* to and from fixed point */
        return plain(FLOAT_SCALAR);
    switch (bits(encoding, 11, 10)) {
    case 1: /* FCCMP */
        return of_reals(FLOAT_SCALAR, 1);
    case 2:
        return of_reals(bits(encoding, 15, 12) == 1 ? DIVISIONS : FLOAT_SCALAR, 1);
    case 3: /* FCSEL */
        return plain(MOVES);
    default:
        break;
    }
    if (bit(encoding, 12)) /* FMOV of a constant */
        return plain(MOVES);
    if (bit(encoding, 13)) /* FCMP */
        return of_reals(FLOAT_SCALAR, 1);
    if (bit(encoding, 14)) {
        uint32_t operation = bits(encoding, 20, 15);
        if (operation == 0)
            return plain(MOVES);
        if (operation == 3)
            return of_reals(DIVISIONS, 1);
        return operation <= 2 ? of_reals(FLOAT_SCALAR, 1) : plain(FLOAT_SCALAR);
    }
    return bits(encoding, 18, 16) >= 6 ? plain(MOVES) : plain(FLOAT_SCALAR);
}

/* Lanes of so many bytes each; an instruction on the lowest lane alone has one. */
static uint32_t lanes_of(uint32_t encoding, uint32_t bytes)
{
    if (bit(encoding, 28))
        return 1;
    return (bit(encoding, 30) ? VECTOR_BYTES : VECTOR_BYTES / 2) / bytes;
}

static struct a64_instruction vector_of_reals(uint32_t encoding, uint32_t lanes)
{
    return of_reals(bit(encoding, 28) ? FLOAT_SCALAR : FLOAT_128, lanes);
}

static struct a64_instruction fused_vector(uint32_t encoding, uint32_t lanes)
{
    return of_reals(bit(encoding, 28) ? FMA_SCALAR : FMA_128, 2 * lanes);
}

/* Three vectors of real numbers; the operation's number is that of the encoding of 32-bit ones. */
static struct a64_instruction three_vectors_of_reals(uint32_t encoding, uint32_t operation,
                                                     uint32_t lanes)
{
    uint32_t is_second = bit(encoding, 29), is_other = bit(encoding, 23);
    if (operation == 25)
        return fused_vector(encoding, lanes); /* FMLA, FMLS */
    if (operation == 29 && !is_second)
        return fused_vector(encoding, lanes); /* FMLAL */
    if (operation == 31 && is_second && !is_other)
        return of_reals(DIVISIONS, lanes);
    if (operation == 31 && !is_second)
        return fused_vector(encoding, lanes); /* steps of Newton's method */
    return vector_of_reals(encoding, lanes);
}

static struct a64_instruction three_vectors(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 15, 11), size = bits(encoding, 23, 22);
    if (operation >= 24)
        return three_vectors_of_reals(encoding, operation,
                                      lanes_of(encoding, bit(encoding, 22) ? 8 : 4));
    if (operation == 3) { /* logic on whole vectors; ORR of one with itself copies it */
        int copies = size == 2 && !bit(encoding, 29) &&
                     bits(encoding, 20, 16) == bits(encoding, 9, 5);
        return copies ? plain(MOVES) : of_integers(INTEGER_128, 1);
    }
    uint32_t lanes = lanes_of(encoding, 1u << size);
    return of_integers(INTEGER_128, operation == 18 ? 2 * lanes : lanes); /* MLA, MLS */
}

/* Dot products, products of small matrices, complex numbers. */
static struct a64_instruction three_vectors_more(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 14, 11), lanes = lanes_of(encoding, 4);
    if (operation == 2 || operation == 3)
        return of_integers(INTEGER_128, 2 * 4 * lanes); /* SDOT, UDOT, USDOT */
    if (operation == 4 || operation == 5)
        return of_integers(INTEGER_128, 2 * 8 * lanes); /* SMMLA, UMMLA, USMMLA */
    if (operation >= 8)
        return fused_vector(encoding, lanes); /* FCMLA, BFDOT and the like */
    return of_integers(INTEGER_128, 2 * lanes_of(encoding, 1u << bits(encoding, 23, 22)));
}

static struct a64_instruction two_vectors(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 16, 12), size = bits(encoding, 23, 22);
    uint32_t lanes_of_reals = lanes_of(encoding, bit(encoding, 22) ? 8 : 4);
    if (operation == 31 && size >= 2 && bit(encoding, 29))
        return of_reals(DIVISIONS, lanes_of_reals); /* FSQRT */
    if (size >= 2 && ((operation >= 12 && operation <= 15) || operation == 29))
        return vector_of_reals(encoding, lanes_of_reals);
    if (operation >= 22)
        return vector_of_reals(encoding, 0); /* conversions */
    if (operation == 18) /* XTN */
        return plain(INTEGER_128);
    return of_integers(INTEGER_128, lanes_of(encoding, 1u << size));
}

static struct a64_instruction across_lanes(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 16, 12);
    if (operation == 12 || operation == 13 || operation == 15)
        return vector_of_reals(encoding, bit(encoding, 28) ? 1 : 3);
    uint32_t lanes = lanes_of(encoding, 1u << bits(encoding, 23, 22));
    return of_integers(INTEGER_128, lanes > 1 ? lanes - 1 : 1);
}

/* Results with lanes twice as wide, or half as wide, as the operands'. */
static struct a64_instruction three_different(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 15, 12);
    uint32_t lanes = bit(encoding, 28) ? 1 : 8u >> bits(encoding, 23, 22);
    int adds = operation >= 8 && operation <= 11; /* SMLAL and the like */
    return of_integers(INTEGER_128, adds ? 2 * lanes : lanes);
}

static struct a64_instruction by_element(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 15, 12), size = bits(encoding, 23, 22);
    uint32_t lanes = lanes_of(encoding, size == 3 ? 8 : size == 0 ? 2 : 4);
    switch (operation) {
    case 1: /* FMLA */
    case 5: /* FMLS */
        return fused_vector(encoding, lanes);
    case 9: /* FMUL, FMULX */
        return vector_of_reals(encoding, lanes);
    case 14: /* SDOT, UDOT */
        return of_integers(INTEGER_128, 2 * 4 * lanes_of(encoding, 4));
    default:
        break;
    }
    int adds = operation == 0 || operation == 4; /* MLA, MLS */
    lanes = lanes_of(encoding, 1u << size);
    if (operation != 0 && operation != 4 && operation != 8 && operation < 12) {
        adds = operation != 10 && operation != 11; /* SMLAL against SMULL */
        lanes = bit(encoding, 28) ? 1 : 8u >> size;
    }
    return of_integers(INTEGER_128, adds ? 2 * lanes : lanes);
}

static struct a64_instruction shifts(uint32_t encoding)
{
    uint32_t operation = bits(encoding, 15, 11), position = bits(encoding, 22, 19);
    if (position == 0 && !bit(encoding, 28)) /* MOVI and the like */
        return plain(MOVES);
    if (operation == 28 || operation == 31) /* to and from fixed point */
        return vector_of_reals(encoding, 0);
    uint32_t bytes = position >= 8 ? 8 : position >= 4 ? 4 : position >= 2 ? 2 : 1;
    return of_integers(INTEGER_128, lanes_of(encoding, bytes));
}

static struct a64_instruction vectors(uint32_t encoding)
{
    if (bit(encoding, 24))
        return bit(encoding, 10) ? shifts(encoding) : by_element(encoding);
    if (bit(encoding, 21)) {
        if (bit(encoding, 10))
            return three_vectors(encoding);
        if (!bit(encoding, 11))
            return three_different(encoding);
        switch (bits(encoding, 20, 17)) {
        case 0:
            return two_vectors(encoding);
        case 8:
            return across_lanes(encoding);
        case 12: /* two vectors of 16-bit real numbers */
            return vector_of_reals(encoding, 0);
        default: /* AES */
            return of_integers(INTEGER_128, 1);
        }
    }
    if (bit(encoding, 15) && bit(encoding, 10))
        return three_vectors_more(encoding);
    if (bits(encoding, 22, 21) == 2 && bits(encoding, 15, 14) == 0 && bit(encoding, 10))
        return three_vectors_of_reals(encoding, 24 + bits(encoding, 13, 11),
                                      lanes_of(encoding, 2));
    return plain(MOVES); /* DUP, INS, UMOV, TBL, ZIP, UZP, TRN, EXT */
}

static struct a64_instruction reals_and_vectors(uint32_t encoding)
{
    int is_scalar = bit(encoding, 28);
    if (is_scalar && !bit(encoding, 30))
        return scalar_reals(encoding);
    if ((encoding & 0xff000000) == 0xce000000) /* SHA-3, SM3, SM4: three or four operands */
        return of_integers(INTEGER_128, 1);
    return vectors(encoding);
}

struct a64_instruction a64_classify(uint32_t encoding)
{
    switch (bits(encoding, 28, 25)) {
    case 8:
    case 9:
        return immediates(encoding);
    case 10:
    case 11:
        return branches_and_system(encoding);
    case 4:
    case 6:
    case 12:
    case 14:
        return loads_and_stores(encoding);
    case 5:
    case 13:
        return of_registers(encoding);
    case 7:
    case 15:
        return reals_and_vectors(encoding);
    default:
        return plain(MOVES);
    }
}
