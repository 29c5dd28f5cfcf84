/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.h: the words of a policy file, with line and column, and messages that name them. The
 * language is that of the configuration file (key = value, lists and sections in braces, # and
 * // comments), whose parser cannot say in which column something is wrong.
 */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include "base/base.h"

#define POLICY_WORD_MAX 256u /* bytes of one word, its end included */

enum policy_token { TOKEN_END, TOKEN_WORD, TOKEN_MARK, TOKEN_BAD };

struct policy_text {
    const char *name; /* of the file, for messages */
    const char *at, *end;
    unsigned line, column; /* of *at, from 1 on */
    char *err;             /* the first message; empty: none yet */
    size_t err_len;
    /* the token that was read last */
    enum policy_token token;
    char word[POLICY_WORD_MAX]; /* TOKEN_MARK: one of { } = , */
    unsigned word_line, word_column;
};

/* Begin at the start of text, of len bytes; all must last. */
void policy_text_init(struct policy_text *t, const char *name, const char *text, size_t len,
                      char *err, size_t err_len);
/* Read the next token. TOKEN_BAD: the message is there, and stays the answer from then on. */
enum policy_token policy_next(struct policy_text *t);
bool policy_is(const struct policy_text *t, char mark);
/* "NAME:LINE:COLUMN: what", at the last token; the first message stays. Returns false. */
bool policy_wrong(struct policy_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool policy_wrong_at(struct policy_text *t, unsigned line, unsigned column, const char *fmt,
                     ...) __attribute__((format(printf, 4, 5)));

#endif
