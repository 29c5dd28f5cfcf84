/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sockopt_compare: sets and reads the same options on sockets of the kernel, a stream and one
 * for datagrams, and on those of Bulkhead, and prints a table of what differs. Exit 0 if that
 * is what bh_socket(3) says, and nothing else.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client/bulkhead.h"

#define GET (-12345) /* do not set, only read */

struct row {
    const char *text;
    int level, name, value;
    socklen_t len;  /* 0: of an int */
    const char *ok; /* why it may differ */
};

#define R(level, name, value)                                                                  \
    {                                                                                          \
#name, level, name, value, 0, NULL                                                     \
    }
#define DIFFERS(level, name, value, why)                                                       \
    {                                                                                          \
#name, level, name, value, 0, why                                                      \
    }
#define S(name, value) R(SOL_SOCKET, name, value)
#define T(name, value) R(IPPROTO_TCP, name, value)
#define I(name, value) R(IPPROTO_IP, name, value)

/* Asked of both kinds of sockets, before what is asked of one. */
static const struct row common_rows[] = {
    S(SO_TYPE, GET),
    S(SO_DOMAIN, GET),
    S(SO_PROTOCOL, GET),
    S(SO_ACCEPTCONN, GET),
    S(SO_ERROR, GET),
    S(SO_TYPE, 1),
    S(SO_REUSEADDR, GET),
    S(SO_REUSEADDR, 5),
    S(SO_REUSEADDR, 0),
    S(SO_REUSEPORT, GET),
    S(SO_REUSEPORT, 7),
    S(SO_REUSEPORT, 0),
    S(SO_KEEPALIVE, GET),
    S(SO_KEEPALIVE, 3),
    S(SO_RCVLOWAT, GET),
    S(SO_RCVLOWAT, 0),
    S(SO_RCVLOWAT, 1),
    S(SO_PRIORITY, GET),
    S(SO_PRIORITY, 6),
    DIFFERS(SOL_SOCKET, SO_PRIORITY, 7, "nobody has the privilege here"),
    DIFFERS(SOL_SOCKET, SO_SNDBUF, 100000, "not doubled"),
    DIFFERS(SOL_SOCKET, SO_RCVBUF, 100000, "not doubled"),
    I(IP_TTL, GET),
    I(IP_TTL, 0),
    I(IP_TTL, 1),
    I(IP_TTL, 255),
    I(IP_TTL, 256),
    I(IP_TTL, -1),
    I(IP_TOS, GET),
    I(IP_MTU, GET),
    R(77, 1, 1),
};

static const struct row stream_rows[] = {
    S(SO_ERROR, 1),
    S(SO_ACCEPTCONN, 1),
    S(SO_REUSEADDR, 1),
    S(SO_BROADCAST, 2),
    S(SO_RCVLOWAT, 1000),
    DIFFERS(SOL_SOCKET, SO_RCVLOWAT, -1, "half of the buffer, which is another"),
    DIFFERS(SOL_SOCKET, SO_OOBINLINE, GET, "always in line"),
    DIFFERS(SOL_SOCKET, SO_OOBINLINE, 0, "always in line"),
    S(SO_OOBINLINE, 1),
    DIFFERS(SOL_SOCKET, SO_INCOMING_CPU, GET, "there is none"),
    DIFFERS(SOL_SOCKET, SO_MARK, 1, "there is none"),
    DIFFERS(SOL_SOCKET, SO_TIMESTAMP, 1, "there is none"),
    S(12345, 1),
    S(12345, GET),
    {"SO_REUSEADDR, 2 bytes", SOL_SOCKET, SO_REUSEADDR, 1, 2, NULL},
    T(TCP_NODELAY, GET),
    T(TCP_NODELAY, 2),
    T(TCP_NODELAY, 0),
    T(TCP_CORK, 1),
    T(TCP_CORK, 0),
    T(TCP_MAXSEG, GET),
    T(TCP_MAXSEG, 87),
    T(TCP_MAXSEG, 88),
    T(TCP_MAXSEG, 1000),
    T(TCP_MAXSEG, 32768),
    T(TCP_MAXSEG, 0),
    T(TCP_MAXSEG, -1),
    T(TCP_KEEPIDLE, GET),
    T(TCP_KEEPIDLE, 0),
    T(TCP_KEEPIDLE, 1),
    T(TCP_KEEPIDLE, 32767),
    T(TCP_KEEPIDLE, 32768),
    T(TCP_KEEPINTVL, GET),
    T(TCP_KEEPINTVL, 0),
    T(TCP_KEEPINTVL, 9),
    T(TCP_KEEPCNT, GET),
    T(TCP_KEEPCNT, 0),
    T(TCP_KEEPCNT, 127),
    T(TCP_KEEPCNT, 128),
    T(TCP_SYNCNT, GET),
    T(TCP_SYNCNT, 0),
    T(TCP_SYNCNT, 1),
    T(TCP_SYNCNT, 127),
    T(TCP_SYNCNT, 128),
    T(TCP_SYNCNT, -1),
    T(TCP_LINGER2, GET),
    T(TCP_LINGER2, 10),
    T(TCP_LINGER2, 120),
    T(TCP_LINGER2, 121),
    T(TCP_LINGER2, -5),
    T(TCP_LINGER2, 0),
    T(TCP_DEFER_ACCEPT, GET),
    T(TCP_DEFER_ACCEPT, 1),
    T(TCP_DEFER_ACCEPT, 2),
    T(TCP_DEFER_ACCEPT, 3),
    T(TCP_DEFER_ACCEPT, 30),
    T(TCP_DEFER_ACCEPT, 0),
    T(TCP_DEFER_ACCEPT, -1),
    DIFFERS(IPPROTO_TCP, TCP_DEFER_ACCEPT, 400, "timeouts end at 60 s, not at 120"),
    T(TCP_WINDOW_CLAMP, 1),
    T(TCP_WINDOW_CLAMP, 5000),
    T(TCP_WINDOW_CLAMP, 0),
    T(TCP_QUICKACK, GET),
    T(TCP_QUICKACK, 0),
    T(TCP_QUICKACK, 1),
    T(TCP_QUICKACK, 2),
    T(TCP_USER_TIMEOUT, GET),
    T(TCP_USER_TIMEOUT, 0),
    T(TCP_USER_TIMEOUT, 5000),
    T(TCP_USER_TIMEOUT, -1),
    T(TCP_NOTSENT_LOWAT, 16384),
    T(TCP_NOTSENT_LOWAT, 0),
    T(TCP_NOTSENT_LOWAT, -1),
    DIFFERS(IPPROTO_TCP, TCP_FASTOPEN, 1, "there is none"),
    DIFFERS(IPPROTO_TCP, TCP_REPAIR, 0, "there is none"),
    T(9999, 1),
    T(9999, GET),
    {"TCP_NODELAY, 3 bytes", IPPROTO_TCP, TCP_NODELAY, 1, 3, NULL},
    I(IP_TOS, 0x10),
    DIFFERS(IPPROTO_IP, IP_MTU_DISCOVER, GET, "never fragmented"),
    DIFFERS(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, "never fragmented"),
    DIFFERS(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "never fragmented"),
    I(IP_MTU_DISCOVER, IP_PMTUDISC_DO),
    DIFFERS(IPPROTO_IP, IP_TOS, 0x13, "the kernel forbids only one of the ECN bits to us"),
};

static const struct row dgram_rows[] = {
    S(SO_BROADCAST, GET),
    S(SO_BROADCAST, 2),
    S(SO_BROADCAST, 0),
    S(SO_KEEPALIVE, 0),
    S(SO_OOBINLINE, GET),
    S(SO_OOBINLINE, 1),
    S(SO_OOBINLINE, 0),
    S(SO_PRIORITY, 0),
    DIFFERS(SOL_SOCKET, SO_RCVLOWAT, 1000, "a datagram is always enough"),
    {"SO_KEEPALIVE, 2 bytes", SOL_SOCKET, SO_KEEPALIVE, 1, 2, NULL},
    I(IP_TOS, 0x13),
    I(IP_TOS, 0),
    I(IP_MTU_DISCOVER, GET),
    I(IP_MTU_DISCOVER, IP_PMTUDISC_DONT),
    I(IP_MTU_DISCOVER, IP_PMTUDISC_DO),
    I(IP_MTU_DISCOVER, IP_PMTUDISC_PROBE),
    I(IP_MTU_DISCOVER, -1),
    I(IP_PKTINFO, GET),
    I(IP_PKTINFO, 3),
    I(IP_PKTINFO, 0),
};

struct got {
    int set, get, value;
    socklen_t len;
};

typedef int set_fn(int, int, int, const void *, socklen_t);
typedef int get_fn(int, int, int, void *, socklen_t *);

static struct got
ask(int fd, const struct row *r, set_fn *set, get_fn *get)
{
    struct got g = {.len = sizeof g.value};
    if (r->value != GET && set(fd, r->level, r->name, &r->value, r->len ? r->len : 4) != 0)
        g.set = errno;
    if (get(fd, r->level, r->name, &g.value, &g.len) != 0) {
        g.get = errno;
        g.value = 0;
        g.len = 0;
    }
    return g;
}

static const char *
shown(char *text, size_t n, const struct row *r, struct got g)
{
    int at = 0;
    if (r->value != GET)
        at = snprintf(text, n, "%s, ", g.set ? strerrorname_np(g.set) : "set");
    if (g.get != 0)
        snprintf(text + at, n - (size_t)at, "%s", strerrorname_np(g.get));
    else
        snprintf(text + at, n - (size_t)at, "%d", g.value);
    return text;
}

/* Names: unknown, known to both, and how the length is taken. */
static unsigned
compare_names(int kfd, int bfd)
{
    static const struct {
        const char *name;
        socklen_t len, room;
    } o[] = {{"reno", 4, 16}, {"reno", 5, 40},       {"nosuch", 6, 16},          {"", 0, 16},
             {"reno", 4, 3},  {"cubic\0xyz", 9, 16}, {"sixteen-letters-", 16, 5}};
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof o / sizeof o[0]; i++) {
        char k[64] = "", b[64] = "";
        socklen_t kl = o[i].room, bl = o[i].room;
        int ks = setsockopt(kfd, IPPROTO_TCP, TCP_CONGESTION, o[i].name, o[i].len) ? errno : 0;
        int bs =
            bh_setsockopt(bfd, IPPROTO_TCP, TCP_CONGESTION, o[i].name, o[i].len) ? errno : 0;
        int kg = getsockopt(kfd, IPPROTO_TCP, TCP_CONGESTION, k, &kl) ? errno : 0;
        int bg = bh_getsockopt(bfd, IPPROTO_TCP, TCP_CONGESTION, b, &bl) ? errno : 0;
        if (ks == bs && kg == bg && kl == bl && memcmp(k, b, sizeof k) == 0)
            continue;
        wrong++;
        printf("TCP_CONGESTION \"%s\": %d %d %u \"%s\", not %d %d %u \"%s\"\n", o[i].name, bs,
               bg, (unsigned)bl, b, ks, kg, (unsigned)kl, k);
    }
    return wrong;
}

/* TCP_INFO is as long as it is, or as there is room. */
static unsigned
compare_info(int kfd, int bfd)
{
    unsigned wrong = 0;
    for (socklen_t room = 0; room <= 232; room += 29) {
        unsigned char k[232] = {0}, b[232] = {0};
        socklen_t kl = room, bl = room;
        int kg = getsockopt(kfd, IPPROTO_TCP, TCP_INFO, k, &kl) ? errno : 0;
        int bg = bh_getsockopt(bfd, IPPROTO_TCP, TCP_INFO, b, &bl) ? errno : 0;
        if (kg == bg && kl == bl && k[0] == b[0]) /* the state of a new socket */
            continue;
        wrong++;
        printf("TCP_INFO of %u: %d %u, not %d %u\n", (unsigned)room, bg, (unsigned)bl, kg,
               (unsigned)kl);
    }
    return wrong;
}

/* Not a number. */
static unsigned
compare_linger(int kfd, int bfd)
{
    static const struct linger o[] = {{1, 5}, {0, 9}, {1, 0}, {7, 3}};
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof o / sizeof o[0]; i++) {
        struct linger k = {0}, b = {0};
        socklen_t kl = sizeof k, bl = sizeof b;
        int ks = setsockopt(kfd, SOL_SOCKET, SO_LINGER, &o[i], sizeof o[i]) ? errno : 0;
        int bs = bh_setsockopt(bfd, SOL_SOCKET, SO_LINGER, &o[i], sizeof o[i]) ? errno : 0;
        int kg = getsockopt(kfd, SOL_SOCKET, SO_LINGER, &k, &kl) ? errno : 0;
        int bg = bh_getsockopt(bfd, SOL_SOCKET, SO_LINGER, &b, &bl) ? errno : 0;
        if (ks == bs && kg == bg && kl == bl && memcmp(&k, &b, sizeof k) == 0)
            continue;
        wrong++;
        printf("SO_LINGER {%d, %d}: %d %d {%d, %d}, not %d %d {%d, %d}\n", o[i].l_onoff,
               o[i].l_linger, bs, bg, b.l_onoff, b.l_linger, ks, kg, k.l_onoff, k.l_linger);
    }
    return wrong;
}

static unsigned
compare_rows(const struct row *rows, size_t n, int kfd, int bfd, unsigned *known)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        struct got k = ask(kfd, r, setsockopt, getsockopt);
        struct got b = ask(bfd, r, bh_setsockopt, bh_getsockopt);
        char kt[64], bt[64], what[64];
        if (memcmp(&k, &b, sizeof k) == 0)
            continue;
        if (r->value == GET)
            snprintf(what, sizeof what, "%s", r->text);
        else
            snprintf(what, sizeof what, "%s = %d", r->text, r->value);
        printf("%-26s kernel: %-24s here: %-24s %s\n", what, shown(kt, sizeof kt, r, k),
               shown(bt, sizeof bt, r, b), r->ok ? r->ok : "NOT KNOWN");
        *known += r->ok != NULL;
        wrong += r->ok == NULL;
    }
    return wrong;
}

#define N_ROWS(a) (sizeof(a) / sizeof(a)[0])

int
main(void)
{
    int ks = socket(AF_INET, SOCK_STREAM, 0), bs = bh_socket(AF_INET, SOCK_STREAM, 0);
    int kd = socket(AF_INET, SOCK_DGRAM, 0), bd = bh_socket(AF_INET, SOCK_DGRAM, 0);
    unsigned wrong = 0, known = 0;
    if (ks < 0 || bs < 0 || kd < 0 || bd < 0) {
        fprintf(stderr, "no sockets: %s\n", bh_strerror_attach());
        return 2;
    }
    wrong += compare_rows(common_rows, N_ROWS(common_rows), ks, bs, &known);
    wrong += compare_rows(stream_rows, N_ROWS(stream_rows), ks, bs, &known);
    wrong += compare_names(ks, bs) + compare_info(ks, bs) + compare_linger(ks, bs);
    puts("datagrams:");
    wrong += compare_rows(common_rows, N_ROWS(common_rows), kd, bd, &known);
    wrong += compare_rows(dgram_rows, N_ROWS(dgram_rows), kd, bd, &known);
    wrong += compare_linger(kd, bd);
    printf("%zu asked, %u differ as documented, %u otherwise\n",
           2 * N_ROWS(common_rows) + N_ROWS(stream_rows) + N_ROWS(dgram_rows), known, wrong);
    close(ks);
    close(kd);
    bh_close(bs);
    bh_close(bd);
    return wrong != 0;
}
