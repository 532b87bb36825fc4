module modelmill.dev/bench/open-loop

go 1.22
