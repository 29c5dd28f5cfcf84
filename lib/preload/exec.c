/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exec.c: sessions that are not close-on-exec stay with the program that is executed. Their
 * stand-ins do so by themselves; beside them the letters of their attachments (client/pass.c)
 * are left open, and named in the environment. The program's own copy of this library opens
 * them and finds what its descriptors stand for.
 *
 * Nothing is done for a process without such sessions. No memory is allocated: this may be the
 * child of a vfork.
 */
#include "shim.h"

#include <alloca.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#define HANDED "BULKHEAD_HANDED="

struct handing {
    struct letters letters;
    char text[sizeof HANDED + LETTERS_MAX * 11];
};

/* ---- before ---- */

bool
hand_on(struct letters *t, int fd, uint32_t e)
{
    unsigned i = 0;
    standin_via = fd;
    int letter = share_hand_on(bh_of(e), e & E_HANDED);
    if (letter < 0)
        return false;
    while (i < t->n && t->fd[i] != letter)
        i++;
    if (i == t->n && t->n < LETTERS_MAX)
        t->fd[t->n++] = letter;
    return true;
}

/* Hand on what stands at fd: unless it is closed by the exec, or file actions of a spawn may
 * change that. */
static void
hand_on_one(struct letters *t, int fd, bool all)
{
    uint32_t e = entry(fd);
    int flags = is_ours(e) && !(e & E_NOWHERE) ? REAL(fcntl)(fd, F_GETFD) : -1;
    if (flags < 0 || (!all && (flags & FD_CLOEXEC)))
        return;
    if (!hand_on(t, fd, e))
        SAY("a session does not stay with the program that is executed");
}

static void
hand_on_all(struct handing *h, bool all)
{
    int err = errno;
    h->letters.n = 0;
    for (unsigned i = 0; i < table_top(); i++)
        if (entry((int)i) & E_OURS)
            hand_on_one(&h->letters, (int)i, all);
    char *p = stpcpy(h->text, HANDED);
    for (unsigned i = 0; i < h->letters.n; i++) {
        REAL(fcntl)(h->letters.fd[i], F_SETFD, 0);
        p += sprintf(p, "%s%d", i > 0 ? "," : "", h->letters.fd[i]);
    }
    errno = err;
}

/* It was a spawn, or failed. */
static void
take_back(const struct handing *h)
{
    int err = errno;
    for (unsigned i = 0; i < h->letters.n; i++)
        REAL(fcntl)(h->letters.fd[i], F_SETFD, FD_CLOEXEC);
    errno = err;
}

static bool
names(const char *text, const char *name)
{
    size_t n = strlen(name);
    return strncmp(text, name, n) == 0 && text[n] == '=';
}

static size_t
count(char *const list[])
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

/* What a program needs that got sessions, if it would not have it: its caller knows nothing of
 * it, and may have made an environment of its own. */
static const char *const ours[] = {"LD_PRELOAD",     "BULKHEAD_INSTANCE", "BULKHEAD_RULES",
                                   "BULKHEAD_DEBUG", "BULKHEAD_FALLBACK", "BULKHEAD_RUN_DIR"};
#define N_OURS (sizeof ours / sizeof *ours)

/* `env` with h's letters, into `to`, which has room for count(env) + N_OURS + 2. */
static void
make_env(const struct handing *h, char *const env[], char **to)
{
    size_t n = 0;
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        if (!names(env[i], "BULKHEAD_HANDED"))
            to[n++] = env[i];
    for (size_t k = 0; k < N_OURS; k++) {
        size_t i = 0;
        while (i < n && !names(to[i], ours[k]))
            i++;
        for (char **e = environ; i == n && e != NULL && *e != NULL; e++)
            if (names(*e, ours[k])) {
                to[n++] = *e;
                break;
            }
    }
    to[n++] = (char *)(uintptr_t)h->text;
    to[n] = NULL;
}

/* Evaluates call, which uses env, with the environment that goes with what is handed on. */
#define HANDING(all, call)                                                                     \
    struct handing h;                                                                          \
    hand_on_all(&h, all);                                                                      \
    if (h.letters.n > 0) {                                                                     \
        char **with = alloca((count(env) + N_OURS + 2) * sizeof *with);                        \
        make_env(&h, env, with);                                                               \
        env = with;                                                                            \
    }                                                                                          \
    int r = call;                                                                              \
    take_back(&h);                                                                             \
    return r

/* ---- the calls ---- */

EXPORT int
execve(const char *path, char *const argv[], char *const env[])
{
    HANDING(false, REAL(execve)(path, argv, env));
}

EXPORT int
execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

EXPORT int
execvpe(const char *file, char *const argv[], char *const env[])
{
    HANDING(false, REAL(execvpe)(file, argv, env));
}

EXPORT int
execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

EXPORT int
execveat(int dir, const char *path, char *const argv[], char *const env[], int flags)
{
    HANDING(false, REAL(execveat)(dir, path, argv, env, flags));
}

EXPORT int
fexecve(int fd, char *const argv[], char *const env[])
{
    HANDING(false, REAL(fexecve)(fd, argv, env));
}

/* The arguments of a list, from the first to the NULL, as an array; what follows it stays in
 * `ap`. */
#define GATHER(argv, first, ap)                                                                \
    size_t gathered = 1;                                                                       \
    va_list copy;                                                                              \
    va_copy(copy, ap);                                                                         \
    for (const char *a = first; a != NULL; a = va_arg(copy, const char *))                     \
        gathered++;                                                                            \
    va_end(copy);                                                                              \
    char **argv = alloca(gathered * sizeof *argv);                                             \
    argv[0] = (char *)(uintptr_t)(first);                                                      \
    for (size_t i = 1; i < gathered; i++)                                                      \
    argv[i] = va_arg(ap, char *)

/* The body of a call with a list of arguments; env: what its environment is, after the list. */
#define LISTED(first, env, call)                                                               \
    va_list ap;                                                                                \
    va_start(ap, first);                                                                       \
    GATHER(argv, first, ap);                                                                   \
    char *const *with = env;                                                                   \
    va_end(ap);                                                                                \
    return call

EXPORT int
execl(const char *path, const char *arg, ...)
{
    LISTED(arg, environ, execve(path, argv, with));
}

EXPORT int
execlp(const char *file, const char *arg, ...)
{
    LISTED(arg, environ, execvpe(file, argv, with));
}

EXPORT int
execle(const char *path, const char *arg, ...)
{
    LISTED(arg, va_arg(ap, char *const *), execve(path, argv, with));
}

EXPORT int
posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
            const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
    HANDING(actions != NULL, REAL(posix_spawn)(pid, path, actions, attr, argv, env));
}

EXPORT int
posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
             const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
    HANDING(actions != NULL, REAL(posix_spawnp)(pid, file, actions, attr, argv, env));
}

/* ---- after ---- */

bool
adopt(int fd)
{
    uint32_t mark;
    int bh = share_adopt(fd, &mark);
    if (bh < 0 || (unsigned)fd >= SHIM_FDS || (unsigned)(bh - BH_FD_BASE) > E_INDEX)
        return false;
    uint32_t e = E_OURS | (mark & E_HANDED) | (uint32_t)(bh - BH_FD_BASE);
    replay_drop(e);
    table_set(fd, e);
    return true;
}

void
take_handed(const char *letters)
{
    char *end;
    for (const char *p = letters; *p != '\0'; p = *end == ',' ? end + 1 : end) {
        long fd = strtol(p, &end, 10);
        if (end == p || fd < 0 || fd >= (long)SHIM_FDS)
            break;
        int r = share_open_letter((int)fd, true);
        if (r < 0)
            say("sessions that stayed open over exec cannot be used: their memory finds no "
                "room here");
        if (r != 0)
            REAL(close)((int)fd);
    }
    unsetenv("BULKHEAD_HANDED");
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        int fd = (int)strtol(e->d_name, &end, 10);
        if (end != e->d_name && entry(fd) == 0)
            (void)adopt(fd);
    }
    if (d != NULL)
        closedir(d);
}
