package policy

import "gateagent/agent/gate"

// The words of explanations. They are for those who may read entries and so
// name facts and lists, which the sentences at the gate ([Text]) never do.

var verdictWords = map[gate.Verdict]Text{
	gate.Allow:       {"được qua", "let through"},
	gate.AllowNotice: {"được qua, có nhắc nhở", "let through with notice"},
	gate.Retry:       {"mời quét lại", "asked to show another code"},
	gate.ManualCheck: {"nhân viên kiểm tra", "sent to the guard"},
	gate.Deny:        {"bị từ chối", "refused"},
	gate.DenyAlert:   {"bị từ chối, gọi nhân viên", "refused, the guard called"},
}

var reasonWords = map[gate.Reason]Text{
	gate.ReasonDenyList:         {"có tên trong danh sách chặn", "on a list that blocks"},
	gate.ReasonPositive:         {"kết quả dương tính, chưa khỏi bệnh", "a positive result, not recovered since"},
	gate.ReasonQuarantine:       {"đang trong thời gian cách ly", "in quarantine"},
	gate.ReasonVaccinated:       {"đã tiêm đủ liều", "fully vaccinated"},
	gate.ReasonRecovered:        {"đã khỏi bệnh", "recovered"},
	gate.ReasonPartlyVaccinate:  {"đã tiêm ít nhất một liều", "at least one dose"},
	gate.ReasonTested:           {"xét nghiệm âm tính còn hiệu lực", "a negative test that still counts"},
	gate.ReasonNoFactCounts:     {"có hồ sơ, không dữ kiện nào được tính", "on record, nothing that counts"},
	gate.ReasonNoRecord:         {"không có hồ sơ", "not on record"},
	gate.ReasonNeedsExtras:      {"hồ sơ có nhiều hơn điều máy đọc được", "the record says more than this gate can read"},
	gate.ReasonReservedKind:     {"loại dữ kiện của phiên bản sau", "a fact of a later version"},
	gate.ReasonAmbiguous:        {"mã không cho biết rõ là ai", "the code does not tell who it is"},
	gate.ReasonFutureFact:       {"bỏ qua dữ kiện ghi ngày sau hôm đó", "a fact dated later was passed over"},
	gate.ReasonDoubtfulCard:     {"thẻ có nhiều điểm đáng ngờ", "too much speaks against the card"},
	gate.ReasonCardExpired:      {"thẻ đã hết hạn", "the card has expired"},
	gate.ReasonClockUntrusted:   {"đồng hồ không đáng tin", "the clock could not be believed"},
	gate.ReasonStaleData:        {"dữ liệu đã cũ", "the data were old"},
	gate.ReasonExpiredData:      {"dữ liệu quá cũ", "the data were too old"},
	gate.ReasonNoData:           {"thiếu dữ liệu", "data were missing"},
	gate.ReasonPolicyNotInForce: {"chính sách chưa hoặc không còn hiệu lực", "the policy was not in force"},
	gate.ReasonOutsideWindow:    {"ngoài khung ngày giờ riêng", "outside the own days and hours"},

	gate.ReasonPassport:          {"hộ chiếu vắc xin hợp lệ của chính người này", "a vaccine passport of the same person that counts"},
	gate.ReasonPassportMalformed: {"không đọc được hộ chiếu vắc xin", "the vaccine passport cannot be read"},
	gate.ReasonPassportUnknown:   {"hộ chiếu vắc xin do nơi không được tin ký", "nobody who is trusted signed the vaccine passport"},
	gate.ReasonPassportForged:    {"chữ ký hộ chiếu vắc xin sai", "the signature of the vaccine passport does not hold"},
	gate.ReasonPassportUsage:     {"khóa ký hộ chiếu vắc xin dùng cho việc khác", "the key of the vaccine passport is for other events"},
	gate.ReasonPassportEarly:     {"hộ chiếu vắc xin chưa có hiệu lực", "the vaccine passport is issued later"},
	gate.ReasonPassportExpired:   {"hộ chiếu vắc xin đã hết hạn", "the vaccine passport has expired"},
	gate.ReasonPassportRevoked:   {"hộ chiếu vắc xin đã bị thu hồi", "the vaccine passport is revoked"},
	gate.ReasonPassportMismatch:  {"hộ chiếu vắc xin không phải của chủ thẻ", "the vaccine passport is not that of the holder of the card"},
	gate.ReasonPassportTooYoung:  {"hộ chiếu vắc xin chưa đủ ngày", "the vaccine passport is too young"},
	gate.ReasonPassportTooOld:    {"hộ chiếu vắc xin đã quá lâu", "the vaccine passport is too old"},
	gate.ReasonPassportNothing:   {"hộ chiếu vắc xin không có điều được tính ở đây", "the vaccine passport is about nothing that counts here"},
	gate.ReasonNeedsCard:         {"cần thêm thẻ căn cước", "the ID card is needed as well"},

	gate.ReasonPass:          {"giấy qua cổng hợp lệ", "a pass that counts"},
	gate.ReasonPassMalformed: {"không đọc được giấy qua cổng", "the pass cannot be read"},
	gate.ReasonPassUnknown:   {"giấy qua cổng do khóa lạ ký", "no trusted key signed the pass"},
	gate.ReasonPassForged:    {"chữ ký giấy qua cổng sai", "the signature of the pass does not hold"},
	gate.ReasonPassEarly:     {"giấy qua cổng chưa đến giờ", "the pass is for later"},
	gate.ReasonPassExpired:   {"giấy qua cổng đã hết hạn", "the pass has expired"},
	gate.ReasonPassRevoked:   {"giấy qua cổng đã bị thu hồi", "the pass is revoked"},
	gate.ReasonPassSpent:     {"giấy qua cổng một lần đã dùng", "the pass was for one entry, which was made"},
	gate.ReasonPassElsewhere: {"giấy qua cổng cho nơi khác", "the pass is for another site, gate or zone"},

	gate.ReasonListed:          {"có tên trong danh sách", "on a list"},
	gate.ReasonClosed:          {"ngoài giờ mở cửa hoặc ngày nghỉ", "outside the opening hours, or a holiday"},
	gate.ReasonAntiPassback:    {"lần qua trước cùng chiều", "the passage before was in the same direction"},
	gate.ReasonReentry:         {"quay lại quá sớm", "back sooner than allowed"},
	gate.ReasonPassagesUnknown: {"chưa biết các lượt qua trước đó", "it was not known yet who had passed before"},

	gate.ReasonUnreadable:         {"không đọc được mã", "the code could not be read"},
	gate.ReasonUnsupported:        {"mã không dùng được ở đây", "the code is not accepted here"},
	gate.ReasonUnsupportedDynamic: {"mã động trên điện thoại, không kiểm tra được ở đây", "a one-minute code on a phone that cannot be checked here"},
	gate.ReasonStoreFault:         {"không đọc được dữ liệu", "the data could not be read"},
	gate.ReasonRecordFault:        {"không ghi được nhật ký", "the journal could not be written"},
	gate.ReasonRelayFault:         {"cổng không mở được", "the gate could not be opened"},

	gate.ReasonSexMismatch:       {"giới tính không khớp số định danh", "the sex does not fit the number"},
	gate.ReasonBirthYearMismatch: {"năm sinh không khớp số định danh", "the year of birth does not fit the number"},
	gate.ReasonUnknownPlaceCode:  {"mã nơi khai sinh lạ", "the place code of the number is unknown"},
	gate.ReasonSixFields:         {"mã thẻ thiếu một trường", "a card code without the field of the old number"},
	gate.ReasonExtraFields:       {"mã thẻ có thêm nội dung", "a card code with further content"},
	gate.ReasonMasked:            {"mã che bớt số", "parts of the code are covered"},
	gate.ReasonProxy:             {"do người khác khai hộ", "declared by somebody else"},
	gate.ReasonPersonalCode:      {"mã cá nhân thay cho thẻ", "a personal code in place of the card"},
	gate.ReasonControlChars:      {"mã có ký tự điều khiển", "control characters in the code"},
	gate.ReasonOtherNumber:       {"mã mang số CMND cũ hoặc hộ chiếu, không phải số định danh", "the number of an old card or a passport, not the personal number"},
	gate.ReasonIssuedEarly:       {"ngày cấp thẻ trước ngày sinh", "the card was issued before its bearer was born"},
	gate.ReasonCardDataMismatch:  {"thông tin trên thẻ khác với hồ sơ", "the card says other than the record"},
}

var factWords = map[FactKind]Text{
	FactFirstDose:       {"Mũi đầu", "First dose"},
	FactCompletingDose:  {"Mũi hoàn thành liều cơ bản", "Dose that completed the series"},
	FactLastDose:        {"Mũi gần nhất", "Last dose"},
	FactRecovery:        {"Ngày khỏi bệnh", "Recovery"},
	FactPositiveResult:  {"Kết quả dương tính", "Positive result"},
	FactQuarantineUntil: {"Ngày cuối cách ly", "Last day of quarantine"},
	FactCardExpiry:      {"Thẻ hết hạn", "Card expires"},
	FactPassportEvent:   {"Theo hộ chiếu vắc xin", "By the vaccine passport"},
	FactLastEntry:       {"Lần vào trước", "Last entry"},
	FactLastExit:        {"Lần ra trước", "Last exit"},
}

var changeWords = map[ChangeKind]Text{
	ChangeOnRecord:   {"Nếu có hồ sơ, dù chưa có dữ kiện nào được tính", "With a record, even with nothing that counts"},
	ChangeNotListed:  {"Nếu không có tên trong danh sách", "Without being on the list"},
	ChangeFreshData:  {"Với dữ liệu mới", "With fresh data"},
	ChangeClock:      {"Với đồng hồ đáng tin", "With a clock that can be believed"},
	ChangeNoDoubts:   {"Với thẻ có thông tin khớp", "With a card whose data agree"},
	ChangeNewCard:    {"Với thẻ còn hạn", "With a card that has not expired"},
	ChangeLeaveFirst: {"Nếu trước đó đã qua chiều ngược lại", "With a passage the other way before"},
	ChangePassages:   {"Nếu cổng biết là chưa có lượt qua nào khác", "With a gate that knew of no other passage"},
	ChangeOtherPass:  {"Với giấy qua cổng còn hiệu lực", "With a pass that counts"},
}

var testWords = map[gate.TestKind]Text{
	gate.TestPCR:     {"PCR", "PCR"},
	gate.TestAntigen: {"kháng nguyên", "antigen"},
	gate.TestOther:   {"loại khác", "other"},
}
