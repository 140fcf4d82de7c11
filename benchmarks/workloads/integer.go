package main

import "fmt"

func main() {
	var total uint32
	for i := uint32(0); i < 100_000_000; i++ {
		total = (total*31 + i) ^ (total >> 7)
	}
	fmt.Println(total)
}
