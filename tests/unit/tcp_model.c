/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_model.c: written from the text of RFC 9293 3.10.7, with RFC 5961 (challenges), RFC 1337
 * and RFC 6191 (TIME-WAIT), and RFC 2525 2.17, without a look at lib/tcp. Where the RFCs leave
 * a choice, the comment says which one is taken.
 */
#include "tcp_model.h"

#define MAX_WND 65535

/* Figure 5: where a FIN that is in order leads, and the acknowledgment of ours. */
static const uint8_t after_fin[TCPS_STATES] = {
    [TCPS_SYN_RCVD] = TCPS_CLOSE_WAIT,   [TCPS_ESTABLISHED] = TCPS_CLOSE_WAIT,
    [TCPS_FIN_WAIT_1] = TCPS_CLOSING,    [TCPS_FIN_WAIT_2] = TCPS_TIME_WAIT,
    [TCPS_CLOSE_WAIT] = TCPS_CLOSE_WAIT, [TCPS_CLOSING] = TCPS_CLOSING,
    [TCPS_LAST_ACK] = TCPS_LAST_ACK,     [TCPS_TIME_WAIT] = TCPS_TIME_WAIT,
};
static const uint8_t after_fin_acked[TCPS_STATES] = {
    [TCPS_FIN_WAIT_1] = TCPS_FIN_WAIT_2, [TCPS_FIN_WAIT_2] = TCPS_FIN_WAIT_2,
    [TCPS_CLOSING] = TCPS_TIME_WAIT,     [TCPS_LAST_ACK] = TCPS_CLOSED,
    [TCPS_TIME_WAIT] = TCPS_TIME_WAIT,
};
static const uint8_t after_our_fin[TCPS_STATES] = {
    [TCPS_SYN_RCVD] = TCPS_FIN_WAIT_1,   [TCPS_ESTABLISHED] = TCPS_FIN_WAIT_1,
    [TCPS_FIN_WAIT_1] = TCPS_FIN_WAIT_1, [TCPS_FIN_WAIT_2] = TCPS_FIN_WAIT_2,
    [TCPS_CLOSE_WAIT] = TCPS_LAST_ACK,   [TCPS_CLOSING] = TCPS_CLOSING,
    [TCPS_LAST_ACK] = TCPS_LAST_ACK,     [TCPS_TIME_WAIT] = TCPS_TIME_WAIT,
};

static void
over(struct model *m)
{
    m->state = m->listener ? TCPS_LISTEN : TCPS_CLOSED;
}

/* 3.10.7.1 and .2: nobody, or a listener. */
static enum model_answer
no_connection(struct model *m, const struct model_seg *s)
{
    if (s->flags & TCP_RST)
        return ANSWER_NONE;
    if (s->flags & TCP_ACK)
        return ANSWER_RST;
    if (m->state == TCPS_CLOSED)
        return ANSWER_RST;
    if (!(s->flags & TCP_SYN))
        return ANSWER_NONE;
    *m = (struct model){
        .state = TCPS_SYN_RCVD, .listener = true, .passive = true, .rcv = 1, .edge = 1};
    return ANSWER_SYNACK;
}

static enum model_answer text_and_fin(struct model *m, const struct model_seg *s);

/* 3.10.7.3 */
static enum model_answer
syn_sent(struct model *m, const struct model_seg *s)
{
    bool ack = s->flags & TCP_ACK;
    if (ack && (s->ack <= 0 || s->ack > m->nxt))
        return s->flags & TCP_RST ? ANSWER_NONE : ANSWER_RST;
    if (s->flags & TCP_RST) {
        if (ack)
            over(m);
        return ANSWER_NONE;
    }
    if (!(s->flags & TCP_SYN))
        return ANSWER_NONE;
    m->rcv = m->edge = 1;
    if (ack) {
        m->una = s->ack;
        m->state = TCPS_ESTABLISHED;
        struct model_seg rest = *s;
        rest.seq = 1; /* what is behind the SYN */
        m->edge = MAX_WND;
        (void)text_and_fin(m, &rest);
        return ANSWER_ACK;
    }
    m->state = TCPS_SYN_RCVD;
    return ANSWER_SYNACK;
}

/* First: table 6 in section 3.10.7.4. */
static bool
acceptable(const struct model *m, const struct model_seg *s)
{
    int64_t len = s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
    if (len == 0 && m->edge == m->rcv)
        return s->seq == m->rcv;
    if (len == 0 && (s->flags & TCP_RST)) /* RFC 5961 3.2 with erratum 4845 */
        return s->seq >= m->rcv && s->seq < m->edge;
    if (len == 0) /* the edge itself: where a peer that filled the window sends its ACKs */
        return s->seq >= m->rcv && s->seq <= m->edge;
    if (len == 1 && (s->flags & TCP_FIN) && s->seq == m->rcv)
        return true; /* our choice: also into a closed window */
    int64_t last = s->seq + len - 1;
    bool first_in = s->seq >= m->rcv && s->seq < m->edge;
    return m->edge > m->rcv && (first_in || (last >= m->rcv && last < m->edge) ||
                                (s->seq < m->rcv && last >= m->edge));
}

static void
acknowledge(struct model *m, int64_t ack)
{
    m->una = ack > m->una ? ack : m->una;
    if (m->our_fin != 0 && m->una >= m->our_fin) {
        m->state = (enum tcp_state)after_fin_acked[m->state];
        if (m->state == TCPS_CLOSED)
            over(m);
    }
}

static enum model_answer
not_acceptable(struct model *m, const struct model_seg *s)
{
    const uint8_t kind = s->flags & (TCP_SYN | TCP_ACK | TCP_RST);
    if (s->flags & TCP_RST)
        return ANSWER_NONE;
    /* Their SYN again: the answer to it was lost (RFC 9293 3.8.1 has the SYN-ACK sent again).
     */
    if (m->state == TCPS_SYN_RCVD && kind == TCP_SYN && s->seq == 0)
        return ANSWER_SYNACK;
    /* Our choice: the acknowledgment of an old segment counts, if it is from the last window.
     */
    if (m->state >= TCPS_ESTABLISHED && kind == TCP_ACK && s->seq >= 0 && s->seq < m->rcv &&
        m->rcv - s->seq <= MAX_WND + 1 && s->ack > m->una && s->ack <= m->nxt)
        acknowledge(m, s->ack);
    return ANSWER_ACK;
}

/* Seventh. True: rcv moved or bytes are kept. */
static void
text(struct model *m, const struct model_seg *s)
{
    for (int64_t n = s->seq; n < s->seq + s->len; n++)
        if (n >= m->rcv && n < m->edge && n < MODEL_BYTES)
            m->got[n] = true;
    while (m->rcv < MODEL_BYTES && m->got[m->rcv])
        m->rcv++;
}

static bool
takes_text(const struct model *m)
{
    return m->state == TCPS_ESTABLISHED || m->state == TCPS_FIN_WAIT_1 ||
           m->state == TCPS_FIN_WAIT_2;
}

/* Sixth to eighth. */
static enum model_answer
text_and_fin(struct model *m, const struct model_seg *s)
{
    enum model_answer a = ANSWER_NONE;
    if (s->len != 0 && m->closed && takes_text(m) &&
        s->seq + s->len > m->rcv) { /* RFC 2525 2.17, 9293 3.6.1 */
        over(m);
        return ANSWER_RST;
    }
    if (s->len != 0) {
        a = takes_text(m) ? ANSWER_ACK : ANSWER_FREE;
        if (takes_text(m)) {
            int64_t before = m->rcv;
            text(m, s);
            if (m->rcv > before && !m->owed) { /* RFC 9293 3.8.6.3: at least every second */
                m->owed = true;
                a = ANSWER_FREE;
            }
        }
    }
    bool held = !(s->flags & TCP_FIN) && m->early_fin != 0 && m->early_fin == m->rcv;
    if (!(s->flags & TCP_FIN) && !held)
        return a;
    if (m->fin_at != 0) /* a second one, beyond the first: nonsense */
        return ANSWER_FREE;
    int64_t end = held ? m->early_fin : s->seq + s->len;
    if (end > m->rcv && end <= m->edge) /* SHLD-31: it is held until its turn comes */
        m->early_fin = end;
    if (end == m->rcv) {
        m->fin_at = ++m->rcv;
        m->edge = m->edge < m->rcv ? m->rcv : m->edge;
        m->state = (enum tcp_state)after_fin[m->state];
    }
    return ANSWER_ACK; /* also beyond a gap: RFC 5681 4.2 */
}

/* TIME-WAIT: RST is not taken (RFC 1337); a SYN beyond everything begins anew if somebody
 * listens (RFC 9293 3.6.1, 3.10.7.4); an ACK alone needs an answer if its number is not the
 * next (our choice: also one within the window). */
static enum model_answer
time_wait(struct model *m, const struct model_seg *s)
{
    if (s->flags & TCP_RST)
        return ANSWER_NONE;
    if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && s->seq > m->rcv && m->listener) {
        *m = (struct model){
            .state = TCPS_SYN_RCVD, .listener = true, .passive = true, .rcv = 1, .edge = 1};
        return ANSWER_SYNACK;
    }
    return s->len != 0 || (s->flags & (TCP_SYN | TCP_FIN)) ? ANSWER_ACK
           : s->seq != m->rcv                              ? ANSWER_FREE
                                                           : ANSWER_NONE;
}

enum model_answer
model_arrives(struct model *m, const struct model_seg *s)
{
    if (m->state == TCPS_CLOSED || m->state == TCPS_LISTEN)
        return no_connection(m, s);
    if (m->state == TCPS_SYN_SENT)
        return syn_sent(m, s);
    if (m->state == TCPS_TIME_WAIT)
        return time_wait(m, s);
    struct model_seg ack = *s;
    bool old = false; /* a number that was there before is acknowledged (3.10.7.4, first) */
    if (m->state == TCPS_SYN_RCVD && s->seq == 0 && s->ack == 1 &&
        (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK)) {
        ack.seq = 1; /* figure 7; our choice: also to a listener, it knows our number */
        ack.flags &= (uint8_t)~TCP_SYN;
        s = &ack;
        old = true;
    }
    if (!acceptable(m, s))
        return not_acceptable(m, s);
    if (s->flags & TCP_RST) { /* second: RFC 5961 section 3 */
        if (s->seq != m->rcv)
            return ANSWER_ACK;
        over(m);
        return ANSWER_NONE;
    }
    if (s->flags & TCP_SYN) { /* fourth: RFC 5961 section 4 */
        if (m->state != TCPS_SYN_RCVD || !m->passive)
            return ANSWER_ACK;
        over(m);
        return ANSWER_NONE;
    }
    if (!(s->flags & TCP_ACK)) /* fifth */
        return ANSWER_NONE;
    if (m->state == TCPS_SYN_RCVD) {
        if (s->ack <= m->una || s->ack > m->nxt)
            return ANSWER_RST;
        m->state = TCPS_ESTABLISHED;
    }
    /* RFC 5961 section 5; our choice: nor from before our SYN. */
    if (s->ack > m->nxt || s->ack < m->una - MAX_WND || s->ack < 0)
        return ANSWER_ACK;
    enum tcp_state before = m->state;
    acknowledge(m, s->ack);
    if (m->state == TCPS_TIME_WAIT && before == TCPS_CLOSING) /* its FIN may be there again */
        return s->flags & TCP_FIN || s->len != 0 ? ANSWER_FREE : ANSWER_NONE;
    if (m->state == TCPS_CLOSED || m->state == TCPS_LISTEN)
        return ANSWER_NONE;
    enum model_answer a = text_and_fin(m, s);
    return a == ANSWER_NONE && old ? ANSWER_ACK : a;
}

bool
model_sent(struct model *m, const struct model_seg *s)
{
    if (s->flags & TCP_RST)
        return true;
    int64_t end = s->seq + s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
    m->nxt = end > m->nxt ? end : m->nxt;
    if (s->flags & TCP_ACK && s->ack + s->wnd > m->edge)
        m->edge = s->ack + s->wnd;
    m->owed &= !(s->flags & TCP_ACK);
    if (s->flags & TCP_FIN) {
        if (!m->shut || (m->our_fin != 0 && m->our_fin != end))
            return false;
        if (m->our_fin == 0)
            m->state = (enum tcp_state)after_our_fin[m->state];
        m->our_fin = end;
    }
    return true;
}

enum model_answer
model_close(struct model *m)
{
    int64_t bytes = m->rcv - 1 - (m->fin_at != 0);
    m->shut = m->closed = true;
    if (m->state == TCPS_TIME_WAIT)
        return ANSWER_FREE;
    if (bytes != m->read) { /* RFC 2525 2.17: a RST tells that not all was read */
        over(m);
        return ANSWER_RST;
    }
    return ANSWER_FREE;
}

void
model_wait(struct model *m)
{
    if (m->state == TCPS_TIME_WAIT)
        over(m);
}
