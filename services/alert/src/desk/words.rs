//! Pure: why the desk refuses something, and what to do instead, in both languages.

use sen_model::Text;

/// Something must be said.
pub(super) fn reason_missing() -> Text {
    Text::new(
        "Chưa ghi lý do: hãy viết ngắn gọn vì sao.",
        "No reason given: say in a few words why.",
    )
}

/// A note without words.
pub(super) fn note_empty() -> Text {
    Text::new("Ghi chú trống: hãy viết nội dung.", "The note is empty: write something.")
}

/// A time that has passed.
pub(super) fn time_past() -> Text {
    Text::new(
        "Thời hạn đã qua: hãy chọn một thời điểm sắp tới.",
        "That time has passed: choose one to come.",
    )
}

/// A time too far away.
pub(super) fn too_long(most_ms: i64) -> Text {
    let (vi, en) = span(most_ms);
    Text::new(
        format!("Thời hạn quá dài: chọn không quá {vi} kể từ bây giờ."),
        format!("Too long: choose at most {en} from now."),
    )
}

/// An end before its beginning.
pub(super) fn ends_before_it_begins() -> Text {
    Text::new(
        "Thời điểm kết thúc phải sau thời điểm bắt đầu.",
        "The end must be after the beginning.",
    )
}

/// One shot for something that is over.
pub(super) fn nothing_to_wait_for() -> Text {
    Text::new(
        "Điều kiện cảnh báo đã hết: tạm gác một lần không còn tác dụng, hãy xác nhận cảnh báo.",
        "Its condition is gone, so there is nothing to wait for: acknowledge it instead.",
    )
}

/// It is not on the shelf.
pub(super) fn not_shelved() -> Text {
    Text::new("Cảnh báo này không bị tạm gác.", "This alert is not shelved.")
}

/// It is not suppressed.
pub(super) fn not_suppressed() -> Text {
    Text::new("Cảnh báo này không bị ẩn.", "This alert is not suppressed.")
}

/// It is suppressed by design.
pub(super) fn suppressed_by_design() -> Text {
    Text::new(
        "Cảnh báo này được ẩn vì đã có nguyên nhân khác; nó tự hiện lại khi nguyên nhân hết.",
        "This alert is explained by something else; it comes back by itself when that is over.",
    )
}

/// There is nothing to reset.
pub(super) fn not_latched() -> Text {
    Text::new(
        "Chỉ đặt lại được cảnh báo đã chốt, sau khi điều kiện đã hết và đã có người xác nhận.",
        "Only a latched alert can be reset, once its condition is gone and somebody has taken it.",
    )
}

/// It holds, so it cannot be over.
pub(super) fn still_holds() -> Text {
    Text::new(
        "Số đo cho thấy điều kiện cảnh báo vẫn còn nên chưa thể đóng: hãy xác nhận, giao việc hoặc tạm gác.",
        "Readings say that its condition still holds, so it cannot be closed: acknowledge, assign or shelve it.",
    )
}

/// No such stage.
pub(super) fn no_such_stage() -> Text {
    Text::new("Cấp độ phải từ 1 đến 5.", "The stage must be 1 to 5.")
}

/// It would reach everything.
pub(super) fn reaches_everything() -> Text {
    Text::new(
        "Hãy chọn ít nhất một quy tắc, thiết bị hoặc địa bàn.",
        "Choose at least a rule, a device or an area.",
    )
}

/// It would reach nothing.
pub(super) fn reaches_nothing(what: &str) -> Text {
    Text::new(
        format!("Không có `{what}`: hãy kiểm tra lại mã."),
        format!("There is no `{what}`: check the id."),
    )
}

/// It has ended before.
pub(super) fn ended_before() -> Text {
    Text::new("Mục này đã kết thúc trước đó.", "That has ended before.")
}

/// There is no drill.
pub(super) fn no_drill() -> Text {
    Text::new("Hiện không có diễn tập.", "No drill is on.")
}

/// A drill is on.
pub(super) fn drill_is_on() -> Text {
    Text::new(
        "Đang có diễn tập: hãy kết thúc trước khi bắt đầu lần khác.",
        "A drill is on: end it before another begins.",
    )
}

/// Too many entries of a kind.
pub(super) fn too_many(most: usize) -> Text {
    Text::new(
        format!("Đã có {most} mục đang hiệu lực: hãy kết thúc bớt trước."),
        format!("There are {most} in force: end some first."),
    )
}

/// A shift that has not begun.
pub(super) fn shift_in_future() -> Text {
    Text::new(
        "Thời điểm bắt đầu ca phải trước bây giờ.",
        "The beginning of the shift must be before now.",
    )
}

/// Nobody takes the shift.
pub(super) fn nobody_takes_it() -> Text {
    Text::new("Hãy ghi ai nhận ca.", "Say who takes the shift.")
}

/// What to say of an alert that another system told as over.
pub(super) fn told_as_over(text: &Text) -> Text {
    Text::new(
        format!("Hệ thống ngoài báo đã hết. {}", text.vi),
        format!("The other system says it is over. {}", text.en),
    )
}

/// What to say of an alert that another system told no more.
pub(super) fn told_no_more(text: &Text) -> Text {
    Text::new(
        format!("Hệ thống ngoài không báo lại. {}", text.vi),
        format!("The other system told it no more. {}", text.en),
    )
}

/// A length of time in words.
fn span(ms: i64) -> (String, String) {
    const MINUTE_MS: i64 = 60_000;
    let minutes = ms / MINUTE_MS;
    match (minutes % 1_440, minutes % 60) {
        (0, _) => (format!("{} ngày", minutes / 1_440), format!("{} days", minutes / 1_440)),
        (_, 0) => (format!("{} giờ", minutes / 60), format!("{} hours", minutes / 60)),
        _ => (format!("{minutes} phút"), format!("{minutes} minutes")),
    }
}
