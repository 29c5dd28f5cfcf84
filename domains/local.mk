# what domains/ builds

# What every domain process is made of besides its own main.
noinst_LTLIBRARIES += libdomain.la
libdomain_la_SOURCES = \
	domains/confine.c domains/confine.h domains/domain.c domains/domain.h \
	domains/domain_setup.c domains/xsk.h
nodist_libdomain_la_SOURCES = domains/syscalls.c
libdomain_la_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(CAPNG_CFLAGS)
DOMAIN_LIBS = libdomain.la libipc.la libproto.la $(SECCOMP_LIBS) $(CAPNG_LIBS)

domains/syscalls.c: policy/syscalls.conf policy/syscalls.awk
	$(AM_V_GEN)$(MKDIR_P) domains && $(AWK) -f $(top_srcdir)/policy/syscalls.awk \
		$(top_srcdir)/policy/syscalls.conf >$@.tmp && mv -f $@.tmp $@
CLEANFILES += domains/syscalls.c
