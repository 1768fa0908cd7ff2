package ml

import (
	"context"
	"errors"
)

func fitSVM(context.Context, Task, *Dataset, FitOptions) (Model, error) {
	return nil, errors.New("ml: svm is being built; use knn")
}

func fitTree(context.Context, Task, *Dataset, FitOptions) (Model, error) {
	return nil, errors.New("ml: tree is being built; use knn")
}
