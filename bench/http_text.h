/* SPDX-License-Identifier: BSD-2-Clause
 *
 * http_text.h: characters, comparisons and lists of HTTP fields, over bytes that have a
 * length and no terminator.
 */
#ifndef BENCH_HTTP_TEXT_H
#define BENCH_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static inline bool
text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool
text_is_alnum(char c)
{
    return text_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* tchar of RFC 9110 section 5.6.2. */
static inline bool
text_is_token(unsigned char c)
{
    return text_is_alnum((char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static inline bool
text_eq(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && !memcmp(s, word, len);
}

static inline bool
text_eq_nocase(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && !strncasecmp(s, word, len);
}

/* Digits alone. A number too large for 64 bits becomes UINT64_MAX. */
static inline bool
text_number(const char *s, size_t len, uint64_t *v)
{
    *v = 0;
    if (!len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!text_is_digit(s[i]))
            return false;
        if (__builtin_mul_overflow(*v, 10, v) ||
            __builtin_add_overflow(*v, (uint64_t)(s[i] - '0'), v))
            *v = UINT64_MAX;
    }
    return true;
}

/* Drop spaces and tabs at both ends. */
static inline void
text_trim(const char **s, size_t *len)
{
    while (*len && (**s == ' ' || **s == '\t')) {
        (*s)++;
        (*len)--;
    }
    while (*len && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t'))
        (*len)--;
}

/* Take the next item of a comma-separated list off its front. False: there is none. */
static inline bool
text_next_item(const char **s, size_t *len, const char **item, size_t *n)
{
    if (!*len)
        return false;
    const char *comma = memchr(*s, ',', *len);
    size_t used = comma ? (size_t)(comma - *s) + 1 : *len;
    *item = *s;
    *n = comma ? used - 1 : used;
    *s += used;
    *len -= used;
    text_trim(item, n);
    return true;
}

#endif
