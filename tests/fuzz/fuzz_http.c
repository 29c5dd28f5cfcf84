/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_http.c: the request head of bulkhead-httpd. Whatever comes, the answer is a length
 * within the input, a known refusal or "more"; an accepted name stays below the root; and what
 * was accepted is accepted again when only its own bytes are there.
 */
#include <string.h>

#include "bench/http.h"
#include "fuzz.h"

/* No empty segment, no "." and no "..", no slash at either end. */
static void
check_path(const char *p)
{
    size_t len = strlen(p);
    expect(len < HTTP_PATH_MAX);
    while (*p) {
        size_t n = strcspn(p, "/");
        expect(n > 0);
        expect(!(n == 1 && p[0] == '.'));
        expect(!(n == 2 && p[0] == '.' && p[1] == '.'));
        expect(!p[n] || p[n + 1]);
        p += n + (p[n] == '/');
    }
}

static void
check_range(const struct http_range *r, uint64_t size)
{
    uint64_t first, len;
    int status = http_apply_range(r, size, &first, &len);
    expect(status == 200 || status == 206 || status == 416);
    expect(first <= size && len <= size - first);
    expect(status != 206 || len > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request r, again;
    char encoded[3 * HTTP_PATH_MAX];
    int n = http_parse((const char *)data, size, &r);

    if (n <= 0) {
        expect(n == 0 || n == -400 || n == -405 || n == -414 || n == -431 || n == -501 ||
               n == -505);
        expect(n != 0 || size < HTTP_HEAD_MAX);
        return 0;
    }
    expect((size_t)n <= size && (size_t)n <= HTTP_HEAD_MAX);
    check_path(r.path);
    check_range(&r.range, 0);
    check_range(&r.range, 1);
    check_range(&r.range, 1000);
    check_range(&r.range, UINT64_MAX);
    expect(http_encode_path(r.path, encoded, sizeof encoded) >= strlen(r.path));
    expect(!strpbrk(encoded, "\r\n ?#"));
    expect(http_parse((const char *)data, (size_t)n, &again) == n);
    expect(!strcmp(r.path, again.path) && r.keep_alive == again.keep_alive);
    return 0;
}
