//! Lists: pages, cursors, and reading a topic backwards.

use sen_log::{Entry, Offset, ReadError, Topic};
use sen_proto::Wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// Items of a page where none are asked for, and at most.
const USUAL_ITEMS: usize = 200;
const MOST_ITEMS: usize = 1_000;
/// Records of a topic that are looked at for one page at most: a rare reason in a large quarantine
/// takes several pages, never a long request.
const MOST_SCANNED: u64 = 20_000;
/// Records read at once, going backwards.
const STRIDE: u64 = 500;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// What is on the page.
    pub(crate) items: Vec<T>,
    /// The cursor of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Items on the page, at most 1,000; 200 if not given.
    pub(crate) limit: Option<usize>,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// How many items.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL_ITEMS).clamp(1, MOST_ITEMS)
    }

    /// The cursor as a number.
    pub(crate) fn number(&self) -> Result<Option<u64>, Problem> {
        let parse = |text: &String| text.parse().map_err(|_| foreign(text));
        self.cursor.as_ref().map(parse).transpose()
    }
}

/// A cursor that no page gave.
pub(crate) fn foreign(cursor: &str) -> Problem {
    let shown: String = cursor.chars().take(80).collect();
    Problem::bad(format!("`{shown}` is not a cursor of this list"))
}

/// Cuts one item too many off a page: `items` holds up to `limit + 1`.
pub(crate) fn page<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
    let is_more = items.len() > limit;
    items.truncate(limit);
    let next = if is_more { items.last().map(cursor) } else { None };
    Page { items, next }
}

/// Reads a topic from the newest record (or the one below `before`) towards the oldest, and keeps
/// what `pick` makes of the records, at most `limit`; with the cursor to go on from.
pub(crate) async fn newest_first<T: Wire, R>(
    topic: &Topic<T>,
    before: Option<Offset>,
    limit: usize,
    mut pick: impl FnMut(&Entry<T>) -> Option<R>,
) -> Result<Page<R>, Problem> {
    let end = topic.head() + 1;
    let mut end = before.map_or(end, |before| before.min(end));
    let (mut items, mut scanned) = (Vec::new(), 0);
    while end > topic.floor() && scanned < MOST_SCANNED {
        let begin = end.saturating_sub(STRIDE).max(topic.floor());
        for entry in stretch(topic, begin, end).await?.iter().rev() {
            if items.len() == limit {
                return Ok(Page { items, next: Some((entry.offset + 1).to_string()) });
            }
            items.extend(pick(entry));
        }
        scanned += end - begin;
        end = begin;
    }
    let next = (end > topic.floor()).then(|| end.to_string());
    Ok(Page { items, next })
}

/// The records from `begin` to before `end`.
pub(crate) async fn stretch<T: Wire>(
    topic: &Topic<T>,
    begin: Offset,
    end: Offset,
) -> Result<Vec<Entry<T>>, Problem> {
    let mut reader = topic.read_from(begin);
    let mut entries = Vec::new();
    while reader.position() < end {
        let wanted = usize::try_from(end - reader.position()).unwrap_or(usize::MAX);
        match reader.available(wanted).await {
            Ok(some) if some.is_empty() => break,
            Ok(some) => entries.extend(some.into_iter().filter(|entry| entry.offset < end)),
            // Retention was faster: what is gone is not on the page.
            Err(ReadError::BelowFloor { floor, .. }) => reader = topic.read_from(floor),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let three = page(vec![1, 2, 3], 2, i32::to_string);
        assert_eq!((three.items, three.next), (vec![1, 2], Some("2".to_owned())));
        let two = page(vec![1, 2], 2, i32::to_string);
        assert_eq!((two.items, two.next), (vec![1, 2], None));
    }

    #[test]
    fn limits_stay_within_bounds() {
        let limit = |limit| Paging { limit, cursor: None }.limit();
        assert_eq!(
            (limit(None), limit(Some(0)), limit(Some(7)), limit(Some(9_999))),
            (200, 1, 7, 1_000)
        );
    }
}
