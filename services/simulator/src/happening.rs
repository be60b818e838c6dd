//! Pure: what cameras and citizens report, at random moments. Texts are Vietnamese, as the desk
//! reads them, and name no person, number plate, telephone or house.

use std::collections::BTreeMap;
use std::ops::Range;

use sen_model::Device;
use sen_model::time::{HOUR_MS, MINUTE_MS};

use crate::calendar::Calendar;
use crate::noise::{mix, unit};
use crate::site::Site;

/// At most one happening a device falls into each slot of this length.
const SLOT_MS: i64 = 5 * MINUTE_MS;

/// One thing that can be reported: how often against the others, its kind, its topic, its text.
struct Story {
    weight: u32,
    kind: &'static str,
    topic: &'static str,
    text: &'static str,
}

const fn story(weight: u32, kind: &'static str, topic: &'static str, text: &'static str) -> Story {
    Story { weight, kind, topic, text }
}

const CAMERA: [Story; 8] = [
    story(6, "crowd", "an ninh", "Tập trung đông người bất thường trong khung hình"),
    story(8, "wrong_lane", "giao thông", "Xe tải đi sai làn đường"),
    story(8, "illegal_parking", "giao thông", "Xe dừng đỗ lấn chiếm lòng đường quá 10 phút"),
    story(5, "red_light", "giao thông", "Nhiều xe vượt đèn đỏ tại nút giao"),
    story(3, "street_vending", "đô thị", "Hàng rong lấn chiếm vỉa hè, cản trở lối đi bộ"),
    story(2, "flooded_street", "môi trường", "Nước ngập mặt đường, xe máy di chuyển khó khăn"),
    story(1, "fire_smoke", "an ninh", "Phát hiện khói bất thường, nghi có cháy"),
    story(1, "collision", "giao thông", "Va chạm giữa hai xe máy, giao thông ùn ứ"),
];

const CITIZEN: [Story; 9] = [
    story(6, "citizen_report", "rác thải", "Rác tồn đọng nhiều ngày chưa được thu gom"),
    story(6, "citizen_report", "chiếu sáng", "Đèn đường không sáng một đoạn dài, đi lại nguy hiểm"),
    story(5, "citizen_report", "cầu đường", "Mặt đường có ổ gà lớn sau mưa"),
    story(4, "citizen_report", "tiếng ồn", "Hát karaoke âm lượng lớn sau 22 giờ"),
    story(3, "citizen_report", "ngập nước", "Nước thoát chậm, ngập đường sau triều cường"),
    story(3, "citizen_report", "nước sạch", "Nước máy yếu và đục vào buổi sáng"),
    story(2, "citizen_report", "sạt lở", "Bờ kênh có dấu hiệu sạt lở, đề nghị kiểm tra"),
    story(2, "citizen_report", "cây xanh", "Cây xanh nghiêng sát dây điện, cần cắt tỉa"),
    story(2, "citizen_report", "thủ tục", "Hồ sơ trực tuyến quá hạn chưa có kết quả"),
];

/// Something a device reports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happening {
    /// The reporter's own id of it.
    pub id: String,
    /// When, on the province's clock.
    pub at_ms: i64,
    /// What kind of happening.
    pub kind: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Anything else, as text.
    pub attributes: BTreeMap<&'static str, String>,
}

/// Whether devices of this kind report happenings.
fn stories(device: &Device) -> Option<&'static [Story]> {
    match device.kind.as_str() {
        "camera" => Some(&CAMERA),
        "citizen_report" => Some(&CITIZEN),
        _ => None,
    }
}

/// What `device` reports in a span of the province's clock, `per_hour` a device on average by day
/// (half as much between 22:00 and 5:00), oldest first.
pub(crate) fn between(
    device: &Device,
    site: &Site,
    span_ms: Range<i64>,
    per_hour: f64,
) -> Vec<Happening> {
    let Some(stories) = stories(device) else { return Vec::new() };
    let slots = span_ms.start.div_euclid(SLOT_MS)..=span_ms.end.div_euclid(SLOT_MS);
    let all = slots.filter_map(|slot| in_slot(device, site, stories, slot, per_hour));
    all.filter(|happening| span_ms.contains(&happening.at_ms)).collect()
}

/// How many happenings `device` reported since midnight of the province's clock.
pub(crate) fn count_today(device: &Device, site: &Site, at_ms: i64, per_hour: f64) -> usize {
    between(device, site, Calendar::at(at_ms).midnight_ms()..at_ms + 1, per_hour).len()
}

fn in_slot(
    device: &Device,
    site: &Site,
    stories: &'static [Story],
    slot: i64,
    per_hour: f64,
) -> Option<Happening> {
    let hour = Calendar::at(slot * SLOT_MS).hour;
    let by_night = if (5.0..22.0).contains(&hour) { 1.0 } else { 0.5 };
    let chance = per_hour * by_night * SLOT_MS as f64 / HOUR_MS as f64;
    let seed = mix(site.seed ^ 0xca11);
    if unit(seed, slot) >= chance {
        return None;
    }
    let at_ms = slot * SLOT_MS + (unit(seed ^ 1, slot) * SLOT_MS as f64) as i64;
    let story = pick(stories, unit(seed ^ 2, slot))?;
    let mut attributes = BTreeMap::from([("topic", story.topic.to_owned())]);
    if device.kind == "camera" {
        let sure = 0.70 + 0.29 * unit(seed ^ 3, slot);
        attributes.insert("confidence", format!("{sure:.2}"));
    }
    let id = format!("{}-{slot}", device.id);
    Some(Happening { id, at_ms, kind: story.kind, text: story.text, attributes })
}

/// A story by its weight; `chance` from 0 to 1.
fn pick(stories: &[Story], chance: f64) -> Option<&Story> {
    let all: u32 = stories.iter().map(|story| story.weight).sum();
    let mut left = chance * f64::from(all);
    let found = stories.iter().find(|story| {
        left -= f64::from(story.weight);
        left < 0.0
    });
    found.or(stories.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_vietnamese_with_their_marks_and_name_nobody() {
        for story in CAMERA.iter().chain(&CITIZEN) {
            assert!(!story.text.is_ascii() && story.text.len() > 20, "{}", story.text);
            // A plate, a telephone and a house number have three digits in a row.
            let digits = story.text.split(|letter: char| !letter.is_ascii_digit());
            assert!(digits.map(str::len).max() < Some(3), "{}", story.text);
        }
    }

    #[test]
    fn every_story_is_told_and_the_heavy_ones_more_often() {
        let mut told = BTreeMap::new();
        for index in 0..10_000 {
            let story = pick(&CAMERA, unit(1, index)).unwrap();
            *told.entry(story.kind).or_insert(0) += 1;
        }
        assert_eq!(told.len(), CAMERA.len());
        assert!(told["wrong_lane"] > 4 * told["fire_smoke"], "{told:?}");
    }
}
