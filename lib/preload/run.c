/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run.c: bulkhead-run. Looks whether it can work at all, sets the environment that the
 * preloaded library reads, and becomes the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "ipc/ctl.h"
#include "program.h"
#include "rules.h"

#define LIBRARY "libbulkhead-preload.so"
#define MESSAGE_MAX 512u
#define SESSIONS_MAX 65536u
#define ARENA_MAX (1ull << 32)

static const char usage_text[] =
    "usage: bulkhead-run [options] [--] PROGRAM [ARGUMENTS...]\n"
    "Run a program, unchanged, with its IPv4 sockets on Bulkhead.\n"
    "\n"
    "  --instance NAME   the daemon to use (default: $BULKHEAD_INSTANCE, else \"default\")\n"
    "  --rules FILE      what is Bulkhead's and what the kernel's (default: loopback is\n"
    "                    the kernel's, all else Bulkhead's)\n"
    "  --fallback        what Bulkhead cannot do, the kernel may\n"
    "  --debug           say on stderr what is not done\n"
    "  --arena SIZE      memory for data, for example 64M\n"
    "  --sessions N      how many sockets at most\n"
    "  --help\n"
    "\n"
    "The manual page bulkhead-run(1) has the language of the rules.\n";

struct wish {
    const char *instance, *rules, *arena, *sessions;
    bool fallback, debug;
};

static void __attribute__((format(printf, 1, 0))) vwarn(const char *fmt, va_list ap)
{
    fputs("bulkhead-run: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

static void __attribute__((format(printf, 1, 2))) warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
}

_Noreturn static void __attribute__((format(printf, 2, 3))) die(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
    exit(code);
}

_Noreturn static void
usage(int code)
{
    fputs(usage_text, code == EXIT_OK ? stdout : stderr);
    exit(code);
}

/* ---- the command line ---- */

/* A positive number; with units, K, M or G may stand behind it: what the library takes. */
static bool
is_number(const char *text, bool units, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (end == NULL || errno != 0 || n == 0)
        return false;
    unsigned shift = 0;
    if (*end != '\0') {
        const char *all = "kKmMgG", *u = strchr(all, *end);
        if (!units || u == NULL || end[1] != '\0')
            return false;
        shift = 10 * ((unsigned)(u - all) / 2 + 1);
    }
    return n <= max >> shift;
}

static void
parse_options(struct wish *w, int argc, char **argv)
{
    static const struct option options[] = {
        {"instance", required_argument, NULL, 'i'}, {"rules", required_argument, NULL, 'r'},
        {"fallback", no_argument, NULL, 'f'},       {"debug", no_argument, NULL, 'd'},
        {"arena", required_argument, NULL, 'a'},    {"sessions", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    int c;
    /* "+": what comes behind the program's name is the program's. */
    while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (c) {
        case 'i':
            w->instance = optarg;
            break;
        case 'r':
            w->rules = optarg;
            break;
        case 'f':
            w->fallback = true;
            break;
        case 'd':
            w->debug = true;
            break;
        case 'a':
            w->arena = optarg;
            break;
        case 's':
            w->sessions = optarg;
            break;
        case 'h':
            usage(EXIT_OK);
        default:
            usage(EXIT_USAGE);
        }
    }
    if (w->arena != NULL && !is_number(w->arena, true, ARENA_MAX))
        die(EXIT_USAGE, "--arena: \"%s\" is not a size such as 64M (at most 4G)", w->arena);
    if (w->sessions != NULL && !is_number(w->sessions, false, SESSIONS_MAX))
        die(EXIT_USAGE, "--sessions: \"%s\" is not a number from 1 to %u", w->sessions,
            SESSIONS_MAX);
    if (optind == argc)
        usage(EXIT_USAGE);
}

/* ---- what must be there ---- */

/* The library to preload, as an open file: $BULKHEAD_PRELOAD, or beside this program (where it
 * was built: in .libs), or where it is installed. */
static int
find_library(char path[PATH_MAX])
{
    char self[PATH_MAX], near[PATH_MAX + 16];
    const char *given = getenv("BULKHEAD_PRELOAD");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    const char *dir = dirname(self), *candidates[] = {"", "/.libs", NULL};
    if (given != NULL && *given != '\0') {
        if (realpath(given, path) == NULL)
            die(EXIT_OTHER, "BULKHEAD_PRELOAD=%s: %s", given, strerror(errno));
    } else {
        path[0] = '\0';
        for (unsigned i = 0; candidates[i] != NULL && path[0] == '\0'; i++) {
            snprintf(near, sizeof near, "%s%s/" LIBRARY, dir, candidates[i]);
            if (access(near, R_OK) == 0 && realpath(near, path) == NULL)
                path[0] = '\0';
        }
        if (path[0] == '\0')
            snprintf(path, PATH_MAX, "%s/" LIBRARY, BULKHEAD_PKGLIBDIR);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(EXIT_OTHER,
            "the library to preload, %s: %s. Install Bulkhead, or say where it is with "
            "BULKHEAD_PRELOAD",
            path, strerror(errno));
    if (strpbrk(path, " :") != NULL)
        die(EXIT_OTHER,
            "%s: the loader takes no name with a space or a colon in it. Give it another one "
            "with BULKHEAD_PRELOAD",
            path);
    return fd;
}

static void
check_rules(const char *file)
{
    char err[MESSAGE_MAX];
    if (file != NULL && *file != '\0' && !rules_load(file, err, sizeof err))
        die(EXIT_CONFIG, "%s", err);
}

/* Somebody must listen where the daemon does. */
static void
check_daemon(const char *instance, bool fallback)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (instance == NULL || *instance == '\0')
        instance = "default";
    if (!ctl_socket_path(sun.sun_path, sizeof sun.sun_path, instance, "sock"))
        die(EXIT_USAGE, "\"%s\" is not the name of an instance", instance);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0)
        die(EXIT_OTHER, "no socket to reach the daemon with: %s", strerror(errno));
    if (connect(s, (struct sockaddr *)&sun, sizeof sun) == 0) {
        close(s);
        return;
    }
    int code = errno == EACCES || errno == EPERM ? EXIT_ACCOUNT : EXIT_NO_DAEMON;
    const char *why = strerror(errno);
    if (fallback)
        warn("no bulkheadd of instance \"%s\" can be reached (%s: %s): the kernel's stack is "
             "used",
             instance, sun.sun_path, why);
    else if (code == EXIT_ACCOUNT)
        die(code, "bulkheadd of instance \"%s\" may not be reached (%s: %s)", instance,
            sun.sun_path, why);
    else
        die(code,
            "no bulkheadd runs as instance \"%s\" (%s: %s): start it, or choose another one "
            "with --instance",
            instance, sun.sun_path, why);
    close(s);
}

/* ---- what the program gets ---- */

static void
set(const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0)
        die(EXIT_OTHER, "no memory for the environment");
}

/* In front of what is preloaded already; once. */
static void
set_preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    size_t len = strlen(library);
    if (old == NULL || *old == '\0') {
        set("LD_PRELOAD", library);
        return;
    }
    for (const char *at = old; *at != '\0';) {
        size_t n = strcspn(at, " :");
        if (n == len && strncmp(at, library, n) == 0)
            return;
        at += n + (at[n] != '\0');
    }
    char *both = malloc(len + 1 + strlen(old) + 1);
    if (both == NULL)
        die(EXIT_OTHER, "no memory for the environment");
    sprintf(both, "%s:%s", library, old);
    set("LD_PRELOAD", both);
    free(both);
}

static void
set_environment(const struct wish *w, const char *library)
{
    char path[PATH_MAX];
    const char *rules = w->rules != NULL ? w->rules : getenv("BULKHEAD_RULES");
    if (rules != NULL && *rules != '\0') {
        if (realpath(rules, path) == NULL) /* it is to be found from other directories, too */
            die(EXIT_CONFIG, "%s: %s", rules, strerror(errno));
        set("BULKHEAD_RULES", path);
    } else if (w->rules != NULL) {
        unsetenv("BULKHEAD_RULES");
    }
    if (w->instance != NULL)
        set("BULKHEAD_INSTANCE", w->instance);
    if (w->fallback)
        set("BULKHEAD_FALLBACK", "1");
    if (w->debug)
        set("BULKHEAD_DEBUG", "1");
    if (w->arena != NULL)
        set("BULKHEAD_ARENA", w->arena);
    if (w->sessions != NULL)
        set("BULKHEAD_SESSIONS", w->sessions);
    set_preload(library);
}

/* Of an environment variable that is a switch. */
static bool
is_on(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' && strcmp(value, "0") != 0;
}

_Noreturn static void
become(const char *path, bool shell, char **argv)
{
    if (!shell) {
        execv(path, argv);
    } else {
        unsigned n = 0;
        while (argv[n] != NULL)
            n++;
        char **with = calloc(n + 2, sizeof *with);
        if (with == NULL)
            die(EXIT_OTHER, "no memory for the arguments");
        memcpy(with + 1, argv, n * sizeof *argv);
        with[0] = argv[0];
        with[1] = (char *)(uintptr_t)path;
        execv(_PATH_BSHELL, with);
    }
    die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, "cannot execute %s: %s", path,
        strerror(errno));
}

int
main(int argc, char **argv)
{
    struct wish w = {0};
    char library[PATH_MAX], path[PROGRAM_PATH_MAX], err[MESSAGE_MAX];
    bool shell;
    parse_options(&w, argc, argv);
    char **program = argv + optind;
    int fd = find_library(library);
    check_rules(w.rules != NULL ? w.rules : getenv("BULKHEAD_RULES"));
    int code = program_find(program[0], path, err, sizeof err);
    if (code == 0)
        code = program_check(path, fd, &shell, err, sizeof err);
    if (code != 0)
        die(code, "%s", err);
    close(fd);
    check_daemon(w.instance != NULL ? w.instance : getenv("BULKHEAD_INSTANCE"),
                 w.fallback || is_on("BULKHEAD_FALLBACK"));
    set_environment(&w, library);
    become(path, shell, program);
}
