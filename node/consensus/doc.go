// Package consensus is the pure function from a rule, the invited members and
// their votes to an outcome, and from evidence to the weights of later votes. It does no
// I/O, reads no clock, draws no random number and logs nothing, so that equal inputs give
// equal outcomes on every node and every processor.
//
// # Counting
//
// A round has n invited members, fixed when it starts, and K classes. Member j's vote is a
// label y_j and perhaps probabilities p_jk; it weighs w_j. Probabilities and weights are
// whole numbers of millionths, and so are the sums:
//
//	majority   S_k = how many y_j are k
//	weighted   S_k = the sum of w_j over those whose y_j is k
//	soft       S_k = the sum of w_j p_jk, each product rounded to millionths; a voter without
//	           probabilities counts as s_j for its label and (1-s_j)/(K-1) for each other
//
// The label is the class with the largest sum.
//
// Quorum: votes counted >= max(wanted, floor(n/2)+1). Only valid votes count; abstentions,
// failures and silence do not, and none of them lowers n.
//
// Tie: equal sums. Broken by the larger sum of the probabilities that voters gave, then for
// the side whose heaviest voter is heavier than any on the other sides, then by class order.
// Never by arrival, and never for the node that was asked.
//
// Weightless: if all that were counted weigh nothing, their votes count one each.
//
// Early decision: let R be the weight of those who have neither voted nor failed, and L the
// leader. Once quorum holds and S_L - S_k > R for every other k, no vote can change the
// label: a member that votes k instead of L moves the gap by its weight, and none can do
// more, hard or soft. At equality one waits, since a tie could come of it.
//
// Confidence: shares are S_k over their sum; the margin is the label's share less the next
// one; entropy is -sum share ln share / ln K; effective voters are (sum w)^2 / sum w^2 over
// voices (Kish 1965), so four copies of a model beside three others are at most four.
//
// # Weights
//
// With c right of n labelled rows, a member's skill is s = (c+2)/(n+3), clipped to
// 0.01..0.99, and its weight is w = max(0, ln(s(K-1)/(1-s))): optimal for members that err
// independently (Nitzan and Paroush 1982). Members with one fingerprint share one weight.
// Learn derives all this from evidence; see there for which labels and votes count.
//
// Auto is the majority until there are 10 labelled rows, and then the expert, of majority,
// weighted, soft and each member, that has lost least in the Hedge table. The table's
// mixture loses at most 2 sqrt((T/2) ln R) + sqrt(ln R / 8) more on T rows than the best of
// its R experts, whatever happens (Cesa-Bianchi and Lugosi 2006). That holds for the
// mixture; following its best expert has no such bound, but did as well in simulations.
//
// EM estimates skills and truth from a batch without labels; see FitEM for its gates.
//
// # A worked example
//
// On ten labelled rows of three classes knn was right on 9, randforest on 8, svm on 5:
//
//	knn         s = 11/13 = 0.846154   w = ln(11 x 2/2) = 2.397895
//	randforest  s = 10/13 = 0.769231   w = ln(10 x 2/3) = 1.897120
//	svm         s =  7/13 = 0.538462   w = ln( 7 x 2/6) = 0.847298
//
// Now knn says versicolor and randforest says setosa. Two of three are a quorum, but
// versicolor leads by 2.397895 - 1.897120 = 0.500775, and svm still weighs 0.847298: not
// certain. Svm says setosa, so setosa wins, 2.744418 against 2.397895: its share is
// 0.533693, the margin 0.067387. Had randforest said versicolor too, its lead of 4.295015
// would have been certain without svm. The package's example computes this.
package consensus
