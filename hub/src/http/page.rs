//! Cursor paging: `?limit=&cursor=` in, `{"items":[…],"next_cursor":…}` out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::Problem;

/// Items a page has by default.
const DEFAULT_LIMIT: u16 = 50;
/// Items a page has at the most.
const MAX_LIMIT: u16 = 200;

/// The paging part of a list's query. Flatten does not work with numbers in queries, so lists
/// repeat `limit` and `cursor` in their own query types and build this from them.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items a page, 1 to 200; 50 by default.
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Where the next page begins: the sort key of the last item of the page before.
#[derive(Debug, Clone)]
pub struct Cursor<K> {
    /// Items to fetch.
    pub limit: i64,
    /// The last key seen, or `None` for the first page.
    pub after: Option<K>,
}

impl PageQuery {
    /// Validates limit and cursor. `K` is the list's sort key, for instance `Uuid` or `(String, Uuid)`.
    ///
    /// # Errors
    /// 422 for a limit out of range or a cursor that is not ours.
    pub fn cursor<K: DeserializeOwned>(&self) -> Result<Cursor<K>, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::invalid_field("limit", "out_of_range", format!("must be between 1 and {MAX_LIMIT}")));
        }
        let after = match &self.cursor {
            None => None,
            Some(text) => Some(decode(text).ok_or_else(|| {
                Problem::invalid_field("cursor", "malformed", "is not a cursor of this list: begin again without it")
            })?),
        };
        Ok(Cursor { limit: limit.into(), after })
    }
}

/// Filters of a list by name.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Items a page, 1 to 200.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Part of a name or description.
    q: Option<String>,
}

impl SearchQuery {
    /// What to look for; blank is nothing.
    pub fn text(&self) -> Option<&str> {
        self.q.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Validates limit and cursor of a list in the order of [`Page::by_name`].
    ///
    /// # Errors
    /// As [`PageQuery::cursor`].
    pub fn cursor(&self) -> Result<Cursor<(String, Uuid)>, Problem> {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }.cursor()
    }
}

impl<K> Cursor<K> {
    /// Rows to ask the database for: one more than a page, to know whether there is a next one.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Pass as `cursor` for the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of `rows`, fetched with [`Cursor::fetch`]; `key` gives an item's sort key.
    pub fn of<R: Into<T>, K: Serialize>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let next_cursor = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| encode(&key(row)))
        } else {
            None
        };
        Self { items: rows.into_iter().map(Into::into).collect(), next_cursor }
    }

    /// Makes a page of rows in the order of their lower-case names. The cursor has the name as it is: what is lower
    /// case is for the database to say, which orders by it.
    pub fn by_name<R: Into<T>, I: Into<Uuid>>(rows: Vec<R>, limit: i64, key: impl Fn(&R) -> (&str, I)) -> Self {
        Self::of(rows, limit, |row| {
            let (name, id) = key(row);
            (name.to_owned(), id.into())
        })
    }
}

fn encode<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

fn decode<K: DeserializeOwned>(text: &str) -> Option<K> {
    if text.len() > 1_024 {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_leads_to_the_next_and_the_last_does_not() {
        let page = Page::<u32>::of(vec![1_u32, 2, 3], 2, |row| *row);
        assert_eq!(page.items, [1, 2]);
        let next = PageQuery { limit: Some(2), cursor: page.next_cursor };
        assert_eq!(next.cursor::<u32>().unwrap().after, Some(2));
        assert_eq!(Page::<u32>::of(vec![3_u32], 2, |row| *row).next_cursor, None);
    }

    #[test]
    fn a_forged_cursor_and_a_limit_out_of_range_are_refused() {
        for query in [
            PageQuery { limit: None, cursor: Some("@@".to_owned()) },
            PageQuery { limit: None, cursor: Some(encode(&"text")) },
            PageQuery { limit: Some(0), cursor: None },
            PageQuery { limit: Some(201), cursor: None },
        ] {
            assert_eq!(query.cursor::<u32>().unwrap_err().code(), "invalid_input", "{query:?}");
        }
    }
}
