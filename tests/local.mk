# What tests/ builds and runs. Everything speaks TAP, so that single cases are counted:
# Criterion programs because CRITERION_OUTPUTS asks them to, the scripts by themselves. The plan
# tells whether all ran, so the exit status adds nothing.
TEST_EXTENSIONS = .sh .py
TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh --ignore-exit
LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_COMPILER = bash
PY_LOG_DRIVER = $(TAP_DRIVER)
PY_LOG_COMPILER = python3
AM_TESTS_ENVIRONMENT = \
	CRITERION_OUTPUTS='tap:-' \
	srcdir='$(srcdir)'; top_srcdir='$(top_srcdir)'; top_builddir='$(top_builddir)'; \
	NM='$(NM)'; READELF='$(READELF)'; HARDENING='$(HARDEN_CFLAGS) $(HARDEN_LDFLAGS)'; \
	SANITIZER_CFLAGS='$(SAN_CFLAGS)'; CLANG_FORMAT='$(CLANG_FORMAT)'; SPIN='$(SPIN)'; CC='$(CC)'; AWK='$(AWK)'; \
	ASAN_OPTIONS="detect_leaks=0:$$ASAN_OPTIONS"; \
	export READELF HARDENING SANITIZER_CFLAGS; \
	export ASAN_OPTIONS CRITERION_OUTPUTS srcdir top_srcdir top_builddir NM CLANG_FORMAT SPIN CC AWK; \
	unset BULKHEAD_INSTANCE;

include tests/unit/local.mk
include tests/hostile/local.mk
include tests/fuzz/local.mk
include tests/lint/local.mk
include tests/model/local.mk
include tests/netns/local.mk
include tests/packet/local.mk
include tests/sim/local.mk
include tests/suites/local.mk

# The same tests with more seeds, connections and fuzzing time.
check-long:
	BH_LONG=1 $(MAKE) $(AM_MAKEFLAGS) check

# Static analysis; not part of check because it takes minutes. CI runs it.
tidy:
	$(SHELL) $(top_srcdir)/tests/lint/tidy.sh $(top_srcdir) '$(CLANG_TIDY)' \
		'$(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) -include config.h \
		-DPKGLIBEXECDIR="" -DBULKHEAD_RUN_DIR="" -DBULKHEAD_PKGLIBDIR=""'

.PHONY: check-long tidy
