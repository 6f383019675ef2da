package main

import (
	"flag"
	"os"
)

// The kubelet has no flag any more for the socket of containerd that its cAdvisor reads, and the default is that of
// the machine's own containerd. The flag of cAdvisor itself is still there.
func init() {
	socket := os.Getenv("MEMROLL_CONTAINERD")
	if socket == "" {
		return
	}
	if err := flag.Set("containerd", socket); err != nil {
		panic(err)
	}
}
