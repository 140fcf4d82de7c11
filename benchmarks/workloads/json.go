package main

import (
	"encoding/json"
	"fmt"
)

type item struct {
	Id    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

func main() {
	items := []item{}
	for n := 0; n < 100; n++ {
		items = append(items, item{n, fmt.Sprintf("item %d", n), float64(n) * 1.25, []string{"a", "b"}})
	}
	var text []byte
	for n := 0; n < 300; n++ {
		text, _ = json.Marshal(items)
		items = nil
		json.Unmarshal(text, &items)
	}
	fmt.Println(len(text))
}
