//! The names nearest to one that there is not. Pure: text only.

/// Names that are told, at most.
const TOLD: usize = 3;
/// Longest part of a name that is compared, in characters.
const COMPARED_CHARS: usize = 64;

/// A name, and how people call what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    title: Option<String>,
}

impl Named {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), title: None }
    }

    pub(crate) fn with_title(name: &str, title: &str) -> Self {
        Self { name: name.to_owned(), title: Some(title.to_owned()) }
    }

    /// How far a text is from the name or, if that is nearer, from the title.
    fn distance(&self, text: &str) -> usize {
        let by_name = distance(text, &self.name);
        let by_title = self.title.as_ref().map(|title| {
            let (text, title) = (text.to_lowercase(), title.to_lowercase());
            // "Mỹ Tho" means "Phường Mỹ Tho".
            if title.contains(&text) { 0 } else { distance(&text, &title) }
        });
        by_title.map_or(by_name, |by_title| by_title.min(by_name))
    }
}

/// At most three names that differ from the text in no more than half of its letters, the nearest
/// first, each with its title.
pub(crate) fn nearest(text: &str, names: &[Named]) -> Vec<String> {
    let most = text.chars().count().min(COMPARED_CHARS).div_ceil(2);
    let mut near: Vec<(usize, &Named)> = names
        .iter()
        .map(|named| (named.distance(text), named))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    let told = |(_, named): &(usize, &Named)| match &named.title {
        Some(title) => format!("{} ({title})", named.name),
        None => named.name.clone(),
    };
    near.iter().take(TOLD).map(told).collect()
}

/// Letters to insert, take out or exchange to make one text the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED_CHARS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().take(COMPARED_CHARS).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_letters_that_differ() {
        let cases = [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("flaw", "lawn", 2)];
        for (a, b, apart) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (apart, apart), "{a} {b}");
        }
    }

    #[test]
    fn tells_the_nearest_first_and_nothing_that_is_far() {
        let names = ["water_level_m", "water_flow", "pm25_ug_m3", "pm10_ug_m3"].map(Named::new);
        assert_eq!(nearest("water_level", &names), ["water_level_m", "water_flow"]);
        assert_eq!(nearest("pm25", &names), [""; 0]);
        assert_eq!(nearest("pm25_ugm3", &names), ["pm25_ug_m3", "pm10_ug_m3"]);
        let areas = [Named::with_title("28261", "Phường Mỹ Tho")];
        assert_eq!(nearest("28216", &areas), ["28261 (Phường Mỹ Tho)"]);
        assert_eq!(nearest("mỹ tho", &areas), ["28261 (Phường Mỹ Tho)"]);
    }
}
