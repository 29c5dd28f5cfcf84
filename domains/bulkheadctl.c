/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulkheadctl.c: ask a running bulkheadd: one line of JSON to it, one line back, shown as
 * tables or as it came.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "base/exit_codes.h"
#include "ctl_print.h"
#include "ipc/ctl.h"
#include "policy/accounts.h"
#include "sandbox.h"

static const char usage[] =
    "Usage: bulkheadctl [--instance NAME] [--json] COMMAND\n\n"
    "  status          the domains: pids, filters, memory and who may touch it; the clients\n"
    "  stats           counters that are not zero; with --all, every one\n"
    "  sessions        TCP and UDP sessions\n"
    "  sandbox [PID]   what each domain can do, read from the kernel, and what of it is too "
    "much;\n"
    "                  with PID, what that process can do\n"
    "  restart DOMAIN  end a domain (nic, ip, tcp, udp, mono) and wait until it is back\n"
    "  reload          read the accounts again\n"
    "  policy show     the accounts that hold\n"
    "  policy check FILE  are these accounts without a mistake? Needs no daemon\n\n"
    "  -n, --instance NAME  the daemon (default: BULKHEAD_INSTANCE, else default)\n"
    "  -j, --json           print the answer as one JSON object\n"
    "  -a, --all            with stats: also counters that are zero\n"
    "  -h, --help\n"
    "      --version\n\n"
    "See bulkheadctl(1).\n";

struct request {
    const char *instance;
    const char *command;
    const char *domain; /* of restart, else NULL */
    pid_t pid;          /* of sandbox; 0: all domains */
    const char *check;  /* policy check: the file, else NULL */
    bool json, all;
};

static bool
known_command(const char *c)
{
    return strcmp(c, "status") == 0 || strcmp(c, "stats") == 0 || strcmp(c, "sessions") == 0 ||
           strcmp(c, "restart") == 0 || strcmp(c, "reload") == 0 || strcmp(c, "policy") == 0 ||
           strcmp(c, "sandbox") == 0;
}

/* Behind "policy": show, or check FILE. */
static int
parse_policy(struct request *r, int argc, char **argv)
{
    const char *what = optind < argc ? argv[optind++] : "";
    if (strcmp(what, "check") == 0 && optind < argc)
        r->check = argv[optind++];
    else if (strcmp(what, "show") != 0)
        what = "";
    if (what[0] != '\0' && optind == argc)
        return 0;
    fputs("bulkheadctl: policy show, or policy check FILE\n", stderr);
    return EXIT_USAGE;
}

/* Without a daemon, and whoever asks: 0, or EXIT_USAGE with what is wrong. */
static int
check_policy(const struct request *r)
{
    struct accounts as;
    char err[768];
    int rc = accounts_read(&as, r->check, err, sizeof err);
    if (r->json) {
        json_t *j = rc == 0 ? json_pack("{s:b, s:i}", "ok", 1, "accounts", (int)as.n)
                            : json_pack("{s:b, s:s}", "ok", 0, "error", err);
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
    } else if (rc == 0) {
        printf("%s: %u accounts, no mistake\n", r->check, as.n);
    } else {
        fprintf(stderr, "%s\n", err);
    }
    if (rc != 0)
        return EXIT_USAGE;
    accounts_free(&as);
    return EXIT_OK;
}

static int
parse_options(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"instance", required_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'j'},
        {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    const char *env = getenv("BULKHEAD_INSTANCE");
    int opt;
    *r = (struct request){.instance = env != NULL && *env != '\0' ? env : "default"};
    while ((opt = getopt_long(argc, argv, "n:jahV", options, NULL)) != -1) {
        if (opt == 'n') {
            r->instance = optarg;
        } else if (opt == 'j') {
            r->json = true;
        } else if (opt == 'a') {
            r->all = true;
        } else if (opt == 'h') {
            fputs(usage, stdout);
            exit(EXIT_OK);
        } else if (opt == 'V') {
            puts("bulkheadctl " PACKAGE_VERSION);
            exit(EXIT_OK);
        } else {
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        fputs("bulkheadctl: which command? Try bulkheadctl --help.\n", stderr);
        return EXIT_USAGE;
    }
    r->command = argv[optind++];
    if (!known_command(r->command)) {
        fprintf(stderr, "bulkheadctl: there is no command \"%s\"\n", r->command);
        return EXIT_USAGE;
    }
    if (strcmp(r->command, "policy") == 0)
        return parse_policy(r, argc, argv);
    if (strcmp(r->command, "restart") == 0 && optind < argc)
        r->domain = argv[optind++];
    if (strcmp(r->command, "sandbox") == 0 && optind < argc) {
        char *end;
        long pid = strtol(argv[optind++], &end, 10);
        if (*end != '\0' || pid <= 0 || pid > INT_MAX) {
            fputs("bulkheadctl: sandbox wants the number of a process\n", stderr);
            return EXIT_USAGE;
        }
        r->pid = (pid_t)pid;
    }
    if (optind < argc || (strcmp(r->command, "restart") == 0 && r->domain == NULL)) {
        fprintf(stderr, "bulkheadctl: %s\n",
                optind < argc ? "too many arguments"
                              : "restart which domain: nic, ip, tcp, udp or mono?");
        return EXIT_USAGE;
    }
    return 0;
}

/* Returns a connected descriptor, or -(exit code) with the message printed. */
static int
connect_daemon(const char *instance)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (!ctl_socket_path(sun.sun_path, sizeof sun.sun_path, instance, "ctl")) {
        fprintf(stderr, "bulkheadctl: \"%s\" cannot be the name of an instance\n", instance);
        return -EXIT_USAGE;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fprintf(stderr, "bulkheadctl: socket: %s\n", strerror(errno));
        return -EXIT_OTHER;
    }
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
        return fd;
    int e = errno;
    close(fd);
    if (e == EACCES || e == EPERM) {
        fprintf(stderr, "bulkheadctl: %s is root's alone; try sudo\n", sun.sun_path);
        return -EXIT_PRIVILEGE;
    }
    if (e == ENOENT || e == ECONNREFUSED || e == ENOTDIR) {
        fprintf(stderr,
                "bulkheadctl: no daemon runs as instance \"%s\" (nobody listens on %s)\n",
                instance, sun.sun_path);
        return -EXIT_NO_DAEMON;
    }
    fprintf(stderr, "bulkheadctl: %s: %s\n", sun.sun_path, strerror(e));
    return -EXIT_OTHER;
}

/* NULL, with the message printed, if the daemon hangs up or does not make sense. */
static json_t *
ask(int fd, const struct request *r)
{
    /* The daemon is asked only who its domains are: what they can do the kernel tells. */
    bool sandbox = strcmp(r->command, "sandbox") == 0;
    json_t *q = json_pack("{s:s}", "cmd", sandbox ? "status" : r->command);
    json_error_t err;
    if (r->domain != NULL)
        json_object_set_new(q, "domain", json_string(r->domain));
    char *line = json_dumps(q, JSON_COMPACT);
    json_decref(q);
    /* Out and in through stdio: both ends are ours, and one line fits any buffer. */
    FILE *out = line != NULL ? fdopen(dup(fd), "w") : NULL;
    FILE *in = fdopen(fd, "r");
    json_t *answer = NULL;
    if (out != NULL && in != NULL && fprintf(out, "%s\n", line) > 0 && fflush(out) == 0)
        answer = json_loadf(in, JSON_DISABLE_EOF_CHECK, &err);
    else
        snprintf(err.text, sizeof err.text, "%s", strerror(errno));
    if (answer == NULL)
        fprintf(stderr, "bulkheadctl: no answer from the daemon: %s\n", err.text);
    free(line);
    if (out != NULL)
        fclose(out);
    if (in != NULL)
        fclose(in);
    else
        close(fd);
    return answer;
}

/* Of the domains in the daemon's answer and of itself, or of one process. */
static int
show_sandbox(const json_t *status, const struct request *r)
{
    json_t *list = json_array(), *d, *text;
    pid_t daemon = (pid_t)json_integer_value(json_object_get(status, "pid"));
    size_t i, k, findings = 0;
    if (status == NULL)
        json_array_append_new(list, sandbox_read("process", r->pid, 0));
    else
        json_array_append_new(list, sandbox_read("supervisor", daemon, daemon));
    json_array_foreach(json_object_get(status, "domains"), i, d)
    {
        const char *name = json_string_value(json_object_get(d, "name"));
        pid_t pid = (pid_t)json_integer_value(json_object_get(d, "pid"));
        if (name != NULL && pid > 0) /* else it is being restarted */
            json_array_append_new(list, sandbox_read(name, pid, daemon));
    }
    json_array_foreach(list, i, d)
    {
        json_array_foreach(json_object_get(d, "findings"), k, text)
        {
            findings++;
        }
    }
    if (json_array_size(list) == 0)
        fputs("bulkheadctl: there is no such process\n", stderr);
    if (r->json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        sandbox_print(list);
    }
    int rc = findings == 0 && json_array_size(list) != 0 ? EXIT_OK : EXIT_OTHER;
    json_decref(list);
    return fflush(stdout) == 0 ? rc : EXIT_OTHER;
}

int
main(int argc, char **argv)
{
    struct request r;
    int rc = parse_options(&r, argc, argv);
    if (rc != 0)
        return rc;
    if (r.pid != 0)
        return show_sandbox(NULL, &r);
    if (r.check != NULL)
        return check_policy(&r);
    int fd = connect_daemon(r.instance);
    if (fd < 0)
        return -fd;
    json_t *j = ask(fd, &r);
    if (j == NULL)
        return EXIT_OTHER;
    bool ok = json_is_true(json_object_get(j, "ok"));
    if (ok && strcmp(r.command, "sandbox") == 0) {
        rc = show_sandbox(j, &r);
        json_decref(j);
        return rc;
    }
    if (r.json) {
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (!ok) {
        const char *why = json_string_value(json_object_get(j, "error"));
        fprintf(stderr, "bulkheadctl: %s\n", why != NULL ? why : "the daemon said no");
    } else if (strcmp(r.command, "status") == 0) {
        ctl_print_status(j);
    } else if (strcmp(r.command, "stats") == 0) {
        ctl_print_stats(j, r.all);
    } else if (strcmp(r.command, "sessions") == 0) {
        ctl_print_sessions(j);
    } else if (strcmp(r.command, "policy") == 0) {
        ctl_print_policy(j);
    } else if (strcmp(r.command, "reload") == 0) {
        ctl_print_reload(j);
    } else {
        ctl_print_restart(j);
    }
    json_decref(j);
    if (fflush(stdout) != 0)
        return EXIT_OTHER;
    return ok ? EXIT_OK : EXIT_OTHER;
}
