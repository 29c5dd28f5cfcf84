/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request.c: what a program asks of its session (RFC 9293 3.10.1 to 3.10.6), as requests on the
 * client's ring. The errno values are those of Linux.
 */
#include <sys/socket.h>

#include "priv.h"

#define BACKLOG_MAX 4096u

void
tcp_flush(struct tcp *t)
{
    while (t->n_dirty != 0) {
        struct tcb *c = &t->tcb[t->dirty[--t->n_dirty]];
        c->dirty = false;
        tcb_commit(t, c);
        slot_publish(t, c);
        tcb_settle(t, c);
    }
}

void
abort_session(struct tcp *t, struct tcb *c, int err)
{
    if (c->h.state >= TCPS_SYN_RCVD && c->h.state != TCPS_TIME_WAIT) {
        c->rst_due = true;
        work_add(t, c);
    }
    tcb_die(t, c, err);
}

/* After a connection that failed before it carried anything, as if it had not been tried. What
 * the program bound it to stays. False: it carried something, and the cursors of a stream do
 * not begin anew. */
static bool
begin_anew(struct tcp *t, struct tcb *c)
{
    uint32_t bits = c->h.bits & (H_BOUND | H_PORT | H_ADDR);
    if (c->h.state != TCPS_CLOSED || (c->h.snd_max == 0 && (bits || c->lport == 0)))
        return true;
    if (c->h.tx_tail != 0 || c->h.rcv_nxt > 1)
        return false;
    c->h = (struct tcb_hard){.bits = bits};
    if (!(bits & H_BOUND))
        c->lport = 0;
    if (!(bits & H_ADDR))
        c->laddr = (struct ipaddr){0};
    tcb_begin(t, c);
    tcb_dirty(t, c);
    return true;
}

static int
request_bind(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    const struct account *a = tcb_account(t, c);
    if (!begin_anew(t, c))
        return EINVAL;
    if (port != 0 && (a == NULL || !account_port(a->rules.port, a->rules.n_ports, port)))
        return tcb_deny(t, c, RULE_PORTS, NULL, port, EACCES);
    return port_bind(t, c, addr, port);
}

/* A port that was got without a number is asked about here, too. */
static int
listen_denied(struct tcp *t, const struct tcb *c)
{
    const struct account *a = tcb_account(t, c);
    if (a != NULL && account_port(a->rules.listen, a->rules.n_listen, c->lport))
        return 0;
    return tcb_deny(t, c, RULE_LISTEN, NULL, c->lport, EACCES);
}

static int
request_listen(struct tcp *t, struct tcb *c, uint64_t backlog)
{
    if (c->h.state != TCPS_LISTEN && c->h.state != TCPS_CLOSED)
        return EINVAL;
    if (c->h.state == TCPS_CLOSED) {
        if (!begin_anew(t, c))
            return EINVAL;
        if (c->lport == 0) {
            struct ipaddr any = {0};
            int err = port_bind(t, c, &any, 0);
            if (err != 0)
                return err;
        }
        if (!(c->h.bits & H_BOUND))
            return EINVAL;         /* was connected once */
        if (!(c->h.bits & H_ADDR)) /* a connection that failed had one */
            c->laddr = (struct ipaddr){0};
        int denied = listen_denied(t, c);
        if (denied != 0)
            return denied;
        for (uint32_t i = t->bound[c->lport]; i != SESS_NONE; i = t->tcb[i].bound_next) {
            const struct tcb *o = &t->tcb[i];
            t->steps++;
            if (o != c && o->h.state == TCPS_LISTEN && !port_shared(t, o, c) &&
                (ipaddr_is_any(&o->laddr) || ipaddr_is_any(&c->laddr) ||
                 ipaddr_eq(&o->laddr, &c->laddr)))
                return EADDRINUSE;
        }
    }
    c->backlog = (uint32_t)min_u64(backlog, BACKLOG_MAX); /* one more may wait, as on Linux */
    if (c->h.state != TCPS_LISTEN)
        tcb_set_state(t, c, TCPS_LISTEN);
    return 0;
}

static int
connect_check(struct tcp *t, const struct tcb *c, const struct ipaddr *addr)
{
    switch ((enum tcp_state)c->h.state) {
    case TCPS_CLOSED:
        break;
    case TCPS_SYN_SENT:
    case TCPS_SYN_RCVD:
        return EALREADY;
    case TCPS_LISTEN:
    default:
        return EISCONN;
    }
    if (!ipaddr_is_v4(addr))
        return EAFNOSUPPORT;
    if (ipaddr_to_u32(addr) >> 28 >= 0xe) /* multicast, broadcast, nobody */
        return ENETUNREACH;
    if (!path_reachable(t->path, addr))
        return ENETUNREACH;
    /* Loopback's addresses do not leave the host, also not as a source. */
    bool stays = (c->h.bits & H_ADDR) && ipaddr_is_loopback(&c->laddr);
    return stays && !path_local(t->path, addr) ? EINVAL : 0;
}

/* What the account says of a connection to there: EPERM, as of a firewall on the host; EAGAIN:
 * too many of late, later there is one to be had. */
static int
connect_denied(struct tcp *t, const struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    struct account *a = tcb_account(t, c);
    if (a == NULL || !account_peer(a->rules.peer, a->rules.n_peers, addr, port))
        return tcb_deny(t, c, RULE_PEERS, addr, port, EPERM);
    if (!account_connect(a, t->now))
        return tcb_deny(t, c, RULE_CONNECTS, addr, port, EAGAIN);
    return 0;
}

static int
request_connect(struct tcp *t, struct tcb *c, const struct ipaddr *to, uint16_t port)
{
    const struct ipaddr any = {0};
    const struct ipaddr peer = path_peer(to, c->h.bits & H_ADDR ? &c->laddr : &any);
    const struct ipaddr *addr = &peer;
    int err = connect_check(t, c, addr);
    if (err != 0)
        return err;
    if (port == 0)
        return ECONNREFUSED;
    if (c->h.tx_tail != 0 || c->h.rcv_nxt > 1)
        return EISCONN;
    err = connect_denied(t, c, addr, port);
    if (err != 0)
        return err;
    (void)begin_anew(t, c);
    err = port_connect(t, c, addr, port);
    if (err != 0)
        return err;
    c->raddr = *addr;
    c->rport = port;
    uint32_t iss = isn_make(t, c);
    if (c->h.iss == 0 || (int32_t)(iss - c->h.iss) > 0)
        c->h.iss = iss;
    c->h.ts_offset = ts_offset_make(t, c);
    c->h.mss = MSS_DEFAULT;
    demux_insert(t, c);
    tcb_set_state(t, c, TCPS_SYN_SENT);
    work_add(t, c);
    return 0;
}

static int
request_shutdown(struct tcp *t, struct tcb *c, uint64_t how)
{
    if (how > SHUT_RDWR)
        return EINVAL;
    if (c->h.state == TCPS_LISTEN) {
        if (how != SHUT_WR)
            tcb_die(t, c, 0);
        return 0;
    }
    if (c->h.state == TCPS_SYN_SENT) { /* as on Linux: the attempt is given up */
        tcb_die(t, c, ECONNRESET);
        (void)begin_anew(t, c);
        return 0;
    }
    if (c->h.state == TCPS_CLOSED || c->h.state == TCPS_TIME_WAIT)
        return ENOTCONN;
    if (how != SHUT_RD) {
        if (!slot_take_cursors(t, c)) {
            abort_session(t, c, EPROTO);
            return EPROTO;
        }
        c->h.bits |= H_SHUT_WR;
        work_add(t, c);
    }
    if (how != SHUT_WR)
        c->h.bits |= H_SHUT_RD;
    tcb_dirty(t, c);
    return 0;
}

/* CLOSE, and the death of the program. */
void
close_session(struct tcp *t, struct tcb *c)
{
    if (c->h.bits & H_CLOSED)
        return;
    tcp_move_stop(t, c);
    bool honest = slot_take_cursors(t, c);
    uint64_t unread = c->h.rcv_nxt == 0
                          ? 0
                          : c->h.rcv_nxt - 1 - ((c->h.bits & H_FIN_RCVD) != 0) - c->h.rx_head;
    c->h.bits |= H_CLOSED;
    port_closed(t, c);
    tcb_dirty(t, c);
    bool open = tcb_is_orphan(c);
    t->n_orphans += open;
    if (!open) {
        if (c->h.state != TCPS_TIME_WAIT)
            tcb_die(t, c, 0);
        return;
    }
    if (t->n_orphans > t->cfg.orphans)
        stat_inc(t->stats, STAT_tcp_orphans_killed);
    /* RFC 2525 2.17: data that nobody will read must not look as if it was read. */
    if (!honest || unread != 0 || c->opt.linger == 0 || t->n_orphans > t->cfg.orphans) {
        abort_session(t, c, 0);
        return;
    }
    c->h.bits |= H_SHUT_WR;
    if (c->h.state != TCPS_FIN_WAIT_2)
        timer_set(t, c, T_WAIT, t->now + ORPHAN_TIME);
    else if (!fin_wait_arm(t, c))
        return;
    work_add(t, c);
}

/* Nothing but closing is left of it, and its memory goes back at once. */
static void
revoke_session(struct tcp *t, struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    if (c->h.bits & H_REVOKED)
        return;
    c->h.bits |= H_REVOKED;
    port_release(t, c);
    abort_session(t, c, ECONNABORTED);
    if (cl == NULL || c->link.slot == SESS_NONE)
        return;
    fifo_rx_clear(&cl->v, c->link.slot, &cl->pages);
    fifo_moved_clear(&cl->v, c->link.slot, &cl->pages);
    client_event(t->clients, &c->link, tcb_number(t, c), EVT_REVOKED, tcb_link_of, t);
}

static void
request_name(const struct tcp *t, const struct tcb *c, struct sess_evt *reply)
{
    bool connected = c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT;
    (void)t;
    reply->addr = c->laddr;
    reply->port = c->lport;
    reply->peer_port = connected ? c->rport : 0;
    reply->peer_v4 = connected ? ipaddr_to_u32(&c->raddr) : 0;
}

static void
cursors_moved(struct tcp *t, struct tcb *c)
{
    if (c->h.state == TCPS_CLOSED || (c->h.bits & H_CLOSED))
        return;
    if (!slot_take_cursors(t, c)) {
        stat_inc(t->stats, STAT_req_bad);
        client_stat(t->clients, c->link.client, CLIENT_STAT_requests_bad, 1);
        abort_session(t, c, EPROTO);
        return;
    }
    work_add(t, c);
}

uint32_t
tcp_request(struct transport *tr, uint32_t sess, const struct sess_req *r,
            struct sess_evt *reply, ns_t now)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct tcb *c = &t->tcb[sess];
    t->now = now;
    t->out = NULL;
    t->steps = 0;
    if (!c->used || ((c->h.bits & H_CLOSED) && r->op != REQ_RELEASED)) {
        reply->err = EBADF;
        return 0;
    }
    if ((c->h.bits & H_REVOKED) && r->op != REQ_CLOSE && r->op != REQ_RELEASED &&
        r->op != REQ_REVOKE) {
        reply->err = ECONNABORTED;
        return 0;
    }
    if (r->op != REQ_SEND && r->op != REQ_CONSUMED && r->op != REQ_NAME && r->op != REQ_GETOPT)
        tcp_move_stop(t, c);
    set(t->store->working, sess);
    switch ((enum req_op)r->op) {
    case REQ_BIND:
        reply->err = request_bind(t, c, &r->addr, r->port);
        tcb_dirty(t, c);
        request_name(t, c, reply);
        break;
    case REQ_CONNECT:
        reply->err = request_connect(t, c, &r->addr, r->port);
        request_name(t, c, reply);
        break;
    case REQ_LISTEN:
        reply->err = request_listen(t, c, r->value);
        request_name(t, c, reply);
        break;
    case REQ_ACCEPTED:
        if (c->n_accept > c->n_untold) /* it cannot have taken what it was not told of */
            c->n_accept--;
        break;
    case REQ_SHUTDOWN:
        reply->err = request_shutdown(t, c, r->value);
        break;
    case REQ_CLOSE:
        if (r->value != 0)
            c->opt.linger = 0;
        close_session(t, c);
        break;
    case REQ_SETOPT:
        reply->err = tcp_option_set(t, c, r->level, r->name, r->value);
        tcb_dirty(t, c);
        break;
    case REQ_GETOPT:
        reply->err = tcp_option_get(t, c, r->level, r->name, &reply->value);
        break;
    case REQ_NAME:
        request_name(t, c, reply);
        break;
    case REQ_SEND:
        cursors_moved(t, c);
        if (r->value != 0 && c->used && r->value <= c->h.tx_tail) /* urgent up to here */
            c->snd_up = max_u64(c->snd_up, r->value + 1);
        break;
    case REQ_CONSUMED:
        cursors_moved(t, c);
        break;
    case REQ_RELEASED:
        if (c->h.bits & H_FREED && c->link.slot != SESS_NONE) {
            client_slot_give(tcb_client(t, c), c->link.slot);
            c->link.slot = SESS_NONE;
            tcb_dirty(t, c);
        }
        break;
    case REQ_REVOKE:
        revoke_session(t, c);
        break;
    case REQ_SOCKET:
    case REQ_MINT:
    case REQ_DELEGATE:
    case REQ_REDEEM:
    case REQ_STANDIN:
    case REQ_OPS:
        reply->err = EINVAL;
        break;
    }
    tcp_flush(t);
    set(t->store->working, SESS_NONE);
    return t->steps;
}

int
tcp_open(struct transport *tr, uint32_t client, const struct sess_grant *g, uint32_t *sess,
         uint32_t *slot)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct client *cl = clients_get(t->clients, client);
    if (cl == NULL || cl->gone)
        return EBADF;
    if (cl->n_sessions >= cl->limits.sessions || cl->n_slots_free == 0)
        return EMFILE;
    if (!client_has_room(t->clients, cl))
        return client_deny(t->clients, client, RULE_SESSIONS, NULL, 0, t->now, EMFILE);
    struct tcb *c = tcb_new(t);
    if (c == NULL)
        return ENFILE;
    c->link.client = client;
    c->grant = *g;
    congestion_begin(t, c);
    client_count(t->clients, cl, 1, 0);
    if (!slot_attach(t, c, cl)) {
        tcb_free(t, c);
        return EMFILE;
    }
    *sess = tcb_number(t, c);
    *slot = c->link.slot;
    tcp_flush(t);
    return 0;
}
