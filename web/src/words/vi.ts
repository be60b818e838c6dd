// Every word on the screens, in Vietnamese: the source of truth. `{name}` is filled in.
export const vi = {
  'field.all': 'Tất cả',
  'field.socio_economy': 'Kinh tế - xã hội',
  'field.security': 'An ninh',
  'field.transport': 'Giao thông',
  'field.environment': 'Môi trường',
  'field.public_services': 'Dịch vụ công',

  'severity.1': 'Khẩn cấp',
  'severity.2': 'Cao',
  'severity.3': 'Vừa',
  'severity.4': 'Thấp',
  'severity.normal': 'Bình thường',

  'state.unacknowledged': 'chưa xác nhận',
  'state.acknowledged': 'đã xác nhận: {by}',
  'state.acknowledged_unknown': 'đã xác nhận',
  'state.returned_unacknowledged': 'hết nhưng chưa xác nhận',
  'state.normal': 'đã hết',
  'state.superseded': 'được thay bằng cảnh báo mới',

  'freshness.fresh': 'trực tiếp',
  'freshness.stale': 'cũ',
  'freshness.lost': 'mất tín hiệu',
  'freshness.suspect': 'nghi ngờ',
  'freshness.none': 'không có dữ liệu',

  'link.opening': 'Đang kết nối',
  'link.replaying': 'Đang đồng bộ',
  'link.live': 'Trực tiếp',
  'link.behind': 'Đang đồng bộ',
  'link.slow': 'Tín hiệu chậm',
  'link.lost': 'Mất kết nối',
  'link.displaced': 'Đã mở ở nơi khác',
  'link.signed_out': 'Chưa đăng nhập',
  'link.forbidden': 'Không có quyền',

  'cover.title': 'MẤT TÍN HIỆU TỪ {time}',
  'cover.body': 'Số liệu phía sau màn che này đã cũ. Màn hình đang tự kết nối lại.',
  'cover.retry': 'Thử lại sau {seconds} giây',
  'cover.trying': 'Đang thử kết nối…',
  'cover.displaced': 'Màn hình này đã mở ở nơi khác',
  'cover.displaced_body': 'Số liệu phía sau màn che này không còn được cập nhật.',
  'cover.take_over': 'Dùng ở đây',

  'sound.on': 'Âm thanh bật',
  'sound.blocked': 'Âm thanh đang tắt',
  'sound.muted': 'Đã tắt tiếng',
  'sound.enable': 'bấm để bật',

  'header.counts': 'đang mở / chưa xác nhận',
  'header.count': 'mức {severity}: {open} đang mở, {unacknowledged} chưa xác nhận',
  'header.test_mode': 'CHẾ ĐỘ THỬ NGHIỆM — chưa đăng nhập',

  'tabs.label': 'Lĩnh vực',
  'tabs.pinned': 'đang ghim',
  'tabs.turning': 'tự chuyển',

  'tile.coverage': '{heard}/{all} điểm đo',
  'tile.empty': 'Lĩnh vực này chưa có ô số liệu.',

  'alerts.title': 'Cảnh báo đang mở',
  'alerts.none': 'Không có cảnh báo nào đang mở',
  'alerts.checked': 'Cập nhật lúc {time}',
  'alerts.page': '{shown} / {all}',
  'alerts.page_number': 'trang {page}/{pages}',
  'alerts.before': 'Trang trước',
  'alerts.after': 'Trang sau',
  'alerts.limit': 'ngưỡng',
  'alerts.late': 'phát hiện muộn',
  'alerts.loading': 'Đang tải cảnh báo…',
  'alerts.waiting': '{count} cảnh báo mới, bấm để xem',
  'alerts.waiting_critical': 'Mới: {name}',

  'acknowledge.do': 'Xác nhận',
  'acknowledge.sending': 'đang gửi…',
  'acknowledge.failed': 'Chưa gửi được. Thử lại',
  'acknowledge.first': '{by} đã xác nhận lúc {time}',
  'acknowledge.changed': 'Cảnh báo vừa thay đổi, hãy xem lại',
  'acknowledge.gone': 'Cảnh báo này không còn nữa',
  'acknowledge.label': 'Xác nhận: {text}',

  'missed.title': 'Đã bỏ lỡ khi mất kết nối: {count}',
  'missed.done': 'Đã xem',
  'missed.page': '{from}–{to} / {all}',
  'missed.before': 'Các mục trước',
  'missed.after': 'Các mục sau',

  'map.label': 'Bản đồ tỉnh',
  'map.schematic': 'Sơ đồ, không phải địa giới chính thức',
  'map.loading': 'Đang tải bản đồ…',
  'map.simple': 'Bản đồ giản lược',
  'map.normal': 'Trạm bình thường',
  'map.silent': 'Trạm mất tín hiệu',

  'trend.none': 'Chưa có số liệu',

  'age.seconds': '{n} giây',
  'age.minutes': '{n} phút',
  'age.hours': '{n} giờ',
  'age.days': '{n} ngày',

  'start.title': 'Trung tâm điều hành',
  'start.wall': 'Mở màn hình lớn',
  'start.unknown': 'Không có trang này.',
} as const;

export type WordKey = keyof typeof vi;
