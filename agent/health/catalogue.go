package health

// catalogue is every fault a technician can meet. configs/README.md lists the
// same codes; a test there holds the two together.
var catalogue = []struct {
	code        Code
	cause, next Text
}{
	{
		Starting,
		Text{VI: "Đang khởi động.", EN: "It is still starting."},
		Text{VI: "Chờ vài giây.", EN: "Wait a few seconds."},
	},
	{
		ConfigBroken,
		Text{VI: "Tệp cấu hình có lỗi và không có bản tốt nào trước đó.", EN: "The configuration has mistakes and there is no earlier good one."},
		Text{VI: "Chạy gateagent check, sửa từng dòng, rồi khởi động lại.", EN: "Run gateagent check, mend each line, then restart."},
	},
	{
		ConfigLastGood,
		Text{VI: "Tệp cấu hình có lỗi; đang chạy với bản tốt gần nhất.", EN: "The configuration has mistakes; the last good one is in force."},
		Text{VI: "Chạy gateagent check, sửa từng dòng, rồi khởi động lại.", EN: "Run gateagent check, mend each line, then restart."},
	},
	{
		ConfigWarning,
		Text{VI: "Cấu hình chạy được nhưng có điều cần xem lại.", EN: "The configuration works, but something in it should be looked at."},
		Text{VI: "Chạy gateagent check và làm theo gợi ý.", EN: "Run gateagent check and follow its hints."},
	},
	{
		ScannerGone,
		Text{VI: "Không tìm thấy máy quét hoặc camera.", EN: "The scanner or camera is not there."},
		Text{VI: "Kiểm tra cáp và nguồn; chương trình tự mở lại khi máy quét trở về.", EN: "Check cable and power; the box reopens it when it is back."},
	},
	{
		ScannerFormat,
		Text{VI: "Camera không có định dạng hình dùng được.", EN: "The camera offers no picture format that can be used."},
		Text{VI: "Đổi width và height trong cấu hình, hoặc dùng camera khác.", EN: "Change width and height in the configuration, or use another camera."},
	},
	{
		ScannerSilent,
		Text{VI: "Camera đã mở nhưng không gửi hình.", EN: "The camera is open but sends no picture."},
		Text{VI: "Rút camera ra, cắm lại; thử cổng USB khác.", EN: "Unplug the camera and plug it in again; try another USB port."},
	},
	{
		RelayError,
		Text{VI: "Rơ-le không nhận lệnh: người được phép vẫn không qua được.", EN: "The relay does not obey: people who are allowed are not let through."},
		Text{VI: "Mở cổng bằng tay; kiểm tra chip, line và dây.", EN: "Open by hand; check chip, line and wiring."},
	},
	{
		LaneStopped,
		Text{VI: "Làn đã dừng và đang khởi động lại.", EN: "The lane has stopped and is being started again."},
		Text{VI: "Nếu lặp lại, gửi nhật ký hệ thống cho trung tâm.", EN: "If it happens again, send the system log to central."},
	},
	{
		JournalFailed,
		Text{VI: "Không ghi được lượt qua xuống đĩa.", EN: "Entries cannot be written to the disk."},
		Text{VI: "Kiểm tra đĩa: df -h và dmesg; thay thẻ nhớ nếu có lỗi.", EN: "Check the disk with df -h and dmesg; replace the card if it has errors."},
	},
	{
		JournalSlow,
		Text{VI: "Đĩa ghi chậm hơn record.wait.", EN: "The disk is slower than record.wait."},
		Text{VI: "Dùng thẻ nhớ tốt hơn hoặc ổ SSD.", EN: "Use a better memory card or an SSD."},
	},
	{
		JournalFull,
		Text{VI: "Chỗ dành cho nhật ký đã đầy, trung tâm chưa nhận các lượt cũ.", EN: "The room for the journal is full, and central has not taken the old entries."},
		Text{VI: "Nối lại trung tâm, hoặc tăng storage.max_journal_mb.", EN: "Bring central back, or raise storage.max_journal_mb."},
	},
	{
		JournalNewEpoch,
		Text{VI: "Tệp nhật ký bị hỏng hoặc mất; đã bắt đầu tệp mới.", EN: "The journal file was damaged or lost; a new one was begun."},
		Text{VI: "Báo trung tâm; giữ nguyên thư mục quarantine.", EN: "Tell central; leave the quarantine folder as it is."},
	},
	{
		DataMissing,
		Text{VI: "Chưa nhận được danh sách: mọi người đều phải kiểm tra thủ công.", EN: "The data set has not come yet: everybody is checked by hand."},
		Text{VI: "Kiểm tra kết nối tới máy chủ MQTT và tên tập dữ liệu.", EN: "Check the way to the broker and the name of the set."},
	},
	{
		DataKeyMissing,
		Text{VI: "Thiếu khóa của tập dữ liệu: không tra được ai.", EN: "The key of the data set is missing: nobody can be looked up."},
		Text{VI: "Chép tệp khóa vào nơi ghi ở set.key_file, hoặc nhờ trung tâm cấp khóa.", EN: "Copy the key file to where set.key_file says, or have central hand the key out."},
	},
	{
		DataKeyAwaited,
		Text{VI: "Khóa của dữ liệu chỉ được giữ trong bộ nhớ và chưa đến từ khi khởi động: mọi người đều phải kiểm tra thủ công.", EN: "The key of the data is held in memory only and has not come since the start: everybody is checked by hand."},
		Text{VI: "Nối lại trung tâm: khóa đến trong vài giây, không cần khởi động lại. Đã nối mà khóa không đến: hỏi trung tâm cổng này có được cấp khóa không.", EN: "Bring central back: the key comes within seconds, without a restart. If it does not, ask central whether this gate is given keys."},
	},
	{
		DataStale,
		Text{VI: "Dữ liệu đã cũ; quyết định vẫn được đưa ra và có đánh dấu.", EN: "The data is old; decisions go on and are marked."},
		Text{VI: "Kiểm tra kết nối tới trung tâm.", EN: "Check the way to central."},
	},
	{
		DataExpired,
		Text{VI: "Dữ liệu quá cũ: phần lớn phải kiểm tra thủ công.", EN: "The data is too old: most people are checked by hand."},
		Text{VI: "Nối lại trung tâm để nhận bản mới.", EN: "Bring central back to receive a newer version."},
	},
	{
		DataDamaged,
		Text{VI: "Tệp dữ liệu bị hỏng, đã cách ly và đang tải lại.", EN: "The data file was damaged; it is set aside and fetched again."},
		Text{VI: "Nếu lặp lại, thay thẻ nhớ.", EN: "If it happens again, replace the memory card."},
	},
	{
		DataRefused,
		Text{VI: "Bản dữ liệu mới bị từ chối; bản cũ vẫn dùng.", EN: "A new version of the data was refused; the old one stays in force."},
		Text{VI: "Báo trung tâm lý do ghi ở dòng chi tiết.", EN: "Tell central the reason in the detail line."},
	},
	{
		DataAwaited,
		Text{VI: "Bản dữ liệu mới chưa tải được; bản đang có (nếu có) vẫn dùng.", EN: "A newer version of the data does not come; what is here, if anything, stays in force."},
		Text{VI: "Kiểm tra kết nối và chỗ trống trên đĩa; nhờ trung tâm xem máy chủ phát dữ liệu (gatectl snapshot serve).", EN: "Check the way to central and the room on the disk; ask central whether gatectl snapshot serve is running."},
	},
	{
		EntryKeyMissing,
		Text{VI: "Thiếu khóa lượt qua: các lượt không có mã người.", EN: "The entry key is missing: entries carry no subject."},
		Text{VI: "Chép tệp khóa vào nơi ghi ở keys.entry_file, hoặc nhờ trung tâm cấp khóa.", EN: "Copy the key file to where keys.entry_file says, or have central hand the key out."},
	},
	{
		EntryKeyAwaited,
		Text{VI: "Khóa lượt qua chỉ được giữ trong bộ nhớ và chưa đến: các lượt chưa có mã người.", EN: "The entry key is held in memory only and has not come: entries carry no subject."},
		Text{VI: "Nối lại trung tâm: khóa đến trong vài giây. Không đến thì hỏi trung tâm cổng này có được cấp khóa không.", EN: "Bring central back: the key comes within seconds. If it does not, ask central whether this gate is given keys."},
	},
	{
		KeyOnDisk,
		Text{VI: "Trên đĩa có tệp khóa dù khóa chỉ được giữ trong bộ nhớ: thiết bị không dùng tệp này, nhưng kẻ trộm thì dùng được.", EN: "A key file lies on the disk although the key may be in memory only: the box does not use it, but a thief could."},
		Text{VI: "Xóa tệp ghi ở dòng chi tiết bằng shred -u, bỏ dòng của nó khỏi cấu hình, và nhờ trung tâm đổi khóa.", EN: "Destroy the file in the detail line with shred -u, take its line out of the configuration, and have central replace the key."},
	},
	{
		KeySwappable,
		Text{VI: "Bộ nhớ có thể bị ghi ra đĩa (swap), và khóa nằm trong đó.", EN: "Memory may be written to the disk (swap), and the keys are in it."},
		Text{VI: "Tắt swap bằng sudo swapoff -a và bỏ nó khỏi /etc/fstab, hoặc chạy với gateagent.service đi kèm.", EN: "Switch swap off with sudo swapoff -a and take it out of /etc/fstab, or run with the gateagent.service that comes with the agent."},
	},
	{
		IdentityFailed,
		Text{VI: "Không đọc được khóa danh tính của thiết bị.", EN: "The identity keys of the box cannot be read."},
		Text{VI: "Kiểm tra quyền của thư mục identity trong storage.dir.", EN: "Check the rights of the identity folder in storage.dir."},
	},
	{
		TwinSeen,
		Text{VI: "Có thiết bị khác dùng cùng tên cổng.", EN: "Another box uses the same gate name."},
		Text{VI: "Đổi site.gate của một trong hai thiết bị.", EN: "Change site.gate of one of the two boxes."},
	},
	{
		PolicyBuiltIn,
		Text{VI: "Chưa nhận quy tắc có chữ ký; dùng bộ có sẵn, mức 4.", EN: "No signed policy has come; the built-in one at level 4 is in force."},
		Text{VI: "Kiểm tra kết nối; nhờ trung tâm phát quy tắc.", EN: "Check the way to central; ask it to publish a policy."},
	},
	{
		PolicyRefused,
		Text{VI: "Quy tắc mới bị từ chối; quy tắc cũ vẫn dùng.", EN: "A new policy was refused; the old one stays in force."},
		Text{VI: "Báo trung tâm lý do ghi ở dòng chi tiết.", EN: "Tell central the reason in the detail line."},
	},
	{
		TrustMissing,
		Text{VI: "Chưa nhận danh sách khóa: chưa tài liệu nào được chấp nhận.", EN: "The list of trusted keys has not come: no document can be accepted yet."},
		Text{VI: "Kiểm tra kết nối và trust.root_keys.", EN: "Check the way to central and trust.root_keys."},
	},
	{
		TrustRefused,
		Text{VI: "Danh sách khóa mới bị từ chối; bản cũ vẫn dùng.", EN: "A new list of trusted keys was refused; the old one stays in force."},
		Text{VI: "So trust.root_keys với khóa gốc của trung tâm.", EN: "Compare trust.root_keys with central's root key."},
	},
	{
		RevokedRefused,
		Text{VI: "Danh sách thu hồi mới bị từ chối; danh sách cũ vẫn dùng.", EN: "A new list of revoked passes was refused; the old one stays in force."},
		Text{VI: "Báo trung tâm lý do ghi ở dòng chi tiết.", EN: "Tell central the reason in the detail line."},
	},
	{
		PassesUnspendable,
		Text{VI: "Không ghi được thẻ khách đã dùng: thẻ vào một lần phải kiểm tra thủ công.", EN: "It cannot be written down that a pass was used: passes for one entry are checked by hand."},
		Text{VI: "Kiểm tra đĩa: df -h và dmesg; thay thẻ nhớ nếu có lỗi.", EN: "Check the disk with df -h and dmesg; replace the card if it has errors."},
	},
	{
		PassesForgotten,
		Text{VI: "Danh sách thẻ đã dùng bị hỏng hoặc mất: thẻ vào một lần cấp trước đó phải kiểm tra thủ công.", EN: "The list of used passes was damaged or lost: passes for one entry from before are checked by hand."},
		Text{VI: "Cấp thẻ mới cho khách sắp đến; tự hết khi thẻ cũ hết hạn.", EN: "Issue new passes to visitors who are expected; it ends by itself when the old ones have expired."},
	},
	{
		PassagesUnknown,
		Text{VI: "Chưa biết hết các lượt qua trước đó: quy tắc về vào hai lần không chắc chắn với ai chưa qua lại từ lúc đó.", EN: "Not all earlier passages are known: rules about entering twice cannot be held to those who have not passed since."},
		Text{VI: "Nếu nhật ký đọc lỗi, kiểm tra đĩa: df -h và dmesg. Nếu nhật ký mất hoặc ngắn hơn quy tắc, tự hết sau thời hạn của quy tắc; đặt storage.keep_acked ít nhất bằng thời hạn đó. Nếu có quá nhiều người, rút ngắn thời hạn của quy tắc.", EN: "If the journal cannot be read, check the disk with df -h and dmesg. If it was lost or is shorter than the rule, it ends after the time of the rule; set storage.keep_acked to at least that. If there were too many people, make the time of the rule shorter."},
	},
	{
		PassportKeyOdd,
		Text{VI: "Trong danh sách khóa có khóa hộ chiếu vắc-xin không dùng được; các khóa khác vẫn dùng.", EN: "The list of trusted keys has passport keys that cannot be used; the others count."},
		Text{VI: "Báo trung tâm: chạy gatectl trust publish lại với chứng thư đúng.", EN: "Tell central: run gatectl trust publish again with the right certificates."},
	},
	{
		ShadowUnreadable,
		Text{VI: "Không đọc được quy tắc chạy thử (policy.shadow_file): không quy tắc nào được thử.", EN: "The policy on trial (policy.shadow_file) cannot be read: none is tried."},
		Text{VI: "Kiểm tra tệp bằng gatectl policy check, rồi khởi động lại.", EN: "Check the file with gatectl policy check, then restart."},
	},
	{
		ClockNone,
		Text{VI: "Giờ của thiết bị chắc chắn sai.", EN: "The time of the box is certainly wrong."},
		Text{VI: "Nối mạng để lấy giờ, hoặc đặt giờ bằng timedatectl.", EN: "Connect it so that it gets the time, or set it with timedatectl."},
	},
	{
		ClockFloor,
		Text{VI: "Chưa có nguồn giờ nào xác nhận.", EN: "Nothing has confirmed the time yet."},
		Text{VI: "Nối mạng hoặc lắp pin đồng hồ (RTC).", EN: "Connect the network, or fit a battery clock (RTC)."},
	},
	{
		BrokerUnreachable,
		Text{VI: "Không nối được máy chủ MQTT; cổng vẫn quyết định, lượt qua được giữ lại.", EN: "The broker cannot be reached; the gate goes on deciding and keeps its entries."},
		Text{VI: "Kiểm tra cáp mạng và mqtt.broker.", EN: "Check the network cable and mqtt.broker."},
	},
	{
		BrokerRefused,
		Text{VI: "Máy chủ MQTT từ chối thiết bị này.", EN: "The broker refuses this box."},
		Text{VI: "Kiểm tra mqtt.username và tệp mật khẩu.", EN: "Check mqtt.username and the password file."},
	},
	{
		BrokerMute,
		Text{VI: "Máy chủ MQTT nhận tin của thiết bị nhưng không chuyển tiếp.", EN: "The broker takes our messages but does not pass them on."},
		Text{VI: "Kiểm tra quyền (ACL), tên người dùng và giới hạn kích thước ở máy chủ MQTT.", EN: "Check the broker's access list, the user name and its size limits."},
	},
	{
		CentralAway,
		Text{VI: "Trung tâm chưa xác nhận các lượt qua; chúng được giữ lại.", EN: "Central does not acknowledge the entries; they are kept."},
		Text{VI: "Không cần làm gì tại cổng; báo trung tâm nếu kéo dài.", EN: "Nothing to do at the gate; tell central if it lasts."},
	},
	{
		AckMismatch,
		Text{VI: "Xác nhận của trung tâm không khớp nhật ký; thiết bị giữ lại tất cả.", EN: "Central's acknowledgement does not fit the journal; the box keeps everything."},
		Text{VI: "Báo trung tâm; đừng xóa nhật ký.", EN: "Tell central; do not delete the journal."},
	},
	{
		PageFailed,
		Text{VI: "Trang trạng thái không mở được cổng mạng.", EN: "The status page cannot open its port."},
		Text{VI: "Xem chương trình nào dùng cổng này: ss -ltnp; hoặc đổi page.listen.", EN: "See who uses the port with ss -ltnp, or change page.listen."},
	},
	{
		SocketFailed,
		Text{VI: "Không mở được socket cho lệnh tại chỗ.", EN: "The socket for local commands cannot be opened."},
		Text{VI: "Kiểm tra quyền của thư mục ghi ở local.socket.", EN: "Check the rights of the folder of local.socket."},
	},
	{
		Stopped,
		Text{VI: "Bộ phận này đã dừng bất ngờ và sẽ được khởi động lại.", EN: "This part stopped unexpectedly and will be started again."},
		Text{VI: "Nếu lặp lại, gửi nhật ký hệ thống cho trung tâm.", EN: "If it happens again, send the system log to central."},
	},
}
