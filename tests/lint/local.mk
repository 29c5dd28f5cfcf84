# What must hold of the source itself.
LINT_TESTS = tests/lint/authority.sh tests/lint/clauses.sh tests/lint/format.sh \
	tests/lint/hardening.sh tests/lint/purity.sh tests/lint/words.sh tests/lint/install.sh
TESTS += $(LINT_TESTS)
dist_check_SCRIPTS += $(LINT_TESTS)
dist_noinst_SCRIPTS += tests/lint/tidy.sh
EXTRA_DIST += tests/lint/libc-allowed.txt tests/tap.sh .clang-format .clang-tidy
tests/lint/purity.log: libproto.la
tests/lint/authority.log: policy/authority
tests/lint/clauses.log: tests/packet/run_pure
