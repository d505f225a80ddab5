package pass

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names are packed, so that one of thirty letters fits a small code whatever
// its diacritics, of which each costs two more bytes in UTF-8. The letters of
// Vietnamese names take one, two or three half-bytes, by how frequent they are:
//
//	0 … b        a letter of often
//	c, d, e + 1  a letter of less, 16 each
//	f + 2        a letter of seldom; or shout, at the beginning only
//	f            at the end: nothing, fills up the last byte
//
// Each word begins with a capital, behind a hyphen too, or all is in capitals (shout). A name that
// is not like that, or has other letters, is written as UTF-8.
const (
	often  = " nhgtuiaocml"
	less   = "vdprybkqsexđễịầăêạàỳươùôồếấíýáâìòóúảũọỹỗốứựậắặệề"
	seldom = "fjwz0123456789-.',/&()+ểãõợớờởỉĩẵẩẫằẳộổỏỡừửữủụỷỵèéẻẽẹ"
)

// Half-bytes with a meaning of their own.
const (
	pageLess   = 0xc // the first of three
	pageSeldom = 0xf
	shout      = 0xff
)

// letters is the three tables one after the other: the place of a letter is
// its code.
var letters = []rune(often + less + seldom)

const (
	firstLess   = 12
	firstSeldom = firstLess + 48
)

// codes is the inverse of letters.
var codes = func() map[rune]int {
	m := make(map[rune]int, len(letters))
	for i, r := range letters {
		m[r] = i
	}
	return m
}()

// pack gives the short form of a name; ok is false if it has none that is
// shorter than its UTF-8.
func pack(name string) (packed []byte, ok bool) {
	var half []byte
	seldomCode := func(n int) { half = append(half, pageSeldom, byte(n>>4), byte(n&0xf)) }
	if name == strings.ToUpper(name) {
		seldomCode(shout)
	}
	for _, r := range strings.ToLower(name) {
		n, known := codes[r]
		switch {
		case !known:
			return nil, false
		case n < firstLess:
			half = append(half, byte(n))
		case n < firstSeldom:
			n -= firstLess
			half = append(half, byte(pageLess+n>>4), byte(n&0xf))
		default:
			seldomCode(n - firstSeldom)
		}
	}
	if len(half)%2 == 1 {
		half = append(half, pageSeldom)
	}
	for i := 0; i < len(half); i += 2 {
		packed = append(packed, half[i]<<4|half[i+1])
	}
	back, ok := unpack(packed)
	return packed, ok && back == name && len(packed) < len(name)
}

// unpack is the inverse of pack. ok is false for bytes that pack gives for no
// name.
func unpack(packed []byte) (name string, ok bool) {
	half := make([]byte, 0, 2*len(packed))
	for _, b := range packed {
		half = append(half, b>>4, b&0xf)
	}
	var out []byte
	capital, capitals := true, false
	for i := 0; i < len(half); {
		var n int
		page := half[i]
		switch {
		case page < pageLess:
			n, i = int(page), i+1
		case page < pageSeldom:
			if i+1 >= len(half) {
				return "", false
			}
			n, i = firstLess+int(page-pageLess)<<4+int(half[i+1]), i+2
		case i+1 == len(half):
			i++
			continue // fills up the last byte
		case i+2 >= len(half):
			return "", false
		default:
			code := int(half[i+1])<<4 | int(half[i+2])
			if code == shout && i == 0 {
				capitals, i = true, i+3
				continue
			}
			n, i = firstSeldom+code, i+3
		}
		if n >= len(letters) {
			return "", false
		}
		r := letters[n]
		if capital || capitals {
			r = unicode.ToUpper(r)
		}
		capital = r == ' ' || r == '-'
		out = utf8.AppendRune(out, r)
	}
	return string(out), true
}
