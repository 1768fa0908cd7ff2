package consensus

// How a tie was broken, in Result.TieBreak.
const (
	ByProbabilities = "probabilities" // the larger sum of given probabilities
	ByHeaviest      = "heaviest voter"
	ByClassOrder    = "class order"
)

// Result is the outcome of a round.
type Result struct {
	Status       Status
	Method       Method       // what the votes were counted by: the rule's, or Majority if all counted votes weigh nothing
	Label        int          // -1 if nobody voted
	Sums         []int64      // by class, in Millionths (of votes, weight or weighted probability)
	Shares       []Millionths // Sums over their total
	Outcomes     []Outcome    // of the invited, in id order
	Invited      int
	Counted      int
	Agreeing     int // counted votes for Label
	Failed       int // invited members whose outcome is a failure
	Outstanding  int // invited members still pending
	Quorum       int
	Certain      bool // no outstanding vote can change the label, and quorum holds
	Tie          bool
	TieBreak     string // ByProbabilities, ByHeaviest or ByClassOrder; empty without a tie
	Tied         []int  // the classes with equal sums, in class order
	Margin       Millionths
	Entropy      float64  // of Shares, 0..1, in whole millionths
	Disagreement float64  // entropy of the votes if each counted one, whatever they weigh; 0..1
	Unanimous    bool     // somebody voted, and nobody for another label
	Dissenters   []string // voters of other labels, in id order
	Effective    float64  // effective voters, (sum w)^2 / sum w^2 over the voices counted
}
