package consensus

// Method is how votes are combined.
type Method uint8

// The methods.
const (
	Auto     Method = iota // the rule that the evidence favours; majority until there is some
	Majority               // one member, one vote
	Weighted               // the sum of weights by label
	Soft                   // the weighted mean of probabilities
	EM                     // one-coin Dawid-Skene; batches only

	methods
)

var methodNames = [methods]string{Auto: "auto", Majority: "majority", Weighted: "weighted", Soft: "soft", EM: "em"}

// ParseMethod reads a name such as "soft". The error lists the names there are.
func ParseMethod(name string) (Method, error) {
	i, err := parseName(methodNames[:], name, "method")
	return Method(i), err
}

// String returns the name on the wire.
func (m Method) String() string { return nameOf(methodNames[:], int(m), "method") }

// MarshalText returns the name on the wire; it fails on a value that is not a method.
func (m Method) MarshalText() ([]byte, error) { return marshalName(methodNames[:], int(m), "method") }

// UnmarshalText reads a name on the wire.
func (m *Method) UnmarshalText(text []byte) error {
	v, err := ParseMethod(string(text))
	if err != nil {
		return err
	}
	*m = v
	return nil
}

// Status is how a round ended.
type Status uint8

// The statuses.
const (
	Undecided Status = iota // quorum may yet be reached
	StatusOK                // nobody failed
	Degraded                // quorum, but someone failed
	StatusTie               // equal sums; the label is the tie-break's
	Minority                // below quorum, and the caller allowed it
	Single                  // a node that was never given a peer
	NoQuorum                // below quorum: an error, with a provisional label

	statuses
)

var statusNames = [statuses]string{
	Undecided: "undecided", StatusOK: "ok", Degraded: "degraded", StatusTie: "tie",
	Minority: "minority", Single: "single", NoQuorum: "no_quorum",
}

// String returns the name on the wire.
func (s Status) String() string { return nameOf(statusNames[:], int(s), "status") }

// MarshalText returns the name on the wire; it fails on a value that is not a status.
func (s Status) MarshalText() ([]byte, error) { return marshalName(statusNames[:], int(s), "status") }

// UnmarshalText reads a name on the wire.
func (s *Status) UnmarshalText(text []byte) error {
	i, err := parseName(statusNames[:], string(text), "status")
	if err != nil {
		return err
	}
	*s = Status(i)
	return nil
}
