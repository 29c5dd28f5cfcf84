/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/raw_tcp.h"

#include <poll.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "lib/wire/csum.h"
#include "lib/wire/wire.h"

#define L4_AT (ETH_HEADER + IP4_HEADER)
#define SILENCE_S 0.15 /* nothing heard for so long: sent again */
#define SILENCES 5     /* one after the other, and it has failed: before window.c gives up */
#define QUESTIONS 14   /* a SYN, a FIN: so often */
#define CHAINS 4       /* before what came is looked at */
#define POLL_MS 20
#define PAYLOAD_BYTE 0x42

/* Of a frame. */
static uint32_t
payload_len(const struct raw_tcp *t)
{
    return t->frame - RAW_TCP_HEADERS;
}

static struct tcp_hdr
header(const struct raw_tcp *t, uint8_t flags)
{
    return (struct tcp_hdr){.sport = t->sport,
                            .dport = t->dport,
                            .seq = t->iss + 1 + (uint32_t)t->next,
                            .ack = t->rcv_nxt,
                            .flags = flags,
                            .wnd = UINT16_MAX,
                            .has_ts = true,
                            .ts_val = (uint32_t)(tool_nanoseconds() / 1000000),
                            .ts_ecr = t->ts_ecr};
}

static void
put_below(const struct raw_tcp *t, uint8_t *to, size_t l4_len)
{
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ip4_hdr h = {.src = t->port->addr,
                        .dst = t->to,
                        .total_len = (uint16_t)(IP4_HEADER + l4_len),
                        .df = true, /* and so the same id in all (RFC 6864 4.1) */
                        .ttl = 64,
                        .proto = WIRE_PROTO_TCP};
    memcpy(e.dst, t->mac, 6);
    memcpy(e.src, t->port->netif.mac, 6);
    eth_emit(to, &e);
    ip4_emit(to + ETH_HEADER, &h);
}

/* The header and its checksum; sum: of pseudo-header and payload. Returns its length. */
static size_t
put_tcp(uint8_t *to, const struct tcp_hdr *h, uint32_t sum)
{
    size_t len = tcp_emit(to, h);
    uint16_t field = (uint16_t)~csum_fold(csum_add(sum, csum_bytes(to, len)));
    memcpy(to + 16, &field, 2);
    return len;
}

/* A segment without payload. */
static void
send_control(struct raw_tcp *t, const struct tcp_hdr *h)
{
    struct rawport *p = t->port;
    rawport_reclaim(p);
    if (p->n_free == 0)
        return;
    struct fdesc f = {.addr = p->free[p->n_free - 1]};
    uint8_t *b = p->frames.base + f.addr;
    uint32_t len = (uint32_t)tcp_header_len(h);
    put_below(t, b, len);
    put_tcp(b + L4_AT, h, csum_pseudo(&p->addr, &t->to, WIRE_PROTO_TCP, len));
    f.len = (uint16_t)(L4_AT + len);
    (void)rawport_send(p, &f, 1);
    (void)rawport_kick(p);
}

static void
heard(struct raw_tcp *t, const struct tcp_hdr *h)
{
    uint32_t got = h->ack - (t->iss + 1 + (uint32_t)t->acked);
    t->reset |= (h->flags & TCP_RST) != 0;
    if ((h->flags & (TCP_RST | TCP_ACK)) != TCP_ACK || got > t->sent - t->acked)
        return;
    if (h->flags & TCP_SYN) {
        if (!h->has_ts)
            tool_die(EXIT_NETWORK, "the peer takes no time stamps");
        t->wscale = h->has_wscale ? (uint8_t)min_u32(h->wscale, 14) : 0;
        t->rcv_nxt = h->seq + 1;
        t->open = true;
    } else if (h->flags & TCP_FIN) {
        t->rcv_nxt = h->seq + 1;
        t->ended = true;
    }
    t->ts_ecr = h->ts_val;
    t->acked += got;
    if (t->next < t->acked) /* what was sent again had come */
        t->next = t->acked;
    t->edge = t->acked + ((uint64_t)h->wnd << (h->flags & TCP_SYN ? 0 : t->wscale));
    t->acks += window_counting(&t->window);
}

/* Of a frame that came: is it of this connection? The checksum is left to the stacks. */
static void
look(void *arg, const uint8_t *frame, size_t len)
{
    struct raw_tcp *t = arg;
    struct eth_hdr e;
    struct ip4_hdr i;
    struct tcp_hdr h;
    if (eth_parse(&e, frame, len) != WIRE_OK || e.type != ETH_TYPE_IP4 ||
        ip4_parse(&i, frame + ETH_HEADER, len - ETH_HEADER) != WIRE_OK ||
        i.proto != WIRE_PROTO_TCP || !ipaddr_eq(&i.src, &t->to) ||
        tcp_parse(&h, frame + ETH_HEADER + i.header_len, i.total_len - i.header_len) !=
            WIRE_OK ||
        h.sport != t->dport || h.dport != t->sport)
        return;
    heard(t, &h);
}

/* What came; returns how many bytes were acknowledged. */
static uint64_t
take(struct raw_tcp *t)
{
    struct fdesc f[BATCH_MAX];
    uint64_t before = t->acked, acks = t->acks;
    unsigned n = rawport_receive(t->port, f);
    rawport_return(t->port, f, n);
    t->reads += t->acks != acks; /* not of a question for the address alone */
    if (t->reset)
        tool_die(EXIT_NETWORK,
                 t->open ? "the peer ended the connection" : "the peer refuses the connection");
    return t->acked - before;
}

static void
doze(const struct raw_tcp *t)
{
    struct pollfd p = {.fd = t->port->netif.fd, .events = POLLIN};
    (void)poll(&p, 1, POLL_MS);
}

/* Sends h until its answer came. */
static bool
ask(struct raw_tcp *t, const struct tcp_hdr *h, const bool *answered)
{
    for (unsigned i = 0; i < QUESTIONS && !*answered; i++) {
        double end = tool_seconds() + SILENCE_S;
        send_control(t, h);
        while (!*answered && tool_seconds() < end) {
            doze(t);
            (void)take(t);
        }
    }
    return *answered;
}

static void
open_connection(struct raw_tcp *t)
{
    t->iss = (uint32_t)(tool_nanoseconds() / 4000);
    /* Another port each time: the peer may still have the last connection. */
    t->sport = (uint16_t)(32768 + t->iss % 28000);
    t->port->hear = look;
    t->port->hear_arg = t;
    struct tcp_hdr syn = header(t, TCP_SYN);
    syn.seq = t->iss;
    syn.mss = 1460;
    syn.has_wscale = true;
    if (!ask(t, &syn, &t->open))
        tool_die(EXIT_NETWORK, "the peer does not answer on port %u", t->dport);
    struct tcp_hdr ack = header(t, TCP_ACK);
    send_control(t, &ack);
}

/* What is the same in all frames. */
static void
prefill(struct raw_tcp *t)
{
    struct rawport *p = t->port;
    uint32_t len = payload_len(t), l4 = t->frame - L4_AT;
    for (double end = tool_seconds() + QUESTIONS * SILENCE_S; rawport_outstanding(p) != 0;) {
        if (tool_seconds() > end)
            tool_die(EXIT_OTHER, "the interface does not send");
        (void)rawport_kick(p);
        rawport_reclaim(p);
    }
    for (uint32_t i = 0; i < p->n_free; i++)
        memset(p->frames.base + p->free[i] + RAW_TCP_HEADERS, PAYLOAD_BYTE, len);
    put_below(t, t->below, l4);
    t->constant_sum = csum_add(csum_pseudo(&p->addr, &t->to, WIRE_PROTO_TCP, l4),
                               csum_bytes(p->frames.base + p->free[0] + RAW_TCP_HEADERS, len));
}

/* How many full segments the window takes, and `until`; at most so many. */
static unsigned
room_for(const struct raw_tcp *t, uint64_t until, uint32_t most)
{
    uint64_t edge = min_u64(until, t->edge);
    uint64_t room = edge > t->next ? (edge - t->next) / payload_len(t) : 0;
    return (unsigned)min_u64(room, most);
}

static void
went(struct raw_tcp *t, unsigned segments)
{
    t->next += (uint64_t)segments * payload_len(t);
    t->sent = max_u64(t->sent, t->next);
}

/* Up to a batch of full segments within the window and before `until`. The headers below TCP
 * are written each time because an answer to ARP may have been in the frame. */
static unsigned
send_some(struct raw_tcp *t, uint64_t until)
{
    struct rawport *p = t->port;
    struct tcp_hdr h = header(t, TCP_ACK);
    struct fdesc f[BATCH_MAX];
    uint32_t len = payload_len(t);
    unsigned n = min_u32(p->n_free, room_for(t, until, BATCH_MAX));
    for (unsigned i = 0; i < n; i++, h.seq += len) {
        f[i] = (struct fdesc){.addr = p->free[p->n_free - 1 - i], .len = (uint16_t)t->frame};
        uint8_t *b = p->frames.base + f[i].addr;
        memcpy(b, t->below, sizeof t->below);
        put_tcp(b + L4_AT, &h, t->constant_sum);
    }
    n = rawport_send(p, f, n);
    went(t, n);
    return n;
}

/* The same, as one packet that the kernel is to cut; each frame behind the first has the
 * payload of one segment, where all frames have it. A short one only at the end, or into a
 * window with nothing under way. */
static unsigned
send_chain(struct raw_tcp *t, uint64_t until)
{
    struct rawport *p = t->port;
    struct fdesc f[FRAME_MAX_CHAIN];
    uint32_t len = payload_len(t), most = (UINT16_MAX - (RAW_TCP_HEADERS - ETH_HEADER)) / len;
    most = min_u32(most, FRAME_MAX_CHAIN);
    unsigned n = room_for(t, until, most);
    if (n == 0 || p->n_free < n || (n < most && until != t->sent && t->acked != t->sent))
        return 0;
    for (unsigned i = 0; i < n; i++)
        f[i] =
            (struct fdesc){.addr = p->free[p->n_free - 1 - i] + (i > 0 ? RAW_TCP_HEADERS : 0),
                           .len = (uint16_t)(i > 0 ? len : t->frame),
                           .flags = i + 1 < n ? FDESC_MORE : 0};
    f[0].flags |= FDESC_CSUM; /* of the pseudo-header so far */
    uint8_t *b = p->frames.base + f[0].addr;
    uint32_t l4 = RAW_TCP_HEADERS - L4_AT + n * len;
    struct tcp_hdr h = header(t, TCP_ACK);
    put_below(t, b, l4);
    (void)tcp_emit(b + L4_AT, &h);
    uint16_t field = csum_fold(csum_pseudo(&p->addr, &t->to, WIRE_PROTO_TCP, l4));
    memcpy(b + L4_AT + 16, &field, 2);
    if (rawport_send(p, f, n) != n)
        tool_die(EXIT_OTHER, "the driver took a part of a packet");
    went(t, n);
    return n;
}

static unsigned
send_frames(struct raw_tcp *t, uint64_t until)
{
    unsigned n = 0, last;
    if (!t->segments)
        return send_some(t, until);
    for (unsigned i = 0; i < CHAINS && (last = send_chain(t, until)) != 0; i++)
        n += last;
    return n;
}

/* When nothing was heard for too long, all that is not acknowledged is sent again, after a
 * question for the window. `now` is from before what came was read: if this process had to wait
 * for its processor, nothing is missing. */
static void
judge(struct raw_tcp *t, uint64_t got, double now)
{
    if (got != 0 || t->edge != t->seen_edge) {
        t->progress = now;
        t->silent = 0;
        t->seen_edge = t->edge;
    }
    if (now - t->progress < SILENCE_S)
        return;
    if (t->silent++ == SILENCES) {
        struct tcp_hdr rst = header(t, TCP_RST | TCP_ACK);
        send_control(t, &rst);
        tool_die(EXIT_OTHER,
                 "nothing was acknowledged for %.0f ms, with %llu bytes under way that were "
                 "sent again %u times: the receiver does not read, or frames are lost",
                 (SILENCES + 1) * SILENCE_S * 1e3, (unsigned long long)(t->sent - t->acked),
                 SILENCES);
    }
    t->progress = now;
    t->next = t->acked;
    t->rewinds += t->sent != t->acked;
    struct tcp_hdr probe = header(t, TCP_ACK);
    probe.seq--; /* before the window: has to be answered (RFC 9293 3.10.7.4) */
    send_control(t, &probe);
}

static void
close_connection(struct raw_tcp *t)
{
    while (t->acked != t->sent) {
        double now = tool_seconds();
        judge(t, take(t), now);
        rawport_reclaim(t->port);
        (void)send_frames(t, t->sent);
        (void)rawport_kick(t->port);
    }
    t->bytes = t->acked;
    struct tcp_hdr fin = header(t, TCP_FIN | TCP_ACK);
    t->sent = ++t->next;
    if (!ask(t, &fin, &t->ended))
        tool_die(EXIT_NETWORK, "the peer does not end its side");
    struct tcp_hdr ack = header(t, TCP_ACK);
    send_control(t, &ack);
}

void
raw_tcp_transmit(struct raw_tcp *t)
{
    struct rawport *p = t->port;
    double now;
    uint64_t got;
    open_connection(t);
    prefill(t);
    t->progress = tool_seconds();
    do {
        rawport_reclaim(p);
        unsigned n = send_frames(t, UINT64_MAX);
        if (rawport_queued(p))
            t->kicks += window_counting(&t->window);
        (void)rawport_kick(p);
        now = tool_seconds();
        got = take(t);
        judge(t, got, now);
        if (n == 0 && got == 0 && t->sleep)
            doze(t);
    } while (window_take(&t->window, got, now));
    close_connection(t);
}
