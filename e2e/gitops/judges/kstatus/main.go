// What Flux would make of objects: a JSON array of them on standard input, the kstatus of each on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	var objects []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		fail(err)
	}
	told := []answer{}
	for _, raw := range objects {
		var obj map[string]any
		if err := utiljson.Unmarshal(raw, &obj); err != nil { // whole numbers as int64, as an API client has them
			fail(err)
		}
		found, err := status.Compute(&unstructured.Unstructured{Object: obj})
		if err != nil {
			fail(err)
		}
		told = append(told, answer{Status: string(found.Status), Message: found.Message})
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
