package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Rising numbers, positions of records and numbers of blocks, are written as
// their distances, and distances by Rice's code: with a parameter k that is
// chosen for the whole column, g is g>>k zero bits, a one bit and the k lower
// bits of g. Places that lie at random have distances of a geometric
// distribution, for which no code of whole bits is shorter by more than 0.1
// bits a number. Bits fill bytes from the lowest on.

// maxRice bounds k, so that the lower bits come out of one load.
const maxRice = 56

// bitWriter appends bits to out.
type bitWriter struct {
	out []byte
	acc uint64
	n   uint // bits in acc, below 8 between calls
}

// put appends the lowest n bits of v, n at most 56; v has no others.
func (w *bitWriter) put(v uint64, n uint) {
	w.acc |= v << w.n
	w.n += n
	for w.n >= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
		w.n -= 8
	}
}

func (w *bitWriter) rice(g uint64, k uint) {
	q := g >> k
	for ; q >= 48; q -= 48 {
		w.put(0, 48)
	}
	w.put(1<<q, uint(q)+1)
	w.put(g&(1<<k-1), k)
}

// close gives what was written, its last byte filled up with zero bits.
func (w *bitWriter) close() []byte {
	if w.n > 0 {
		w.out = append(w.out, byte(w.acc))
	}
	return w.out
}

// riceFor gives the parameter that makes gaps shortest. Their sum is below
// 2^60.
func riceFor(gaps []uint64) uint {
	var total uint64
	for _, g := range gaps {
		total += g
	}
	top := uint(bits.Len64(total / uint64(max(len(gaps), 1))))
	var best uint
	least := uint64(1<<64 - 1)
	for k := top - min(top, 5); k <= min(top, maxRice); k++ {
		size := uint64(len(gaps)) * uint64(k+1)
		for _, g := range gaps {
			size += g >> k
		}
		if size < least {
			best, least = k, size
		}
	}
	return best
}

// bitReader takes bits from in. What lies beyond its end reads as zeros, which
// is found out afterwards.
type bitReader struct {
	in  []byte
	acc uint64
	n   uint // bits in acc
}

var errBits = errors.New("a column ends too early or too late")

// fill makes n at least 56 while there is input.
func (r *bitReader) fill() {
	if len(r.in) >= 8 {
		r.acc |= binary.LittleEndian.Uint64(r.in) << r.n
		took := (63 - r.n) >> 3
		r.in = r.in[took:]
		r.n += took * 8
		return
	}
	for len(r.in) > 0 && r.n <= 56 {
		r.acc |= uint64(r.in[0]) << r.n
		r.in = r.in[1:]
		r.n += 8
	}
}

// rice reads one number, at most limit. It takes no longer than the bits that
// it reads.
func (r *bitReader) rice(k uint, limit uint64) (uint64, error) {
	var q uint64
	for {
		r.fill()
		// Above n, acc may hold bits that are read again by the next fill.
		zeros := uint(bits.TrailingZeros64(r.acc))
		if zeros < r.n {
			q += uint64(zeros)
			r.acc >>= zeros
			r.acc >>= 1 // zeros may be 63
			r.n -= zeros + 1
			break
		}
		if r.n == 0 {
			return 0, errBits
		}
		q += uint64(r.n)
		r.acc, r.n = 0, 0
	}
	if r.n < k {
		if r.fill(); r.n < k {
			return 0, errBits
		}
	}
	low := r.acc & (1<<k - 1)
	r.acc >>= k
	r.n -= k
	if q > limit>>k {
		return 0, errBits
	}
	if g := q<<k | low; g <= limit {
		return g, nil
	}
	return 0, errBits
}

// close says whether all was read but for the bits that fill up a byte.
func (r *bitReader) close() error {
	if len(r.in) > 0 || r.n >= 8 || r.acc&(1<<r.n-1) != 0 {
		return errBits
	}
	return nil
}
