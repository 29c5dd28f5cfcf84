/* SPDX-License-Identifier: BSD-2-Clause
 *
 * opt.c: socket options. What concerns only this side is kept here; the rest is asked of
 * the domain, which knows the truth. Values travel as 64 bits.
 */
#include "private.h"

#include <netinet/tcp.h>
#include <sys/time.h>

#define CA_NAME_MAX 16u /* as TCP_CA_NAME_MAX of the kernel */
#define ANSWER_TRIES 8  /* others may write faster than we copy, but not for ever */

static int
put_value(void *value, socklen_t *len, const void *from, size_t n)
{
    socklen_t m = *len < n ? *len : (socklen_t)n;
    memcpy(value, from, m);
    *len = m;
    return 0;
}

static int
put_int(void *value, socklen_t *len, int v)
{
    return put_value(value, len, &v, sizeof v);
}

static int
take_int(const void *value, socklen_t len, int *v)
{
    if (len < sizeof *v)
        return EINVAL;
    memcpy(v, value, sizeof *v);
    return 0;
}

/* Servers set these twice for each answer, and waiting for the domain each time would cost more
 * than the answer. */
static bool
cannot_fail(const struct sock *s, int level, int name)
{
    return sock_is_stream(s) && level == IPPROTO_TCP &&
           (name == TCP_NODELAY || name == TCP_CORK);
}

static bool
changes_sending(const struct sock *s, int level, int name)
{
    return !sock_is_stream(s) &&
           (level == IPPROTO_IP || (level == SOL_SOCKET && name == SO_BROADCAST));
}

/* What send itself looks at. */
static int
note_sending(struct sock *s, const struct sess_req *r, int err)
{
    if (err == 0 && r->level == SOL_SOCKET)
        s->broadcast = (uint32_t)r->value != 0;
    if (err == 0 && r->level == IPPROTO_IP && r->name == IP_MTU_DISCOVER)
        s->mtu_disc = (uint8_t)r->value;
    return err;
}

static int
set_domain(struct lib *l, struct sock *s, int level, int name, uint64_t value)
{
    struct sess_req r = {.op = REQ_SETOPT, .level = level, .name = name, .value = value};
    struct sess_evt e;
    if (changes_sending(s, level, name))
        return note_sending(s, &r, dgram_request(l, s, &r, &e));
    if (!cannot_fail(s, level, name))
        return sock_request(l, s, &r, &e);
    if (name == TCP_CORK) {
        s->corked = value != 0;
        s->cork_from = s->tx_tail;
    }
    return sock_tell(s, &r, name == TCP_CORK && value != 0) ? 0 : sock_request(l, s, &r, &e);
}

static int
get_domain(struct lib *l, struct sock *s, int level, int name, uint64_t *value)
{
    struct sess_req r = {.op = REQ_GETOPT, .level = level, .name = name};
    struct sess_evt e;
    int err = sock_request(l, s, &r, &e);
    *value = err == 0 ? e.value : 0;
    return err;
}

/* ---- what is said beside a datagram ---- */

/* SAID_*, or 0: it is another option. */
static uint8_t
said_by(const struct sock *s, int level, int name)
{
    if (sock_is_stream(s))
        return 0;
    if (level == SOL_SOCKET)
        return name == SO_TIMESTAMP ? SAID_TIME : name == SO_TIMESTAMPNS ? SAID_TIME_NS : 0;
    if (level != IPPROTO_IP)
        return 0;
    return name == IP_PKTINFO   ? SAID_PKTINFO
           : name == IP_RECVTTL ? SAID_TTL
           : name == IP_RECVTOS ? SAID_TOS
                                : 0;
}

static void
say_beside(struct sock *s, uint8_t what, bool on)
{
    const uint8_t times = SAID_TIME | SAID_TIME_NS; /* one of them at most */
    if ((what & times) && (on || (s->said & times)))
        s->said &= (uint8_t)~times;
    s->said = (uint8_t)(on ? s->said | what : s->said & ~what);
}

/* ---- timeouts ---- */

static int
set_timeout(ns_t *t, const void *value, socklen_t len)
{
    struct timeval tv;
    if (len < sizeof tv)
        return EINVAL;
    memcpy(&tv, value, sizeof tv);
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return EDOM;
    /* As the kernel: zero is "no timeout", a negative one has passed already. */
    if (tv.tv_sec < 0)
        *t = 1;
    else
        *t = min_u64((ns_t)tv.tv_sec, 1ull << 32) * NS_S + (ns_t)tv.tv_usec * NS_US;
    return 0;
}

static int
get_timeout(ns_t t, void *value, socklen_t *len)
{
    struct timeval tv = {.tv_sec = (time_t)(t / NS_S),
                         .tv_usec = (suseconds_t)(t % NS_S / 1000)};
    return put_value(value, len, &tv, sizeof tv);
}

/* ---- SOL_SOCKET ---- */

static int
set_linger(struct lib *l, struct sock *s, const void *value, socklen_t len)
{
    struct linger lg;
    if (len < sizeof lg)
        return EINVAL;
    memcpy(&lg, value, sizeof lg);
    uint32_t secs = lg.l_linger < 0 ? INT32_MAX : (uint32_t)lg.l_linger;
    int err = set_domain(l, s, SOL_SOCKET, SO_LINGER, (lg.l_onoff != 0 ? LINGER_ON : 0) | secs);
    if (err == 0) {
        s->linger_on = lg.l_onoff != 0;
        if (s->linger_on) /* else the time stays, as on Linux */
            s->linger = secs;
    }
    return err;
}

static int
get_error(struct sock *s)
{
    struct look k;
    if (s->att->down)
        return ENETDOWN;
    sock_look(s, &k);
    return sock_take_err(s, &k);
}

static int
set_socket(struct lib *l, struct sock *s, int name, const void *value, socklen_t len)
{
    int v;
    switch (name) {
    case SO_RCVTIMEO:
        return set_timeout(&s->rcvtimeo, value, len);
    case SO_SNDTIMEO:
        return set_timeout(&s->sndtimeo, value, len);
    case SO_LINGER:
        return set_linger(l, s, value, len);
    case SO_TYPE:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_ERROR:
    case SO_ACCEPTCONN:
        return ENOPROTOOPT;
    default:
        if (take_int(value, len, &v) != 0)
            return EINVAL;
        if (name == SO_RCVLOWAT && !sock_is_stream(s))
            return v == 0 || v == 1 ? 0 : ENOPROTOOPT;
        if (said_by(s, SOL_SOCKET, name) != 0) {
            say_beside(s, said_by(s, SOL_SOCKET, name), v != 0);
            return 0;
        }
        return set_domain(l, s, SOL_SOCKET, name, (uint64_t)(int64_t)v);
    }
}

static int
get_socket(struct lib *l, struct sock *s, int name, void *value, socklen_t *len)
{
    uint64_t v;
    int err;
    struct linger lg = {.l_onoff = s->linger_on, .l_linger = (int)s->linger};
    if (said_by(s, SOL_SOCKET, name) != 0)
        return put_int(value, len, (s->said & said_by(s, SOL_SOCKET, name)) != 0);
    switch (name) {
    case SO_TYPE:
        return put_int(value, len, sock_is_stream(s) ? SOCK_STREAM : SOCK_DGRAM);
    case SO_DOMAIN:
        return put_int(value, len, AF_INET);
    case SO_PROTOCOL:
        return put_int(value, len, s->att->proto);
    case SO_ACCEPTCONN:
        return put_int(value, len, s->listening);
    case SO_RCVLOWAT:
        if (!sock_is_stream(s))
            return put_int(value, len, 1);
        err = get_domain(l, s, SOL_SOCKET, name, &v);
        return err != 0 ? err : put_int(value, len, (int)v);
    case SO_ERROR:
        return put_int(value, len, get_error(s));
    case SO_RCVTIMEO:
        return get_timeout(s->rcvtimeo, value, len);
    case SO_SNDTIMEO:
        return get_timeout(s->sndtimeo, value, len);
    case SO_LINGER:
        return put_value(value, len, &lg, sizeof lg);
    default:
        err = get_domain(l, s, SOL_SOCKET, name, &v);
        return err != 0 ? err : put_int(value, len, (int)v);
    }
}

/* ---- all levels ---- */

/* ---- IPPROTO_TCP: options whose value is not a number ---- */

static int
set_congestion(struct lib *l, struct sock *s, const void *value, socklen_t len)
{
    char name[CA_NAME_MAX] = {0};
    uint64_t packed;
    if (len < 1)
        return EINVAL;
    memcpy(name, value, len < sizeof name - 1 ? len : sizeof name - 1);
    if (strlen(name) > sizeof packed) /* none of those that there are */
        return ENOENT;
    size_t n = strlen(name);
    packed = 0;
    memcpy(&packed, name, n);
    return set_domain(l, s, IPPROTO_TCP, TCP_CONGESTION, packed);
}

static int
get_congestion(struct lib *l, struct sock *s, void *value, socklen_t *len)
{
    char name[CA_NAME_MAX] = {0};
    uint64_t packed;
    int err = get_domain(l, s, IPPROTO_TCP, TCP_CONGESTION, &packed);
    if (err != 0)
        return err;
    memcpy(name, &packed, sizeof packed);
    return put_value(value, len, name, sizeof name);
}

/* Copy answer number n (session.h); false: others have been written over it. */
static bool
copy_answer(const struct att *a, uint64_t n, uint64_t *word, uint32_t *bytes)
{
    const struct answer *w = &a->v.answer[n % ARENA_ANSWERS];
    if (n == 0 || atomic_load_explicit(&w->number, memory_order_acquire) != n)
        return false;
    for (unsigned i = 0; i < ANSWER_WORDS; i++)
        word[i] = atomic_load_explicit(&w->word[i], memory_order_relaxed);
    *bytes = min_u32(atomic_load_explicit(&w->len, memory_order_relaxed), 8 * ANSWER_WORDS);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&w->number, memory_order_relaxed) == n;
}

static int
get_answer(struct lib *l, struct sock *s, int name, void *value, socklen_t *len)
{
    uint64_t n, word[ANSWER_WORDS];
    uint32_t bytes;
    for (int i = 0; i < ANSWER_TRIES; i++) {
        int err = get_domain(l, s, IPPROTO_TCP, name, &n);
        if (err != 0)
            return err;
        if (copy_answer(s->att, n, word, &bytes))
            return put_value(value, len, word, bytes);
    }
    return EIO;
}

static bool
is_name(const struct sock *s, int level, int name)
{
    return level == IPPROTO_TCP && name == TCP_CONGESTION && sock_is_stream(s);
}
static bool
is_answer(const struct sock *s, int level, int name)
{
    return level == IPPROTO_TCP && name == TCP_INFO && sock_is_stream(s);
}

/* What the domain has none of, and takes no number either. */
static bool
not_a_number(int level, int name)
{
    return level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_CONGESTION ||
                                    name == TCP_MD5SIG || name == TCP_FASTOPEN_KEY);
}

/* At level IPPROTO_IP the kernel takes a single byte too. */
static int
take_ip_int(const void *value, socklen_t len, int *v)
{
    uint8_t byte;
    if (len >= sizeof *v)
        return take_int(value, len, v);
    if (len < 1)
        return EINVAL;
    memcpy(&byte, value, 1);
    *v = byte;
    return 0;
}

static bool
is_group_option(int level, int name)
{
    return level == IPPROTO_IP &&
           (name == IP_MULTICAST_TTL || name == IP_MULTICAST_LOOP || name == IP_MULTICAST_IF);
}

/* The address of an interface, as the number that it is in memory, out of what may be a struct
 * in_addr, ip_mreq or ip_mreqn. An interface that is named by its number alone is the kernel's.
 */
static int
take_group_if(const void *value, socklen_t len, int *v)
{
    struct ip_mreqn r = {0};
    if (len < sizeof r.imr_address)
        return EINVAL;
    if (len >= sizeof(struct ip_mreq))
        memcpy(&r, value, len < sizeof r ? sizeof(struct ip_mreq) : sizeof r);
    else
        memcpy(&r.imr_address, value, sizeof r.imr_address);
    memcpy(v, &r.imr_address, sizeof *v);
    return r.imr_ifindex != 0 && *v == 0 ? EADDRNOTAVAIL : 0;
}

/* Of a stream, which has no use for them. */
static int
set_group_option(struct sock *s, int name, int v)
{
    if (name != IP_MULTICAST_LOOP)
        return EINVAL;
    s->no_loop = v == 0;
    return 0;
}

static int
get_group_option(const struct sock *s, int name)
{
    return name == IP_MULTICAST_TTL ? 1 : name == IP_MULTICAST_LOOP ? !s->no_loop : 0;
}

static int
do_set(struct lib *l, struct sock *s, int level, int name, const void *value, socklen_t len)
{
    int v;
    if (value == NULL)
        return -EFAULT;
    if (level == SOL_SOCKET)
        return -set_socket(l, s, name, value, len);
    if (is_name(s, level, name))
        return -set_congestion(l, s, value, len);
    if (not_a_number(level, name))
        return -ENOPROTOOPT;
    int err = level == IPPROTO_IP && name == IP_MULTICAST_IF ? take_group_if(value, len, &v)
              : level == IPPROTO_IP                          ? take_ip_int(value, len, &v)
                                                             : take_int(value, len, &v);
    if (err != 0)
        return -err;
    if (is_group_option(level, name) && sock_is_stream(s))
        return -set_group_option(s, name, v);
    if (said_by(s, level, name) != 0) {
        say_beside(s, said_by(s, level, name), v != 0);
        return 0;
    }
    return -set_domain(l, s, level, name, (uint64_t)(int64_t)v);
}

static int
do_get(struct lib *l, struct sock *s, int level, int name, void *value, socklen_t *len)
{
    uint64_t v;
    if (value == NULL || len == NULL)
        return -EFAULT;
    if (*len > INT32_MAX)
        return -EINVAL;
    if (level == SOL_SOCKET)
        return -get_socket(l, s, name, value, len);
    if (is_name(s, level, name))
        return -get_congestion(l, s, value, len);
    if (is_answer(s, level, name))
        return -get_answer(l, s, name, value, len);
    if (not_a_number(level, name))
        return -ENOPROTOOPT;
    if (said_by(s, level, name) != 0)
        return put_int(value, len, (s->said & said_by(s, level, name)) != 0);
    if (is_group_option(level, name) && sock_is_stream(s))
        return put_int(value, len, get_group_option(s, name));
    int err = get_domain(l, s, level, name, &v);
    return err != 0 ? -err : put_int(value, len, (int)v);
}

int
bh_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    WITH_SOCK(int, fd, 0u, do_set(l, s, level, name, value, len));
}

int
bh_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    WITH_SOCK(int, fd, 0u, do_get(l, s, level, name, value, len));
}
