/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asks for a name or an address and prints what comes back, one fact in a line, for
 * test_resolve.sh to compare. Built with the functions of lib/preload, and without them as the
 * reference.
 *
 *   gai NODE SERVICE FAMILY SOCKTYPE FLAGS    - for none; FLAGS: letters, see flags_of
 *   gni ADDRESS PORT FLAGS                    letters: n NAMEREQD, h NUMERICHOST
 *   host NAME 4|6                             gethostbyname2 and gethostbyname2_r
 *   addr ADDRESS                              gethostbyaddr and gethostbyaddr_r
 *   threads N NAME                            all of N threads get the same
 *   fork NAME                                 parent, child and parent get the same
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *
arg(const char *text)
{
    return strcmp(text, "-") == 0 ? NULL : text;
}

static int
flags_of(const char *letters)
{
    static const struct {
        char letter;
        int flag;
    } all[] = {{'p', AI_PASSIVE},     {'c', AI_CANONNAME}, {'n', AI_NUMERICHOST},
               {'s', AI_NUMERICSERV}, {'4', AI_V4MAPPED},  {'a', AI_ALL},
               {'g', AI_ADDRCONFIG},  {'x', 0x40000000}};
    int flags = 0;
    for (; *letters != '\0'; letters++)
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            if (all[i].letter == *letters)
                flags |= all[i].flag;
    return flags;
}

static int
family_of(char c)
{
    return c == '4' ? AF_INET : c == '6' ? AF_INET6 : AF_UNSPEC;
}

static int
gai(char **a)
{
    struct addrinfo h = {
        .ai_family = family_of(a[2][0]), .ai_socktype = atoi(a[3]), .ai_flags = flags_of(a[4])};
    struct addrinfo *res = NULL;
    int err = getaddrinfo(arg(a[0]), arg(a[1]), strcmp(a[4], "N") == 0 ? NULL : &h, &res);
    printf("error %d\n", err);
    for (const struct addrinfo *i = err == 0 ? res : NULL; i != NULL; i = i->ai_next) {
        char host[64], port[16];
        getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        printf("%d %d %d %s %s\n", i->ai_family, i->ai_socktype, i->ai_protocol, host, port);
        if (i->ai_canonname != NULL)
            printf("canon %s%s\n", i->ai_canonname, i == res ? "" : " (not first)");
    }
    if (err == 0)
        freeaddrinfo(res);
    return 0;
}

static socklen_t
address(const char *text, unsigned port, struct sockaddr_storage *ss)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(ss, &in, sizeof in);
        return sizeof in;
    }
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
        exit(2);
    memcpy(ss, &in6, sizeof in6);
    return sizeof in6;
}

static int
gni(char **a)
{
    struct sockaddr_storage ss;
    char host[256] = "", port[64] = "";
    socklen_t len = address(a[0], (unsigned)atoi(a[1]), &ss);
    int flags =
        (strchr(a[2], 'n') ? NI_NAMEREQD : 0) | (strchr(a[2], 'h') ? NI_NUMERICHOST : 0);
    int err = getnameinfo((struct sockaddr *)&ss, len, host, strchr(a[2], 's') ? 4 : 256, port,
                          sizeof port, flags);
    printf("error %d\n", err);
    if (err == 0)
        printf("%s %s\n", host, port);
    return 0;
}

static void
print_host(const struct hostent *h, int err)
{
    char text[64];
    if (h == NULL) {
        printf("h_errno %d\n", err);
        return;
    }
    printf("name %s\nfamily %d length %d\n", h->h_name, h->h_addrtype, h->h_length);
    for (char **p = h->h_aliases; *p != NULL; p++)
        printf("alias %s\n", *p);
    for (char **p = h->h_addr_list; *p != NULL; p++)
        printf("address %s\n", inet_ntop(h->h_addrtype, *p, text, sizeof text));
}

static int
host(const char *name, const char *addr, int family)
{
    struct in6_addr a;
    socklen_t len = family == AF_INET ? 4 : 16;
    if (addr != NULL && inet_pton(family, addr, &a) != 1)
        return 2;
    const struct hostent *h = addr != NULL        ? gethostbyaddr(&a, len, family)
                              : family == AF_INET ? gethostbyname(name)
                                                  : gethostbyname2(name, family);
    print_host(h, h_errno);
    for (size_t size = 8; size <= 65536; size *= 2) { /* every size is enough or refused */
        struct hostent mine, *res = NULL;
        char *buf = malloc(size);
        int err = 0, code;
        code = addr != NULL ? gethostbyaddr_r(&a, len, family, &mine, buf, size, &res, &err)
                            : gethostbyname2_r(name, family, &mine, buf, size, &res, &err);
        if (code != ERANGE) {
            printf("code %d\n", code);
            print_host(res, err);
            free(buf);
            return 0;
        }
        if (res != NULL)
            printf("ERANGE with an answer\n");
        free(buf);
    }
    printf("ERANGE for ever\n");
    return 1;
}

static char *name;

/* The addresses of name, as one text. */
static void *
ask(void *to)
{
    char *text = to;
    struct addrinfo h = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *res;
    int err = getaddrinfo(name, "80", &h, &res);
    sprintf(text, "error %d", err);
    for (const struct addrinfo *i = err == 0 ? res : NULL; i != NULL; i = i->ai_next) {
        char one[64] = " ";
        getnameinfo(i->ai_addr, i->ai_addrlen, one + 1, sizeof one - 1, NULL, 0,
                    NI_NUMERICHOST);
        strcat(text, one);
    }
    if (err == 0)
        freeaddrinfo(res);
    return NULL;
}

#define THREADS 64

static int
threads(int n)
{
    static char text[THREADS][1024];
    pthread_t t[THREADS];
    for (int i = 0; i < n && i < THREADS; i++)
        if (pthread_create(&t[i], NULL, ask, text[i]) != 0)
            return 1;
    bool same = true;
    for (int i = 0; i < n && i < THREADS; i++) {
        pthread_join(t[i], NULL);
        same = same && strcmp(text[i], text[0]) == 0;
    }
    printf("%s\n%s\n", text[0], same ? "all the same" : "different");
    return 0;
}

static int
forked(void)
{
    static char text[1024];
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t pid = i == 1 ? fork() : 0;
        if (pid == 0) {
            ask(text);
            printf("%s\n", text);
            fflush(stdout);
        }
        if (i == 1 && pid == 0)
            _exit(0);
        if (pid > 0)
            waitpid(pid, &status, 0);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "gai") == 0 && argc == 7)
        return gai(argv + 2);
    if (strcmp(what, "gni") == 0 && argc == 5)
        return gni(argv + 2);
    if (strcmp(what, "host") == 0 && argc == 4)
        return host(argv[2], NULL, family_of(argv[3][0]));
    if (strcmp(what, "addr") == 0)
        return host(NULL, argv[2], strchr(argv[2], ':') ? AF_INET6 : AF_INET);
    name = argv[argc - 1];
    if (strcmp(what, "threads") == 0 && argc == 4)
        return threads(atoi(argv[2]));
    if (strcmp(what, "fork") == 0)
        return forked();
    return 2;
}
