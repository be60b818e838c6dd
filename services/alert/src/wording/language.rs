//! Pure: the words, numbers and units of both languages.

use sen_model::condition::Statistic;
use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use sen_model::{Text, Timestamp};

/// Decimals shown, at most: an operator reads 1.62 m, not 1.6180339 m.
const MOST_DECIMALS: usize = 2;

/// The words of one language.
pub(super) struct Words {
    pub(super) pick: fn(&Text) -> &str,
    pub(super) at: &'static str,
    pub(super) level: &'static str,
    pub(super) limit: &'static str,
    pub(super) fallen: &'static str,
    pub(super) risen: &'static str,
    pub(super) within: &'static str,
    pub(super) outside: &'static str,
    pub(super) rises: &'static str,
    pub(super) falls: &'static str,
    pub(super) in_time: &'static str,
    pub(super) stuck: &'static str,
    pub(super) all_the_time: &'static str,
    pub(super) moves: &'static str,
    pub(super) holds: &'static str,
    pub(super) untrue: &'static str,
    pub(super) silent: &'static str,
    pub(super) since: &'static str,
    pub(super) heard: &'static str,
    pub(super) together: &'static str,
    pub(super) beside: &'static str,
    pub(super) downstream: &'static str,
    pub(super) in_turn: &'static str,
    pub(super) apart: &'static str,
    pub(super) happenings: &'static str,
    pub(super) quiet: &'static str,
    pub(super) province: &'static str,
    has_decimal_comma: bool,
    /// A day, an hour, a minute, a second; and what stands before one that is not alone.
    units: [&'static str; 4],
    each: &'static str,
}

pub(super) const VIETNAMESE: Words = Words {
    pick: |text| &text.vi,
    at: "tại",
    level: "mức",
    limit: "ngưỡng",
    fallen: "đã xuống dưới ngưỡng",
    risen: "đã tăng lên trên ngưỡng",
    within: "đã về trong ngưỡng",
    outside: "hết thời gian áp dụng quy tắc",
    rises: "tăng",
    falls: "giảm",
    in_time: "trong",
    stuck: "đứng yên ở",
    all_the_time: "suốt",
    moves: "đã thay đổi trở lại",
    holds: "đúng điều kiện của quy tắc",
    untrue: "không còn đúng điều kiện của quy tắc",
    silent: "không có số liệu",
    since: "từ",
    heard: "đã có số liệu trở lại",
    together: "cảnh báo cùng lúc",
    beside: "cảnh báo gần nhau cùng lúc",
    downstream: "đã lan xuống hạ lưu",
    in_turn: "đã lần lượt xảy ra",
    apart: "không còn cùng lúc",
    happenings: "sự việc",
    quiet: "không có thêm sự việc",
    province: "toàn tỉnh",
    has_decimal_comma: true,
    units: ["ngày", "giờ", "phút", "giây"],
    each: "mỗi",
};

pub(super) const ENGLISH: Words = Words {
    pick: |text| &text.en,
    at: "at",
    level: "level",
    limit: "limit",
    fallen: "has fallen below the limit",
    risen: "has risen above the limit",
    within: "is within the limit again",
    outside: "the rule does not apply at this time",
    rises: "rose",
    falls: "fell",
    in_time: "in",
    stuck: "stuck at",
    all_the_time: "for",
    moves: "moves again",
    holds: "which meets the rule's condition",
    untrue: "no longer meets the rule's condition",
    silent: "no readings",
    since: "since",
    heard: "readings again",
    together: "alerts at once",
    beside: "alerts near one another at once",
    downstream: "has come downstream",
    in_turn: "one has followed the other",
    apart: "no longer together",
    happenings: "events",
    quiet: "no further events",
    province: "the whole province",
    has_decimal_comma: false,
    units: ["d", "h", "min", "s"],
    each: "per",
};

impl Words {
    /// A number with so many decimals.
    pub(super) fn number(&self, number: f64, decimals: usize) -> String {
        let text = format!("{number:.decimals$}");
        if self.has_decimal_comma { text.replace('.', ",") } else { text }
    }

    /// A length of time in its largest whole unit: "90 phút", "6 giờ".
    pub(super) fn duration(&self, ms: i64) -> String {
        let (count, unit) = self.largest_unit(ms);
        format!("{count} {unit}")
    }

    /// "/giờ", or " mỗi 10 phút".
    pub(super) fn per(&self, ms: i64) -> String {
        match self.largest_unit(ms) {
            (1, unit) => format!("/{unit}"),
            (count, unit) => format!(" {} {count} {unit}", self.each),
        }
    }

    fn largest_unit(&self, ms: i64) -> (i64, &'static str) {
        let sizes = [DAY_MS, HOUR_MS, MINUTE_MS].into_iter().zip(self.units);
        // A day is said in hours: "trung bình 24 giờ" is how the limits are written.
        let found = sizes.filter(|(size, _)| ms % size == 0 && (ms > DAY_MS || *size < DAY_MS));
        let largest = found.max_by_key(|(size, _)| *size);
        largest.map_or((ms / SECOND_MS, self.units[3]), |(size, unit)| (ms / size, unit))
    }

    /// "trung bình 24 giờ", "24 h mean".
    pub(super) fn statistic(&self, statistic: Statistic, duration: &str) -> String {
        let (vi, en) = match statistic {
            Statistic::Count => ("số lần đo", "count"),
            Statistic::Sum => ("tổng", "sum"),
            Statistic::Mean => ("trung bình", "mean"),
            Statistic::Min => ("nhỏ nhất", "minimum"),
            Statistic::Max => ("lớn nhất", "maximum"),
            Statistic::Range => ("biên độ", "range"),
            Statistic::Deviation => ("độ lệch chuẩn", "deviation"),
            Statistic::First => ("đầu", "first of"),
            Statistic::Last => ("cuối", "last of"),
            Statistic::P50 => ("trung vị", "median"),
            Statistic::P90 => ("phân vị 90%", "90th percentile"),
            Statistic::P95 => ("phân vị 95%", "95th percentile"),
            Statistic::P99 => ("phân vị 99%", "99th percentile"),
        };
        if self.has_decimal_comma { format!("{vi} {duration}") } else { format!("{duration} {en}") }
    }
}

/// A level in Roman numerals, as alarm levels are written.
pub(super) fn roman(level: u8) -> String {
    const NUMERALS: [&str; 10] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"];
    let index = usize::from(level).checked_sub(1);
    let numeral = index.and_then(|index| NUMERALS.get(index));
    numeral.map_or_else(|| level.to_string(), |numeral| (*numeral).to_owned())
}

/// How many decimals a number needs, up to the most that are shown.
pub(super) fn decimals(number: f64) -> usize {
    let text = format!("{number:.MOST_DECIMALS$}");
    let fraction = text.rsplit('.').next().unwrap_or_default();
    fraction.trim_end_matches('0').len()
}

/// A UCUM unit as people write it, with the space before it; nothing for pure numbers.
pub(super) fn unit(ucum: &str) -> String {
    let shown = match ucum {
        "" | "1" => return String::new(),
        "Cel" => "°C",
        "ug/m3" => "µg/m³",
        "mg/m3" => "mg/m³",
        "m3/s" => "m³/s",
        "MBy" => "MB",
        "%" => return "%".to_owned(),
        other if other.starts_with('[') => return String::new(),
        other if other.starts_with('{') && other.ends_with('}') => return String::new(),
        other => &other.replace(['{', '}'], ""),
    };
    format!(" {shown}")
}

/// A name within a sentence: "Mực nước" becomes "mực nước", but "VN_AQI" and "PM2.5" stay.
pub(super) fn within(name: &str) -> String {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => name.to_owned(),
    }
}

/// Hour and day in Vietnam: `14:02 23/11`.
pub(super) fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    if !text.contains('T') {
        return text;
    }
    match (text.get(11..16), text.get(8..10), text.get(5..7)) {
        (Some(minute), Some(day), Some(month)) => format!("{minute} {day}/{month}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_decimals_they_need() {
        for (number, count, vi) in [
            (1.6, 1, "1,6"),
            (151.0, 0, "151"),
            (1.618, 2, "1,62"),
            (-0.5, 1, "-0,5"),
            (1e9, 0, "1000000000"),
        ] {
            assert_eq!(decimals(number), count, "{number}");
            assert_eq!(VIETNAMESE.number(number, count), vi);
        }
    }

    #[test]
    fn lengths_of_time_are_said_in_their_largest_whole_unit() {
        for (ms, vi, per) in [
            (10_000, "10 giây", " mỗi 10 giây"),
            (60_000, "1 phút", "/phút"),
            (5_400_000, "90 phút", " mỗi 90 phút"),
            (3_600_000, "1 giờ", "/giờ"),
            (86_400_000, "24 giờ", " mỗi 24 giờ"),
            (604_800_000, "7 ngày", " mỗi 7 ngày"),
        ] {
            assert_eq!((VIETNAMESE.duration(ms), VIETNAMESE.per(ms)), (vi.into(), per.into()));
        }
        assert_eq!((roman(1), roman(4), roman(11)), ("I".into(), "IV".into(), "11".into()));
    }

    #[test]
    fn units_and_times_are_what_people_read() {
        for (ucum, shown) in [
            ("m", " m"),
            ("1", ""),
            ("{lamps}", ""),
            ("[pH]", ""),
            ("{VND}/kg", " VND/kg"),
            ("Cel", " °C"),
            ("MBy", " MB"),
            ("%", "%"),
        ] {
            assert_eq!(unit(ucum), shown);
        }
        for (name, shown) in
            [("Mực nước", "mực nước"), ("VN_AQI", "VN_AQI"), ("pH", "pH"), ("", "")]
        {
            assert_eq!(within(name), shown);
        }
        let time: Timestamp = "2026-11-23T07:02:05Z".parse().unwrap();
        assert_eq!(minute(time), "14:02 23/11");
        assert!(minute(Timestamp::from_millis(i64::MAX)).ends_with("ms"));
    }
}
