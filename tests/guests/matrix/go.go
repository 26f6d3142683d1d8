// The matrix program in Go; ../README.md says what it does.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch what {
	case "args":
		for _, argument := range os.Args[2:] {
			fmt.Println(argument)
		}
		return
	case "env":
		value, found := os.LookupEnv(os.Args[2])
		if !found {
			value = "(unset)"
		}
		fmt.Println(value)
		return
	case "stdin":
		bytes, err := io.Copy(io.Discard, os.Stdin)
		if err != nil {
			panic(err)
		}
		fmt.Println(bytes)
		return
	}
	fmt.Println("out")
	fmt.Fprintln(os.Stderr, "err")
	switch what {
	case "exit":
		code, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	case "die":
		panic("boom")
	}
}
