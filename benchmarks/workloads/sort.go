package main

import (
	"fmt"
	"sort"
)

func main() {
	state, numbers := uint32(1), make([]int, 500_000)
	for n := range numbers {
		state = (state*1103515245 + 12345) & 0x7fffffff
		numbers[n] = int(state)
	}
	sort.Ints(numbers)
	fmt.Println(numbers[0], numbers[250_000], numbers[499_999])
}
