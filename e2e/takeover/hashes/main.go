// Flagger's own hash of pod templates, for the tests of ours, and the Go types that it goes through.
//
//	hashes types             writes the types of a pod template as JSON: name -> fields (name, JSON name, type), as Go knows them
//	hashes sums < templates  reads a JSON list of pod templates and writes the list of their hashes
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/fluxcd/flagger/pkg/canary"
	corev1 "k8s.io/api/core/v1"
)

type kinds struct {
	Structs map[string][][3]string `json:"structs"`
	Named   map[string]string      `json:"named"`
}

func (k kinds) add(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		k.add(t.Elem())
	case reflect.Map:
		if t.PkgPath() != "" {
			k.Named[t.String()] = "map[" + t.Key().String() + "]" + t.Elem().String()
		}
		k.add(t.Key())
		k.add(t.Elem())
	case reflect.Struct:
		if _, known := k.Structs[t.String()]; known {
			return
		}
		fields := [][3]string{}
		k.Structs[t.String()] = fields
		if t.String() == "resource.Quantity" || t.String() == "v1.Time" || t.String() == "intstr.IntOrString" {
			return
		}
		for i := range t.NumField() {
			field := t.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Anonymous && strings.Contains(options, "inline") {
				name = ""
			}
			fields = append(fields, [3]string{field.Name, name, field.Type.String()})
			k.add(field.Type)
		}
		k.Structs[t.String()] = fields
	default:
		if t.PkgPath() != "" {
			k.Named[t.String()] = t.Kind().String()
		}
	}
}

func main() {
	if os.Args[1] == "types" {
		found := kinds{map[string][][3]string{}, map[string]string{}}
		found.add(reflect.TypeOf(corev1.PodTemplateSpec{}))
		json.NewEncoder(os.Stdout).Encode(found)
		return
	}
	var templates []corev1.PodTemplateSpec
	if err := json.NewDecoder(os.Stdin).Decode(&templates); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sums := []string{}
	for _, template := range templates {
		sums = append(sums, canary.ComputeHash(template))
	}
	json.NewEncoder(os.Stdout).Encode(sums)
}
