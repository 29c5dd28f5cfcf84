# The bell protocol, model-checked.
TESTS += tests/model/run
dist_check_SCRIPTS += tests/model/run
EXTRA_DIST += tests/model/bell.pml
