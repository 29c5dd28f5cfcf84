/* SPDX-License-Identifier: BSD-2-Clause */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

void
policy_text_init(struct policy_text *t, const char *name, const char *text, size_t len,
                 char *err, size_t err_len)
{
    *t = (struct policy_text){.name = name,
                              .at = text,
                              .end = text + len,
                              .line = 1,
                              .column = 1,
                              .err = err,
                              .err_len = err_len,
                              .word_line = 1,
                              .word_column = 1};
    err[0] = '\0';
}

static void
wrong(struct policy_text *t, unsigned line, unsigned column, const char *fmt, va_list ap)
{
    char what[512];
    t->token = TOKEN_BAD;
    if (t->err[0] != '\0')
        return;
    vsnprintf(what, sizeof what, fmt, ap);
    snprintf(t->err, t->err_len, "%s:%u:%u: %s", t->name, line, column, what);
}

bool
policy_wrong_at(struct policy_text *t, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    wrong(t, line, column, fmt, ap);
    va_end(ap);
    return false;
}

bool
policy_wrong(struct policy_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    wrong(t, t->word_line, t->word_column, fmt, ap);
    va_end(ap);
    return false;
}

static void
step(struct policy_text *t)
{
    if (*t->at++ == '\n') {
        t->line++;
        t->column = 1;
    } else {
        t->column++;
    }
}

static bool
blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
skip_blank(struct policy_text *t)
{
    while (t->at < t->end) {
        bool slashes = t->end - t->at >= 2 && t->at[0] == '/' && t->at[1] == '/';
        if (*t->at == '#' || slashes)
            while (t->at < t->end && *t->at != '\n')
                step(t);
        else if (blank(*t->at))
            step(t);
        else
            return;
    }
}

static bool
is_mark(char c)
{
    return c == '{' || c == '}' || c == '=' || c == ',';
}

static enum policy_token
quoted(struct policy_text *t)
{
    size_t n = 0;
    for (step(t); t->at < t->end && *t->at != '"' && *t->at != '\n'; step(t)) {
        if ((unsigned char)*t->at < ' ' || *t->at == 127 || *t->at == '\\') {
            (void)policy_wrong_at(t, t->line, t->column,
                                  "a text in quotes holds printable characters, no backslash");
            return TOKEN_BAD;
        }
        if (n + 1 < sizeof t->word)
            t->word[n] = *t->at;
        n++;
    }
    if (t->at == t->end || *t->at != '"') {
        (void)policy_wrong(t, "the quote that begins here does not end on its line");
        return TOKEN_BAD;
    }
    step(t);
    if (n >= sizeof t->word) {
        (void)policy_wrong(t, "this text is longer than %u bytes", POLICY_WORD_MAX - 1);
        return TOKEN_BAD;
    }
    t->word[n] = '\0';
    return TOKEN_WORD;
}

static enum policy_token
plain(struct policy_text *t)
{
    size_t n = 0;
    while (t->at < t->end && !blank(*t->at) && !is_mark(*t->at) && *t->at != '#' &&
           *t->at != '"') {
        if (n + 1 >= sizeof t->word || (unsigned char)*t->at < ' ' || *t->at == 127) {
            (void)policy_wrong(t, "this is no word");
            return TOKEN_BAD;
        }
        t->word[n++] = *t->at;
        step(t);
    }
    t->word[n] = '\0';
    return TOKEN_WORD;
}

enum policy_token
policy_next(struct policy_text *t)
{
    if (t->token == TOKEN_BAD)
        return TOKEN_BAD;
    skip_blank(t);
    t->word_line = t->line;
    t->word_column = t->column;
    t->word[0] = '\0';
    if (t->at == t->end) {
        t->token = TOKEN_END;
    } else if (is_mark(*t->at)) {
        t->word[0] = *t->at;
        t->word[1] = '\0';
        step(t);
        t->token = TOKEN_MARK;
    } else {
        t->token = *t->at == '"' ? quoted(t) : plain(t);
    }
    return t->token;
}

bool
policy_is(const struct policy_text *t, char mark)
{
    return t->token == TOKEN_MARK && t->word[0] == mark;
}
