# what policy/ builds
