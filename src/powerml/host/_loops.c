/* Loops whose times tell of a processor: instructions of one class, chains of pointers, and streams.
 *
 * A loop's registers hold independent chains, so that its instructions wait for their units alone.
 * The loops of AArch64 ran in an emulator alone: no processor has told their times.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __x86_64__
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#endif

#define LINE_BYTES 64
#define HUGE_BYTES ((size_t)2 << 20)
#define OPERANDS 4096
#define CAPSULE "powerml.host._loops.memory"

/* Operands that no divider has a shortcut for: from each 64 bytes a vector of any width is read. */
static _Alignas(LINE_BYTES) unsigned char operands[OPERANDS];

static void fill_operands(void)
{
    static const double values[2] = {1.7, 1.3};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < LINE_BYTES / 4; j++)
            ((float *)(operands + i * LINE_BYTES))[j] = (float)values[i];
        for (int j = 0; j < LINE_BYTES / 8; j++)
            ((double *)(operands + (2 + i) * LINE_BYTES))[j] = values[i];
    }
}

enum feature { ALWAYS, AVX, FMA, AVX512 };

struct loop {
    const char *name;
    unsigned long instructions; /* of one round, but for the end of the loop */
    enum feature needs;
    void (*run)(uint64_t rounds);
};

/* `body` is repeated, and reads `operands` through %[m]. */
#define LOOP(name, begin, times, body, end)                                                       \
    static void name(uint64_t rounds)                                                             \
    {                                                                                             \
        __asm__ volatile(begin "\n" ALIGN "\n1:\n.rept " #times "\n" body "\n.endr\n" NEXT "\n" end \
                         : [n] "+r"(rounds)                                                       \
                         : [m] "r"(operands)                                                      \
                         : CLOBBERED);                                                            \
    }

#if defined(__x86_64__)

#define ALIGN ".p2align 6"
#define NEXT "dec %[n]\n jnz 1b"
#define CLOBBERED                                                                                 \
    "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", \
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",      \
        "xmm15", "cc", "memory"
#define NOP_10 ".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
#define EIGHT(op)                                                                                 \
    op("0", "%%rax") op("64", "%%rcx") op("128", "%%rdx") op("192", "%%r8") op("256", "%%r9")     \
        op("320", "%%r10") op("384", "%%r11") op("448", "%%r12")
#define TWELVE(op)                                                                                \
    op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") op("11")
#define SCALAR_LOAD(at, to) "mov " at "(%[m]), " to "\n"
#define READ_128(n) "movaps 64*" n "(%[m]), %%xmm" n "\n"
#define READ_256(n) "vmovaps 64*" n "(%[m]), %%ymm" n "\n"
#define READ_512(n) "vmovaps 64*" n "(%[m]), %%zmm" n "\n"
#define WRITE_128(n) "movaps %%xmm" n ", 1024+64*" n "(%[m])\n"
#define WRITE_256(n) "vmovaps %%ymm" n ", 1024+64*" n "(%[m])\n"
#define WRITE_512(n) "vmovaps %%zmm" n ", 1024+64*" n "(%[m])\n"
#define ADD_128(n) "addps %%xmm15, %%xmm" n "\n"
#define MUL_128(n) "mulps %%xmm13, %%xmm" n "\n"
#define ADD_256(n) "vaddps %%ymm14, %%ymm15, %%ymm" n "\n"
#define MUL_256(n) "vmulps %%ymm14, %%ymm15, %%ymm" n "\n"
#define FMA_128(n) "vfmadd231ps %%xmm14, %%xmm15, %%xmm" n "\n"
#define FMA_256(n) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" n "\n"
#define FMA_512(n) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" n "\n"
#define DIV_128(n) "movaps %%xmm14, %%xmm" n "\n divps %%xmm15, %%xmm" n "\n"
#define DIV_256(n) "vdivps %%ymm15, %%ymm14, %%ymm" n "\n"
#define DIV_256_F64(n) "vdivpd %%ymm15, %%ymm14, %%ymm" n "\n"
#define ZERO(n) "xorps %%xmm" n ", %%xmm" n "\n"
#define SSE_BEGIN TWELVE(ZERO) "movaps (%[m]), %%xmm14\n movaps 64(%[m]), %%xmm15\n" ONES
#define ONES "mov $0x3f800000, %%eax\n movd %%eax, %%xmm13\n shufps $0, %%xmm13, %%xmm13\n"
#define AVX_BEGIN TWELVE(ZERO) "vmovaps (%[m]), %%ymm14\n vmovaps 64(%[m]), %%ymm15\n"
#define F64_BEGIN "vmovaps 128(%[m]), %%ymm14\n vmovaps 192(%[m]), %%ymm15\n"
#define AVX512_BEGIN TWELVE(ZERO) "vmovaps (%[m]), %%zmm14\n vmovaps 64(%[m]), %%zmm15\n"
#define AVX_END "vzeroupper\n"

LOOP(chain, "xor %%eax, %%eax\n xor %%ecx, %%ecx", 64, "add %%rcx, %%rax", "")
/* What several kinds of units take together, so that no one kind is what limits it. */
LOOP(issue, SSE_BEGIN, 16,
     "add %%r12, %%rax\n mov (%[m]), %%r8\n paddd %%xmm14, %%xmm0\n add %%r12, %%rcx\n"
     "mov 64(%[m]), %%r9\n add %%r12, %%rdx\n add %%r12, %%r10\n mov 128(%[m]), %%r8\n"
     "paddd %%xmm14, %%xmm1\n add %%r12, %%r11\n mov 192(%[m]), %%r9\n paddd %%xmm14, %%xmm2",
     "")
LOOP(integer, "", 32,
     "add %%r12, %%rax\n add %%r12, %%rcx\n add %%r12, %%rdx\n"
     "add %%r12, %%r8\n add %%r12, %%r9\n add %%r12, %%r10",
     "")
/* 6 in 32 bytes, none at their end: with more some processors decode them again at every round. */
LOOP(branch, "clc", 20,
     ".p2align 5\n jc 3f\n jc 3f\n jc 3f\n" NOP_10 "jc 3f\n jc 3f\n jc 3f\n" NOP_10 "3:", "")
LOOP(load, "", 24, EIGHT(SCALAR_LOAD), "")
LOOP(load_128, "", 16, TWELVE(READ_128), "")
LOOP(load_256, "", 16, TWELVE(READ_256), AVX_END)
LOOP(load_512, "", 16, TWELVE(READ_512), AVX_END)
LOOP(store_128, SSE_BEGIN, 16, TWELVE(WRITE_128), "")
LOOP(store_256, AVX_BEGIN, 16, TWELVE(WRITE_256), AVX_END)
LOOP(store_512, AVX512_BEGIN, 16, TWELVE(WRITE_512), AVX_END)
LOOP(add_128, SSE_BEGIN, 16, TWELVE(ADD_128), "")
LOOP(mul_128, SSE_BEGIN, 16, TWELVE(MUL_128), "")
LOOP(add_256, AVX_BEGIN, 16, TWELVE(ADD_256), AVX_END)
LOOP(mul_256, AVX_BEGIN, 16, TWELVE(MUL_256), AVX_END)
LOOP(fma_128, AVX_BEGIN, 16, TWELVE(FMA_128), AVX_END)
LOOP(fma_256, AVX_BEGIN, 16, TWELVE(FMA_256), AVX_END)
LOOP(fma_512, AVX512_BEGIN, 16, TWELVE(FMA_512), AVX_END)
LOOP(divide_f32_128, SSE_BEGIN, 2, TWELVE(DIV_128), "")
LOOP(divide_f32_256, AVX_BEGIN, 2, TWELVE(DIV_256), AVX_END)
LOOP(divide_f64_256, F64_BEGIN, 2, TWELVE(DIV_256_F64), AVX_END)

static const struct loop loops[] = {
    {"chain", 64, ALWAYS, chain},
    {"issue", 192, ALWAYS, issue},
    {"integer", 192, ALWAYS, integer},
    {"branch", 120, ALWAYS, branch},
    {"load", 192, ALWAYS, load},
    {"load_128", 192, ALWAYS, load_128},
    {"load_256", 192, AVX, load_256},
    {"load_512", 192, AVX512, load_512},
    {"store_128", 192, ALWAYS, store_128},
    {"store_256", 192, AVX, store_256},
    {"store_512", 192, AVX512, store_512},
    {"add_128", 192, ALWAYS, add_128},
    {"mul_128", 192, ALWAYS, mul_128},
    {"add_256", 192, AVX, add_256},
    {"mul_256", 192, AVX, mul_256},
    {"fma_128", 192, FMA, fma_128},
    {"fma_256", 192, FMA, fma_256},
    {"fma_512", 192, AVX512, fma_512},
    {"divide_f32_128", 24, ALWAYS, divide_f32_128},
    {"divide_f32_256", 24, AVX, divide_f32_256},
    {"divide_f64_256", 24, AVX, divide_f64_256},
};

static int has(enum feature needed)
{
    switch (needed) {
    case AVX:
        return __builtin_cpu_supports("avx");
    case FMA:
        return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
    case AVX512:
        return __builtin_cpu_supports("avx512f");
    default:
        return 1;
    }
}

#define READ_LINES(name, one, two, end)                                                           \
    static const char *name(const char *from, uint64_t lines)                                     \
    {                                                                                             \
        __asm__ volatile("1:\n" one two "add $128, %[p]\n dec %[n]\n jnz 1b\n" end                  \
                         : [n] "+r"(lines), [p] "+r"(from)                                        \
                         :                                                                        \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "cc",  \
                           "memory");                                                             \
        return from;                                                                              \
    }

READ_LINES(pairs_by_128,
           "movaps (%[p]), %%xmm0\n movaps 16(%[p]), %%xmm1\n movaps 32(%[p]), %%xmm2\n"
           "movaps 48(%[p]), %%xmm3\n",
           "movaps 64(%[p]), %%xmm4\n movaps 80(%[p]), %%xmm5\n movaps 96(%[p]), %%xmm6\n"
           "movaps 112(%[p]), %%xmm7\n",
           "")
READ_LINES(pairs_by_256, "vmovaps (%[p]), %%ymm0\n vmovaps 32(%[p]), %%ymm1\n",
           "vmovaps 64(%[p]), %%ymm2\n vmovaps 96(%[p]), %%ymm3\n", AVX_END)
READ_LINES(pairs_by_512, "vmovaps (%[p]), %%zmm0\n", "vmovaps 64(%[p]), %%zmm1\n", AVX_END)

static const char *read_pairs(const char *from, uint64_t pairs, int bits)
{
    if (bits == 512 && has(AVX512))
        return pairs_by_512(from, pairs);
    if (bits >= 256 && has(AVX))
        return pairs_by_256(from, pairs);
    return pairs_by_128(from, pairs);
}

#elif defined(__aarch64__)

#define ALIGN ".p2align 6"
#define NEXT "subs %[n], %[n], #1\n b.ne 1b"
#define CLOBBERED                                                                                 \
    "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "v0", "v1", "v2", "v3", "v4", "v5",     \
        "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "cc", "memory"
#define EIGHT(op)                                                                                 \
    op("0", "x8") op("64", "x9") op("128", "x10") op("192", "x11") op("256", "x12")               \
        op("320", "x13") op("384", "x14") op("448", "x15")
#define TWELVE(op)                                                                                \
    op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("16") op("17") op("18")    \
        op("19")
#define SCALAR_LOAD(at, to) "ldr " to ", [%[m], #" at "]\n"
#define READ_128(n) "ldr q" n ", [%[m], #64*" n "]\n"
#define WRITE_128(n) "str q" n ", [%[m], #1536+64*" n "]\n"
#define ADD_128(n) "fadd v" n ".4s, v20.4s, v21.4s\n"
#define MUL_128(n) "fmul v" n ".4s, v20.4s, v21.4s\n"
#define FMA_128(n) "fmla v" n ".4s, v20.4s, v21.4s\n"
#define DIV_128(n) "fdiv v" n ".4s, v20.4s, v21.4s\n"
#define ZERO(n) "movi v" n ".4s, #0\n"
#define BEGIN TWELVE(ZERO) "ldr q20, [%[m]]\n ldr q21, [%[m], #64]\n"

LOOP(chain, "mov x8, #0\n mov x9, #0", 64, "add x8, x8, x9", "")
/* What several kinds of units take together, so that no one kind is what limits it. */
LOOP(issue, BEGIN "mov x15, #0\n", 16,
     "add x8, x8, x15\n ldr x13, [%[m]]\n add v0.4s, v0.4s, v20.4s\n add x9, x9, x15\n"
     "ldr x14, [%[m], #64]\n add x10, x10, x15\n add x11, x11, x15\n ldr x13, [%[m], #128]\n"
     "add v1.4s, v1.4s, v20.4s\n add x12, x12, x15\n ldr x14, [%[m], #192]\n"
     "add v2.4s, v2.4s, v20.4s",
     "")
LOOP(integer, "mov x15, #0\n", 32,
     "add x8, x8, x15\n add x9, x9, x15\n add x10, x10, x15\n"
     "add x11, x11, x15\n add x12, x12, x15\n add x13, x13, x15",
     "")
LOOP(branch, "mov x8, #0\n", 8, ".rept 15\n cbnz x8, 3f\n.endr\n3:", "")
LOOP(load, "", 24, EIGHT(SCALAR_LOAD), "")
LOOP(load_128, "", 16, TWELVE(READ_128), "")
LOOP(store_128, BEGIN, 16, TWELVE(WRITE_128), "")
LOOP(add_128, BEGIN, 16, TWELVE(ADD_128), "")
LOOP(mul_128, BEGIN, 16, TWELVE(MUL_128), "")
LOOP(fma_128, BEGIN, 16, TWELVE(FMA_128), "")
LOOP(divide_f32_128, BEGIN, 2, TWELVE(DIV_128), "")

static const struct loop loops[] = {
    {"chain", 64, ALWAYS, chain},
    {"issue", 192, ALWAYS, issue},
    {"integer", 192, ALWAYS, integer},
    {"branch", 120, ALWAYS, branch},
    {"load", 192, ALWAYS, load},
    {"load_128", 192, ALWAYS, load_128},
    {"store_128", 192, ALWAYS, store_128},
    {"add_128", 192, ALWAYS, add_128},
    {"mul_128", 192, ALWAYS, mul_128},
    {"fma_128", 192, ALWAYS, fma_128},
    {"divide_f32_128", 24, ALWAYS, divide_f32_128},
};

static int has(enum feature needed)
{
    return needed == ALWAYS;
}

static const char *read_pairs(const char *from, uint64_t pairs, int bits)
{
    (void)bits;
    __asm__ volatile("1:\n ldp q0, q1, [%[p]]\n ldp q2, q3, [%[p], #32]\n ldp q4, q5, [%[p], #64]\n"
                     "ldp q6, q7, [%[p], #96]\n add %[p], %[p], #128\n"
                     "subs %[n], %[n], #1\n b.ne 1b\n"
                     : [n] "+r"(pairs), [p] "+r"(from)
                     :
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "cc", "memory");
    return from;
}

#else
#error "there are loops for x86-64 and AArch64 alone"
#endif

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static PyObject *loops_of(PyObject *self, PyObject *unused)
{
    PyObject *found = PyDict_New();
    if (found == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        if (!has(loops[i].needs))
            continue;
        PyObject *number = PyLong_FromUnsignedLong(loops[i].instructions);
        if (number == NULL || PyDict_SetItemString(found, loops[i].name, number) < 0) {
            Py_XDECREF(number);
            Py_DECREF(found);
            return NULL;
        }
        Py_DECREF(number);
    }
    return found;
}

static PyObject *run(PyObject *self, PyObject *args)
{
    const char *name;
    unsigned long long rounds;
    if (!PyArg_ParseTuple(args, "sK", &name, &rounds))
        return NULL;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(loops[i].name, name) != 0 || !has(loops[i].needs) || rounds == 0)
            continue;
        int64_t started = nanoseconds();
        loops[i].run(rounds);
        return PyLong_FromLongLong(nanoseconds() - started);
    }
    return PyErr_Format(PyExc_ValueError, "no loop %s of %llu rounds", name, rounds);
}

/* Memory with a random cycle through all its lines, and where the next chase and stream begin. */
struct memory {
    char *mapping, *lines;
    size_t mapped_bytes, size_bytes, read_bytes;
    void **at;
};

static void release(PyObject *capsule)
{
    struct memory *memory = PyCapsule_GetPointer(capsule, CAPSULE);
    munmap(memory->mapping, memory->mapped_bytes);
    free(memory);
}

static uint64_t random_below(uint64_t *state, uint64_t most)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % most;
}

/* Sattolo's shuffle: one cycle through all lines, in an order that no prefetcher foresees. */
static int link_lines(struct memory *memory)
{
    size_t count = memory->size_bytes / LINE_BYTES;
    uint32_t *order = malloc(count * sizeof *order);
    uint64_t state = 0x9e3779b97f4a7c15;
    if (order == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = random_below(&state, i);
        uint32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i < count; i++)
        *(void **)(memory->lines + (size_t)order[i] * LINE_BYTES) =
            memory->lines + (size_t)order[(i + 1) % count] * LINE_BYTES;
    free(order);
    return 0;
}

static PyObject *allocate(PyObject *self, PyObject *args)
{
    Py_ssize_t size_bytes;
    if (!PyArg_ParseTuple(args, "n", &size_bytes))
        return NULL;
    if (size_bytes < 4 * LINE_BYTES || size_bytes % (2 * LINE_BYTES) != 0 ||
        size_bytes / LINE_BYTES > UINT32_MAX)
        return PyErr_Format(PyExc_ValueError, "no memory of %zd bytes", size_bytes);
    struct memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return PyErr_NoMemory();
    memory->size_bytes = (size_t)size_bytes;
    memory->mapped_bytes = memory->size_bytes + 2 * HUGE_BYTES;
    memory->mapping = mmap(NULL, memory->mapped_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory->mapping == MAP_FAILED) {
        free(memory);
        return PyErr_NoMemory();
    }
    memory->lines = (char *)(((uintptr_t)memory->mapping + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
    /* A whole page for the rest of the memory too. Where there are no huge pages small ones do. */
    size_t rounded = (memory->size_bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    madvise(memory->lines, rounded, MADV_HUGEPAGE);
    memory->at = (void **)memory->lines;
    PyObject *capsule = NULL;
    if (link_lines(memory) == 0)
        capsule = PyCapsule_New(memory, CAPSULE, release);
    else
        PyErr_NoMemory();
    if (capsule == NULL) {
        munmap(memory->mapping, memory->mapped_bytes);
        free(memory);
    }
    return capsule;
}

static PyObject *chase(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    unsigned long long accesses;
    if (!PyArg_ParseTuple(args, "OK", &capsule, &accesses))
        return NULL;
    struct memory *memory = PyCapsule_GetPointer(capsule, CAPSULE);
    if (memory == NULL)
        return NULL;
    void *volatile *at = memory->at;
    int64_t started = nanoseconds();
    for (unsigned long long i = 0; i < accesses; i += 8) {
        at = *at, at = *at, at = *at, at = *at;
        at = *at, at = *at, at = *at, at = *at;
    }
    int64_t ended = nanoseconds();
    memory->at = (void **)at;
    return PyLong_FromLongLong(ended - started);
}

static PyObject *stream(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    Py_ssize_t size_bytes;
    int bits;
    if (!PyArg_ParseTuple(args, "Oni", &capsule, &size_bytes, &bits))
        return NULL;
    struct memory *memory = PyCapsule_GetPointer(capsule, CAPSULE);
    if (memory == NULL)
        return NULL;
    if (size_bytes < 2 * LINE_BYTES || (size_t)size_bytes > memory->size_bytes ||
        size_bytes % (2 * LINE_BYTES) != 0)
        return PyErr_Format(PyExc_ValueError, "no stream of %zd bytes", size_bytes);
    if (memory->read_bytes + (size_t)size_bytes > memory->size_bytes)
        memory->read_bytes = 0;
    const char *from = memory->lines + memory->read_bytes;
    int64_t started = nanoseconds();
    const char *to = read_pairs(from, (uint64_t)size_bytes / (2 * LINE_BYTES), bits);
    int64_t ended = nanoseconds();
    memory->read_bytes += (size_t)(to - from);
    return PyLong_FromLongLong(ended - started);
}

/* The caches by CPUID, where the system does not tell them: level, kind, bytes, ways, line. */
static PyObject *cpuid_caches(PyObject *self, PyObject *unused)
{
    PyObject *found = PyList_New(0);
#ifdef __x86_64__
    static const unsigned leaves[] = {4, 0x8000001D};
    for (size_t i = 0; found != NULL && i < 2 && PyList_Size(found) == 0; i++) {
        for (unsigned number = 0; number < 16; number++) {
            unsigned a, b, c, d;
            if (!__get_cpuid_count(leaves[i], number, &a, &b, &c, &d) || (a & 31) == 0)
                break;
            unsigned line = (b & 0xfff) + 1, parts = ((b >> 12) & 0x3ff) + 1;
            unsigned ways = (b >> 22) + 1;
            unsigned long long size = (unsigned long long)line * parts * ways * (c + 1ULL);
            PyObject *one = Py_BuildValue("IIKII", (a >> 5) & 7, a & 31, size, ways, line);
            if (one == NULL || PyList_Append(found, one) < 0)
                Py_CLEAR(found);
            Py_XDECREF(one);
            if (found == NULL)
                break;
        }
    }
#endif
    return found;
}

#ifdef __x86_64__

/* Features of leaf 7 and its second part that the simulator has not: AVX-512 in all its parts, and
 * products of bytes in vectors. */
static const unsigned hidden_b = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 |
                                 1u << 30 | 1u << 31;
static const unsigned hidden_c = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const unsigned hidden_d = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const unsigned hidden_1_a = 1u << 4 | 1u << 5;

/* Answer the instruction CPUID, which the kernel lets fail. Other faults end the process as ever. */
static void answer_cpuid(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    unsigned a, b, c, d, leaf = (unsigned)registers[REG_RAX], part = (unsigned)registers[REG_RCX];
    (void)info;
    if (code[0] != 0x0f || code[1] != 0xa2) {
        signal(number, SIG_DFL);
        return;
    }
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __cpuid_count(leaf, part, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && part == 0)
        b &= ~hidden_b, c &= ~hidden_c, d &= ~hidden_d;
    if (leaf == 7 && part == 1)
        a &= ~hidden_1_a;
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

#endif

static PyObject *hide_wide_vectors(PyObject *self, PyObject *unused)
{
#if defined(__x86_64__) && defined(ARCH_SET_CPUID)
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = answer_cpuid;
    action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGSEGV, &action, NULL) == 0 && syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) == 0)
        Py_RETURN_TRUE;
    signal(SIGSEGV, SIG_DFL);
#endif
    Py_RETURN_FALSE;
}

static PyMethodDef methods[] = {
    {"loops", loops_of, METH_NOARGS,
     "The loops that this processor can run, with the instructions of one round."},
    {"run", run, METH_VARARGS, "run(name, rounds): nanoseconds that a loop takes."},
    {"allocate", allocate, METH_VARARGS,
     "allocate(size_bytes): memory to chase and to stream, in huge pages where there are any."},
    {"chase", chase, METH_VARARGS,
     "chase(memory, accesses): nanoseconds of accesses that wait for each other."},
    {"stream", stream, METH_VARARGS,
     "stream(memory, size_bytes, bits): nanoseconds of reading line after line by vectors."},
    {"cpuid_caches", cpuid_caches, METH_NOARGS,
     "Level, kind (1 data, 2 instructions, 3 both), bytes, ways and line of each cache."},
    {"hide_wide_vectors", hide_wide_vectors, METH_NOARGS,
     "Hide AVX-512 from what this process loads later; false where the processor cannot."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_loops", "Loops whose times tell of a processor.", -1, methods,
};

PyMODINIT_FUNC PyInit__loops(void)
{
    fill_operands();
    return PyModule_Create(&module);
}
