package assess

// Pair is how two members compare on the rows that both voted on.
type Pair struct {
	A     string   `json:"a"` // ids
	B     string   `json:"b"`
	Rows  int      `json:"rows"`  // that both voted on
	Agree float64  `json:"agree"` // share of these with the same label from both
	Kappa *float64 `json:"kappa"` // Cohen's; null without rows, or if chance alone makes them agree always
}

// pair compares two members (Cohen 1960, A coefficient of agreement for nominal scales): kappa
// is (po-pe)/(1-pe), po being how often they agree and pe how often they would if each gave
// its labels as often as it does but without looking at the row.
func pair(classes int, a, b []int) Pair {
	var out Pair
	of := [2][]int{make([]int, classes), make([]int, classes)}
	same := 0
	for i := range a {
		if a[i] < 0 || b[i] < 0 {
			continue
		}
		out.Rows++
		of[0][a[i]]++
		of[1][b[i]]++
		if a[i] == b[i] {
			same++
		}
	}
	if out.Rows == 0 {
		return out
	}
	n := float64(out.Rows)
	out.Agree = float64(same) / n
	chance := 0 // times n squared; exact
	for k := range classes {
		chance += of[0][k] * of[1][k]
	}
	if chance < out.Rows*out.Rows {
		pe := float64(chance) / (n * n)
		kappa := (out.Agree - pe) / (1 - pe)
		out.Kappa = &kappa
	}
	return out
}
