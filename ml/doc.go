// Package ml holds what is predicted and what predicts it: the task, data sets
// and their checks, the models, and their evaluation. It is the only package that
// knows golearn. It imports nothing else of this module.
//
// # Tasks and rows
//
// A [Task] fixes the order of features and of labels. A row is one float64 per
// feature, in that order and in the units of the training data (Iris: centimetres).
// A class is an index into Task.Labels, which are sorted: numerically when all are
// finite numbers, else as bytes.
//
// # Models
//
//   - knn: k nearest neighbours by brute force over one flat array.
//   - randforest: bootstrap, sqrt(features) drawn at each split, Gini, mean of leaf shares.
//   - svm: C-SVC by SMO, linear or RBF, one against one, Platt scaling.
//   - tree: golearn's CART, compiled to a flat array.
//
// [Fit] is the only constructor, so a model that is not fitted cannot exist. A fitted
// model is immutable: Predict takes no lock and, once warm, allocates nothing.
//
// # Seeds
//
// All chance comes from ChaCha8 seeded by the caller. The same data, options and seed
// give the same model, whatever the number of cores: every parallel part has a
// generator of its own. Floating-point products are rounded before they are added (the
// explicit float64 conversions), so no processor fuses them; except for
// math.Exp and math.Log, the arithmetic is the same everywhere.
//
// # Sources
//
// Iris: Fisher 1936. KNN: Cover and Hart 1967. Forest: Breiman 2001. C-SVC: Cortes
// and Vapnik 1995; working sets: Fan, Chen, Lin 2005; probabilities: Platt 2000, Lin,
// Lin, Weng 2007 and Wu, Lin, Weng 2004. CART: Breiman, Friedman, Olshen, Stone 1984.
package ml
