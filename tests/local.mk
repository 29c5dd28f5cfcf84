# what tests/ builds
