/* Memory hierarchies and counters: see hierarchy.h.
 *
 * Caches are as Cachegrind's: least recently used, writes allocate, an access that straddles lines
 * misses once, and a miss is passed on whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hierarchy.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

enum { BUCKETS = 1 << 14, FIRST_LEVEL = -1, USUAL_LINE_SHIFT = 6 };

static const uint64_t NO_LINE = UINT64_MAX; /* none has this number */
static const uint64_t START = 0xcbf29ce484222325ull; /* of FNV-1a hashes */

/* Misses of a piece are kept in 32 bits: after so many executions none can have more. */
static const uint64_t MOST_EXECUTIONS = (1ull << 32) / MOST_ACCESSES - MOST_RUN;

/* The first level of the processor that simulates holds so many places where lines were found, and
 * the tags. A first level that is simulated has no more lines than a place can tell. */
enum { FOUND_SLOTS = 1 << 11, MOST_SLOTS = 1 << 16 };

/* No access of the longest kind touches more of the shortest lines. */
enum { SHORTEST_LINE_BYTES = 16, MOST_LINES_OF_AN_ACCESS = 256 / SHORTEST_LINE_BYTES + 1 };

/* Bytes that are copied at once: the accesses of most pieces. How many pieces are looked past at
 * once for that of an access that missed. */
enum { AT_ONCE = 8, STRIDE = 8 };

/* What large programs execute does not fit the processor's own caches: a piece is asked for so many
 * executions before it is its turn, and a set of a lower level when its turn is known to come. */
/* Code is learnt by granules of so many bytes. */
enum { GRANULE_SHIFT = 4, LEARNT = 1 << 18 };
/* So few known pieces in a row are called by what is not known. */
enum { FEWEST_KNOWN = 64 };
enum { NUMBER_BYTES = 20 }; /* the digits of 64 bits */
enum { AHEAD = 16, TAGS_OF_A_LINE = 64 / sizeof(uint64_t) };

/* As many lines are remembered as a prefetcher follows streams: 32 of Intel's second level, one
 * forward or backward in each page (Intel's optimization reference manual, "Data Prefetching"). */
enum { RECENT = 32 };

struct cache {
    uint64_t *tags; /* of each set the numbers of its lines */
    uint64_t set_mask;
    uint32_t ways;
    uint32_t line_bytes;
    uint32_t shift; /* from the number of one of the shortest lines to that of its own */
    uint32_t row;   /* of its misses by direction, in a piece's and in the counters */
};

/* A first level, for which every access is looked up: where a line was found last is where it is
 * looked for first, and a hit leaves no more than the time. */
struct first_level {
    struct cache cache;
    uint64_t *used;       /* by way of each set, when it was used last */
    uint16_t *found_slot; /* by the last bits of a line's number its place among the tags */
    uint64_t now;
};

struct lower {
    struct cache cache;
    int above;
};

struct front {
    struct first_level instructions, data;
    uint32_t recent[RECENT]; /* lines of data that missed the first level last, their low bits */
    uint32_t oldest;         /* of them */
    uint32_t is_usual; /* its lines are of the usual length, and none is shorter */
    uint32_t lower_count;
    struct lower lower[MOST_LOWER];
};

/* A fetch that missed the first level. */
struct missed_fetch {
    struct piece *piece;
    const struct fetch *fetch;
    uint32_t before; /* the data access of the run before which it happened */
};

/* What is known of a run between its passes. */
struct running {
    uint8_t last_bytes[MOST_RUN + AT_ONCE];
    uint32_t first_access[MOST_RUN + 1]; /* by piece */
    struct missed_fetch fetches[MOST_RUN * MOST_LINES];
    uint32_t fetch_count;
    uint32_t accesses[MOST_RUN]; /* those that missed the first level */
    uint32_t access_count;
};

struct scope {
    char name[NAME_BYTES];
    struct scope *parent, *next;
    uint64_t entries;
    uint64_t *counters;
    uint32_t number;
    int is_segment, is_uncounted;
};

struct function {
    char name[NAME_BYTES], library[NAME_BYTES];
    struct function *next;
};

/* What one function has cost in one scope. */
struct charge {
    struct scope *scope;
    struct function *function;
    uint64_t *counters;
    struct charge *next, *next_of_all;
};

struct simulation {
    allocate allocate;
    struct front fronts[MOST_FRONTS];
    uint32_t front_count, cache_count;
    uint32_t line_shift; /* of the shortest line of all caches */
    uint64_t executions; /* since the counters were brought up to date */
    struct running running;
    struct piece *pieces[BUCKETS];
    struct piece **executed; /* those with executions that are not in the counters yet */
    size_t executed_count, executed_room;
    struct scope *root, *last_scope, *open;
    uint32_t scope_count, depth;
    name_function name_function;
    struct function *functions[BUCKETS];
    struct charge *charges[BUCKETS], *first_charge, **last_charge;
    uint64_t *watched; /* addresses, ascending */
    size_t watched_count;
    uint64_t entries; /* to them */
    uint64_t *learnt; /* the numbers of granules of code, by hash; 0: none */
    uint64_t sifted_from, sifted_until;
    struct scope *unknown;
    int learns, is_unknown; /* what runs is not known */
    uint32_t status;
};

/* --- memory, text and hashes ----------------------------------------------------------------- */

static void *cleared(struct simulation *simulation, size_t bytes)
{
    size_t words = bytes / 8 + 1;
    uint64_t *memory = simulation->allocate(words * 8);
    if (memory == NULL) {
        simulation->status |= STATUS_NO_MEMORY;
        return NULL;
    }
    for (size_t i = 0; i < words; i++)
        memory[i] = 0;
    return memory;
}

static void copy_name(char *to, const char *from)
{
    size_t length = 0;
    for (; length < NAME_BYTES - 1 && from[length] != '\0'; length++) {
        char letter = from[length];
        to[length] = letter == '\t' || letter == '\n' ? ' ' : letter;
    }
    to[length] = '\0';
}

static int equal_names(const char *one, const char *other)
{
    size_t i = 0;
    while (one[i] == other[i] && one[i] != '\0')
        i++;
    return one[i] == other[i];
}

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    /* FNV-1a on words: http://www.isthe.com/chongo/tech/comp/fnv/ gives the prime. */
    return (hash ^ value) * 0x100000001b3ull;
}

static uint64_t mixed_name(uint64_t hash, const char *name)
{
    for (; *name != '\0'; name++)
        hash = mixed(hash, (unsigned char)*name);
    return hash;
}

static size_t bucket(uint64_t hash)
{
    return (hash ^ hash >> 32) % BUCKETS;
}

/* --- text ---------------------------------------------------------------------------------------- */

struct text {
    char *start;
    size_t room, length; /* the length may be beyond the room: nothing is written there */
};

static void put(struct text *text, char letter)
{
    if (text->length < text->room)
        text->start[text->length] = letter;
    text->length++;
}

static void put_text(struct text *text, const char *words)
{
    while (*words != '\0')
        put(text, *words++);
}

static void put_number(struct text *text, uint64_t number)
{
    char digits[NUMBER_BYTES];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        put(text, digits[--count]);
}

/* --- counters, scopes and functions ---------------------------------------------------------- */

uint32_t simulation_counters(const struct simulation *simulation)
{
    return FIXED_COUNTERS + simulation->cache_count * MISS_COUNTERS;
}

static uint64_t *make_counters(struct simulation *simulation)
{
    return cleared(simulation, simulation_counters(simulation) * sizeof(uint64_t));
}

static void add_piece(const struct simulation *simulation, const struct piece *piece,
                      uint64_t *counters)
{
    const struct cold_piece *cold = piece->cold;
    for (uint32_t i = 0; i < FIXED_COUNTERS; i++)
        counters[i] += piece->executions * cold->adds[i];
    counters[READS] += cold->conditional[READ];
    counters[WRITES] += cold->conditional[WRITE];
    counters[MODIFIES] += cold->conditional[MODIFY];
    for (uint32_t i = 0; i < simulation->cache_count * MISS_COUNTERS; i++)
        counters[FIXED_COUNTERS + i] += cold->missed[i];
}

static void forget_executions(const struct simulation *simulation, struct piece *piece)
{
    piece->executions = 0;
    for (uint32_t i = 0; i < DIRECTIONS; i++)
        piece->cold->conditional[i] = 0;
    for (uint32_t i = 0; i < simulation->cache_count * MISS_COUNTERS; i++)
        piece->cold->missed[i] = 0;
}

/* Find or make the function that a piece is charged to; NULL: no memory. */
static struct function *function_of(struct simulation *simulation, struct cold_piece *piece)
{
    if (piece->function != NULL)
        return piece->function;
    char name[NAME_BYTES] = "", library[NAME_BYTES] = "";
    simulation->name_function(piece->address, name, library, NAME_BYTES);
    copy_name(name, name); /* as it will be told */
    copy_name(library, library);
    size_t place = bucket(mixed_name(mixed_name(START, name), library));
    struct function *function = simulation->functions[place];
    while (function != NULL &&
           !(equal_names(function->name, name) && equal_names(function->library, library)))
        function = function->next;
    if (function == NULL) {
        function = cleared(simulation, sizeof *function);
        if (function == NULL)
            return NULL;
        copy_name(function->name, name);
        copy_name(function->library, library);
        function->next = simulation->functions[place];
        simulation->functions[place] = function;
    }
    piece->function = function;
    return function;
}

/* Charge a piece to its function in a scope. */
static void charge_function(struct simulation *simulation, struct piece *piece,
                            struct scope *scope)
{
    struct function *function = function_of(simulation, piece->cold);
    if (function == NULL)
        return;
    uint64_t hash = mixed(mixed(START, (uintptr_t)function), scope->number);
    size_t place = bucket(hash);
    struct charge *charge = simulation->charges[place];
    while (charge != NULL && !(charge->function == function && charge->scope == scope))
        charge = charge->next;
    if (charge == NULL) {
        charge = cleared(simulation, sizeof *charge);
        uint64_t *counters = make_counters(simulation);
        if (charge == NULL || counters == NULL)
            return;
        charge->scope = scope;
        charge->function = function;
        charge->counters = counters;
        charge->next = simulation->charges[place];
        simulation->charges[place] = charge;
        *simulation->last_charge = charge;
        simulation->last_charge = &charge->next_of_all;
    }
    add_piece(simulation, piece, charge->counters);
}

/* The place of a granule of code among those that were learnt, or where it would be. */
static uint64_t *find_learnt(const struct simulation *simulation, uint64_t granule)
{
    size_t place = mixed(START, granule) % LEARNT;
    for (size_t i = 0; i < LEARNT; i++, place = (place + 1) % LEARNT)
        if (simulation->learnt[place] == 0 || simulation->learnt[place] == granule)
            break;
    return &simulation->learnt[place];
}

static void learn(struct simulation *simulation, const struct cold_piece *piece)
{
    for (uint64_t granule = piece->address >> GRANULE_SHIFT;
         granule <= piece->last_byte >> GRANULE_SHIFT; granule++)
        *find_learnt(simulation, granule) = granule;
}

static void bring_up_to_date(struct simulation *simulation)
{
    struct scope *scope = simulation->is_unknown ? simulation->unknown : simulation->open;
    for (size_t i = 0; i < simulation->executed_count; i++) {
        struct piece *piece = simulation->executed[i];
        add_piece(simulation, piece, scope->counters);
        if (simulation->name_function != NULL)
            charge_function(simulation, piece, scope);
        if (simulation->learns)
            learn(simulation, piece->cold);
        forget_executions(simulation, piece);
    }
    simulation->executed_count = 0;
    simulation->executions = 0;
}

void simulation_attribute(struct simulation *simulation, name_function name_function)
{
    bring_up_to_date(simulation);
    simulation->name_function = name_function;
}

void simulation_read(struct simulation *simulation, uint64_t *counters)
{
    bring_up_to_date(simulation);
    for (uint32_t i = 0; i < simulation_counters(simulation); i++) {
        counters[i] = 0;
        for (struct scope *scope = simulation->root; scope != NULL; scope = scope->next)
            counters[i] += scope->counters[i];
    }
}

void simulation_zero(struct simulation *simulation)
{
    uint32_t count = simulation_counters(simulation);
    bring_up_to_date(simulation);
    for (struct scope *scope = simulation->root; scope != NULL; scope = scope->next) {
        scope->entries = 0;
        for (uint32_t i = 0; i < count; i++)
            scope->counters[i] = 0;
    }
    for (struct charge *charge = simulation->first_charge; charge != NULL;
         charge = charge->next_of_all)
        for (uint32_t i = 0; i < count; i++)
            charge->counters[i] = 0;
    simulation->entries = 0;
    simulation->status &= STATUS_NO_MEMORY;
}

static struct scope *make_scope(struct simulation *simulation, const char *name)
{
    struct scope *scope = cleared(simulation, sizeof *scope);
    uint64_t *counters = make_counters(simulation);
    if (scope == NULL || counters == NULL)
        return NULL;
    copy_name(scope->name, name);
    scope->counters = counters;
    scope->parent = simulation->open;
    scope->is_uncounted = simulation->open != NULL && simulation->open->is_uncounted;
    scope->number = simulation->scope_count++;
    if (simulation->last_scope != NULL)
        simulation->last_scope->next = scope;
    simulation->last_scope = scope;
    return scope;
}

void simulation_push(struct simulation *simulation, const char *name)
{
    if (simulation->depth == MOST_DEPTH) {
        simulation->status |= STATUS_TOO_DEEP;
        return;
    }
    bring_up_to_date(simulation);
    char plain[NAME_BYTES];
    copy_name(plain, name);
    struct scope *scope = simulation->root;
    while (scope != NULL &&
           !(scope->parent == simulation->open && equal_names(scope->name, plain)))
        scope = scope->next;
    if (scope == NULL)
        scope = make_scope(simulation, name);
    if (scope == NULL)
        return;
    scope->entries++;
    simulation->open = scope;
    simulation->depth++;
}

static void leave(struct simulation *simulation)
{
    bring_up_to_date(simulation);
    simulation->open = simulation->open->parent;
    simulation->depth--;
}

void simulation_pop(struct simulation *simulation)
{
    if (simulation->open->is_segment)
        leave(simulation);
    if (simulation->depth == 0) {
        simulation->status |= STATUS_POPPED_TWICE;
        return;
    }
    leave(simulation);
}

void simulation_segment(struct simulation *simulation, const char *name)
{
    if (simulation->open->is_segment)
        leave(simulation);
    if (name == NULL)
        return;
    struct scope *around = simulation->open;
    simulation_push(simulation, name);
    if (simulation->open == around)
        return; /* there is no room */
    simulation->open->is_segment = 1;
    simulation->open->is_uncounted |= equal_names(name, UNCOUNTED);
}

/* The number of a watched address, or -1. */
static ptrdiff_t find_watched(const struct simulation *simulation, uint64_t address)
{
    size_t low = 0, high = simulation->watched_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (simulation->watched[middle] == address)
            return (ptrdiff_t)middle;
        if (simulation->watched[middle] < address)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

void simulation_watch(struct simulation *simulation, const uint64_t *addresses, size_t count)
{
    if (count == 0 && simulation->watched_count == 0)
        return;
    simulation->watched = cleared(simulation, (count + 1) * sizeof *addresses);
    simulation->watched_count = simulation->watched == NULL ? 0 : count;
    for (size_t i = 0; i < simulation->watched_count; i++)
        simulation->watched[i] = addresses[i];
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct piece *piece = simulation->pieces[i]; piece != NULL; piece = piece->cold->next)
            piece->is_watched = find_watched(simulation, piece->cold->address) >= 0;
}

void simulation_learn(struct simulation *simulation, int learns)
{
    bring_up_to_date(simulation);
    if (simulation->learnt == NULL)
        simulation->learnt = cleared(simulation, LEARNT * sizeof *simulation->learnt);
    simulation->learns = learns && simulation->learnt != NULL;
}

/* True if a piece was learnt, or lies where others were. What was learnt stays so. */
static int is_known(const struct simulation *simulation, struct piece *piece)
{
    uint64_t granule = piece->cold->address >> GRANULE_SHIFT;
    if (!piece->is_known && simulation->learnt != NULL)
        piece->is_known = *find_learnt(simulation, granule) == granule;
    return piece->is_known;
}

void simulation_sift(struct simulation *simulation, uint64_t from, uint64_t until)
{
    bring_up_to_date(simulation);
    simulation->is_unknown = 0;
    simulation->sifted_from = from, simulation->sifted_until = until;
    if (until == 0)
        return;
    struct scope *open = simulation->open;
    simulation->open = simulation->root;
    if (simulation->unknown == NULL)
        simulation->unknown = make_scope(simulation, "unknown");
    simulation->open = open;
    if (simulation->unknown == NULL) {
        simulation->sifted_until = 0;
        return;
    }
}

/* True if a piece, with those that were run after it, is to be charged to what is not known. */
static int is_sifted(const struct simulation *simulation, struct piece *const *piece,
                     uint32_t count)
{
    if (simulation->sifted_until == 0)
        return 0;
    if (!is_known(simulation, *piece))
        return 1;
    if (!simulation->is_unknown)
        return 0;
    for (uint32_t i = 0; i < count && i < FEWEST_KNOWN; i++)
        if (!is_known(simulation, piece[-(ptrdiff_t)i]))
            return 1;
    uint64_t address = (*piece)->cold->address;
    return address < simulation->sifted_from || address >= simulation->sifted_until;
}

static void enter_watched(struct simulation *simulation, const struct piece *piece)
{
    char digits[2 * NUMBER_BYTES + sizeof "entry  "];
    struct text text = {digits, sizeof digits, 0};
    put_text(&text, "entry ");
    put_number(&text, (uint64_t)find_watched(simulation, piece->cold->address));
    put(&text, ' ');
    put_number(&text, simulation->entries++);
    put(&text, '\0');
    simulation_segment(simulation, digits);
}

uint32_t simulation_depth(const struct simulation *simulation)
{
    return simulation->depth;
}

uint32_t simulation_status(const struct simulation *simulation)
{
    return simulation->status;
}

void simulation_fail(struct simulation *simulation, enum status status)
{
    simulation->status |= status;
}

/* --- what is told ---------------------------------------------------------------------------- */

static void put_counters(struct text *text, const struct simulation *simulation,
                        const uint64_t *counters)
{
    for (uint32_t i = 0; i < simulation_counters(simulation); i++) {
        put(text, '\t');
        put_number(text, counters[i]);
    }
    put(text, '\n');
}

static int are_zero(const struct simulation *simulation, const uint64_t *counters)
{
    for (uint32_t i = 0; i < simulation_counters(simulation); i++)
        if (counters[i] != 0)
            return 0;
    return 1;
}

size_t simulation_tell(struct simulation *simulation, char *start, size_t room)
{
    struct text text = {start, room, 0};
    bring_up_to_date(simulation);
    for (struct scope *scope = simulation->root; scope != NULL; scope = scope->next) {
        put_text(&text, "scope\t");
        put_number(&text, scope->number);
        put(&text, '\t');
        if (scope->parent != NULL)
            put_number(&text, scope->parent->number);
        put(&text, '\t');
        put_text(&text, scope->name);
        put(&text, '\t');
        put_number(&text, scope->entries);
        put_counters(&text, simulation, scope->counters);
    }
    for (struct charge *charge = simulation->first_charge; charge != NULL;
         charge = charge->next_of_all) {
        if (are_zero(simulation, charge->counters))
            continue;
        put_text(&text, "function\t");
        put_number(&text, charge->scope->number);
        put(&text, '\t');
        put_text(&text, charge->function->name);
        put(&text, '\t');
        put_text(&text, charge->function->library);
        put_counters(&text, simulation, charge->counters);
    }
    return text.length;
}

/* --- caches ---------------------------------------------------------------------------------- */

static int is_power_of_two(uint64_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static int is_possible(struct cache_shape shape)
{
    return shape.ways != 0 && is_power_of_two(shape.line_bytes) &&
           shape.line_bytes >= SHORTEST_LINE_BYTES &&
           shape.size_bytes % ((uint64_t)shape.ways * shape.line_bytes) == 0 &&
           is_power_of_two(shape.size_bytes / shape.line_bytes / shape.ways);
}

static void empty(const struct cache *cache)
{
    for (uint64_t i = 0; i < (cache->set_mask + 1) * cache->ways; i++)
        cache->tags[i] = NO_LINE;
}

void simulation_empty(struct simulation *simulation)
{
    for (uint32_t i = 0; i < simulation->front_count; i++) {
        struct front *front = &simulation->fronts[i];
        empty(&front->instructions.cache);
        empty(&front->data.cache);
        for (uint32_t j = 0; j < RECENT; j++)
            front->recent[j] = UINT32_MAX;
        for (uint32_t j = 0; j < front->lower_count; j++)
            empty(&front->lower[j].cache);
    }
}

static int make_cache(struct simulation *simulation, struct cache *cache, struct cache_shape shape)
{
    if (!is_possible(shape))
        return -1;
    uint64_t sets = shape.size_bytes / shape.line_bytes / shape.ways;
    cache->tags = cleared(simulation, sets * shape.ways * sizeof *cache->tags);
    if (cache->tags == NULL)
        return -1;
    cache->set_mask = sets - 1;
    cache->ways = shape.ways;
    empty(cache);
    cache->line_bytes = shape.line_bytes;
    cache->row = simulation->cache_count++;
    uint32_t line_shift = (uint32_t)__builtin_ctz(shape.line_bytes);
    if (line_shift < simulation->line_shift)
        simulation->line_shift = line_shift;
    return 0;
}

static int make_first_level(struct simulation *simulation, struct first_level *level,
                            struct cache_shape shape)
{
    if (!is_possible(shape) || shape.size_bytes / shape.line_bytes > MOST_SLOTS ||
        make_cache(simulation, &level->cache, shape) != 0)
        return -1;
    uint64_t sets = level->cache.set_mask + 1;
    level->now = 1; /* empty ways were used before */
    level->used = cleared(simulation, sets * shape.ways * sizeof *level->used);
    level->found_slot = cleared(simulation, FOUND_SLOTS * sizeof *level->found_slot);
    return level->used == NULL || level->found_slot == NULL ? -1 : 0;
}

/* Touch one of the shortest lines of a first level at a time. Returns 1 where it missed. */
static int touch_first_level(const struct first_level *level, uint64_t shortest, uint64_t time)
{
    const struct cache *cache = &level->cache;
    uint64_t line = shortest >> cache->shift;
    uint64_t set = (line & cache->set_mask) * cache->ways;
    uint64_t *tags = cache->tags + set, *used = level->used + set;
    uint32_t oldest = 0;
    for (uint32_t way = 0; way < cache->ways; way++) {
        if (tags[way] == line) {
            used[way] = time;
            level->found_slot[line % FOUND_SLOTS] = (uint16_t)(set + way);
            return 0;
        }
        if (used[way] < used[oldest])
            oldest = way;
    }
    tags[oldest] = line;
    used[oldest] = time;
    level->found_slot[line % FOUND_SLOTS] = (uint16_t)(set + oldest);
    return 1;
}

/* Touch all lines of an access, which takes no time of another's. Returns 1 where one missed. */
static int touch_first_level_all(const struct first_level *level, uint64_t first, uint64_t last,
                                 uint64_t time)
{
    int missed = touch_first_level(level, first, time);
    while (first++ < last)
        missed |= touch_first_level(level, first, ++time);
    return missed;
}

/* Touch one of the shortest lines of a lower level. Its sets are in order, the line that was used
 * last first. Returns 1 where it missed. */
static int touch(const struct cache *cache, uint64_t shortest)
{
    uint64_t line = shortest >> cache->shift;
    uint64_t *set = cache->tags + (line & cache->set_mask) * cache->ways;
    uint64_t moved = set[0];
    if (moved == line)
        return 0;
    set[0] = line;
    for (uint32_t way = 1; way < cache->ways; way++) {
        uint64_t tag = set[way];
        set[way] = moved;
        if (tag == line)
            return 0;
        moved = tag;
    }
    return 1;
}

static int touch_all(const struct cache *cache, uint64_t first, uint64_t last)
{
    int missed = touch(cache, first);
    while (first++ < last)
        missed |= touch(cache, first);
    return missed;
}

/* Remember the lines of data that missed the first level. Returns 1 where they continue a stream. */
static uint32_t continues_stream(struct front *front, uint64_t first, uint64_t last)
{
    /* 32 bits are compared four at once on every x86-64. */
    uint32_t line = (uint32_t)(first >> front->data.cache.shift), before = line - 1;
    uint32_t after = line + 1, found = 0;
    for (uint32_t i = 0; i < RECENT; i++)
        found |= (front->recent[i] == before) | (front->recent[i] == after);
    front->recent[front->oldest] = (uint32_t)(last >> front->data.cache.shift);
    front->oldest = (front->oldest + 1) % RECENT;
    return found;
}

static void count_miss(struct cold_piece *piece, const struct cache *cache,
                       enum direction direction, uint32_t is_streamed)
{
    uint32_t *missed = piece->missed + cache->row * MISS_COUNTERS;
    missed[direction]++;
    missed[STREAMED] += is_streamed;
}

/* Count a miss of the first level, and pass the access on to those below. */
static void pass_on(struct front *front, const struct first_level *first_level,
                    struct cold_piece *piece, enum direction direction, uint64_t first,
                    uint64_t last)
{
    uint32_t missed = 0; /* bit n: lower level n */
    uint32_t is_streamed = direction != FETCH && continues_stream(front, first, last);
    count_miss(piece, &first_level->cache, direction, is_streamed);
    for (uint32_t i = 0; i < front->lower_count; i++) {
        const struct lower *lower = &front->lower[i];
        if (lower->above != FIRST_LEVEL && !(missed >> lower->above & 1))
            continue;
        if (touch_all(&lower->cache, first, last)) {
            missed |= 1u << i;
            count_miss(piece, &lower->cache, direction, is_streamed);
        }
    }
}

/* --- the run --------------------------------------------------------------------------------- */

/* Ask for the sets of the lower levels that an access will look at, which missed the first. */
static void prefetch_lower(const struct front *front, uint64_t shortest)
{
    for (uint32_t i = 0; i < front->lower_count; i++) {
        const struct cache *cache = &front->lower[i].cache;
        uint64_t line = shortest >> cache->shift;
        const uint64_t *set = cache->tags + (line & cache->set_mask) * cache->ways;
        for (uint32_t way = 0; way < cache->ways; way += TAGS_OF_A_LINE)
            __builtin_prefetch(set + way, 1);
    }
}

static void remember_executed(struct simulation *simulation, struct piece *piece)
{
    if (simulation->executed_count == simulation->executed_room) {
        size_t room = simulation->executed_room == 0 ? BUCKETS : 2 * simulation->executed_room;
        struct piece **larger = cleared(simulation, room * sizeof *larger);
        if (larger == NULL)
            return;
        for (size_t i = 0; i < simulation->executed_count; i++)
            larger[i] = simulation->executed[i];
        simulation->executed = larger;
        simulation->executed_room = room;
    }
    simulation->executed[simulation->executed_count++] = piece;
}

static void count_conditional(struct piece *piece, const uint64_t *addresses)
{
    for (uint32_t i = 0; i < piece->access_count; i++)
        if (piece->cold->accesses[i].is_conditional && addresses[i] != 0)
            piece->cold->conditional[piece->cold->accesses[i].direction]++;
}

/* Fetch from a line of a piece that is not where it was found last. */
static __attribute__((noinline)) void fetch_slowly(struct running *running,
                                                   const struct front *front, uint32_t line_shift,
                                                   struct piece *piece, uint32_t line,
                                                   uint32_t first_access, uint64_t time)
{
    if (!touch_first_level(&front->instructions, piece->first_line + line, time))
        return;
    const struct fetch *fetch = &piece->cold->fetch_of_line[line];
    uint64_t first = fetch->address >> line_shift;
    /* One that straddles lines misses once for both. Each line of a piece has a time of its own. */
    touch_first_level_all(&front->instructions, first,
                          (fetch->address + fetch->last_byte) >> line_shift,
                          time - line + (first - piece->first_line));
    prefetch_lower(front, first);
    struct missed_fetch *missed = &running->fetches[running->fetch_count++];
    missed->piece = piece;
    missed->fetch = fetch;
    missed->before = first_access + fetch->before;
}

/* Count an execution, and put the sizes of its accesses after those of the executions before. */
static inline void count_execution(struct simulation *simulation, struct running *running,
                                   struct piece *piece, uint32_t number, const uint64_t *addresses)
{
    uint32_t done = running->first_access[number];
    if (UNLIKELY(piece->executions++ == 0))
        remember_executed(simulation, piece);
    __builtin_memcpy(running->last_bytes + done, piece->last_bytes, AT_ONCE);
    if (UNLIKELY(piece->is_unusual)) {
        for (uint32_t i = AT_ONCE; i < piece->access_count; i++)
            running->last_bytes[done + i] = piece->last_bytes[i];
        count_conditional(piece, addresses + done);
    }
    running->first_access[number + 1] = done + piece->access_count;
}

/* Fetch all pieces from the first levels of a front; for the first front count them, too. */
static inline __attribute__((always_inline)) void
fetch_all(struct simulation *simulation, struct front *front, int is_first,
          struct piece *const *first_piece, uint32_t piece_count, const uint64_t *addresses,
          uint32_t line_shift, uint32_t shift)
{
    struct running *running = &simulation->running;
    const struct first_level *level = &front->instructions;
    const uint64_t *const tags = level->cache.tags;
    const uint16_t *const found_slot = level->found_slot;
    uint64_t *const used = level->used;
    uint64_t time = level->now;
    running->fetch_count = 0;
    for (uint32_t i = 0; i < piece_count; i++, time += MOST_LINES) {
        struct piece *piece = first_piece[-(ptrdiff_t)i];
        if (is_first && i + AHEAD < piece_count)
            __builtin_prefetch(first_piece[-(ptrdiff_t)(i + AHEAD)], 1);
        if (is_first)
            count_execution(simulation, running, piece, i, addresses);
        uint64_t line = piece->first_line >> shift;
        uint32_t slot = found_slot[line % FOUND_SLOTS];
        if (LIKELY(tags[slot] == line))
            used[slot] = time;
        else
            fetch_slowly(running, front, line_shift, piece, 0, running->first_access[i], time);
        if (piece->line_count == 1)
            continue;
        line = (piece->first_line + 1) >> shift;
        slot = found_slot[line % FOUND_SLOTS];
        if (LIKELY(tags[slot] == line))
            used[slot] = time + 1;
        else
            fetch_slowly(running, front, line_shift, piece, 1, running->first_access[i], time + 1);
        for (uint32_t number = 2; UNLIKELY(number < piece->line_count); number++)
            fetch_slowly(running, front, line_shift, piece, number, running->first_access[i],
                         time + number);
    }
    front->instructions.now = time;
}

/* Do an access that straddles lines, or whose line is not where it was found last. */
static __attribute__((noinline)) void access_slowly(struct running *running,
                                                    const struct front *front, uint32_t number,
                                                    uint64_t first, uint64_t last, uint64_t time)
{
    if (first == 0)
        return; /* nothing is mapped there: a condition did not hold */
    if (touch_first_level_all(&front->data, first, last, time)) {
        prefetch_lower(front, first);
        running->accesses[running->access_count++] = number;
    }
}

static inline __attribute__((always_inline)) void
access_all(struct running *running, struct front *front, const uint64_t *addresses, uint32_t count,
           uint32_t line_shift, uint32_t shift)
{
    const struct first_level *level = &front->data;
    const uint64_t *const tags = level->cache.tags;
    const uint16_t *const found_slot = level->found_slot;
    uint64_t *const used = level->used;
    uint64_t time = level->now;
    running->access_count = 0;
#pragma GCC unroll 4
    for (uint32_t i = 0; i < count; i++, time += MOST_LINES_OF_AN_ACCESS) {
        uint64_t start = addresses[i], end = start + running->last_bytes[i];
        uint64_t line = start >> (line_shift + shift);
        uint32_t slot = found_slot[line % FOUND_SLOTS];
        if (LIKELY(((tags[slot] ^ line) | (start ^ end) >> (line_shift + shift)) == 0))
            used[slot] = time;
        else
            access_slowly(running, front, i, start >> line_shift, end >> line_shift, time);
    }
    front->data.now = time;
}

/* Pass on what missed the first level in the order in which it happened. */
static void pass_on_all(struct running *running, struct front *front,
                        struct piece *const *first_piece, uint32_t piece_count,
                        const uint64_t *addresses, uint32_t line_shift)
{
    uint32_t fetch = 0, access = 0, piece = 0;
    while (fetch < running->fetch_count || access < running->access_count) {
        if (access == running->access_count ||
            (fetch < running->fetch_count &&
             running->fetches[fetch].before <= running->accesses[access])) {
            const struct missed_fetch *missed = &running->fetches[fetch++];
            uint64_t address = missed->fetch->address;
            pass_on(front, &front->instructions, missed->piece->cold, FETCH, address >> line_shift,
                    (address + missed->fetch->last_byte) >> line_shift);
            continue;
        }
        uint32_t number = running->accesses[access++];
        while (piece + STRIDE < piece_count && running->first_access[piece + STRIDE] <= number)
            piece += STRIDE;
        while (running->first_access[piece + 1] <= number)
            piece++;
        struct cold_piece *cold = first_piece[-(ptrdiff_t)piece]->cold;
        pass_on(front, &front->data, cold,
                cold->accesses[number - running->first_access[piece]].direction,
                addresses[number] >> line_shift,
                (addresses[number] + running->last_bytes[number]) >> line_shift);
    }
}

static void run_all(struct simulation *simulation, struct piece *const *first_piece,
                    uint32_t piece_count, const uint64_t *addresses)
{
    struct running *running = &simulation->running;
    const uint32_t line_shift = simulation->line_shift;
    running->first_access[0] = 0;
    for (uint32_t i = 0; i < simulation->front_count; i++) {
        struct front *front = &simulation->fronts[i];
        if (front->is_usual && i == 0)
            fetch_all(simulation, front, 1, first_piece, piece_count, addresses, USUAL_LINE_SHIFT,
                      0);
        else if (front->is_usual)
            fetch_all(simulation, front, 0, first_piece, piece_count, addresses, USUAL_LINE_SHIFT,
                      0);
        else
            fetch_all(simulation, front, i == 0, first_piece, piece_count, addresses, line_shift,
                      front->instructions.cache.shift);
        const uint32_t access_count = running->first_access[piece_count];
        if (front->is_usual)
            access_all(running, front, addresses, access_count, USUAL_LINE_SHIFT, 0);
        else
            access_all(running, front, addresses, access_count, line_shift,
                       front->data.cache.shift);
        pass_on_all(running, front, first_piece, piece_count, addresses, line_shift);
    }
    if (simulation->front_count == 0)
        for (uint32_t i = 0; i < piece_count; i++)
            count_execution(simulation, running, first_piece[-(ptrdiff_t)i], i, addresses);
    simulation->executions += piece_count;
    if (simulation->executions > MOST_EXECUTIONS)
        bring_up_to_date(simulation);
}

void simulation_run(struct simulation *simulation, struct piece *const *first_piece,
                    uint32_t piece_count, const uint64_t *addresses)
{
    uint32_t done = 0, access_count = 0, accesses_done = 0;
    if (simulation->open->is_uncounted)
        return;
    const int looks_at_pieces = simulation->watched_count > 0 || simulation->sifted_until > 0;
    for (uint32_t i = 0; looks_at_pieces && i < piece_count; i++) {
        const struct piece *piece = first_piece[-(ptrdiff_t)i];
        int unknown = is_sifted(simulation, &first_piece[-(ptrdiff_t)i], piece_count - i);
        if (piece->is_watched || unknown != simulation->is_unknown) {
            run_all(simulation, first_piece - done, i - done, addresses + accesses_done);
            done = i, accesses_done = access_count;
            bring_up_to_date(simulation);
            simulation->is_unknown = unknown;
            if (piece->is_watched)
                enter_watched(simulation, piece);
        }
        access_count += piece->access_count;
    }
    run_all(simulation, first_piece - done, piece_count - done, addresses + accesses_done);
}

/* --- making ---------------------------------------------------------------------------------- */

struct simulation *simulation_make(allocate allocate)
{
    struct simulation *simulation = allocate(sizeof *simulation);
    if (simulation == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof *simulation; i++)
        ((char *)simulation)[i] = 0;
    simulation->allocate = allocate;
    simulation->last_charge = &simulation->first_charge;
    simulation->line_shift = USUAL_LINE_SHIFT;
    return simulation;
}

int simulation_add_front(struct simulation *simulation, struct cache_shape instructions,
                         struct cache_shape data)
{
    const uint32_t cache_count = simulation->cache_count, line_shift = simulation->line_shift;
    struct front *front = &simulation->fronts[simulation->front_count];
    if (simulation->front_count == MOST_FRONTS || simulation->root != NULL)
        return -1;
    if (make_first_level(simulation, &front->instructions, instructions) != 0 ||
        make_first_level(simulation, &front->data, data) != 0) {
        simulation->cache_count = cache_count;
        simulation->line_shift = line_shift;
        return -1;
    }
    for (uint32_t i = 0; i < RECENT; i++)
        front->recent[i] = UINT32_MAX;
    return (int)simulation->front_count++;
}

int simulation_add_lower(struct simulation *simulation, struct cache_shape shape, int above)
{
    if (simulation->front_count == 0 || simulation->root != NULL)
        return -1;
    struct front *front = &simulation->fronts[simulation->front_count - 1];
    struct lower *lower = &front->lower[front->lower_count];
    if (front->lower_count == MOST_LOWER || above < FIRST_LEVEL ||
        above >= (int)front->lower_count || make_cache(simulation, &lower->cache, shape) != 0)
        return -1;
    lower->above = above;
    return (int)front->lower_count++;
}

static void set_shift(const struct simulation *simulation, struct cache *cache)
{
    cache->shift = (uint32_t)__builtin_ctz(cache->line_bytes) - simulation->line_shift;
}

int simulation_begin(struct simulation *simulation)
{
    for (uint32_t i = 0; i < simulation->front_count; i++) {
        struct front *front = &simulation->fronts[i];
        set_shift(simulation, &front->instructions.cache);
        set_shift(simulation, &front->data.cache);
        front->is_usual = simulation->line_shift == USUAL_LINE_SHIFT &&
                          front->instructions.cache.shift == 0 &&
                          front->data.cache.shift == 0;
        for (uint32_t j = 0; j < front->lower_count; j++)
            set_shift(simulation, &front->lower[j].cache);
    }
    simulation->root = make_scope(simulation, "");
    simulation->open = simulation->root;
    return simulation->root == NULL ? -1 : 0;
}

uint32_t simulation_line_bytes(const struct simulation *simulation)
{
    return 1u << simulation->line_shift;
}

static uint64_t hash_of(const struct fetch *fetches, uint32_t fetch_count,
                        const struct access *accesses, uint32_t access_count, const uint32_t *adds)
{
    uint64_t hash = mixed(mixed(START, fetch_count), access_count);
    for (uint32_t i = 0; i < fetch_count; i++)
        hash = mixed(mixed(hash, fetches[i].address),
                     fetches[i].last_byte | (uint64_t)fetches[i].before << 32);
    for (uint32_t i = 0; i < access_count; i++)
        hash = mixed(hash, accesses[i].last_byte | accesses[i].direction << 8 |
                               accesses[i].is_conditional << 16);
    for (uint32_t i = 0; i < FIXED_COUNTERS; i++)
        hash = mixed(hash, adds[i]);
    return hash;
}

/* Find of each line the first fetch that touches it. Returns the number of lines, 0: too many. */
static uint32_t find_lines(const struct simulation *simulation, const struct fetch *fetches,
                           uint32_t fetch_count, struct fetch *fetch_of_line)
{
    uint64_t first = fetches[0].address >> simulation->line_shift;
    uint32_t count = 0;
    for (uint32_t i = 0; i < fetch_count; i++) {
        uint64_t last = (fetches[i].address + fetches[i].last_byte) >> simulation->line_shift;
        while (first + count <= last) {
            if (count == MOST_LINES)
                return 0;
            fetch_of_line[count++] = fetches[i];
        }
    }
    return count;
}

static int is_described(const struct piece *piece, uint32_t line_count,
                        const struct fetch *fetch_of_line, const struct access *accesses,
                        uint32_t access_count, const uint32_t *adds)
{
    if (piece->line_count != line_count || piece->access_count != access_count)
        return 0;
    for (uint32_t i = 0; i < line_count; i++)
        if (piece->cold->fetch_of_line[i].address != fetch_of_line[i].address ||
            piece->cold->fetch_of_line[i].last_byte != fetch_of_line[i].last_byte ||
            piece->cold->fetch_of_line[i].before != fetch_of_line[i].before)
            return 0;
    for (uint32_t i = 0; i < access_count; i++)
        if (piece->cold->accesses[i].last_byte != accesses[i].last_byte ||
            piece->cold->accesses[i].direction != accesses[i].direction ||
            piece->cold->accesses[i].is_conditional != accesses[i].is_conditional)
            return 0;
    for (uint32_t i = 0; i < FIXED_COUNTERS; i++)
        if (piece->cold->adds[i] != adds[i])
            return 0;
    return 1;
}

static void *copied(struct simulation *simulation, const void *from, size_t bytes)
{
    char *to = cleared(simulation, bytes);
    for (size_t i = 0; to != NULL && i < bytes; i++)
        to[i] = ((const char *)from)[i];
    return to;
}

struct piece *simulation_piece(struct simulation *simulation, const struct fetch *fetches,
                               uint32_t fetch_count, const struct access *accesses,
                               uint32_t access_count, const uint32_t *adds)
{
    struct fetch fetch_of_line[MOST_LINES];
    uint32_t line_count = find_lines(simulation, fetches, fetch_count, fetch_of_line);
    if (line_count == 0 || access_count > MOST_ACCESSES)
        return NULL;
    uint64_t hash = hash_of(fetch_of_line, line_count, accesses, access_count, adds);
    size_t place = bucket(hash);
    for (struct piece *known = simulation->pieces[place]; known != NULL; known = known->cold->next)
        if (known->cold->hash == hash &&
            is_described(known, line_count, fetch_of_line, accesses, access_count, adds))
            return known;
    struct piece *piece =
        cleared(simulation, sizeof *piece + (access_count > AT_ONCE ? access_count : AT_ONCE));
    struct cold_piece *cold = cleared(simulation, sizeof *cold);
    if (piece == NULL || cold == NULL)
        return NULL;
    piece->cold = cold;
    cold->fetch_of_line = copied(simulation, fetch_of_line, line_count * sizeof fetch_of_line[0]);
    cold->adds = copied(simulation, adds, FIXED_COUNTERS * sizeof *adds);
    cold->missed = cleared(simulation, simulation->cache_count * MISS_COUNTERS * sizeof *cold->missed);
    cold->accesses = copied(simulation, accesses, access_count * sizeof *accesses);
    if (cold->fetch_of_line == NULL || cold->accesses == NULL || cold->adds == NULL ||
        cold->missed == NULL)
        return NULL;
    for (uint32_t i = 0; i < access_count; i++) {
        piece->last_bytes[i] = accesses[i].last_byte;
        piece->is_unusual |= accesses[i].is_conditional;
    }
    piece->line_count = (uint16_t)line_count;
    piece->access_count = (uint16_t)access_count;
    cold->address = fetches[0].address;
    cold->last_byte = fetches[fetch_count - 1].address + fetches[fetch_count - 1].last_byte;
    piece->is_watched = find_watched(simulation, cold->address) >= 0;
    piece->first_line = fetches[0].address >> simulation->line_shift;
    piece->is_unusual |= access_count > AT_ONCE;
    cold->hash = hash;
    cold->next = simulation->pieces[place];
    simulation->pieces[place] = piece;
    return piece;
}
