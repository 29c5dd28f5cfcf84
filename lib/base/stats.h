/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.h: counters, one region a domain: the domain writes, the supervisor
 * reads. Every drop has a reason here. The X-macro gives names to bulkheadctl.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stdatomic.h>

#include "base.h"

/* Some are no counts of what happened but of what there is: clients, handles in use, sessions,
 * frames_out (of its own transmit pool; ip: what it holds of any). */
/* clang-format off */
#define STATS_LIST(X) \
    /* the loop */ \
    X(loops) X(sleeps) X(bells_rung) X(bells_heard) X(bells_ignored) X(clients_held) X(refused_frames) X(poisoned) \
    /* nic */ \
    X(nic_rx) X(nic_tx) X(nic_rx_bytes) X(nic_tx_bytes) X(nic_kicks) X(nic_bad_desc) X(nic_drop_rx) \
    X(nic_drop_tx) \
    /* ip, receive */ \
    X(ip_rx) X(ip_drop_short) X(ip_drop_header) X(ip_drop_checksum) X(ip_drop_not_ours) \
    X(ip_drop_proto) X(ip_drop_source) X(ip_drop_ethertype) X(ip_drop_queue_tcp) \
    X(ip_drop_queue_udp) X(ip_drop_port_full) X(ip_drop_port_closed) X(ip_drop_options) \
    X(ip_frag_rx) X(ip_frag_ok) X(ip_drop_frag_overlap) X(ip_drop_frag_timeout) \
    X(ip_drop_frag_limit) X(ip_drop_frag_bad) \
    /* ip, send */ \
    X(ip_frames_out) X(ip_tx) X(ip_frag_tx) X(ip_drop_tx_bad) X(ip_drop_tx_noroute) X(ip_drop_tx_nobuf) \
    X(ip_drop_tx_toobig) X(ip_drop_tx_twice) X(ip_loopback) \
    /* arp */ \
    X(arp_rx) X(arp_tx) X(arp_drop_bad) X(arp_drop_queue) X(arp_failed) X(arp_conflict) \
    /* icmp */ \
    X(icmp_rx) X(icmp_echo) X(icmp_err_rx) X(icmp_err_tx) X(icmp_drop_bad) \
    X(icmp_drop_rate) X(icmp_drop_rule) \
    /* transports */ \
    X(seg_rx) X(seg_tx) X(bytes_rx) X(bytes_tx) X(drop_short) X(drop_checksum) \
    X(csum_partial) X(drop_header) X(drop_noport) X(drop_nobuf) X(drop_noframe) \
    X(drop_icmp) X(drop_state) X(drop_denied) \
    /* tcp */ \
    X(tcp_rst_rx) X(tcp_rst_tx) X(tcp_challenge_ack) X(tcp_retransmit) X(tcp_rto) \
    X(tcp_fast_retransmit) X(tcp_tail_probe) X(tcp_undo) X(tcp_ecn_reduced) X(tcp_mtu_reduced) X(tcp_mtu_raised) X(tcp_ooo) X(tcp_dup) X(tcp_drop_paws) X(tcp_drop_window) \
    X(tcp_drop_syn_backlog) X(tcp_drop_no_session) X(tcp_accepted) X(tcp_connected) \
    X(tcp_cookie_tx) X(tcp_cookie_rx) X(tcp_cookie_refused) X(tcp_cookie_drop) \
    X(tcp_time_wait) X(tcp_orphans_killed) X(tcp_sessions) X(tcp_frames_out) X(tcp_resumed) \
    /* udp */ \
    X(udp_drop_rcvbuf) X(udp_drop_tx_bad) X(udp_reject) X(udp_sessions) X(udp_frames_out) \
    /* clients */ \
    X(clients) X(handles) X(req_bad) X(req_bad_handle) X(events_lost)
/* clang-format on */

enum stat_id {
#define X(name) STAT_##name,
    STATS_LIST(X)
#undef X
        STAT_COUNT
};

/* Of each account: what it was denied, by the rule (the order of enum account_rule,
 * session/account.h), and what it sent. */
/* clang-format off */
#define ACCOUNT_STATS_LIST(X) \
    X(denied_ports) X(denied_listen) X(denied_peers) X(denied_accept) X(denied_connects) \
    X(denied_congestion) X(denied_sessions) X(denied_half_open) \
    X(sent_packets) X(sent_bytes) X(held)
/* clang-format on */

enum account_stat_id {
#define X(name) ACCOUNT_STAT_##name,
    ACCOUNT_STATS_LIST(X)
#undef X
        ACCOUNT_STAT_COUNT
};
#define STATS_ACCOUNTS 256u

/* Of each client: what it did, and what was dropped, refused or put off on its account.
 * requests_held: times that it was not served for a while, as it asked too much; denied: by its
 * account's rules; held: sends that waited for a rate; drop_full: received, and its buffer or
 * its pages were full; drop_listen: a connection, and its listener had no room; drop_send: a
 * datagram that cannot be sent. Packets with their IP headers. */
/* clang-format off */
#define CLIENT_STATS_LIST(X) \
    X(requests) X(requests_bad) X(requests_held) X(denied) X(held) \
    X(sent_packets) X(sent_bytes) X(received_packets) X(received_bytes) \
    X(drop_full) X(drop_listen) X(drop_send) X(drop_events) X(rings_ignored)
/* clang-format on */

enum client_stat_id {
#define X(name) CLIENT_STAT_##name,
    CLIENT_STATS_LIST(X)
#undef X
        CLIENT_STAT_COUNT
};
#define STATS_CLIENTS 256u

#define STATS_AWAKE 1u
#define STATS_ASLEEP 2u

#define STATS_LINKS 3u /* between domains; policy/topology.c numbers them */
#define STATS_RINGS 2u /* each way */

/* Relaxed and single-writer: a plain load and store is enough. */
struct stats {
    _Atomic uint64_t v[STAT_COUNT];
    /* Of a ring that this domain reads: descriptors taken, and the most that ever waited. */
    struct {
        _Atomic uint64_t passed;
        _Atomic uint32_t most, size;
    } ring[STATS_LINKS][STATS_RINGS];
    _Atomic uint64_t account[STATS_ACCOUNTS][ACCOUNT_STAT_COUNT];
    /* Never set back: whoever shows them takes off what was there when the client came. */
    _Atomic uint64_t client[STATS_CLIENTS][CLIENT_STAT_COUNT];
    _Atomic uint32_t beat;  /* moves with every turn of the loop */
    _Atomic uint32_t state; /* STATS_AWAKE, STATS_ASLEEP: for the watchdog */
    _Atomic ns_t until; /* asleep: it wants to be awake by then, NS_NEVER: by a bell alone */
};

static inline void
stat_add(struct stats *s, enum stat_id id, uint64_t n)
{
    atomic_store_explicit(&s->v[id], atomic_load_explicit(&s->v[id], memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void
stat_account(struct stats *s, uint32_t account, unsigned id, uint64_t n)
{
    _Atomic uint64_t *v = &s->account[account % STATS_ACCOUNTS][id];
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void
stat_client(struct stats *s, uint32_t client, enum client_stat_id id, uint64_t n)
{
    _Atomic uint64_t *v = &s->client[client % STATS_CLIENTS][id];
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void
stat_inc(struct stats *s, enum stat_id id)
{
    stat_add(s, id, 1);
}
static inline void
stat_set(struct stats *s, enum stat_id id, uint64_t n)
{
    atomic_store_explicit(&s->v[id], n, memory_order_relaxed);
}
static inline void
stat_ring(struct stats *s, unsigned link, unsigned ring, uint32_t taken, uint32_t waited,
          uint32_t size)
{
    uint64_t n = atomic_load_explicit(&s->ring[link][ring].passed, memory_order_relaxed);
    atomic_store_explicit(&s->ring[link][ring].passed, n + taken, memory_order_relaxed);
    if (waited > atomic_load_explicit(&s->ring[link][ring].most, memory_order_relaxed))
        atomic_store_explicit(&s->ring[link][ring].most, waited, memory_order_relaxed);
    atomic_store_explicit(&s->ring[link][ring].size, size, memory_order_relaxed);
}
static inline uint64_t
stat_get(const struct stats *s, enum stat_id id)
{
    return atomic_load_explicit(&s->v[id], memory_order_relaxed);
}

#endif
