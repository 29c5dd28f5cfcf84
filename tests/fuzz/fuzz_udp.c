/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The UDP component between a hostile network below and hostile clients above. The input is a
 * list of actions: packets with any bytes and any descriptor, requests of any kind, and writes
 * into the client half of an arena: cursors, directories, payload. After each the invariants
 * must hold, what goes down must be a well-formed chain of frames that were ours to give, and
 * at the end every frame must come back.
 */
#include "../unit/udp_kit.h"
#include "fuzz.h"
#include "scribble.h"
#include "wire/wire.h"

/* A value that is often near a bound. */
static uint64_t
edge(struct input *in)
{
    static const uint64_t e[] = {0,
                                 8,
                                 39,
                                 40,
                                 FIFO_PAGE,
                                 FIFO_MAX,
                                 FIFO_MAX + 8,
                                 0xfffffff0u,
                                 1ull << 32,
                                 1ull << 63,
                                 UINT64_MAX - 7,
                                 65507};
    uint32_t v = take(in, 1);
    return v < 128 ? e[v % ARRAY_LEN(e)] : take(in, 2);
}

static void
check(struct kit *k)
{
    for (unsigned i = 0; i < k->n_out; i++) {
        const struct pkt *p = &k->out[i];
        expect(frames_part(&k->frames, p->addr) == PART_UDPTX);
        expect(p->addr % FRAME_SIZE == FRAME_L4 && p->len <= FRAME_SIZE - FRAME_L4);
        expect(p->kind == PKT_DATA || p->kind == PKT_REJECT);
        expect(!(p->flags & PKT_MORE) || (i + 1 < k->n_out && p->len % 8 == 0));
        expect(!(p->flags & PKT_JOIN) || (p->flags & PKT_MORE));
    }
    expect(udp_validate(k->u));
}

static void
feed(struct kit *k, struct input *in)
{
    static uint8_t data[4000];
    struct pkt p[FRAME_MAX_CHAIN];
    uint32_t len = take(in, 2) % sizeof data, what = take(in, 1);
    unsigned n = kit_datagram(k, p, KIT_PEER + what % 3, (uint16_t)(1 + what % 4),
                              KIT_OWN + what % 7 / 6, (uint16_t)(50 + what % 5), data, len,
                              200 + what % 8 * 180, (int)(what >> 6));
    switch (what % 11) {
    case 0: /* header and payload of any kind */
        for (uint32_t i = 0; i < min_u32(p[0].len, 24); i++)
            k->frames.base[p[0].addr + i] = (uint8_t)take(in, 1);
        break;
    case 1:
        p[take(in, 1) % n].addr = take(in, 4);
        break;
    case 2:
        p[take(in, 1) % n].len = (uint16_t)take(in, 2);
        break;
    case 3:
        p[take(in, 1) % n].flags = (uint8_t)take(in, 1);
        break;
    case 4:
        p[0].l3 = take(in, 4);
        p[0].l3_len = (uint16_t)take(in, 2);
        break;
    case 5: {
        uint8_t *raw = (uint8_t *)(void *)&p[0];
        for (unsigned i = 0; i < 3; i++)
            raw[take(in, 1) % sizeof p[0]] = (uint8_t)take(in, 1);
        break;
    }
    case 6:
        p[0].kind = PKT_ICMP;
        p[0].err = (uint8_t)take(in, 1);
        p[0].sport = (uint16_t)(50 + what % 5);
        p[0].dport = (uint16_t)(1 + what % 4);
        p[0].src = k->path.addr;
        p[0].dst = ipaddr_v4_u32(KIT_PEER + what % 3);
        break;
    default:
        break;
    }
    kit_step(k, p, n);
}

static void
ask(struct kit *k, struct input *in)
{
    struct sess_evt e;
    struct sess_req r = {.op = (uint8_t)(take(in, 1) % (REQ_OPS + 1))};
    uint32_t sess = take(in, 1) % (KIT_SESSIONS + 1), what = take(in, 1);
    r.addr = what % 5 == 0   ? (struct ipaddr){0}
             : what % 5 == 1 ? ipaddr_v4_u32(0)
             : what % 5 == 2 ? ipaddr_v4_u32(KIT_OWN)
             : what % 5 == 3 ? ipaddr_v4_u32(KIT_PEER + what % 3)
                             : ipaddr_v4_u32(take(in, 4));
    r.port = (uint16_t)(r.op == REQ_BIND ? what % 6 ? 49 + what % 6 : 0 : what % 5);
    r.level = what % 3 ? (int32_t)(what % 3 - 1) : (int32_t)take(in, 1);
    r.name = (int32_t)take(in, 1) % 64;
    r.value = r.op == REQ_SHUTDOWN ? what % 4 : edge(in);
    kit_request(k, sess, r, &e);
}

/* What a client can do to its own half. */
static void
scribble(struct kit *k, struct input *in)
{
    uint32_t client = take(in, 1) % 2, slot = take(in, 1) % KIT_SLOTS, what = take(in, 1);
    struct slot_client *c = &k->arena[client].c_slot[slot];
    switch (what % 7) {
    case 0:
        c->tx_tail = c->tx_tail + edge(in);
        break;
    case 1:
        c->tx_tail = edge(in);
        break;
    case 2:
        c->rx_head = c->rx_head + edge(in);
        break;
    case 3: {
        uint32_t i = take(in, 1);
        scribble_page(&k->arena[client], c, i, what % 2 ? take(in, 4) : what % 200);
        break;
    }
    case 4:
        c->arm = take(in, 1);
        break;
    case 5: {
        struct dgram_head h = {.len = (uint32_t)edge(in), .port = (uint16_t)what};
        h.addr = ipaddr_v4_u32(KIT_PEER + what % 2);
        kit_tx_bytes(k, client, slot, &h, sizeof h);
        break;
    }
    default: {
        uint32_t len = take(in, 2) % 9000;
        kit_send(k, client, slot, what % 2 ? KIT_PEER : 0, (uint16_t)what, NULL, len);
        break;
    }
    }
}

static void
life(struct kit *k, struct input *in)
{
    struct transport *t = (struct transport *)(void *)k->u;
    uint32_t what = take(in, 1), client = what >> 7, slot;
    struct sess_evt e;
    struct sess_info info;
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        (void)kit_open(k, client, &slot);
        break;
    case 3:
        while (udp_ops.next_event(t, client, &e))
            if (e.kind == EVT_FREED && what % 16 == 3)
                kit_request(k, e.cookie, (struct sess_req){.op = REQ_RELEASED}, NULL);
        break;
    case 4:
        k->now += take(in, 2) * NS_MS;
        for (uint32_t s = 0; udp_ops.info(t, s, &info); s = info.sess + 1)
            expect(info.rx_queued <= FIFO_MAX && info.tx_queued <= FIFO_MAX);
        break;
    case 5:
        udp_ops.client_gone(t, client, k->now);
        break;
    case 6:
        if (udp_ops.client_idle(t, client)) {
            udp_ops.client_remove(t, client);
            memset((void *)k->arena[client].d_head, 0, arena_domain_bytes(&k->arena[client].g));
            (void)kit_attach(k, client);
        }
        break;
    default:
        expect(kit_done(k));
        if (what % 16 == 15)
            udp_ip_reset(k->u);
        kit_crash(k);
        (void)kit_attach(k, 0);
        (void)kit_attach(k, 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit k;
    struct input in = {data, size};
    kit_up(&k);
    k.path.mtu = size & 1 ? 9000 : 1500;
    while (in.left > 0) {
        switch (take(&in, 1) % 6) {
        case 0:
            feed(&k, &in);
            break;
        case 1:
            ask(&k, &in);
            break;
        case 2:
            scribble(&k, &in);
            break;
        case 3:
            life(&k, &in);
            break;
        default:
            kit_step(&k, NULL, 0);
        }
        check(&k);
        expect(kit_done(&k));
    }
    /* Left alone, it comes to rest with all frames back. */
    k.now += 20 * NS_S;
    for (int i = 0; udp_deadline(k.u) != NS_NEVER; i++) {
        expect(i < 100000);
        kit_step(&k, NULL, 0);
        check(&k);
        expect(kit_done(&k));
    }
    kit_end(&k);
    return 0;
}
