# what policy/ builds
EXTRA_DIST += policy/syscalls.conf policy/syscalls.awk

# The accounts that a daemon has which is given none.
policy/accounts_text.h: policy/accounts.conf
	$(AM_V_GEN)$(MKDIR_P) policy && sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' \
		$(top_srcdir)/policy/accounts.conf >$@.tmp && mv -f $@.tmp $@
policy/accounts.lo: policy/accounts_text.h
BUILT_SOURCES += policy/accounts_text.h
CLEANFILES += policy/accounts_text.h
dist_pkgdata_DATA += policy/accounts.conf

# Reading accounts: for the daemon, and for whoever checks a file without one.
noinst_LTLIBRARIES += libpolicy.la
libpolicy_la_SOURCES = \
	policy/accounts.c policy/accounts.h policy/describe.c policy/net.c \
	policy/text.c policy/text.h policy/value.c policy/value.h
nodist_libpolicy_la_SOURCES = policy/accounts_text.h

# The table of everybody's authority, which is committed: a change of policy shows as a diff.
check_PROGRAMS += policy/authority
policy_authority_SOURCES = policy/authority.c policy/topology.c policy/topology.h
policy_authority_LDADD = libpolicy.la libipc.la libproto.la
EXTRA_DIST += policy/AUTHORITY.md
authority: policy/authority
	policy/authority $(top_srcdir)/policy/syscalls.conf $(top_srcdir)/policy/accounts.conf \
		>policy/AUTHORITY.tmp && mv -f policy/AUTHORITY.tmp $(top_srcdir)/policy/AUTHORITY.md
.PHONY: authority
