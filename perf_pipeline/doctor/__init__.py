"""What `perf-pipeline doctor` looks at: each check is a function that says what it found and what to mend."""
