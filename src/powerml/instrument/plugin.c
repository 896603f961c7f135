/* The QEMU plug-in: delivers to hierarchy.c what an Arm program does, and answers its requests.
 *
 * The library is loaded twice over: as a plug-in, and before qemu's own C library, of which it
 * replaces some functions. Through these the program's system calls come. It asks by getpriority,
 * and looks at the clock by clock_gettime; and what DC ZVA sets to zero qemu tells nobody but memset.
 *
 * Addresses of the program are qemu's own, as long as a 64-bit processor plays another.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "a64.h"
#include "hierarchy.h"
#include "listing.h"
#include "plugin_requests.h"
#include "symbols.h"

/* What is used of qemu's interface for plug-ins, of which there is no package of headers. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name;
    struct {
        int min, current;
    } version;
    /* and more */
} qemu_info_t;
enum { CALL_WITHOUT_REGISTERS = 0, READS_AND_WRITES = 3, VERSION_OF_COPIED_DATA = 3 };

typedef void (*on_execution)(unsigned vcpu, void *data);
typedef void (*on_access)(unsigned vcpu, qemu_plugin_meminfo_t, uint64_t address, void *data);
typedef void (*on_block)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*on_plugin)(qemu_plugin_id_t);
typedef void (*on_call)(qemu_plugin_id_t, unsigned vcpu, int64_t number, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*on_return)(qemu_plugin_id_t, unsigned vcpu, int64_t number, int64_t result);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
/* Until version 3 it takes the first argument alone, and answers with the address. */
extern uintptr_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_execution, int,
                                                   void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, on_access, int, int, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, on_block);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, on_call);
extern void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t, on_return);
extern void qemu_plugin_reset(qemu_plugin_id_t, on_plugin);

#define EXPORTED __attribute__((visibility("default")))
/* In the first room for such variables, which code reaches without a call. */
#define OF_THREAD static __thread __attribute__((tls_model("initial-exec")))

EXPORTED int qemu_plugin_version = 1;

/* Numbers of the system calls of 64-bit Arm. */
enum {
    CALL_GETDENTS64 = 61,
    CALL_CLOCK_GETTIME = 113,
    CALL_GETPRIORITY = 141,
    CALL_GETTIMEOFDAY = 169,
    CALL_CLONE = 220
};
enum { CLONE_WITH_MEMORY = 0x100 };
enum { PRIORITY_OF_NOTHING = 20 }; /* Linux tells a program 20 less its priority */

/* As in the Valgrind tool. */
enum { ROOM = MOST_RUN, MOST_INSTRUCTIONS = LONGEST_PIECE_BYTES / A64_BYTES };
enum { TICK_NANOSECONDS = 1000, NANOSECONDS = 1000000000 };
static const uint64_t START_SECONDS = 1544400000;
enum { NAME_OF_MARK_BYTES = 64, MOST_COUNTERS = 502, LINE = 64 };

static qemu_plugin_id_t own_id;
static int interface_version;
static struct simulation *simulation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the simulation */
static bool is_counting, has_own_clock, sorts_listings;
static uint64_t looks;
static bool segments_looks; /* each begins a segment */
static const uint64_t *cost_weights; /* of the clock that counts cost */
static uint64_t *kept_weights;
static uint64_t cost_nanoseconds;
static uint64_t *counters; /* room to read them */
static int marks = -1;     /* the file */

/* One mark as it is written into a file. */
static struct {
    char name[NAME_OF_MARK_BYTES];
    uint64_t status, count, counters[MOST_COUNTERS];
} record;

/* Both streams of a thread, which lie in one room. */
union entry {
    struct piece *piece;
    uint64_t address;
};
struct streams {
    union entry *next_piece, *next_address;
    union entry *accesses; /* of the piece that runs */
    union entry room[ROOM];
};
OF_THREAD struct streams *streams;
OF_THREAD union entry *zeroing; /* the place of the access that memset is about to do */
OF_THREAD uint64_t arguments[6]; /* of the system call under way */
OF_THREAD int64_t call;          /* its number; -1: there is none */
OF_THREAD bool is_guest;         /* it runs the program, and is none of qemu's own */
OF_THREAD bool asks_host;

static void begin_streams(void)
{
    streams->next_piece = &streams->room[ROOM - 1];
    streams->next_address = &streams->room[0];
}

static void run_streams(void)
{
    if (streams == NULL)
        return;
    union entry *first = &streams->room[ROOM - 1];
    pthread_mutex_lock(&lock);
    simulation_run(simulation, &first->piece, (uint32_t)(first - streams->next_piece),
                   &streams->room[0].address);
    pthread_mutex_unlock(&lock);
    begin_streams();
}

static __attribute__((noinline)) void make_room(void)
{
    if (streams == NULL) {
        streams = malloc(sizeof *streams);
        if (streams == NULL)
            abort();
        begin_streams();
        is_guest = true;
        call = -1;
        return;
    }
    run_streams();
}

/* --- code ------------------------------------------------------------------------------------ */

static void run_piece(unsigned vcpu, void *data)
{
    (void)vcpu;
    struct piece *piece = data;
    if (streams == NULL ||
        streams->next_address + piece->access_count >= streams->next_piece)
        make_room();
    (streams->next_piece--)->piece = piece;
    streams->accesses = streams->next_address;
    streams->next_address += piece->access_count;
    for (union entry *one = streams->accesses; one < streams->next_address; one++)
        one->address = 0;
}

/* Both halves of a pair are told: the first one has the address of the operand. */
static void run_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *number)
{
    (void)vcpu, (void)info;
    union entry *access = &streams->accesses[(uintptr_t)number];
    if (access->address == 0)
        access->address = address;
}

static void run_zeroing(unsigned vcpu, void *number)
{
    (void)vcpu;
    zeroing = &streams->accesses[(uintptr_t)number];
}

static uint32_t encoding_of(const struct qemu_plugin_insn *instruction)
{
    uint32_t encoding = 0;
    uintptr_t answer = qemu_plugin_insn_data(instruction, &encoding, sizeof encoding);
    if (interface_version < VERSION_OF_COPIED_DATA)
        memcpy(&encoding, (const void *)answer, sizeof encoding);
    return encoding;
}

/* Describe the instructions from one to before another, and have them told. */
static void describe_piece(const struct qemu_plugin_tb *block, size_t from, size_t until)
{
    static struct fetch fetches[MOST_INSTRUCTIONS];
    static struct access accesses[MOST_INSTRUCTIONS];
    uint32_t adds[FIXED_COUNTERS] = {0}, access_count = 0;
    struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(block, from);
    for (size_t i = from; i < until; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        struct a64_instruction found = a64_classify(encoding_of(instruction));
        fetches[i - from] =
            (struct fetch){qemu_plugin_insn_vaddr(instruction), A64_BYTES - 1, access_count};
        adds[found.class]++;
        adds[FLOAT_OPERATIONS] += found.float_operations;
        adds[INTEGER_OPERATIONS] += found.integer_operations;
        if (found.bytes == 0)
            continue;
        uint32_t longest = simulation_line_bytes(simulation);
        accesses[access_count] = (struct access){
            (uint8_t)((found.bytes > longest ? longest : found.bytes) - 1),
            (uint8_t)found.direction, (uint8_t)(found.is_conditional != 0)};
        if (!found.is_conditional)
            adds[found.direction == READ    ? READS
                 : found.direction == WRITE ? WRITES
                                            : MODIFIES]++;
        void *number = (void *)(uintptr_t)access_count++;
        if (found.is_zeroing)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, run_zeroing,
                                                   CALL_WITHOUT_REGISTERS, number);
        else
            qemu_plugin_register_vcpu_mem_cb(instruction, run_access, CALL_WITHOUT_REGISTERS,
                                             READS_AND_WRITES, number);
    }
    struct piece *piece = simulation_piece(simulation, fetches, (uint32_t)(until - from), accesses,
                                           access_count, adds);
    if (piece == NULL) {
        simulation_fail(simulation, STATUS_NO_MEMORY);
        return;
    }
    qemu_plugin_register_vcpu_insn_exec_cb(first, run_piece, CALL_WITHOUT_REGISTERS, piece);
}

static void translate_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    pthread_mutex_lock(&lock);
    for (size_t from = 0; from < count; from += MOST_INSTRUCTIONS)
        describe_piece(block, from,
                       count - from > MOST_INSTRUCTIONS ? from + MOST_INSTRUCTIONS : count);
    pthread_mutex_unlock(&lock);
}

/* --- the clock ------------------------------------------------------------------------------- */

static uint64_t now(void)
{
    if (segments_looks) {
        char name[32];
        run_streams();
        snprintf(name, sizeof name, "look %llu", (unsigned long long)looks + 1);
        simulation_segment(simulation, name);
    }
    if (cost_weights == NULL)
        return ++looks * TICK_NANOSECONDS;
    uint64_t cost = 0;
    run_streams();
    simulation_read(simulation, counters);
    for (uint32_t i = 0; i < simulation_counters(simulation); i++)
        cost += cost_weights[i] * counters[i];
    return cost * cost_nanoseconds;
}

static bool counts_looks(void)
{
    return is_guest && !asks_host && (has_own_clock || cost_weights != NULL);
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *told)
{
    if (!counts_looks())
        return (int)syscall(SYS_clock_gettime, clock, told);
    uint64_t passed = now();
    bool has_date = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    told->tv_sec = (time_t)((has_date ? START_SECONDS : 0) + passed / NANOSECONDS);
    told->tv_nsec = (long)(passed % NANOSECONDS);
    return 0;
}

EXPORTED int gettimeofday(struct timeval *told, void *zone)
{
    if (!counts_looks())
        return (int)syscall(SYS_gettimeofday, told, zone);
    uint64_t passed = now();
    told->tv_sec = (time_t)(START_SECONDS + passed / NANOSECONDS);
    told->tv_usec = (suseconds_t)(passed % NANOSECONDS / 1000);
    return 0;
}

EXPORTED void *memset(void *to, int value, size_t bytes)
{
    if (zeroing != NULL) {
        zeroing->address = (uintptr_t)to;
        zeroing = NULL;
    }
    /* A call of memset here would come back here. */
    void *end = to;
#ifdef __x86_64__
    __asm__ volatile("rep stosb" : "+D"(end), "+c"(bytes) : "a"(value) : "memory");
#else
    for (char *byte = end; bytes > 0; bytes--)
        *byte++ = (char)value;
#endif
    return to;
}

/* --- requests -------------------------------------------------------------------------------- */

static void register_callbacks(qemu_plugin_id_t);

static void start_counting(bool start)
{
    run_streams();
    if (start)
        simulation_empty(simulation);
    is_counting = start;
    /* Drops all translations too. */
    qemu_plugin_reset(own_id, register_callbacks);
}

static uint32_t read_counters(uint64_t *to, size_t room)
{
    if (room < simulation_counters(simulation) * sizeof *to)
        return STATUS_NO_SPACE;
    run_streams();
    simulation_read(simulation, to);
    return simulation_status(simulation);
}

/* The file keeps out of the way of the program's own descriptors. */
static int open_marks(const char *name)
{
    enum { FIRST_DESCRIPTOR = 200 };
    int opened = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (opened < 0)
        return errno;
    marks = fcntl(opened, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
    close(opened);
    return marks < 0 ? errno : 0;
}

static int write_mark(const char *name)
{
    strncpy(record.name, name, NAME_OF_MARK_BYTES - 1);
    record.count = simulation_counters(simulation);
    record.status = read_counters(record.counters, sizeof record.counters);
    return write(marks, &record, sizeof record) == sizeof record ? 0 : EIO;
}

static void set_clock(const uint64_t *weights, uint64_t count, uint64_t nanoseconds)
{
    run_streams();
    if (weights != NULL)
        for (uint32_t i = 0; i < simulation_counters(simulation); i++)
            kept_weights[i] = i < count ? weights[i] : 0;
    cost_weights = weights == NULL ? NULL : kept_weights;
    cost_nanoseconds = nanoseconds;
}

static int answer_request(uint32_t request)
{
    const void *first = (const void *)arguments[2];
    switch (request) {
    case POWERML_GET_INTERFACE:
        return POWERML_INTERFACE;
    case POWERML_START:
        start_counting(true);
        return 0;
    case POWERML_STOP:
        start_counting(false);
        return 0;
    case POWERML_ZERO:
        run_streams();
        simulation_zero(simulation);
        return 0;
    case POWERML_COUNTERS:
        return (int)simulation_counters(simulation);
    case POWERML_READ:
        return (int)read_counters((uint64_t *)arguments[2], arguments[3]);
    case POWERML_PUSH:
        run_streams();
        simulation_push(simulation, first);
        return 0;
    case POWERML_POP:
        run_streams();
        simulation_pop(simulation);
        return 0;
    case POWERML_FUNCTIONS:
        run_streams();
        simulation_attribute(simulation, name_address);
        return 0;
    case POWERML_TELL:
        run_streams();
        return (int)simulation_tell(simulation, (char *)arguments[2], arguments[3]);
    case POWERML_CLOCK:
        set_clock(first, arguments[3], arguments[4]);
        return 0;
    case POWERML_TICK:
        set_clock(NULL, 0, 0);
        return 0;
    case POWERML_HOST_CLOCK:
        asks_host = arguments[2] != 0;
        return 0;
    case POWERML_SEGMENT:
        run_streams();
        simulation_segment(simulation, first);
        return 0;
    case POWERML_SEGMENT_LOOKS:
        segments_looks = arguments[2] != 0;
        return 0;
    case POWERML_WATCH:
        run_streams();
        simulation_watch(simulation, first, arguments[3]);
        return 0;
    case POWERML_LEARN:
        run_streams();
        simulation_learn(simulation, arguments[2] != 0);
        return 0;
    case POWERML_SIFT:
        run_streams();
        simulation_sift(simulation, arguments[2], arguments[3]);
        return 0;
    case POWERML_OPEN_MARKS:
        return open_marks(first);
    case POWERML_MARK:
        return write_mark(first);
    default:
        return 0;
    }
}

EXPORTED int getpriority(__priority_which_t which, id_t who)
{
    if (call != CALL_GETPRIORITY || which != (__priority_which_t)POWERML_MAGIC)
        return (int)syscall(SYS_getpriority, which, who);
    errno = 0;
    return PRIORITY_OF_NOTHING - answer_request(who);
}

static void begin_call(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t one,
                       uint64_t two, uint64_t three, uint64_t four, uint64_t five, uint64_t six,
                       uint64_t seven, uint64_t eight)
{
    (void)id, (void)vcpu, (void)seven, (void)eight;
    is_guest = true;
    call = number;
    arguments[0] = one, arguments[1] = two, arguments[2] = three;
    arguments[3] = four, arguments[4] = five, arguments[5] = six;
    if (number == CALL_CLONE) {
        run_streams();
        if ((one & CLONE_WITH_MEMORY) && simulation_depth(simulation) > 0)
            simulation_fail(simulation, STATUS_THREAD_IN_SCOPE);
    }
}

static void end_call(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result)
{
    (void)id, (void)vcpu;
    call = -1;
    if (number == CALL_GETDENTS64 && sorts_listings && result > 0)
        sort_listing((uint8_t *)arguments[1], (size_t)result);
    if (number == CALL_CLONE && result == 0 && simulation_depth(simulation) > 0)
        simulation_fail(simulation, STATUS_FORKED_IN_SCOPE);
}

/* --- start ------------------------------------------------------------------------------------ */

static void register_callbacks(qemu_plugin_id_t id)
{
    qemu_plugin_register_vcpu_syscall_cb(id, begin_call);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, end_call);
    if (is_counting)
        qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
}

static void *permanent(size_t bytes)
{
    enum { LARGE = 1 << 16, POOL = 1 << 20 };
    static char *pool;
    static size_t left;
    if (bytes >= LARGE) {
        void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return found == MAP_FAILED ? NULL : found;
    }
    bytes = (bytes + LINE - 1) / LINE * LINE;
    if (bytes > left) {
        pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pool == MAP_FAILED)
            return NULL;
        left = POOL;
    }
    char *found = pool;
    pool += bytes;
    left -= bytes;
    return found;
}

/* Read SIZE:WAYS:LINE; returns what follows, or NULL. Commas would end the option. */
static const char *read_shape(const char *text, struct cache_shape *shape)
{
    unsigned long long size;
    int read = 0;
    if (sscanf(text, "%llu:%u:%u%n", &size, &shape->ways, &shape->line_bytes, &read) != 3)
        return NULL;
    shape->size_bytes = size;
    return text + read;
}

static bool add_front(const char *text)
{
    struct cache_shape instructions, data;
    const char *rest = read_shape(text, &instructions);
    rest = rest == NULL || *rest != '/' ? NULL : read_shape(rest + 1, &data);
    return rest != NULL && *rest == '\0' &&
           simulation_add_front(simulation, instructions, data) >= 0;
}

static bool add_lower(const char *text)
{
    struct cache_shape shape;
    const char *rest = read_shape(text, &shape);
    return rest != NULL && *rest == '\0' && simulation_add_lower(simulation, shape, -1) >= 0;
}

static bool read_option(const char *option)
{
    if (strncmp(option, "front=", 6) == 0)
        return add_front(option + 6);
    if (strncmp(option, "lower=", 6) == 0)
        return add_lower(option + 6);
    if (strcmp(option, "count-at-start=on") == 0)
        return is_counting = true;
    if (strcmp(option, "own-clock=on") == 0)
        return has_own_clock = true;
    if (strcmp(option, "sort-listings=on") == 0)
        return sorts_listings = true;
    return false;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    own_id = id;
    interface_version = info->version.current;
    simulation = simulation_make(permanent);
    if (simulation == NULL || strcmp(info->target_name, "aarch64") != 0) {
        fprintf(stderr, "powerml: %s code is not counted\n", info->target_name);
        return -1;
    }
    for (int i = 0; i < argc; i++)
        if (!read_option(argv[i])) {
            fprintf(stderr, "powerml: there is no option %s, or no such cache\n", argv[i]);
            return -1;
        }
    if (simulation_begin(simulation) != 0 || simulation_counters(simulation) > MOST_COUNTERS) {
        fprintf(stderr, "powerml: there is no memory for the caches\n");
        return -1;
    }
    counters = permanent(simulation_counters(simulation) * sizeof *counters);
    kept_weights = permanent(simulation_counters(simulation) * sizeof *kept_weights);
    if (counters == NULL || kept_weights == NULL)
        return -1;
    register_callbacks(id);
    return 0;
}

/* The interface of versions from 9.0 on is told from the older one by what it has. */
__attribute__((constructor)) static void choose_interface(void)
{
    if (dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new") != NULL)
        qemu_plugin_version = 2;
}
