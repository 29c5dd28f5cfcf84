# what bench/ builds
