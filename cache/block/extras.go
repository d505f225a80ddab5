package block

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// The extras of a block are entries side by side, sorted by remainder like the
// records they belong to:
//
//	rem40 (5 bytes big-endian) | length of the body (1 byte) | body
const (
	// MaxExtrasBody bounds the body of one entry.
	MaxExtrasBody = 255

	entryHead = remBits/8 + 1
)

// AppendExtras appends an entry; rem has 40 bits, body has 1 to
// [MaxExtrasBody] bytes, as [EncodeExtras] makes them.
func AppendExtras(to []byte, rem uint64, body []byte) []byte {
	to = append(to, byte(rem>>32), byte(rem>>24), byte(rem>>16), byte(rem>>8), byte(rem), byte(len(body)))
	return append(to, body...)
}

// entry gives the first entry of a value and what follows it. It gives false
// for what is no whole entry.
func entry(value []byte) (rem uint64, body, rest []byte, ok bool) {
	if len(value) < entryHead {
		return 0, nil, nil, false
	}
	end := entryHead + int(value[entryHead-1])
	if len(value) < end {
		return 0, nil, nil, false
	}
	rem = uint64(value[0])<<32 | uint64(binary.BigEndian.Uint32(value[1:]))
	return rem, value[entryHead:end:end], value[end:], true
}

// SearchExtras finds the body of rem's entry in the extras of a block. It
// copies nothing and allocates nothing; in a value that is not sound it finds
// nothing from the fault on.
func SearchExtras(value []byte, rem uint64) (body []byte, ok bool) {
	for len(value) > 0 {
		at, body, rest, ok := entry(value)
		if !ok || at > rem {
			return nil, false
		}
		if at == rem {
			return body, true
		}
		value = rest
	}
	return nil, false
}

// AllExtras gives the entries of a value, remainder and body, in their order;
// in a value that is not sound it ends at the fault.
func AllExtras(value []byte) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for len(value) > 0 {
			rem, body, rest, ok := entry(value)
			if !ok || !yield(rem, body) {
				return
			}
			value = rest
		}
	}
}

// CheckExtras says whether value is the extras of a block: whole entries, at
// least one, in strictly ascending order, each with a body of well-formed
// fields, of which some may be unknown to this version.
func CheckExtras(value []byte) error {
	_, err := checkExtras(value, nil, 0)
	return err
}

// CheckPair checks a block's value and its extras, which may be empty, and that
// every entry belongs to a record whose word has the extras flag. It gives the
// number of entries. folded is for [CheckFolded].
func CheckPair(value []byte, width int, extras []byte, folded bool) (entries int, err error) {
	if err := check(value, width, folded); err != nil || len(extras) == 0 {
		return 0, err
	}
	return checkExtras(extras, value, width)
}

func checkExtras(extras, value []byte, width int) (entries int, err error) {
	if len(extras) == 0 {
		return 0, fmt.Errorf("%w: no extras", ErrMalformed)
	}
	prev, place := uint64(0), 0
	for len(extras) > 0 {
		rem, body, rest, ok := entry(extras)
		switch {
		case !ok:
			return 0, fmt.Errorf("%w: extras end within entry %d", ErrMalformed, entries)
		case len(body) == 0:
			return 0, fmt.Errorf("%w: extras entry %d is empty", ErrMalformed, entries)
		case entries > 0 && rem <= prev:
			return 0, fmt.Errorf("%w: extras entry %d is not above the one before it", ErrMalformed, entries)
		case entries == MaxRecords:
			return 0, fmt.Errorf("%w: more than %d extras entries", ErrMalformed, MaxRecords)
		}
		if err := checkBody(body); err != nil {
			return 0, fmt.Errorf("extras entry %d: %w", entries, err)
		}
		if value != nil {
			n, found := len(value)/width, false
			for ; place < n && !found; place++ {
				at, w, _ := At(value, width, place)
				if at > rem {
					break
				}
				found = at == rem && w.Extras() && w != Tombstone
			}
			if !found {
				return 0, fmt.Errorf("%w: extras entry %d belongs to no record with the extras flag", ErrMalformed, entries)
			}
		}
		prev, extras = rem, rest
		entries++
	}
	return entries, nil
}

// field gives the first field of a body and what follows it.
func field(body []byte) (number fieldNumber, value, rest []byte, err error) {
	number, length, at := fieldNumber(body[0]>>3), int(body[0]&longField), 1
	if length == longField {
		if len(body) < 2 || body[1] < longField {
			return 0, nil, nil, fmt.Errorf("%w: field %d has no proper length", ErrMalformed, number)
		}
		length, at = int(body[1]), 2
	}
	switch {
	case number == 0:
		return 0, nil, nil, fmt.Errorf("%w: field 0", ErrMalformed)
	case len(body) < at+length:
		return 0, nil, nil, fmt.Errorf("%w: the body ends within field %d", ErrMalformed, number)
	}
	return number, body[at : at+length : at+length], body[at+length:], nil
}

// checkBody says whether a body is made of whole fields in ascending order of
// their numbers, each at most once unless it repeats.
func checkBody(body []byte) error {
	last := fieldNumber(0)
	for len(body) > 0 {
		number, _, rest, err := field(body)
		if err != nil {
			return err
		}
		if err := inOrder(last, number); err != nil {
			return err
		}
		last, body = number, rest
	}
	return nil
}

func inOrder(last, number fieldNumber) error {
	if number < last || number == last && number.known() && !number.repeats() {
		return fmt.Errorf("%w: field %d after field %d", ErrMalformed, number, last)
	}
	return nil
}

// appendField appends a field; value has at most [MaxExtrasBody] bytes.
func appendField(to []byte, number fieldNumber, value ...byte) []byte {
	if len(value) < longField {
		to = append(to, byte(number)<<3|byte(len(value)))
	} else {
		to = append(to, byte(number)<<3|longField, byte(len(value)))
	}
	return append(to, value...)
}
