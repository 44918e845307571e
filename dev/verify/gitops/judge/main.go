// Judge says what Argo CD and Flux make of documents, by their own code: gitops-engine's health, kstatus, and the Lua that Argo CD
// loads from its ConfigMap, on the engine that Argo CD runs it on and with as little of Lua's library as it gives.
//
// JSON comes in and goes out: see Question and Answer.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// Question is what comes in.
type Question struct {
	Health    string                            `json:"health"`
	Discovery string                            `json:"discovery"`
	Actions   map[string]string                 `json:"actions"`
	Documents map[string]map[string]interface{} `json:"documents"`
}

// Answer is about one document.
type Answer struct {
	Kstatus     *Verdict                          `json:"kstatus"`
	ArgoWithout *Verdict                          `json:"argoWithout"` // what Argo CD says without our Lua; null: it has no opinion
	Argo        *Verdict                          `json:"argo"`
	Actions     []string                          `json:"actions"` // those that may be chosen
	Results     map[string]map[string]interface{} `json:"results"` // the document as each of them leaves it
}

// Verdict is a word and a sentence.
type Verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type script string

// GetResourceHealth is how gitops-engine asks Argo CD's overrides.
func (source script) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	var found health.HealthStatus
	return &found, run(string(source), object, &found)
}

func main() {
	var question Question
	must(json.NewDecoder(os.Stdin).Decode(&question))
	answers := map[string]Answer{}
	for name, document := range question.Documents {
		answers[name] = judge(question, &unstructured.Unstructured{Object: whole(document).(map[string]interface{})})
	}
	must(json.NewEncoder(os.Stdout).Encode(answers))
}

func judge(question Question, object *unstructured.Unstructured) Answer {
	computed, err := status.Compute(object)
	must(err)
	answer := Answer{
		Kstatus:     &Verdict{string(computed.Status), computed.Message},
		ArgoWithout: verdict(health.GetResourceHealth(object, nil)),
		Argo:        verdict(health.GetResourceHealth(object, script(question.Health))),
		Actions:     []string{},
		Results:     map[string]map[string]interface{}{},
	}
	offered := map[string]struct {
		Disabled bool `json:"disabled"`
	}{}
	must(run(question.Discovery, object, &offered))
	for name, action := range offered {
		if action.Disabled {
			continue
		}
		answer.Actions = append(answer.Actions, name)
		result := map[string]interface{}{}
		must(run(question.Actions[name], object, &result))
		answer.Results[name] = restored(result, object.Object).(map[string]interface{})
	}
	sort.Strings(answer.Actions)
	return answer
}

// restored puts back empty objects: Lua has one empty table for objects and lists, and Argo CD puts them right in the same way.
func restored(after, before interface{}) interface{} {
	switch known := after.(type) {
	case map[string]interface{}:
		if old, ok := before.(map[string]interface{}); ok {
			for name, item := range known {
				known[name] = restored(item, old[name])
			}
		}
	case []interface{}:
		switch old := before.(type) {
		case map[string]interface{}:
			if len(known) == 0 {
				return old
			}
		case []interface{}:
			for place := range known {
				if place < len(old) {
					known[place] = restored(known[place], old[place])
				}
			}
		}
	}
	return after
}

func verdict(found *health.HealthStatus, err error) *Verdict {
	must(err)
	if found == nil {
		return nil
	}
	return &Verdict{string(found.Status), found.Message}
}

// run has a script make a table of the global `obj`: with base and table alone, as Argo CD does for scripts of its ConfigMap.
func run(source string, object *unstructured.Unstructured, into interface{}) error {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}, lua.LString(name)); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(source); err != nil {
		return err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return fmt.Errorf("the script returns a %s, and a table is wanted", returned.Type())
	}
	encoded, err := luajson.Encode(returned)
	if err != nil || string(encoded) == "[]" {
		return err
	}
	return json.Unmarshal(encoded, into)
}

func value(state *lua.LState, of interface{}) lua.LValue {
	switch known := of.(type) {
	case bool:
		return lua.LBool(known)
	case string:
		return lua.LString(known)
	case int64:
		return lua.LNumber(known)
	case float64:
		return lua.LNumber(known)
	case []interface{}:
		table := state.CreateTable(len(known), 0)
		for _, item := range known {
			table.Append(value(state, item))
		}
		return table
	case map[string]interface{}:
		table := state.CreateTable(0, len(known))
		for name, item := range known {
			table.RawSetH(lua.LString(name), value(state, item))
		}
		return table
	}
	return lua.LNil
}

// whole makes integers of whole numbers, as the API machinery has them.
func whole(of interface{}) interface{} {
	switch known := of.(type) {
	case float64:
		if known == float64(int64(known)) {
			return int64(known)
		}
	case []interface{}:
		for place, item := range known {
			known[place] = whole(item)
		}
	case map[string]interface{}:
		for name, item := range known {
			known[name] = whole(item)
		}
	}
	return of
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
