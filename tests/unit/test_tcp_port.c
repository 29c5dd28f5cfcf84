/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Local ports and socket options, as the sockets API of Linux has them.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* bind(2): whom an address and port disturb, and SO_REUSEADDR. */
Test(tcp_port, bind_conflicts)
{
    uint32_t slot, s[5];
    kit_init(&k);
    for (unsigned i = 0; i < 5; i++)
        s[i] = kit_open(&k, i % 2, &slot);
    cr_assert_eq(kit_bind(&k, s[0], KIT_PEER, 80), EADDRNOTAVAIL);
    cr_assert_eq(kit_bind(&k, s[0], KIT_OWN, 80), 0);
    cr_assert_eq(kit_bind(&k, s[0], KIT_OWN, 81), EINVAL);
    cr_assert_eq(kit_bind(&k, s[1], KIT_OWN, 80), EADDRINUSE);
    cr_assert_eq(kit_bind(&k, s[1], 0, 80), EADDRINUSE);
    cr_assert_eq(kit_bind(&k, s[1], 0, 81), 0);
    cr_assert_eq(kit_bind(&k, s[2], KIT_OWN, 81), EADDRINUSE);
    cr_assert_eq(kit_set(&k, s[2], SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_bind(&k, s[2], KIT_OWN, 81), EADDRINUSE, "both must say so");
    cr_assert_eq(kit_set(&k, s[1], SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_bind(&k, s[2], KIT_OWN, 81), 0);
    cr_assert_eq(kit_do(&k, s[1], REQ_LISTEN, 5), 0);
    cr_assert_eq(kit_do(&k, s[2], REQ_LISTEN, 5), EADDRINUSE, "two listeners");
    cr_assert_eq(kit_set(&k, s[3], SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_bind(&k, s[3], 0, 81), EADDRINUSE, "nor beside a listener");
}

/* A closed listener's port is free again, unless connections of it live on and SO_REUSEADDR is
 * not set, by both. */
Test(tcp_port, bind_after_close)
{
    struct conn c = conn_up(&k);
    uint32_t slot, s = kit_open(&k, 0, &slot);
    struct sess_evt e;
    kit_do(&k, k.listener, REQ_CLOSE, 0);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED);
    kit_do(&k, k.listener, REQ_RELEASED, 0);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT), EADDRINUSE);
    kit_set(&k, s, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT), EADDRINUSE, "both must say so");
    kit_set(&k, c.sess, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT), 0);
}

/* A port that was chosen for a session is free again when its connection has failed, as on
 * Linux, and the session can be bound anew, or listen; one that was named stays. */
Test(tcp_port, after_refusal)
{
    kit_init(&k);
    for (uint16_t named = 0; named <= 5000; named += 5000) {
        struct conn c = conn_default();
        uint32_t slot, other = kit_open(&k, 0, &slot);
        struct sess_evt e;
        c.sess = kit_open(&k, 0, &c.slot);
        cr_assert_eq(kit_bind(&k, c.sess, 0, named), 0);
        cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, c.rport), 0);
        kit_step(&k, NULL, 0);
        const struct out_seg *o = kit_take(&k);
        c.lport = o->h.sport;
        c.irs = o->h.seq;
        conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 1, NULL, 0);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        cr_assert_eq(kit_bind(&k, other, 0, c.lport), named ? EADDRINUSE : 0);
        cr_assert_eq(kit_bind(&k, c.sess, 0, 0), named ? EINVAL : 0);
        cr_assert_eq(kit_do(&k, c.sess, REQ_LISTEN, 1), 0);
        (void)kit_request(&k, c.sess, (struct sess_req){.op = REQ_NAME}, &e);
        cr_assert_eq(e.port == c.lport, named != 0);
        cr_assert(tcp_validate(k.t));
    }
}

/* RFC 6056: ports come from the ephemeral range, differ, and do not take what is bound. */
Test(tcp_port, ephemeral)
{
    uint16_t seen[6];
    kit_init(&k);
    for (unsigned i = 0; i < 6; i++) {
        uint32_t slot, s = kit_open(&k, 0, &slot);
        struct sess_req r = {.op = i % 2 ? REQ_BIND : REQ_CONNECT, .port = i % 2 ? 0 : 99};
        struct sess_evt e;
        if (i % 2 == 0)
            r.addr = ipaddr_v4_u32(KIT_PEER);
        cr_assert_eq(kit_request(&k, s, r, &e), 0);
        cr_assert(e.port >= EPHEMERAL_FIRST && e.port <= EPHEMERAL_LAST, "port %u", e.port);
        for (unsigned j = 0; j < i; j++)
            cr_assert_neq(e.port, seen[j]);
        seen[i] = e.port;
    }
}

/* connect(2): where one cannot go. */
Test(tcp_port, connect_errors)
{
    uint32_t slot;
    kit_init(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_connect(&k, s, 0, 80), EAFNOSUPPORT);
    cr_assert_eq(kit_connect(&k, s, 0xe0000001u, 80), ENETUNREACH);
    cr_assert_eq(kit_connect(&k, s, 0xffffffffu, 80), ENETUNREACH);
    cr_assert_eq(kit_connect(&k, s, 0x0b000001u, 80), ENETUNREACH, "no gateway");
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 0), ECONNREFUSED);
    cr_assert_eq(kit_do(&k, s, REQ_SHUTDOWN, SHUT_WR), ENOTCONN);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 80), 0);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 80), EALREADY);
    uint32_t l = kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert_eq(kit_connect(&k, l, KIT_PEER, 80), EISCONN);
}

#define LO 0x7f000001u
#define LO5 0x7f000005u

/* The session's own address, after connect(2) to addr:80; 0: it failed with err. */
static uint32_t
source_to(uint32_t bound, struct ipaddr to, int *err, uint32_t *peer)
{
    struct sess_evt e;
    uint32_t slot, s = kit_open(&k, 0, &slot);
    struct sess_req r = {.op = REQ_CONNECT, .addr = to, .port = 80};
    if (bound != 0)
        cr_assert_eq(kit_bind(&k, s, bound, 0), 0);
    *err = kit_request(&k, s, r, &e);
    *peer = 0;
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_eq(o == NULL, *err != 0);
    if (o != NULL) {
        cr_assert(ipaddr_eq(&o->p.src, &e.addr), "what the program is told is what is sent");
        *peer = ipaddr_to_u32(&o->p.dst);
    }
    uint32_t source = *err != 0 ? 0 : ipaddr_to_u32(&e.addr);
    kit_do(&k, s, REQ_CLOSE, 0);
    kit_drop(&k);
    while (kit_event(&k, 0, &e))
        ;
    kit_do(&k, s, REQ_RELEASED, 0);
    return source;
}

/* Protects loopback's addresses as Linux has them: 127.0.0.1 is the source if none was chosen;
 * one that was chosen reaches this host alone; no address is the own one. */
Test(tcp_port, loopback_sources)
{
    static const struct {
        uint32_t bound, to, source, peer;
        int err;
    } c[] = {
        {0, LO, LO, LO, 0},
        {0, LO5, LO, LO5, 0},
        {0, KIT_PEER, KIT_OWN, KIT_PEER, 0},
        {0, 0, LO, LO, 0},
        {0, 0x7fffffff, 0, 0, ENETUNREACH},
        {LO5, LO, LO5, LO, 0},
        {LO5, KIT_OWN, LO5, KIT_OWN, 0},
        {LO5, 0, LO5, LO5, 0},
        {LO5, KIT_PEER, 0, 0, EINVAL},
        {LO5, 0x0b000001, 0, 0, ENETUNREACH},
        {KIT_OWN, LO, KIT_OWN, LO, 0},
        {KIT_OWN, 0, KIT_OWN, KIT_OWN, 0},
    };
    kit_init(&k);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        int err;
        uint32_t peer, source = source_to(c[i].bound, ipaddr_v4_u32(c[i].to), &err, &peer);
        cr_assert_eq(err, c[i].err, "%zu: %d", i, err);
        cr_assert_eq(source, c[i].source, "%zu: %x", i, source);
        cr_assert_eq(peer, c[i].peer, "%zu: %x", i, peer);
    }
}

/* An address that connect(2) chose is not kept when that failed: the next one, to another
 * network, has that one's; and who listens then listens to all. */
Test(tcp_port, loopback_is_not_kept)
{
    struct conn c = conn_default();
    struct sess_evt e;
    kit_init(&k);
    c.sess = kit_open(&k, 0, &c.slot);
    cr_assert_eq(kit_bind(&k, c.sess, 0, 5000), 0);
    for (unsigned round = 0; round < 2; round++) {
        struct sess_req r = {.op = REQ_CONNECT, .addr = ipaddr_v4_u32(LO), .port = 81};
        cr_assert_eq(kit_request(&k, c.sess, r, &e), 0);
        cr_assert_eq(ipaddr_to_u32(&e.addr), LO);
        kit_step(&k, NULL, 0);
        struct in_seg rst = {.src = LO,
                             .dst = LO,
                             .h = {.sport = 81,
                                   .dport = 5000,
                                   .ack = kit_take(&k)->h.seq + 1,
                                   .flags = TCP_RST | TCP_ACK}};
        kit_inject(&k, &rst);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        if (round == 1)
            break;
        r.addr = ipaddr_v4_u32(KIT_PEER);
        cr_assert_eq(kit_request(&k, c.sess, r, &e), 0);
        cr_assert_eq(ipaddr_to_u32(&e.addr), KIT_OWN);
        kit_step(&k, NULL, 0);
        rst.src = rst.dst = 0;
        rst.h.ack = kit_take(&k)->h.seq + 1;
        kit_inject(&k, &rst);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
    }
    cr_assert_eq(kit_request(&k, c.sess, (struct sess_req){.op = REQ_LISTEN, .value = 5}, &e),
                 0);
    cr_assert(ipaddr_is_any(&e.addr) && e.port == 5000);
}

/* Whom a segment to an address of loopback reaches: a listener of that address, or of any; and
 * one of that address alone gets nothing else. */
Test(tcp_port, loopback_listeners)
{
    static const struct {
        uint32_t bound, src, dst;
        bool taken;
    } c[] = {
        {0, LO, LO, true},        {0, LO, LO5, true},      {0, KIT_OWN, LO, true},
        {LO, LO, LO, true},       {LO, LO, LO5, false},    {LO, KIT_PEER, KIT_OWN, false},
        {KIT_OWN, LO, LO, false}, {LO, KIT_OWN, LO, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        uint32_t slot;
        kit_init(&k);
        uint32_t s = kit_open(&k, 0, &slot);
        cr_assert_eq(kit_bind(&k, s, c[i].bound, 80), 0);
        cr_assert_eq(kit_do(&k, s, REQ_LISTEN, 5), 0);
        struct in_seg syn = {.src = c[i].src,
                             .dst = c[i].dst,
                             .h = {.sport = 5000, .dport = 80, .flags = TCP_SYN, .wnd = 1000}};
        kit_inject(&k, &syn);
        const struct out_seg *o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq((o->h.flags & TCP_RST) == 0, c[i].taken, "%zu", i);
        cr_assert_eq(ipaddr_to_u32(&o->p.src), c[i].dst, "answered from there, %zu", i);
        cr_assert_eq(ipaddr_to_u32(&o->p.dst), c[i].src, "%zu", i);
        kit_end(&k);
    }
}

/* bind(2) to loopback beside other addresses. */
Test(tcp_port, loopback_bind)
{
    uint32_t slot, s[4];
    kit_init(&k);
    for (unsigned i = 0; i < 4; i++)
        s[i] = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, s[0], 0x7fffffff, 80), EADDRNOTAVAIL);
    cr_assert_eq(kit_bind(&k, s[0], LO, 80), 0);
    cr_assert_eq(kit_bind(&k, s[1], LO, 80), EADDRINUSE);
    cr_assert_eq(kit_bind(&k, s[1], 0, 80), EADDRINUSE);
    cr_assert_eq(kit_bind(&k, s[1], LO5, 80), 0);
    cr_assert_eq(kit_bind(&k, s[2], KIT_OWN, 80), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(kit_do(&k, s[i], REQ_LISTEN, 5), 0);
}

/* Two connections cannot have one pair of addresses and ports; an old one in TIME-WAIT gives
 * way if time stamps keep its segments out, after a second, to a new one whose numbers are
 * beyond its own (RFC 1122 4.2.2.13, RFC 6191 section 3). */
Test(tcp_port, same_pair)
{
    struct conn c = conn_default();
    c.ts = true;
    kit_init(&k);
    uint32_t s[3], slot;
    for (unsigned i = 0; i < 3; i++) {
        s[i] = kit_open(&k, 0, &slot);
        if (i == 0)
            c.slot = slot;
        kit_set(&k, s[i], SOL_SOCKET, SO_REUSEADDR, 1);
        cr_assert_eq(kit_bind(&k, s[i], 0, 5000), 0);
    }
    c.sess = s[0];
    c.lport = 5000;
    cr_assert_eq(kit_connect(&k, s[0], KIT_PEER, KIT_RPORT), 0);
    cr_assert_eq(kit_connect(&k, s[1], KIT_PEER, KIT_RPORT), EADDRNOTAVAIL);
    kit_step(&k, NULL, 0);
    c.irs = kit_take(&k)->h.seq;
    conn_raw(&k, &c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0);
    c.snd = c.rcv = 1;
    conn_tcb(&k, &c)->h.iss += 1u << 30; /* it has sent a lot, quickly */
    c.irs += 1u << 30;
    conn_to(&k, &c, TCPS_TIME_WAIT);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    uint32_t past = c.irs + 2;
    cr_assert_eq(kit_connect(&k, s[1], KIT_PEER, KIT_RPORT), EADDRNOTAVAIL);
    kit_wait(&k, NS_S + NS_MS);
    cr_assert_eq(kit_connect(&k, s[1], KIT_PEER, KIT_RPORT), 0);
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert(o != NULL && o->h.flags == TCP_SYN);
    cr_assert_gt((int32_t)(o->h.seq - past), 0);
}

/* Every port to one destination is in TIME-WAIT: after a second, if time stamps make it safe,
 * one of them is taken again (RFC 6191 section 3); before, there is none. */
Test(tcp_port, all_in_time_wait)
{
    const unsigned n = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
    struct sess_evt e;
    uint32_t slot;
    kit_prepare(&k);
    k.cfg.n_sessions = n + 8;
    k.limits.sessions = n + 8;
    kit_start(&k);
    for (unsigned i = 0; i < n; i++) {
        struct conn c = conn_default();
        c.ts = true;
        cr_assert(conn_connect(&k, &c));
        conn_to(&k, &c, TCPS_TIME_WAIT);
        kit_do(&k, c.sess, REQ_CLOSE, 0);
        while (kit_event(&k, 0, &e)) {
        }
        kit_do(&k, c.sess, REQ_RELEASED, 0);
    }
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, KIT_RPORT), EADDRNOTAVAIL);
    cr_assert(k.t->steps >= 256 && k.t->steps <= 1024, "%u steps, all told", k.t->steps);
    cr_assert_eq(kit_bind(&k, kit_open(&k, 0, &slot), 0, 0), EADDRINUSE);
    cr_assert_eq(k.t->steps, 0);
    k.now += NS_S + NS_MS;
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, KIT_RPORT), 0);
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert(o != NULL && o->h.flags == TCP_SYN);
    cr_assert_eq(k.t->port_use[o->h.sport], 1);
    cr_assert_eq(tcp_sessions(k.t), n + 1);
}

/* However many sessions a client has: so many can share a port, and no more, so that whoever
 * looks among them, for a bind or a SYN, is done soon; what is looked at is told, to be paid
 * for. Port after port of them changes nothing for another port. */
Test(tcp_port, shared_by_many)
{
    const uint32_t n = PORT_SHARED_MAX + 3;
    uint32_t slot, s[PORT_SHARED_MAX + 3];
    kit_prepare(&k);
    k.cfg.n_sessions = k.limits.sessions = k.geometry.n_slots = n;
    kit_start(&k);
    for (uint32_t i = 0; i < n; i++) {
        s[i] = kit_open(&k, 0, &slot);
        kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, 1);
    }
    for (uint32_t i = 0; i < PORT_SHARED_MAX; i++) {
        cr_assert_eq(kit_bind(&k, s[i], 0, KIT_PORT), 0);
        cr_assert_eq(k.t->steps, i);
    }
    cr_assert_eq(kit_bind(&k, s[n - 1], 0, KIT_PORT), EADDRINUSE);
    cr_assert_leq(k.t->steps, PORT_SHARED_MAX);
    cr_assert_eq(kit_do(&k, s[0], REQ_LISTEN, 5), 0);
    cr_assert_eq(k.t->steps, PORT_SHARED_MAX);
    cr_assert_eq(kit_bind(&k, s[n - 2], 0, KIT_PORT + 1024), 0);
    cr_assert_eq(k.t->steps, 0, "another port");
    kit_do(&k, s[0], REQ_CLOSE, 0);
    kit_do(&k, s[0], REQ_RELEASED, 0);
    cr_assert_eq(kit_bind(&k, s[n - 1], 0, KIT_PORT), 0, "there is room again");
    cr_assert(tcp_validate(k.t));
}

/* A session that is bound to `port`, shared or not, and connects out from there, to TIME-WAIT.
 * Returns the answer to its bind. */
static int
connect_from(struct conn *c, uint16_t port, bool shared)
{
    c->sess = kit_open(&k, 0, &c->slot);
    c->lport = port;
    kit_set(&k, c->sess, SOL_SOCKET, SO_REUSEADDR, shared);
    int err = kit_bind(&k, c->sess, 0, port);
    if (err != 0)
        return err;
    cr_assert_eq(kit_connect(&k, c->sess, KIT_PEER, c->rport), 0);
    kit_step(&k, NULL, 0);
    c->irs = kit_take(&k)->h.seq;
    conn_raw(&k, c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0);
    c->snd = c->rcv = 1;
    conn_to(&k, c, TCPS_TIME_WAIT);
    EXPECT_STATE(&k, c, TCPS_TIME_WAIT);
    return 0;
}

static void
close_and_release(uint32_t sess)
{
    struct sess_evt e;
    kit_do(&k, sess, REQ_CLOSE, 0);
    while (kit_event(&k, 0, &e)) {
    }
    kit_do(&k, sess, REQ_RELEASED, 0);
}

/* Who binds one port again and again and connects from it, as SO_REUSEADDR allows, does not use
 * it up by what it has closed: that is nobody's to count among those who share the port, also
 * after a crash. The port is in use until its last connection is over. */
Test(tcp_port, shared_and_closed)
{
    const unsigned n = PORT_SHARED_MAX + 20;
    const uint16_t port = KIT_PORT + 1;
    struct conn c;
    uint32_t slot;
    kit_prepare(&k);
    k.cfg.n_sessions = k.limits.sessions = n + 8;
    kit_start(&k);
    for (unsigned i = 0; i < n; i++) {
        c = conn_peer(i);
        cr_assert_eq(connect_from(&c, port, true), 0, "bind %u", i);
        cr_assert_eq(k.t->bound[port], c.sess);
        if (i == n / 2)
            kit_restart(&k);
        close_and_release(c.sess);
        cr_assert_eq(k.t->bound[port], SESS_NONE);
        cr_assert(tcp_validate(k.t));
    }
    kit_restart(&k);
    cr_assert_eq(k.t->bound[port], SESS_NONE);
    cr_assert_eq(k.t->port_use[port], n);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, s, 0, port), EADDRINUSE);
    kit_wait(&k, MSL2 + NS_S);
    cr_assert_eq(k.t->port_use[port], 0);
    cr_assert_eq(kit_bind(&k, s, 0, port), 0);
}

/* One that was not ready to share its port keeps it as long as its connection is there, from
 * those who are; and not a moment longer, whatever becomes of its slot. */
Test(tcp_port, not_shared_and_closed)
{
    struct conn c = conn_default();
    struct sess_evt e;
    uint32_t slot;
    kit_init(&k);
    cr_assert_eq(connect_from(&c, KIT_PORT + 1, false), 0);
    close_and_release(c.sess);
    kit_restart(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    kit_set(&k, s, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT + 1), EADDRINUSE);
    kit_wait(&k, MSL2 + NS_S);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT + 1), 0);
    uint32_t l = kit_listen(&k, KIT_PORT + 2, 5, NULL);
    kit_do(&k, l, REQ_CLOSE, 0);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED && e.cookie == l);
    s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, s, 0, KIT_PORT + 2), 0, "its slot is still its client's");
    cr_assert(tcp_validate(k.t));
}

/* A port may have more connections than 16 bits count. */
Test(tcp_port, use_does_not_wrap)
{
    uint32_t slot;
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    k.t->port_use[KIT_PORT] = UINT16_MAX; /* so many are there */
    struct conn c = conn_default();
    cr_assert(conn_accept(&k, &c));
    kit_do(&k, k.listener, REQ_CLOSE, 0);
    cr_assert(portset_has(&k.t->taken, KIT_PORT));
    cr_assert_eq(kit_bind(&k, kit_open(&k, 0, &slot), 0, KIT_PORT), EADDRINUSE);
}

/* Options read back as they were set; values that cannot be are refused and change nothing. */
Test(tcp_port, options)
{
    static const struct {
        int level, name;
        uint64_t good;
    } o[] = {{SOL_SOCKET, SO_REUSEADDR, 1},
             {SOL_SOCKET, SO_KEEPALIVE, 1},
             {SOL_SOCKET, SO_LINGER, LINGER_ON | 5},
             {SOL_SOCKET, SO_SNDBUF, 100000},
             {SOL_SOCKET, SO_RCVBUF, 100000},
             {IPPROTO_TCP, TCP_NODELAY, 1},
             {IPPROTO_TCP, TCP_CORK, 1},
             {IPPROTO_TCP, TCP_KEEPIDLE, 77},
             {IPPROTO_TCP, TCP_KEEPINTVL, 7},
             {IPPROTO_TCP, TCP_KEEPCNT, 3},
             {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
             {IPPROTO_TCP, TCP_MAXSEG, 1000},
             {IPPROTO_IP, IP_TTL, 33},
             {IPPROTO_IP, IP_TOS, 0x10}};
    static const struct {
        int level, name;
        uint64_t bad;
        int err;
    } b[] = {{IPPROTO_TCP, TCP_KEEPIDLE, 0, EINVAL},
             {IPPROTO_TCP, TCP_KEEPIDLE, 40000, EINVAL},
             {IPPROTO_TCP, TCP_KEEPCNT, 128, EINVAL},
             {IPPROTO_TCP, TCP_MAXSEG, 10, EINVAL},
             {IPPROTO_TCP, TCP_USER_TIMEOUT, 1ull << 40, EINVAL},
             {IPPROTO_IP, IP_TTL, 256, EINVAL},
             {IPPROTO_IP, IP_TTL, 0, EINVAL},
             {IPPROTO_TCP, 9999, 1, ENOPROTOOPT},
             {77, 1, 1, ENOPROTOOPT}};
    uint32_t slot;
    kit_init(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        cr_assert_eq(kit_set(&k, s, o[i].level, o[i].name, o[i].good), 0, "option %u", i);
        cr_assert_eq((uint64_t)kit_get(&k, s, o[i].level, o[i].name), o[i].good, "option %u",
                     i);
    }
    for (unsigned i = 0; i < ARRAY_LEN(b); i++)
        cr_assert_eq(kit_set(&k, s, b[i].level, b[i].name, b[i].bad), b[i].err, "bad %u", i);
    for (unsigned i = 0; i < ARRAY_LEN(o); i++)
        cr_assert_eq((uint64_t)kit_get(&k, s, o[i].level, o[i].name), o[i].good, "option %u",
                     i);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_RCVBUF, 1ull << 40), 0);
    cr_assert_leq(kit_get(&k, s, SOL_SOCKET, SO_RCVBUF), FIFO_MAX - FIFO_PAGE);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ACCEPTCONN), 0);
    cr_assert_eq(
        kit_get(&k, k.listener = kit_listen(&k, 90, 1, NULL), SOL_SOCKET, SO_ACCEPTCONN), 1);
}

/* TTL and TOS are on what goes out; TCP_MAXSEG bounds what is offered and sent. */
Test(tcp_port, options_on_the_wire)
{
    struct conn c = conn_default();
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 5, NULL);
    kit_set(&k, l, IPPROTO_IP, IP_TTL, 7);
    kit_set(&k, l, IPPROTO_IP, IP_TOS, 0x13);
    kit_set(&k, l, IPPROTO_TCP, TCP_MAXSEG, 500);
    const struct out_seg *o = conn_syn(&k, &c, 0);
    cr_assert_eq(o->h.mss, 500);
    cr_assert_eq(o->p.ttl, 7);
    cr_assert_eq(o->p.tos, 0x10, "the ECN bits are not the program's");
    cr_assert(o->p.flags & PKT_DF);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    kit_write(&k, &c, 600);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 500);
}
