package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"caucus/node"
	"caucus/node/api"
	"caucus/node/nodetest"
)

// fill writes a row into the form.
func (b *browser) fill(row ...float64) {
	b.t.Helper()
	for j, x := range row {
		eval[any](b, fmt.Sprintf(`document.getElementById("feature%d").value = %v; 1`, j, x))
	}
}

// weightsOf returns what the page says that each member weighs, by id.
func (b *browser) weightsOf() map[string]string {
	return eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll("#weights tbody tr")].map((r) => [r.dataset.member, r.querySelector(".weight").textContent]))`)
}

func TestInABrowserALabelShowsWhoWasRightAndMovesTheWeights(t *testing.T) {
	chromium(t)
	members := nodetest.Start(t, 3, unhurried,
		nodetest.ModelOf(0, nodetest.Constant("always-setosa", 0)), nodetest.ModelOf(1, nodetest.Constant("always-virginica", 2)), nodetest.ModelOf(2, nodetest.Constant("also-virginica", 2)))
	b := open(t, members[0].URL+"/", 1280)
	b.wait(`document.querySelectorAll("#weights tbody tr").length === 3`)
	b.wait(`/No labels yet/.test(document.getElementById("learning-line").textContent)`)
	before := b.weightsOf()

	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.querySelectorAll("#truth .picker button").length === 3`)
	b.wait(`document.querySelectorAll(".review-line").length === 1`)
	b.do(chromedp.Click(chromedp.CSS("#truth .picker button:nth-child(1)"))) // it is a setosa
	b.wait(`document.querySelectorAll("#truth .moves tbody tr").length === 3`)
	b.wait(`document.querySelectorAll(".review-line").length === 0`)

	told, err := members[0].Client.Weights(t.Context())
	if err != nil || told.Labels != 1 {
		t.Fatal(told, err)
	}
	b.wait(`/1 labelled row\./.test(document.getElementById("learning-line").textContent)`)
	after := b.weightsOf()
	for i, m := range members {
		id := string(m.ID())
		line := eval[string](b, `document.querySelector('.moves tr[data-member="`+id+`"]').innerText`)
		want, way := []string{"right", "said virginica", "said virginica"}[i], []string{"▲", "▼", "▼"}[i]
		if !strings.Contains(line, want) || !strings.Contains(line, way) || !strings.Contains(line, before[id]+" → "+after[id]) {
			t.Errorf("of %s it says %q; want %s, %s, %s → %s", m.Name(), line, want, way, before[id], after[id])
		}
		if before[id] == after[id] {
			t.Errorf("%s weighs %s before and after", m.Name(), after[id])
		}
		for _, w := range told.Members {
			if w.ID == id && fmt.Sprintf("%.2f", w.Weight.Float()) != after[id] {
				t.Errorf("%s weighs %v, the page says %s", m.Name(), w.Weight.Float(), after[id])
			}
		}
	}

	// A label given elsewhere moves them too, without a word from this page.
	if _, err := members[1].Client.Feedback(t.Context(), [][]float64{{6.5, 3, 5.8, 2.2}}, []string{"virginica"}); err != nil {
		t.Fatal(err)
	}
	b.wait(`/2 labelled rows\./.test(document.getElementById("learning-line").textContent)`)

	// In the queue, too, one click is enough.
	b.fill(6, 2.8, 4.9, 1.7)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.querySelectorAll(".review-line").length === 1`)
	b.do(chromedp.Click(chromedp.CSS(".review-line .picker button:nth-child(2)")))
	b.wait(`document.querySelectorAll(".review-line").length === 0 && document.querySelectorAll("#review-lesson .moves tbody tr").length === 3`)
	b.wait(`/3 labelled rows\./.test(document.getElementById("learning-line").textContent)`)
	if !eval[bool](b, `document.activeElement.id === "review-lesson"`) {
		t.Error("the focus is lost with the line that had it")
	}
	for _, width := range []int64{1280, 390} {
		b.do(chromedp.EmulateViewport(width, 900))
		if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("at %d pixels the page is %d too wide", width, over)
		}
	}
	b.clean(strings.TrimPrefix(members[0].URL, "http://"))
}

func TestInABrowserVotesAppearWhileOthersAreOut(t *testing.T) {
	chromium(t)
	release := make(chan struct{})
	members := nodetest.Start(t, 3, unhurried,
		nodetest.ModelOf(0, nodetest.Constant("quick", 0)), nodetest.ModelOf(1, nodetest.Constant("second", 0)), nodetest.ModelOf(2, nodetest.Hanging("slow", release)))
	letGo := func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}
	t.Cleanup(letGo)
	b := open(t, members[0].URL+"/", 1280)
	b.wait(`document.getElementById("live").textContent === "live"`)
	b.wait(`document.querySelectorAll("#member-list tbody tr").length === 3`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`document.querySelectorAll(".votes .heard").length === 2 && document.querySelectorAll(".votes .waiting").length === 1`)
	b.wait(`/Decided: whatever the last one says, it stays setosa/.test(document.getElementById("so-far").textContent)`)
	if eval[bool](b, `document.getElementById("decided") !== null`) {
		t.Error("the answer is shown as final while it is not")
	}
	if said := eval[string](b, `document.querySelector(".tally").innerText`); !strings.Contains(said, "100") {
		t.Errorf("the tally so far: %q", said)
	}
	letGo()
	b.wait(`document.getElementById("decided")?.textContent === "setosa" && document.querySelectorAll(".votes .heard").length === 3`)

	// What others ask at this node is shown if the reader wants it.
	b.wait(`!document.getElementById("map-area").hasAttribute("aria-busy")`)
	b.do(chromedp.Click(chromedp.CSS("#follow")))
	if _, err := members[0].Client.Consensus(t.Context(), []float64{6.5, 3, 5.8, 2.2}, api.ConsensusOptions{Method: "soft", Wait: "all"}); err != nil {
		t.Fatal(err)
	}
	b.wait(`/Tally: soft/.test(document.querySelector(".tally").innerText) && document.getElementById("decided")`)
	b.clean(strings.TrimPrefix(members[0].URL, "http://"))
}

func TestInABrowserTooFewVotesAreNoAnswerAndLongNamesFit(t *testing.T) {
	chromium(t)
	members := nodetest.Start(t, 3, func(i int, cfg *node.Config) {
		cfg.Data = "../../ml/testdata/wine.csv"
		cfg.Name = fmt.Sprintf("a-name-that-is-as-long-as-names-can-be-in-a-cluster-like-this-%d", i)[:62] + fmt.Sprint(i)
		cfg.PeerTimeout, cfg.Deadline = nodetest.Patience/2, nodetest.Patience
	})
	b := open(t, members[0].URL+"/", 390)
	b.wait(`document.querySelectorAll("#fields input").length === 13`)
	for _, m := range members[1:] {
		m.Kill()
		b.wait(`[...document.querySelectorAll("#member-list tr")].some((r) => r.innerText.includes("` + m.Name() + `") && /failed/.test(r.innerText))`)
	}
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`/too few voted/.test(document.getElementById("trust")?.innerText)`)
	said := eval[string](b, `document.getElementById("trust").innerText`)
	for _, want := range []string{"Those who voted lean to class_", "caucus forget", "tick that under How to count"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %q", want, said)
		}
	}
	b.wait(`/no answer/.test(document.querySelector(".round-list summary")?.innerText)`)
	eval[any](b, `document.querySelectorAll("details").forEach((d) => d.open = true); document.getElementById("minority").checked = true; 1`)
	b.do(chromedp.Click(chromedp.CSS("#submit")))
	b.wait(`/Not to be trusted/.test(document.getElementById("trust")?.innerText)`)
	if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		t.Errorf("on a phone the page is %d pixels too wide", over)
	}
}
