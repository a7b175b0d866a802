#include "ranges.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sorted by start. Two neighbours always have a gap between them. */
struct ranges {
    struct range *items;
    size_t count;
    size_t capacity;
};

struct ranges *ranges_new(void)
{
    return calloc(1, sizeof(struct ranges));
}

void ranges_free(struct ranges *set)
{
    if (set != NULL) {
        free(set->items);
        free(set);
    }
}

/* The index of the first range whose end is at or after value; count if none. */
static size_t first_ending_at_or_after(const struct ranges *set, uint64_t value)
{
    size_t low = 0;
    size_t high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].end < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int reserve(struct ranges *set, size_t needed)
{
    if (needed <= set->capacity)
        return 0;
    size_t capacity = set->capacity < 8 ? 8 : set->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    if (capacity > SIZE_MAX / sizeof(struct range)) {
        errno = ENOMEM;
        return -1;
    }
    struct range *items = realloc(set->items, capacity * sizeof(struct range));
    if (items == NULL)
        return -1;
    set->items = items;
    set->capacity = capacity;
    return 0;
}

/* Puts `with` (of length `added`) in the place of the ranges from `at` to `until`. */
static int replace(struct ranges *set, size_t at, size_t until, const struct range *with, size_t added)
{
    if (reserve(set, set->count - (until - at) + added) != 0)
        return -1;
    if (set->count > until)
        memmove(set->items + at + added, set->items + until, (set->count - until) * sizeof(struct range));
    if (added > 0)
        memcpy(set->items + at, with, added * sizeof(struct range));
    set->count = set->count - (until - at) + added;
    return 0;
}

static int check(uint64_t start, uint64_t end)
{
    if (start > end) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

int ranges_add(struct ranges *set, uint64_t start, uint64_t end)
{
    if (check(start, end) != 0)
        return -1;
    if (start == end)
        return 0;

    size_t at = first_ending_at_or_after(set, start);
    size_t until = at;
    struct range merged = {start, end};
    while (until < set->count && set->items[until].start <= end) {
        if (set->items[until].start < merged.start)
            merged.start = set->items[until].start;
        if (set->items[until].end > merged.end)
            merged.end = set->items[until].end;
        until++;
    }
    return replace(set, at, until, &merged, 1);
}

int ranges_remove(struct ranges *set, uint64_t start, uint64_t end)
{
    if (check(start, end) != 0)
        return -1;
    if (start == end)
        return 0;

    size_t at = first_ending_at_or_after(set, start);
    if (at < set->count && set->items[at].end == start)
        at++;
    size_t until = at;
    struct range kept[2];
    size_t keep = 0;
    while (until < set->count && set->items[until].start < end) {
        struct range item = set->items[until];
        if (item.start < start)
            kept[keep++] = (struct range){item.start, start};
        if (item.end > end)
            kept[keep++] = (struct range){end, item.end};
        until++;
    }
    return replace(set, at, until, kept, keep);
}

bool ranges_covers(const struct ranges *set, uint64_t start, uint64_t end)
{
    if (start >= end)
        return true;
    size_t at = first_ending_at_or_after(set, end);
    return at < set->count && set->items[at].start <= start;
}

size_t ranges_count(const struct ranges *set)
{
    return set->count;
}

struct range ranges_at(const struct ranges *set, size_t index)
{
    return set->items[index];
}

uint64_t ranges_size(const struct ranges *set)
{
    uint64_t size = 0;

    for (size_t i = 0; i < set->count; i++)
        size += set->items[i].end - set->items[i].start;
    return size;
}

bool ranges_next_gap(const struct ranges *set, uint64_t from, uint64_t limit, struct range *gap)
{
    size_t at = first_ending_at_or_after(set, from);

    if (at < set->count && set->items[at].end == from)
        at++;
    if (at < set->count && set->items[at].start <= from) {
        from = set->items[at].end;
        at++;
    }
    if (from >= limit)
        return false;
    gap->start = from;
    gap->end = at < set->count && set->items[at].start < limit ? set->items[at].start : limit;
    return true;
}

/* Reads decimal digits at *cursor and moves past them. False without one, or when it does not fit. */
static bool read_number(const char **cursor, uint64_t *value)
{
    const char *p = *cursor;

    if (*p < '0' || *p > '9')
        return false;
    *value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    *cursor = p;
    return true;
}

static void skip_spaces(const char **cursor)
{
    while (**cursor == ' ')
        (*cursor)++;
}

/* Reads "first" or "first-last". The largest number cannot be a last one: its end would not fit. */
static bool read_item(const char **cursor, struct range *item)
{
    uint64_t last;
    const char *p = *cursor;

    if (!read_number(&p, &item->start))
        return false;
    last = item->start;
    if (*p == '-') {
        p++;
        *cursor = p;
        if (!read_number(&p, &last))
            return false;
    }
    if (last < item->start || last == UINT64_MAX)
        return false;
    item->end = last + 1;
    *cursor = p;
    return true;
}

int ranges_parse(struct ranges *set, const char *text, size_t *error_at)
{
    const char *cursor = text;
    struct range item;

    for (;;) {
        skip_spaces(&cursor);
        if (!read_item(&cursor, &item))
            break;
        if (ranges_add(set, item.start, item.end) != 0)
            return -1;
        skip_spaces(&cursor);
        if (*cursor == '\0')
            return 0;
        if (*cursor != ',')
            break;
        cursor++;
    }
    if (error_at != NULL)
        *error_at = (size_t)(cursor - text);
    errno = EINVAL;
    return -1;
}

size_t ranges_format(const struct ranges *set, char *buffer, size_t size)
{
    size_t length = 0;

    if (size > 0)
        buffer[0] = '\0';
    for (size_t i = 0; i < set->count; i++) {
        struct range item = set->items[i];
        const char *comma = i > 0 ? "," : "";
        char *rest = length < size ? buffer + length : NULL;
        size_t room = length < size ? size - length : 0;
        int written;

        if (item.end - item.start == 1)
            written = snprintf(rest, room, "%s%" PRIu64, comma, item.start);
        else
            written = snprintf(rest, room, "%s%" PRIu64 "-%" PRIu64, comma, item.start, item.end - 1);
        length += (size_t)written;
    }
    return length;
}
