package main

import (
	"crypto/sha256"
	"fmt"
)

func main() {
	block := make([]byte, 65536)
	for n := range block {
		block[n] = byte(n)
	}
	state := sha256.New()
	for n := 0; n < 512; n++ {
		state.Write(block)
	}
	fmt.Printf("%x\n", state.Sum(nil))
}
