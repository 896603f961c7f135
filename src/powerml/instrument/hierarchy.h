/* Memory hierarchies, and counters of what a program does to them.
 *
 * A program is seen as two streams: the pieces of straight code that it executes, and the addresses
 * of their data accesses. What is known of a piece without running it is described once: its
 * instructions by class, the lines of its code, size and direction of each access.
 *
 * Nothing here depends on who delivers the stream, nor on a C library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef POWERML_HIERARCHY_H
#define POWERML_HIERARCHY_H

#include <stddef.h>
#include <stdint.h>

/* Directions of an access. MODIFY reads and writes one place by one instruction. */
enum direction { FETCH, READ, WRITE, MODIFY, DIRECTIONS };

/* Counters of the misses of a cache: by direction, then those of data that continue a stream. The
 * line before or after such a one was among the last that missed the first level. */
enum { STREAMED = DIRECTIONS, MISS_COUNTERS };

/* Each instruction is of one class. Widths are those of the vectors that it works on, in bits. */
enum instruction_class {
    MOVES,
    INTEGER,
    BRANCHES,
    FLOAT_SCALAR,
    FLOAT_128,
    FLOAT_256,
    INTEGER_128,
    INTEGER_256,
    FMA_SCALAR,
    FMA_128,
    FMA_256,
    DIVISIONS, /* square roots too */
    CLASSES
};

/* Counters of one scope, in this order: instructions by class, the two kinds of operations, data
 * accesses by direction, then the MISS_COUNTERS of each cache. */
enum counter {
    FLOAT_OPERATIONS = CLASSES,
    INTEGER_OPERATIONS,
    READS,
    WRITES,
    MODIFIES,
    FIXED_COUNTERS
};

enum { MOST_FRONTS = 16, MOST_LOWER = 16, MOST_DEPTH = 256, NAME_BYTES = 256 };

enum status {
    STATUS_FINE = 0,
    STATUS_POPPED_TWICE = 1,
    STATUS_TOO_DEEP = 2,
    STATUS_FORKED_IN_SCOPE = 4,
    STATUS_THREAD_IN_SCOPE = 8,
    STATUS_NO_MEMORY = 16,
    STATUS_NO_SPACE = 32 /* where counters are to be read into */
};

struct cache_shape {
    uint64_t size_bytes;
    uint32_t ways;
    uint32_t line_bytes;
};

/* An instruction fetch. */
struct fetch {
    uint64_t address;
    uint32_t last_byte; /* its size less one */
    uint32_t before;    /* the data access before which it happens */
};

/* A data access as it is known of a piece. */
struct access {
    uint8_t last_byte; /* its size less one */
    uint8_t direction;
    uint8_t is_conditional; /* its address is 0 where it was not done */
};

/* How much a piece may hold, and how much may be run at once. */
enum {
    MOST_LINES = 64,
    LONGEST_PIECE_BYTES = 16 * (MOST_LINES - 1), /* in the shortest lines that there may be */
    MOST_ACCESSES = 1024,
    MOST_RUN = 8192 /* pieces and accesses together */
};

struct function;

/* A piece of straight code without gaps. What has happened to it is since the counters were brought
 * up to date, which reading, setting to zero and entering or leaving a scope do. What every
 * execution looks at stands first, and the rest apart. */
struct piece {
    uint64_t executions;
    uint64_t first_line;
    uint16_t line_count, access_count;
    uint8_t is_unusual; /* it has many accesses, or conditional ones */
    uint8_t is_watched; /* it begins a segment */
    uint8_t is_known;   /* it was run while code was learnt, 0 until it is asked for */
    struct cold_piece *cold;
    uint8_t last_bytes[]; /* by access its size less one */
};

/* What only matters where a cache misses, or when counters are brought up to date. */
struct cold_piece {
    uint64_t address, last_byte, hash;
    struct piece *next;
    struct function *function;        /* NULL until it is asked for */
    const struct fetch *fetch_of_line; /* by line the first fetch that touches it */
    const struct access *accesses;
    const uint32_t *adds;             /* what an execution adds to the fixed counters */
    uint32_t *missed;                 /* by cache its MISS_COUNTERS */
    uint32_t conditional[DIRECTIONS]; /* conditional accesses that were done */
};

struct simulation;

/* All memory is asked for here and never given back; NULL where there is none. */
typedef void *(*allocate)(size_t bytes);

/* Name the function of an address; the name is copied. */
typedef void (*name_function)(uint64_t address, char *function, char *library, size_t bytes);

struct simulation *simulation_make(allocate allocate);

/* Add a first level. Returns its number, or -1: no room, no memory, or no such cache. */
int simulation_add_front(struct simulation *, struct cache_shape instructions,
                         struct cache_shape data);

/* Add a level to the front that was added last. It is asked when `above` has missed: -1 for the
 * first level, or the number of a lower level. Returns its number within the front, or -1. */
int simulation_add_lower(struct simulation *, struct cache_shape, int above);

/* No caches are added after this. Returns 0, or -1 where there is no memory. */
int simulation_begin(struct simulation *);

/* The bytes of the shortest line: what a fetch must leave to be told. */
uint32_t simulation_line_bytes(const struct simulation *);

/* Describe a piece of code by its fetches without gaps, one at least, its accesses and
 * FIXED_COUNTERS numbers. Returns the one that is already known where there is an equal one.
 * NULL: no memory, or too long. */
struct piece *simulation_piece(struct simulation *, const struct fetch *fetches,
                               uint32_t fetch_count, const struct access *accesses,
                               uint32_t access_count, const uint32_t *adds);

/* Run what a program has executed, and the addresses of its accesses in order. The pieces lie
 * backwards in memory from the first one, so that one room serves both. */
void simulation_run(struct simulation *, struct piece *const *first_piece, uint32_t piece_count,
                    const uint64_t *addresses);

/* The number of counters of a scope. */
uint32_t simulation_counters(const struct simulation *);

/* Write the counters of all scopes together. */
void simulation_read(struct simulation *, uint64_t *counters);

/* Set all counters to zero. The caches stay as they are, and open scopes stay open. */
void simulation_zero(struct simulation *);

/* Empty the caches. The counters stay as they are. */
void simulation_empty(struct simulation *);

/* Have everything that follows charged to a scope inside the open one. */
void simulation_push(struct simulation *, const char *name);
void simulation_pop(struct simulation *);

/* Begin a segment of the open scope, at the end of the one before. NULL begins none. A scope's last
 * segment ends with it. Segments of one name are one scope. What runs in a segment called UNCOUNTED
 * leaves the counters and the caches as they are. */
#define UNCOUNTED "uncounted"
void simulation_segment(struct simulation *, const char *name);

/* From now on code at these addresses, in ascending order, begins a segment each time that it is
 * run: "entry I N" at address number I, the Nth of all. They are copied. */
void simulation_watch(struct simulation *, const uint64_t *addresses, size_t count);

/* Learn the code that is run from now on, or no more. */
void simulation_learn(struct simulation *, int learns);

/* From now on charge code that was not learnt to the scope "unknown", with all that it calls beyond
 * the addresses from `from` to before `until`; where both are 0, no more. So what a program does
 * only while it is profiled is told apart from what it does anyway. */
void simulation_sift(struct simulation *, uint64_t from, uint64_t until);
uint32_t simulation_depth(const struct simulation *);

/* What has gone wrong since the counters were set to zero: a sum of `enum status`. */
uint32_t simulation_status(const struct simulation *);
void simulation_fail(struct simulation *, enum status);

/* From now on charge to functions too; until then nobody pays for that. */
void simulation_attribute(struct simulation *, name_function);

/* Write as text, a line each: the scopes, then what each function has cost in each scope. Tabs
 * separate the fields. Returns the bytes that it takes; writes no more than there is room for. */
size_t simulation_tell(struct simulation *, char *text, size_t room);

#endif
