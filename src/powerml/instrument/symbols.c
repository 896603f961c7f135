/* Names of functions: see symbols.h.
 *
 * A file's own symbols are looked through, and where it has been stripped of them the table by which
 * exceptions find the frame of a function (Linux Standard Base, "Exception Frames").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include "symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 512, PATH_BYTES = 4096, TABLE_OF_OFFSETS = 0x3b };

/* A mapped file, kept since it was first asked for. */
struct file {
    char path[PATH_BYTES];
    const uint8_t *content; /* NULL: it cannot be read, or is no such file */
    size_t bytes;
};

struct mapping {
    uint64_t start, offset;
    char path[PATH_BYTES];
};

static struct file *files[MOST_FILES];
static size_t file_count;

static bool find_mapping(uint64_t address, struct mapping *found)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[PATH_BYTES + 128];
    bool is_found = false;
    if (maps == NULL)
        return false;
    while (!is_found && fgets(line, sizeof line, maps) != NULL) {
        unsigned long long start, end, offset;
        int path = 0;
        if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %n", &start, &end, &offset, &path) < 3 ||
            address < start || address >= end || line[path] != '/')
            continue;
        line[strcspn(line, "\n")] = '\0';
        found->start = start;
        found->offset = offset;
        snprintf(found->path, sizeof found->path, "%s", line + path);
        is_found = true;
    }
    fclose(maps);
    return is_found;
}

static const struct file *open_file(const char *path)
{
    for (size_t i = 0; i < file_count; i++)
        if (strcmp(files[i]->path, path) == 0)
            return files[i];
    struct file *opened = file_count == MOST_FILES ? NULL : calloc(1, sizeof *opened);
    if (opened == NULL)
        return NULL;
    files[file_count++] = opened;
    snprintf(opened->path, sizeof opened->path, "%s", path);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (descriptor < 0)
        return opened;
    if (fstat(descriptor, &about) == 0 && (size_t)about.st_size > sizeof(Elf64_Ehdr)) {
        void *content =
            mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (content != MAP_FAILED && memcmp(content, ELFMAG, SELFMAG) == 0) {
            opened->content = content;
            opened->bytes = (size_t)about.st_size;
        }
    }
    close(descriptor);
    return opened;
}

/* The bytes of a file from a place on, or NULL where there are not so many. */
static const void *part(const struct file *file, uint64_t offset, uint64_t bytes)
{
    return offset > file->bytes || bytes > file->bytes - offset ? NULL : file->content + offset;
}

/* Turn an address in the file's tables into a place in the file; 0: there is none. */
static uint64_t place_in_file(const struct file *file, uint64_t address)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file->content;
    for (size_t i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment =
            part(file, header->e_phoff + i * sizeof *segment, sizeof *segment);
        if (segment != NULL && segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz)
            return segment->p_offset + (address - segment->p_vaddr);
    }
    return 0;
}

/* Turn a place in the file into an address by which its tables call it. */
static uint64_t address_in_file(const struct file *file, uint64_t offset)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file->content;
    for (size_t i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment =
            part(file, header->e_phoff + i * sizeof *segment, sizeof *segment);
        if (segment != NULL && segment->p_type == PT_LOAD && offset >= segment->p_offset &&
            offset - segment->p_offset < segment->p_filesz)
            return segment->p_vaddr + (offset - segment->p_offset);
    }
    return offset;
}

static bool name_by_symbol(const struct file *file, uint64_t address, char *name, size_t bytes)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file->content;
    for (size_t i = 0; i < header->e_shnum; i++) {
        const Elf64_Shdr *table =
            part(file, header->e_shoff + i * sizeof *table, sizeof *table);
        if (table == NULL || (table->sh_type != SHT_SYMTAB && table->sh_type != SHT_DYNSYM))
            continue;
        const Elf64_Shdr *texts =
            part(file, header->e_shoff + table->sh_link * sizeof *texts, sizeof *texts);
        const Elf64_Sym *symbols = part(file, table->sh_offset, table->sh_size);
        if (texts == NULL || symbols == NULL)
            continue;
        for (size_t k = 0; k < table->sh_size / sizeof *symbols; k++) {
            const Elf64_Sym *symbol = &symbols[k];
            if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || address < symbol->st_value ||
                address - symbol->st_value >= symbol->st_size ||
                symbol->st_name >= texts->sh_size)
                continue;
            const char *text = part(file, texts->sh_offset, texts->sh_size);
            if (text == NULL)
                break;
            snprintf(name, bytes, "%.*s", (int)(texts->sh_size - symbol->st_name),
                     text + symbol->st_name);
            return true;
        }
    }
    return false;
}

/* True if a frame, of which the table tells the place, covers so many bytes of code. Its numbers are
 * of 32 bits: its length, the distance to what it shares with others, where it begins, its bytes. */
static bool covers(const struct file *file, uint64_t frame, uint64_t bytes)
{
    enum { BYTES_OF_CODE = 12 };
    const uint8_t *found = part(file, place_in_file(file, frame), BYTES_OF_CODE + 4);
    uint32_t covered;
    if (found == NULL)
        return true;
    memcpy(&covered, found + BYTES_OF_CODE, sizeof covered);
    return bytes < covered;
}

/* Kernels in assembly have no frames. Find the end of the function before: its return. */
static uint64_t after_return(const struct file *file, uint64_t address, uint64_t from)
{
    enum { INSTRUCTION_BYTES = 4 };
    static const uint32_t RETURN = 0xd65f03c0, NOTHING = 0xd503201f, PADDING = 0;
    uint64_t begin = address;
    while (begin > from) {
        uint32_t before;
        const void *found =
            part(file, place_in_file(file, begin - INSTRUCTION_BYTES), INSTRUCTION_BYTES);
        if (found == NULL)
            break;
        memcpy(&before, found, sizeof before);
        if (before == RETURN)
            break;
        begin -= INSTRUCTION_BYTES;
    }
    while (begin < address) {
        uint32_t first;
        const void *found = part(file, place_in_file(file, begin), INSTRUCTION_BYTES);
        if (found == NULL)
            break;
        memcpy(&first, found, sizeof first);
        if (first != NOTHING && first != PADDING)
            break;
        begin += INSTRUCTION_BYTES;
    }
    return begin;
}

/* Find the last function that begins at an address or before, by the table of frames. */
static bool name_by_frame(const struct file *file, uint64_t address, char *name, size_t bytes)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file->content;
    for (size_t i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment =
            part(file, header->e_phoff + i * sizeof *segment, sizeof *segment);
        if (segment == NULL || segment->p_type != PT_GNU_EH_FRAME || segment->p_filesz < 12)
            continue;
        const uint8_t *table = part(file, segment->p_offset, segment->p_filesz);
        /* A version, three kinds of numbers, a pointer, the count, then pairs of offsets. */
        if (table == NULL || table[0] != 1 || table[3] != TABLE_OF_OFFSETS)
            continue;
        uint32_t count;
        memcpy(&count, table + 8, sizeof count);
        if (count == 0 || count > (segment->p_filesz - 12) / 8)
            continue;
        int64_t wanted = (int64_t)(address - segment->p_vaddr);
        uint32_t low = 0, high = count;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            int32_t start;
            memcpy(&start, table + 12 + 8 * (size_t)middle, sizeof start);
            if (start <= wanted)
                low = middle;
            else
                high = middle;
        }
        int32_t start;
        memcpy(&start, table + 12 + 8 * (size_t)low, sizeof start);
        if (start > wanted)
            return false;
        int32_t frame;
        memcpy(&frame, table + 12 + 8 * (size_t)low + 4, sizeof frame);
        uint64_t begin = segment->p_vaddr + (uint64_t)(int64_t)start;
        if (!covers(file, segment->p_vaddr + (uint64_t)(int64_t)frame, address - begin))
            begin = after_return(file, address, begin);
        snprintf(name, bytes, "+0x%llx", (unsigned long long)begin);
        return true;
    }
    return false;
}

void name_address(uint64_t address, char *function, char *library, size_t bytes)
{
    static struct mapping mapping;
    if (!find_mapping(address, &mapping))
        return;
    snprintf(library, bytes, "%s", mapping.path);
    const struct file *file = open_file(mapping.path);
    if (file == NULL || file->content == NULL)
        return;
    uint64_t own = address_in_file(file, address - mapping.start + mapping.offset);
    if (!name_by_symbol(file, own, function, bytes))
        name_by_frame(file, own, function, bytes);
}
