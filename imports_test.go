// Package caucus_test checks what no single package can: the direction of imports.
package caucus_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport names, for each room, the other rooms that its product code may
// import; a name covers the packages below it only where it ends in "/...".
// Imports point one way, so that each room can be understood, tested and
// replaced without those above it.
var mayImport = map[string][]string{
	"ml":               {},
	"node/consensus":   {},
	"cluster/identity": {},
	"cluster/merkle":   {},

	"internal/neterror": {},

	"cluster/session":  {"cluster/identity", "cluster/merkle", "internal/neterror"},
	"cluster/gossip":   {"cluster/identity", "cluster/session"},
	"cluster/evidence": {"cluster/identity", "cluster/session"},
	"cluster/reach":    {"cluster/identity", "cluster/session"},
	"cluster/mdns":     {"cluster/identity"},
	"cluster":          {"cluster/..."},

	"node/dialect": {"ml", "node/consensus", "cluster/reach", "internal/neterror"}, // what tunnels say has one explanation
	"node/web":     {},
	"node/receipt": {"ml", "node/consensus", "cluster/evidence", "cluster/identity", "cluster/merkle", "cluster/session"},
	"node/api":     {"ml", "node/consensus", "node/dialect", "node/web", "cluster", "cluster/identity", "cluster/reach", "internal/neterror"}, // reach as above
	"node":         {"ml", "node/api", "node/consensus", "node/dialect", "node/receipt", "node/web", "cluster/...", "cluster", "internal/neterror"},
	// What a labelled file says of members and methods: pure, so it knows neither nodes nor HTTP.
	"node/assess":      {"ml", "node/consensus"},
	"node/assess/page": {"node/assess"},
	// For tests of the packages around them; the product does not import them.
	"cluster/memnet":         {},
	"internal/testlog":       {},
	"internal/testkey":       {"cluster/identity"},
	"internal/browsertest":   {},
	"node/api/apitest":       {},
	"node/assess/assesstest": {"ml", "node/assess", "node/consensus"},
	"node/nodetest":          {"ml", "node", "node/api", "node/consensus", "cluster", "cluster/..."},

	"deploy": {}, // no code, but tests that read its files

	"bench": {}, // its tests start the product from outside

	"scenes": {}, // so do its

	"configs":    {"ml", "node", "cluster", "cluster/identity"},
	"cmd/caucus": {"configs", "ml", "node", "node/...", "cluster", "cluster/...", "internal/neterror"},
}

// onlyIn names libraries that one room keeps to itself, so that it alone would change with them.
var onlyIn = map[string][]string{
	"github.com/sjwhitworth/golearn":  {"ml"},
	"github.com/gin-gonic/gin":        {"node/api"},
	"github.com/hashicorp/memberlist": {"cluster", "cluster/gossip"},
	"github.com/coder/websocket":      {"cluster/session"},
	"github.com/hashicorp/yamux":      {"cluster/session"},
	"github.com/hashicorp/mdns":       {"cluster/mdns"},
	"github.com/miekg/dns":            {"cluster/mdns"},
	"github.com/spf13/cobra":          {"cmd/caucus"},
	"golang.ngrok.com/ngrok":          {"cluster/reach"},
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		room := strings.TrimPrefix(p.ImportPath, "caucus/")
		if room == "caucus" { // these tests
			continue
		}
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("package %s has no entry in mayImport: say what it may import", room)
			continue
		}
		for _, imp := range p.Imports {
			for library, rooms := range onlyIn {
				if (imp == library || strings.HasPrefix(imp, library+"/")) && !slices.Contains(rooms, room) {
					t.Errorf("%s imports %s, which only %s may", room, imp, strings.Join(rooms, ", "))
				}
			}
			if other, ours := strings.CutPrefix(imp, "caucus/"); ours && !covers(allowed, other) {
				t.Errorf("%s imports %s; it may import %v", room, other, allowed)
			}
		}
	}
}

func TestTheArchitectureNamesEveryPackage(t *testing.T) {
	const path = "docs/architecture.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for room, others := range mayImport {
		if !strings.Contains(text, "| `"+room+"` | ") {
			t.Errorf("%s has no row for the package %s", path, room)
		}
		row := "| `" + room + "` | `" + strings.Join(others, "`, `") + "` |\n"
		if len(others) > 0 && !strings.Contains(text, row) {
			t.Errorf("%s lacks, under what may import what: %s", path, row)
		}
	}
}

func covers(allowed []string, room string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		prefix, below := strings.CutSuffix(a, "/...")
		return a == room || below && strings.HasPrefix(room, prefix+"/")
	})
}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// listPackages asks the go tool, which knows about build tags and test files.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath != "caucus" && p.Doc == "" {
			t.Errorf("package %s has no package comment", p.ImportPath)
		}
	}
}
