# what domains/ builds
