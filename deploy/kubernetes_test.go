package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"caucus/cluster/identity"
	"caucus/configs"
	"caucus/ml"
)

// manifest is deploy/kubernetes.yaml in Kubernetes' own types.
type manifest struct {
	config   core.ConfigMap
	services map[string]core.Service
	budget   policy.PodDisruptionBudget
	set      apps.StatefulSet
}

// read takes the manifest apart, strictly: a field that there is not, or of another type, is an error, as it is
// for the API server.
func read(t *testing.T) *manifest {
	t.Helper()
	text, err := os.ReadFile("kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest{services: map[string]core.Service{}}
	seen := map[string]int{}
	for i, doc := range bytes.Split(text, []byte("\n---\n")) {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("object %d: %v", i, err)
		}
		var service core.Service
		into, known := map[string]any{
			"v1 ConfigMap": &m.config, "v1 Service": &service, "policy/v1 PodDisruptionBudget": &m.budget, "apps/v1 StatefulSet": &m.set,
		}[head.APIVersion+" "+head.Kind]
		if !known {
			t.Fatalf("object %d is a %s of %s, of which this test knows nothing", i, head.Kind, head.APIVersion)
		}
		if err := yaml.UnmarshalStrict(doc, into); err != nil {
			t.Fatalf("object %d, %s: %v", i, head.Kind, err)
		}
		seen[head.Kind]++
		if head.Kind == "Service" {
			m.services[service.Name] = service
		}
	}
	if want := map[string]int{"ConfigMap": 1, "Service": 2, "PodDisruptionBudget": 1, "StatefulSet": 1}; !maps.Equal(seen, want) {
		t.Fatalf("the manifest has %v, want %v", seen, want)
	}
	return m
}

func TestTheManifestIsOfKubernetesTypes(t *testing.T) {
	read(t)
	// The reader does not let pass what this test is for.
	for _, wrong := range []string{"spec: {replica: 3}", "spec: {replicas: three}", "spec: {template: {spec: {containers: [{name: a, readinesProbe: {}}]}}}"} {
		if yaml.UnmarshalStrict([]byte("apiVersion: apps/v1\nkind: StatefulSet\n"+wrong), &apps.StatefulSet{}) == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func TestTheManifestsObjectsFitOneAnother(t *testing.T) {
	m := read(t)
	labels := m.set.Spec.Template.Labels
	fits := func(what string, selector map[string]string) {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, and the pods have %v", what, k, v, labels)
			}
		}
	}
	fits("the stateful set", m.set.Spec.Selector.MatchLabels)
	fits("the disruption budget", m.budget.Spec.Selector.MatchLabels)
	c := container(t, m)
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for name, s := range m.services {
		fits("the service "+name, s.Spec.Selector)
		for _, p := range s.Spec.Ports {
			if ports[p.TargetPort.StrVal] != 5001 {
				t.Errorf("the service %s leads to the port %v, and the container has %v", name, p.TargetPort.String(), ports)
			}
		}
	}
	headless, ok := m.services[m.set.Spec.ServiceName]
	if !ok || headless.Spec.ClusterIP != core.ClusterIPNone || !headless.Spec.PublishNotReadyAddresses || headless.Spec.Ports[0].Port != 5001 {
		t.Errorf("the pods' names come from a headless service with the pods that are not ready, on the pods' own port: %+v", headless.Spec)
	}
	// A node is ready once it has met another: in order, the second would never be started.
	if m.set.Spec.PodManagementPolicy != apps.ParallelPodManagement {
		t.Errorf("pods are started %s", m.set.Spec.PodManagementPolicy)
	}
	for what, probe := range map[string]*core.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe, "/healthz at the start": c.StartupProbe} {
		path, _, _ := strings.Cut(what, " ")
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || ports[probe.HTTPGet.Port.StrVal] != 5001 {
			t.Errorf("the probe of %s: %+v", what, probe)
		}
	}
	volumes := map[string]bool{}
	for _, v := range m.set.Spec.Template.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && v.ConfigMap.Name != m.config.Name {
			t.Errorf("the pods mount the config map %s", v.ConfigMap.Name)
		}
	}
	for _, v := range m.set.Spec.VolumeClaimTemplates {
		volumes[v.Name] = true
	}
	mounted := map[string]bool{}
	for _, v := range c.VolumeMounts {
		mounted[v.Name] = true
	}
	if !maps.Equal(volumes, mounted) {
		t.Errorf("volumes %v, mounted %v", volumes, mounted)
	}
	if len(m.config.Data) != int(*m.set.Spec.Replicas) {
		t.Errorf("%d configurations for %d pods", len(m.config.Data), *m.set.Spec.Replicas)
	}
	if q := (*m.set.Spec.Replicas)/2 + 1; *m.set.Spec.Replicas-m.budget.Spec.MaxUnavailable.IntVal < q {
		t.Errorf("%v of %d may be away at once, and %d make a quorum", m.budget.Spec.MaxUnavailable, *m.set.Spec.Replicas, q)
	}
}

// What Kubernetes calls the restricted profile of pod security, and a little more.
func TestThePodsHaveNoRightsThatTheyDoNotNeed(t *testing.T) {
	m := read(t)
	pod, c := m.set.Spec.Template.Spec, container(t, m)
	for what, ok := range map[string]bool{
		"a user that is not root":          *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser == 65532, // as in the Dockerfile
		"the runtime's system calls":       pod.SecurityContext.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"no more rights later":             !*c.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":                  slices.Equal(c.SecurityContext.Capabilities.Drop, []core.Capability{"ALL"}) && len(c.SecurityContext.Capabilities.Add) == 0,
		"a root that cannot be written":    *c.SecurityContext.ReadOnlyRootFilesystem,
		"no key of the cluster's":          !*pod.AutomountServiceAccountToken,
		"no variables for services":        !*pod.EnableServiceLinks,
		"a state folder that it may write": *pod.SecurityContext.FSGroup == *pod.SecurityContext.RunAsGroup,
		// Else the kubelet adds the group's rights to the key at each start, and the node refuses it.
		"a key that stays its own": *pod.SecurityContext.FSGroupChangePolicy == core.FSGroupChangeOnRootMismatch,
		"a bound on memory":        !c.Resources.Limits.Memory().IsZero() && !c.Resources.Requests.Memory().IsZero() && !c.Resources.Requests.Cpu().IsZero(),
		"no host":                  !pod.HostNetwork && !pod.HostPID && !pod.HostIPC,
	} {
		if !ok {
			t.Errorf("the pods lack: %s", what)
		}
	}
}

func TestTheTokenIsInNoFile(t *testing.T) {
	c := container(t, read(t)) // which knows no Secret among the objects
	for _, e := range c.Env {
		if e.Name == "CAUCUS_TOKEN" && e.Value == "" && e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Optional == nil {
			return
		}
	}
	t.Error("the token does not come from a Secret that must be there")
}

// Every pod is started as Kubernetes would start it, as far as the settings go: the program takes them all.
func TestTheProgramTakesEveryPodsSettings(t *testing.T) {
	m := read(t)
	c := container(t, m)
	if !slices.Equal(c.Args, []string{"serve"}) || len(c.Command) != 0 {
		t.Errorf("command %q, arguments %q", c.Command, c.Args)
	}
	token, err := identity.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[ml.Kind]bool{}
	for i := range int(*m.set.Spec.Replicas) {
		pod := fmt.Sprintf("%s-%d", m.set.Name, i)
		env := environment(t, m, pod, token.String())
		known := map[string]bool{"POD_NAME": true, "CAUCUS_TOKEN": true, "CAUCUS_CONFIG": true}
		for _, o := range configs.Options() {
			known[o.Env()] = true
		}
		for name := range env {
			if !known[name] {
				t.Errorf("there is no setting %s", name)
			}
		}
		s, err := configs.Load(configs.Input{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		if err != nil {
			t.Errorf("%s: %v", pod, err)
			continue
		}
		n := s.Node
		kinds[n.Fit.Kind] = true
		if n.Name != string(n.Fit.Kind) || n.Listen != ":5001" || n.StateDir != "/state" || n.Token == nil || *n.Token != token || n.Profile != "lan" || !n.AllowPrivate ||
			n.PublicURL != "http://"+pod+"."+m.set.Spec.ServiceName+":5001" ||
			len(n.Join) != 1 || n.Join[0].Address != "dns+"+m.set.Spec.ServiceName+":5001" {
			t.Errorf("%s: %+v", pod, n)
		}
	}
	if len(kinds) != 3 {
		t.Errorf("the pods have the models %v", kinds)
	}
}

func container(t *testing.T, m *manifest) core.Container {
	t.Helper()
	all := m.set.Spec.Template.Spec.Containers
	if len(all) != 1 {
		t.Fatalf("%d containers", len(all))
	}
	return all[0]
}

// environment is what a pod's process gets, with the config map's files in a folder of the test's.
func environment(t *testing.T, m *manifest, pod, token string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range m.config.Data {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mount := ""
	for _, v := range container(t, m).VolumeMounts {
		if v.Name == "configs" {
			mount = v.MountPath
		}
	}
	env := map[string]string{}
	for _, e := range container(t, m).Env {
		switch from := e.ValueFrom; {
		case from == nil: // $(NAME) stands for a variable before it
			value := e.Value
			for name, v := range env {
				value = strings.ReplaceAll(value, "$("+name+")", v)
			}
			env[e.Name] = strings.Replace(value, mount, dir, 1)
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
			env[e.Name] = pod
		case from.SecretKeyRef != nil:
			env[e.Name] = token
		default:
			t.Fatalf("%s comes from %+v", e.Name, from)
		}
	}
	return env
}
