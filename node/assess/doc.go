// Package assess says how well members and methods did on labelled rows, and how sure that is.
// It is pure: no I/O, clock or log, and the same input gives the same report on every machine,
// whatever its number of processors.
//
// A Sheet gathers batches: what each row is, and every member's vote on it. For each batch the
// methods are counted again from those votes with the rules and weights of package consensus,
// the code by which nodes count, so one question to a cluster tells what all of its methods
// would have answered; the answer that the node itself gave to the method asked for is held
// against the recount. Report then works out, for every member and method:
//
//   - accuracy, with a 95 % interval from bootstrap over rows (BCa, Efron 1987), rows being
//     drawn for all contestants together, so that differences are paired;
//   - precision, recall, F1 and the confusion matrix, from package ml;
//   - calibration: the Brier score over all classes, the expected calibration error, and the
//     bins of the reliability curve;
//
// for each pair of members how often they agree and Cohen's kappa; and for each method
// whether it is better than the best single member: the paired interval of the difference,
// McNemar's exact test, and a verdict in words. Of several methods some would look better by
// luck, so p values are corrected by Holm's procedure over the methods that answered differently.
package assess
