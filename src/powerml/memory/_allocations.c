/* Counts what a process allocates, between its code and the C library.
 *
 * It is preloaded into one process of powerML's own (LD_PRELOAD), which asks it through ctypes.
 * The heap counts at the size that the C library gives, and mappings at theirs. The C library's
 * own mappings, such as those behind its heap and the stacks of threads, do not pass here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define MOST_MAPPINGS 8192
#define EARLY_BYTES 65536
#define PAGE 4096

typedef struct {
    uintptr_t start, end;
} Mapping;

static long long now_bytes, peak_bytes;
static Mapping mappings[MOST_MAPPINGS];
static int mapping_count, lost_mappings;
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

/* What is allocated while the C library's functions are looked up. */
static char early[EARLY_BYTES] __attribute__((aligned(16)));
static size_t early_used;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static void *(*real_memalign)(size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off64_t);
static int (*real_munmap)(void *, size_t);
static void *(*real_mremap)(void *, size_t, size_t, int, ...);
static int looking_up;

static void look_up(void) {
    looking_up = 1;
    real_calloc = dlsym(RTLD_NEXT, "calloc");
    real_realloc = dlsym(RTLD_NEXT, "realloc");
    real_free = dlsym(RTLD_NEXT, "free");
    real_memalign = dlsym(RTLD_NEXT, "memalign");
    real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    real_mmap = dlsym(RTLD_NEXT, "mmap64");
    real_munmap = dlsym(RTLD_NEXT, "munmap");
    real_mremap = dlsym(RTLD_NEXT, "mremap");
    real_malloc = dlsym(RTLD_NEXT, "malloc");
    looking_up = 0;
}

static void *early_bytes(size_t size) {
    size_t place = (early_used + 15) & ~(size_t)15;
    if (place + size > EARLY_BYTES) return NULL;
    early_used = place + size;
    return early + place;
}

static int is_early(const void *pointer) {
    return (const char *)pointer >= early && (const char *)pointer < early + EARLY_BYTES;
}

static void add(long long bytes) {
    long long now = __atomic_add_fetch(&now_bytes, bytes, __ATOMIC_RELAXED);
    long long peak = __atomic_load_n(&peak_bytes, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(
        &peak_bytes, &peak, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void *added(void *pointer) {
    if (pointer != NULL) add((long long)malloc_usable_size(pointer));
    return pointer;
}

void *malloc(size_t size) {
    if (real_malloc == NULL) {
        if (looking_up) return early_bytes(size);
        look_up();
    }
    return added(real_malloc(size));
}

void *calloc(size_t count, size_t size) {
    if (real_malloc == NULL) {
        /* The early bytes are zeros, and each is given out once. */
        if (looking_up) return early_bytes(count * size);
        look_up();
    }
    return added(real_calloc(count, size));
}

void free(void *pointer) {
    if (pointer == NULL || is_early(pointer)) return;
    if (real_malloc == NULL) look_up();
    add(-(long long)malloc_usable_size(pointer));
    real_free(pointer);
}

void *realloc(void *pointer, size_t size) {
    if (pointer == NULL) return malloc(size);
    if (is_early(pointer)) {
        size_t rest = (size_t)(early + EARLY_BYTES - (char *)pointer);
        void *copy = malloc(size);
        if (copy != NULL) memcpy(copy, pointer, size < rest ? size : rest);
        return copy;
    }
    if (real_malloc == NULL) look_up();
    long long before = (long long)malloc_usable_size(pointer);
    void *moved = real_realloc(pointer, size);
    if (moved != NULL) add((long long)malloc_usable_size(moved) - before);
    else if (size == 0) add(-before);
    return moved;
}

void *reallocarray(void *pointer, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(pointer, bytes);
}

void *memalign(size_t alignment, size_t size) {
    if (real_malloc == NULL) look_up();
    return added(real_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    if (real_malloc == NULL) look_up();
    return added(real_aligned_alloc(alignment, size));
}

int posix_memalign(void **pointer, size_t alignment, size_t size) {
    if (real_malloc == NULL) look_up();
    int failed = real_posix_memalign(pointer, alignment, size);
    if (!failed) added(*pointer);
    return failed;
}

static size_t whole_pages(size_t length) {
    return (length + PAGE - 1) / PAGE * PAGE;
}

static void add_mapping(void *start, size_t length) {
    if (mapping_count == MOST_MAPPINGS) {
        lost_mappings = 1;
        return;
    }
    mappings[mapping_count++] = (Mapping){(uintptr_t)start, (uintptr_t)start + length};
    add((long long)length);
}

/* Forget what of the known mappings lies in a range: all, an end, or a hole. */
static void remove_range(uintptr_t start, uintptr_t end) {
    for (int number = mapping_count - 1; number >= 0; number--) {
        Mapping one = mappings[number];
        uintptr_t low = one.start > start ? one.start : start;
        uintptr_t high = one.end < end ? one.end : end;
        if (low >= high) continue;
        add(-(long long)(high - low));
        mappings[number] = mappings[--mapping_count];
        if (one.start < low) mappings[mapping_count++] = (Mapping){one.start, low};
        if (high < one.end) {
            if (mapping_count < MOST_MAPPINGS)
                mappings[mapping_count++] = (Mapping){high, one.end};
            else
                lost_mappings = 1;
        }
    }
}

void *mmap64(void *wanted, size_t length, int protection, int flags, int file, off64_t offset) {
    if (real_malloc == NULL) look_up();
    void *start = real_mmap(wanted, length, protection, flags, file, offset);
    if (start == MAP_FAILED) return start;
    pthread_mutex_lock(&mappings_lock);
    if (flags & MAP_FIXED)
        remove_range((uintptr_t)start, (uintptr_t)start + whole_pages(length));
    /* Addresses alone take no memory: they count when they are mapped to be used. */
    if (protection != PROT_NONE) add_mapping(start, whole_pages(length));
    pthread_mutex_unlock(&mappings_lock);
    return start;
}

void *mmap(void *wanted, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap64(wanted, length, protection, flags, file, (off64_t)offset);
}

int munmap(void *start, size_t length) {
    if (real_malloc == NULL) look_up();
    pthread_mutex_lock(&mappings_lock);
    int failed = real_munmap(start, length);
    if (!failed) remove_range((uintptr_t)start, (uintptr_t)start + whole_pages(length));
    pthread_mutex_unlock(&mappings_lock);
    return failed;
}

void *mremap(void *start, size_t before, size_t after, int flags, ...) {
    if (real_malloc == NULL) look_up();
    va_list rest;
    va_start(rest, flags);
    void *wanted = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
    va_end(rest);
    pthread_mutex_lock(&mappings_lock);
    void *moved = real_mremap(start, before, after, flags, wanted);
    if (moved != MAP_FAILED) {
        remove_range((uintptr_t)start, (uintptr_t)start + whole_pages(before));
        add_mapping(moved, whole_pages(after));
    }
    pthread_mutex_unlock(&mappings_lock);
    return moved;
}

/* Bytes that are allocated now. The peak starts again from here. */
long long powerml_allocated_now(void) {
    long long now = __atomic_load_n(&now_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&peak_bytes, now, __ATOMIC_RELAXED);
    return now;
}

/* The most bytes that were allocated since, or -1 if there were too many mappings to follow. */
long long powerml_allocated_peak(void) {
    return lost_mappings ? -1 : __atomic_load_n(&peak_bytes, __ATOMIC_RELAXED);
}
