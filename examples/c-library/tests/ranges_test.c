#include "junit.h"
#include "ranges.h"

#include <errno.h>
#include <string.h>

/* Fails unless the set, written out, is the expected text. */
static void expect_text(const struct ranges *set, const char *expected, int line)
{
    char text[256];

    ranges_format(set, text, sizeof text);
    if (strcmp(text, expected) != 0)
        junit_fail(__FILE__, line, "expected \"%s\", got \"%s\"", expected, text);
}

#define EXPECT_TEXT(set, expected) expect_text(set, expected, __LINE__)

static struct ranges *parsed(const char *text)
{
    struct ranges *set = ranges_new();

    EXPECT(set != NULL);
    EXPECT(ranges_parse(set, text, NULL) == 0);
    return set;
}

static void a_new_set_is_empty(void)
{
    struct ranges *set = ranges_new();

    EXPECT(ranges_count(set) == 0);
    EXPECT(ranges_size(set) == 0);
    EXPECT(!ranges_covers(set, 0, 1));
    EXPECT_TEXT(set, "");
    ranges_free(set);
}

static void adjacent_ranges_become_one(void)
{
    struct ranges *set = parsed("0-9,20-29");

    EXPECT(ranges_add(set, 10, 20) == 0);
    EXPECT(ranges_count(set) == 1);
    EXPECT_TEXT(set, "0-29");
    ranges_free(set);
}

static void a_wide_range_swallows_those_inside_it(void)
{
    struct ranges *set = parsed("5,7,9,100");

    EXPECT(ranges_add(set, 0, 50) == 0);
    EXPECT_TEXT(set, "0-49,100");
    ranges_free(set);
}

static void removing_from_the_middle_splits_a_range(void)
{
    struct ranges *set = parsed("0-99");

    EXPECT(ranges_remove(set, 40, 60) == 0);
    EXPECT_TEXT(set, "0-39,60-99");
    EXPECT(ranges_size(set) == 80);
    ranges_free(set);
}

static void removing_takes_whole_ranges_and_the_edges_of_others(void)
{
    struct ranges *set = parsed("0-9,20-29,40-49");

    EXPECT(ranges_remove(set, 5, 45) == 0);
    EXPECT_TEXT(set, "0-4,45-49");
    ranges_free(set);
}

static void an_empty_range_changes_nothing(void)
{
    struct ranges *set = parsed("0-9");

    EXPECT(ranges_add(set, 5, 5) == 0);
    EXPECT(ranges_remove(set, 5, 5) == 0);
    EXPECT_TEXT(set, "0-9");
    EXPECT(ranges_covers(set, 50, 50));
    ranges_free(set);
}

static void a_backward_range_is_refused(void)
{
    struct ranges *set = parsed("0-9");

    errno = 0;
    EXPECT(ranges_add(set, 9, 3) == -1);
    EXPECT(errno == EINVAL);
    EXPECT(ranges_remove(set, 9, 3) == -1);
    EXPECT_TEXT(set, "0-9");
    ranges_free(set);
}

static void gaps_are_found_in_order_until_the_limit(void)
{
    struct ranges *set = parsed("10-19,30-39");
    struct range gap = {0, 0};

    EXPECT(ranges_next_gap(set, 0, 100, &gap) && gap.start == 0 && gap.end == 10);
    EXPECT(ranges_next_gap(set, gap.end, 100, &gap) && gap.start == 20 && gap.end == 30);
    EXPECT(ranges_next_gap(set, gap.end, 100, &gap) && gap.start == 40 && gap.end == 100);
    EXPECT(!ranges_next_gap(set, gap.end, 100, &gap));
    EXPECT(!ranges_next_gap(set, 10, 20, &gap));
    ranges_free(set);
}

static void the_largest_number_is_never_lost_or_wrapped(void)
{
    struct ranges *set = ranges_new();

    EXPECT(ranges_add(set, UINT64_MAX - 1, UINT64_MAX) == 0);
    EXPECT(ranges_size(set) == 1);
    EXPECT(ranges_covers(set, UINT64_MAX - 1, UINT64_MAX));
    EXPECT_TEXT(set, "18446744073709551614");
    EXPECT(ranges_parse(set, "18446744073709551615", NULL) == -1);
    EXPECT(ranges_parse(set, "0-18446744073709551615", NULL) == -1);
    EXPECT(ranges_parse(set, "99999999999999999999", NULL) == -1);
    ranges_free(set);
}

static void a_mistake_in_a_list_is_pointed_at(void)
{
    struct ranges *set = ranges_new();
    size_t at = 0;

    EXPECT(ranges_parse(set, "0-9, x", &at) == -1 && at == 5);
    EXPECT(ranges_parse(set, "0-9;5", &at) == -1 && at == 3);
    EXPECT(ranges_parse(set, "9-", &at) == -1 && at == 2);
    EXPECT(ranges_parse(set, "", &at) == -1 && at == 0);
    EXPECT_TEXT(set, "0-9");
    ranges_free(set);
}

static void a_short_buffer_is_cut_and_the_full_length_told(void)
{
    struct ranges *set = parsed("0-9,20-29");
    char text[6];

    EXPECT(ranges_format(set, text, sizeof text) == strlen("0-9,20-29"));
    EXPECT(strcmp(text, "0-9,2") == 0);
    EXPECT(ranges_format(set, NULL, 0) == strlen("0-9,20-29"));
    ranges_free(set);
}

/* A repeatable stream of numbers (xorshift), so that a failure can be run again. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

enum { MODEL_SIZE = 96 };

static void expect_same(const struct ranges *set, const bool *model, int step)
{
    size_t members = 0;

    for (uint64_t n = 0; n < MODEL_SIZE; n++) {
        members += model[n];
        if (ranges_covers(set, n, n + 1) != model[n])
            junit_fail(__FILE__, __LINE__, "step %d: the model disagrees about %d", step, (int)n);
    }
    if (ranges_size(set) != members)
        junit_fail(__FILE__, __LINE__, "step %d: the sizes differ", step);
    for (size_t i = 0; i < ranges_count(set); i++) {
        struct range item = ranges_at(set, i);
        if (item.start >= item.end)
            junit_fail(__FILE__, __LINE__, "step %d: an empty range at index %d", step, (int)i);
        if (i > 0 && ranges_at(set, i - 1).end >= item.start)
            junit_fail(__FILE__, __LINE__, "step %d: neighbours touch at index %d", step, (int)i);
    }
}

static void random_changes_agree_with_an_array_of_flags(void)
{
    bool model[MODEL_SIZE] = {false};
    uint64_t random = 0x9E3779B97F4A7C15u;
    struct ranges *set = ranges_new();

    for (int step = 0; step < 20000; step++) {
        uint64_t start = next_random(&random) % MODEL_SIZE;
        uint64_t end = start + next_random(&random) % (MODEL_SIZE - start + 1) / 3;
        bool add = next_random(&random) % 2 == 0;

        EXPECT((add ? ranges_add : ranges_remove)(set, start, end) == 0);
        for (uint64_t n = start; n < end; n++)
            model[n] = add;
        expect_same(set, model, step);
    }
    ranges_free(set);
}

int main(int argc, char **argv)
{
    static const struct junit_case cases[] = {
#define CASE(name) {#name, name}
        CASE(a_new_set_is_empty),
        CASE(adjacent_ranges_become_one),
        CASE(a_wide_range_swallows_those_inside_it),
        CASE(removing_from_the_middle_splits_a_range),
        CASE(removing_takes_whole_ranges_and_the_edges_of_others),
        CASE(an_empty_range_changes_nothing),
        CASE(a_backward_range_is_refused),
        CASE(gaps_are_found_in_order_until_the_limit),
        CASE(the_largest_number_is_never_lost_or_wrapped),
        CASE(a_mistake_in_a_list_is_pointed_at),
        CASE(a_short_buffer_is_cut_and_the_full_length_told),
        CASE(random_changes_agree_with_an_array_of_flags),
    };

    return junit_main("ranges", cases, sizeof cases / sizeof cases[0], argc > 1 ? argv[1] : "junit.xml");
}
