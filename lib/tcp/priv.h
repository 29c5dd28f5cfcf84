/* SPDX-License-Identifier: BSD-2-Clause
 *
 * priv.h: the calls between the files of the TCP component.
 */
#ifndef TCP_PRIV_H
#define TCP_PRIV_H

#include "tcb.h"

/* ---- tcb.c: life of a control block ---- */
struct tcb *tcb_new(struct tcp *t);
void tcb_free(struct tcp *t, struct tcb *c);
/* It is no client's any more; the caller has settled slot and counts. */
void tcb_disown(struct tcp *t, struct tcb *c);
/* Everything soft as it is when nothing is known: after a crash, when it is in no list. */
void tcb_soft_reset(struct tcp *t, struct tcb *c);
/* The same for another attempt of a session that is in lists and stays there. */
void tcb_begin(struct tcp *t, struct tcb *c);
void tcb_commit(struct tcp *t, struct tcb *c);
void tcb_dirty(struct tcp *t, struct tcb *c);
void tcb_set_state(struct tcp *t, struct tcb *c, enum tcp_state s);
/* The session is over with this errno (0: an orderly end). Frees it if nobody is left to be
 * told; the pointer must not be used afterwards. */
void tcb_die(struct tcp *t, struct tcb *c, int err);
/* c waits to be told of by its listener l; does so no more. */
void child_link(struct tcp *t, struct tcb *l, struct tcb *c);
void child_unlink(struct tcp *t, struct tcb *c);
/* The program gave it up, and our FIN is acknowledged or moot: tell EVT_FREED, count orphans,
 * free it when it is CLOSED. */
void tcb_settle(struct tcp *t, struct tcb *c);
struct client *tcb_client(struct tcp *t, const struct tcb *c);
/* The account of its client; NULL: it has none. */
static inline struct account *
tcb_account(struct tcp *t, const struct tcb *c)
{
    const struct client *cl = tcb_client(t, c);
    return cl != NULL ? client_account(t->clients, cl) : NULL;
}
/* The account does not allow it; returns err. */
static inline int
tcb_deny(struct tcp *t, const struct tcb *c, enum account_rule rule, const struct ipaddr *addr,
         uint16_t port, int err)
{
    return client_deny(t->clients, c->link.client, rule, addr, port, t->now, err);
}
/* A connection came and its listener has no room: c is either. */
static inline void
listen_dropped(struct tcp *t, const struct tcb *c)
{
    stat_inc(t->stats, STAT_tcp_drop_syn_backlog);
    client_stat(t->clients, c->link.client, CLIENT_STAT_drop_listen, 1);
}
struct slot_domain *tcb_slot(struct tcp *t, const struct tcb *c);
/* It has FIFOs, but its client is not back yet after a crash: they cannot be touched. */
bool tcb_arena_away(struct tcp *t, const struct tcb *c);
const struct slot_client *tcb_cslot(struct tcp *t, const struct tcb *c);
client_link_of tcb_link_of;
bool tcb_validate(const struct tcp *t, const struct tcb *c);

/* ---- slot.c: what the client sees ---- */
void slot_publish(struct tcp *t, struct tcb *c);
/* Stream bytes that have arrived in order. */
uint64_t slot_rx_bytes(const struct tcb *c);
/* Believe the client's cursors as far as they are possible. False: it lied. */
bool slot_take_cursors(struct tcp *t, struct tcb *c);
/* Give an established session of a listener to its client. False: no room for it. */
bool slot_attach(struct tcp *t, struct tcb *c, struct client *cl);

/* ---- demux.c ---- */
void demux_insert(struct tcp *t, struct tcb *c);
void demux_remove(struct tcp *t, struct tcb *c);
struct tcb *demux_find(struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
                       const struct ipaddr *raddr, uint16_t rport);
/* The listener for a segment from raddr:rport. Of several (SO_REUSEPORT) always the same. */
struct tcb *demux_listener(struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
                           const struct ipaddr *raddr, uint16_t rport);
/* A listener of c's client that c could have come from. */
struct tcb *demux_listener_of(struct tcp *t, const struct tcb *c);
/* Two sockets may have one port by SO_REUSEPORT. */
bool port_shared(struct tcp *t, const struct tcb *a, const struct tcb *b);
/* SO_REUSEADDR or SO_REUSEPORT, which is *option, is set. */
void port_reuse(struct tcp *t, struct tcb *c, bool *option, bool on);
int port_bind(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port);
int port_connect(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port);
void port_release(struct tcp *t, struct tcb *c);
/* Its program has closed it. */
void port_closed(struct tcp *t, struct tcb *c);
void port_rebuild(struct tcp *t, struct tcb *c);

/* ---- isn.c ---- */
uint32_t isn_make(const struct tcp *t, const struct tcb *c);
uint32_t ts_offset_make(const struct tcp *t, const struct tcb *c);
/* The same for a session that is not there, of the receiver of s with its sender. */
uint32_t ts_offset_for(const struct tcp *t, const struct seg *s);
static inline uint32_t
ts_clock(ns_t now)
{
    return (uint32_t)(now / NS_MS);
}

/* ---- input.c ---- */
/* Takes one packet (a chain of n descriptors). */
void input_packet(struct tcp *t, const struct pkt *p, unsigned n);
void synchronized_segment(struct tcp *t, struct tcb *c, struct seg *s);
/* RFC 9293 3.10.7.4, sixth to eighth: urgent pointer, text and FIN of what was acceptable. */
void rest_of_segment(struct tcp *t, struct tcb *c, struct seg *s);
/* ---- icmp.c ---- */
/* An ICMP error that quotes a segment of ours. */
void input_icmp(struct tcp *t, const struct pkt *p);
/* ---- paws.c ---- */
bool paws_ok(struct tcp *t, struct tcb *c, const struct seg *s);
void ts_update(struct tcp *t, struct tcb *c, const struct seg *s);
/* ---- handshake.c: segments for LISTEN, SYN-SENT, nobody ---- */
enum listen_verdict { LISTEN_ROOM, LISTEN_COOKIE, LISTEN_DROP };
/* May this peer speak to the listener at all? Counted and told if not. */
bool listen_admits(struct tcp *t, const struct tcb *l, const struct seg *s);
/* May this listener start another half-open session? */
enum listen_verdict listen_room(struct tcp *t, const struct tcb *l);
/* The same, as far as the limits of domain and client go. */
bool half_open_room(const struct tcp *t, const struct client *cl);
/* A session of listener l for the peer of s: addresses, options of the listener, no numbers and
 * no state yet. NULL: the store is full. */
struct tcb *listen_new(struct tcp *t, struct tcb *l, const struct seg *s);
/* One that is half open, from a SYN. */
struct tcb *listen_begin(struct tcp *t, struct tcb *l, const struct seg *s);
void listen_segment(struct tcp *t, struct tcb *l, struct seg *s);
void syn_sent_segment(struct tcp *t, struct tcb *c, struct seg *s);
void no_session_segment(struct tcp *t, const struct seg *s);
/* In SYN-RECEIVED: a SYN-ACK may be all the ACK that there will be; and what an ACK does.
 * False: the segment is not to be looked at further. */
void simultaneous_open(struct tcb *c, struct seg *s);
bool handshake_ack(struct tcp *t, struct tcb *c, const struct seg *s);
void syn_options(struct tcp *t, struct tcb *c, const struct tcp_hdr *h);
void tcb_established(struct tcp *t, struct tcb *c);
/* ---- cookie.c ---- */
/* Answer a SYN without keeping anything of it. */
void cookie_send(struct tcp *t, struct tcb *l, const struct seg *s);
/* An ACK for a listener: the session is made if it answers a cookie. False: it does not. */
bool cookie_ack(struct tcp *t, struct tcb *l, struct seg *s);
/* ---- ack.c ---- */
/* False: the segment must be dropped; a challenge was sent. */
bool ack_acceptable(struct tcp *t, struct tcb *c, const struct seg *s);
void ack_process(struct tcp *t, struct tcb *c, const struct seg *s);
void window_update(struct tcb *c, const struct seg *s);
/* ---- rtt.c ---- */
void rtt_sample(struct tcb *c, ns_t rtt);
void rtt_of_syn(struct tcp *t, struct tcb *c);
void rtt_measure(struct tcp *t, struct tcb *c, const struct seg *s, const struct delivery *d);
ns_t rtt_min(const struct tcb *c); /* 0: no sample */
/* ---- sent.c: what was sent and not yet acknowledged ---- */
uint32_t *runs_used(struct tcp *t, const struct tcb *c);
void sent_add(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right);
/* [left, left + len) of a run goes out again. */
void sent_again(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right);
/* Everything below ack was received. */
void sent_acked(struct tcp *t, struct tcb *c, uint64_t ack, struct delivery *d);
void sent_sacked(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right,
                 struct delivery *d);
/* Mark [left, right) lost, as far as it is not SACKed. Returns the bytes. */
uint32_t sent_lost(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right);
/* The same of one run. */
uint32_t sent_run_lost(struct tcp *t, struct tcb *c, struct run *r);
/* The peer acknowledges up to what it has SACKed, and not that. */
bool sent_head_sacked(struct tcp *t, const struct tcb *c);
/* The peer dropped what it had SACKed, or lies: that is lost too. */
void sent_renege(struct tcp *t, struct tcb *c);
/* Nothing is lost after all. */
void sent_unlose(struct tcp *t, struct tcb *c);
/* The first lost run; NULL: none. */
const struct run *sent_first_lost(const struct tcp *t, struct tcb *c);
void sent_forget(struct tcp *t, struct tcb *c);
bool sent_valid(const struct tcp *t, const struct tcb *c);
/* ---- sack.c ---- */
/* Blocks for an ACK (RFC 2018 section 4, 2883). */
void sack_emit(struct tcp *t, struct tcb *c, struct tcp_hdr *h);
/* Payload of a full segment, now: the blocks that are due take their room (RFC 6691). */
uint32_t sack_mss(const struct tcb *c);
void sack_take(struct tcp *t, struct tcb *c, const struct seg *s, uint64_t una_before,
               struct delivery *d);
/* The bytes [left, right) arrived again. */
void sack_duplicate(struct tcb *c, uint64_t left, uint64_t right);
/* ---- rack.c: RFC 8985 ---- */
/* [.., right) of a run was delivered. */
void rack_delivered(struct tcp *t, struct tcb *c, const struct run *r, uint64_t right,
                    const struct delivery *d);
void rack_reorder_window(struct tcb *c, bool dsack, bool recovered);
/* Mark what must be lost; arm the timer for what may be. Returns the bytes found lost. */
uint32_t rack_detect(struct tcp *t, struct tcb *c);
/* After a timeout (6.3). */
void rack_timeout(struct tcp *t, struct tcb *c);
void tlp_arm(struct tcp *t, struct tcb *c);
void tlp_disarm(struct tcb *c);
bool tlp_fire(struct tcp *t, struct tcb *c);
void tlp_acked(struct tcp *t, struct tcb *c, const struct seg *s, const struct delivery *d);
/* ---- recovery.c ---- */
/* After the lists know of an ACK: find losses, begin and end repairs, open the window. */
void recovery_ack(struct tcp *t, struct tcb *c, struct delivery *d, bool duplicate);
/* Something was found lost without an ACK (a reordering window ended). */
void recovery_lost(struct tcp *t, struct tcb *c);
void recovery_timeout(struct tcp *t, struct tcb *c);
/* A segment of so many bytes was sent; again: it was not for the first time. */
void recovery_sent(struct tcp *t, struct tcb *c, uint32_t bytes, bool again);
/* ---- autotune.c ---- */
void autotune_rtt(struct tcp *t, struct tcb *c, const struct seg *s);
void autotune_receive(struct tcp *t, struct tcb *c);
void autotune_send(struct tcp *t, struct tcb *c);
/* ---- ecn.c: RFC 3168 ---- */
uint8_t ecn_syn_flags(const struct tcp *t, const struct tcb *c, uint8_t flags);
void ecn_negotiate(const struct tcp *t, struct tcb *c, uint8_t flags);
void ecn_received(struct tcb *c, const struct seg *s);
void ecn_echoed(struct tcp *t, struct tcb *c, const struct seg *s, uint32_t flight);
/* fresh: the segment carries data for the first time. */
void ecn_mark(struct tcb *c, bool fresh, uint8_t *flags, uint8_t *tos);
/* ---- pace.c ---- */
/* A new session's congestion control, by what its account may choose. */
void congestion_begin(const struct tcp *t, struct tcb *c);
uint64_t pace_rate(const struct tcp *t, const struct tcb *c);
/* Too early for another segment: the timer is set. */
bool pace_wait(struct tcp *t, struct tcb *c);
/* The account's rate does not let these bytes go yet; T_PACE is set. If it does they are paid
 * for. */
bool rate_wait(struct tcp *t, struct tcb *c, uint32_t len);
/* A segment of the session goes, with IP's header this long. */
void rate_sent(struct tcp *t, struct tcb *c, uint32_t packets, uint32_t payload,
               uint32_t bytes);
void pace_sent(struct tcp *t, struct tcb *c, uint32_t bytes);
/* ---- plpmtud.c: RFC 1191, 4821, 8899 ---- */
uint32_t mss_limit(const struct tcp *t, const struct tcb *c);
void mss_set(struct tcb *c, uint32_t mss);
void plp_timeout(struct tcp *t, struct tcb *c);
/* [seq, end) goes out; fresh: for the first time. */
void plp_sent(struct tcp *t, struct tcb *c, uint64_t seq, uint64_t end, bool fresh);
uint32_t plp_probe(struct tcp *t, struct tcb *c, uint64_t queued, uint64_t room);
bool plp_acked(struct tcp *t, struct tcb *c, uint32_t lost);
/* ---- prr.c: RFC 6937 ---- */
void prr_begin(struct tcb *c);
void prr_ack(struct tcb *c, const struct delivery *d);
/* ---- undo.c: RFC 3522, 2883 ---- */
void undo_begin(struct tcb *c);
void undo_now(struct tcp *t, struct tcb *c);
/* True: what was repaired was not lost; all is as it was before. */
bool undo_check(struct tcp *t, struct tcb *c, const struct delivery *d);
/* ---- frto.c: RFC 5682 ---- */
void frto_begin(struct tcb *c);
/* True: the timeout was not needed; all is as it was before. */
bool frto_ack(struct tcp *t, struct tcb *c, const struct delivery *d, bool duplicate);
void frto_window(struct tcb *c);
bool frto_holds(const struct tcb *c);
/* ---- reasm.c ---- */
/* Take the payload of an acceptable segment; true if rcv_nxt moved. */
bool reasm_data(struct tcp *t, struct tcb *c, struct seg *s);
/* Nothing is there out of order. */
void reasm_forget(struct tcp *t, struct tcb *c);
bool reasm_valid(const struct tcp *t, const struct tcb *c);
/* ---- output.c and segment.c ---- */
/* Put the session on the work list. */
void work_add(struct tcp *t, struct tcb *c);
turns_next_of work_next_of;
/* Send what may be sent; false if it stopped for want of frames or room. */
bool output_session(struct tcp *t, struct tcb *c);
/* The number of a segment without data. */
uint64_t control_seq(const struct tcb *c);
/* One segment at once: a RST or ACK that belongs to a session. */
void output_control(struct tcp *t, struct tcb *c, uint8_t flags);
/* Header h back to where s came from, with TTL and TOS of c if not NULL. False: no frame. */
bool output_stateless(struct tcp *t, const struct seg *s, const struct tcp_hdr *h,
                      const struct tcb *c);
bool output_segment(struct tcp *t, struct tcb *c, uint64_t seq, uint32_t len, uint8_t flags);
/* The same for len bytes that are cut into segments of `cut` on their way: at most
 * output_most, which is one segment where nobody does that. */
bool output_text(struct tcp *t, struct tcb *c, uint64_t seq, uint32_t len, uint32_t cut,
                 uint8_t flags);
uint32_t output_most(struct tcp *t, const struct tcb *c, uint32_t mss);
uint32_t window_choose(struct tcp *t, struct tcb *c);
/* The most that the receive window may be, bytes. */
uint32_t window_limit(struct tcp *t, const struct tcb *c);
/* Send at most one segment of [left, right) again, whatever the windows say. Returns the bytes,
 * 0: no frame. */
uint32_t output_again(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right);
/* One new segment, if there is one and the peer's window takes it. */
bool output_one_new(struct tcp *t, struct tcb *c);
/* A zero-window probe, or what a window too small allows (RFC 9293 3.8.6.1). */
void output_probe(struct tcp *t, struct tcb *c);
/* ---- reply.c ---- */
void output_reset_for(struct tcp *t, const struct seg *s);
/* An ACK that says nothing new, limited in rate (RFC 5961 section 7). */
void output_challenge(struct tcp *t, struct tcb *c);
/* An ACK for a segment that was not acceptable. */
void output_answer(struct tcp *t, struct tcb *c, const struct seg *s);
/* ---- timer.c ---- */
void timer_set(struct tcp *t, struct tcb *c, unsigned which, ns_t at);
void timer_fire(struct tcp *t, struct tcb *c);
void rexmt_arm(struct tcp *t, struct tcb *c);
void keep_arm(struct tcp *t, struct tcb *c);
/* FIN-WAIT-2 without a program: bounded in time. False: over at once (TCP_LINGER2). */
bool fin_wait_arm(struct tcp *t, struct tcb *c);
/* TCP_DEFER_ACCEPT: the timeouts of a SYN-ACK that fill so many seconds, and back. */
uint8_t defer_timeouts(uint64_t seconds);
uint32_t defer_seconds(uint8_t timeouts);
/* ---- timewait.c ---- */
void time_wait_enter(struct tcp *t, struct tcb *c);
/* It is over; the pointer must not be used afterwards. */
void time_wait_leave(struct tcp *t, struct tcb *c);
/* Take it off the list of those in TIME-WAIT. */
void time_wait_unlink(struct tcp *t, struct tcb *c);
void time_wait_segment(struct tcp *t, struct tcb *c, struct seg *s);
/* May a program open the pair of this session again? */
bool time_wait_reusable(const struct tcp *t, const struct tcb *old);
/* c takes its place: its numbers will begin beyond the old ones. */
void time_wait_replace(struct tcp *t, struct tcb *old, struct tcb *c);
/* ---- for the table of calls in client.c (session/ops.h) ---- */
int tcp_client_add(struct transport *tr, uint32_t client, const struct arena_view *v,
                   const struct sess_limits *limits);
int tcp_open(struct transport *tr, uint32_t client, const struct sess_grant *g, uint32_t *sess,
             uint32_t *slot);
uint32_t tcp_request(struct transport *tr, uint32_t sess, const struct sess_req *r,
                     struct sess_evt *reply, ns_t now);
/* ---- move.c ---- */
int tcp_delegate(struct transport *tr, uint32_t sess, uint64_t handle, ns_t now,
                 uint64_t token[2]);
int tcp_token(struct transport *tr, uint32_t sess, const uint64_t token[2], uint32_t client,
              ns_t now, struct sess_redeem *out);
int tcp_redeem(struct transport *tr, uint32_t sess, uint32_t client, uint64_t root,
               uint32_t deny, ns_t now, struct sess_redeem *out);
int tcp_take_back(struct transport *tr, uint32_t sess, uint32_t client, uint64_t handle,
                  ns_t now);
void tcp_slot_release(struct transport *tr, uint32_t client, uint32_t slot);
/* Its bytes are being copied: nothing may change. */
bool tcp_move_holds(struct tcp *t, struct tcb *c);
/* It does not move after all. */
void tcp_move_stop(struct tcp *t, struct tcb *c);
void tcp_move_resume(struct tcp *t, struct tcb *c);
void tcp_move_settle(struct tcp *t, uint32_t client, const struct arena_view *v);
void tcp_move_client_gone(struct tcp *t, struct tcb *c, uint32_t client);
/* ---- request.c ---- */
/* End it now, with a RST if the peer may still believe in it. */
void abort_session(struct tcp *t, struct tcb *c, int err);
void close_session(struct tcp *t, struct tcb *c);
/* Commit and show every changed session, outside a step as at its end. */
void tcp_flush(struct tcp *t);
/* ---- option.c ---- */
int tcp_option_set(struct tcp *t, struct tcb *c, int level, int name, uint64_t value);
int tcp_option_get(struct tcp *t, struct tcb *c, int level, int name, uint64_t *value);
/* ---- info.c ---- */
/* TCP_INFO: into one of the answers of the client's arena; *value names it. 0 or errno. */
int tcp_info_answer(struct tcp *t, struct tcb *c, uint64_t *value);
/* At the end of a step: keep count of the time that there is something to send. */
void info_chrono(struct tcp *t, struct tcb *c);

#endif
