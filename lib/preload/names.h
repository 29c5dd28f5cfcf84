/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names.h: names and addresses, asked of the DNS over the stack.
 *
 * libc's own resolver makes its sockets where nothing can be put in between. So libc is left
 * with what causes no traffic (numbers, /etc/hosts, services; it is told so by names_order),
 * and the DNS is asked by c-ares, whose sockets are made here.
 */
#ifndef PRELOAD_NAMES_H
#define PRELOAD_NAMES_H

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

#define NAMES_ADDRS 64u
#define NAMES_ALIASES 16u
#define NAMES_LEN 1025u

struct names_addr {
    int family;
    union {
        struct in_addr in;
        struct in6_addr in6;
    };
};

struct names_answer {
    unsigned n, n_aliases;
    struct names_addr addr[NAMES_ADDRS];
    char canon[NAMES_LEN]; /* empty: none was said */
    char alias[NAMES_ALIASES][NAMES_LEN];
};

/* ---- names.c: pure ---- */

/* What the line "hosts:" of nsswitch.conf says. */
struct names_order {
    bool dns, dns_first; /* first: before what is local */
    char local[128];     /* the services that cause no traffic, for libc; may be empty */
};
void names_order_parse(struct names_order *o, const char *text, size_t len);

/* Options of resolv.conf that c-ares does not take from there. */
struct names_options {
    unsigned timeout, attempts; /* seconds; 0: not said */
    bool use_vc;                /* ask over TCP */
};
/* All lines "options ..." of the file. */
void names_options_parse(struct names_options *o, const char *text, size_t len);
/* The words themselves (RES_OPTIONS). */
void names_options_words(struct names_options *o, const char *text, size_t len);

/* Can a host be called so? As libc has it, which asks for nothing else. */
bool names_is_host(const char *name);

/* An ARES_ status as getaddrinfo and as gethostbyname say it. */
int names_eai(int status);
int names_h_errno(int status);

/* A host in memory of the caller's: 0, or ERANGE if it is too small. name: what was asked for;
 * only addresses of the family. */
int names_pack(struct hostent *h, char *buf, size_t len, const struct names_answer *a,
               const char *name, int family);

/* ---- names_ask.c: by c-ares; ARES_SUCCESS or what went wrong ---- */

/* family may be AF_UNSPEC. */
int names_ask(const char *name, int family, struct names_answer *a);
/* The name of an address; in a->canon and a->alias. */
int names_ask_addr(const void *addr, int family, struct names_answer *a);
const struct names_order *names_order(void);

/* ---- names_io.c: the sockets of one question ---- */

#define NAMES_SOCKETS 32u
struct names_io {
    bool fallback;
    struct names_socket {
        bool used, kernel;
        int fd, domain, type, protocol; /* fd -1: not connected yet */
    } socket[NAMES_SOCKETS];
};
struct ares_socket_functions;
extern const struct ares_socket_functions names_io_functions; /* user data: the struct */
struct pollfd;
/* The descriptor of one of c-ares' sockets, for bh_poll. */
int names_io_fd(const struct names_io *io, int s);

/* ---- what programs call; hosts.c, resolve.c ---- */

int shim_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                     struct addrinfo **res);
int shim_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len,
                     char *service, socklen_t service_len, int flags);
int shim_gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf,
                          size_t len, struct hostent **res, int *err);
int shim_gethostbyaddr_r(const void *addr, socklen_t addr_len, int family, struct hostent *h,
                         char *buf, size_t len, struct hostent **res, int *err);
struct hostent *shim_gethostbyname2(const char *name, int family);
struct hostent *shim_gethostbyaddr(const void *addr, socklen_t len, int family);

#endif
