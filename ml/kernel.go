package ml

import "math"

// kernel is the inner product that an SVM works with.
type kernel struct {
	rbf   bool
	gamma float64 // rbf: exp(-gamma |a-b|^2)
}

func (k kernel) of(a, b []float64) float64 {
	if k.rbf {
		return math.Exp(-float64(k.gamma * squaredDistance(a, b)))
	}
	return dot(a, b)
}

// dot is the inner product of two vectors of the same length. Four sums side by side do
// not wait for one another, as one would.
func dot(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		s0 += float64(a[0] * b[0])
		s1 += float64(a[1] * b[1])
		s2 += float64(a[2] * b[2])
		s3 += float64(a[3] * b[3])
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += float64(v * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// squaredDistance is that of two vectors of the same length.
func squaredDistance(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		s0 += float64(d0 * d0)
		s1 += float64(d1 * d1)
		s2 += float64(d2 * d2)
		s3 += float64(d3 * d3)
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		d := v - b[i]
		s0 += float64(d * d)
	}
	return (s0 + s1) + (s2 + s3)
}

// kernelCacheBytes is what one solver keeps of the kernel matrix.
const kernelCacheBytes = 128 << 20

// kernelRows computes rows of the kernel matrix of some vectors, and keeps those used
// last. It belongs to one goroutine.
type kernelRows struct {
	kernel   kernel
	x        []float64 // row-major
	features int
	n        int
	rows     [][]float64 // by vector; nil if not kept
	most     int         // rows to keep, at least 2: a step of SMO needs two at once
	kept     int
	before   []int32 // circle of the kept rows by last use, through a sentinel at n
	after    []int32
}

func newKernelRows(k kernel, x []float64, features int) *kernelRows {
	n := len(x) / features
	c := &kernelRows{
		kernel: k, x: x, features: features, n: n, rows: make([][]float64, n),
		most: max(2, kernelCacheBytes/(8*max(n, 1))), before: make([]int32, n+1), after: make([]int32, n+1),
	}
	c.before[n], c.after[n] = int32(n), int32(n)
	return c
}

func (c *kernelRows) vector(i int) []float64 {
	return c.x[i*c.features : (i+1)*c.features : (i+1)*c.features]
}

// row returns K(i, 0..n-1), valid until two other rows have been asked for.
func (c *kernelRows) row(i int) []float64 {
	r := c.rows[i]
	if r != nil {
		c.unlink(i)
	} else {
		if c.kept == c.most {
			oldest := int(c.after[c.n])
			c.unlink(oldest)
			r, c.rows[oldest] = c.rows[oldest], nil
		} else {
			r = make([]float64, c.n)
			c.kept++
		}
		v := c.vector(i)
		for j := range r {
			r[j] = c.kernel.of(v, c.vector(j))
		}
		c.rows[i] = r
	}
	last := c.before[c.n]
	c.before[i], c.after[i] = last, int32(c.n)
	c.after[last], c.before[c.n] = int32(i), int32(i)
	return r
}

// subtract takes coef K(i, k) from f[k] for some k, and keeps no row for it.
func (c *kernelRows) subtract(f []float64, coef float64, i int, some []int32) {
	if r := c.rows[i]; r != nil {
		for _, k := range some {
			f[k] -= float64(coef * r[k])
		}
		return
	}
	v := c.vector(i)
	for _, k := range some {
		f[k] -= float64(coef * c.kernel.of(v, c.vector(int(k))))
	}
}

func (c *kernelRows) unlink(i int) {
	b, a := c.before[i], c.after[i]
	c.after[b], c.before[a] = a, b
}
