/* SPDX-License-Identifier: BSD-2-Clause */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MAX 5u /* the kernel's limit of interpreters that are scripts */
#define SCRIPT_LINE 256u
#define HEADERS_MAX 256u

static int __attribute__((format(printf, 3, 4)))
cannot(char *err, size_t err_len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err, err_len, fmt, ap);
    va_end(ap);
    return EXIT_NOT_EXECUTABLE;
}

/* ---- where it is ---- */

/* 0: it can be executed; else errno. */
static int
executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    if (!S_ISREG(st.st_mode))
        return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

static int
not_found(const char *name, int why, char *err, size_t err_len)
{
    if (why != ENOENT && why != ENOTDIR)
        return cannot(err, err_len, "cannot execute %s: %s", name, strerror(why));
    (void)cannot(err, err_len, "%s: %s", name,
                 strchr(name, '/') != NULL ? strerror(why) : "not found in PATH");
    return EXIT_NOT_FOUND;
}

int
program_find(const char *name, char path[PROGRAM_PATH_MAX], char *err, size_t err_len)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL) {
        if (strlen(name) >= PROGRAM_PATH_MAX)
            return not_found(name, ENAMETOOLONG, err, err_len);
        strcpy(path, name);
        int why = name[0] == '\0' ? ENOENT : executable(path);
        return why == 0 ? 0 : not_found(name, why, err, err_len);
    }
    const char *at = getenv("PATH");
    int worst = ENOENT;
    if (at == NULL)
        at = "/bin:/usr/bin";
    for (;;) {
        size_t n = strcspn(at, ":");
        int used = n == 0 ? snprintf(path, PROGRAM_PATH_MAX, "./%s", name)
                          : snprintf(path, PROGRAM_PATH_MAX, "%.*s/%s", (int)n, at, name);
        int why = used > 0 && (size_t)used < PROGRAM_PATH_MAX ? executable(path) : ENOENT;
        if (why == 0)
            return 0;
        if (why == EACCES) /* there, but not for us: another one may do */
            worst = why;
        if (at[n] == '\0')
            return not_found(name, worst, err, err_len);
        at += n + 1;
    }
}

/* ---- what it is ---- */

/* The loader ignores LD_PRELOAD where the program gains what its caller has not. */
static int
check_rights(const char *path, int fd, char *err, size_t err_len)
{
    struct stat st;
    char caps[64];
    if (fstat(fd, &st) != 0)
        return cannot(err, err_len, "cannot look at %s: %s", path, strerror(errno));
    bool setuid = (st.st_mode & S_ISUID) != 0 && st.st_uid != getuid();
    bool setgid =
        (st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getgid();
    if (setuid || setgid)
        return cannot(err, err_len,
                      "%s is %s: nothing can be preloaded into it. Run it as the %s that it "
                      "belongs to, or run a copy without that bit",
                      path, setuid ? "setuid" : "setgid", setuid ? "user" : "group");
    if (getuid() != 0 && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0)
        return cannot(err, err_len,
                      "%s has capabilities of its own (getcap): nothing can be preloaded into "
                      "it. Run it as root, or run a copy without them",
                      path);
    return 0;
}

static bool
read_header(int fd, ElfW(Ehdr) * h)
{
    return pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h &&
           memcmp(h->e_ident, ELFMAG, SELFMAG) == 0;
}

/* The loader that an ELF file asks for. False: none, it is linked statically. */
static bool
read_loader(int fd, const ElfW(Ehdr) * h, char *name, size_t len)
{
    for (unsigned i = 0; i < h->e_phnum && i < HEADERS_MAX; i++) {
        ElfW(Phdr) p;
        off_t at = (off_t)(h->e_phoff + (ElfW(Off))i * h->e_phentsize);
        if (pread(fd, &p, sizeof p, at) != (ssize_t)sizeof p)
            return false;
        if (p.p_type != PT_INTERP)
            continue;
        size_t want = p.p_filesz < len ? p.p_filesz : len - 1;
        ssize_t n = pread(fd, name, want, (off_t)p.p_offset);
        name[n > 0 ? n : 0] = '\0';
        return n > 0;
    }
    return false;
}

static int
check_elf(const char *path, int fd, int like, char *err, size_t err_len)
{
    ElfW(Ehdr) h, ours;
    char loader[256];
    if (!read_header(fd, &h) || !read_header(like, &ours))
        return cannot(err, err_len, "cannot read the header of %s", path);
    if (h.e_ident[EI_CLASS] != ours.e_ident[EI_CLASS] || h.e_machine != ours.e_machine)
        return cannot(err, err_len,
                      "%s is for another kind of processor, or of other word size, than this "
                      "Bulkhead: build Bulkhead for it, too",
                      path);
    if (!read_loader(fd, &h, loader, sizeof loader))
        return cannot(
            err, err_len,
            "%s is linked statically: nothing can be preloaded into it. Take one that "
            "is linked dynamically",
            path);
    if (strstr(loader, "ld-musl") != NULL)
        return cannot(err, err_len,
                      "%s uses another C library (%s) than this Bulkhead, which was built for "
                      "glibc",
                      path, loader);
    return check_rights(path, fd, err, err_len);
}

/* The interpreter in a #! line. */
static bool
interpreter(const char *line, char path[PROGRAM_PATH_MAX])
{
    line += 2;
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t\n");
    if (n == 0 || n >= PROGRAM_PATH_MAX)
        return false;
    memcpy(path, line, n);
    path[n] = '\0';
    return true;
}

int
program_check(const char *first, int like, bool *shell, char *err, size_t err_len)
{
    char path[PROGRAM_PATH_MAX], line[SCRIPT_LINE + 1];
    *shell = false;
    snprintf(path, sizeof path, "%s", first);
    for (unsigned i = 0; i <= SCRIPTS_MAX; i++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == EACCES) /* may be executed, not read: the loader will see */
            return 0;
        if (fd < 0 && i > 0)
            return cannot(err, err_len, "%s wants the interpreter %s: %s", first, path,
                          strerror(errno));
        if (fd < 0)
            return not_found(path, errno, err, err_len);
        ssize_t n = pread(fd, line, SCRIPT_LINE, 0);
        line[n > 0 ? n : 0] = '\0';
        bool elf = n >= SELFMAG && memcmp(line, ELFMAG, SELFMAG) == 0;
        int code = elf ? check_elf(path, fd, like, err, err_len) : 0;
        close(fd);
        if (elf)
            return code;
        if (strncmp(line, "#!", 2) != 0) {
            *shell = i == 0;
            return i == 0 ? 0
                          : cannot(err, err_len, "%s wants the interpreter %s, which is none",
                                   first, path);
        }
        if (!interpreter(line, path))
            return cannot(err, err_len, "%s names no interpreter in its first line", first);
    }
    return cannot(err, err_len, "%s: too many scripts that interpret scripts", first);
}
