/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c: drives a fuzz target without libFuzzer: replay MUTATIONS DIR-OR-FILE... gives it
 * every input, every input cut at every length, and MUTATIONS seeded mutations of every input.
 * The same run every time; a finding is a crash, and its input is printed in base 16 first.
 */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX 65536u

static const uint8_t *current;
static size_t current_size;
static unsigned long n_runs;

static void
on_crash(int sig)
{
    static const char digits[] = "0123456789abcdef";
    size_t i, n = current_size < 2048 ? current_size : 2048;
    char line[2];

    for (i = 0; i < n; i++) {
        line[0] = digits[current[i] >> 4];
        line[1] = digits[current[i] & 15];
        if (write(STDERR_FILENO, line, 2) != 2)
            break;
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

/* The target gets a heap copy of exactly the input's size, so that a sanitizer sees the first
 * byte too far. */
static void
run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    current = copy;
    current_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    n_runs++;
    free(copy);
}

static uint64_t
next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t
mutate(uint8_t *buf, size_t size, uint64_t *rng)
{
    static const uint8_t edge[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe};
    unsigned n = 1 + (unsigned)(next(rng) % 4);

    while (n-- > 0) {
        uint64_t r = next(rng);
        size_t at = size ? (size_t)(r >> 32) % size : 0;

        if (size == 0)
            break;
        switch (r % 6) {
        case 0:
            buf[at] ^= (uint8_t)(1u << (r >> 8 & 7));
            break;
        case 1:
            buf[at] = edge[(r >> 8) % sizeof edge];
            break;
        case 2:
            buf[at] = (uint8_t)(r >> 8);
            break;
        case 3: /* leave a byte out */
            memmove(buf + at, buf + at + 1, size - at - 1);
            size--;
            break;
        case 4: /* say one twice */
            if (size < INPUT_MAX) {
                memmove(buf + at + 1, buf + at, size - at);
                size++;
            }
            break;
        default:
            size = at + 1;
        }
    }
    return size;
}

static void
replay_file(const char *path, unsigned long mutations)
{
    static uint8_t input[INPUT_MAX], work[INPUT_MAX];
    uint64_t rng = 1;
    unsigned long i;
    size_t size, cut;
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size = fread(input, 1, sizeof input, f);
    fclose(f);
    run(input, size);
    for (cut = 0; cut < size && cut < 4096; cut++)
        run(input, cut);
    for (i = 0; i < mutations; i++) {
        memcpy(work, input, size);
        run(work, mutate(work, size, &rng));
    }
}

static int
by_name(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

int
main(int argc, char **argv)
{
    unsigned long mutations;
    char *end;
    int i;

    if (argc < 3 || (mutations = strtoul(argv[1], &end, 10), *end != '\0')) {
        fprintf(stderr, "usage: %s MUTATIONS DIR-OR-FILE...\n", argv[0]);
        return 2;
    }
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGABRT, on_crash);
    for (i = 2; i < argc; i++) {
        struct dirent **names;
        int n = scandir(argv[i], &names, by_name, alphasort), k;

        if (n < 0) {
            replay_file(argv[i], mutations);
            continue;
        }
        for (k = 0; k < n; k++) {
            char path[4096];

            snprintf(path, sizeof path, "%s/%s", argv[i], names[k]->d_name);
            replay_file(path, mutations);
            free(names[k]);
        }
        free(names);
    }
    printf("%lu runs\n", n_runs);
    return n_runs > 0 ? 0 : 1;
}
