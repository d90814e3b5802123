// Wget asks one URL and ends with 0 for an answer below 400: as much of wget as the probes of Flagger's chart need.
//
//	wget [--quiet] [--spider] [--tries=N] [--timeout=SECONDS] URL
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	client := http.Client{Timeout: 10 * time.Second}
	url := ""
	for _, word := range os.Args[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "--timeout":
			seconds, err := strconv.Atoi(value)
			if err != nil {
				fail(err)
			}
			client.Timeout = time.Duration(seconds) * time.Second
		case !strings.HasPrefix(word, "-"):
			url = word
		}
	}
	answer, err := client.Get(url)
	if err != nil {
		fail(err)
	}
	answer.Body.Close()
	if answer.StatusCode >= 400 {
		fail(fmt.Errorf("%s answers %s", url, answer.Status))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
