/* SPDX-License-Identifier: BSD-2-Clause
 *
 * parse.c: lines, and the head of a script.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "script.h"

#define INCLUDES 4u
#define LINE_BYTES 1024u

bool
parse_fail(struct parser *p, const char *fmt, ...)
{
    char what[SCRIPT_ERROR - 160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    snprintf(p->err, SCRIPT_ERROR, "%.128s:%d: %s", p->file, p->line, what);
    return false;
}

const char *
parse_word(struct words *w)
{
    return w->at < w->n ? w->w[w->at++] : NULL;
}

/* ---- lines ---- */

/* Cuts a line into words; "..." is one word; # begins a comment. */
static bool
split(struct parser *p, char *line, struct words *w)
{
    w->n = w->at = 0;
    for (char *c = line;;) {
        while (isspace((unsigned char)*c))
            c++;
        if (*c == '\0' || *c == '#')
            return true;
        if (w->n == ARRAY_LEN(w->w))
            return parse_fail(p, "too many words");
        w->quoted[w->n] = *c == '"';
        if (*c == '"') {
            w->w[w->n++] = ++c;
            c = strchr(c, '"');
            if (c == NULL)
                return parse_fail(p, "the quote does not end on this line");
            *c++ = '\0';
            continue;
        }
        w->w[w->n++] = c;
        while (*c != '\0' && *c != '#' && !isspace((unsigned char)*c))
            c++;
        if (*c == '#')
            *c = '\0';
        else if (*c != '\0')
            *c++ = '\0';
    }
}

static bool
copy_word(struct parser *p, struct words *w, char *to, size_t size, const char *what)
{
    const char *t = parse_word(w);
    if (t == NULL || *t == '\0')
        return parse_fail(p, "%s is missing", what);
    if ((size_t)snprintf(to, size, "%s", t) >= size)
        return parse_fail(p, "%s is too long", what);
    return true;
}

/* rfc 9293 3.10.7.4 "quote", rfc 9293 3.6 about "sense", or ours NAME "what must hold" */
static bool
line_rule(struct parser *p, struct words *w, bool rfc)
{
    struct script *s = p->s;
    if (s->n_rules == SCRIPT_RULES)
        return parse_fail(p, "more than %u rules in one script", SCRIPT_RULES);
    struct rule *r = &s->rule[s->n_rules++];
    int64_t n;
    if (rfc && (!copy_word(p, w, r->source, sizeof r->source, "the RFC's number") ||
                !parse_number(p, r->source, &n)))
        return false;
    if (!rfc)
        snprintf(r->source, sizeof r->source, "ours");
    if (!copy_word(p, w, r->section, sizeof r->section, rfc ? "the section" : "the subject"))
        return false;
    r->own_words = !rfc;
    if (rfc && w->at < w->n && strcmp(w->w[w->at], "about") == 0) {
        r->own_words = true;
        w->at++;
    }
    if (w->at < w->n && !w->quoted[w->at])
        return parse_fail(p, "the sentence must be in quotes");
    return copy_word(p, w, r->quote, sizeof r->quote, "the sentence");
}

static bool
line_let(struct parser *p, struct words *w)
{
    if (p->n_symbols == SCRIPT_SYMBOLS)
        return parse_fail(p, "too many symbols");
    struct symbol *y = &p->symbol[p->n_symbols];
    if (!copy_word(p, w, y->name, sizeof y->name, "the symbol"))
        return false;
    for (const char *c = y->name; *c != '\0'; c++)
        if (!isalpha((unsigned char)*c))
            return parse_fail(p, "a symbol is made of letters");
    const char *t = parse_word(w);
    if (t == NULL)
        return parse_fail(p, "the symbol's value is missing");
    if (!parse_number(p, t, &y->v))
        return false;
    p->n_symbols++;
    return true;
}

static bool
line_needs(struct parser *p, struct words *w)
{
    const char *t = parse_word(w);
    if (t == NULL || strcmp(t, "pure") != 0)
        return parse_fail(p, "needs: \"pure\" is all that can be needed");
    p->s->needs_pure = true;
    return true;
}

static bool
line_config(struct parser *p, struct words *w, uint32_t *to)
{
    const char *t = parse_word(w);
    int64_t v;
    if (t == NULL)
        return parse_fail(p, "a number is missing");
    if (!parse_number(p, t, &v))
        return false;
    if (!p->s->needs_pure)
        return parse_fail(p, "only after \"needs pure\": a running stack has its own");
    *to = (uint32_t)v;
    return true;
}

/* ---- steps ---- */

/* "+0.2", "+0.2~0.05", "within 0.5" or "and" in front of a step. */
static bool
step_when(struct parser *p, struct words *w, struct step *st)
{
    char *t = w->w[w->at];
    if (strcmp(t, "within") == 0) {
        w->at++;
        const char *limit = parse_word(w);
        st->when = WHEN_WITHIN;
        return limit != NULL ? parse_time(p, limit, &st->at)
                             : parse_fail(p, "within: the time is missing");
    }
    if (strcmp(t, "and") == 0) {
        const struct script *s = p->s;
        w->at++;
        st->together = true;
        if (s->n_steps < 2 || s->step[s->n_steps - 2].kind != STEP_IN || w->at == w->n ||
            strcmp(w->w[w->at], "in") != 0)
            return parse_fail(p, "\"and\" joins an \"in\" to the \"in\" before it");
        return true;
    }
    if (*t != '+')
        return true;
    st->when = WHEN_AT;
    w->at++;
    char *tol = strchr(t, '~');
    if (tol != NULL) {
        *tol++ = '\0';
        if (!parse_time(p, tol, &st->tol))
            return false;
    }
    return parse_time(p, t + 1, &st->at);
}

static bool
step_time(struct parser *p, struct words *w, struct step *st, bool needed)
{
    const char *t = parse_word(w);
    if (t == NULL)
        return needed ? parse_fail(p, "the time is missing") : true;
    return parse_time(p, t, &st->time);
}

static bool
step_value(struct parser *p, struct words *w, struct step *st)
{
    const char *t = parse_word(w);
    return t != NULL ? parse_number(p, t, &st->v) : parse_fail(p, "a number is missing");
}

static bool
line_step(struct parser *p, struct words *w, const char *text)
{
    struct script *s = p->s;
    if (s->n_steps == SCRIPT_STEPS)
        return parse_fail(p, "more than %u steps", SCRIPT_STEPS);
    struct step *st = &s->step[s->n_steps++];
    *st = (struct step){.line = p->line, .file = p->file};
    snprintf(st->text, sizeof st->text, "%s", text);
    if (!step_when(p, w, st))
        return false;
    const char *t = parse_word(w);
    enum call call;
    if (t == NULL)
        return parse_fail(p, "a time, and nothing that happens then");
    if (strcmp(t, "in") == 0 || strcmp(t, "out") == 0) {
        st->kind = *t == 'i' ? STEP_IN : STEP_OUT;
        if (st->kind == STEP_IN && st->when == WHEN_WITHIN)
            return parse_fail(p, "\"within\" is for what is expected");
        return parse_segment(p, w, st);
    }
    if (st->when == WHEN_WITHIN)
        return parse_fail(p, "\"within\" is for what is expected");
    if (strcmp(t, "icmp") == 0) {
        st->kind = STEP_ICMP;
        return parse_icmp(p, w, &st->icmp);
    }
    if (parse_call_name(t, &call)) {
        st->kind = STEP_CALL;
        return parse_call(p, call, w, st);
    }
    static const struct {
        const char *word;
        enum step_kind kind;
    } plain[] = {{"none", STEP_NONE},
                 {"wait", STEP_WAIT},
                 {"ignore", STEP_IGNORE},
                 {"peer", STEP_PEER},
                 {"iss", STEP_ISS}};
    for (unsigned i = 0; i < ARRAY_LEN(plain); i++) {
        if (strcmp(t, plain[i].word) != 0)
            continue;
        st->kind = plain[i].kind;
        return st->kind == STEP_PEER || st->kind == STEP_ISS
                   ? step_value(p, w, st)
                   : step_time(p, w, st, st->kind == STEP_WAIT);
    }
    return parse_fail(p, "unknown word \"%s\"", t);
}

static bool read_file(struct parser *p, const char *path);

static bool
line_include(struct parser *p, struct words *w)
{
    char path[384];
    const char *t = parse_word(w);
    if (t == NULL)
        return parse_fail(p, "include: the file is missing");
    if (p->depth == INCLUDES)
        return parse_fail(p, "includes too deep");
    const char *slash = strrchr(p->s->path, '/');
    int dir = slash != NULL ? (int)(slash - p->s->path) + 1 : 0;
    snprintf(path, sizeof path, "%.*s%s", dir, p->s->path, t);
    const char *file = p->file;
    int line = p->line;
    char *kept = strdup(path); /* steps name it until the process ends */
    if (kept == NULL || !read_file(p, kept))
        return false;
    p->file = file;
    p->line = line;
    return true;
}

static bool
read_line(struct parser *p, char *line)
{
    struct words w;
    char text[SCRIPT_TEXT];
    line[strcspn(line, "\n")] = '\0';
    snprintf(text, sizeof text, "%s", line + strspn(line, " \t"));
    if (!split(p, line, &w) || w.n == 0)
        return w.n == 0 && p->err[0] == '\0';
    const char *t = w.w[w.at];
    bool ok, rfc = strcmp(t, "rfc") == 0;
    w.at++;
    if (rfc || strcmp(t, "ours") == 0)
        ok = line_rule(p, &w, rfc);
    else if (strcmp(t, "let") == 0)
        ok = line_let(p, &w);
    else if (strcmp(t, "needs") == 0)
        ok = line_needs(p, &w);
    else if (strcmp(t, "mtu") == 0)
        ok = line_config(p, &w, &p->s->mtu);
    else if (strcmp(t, "isn") == 0)
        ok = line_config(p, &w, &p->s->isn);
    else if (strcmp(t, "ecn") == 0)
        ok = line_config(p, &w, &p->s->ecn);
    else if (strcmp(t, "todo") == 0)
        ok = copy_word(p, &w, p->s->todo, sizeof p->s->todo, "the reason");
    else if (strcmp(t, "include") == 0)
        ok = line_include(p, &w);
    else {
        w.at--;
        ok = line_step(p, &w, text);
    }
    if (ok && w.at < w.n)
        return parse_fail(p, "\"%s\" is too much here", w.w[w.at]);
    return ok;
}

static bool
read_file(struct parser *p, const char *path)
{
    char line[LINE_BYTES];
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return parse_fail(p, "cannot open %s: %s", path, strerror(errno));
    p->file = path;
    p->line = 0;
    p->depth++;
    bool ok = true;
    while (ok && fgets(line, sizeof line, f) != NULL) {
        p->line++;
        if (strchr(line, '\n') == NULL && !feof(f))
            ok = parse_fail(p, "the line is too long");
        else
            ok = read_line(p, line);
    }
    fclose(f);
    p->depth--;
    return ok;
}

bool
script_read(struct script *s, const char *path, char err[SCRIPT_ERROR])
{
    struct parser p = {.s = s, .err = err, .file = path};
    memset(s, 0, sizeof *s);
    s->ecn = 1;
    *err = '\0';
    snprintf(s->path, sizeof s->path, "%s", path);
    s->step = calloc(SCRIPT_STEPS, sizeof *s->step);
    if (s->step == NULL)
        return parse_fail(&p, "out of memory");
    if (!read_file(&p, s->path))
        return false;
    if (s->n_rules == 0)
        return parse_fail(&p, "no rule: say \"rfc\" or \"ours\"");
    return true;
}

void
script_free(struct script *s)
{
    free(s->step);
    s->step = NULL;
}
