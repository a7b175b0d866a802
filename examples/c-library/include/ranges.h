/*
 * ranges: a set of unsigned 64-bit numbers, kept as sorted half-open ranges.
 *
 * Made for questions such as "which bytes of this download are still missing?"
 * or "which pages are dirty?": adjacent and overlapping ranges are merged, so
 * the set stays as small as what it describes.
 *
 * A set may be read by many threads at once, but changed by only one.
 */
#ifndef RANGES_H
#define RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_VERSION "1.2.0"

/* The numbers n with start <= n < end. */
struct range {
    uint64_t start;
    uint64_t end;
};

struct ranges;

/* An empty set, or NULL when memory is short. */
struct ranges *ranges_new(void);

/* Gives the set's memory back. NULL is allowed. */
void ranges_free(struct ranges *set);

/*
 * Adds or removes the numbers of [start, end). An empty range changes nothing.
 * Returns 0; or -1 with errno EINVAL when start > end, or ENOMEM, and then the
 * set is as it was.
 */
int ranges_add(struct ranges *set, uint64_t start, uint64_t end);
int ranges_remove(struct ranges *set, uint64_t start, uint64_t end);

/* Whether every number of [start, end) is in the set. True for an empty range. */
bool ranges_covers(const struct ranges *set, uint64_t start, uint64_t end);

/* How many separate ranges there are, and the one at index (< count), in order. */
size_t ranges_count(const struct ranges *set);
struct range ranges_at(const struct ranges *set, size_t index);

/* How many numbers are in the set. */
uint64_t ranges_size(const struct ranges *set);

/*
 * Finds the first stretch of [from, limit) that is not in the set.
 * Returns false, and leaves *gap alone, when there is none.
 */
bool ranges_next_gap(const struct ranges *set, uint64_t from, uint64_t limit, struct range *gap);

/*
 * Adds what a list such as "0-499,1000-1499,2000" names; both ends of an item
 * are included, as in HTTP's byte ranges, and spaces may surround an item.
 * Returns 0; or -1 with errno EINVAL (and the offset of the first character not
 * understood in *error_at, unless that is NULL) or ENOMEM. The items before the
 * mistake have been added then.
 */
int ranges_parse(struct ranges *set, const char *text, size_t *error_at);

/*
 * Writes the set as ranges_parse reads it, cut to fit size bytes and always
 * ended by a NUL when size > 0. Returns the length it needs without the NUL.
 */
size_t ranges_format(const struct ranges *set, char *buffer, size_t size);

#endif
