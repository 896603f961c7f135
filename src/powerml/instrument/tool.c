/* The Valgrind tool: delivers to hierarchy.c what a program does, and answers its requests.
 *
 * At the start of a block of code the places in both streams are loaded, and the streams are run if
 * they are full. Each piece of straight code stores a pointer to what is known of it, each access
 * its address. The places are stored before each way out of the block. While a thread runs, its
 * shadow registers hold them, which code reaches without loading an address.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "pub_tool_basics.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_clreq.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_guest.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_machine.h"
#include "pub_tool_mallocfree.h"
#include "pub_tool_options.h"
#include "pub_tool_threadstate.h"
#include "pub_tool_tooliface.h"
#include "pub_tool_transtab.h"
#include "pub_tool_vki.h"
#include "pub_tool_vkiscnums.h"

#include "classes.h"
#include "fma.h"
#include "hierarchy.h"
#include "listing.h"
#include "requests.h"

/* Both streams lie in one room, which fits the processor's second level: the addresses from its
 * start, the pieces backwards from its end. A block may add so many to each. */
enum {
    ROOM = MOST_RUN,
    MOST_PIECES_OF_A_BLOCK = 512,
    MOST_ACCESSES_OF_A_BLOCK = 2048,
    MOST_OF_A_BLOCK = MOST_PIECES_OF_A_BLOCK + MOST_ACCESSES_OF_A_BLOCK,
    MOST_FETCHES = 512,
    LONGEST_LANE = 8, /* of an instruction that works on lanes, in bytes */
    LONGEST_OPERAND = 32
};

/* What glibc's clocks say where none counts cost, and how far apart two looks are (decision 0022):
 * 10 December 2018, the date of the paper, and a microsecond. */
enum { TICK_NANOSECONDS = 1000, NANOSECONDS = 1000000000 };
static const ULong START_SECONDS = 1544400000;

static struct simulation *simulation;
static union {
    struct piece *piece;
    uint64_t address;
} room[ROOM];
struct places {
    struct piece **next_piece;
    uint64_t *next_address;
};
static struct places places = {&room[ROOM - 1].piece, &room[0].address};
static Int places_offset; /* from the start of a thread's registers: their shadows lie behind */
static Bool is_counting = True;
/* Bits of what is counted as Cachegrind does: by lane of an FMA's operand or of a masked move, with
 * the second read of what an atomic instruction compares. */
enum { LANES = 1, MASKS = 2, ATOMICS = 4 };
static const HChar CACHEGRINDS[] = "lanes,masks,atomics";
static UInt as_cachegrind = 0;
static Bool has_own_clock = False;
static Bool sorts_listings = False;
static const HChar *counters_file = NULL;
static ULong looks;
static Bool segments_looks; /* each begins a segment */
static Bool asks_host = False; /* whatever clock there is */
static const ULong *cost_weights = NULL; /* of the clock that counts cost */
static ULong cost_nanoseconds, cost_parts = 1; /* so many for each unit of cost, over so many */
static const HChar *clock_option = NULL;
static uint64_t *counters; /* room to read them */

static void run_streams(void)
{
    struct piece **first_piece = &room[ROOM - 1].piece;
    simulation_run(simulation, first_piece, (UInt)(first_piece - places.next_piece),
                   &room[0].address);
    places.next_piece = first_piece;
    places.next_address = &room[0].address;
}

/* Run the streams while a thread runs. */
static void run_held_streams(UChar *registers)
{
    struct places *held = (struct places *)(registers + places_offset);
    places = *held;
    run_streams();
    *held = places;
}

static void give_places(ThreadId thread, ULong blocks)
{
    (void)blocks;
    VG_(set_shadow_regs_area)(thread, 1, 0, sizeof places, (const UChar *)&places);
}

static void take_places(ThreadId thread, ULong blocks)
{
    (void)blocks;
    VG_(get_shadow_regs_area)(thread, (UChar *)&places, 1, 0, sizeof places);
}

/* --- code ------------------------------------------------------------------------------------ */

/* A block that is being written. */
struct block {
    IRSB *out;
    IRTemp next_piece, next_address; /* where the block began */
    UInt piece_count, address_count; /* since then */
    Bool is_open; /* a piece is */
    IRConst *piece;
    struct fetch fetch; /* of the instruction */
    Addr left_line;     /* the last that the piece before this one fetched from; 0: none did */
    struct fetch fetches[MOST_FETCHES];
    struct access accesses[MOST_ACCESSES];
    UInt fetch_count, access_count, adds[FIXED_COUNTERS];
    /* The access before, to be merged with what belongs to it. */
    Bool can_merge, has_lanes;
    IRExpr *last_address, *last_entry;
    UInt last_slot, lane_bytes;
};

static struct block block;

static IRExpr *number(ULong value)
{
    return IRExpr_Const(IRConst_U64(value));
}

static void add(IRStmt *statement)
{
    addStmtToIRSB(block.out, statement);
}

static IRExpr *assigned(IRType type, IRExpr *value)
{
    IRTemp temporary = newIRTemp(block.out->tyenv, type);
    add(IRStmt_WrTmp(temporary, value));
    return IRExpr_RdTmp(temporary);
}

static IRExpr *place(IRTemp start, Long number_of_entries)
{
    return assigned(Ity_I64, IRExpr_Binop(Iop_Add64, IRExpr_RdTmp(start),
                                          number((ULong)(8 * number_of_entries))));
}

static void store_address(UInt entry, IRExpr *value)
{
    add(IRStmt_Store(Iend_LE, place(block.next_address, entry), value));
}

static void store_places(void)
{
    add(IRStmt_Put(places_offset + (Int)offsetof(struct places, next_piece),
                   place(block.next_piece, -(Long)block.piece_count)));
    add(IRStmt_Put(places_offset + (Int)offsetof(struct places, next_address),
                   place(block.next_address, block.address_count)));
}

static void run_if(IRExpr *guard)
{
    IRDirty *run = unsafeIRDirty_0_N(0, "run_held_streams",
                                     VG_(fnptr_to_fnentry)(&run_held_streams),
                                     mkIRExprVec_1(IRExpr_GSPTR()));
    run->nFxState = 1;
    run->fxState[0].fx = Ifx_Modify;
    run->fxState[0].offset = (UShort)places_offset;
    run->fxState[0].size = sizeof places;
    run->fxState[0].nRepeats = run->fxState[0].repeatLen = 0;
    run->guard = guard;
    add(IRStmt_Dirty(run));
}

static IRTemp held(Int offset)
{
    IRTemp temporary = newIRTemp(block.out->tyenv, Ity_I64);
    add(IRStmt_WrTmp(temporary, IRExpr_Get(places_offset + offset, Ity_I64)));
    return temporary;
}

static void load_places(void)
{
    block.next_piece = held(offsetof(struct places, next_piece));
    block.next_address = held(offsetof(struct places, next_address));
}

static void begin_block(void)
{
    load_places();
    run_if(assigned(Ity_I1, IRExpr_Binop(Iop_CmpLT64U, IRExpr_RdTmp(block.next_piece),
                                         place(block.next_address, MOST_OF_A_BLOCK))));
    load_places();
    block.piece_count = block.address_count = 0;
    block.is_open = False;
    block.left_line = 0;
}

static Addr line_of(Addr address)
{
    return VG_ROUNDDN(address, simulation_line_bytes(simulation));
}

/* Tell a fetch; those before it need not be told that stay in the line that the piece before has
 * left. Nothing has come between. */
static void add_fetch(void)
{
    const struct fetch *first = &block.fetches[0];
    if (block.fetch_count == 1 && line_of(first->address + first->last_byte) == block.left_line)
        block.fetch_count = 0;
    block.fetch.before = block.access_count;
    block.fetches[block.fetch_count++] = block.fetch;
}

/* Begin a piece with the instruction: fetching it again, where it is in the midst of it, is nothing
 * to a cache. */
static void open_piece(void)
{
    if (block.is_open)
        return;
    block.is_open = True;
    block.piece = IRConst_U64(0); /* until it is closed */
    block.fetch_count = block.access_count = 0;
    block.can_merge = False;
    VG_(memset)(block.adds, 0, sizeof block.adds);
    add_fetch();
    tl_assert(block.piece_count < MOST_PIECES_OF_A_BLOCK);
    add(IRStmt_Store(Iend_LE, place(block.next_piece, -(Long)block.piece_count++),
                     IRExpr_Const(block.piece)));
}

static void close_piece(void)
{
    if (!block.is_open)
        return;
    struct piece *piece =
        simulation_piece(simulation, block.fetches, block.fetch_count, block.accesses,
                         block.access_count, block.adds);
    if (piece == NULL)
        VG_(tool_panic)("no memory");
    block.piece->Ico.U64 = (Addr)piece;
    block.is_open = False;
    block.left_line = line_of(block.fetch.address + block.fetch.last_byte);
}

/* Close the piece where what follows need not lie behind it. */
static void end_stretch(void)
{
    close_piece();
    block.left_line = 0;
}

/* Begin an instruction. After a jump that the decoder has followed it begins a piece. */
static void count_instruction(Addr address, UInt bytes, const struct instruction *instruction)
{
    if (address != block.fetch.address + block.fetch.last_byte + 1 ||
        block.fetch_count == MOST_FETCHES ||
        address + bytes - block.fetches[0].address > LONGEST_PIECE_BYTES)
        end_stretch();
    block.fetch.address = address;
    block.fetch.last_byte = bytes - 1;
    if (block.is_open)
        add_fetch();
    else
        open_piece();
    block.adds[instruction->class]++;
    block.adds[FLOAT_OPERATIONS] += instruction->float_operations;
    block.adds[INTEGER_OPERATIONS] += instruction->integer_operations;
    block.can_merge = False;
}

static UInt counter_of(enum direction direction)
{
    return direction == READ ? READS : direction == WRITE ? WRITES : MODIFIES;
}

/* True if an address is so many bytes after another. */
static Bool follows(IRExpr *address, IRExpr *other, UInt bytes)
{
    Long offset = 0, other_offset = 0;
    IRExpr *base = base_of(block.out, address, &offset);
    IRExpr *other_base = base_of(block.out, other, &other_offset);
    if (base == NULL || other_base == NULL)
        return base == other_base && offset == other_offset + (Long)bytes;
    return eqIRAtom(base, other_base) && offset == other_offset + (Long)bytes;
}

/* Count a data access. The decoder takes the operands of fused multiply-adds and of masked moves
 * apart into lanes: these are one access. */
static void count_access(enum direction direction, IRExpr *address, UInt bytes, IRExpr *guard)
{
    /* As Cachegrind does with what fxsave and the like write. */
    UInt longest = simulation_line_bytes(simulation);
    if (bytes > longest)
        bytes = longest;
    open_piece();
    struct access *last = &block.accesses[block.access_count - 1];
    if (block.can_merge) {
        Bool is_alike = (guard != NULL) == last->is_conditional;
        if (direction == WRITE && last->direction == READ && guard == NULL && is_alike &&
            last->last_byte == bytes - 1 && eqIRAtom(address, block.last_address)) {
            last->direction = MODIFY;
            block.adds[READS]--;
            block.adds[MODIFIES]++;
            return;
        }
        Bool is_joined = guard != NULL ? !(as_cachegrind & MASKS)
                                       : block.has_lanes && !(as_cachegrind & LANES);
        if (is_joined && is_alike &&
            last->direction == direction && bytes == block.lane_bytes && bytes <= LONGEST_LANE &&
            last->last_byte + 1u + bytes <= LONGEST_OPERAND &&
            follows(address, block.last_address, last->last_byte + 1)) {
            last->last_byte += bytes;
            if (guard != NULL) {
                /* It is done if one of its lanes is, at the address of the first. */
                block.last_entry =
                    assigned(Ity_I64, IRExpr_ITE(guard, block.last_address, block.last_entry));
                store_address(block.last_slot, block.last_entry);
            }
            return;
        }
    }
    tl_assert(block.access_count < MOST_ACCESSES);
    last = &block.accesses[block.access_count++];
    last->last_byte = (UChar)(bytes - 1);
    last->direction = direction;
    last->is_conditional = guard != NULL;
    block.can_merge = True;
    block.last_address = address;
    block.lane_bytes = bytes;
    tl_assert(block.address_count < MOST_ACCESSES_OF_A_BLOCK);
    block.last_slot = block.address_count++;
    block.last_entry = address;
    if (guard == NULL)
        block.adds[counter_of(direction)]++;
    else
        block.last_entry = assigned(Ity_I64, IRExpr_ITE(guard, address, number(0)));
    store_address(block.last_slot, block.last_entry);
}

/* True if the access before reads the place that an instruction compares and swaps: the decoder
 * computes what an atomic one writes from what it has read before. */
static Bool is_read_just_now(IRExpr *address, UInt bytes)
{
    if ((as_cachegrind & ATOMICS) || !block.is_open || !block.can_merge)
        return False;
    const struct access *last = &block.accesses[block.access_count - 1];
    return last->direction == READ && !last->is_conditional && last->last_byte == bytes - 1 &&
           follows(address, block.last_address, 0);
}

static UInt bytes_of(IRExpr *expression)
{
    return (UInt)sizeofIRType(typeOfIRExpr(block.out->tyenv, expression));
}

/* Count the accesses of a statement. */
static void count_accesses(const IRStmt *statement)
{
    IRType type, wide;
    switch (statement->tag) {
    case Ist_WrTmp: {
        const IRExpr *data = statement->Ist.WrTmp.data;
        if (data->tag == Iex_Load)
            count_access(READ, data->Iex.Load.addr, (UInt)sizeofIRType(data->Iex.Load.ty), NULL);
        break;
    }
    case Ist_Store:
        count_access(WRITE, statement->Ist.Store.addr, bytes_of(statement->Ist.Store.data), NULL);
        break;
    case Ist_StoreG:
        count_access(WRITE, statement->Ist.StoreG.details->addr,
                     bytes_of(statement->Ist.StoreG.details->data),
                     statement->Ist.StoreG.details->guard);
        break;
    case Ist_LoadG:
        typeOfIRLoadGOp(statement->Ist.LoadG.details->cvt, &wide, &type);
        count_access(READ, statement->Ist.LoadG.details->addr,
                     (UInt)sizeofIRType(type), statement->Ist.LoadG.details->guard);
        break;
    case Ist_CAS: {
        const IRCAS *cas = statement->Ist.CAS.details;
        UInt bytes = bytes_of(cas->dataLo) * (cas->dataHi == NULL ? 1 : 2);
        if (!is_read_just_now(cas->addr, bytes))
            count_access(READ, cas->addr, bytes, NULL);
        count_access(WRITE, cas->addr, bytes, NULL);
        break;
    }
    case Ist_LLSC:
        if (statement->Ist.LLSC.storedata == NULL)
            count_access(READ, statement->Ist.LLSC.addr,
                         (UInt)sizeofIRType(
                             typeOfIRTemp(block.out->tyenv, statement->Ist.LLSC.result)),
                         NULL);
        else
            count_access(WRITE, statement->Ist.LLSC.addr,
                         bytes_of(statement->Ist.LLSC.storedata), NULL);
        break;
    case Ist_Dirty: {
        const IRDirty *dirty = statement->Ist.Dirty.details;
        if (dirty->mFx == Ifx_Read || dirty->mFx == Ifx_Modify)
            count_access(READ, dirty->mAddr, (UInt)dirty->mSize, NULL);
        if (dirty->mFx == Ifx_Write || dirty->mFx == Ifx_Modify)
            count_access(WRITE, dirty->mAddr, (UInt)dirty->mSize, NULL);
        break;
    }
    default:
        break;
    }
}

/* --- the clock ------------------------------------------------------------------------------- */

/* Nanoseconds since the clock's start. */
static ULong now(void)
{
    if (segments_looks) {
        HChar name[32];
        run_streams();
        VG_(sprintf)(name, "look %llu", looks + 1);
        simulation_segment(simulation, name);
    }
    if (cost_weights == NULL)
        return ++looks * TICK_NANOSECONDS;
    ULong cost = 0;
    run_streams();
    simulation_read(simulation, counters);
    for (UInt i = 0; i < simulation_counters(simulation); i++)
        cost += cost_weights[i] * counters[i];
    return cost * cost_nanoseconds / cost_parts;
}

static ULong time_stamp(void)
{
    return now();
}

#if defined(VGA_amd64)
/* RDTSCP tells the core too: always the first. */
static void time_stamp_and_core(VexGuestAMD64State *state)
{
    ULong told = now();
    state->guest_RAX = (UInt)told;
    state->guest_RDX = told >> 32;
    state->guest_RCX = 0;
}
#endif

/* Have the processor's time stamp come from the clock. Returns true where the statement asks it. */
static Bool replace_time_stamp(IRStmt *statement)
{
    if ((!has_own_clock && cost_weights == NULL) || statement->tag != Ist_Dirty)
        return False;
    IRCallee **callee = &statement->Ist.Dirty.details->cee;
    if (VG_(strcmp)((*callee)->name, "amd64g_dirtyhelper_RDTSC") == 0) {
        *callee = mkIRCallee(0, "time_stamp", VG_(fnptr_to_fnentry)(&time_stamp));
        return True;
    }
#if defined(VGA_amd64)
    if (VG_(strcmp)((*callee)->name, "amd64g_dirtyhelper_RDTSCP") == 0) {
        *callee = mkIRCallee(0, "time_stamp_and_core", VG_(fnptr_to_fnentry)(&time_stamp_and_core));
        return True;
    }
#endif
    return False;
}

/* --- instrumentation ------------------------------------------------------------------------- */

static Int end_of_instruction(const IRSB *in, Int from)
{
    Int end = from + 1;
    while (end < in->stmts_used && in->stmts[end]->tag != Ist_IMark)
        end++;
    return end;
}

/* Let the clock see all that was before it. */
static void add_time_stamp(IRStmt *statement)
{
    close_piece();
    store_places();
    run_if(IRExpr_Const(IRConst_U1(True)));
    add(statement);
    begin_block();
}

static IRSB *instrument(VgCallbackClosure *closure, IRSB *in, const VexGuestLayout *layout,
                        const VexGuestExtents *extents, const VexArchInfo *guest, IRType word,
                        IRType host_word)
{
    (void)closure, (void)extents, (void)guest, (void)word, (void)host_word;
    if (!is_counting) {
        for (Int i = 0; i < in->stmts_used; i++)
            replace_time_stamp(in->stmts[i]);
        return in;
    }
    places_offset = layout->total_sizeB;
    block.out = deepCopyIRSBExceptStmts(in);
    Int i = 0;
    for (; i < in->stmts_used && in->stmts[i]->tag != Ist_IMark; i++)
        add(in->stmts[i]);
    begin_block();
    begin_fmas();
    forget_assignments();
    while (i < in->stmts_used) {
        Int end = end_of_instruction(in, i);
        Addr address = in->stmts[i]->Ist.IMark.addr + in->stmts[i]->Ist.IMark.delta;
        UInt bytes = in->stmts[i]->Ist.IMark.len;
        struct instruction instruction = classify(in, i, end, layout);
        /* A client request is longer than an instruction; one that is none has no length. */
        count_instruction(address, bytes == 0 ? VG_MIN_INSTR_SZB : bytes, &instruction);
        struct fma *fma = find_fma(in, i, end);
        block.has_lanes = has_multiply_add(in, i, end);
        for (; i < end; i++) {
            IRStmt *statement = in->stmts[i];
            if (statement->tag == Ist_Exit) {
                close_piece();
                store_places();
            } else
                count_accesses(statement);
            if (fma != NULL)
                add_fma(fma, block.out, statement);
            else if (replace_time_stamp(statement))
                add_time_stamp(statement);
            else
                add(statement);
        }
        if (fma != NULL)
            end_fma(fma, block.out);
    }
    close_piece();
    store_places();
    return block.out;
}

/* --- requests -------------------------------------------------------------------------------- */

static void discard_translations(void)
{
    VG_(discard_translations_safely)((Addr)0x1000, ~(SizeT)0xfff, "powerml");
}

static void start_counting(Bool start)
{
    run_streams();
    if (start)
        simulation_empty(simulation);
    is_counting = start;
    discard_translations();
}

static Bool is_writable(Addr start, SizeT bytes)
{
    return VG_(am_is_valid_for_client)(start, bytes, VKI_PROT_WRITE);
}

static void name_address(uint64_t address, char *function, char *library, size_t bytes)
{
    const HChar *found;
    DiEpoch epoch = VG_(current_DiEpoch)();
    if (VG_(get_fnname)(epoch, address, &found))
        VG_(strncpy)(function, found, bytes - 1);
    if (VG_(get_objname)(epoch, address, &found))
        VG_(strncpy)(library, found, bytes - 1);
}

static UInt read_counters(uint64_t *to, SizeT room)
{
    if (room < simulation_counters(simulation) * sizeof *to || !is_writable((Addr)to, room))
        return STATUS_NO_SPACE;
    run_streams();
    simulation_read(simulation, to);
    return simulation_status(simulation);
}

static void set_clock(const ULong *weights, ULong count, ULong nanoseconds)
{
    static ULong *kept = NULL;
    run_streams();
    if (weights != NULL) {
        if (kept == NULL)
            kept = VG_(malloc)("powerml.weights", simulation_counters(simulation) * sizeof *kept);
        for (UInt i = 0; i < simulation_counters(simulation); i++)
            kept[i] = i < count ? weights[i] : 0;
    }
    Bool had_clock = has_own_clock || cost_weights != NULL;
    cost_weights = weights == NULL ? NULL : kept;
    cost_nanoseconds = nanoseconds;
    cost_parts = 1;
    if (had_clock != (has_own_clock || cost_weights != NULL))
        discard_translations(); /* of time stamps */
}

static Bool handle_request(ThreadId thread, UWord *request, UWord *answer)
{
    (void)thread;
    if (!VG_IS_TOOL_USERREQ('P', 'M', request[0]))
        return False;
    *answer = 0;
    switch (request[0]) {
    case POWERML_GET_INTERFACE:
        *answer = POWERML_INTERFACE;
        break;
    case POWERML_START:
        start_counting(True);
        break;
    case POWERML_STOP:
        start_counting(False);
        break;
    case POWERML_ZERO:
        run_streams();
        simulation_zero(simulation);
        break;
    case POWERML_COUNTERS:
        *answer = simulation_counters(simulation);
        break;
    case POWERML_READ:
        *answer = read_counters((uint64_t *)request[1], request[2]);
        break;
    case POWERML_PUSH:
        run_streams();
        simulation_push(simulation, (const char *)request[1]);
        break;
    case POWERML_POP:
        run_streams();
        simulation_pop(simulation);
        break;
    case POWERML_FUNCTIONS:
        run_streams();
        simulation_attribute(simulation, name_address);
        break;
    case POWERML_TELL:
        run_streams();
        *answer = simulation_tell(simulation, (char *)request[1],
                                  is_writable(request[1], request[2]) ? request[2] : 0);
        break;
    case POWERML_CLOCK:
        set_clock((const ULong *)request[1], request[2], request[3]);
        break;
    case POWERML_HOST_CLOCK:
        asks_host = request[1] != 0;
        break;
    case POWERML_TICK:
        set_clock(NULL, 0, 0);
        break;
    case POWERML_SEGMENT:
        run_streams();
        simulation_segment(simulation, (const char *)request[1]);
        break;
    case POWERML_SEGMENT_LOOKS:
        segments_looks = request[1] != 0;
        break;
    case POWERML_WATCH:
        run_streams();
        simulation_watch(simulation, (const uint64_t *)request[1], request[2]);
        break;
    case POWERML_LEARN:
        run_streams();
        simulation_learn(simulation, request[1] != 0);
        break;
    case POWERML_SIFT:
        run_streams();
        simulation_sift(simulation, request[1], request[2]);
        break;
    default:
        return False;
    }
    return True;
}

/* Valgrind calls it whether there is something to do or not. */
static void before_system_call(ThreadId thread, UInt call, UWord *arguments, UInt count)
{
    (void)thread, (void)call, (void)arguments, (void)count;
}

/* Answer a look at the clock with the own one's time, and sort a folder's listing. */
static void after_system_call(ThreadId thread, UInt call, UWord *arguments, UInt count,
                              SysRes result)
{
    (void)count;
    if (sorts_listings && call == __NR_getdents64 && !sr_isError(result)
        && is_writable(arguments[1], sr_Res(result)))
        sort_listing((UChar *)arguments[1], sr_Res(result));
    if (asks_host || (!has_own_clock && cost_weights == NULL) || sr_isError(result))
        return;
    if (call == __NR_clock_gettime && is_writable(arguments[1], sizeof(struct vki_timespec))) {
        struct vki_timespec *told = (struct vki_timespec *)arguments[1];
        ULong passed = now();
        UWord clock = arguments[0];
        /* CLOCK_REALTIME, its coarse one and CLOCK_TAI have a date; others begin at 0. */
        Bool has_date = clock == 0 || clock == 5 || clock == 11;
        told->tv_sec = (has_date ? START_SECONDS : 0) + passed / NANOSECONDS;
        told->tv_nsec = passed % NANOSECONDS;
    } else if (call == __NR_gettimeofday && is_writable(arguments[0], sizeof(struct vki_timeval))) {
        struct vki_timeval *told = (struct vki_timeval *)arguments[0];
        ULong passed = now();
        told->tv_sec = START_SECONDS + passed / NANOSECONDS;
        told->tv_usec = passed % NANOSECONDS / 1000;
    }
#if defined(VGA_amd64)
    else if (call == __NR_time) {
        ULong seconds = START_SECONDS + now() / NANOSECONDS;
        if (is_writable(arguments[0], sizeof seconds))
            *(ULong *)arguments[0] = seconds;
        VG_(set_shadow_regs_area)(thread, 0, offsetof(VexGuestAMD64State, guest_RAX),
                                  sizeof seconds, (const UChar *)&seconds);
    }
#endif
}

static void before_fork(ThreadId thread)
{
    (void)thread;
    run_streams();
}

static void in_child(ThreadId thread)
{
    (void)thread;
    if (counters_file != NULL)
        simulation_zero(simulation); /* its parent tells of what was before */
    if (simulation_depth(simulation) > 0)
        simulation_fail(simulation, STATUS_FORKED_IN_SCOPE);
}

static void before_thread(ThreadId thread, ThreadId child)
{
    (void)thread;
    if (child > 1 && simulation_depth(simulation) > 0)
        simulation_fail(simulation, STATUS_THREAD_IN_SCOPE);
}

/* --- options, start and end ------------------------------------------------------------------- */

static inline void *address_of(void *address)
{
    return address;
}

static inline void *address_in(SysRes result)
{
    return sr_isError(result) ? NULL : (void *)sr_Res(result);
}

/* Valgrind 3.19 answers with the address, 3.24 with a result that holds it. */
#define ALLOCATED(answer) _Generic((answer), SysRes: address_in, void *: address_of)(answer)

static void *permanent(size_t bytes)
{
    /* Aligned to a line, so that a set of eight ways is one line of the processor. */
    enum { LARGE = 1 << 16, LINE = 64 };
    return bytes < LARGE ? VG_(perm_malloc)(bytes, LINE) : ALLOCATED(VG_(am_shadow_alloc)(bytes));
}

/* Read SIZE,WAYS,LINE; returns what follows, or NULL. */
static const HChar *read_shape(const HChar *text, struct cache_shape *shape)
{
    HChar *end;
    shape->size_bytes = VG_(strtoull10)(text, &end);
    if (end == text || *end != ',')
        return NULL;
    text = end + 1;
    shape->ways = (UInt)VG_(strtoull10)(text, &end);
    if (end == text || *end != ',')
        return NULL;
    text = end + 1;
    shape->line_bytes = (UInt)VG_(strtoull10)(text, &end);
    return end == text ? NULL : end;
}

static void add_front(const HChar *option, const HChar *text)
{
    struct cache_shape instructions, data;
    const HChar *rest = read_shape(text, &instructions);
    rest = rest == NULL || *rest != '/' ? NULL : read_shape(rest + 1, &data);
    if (rest == NULL || *rest != '\0')
        VG_(fmsg_bad_option)(option, "give SIZE,WAYS,LINE/SIZE,WAYS,LINE: instructions, data\n");
    if (simulation_add_front(simulation, instructions, data) < 0)
        VG_(fmsg_bad_option)(option, "there is no such cache, or there are too many\n");
}

static void add_lower(const HChar *option, const HChar *text)
{
    struct cache_shape shape;
    Long above = -1;
    HChar *end = NULL;
    const HChar *rest = read_shape(text, &shape);
    if (rest != NULL && *rest == ',') {
        above = VG_(strtoll10)(rest + 1, &end);
        rest = end;
    }
    if (rest == NULL || *rest != '\0')
        VG_(fmsg_bad_option)(option, "give SIZE,WAYS,LINE or SIZE,WAYS,LINE,ABOVE\n");
    if (simulation_add_lower(simulation, shape, (int)above) < 0)
        VG_(fmsg_bad_option)(option, "there is no such cache, or there are too many\n");
}

static Bool process_option(const HChar *option)
{
    const HChar *value;
    if (VG_STR_CLO(option, "--front", value))
        add_front(option, value);
    else if (VG_STR_CLO(option, "--lower", value))
        add_lower(option, value);
    else if (VG_STR_CLO(option, "--counters-file", counters_file)) {
    } else if (VG_BOOL_CLO(option, "--count-at-start", is_counting)) {
    } else if (VG_USET_CLO(option, "--as-cachegrind", CACHEGRINDS, as_cachegrind)) {
    } else if (VG_BOOL_CLO(option, "--sort-listings", sorts_listings)) {
    } else if (VG_BOOL_CLO(option, "--own-clock", has_own_clock)) {
    } else if (VG_STR_CLO(option, "--clock", clock_option)) {
    } else
        return False;
    return True;
}

static void print_usage(void)
{
    VG_(printf)(
        "    --front=I1/D1              first levels, each SIZE,WAYS,LINE; again for more\n"
        "    --lower=SIZE,WAYS,LINE[,N] a level below the last front, or below its level N\n"
        "    --count-at-start=yes|no    count before the program asks for it [yes]\n"
        "    --as-cachegrind=KINDS      count so: lanes,masks,atomics, all or none [none]\n"
        "    --own-clock=yes|no         clocks count looks, not time [no]\n"
        "    --clock=N,N,...            clocks count cost: picoseconds by counter\n"
        "    --sort-listings=yes|no     folders are listed by name [no]\n"
        "    --counters-file=FILE       write scopes and functions there at the end\n");
}

static void print_debug_usage(void)
{
    VG_(printf)("    (none)\n");
}

static void begin_clock(void)
{
    enum { PICOSECONDS = 1000 };
    UInt count = simulation_counters(simulation);
    ULong *weights = VG_(calloc)("powerml.weights", count, sizeof *weights);
    HChar *rest = (HChar *)clock_option;
    for (UInt i = 0; i < count; i++) {
        const HChar *number = rest;
        weights[i] = VG_(strtoull10)(number, &rest);
        if (rest == number || *rest != (i + 1 < count ? ',' : '\0')) {
            VG_(umsg)("--clock: give %u numbers with commas between them\n", count);
            VG_(exit)(1);
        }
        rest++;
    }
    cost_weights = weights;
    cost_nanoseconds = 1;
    cost_parts = PICOSECONDS;
}

static void begin(void)
{
    if (simulation_begin(simulation) != 0)
        VG_(tool_panic)("no memory");
    if (clock_option != NULL)
        begin_clock();
    counters = VG_(malloc)("powerml.counters", simulation_counters(simulation) * sizeof *counters);
    if (counters_file != NULL)
        simulation_attribute(simulation, name_address);
}

static void end(Int code)
{
    (void)code;
    run_streams();
    if (counters_file == NULL)
        return;
    HChar *name = VG_(expand_file_name)("--counters-file", counters_file);
    SizeT bytes = simulation_tell(simulation, NULL, 0);
    HChar *text = VG_(malloc)("powerml.text", bytes + 1);
    simulation_tell(simulation, text, bytes);
    SysRes opened = VG_(open)(name, VKI_O_CREAT | VKI_O_TRUNC | VKI_O_WRONLY, 0600);
    if (sr_isError(opened)) {
        VG_(umsg)("cannot write %s\n", name);
        return;
    }
    VG_(write)((Int)sr_Res(opened), text, (Int)bytes);
    HChar status[32]; /* last, so that it tells too that nothing is missing */
    VG_(sprintf)(status, "status\t%u\n", simulation_status(simulation));
    VG_(write)((Int)sr_Res(opened), status, (Int)VG_(strlen)(status));
    VG_(close)((Int)sr_Res(opened));
}

static void pre_clo_init(void)
{
    VG_(details_name)("powerml");
    VG_(details_version)(NULL);
    VG_(details_description)("memory hierarchies and instructions, for powerML");
    VG_(details_copyright_author)("GPL-2.0-or-later");
    VG_(details_bug_reports_to)("powerML's issue tracker");
    VG_(details_avg_translation_sizeB)(500);
    VG_(basic_tool_funcs)(begin, instrument, end);
    VG_(needs_command_line_options)(process_option, print_usage, print_debug_usage);
    VG_(needs_client_requests)(handle_request);
    VG_(needs_syscall_wrapper)(before_system_call, after_system_call);
    VG_(atfork)(before_fork, NULL, in_child);
    VG_(track_pre_thread_ll_create)(before_thread);
    VG_(track_start_client_code)(give_places);
    VG_(track_stop_client_code)(take_places);
    simulation = simulation_make(permanent);
    if (simulation == NULL)
        VG_(tool_panic)("no memory");
}

VG_DETERMINE_INTERFACE_VERSION(pre_clo_init)
