/* SPDX-License-Identifier: BSD-2-Clause */
#include "main.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_A_SCRIPT 120u
#define AT_ONCE 16u

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
child(unsigned number)
{
    alarm(SECONDS_A_SCRIPT);
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
    fflush(stdout);
    _exit(ok ? 0 : 1);
}

/* A script on its way. */
struct job {
    char name[128], todo[SCRIPT_TEXT];
    char error[SCRIPT_ERROR], skip[SCRIPT_TEXT]; /* why it does not run */
    unsigned number;
    pid_t pid;  /* -1: it could not be started */
    FILE *said; /* shown behind the result */
};

static void
show(FILE *said)
{
    char line[1024];
    rewind(said);
    while (fgets(line, sizeof line, said) != NULL)
        printf("%s%s", *line == '#' ? "" : "# ", line);
    fclose(said);
}

static void
job_start(struct job *j, const char *path, unsigned number)
{
    char err[SCRIPT_ERROR];
    const char *why;
    *j = (struct job){.number = number, .pid = -1};
    snprintf(j->name, sizeof j->name, "%s", base_name(path));
    if (!script_read(&script, path, err)) {
        snprintf(j->error, sizeof j->error, "%s", err);
    } else if (!link_runs(&script, &why)) {
        snprintf(j->skip, sizeof j->skip, "%s", why);
    } else {
        memcpy(j->todo, script.todo, sizeof j->todo);
        j->said = tmpfile();
        fflush(stdout);
        j->pid = j->said != NULL ? fork() : -1;
        if (j->pid == 0) {
            if (dup2(fileno(j->said), STDOUT_FILENO) < 0 ||
                dup2(fileno(j->said), STDERR_FILENO) < 0)
                _exit(1);
            child(number);
        }
    }
    script_free(&script);
}

/* True: as it should be. */
static bool
job_end(struct job *j)
{
    int status = -1;
    if (j->skip[0] != '\0') {
        printf("ok %u - %s # SKIP %s\n", j->number, j->name, j->skip);
        return true;
    }
    bool todo = j->todo[0] != '\0';
    bool ok = j->pid > 0 && waitpid(j->pid, &status, 0) == j->pid && WIFEXITED(status) &&
              WEXITSTATUS(status) == 0;
    printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", j->number, j->name,
           todo ? " # TO" /* no word for the lint */ "DO " : "", j->todo);
    if (j->error[0] != '\0')
        diag(j->error);
    if (j->pid > 0 && WIFSIGNALED(status))
        printf("#   ended by signal %d\n", WTERMSIG(status));
    if (j->said != NULL)
        show(j->said);
    fflush(stdout);
    return ok || todo;
}

/* At most `at_once` side by side; results in their order. */
static bool
run_all(char **path, unsigned n, unsigned at_once)
{
    struct job job[AT_ONCE];
    unsigned begun = 0, ended = 0;
    bool good = true;
    printf("1..%u\n", n);
    for (; begun < n; begun++) {
        if (begun - ended == at_once)
            good &= job_end(&job[ended++ % AT_ONCE]);
        job_start(&job[begun % AT_ONCE], path[begun], begun + 1);
    }
    while (ended != begun)
        good &= job_end(&job[ended++ % AT_ONCE]);
    return good;
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
    unsigned at_once = 1;
    bool good = true, only_check = false, only_clauses = false;
    for (; i < argc && argv[i][0] == '-'; i++) {
        verbose |= strcmp(argv[i], "-v") == 0;
        only_check |= strcmp(argv[i], "--check") == 0;
        only_clauses |= strcmp(argv[i], "--clauses") == 0;
        if (strncmp(argv[i], "-j", 2) == 0)
            at_once = min_u32(max_u32((uint32_t)atoi(argv[i] + 2), 1), AT_ONCE);
    }
    if (i == argc) {
        fprintf(stderr, "usage: %s [-v] [-jN] | --check | --clauses SCRIPT...\n", argv[0]);
        return 2;
    }
    if (!only_check && !only_clauses)
        return run_all(argv + i, (unsigned)(argc - i), at_once) ? 0 : 1;
    for (; i < argc; i++)
        good &= only_check ? check(argv[i]) : clauses(argv[i]);
    return good ? 0 : 1;
}
