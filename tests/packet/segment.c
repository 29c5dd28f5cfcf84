/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.c: the description of a segment: FLAGS SEQ[:END|,LEN] and fields by name.
 */
#include <ctype.h>
#include <stdio.h>

#include "script.h"
#include "wire/wire.h"

static bool
read_flags(struct parser *p, struct seg_spec *s, const char *t)
{
    static const struct {
        char letter;
        uint8_t flag;
    } all[] = {{'S', TCP_SYN}, {'A', TCP_ACK}, {'F', TCP_FIN}, {'R', TCP_RST}, {'U', TCP_URG},
               {'P', TCP_PSH}, {'E', TCP_ECE}, {'C', TCP_CWR}, {'-', 0}},
      no[] = {{'p', TCP_PSH}, {'e', TCP_ECE}, {'c', TCP_CWR}};
    for (const char *c = t; *c != '\0'; c++) {
        unsigned i = 0, k = 0;
        while (i < ARRAY_LEN(all) && all[i].letter != *c)
            i++;
        while (k < ARRAY_LEN(no) && no[k].letter != *c)
            k++;
        if (i < ARRAY_LEN(all))
            s->flags |= all[i].flag;
        else if (k < ARRAY_LEN(no))
            s->not |= no[k].flag;
        else
            return parse_fail(p, "\"%s\" are no flags: S A F R P U E C, or - for none", t);
    }
    return true;
}

/* N, *, <N or >N; the last three only in expectations. */
static bool
read_num(struct parser *p, struct num *n, const char *t, bool in)
{
    n->how = NUM_IS;
    if (in)
        return parse_number(p, t, &n->v);
    if (strcmp(t, "*") == 0) {
        n->how = NUM_ANY;
        return true;
    }
    if (*t == '<' || *t == '>')
        n->how = *t++ == '<' ? NUM_LESS : NUM_MORE;
    return parse_number(p, t, &n->v);
}

/* Cuts "a<c>b" into two; b is NULL if c is not there. */
static char *
cut(char *text, char c)
{
    char *at = strchr(text, c);
    if (at != NULL)
        *at++ = '\0';
    return at;
}

static bool
read_seq(struct parser *p, struct seg_spec *s, const char *word, bool in)
{
    char t[64];
    if (word == NULL)
        return parse_fail(p, "the sequence number is missing");
    if ((size_t)snprintf(t, sizeof t, "%s", word) >= sizeof t)
        return parse_fail(p, "\"%s\" is too long", word);
    char *len = strchr(t, ':') == NULL ? cut(t, ',') : NULL;
    char *end = len == NULL ? cut(t, ':') : NULL;
    if (!read_num(p, &s->seq, t, in))
        return false;
    if (end == NULL && len == NULL) {
        s->end = s->seq;
        return true;
    }
    if (!read_num(p, &s->end, end != NULL ? end : len, in))
        return false;
    if (s->end.how != NUM_IS)
        return true;          /* any end */
    if (s->seq.how != NUM_IS) /* then `end` stays a length */
        return len != NULL ? true : parse_fail(p, "from * to what? Say *,LENGTH");
    if (len != NULL)
        s->end.v += s->seq.v;
    if (s->end.v < s->seq.v || s->end.v - s->seq.v > 65000)
        return parse_fail(p, "the segment has %lld bytes", (long long)(s->end.v - s->seq.v));
    return true;
}

static bool
read_ts(struct parser *p, struct seg_spec *s, const char *word, bool in)
{
    char t[64];
    if (word == NULL)
        return parse_fail(p, "ts: the values are missing");
    snprintf(t, sizeof t, "%s", word);
    char *ecr = cut(t, '/');
    if (ecr == NULL)
        return parse_fail(p, "ts wants VALUE/ECHO");
    if (in && strcmp(ecr, "last") == 0)
        s->echo = true;
    else if (!read_num(p, &s->ts_ecr, ecr, in))
        return false;
    return read_num(p, &s->ts_val, t, in);
}

static bool
read_sack(struct parser *p, struct seg_spec *s, struct words *w, bool in)
{
    s->sack = (struct num){.how = NUM_IS};
    if (!in && w->at < w->n && strcmp(w->w[w->at], "*") == 0) {
        w->at++;
        s->sack.how = NUM_ANY;
        return true;
    }
    while (w->at < w->n && strchr(w->w[w->at], ':') != NULL) {
        char t[64];
        if (s->sack.v == 4)
            return parse_fail(p, "more than 4 SACK blocks");
        snprintf(t, sizeof t, "%s", w->w[w->at++]);
        char *right = cut(t, ':');
        int64_t *b = s->block[s->sack.v++];
        if (!parse_number(p, t, &b[0]) || !parse_number(p, right, &b[1]))
            return false;
    }
    return s->sack.v != 0 ? true : parse_fail(p, "sack: the blocks are missing");
}

static bool
read_raw(struct parser *p, struct seg_spec *s, const char *t)
{
    if (t == NULL || strlen(t) % 2 != 0)
        return parse_fail(p, "raw wants bytes in hexadecimal");
    for (; *t != '\0'; t += 2) {
        unsigned v;
        if (s->n_raw == sizeof s->raw || !isxdigit((unsigned char)t[0]) ||
            !isxdigit((unsigned char)t[1]) || sscanf(t, "%2x", &v) != 1)
            return parse_fail(p, "raw wants at most 40 bytes in hexadecimal");
        s->raw[s->n_raw++] = (uint8_t)v;
    }
    return true;
}

int
ecn_number(const char *name)
{
    static const char *const names[] = {"notect", "ect1", "ect0", "ce"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* A field with one number. NULL: no such field. */
static struct num *
numbered(struct seg_spec *s, const char *t)
{
    const struct {
        const char *name;
        struct num *n;
    } all[] = {{"ack", &s->ack}, {"win", &s->win},     {"mss", &s->mss},    {"ws", &s->ws},
               {"urg", &s->urg}, {"sport", &s->sport}, {"dport", &s->dport}};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].name, t) == 0)
            return all[i].n;
    return NULL;
}

/* nomss, nows, nots, nosackok, nosack. */
static bool
read_absent(struct seg_spec *s, const char *t)
{
    const struct {
        const char *name;
        struct num *n;
    } all[] = {{"nomss", &s->mss},
               {"nows", &s->ws},
               {"nots", &s->ts_val},
               {"nosackok", &s->sackok},
               {"nosack", &s->sack}};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].name, t) == 0) {
            all[i].n->how = NUM_ABSENT;
            return true;
        }
    return false;
}

static bool
read_field(struct parser *p, struct seg_spec *s, struct words *w, const char *t, bool in)
{
    struct num *n = numbered(s, t);
    int64_t v;
    if (n != NULL) {
        const char *value = parse_word(w);
        return value != NULL ? read_num(p, n, value, in) : parse_fail(p, "%s: missing", t);
    }
    if (ecn_number(t) >= 0) {
        s->ecn = (struct num){NUM_IS, ecn_number(t)};
        return true;
    }
    if (strcmp(t, "sackok") == 0) {
        s->sackok.how = NUM_IS;
        return true;
    }
    if (strcmp(t, "ts") == 0)
        return read_ts(p, s, parse_word(w), in);
    if (strcmp(t, "sack") == 0)
        return read_sack(p, s, w, in);
    if (read_absent(s, t))
        return true;
    if (*t == 'x' && isdigit((unsigned char)t[1])) {
        if (!parse_number(p, t + 1, &v) || v < 1 || v > 1000)
            return parse_fail(p, "\"%s\": 1 to 1000 times", t);
        s->times = (uint32_t)v;
        return true;
    }
    if (in && strcmp(t, "raw") == 0)
        return read_raw(p, s, parse_word(w));
    if (in && strcmp(t, "badsum") == 0)
        return s->bad_csum = true;
    if (in && strcmp(t, "junk") == 0)
        return s->junk = true;
    return parse_fail(p, "unknown field \"%s\"", t);
}

bool
parse_segment(struct parser *p, struct words *w, struct step *st)
{
    struct seg_spec *s = &st->seg;
    bool in = st->kind == STEP_IN;
    s->times = 1;
    const char *t = parse_word(w);
    if (t == NULL)
        return parse_fail(p, "the flags are missing");
    if (!read_flags(p, s, t) || !read_seq(p, s, parse_word(w), in))
        return false;
    while ((t = parse_word(w)) != NULL)
        if (!read_field(p, s, w, t, in))
            return false;
    bool ack = s->flags & TCP_ACK;
    if (in && ack != (s->ack.how == NUM_IS))
        return parse_fail(p, ack ? "A, and no ack" : "an ack, and no A among the flags");
    if (!in && !ack && s->ack.how != NUM_UNSAID)
        return parse_fail(p, "an ack, and no A among the flags");
    if (in && s->urg.how == NUM_IS && !(s->flags & TCP_URG))
        return parse_fail(p, "an urgent pointer, and no U among the flags");
    return true;
}

/* icmp KIND SEQ [MTU] */
bool
parse_icmp(struct parser *p, struct words *w, struct icmp_spec *i)
{
    static const struct {
        const char *name;
        uint8_t type, code;
    } all[] = {{"net", ICMP_UNREACH, 0},
               {"host", ICMP_UNREACH, 1},
               {"protocol", ICMP_UNREACH, 2},
               {"port", ICMP_UNREACH, 3},
               {"frag", ICMP_UNREACH, 4},
               {"source", ICMP_UNREACH, 5},
               {"quench", ICMP_SOURCE_QUENCH, 0},
               {"ttl", ICMP_TIME_EXCEEDED, 0},
               {"parameter", ICMP_PARAM_PROBLEM, 0}};
    const char *t = parse_word(w);
    unsigned k = 0;
    while (t != NULL && k < ARRAY_LEN(all) && strcmp(all[k].name, t) != 0)
        k++;
    if (t == NULL || k == ARRAY_LEN(all))
        return parse_fail(p, "unknown ICMP error \"%s\"", t != NULL ? t : "");
    i->type = all[k].type;
    i->code = all[k].code;
    t = parse_word(w);
    if (t == NULL)
        return parse_fail(p, "the quoted sequence number is missing");
    if (!parse_number(p, t, &i->seq))
        return false;
    t = strcmp(all[k].name, "frag") == 0 ? parse_word(w) : NULL;
    int64_t mtu = 0;
    if (t != NULL && !parse_number(p, t, &mtu))
        return false;
    i->mtu = (uint16_t)mtu;
    return true;
}
