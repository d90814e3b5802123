// What Argo CD would make of objects: its own Lua machine, its own reading of argocd-cm, its own diff. One JSON document on standard input,
// the same questions answered on standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/gitops-engine/pkg/health"
	log "github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/util/argo/diff"
	"github.com/argoproj/argo-cd/v2/util/argo/normalizers"
	"github.com/argoproj/argo-cd/v2/util/lua"
	"github.com/argoproj/argo-cd/v2/util/settings"
)

type object map[string]any

// With whole numbers as int64, as an API client has them.
func (o *object) UnmarshalJSON(data []byte) error {
	return utiljson.Unmarshal(data, (*map[string]any)(o))
}

type questions struct {
	Settings map[string]string                    `json:"settings"` // the data of argocd-cm
	Health   []object                             `json:"health"`
	Actions  []object                             `json:"actions"` // which actions there are
	Act      []order                              `json:"act"`
	Diff     []pair                               `json:"diff"`
	Ignore   []v1alpha1.ResourceIgnoreDifferences `json:"ignore"` // spec.ignoreDifferences of the Application
}

type order struct {
	Action string `json:"action"`
	Object object `json:"object"`
}

type pair struct {
	Target object `json:"target"`
	Live   object `json:"live"`
}

type answer struct {
	Error    string          `json:"error,omitempty"`
	Status   string          `json:"status,omitempty"`
	Message  string          `json:"message,omitempty"`
	Actions  map[string]bool `json:"actions,omitempty"` // name: may be pressed
	Object   object          `json:"object,omitempty"`
	Modified bool            `json:"modified,omitempty"`
	Live     json.RawMessage `json:"live,omitempty"`
	Wanted   json.RawMessage `json:"wanted,omitempty"`
}

type answers struct {
	Health  []answer `json:"health"`
	Actions []answer `json:"actions"`
	Act     []answer `json:"act"`
	Diff    []answer `json:"diff"`
}

func main() {
	log.SetOutput(os.Stderr)
	log.SetLevel(log.ErrorLevel)
	var asked questions
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	overrides, err := overridesOf(asked.Settings)
	if err != nil {
		fail(fmt.Errorf("argocd-cm: %w", err))
	}
	var told answers
	for _, obj := range asked.Health {
		told.Health = append(told.Health, judge(overrides, obj))
	}
	for _, obj := range asked.Actions {
		told.Actions = append(told.Actions, discover(overrides, obj))
	}
	for _, given := range asked.Act {
		told.Act = append(told.Act, act(overrides, given))
	}
	for _, each := range asked.Diff {
		told.Diff = append(told.Diff, compare(overrides, asked.Ignore, each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func overridesOf(data map[string]string) (map[string]v1alpha1.ResourceOverride, error) {
	labels := map[string]string{"app.kubernetes.io/part-of": "argocd"}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "argocd-cm", Namespace: "argocd", Labels: labels}, Data: data}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "argocd-secret", Namespace: "argocd", Labels: labels}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return settings.NewSettingsManager(ctx, fake.NewSimpleClientset(config, secret), "argocd").GetResourceOverrides()
}

func judge(overrides map[string]v1alpha1.ResourceOverride, obj object) answer {
	found, err := health.GetResourceHealth(&unstructured.Unstructured{Object: obj}, lua.ResourceHealthOverrides(overrides))
	if err != nil {
		return answer{Error: err.Error()}
	}
	if found == nil {
		return answer{}
	}
	return answer{Status: string(found.Status), Message: found.Message}
}

func discover(overrides map[string]v1alpha1.ResourceOverride, obj object) answer {
	machine := lua.VM{ResourceOverrides: overrides}
	un := &unstructured.Unstructured{Object: obj}
	scripts, err := machine.GetResourceActionDiscovery(un)
	if err != nil {
		return answer{Error: err.Error()}
	}
	actions, err := machine.ExecuteResourceActionDiscovery(un, scripts)
	if err != nil {
		return answer{Error: err.Error()}
	}
	told := answer{Actions: map[string]bool{}}
	for _, action := range actions {
		told.Actions[action.Name] = !action.Disabled
	}
	return told
}

func act(overrides map[string]v1alpha1.ResourceOverride, given order) answer {
	machine := lua.VM{ResourceOverrides: overrides}
	un := &unstructured.Unstructured{Object: given.Object}
	script, err := machine.GetResourceAction(un, given.Action)
	if err != nil {
		return answer{Error: err.Error()}
	}
	made, err := machine.ExecuteResourceAction(un, script.ActionLua)
	if err != nil {
		return answer{Error: err.Error()}
	}
	if len(made) != 1 {
		return answer{Error: fmt.Sprintf("%d objects", len(made))}
	}
	return answer{Object: made[0].UnstructuredObj.Object}
}

func compare(overrides map[string]v1alpha1.ResourceOverride, ignore []v1alpha1.ResourceIgnoreDifferences, each pair) answer {
	how, err := diff.NewDiffConfigBuilder().
		WithDiffSettings(ignore, overrides, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("app.kubernetes.io/instance", "annotation").
		WithNoCache().
		Build()
	if err != nil {
		return answer{Error: err.Error()}
	}
	found, err := diff.StateDiff(&unstructured.Unstructured{Object: each.Live}, &unstructured.Unstructured{Object: each.Target}, how)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Modified: found.Modified, Live: found.NormalizedLive, Wanted: found.PredictedLive}
}
