/* SPDX-License-Identifier: BSD-2-Clause */
#include "main.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_A_SCRIPT 60u

static struct script script;
static struct run run;
static bool verbose;

static void
diag(const char *text)
{
    printf("#   %s\n", text);
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* In a process of its own: what one script breaks is not there for the next. */
static void
child(const char *path, unsigned number)
{
    alarm(SECONDS_A_SCRIPT * 4);
    struct link *l = link_open(&script, number, &run);
    bool ok = l != NULL && run_script(&run, l, &script);
    if (l == NULL)
        diag(run.error);
    if (l != NULL && (!ok || verbose)) {
        if (!ok)
            diag(run.error);
        run_tell(&run, diag);
    }
    if (l != NULL)
        link_close(l);
    (void)path;
    fflush(stdout);
    _exit(ok ? 0 : 1);
}

/* Runs it; what it says goes to a file that is shown behind the result. */
static bool
run_apart(const char *path, unsigned number, FILE *said)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fileno(said), STDOUT_FILENO) < 0 || dup2(fileno(said), STDERR_FILENO) < 0)
            _exit(1);
        child(path, number);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        fprintf(said, "#   ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
show(FILE *said)
{
    char line[1024];
    rewind(said);
    while (fgets(line, sizeof line, said) != NULL)
        printf("%s%s", *line == '#' ? "" : "# ", line);
}

/* True: as it should be. */
static bool
one(const char *path, unsigned number)
{
    char err[SCRIPT_ERROR];
    const char *why = "", *name = base_name(path);
    if (!script_read(&script, path, err)) {
        printf("not ok %u - %s\n#   %s\n", number, name, err);
        script_free(&script);
        return false;
    }
    bool ok = true;
    if (!link_runs(&script, &why)) {
        printf("ok %u - %s # SKIP %s\n", number, name, why);
    } else {
        FILE *said = tmpfile();
        ok = said != NULL && run_apart(path, number, said);
        const char *todo = script.todo[0] != '\0' ? " # "
                                                    "TO"
                                                    "DO "
                                                  : "";
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", number, name, todo, script.todo);
        if (said != NULL)
            show(said);
        if (said != NULL)
            fclose(said);
        ok |= script.todo[0] != '\0';
    }
    fflush(stdout);
    script_free(&script);
    return ok;
}

static bool
check(const char *path)
{
    char err[SCRIPT_ERROR];
    bool ok = script_read(&script, path, err);
    if (!ok)
        printf("%s\n", err);
    script_free(&script);
    return ok;
}

/* One line for each rule: source, section, quote, script, state; tabs between. */
static bool
clauses(const char *path)
{
    char err[SCRIPT_ERROR];
    bool ok = script_read(&script, path, err);
    for (unsigned i = 0; i < script.n_rules && ok; i++) {
        const struct rule *r = &script.rule[i];
        const char *q = r->own_words ? "" : "\"";
        printf("%s\t%s\t%s%s%s\t%s\t%s%s\n", r->source, r->section, q, r->quote, q,
               base_name(path), script.todo[0] != '\0' ? "todo: " : "holds", script.todo);
    }
    if (!ok)
        fprintf(stderr, "%s\n", err);
    script_free(&script);
    return ok;
}

int
tap_main(int argc, char **argv)
{
    int i = 1;
    bool good = true, only_check = false, only_clauses = false;
    for (; i < argc && argv[i][0] == '-'; i++) {
        verbose |= strcmp(argv[i], "-v") == 0;
        only_check |= strcmp(argv[i], "--check") == 0;
        only_clauses |= strcmp(argv[i], "--clauses") == 0;
    }
    if (i == argc) {
        fprintf(stderr, "usage: %s [-v | --check | --clauses] SCRIPT...\n", argv[0]);
        return 2;
    }
    if (!only_check && !only_clauses)
        printf("1..%d\n", argc - i);
    for (unsigned n = 1; i < argc; i++, n++)
        good &= only_check ? check(argv[i]) : only_clauses ? clauses(argv[i]) : one(argv[i], n);
    return good ? 0 : 1;
}
