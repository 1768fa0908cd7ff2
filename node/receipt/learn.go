package receipt

import (
	"caucus/cluster/evidence"
	"caucus/node/consensus"
)

// Learn works out what evidence says of members: the one definition of how records
// become weights, for the node that counts and for whoever checks it. A nil snapshot is no
// evidence. The peers' fingerprints are those of their models, 32 bytes as a string.
//
// Only votes by the model that a member has now count: skill is a model's, and who puts
// another model in its place has to earn its weight anew.
func Learn(classes int, peers []consensus.Peer, s *evidence.Snapshot) (*consensus.Basis, error) {
	if s == nil {
		return consensus.Learn(classes, peers, nil)
	}
	basis, err := consensus.Learn(classes, peers, recordsOf(s, peers))
	if err != nil {
		return nil, err
	}
	for _, q := range s.Equivocations() {
		for i := range basis.Members {
			if basis.Members[i].ID == string(q.Voter) {
				basis.Members[i].TwoFaced = true
			}
		}
	}
	basis.Disputed = s.Disputed()
	return basis, nil
}

// recordsOf puts the labelled rows into the form that weights are learnt from, one record a row.
func recordsOf(s *evidence.Snapshot, peers []consensus.Peer) []consensus.Record {
	models := make(map[string]string, len(peers))
	for _, p := range peers {
		models[p.ID] = p.Fingerprint
	}
	rows := s.Rows()
	records := make([]consensus.Record, len(rows))
	for i := range rows {
		row := &rows[i]
		// Which label stands has been settled among the labellers, so one speaks for all.
		r := consensus.Record{Row: row.Key.Digest(), Label: row.Label, Votes: make([]consensus.Vote, 0, len(row.Votes))}
		for j := range row.Votes {
			v := &row.Votes[j]
			if model, member := models[string(v.Voter)]; !member || model != string(v.Fingerprint[:]) {
				continue
			}
			vote := consensus.Vote{Voter: string(v.Voter), Outcome: consensus.OK, Label: v.Label}
			for _, p := range v.Probabilities {
				vote.Probabilities = append(vote.Probabilities, consensus.Millionths(p))
			}
			r.Votes = append(r.Votes, vote)
		}
		records[i] = r
	}
	return records
}

// DigestOf is the digest of the evidence as receipts and replies have it: zeros if
// nothing counts.
func DigestOf(s *evidence.Snapshot) Digest {
	if s == nil || s.Records() == 0 {
		return Digest{}
	}
	return s.Digest()
}
