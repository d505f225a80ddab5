package policy

import "gateagent/agent/gate"

// Text is one sentence for the person at the gate.
type Text struct {
	VI string `json:"vi"`
	EN string `json:"en"`
}

// Text gives the sentence for a decision: that of its verdict and its most
// important reason that has one, else that of the verdict alone. A policy's
// own texts come before the built-in ones. Sentences never name an illness or
// a list: others stand beside the person who is to read them.
func (p *Policy) Text(d gate.Decision) (vi, en string) {
	t := p.text(d)
	return t.VI, t.EN
}

func (p *Policy) text(d gate.Decision) Text {
	if p == nil || !p.built {
		p = builtIn
	}
	for _, r := range d.ReasonList() {
		if t, ok := p.texts[textKey(d.Verdict, r)]; ok {
			return t
		}
	}
	return p.texts[d.Verdict.String()]
}

// builtIn speaks for the zero Policy.
var builtIn = Default()

// textKey names the sentence of a verdict and a reason in a policy document.
func textKey(v gate.Verdict, r gate.Reason) string { return v.String() + "/" + string(r) }

func defaultTexts() map[string]Text {
	fault := Text{"Cổng đang gặp sự cố. Vui lòng gặp nhân viên.", "The gate has a fault. Please see the guard."}
	oldData := Text{"Cổng chưa có dữ liệu mới. Vui lòng gặp nhân viên.", "This gate lacks up-to-date data. Please see the guard."}
	papers := Text{"Cần xem thêm giấy tờ. Vui lòng gặp nhân viên.", "The guard needs to see more papers. Please see the guard."}
	showCard := Text{"Vui lòng đưa thẻ căn cước hoặc gặp nhân viên.", "Please show your ID card or see the guard."}
	passage := Text{"Quý khách đã qua cổng theo chiều này. Vui lòng gặp nhân viên.", "You have passed this way already. Please see the guard."}
	unknownPassages := Text{"Cổng chưa biết các lượt qua trước đó. Vui lòng gặp nhân viên.", "This gate does not know yet who passed before. Please see the guard."}
	badPass := Text{"Giấy qua cổng không dùng được ở đây. Vui lòng gặp nhân viên.", "This pass is not accepted here. Please see the guard."}
	badPassport := Text{"Giấy chứng nhận này không dùng được ở đây. Vui lòng đưa thẻ căn cước.", "This certificate is not accepted here. Please show your ID card."}
	return map[string]Text{
		"ALLOW":                            {"Mời qua.", "Please pass."},
		"ALLOW_NOTICE":                     {"Mời qua. Xin tuân thủ quy định phòng dịch.", "Please pass. Kindly keep to the health rules."},
		"ALLOW_NOTICE/expired_data":        {"Mời qua. Dữ liệu của cổng đã cũ.", "Please pass. The data of this gate are old."},
		"ALLOW_NOTICE/card_data_mismatch":  {"Mời qua. Thẻ có thông tin chưa khớp, nhân viên có thể hỏi thêm.", "Please pass. Details of your card differ from the record; the guard may ask."},
		"ALLOW_NOTICE/store_fault":         {"Mời qua. Cổng đang gặp sự cố.", "Please pass. The gate has a fault."},
		"ALLOW_NOTICE/record_fault":        {"Mời qua. Cổng đang gặp sự cố.", "Please pass. The gate has a fault."},
		"ALLOW_NOTICE/personal_code":       {"Mời qua. Lần sau vui lòng mang thẻ căn cước.", "Please pass. Next time please bring your ID card."},
		"ALLOW_NOTICE/anti_passback":       {"Mời qua. Xin quét mã cả khi vào và khi ra.", "Please pass. Kindly scan both on the way in and out."},
		"ALLOW_NOTICE/reentry":             {"Mời qua. Quý khách vừa qua cổng.", "Please pass. You passed this gate a short while ago."},
		"ALLOW_NOTICE/passages_unknown":    {"Mời qua. Cổng chưa biết các lượt qua trước đó.", "Please pass. This gate does not know yet who passed before."},
		"ALLOW_NOTICE/closed":              {"Mời qua. Hiện đang ngoài giờ mở cửa.", "Please pass. It is outside the opening hours."},
		"ALLOW_NOTICE/listed":              {"Mời qua. Nhân viên có thể hỏi thêm.", "Please pass. The guard may have a word with you."},
		"ALLOW_NOTICE/doubtful_card":       {"Mời qua. Thẻ có thông tin chưa khớp, nhân viên có thể hỏi thêm.", "Please pass. Details of your card do not fit together; the guard may ask."},
		"RETRY":                            {"Vui lòng đưa mã QR trên thẻ căn cước.", "Please show the QR code of your ID card."},
		"RETRY/unreadable":                 {"Không đọc được mã. Vui lòng lau thẻ và giữ yên.", "The code cannot be read. Please wipe the card and hold it still."},
		"RETRY/unsupported":                {"Mã này không dùng được ở đây. Vui lòng đưa mã QR trên thẻ căn cước.", "This code is not accepted here. Please show the QR code of your ID card."},
		"RETRY/unsupported_dynamic":        {"Không kiểm tra được mã trên điện thoại. Vui lòng đưa mã QR trên thẻ căn cước.", "The code on the phone cannot be checked here. Please show the QR code of your ID card."},
		"RETRY/passport_malformed":         badPassport,
		"RETRY/passport_unknown":           badPassport,
		"RETRY/passport_forged":            badPassport,
		"RETRY/passport_usage":             badPassport,
		"RETRY/passport_early":             badPassport,
		"RETRY/passport_expired":           badPassport,
		"RETRY/passport_revoked":           badPassport,
		"RETRY/passport_mismatch":          badPassport,
		"RETRY/needs_card":                 {"Đã nhận mã. Mời đưa thêm thẻ căn cước.", "The code is read. Please show your ID card as well."},
		"RETRY/pass_malformed":             {"Không đọc được giấy qua cổng. Vui lòng đưa lại hoặc gặp nhân viên.", "The pass cannot be read. Please show it again or see the guard."},
		"MANUAL_CHECK":                     {"Vui lòng đợi nhân viên kiểm tra.", "Please wait for the guard."},
		"MANUAL_CHECK/no_record":           {"Chưa có dữ liệu của quý khách. Vui lòng gặp nhân viên.", "There is no record of you yet. Please see the guard."},
		"MANUAL_CHECK/partly_vaccinated":   papers,
		"MANUAL_CHECK/no_fact_counts":      papers,
		"MANUAL_CHECK/doubtful_card":       {"Thẻ cần được kiểm tra. Vui lòng gặp nhân viên.", "Your card needs a closer look. Please see the guard."},
		"MANUAL_CHECK/outside_window":      {"Ngoài thời gian được vào. Vui lòng gặp nhân viên.", "This is outside your hours. Please see the guard."},
		"MANUAL_CHECK/card_expired":        {"Thẻ đã hết hạn. Vui lòng gặp nhân viên.", "Your card has expired. Please see the guard."},
		"MANUAL_CHECK/ambiguous":           {"Mã này chưa cho biết rõ quý khách là ai. Vui lòng đưa thẻ căn cước hoặc gặp nhân viên.", "This code does not say who you are. Please show your ID card or see the guard."},
		"MANUAL_CHECK/personal_code":       showCard,
		"MANUAL_CHECK/needs_extras":        papers,
		"MANUAL_CHECK/reserved_kind":       papers,
		"MANUAL_CHECK/closed":              {"Hiện đang ngoài giờ mở cửa. Vui lòng gặp nhân viên.", "It is outside the opening hours. Please see the guard."},
		"MANUAL_CHECK/anti_passback":       passage,
		"MANUAL_CHECK/reentry":             {"Quý khách vừa qua cổng. Vui lòng gặp nhân viên.", "You passed this gate a short while ago. Please see the guard."},
		"MANUAL_CHECK/passages_unknown":    unknownPassages,
		"MANUAL_CHECK/pass_unknown":        badPass,
		"MANUAL_CHECK/pass_forged":         badPass,
		"MANUAL_CHECK/pass_malformed":      badPass,
		"MANUAL_CHECK/pass_revoked":        badPass,
		"MANUAL_CHECK/pass_elsewhere":      {"Giấy qua cổng này dành cho cổng khác. Vui lòng gặp nhân viên.", "This pass is for another gate. Please see the guard."},
		"MANUAL_CHECK/pass_early":          {"Giấy qua cổng chưa đến giờ. Vui lòng gặp nhân viên.", "Your pass is for later. Please see the guard."},
		"MANUAL_CHECK/pass_expired":        {"Giấy qua cổng đã hết hạn. Vui lòng gặp nhân viên.", "Your pass has expired. Please see the guard."},
		"MANUAL_CHECK/pass_spent":          {"Giấy qua cổng đã được dùng. Vui lòng gặp nhân viên.", "Your pass has been used already. Please see the guard."},
		"MANUAL_CHECK/no_data":             oldData,
		"MANUAL_CHECK/expired_data":        oldData,
		"MANUAL_CHECK/clock_untrusted":     oldData,
		"MANUAL_CHECK/policy_not_in_force": oldData,
		"MANUAL_CHECK/store_fault":         fault,
		"MANUAL_CHECK/record_fault":        fault,
		"MANUAL_CHECK/relay_fault":         {"Cổng không mở được. Vui lòng gặp nhân viên.", "The gate does not open. Please see the guard."},
		"DENY":                             {"Chưa đủ điều kiện qua cổng. Vui lòng gặp nhân viên.", "You cannot pass for now. Please see the guard."},
		"DENY/card_expired":                {"Thẻ đã hết hạn. Vui lòng gặp nhân viên.", "Your card has expired. Please see the guard."},
		"DENY/closed":                      {"Hiện đang ngoài giờ mở cửa. Mời quý khách quay lại sau.", "It is outside the opening hours. Please come back later."},
		"DENY/pass_forged":                 badPass,
		"DENY/pass_unknown":                badPass,
		"DENY/pass_malformed":              badPass,
		"DENY/pass_revoked":                {"Giấy qua cổng không còn hiệu lực. Vui lòng gặp nhân viên.", "Your pass is no longer valid. Please see the guard."},
		"DENY/pass_elsewhere":              {"Giấy qua cổng này dành cho cổng khác. Vui lòng gặp nhân viên.", "This pass is for another gate. Please see the guard."},
		"DENY/pass_early":                  {"Giấy qua cổng chưa đến giờ. Vui lòng gặp nhân viên.", "Your pass is for later. Please see the guard."},
		"DENY/pass_expired":                {"Giấy qua cổng đã hết hạn. Vui lòng gặp nhân viên.", "Your pass has expired. Please see the guard."},
		"DENY/pass_spent":                  {"Giấy qua cổng đã được dùng. Vui lòng gặp nhân viên.", "Your pass has been used already. Please see the guard."},
		"DENY/store_fault":                 fault,
		"DENY/record_fault":                fault,
		"DENY_ALERT":                       {"Vui lòng đợi ở đây, nhân viên sẽ đến ngay.", "Please wait here, somebody is coming."},
	}
}
