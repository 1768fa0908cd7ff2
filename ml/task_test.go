package ml_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"caucus/ml"
)

func mustTask(t testing.TB, features, labels []string) ml.Task {
	t.Helper()
	task, err := ml.NewTask("test", features, labels)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestLabelsAreSorted(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []string
	}{
		{"as numbers when all are numbers", []string{"10", "9", "-1", "2.5"}, []string{"-1", "2.5", "9", "10"}},
		{"as text when one is not a number", []string{"10", "9", "x"}, []string{"10", "9", "x"}},
		{"as text when one is not finite", []string{"inf", "10", "9"}, []string{"10", "9", "inf"}},
		{"equal numbers stay two labels, by bytes", []string{"1.0", "2", "1"}, []string{"1", "1.0", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := slices.Clone(c.in)
			task := mustTask(t, []string{"a"}, c.in)
			if !slices.Equal(task.Labels, c.want) {
				t.Errorf("got %q, want %q", task.Labels, c.want)
			}
			if !slices.Equal(c.in, given) {
				t.Error("the caller's slice was sorted")
			}
			for i, l := range c.want {
				if task.Index(l) != i {
					t.Errorf("Index(%q) = %d, want %d", l, task.Index(l), i)
				}
			}
			if task.Index("no such label") != -1 {
				t.Error("an unknown label has an index")
			}
		})
	}
}

func TestNewTaskRefuses(t *testing.T) {
	ab, many := []string{"a", "b"}, make([]string, ml.MaxLabels+1)
	for i := range many {
		many[i] = strings.Repeat("x", i%200+1) + string(rune('a'+i/200))
	}
	for _, c := range []struct {
		name             string
		features, labels []string
		want             string
	}{
		{"no feature", nil, ab, "at least one feature"},
		{"one label", ab, []string{"a"}, "at least two labels"},
		{"a feature twice", []string{"f", "g", "f"}, ab, `"f" is there twice (1 and 3)`},
		{"a label twice", ab, []string{"a", "a"}, `label "a" is there twice`},
		{"an empty name", []string{""}, ab, "is empty"},
		{"a control character", []string{"a\x1b[31m"}, ab, "control character"},
		{"a name that is not UTF-8", []string{"\xff"}, ab, "UTF-8"},
		{"a very long name", []string{strings.Repeat("n", 1000)}, ab, "1000 bytes"},
		{"too many labels", ab, many, "at most 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ml.NewTask("t", c.features, c.labels)
			if !errors.Is(err, ml.ErrData) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestDigestIsOfFeaturesAndLabelsInOrder(t *testing.T) {
	base := mustTask(t, []string{"a", "b"}, []string{"x", "y"})
	renamed := base
	renamed.Name = "another"
	if renamed.Digest() != base.Digest() {
		t.Error("the name counts")
	}
	seen := map[[32]byte]string{base.Digest(): "the task itself"}
	for name, other := range map[string]ml.Task{
		"features in another order":  mustTask(t, []string{"b", "a"}, []string{"x", "y"}),
		"one feature more":           mustTask(t, []string{"a", "b", "c"}, []string{"x", "y"}),
		"a label more":               mustTask(t, []string{"a", "b"}, []string{"x", "y", "z"}),
		"names that join alike":      mustTask(t, []string{"ab"}, []string{"x", "y"}),
		"a label among the features": mustTask(t, []string{"a", "b", "x"}, []string{"y", "z"}),
	} {
		if was, dup := seen[other.Digest()]; dup {
			t.Errorf("%s has the digest of %s", name, was)
		}
		seen[other.Digest()] = name
	}
}

func TestCheckNamesValueAndFeature(t *testing.T) {
	task := mustTask(t, []string{"length", "width"}, []string{"x", "y"})
	for _, c := range []struct {
		name string
		row  []float64
		is   error
		want string
	}{
		{"right", []float64{1, -2}, nil, ""},
		{"the largest number is finite", []float64{math.MaxFloat64, -math.MaxFloat64}, nil, ""},
		{"too few", []float64{1}, ml.ErrShape, "want 2 (length, width), got 1"},
		{"too many", []float64{1, 2, 3}, ml.ErrShape, "got 3"},
		{"none", nil, ml.ErrShape, "got 0"},
		{"not a number", []float64{1, math.NaN()}, ml.ErrNotFinite, "width (feature 1) is NaN"},
		{"infinite", []float64{math.Inf(-1), 1}, ml.ErrNotFinite, "length (feature 0) is -Inf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := task.Check(c.row)
			if !errors.Is(err, c.is) || (c.is == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, c.is)
			}
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestDiffSaysWhatDiffers(t *testing.T) {
	base := mustTask(t, []string{"a", "b", "c"}, []string{"x", "y"})
	for _, c := range []struct {
		name             string
		features, labels []string
		want             []string
	}{
		{"nothing", []string{"a", "b", "c"}, []string{"x", "y"}, nil},
		{"another name", []string{"a", "z", "c"}, []string{"x", "y"}, []string{`feature 2 is "z", not "b"`}},
		{"two swapped", []string{"b", "a", "c"}, []string{"x", "y"}, []string{`feature "a" is number 2, not 1`, `feature "b" is number 1, not 2`}},
		{"one missing", []string{"a", "b"}, []string{"x", "y"}, []string{"it has 2 features, not 3", `feature "c" is missing`}},
		{"one more", []string{"a", "b", "c", "d"}, []string{"x", "y"}, []string{"it has 4 features, not 3", `feature "d" is not known here`}},
		{"other labels", []string{"a", "b", "c"}, []string{"x", "z"}, []string{`label 2 is "z", not "y"`}},
		{"one more label", []string{"a", "b", "c"}, []string{"x", "y", "z"}, []string{"it has 3 labels, not 2", `label "z" is not known here`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := base.Diff(mustTask(t, c.features, c.labels))
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// Equal digests and an empty Diff must be the same thing: nodes vote together by the one
// and explain themselves by the other.
func TestDiffIsEmptyExactlyWhenDigestsAreEqual(t *testing.T) {
	sets := [][]string{{"a", "b"}, {"b", "a"}, {"a"}, {"a", "b", "c"}, {"c", "b"}, {"ab"}, {"d", "a", "b"}}
	for _, f := range sets {
		for _, g := range sets {
			one, two := mustTask(t, f, []string{"x", "y"}), mustTask(t, g, []string{"x", "y"})
			if same := one.Digest() == two.Digest(); same != (len(one.Diff(two)) == 0) {
				t.Errorf("%v and %v: same %v, diff %q", f, g, same, one.Diff(two))
			}
		}
	}
}
