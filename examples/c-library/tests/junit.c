#include "junit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where a case's process says why it failed. */
static int message_fd = -1;

struct outcome {
    enum { PASSED, FAILED, CRASHED } kind;
    double seconds;
    char message[512];
};

_Noreturn void junit_fail(const char *file, int line, const char *format, ...)
{
    char text[512];
    int used = snprintf(text, sizeof text, "%s:%d: ", file, line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    if (write(message_fd, text, strlen(text)) < 0)
        _exit(3);
    _exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void read_message(int fd, char *message, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while (length + 1 < size && (got = read(fd, message + length, size - 1 - length)) != 0) {
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    message[length] = '\0';
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static struct outcome run(const struct junit_case *test)
{
    struct outcome outcome = {.kind = PASSED};
    int ends[2];
    int status;
    double start = now();

    if (pipe(ends) != 0)
        die("pipe");
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(ends[0]);
        message_fd = ends[1];
        test->run();
        _exit(0);
    }
    close(ends[1]);
    read_message(ends[0], outcome.message, sizeof outcome.message);
    close(ends[0]);
    if (waitpid(child, &status, 0) != child)
        die("waitpid");
    outcome.seconds = now() - start;
    if (WIFSIGNALED(status)) {
        outcome.kind = CRASHED;
        snprintf(outcome.message, sizeof outcome.message, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        outcome.kind = FAILED;
    }
    return outcome;
}

static void write_escaped(FILE *report, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': fputs("&amp;", report); break;
        case '<': fputs("&lt;", report); break;
        case '>': fputs("&gt;", report); break;
        case '"': fputs("&quot;", report); break;
        default: fputc(*text, report);
        }
    }
}

static void write_case(FILE *report, const char *suite, const char *name, const struct outcome *outcome)
{
    fprintf(report, "  <testcase classname=\"%s\" name=\"%s\" time=\"%.6f\"", suite, name, outcome->seconds);
    if (outcome->kind == PASSED) {
        fputs("/>\n", report);
        return;
    }
    fprintf(report, ">\n    <%s message=\"", outcome->kind == FAILED ? "failure" : "error");
    write_escaped(report, outcome->message);
    fputs("\"/>\n  </testcase>\n", report);
}

static int write_report(const char *path, const char *suite, const struct junit_case *cases, int count,
                        const struct outcome *outcomes)
{
    int failures = 0;
    int errors = 0;
    double seconds = 0;
    FILE *report = fopen(path, "w");

    if (report == NULL)
        return -1;
    for (int i = 0; i < count; i++) {
        failures += outcomes[i].kind == FAILED;
        errors += outcomes[i].kind == CRASHED;
        seconds += outcomes[i].seconds;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", report);
    fprintf(report, "<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" time=\"%.6f\">\n", suite, count,
            failures, errors, seconds);
    for (int i = 0; i < count; i++)
        write_case(report, suite, cases[i].name, &outcomes[i]);
    fputs("</testsuite>\n", report);
    int broken = ferror(report);
    return fclose(report) != 0 || broken ? -1 : 0;
}

int junit_main(const char *suite, const struct junit_case *cases, int count, const char *path)
{
    int bad = 0;
    struct outcome *outcomes = calloc((size_t)count, sizeof *outcomes);

    if (outcomes == NULL)
        die("calloc");
    for (int i = 0; i < count; i++) {
        outcomes[i] = run(&cases[i]);
        bad += outcomes[i].kind != PASSED;
        printf("%s %s%s%s\n", outcomes[i].kind == PASSED ? "ok  " : "FAIL", cases[i].name,
               outcomes[i].kind == PASSED ? "" : ": ", outcomes[i].message);
    }
    printf("%d passed, %d failed\n", count - bad, bad);
    int written = write_report(path, suite, cases, count, outcomes);
    if (written != 0)
        perror(path);
    free(outcomes);
    if (written != 0)
        return 2;
    return bad > 0;
}
