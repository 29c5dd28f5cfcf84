# what policy/ builds
EXTRA_DIST += policy/syscalls.conf policy/syscalls.awk

# The accounts that a daemon has which is given none.
policy/accounts_text.h: policy/accounts.conf
	$(AM_V_GEN)$(MKDIR_P) policy && sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' \
		$(top_srcdir)/policy/accounts.conf >$@.tmp && mv -f $@.tmp $@
domains/bulkheadd-sup_account.$(OBJEXT) domains/sup_account.$(OBJEXT): policy/accounts_text.h
BUILT_SOURCES += policy/accounts_text.h
CLEANFILES += policy/accounts_text.h
dist_pkgdata_DATA += policy/accounts.conf
