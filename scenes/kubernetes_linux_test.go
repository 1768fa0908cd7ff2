package scenes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"caucus/cluster/identity"
)

// The pods of deploy/kubernetes.yaml without Kubernetes: the same settings, names and kind of network, on which each
// pod has an address of its own and none of its subnet. (deploy/kubernetes_test.go says what else of the
// manifest is checked.)
func TestThePodsOfTheManifestFindOneAnother(t *testing.T) {
	w := newWorld(t)
	pods := []string{"caucus-0", "caucus-1", "caucus-2"}
	models := []string{"knn", "randforest", "svm"}
	var sites []*site
	var addresses []string
	for _, pod := range pods {
		s := w.site(pod, false)
		sites, addresses = append(sites, s), append(addresses, s.address)
	}
	w.lan()
	for i, s := range sites {
		w.routed(s)
		names := [][2]string{}
		for j, pod := range pods {
			names = append(names, [2]string{addresses[j], "caucus-nodes"}, [2]string{addresses[j], pod + ".caucus-nodes"})
		}
		w.names(pods[i], names)
	}
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	states := make([]string, len(pods))
	start := func(i int) *player {
		if states[i] == "" {
			states[i] = shortTempDir(t)
			// As a volume is with fsGroup.
			if err := os.Chmod(states[i], os.ModeSetgid|0o770); err != nil {
				t.Fatal(err)
			}
		}
		binary, err := build()
		if err != nil {
			t.Fatal(err)
		}
		p := &player{site: sites[i], started: time.Now(), process: w.start(pods[i], "pod "+pods[i], podEnvironment(t, pods[i], token.String(), states[i]), binary, "serve")}
		logsOnFailure(t, p)
		return p
	}
	nodes := []*player{start(0), start(1), start(2)}
	whole := func() {
		t.Helper()
		took := within(t, patience, "all list all", each(nodes, func(p *player) error { return p.lists(models...) }))
		t.Logf("all listed all %v after the last was started", took.Round(time.Millisecond))
		votesGoOn(t, nodes, models...)
		for i, m := range models {
			if err := hasURL(nodes[0], m, "http://"+pods[i]+".caucus-nodes:5001"); err != nil {
				t.Error(err)
			}
		}
	}
	whole()

	// All are evicted and come back with other addresses: names and volumes are what stays.
	for _, p := range nodes {
		p.kill()
	}
	moved := []string{addresses[1], addresses[2], addresses[0]}
	for i := range pods {
		names := [][2]string{}
		for j, pod := range pods {
			names = append(names, [2]string{moved[j], "caucus-nodes"}, [2]string{moved[j], pod + ".caucus-nodes"})
		}
		w.names(pods[i], names)
	}
	for i, s := range sites {
		w.ip("-n", w.name(s.name), "addr", "del", s.address+"/32", "dev", "eth0")
		w.ip("-n", w.name(internet), "route", "del", s.address+"/32")
		w.ip("-n", w.name(s.name), "addr", "add", moved[i]+"/32", "dev", "eth0")
		w.ip("-n", w.name(s.name), "route", "add", "default", "dev", "eth0")
	}
	for i, s := range sites {
		w.ip("-n", w.name(internet), "route", "add", moved[i]+"/32", "dev", "to-"+s.name)
	}
	nodes = []*player{start(2), start(0), start(1)}
	within(t, patience, "all list all", each(nodes, func(p *player) error { return p.lists(models...) }))
	votesGoOn(t, nodes, models...)
}

// podEnvironment is what the manifest's container gets in a pod, as NAME=VALUE; the folder of state and that of
// configurations are the test's.
func podEnvironment(t *testing.T, pod, token, state string) []string {
	t.Helper()
	text, err := os.ReadFile("../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Data map[string]string }
	var set struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Env []struct {
							Name, Value string
							ValueFrom   struct {
								FieldRef, SecretKeyRef map[string]string
							}
						}
					}
				}
			}
		}
	}
	for _, doc := range strings.Split(string(text), "\n---\n") {
		into := map[bool]any{true: &set, false: &config}[strings.Contains(doc, "kind: StatefulSet")]
		if strings.Contains(doc, "kind: StatefulSet") || strings.Contains(doc, "kind: ConfigMap") {
			if err := yaml.Unmarshal([]byte(doc), into); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(shortTempDir(t), pod+".yaml")
	if err := os.WriteFile(path, []byte(config.Data[pod+".yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, e := range set.Spec.Template.Spec.Containers[0].Env {
		value := strings.ReplaceAll(e.Value, "$(POD_NAME)", pod)
		switch {
		case e.ValueFrom.SecretKeyRef != nil:
			value = token
		case e.Name == "CAUCUS_CONFIG":
			value = path
		case e.Name == "CAUCUS_STATE_DIR":
			value = state
		}
		env = append(env, fmt.Sprintf("%s=%s", e.Name, value))
	}
	return env
}
