// Crasher lives for a while and then exits with a code of one's choice: a real CrashLoopBackOff, and, with a port, one that is Ready between
// its crashes.
//
//	-after 2s   how long to live (env AFTER)
//	-code 1     exit code (env CODE)
//	-port 0     serve 200 on every path of this port meanwhile; 0 serves nothing (env PORT)
//	-first 0    exit only the first so many starts, then live on (env FIRST; needs -state)
//	-eat 0      take so many MiB of memory first (env EAT)
//	-state ""   file that counts the starts, on a volume that outlives the container (env STATE)
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"
)

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func number(name string, fallback int) int {
	value, err := strconv.Atoi(env(name, strconv.Itoa(fallback)))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is not a number: %v\n", name, err)
		os.Exit(2)
	}
	return value
}

// starts counts this start in the file and returns how many there have been.
func starts(file string) int {
	content, _ := os.ReadFile(file)
	count, _ := strconv.Atoi(string(content))
	count++
	if err := os.WriteFile(file, []byte(strconv.Itoa(count)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return count
}

func main() {
	lifetime, err := time.ParseDuration(env("AFTER", "0s"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	after := flag.Duration("after", lifetime, "how long to live")
	code := flag.Int("code", number("CODE", 1), "exit code")
	port := flag.Int("port", number("PORT", 0), "port that answers 200 meanwhile")
	first := flag.Int("first", number("FIRST", 0), "exit only the first so many starts")
	eat := flag.Int("eat", number("EAT", 0), "MiB of memory to take first")
	state := flag.String("state", env("STATE", ""), "file that counts the starts")
	flag.Parse()

	eaten := bytes.Repeat([]byte{1}, *eat<<20) // written, so that the kernel has to give it
	if *port > 0 {
		go func() {
			answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
			if err := http.ListenAndServe(fmt.Sprintf(":%d", *port), answer); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(2)
			}
		}()
	}
	if *state != "" && *first > 0 && starts(*state) > *first {
		time.Sleep(10 * 365 * 24 * time.Hour) // an empty select with nothing else to run is a deadlock, which Go ends with 2
	}
	time.Sleep(*after)
	runtime.KeepAlive(eaten)
	fmt.Fprintf(os.Stderr, "crasher: exiting with %d after %s\n", *code, *after)
	os.Exit(*code)
}
