package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/klauspost/compress/fse"
)

// A column of bytes begins with how it is written. A column of no bytes is
// not written at all: the reader knows how many there are.
const (
	columnRaw = iota // as they are
	columnRun        // one byte, which all of them are
	columnFSE        // length (uvarint), one block of finite state entropy coding
)

// A column of words is written in two parts, since entropy coders take bytes:
// the upper 9 bits (extras, kind, the days in steps of 128) and the lower 7.
// The upper parts that occur are listed and stand as their numbers in one
// column. The lower parts of a kind and a quarter of a year follow a
// distribution of their own; those whose distributions are alike enough to
// save a table share a column.
const (
	lowBits  = 7
	lowMask  = 1<<lowBits - 1
	maxHighs = 256 // more are no facts but noise: words are written as they are
	maxParts = 64  // columns of lower parts that are tried
)

// packer writes columns. It keeps what can be used again.
type packer struct {
	fse fse.Scratch

	col   []byte
	parts [][]byte
}

func (p *packer) rising(to []byte, gaps []uint64) []byte {
	k := riceFor(gaps)
	w := bitWriter{out: p.col[:0]}
	for _, g := range gaps {
		w.rice(g, k)
	}
	p.col = w.close()
	to = append(to, byte(k))
	to = binary.AppendUvarint(to, uint64(len(p.col)))
	return append(to, p.col...)
}

func (p *packer) bytes(to, col []byte) []byte {
	if len(col) == 0 {
		return to
	}
	p.fse.TableLog = 12
	coded, err := fse.Compress(col, &p.fse)
	switch {
	case errors.Is(err, fse.ErrUseRLE):
		return append(to, columnRun, col[0])
	case err != nil || len(coded)+3 >= len(col):
		return append(append(to, columnRaw), col...)
	}
	to = binary.AppendUvarint(append(to, columnFSE), uint64(len(coded)))
	return append(to, coded...)
}

// words writes words.
func (p *packer) words(to []byte, words []uint16) []byte {
	if len(words) == 0 {
		return to
	}
	var count [1 << (16 - lowBits)]uint32
	for _, w := range words {
		count[w>>lowBits]++
	}
	var number [len(count)]int // of an upper part among those that occur
	var highs []int
	for h, n := range count {
		if n > 0 {
			number[h] = len(highs)
			highs = append(highs, h)
		}
	}
	if len(highs) > maxHighs {
		to = binary.AppendUvarint(to, 0)
		for _, w := range words {
			to = binary.BigEndian.AppendUint16(to, w)
		}
		return to
	}
	to = binary.AppendUvarint(to, uint64(len(highs)))
	last := -1
	for _, h := range highs {
		to = binary.AppendUvarint(to, uint64(h-last-1))
		last = h
	}
	hists := make([]hist, len(highs))
	col := make([]byte, len(words))
	for i, w := range words {
		n := number[w>>lowBits]
		col[i] = byte(n)
		hists[n][w&lowMask]++
	}
	part := shareTables(hists)
	to = p.bytes(to, part)
	to = p.bytes(to, col)
	for i := range p.parts {
		p.parts[i] = p.parts[i][:0]
	}
	for i, w := range words {
		n := int(part[col[i]])
		for len(p.parts) <= n {
			p.parts = append(p.parts, nil)
		}
		p.parts[n] = append(p.parts[n], byte(w&lowMask))
	}
	for _, part := range p.parts {
		to = p.bytes(to, part)
	}
	return to
}

// hist counts lower parts.
type hist [1 << lowBits]uint32

// Costs are in units of 1/costUnit bits.
const (
	costUnit   = 64
	costColumn = 24 * costUnit // head of a column
	costTable  = 40 * costUnit // of a table, and
	costSymbol = 2 * costUnit  // for each symbol in it
)

// cost estimates what a column with these counts takes.
func (h *hist) cost() int64 {
	var n uint32
	var symbols, own int64
	for _, c := range h {
		if c > 0 {
			n += c
			symbols++
			own += nlogn(c)
		}
	}
	if symbols <= 1 {
		return costColumn
	}
	coded := nlogn(n) - own + costTable + symbols*costSymbol
	return costColumn + min(coded, int64(n)*8*costUnit)
}

// nlogn gives n·log2(n), rounded, in units of 1/costUnit bits: the same on
// every machine.
func nlogn(n uint32) int64 {
	if n < 2 {
		return 0
	}
	f := float64(n)
	return int64(math.Round(float64(f*math.Log2(f)) * costUnit))
}

// shareTables says for each upper part in which column its lower parts go. It
// joins the two that gain most by it, again and again, while any gain.
func shareTables(hists []hist) (part []byte) {
	owner := make([]int, len(hists)) // by upper part, the group it is in
	var groups []int                 // named by their first upper part
	cost := make([]int64, len(hists))
	order := make([]int, len(hists)) // of falling size
	size := make([]uint32, len(hists))
	for i := range hists {
		order[i], owner[i] = i, i
		for _, c := range hists[i] {
			size[i] += c
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(size[b]) - int(size[a]) })
	for rank, i := range order {
		if rank < maxParts {
			groups = append(groups, i)
			continue
		}
		last := order[maxParts-1] // noise goes together
		owner[i] = last
		hists[last].add(&hists[i])
	}
	slices.Sort(groups)
	for _, g := range groups {
		cost[g] = hists[g].cost()
	}
	gain := make([][]int64, len(hists))
	measure := func(a, b int) {
		both := hists[a]
		both.add(&hists[b])
		gain[a][b] = cost[a] + cost[b] - both.cost()
	}
	for i, a := range groups {
		gain[a] = make([]int64, len(hists))
		for _, b := range groups[i+1:] {
			measure(a, b)
		}
	}
	for {
		best, x, y := int64(0), 0, 0
		for i, a := range groups {
			for _, b := range groups[i+1:] {
				if gain[a][b] > best {
					best, x, y = gain[a][b], a, b
				}
			}
		}
		if best == 0 {
			break
		}
		hists[x].add(&hists[y])
		cost[x] = hists[x].cost()
		for i := range owner {
			if owner[i] == y {
				owner[i] = x
			}
		}
		groups = slices.DeleteFunc(groups, func(g int) bool { return g == y })
		for _, g := range groups {
			if g != x {
				measure(min(g, x), max(g, x))
			}
		}
	}
	number := make([]int, len(hists))
	for i := range number {
		number[i] = -1
	}
	part = make([]byte, len(hists))
	next := 0
	for i, g := range owner {
		if number[g] < 0 {
			number[g] = next
			next++
		}
		part[i] = byte(number[g])
	}
	return part
}

func (h *hist) add(o *hist) {
	for i, c := range o {
		h[i] += c
	}
}

// Bodies of one length are mostly of the same fields, so that of a length
// which occurs often enough each byte of the bodies is a column. The rest are
// one column.
const oftenEnough = 32

// bodyOrder says which bodies are of which length: those of length l are the
// numbers in order[from[l]:from[l+1]], ascending.
func bodyOrder(lengths []byte) (order []int32, from [257]int) {
	for _, l := range lengths {
		from[int(l)+1]++
	}
	for l := range 256 {
		from[l+1] += from[l]
	}
	order = make([]int32, len(lengths))
	next := from
	for i, l := range lengths {
		order[next[l]] = int32(i)
		next[l]++
	}
	return order, from
}

// starts gives where each body begins among all, and how many bytes those are.
func starts(lengths []byte) (start []int32, total int) {
	start = make([]int32, len(lengths))
	for i, l := range lengths {
		start[i] = int32(total)
		total += int(l)
	}
	return start, total
}

// bodies writes bodies of 0 to 255 bytes, one after the other in all: their
// lengths, then for each length that occurs [oftenEnough], ascending, the
// columns of its bytes, then all bytes of the rest.
func (p *packer) bodies(to, lengths, all []byte) []byte {
	to = p.bytes(to, lengths)
	if len(all) == 0 {
		return to
	}
	order, from := bodyOrder(lengths)
	start, _ := starts(lengths)
	for l := 1; l <= 255; l++ {
		same := order[from[l]:from[l+1]]
		if len(same) < oftenEnough {
			continue
		}
		for at := range int32(l) {
			p.col = p.col[:0]
			for _, i := range same {
				p.col = append(p.col, all[start[i]+at])
			}
			to = p.bytes(to, p.col)
		}
	}
	p.col = p.col[:0]
	for i, l := range lengths {
		if from[int(l)+1]-from[l] < oftenEnough {
			p.col = append(p.col, all[start[i]:][:l]...)
		}
	}
	return p.bytes(to, p.col)
}

// errColumn is what is wrong with columns that nobody wrote.
var errColumn = errors.New("a column is not what its head says")

// unpacker reads columns from in. After the first fault all is empty, and err
// says why.
type unpacker struct {
	in  []byte
	err error

	fse fse.Scratch
}

func (u *unpacker) fail(err error) {
	if u.err == nil {
		u.err = err
	}
	u.in = nil
}

func (u *unpacker) take(n int) []byte {
	if n < 0 || n > len(u.in) {
		u.fail(errColumn)
		return nil
	}
	out := u.in[:n:n]
	u.in = u.in[n:]
	return out
}

func (u *unpacker) byte() byte {
	if b := u.take(1); len(b) > 0 {
		return b[0]
	}
	return 0
}

// number reads a number of at most limit.
func (u *unpacker) number(limit uint64) uint64 {
	v, n := binary.Uvarint(u.in)
	if n <= 0 || v > limit {
		u.fail(errColumn)
		return 0
	}
	u.in = u.in[n:]
	return v
}

// rising gives a reader of the distances of rising numbers.
func (u *unpacker) rising() (r bitReader, k uint) {
	if k = uint(u.byte()); k > maxRice {
		u.fail(errColumn)
	}
	return bitReader{in: u.take(int(u.number(MaxChunk)))}, k
}

// bytes reads a column of n bytes. It is nil after a fault, and may lie in the
// chunk itself.
func (u *unpacker) bytes(n int) []byte {
	if n == 0 || u.err != nil {
		return nil
	}
	var out []byte
	var err error
	switch u.byte() {
	case columnRaw:
		return u.take(n)
	case columnRun:
		out = make([]byte, n)
		for i, b := 0, u.byte(); i < n; i++ {
			out[i] = b
		}
	case columnFSE:
		u.fse.Out = nil
		u.fse.DecompressLimit = n + 1
		out, err = fse.Decompress(u.take(int(u.number(MaxChunk))), &u.fse)
	default:
		err = errColumn
	}
	if err == nil && len(out) != n {
		err = errColumn
	}
	if err != nil {
		u.fail(err)
	}
	if u.err != nil {
		return nil
	}
	return out
}

// words reads n words.
func (u *unpacker) words(n int) []uint16 {
	if n == 0 || u.err != nil {
		return nil
	}
	out := make([]uint16, n)
	highs := make([]uint16, u.number(maxHighs))
	if len(highs) == 0 {
		raw := u.take(2 * n)
		if u.err != nil {
			return nil
		}
		for i := range out {
			out[i] = binary.BigEndian.Uint16(raw[2*i:])
		}
		return out
	}
	next := uint64(0)
	for i := range highs {
		next += u.number(1<<(16-lowBits) - 1)
		if next >= 1<<(16-lowBits) {
			u.fail(errColumn)
			return nil
		}
		highs[i] = uint16(next) << lowBits
		next++
	}
	part := u.bytes(len(highs))
	col := u.bytes(n)
	if u.err != nil {
		return nil
	}
	var count [maxHighs]int
	for _, h := range col {
		if int(h) >= len(highs) {
			u.fail(errColumn)
			return nil
		}
		count[part[h]]++
	}
	var parts [maxHighs][]byte
	for i, n := range count {
		parts[i] = u.bytes(n)
	}
	if u.err != nil {
		return nil
	}
	for i, h := range col {
		low := parts[part[h]]
		if low[0] > lowMask {
			u.fail(errColumn)
			return nil
		}
		out[i] = highs[h] | uint16(low[0])
		parts[part[h]] = low[1:]
	}
	return out
}

// bodies reads n bodies: their lengths, and all of them one after the other.
func (u *unpacker) bodies(n int) (lengths, all []byte) {
	lengths = u.bytes(n)
	start, total := starts(lengths)
	if total > MaxInflated {
		u.fail(errColumn)
	}
	if total == 0 || u.err != nil {
		return lengths, nil
	}
	all = make([]byte, total)
	order, from := bodyOrder(lengths)
	rest := total
	for l := 1; l <= 255; l++ {
		same := order[from[l]:from[l+1]]
		if len(same) < oftenEnough {
			continue
		}
		rest -= l * len(same)
		for at := range int32(l) {
			for j, b := range u.bytes(len(same)) {
				all[start[same[j]]+at] = b
			}
		}
	}
	col := u.bytes(rest)
	if u.err != nil {
		return nil, nil
	}
	for i, l := range lengths {
		if from[int(l)+1]-from[l] < oftenEnough {
			copy(all[start[i]:], col[:l])
			col = col[l:]
		}
	}
	return lengths, all
}

// close says whether all was read.
func (u *unpacker) close() error {
	if u.err == nil && len(u.in) > 0 {
		u.fail(errors.New("something follows the last column"))
	}
	return u.err
}
