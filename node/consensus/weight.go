package consensus

// MinSkill and MaxSkill are the ends to which a skill is clipped: nobody is so good, or so
// bad, that one vote could outweigh any number of others.
const (
	MinSkill = One / 100
	MaxSkill = One * 99 / 100
)

// SkillOf returns s = (correct+2)/(total+3), clipped to MinSkill..MaxSkill: the share of
// labelled rows that a member had right, as if it had answered three more and had two of
// them right. So a member without evidence counts 2/3.
func SkillOf(correct, total int) Millionths {
	return clamp(Millionths(divide(int64(correct+2)*int64(One), int64(total+3))), MinSkill, MaxSkill)
}

// WeightOf returns w = max(0, ln(s(K-1)/(1-s))) with the s of SkillOf before it is rounded:
// the log-odds by which one such vote moves belief, if members err independently and evenly
// over the other classes (Nitzan and Paroush 1982). A member no better than chance, s <= 1/K,
// weighs nothing, and so does everybody in a task of one class.
func WeightOf(correct, total, classes int) Millionths {
	right, wrong := int64(correct+2), int64(total-correct+1) // s = right/(right+wrong)
	switch all := right + wrong; {
	case 100*right > 99*all:
		right, wrong = 99, 1
	case 100*right < all:
		right, wrong = 1, 99
	}
	right *= int64(classes - 1)
	if right <= wrong {
		return 0
	}
	return min(ToMillionths(ln(float64(right)/float64(wrong))), MaxWeight)
}

// voices numbers the members that share a model: those with equal fingerprints get one
// number above 0, in the order of peers, and those with a model of their own, or with no
// fingerprint, get 0. size is how many share a member's model, 1 if nobody does.
func voices(peers []Peer) (voice, size []int) {
	voice, size = make([]int, len(peers)), make([]int, len(peers))
	with := map[string]int{}
	for _, p := range peers {
		with[p.Fingerprint]++
	}
	numbers := map[string]int{}
	for i, p := range peers {
		size[i] = 1
		if p.Fingerprint == "" || with[p.Fingerprint] < 2 {
			continue
		}
		if numbers[p.Fingerprint] == 0 {
			numbers[p.Fingerprint] = len(numbers) + 1
		}
		voice[i], size[i] = numbers[p.Fingerprint], with[p.Fingerprint]
	}
	return voice, size
}
