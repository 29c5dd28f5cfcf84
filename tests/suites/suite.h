/* SPDX-License-Identifier: BSD-2-Clause
 *
 * suite.h: what the conformance programs share. Each is ordinary code on sockets that knows of
 * no stack: PROGRAM list names its cases, PROGRAM HOST CASE runs one, with all its sockets on
 * the address HOST of this machine, and prints a transcript. Nothing in it may depend on
 * chance, time or port numbers: the kernel's transcript is what every other stack's is compared
 * with.
 */
#ifndef SUITE_H
#define SUITE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct suite_case {
    const char *name;
    void (*run)(void);
};

extern struct in_addr suite_host;

/* The whole of main. */
int suite_main(int argc, char **argv, const struct suite_case *cases, size_t n);

/* One line of the transcript, written at once: what a child says stands in order. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "what: 5", or "what: EAGAIN" if r is -1; returns r. */
long said(const char *what, long r);

/* Something that is no subject of the case went wrong: says so and exits. */
_Noreturn void give_up(const char *what);

struct sockaddr_in host_addr(in_port_t port); /* of HOST, port in network order */
in_port_t port_of(int fd);                    /* its own, in network order */
int bound(int type);                          /* on HOST, any port */
int listening(void);                          /* bound(SOCK_STREAM), backlog 16 */
int connected_to(int listener);
void tcp_pair(int pair[2]); /* pair[0] has connected, pair[1] was accepted */
void udp_pair(int pair[2]); /* connected with each other */
void send_text(int fd, const char *text);

/* A line with what comes within a second: "what: hello", "what: end", "what: ECONNRESET". */
void say_read(const char *what, int fd);

void set_nonblocking(int fd);
void pause_ms(unsigned ms);
/* Until fd has one of the events, or give_up after five seconds. */
void await(int fd, short events);
/* Fills what can be sent without waiting. fd must be non-blocking. Returns the bytes. */
size_t fill(int fd);
size_t drain(int fd); /* the other way round */
double now_s(void);

#define CASES(list) (list), sizeof(list) / sizeof *(list)

#endif
