package credential

import "gateagent/agent/gate"

// sex as a credential states it.
type sex uint8

const (
	unknownSex sex = iota
	male
	female
)

// sexOf reads the digit of insurance cards and of the national QR.
func sexOf(digit string) sex {
	switch digit {
	case "1":
		return male
	case "2":
		return female
	}
	return unknownSex
}

// checkNumber compares a personal number with the birth year and sex printed
// beside it, where they are (PAYLOADS §2):
//
//	PPP G YY NNNNNN   place · century and sex · birth year · serial
//
// The structure is no longer in the law and numbers are re-issued after
// corrections, so a mismatch is a warning, never a refusal.
func checkNumber(n gate.Number, birthYear int, of sex) gate.ClaimFlags {
	var flags gate.ClaimFlags
	g := int(n[3] - '0')
	if of != unknownSex && (g%2 == 1) != (of == female) {
		flags |= gate.FlagSexMismatch
	}
	if birthYear != 0 && 1900+100*(g/2)+number(string(n[4:6])) != birthYear {
		flags |= gate.FlagBirthYearMismatch
	}
	if code := number(string(n[:3])); code < 100 && provinces[code] == "" {
		flags |= gate.FlagUnknownPlaceCode
	}
	return flags
}

// provinces names the 63 codes of Annex 1, Circular 07/2016/TT-BCA. They stay
// for ever: the mergers of 2025 change no number, and a code never tells where
// somebody lives now. Codes from 100 on mean a birth abroad; that list was not
// found, so they are taken without a warning.
var provinces = [100]string{
	1: "Hà Nội", 2: "Hà Giang", 4: "Cao Bằng", 6: "Bắc Kạn",
	8: "Tuyên Quang", 10: "Lào Cai", 11: "Điện Biên", 12: "Lai Châu",
	14: "Sơn La", 15: "Yên Bái", 17: "Hòa Bình", 19: "Thái Nguyên",
	20: "Lạng Sơn", 22: "Quảng Ninh", 24: "Bắc Giang", 25: "Phú Thọ",
	26: "Vĩnh Phúc", 27: "Bắc Ninh", 30: "Hải Dương", 31: "Hải Phòng",
	33: "Hưng Yên", 34: "Thái Bình", 35: "Hà Nam", 36: "Nam Định",
	37: "Ninh Bình", 38: "Thanh Hóa", 40: "Nghệ An", 42: "Hà Tĩnh",
	44: "Quảng Bình", 45: "Quảng Trị", 46: "Thừa Thiên Huế", 48: "Đà Nẵng",
	49: "Quảng Nam", 51: "Quảng Ngãi", 52: "Bình Định", 54: "Phú Yên",
	56: "Khánh Hòa", 58: "Ninh Thuận", 60: "Bình Thuận", 62: "Kon Tum",
	64: "Gia Lai", 66: "Đắk Lắk", 67: "Đắk Nông", 68: "Lâm Đồng",
	70: "Bình Phước", 72: "Tây Ninh", 74: "Bình Dương", 75: "Đồng Nai",
	77: "Bà Rịa–Vũng Tàu", 79: "TP. Hồ Chí Minh", 80: "Long An", 82: "Tiền Giang",
	83: "Bến Tre", 84: "Trà Vinh", 86: "Vĩnh Long", 87: "Đồng Tháp",
	89: "An Giang", 91: "Kiên Giang", 92: "Cần Thơ", 93: "Hậu Giang",
	94: "Sóc Trăng", 95: "Bạc Liêu", 96: "Cà Mau",
}
