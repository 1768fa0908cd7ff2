package assess

import "caucus/node/consensus"

// Bins is how many bins of confidence there are, all equally wide.
const Bins = 10

// Calibration is whether probabilities mean what they say.
type Calibration struct {
	Rows int `json:"rows"` // with probabilities
	// Brier is the mean over rows of the sum over classes of (p - y)^2, y being 1 for the
	// row's class and 0 for the others (Brier 1950): 0 is perfect, 2 is sure and always wrong.
	Brier float64 `json:"brier"`
	// ECE is the expected calibration error: the mean over rows of how far the share of right
	// labels in a row's bin is from the mean confidence there.
	ECE  float64 `json:"ece"`
	Bins []Bin   `json:"bins"` // those with rows, rising
}

// Bin holds the rows whose confidence, the probability of the label given, is above From and at most To.
type Bin struct {
	From       float64 `json:"from"`
	To         float64 `json:"to"`
	Rows       int     `json:"rows"`
	Confidence float64 `json:"confidence"` // mean
	Accuracy   float64 `json:"accuracy"`
}

// calibrate measures the rows with label and probabilities; nil if there are none.
func calibrate(actual []int, s *Said) *Calibration {
	type sum struct{ rows, right, confidence int64 }
	var bins [Bins]sum
	var c Calibration
	squares := 0.0
	for i, p := range s.Probabilities {
		if len(p) == 0 || s.Labels[i] < 0 {
			continue
		}
		c.Rows++
		for k, x := range p {
			d := x.Float()
			if k == actual[i] {
				d--
			}
			squares += float64(d * d)
		}
		own := p[s.Labels[i]]
		b := &bins[binOf(own)]
		b.rows++
		b.confidence += int64(own)
		if s.Labels[i] == actual[i] {
			b.right++
		}
	}
	if c.Rows == 0 {
		return nil
	}
	c.Brier = squares / float64(c.Rows)
	for i, b := range bins {
		if b.rows == 0 {
			continue
		}
		x := Bin{
			From: float64(i) / Bins, To: float64(i+1) / Bins, Rows: int(b.rows),
			Confidence: float64(b.confidence) / float64(b.rows) / float64(consensus.One),
			Accuracy:   float64(b.right) / float64(b.rows),
		}
		c.Bins = append(c.Bins, x)
		c.ECE += float64(b.rows) / float64(c.Rows) * max(x.Accuracy-x.Confidence, x.Confidence-x.Accuracy)
	}
	return &c
}

// binOf returns the place of a probability: i for what is above i/Bins and at most (i+1)/Bins,
// 0 for 0.
func binOf(p consensus.Millionths) int {
	b := (int64(p)*Bins+int64(consensus.One)-1)/int64(consensus.One) - 1
	return int(max(0, min(b, Bins-1)))
}
