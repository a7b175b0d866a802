/*
 * A very small test runner that writes JUnit XML.
 *
 * Each case runs in a process of its own, so that a crash fails one case and
 * not the whole run.
 */
#ifndef JUNIT_H
#define JUNIT_H

struct junit_case {
    const char *name;
    void (*run)(void);
};

/* Ends the running case as failed, saying where and why. */
_Noreturn void junit_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define EXPECT(condition) \
    ((condition) ? (void)0 : junit_fail(__FILE__, __LINE__, "expected %s", #condition))

/*
 * Runs the cases, one line of text for each, and writes the report to path.
 * Returns the process's exit status: 0 when all passed, 1 when one did not,
 * 2 when the report could not be written.
 */
int junit_main(const char *suite, const struct junit_case *cases, int count, const char *path);

#endif
