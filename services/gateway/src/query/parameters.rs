//! Pure: the parameters of a question, each named in what is said of it when it is wrong.

use std::ops::RangeInclusive;
use std::str::FromStr;

use sen_model::Timestamp;

/// How much of a wrong value is repeated, in characters.
const SHOWN_CHARS: usize = 80;

/// A parameter that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Its name.
    pub(crate) parameter: String,
    /// What is wrong with it, and what is allowed.
    pub(crate) detail: String,
}

impl Wrong {
    /// Of this parameter this is wrong.
    pub(crate) fn new(parameter: &str, detail: impl std::fmt::Display) -> Self {
        let parameter = shown(parameter);
        Self { detail: format!("{parameter}: {detail}"), parameter }
    }
}

/// The beginning of what somebody wrote.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// What stands behind the `?`, in its order.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// These pairs; one that nobody would look at is a mistake of whoever asks.
    pub(crate) fn new(pairs: Vec<(String, String)>, allowed: &[&[&str]]) -> Result<Self, Wrong> {
        let known = |name: &str| allowed.iter().any(|some| some.contains(&name));
        match pairs.iter().find(|(name, _)| !known(name)) {
            None => Ok(Self(pairs)),
            Some((name, _)) => {
                let all = allowed.concat().join(", ");
                Err(Wrong::new(name, format!("there is no such parameter here, only {all}")))
            }
        }
    }

    /// Whether it is given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// One that may be given once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Wrong> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        let first = values.next();
        match values.next() {
            None => Ok(first.map(|(_, value)| value.as_str())),
            Some(_) => Err(Wrong::new(name, "it is given twice")),
        }
    }

    /// One that may be given several times, or as a list with commas.
    pub(crate) fn many(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(given, _)| given == name);
        values.flat_map(|(_, value)| value.split(','))
    }

    /// One that has words of its own.
    pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Wrong> {
        let parse = |text: &str| text.parse().map_err(|error| Wrong::new(name, error));
        self.one(name)?.map(parse).transpose()
    }

    /// The same, several times or as a list.
    pub(crate) fn all<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Vec<T>, Wrong> {
        let parse = |text: &str| text.parse().map_err(|error| Wrong::new(name, error));
        self.many(name).map(parse).collect()
    }

    /// A whole number within bounds; `beyond` says what to do instead of going past them.
    pub(crate) fn number(
        &self,
        name: &str,
        allowed: RangeInclusive<usize>,
        beyond: &str,
    ) -> Result<Option<usize>, Wrong> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let within = text.parse().ok().filter(|number| allowed.contains(number));
        let (least, most) = allowed.into_inner();
        let text = shown(text);
        let wrong =
            || Wrong::new(name, format!("`{text}` is not within {least} to {most}{beyond}"));
        within.ok_or_else(wrong).map(Some)
    }

    /// A time: RFC 3339 with offset, or milliseconds since 1970 in UTC.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Wrong> {
        time(name, self.one(name)?)
    }
}

/// A time in a query.
pub(crate) fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Wrong> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(ms) = text.parse() {
        return Ok(Some(Timestamp::from_millis(ms)));
    }
    // A plus sign that was not escaped arrives as a space; no time holds another space.
    let parsed = shown(text).replace(' ', "+").parse();
    let or = "; milliseconds since 1970 in UTC do as well";
    parsed.map(Some).map_err(|error| Wrong::new(name, format!("{error}{or}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The parameters of a query without escapes.
    pub(crate) fn parameters(query: &str) -> Result<Parameters, Wrong> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        Parameters::new(pairs, &[&["from", "to"], &["limit", "metric"]])
    }

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        let ms = |text: &str| time("from", Some(text)).map(|time| time.unwrap().as_millis());
        for text in
            ["1795417325120", "2026-11-23T14:02:05.120+07:00", "2026-11-23T14:02:05.120 07:00"]
        {
            assert_eq!(ms(text).unwrap(), 1_795_417_325_120, "{text}");
        }
        assert_eq!(ms("-1").unwrap(), -1);
        assert_eq!(ms(&i64::MIN.to_string()).unwrap(), i64::MIN);
        assert_eq!(ms("2024-02-29T00:00:00+07:00").unwrap(), 1_709_139_600_000);
        for wrong in ["yesterday", "2023-02-29T00:00:00Z", "9223372036854775808", ""] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
        assert!(time("to", None).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let wrong = parameters("form=1").unwrap_err();
        assert_eq!(wrong.parameter, "form");
        assert!(wrong.detail.contains("from, to, limit, metric"), "{}", wrong.detail);
        let given = parameters("from=1&from=2&limit=0&to=x").unwrap();
        assert_eq!(given.one("from").unwrap_err().parameter, "from");
        let limit = given.number("limit", 1..=9, ": take fewer").unwrap_err();
        assert_eq!(limit.detail, "limit: `0` is not within 1 to 9: take fewer");
        assert_eq!(given.time("to").unwrap_err().parameter, "to");
        let long = "x".repeat(9_999);
        assert!(parameters(&long).unwrap_err().detail.len() < 300);
        assert!(time("from", Some(&long)).unwrap_err().detail.len() < 300);
    }

    #[test]
    fn lists_may_be_repeated_or_have_commas() {
        let given = parameters("metric=a,b&limit=3&metric=c").unwrap();
        assert_eq!(given.many("metric").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(given.number("limit", 1..=9, "").unwrap(), Some(3));
        assert!(given.has("limit") && !given.has("to"));
    }
}
