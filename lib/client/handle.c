/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handle.c: descriptors as handles: what one may do with them, narrower ones, and taking back
 * what was handed out. The domain keeps to the rights; here is only what spares it being asked.
 */
#include "private.h"

_Static_assert(BH_RIGHT_SEND == RIGHT_SEND && BH_RIGHT_RECEIVE == RIGHT_RECEIVE &&
                   BH_RIGHT_ACCEPT == RIGHT_ACCEPT && BH_RIGHT_SHUTDOWN == RIGHT_SHUTDOWN &&
                   BH_RIGHT_OPTIONS == RIGHT_OPTIONS && BH_RIGHT_BIND == RIGHT_BIND &&
                   BH_RIGHT_DELEGATE == RIGHT_DELEGATE && BH_RIGHT_CONNECT == RIGHT_CONNECT &&
                   BH_RIGHT_LISTEN == RIGHT_LISTEN && BH_RIGHT_OPEN == RIGHT_OPEN,
               "the program's rights are the domain's");

static unsigned
number_of(const struct att *a)
{
    return att_index(a->proto);
}

/* What a descriptor is for that is neither dead nor free. 0 or errno. */
static int
look_up(struct lib *l, int fd, struct desc **d)
{
    *d = lib_desc(l, fd);
    if (*d == NULL)
        return EBADF;
    if ((*d)->dead || ((*d)->s != NULL && (*d)->s->revoked))
        return ECONNABORTED;
    return 0;
}

static struct att *
att_of(const struct desc *d)
{
    return d->att != NULL ? d->att : d->s->att;
}

int
bh_rights(int fd)
{
    struct lib *l = lib_lock();
    struct desc *d;
    int err = look_up(l, fd, &d);
    int r = err == 0 ? (int)d->rights : -err;
    lib_unlock(l);
    return (int)ret_errno(r);
}

/* ---- creators ---- */

static struct desc *
creator_add(struct lib *l, struct att *a, uint64_t handle, uint32_t rights,
            const uint16_t port[2])
{
    struct desc *d = desc_new(l);
    if (d == NULL)
        return NULL;
    d->att = a;
    d->handle = handle;
    d->rights = rights;
    d->port[0] = port[0];
    d->port[1] = port[1];
    list_append(&a->creators, &d->of);
    return d;
}

static int
first_creator(struct lib *l, int proto)
{
    static const uint16_t all[2] = {1, 65535};
    if (l->given_up[att_index(proto)])
        return -EACCES;
    struct att *a = att_get(l, proto);
    if (a == NULL)
        return -errno;
    for (struct list *p = a->creators.next; p != &a->creators; p = p->next)
        if (list_item(p, struct desc, of)->handle == SESS_CREATOR)
            return list_item(p, struct desc, of)->fd;
    const struct desc *d = creator_add(l, a, SESS_CREATOR, RIGHT_ALL, all);
    return d != NULL ? d->fd : -EMFILE;
}

int
bh_creator(int type)
{
    int r = proto_of(AF_INET, type, 0);
    if (r >= 0) {
        struct lib *l = lib_lock();
        r = first_creator(l, r);
        lib_unlock(l);
    }
    return (int)ret_errno(r);
}

static int
do_socket_from(struct lib *l, int creator, int proto, int type)
{
    struct desc *d;
    int err = look_up(l, creator, &d);
    if (err == 0 && d->att == NULL)
        err = EINVAL;
    if (err == 0 && d->att->proto != proto)
        err = EPROTOTYPE;
    if (err != 0)
        return -err;
    int r = open_from(l, d->att, d->handle, d->rights, (type & SOCK_NONBLOCK) != 0);
    return r == -EBADF ? -ECONNABORTED : r; /* it was revoked while we asked */
}

int
bh_socket_from(int creator, int domain, int type, int protocol)
{
    int r = proto_of(domain, type, protocol);
    if (r >= 0) {
        struct lib *l = lib_lock();
        r = do_socket_from(l, creator, r, type);
        lib_unlock(l);
    }
    return (int)ret_errno(r);
}

/* ---- minting ---- */

/* The handle is there: give it a descriptor beside that of d, which may have gone meanwhile. */
static int
minted(struct lib *l, int fd, const struct desc *d, struct att *a, uint64_t handle,
       const struct sess_req *r)
{
    uint16_t port[2] = {(uint16_t)r->level, (uint16_t)r->name};
    struct desc *m = NULL;
    if (lib_desc(l, fd) == d && !d->dead) {
        if (d->att != NULL) {
            m = creator_add(l, a, handle, (uint32_t)r->value, port);
        } else if ((m = desc_new(l)) != NULL) {
            m->s = d->s;
            m->handle = handle;
            m->rights = (uint32_t)r->value;
            list_append(&d->s->descs, &m->of);
        }
    }
    if (m == NULL) {
        tell(l, a, REQ_CLOSE, handle);
        return lib_desc(l, fd) == d ? -EMFILE : -EBADF;
    }
    m->parent = (struct desc *)(uintptr_t)d;
    return m->fd;
}

static int
do_mint(struct lib *l, int fd, unsigned rights, bool ports, unsigned first, unsigned last)
{
    struct desc *d;
    struct sess_req r = {.op = REQ_MINT, .value = rights};
    struct sess_evt e;
    int err = look_up(l, fd, &d);
    if (err == 0 && (rights == 0 || (rights & ~(unsigned)RIGHT_ALL) != 0 ||
                     (ports && (d->att == NULL || first == 0 || first > last || last > 65535))))
        err = EINVAL;
    if (err == 0 && (rights & ~d->rights) != 0)
        err = EACCES;
    if (err != 0)
        return -err;
    struct att *a = att_of(d);
    r.handle = d->handle;
    r.level = ports ? (int)first : d->port[0];
    r.name = ports ? (int)last : d->port[1];
    d->users++;
    own_of(a)->users++;
    err = request(l, a, &r, &e);
    d->users--;
    int m = err == 0 ? minted(l, fd, d, a, e.handle, &r) : -err;
    own_of(a)->users--;
    desc_put(d);
    att_free_if_unused(a);
    return m;
}

int
bh_mint(int fd, unsigned rights)
{
    struct lib *l = lib_lock();
    int r = do_mint(l, fd, rights, false, 0, 0);
    lib_unlock(l);
    return (int)ret_errno(r);
}

int
bh_mint_ports(int creator, unsigned first, unsigned last, unsigned rights)
{
    struct lib *l = lib_lock();
    int r = do_mint(l, creator, rights, true, first, last);
    lib_unlock(l);
    return (int)ret_errno(r);
}

/* ---- revoking ---- */

/* What they were for is told by the domain if it was a creator's; a socket that has no
 * descriptor left ends here. */
static void
kill_here(struct lib *l, struct desc *d)
{
    struct att *a = d->att;
    struct sock *s = d->s;
    if (a != NULL) {
        if (d->handle == SESS_CREATOR)
            l->given_up[number_of(a)] = true;
        desc_kill(l, &a->creators, d);
        return;
    }
    desc_kill(l, &s->descs, d);
    lib_wake_sock(l, s);
    pthread_cond_broadcast(&l->idle);
    if (!list_empty(&s->descs))
        s->handle = list_item(s->descs.next, struct desc, of)->handle;
    else {
        s->handle = d->handle;
        stop_listening(l, s);
    }
}

static int
do_revoke(struct lib *l, int fd)
{
    struct desc *d;
    struct sess_req r = {.op = REQ_REVOKE};
    struct sess_evt e;
    lib_drain(l); /* the socket may be another process's by now: by another handle then */
    int err = look_up(l, fd, &d);
    if (err != 0)
        return err == ECONNABORTED ? 0 : -err; /* it is done already */
    struct att *a = att_of(d);
    struct sock *s = d->s;
    r.handle = d->handle;
    own_of(a)->users++;
    if (s != NULL)
        s->users++;
    kill_here(l, d);
    err = request(l, a, &r, &e);
    if (err == EBADF && s != NULL && s->given && r.handle != s->handle) {
        r.handle = s->handle; /* it was handed over while we asked */
        err = request(l, a, &r, &e);
    }
    if (err == EBADF) /* asked twice, and done the first time */
        err = 0;
    if (s != NULL) {
        s->closed = s->closed || list_empty(&s->descs);
        if (--s->users == 0 && s->closed)
            sock_end(l, s);
    }
    own_of(a)->users--;
    att_free_if_unused(a);
    return -err;
}

int
bh_revoke(int fd)
{
    struct lib *l = lib_lock();
    int r = do_revoke(l, fd);
    lib_unlock(l);
    return (int)ret_errno(r);
}
