//! Pure: lengths of time as people write them: `90s`, `5m`, `1h30m`, `2d`.

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// Longest duration of a rule: beyond a month a series is not watched but forgotten.
const LONGEST_MS: i64 = 31 * DAY_MS;

/// Reads a duration in milliseconds, or says how to write one.
pub(super) fn parse_ms(text: &str) -> Result<i64, String> {
    let how = || format!("`{text}` is not a duration such as \"90s\", \"5m\", \"1h30m\" or \"2d\"");
    let mut total_ms = 0_i64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(how());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let number: i64 = number.parse().map_err(|_| how())?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => SECOND_MS,
            "m" => MINUTE_MS,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            _ => return Err(how()),
        };
        total_ms = total_ms.saturating_add(number.saturating_mul(unit_ms));
        rest = after;
    }
    if total_ms > LONGEST_MS {
        return Err(format!("`{text}` is longer than 31 days"));
    }
    Ok(total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in
            ["", " ", "5", "m", "5 m", "-5m", "5M", "1.5h", "5mm", "32d", "99999999999999999999d"]
        {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }
}
