// Reads Ingresses (a JSON list on stdin) as the controller's own parsers do and prints what they understood of each.
package main

import (
	"encoding/json"
	"os"

	networking "k8s.io/api/networking/v1"

	"k8s.io/ingress-nginx/internal/ingress/annotations/canary"
	"k8s.io/ingress-nginx/internal/ingress/annotations/parser"
	"k8s.io/ingress-nginx/internal/ingress/annotations/sessionaffinity"
	"k8s.io/ingress-nginx/internal/ingress/resolver"
)

type understood struct {
	Canary   interface{}
	Affinity interface{}
	Error    string
}

func main() {
	parser.EnableAnnotationValidation = true
	if len(os.Args) > 1 {
		parser.AnnotationsPrefix = os.Args[1]
	}
	var ingresses []networking.Ingress
	if err := json.NewDecoder(os.Stdin).Decode(&ingresses); err != nil {
		panic(err)
	}
	answers := []understood{}
	for i := range ingresses {
		answer := understood{}
		config, err := canary.NewParser(resolver.Mock{}).Parse(&ingresses[i])
		answer.Canary = config
		if err != nil {
			answer.Error = err.Error()
		}
		answer.Affinity, _ = sessionaffinity.NewParser(resolver.Mock{}).Parse(&ingresses[i])
		answers = append(answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
