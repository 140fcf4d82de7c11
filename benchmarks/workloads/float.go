package main

import "fmt"

func main() {
	x, total := 0.5, 0.0
	for i := 0; i < 10_000_000; i++ {
		x = 3.7 * x * (1 - x)
		total += x
	}
	fmt.Println(total)
}
